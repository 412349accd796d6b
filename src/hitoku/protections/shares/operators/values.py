# SPDX-License-Identifier: Apache-2.0
"""A column of rows or groups as shared vectors: words, ring elements, or both, and a validity bit.

A NULL has the word 0 and the ring element 0, always: so sums pass over it, NULLs are equal as keys of groups,
and nothing stands behind a NULL that is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.kinds import BITS, ring_kind, word_kind, wrapped
from hitoku.protections.shares.program import Type

__all__ = [
    "Evaluate",
    "Rows",
    "Value",
    "both",
    "constant",
    "nonnegative",
    "with_ring",
    "with_type",
    "with_word",
    "zeroed",
]


@dataclass(frozen=True)
class Value:
    """A column.

    Attributes:
        type: of its values.
        word: words of the least kind that holds ``type.bits``, or None.
        ring: ring elements of any kind that tells the type's values apart, or None.
        valid: a bit; None where there is no NULL.
        public: it is one public value, `number`; there are no vectors.
        number: that value; None is NULL.
    """

    type: Type
    word: Any = None
    ring: Any = None
    valid: Any = None
    public: bool = False
    number: int | None = None


Evaluate = Callable[..., Value]
"""`expressions.evaluate`: handed to what expressions need, since that needs expressions in turn."""


@dataclass
class Rows:
    """Rows or groups.

    Attributes:
        engine: of this party.
        count: how many, valid or not.
        valid: a bit: whether a row is there at all.
        columns: by name.
        memo: values of expressions over these columns, so that none is computed twice.
    """

    engine: Engine
    count: int
    valid: Any
    columns: dict[str, Value]
    memo: dict[Any, Any] = field(default_factory=dict)


def constant(kind: Type, number: int | None) -> Value:
    """One public value for all rows."""
    return Value(kind, public=True, number=number)


def both(engine: Engine, left: Any | None, right: Any | None) -> Any | None:
    """AND of bits, where None is a 1 everywhere."""
    if left is None or right is None:
        return right if left is None else left
    return left if left is right else engine.and_(left, right)


def zeroed(engine: Engine, vector: Any, bit: Any | None) -> Any:
    """The vector, and 0 where the bit is 0; None is a 1 everywhere."""
    if bit is None:
        return vector
    return engine.select(bit, vector, engine.public(vector.kind, 0, len(vector)))


def with_word(rows: Rows, value: Value) -> Value:
    """With words, converted where there are none."""
    if value.word is not None:
        return value
    engine, kind = rows.engine, word_kind(value.type.bits)
    if value.public:
        number = 0 if value.number is None else value.number - value.type.low
        return _spread(rows, value, word=engine.public(kind, number, rows.count))
    offset = wrapped(value.ring.kind, -value.type.low)
    word = engine.ring_to_words(
        engine.add_public(value.ring, offset) if offset else value.ring, value.type.bits
    )
    return replace(value, word=zeroed(engine, word, value.valid) if offset else word)


def with_ring(rows: Rows, value: Value, kind: str) -> Value:
    """With elements of that very ring, converted where there are others or none."""
    engine = rows.engine
    if value.public:
        number = 0 if value.number is None else wrapped(kind, value.number)
        return _spread(rows, value, ring=engine.public(kind, number, rows.count))
    if value.ring is not None and BITS[kind] <= BITS[value.ring.kind]:
        return value if value.ring.kind == kind else replace(value, ring=engine.cast(value.ring, kind))
    bits = value.type.bits
    ring = engine.words_to_ring(with_word(rows, value).word, min(bits, BITS[kind]), kind)
    low = wrapped(kind, value.type.low)
    if low and value.valid is None:
        ring = engine.add_public(ring, low)
    elif low:
        ring = engine.add(ring, engine.mul_public(engine.bit_to_ring(value.valid, kind), low))
    return replace(value, ring=ring)


def _spread(rows: Rows, value: Value, word: Any = None, ring: Any = None) -> Value:
    valid = rows.engine.public("u8", 0, rows.count) if value.number is None else None
    return Value(value.type, word, ring, valid)


def with_type(rows: Rows, value: Value, kind: Type) -> Value:
    """The same values as words of another type, which holds them: other bounds, or a finer scale."""
    engine = rows.engine
    if value.public:
        number = value.number
        if number is not None:
            number *= 10 ** (kind.scale - value.type.scale)
        return with_word(rows, constant(kind, number))
    if value.type.low == kind.low and value.type.scale == kind.scale:
        word = with_word(rows, value).word
        wanted = word_kind(kind.bits)
        return Value(kind, word if word.kind == wanted else engine.cast(word, wanted), None, value.valid)
    ring = with_ring(rows, value, ring_kind(kind)).ring
    if kind.scale != value.type.scale:
        ring = engine.mul_public(ring, wrapped(ring.kind, 10 ** (kind.scale - value.type.scale)))
    return with_word(rows, Value(kind, None, ring, value.valid))


def nonnegative(engine: Engine, ring: Any, low: int, high: int) -> Any:
    """A bit: whether ring elements that lie between two numbers are 0 or more.

    2**k is added so that all are positive; the sign is then bit k.
    """
    if low >= 0 or high < 0:
        return engine.public("u8", int(low >= 0), len(ring))
    places = max((-low - 1).bit_length(), high.bit_length())
    if places + 1 > BITS[ring.kind]:
        raise ValueError("the ring is too small for a sign")
    moved = engine.add_public(ring, wrapped(ring.kind, 2**places))
    word = engine.ring_to_words(moved, places + 1)
    return engine.cast(engine.shift_right(word, places), "u8")
