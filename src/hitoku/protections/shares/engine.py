# SPDX-License-Identifier: Apache-2.0
"""What operators need of the three-party kernel, as a Protocol: `hazmat.shares.Party` is the real one.

Every method is called by all three parties in the same order with the same public arguments. Vectors are
opaque. Kinds: words ``u8 u16 u32 u64 u128`` are shared bitwise (XOR), rings ``r32 r64 r128`` modulo
2**32, 2**64, 2**128. A bit is a word vector ``u8`` of 0 and 1. Public 128-bit values are pairs (low, high) of
uint64 in an array [n, 2], or Python integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["Engine", "Order", "Vector"]


class Vector(Protocol):
    """A shared vector."""

    @property
    def kind(self) -> str:
        """``u8 u16 u32 u64 u128 r32 r64 r128``."""
        ...

    def __len__(self) -> int: ...


class Order(Protocol):
    """A shared permutation."""

    def __len__(self) -> int: ...


class Engine(Protocol):
    """One party of three."""

    @property
    def index(self) -> int:
        """0, 1 or 2."""
        ...

    # --- without sending anything ---
    def public(self, kind: str, values: Any, rows: int | None = None) -> Vector:
        """A public value as a shared vector: an integer repeated `rows` times, or an array."""
        ...

    def load(self, kind: str, first: bytes, second: bytes) -> Vector:
        """This party's two shares (its own number, the next number), little-endian words."""
        ...

    def dump(self, vector: Any) -> tuple[bytes, bytes]:
        """What `load` takes."""
        ...

    def add(self, a: Any, b: Any) -> Vector:
        """Sums, of rings."""
        ...

    def sub(self, a: Any, b: Any) -> Vector:
        """Differences, of rings."""
        ...

    def neg(self, a: Any) -> Vector:
        """Negatives, of rings."""
        ...

    def add_public(self, a: Any, value: Any) -> Vector:
        """Sums with a public value or array."""
        ...

    def mul_public(self, a: Any, value: Any) -> Vector:
        """Products with a public value or array."""
        ...

    def sum(self, a: Any) -> Vector:
        """One element."""
        ...

    def prefix_sum(self, a: Any) -> Vector:
        """Inclusive."""
        ...

    def diff(self, a: Any) -> Vector:
        """``a[i] - a[i - 1]``; the first stays."""
        ...

    def xor(self, a: Any, b: Any) -> Vector:
        """Exclusive or, of words."""
        ...

    def xor_public(self, a: Any, value: Any) -> Vector:
        """Exclusive or with a public value or array."""
        ...

    def and_public(self, a: Any, value: Any) -> Vector:
        """And with a public value or array."""
        ...

    def shift_left(self, a: Any, bits: int) -> Vector:
        """Words moved towards the high bits."""
        ...

    def shift_right(self, a: Any, bits: int) -> Vector:
        """Words moved towards the low bits."""
        ...

    def cast(self, a: Any, kind: str) -> Vector:
        """Words to wider (zero-extended) or narrower (cut) words; rings to narrower rings only."""
        ...

    def concat(self, vectors: Sequence[Any]) -> Vector:
        """Vectors of one kind, one after the other."""
        ...

    def slice(self, a: Any, start: int, stop: int) -> Vector:
        """The rows from `start` up to `stop`."""
        ...

    def take(self, a: Any, places: Any) -> Vector:
        """Rows at public places (int64 array)."""
        ...

    def tile(self, a: Any, times: int) -> Vector:
        """The whole vector so many times, one after the other."""
        ...

    # --- with rounds ---
    def addends(self, kind: str, values: Any) -> Vector:
        """Ring elements: the sum of three vectors, of which each party gives one that no other learns."""
        ...

    def mul(self, a: Any, b: Any) -> Vector:
        """Products in a ring."""
        ...

    def and_(self, a: Any, b: Any) -> Vector:
        """And, of words."""
        ...

    def or_(self, a: Any, b: Any) -> Vector:
        """Or, of words."""
        ...

    def equal(self, a: Any, b: Any, bits: int) -> Vector:
        """A bit: whether words of so many bits are equal."""
        ...

    def less(self, a: Any, b: Any, bits: int) -> Vector:
        """A bit: whether ``a < b`` as unsigned words of so many bits."""
        ...

    def bit_to_ring(self, bit: Any, kind: str) -> Vector:
        """Bits as ring elements 0 and 1."""
        ...

    def words_to_ring(self, a: Any, bits: int, kind: str) -> Vector:
        """Words of so many bits as ring elements."""
        ...

    def ring_to_words(self, a: Any, bits: int) -> Vector:
        """The low `bits` bits of ring elements, as words of the least kind that holds them."""
        ...

    def select(self, bit: Any, a: Any, b: Any) -> Vector:
        """``a`` where the bit is 1, else ``b``; words or rings."""
        ...

    # --- permutations ---
    def shuffle(self, vectors: Sequence[Any]) -> Sequence[Vector]:
        """All by one random permutation that no party knows."""
        ...

    def order(self, keys: Sequence[tuple[Any, int]]) -> Order:
        """The stable order, ascending, of pairs of words and their bits, most significant first."""
        ...

    def apply(self, order: Any, vectors: Sequence[Any]) -> Sequence[Vector]:
        """Put into that order."""
        ...

    def unapply(self, order: Any, vectors: Sequence[Any]) -> Sequence[Vector]:
        """Back from that order."""
        ...

    # --- out ---
    def open(self, a: Any) -> Any:
        """The values, to all three parties, as a numpy array; 128-bit ones as [n, 2] of uint64."""
        ...

    def check(self) -> None:
        """Compare hashes of all that was opened; raises where the parties did not see the same."""
        ...
