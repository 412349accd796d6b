# SPDX-License-Identifier: Apache-2.0
"""What a party of three does with its shares alone: linear operations, and moving rows to public places.

Nothing is sent, so nobody learns anything, and a simulator has nothing to make. Source: Araki et al., CCS
2016, section 2; linear over the ring, and over XOR for words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hitoku import _core
from hitoku.hazmat.shares_errors import SharesError, shares_kernel
from hitoku.hazmat.shares_values import BITS, RINGS, WORDS, as_array, as_number, checked_count, checked_kind

__all__ = ["LocalOperations", "Order", "Vector"]

Vector = _core.SharesVector
"""A party's two shares of a vector: ``kind`` and ``len()``; its content is opaque."""
Order = _core.SharesOrder
"""A party's part of a shared permutation: ``len()``; its content is opaque."""


def checked_vector(vector: Any, kinds: Sequence[str] = RINGS + WORDS) -> Vector:
    """The vector, if it is one, and of one of these kinds."""
    if not isinstance(vector, Vector):
        raise SharesError("vector")
    if vector.kind not in kinds:
        raise SharesError("kind", f"this takes vectors of {', '.join(kinds)}; this one is {vector.kind}")
    return vector


def checked_pair(a: Any, b: Any, kinds: Sequence[str] = RINGS + WORDS) -> tuple[Vector, Vector]:
    """Two vectors of one kind and length."""
    left, right = checked_vector(a, kinds), checked_vector(b, kinds)
    if left.kind != right.kind:
        raise SharesError("kind", f"the vectors are of different kinds: {left.kind} and {right.kind}")
    if len(left) != len(right):
        raise SharesError("length", f"the vectors have {len(left)} and {len(right)} rows")
    return left, right


def checked_rows(vectors: Any) -> list[Vector]:
    """One or more vectors of the same length."""
    found = [checked_vector(vector) for vector in vectors]
    if not found:
        raise SharesError("empty")
    if any(len(vector) != len(found[0]) for vector in found):
        raise SharesError("length")
    return found


def checked_bits(kind: str, bits: Any, least: int = 1) -> int:
    """A number of bits that the kind holds."""
    if isinstance(bits, bool) or not isinstance(bits, (int, np.integer)) or not least <= bits <= BITS[kind]:
        raise SharesError("bits", f"bits must be {least} to {BITS[kind]} for the kind {kind}")
    return int(bits)


class LocalOperations:
    """The part of a party that sends nothing. All three make the same calls, with the same public values."""

    def __init__(self, kernel: _core.SharesParty) -> None:
        self._kernel = kernel

    def public(self, kind: str, values: Any, rows: int | None = None) -> Vector:
        """A public value as a shared vector: the first share is the value, the others are 0.

        Args:
            kind: of the vector.
            values: a whole number, repeated `rows` times; or what `as_array` takes.
            rows: with a number only.

        Raises:
            SharesError: ``kind``, ``value``, or ``length`` where `rows` and `values` do not fit each other.
        """
        checked_kind(kind)
        if isinstance(values, (int, np.integer)):
            if rows is None:
                raise SharesError("length", "say how many rows the number is repeated for")
            count = checked_count(rows, "rows")
            with shares_kernel():
                return self._kernel.public(kind, as_number(kind, values), count)
        array = as_array(kind, values)
        if rows is not None and rows != len(array):
            raise SharesError("length", f"there are {len(array)} values and rows is {rows}")
        with shares_kernel():
            return self._kernel.public(kind, array, len(array))

    def load(self, kind: str, first: bytes, second: bytes) -> Vector:
        """This party's two shares, its own number's and the next number's, as a vector.

        Party i gives share i, then share i + 1 modulo 3; elements little-endian, next to each other. What an
        owner sent is not checked here: any bytes of the right size are shares of something.

        Raises:
            SharesError: ``kind``; ``size``: the two differ in size, or are no whole number of elements.
        """
        width = BITS[checked_kind(kind)] // 8
        if not isinstance(first, bytes) or not isinstance(second, bytes):
            raise SharesError("size", "shares are bytes")
        if len(first) != len(second) or len(first) % width:
            raise SharesError("size", f"shares of {kind} are {width} bytes a row, and as many in both")
        with shares_kernel():
            return self._kernel.load(kind, first, second)

    def dump(self, vector: Any) -> tuple[bytes, bytes]:
        """This party's two shares, as `load` takes them. Any two parties' dumps give the values away.

        Before a result is dumped for its receiver it needs no fresh mask: each party's shares are all that
        the receiver gets beside the values, and the output of any interactive primitive is freshly shared.
        Rows of a vector that never went through one (a `load` and local steps) show an owner's masks.
        """
        with shares_kernel():
            return self._kernel.dump(checked_vector(vector))

    def add(self, a: Any, b: Any) -> Vector:
        """Sums, row by row, in a ring."""
        left, right = checked_pair(a, b, RINGS)
        with shares_kernel():
            return self._kernel.add(left, right)

    def sub(self, a: Any, b: Any) -> Vector:
        """Differences, row by row, in a ring."""
        left, right = checked_pair(a, b, RINGS)
        with shares_kernel():
            return self._kernel.sub(left, right)

    def neg(self, a: Any) -> Vector:
        """Minus the values, in a ring."""
        with shares_kernel():
            return self._kernel.neg(checked_vector(a, RINGS))

    def add_public(self, a: Any, value: Any) -> Vector:
        """Plus a public number, or one for every row, in a ring."""
        return self._with_public(self._kernel.add_public, checked_vector(a, RINGS), value)

    def mul_public(self, a: Any, value: Any) -> Vector:
        """Times a public number, or one for every row, in a ring."""
        return self._with_public(self._kernel.mul_public, checked_vector(a, RINGS), value)

    def xor(self, a: Any, b: Any) -> Vector:
        """XOR, row by row, of words."""
        left, right = checked_pair(a, b, WORDS)
        with shares_kernel():
            return self._kernel.xor(left, right)

    def xor_public(self, a: Any, value: Any) -> Vector:
        """XOR with a public word, or one for every row."""
        return self._with_public(self._kernel.xor_public, checked_vector(a, WORDS), value)

    def and_public(self, a: Any, value: Any) -> Vector:
        """AND with a public word, or one for every row."""
        return self._with_public(self._kernel.and_public, checked_vector(a, WORDS), value)

    def _with_public(self, operation: Any, vector: Vector, value: Any) -> Vector:
        if isinstance(value, (int, np.integer)):
            given: Any = as_number(vector.kind, value)
        else:
            given = as_array(vector.kind, value)
            if len(given) != len(vector):
                raise SharesError(
                    "length", f"the vector has {len(vector)} rows and there are {len(given)} values"
                )
        with shares_kernel():
            made: Vector = operation(vector, given)
        return made

    def shift_left(self, a: Any, bits: int) -> Vector:
        """Words shifted towards the high bits; what leaves the word is gone."""
        vector = checked_vector(a, WORDS)
        with shares_kernel():
            return self._kernel.shift_left(vector, checked_bits(vector.kind, bits, 0))

    def shift_right(self, a: Any, bits: int) -> Vector:
        """Words shifted towards the low bits, zeros from above."""
        vector = checked_vector(a, WORDS)
        with shares_kernel():
            return self._kernel.shift_right(vector, checked_bits(vector.kind, bits, 0))

    def cast(self, a: Any, kind: str) -> Vector:
        """Words to wider words (zeros above) or narrower ones (cut); rings to rings that are not wider.

        A ring element cannot be widened share by share: its shares' sum wraps. That takes `ring_to_words`
        and `words_to_ring`.
        """
        vector = checked_vector(a)
        checked_kind(kind, WORDS if vector.kind in WORDS else RINGS)
        if kind in RINGS and BITS[kind] > BITS[vector.kind]:
            raise SharesError("kind", "a ring element cannot be made wider without sending")
        with shares_kernel():
            return self._kernel.cast(vector, kind)

    def sum(self, a: Any) -> Vector:
        """All rows added up (XORed, of words): one row, also of none."""
        with shares_kernel():
            return self._kernel.sum(checked_vector(a))

    def prefix_sum(self, a: Any) -> Vector:
        """Each row plus all before it (of words: XOR)."""
        with shares_kernel():
            return self._kernel.prefix_sum(checked_vector(a))

    def diff(self, a: Any) -> Vector:
        """Each row less the one before it (of words: XOR); the first stays. Takes `prefix_sum` back."""
        with shares_kernel():
            return self._kernel.diff(checked_vector(a))

    def concat(self, vectors: Sequence[Any]) -> Vector:
        """Vectors of one kind, one after the other."""
        found = [checked_vector(vector) for vector in vectors]
        if not found:
            raise SharesError("empty")
        if len({vector.kind for vector in found}) > 1:
            raise SharesError("kind", "the vectors are of different kinds")
        with shares_kernel():
            return self._kernel.concat(found)

    def slice(self, a: Any, start: int, stop: int) -> Vector:
        """Rows from `start` to before `stop`."""
        vector = checked_vector(a)
        if not 0 <= start <= stop <= len(vector):
            raise SharesError("places", f"rows {start} to {stop} are not within the vector's {len(vector)}")
        with shares_kernel():
            return self._kernel.slice(vector, int(start), int(stop))

    def take(self, a: Any, places: Any) -> Vector:
        """Rows at public places, in that order, any number of times."""
        vector = checked_vector(a)
        where = np.asarray(places)
        if where.ndim != 1 or (where.dtype.kind not in "iu" and len(where)):
            raise SharesError("places", "places must be an array of whole numbers of one axis")
        if len(where) and (int(where.min()) < 0 or int(where.max()) >= len(vector)):
            raise SharesError("places")
        with shares_kernel():
            return self._kernel.take(vector, np.ascontiguousarray(where, np.int64))

    def tile(self, a: Any, times: int) -> Vector:
        """The whole vector `times` times, one after the other."""
        vector = checked_vector(a)
        with shares_kernel():
            return self._kernel.tile(vector, checked_count(times, "times"))
