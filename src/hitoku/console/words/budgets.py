# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501, ISC004 (sentences)
"""Words of the pages of budgets."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "budgets.title": ("Budgets", "予算"),
    "budgets.lead": (
        "How much may ever be learned of one person from this member's tables, and how much of that is spent. Together, questions cost less than the sum of what each costs alone.",
        "このメンバーのテーブルから一人について知られ得る量の上限と、使った量です。複数の質問の費用は、それぞれ単独の費用の合計より少なくなります。",
    ),
    "budgets.accounts": ("Accounts of this member", "このメンバーの口座"),
    "budgets.none": (
        "No account: no rule of this member's tables adds noise, or none was opened yet.",
        "口座はありません。ノイズを使うルールがないか、まだ開かれていません。",
    ),
    "budgets.unit": ("Unit", "単位"),
    "budgets.period_ever": ("for ever", "全期間"),
    "budgets.period_month": ("in {month} (UTC)", "{month}（UTC）"),
    "budgets.spent": (
        "epsilon {spent} of {epsilon} spent (questions: {charges}); {percent} % of what can be spent is left",
        "ε {epsilon} のうち {spent} を {charges} 件の質問で使用。使える量の {percent}% が残っています",
    ),
    "budgets.bar": (
        "{unit}: {percent} percent of the budget is left",
        "{unit}：予算の残り {percent} パーセント",
    ),
    "budgets.delta": ("delta {delta}", "δ {delta}"),
    "budgets.charged_by": ("charged by tables: {tables}", "計上元のテーブル：{tables}"),
    "budgets.charged_by_none": ("no rule charges it", "この口座を使うルールはありません"),
    "budgets.edit": ("Change", "変更"),
    "budgets.close": ("Close the account", "口座を閉じる"),
    "budgets.close_sure": ("Close this account?", "この口座を閉じますか？"),
    "budgets.open": ("Open an account", "口座を開く"),
    "budgets.windows": ("Questions allowed of each table", "テーブルごとに許可する質問数"),
    "budgets.windows_none": (
        "No table of this member limits how many questions are asked.",
        "質問の数を制限するテーブルはありません。",
    ),
    "budgets.window": ("Window", "期間"),
    "budgets.window_CALENDAR_DAY": ("a day", "1日"),
    "budgets.window_CALENDAR_WEEK": ("a week", "1週間"),
    "budgets.window_CALENDAR_MONTH": ("a month", "1か月"),
    "budgets.window_LIFETIME": ("for ever", "全期間"),
    "budgets.window_left": ("Left", "残り"),
    "budgets.window_allowed": ("Allowed", "許可数"),
    "budgets.window_since": ("Since", "開始"),
    "budgets.windows_edit": ("Limit questions of {table}", "{table} への質問数の制限"),
    "budgets.windows_hint": (
        "Empty means no limit. Weeks begin on Monday; all times are UTC.",
        "空欄は制限なしです。週は月曜日に始まり、時刻は UTC です。",
    ),
    "budgets.others": ("Accounts of other members", "他のメンバーの口座"),
    "budgets.others_hint": (
        "What they agreed on. How much is spent is theirs to know; a preview tells what is left for a question.",
        "合意した内容です。使用量は所有者だけが知ります。質問ごとの残りは見積もりで分かります。",
    ),
    "budgets.history": ("What was spent", "使用の履歴"),
    "budgets.history_hint": (
        "From this member's ledger, newest first.",
        "このメンバーの台帳より。新しい順です。",
    ),
    "budgets.history_none": ("Nothing was charged yet.", "まだ計上はありません。"),
    "budgets.time": ("Time", "時刻"),
    "budgets.epsilon": ("epsilon", "ε（イプシロン）"),
    "budgets.epsilon_alone": ("epsilon of it alone", "単独の ε"),
    "budgets.period": ("Period", "期間"),
    "budgets.entry": ("Ledger entry", "台帳の記録"),
    "budgets.preview": ("Preview a question", "質問の費用を見積もる"),
    "budgets.preview_hint": (
        "Reads no data and charges nothing. The owners' nodes are asked, so they must be up.",
        "データは読まず、費用も計上しません。所有者のノードに問い合わせるため、稼働中である必要があります。",
    ),
    "budgets.preview_sql": ("Question", "質問"),
    "budgets.preview_noise": ("People whose contributions the noise hides", "ノイズで隠す人数"),
    "budgets.preview_noise_hint": (
        "10 to 100,000; more noise costs less. Empty takes the account's own number.",
        "10〜100,000。多いほど費用は下がります。空欄なら口座の設定を使います。",
    ),
    "budgets.preview_go": ("Preview", "見積もる"),
    "budgets.preview_again": (
        "This question was answered before: asking it again costs nothing.",
        "この質問には回答済みです。もう一度聞いても費用はかかりません。",
    ),
    "budgets.preview_free": ("It costs no privacy budget.", "プライバシー予算はかかりません。"),
    "budgets.preview_noised": (
        "Noise of {users} people's contributions.",
        "{users} 人分の寄与に当たるノイズを加えます。",
    ),
    "budgets.cost": ("Cost", "費用"),
    "budgets.already": ("Spent of", "使用済み"),
    "budgets.more": ("More such questions", "同じ費用の質問の残り"),
    "budgets.more_none": ("none: it would be refused", "0：拒否されます"),
    "budgets.edit_title": ("Account for {unit}", "{unit} の口座"),
    "budgets.open_title": ("Open an account", "口座を開く"),
    "budgets.unit_hint": (
        "What one person is called, e.g. person; the same name for all tables of the same people.",
        "一人を表す名前（例：person）。同じ人々のテーブルには同じ名前を使います。",
    ),
    "budgets.epsilon_hint": (
        "1 to 20. All answers together change the odds of anything about one person at most by the factor below.",
        "1〜20。すべての回答を合わせても、一人についての見込みの変化は下の倍率までです。",
    ),
    "budgets.odds": (
        "Epsilon {epsilon}: whoever knows everything but one person's data can raise the odds of a guess about it at "
        "most {factor} times.",
        "ε {epsilon}：一人のデータ以外をすべて知る者でも、その人についての推測の見込みは最大 {factor} 倍にしかなりません。",
    ),
    "budgets.odds_table": ("What epsilon means", "ε の意味"),
    "budgets.factor": ("Odds grow at most", "見込みの最大倍率"),
    "budgets.times": ("{factor} times", "{factor} 倍"),
    "budgets.delta_label": ("delta", "δ（デルタ）"),
    "budgets.delta_hint": (
        "The chance that the bound of epsilon fails: it should be far less than one in the number of people.",
        "ε の保証が破れる確率です。人数の逆数より十分に小さくします。",
    ),
    "budgets.noise_label": ("usersNoisePerQuery", "usersNoisePerQuery"),
    "budgets.noise_hint": (
        "10 to 100: every figure's noise is as large as so many people's largest contributions, or larger.",
        "10〜100。各数値のノイズは、少なくともこの人数分の最大の寄与に相当します。",
    ),
    "budgets.refresh": ("Period", "期間"),
    "budgets.refresh_NONE": (
        "for ever: the bound holds for all answers",
        "全期間：すべての回答に上限があります",
    ),
    "budgets.refresh_CALENDAR_MONTH": (
        "each month anew: no bound holds for all months together",
        "毎月更新：全期間を通した上限はありません",
    ),
    "budgets.save": ("Save: propose this account", "保存：この口座を提案"),
    "budgets.save_hint": (
        "Your own account needs your signature alone. What is spent stays spent.",
        "自分の口座に必要なのは自分の署名だけです。使った分は戻りません。",
    ),
    "budgets.cancel": ("Cancel", "キャンセル"),
    "budgets.problem": ("This cannot be done", "実行できません"),
    "budgets.no_force": (
        "The room is not in force yet: nothing can be asked or spent.",
        "ルームはまだ発効していないため、質問も支出もできません。",
    ),
}
