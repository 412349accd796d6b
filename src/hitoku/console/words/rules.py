# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501, ISC004 (sentences)
"""Words of the rule editor."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final[dict[str, tuple[str, str]]] = {
    "rules.title": ("Rule of {table}", "{table} のルール"),
    "rules.lead": (
        "What may be asked of this table. Each example on the right shows at once what the draft would do with it.",
        "このテーブルに何を質問してよいかを決めます。右の例には、下書きのルールでの判定がすぐに表示されます。",
    ),
    "rules.type": ("Kind of rule", "ルールの種類"),
    "rules.type_none": ("No rule", "ルールなし"),
    "rules.type_aggregation": ("aggregation", "集計（aggregation）"),
    "rules.type_list": ("list", "一覧（list）"),
    "rules.type_custom": ("custom", "カスタム（custom）"),
    "rules.means_none": ("Every question is refused.", "すべての質問が拒否されます。"),
    "rules.means_aggregation": (
        "Statistics only, over groups that are large enough.",
        "十分に大きいグループの統計だけを許可します。",
    ),
    "rules.means_list": (
        "The listed columns of rows that both sides have.",
        "双方にある行の、指定した列だけを一覧にします。",
    ),
    "rules.means_custom": (
        "Approved templates, or any question of named members, within thresholds or noise.",
        "承認したテンプレート、または指定したメンバーの任意の質問を、しきい値かノイズのもとで許可します。",
    ),
    "rules.view_form": ("Form", "フォーム"),
    "rules.view_yaml": ("YAML", "YAML"),
    "rules.view_json": ("JSON", "JSON"),
    "rules.view_aws": ("From AWS Clean Rooms", "AWS Clean Rooms から"),
    "rules.text": ("The rule", "ルール"),
    "rules.text_hint": (
        "Names are AWS Clean Rooms'. Switch back to the form to see it there.",
        "項目名は AWS Clean Rooms と同じです。フォームに戻すと反映されます。",
    ),
    "rules.start": ("Begin with a careful rule", "慎重なルールから始める"),
    "rules.field_aggregate": ("aggregateColumns", "aggregateColumns"),
    "rules.explain_aggregate": (
        "Which statistics may be computed of which column.",
        "どの列について、どの統計を計算してよいかを指定します。",
    ),
    "rules.field_join": ("joinColumns", "joinColumns"),
    "rules.explain_join": (
        "The columns by which rows may be matched with another member's table.",
        "他のメンバーのテーブルと行を照合するのに使える列です。",
    ),
    "rules.field_join_required": ("joinRequired", "joinRequired"),
    "rules.explain_join_required": (
        "Only rows that the asker has too may be counted: a question must join a table of the asker.",
        "質問者も持つ行だけを数えられます。質問者のテーブルとの結合が必須になります。",
    ),
    "rules.field_operators": ("allowedJoinOperators", "allowedJoinOperators"),
    "rules.explain_operators": (
        "How several join conditions may be combined; none of these where nothing is ticked.",
        "複数の結合条件をつなぐ演算子です。選ばなければ、どれも使えません。",
    ),
    "rules.field_dimension": ("dimensionColumns", "dimensionColumns"),
    "rules.explain_dimension": (
        "The cleartext columns that answers may be grouped by and filtered by; their values are shown.",
        "グループ化と絞り込みに使える cleartext の列です。値は回答に表示されます。",
    ),
    "rules.field_scalar": ("scalarFunctions", "scalarFunctions"),
    "rules.explain_scalar": (
        "Functions that may be applied to dimension columns.",
        "dimensionColumns に適用できる関数です。",
    ),
    "rules.field_constraints": ("outputConstraints", "outputConstraints"),
    "rules.explain_constraints": (
        "Every row of an answer must rest on at least so many distinct values of the column; others are withheld.",
        "回答の各行は、この列の異なる値がこの数以上なければ表示されません。",
    ),
    "rules.column": ("Column", "列"),
    "rules.minimum": ("At least", "最小数"),
    "rules.nobody": ("none", "なし"),
    "rules.field_list": ("listColumns", "listColumns"),
    "rules.explain_list": (
        "The columns that an answer may show of matched rows, row by row.",
        "照合した行について、行ごとに表示してよい列です。",
    ),
    "rules.field_analyses": ("allowedAnalyses", "allowedAnalyses"),
    "rules.explain_analyses": (
        "Whether anything may be asked within the limits below, or approved templates alone.",
        "下の制限のもとで任意の質問を許可するか、承認したテンプレートだけにするかを選びます。",
    ),
    "rules.any": ("ANY_QUERY: any question of these members", "ANY_QUERY：次のメンバーの任意の質問"),
    "rules.templates": ("These templates alone", "次のテンプレートだけ"),
    "rules.no_templates": ("The room has no templates yet.", "ルームにはまだテンプレートがありません。"),
    "rules.field_providers": ("allowedAnalysisProviders", "allowedAnalysisProviders"),
    "rules.explain_providers": ("Whose questions ANY_QUERY means.", "ANY_QUERY で許可するメンバーです。"),
    "rules.field_additional": ("additionalAnalyses", "additionalAnalyses"),
    "rules.explain_additional": (
        "Whether an answer may go on into predictions or learning.",
        "回答を予測や学習に使ってよいかを指定します。",
    ),
    "rules.additional_": ("not said: NOT_ALLOWED", "指定なし：NOT_ALLOWED"),
    "rules.field_hidden": ("disallowedOutputColumns", "disallowedOutputColumns"),
    "rules.explain_hidden": (
        "Columns that may come out inside aggregates only.",
        "集計の中でだけ使える列です。そのままでは出力できません。",
    ),
    "rules.privacy": ("How people are protected", "個人を守る方法"),
    "rules.privacy_none": ("Neither threshold nor noise", "しきい値もノイズもなし"),
    "rules.privacy_none_means": (
        "Rows themselves may be answered.",
        "行そのものが回答に含まれることがあります。",
    ),
    "rules.privacy_threshold": ("aggregationThresholds", "aggregationThresholds（しきい値）"),
    "rules.privacy_threshold_means": (
        "Every group must rest on at least so many people; figures are exact.",
        "各グループに一定以上の人数が必要です。数値は正確です。",
    ),
    "rules.privacy_noise": ("differentialPrivacy", "differentialPrivacy（差分プライバシー）"),
    "rules.privacy_noise_means": (
        "Figures carry noise that hides any one person, and a budget bounds all answers together.",
        "一人分の影響を隠すノイズを加え、すべての回答の合計を予算で制限します。",
    ),
    "rules.field_identity": ("identityColumns", "identityColumns"),
    "rules.explain_identity": (
        "The column whose distinct values are counted as people.",
        "人数として数える列です。",
    ),
    "rules.field_identity_minimum": ("minimumIdentityCount", "minimumIdentityCount"),
    "rules.explain_identity_minimum": ("People that each group needs.", "各グループに必要な人数です。"),
    "rules.field_expressions": ("allowedAggregateExpressionType", "allowedAggregateExpressionType"),
    "rules.explain_expressions": (
        "What may stand inside an aggregate: a column as it is, or any expression.",
        "集計の中に書けるものです。列そのものだけか、任意の式かを選びます。",
    ),
    "rules.field_output_thresholds": ("outputColumnThresholds", "outputColumnThresholds"),
    "rules.explain_output_thresholds": (
        "A minimum of its own for single columns; 0 exempts the column, empty leaves the general one.",
        "列ごとの最小数です。0 で対象外、空欄なら全体の最小数になります。",
    ),
    "rules.field_overlap": ("overlapColumns", "overlapColumns"),
    "rules.explain_overlap": (
        "What two questions ask of these columns must be equal or disjoint, so that no difference isolates a few people.",
        "これらの列について、二つの質問の範囲は等しいか重ならないことが必要です。差から少人数が分かることを防ぎます。",
    ),
    "rules.controls": ("comparisonControls", "comparisonControls"),
    "rules.explain_controls": (
        "Limit which columns may be compared; without it every readable column may be.",
        "比較に使える列を制限します。指定しなければ、読める列はすべて比較できます。",
    ),
    "rules.field_literal": ("allowedLiteralComparisonColumns", "allowedLiteralComparisonColumns"),
    "rules.explain_literal": (
        "May be compared with values in the question.",
        "質問の中の値と比較してよい列です。",
    ),
    "rules.field_compared": ("allowedColumnComparisonColumns", "allowedColumnComparisonColumns"),
    "rules.explain_compared": ("May be compared with other columns.", "他の列と比較してよい列です。"),
    "rules.field_unit_column": ("columns", "columns（保護の単位）"),
    "rules.explain_unit_column": (
        "The column whose values are people: the noise hides each of them.",
        "一人一人を表す列です。ノイズは一人分の影響を隠します。",
    ),
    "rules.field_unit": ("unit", "unit"),
    "rules.explain_unit": (
        "The account that is charged, one name for all tables of the same people; the column's name where empty.",
        "費用を計上する口座の名前です。同じ人々のテーブルには同じ名前を使います。空欄なら列名になります。",
    ),
    "rules.field_rows": ("maxRowsPerGroup", "maxRowsPerGroup"),
    "rules.explain_rows": (
        "So many rows of one person count in one group at most. More rows need more noise.",
        "一つのグループで数える一人の行数の上限です。多いほどノイズが大きくなります。",
    ),
    "rules.field_groups": ("maxGroups", "maxGroups"),
    "rules.explain_groups": (
        "One person counts in so many groups at most. More groups need more noise.",
        "一人が数えられるグループ数の上限です。多いほどノイズが大きくなります。",
    ),
    "rules.field_bounds": ("bounds", "bounds"),
    "rules.explain_bounds": (
        "Values outside are moved to the bound before they are summed; a column without bounds can only be counted.",
        "範囲外の値は合計の前に境界値に置き換えます。範囲のない列は数えることしかできません。",
    ),
    "rules.lower": ("lower", "lower"),
    "rules.upper": ("upper", "upper"),
    "rules.decimals": ("decimals", "decimals"),
    "rules.field_public": ("publicValues", "publicValues"),
    "rules.explain_public": (
        "All values that a grouping column can have, one a line, if they are no secret: such groups need no threshold.",
        "グループ化する列の取り得る値が秘密でなければ、一行に一つずつ書きます。そのグループにはしきい値が不要になります。",
    ),
    "rules.field_receivers": ("allowedResultReceivers", "allowedResultReceivers"),
    "rules.explain_receivers": (
        "Limit who may receive answers; every receiver of the room may where it is not ticked.",
        "回答を受け取れるメンバーを制限します。選ばなければ、ルームの受信者は全員受け取れます。",
    ),
    "rules.account_open": ("Open an account for {unit}", "{unit} の口座を開く"),
    "rules.account_unseen": (
        "This rule opens an account. Look at its figures below the form, then save.",
        "このルールは口座を開きます。フォームの下の数値を確認してから保存してください。",
    ),
    "rules.account_needed": (
        "Noise is charged to an account of yours; there is none for this unit yet, so this change opens one.",
        "ノイズの費用はあなたの口座に計上されます。この単位の口座がまだないため、この変更で開きます。",
    ),
    "rules.account_there": (
        "Charged to your account {unit}: epsilon {epsilon}.",
        "口座 {unit}（ε = {epsilon}）に計上されます。",
    ),
    "rules.problems": ("This is not a rule yet", "まだルールになっていません"),
    "rules.try": ("Try it", "試す"),
    "rules.propose": ("Save: propose this rule", "保存：このルールを提案"),
    "rules.keep": ("Keep the draft", "下書きを保存"),
    "rules.drop_draft": ("Forget the draft", "下書きを破棄"),
    "rules.kept_draft": (
        "This is the draft that was kept; the rule in force is another.",
        "保存された下書きです。有効なルールとは異なります。",
    ),
    "rules.save_hint": (
        "Your own rule needs your signature alone. Answers that were given stay given.",
        "自分のルールに必要なのは自分の署名だけです。すでに出た回答は取り消せません。",
    ),
    "rules.verdicts": ("Example questions", "質問の例"),
    "rules.asker": ("Asked by", "質問者"),
    "rules.no_asker": (
        "Nobody in the room may ask yet, so nothing can be tried.",
        "質問できるメンバーがまだいないため、試せません。",
    ),
    "rules.accept": ("accepted", "許可"),
    "rules.refuse": ("refused", "拒否"),
    "rules.wanted_accept": ("should be accepted", "許可したい"),
    "rules.wanted_refuse": ("should be refused", "拒否したい"),
    "rules.not_wanted": ("not as you want it", "希望と違います"),
    "rules.now_accepted": (
        "newly accepted: refused by the rule in force",
        "新たに許可（有効なルールでは拒否）",
    ),
    "rules.now_refused": (
        "newly refused: accepted by the rule in force",
        "新たに拒否（有効なルールでは許可）",
    ),
    "rules.summary": (
        "{right} of {all} as wanted; {changed} decided otherwise than by the rule in force.",
        "{all} 件中 {right} 件が希望どおり。有効なルールと判定が変わるものは {changed} 件です。",
    ),
    "rules.reveals": ("What an answer would reveal and cost", "回答から分かることと費用"),
    "rules.protection": ("By {name}", "{name} による計算"),
    "rules.unsupported": ("cannot answer it", "回答できません"),
    "rules.outputs": ("Columns of the answer", "回答の列"),
    "rules.learns": ("{member} learns", "{member} が知ること"),
    "rules.assuming": ("assuming {what}", "前提：{what}"),
    "rules.costs": ("Budget", "予算"),
    "rules.cost": ("epsilon {epsilon} of {owner}'s account {unit}", "{owner} の口座 {unit} から ε {epsilon}"),
    "rules.no_cost": ("Costs no privacy budget.", "プライバシー予算はかかりません。"),
    "rules.predicted": ("about {seconds} s, {bytes}", "約 {seconds} 秒、{bytes}"),
    "rules.no_examples": (
        "No examples yet. Add one, or press Add suggestions: each then shows what the draft would do with it.",
        "例がまだありません。追加するか、「提案を追加」を押してください。下書きがそれぞれをどう判断するかが表示されます。",
    ),
    "rules.add_example": ("Add an example", "例を追加"),
    "rules.example_sql": ("Question", "質問"),
    "rules.example_wanted": ("You want it", "希望"),
    "rules.add": ("Add", "追加"),
    "rules.suggest": ("Add suggestions", "提案を追加"),
    "rules.drop": ("Remove", "削除"),
    "rules.flip": ("Want the opposite", "希望を反対にする"),
    "rules.aws": ("Rule of AWS Clean Rooms, JSON", "AWS Clean Rooms のルール（JSON）"),
    "rules.aws_hint": (
        "What `aws cleanrooms get-configured-table-analysis-rule` prints. Nothing is saved before you propose it.",
        "`aws cleanrooms get-configured-table-analysis-rule` の出力です。提案するまで保存されません。",
    ),
    "rules.aws_accounts": (
        "AWS accounts, one a line: 123456789012=member",
        "AWS アカウント（一行に一つ：123456789012=member）",
    ),
    "rules.aws_templates": (
        "Analysis templates, one a line: ARN=template",
        "分析テンプレート（一行に一つ：ARN=template）",
    ),
    "rules.aws_go": ("Take it over", "取り込む"),
    "rules.aws_notes": ("What has no counterpart", "対応するものがない項目"),
    "rules.aws_all": ("Everything was taken over.", "すべて取り込みました。"),
    "rules.effect_more": ("allows more than AWS did", "AWS より緩くなります"),
    "rules.effect_less": ("allows less than AWS did", "AWS より厳しくなります"),
    "rules.effect_same": ("note", "注記"),
    "rules.note_ABOUT": (
        "{path} says when and for what the rule was made at AWS; a room has no place for it.",
        "{path} は AWS での作成の記録です。ルームには対応する場所がありません。",
    ),
    "rules.note_CONSOLIDATED": (
        "consolidatedPolicy was taken: it is what AWS enforces of all parts together.",
        "AWS が全体として適用する consolidatedPolicy を使いました。",
    ),
    "rules.note_FUNCTION": (
        "{path}: hitoku has no function {name}; questions with it are refused.",
        "{path}：関数 {name} は hitoku にないため、使う質問は拒否されます。",
    ),
    "rules.note_OPERATOR": (
        "{path}: hitoku has no join operator {name}; questions with it are refused.",
        "{path}：結合演算子 {name} は hitoku にないため、使う質問は拒否されます。",
    ),
    "rules.note_TEMPLATE": (
        "{path}: no template of the room stands for {name}; put the template into the room and name it.",
        "{path}：{name} に当たるテンプレートがルームにありません。ルームに加えて対応を指定してください。",
    ),
    "rules.note_JOBS": (
        "{path}: ANY_JOB allows PySpark jobs; a room runs questions alone.",
        "{path}：ANY_JOB は PySpark ジョブを許可しますが、ルームで実行できるのは質問だけです。",
    ),
    "rules.note_ACCOUNT": (
        "{path}: no member of the room stands for the account {name}; say which one it is.",
        "{path}：アカウント {name} に当たるメンバーがありません。対応を指定してください。",
    ),
    "rules.note_RECEIVERS": (
        "{path}: an aggregation or list rule cannot limit who receives; everybody with the ability receive may. Give "
        "that ability to these members alone: {name}.",
        "{path}：集計と一覧のルールでは受信者を制限できません。receive の権限を次のメンバーだけに与えてください：{name}",
    ),
    "rules.note_ADDITIONAL": (
        "{path}: {name}: answers under an aggregation or list rule never go on into models here.",
        "{path}：{name}。集計と一覧のルールの回答は、ここではモデルに使えません。",
    ),
    "rules.note_NAMED_ANALYSES": (
        "{path}: these name AWS's own models; models of a room are agreed on in its part `models`.",
        "{path}：AWS のモデルの名前です。ルームのモデルは models で合意します。",
    ),
    "rules.note_BUDGET": (
        "{path}: differential privacy needs an account of the owner for the unit {name}; AWS keeps it in a privacy "
        "budget template.",
        "{path}：差分プライバシーには単位 {name} の口座が必要です。AWS ではプライバシー予算テンプレートにあります。",
    ),
    "rules.note_BOUNDS": (
        "{path}: SUM and AVG are refused until `bounds` say how much one row may count.",
        "{path}：一行の上限を bounds で指定するまで、SUM と AVG は拒否されます。",
    ),
    "rules.note_UNKNOWN": (
        "{path}: this field is not known and was left out. If it restricts, the rule here is looser.",
        "{path}：不明な項目のため取り込みませんでした。制限の項目なら、ここでは緩くなります。",
    ),
    "rules.nothing_changes": ("This is the rule in force already.", "有効なルールと同じです。"),
}
