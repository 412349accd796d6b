# SPDX-License-Identifier: Apache-2.0
"""Who learns what, in Japanese. The sentences of every protection are asked in `tests/conformance`."""

from __future__ import annotations

import time
from string import Formatter

import pytest

from hitoku.console.told import _PHRASES, _VALUES, told
from hitoku.console.words.learned import WORDS


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
            "回答。すべての数値にノイズが加わります。回答からわかること: どの列についても何もわかりません",
        ),
        (
            "the answer; every figure carries noise; it tells of a.phone never; b.x-1 plain",
            (
                "回答。すべての数値にノイズが加わります。"
                "回答からわかること: a.phone については何もわかりません、b.x-1 の行ごとの値"
            ),
        ),
        (
            "how many people my-shop_2 has in each of its 1,200 groups, padded with dummies and noised",
            "my-shop_2 の 1,200 個のグループそれぞれの人数（ダミーを加え、ノイズを加えたもの）",
        ),
        (
            "no value of flights, air-craft_2 and nothing of the answer",
            "flights, air-craft_2 の値も、回答の内容も、何もわかりません",
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
        "every value of {columns.__class__}, row by row",
        # A sentence in another would become its opposite.
        "no value of flights, and every value of salaries and nothing of the answer",
        "as a server, no value of flights but every value of salaries and nothing of the answer",
        "no value of flights値 and nothing of the answer",
        "every value of a.x and how long they are, row by row",
        "the padded length of each value of a.x, and b.y itself; not the values",
        "what anybody and the host's node runs: the program, versions, and the identity of its hardware",
        "how many people acme has in each of its many groups, padded with dummies and noised",
        "what program ran at a place that nobody knows, on what platform, and when it got the keys",
        # What is not understood in one part.
        "the answer; every figure carries noise; it tells of everything",
        "the answer; every figure carries noise; it tells of a.x plain; b.y in full",
        "the answer; every figure carries noise; it tells of a.x",
        "the answer; every figure carries noise; it tells of all that there is plain",
        "the answer; every figure carries noise; it tells of a.x after join and all else",
        "the answer; nothing carries noise; it tells of no column",
        "the answer; every released row rests on at least 10 of a.x, all of b.y; it tells of no column",
        "every released row rests on at least none of a.x",
    ],
)
def test_what_has_no_pattern_stays_english(unknown: str) -> None:
    assert told(unknown, "ja") == (unknown, False)


def test_long_text_of_a_peer_takes_no_time() -> None:
    began = time.thread_time()
    told("the released answer; " + "; it tells of " * 10_000, "ja")
    told(
        "the answer; every released row rests on at least " + ", 1 of a" * 10_000 + "; it tells of x plain",
        "ja",
    )
    told("every value of " + "a.b, " * 10_000 + ", row by row", "ja")
    told(
        "how many people a has in each of its " + "1" * 50_000 + " groups, padded with dummies and noised",
        "ja",
    )
    assert time.thread_time() - began < 10


def test_every_name_in_a_pattern_says_what_it_stands_for() -> None:
    for english, japanese in WORDS.values():
        names = {name for _, name, _, _ in Formatter().parse(english) if name is not None}
        assert names <= {*_PHRASES, *_VALUES}
        assert names == {name for _, name, _, _ in Formatter().parse(japanese) if name is not None}
