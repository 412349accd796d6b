# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002 - the methods are the engine's
"""A party that computes nothing: it counts what the real kernel would send, for a program of public sizes.

Message sizes and rounds depend on public values only, so they can be counted before there is any data. What
each operation costs is in `operators.cost`, held to the kernel's own counters by a test.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hitoku.protections.shares.operators import cost

__all__ = ["Counting", "NoDraws", "Step", "Vector"]

BITS: Final = {
    "u8": 8, "u16": 16, "u32": 32, "u64": 64, "u128": 128, "r32": 32, "r64": 64, "r128": 128,
}  # fmt: skip
_LEAST: Final = ("u8", "u16", "u32", "u64", "u128")


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector's kind and length."""

    kind: str
    rows: int

    def __len__(self) -> int:
        return self.rows

    @property
    def size(self) -> int:
        """Bytes."""
        return self.rows * BITS[self.kind] // 8


@dataclass(slots=True)
class Step:
    """What a part of a program costs.

    Attributes:
        name: of the part.
        rounds: messages that wait for one another.
        sent: bytes that all three servers send together.
        local: bytes that one server goes through without sending.
    """

    name: str
    rounds: int = 0
    sent: int = 0
    local: int = 0


class NoDraws:
    """Draws for a party that computes nothing."""

    def take(self, scale: int, count: int) -> array[int]:
        """So many zeros."""
        return array("q", bytes(8 * count))


@dataclass
class Counting:
    """The `Engine` of a prediction.

    Attributes:
        released: so many rows are opened, at most; None: all that there may be.
        steps: what was counted, by phase.
    """

    released: int | None = None
    steps: list[Step] = field(default_factory=lambda: [Step("reading the tables")])
    index: int = 0

    # --- progress ---

    def phase(self, name: str, total: int | None = None) -> None:
        """A new part begins."""
        self.steps.append(Step(name))

    def advance(self, amount: int = 1) -> None:
        """Nothing is done."""

    # --- counting ---

    def _cost(self, rounds: int, sent: float, local: int = 0) -> None:
        step = self.steps[-1]
        step.rounds += rounds
        step.sent += int(sent)
        step.local += local

    def _spend(self, spent: cost.Cost, local: int = 0) -> None:
        self._cost(spent.rounds, spent.bytes, local)

    def _same(self, a: Any) -> Vector:
        self._cost(0, 0, a.size)
        return Vector(a.kind, len(a))

    # --- without sending ---

    def public(self, kind: str, values: Any, rows: int | None = None) -> Vector:
        """A public vector."""
        return Vector(kind, len(values) if rows is None else rows)

    def load(self, kind: str, first: bytes, second: bytes) -> Vector:
        """A vector of shares."""
        return Vector(kind, len(first) * 8 // BITS[kind])

    def dump(self, vector: Any) -> tuple[bytes, bytes]:
        """Nothing."""
        return b"", b""

    def add(self, a: Any, b: Any) -> Vector:
        """See `Engine`."""
        return self._same(a)

    def neg(self, a: Any) -> Vector:
        """See `Engine`."""
        return self._same(a)

    def add_public(self, a: Any, value: Any) -> Vector:
        """See `Engine`."""
        return self._same(a)

    def shift_left(self, a: Any, bits: int) -> Vector:
        """See `Engine`."""
        return self._same(a)

    sub = xor = add
    mul_public = xor_public = and_public = add_public
    prefix_sum = diff = neg
    shift_right = shift_left

    def sum(self, a: Any) -> Vector:
        """See `Engine`."""
        self._cost(0, 0, a.size)
        return Vector(a.kind, 1)

    def cast(self, a: Any, kind: str) -> Vector:
        """See `Engine`."""
        self._cost(0, 0, a.size)
        return Vector(kind, len(a))

    def concat(self, vectors: Sequence[Any]) -> Vector:
        """See `Engine`."""
        return Vector(vectors[0].kind, sum(len(one) for one in vectors))

    def slice(self, a: Any, start: int, stop: int) -> Vector:
        """See `Engine`."""
        return Vector(a.kind, len(range(len(a))[start:stop]))

    def take(self, a: Any, places: Any) -> Vector:
        """See `Engine`."""
        return Vector(a.kind, len(places))

    def tile(self, a: Any, times: int) -> Vector:
        """See `Engine`."""
        return Vector(a.kind, len(a) * times)

    # --- with rounds ---

    def addends(self, kind: str, values: Any) -> Vector:
        """See `Engine`."""
        self._spend(cost.product(kind, len(values)))
        return Vector(kind, len(values))

    def mul(self, a: Any, b: Any) -> Vector:
        """See `Engine`."""
        self._spend(cost.product(a.kind, len(a)))
        return Vector(a.kind, len(a))

    and_ = or_ = mul

    def equal(self, a: Any, b: Any, bits: int) -> Vector:
        """See `Engine`."""
        self._spend(cost.equal(bits, len(a)), a.size)
        return Vector("u8", len(a))

    def less(self, a: Any, b: Any, bits: int) -> Vector:
        """See `Engine`."""
        self._spend(cost.less(bits, len(a)), a.size)
        return Vector("u8", len(a))

    def bit_to_ring(self, bit: Any, kind: str) -> Vector:
        """See `Engine`."""
        self._spend(cost.bit_to_ring(kind, len(bit)))
        return Vector(kind, len(bit))

    def words_to_ring(self, a: Any, bits: int, kind: str) -> Vector:
        """See `Engine`."""
        self._spend(cost.words_to_ring(bits, kind, len(a)), a.size)
        return Vector(kind, len(a))

    def ring_to_words(self, a: Any, bits: int) -> Vector:
        """See `Engine`."""
        self._spend(cost.ring_to_words(a.kind, bits, len(a)), a.size)
        return Vector(next(kind for kind in _LEAST if BITS[kind] >= bits), len(a))

    def select(self, bit: Any, a: Any, b: Any) -> Vector:
        """See `Engine`."""
        self._spend(cost.select(a.kind, len(a)))
        return Vector(a.kind, len(a))

    # --- permutations ---

    def shuffle(self, vectors: Sequence[Any]) -> list[Vector]:
        """See `Engine`."""
        self._spend(cost.moved([one.kind for one in vectors], len(vectors[0])))
        return [Vector(one.kind, len(one)) for one in vectors]

    def apply(self, order: Any, vectors: Sequence[Any]) -> list[Vector]:
        """See `Engine`."""
        return self.shuffle(vectors)

    unapply = apply

    def order(self, keys: Sequence[tuple[Any, int]]) -> Vector:
        """See `Engine`."""
        rows, bits = len(keys[0][0]), sum(bits for _, bits in keys)
        self._spend(cost.order(bits, rows), rows * bits * 4)
        return Vector("r32", rows)

    # --- out ---

    def open(self, a: Any) -> Any:
        """As many ones as rows are released."""
        import numpy as np

        self._cost(1, 3 * a.size)
        made = np.zeros(len(a), np.uint64)
        made[: len(a) if self.released is None else self.released] = 1
        return made

    def check(self) -> None:
        """A hash to each."""
        self._cost(1, 3 * 2 * 32)
