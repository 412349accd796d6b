# SPDX-License-Identifier: Apache-2.0
"""Texts of codes, looked up so that nobody sees which: the dictionary and the codes are sorted together.

As in `joins`, but every code is in the dictionary, and the dictionary is in the order of its codes already:
no key is brought along, and nothing is compared. Who learns what: nobody anything.
"""

from __future__ import annotations

from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.kinds import word_kind
from hitoku.protections.shares.operators.values import Rows, Value, with_word, zeroed

__all__ = ["texts"]


def texts(rows: Rows, codes: Value, entries: list[Any]) -> list[Any]:
    """The texts of codes, one ``u64`` vector for each 8 bytes; zeros where a code is NULL.

    Args:
        rows: the rows that the codes are of.
        codes: with words; below the number of entries.
        entries: the dictionary, by code, one vector for each 8 bytes.
    """
    engine, size = rows.engine, len(entries[0])
    bits = max(codes.type.bits, (size - 1).bit_length())
    word = with_word(rows, codes).word
    kind = word_kind(bits)
    keys = engine.concat(
        [_counted(engine, kind, size), word if word.kind == kind else engine.cast(word, kind)]
    )
    order = engine.order([(keys, bits)])
    differences = [
        engine.concat([engine.diff(entry), engine.public("u64", 0, rows.count)]) for entry in entries
    ]
    brought = [engine.prefix_sum(vector) for vector in engine.apply(order, differences)]
    found = [engine.slice(vector, size, size + rows.count) for vector in engine.unapply(order, brought)]
    return [zeroed(engine, vector, codes.valid) for vector in found]


def _counted(engine: Engine, kind: str, size: int) -> Any:
    """0, 1, 2... as public words."""
    counted = engine.public(kind, 0, 1)
    while len(counted) < size:
        counted = engine.concat([counted, engine.xor_public(counted, len(counted))])
    return engine.slice(counted, 0, size)
