# SPDX-License-Identifier: Apache-2.0
"""Who learns what, in Japanese. The sentences of every protection are asked in `tests/conformance`."""

from __future__ import annotations

import time

import pytest

from hitoku.console.told import told


def test_english_stays_as_it_is() -> None:
    assert told("which encrypted values are NULL", "en") == ("which encrypted values are NULL", True)


@pytest.mark.parametrize(
    ("english", "japanese"),
    [
        ("which encrypted values are NULL", "どの暗号化された値が NULL か"),
        (
            (
                "the released answer; every released row rests on at least 10 of a.phone, 5 of b.mail; "
                "it tells of a.phone after join and after compare; b.x after aggregate; 3 more columns"
            ),
            (
                "開示された回答。開示される行はすべて、少なくとも a.phone 10 件、b.mail 5 件 に基づきます。"
                "回答からわかること: a.phone の一致した行の値、a.phone の比較の結果、b.x の集計値、ほか 3 列"
            ),
        ),
        (
            "the answer; every figure carries noise; it tells of no column",
            "回答。すべての数値にノイズが加わります。回答からわかること: どの列についても何も",
        ),
    ],
)
def test_patterns_within_patterns(english: str, japanese: str) -> None:
    assert told(english, "ja") == (japanese, True)


@pytest.mark.parametrize(
    "unknown",
    [
        "",
        "something of another version",
        "which encrypted values are NULL, and more",
        "every value of , row by row",
        "every value of {columns}{0}{x!r}",
    ],
)
def test_what_has_no_pattern_stays_english(unknown: str) -> None:
    assert told(unknown, "ja") == (unknown, False)


def test_braces_in_names_are_text() -> None:
    assert told("every value of {columns.__class__}, row by row", "ja") == (
        "{columns.__class__} のすべての値（行ごと）",
        True,
    )


def test_long_text_of_a_peer_takes_no_time() -> None:
    began = time.process_time()
    told("the released answer; " + "; it tells of " * 10_000, "ja")
    told(
        "the answer; every released row rests on at least " + ", 1 of a" * 10_000 + "; it tells of x plain",
        "ja",
    )
    assert time.process_time() - began < 2
