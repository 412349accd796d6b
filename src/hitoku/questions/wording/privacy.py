# SPDX-License-Identifier: Apache-2.0
"""The sentences of refusals that questions on noised tables meet, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["ENGLISH", "JAPANESE"]

ENGLISH: Final[Mapping[str, tuple[str, str]]] = {
    "PRIVACY_BRANCHES": (
        "{owner} has noise added to answers about {table}, but this part reads only {tables}.",
        "Ask the parts as questions of their own.",
    ),
    "PRIVACY_UNITS_DIFFER": (
        "The tables protect different units: {units}.",
        "Ask about tables of one unit, or have their owners agree on one name for it.",
    ),
    "PRIVACY_LEFT_JOIN": (
        "{table} is only left-joined: rows without a person of {owner}'s would tell who is missing.",
        "Begin with {table}, or use INNER JOIN.",
    ),
    "PRIVACY_UNIT_NULLS": (
        "{table}.{column} is encrypted and may be NULL: each NULL would count as a person.",
        "Ask {owner} to declare the column as not nullable, or let the room keep NULLs (preserve_nulls).",
    ),
    "PRIVACY_UNIT_NOT_JOINED": (
        "{owner} protects each {table}.{column}; without a join on it one person could count many times.",
        "Join {table} on {column} with the other protected tables, by an equality that always holds.",
    ),
    "PRIVACY_BOUNDS_MISSING": (
        "A sum or mean of {column} has no bound on what one row may bring, so no noise can hide it.",
        "Ask {owner} to declare bounds for the column in differentialPrivacy, or count instead.",
    ),
    "PRIVACY_BOUNDS_WIDE": (
        "The bounds that {owner} declares for {table} are so wide that the figures do not fit 64 bits.",
        "Ask {owner} for narrower bounds, fewer decimals or fewer rows a group.",
    ),
    "PRIVACY_AGGREGATE": (
        "On {table} {owner} allows counts, sums and means with noise; this aggregate has no bounded share.",
        "Use COUNT, COUNT(DISTINCT ...), SUM or AVG of a column.",
    ),
}
"""By code: what is refused, and what to change."""

JAPANESE: Final[Mapping[str, tuple[str, str]]] = {
    "PRIVACY_BRANCHES": (
        "{owner} は {table} についての回答にノイズを加えますが、質問のこの部分は {tables} だけを読みます。",
        "それぞれを別の質問にしてください。",
    ),
    "PRIVACY_UNITS_DIFFER": (
        "テーブルごとに保護の単位が異なります: {units}。",
        "同じ単位のテーブルだけを使うか、単位の名前をそろえるよう所有者に依頼してください。",
    ),
    "PRIVACY_LEFT_JOIN": (
        "{table} は左結合されているだけです。{owner} の側に該当者のない行から、誰がいないかが分かります。",
        "{table} から始めるか、INNER JOIN を使ってください。",
    ),
    "PRIVACY_UNIT_NULLS": (
        "{table}.{column} は暗号化され、NULL を含み得ます。NULL の一つ一つが一人に数えられてしまいます。",
        (
            "列を NULL 不可と宣言するよう {owner} に依頼するか、ルームで NULL を残す設定 "
            "(preserve_nulls) にしてください。"
        ),
    ),
    "PRIVACY_UNIT_NOT_JOINED": (
        (
            "{owner} は {table}.{column} の一つ一つの値を保護します。この列で結合しないと、"
            "一人が何度も数えられるおそれがあります。"
        ),
        "常に成り立つ等式により、{table} を {column} で他の保護されたテーブルと結合してください。",
    ),
    "PRIVACY_BOUNDS_MISSING": (
        "{column} の合計や平均には一行の上限と下限がないため、ノイズで隠せません。",
        (
            "この列の bounds を differentialPrivacy で宣言するよう {owner} に依頼するか、"
            "件数を質問してください。"
        ),
    ),
    "PRIVACY_BOUNDS_WIDE": (
        "{owner} が {table} に宣言した範囲が広すぎ、値が 64 ビットに収まりません。",
        "範囲を狭めるか、小数の桁数またはグループ当たりの行数を減らすよう {owner} に依頼してください。",
    ),
    "PRIVACY_AGGREGATE": (
        (
            "{table} について {owner} が許可するのは、ノイズ付きの件数・合計・平均です。"
            "この集計では一人の寄与に上限がありません。"
        ),
        "列の COUNT、COUNT(DISTINCT ...)、SUM、AVG を使ってください。",
    ),
}
"""By code: what is refused, and what to change."""
