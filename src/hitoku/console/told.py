# SPDX-License-Identifier: Apache-2.0
"""Sentences that come as English text, of who learns what, in the user's language.

An explanation or an answer may have been made by another member's node, of another version, at another
time: it has sentences, no keys. So a sentence is taken apart by the patterns of
`hitoku.console.words.learned`. What has no pattern is left as it came; the page marks it as English.

The text may be a peer's. Where a pattern has a name, only what that name stands for is taken: table and
column names, without spaces, or a number. Else one sentence could hide in another, which then says the
opposite in Japanese. Whatever is not understood in any part leaves the whole sentence English, also where it
is a column name with a space. Matching looks for each fixed part once, from left to right, in linear time.
"""

from __future__ import annotations

import re
from functools import cache
from string import Formatter
from typing import Final

from hitoku import limits
from hitoku.console.words.learned import WORDS

__all__ = ["told"]

# Names that stand for a phrase or a list of phrases, which has patterns of its own: what parts it.
_PHRASES: Final = {
    "protected": (("; ", "。"), ("by_",)),
    "reveals": (("; ", "、"), ("level_", "no_column", "more_columns")),
    "least": ((", ", "、"), ("least",)),
    "deviations": (("\n", "\n"), ("crosstab_deviations",)),
}
_NAME: Final = rf"[a-z][a-z0-9_-]{{0,{limits.MAX_NAME_CHARS - 1}}}"
_COLUMN: Final = rf"{_NAME}\.[a-z0-9_-]{{1,{limits.MAX_HEADER_CHARS}}}"
_NUMBER: Final = r"[0-9]{1,3}(?:,[0-9]{3}){0,6}|[0-9]{1,20}"
# All other names: what each stands for (`hitoku.room.agreement.Name`, `Column`).
_VALUES: Final = {
    **{name: re.compile(_NAME) for name in ("a", "b", "c", "d", "e", "host", "member")},
    **{name: re.compile(_NUMBER) for name in ("cells", "count", "minimum")},
    "column": re.compile(_COLUMN),
    "columns": re.compile(f"{_COLUMN}(?:, {_COLUMN})*"),
    "tables": re.compile(f"{_NAME}(?:, {_NAME})*"),
}
_PARTS: Final = ("by_", "level_", "least", "no_column", "more_columns")


def told(text: str, language: str) -> tuple[str, bool]:
    """A sentence in the user's language.

    Args:
        text: the sentence as it came, in English; not longer than a few thousand characters.
        language: ``en`` or ``ja``.

    Returns:
        The sentence, and whether it is in that language: False where it stays English.
    """
    if language != "ja":
        return text, True
    found = _said(text, ("",), _PARTS) or _said(text, ("by_",), ())
    return (text, False) if found is None else (found, True)


def _said(text: str, areas: tuple[str, ...], without: tuple[str, ...]) -> str | None:
    for key, (english, japanese) in WORDS.items():
        within = any(key.startswith(f"learned.{area}") for area in areas)
        if within and not any(key.startswith(f"learned.{area}") for area in without):
            names = _matched(_pieces(english), text)
            said = None if names is None else _phrases(names)
            if said is not None:
                return japanese.format(**said)
    return None


def _phrases(names: dict[str, str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for name, value in names.items():
        said = _phrase(name, value)
        if said is None:
            return None
        found[name] = said
    return found


def _phrase(name: str, value: str) -> str | None:
    if name in _VALUES:
        return value if _VALUES[name].fullmatch(value) else None
    (parted, joined), areas = _PHRASES[name]
    parts: list[str] = []
    for one in value.split(parted):
        said = (_levels(one) if name == "reveals" else None) or _said(one, areas, ())
        if said is None:
            return None
        parts.append(said)
    return joined.join(parts)


def _levels(text: str) -> str | None:
    """``table.column aggregate and influence``: several ways in which an answer tells of one column."""
    first, *more = text.split(" and ")
    column = first.split(" ")[0]
    found = [_said(one, ("level_",), ()) for one in (first, *(f"{column} {way}" for way in more))]
    return "、".join(one for one in found if one is not None) if more and None not in found else None


@cache
def _pieces(pattern: str) -> tuple[tuple[str, str | None], ...]:
    return tuple((before, name) for before, name, _, _ in Formatter().parse(pattern))


def _matched(pieces: tuple[tuple[str, str | None], ...], text: str) -> dict[str, str] | None:
    """What stands at each name, if the text has the pattern; each as short as may be, none empty."""
    found: dict[str, str] = {}
    at, open_ = 0, ""
    for before, name in pieces:
        if open_:
            last = name is None
            place = len(text) - len(before) if last and text.endswith(before) else text.find(before, at + 1)
            if place <= at or not text.startswith(before, place):
                return None
            found[open_] = text[at:place]
            at = place + len(before)
        elif not text.startswith(before, at):
            return None
        else:
            at += len(before)
        open_ = name or ""
    if open_:
        found[open_] = text[at:]
        return found if text[at:] else None
    return found if at == len(text) else None
