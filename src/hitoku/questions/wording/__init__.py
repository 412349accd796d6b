# SPDX-License-Identifier: Apache-2.0
"""The sentences of every refusal, in English and Japanese: what is refused, and what to change.

A refusal is its code and parameters; the sentences are made from them, so a reader gets them in a
language of theirs. Parameters are names and numbers, never values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from hitoku.errors import Refusal
from hitoku.questions.wording import privacy
from hitoku.questions.wording.english import ENGLISH
from hitoku.questions.wording.japanese import JAPANESE

__all__ = ["CODES", "Language", "sentences", "translated"]

Language = Literal["en", "ja"]

_SENTENCES: Final[Mapping[Language, Mapping[str, tuple[str, str]]]] = {
    "en": {**ENGLISH, **privacy.ENGLISH},
    "ja": {**JAPANESE, **privacy.JAPANESE},
}

CODES: Final = frozenset(_SENTENCES["en"])
"""Every code that a refusal of a question can have."""


class _Named(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def sentences(code: str, params: Mapping[str, str], language: Language = "en") -> tuple[str, str]:
    """Message and remedy of a code. A code that this version does not know has general ones."""
    known = _SENTENCES[language]
    message, remedy = known.get(code, known["UNKNOWN"])
    names = _Named({**params, "code": code})
    return message.format_map(names), remedy.format_map(names)


def translated(refusal: Refusal, language: Language) -> tuple[str, str]:
    """Message and remedy of a refusal in a language."""
    return sentences(refusal.code, refusal.params, language)
