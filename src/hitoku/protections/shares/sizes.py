# SPDX-License-Identifier: Apache-2.0
"""What owners round their tables' sizes and widths up to, so that they tell little; and kinds of vectors."""

from __future__ import annotations

from typing import Final

from hitoku import limits

__all__ = [
    "least_kind",
    "padded_copies",
    "padded_entries",
    "padded_groups",
    "padded_rows",
    "padded_words",
    "power_of_two",
    "rounded_bounds",
    "width_of",
]

_MOST: Final = 1 << limits.MAX_SHARES_VALUE_BITS
_WIDTHS: Final = {
    "u8": 1, "u16": 2, "u32": 4, "u64": 8, "u128": 16, "r32": 4, "r64": 8, "r128": 16,
}  # fmt: skip


_STEP: Final = 16
_GROUPS: Final = 64
_ENTRIES: Final = 16
_WORDS: Final = 2
_COPIES: Final = 4
"""The least that is said where more than 1 is: below, the exact number would be told."""


def width_of(kind: str) -> int:
    """Bytes of one element of a vector."""
    return _WIDTHS[kind]


def least_kind(bits: int) -> str:
    """The least kind of words that holds so many bits."""
    for kind, most in (("u8", 8), ("u16", 16), ("u32", 32), ("u64", 64)):
        if bits <= most:
            return kind
    return "u128"


def power_of_two(count: int) -> int:
    """The least power of two that is not below `count`; 1 of 0."""
    return 1 << max(count - 1, 0).bit_length()


def padded_groups(count: int) -> int:
    """What a number of groups, that an owner made by itself, is rounded up to: 64, 128, 256..."""
    return max(power_of_two(count), _GROUPS)


def padded_entries(count: int) -> int:
    """What a number of different texts is rounded up to: 16, 32, 64..."""
    return max(power_of_two(count), _ENTRIES)


def padded_words(longest: int) -> int:
    """How many times 8 bytes a text of so many bytes is given: 2, 4, 8..."""
    return max(power_of_two(-(-longest // 8)), _WORDS)


def padded_copies(most: int) -> int:
    """What is said of how many rows one key is in: 1 (it is unique), 4, 8, 16..."""
    return 1 if most <= 1 else max(power_of_two(most), _COPIES)


def padded_rows(count: int) -> int:
    """What a number of rows is rounded up to: at most 1/16 more, and at least 1."""
    bits = max(count, 1).bit_length()
    step = 1 << max(bits - 5, 0)
    return -(-max(count, 1) // step) * step


def rounded_bounds(low: int, high: int) -> tuple[int, int]:
    """Bounds rounded outward: the width is a multiple of 4 bits, the low end one of a sixteenth of it.

    The low end is one of 16, too: else a column of one value would be told as it is. ``2000, 2023`` become
    ``2000, 2255``, and ``7, 7`` become ``0, 15``. What fits 64 signed bits, or `limits.MAX_SHARES_VALUE_BITS`
    and a sign, stays within them.
    """
    width, begin = 4, low
    while True:
        unit = max(1 << (width - 4), _STEP)
        begin = low // unit * unit
        if begin + (1 << width) > high:
            break
        width += 4
    end = begin + (1 << width) - 1
    for least, most in ((-(1 << 63), (1 << 63) - 1), (1 - _MOST, _MOST - 1)):
        if least <= low and high <= most:
            return max(begin, least), min(end, most)
    return begin, end
