# SPDX-License-Identifier: Apache-2.0
"""Words of the pages of rooms: making, joining, the agreement."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "rooms.title": ("Rooms", "ルーム"),
    "rooms.lead": (
        ("A room is an agreement that all its members sign: whose tables, which rules, which protections."),
        (
            "ルームは、すべてのメンバーが署名する合意です。どのテーブルを、どのルールと保護方式で使うかを"
            "定めます。"
        ),
    ),
    "rooms.new": ("New room", "ルームを作成"),
    "rooms.join": ("Join with an invitation", "招待で参加"),
    "rooms.none": ("There is no room yet.", "まだルームはありません。"),
    "rooms.none_more": (
        "Make one and invite the other company, or paste an invitation that you were given.",
        "ルームを作成して相手の会社を招待するか、受け取った招待を貼り付けてください。",
    ),
    "rooms.room": ("Room", "ルーム"),
    "rooms.state": ("State", "状態"),
    "rooms.version": ("Version", "版"),
    "rooms.version_n": ("Version {n}", "第{n}版"),
    "rooms.members": ("Members", "メンバー"),
    "rooms.tables": ("Tables", "テーブル"),
    "rooms.in_force": ("in force", "発効中"),
    "rooms.being_made": ("being made", "作成中"),
    "rooms.proposal_open": ("proposal open", "提案あり"),
    "rooms.signed_waiting": ("signed, waiting for the others", "署名済み、他のメンバー待ち"),
    "rooms.still_to_sign": ("still to sign: {names}", "未署名: {names}"),
    "rooms.coming": ("Being joined", "参加手続き中"),
    "rooms.coming_go": ("Continue", "続ける"),
    "rooms.until": ("until {time}", "{time} まで"),
    "rooms.name": ("Name", "名前"),
    "rooms.name_hint": (
        "What the room is for, in words. All members see it and sign it.",
        "このルームの目的を短く書きます。全メンバーに表示され、署名の対象になります。",
    ),
    "rooms.own_abilities": ("What this member may do", "このメンバーの権限"),
    "rooms.abilities": ("Abilities", "権限"),
    "rooms.owns_only": ("contributes tables only", "テーブルの提供のみ"),
    "rooms.ability_query": ("Ask questions", "質問する"),
    "rooms.ability_query_hint": ("Sends questions to the room.", "ルームに質問を送ります。"),
    "rooms.ability_receive": ("Receive answers", "回答を受け取る"),
    "rooms.ability_receive_hint": ("Sees what questions answer.", "質問の回答を見ることができます。"),
    "rooms.ability_host": ("Be the host", "ホストになる"),
    "rooms.ability_host_hint": (
        "Runs questions on encrypted tables. A host owns no table and receives no answer.",
        "暗号化されたテーブルで質問を実行します。ホストはテーブルを持たず、回答も受け取りません。",
    ),
    "rooms.ability_compute": ("Compute", "計算する"),
    "rooms.ability_compute_hint": (
        "Is one of the three servers of shares, or the place of an enclave.",
        "秘密分散の3台のサーバーの1つ、またはエンクレーブの実行場所になります。",
    ),
    "rooms.protections": ("Protections", "保護方式"),
    "rooms.protections_hint": (
        (
            "How questions are computed without showing anybody's rows. With several, the first that can "
            "is used."
        ),
        "誰の行も見せずに質問を計算する方法です。複数選ぶと、計算できる最初のものが使われます。",
    ),
    "rooms.protection_crosstab": ("crosstab: two owners, nobody else", "crosstab: 所有者2社だけで計算"),
    "rooms.protection_crosstab_hint": (
        (
            "For two companies that count the people both know, by attributes of either. No third party; "
            "every figure has noise. Choose this if you have no host."
        ),
        (
            "2社が共通して知っている人を、双方の属性別に数えるときに使います。第三者は不要で、すべての値"
            "にノイズが入ります。ホストがいない場合はこれを選んでください。"
        ),
    ),
    "rooms.protection_tokens": (
        "tokens: SQL on encrypted tables at a host",
        "tokens: ホスト上の暗号化テーブルでSQL",
    ),
    "rooms.protection_tokens_hint": (
        (
            "For most SQL, quickly, on large tables. Needs a member that is the host; the host sees "
            "which encrypted values are equal."
        ),
        (
            "大きなテーブルで幅広いSQLを高速に実行できます。ホストになるメンバーが必要です。ホストには、"
            "暗号化された値のうちどれが等しいかが分かります。"
        ),
    ),
    "rooms.protection_shares": ("shares: three servers", "shares: 3台のサーバー"),
    "rooms.protection_shares_hint": (
        (
            "For joins and sums that no single server may see anything of. Needs three members that "
            "compute; any two of them together could read the tables."
        ),
        (
            "どのサーバーにも何も見せずに結合や合計を計算します。計算する3つのメンバーが必要です。2台が結"
            "託するとテーブルを読むことができます。"
        ),
    ),
    "rooms.protection_enclave": ("enclave: trusted hardware", "enclave: 信頼できるハードウェア"),
    "rooms.protection_enclave_hint": (
        "For any SQL inside hardware that proves what it runs. You trust the hardware's maker.",
        (
            "何を実行しているかを証明できるハードウェアの中で、あらゆるSQLを実行します。ハードウェアの製"
            "造者を信頼する必要があります。"
        ),
    ),
    "rooms.settings": ("Encrypted columns", "暗号化列の設定"),
    "rooms.settings_hint": (
        (
            "Leave off what you can: with tokens, each lets the host see a little more. Crosstab needs the "
            "first for the columns that it groups and sums; the other three concern tokens alone."
        ),
        (
            "不要なものはオフのままにしてください。tokens では、オンにするほどホストに分かることが少し"
            "増えます。crosstab では、グループ化や合計に使う列のために最初の設定が必要です。ほかの 3 つは "
            "tokens だけに関する設定です。"
        ),
    ),
    "rooms.settings_allow_cleartext": ("Columns may be shared in clear", "平文の列を許可する"),
    "rooms.settings_allow_duplicates": (
        "A fingerprint column may hold one value twice",
        "フィンガープリント列で値の重複を許可する",
    ),
    "rooms.settings_allow_joins_on_columns_with_different_names": (
        "Columns with different names may be joined",
        "名前の異なる列の結合を許可する",
    ),
    "rooms.settings_preserve_nulls": (
        "NULLs stay NULL in encrypted columns",
        "暗号化列でNULLをそのまま残す",
    ),
    "rooms.create": ("Make the room", "ルームを作成する"),
    "rooms.create_next": (
        "Next you invite the others; nothing is signed yet.",
        "次に他のメンバーを招待します。まだ何も署名されません。",
    ),
    "rooms.cancel": ("Cancel", "キャンセル"),
    "rooms.join_title": ("Join a room", "ルームに参加"),
    "rooms.join_lead": (
        (
            "Paste the invitation that the other company gave you. This node then shows its public key "
            "to the inviter; nothing is signed."
        ),
        (
            "相手の会社から受け取った招待を貼り付けてください。このノードの公開鍵が招待者に伝えられます。"
            "まだ何も署名されません。"
        ),
    ),
    "rooms.invitation": ("Invitation", "招待"),
    "rooms.invitation_hint": (
        "One long line of letters and digits; line breaks from a mail do not matter.",
        "英数字の長い1行です。メールで改行が入っていても問題ありません。",
    ),
    "rooms.join_go": ("Go to the inviter", "招待者に接続する"),
    "rooms.joining": ("Joining: {name}", "参加手続き: {name}"),
    "rooms.joining_unknown": ("Joining a room", "ルームへの参加手続き"),
    "rooms.step_offered": ("Your key is offered to the inviter", "招待者への鍵の提示"),
    "rooms.step_admitted": ("The inviter compares your key and admits it", "招待者による鍵の照合と承認"),
    "rooms.step_signed": ("You sign the agreement", "自社の署名"),
    "rooms.step_force": ("All members have signed: the room is in force", "全メンバーの署名と発効"),
    "rooms.compare": ("Compare your key", "鍵を照合してください"),
    "rooms.compare_more": (
        "Read these groups to the inviter by phone or in person. They must see the same at their side.",
        (
            "電話または対面で、以下の文字列を招待者に読み上げてください。相手の画面にも同じものが表示され"
            "ているはずです。"
        ),
    ),
    "rooms.fingerprint": ("Fingerprint of the key", "鍵のフィンガープリント"),
    "rooms.look_again": ("Look again", "もう一度確認"),
    "rooms.forget": ("Do not join", "参加しない"),
    "rooms.forget_sure": ("Forget this invitation?", "この招待を破棄しますか？"),
    "rooms.changed_since": ("Changed since you looked last", "前回の確認以降の変更"),
    "rooms.not_admitted": (
        "The inviter has not admitted your key yet. This draft may still change.",
        "招待者はまだ鍵を承認していません。この草案は今後変わることがあります。",
    ),
    "rooms.signed_wait": (
        "You signed. The room is served by itself as soon as all others have signed: {names}",
        "署名しました。他のメンバー全員が署名すると、自動的に利用できるようになります。未署名: {names}",
    ),
    "rooms.sign_title": ("Sign", "署名"),
    "rooms.sign_this": ("Sign exactly this", "この内容に署名する"),
    "rooms.sign_what": (
        (
            "You sign the agreement as it is shown on this page, by its hash. If it was changed "
            "meanwhile, nothing is signed."
        ),
        (
            "このページに表示されている合意に、そのハッシュ値で署名します。その間に変更されていた場合は署"
            "名されません。"
        ),
    ),
    "rooms.sign_bound": (
        "Who signed a draft signs no other of that version.",
        "草案に署名したメンバーは、同じ版の別の草案には署名できません。",
    ),
    "rooms.hash": ("Hash", "ハッシュ値"),
    "rooms.agreement": ("Agreement", "合意"),
    "rooms.signed_by": ("Signed by", "署名者"),
    "rooms.nobody": ("nobody yet", "まだ誰も署名していません"),
    "rooms.next": ("What is next", "次の手順"),
    "rooms.first_draft": (
        "This room is being made. When everybody is in it, all sign this first version.",
        "このルームは作成中です。全員がそろったら、この最初の版に全員が署名します。",
    ),
    "rooms.first_alone": (
        "Invite somebody first: a room of one member is of no use.",
        "先に他のメンバーを招待してください。メンバーが1つだけのルームは使えません。",
    ),
    "rooms.first_last": (
        ("Admit everybody before you sign: afterwards nobody can be added until this version is in force."),
        "署名する前に全員を承認してください。署名後は、この版が発効するまで誰も追加できません。",
    ),
    "rooms.waits_for": ("Waits for the signatures of {names}", "署名待ち: {names}"),
    "rooms.open_proposal": ("{author} proposes version {n}", "{author} が第{n}版を提案しています"),
    "rooms.open_draft": ("There is a draft of version {n}", "第{n}版の草案があります"),
    "rooms.look_at_it": ("Look at it", "内容を見る"),
    "rooms.change": ("Change the terms", "条件を変更"),
    "rooms.versions": ("Versions", "版の履歴"),
    "rooms.pull": ("Get the newest version", "最新版を取得"),
    "rooms.export": ("Export", "エクスポート"),
    "rooms.invite_go": ("Invite a company", "会社を招待"),
    "rooms.said_signed": ("You signed it.", "署名しました。"),
    "rooms.said_pulled": ("A newer version is in force now.", "新しい版が発効しました。"),
    "rooms.said_newest": (
        "This is the newest version that others have.",
        "他のメンバーの最新版と同じです。",
    ),
    "rooms.said_changed": ("The draft was changed.", "草案を変更しました。"),
    "rooms.unreached": ("Not reached: {names}", "接続できません: {names}"),
    "rooms.part_general": ("General", "全般"),
    "rooms.id": ("Id", "ID"),
    "rooms.protections_are": ("Questions are computed by", "質問の計算方法"),
    "rooms.settings_are": ("Encrypted columns", "暗号化列"),
    "rooms.settings_strict": ("strictest settings", "最も厳格な設定"),
    "rooms.release_are": ("Answers leave", "回答の出し方"),
    "rooms.release_at_once": ("at once", "すぐに"),
    "rooms.release_every": (
        "at whole multiples of {n} seconds after the question",
        "質問から{n}秒の倍数の時刻に",
    ),
    "rooms.release_rounded": ("counts rounded to multiples of {n}", "件数は{n}の倍数に丸める"),
    "rooms.release_totals": ("with totals of what was withheld", "非表示にした部分の合計を含む"),
    "rooms.key": ("Key", "鍵"),
    "rooms.you": ("you", "自社"),
    "rooms.table_of": ("{table}, of {owner}", "{table} ({owner})"),
    "rooms.no_tables": (
        "No tables yet. Each owner registers its own under Tables.",
        "まだテーブルはありません。各所有者が「テーブル」で自社のテーブルを登録します。",
    ),
    "rooms.column": ("Column", "列"),
    "rooms.columns": ("Columns ({n})", "列 ({n})"),
    "rooms.type": ("Type", "型"),
    "rooms.how": ("Outside its node", "ノード外での形"),
    "rooms.protected_fingerprint": ("fingerprint", "フィンガープリント"),
    "rooms.protected_sealed": ("sealed", "封印"),
    "rooms.protected_cleartext": ("clear", "平文"),
    "rooms.no_rule": ("No rule: it cannot be asked about.", "ルールがないため、質問できません。"),
    "rooms.rule": ("Rule", "ルール"),
    "rooms.rule_type": ("Kind of rule", "ルールの種類"),
    "rooms.rule_type_aggregation": (
        "aggregation: groups, never rows",
        "集計: グループのみ、行は出さない",
    ),
    "rooms.rule_type_list": ("list: rows that match", "一覧: 一致した行"),
    "rooms.rule_type_custom": ("custom: approved questions", "カスタム: 承認された質問"),
    "rooms.rule_join": ("May be joined on", "結合できる列"),
    "rooms.rule_join_required": ("Must be joined", "結合が必須"),
    "rooms.rule_aggregate": ("May be counted or added up", "集計できる列"),
    "rooms.rule_dimension": ("May be grouped by", "グループ化できる列"),
    "rooms.rule_minimum": ("Smallest group", "最小のグループ"),
    "rooms.rule_functions": ("Functions", "関数"),
    "rooms.rule_list": ("Columns that may be listed", "一覧にできる列"),
    "rooms.rule_analyses": ("Approved questions", "承認された質問"),
    "rooms.rule_providers": ("Who may ask", "質問できるメンバー"),
    "rooms.rule_receivers": ("Who may receive", "受け取れるメンバー"),
    "rooms.rule_privacy": ("Noise and budget", "ノイズと予算"),
    "rooms.rule_additional": ("Further analyses", "追加の分析"),
    "rooms.rule_hidden": ("Columns never in answers", "回答に出さない列"),
    "rooms.access": ("Questions allowed", "質問の回数"),
    "rooms.budgets": ("Budgets", "予算"),
    "rooms.budget_line": (
        "{owner}, per {unit}: ε = {epsilon}, δ = {delta}, noise of at least {noise} {unit}s",
        "{owner}、{unit} ごと: ε = {epsilon}、δ = {delta}、ノイズは {unit} {noise} 件分以上",
    ),
    "rooms.budget_monthly": ("anew each month", "毎月更新"),
    "rooms.crosstab": ("How people are recognised (crosstab)", "人の照合方法 (crosstab)"),
    "rooms.crosstab_kind": ("Identifier {kind}, made alike by {steps}", "識別子 {kind}、正規化: {steps}"),
    "rooms.crosstab_as_is": ("nothing: as it is", "なし (そのまま)"),
    "rooms.crosstab_code": ("Phone numbers without a country: +{code}", "国番号のない電話番号: +{code}"),
    "rooms.crosstab_tables": ("Tables: {names}", "テーブル: {names}"),
    "rooms.crosstab_missing": (
        "The room is computed by crosstab, and nothing says yet how people are recognised.",
        "このルームは crosstab で計算しますが、人の照合方法がまだ定められていません。",
    ),
    "rooms.crosstab_say": ("Say how", "照合方法を定める"),
    "rooms.no_table_yet": (
        (
            "This member owns no table here, so the owners can change the terms without its signature. "
            "Look at the agreement again before you register one: with it you sign all of this."
        ),
        (
            "このメンバーはまだテーブルを持たないため、所有者は署名なしで条件を変更できます。テーブルを登録する前に、"
            "合意をもう一度確認してください。登録時に、この全体に署名することになります。"
        ),
    ),
    "rooms.no_host": (
        "tokens needs a member with the ability host, and there is none.",
        "tokens には host 権限を持つメンバーが必要ですが、まだいません。",
    ),
    "rooms.no_servers": (
        "shares needs three members that compute, named as servers under Change the terms.",
        "shares には計算するメンバーが3つ必要です。「条件を変更」でサーバーとして指定してください。",
    ),
    "rooms.shares": ("Servers (shares)", "サーバー (shares)"),
    "rooms.shares_line": (
        "{first} (leads), {second} and {third}; any two together could read the tables",
        "{first} (主導)、{second}、{third}。2台が結託するとテーブルを読めます",
    ),
    "rooms.templates": ("Templates", "テンプレート"),
    "rooms.models": ("Models", "モデル"),
    "rooms.models_line": (
        "{name}, of {owner}; may be asked by {askers}",
        "{name} ({owner})、利用できるメンバー: {askers}",
    ),
    "rooms.attestation": ("Evidence that counts", "有効とする証拠"),
    "rooms.versions_lead": (
        "Every version names the hash of the one before; nothing of the past can be exchanged.",
        "各版は直前の版のハッシュ値を含むため、過去の内容を差し替えることはできません。",
    ),
    "rooms.changes": ("Changes", "変更点"),
    "rooms.no_changes": ("The first version.", "最初の版です。"),
    "rooms.what": ("What", "対象"),
    "rooms.before": ("Before", "変更前"),
    "rooms.after": ("After", "変更後"),
    "rooms.touches": ("Must sign", "署名が必要"),
    "rooms.kind_added": ("added", "追加"),
    "rooms.kind_removed": ("removed", "削除"),
    "rooms.kind_changed": ("changed", "変更"),
    "rooms.whole_text": ("The whole agreement", "合意の全文"),
    "rooms.back": ("Back", "戻る"),
    "rooms.subject_name": ("Name of the room", "ルームの名前"),
    "rooms.subject_setting": ("Setting: {what}", "設定: {what}"),
    "rooms.subject_protections": ("Protections", "保護方式"),
    "rooms.subject_member": ("Member {name}", "メンバー {name}"),
    "rooms.subject_key": ("Key of {name}", "{name} の鍵"),
    "rooms.subject_abilities": ("Abilities of {name}", "{name} の権限"),
    "rooms.subject_table": ("Table {name}", "テーブル {name}"),
    "rooms.subject_owner": ("Owner of {name}", "{name} の所有者"),
    "rooms.subject_access": ("Questions allowed on {name}", "{name} への質問の回数"),
    "rooms.subject_columns": ("Order of the columns of {name}", "{name} の列の順序"),
    "rooms.subject_column": ("Column {column} of {name}", "{name} の列 {column}"),
    "rooms.subject_rule": ("Rule of {name}", "{name} のルール"),
    "rooms.subject_rule_part": ("Rule of {name}: {what}", "{name} のルール: {what}"),
    "rooms.subject_budget": ("Budget of {name} per {unit}", "{name} の予算 ({unit} ごと)"),
    "rooms.subject_templates": ("Template {name}", "テンプレート {name}"),
    "rooms.subject_models": ("Model {name}", "モデル {name}"),
    "rooms.subject_crosstab": ("How people are recognised", "人の照合方法"),
    "rooms.subject_attestation": ("Evidence that counts", "有効とする証拠"),
    "rooms.subject_shares": ("Servers of shares", "shares のサーバー"),
    "rooms.release_interval_seconds": ("When answers leave", "回答を出す時刻"),
    "rooms.release_round_counts": ("Rounding of counts", "件数の丸め"),
    "rooms.release_summary": ("Totals of what is withheld", "非表示にした部分の合計"),
}
