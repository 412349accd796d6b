# SPDX-License-Identifier: Apache-2.0
"""Every word that a page says is there in both languages, is used, and says the same things."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from string import Formatter

from hitoku.console.words import catalogue

HERE = Path(__file__).parents[2] / "src/hitoku/console"


@cache
def sources() -> dict[str, str]:
    """Templates and code, without the words' own modules."""
    files = [*HERE.rglob("*.html"), *HERE.rglob("*.py"), *HERE.joinpath("static").glob("*.js")]
    return {
        str(path.relative_to(HERE)): path.read_text("utf-8")
        for path in files
        if path.parent.name != "words" and "__pycache__" not in path.parts
    }


def said() -> tuple[set[tuple[str, str]], set[str]]:
    """Keys that are written out, with where; and beginnings of keys that are put together."""
    keys, beginnings = set(), set()
    areas = {key.partition(".")[0] for key in catalogue()}
    for where, text in sources().items():
        for quoted in re.finditer(
            r"""(?<![\w])f?(["'])([a-z_]+\.[a-z0-9_]*)((?:\{[^"'{}]*\}[a-z0-9_]*)*)\1(\s*[~+])?""", text
        ):
            if quoted[2].partition(".")[0] not in areas:
                continue
            if quoted[3] or quoted[4]:
                beginnings.add(quoted[2])
            else:
                keys.add((quoted[2], where))
    return keys, beginnings


def test_every_key_of_a_template_is_there() -> None:
    wrong = []
    for where, text in sources().items():
        for found in re.finditer(r"""(?<![\w.])t\(\s*(["'])([^"']+)\1(\s*~)?""", text):
            key, together = found[2], found[3]
            known = any(k.startswith(key) for k in catalogue()) if together else key in catalogue()
            if where.endswith(".html") and not known:
                wrong.append(f"{where}: {key}")
    assert not wrong


def test_no_word_is_left_over() -> None:
    keys, beginnings = said()
    written = {key for key, _ in keys}
    unused = [
        key
        for key in catalogue()
        if key not in written and not any(key.startswith(beginning) for beginning in beginnings)
    ]
    assert not unused


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_are_given_the_same_names() -> None:
    wrong = [key for key, (english, japanese) in catalogue().items() if names(english) != names(japanese)]
    assert not wrong


def test_both_languages_say_something() -> None:
    empty = [key for key, pair in catalogue().items() if not all(text.strip() for text in pair)]
    assert not empty
    latin = re.compile(r"[A-Za-z]{3}")
    # Japanese text has kana or kanji, save where the words are names, codes or signs.
    foreign = [
        key
        for key, (english, japanese) in catalogue().items()
        if japanese == english and latin.search(re.sub(r"\{[^}]*\}|[A-Z0-9_]{2,}", "", english))
    ]
    assert len(foreign) < len(catalogue()) / 20, foreign
