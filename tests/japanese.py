# SPDX-License-Identifier: Apache-2.0
"""Every sentence of who learns what has a Japanese form, in all of its parts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hitoku.console.told import told
from hitoku.disclosure.leakage import Learned

_LEFT = re.compile(r"\b(the|of|and|which|that|every|after|with|not)\b")


def in_japanese(learned: Iterable[Learned]) -> None:
    for item in learned:
        for sentence in filter(None, (item.words, item.assumption)):
            words, ours = told(sentence, "ja")
            assert ours, sentence
            assert not _LEFT.search(words), words
