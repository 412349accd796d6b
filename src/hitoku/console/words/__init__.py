# SPDX-License-Identifier: Apache-2.0
"""The console's words, English and Japanese side by side: one module an area, gathered here.

Each module has ``WORDS``, a mapping of key to (English, Japanese); keys begin with the area's name. Words
hold ``{name}`` for what is put in; what is put in is escaped by the template like any other text.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Final

__all__ = ["LANGUAGES", "catalogue", "say"]

LANGUAGES: Final = ("en", "ja")


@cache
def catalogue() -> dict[str, tuple[str, str]]:
    """All words by key.

    Raises:
        ValueError: two modules have the same key.
    """
    found: dict[str, tuple[str, str]] = {}
    for module in pkgutil.iter_modules(__path__):
        words: dict[str, tuple[str, str]] = importlib.import_module(f"{__name__}.{module.name}").WORDS
        again = found.keys() & words.keys()
        if again:
            raise ValueError(f"words are there twice: {', '.join(sorted(again))}")
        found |= words
    return found


def say(language: str, key: str, **names: object) -> str:
    """The words of a key in a language.

    Raises:
        KeyError: there is no such key.
    """
    pair = catalogue()[key]
    text = pair[1] if language == "ja" else pair[0]
    return text.format(**names) if names else text
