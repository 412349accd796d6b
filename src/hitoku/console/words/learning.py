# SPDX-License-Identifier: Apache-2.0
"""Words of learning runs."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "learning.title": ("Learning runs", "学習の実行"),
    "learning.lead": (
        (
            "Models that members of a room learned together. Rows stay with their members; only protected "
            "sums leave."
        ),
        (
            "ルームのメンバーが共同で学習したモデルです。行は各メンバーの手元に残り、保護された合計だけが外"
            "に出ます。"
        ),
    ),
    "learning.none": (
        (
            "No run is in the folders that this console shows. A run's folder is made by `hitoku learn "
            "run` or `hitoku learn join`."
        ),
        (
            "このコンソールが表示するフォルダーに実行はありません。実行フォルダーは `hitoku learn run` また"
            "は `hitoku learn join` で作成されます。"
        ),
    ),
    "learning.folders": (
        "Folders (node.toml, [console] learning)",
        "フォルダー（node.toml の [console] learning）",
    ),
    "learning.name": ("Name", "名前"),
    "learning.room": ("Room", "ルーム"),
    "learning.kind": ("Model", "モデル"),
    "learning.members": ("Members", "メンバー"),
    "learning.began": ("Begun (UTC)", "開始 (UTC)"),
    "learning.state": ("State", "状態"),
    "learning.state_done": ("as planned", "計画どおり終了"),
    "learning.state_early": (
        "stopped early: the loss no longer fell",
        "早期終了（損失が下がらなくなったため）",
    ),
    "learning.state_votes": ("stopped by votes", "投票により停止"),
    "learning.state_changes": (
        "stopped: members were lost too often",
        "停止（メンバーの離脱が多すぎたため）",
    ),
    "learning.state_open": ("no report yet", "報告なし"),
    "learning.state_member": ("a member's own folder", "メンバー側のフォルダー"),
    "learning.back": ("All runs", "実行の一覧"),
    "learning.run": ("Run", "実行 ID"),
    "learning.party": ("Folder of", "フォルダーの持ち主"),
    "learning.server": ("Server", "サーバー"),
    "learning.steps": ("Trees or rounds", "木またはラウンドの数"),
    "learning.seconds": ("Seconds", "所要秒数"),
    "learning.losses": ("Steps discarded", "破棄したステップ"),
    "learning.left_out": ("Left out after votes", "投票で除外"),
    "learning.model": ("Model", "モデルのハッシュ"),
    "learning.protection": ("Protection", "保護"),
    "learning.masks": ("masks: the server opens sums", "マスク（サーバーに分かるのは合計だけ）"),
    "learning.he": (
        "encryption: a member opens sums, the server is blind",
        "暗号（メンバーが合計を復号し、サーバーには見えない）",
    ),
    "learning.least": ("Least members in a sum", "合計に含まれる最少メンバー数"),
    "learning.epsilon": ("Privacy spent", "使用したプライバシー"),
    "learning.epsilon_of": ("epsilon {epsilon} at delta {delta}", "ε {epsilon}（δ {delta}）"),
    "learning.no_noise": ("no noise: exact sums", "ノイズなし（正確な合計）"),
    "learning.signed_by": ("Plan signed by", "計画の署名者"),
    "learning.plan": ("The plan in words", "計画の説明"),
    "learning.plan_language": (
        "The plan's own sentences are in English.",
        "計画の文言は英語で書かれています。",
    ),
    "learning.topic_threshold": ("How few can be in a sum", "合計に含まれる最少メンバー数"),
    "learning.topic_collusion": ("If parties collude", "結託した場合"),
    "learning.topic_overflow": ("Exactness", "正確さ"),
    "learning.topic_learns": ("Who learned what", "誰が何を知ったか"),
    "learning.topic_cost": ("Cost", "費用"),
    "learning.topic_privacy": ("Privacy", "プライバシー"),
    "learning.topic_guard": ("Warnings: poisoned updates", "警告: 汚染された更新"),
    "learning.columns": ("Columns", "列"),
    "learning.label": ("Label", "ラベル"),
    "learning.curves": ("Curves", "曲線"),
    "learning.curves_title": (
        "Precision over recall, all members' test rows",
        "適合率と再現率（全メンバーのテスト行）",
    ),
    "learning.curves_hint": (
        "Of `alone` and `ensemble`, the member whose model is best there.",
        "alone と ensemble は、最も良いメンバーのモデルです。",
    ),
    "learning.bars_title": (
        "Average precision (AUPRC) on each member's own test rows, with 95 % bands",
        "各メンバーのテスト行での平均適合率 (AUPRC) と 95 % 区間",
    ),
    "learning.own_title": (
        "Loss on this member's own holdout rows, step by step",
        "このメンバー自身の検証用の行での損失（ステップごと）",
    ),
    "learning.own_hint": (
        (
            "This member's node computed it of the joint model and its own rows. It stays on this node, goes "
            "to no other member, and carries no noise."
        ),
        (
            "このメンバーのノードが、共同モデルと自身の行から計算しました。このノードにだけ残り、他のメンバ"
            "ーには渡らず、ノイズは加わっていません。"
        ),
    ),
    "learning.own_first": ("Loss at step {step}", "ステップ {step} の損失"),
    "learning.own_least": ("Least loss, at step {step}", "最小の損失（ステップ {step}）"),
    "learning.own_last": ("Latest loss, at step {step}", "直近の損失（ステップ {step}）"),
    "learning.own_blind": ("Loss of a guess by the rate alone", "割合だけによる推測の損失"),
    "learning.own_table": ("The same as a table", "同じ値の表"),
    "learning.loss": ("mean loss", "平均損失"),
    "learning.recall": ("recall", "再現率"),
    "learning.precision": ("precision", "適合率"),
    "learning.form_alone": ("alone", "単独"),
    "learning.form_joint": ("joint", "共同"),
    "learning.form_pooled": ("pooled", "一か所に集約"),
    "learning.form_own": ("joint model", "共同モデル"),
    "learning.form_blind": ("a guess by the rate alone", "割合だけによる推測"),
    "learning.form_ensemble": ("ensemble", "アンサンブル"),
    "learning.everybody": ("all members", "全メンバー"),
    "learning.worse": (
        "Worse than alone, beyond chance: {names}",
        "単独より偶然の範囲を超えて劣る: {names}",
    ),
    "learning.not_worse": (
        "No member is worse than alone beyond chance.",
        "単独より偶然の範囲を超えて劣るメンバーはいません。",
    ),
    "learning.no_evaluation": (
        (
            "No comparison of models is in these folders. `hitoku learn evaluate PLAN --data NAME=URI ... "
            "--output FOLDER` writes one; it needs the rows, so it runs where they may be."
        ),
        (
            "これらのフォルダーにモデルの比較はありません。`hitoku learn evaluate PLAN --data NAME=URI ... "
            "--output FOLDER` で作成できます。行が必要なため、行を置いてよい場所で実行してください。"
        ),
    ),
    "learning.events": ("What happened", "経過"),
    "learning.event_lost": (
        "Members did not answer; the step was discarded",
        "メンバーの応答がなく、ステップを破棄",
    ),
    "learning.event_not ready": (
        "A member was not ready; the step was discarded",
        "メンバーの準備ができておらず、ステップを破棄",
    ),
    "learning.event_resumed": ("The server went on after a restart", "サーバーが再起動後に再開"),
    "learning.event_vote accepted": ("Vote: accepted", "投票: 承認"),
    "learning.event_vote rejected": (
        "Vote: rejected, the block was taken back",
        "投票: 否決され、ブロックを取り消し",
    ),
    "learning.event_left out": ("A member was left out", "メンバーを除外"),
    "learning.step": ("Step", "ステップ"),
    "learning.whom": ("Who (of votes: against)", "対象（投票では反対者）"),
    "learning.no_events": (
        "Nothing unusual: no member was lost, no vote rejected a block.",
        "特記事項はありません。メンバーの離脱も、ブロックの否決もありませんでした。",
    ),
    "learning.saw": ("What the server received, by protection", "サーバーの受信量（保護の種類ごと）"),
    "learning.bytes": ("Bytes", "バイト数"),
    "learning.audit": ("Audit of the transcript", "通信記録の監査"),
    "learning.audit_about": (
        (
            "Checks signatures, hashes and the protection of every message that the server says it saw, "
            "the least number of members in each sum, and the model. It cannot prove that bytes that look "
            "random are secret."
        ),
        (
            "サーバーが見たとするすべてのメッセージの署名、ハッシュ、保護、各合計に含まれる最少メンバー数、モデルを確認し"
            "ます。ランダムに見えるバイト列が秘密であることまでは証明できません。"
        ),
    ),
    "learning.audit_start": ("Audit now", "監査を実行"),
    "learning.audit_running": ("Checking the transcript", "通信記録を確認中"),
    "learning.audit_holds": ("Everything holds.", "問題は見つかりませんでした。"),
    "learning.audit_found": ("{count} findings", "{count} 件の指摘"),
    "learning.audit_failed": ("The audit could not be made.", "監査を実行できませんでした。"),
    "learning.audit_facts": (
        "{messages} messages, {sums} sums opened, {share} of the received bytes protected.",
        "メッセージ {messages} 件、復元された合計 {sums} 件、受信バイトの {share} が保護されていました。",
    ),
    "learning.transcript": ("Download the transcript", "通信記録をダウンロード"),
    "learning.code": ("Code", "コード"),
    "learning.finding": ("Finding", "指摘"),
    "learning.ledger": ("Entries in the ledger", "台帳の項目"),
}
