# SPDX-License-Identifier: Apache-2.0
"""Which kind of vector holds what, and numbers that fit it."""

from __future__ import annotations

from typing import Final

from hitoku.protections.shares.program import Type

__all__ = ["BITS", "RINGS", "WORDS", "fitting_ring", "ring_kind", "word_kind", "wrapped"]

WORDS: Final = ("u8", "u16", "u32", "u64", "u128")
RINGS: Final = ("r32", "r64", "r128")
BITS: Final = {kind: int(kind[1:]) for kind in WORDS + RINGS}


def word_kind(bits: int) -> str:
    """The least kind of words of so many bits.

    Raises:
        ValueError: more than 128; a planner must not make such a program.
    """
    for kind in WORDS:
        if bits <= BITS[kind]:
            return kind
    raise ValueError(f"the program has a value of {bits} bits; 128 are the most")


def fitting_ring(bits: int, least: str = "r32") -> str:
    """The least ring of so many bits, and not below `least`.

    Raises:
        ValueError: more than 128.
    """
    for kind in RINGS[RINGS.index(least) :]:
        if bits <= BITS[kind]:
            return kind
    raise ValueError(f"the program has a number of {bits} bits; 128 are the most")


def ring_kind(kind: Type, least: str = "r64") -> str:
    """The least ring that tells all values of a type apart; sums on the way may wrap."""
    return fitting_ring(kind.bits, least)


def wrapped(kind: str, value: int) -> int:
    """A whole number modulo 2 to the kind's bits."""
    return int(value % 2 ** BITS[kind])
