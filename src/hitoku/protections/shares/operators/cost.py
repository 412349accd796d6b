# SPDX-License-Identifier: Apache-2.0
"""Rounds and bytes of the kernel's operations by public sizes; a test holds them to the kernel's counters.

Bytes are those of all three parties together, without framing. `n` stands for rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from hitoku.protections.shares.operators.kinds import BITS, RINGS

__all__ = [
    "Cost",
    "bit_to_ring",
    "equal",
    "less",
    "moved",
    "order",
    "product",
    "ring_to_words",
    "select",
    "words_to_ring",
]

_HALVES = (64, 32, 16, 8, 4, 2, 1)
_HASHES = 64
"""Bytes by which parties compare at the end of a sort what they opened."""
_BATCH = 1 << 26
"""Bytes of rows that a shuffle moves at once."""
_SWITCH = 1 << 17
"""What a sort counts for a further run of bits, beside bytes."""


@dataclass(frozen=True)
class Cost:
    """Rounds, and bytes."""

    rounds: int
    bytes: int


def product(kind: str, n: int) -> Cost:
    """A product, an AND, an opening: one element from each party."""
    return Cost(1, 3 * n * BITS[kind] // 8)


def bit_to_ring(kind: str, n: int) -> Cost:
    """One element dealt, two exchanged."""
    return Cost(2, 3 * n * BITS[kind] // 8)


def select(kind: str, n: int) -> Cost:
    """A product; in a ring the bit is converted before."""
    if kind not in RINGS:
        return product(kind, n)
    return Cost(3, 2 * product(kind, n).bytes)


def equal(bits: int, n: int) -> Cost:
    """Halves of words, then of bytes of packed rows, one AND a level."""
    halves = [half for half in _HALVES if bits > half]
    return Cost(len(halves), 3 * n * sum(halves) // 8)


def less(bits: int, n: int) -> Cost:
    """Two ANDs a level; at the end one, or another where there is no spare place."""
    width = 1 << (bits - 1).bit_length()
    halves = [half for half in _HALVES if width > half]
    if bits == width:
        return Cost(len(halves) + 1, 3 * n * (2 * sum(halves) + 1) // 8)
    return Cost(len(halves), 3 * n * (2 * sum(halves) - 1) // 8)


def _carries(places: int) -> int:
    return (places - 1).bit_length() if places >= 2 else 0


def ring_to_words(kind: str, bits: int, n: int) -> Cost:
    """Half sums, then an AND for each level of carries, of words as narrow as the result."""
    if bits == 1:
        return Cost(0, 0)
    levels = _carries(bits - 1)
    width = min(BITS[kind], max(1 << (bits - 1).bit_length(), 8))
    return Cost(2 + levels, (1 + levels) * 3 * n * width // 8)


def words_to_ring(bits: int, kind: str, n: int) -> Cost:
    """Bit by bit where they are few, else a subtraction of what a dealer knows."""
    one = product(kind, n).bytes
    if bits <= BITS[kind].bit_length() - 1 + 2:
        return Cost(2 * bits, bits * one)
    levels = _carries(BITS[kind] - 1)
    return Cost(3 + levels, (2 + levels) * one)


def moved(kinds: Sequence[str], n: int) -> Cost:
    """A shuffle, or an order applied: four words a row, in batches."""
    batches, filled = 0, _BATCH + 1
    for kind in kinds:
        size = n * BITS[kind] // 8
        filled += size
        if filled > _BATCH:
            batches, filled = batches + 1, size
    return Cost(2 * batches, 4 * n * sum(BITS[kind] for kind in kinds) // 8)


# --- sorting: words of 4 bytes a row, by digits of two bits ---


def _digit(bits: int, n: int) -> Cost:
    """Destinations of a digit: handed over, moved, opened."""
    flags = 1 if bits == 1 else 3
    return Cost(4, n * 4 * (3 * flags + 1 + 2 + 2))


def _finish(n: int) -> Cost:
    """Numbers of rows: handed over, moved, opened."""
    return Cost(3, 4 * 5 * n)


@lru_cache(maxsize=1024)
def order(bits: int, n: int) -> Cost:
    """A radix sort of keys of so many bits in all."""
    if n <= 1 or bits == 0:
        return Cost(0, 0)
    if bits <= 2:
        found = _digit(bits, n)
        return Cost(found.rounds + 1, found.bytes + _HASHES)
    rounds, total = 1, _HASHES
    for place, run in enumerate(_runs(bits, n)):
        number = _number_bits(n)
        state = 4 if max(run - 2, 0) + number <= 32 else 8
        if place:
            finished = _finish(n)
            word = max(1 << (-(-run // 8) - 1).bit_length(), 1)
            rounds += finished.rounds + 2 + 1
            total += finished.bytes + 4 * word * n + 4 * n
        left = run
        first = True
        while left > 0:
            digit = _digit(min(left, 2), n)
            left -= min(left, 2)
            rounds += digit.rounds + (0 if first else 2)
            total += digit.bytes + 2 * state * n + (0 if first else 2 * (-(-n // 4)) + state * n)
            first = False
    finished = _finish(n)
    return Cost(rounds + finished.rounds, total + finished.bytes)


def _number_bits(n: int) -> int:
    return max(n - 1, 2).bit_length()


def _runs(total: int, n: int) -> list[int]:
    """Bits of the runs, as the kernel finds them: fewest bytes a row."""
    number = _number_bits(n)

    def size(left: int) -> int:
        return 4 if left + number <= 32 else 8

    def cost(bits: int) -> int:
        left = max(bits - 2, 0)
        found = 2 * size(left)
        while left > 0:
            left = max(left - 2, 0)
            found += 3 * size(left)
        return found

    def between(bits: int) -> int:
        word = 1 << max((-(-bits // 8) - 1).bit_length(), 0)
        return 5 * 4 + 4 * word + 4 + _SWITCH // n

    most = 64 + 2 - number
    least: list[tuple[int, int]] = [(0, 0)]
    for bits in range(1, total + 1):
        options = [
            (least[bits - run][0] + cost(run) + (0 if bits == run else between(run)), run)
            for run in range(1, min(bits, most) + 1)
            if (bits - run) % 2 == 0
        ]
        least.append(min(options, default=(2**62, 0)))
    found = []
    left = total
    while left > 0:
        found.append(least[left][1])
        left -= found[-1]
    return found[::-1]
