# SPDX-License-Identifier: Apache-2.0
"""The sentences of refusals in Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hitoku.questions.wording.custom_japanese import CUSTOM_JAPANESE

__all__ = ["JAPANESE"]

JAPANESE: Final[Mapping[str, tuple[str, str]]] = {
    "UNKNOWN": (
        "この質問は許可されません（{code}）。",
        "コードの意味をテーブルの所有者に確認してください。",
    ),
    "EMPTY": (
        "文がありません。",
        "SELECT 文を一つ書いてください。",
    ),
    "TEXT_TOO_LONG": (
        "質問が {limit} 文字を超えています。",
        "短くしてください。",
    ),
    "TOO_MANY_PARTS": (
        "質問の構成要素が {limit} を超えています。",
        "短くするか、複数の質問に分けてください。",
    ),
    "TOO_DEEP": (
        "質問の入れ子が深すぎます（最大 {limit} 段）。",
        "括弧を減らし、長い OR の連なりは IN (...) で書いてください。",
    ),
    "BAD_CHARACTER": (
        "制御文字または不完全なサロゲートが含まれています。",
        "取り除いてください。",
    ),
    "SYNTAX": (
        "SQL（DuckDB 方言）として正しくありません。",
        "示された箇所を直してください。",
    ),
    "SEVERAL_STATEMENTS": (
        "文が二つ以上あります。",
        "一度に一つの質問だけを書いてください。",
    ),
    "NOT_A_QUESTION": (
        "質問にできるのは SELECT、または集合演算で結んだ SELECT だけです。",
        "ルームのテーブルに対する SELECT を書いてください。",
    ),
    "CLAUSE_NOT_ALLOWED": (
        "ここでは {what} を使えません。",
        "{what} を取り除いてください。",
    ),
    "NOT_AN_ASKER": (
        "{asker} はこのルームで質問できません。",
        "`query` の権限を持つメンバーとして質問するか、権限を与える新しい版に全員が合意してください。",
    ),
    "NO_TABLE": (
        "テーブルが指定されていません。",
        "FROM にルームのテーブルを書いてください。",
    ),
    "UNKNOWN_TABLE": (
        "このルームに {table} というテーブルはありません。",
        "ルームにあるテーブルを使ってください。`hitoku room show` とコンソールに一覧があります。",
    ),
    "NO_RULE": (
        "{owner} は {table} にルールを定めていないため、何も質問できません。",
        "{table} のルールを {owner} に依頼してください。",
    ),
    "TABLE_FUNCTION": (
        "{what} はルームのテーブルではありません。",
        "FROM にはルームのテーブルを書いてください。ファイル・関数・値の列は読めません。",
    ),
    "DUPLICATE_NAME": (
        "{name} という名前が二つのものを指しています。",
        "片方に別の別名を付けてください。",
    ),
    "UNKNOWN_NAME": (
        "FROM に {name} というテーブルや別名はありません。",
        "テーブル名、または付けた別名を使ってください。",
    ),
    "UNKNOWN_COLUMN": (
        "この SELECT のテーブルに {column} という列はありません。",
        "ルームにある列を使ってください。`hitoku room show` とコンソールに一覧があります。",
    ),
    "AMBIGUOUS_COLUMN": (
        "{column} という列は複数のテーブルにあります。",
        "table.{column} のようにテーブル名を付けてください。",
    ),
    "WHOLE_ROW": (
        "列の位置にテーブル名 {name} があり、行全体が示されます。",
        "列名を書いてください。",
    ),
    "STAR": (
        "すべての列（*）をまとめて求めることはできません。",
        "列名を書いてください。COUNT(*) は使えます。",
    ),
    "CTE_ORDER": (
        "共通表式 {name} が完成前に使われています。",
        "先に書いた共通表式だけを使ってください。再帰は使えません。",
    ),
    "CTE_UNUSED": (
        "共通表式 {name} は使われていません。",
        "{name} を取り除いてください。",
    ),
    "TOO_MANY_TABLES": (
        "結合するテーブルが {limit} を超えています。",
        "複数の質問に分けてください。",
    ),
    "RULE_KINDS_DIFFER": (
        "{tables} と {others} は種類の違うルールを持ち、一つの質問で併用できません。",
        "同じ種類のルールを持つテーブルだけを使ってください。",
    ),
    "NESTED_CLAUSE": (
        "副問い合わせ・共通表式・集合演算の枝の中で {what} は使えません。",
        "質問全体の末尾に書いてください。",
    ),
    "SUBQUERY": (
        "式の中に副問い合わせは書けません。",
        "代わりに FROM で結合してください。",
    ),
    "SET_OPERATION": (
        "{what} は使えません。",
        "集計の UNION・UNION ALL・INTERSECT・EXCEPT を使い、一覧は一つずつ質問してください。",
    ),
    "SET_OPERATION_NESTED": (
        "副問い合わせや共通表式の中に集合演算は書けません。",
        "集合演算は質問の最上位に書いてください。",
    ),
    "UNION_DIFFERS": (
        "集合演算の枝の列数または型が異なります。",
        "すべての枝の列を揃えてください。",
    ),
    "CROSS_JOIN": (
        "{table} を結び付ける結合条件がありません。",
        "JOIN ... ON に結合列の等式を書いてください。",
    ),
    "JOIN_KIND": (
        "{kind} JOIN は使えません。",
        "INNER JOIN か LEFT JOIN を使ってください。",
    ),
    "JOIN_CONDITION": (
        "結合条件は、二つのテーブルの結合列どうしの等式に限ります。",
        "ON a.column = b.column と書き、他の条件は WHERE に移してください。",
    ),
    "JOIN_COLUMN": (
        "{owner} は {table}.{column} での結合を許可していません。",
        "joinColumns にある列で結合するか、{column} の追加を {owner} に依頼してください。",
    ),
    "JOIN_OPERATOR": (
        "{owner} は {table} の結合条件で {operator} を許可していません。",
        "等式一つで結合するか、allowedJoinOperators への {operator} の追加を {owner} に依頼してください。",
    ),
    "JOIN_PROTECTIONS_DIFFER": (
        "{left} と {right} は保護の種類が異なり、等しくなりません。",
        "fingerprint どうし、または cleartext どうしで結合してください。",
    ),
    "JOIN_TYPES_DIFFER": (
        "{left} と {right} は値の型が異なり、等しくなりません。",
        "同じ型の列で結合してください。",
    ),
    "JOIN_NAMES_DIFFER": (
        "{left} と {right} は名前が異なり、このルームの fingerprint は同名の列どうしでしか一致しません。",
        (
            "同名の列で結合するか、allow_joins_on_columns_with_different_names に合意して暗号化し直し"
            "てください。"
        ),
    ),
    "SELF_JOIN": (
        "一つの SELECT にテーブル {table} が二度現れます。",
        "一度だけ使ってください。グループの比較は二つの質問で行ってください。",
    ),
    "OUTER_THEN_INNER": (
        "LEFT JOIN で空になり得るテーブルの列で結合しています。",
        "そのテーブルを INNER JOIN にするか、先のテーブルの列で結合してください。",
    ),
    "LEFT_JOIN_SOURCE": (
        "LEFT JOIN の右側は一つのテーブルそのものに限ります。",
        "INNER JOIN を使うか、テーブル名を直接書き、絞り込みは WHERE に移してください。",
    ),
    "JOIN_REQUIRED": (
        "{owner} は {table} を質問者 {asker} のテーブルと内部結合することを求めています。",
        (
            "{table} を自分のテーブルと結ぶ INNER JOIN を加えるか、"
            "{owner} に joinRequired の解除を求めてください。"
        ),
    ),
    "NO_AGGREGATE": (
        "これらのテーブルは統計だけを許しますが、集計がありません。",
        "aggregateColumns にある列の COUNT・SUM・AVG を加えてください。",
    ),
    "AGGREGATE": (
        "{owner} は {table}.{column} の {function} を許可していません。",
        "aggregateColumns にある関数と列を使うか、追加を {owner} に依頼してください。",
    ),
    "AGGREGATE_KIND": (
        "{what} は一行の値を返し得るか、未知の集計です。",
        "COUNT、COUNT(DISTINCT)、SUM、SUM(DISTINCT)、AVG を使ってください。",
    ),
    "AGGREGATE_ARGUMENT": (
        "{what} の引数は列一つに限ります。",
        "列そのものを集計し、必要なら結果に計算を加えてください。",
    ),
    "AGGREGATE_MODIFIED": (
        "{what} はグループの一部の行だけを集計し、グループ全体で数えるしきい値をすり抜けます。",
        "WHERE で絞るか、その列で GROUP BY してください。",
    ),
    "AGGREGATE_PLACE": (
        "集計は SELECT・HAVING・ORDER BY にだけ書けます（{what}）。",
        "次元だけでグループ化し、集計の絞り込みは HAVING に書いてください。",
    ),
    "AGGREGATE_TWICE": (
        "{what} は集計済みの結果をさらに集計します。しきい値はグループではなく人を数えます。",
        "テーブルに対して一度だけ集計してください。",
    ),
    "AGGREGATES_JOINED": (
        "集計結果は結合できません。",
        "先にテーブルを結合して一度だけ集計するか、二つの質問に分けてください。",
    ),
    "COUNT_ROWS": (
        "行数に等しい COUNT を許すルールがありません。",
        (
            "aggregateColumns にある列を数えてください。NULL にならない列（結合に使う列、または nulla"
            "ble: false の列）の COUNT が許されていれば COUNT(*) も使えます。"
        ),
    ),
    "NULLS_COUNTED": (
        "{table}.{column} の NULL は暗号化すると値に見え、件数が過大になります。",
        (
            "{column} で内部結合するか、NULL がなければ nullable: false とするよう {owner} に依頼する"
            "か、preserve_nulls に合意してください。"
        ),
    ),
    "UNIT_NULLS_COUNTED": (
        (
            "しきい値は {table}.{column} を数えますが、NULL は暗号化すると一人に見え、誰もいない行でも"
            "しきい値を超え得ます。"
        ),
        (
            "{column} で内部結合するか、NULL がなければ nullable: false とするよう {owner} に依頼する"
            "か、preserve_nulls に合意してください。"
        ),
    ),
    "SUM_OVERFLOW": (
        "{table}.{column} の SUM は 38 桁を超え得て、失敗がそれを漏らします。",
        "精度を 27 桁以下に宣言するよう {owner} に依頼してください。",
    ),
    "DIMENSION": (
        "{owner} は {table}.{column} の表示・グループ化・絞り込みを許可していません。",
        "dimensionColumns にある列を使うか、{column} の追加を {owner} に依頼してください。",
    ),
    "NOT_GROUPED": (
        "列 {column} はグループ化も集計もされていません。",
        "GROUP BY に加えるか、集計してください。",
    ),
    "GROUP_BY_CONSTANT": (
        "GROUP BY に定数があります。",
        "取り除いてください。",
    ),
    "POSITION": (
        "その位置の出力列はありません（全 {count} 列）。",
        "1 から {count} の位置、または列名を使ってください。",
    ),
    "DISTINCT_GROUPS": (
        "グループに対する DISTINCT はグループの数を隠し得ます。",
        "DISTINCT を取り除いてください。",
    ),
    "HAVING_WITHOUT_GROUPS": (
        "グループも集計もないのに HAVING があります。",
        "WHERE を使ってください。",
    ),
    "WINDOW": (
        "行に対するウィンドウ関数は個々の行を見せてしまいます。",
        (
            "グループに対して使ってください。SUM(COUNT(...)) OVER () のように、引数はグループ化した次元と"
            "集計に限ります。"
        ),
    ),
    "WINDOW_FUNCTION": (
        "{what} はウィンドウ関数の一覧にありません。",
        (
            "ROW_NUMBER・RANK・DENSE_RANK・PERCENT_RANK・CUME_DIST・NTILE・LAG・LEAD・SUM・AVG・MIN・"
            "MAX・COUNT を使ってください。"
        ),
    ),
    "WINDOW_PLACE": (
        "ここに {what} は書けません。ウィンドウ関数は SELECT と ORDER BY に限り、入れ子にもできません。",
        "グループの絞り込みは HAVING、または全体の ORDER BY と LIMIT で行ってください。",
    ),
    "WINDOW_FRAME": (
        "このウィンドウ枠は使えません。",
        (
            "枠を省くか、ORDER BY ... ROWS BETWEEN に UNBOUNDED・CURRENT ROW・1000 以下の整数を"
            "書いてください。"
        ),
    ),
    "WINDOW_FILTERED": (
        "ウィンドウ関数を含む結果への WHERE は、計算した後の絞り込みになります。",
        "内側の HAVING、または全体の ORDER BY と LIMIT で絞り込んでください。",
    ),
    "FORMAT": (
        "{what} の書式は決まった一覧のリテラルに限ります。",
        "次のいずれかを使ってください: {formats}。",
    ),
    "FUNCTION_OTHERWISE": (
        "{what} はエンジンごとに書き方や意味が異なります。",
        "{instead} と書いてください。",
    ),
    "NO_THRESHOLD": (
        "どのテーブルにもしきい値がありません。",
        "outputConstraints の設定を所有者に依頼してください。",
    ),
    "ENCRYPTED_COLUMN": (
        (
            "{table}.{column} は {protection} 列で暗号化されており、表示・絞り込み・グループ化・計算"
            "はできません。"
        ),
        (
            "fingerprint は結合と件数、sealed はルールが許す件数と一覧に使えます。それ以外は同じ元列か"
            "ら別の列を作るよう所有者に依頼してください。"
        ),
    ),
    "SCALAR_FUNCTION": (
        "{owner} は {table} の列への {function} を許可していません。",
        "取り除くか、scalarFunctions への {function} の追加を {owner} に依頼してください。",
    ),
    "FUNCTION_NOT_ALLOWED": (
        "{what} は許可された関数ではありません。",
        "COUNT・SUM・AVG、または scalarFunctions にある関数を使ってください。",
    ),
    "EXPRESSION_NOT_ALLOWED": (
        "{what} は許可された式ではありません。",
        "列・定数・比較・AND・OR・NOT・IN・BETWEEN・LIKE・IS NULL・四則と剰余を使ってください。",
    ),
    "NOT_REPEATABLE": (
        "{what} は実行のたびに変わります。同じ質問は同じ意味でなければなりません。",
        "日付を定数で書いてください。",
    ),
    "NOT_A_CONDITION": (
        "条件が必要ですが、これは {family} です。",
        "比較の式にしてください。",
    ),
    "NOT_A_NUMBER": (
        "計算には数値が必要ですが、これは {family} です。",
        "数値の列を使ってください。",
    ),
    "TYPES_DIFFER": (
        "{left} と {right} を比べています。",
        "同じ型どうしで比べてください。",
    ),
    "ARGUMENT_TYPE": (
        "{what} に {family} は渡せません。",
        "適切な型の列を渡してください。",
    ),
    "ARGUMENT_LITERAL": (
        "{what} のこの引数は小さな整数か既定の部分名に限ります。",
        "定数で書いてください。",
    ),
    "CAST_TYPE": (
        "この型への変換はできません。",
        (
            "CAST(列 AS 型) と書き、型は BOOLEAN・SMALLINT・INT・BIGINT・DECIMAL・FLOAT・DOUBLE・DATE・"
            "TIMESTAMP・VARCHAR を使ってください。"
        ),
    ),
    "LIKE_FORM": (
        "LIKE は文字列の列と文字列定数に限ります。",
        "column LIKE 'pattern' と書いてください。",
    ),
    "LITERAL": (
        "数値の桁数が多すぎるか範囲外です。",
        "38 桁以内にしてください。",
    ),
    "NOT_A_DATE": (
        "この文字列は {family} ではありません。",
        "日付は 'YYYY-MM-DD'、日時は 'YYYY-MM-DD HH:MM:SS'（時間帯なし）と書いてください。",
    ),
    "OUTPUT_NAME": (
        "出力列 {place} の名前が使えません。",
        "_hitoku で始まらない 1〜128 文字の別名を付けてください。",
    ),
    "DUPLICATE_OUTPUT": (
        "出力列 {name} が二つあります。",
        "片方に別の別名を付けてください。",
    ),
    "ORDER_BY_OUTPUT": (
        "ここでの ORDER BY は出力列の名前か位置に限ります。",
        "出力列を指定してください。",
    ),
    "LIMIT_FORM": (
        "LIMIT と OFFSET は {limit} までの整数に限ります。",
        "整数で書いてください。",
    ),
    "LIST_AGGREGATE": (
        "これらのテーブルのルールは一致した行の一覧を許すもので、{what} は使えません。",
        "一覧列を SELECT DISTINCT し、集計は受け取ってから行ってください。",
    ),
    "LIST_COLUMN": (
        "{owner} は {table}.{column} の一覧・絞り込みを許可していません。",
        "listColumns にある列を使うか、{column} の追加を {owner} に依頼してください。",
    ),
    "LIST_FINGERPRINT": (
        "{table}.{column} は fingerprint で、秘密を持つ者が値を試せます。",
        "同じ元列から作った sealed 列を一覧に使ってください。",
    ),
    "LIST_NEEDS_DISTINCT": (
        "一覧では各行を一度だけ示します。",
        "SELECT DISTINCT と書いてください。",
    ),
    "LIST_NEEDS_JOIN": (
        "{owner} は {table} の行を、質問者 {asker} のテーブルと一致する場合だけ一覧に出します。",
        "自分のテーブルとの INNER JOIN を加えてください。",
    ),
    "LIST_OUTER_JOIN": (
        "{owner} は {table} の一致した行だけを一覧に出します。LEFT JOIN は一致しない行を示します。",
        "INNER JOIN を使ってください。",
    ),
    **CUSTOM_JAPANESE,
    "NO_BUDGET": (
        "{owner} には単位 {unit} の予算がありません。",
        "{unit} の予算に合意するよう {owner} に依頼してください。",
    ),
    "BUDGET_SPENT": (
        (
            "この質問の費用は、{owner} の {unit} の予算の残りを超えています。単独で epsilon {cost}、"
            "これまでに {epsilon} のうち {spent} を使っています。"
        ),
        (
            "ノイズを増やすと費用は下がります。回答済みの質問の再質問は無料です。"
            "または、予算を増やすよう {owner} に依頼してください。"
        ),
    ),
    "ACCESS_BUDGET_SPENT": (
        "{owner} が {table} について許す質問数（{window} に {limit} 件）に達しました。",
        "次の期間に質問するか、上限を増やすよう {owner} に依頼してください。",
    ),
    "QUOTA_HOUR": (
        "{asker} が {owner} で 1 時間以内に始めた実行は {count} 件で、上限に達しました。",
        "{minutes} 分後に質問するか、上限を増やすよう {owner} に依頼してください。",
    ),
    "QUOTA_RUNS": (
        "{owner} では {asker} の実行が {count} 件進行中で、上限に達しています。",
        "どれかが終わるまで待つか、上限を増やすよう {owner} に依頼してください。",
    ),
    "VERSION": (
        "{owner} の hitoku {version} は、種類 {kind} のメッセージに対応していません。",
        "{owner} と {asker} の hitoku を同じバージョンにしてください。",
    ),
    "OVERLAPS_LOST": (
        "{owner} がバックアップから復元する前に {table} に対して行われた質問の記録が失われています。",
        "テーブルを別の名前で提供するよう {owner} に依頼してください。",
    ),
}
"""By code: what is refused, and what to change."""
