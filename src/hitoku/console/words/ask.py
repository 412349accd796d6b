# SPDX-License-Identifier: Apache-2.0
"""Words of questions: the editor, what would happen, progress, answers."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "ask.title": ("Ask", "質問する"),
    "ask.lead": (
        "Check a question first: nothing runs and nothing is charged. Then run it.",
        "まず質問を確認します。この時点では何も実行されず、費用も計上されません。その後に実行します。",
    ),
    "ask.sql": ("Question (SQL)", "質問（SQL）"),
    "ask.sql_hint": (
        "One statement over the room's tables. Ctrl+Enter checks it.",
        "ルームのテーブルに対する SQL 文を一つ入力します。Ctrl+Enter で確認します。",
    ),
    "ask.check": ("Check the question", "質問を確認"),
    "ask.checking": ("Checking …", "確認中…"),
    "ask.run": ("Run it", "実行する"),
    "ask.stale": (
        "The text was changed since: check it again.",
        "確認後に文が変更されました。もう一度確認してください。",
    ),
    "ask.options": ("Receivers and noise", "受信者とノイズ"),
    "ask.receivers": ("Who receives the answer", "回答の受信者"),
    "ask.receivers_hint": (
        "Nobody marked: {usual}.",
        "選択しない場合：{usual}。",
    ),
    "ask.noise": ("Noise, where figures are noised", "ノイズ（数値にノイズが加わる場合）"),
    "ask.noise_usual": ("As the budgets say", "予算の設定に従う"),
    "ask.noise_users": ("Hides so many people or other units", "次の人数（単位数）を隠す"),
    "ask.noise_users_value": ("How many, 10 to 100,000", "人数（10〜100,000）"),
    "ask.noise_epsilon": ("Costs at most this epsilon", "費用を次の ε 以下にする"),
    "ask.noise_epsilon_value": ("Epsilon", "ε"),
    "ask.not_in_force": (
        "The room is not in force yet: its members must sign it first.",
        "ルームはまだ発効していません。先にメンバーの署名が必要です。",
    ),
    "ask.no_query": (
        "This member does not have the ability to ask in this room.",
        "このメンバーには、このルームで質問する権限がありません。",
    ),
    # tables beside the editor
    "ask.tables": ("Tables and rules", "テーブルとルール"),
    "ask.tables_hint": ("A name that is pressed goes into the question.", "名前を押すと質問に挿入されます。"),
    "ask.insert": ("Insert {name}", "{name} を挿入"),
    "ask.owned_by": ("of {owner}", "{owner} のテーブル"),
    "ask.rule_none": ("no rule: cannot be asked", "ルールなし：質問できません"),
    "ask.rule_aggregation": ("statistics only", "統計のみ"),
    "ask.rule_list": ("matched rows", "一致した行"),
    "ask.rule_custom": ("custom rule", "カスタムルール"),
    "ask.templates_only": ("approved templates only", "承認済みテンプレートのみ"),
    "ask.noised": ("figures carry noise", "数値にノイズが加わります"),
    "ask.minimum": (
        "each row rests on {minimum} {column} at least",
        "各行は {column} {minimum} 件以上に基づきます",
    ),
    "ask.column": ("Column", "列"),
    "ask.type": ("Type", "型"),
    "ask.allowed": ("Allowed", "許可"),
    "ask.way_join": ("join", "結合"),
    "ask.way_group": ("group, filter", "グループ化・絞り込み"),
    "ask.way_list": ("list", "一覧"),
    "ask.way_unit": ("unit of privacy", "プライバシーの単位"),
    "ask.way_inside": ("inside aggregates only", "集計の中のみ"),
    "ask.protection_fingerprint": ("fingerprint", "フィンガープリント"),
    "ask.protection_sealed": ("sealed", "封印"),
    "ask.protection_cleartext": ("cleartext", "平文"),
    # what would happen
    "ask.verdict": ("What would happen", "この質問の扱い"),
    "ask.accepted": ("The rules allow it", "ルールで許可されています"),
    "ask.not_by_any": (
        "The rules allow it, but no protection of this room can compute it.",
        "ルールでは許可されていますが、このルームの保護方式では計算できません。",
    ),
    "ask.fix": ("Change it and check again", "修正して再確認"),
    "ask.fix_edit": ("With this change the question would read:", "修正後の質問："),
    "ask.fix_add": (
        "{owner} could add {value} to {rule}. The members who must sign would have to agree.",
        "{owner} が {rule} に {value} を追加すれば許可されます。署名が必要なメンバーの同意が要ります。",
    ),
    "ask.fix_set": (
        "{owner} could set {rule} to {value}. The members who must sign would have to agree.",
        "{owner} が {rule} を {value} に変更すれば許可されます。署名が必要なメンバーの同意が要ります。",
    ),
    "ask.fix_own": ("Open this rule", "このルールを開く"),
    "ask.refused_at": ("Where in the question", "質問中の箇所"),
    "ask.by": ("Computed by", "計算方法"),
    "ask.not_by": ("Not by {protection}", "{protection} は不可"),
    "ask.normal_form": ("What runs, in normal form", "実行される文（標準形）"),
    "ask.template": ("The template {template}, with its values", "テンプレート {template} に値を入れたもの"),
    "ask.protected": ("What protects people", "個人の保護"),
    "ask.protected_minimum": (
        "each row rests on at least {minimum} distinct {table}.{column} ({owner}'s rule)",
        "各行は {table}.{column} の異なる値 {minimum} 件以上に基づきます（{owner} のルール）",
    ),
    "ask.learned": ("Who learns what", "誰が何を知るか"),
    "ask.member": ("Member", "メンバー"),
    "ask.learns": ("Learns", "知ること"),
    "ask.assuming": ("Assuming", "前提"),
    "ask.reveals": ("What the answer tells", "回答から分かること"),
    "ask.output": ("Output", "出力"),
    "ask.of_column": ("Of column", "元の列"),
    "ask.what": ("What of it", "内容"),
    "ask.with_noise": ("noised", "ノイズあり"),
    "ask.takes": ("Predicted", "予測"),
    "ask.seconds": ("about {seconds}", "約 {seconds}"),
    "ask.bytes": ("{size} over the network", "通信量 {size}"),
    "ask.rounds": ("{rounds} rounds", "{rounds} 往復"),
    "ask.assumed": (
        "if the other tables have as many rows as yours ({rows})",
        "他のテーブルの行数があなたのテーブル（{rows} 行）と同じ場合",
    ),
    "ask.unknown": ("not known", "不明"),
    "ask.usually": (
        "earlier questions of this room took about {seconds} here",
        "このルームの以前の質問の所要時間は約 {seconds} でした",
    ),
    "ask.steps": ("Steps", "手順"),
    "ask.cost": ("Cost", "費用"),
    "ask.cost_none": ("It costs no privacy budget.", "プライバシー予算は消費しません。"),
    "ask.cost_again": (
        "It was answered before: the same answer is given again, at no cost.",
        "以前に回答済みです。同じ回答が費用なしで返されます。",
    ),
    "ask.cost_unknown": ("The cost could not be asked: {problem}", "費用を確認できませんでした：{problem}"),
    "ask.account": ("Account", "口座"),
    "ask.costs": ("Costs (ε)", "費用（ε）"),
    "ask.spent": ("Spent (ε)", "使用済み（ε）"),
    "ask.left": ("So many more fit", "あと何回可能か"),
    "ask.any_number": ("any number", "無制限"),
    "ask.too_dear": (
        "{owner}'s account for {unit} has too little left: run so, it is refused. More noise costs less.",
        "{owner} の {unit} の口座は残りが足りず、実行すると拒否されます。ノイズを増やすと費用が下がります。",
    ),
    "ask.window": (
        "{owner} allows {left} more questions of {table} ({window}).",
        "{owner} は {table} への質問をあと {left} 回許可しています（{window}）。",
    ),
    "ask.noise_units": ("Noise of {units} units' contributions.", "{units} 単位分の寄与に相当するノイズ。"),
    # a question that was asked
    "ask.one": ("Question", "質問"),
    "ask.answer": ("Answer", "回答"),
    "ask.asked_by": ("Asked by {name}, {time}", "質問者 {name}、{time}"),
    "ask.state_queued": ("waiting", "待機中"),
    "ask.state_running": ("running", "実行中"),
    "ask.state_done": ("answered", "回答済み"),
    "ask.state_refused": ("refused", "拒否"),
    "ask.state_failed": ("failed", "失敗"),
    "ask.state_cancelled": ("cancelled", "取消"),
    "ask.state_interrupted": ("cut off", "中断"),
    "ask.progress": ("Progress", "進行状況"),
    "ask.phase_check": ("Checking the question", "質問の確認"),
    "ask.phase_plan": ("Planning what may be released", "開示範囲の計画"),
    "ask.phase_consent": ("Asking the owners", "所有者の同意"),
    "ask.phase_run": ("Computing the answer", "回答の計算"),
    "ask.phase_release": ("Withholding small groups", "小さいグループの非表示"),
    "ask.phase_receive": ("Receiving the answer", "回答の受信"),
    "ask.phase_begin": ("Beginning at the other owner", "相手の所有者での開始"),
    "ask.phase_agreeing on the sizes": ("Agreeing on the sizes", "規模の取り決め"),
    "ask.phase_attesting": ("Attesting to each other", "相互の構成証明"),
    "ask.phase_read the table": ("Reading the table", "テーブルの読み込み"),
    "ask.phase_one row a person": ("Making one row a person", "一人一行への集約"),
    "ask.phase_masking this side's records": ("Masking this side's records", "自分の側の記録のマスク"),
    "ask.phase_raising the other side's points": (
        "Masking the other side's records again",
        "相手の側の記録の再マスク",
    ),
    "ask.phase_matching and adding up": ("Matching and adding up", "照合と集計"),
    "ask.phase_waiting for the cells": ("Waiting for the other owner's cells", "相手のセルの待機"),
    "ask.phase_waiting for the sums": ("Waiting for the other owner's sums", "相手の合計の待機"),
    "ask.phase_opening the sums": ("Opening the sums", "合計の復号"),
    "ask.phase_taking the tags": ("Taking the matched records", "一致した記録の受け取り"),
    "ask.phase_adding noise": ("Adding noise", "ノイズの付加"),
    "ask.phase_prepare": ("Preparing", "準備"),
    "ask.phase_start engine": ("Starting the engine", "エンジンの起動"),
    "ask.phase_run on tokens": ("Computing on encrypted tables", "暗号化テーブルでの計算"),
    "ask.phase_finish on tokens": ("Finishing the answer", "回答の仕上げ"),
    "ask.phase_join and group on Spark": ("Joining and grouping on Spark", "Spark での結合と集計"),
    "ask.phase_start the enclave": ("Starting the enclave", "エンクレーブの起動"),
    "ask.phase_delete the keys": ("Deleting the keys", "鍵の削除"),
    "ask.phase_join the other servers": ("Connecting the three servers", "3 台のサーバーの接続"),
    "ask.phase_owners share their tables": ("Owners share their tables", "所有者によるテーブルの分散"),
    "ask.phase_filter rows": ("Filtering rows", "行の絞り込み"),
    "ask.phase_leaving out what a unit has too many of": (
        "Leaving out what a person has too many of",
        "一人当たりの上限超過分の除外",
    ),
    "ask.phase_adding up groups": ("Adding up groups", "グループの集計"),
    "ask.phase_count related groups": ("Counting related groups", "関連するグループの計数"),
    "ask.refresh": ("Look again", "更新"),
    "ask.cancel": ("Cancel", "取り消す"),
    "ask.cancel_sure": (
        "Give this question up? What has begun at another member is charged.",
        "この質問を取り消しますか。他のメンバーで始まった処理の費用は計上されます。",
    ),
    "ask.lost": ("The connection was lost; trying again …", "接続が切れました。再接続しています…"),
    "ask.again": ("Ask again", "もう一度質問"),
    "ask.edit": ("Edit and ask again", "編集して質問"),
    "ask.failed_why": ("There is no answer", "回答はありません"),
    "ask.failed_internal": (
        "This is an error in hitoku itself. The node's log names its kind.",
        "hitoku 自体のエラーです。種類はノードのログに記録されています。",
    ),
    "ask.cancelled_why": ("The question was given up.", "質問は取り消されました。"),
    "ask.interrupted_why": (
        (
            "This node was stopped while the question was under way. Ask again: where it came to its end, or "
            "still runs, you are given that answer and nothing is charged twice. A run that broke off once "
            "it had begun stays charged, and the answer of an enclave or of shares is lost with the process "
            "that asked: it is then computed, and charged, anew."
        ),
        (
            "質問の途中でこのノードが停止しました。もう一度質問してください。処理が完了しているか続いていれば、"
            "その回答が得られ、費用が二重に計上されることはありません。ただし、開始後に途切れた実行の費用は"
            "計上されたままです。また、enclave と shares の回答は質問したプロセスとともに失われます。"
            "これらの場合は改めて計算され、費用も改めて計上されます。"
        ),
    ),
    "ask.charge_none": (
        "Nothing had begun: nothing is charged.",
        "処理は始まっておらず、費用は計上されません。",
    ),
    "ask.charge_given_up": (
        (
            "It was given up before it began where it is computed: nothing is charged. An owner that had "
            "begun its own part, or did not hear of the end, charges it all the same."
        ),
        (
            "計算の場で始まる前に取りやめられたため、費用は計上されません。ただし、自分の担当部分をすでに"
            "始めていた所有者や、終了の連絡が届かなかった所有者は、費用を計上します。"
        ),
    ),
    "ask.charge_charged": ("It counts as charged.", "費用として計上されています。"),
    "ask.charge_open": (
        "It is not settled yet; the owners charge it if they hear nothing of its end.",
        "未確定です。終了の連絡がなければ、所有者が費用として計上します。",
    ),
    "ask.again_costs": (
        "Asked again, it is a new run, and costs again.",
        "もう一度質問すると新しい実行となり、費用も改めて計上されます。",
    ),
    "ask.again_lost": (
        (
            "Asked again, you are given this run's answer at no further cost where it has come to its end, "
            "or still goes on. Where it broke off, and with an enclave or shares, it is a new run, and costs "
            "again."
        ),
        (
            "もう一度質問すると、この実行が完了しているか続いている場合は、その回答が追加の費用なしで得られます。"
            "途切れていた場合と、enclave と shares の場合は、新しい実行となり、費用も改めて計上されます。"
        ),
    ),
    "ask.sent": ("The answer went to {members}.", "回答は {members} に送られました。"),
    "ask.no_rows": (
        "The rows are shown to who asked. You see what was asked and how it ended.",
        "行は質問者にのみ表示されます。質問の内容と結果だけが表示されています。",
    ),
    "ask.rows": ("{count} rows", "{count} 行"),
    "ask.row": ("1 row", "1 行"),
    "ask.rows_first": (
        "{count} rows, the first {shown} shown; exports have all",
        "{count} 行（先頭 {shown} 行を表示。書き出しには全行が含まれます）",
    ),
    "ask.plus_minus": ("± (95 %)", "±（95 %）"),
    "ask.low": ("from (95 %)", "下限（95 %）"),
    "ask.high": ("to (95 %)", "上限（95 %）"),
    "ask.withheld_none": (
        "Nothing can have been withheld: no rule demands it.",
        "非表示を求めるルールはないため、非表示の行はありません。",
    ),
    "ask.withheld_some": (
        "Some groups are withheld: they do not rest on at least {demands}.",
        "一部のグループは表示されません。{demands} に達していないためです。",
    ),
    "ask.withheld_further": (
        (
            "Some groups are withheld: they do not rest on at least {demands}, or would tell of one that "
            "does not."
        ),
        (
            "一部のグループは表示されません。{demands} に達していないか、達していないグループが推測できるため"
            "です。"
        ),
    ),
    "ask.withheld_silent": (
        "Groups that do not rest on at least {demands} are not shown, and not told of.",
        "{demands} に達しないグループは表示されず、その有無も示されません。",
    ),
    "ask.withheld_demand": (
        "{minimum} distinct {table}.{column} ({owner}'s rule)",
        "{table}.{column} の異なる値 {minimum} 件（{owner} のルール）",
    ),
    "ask.withheld_and": (" and ", "、および "),
    "ask.withheld_total": ("Together they have: {totals}.", "合計：{totals}。"),
    "ask.noise_words": (
        (
            "Every figure carries noise ({mechanism}) as large as {users} units of {unit} can weigh; bands "
            "hold with 95 % confidence."
        ),
        (
            "すべての数値に、{unit} {users} 単位分の大きさのノイズ（{mechanism}）が加わっています。幅は "
            "95 % の信頼区間です。"
        ),
    ),
    "ask.noise_threshold": (
        "Groups of which the noisy number of units is below {threshold} are not shown.",
        "ノイズを加えた単位数が {threshold} 未満のグループは表示されません。",
    ),
    "ask.plot": ("Plot", "グラフ"),
    "ask.plot_words": (
        "{measure} by {by}, {bars} in all, from {least} to {most}. The table has the same figures.",
        "{by} 別の {measure}（{bars} 件、{least} から {most} まで）。同じ数値は表にあります。",
    ),
    "ask.plot_all": ("all", "全体"),
    "ask.plot_of": ("Plot of", "グラフの列"),
    "ask.plot_banded": ("Lines are 95 % bands.", "線は 95 % の幅です。"),
    "ask.learned_done": ("Who learned what", "誰が何を知ったか"),
    "ask.budget": ("Budget spent", "消費した予算"),
    "ask.charge_line": (
        "{owner}'s account for {unit}: epsilon {epsilon}",
        "{owner} の {unit} の口座：ε {epsilon}",
    ),
    "ask.given_again": (
        "The same answer as before: nothing was charged again.",
        "以前と同じ回答です。費用は改めて計上されていません。",
    ),
    "ask.record": ("Record", "記録"),
    "ask.protection": ("Protection", "保護方式"),
    "ask.released": ("Released", "開示日時"),
    "ask.run_id": ("Run", "実行 ID"),
    "ask.question_hash": ("Question", "質問のハッシュ"),
    "ask.ledger_entry": ("Ledger entry {entry}", "台帳の項目 {entry}"),
    "ask.ledger": ("Ledger", "台帳"),
    "ask.receivers_done": ("Receivers", "受信者"),
    "ask.export": ("Export", "書き出し"),
    "ask.export_note": (
        "In CSV, a ' stands before texts that a spreadsheet could take for a formula.",
        "CSV では、表計算ソフトが数式とみなし得る文字列の前に ' が付きます。",
    ),
    # answers of other members' questions
    "ask.received": ("Answers received", "受け取った回答"),
    "ask.received_lead": (
        "Answers to other members' questions that were delivered to this member.",
        "他のメンバーの質問への回答のうち、このメンバーに届けられたものです。",
    ),
    "ask.received_none": ("No answer was delivered here yet.", "届けられた回答はまだありません。"),
    "ask.rows_head": ("Rows", "行数"),
    # history
    "ask.history": ("Questions asked", "質問の履歴"),
    "ask.history_mine": ("Yours", "自分の質問"),
    "ask.history_all": ("Everybody's", "全員の質問"),
    "ask.search": ("Search", "検索"),
    "ask.search_label": ("Words in the SQL", "SQL 中の語"),
    "ask.history_none": ("No question was asked here yet.", "まだ質問はありません。"),
    "ask.history_nothing": ("No question fits.", "該当する質問はありません。"),
    "ask.when": ("When", "日時"),
    "ask.who": ("Who", "質問者"),
    "ask.state": ("State", "状態"),
}
