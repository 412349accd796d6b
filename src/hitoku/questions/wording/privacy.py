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
        "{owner}は{table}についての回答にノイズを加えますが、質問のこの部分は{tables}だけを読みます。",
        "それぞれを別の質問として尋ねてください。",
    ),
    "PRIVACY_UNITS_DIFFER": (
        "表ごとに守る単位が異なります: {units}。",
        "同じ単位の表だけを尋ねるか、所有者に単位の名前をそろえてもらってください。",
    ),
    "PRIVACY_LEFT_JOIN": (
        "{table}は左結合されているだけです。{owner}の人物のない行から、誰がいないかが分かってしまいます。",
        "{table}から始めるか、INNER JOINを使ってください。",
    ),
    "PRIVACY_UNIT_NULLS": (
        "{table}.{column}は暗号化され、NULLかもしれません。NULLが一人ずつに数えられてしまいます。",
        "{owner}に列をNULL不可と宣言してもらうか、ルームでNULLを保つ設定(preserve_nulls)にしてください。",
    ),
    "PRIVACY_UNIT_NOT_JOINED": (
        "{owner}は{table}.{column}ごとに守りますが、結合がその列によりません。一人が何度も数えられます。",
        "常に成り立つ等号で、{table}を{column}によって他の守られた表と結合してください。",
    ),
    "PRIVACY_BOUNDS_MISSING": (
        "{column}の合計や平均には一行の上限と下限がないため、ノイズで隠せません。",
        "{owner}にdifferentialPrivacyでこの列のboundsを宣言してもらうか、件数を尋ねてください。",
    ),
    "PRIVACY_BOUNDS_WIDE": (
        "{owner}が{table}に宣言した範囲が広すぎ、値が64ビットに収まりません。",
        "{owner}に、より狭い範囲、少ない小数桁、またはグループ当たりの少ない行数を求めてください。",
    ),
    "PRIVACY_AGGREGATE": (
        "{table}では{owner}がノイズ付きの件数・合計・平均を認めますが、この集計は一人の寄与に上限がありません。",
        "列のCOUNT、COUNT(DISTINCT ...)、SUM、AVGを使ってください。",
    ),
}
"""コードごとに、拒否の理由と直し方。"""
