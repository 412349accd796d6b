# SPDX-License-Identifier: Apache-2.0
"""The sentences of refusals by custom rules, templates, the derivation and overlaps, in Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["CUSTOM_JAPANESE"]

CUSTOM_JAPANESE: Final[Mapping[str, tuple[str, str]]] = {
    "ANALYSIS_NOT_ALLOWED": (
        "{owner} は {asker} による {table} への質問を許可していません。",
        (
            "{owner} が allowedAnalysisProviders に挙げたメンバーが質問するか、{owner} に "
            "{asker} の追加を依頼してください。"
        ),
    ),
    "TEMPLATE_REQUIRED": (
        "{owner} は {table} に対して承認済みテンプレートだけを許可しています。",
        (
            "{templates} のいずれかを EXECUTE するか、{owner} "
            "に別のテンプレートのハッシュの承認を依頼してください。"
        ),
    ),
    "TEMPLATE_MISSING": (
        (
            "{owner} は {table} に対して承認済みテンプレートだけを許可していますが、"
            "このルームに承認済みのものはありません。"
        ),
        "{owner} が承認したハッシュのテンプレートをルームに加えるか、{owner} に承認を依頼してください。",
    ),
    "TEMPLATE_NOT_ALLOWED": (
        "{owner} は {table} に対してテンプレート {template}（またはその現在の本文）を承認していません。",
        (
            "{owner} が allowedAnalyses に挙げたテンプレートを使うか、{owner} "
            "にこのハッシュの追加を依頼してください。"
        ),
    ),
    "TEMPLATE_INVALID": (
        "テンプレート {template} は質問ではないか、宣言されたパラメーターと一致しません。",
        (
            "メンバーにテンプレートの修正を依頼してください。宣言したパラメーターをすべて使う一つの "
            "SELECT でなければなりません。"
        ),
    ),
    "UNKNOWN_TEMPLATE": (
        "このルームにテンプレート {template} はありません。",
        "次のいずれかを EXECUTE してください: {known}。",
    ),
    "EXECUTE_FORM": (
        "EXECUTE はテンプレート名と名前付きの値だけを取ります。",
        "EXECUTE 名前(パラメーター := 値, ...) と書いてください。",
    ),
    "UNKNOWN_PARAMETER": (
        "テンプレート {template} にパラメーター {parameter} はありません。",
        "次のパラメーターを使ってください: {known}。",
    ),
    "PARAMETER_TWICE": (
        "パラメーター {parameter} が二度指定されています。",
        "一度だけ指定してください。",
    ),
    "PARAMETER_MISSING": (
        "テンプレート {template} にはパラメーター {parameter} の値が必要です。",
        "{parameter} := に {kind} の値を指定してください。",
    ),
    "PARAMETER_LITERAL": (
        "パラメーターの値は一つのリテラルです。",
        "数値、単引用符の文字列、TRUE、FALSE、DATE '...' または TIMESTAMP '...' を書いてください。",
    ),
    "PARAMETER_TYPE": (
        "パラメーター {parameter} は {kind} 型ですが、リテラルの型が異なります。",
        "{kind} の値を書いてください。数値は引用符なし、文字列と日付は単引用符で囲みます。",
    ),
    "PARAMETER_VALUE": (
        "パラメーター {parameter} の値は {kind} として読めないか、範囲外です。",
        "{kind} が取り得る値を書いてください。",
    ),
    "ADDITIONAL_ANALYSIS_REQUIRED": (
        "{owner} は、回答が次の分析に進む質問でだけ {table} の利用を許可しています。",
        (
            "推論または学習の一部として質問するか、{owner} に additionalAnalyses を ALLOWED "
            "にするよう依頼してください。"
        ),
    ),
    "COLUMNS_ONLY": (
        "{what}: {table} のルールでは、集計関数は1つの列の件数・合計・平均だけを求められます。",
        (
            "列そのものを集計するか、{owner} に allowedAggregateExpressionType を ANY_EXPRESSION "
            "にするよう依頼してください。"
        ),
    ),
    "RULE_MODES_DIFFER": (
        "{tables} のルールはノイズを加え、{others} のルールは正確な件数をしきい値と比べます。",
        "同じ方法で回答を保護するテーブルだけを使ってください。",
    ),
    "PRIVACY_ROWS": (
        (
            "{owner} は {table} についてノイズを加えた統計だけを開示しますが、"
            "この部分は統計を計算していません。"
        ),
        "列の COUNT、SUM、AVG を加え、併せて示す列を GROUP BY に書いてください。",
    ),
    "THRESHOLD_ROWS": (
        "{owner} は {table} のグループだけを開示し、行は開示しません。",
        "示す列を GROUP BY に書くか、集計してください。",
    ),
    "OUTPUT_COLUMN_DISALLOWED": (
        "{owner} は {table}.{column} を集計関数の中でだけ出力することを許可しています。",
        "{column} を集計するか、SELECT、GROUP BY、ORDER BY から外してください。",
    ),
    "NOT_GRANTED": (
        "この質問は {table}.{column} について、{owner} のルールが認めない情報（{level}）を明かします。",
        ("この句から {column} を外してください。別の検査を通り抜けたので、この質問を報告してください。"),
    ),
    "IDENTITY_COMPARED": (
        "{table}.{column} は個人を区別する列です。特定の一人を問えないよう、リテラルとは比較できません。",
        "比較を外し、{column} は件数を数えるか結合に使ってください。",
    ),
    "LITERAL_COMPARISON": (
        "{owner} は {table}.{column} とリテラルの比較を許可していません。",
        "{owner} が allowedLiteralComparisonColumns に挙げた列を使うか、{owner} に追加を依頼してください。",
    ),
    "COLUMN_COMPARISON": (
        "{owner} は {table}.{column} による結合、グループ化、列同士の比較を許可していません。",
        (
            "{owner} が allowedColumnComparisonColumns に挙げた列を使うか、{owner} に {column} "
            "の追加を依頼してください。"
        ),
    ),
    "OVERLAP_FORM": (
        (
            "{table}.{column} の何を問うかは質問の文面から読み取れなければなりませんが、"
            "ここでは読み取れません。"
        ),
        (
            "WHERE に {column} = < <= > >= リテラル、BETWEEN、IN を AND でつないで、"
            "すべての枝で同じに書いてください。"
        ),
    ),
    "OVERLAP": (
        "{table} への以前の質問と一部だけ重なっており、その差が一人になる可能性があります。",
        "{columns} について以前と同じ値か、まだ問われていない値を指定してください。",
    ),
}
"""By code: what is refused, and what to change."""
