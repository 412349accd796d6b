# SPDX-License-Identifier: Apache-2.0
"""What groups and ranks have in common: where runs of equal rows end, and bringing flagged rows together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.packing import equal_words
from hitoku.protections.shares.operators.values import Value
from hitoku.protections.shares.program import Type

__all__ = ["compact", "counted", "differs_from_next", "not_zero"]


def counted(kind: Type, ring: Any) -> Value:
    """A count in `r32`, whatever bounds the program gives it."""
    return Value(replace(kind, low=0, high=min(kind.high, 2**32 - 1)), None, ring)


def not_zero(engine: Engine, ring: Any) -> Any:
    """A bit: whether ring elements are not 0."""
    bits = int(ring.kind[1:])
    word = engine.ring_to_words(ring, bits)
    return engine.xor_public(engine.equal(word, engine.public(word.kind, 0, len(word)), bits), 1)


def differs_from_next(engine: Engine, words: Sequence[tuple[Any, int]]) -> Any:
    """A bit: whether a row's words are others than the next row's; 1 in the last row."""
    count = len(words[0][0])
    end = engine.public("u8", 1, 1)
    if count == 1:
        return end
    here = [(engine.slice(word, 0, count - 1), bits) for word, bits in words]
    following = [engine.slice(word, 1, count) for word, _ in words]
    return engine.concat([engine.xor_public(equal_words(engine, here, following), 1), end])


def compact(engine: Engine, flag: Any, vectors: Sequence[Any], most: int) -> tuple[list[Any], Any]:
    """Rows whose flag is 1, brought to the front in their order and cut to `most`; and their flags."""
    order = engine.order([(engine.xor_public(flag, 1), 1)])
    moved = [engine.slice(vector, 0, most) for vector in engine.apply(order, [*vectors, flag])]
    return moved[:-1], moved[-1]
