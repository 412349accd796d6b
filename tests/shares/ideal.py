# SPDX-License-Identifier: Apache-2.0
"""The three parties' kernel on plain values: one object plays all three, for fast tests of what uses it.

It is as strict as the real one (kinds, lengths, bits, numbers that fit), so that a program that runs here
runs there, and it writes down everything that is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WORDS = ("u8", "u16", "u32", "u64", "u128")
RINGS = ("r32", "r64", "r128")
BITS = {kind: int(kind[1:]) for kind in WORDS + RINGS}


@dataclass(frozen=True)
class IdealVector:
    """Values of one kind: an unsigned array, of 128-bit kinds an array of Python integers."""

    kind: str
    data: Any

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class IdealOrder:
    """``places[j]`` is the row that comes j-th."""

    places: Any

    def __len__(self) -> int:
        return len(self.places)


def _dtype(kind: str) -> Any:
    return object if BITS[kind] == 128 else np.dtype(f"uint{BITS[kind]}")


def _least(bits: int) -> str:
    return next(kind for kind in WORDS if BITS[kind] >= bits)


def _integers(values: Any) -> list[int]:
    if not isinstance(values, np.ndarray):
        return [int(value) for value in values]
    array = values
    if array.ndim == 2:
        return [int(low) | int(high) << 64 for low, high in array.tolist()]
    return [int(value) for value in array.tolist()]


def vector(kind: str, values: Any) -> IdealVector:
    """Whole numbers, modulo 2 to the kind's bits."""
    mask = 2 ** BITS[kind] - 1
    return IdealVector(kind, np.array([int(value) & mask for value in values], _dtype(kind)))


@dataclass
class IdealEngine:
    """The Engine protocol on plain values.

    Attributes:
        seed: of the shuffles.
        opened: all that was opened, in order: lists of integers.
        calls: the names of the operations with rounds, with kinds and rows.
    """

    seed: int = 0
    opened: list[list[int]] = field(default_factory=list)
    calls: list[tuple[str, tuple[tuple[str, int], ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    @property
    def index(self) -> int:
        return 0

    # --- checks ---

    def _is(self, a: Any, kinds: Sequence[str] = WORDS + RINGS) -> IdealVector:
        assert isinstance(a, IdealVector), a
        assert a.kind in kinds, (a.kind, kinds)
        return a

    def _pair(self, a: Any, b: Any, kinds: Sequence[str] = WORDS + RINGS) -> tuple[IdealVector, IdealVector]:
        left, right = self._is(a, kinds), self._is(b, kinds)
        assert left.kind == right.kind, (left.kind, right.kind)
        assert len(left) == len(right), (len(left), len(right))
        return left, right

    def _bits(self, a: IdealVector, bits: int, least: int = 1) -> int:
        assert least <= bits <= BITS[a.kind], (bits, a.kind)
        return bits

    def _bit(self, a: Any) -> IdealVector:
        bit = self._is(a, ("u8",))
        assert not len(bit) or bit.data.max() <= 1
        return bit

    def _note(self, name: str, *vectors: IdealVector) -> None:
        self.calls.append((name, tuple((one.kind, len(one)) for one in vectors)))

    def _number(self, kind: str, value: int) -> int:
        bits = BITS[kind]
        least = -(2 ** (bits - 1)) if kind in RINGS else 0
        assert least <= value < 2**bits, f"{value} does not fit {kind}"
        return value % (1 << bits)

    def _made(self, kind: str, data: Any) -> IdealVector:
        """Reduce to the kind's width."""
        if BITS[kind] == 128:
            mask = 2**128 - 1
            return IdealVector(kind, np.array([int(value) & mask for value in data], object))
        return IdealVector(kind, np.asarray(data).astype(_dtype(kind)))

    # --- without sending anything ---

    def public(self, kind: str, values: Any, rows: int | None = None) -> IdealVector:
        if isinstance(values, (int, np.integer)):
            assert rows is not None
            assert rows >= 0
            return self._made(kind, np.full(rows, self._number(kind, int(values)), _dtype(kind)))
        return self._made(
            kind, np.array([self._number(kind, value) for value in _integers(values)], _dtype(kind))
        )

    def load(self, kind: str, first: bytes, second: bytes) -> IdealVector:
        raise NotImplementedError

    def dump(self, vector: Any) -> tuple[bytes, bytes]:
        raise NotImplementedError

    def _linear(self, a: IdealVector, operation: Callable[[Any], Any]) -> IdealVector:
        with np.errstate(over="ignore"):
            return self._made(a.kind, operation(a.data))

    def add(self, a: Any, b: Any) -> IdealVector:
        left, right = self._pair(a, b, RINGS)
        return self._linear(left, lambda data: data + right.data)

    def sub(self, a: Any, b: Any) -> IdealVector:
        left, right = self._pair(a, b, RINGS)
        return self._linear(left, lambda data: data - right.data)

    def neg(self, a: Any) -> IdealVector:
        return self._linear(self._is(a, RINGS), lambda data: -data)

    def _public_number(self, a: IdealVector, value: Any) -> Any:
        if isinstance(value, (int, np.integer)):
            number = self._number(a.kind, int(value))
            return number if BITS[a.kind] == 128 else _dtype(a.kind).type(number)
        return self.public(a.kind, value).data

    def add_public(self, a: Any, value: Any) -> IdealVector:
        left = self._is(a, RINGS)
        return self._linear(left, lambda data: data + self._public_number(left, value))

    def mul_public(self, a: Any, value: Any) -> IdealVector:
        left = self._is(a, RINGS)
        return self._linear(left, lambda data: data * self._public_number(left, value))

    def sum(self, a: Any) -> IdealVector:
        left = self._is(a)
        return (
            self.slice(self.prefix_sum(left), len(left) - 1, len(left)) if len(left) else vector(a.kind, [0])
        )

    def prefix_sum(self, a: Any) -> IdealVector:
        left = self._is(a)
        if left.kind in RINGS:
            if BITS[left.kind] == 128:
                return self._linear(left, lambda data: np.add.accumulate(data) if len(data) else data)
            return self._linear(left, lambda data: np.cumsum(data, dtype=data.dtype))
        return self._linear(left, lambda data: np.bitwise_xor.accumulate(data) if len(data) else data)

    def diff(self, a: Any) -> IdealVector:
        left = self._is(a)
        data = left.data
        if not len(data):
            return left
        with np.errstate(over="ignore"):
            rest = data[1:] - data[:-1] if left.kind in RINGS else data[1:] ^ data[:-1]
        return self._made(left.kind, np.concatenate([data[:1], rest]))

    def xor(self, a: Any, b: Any) -> IdealVector:
        left, right = self._pair(a, b, WORDS)
        return self._linear(left, lambda data: data ^ right.data)

    def xor_public(self, a: Any, value: Any) -> IdealVector:
        left = self._is(a, WORDS)
        return self._linear(left, lambda data: data ^ self._public_number(left, value))

    def and_public(self, a: Any, value: Any) -> IdealVector:
        left = self._is(a, WORDS)
        return self._linear(left, lambda data: data & self._public_number(left, value))

    def _shifted(self, a: IdealVector, change: Callable[[int], int]) -> IdealVector:
        mask = 2 ** BITS[a.kind] - 1
        return vector(a.kind, [change(int(value)) & mask for value in a.data])

    def shift_left(self, a: Any, bits: int) -> IdealVector:
        left = self._is(a, WORDS)
        self._bits(left, bits, 0)
        if bits < 64 and BITS[left.kind] < 128:
            return self._linear(left, lambda data: data.astype(np.uint64) << np.uint64(bits))
        return self._shifted(left, lambda value: value << bits)

    def shift_right(self, a: Any, bits: int) -> IdealVector:
        left = self._is(a, WORDS)
        self._bits(left, bits, 0)
        if bits < 64 and BITS[left.kind] < 128:
            return self._linear(left, lambda data: data.astype(np.uint64) >> np.uint64(bits))
        return self._shifted(left, lambda value: value >> bits)

    def cast(self, a: Any, kind: str) -> IdealVector:
        left = self._is(a)
        assert (kind in RINGS) == (left.kind in RINGS)
        assert kind in WORDS or BITS[kind] <= BITS[left.kind], "a ring element cannot be made wider"
        if BITS[left.kind] == 128 and BITS[kind] < 128:
            return vector(kind, left.data)
        return self._made(kind, left.data)

    def concat(self, vectors: Sequence[Any]) -> IdealVector:
        found = [self._is(one) for one in vectors]
        assert len({one.kind for one in found}) == 1
        return self._made(found[0].kind, np.concatenate([one.data for one in found]))

    def slice(self, a: Any, start: int, stop: int) -> IdealVector:
        left = self._is(a)
        assert 0 <= start <= stop <= len(left)
        return IdealVector(left.kind, left.data[start:stop])

    def take(self, a: Any, places: Any) -> IdealVector:
        left = self._is(a)
        return IdealVector(left.kind, left.data[np.asarray(places, np.int64)])

    def tile(self, a: Any, times: int) -> IdealVector:
        left = self._is(a)
        return IdealVector(left.kind, np.tile(left.data, times))

    def _widened(self, kind: str, data: Any) -> IdealVector:
        if data.dtype == object or BITS[kind] == 128:
            return vector(kind, data)
        return self._made(kind, data)

    # --- with rounds ---

    def addends(self, kind: str, values: Any) -> IdealVector:
        assert kind in RINGS
        made = self.public(kind, np.asarray(values))  # the one object's values are the sum
        self._note("addends", made)
        return made

    def mul(self, a: Any, b: Any) -> IdealVector:
        left, right = self._pair(a, b, RINGS)
        self._note("mul", left)
        return self._linear(left, lambda data: data * right.data)

    def and_(self, a: Any, b: Any) -> IdealVector:
        left, right = self._pair(a, b, WORDS)
        self._note("and_", left)
        return self._linear(left, lambda data: data & right.data)

    def or_(self, a: Any, b: Any) -> IdealVector:
        left, right = self._pair(a, b, WORDS)
        self._note("or_", left)
        return self._linear(left, lambda data: data | right.data)

    def _low(self, a: IdealVector, bits: int) -> Any:
        return a.data & self._public_number(a, 2**bits - 1) if a.kind in WORDS else a.data

    def equal(self, a: Any, b: Any, bits: int) -> IdealVector:
        left, right = self._pair(a, b, WORDS)
        self._bits(left, bits)
        self._note("equal", left)
        return self._made("u8", np.asarray(self._low(left, bits) == self._low(right, bits)).astype(np.uint8))

    def less(self, a: Any, b: Any, bits: int) -> IdealVector:
        left, right = self._pair(a, b, WORDS)
        self._bits(left, bits)
        self._note("less", left)
        return self._made("u8", np.asarray(self._low(left, bits) < self._low(right, bits)).astype(np.uint8))

    def bit_to_ring(self, bit: Any, kind: str) -> IdealVector:
        left = self._bit(bit)
        assert kind in RINGS
        self._note("bit_to_ring", IdealVector(kind, left.data))
        return self._widened(kind, left.data)

    def words_to_ring(self, a: Any, bits: int, kind: str) -> IdealVector:
        left = self._is(a, WORDS)
        self._bits(left, bits)
        assert kind in RINGS
        self._note("words_to_ring", left, IdealVector(kind, left.data))
        return self._widened(kind, self._low(left, bits))

    def ring_to_words(self, a: Any, bits: int) -> IdealVector:
        left = self._is(a, RINGS)
        self._bits(left, bits)
        self._note("ring_to_words", left)
        mask = 2**bits - 1
        if BITS[left.kind] < 128:
            return self._made(_least(bits), left.data & _dtype(left.kind).type(mask))
        return vector(_least(bits), [int(value) & mask for value in left.data])

    def select(self, bit: Any, a: Any, b: Any) -> IdealVector:
        left, right = self._pair(a, b)
        condition = self._bit(bit)
        assert len(condition) == len(left)
        self._note("select", left)
        return self._made(left.kind, np.where(condition.data.astype(bool), left.data, right.data))

    # --- permutations ---

    def _rows(self, vectors: Sequence[Any]) -> list[Any]:
        found = [self._is(one) for one in vectors]
        assert found
        assert len({len(one) for one in found}) == 1
        return found

    def shuffle(self, vectors: Sequence[Any]) -> list[Any]:
        found = self._rows(vectors)
        self._note("shuffle", *found)
        places = self._random.permutation(len(found[0]))
        return [self.take(one, places) for one in found]

    def order(self, keys: Sequence[tuple[Any, int]]) -> IdealOrder:
        found = self._rows([word for word, _ in keys])
        self._note("order", *found)
        self.calls[-1] = (f"order {sum(bits for _, bits in keys)}", self.calls[-1][1])
        places = np.arange(len(found[0]))
        for word, bits in reversed(list(keys)):
            one = self._is(word, WORDS)
            self._bits(one, bits)
            low = self._low(one, bits)[places]
            places = places[np.argsort(low, kind="stable")]
        return IdealOrder(places)

    def _fit(self, order: Any, vectors: Sequence[Any]) -> list[Any]:
        assert isinstance(order, IdealOrder)
        found = self._rows(vectors)
        assert len(order) == len(found[0])
        return found

    def apply(self, order: Any, vectors: Sequence[Any]) -> list[Any]:
        found = self._fit(order, vectors)
        self._note("apply", *found)
        return [self.take(one, order.places) for one in found]

    def unapply(self, order: Any, vectors: Sequence[Any]) -> list[Any]:
        found = self._fit(order, vectors)
        self._note("unapply", *found)
        back = np.empty_like(order.places)
        back[order.places] = np.arange(len(back))
        return [self.take(one, back) for one in found]

    # --- out ---

    def values(self, a: Any) -> list[int]:
        """What is in a vector, without opening it: for tests."""
        return [int(value) for value in self._is(a).data]

    def open(self, a: Any) -> Any:
        left = self._is(a)
        self.opened.append(self.values(left))
        if BITS[left.kind] < 128:
            return left.data.copy()
        halves = [(int(value) & (2**64 - 1), int(value) >> 64) for value in left.data]
        return np.array(halves, np.uint64).reshape(-1, 2)

    def check(self) -> None:
        self._note("check")
