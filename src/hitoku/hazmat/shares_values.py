# SPDX-License-Identifier: Apache-2.0
"""Values and their shares as bytes: kinds, whole numbers in arrays, an owner's split and its expansion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import _core
from hitoku.hazmat.shares_errors import SharesError, shares_kernel

__all__ = [
    "BITS",
    "KINDS",
    "RINGS",
    "WORDS",
    "as_array",
    "as_integers",
    "as_number",
    "expand",
    "split",
    "split_permutation",
]

WORDS: Final = ("u8", "u16", "u32", "u64", "u128")
"""Kinds that are shared bitwise: value = share 0 XOR share 1 XOR share 2."""
RINGS: Final = ("r32", "r64", "r128")
"""Kinds that are shared additively: value = share 0 + share 1 + share 2, modulo 2 to the number of bits."""
KINDS: Final = WORDS + RINGS
BITS: Final = {kind: int(kind[1:]) for kind in KINDS}
"""Bits of an element, by kind."""
_LOW: Final = 2**64 - 1


def checked_kind(kind: Any, among: Sequence[str] = KINDS) -> str:
    """The kind, if it is one of these."""
    if not isinstance(kind, str) or kind not in among:
        raise SharesError("kind", f"the kind must be one of {', '.join(among)}")
    return kind


def checked_count(count: Any, what: str, least: int = 0) -> int:
    """A number of rows or the like as an int."""
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < least:
        raise SharesError("value", f"{what} must be a whole number, {least} or more")
    return int(count)


def as_number(kind: str, value: Any) -> int:
    """A whole number as an element of a kind: below 2 to its bits; negative ones, of rings only, wrap.

    Raises:
        SharesError: it is not a whole number (``value``), or does not fit.
    """
    bits = BITS[checked_kind(kind)]
    if not isinstance(value, (int, np.integer, np.bool_)):
        raise SharesError("value", "this takes whole numbers")
    least = -(2 ** (bits - 1)) if kind in RINGS else 0
    number = int(value)
    if not least <= number < 2**bits:
        raise SharesError("value", f"a value does not fit the kind {kind}")
    return int(number % 2**bits)


def as_array(kind: str, values: Any) -> NDArray[Any]:
    """Whole numbers as the array that the kernel takes.

    Args:
        kind: of the vector to be.
        values: an array or sequence of whole numbers; of 128-bit kinds also uint64[rows, 2], low half first.
            Negative numbers are taken modulo 2 to the number of bits, in rings only.

    Returns:
        Unsigned integers of the kind's width, C-contiguous, [rows]; of 128-bit kinds uint64[rows, 2].

    Raises:
        SharesError: not whole numbers, of a wrong shape, or a number that does not fit (``value``).
    """
    bits = BITS[checked_kind(kind)]
    if not isinstance(values, np.ndarray):
        try:
            values = np.array(list(values), object)
        except (TypeError, ValueError):
            raise SharesError("value", "this takes a sequence of whole numbers") from None
    if bits == 128 and values.ndim == 2 and values.shape[1] == 2 and values.dtype == np.uint64:
        return np.ascontiguousarray(values)
    if values.ndim != 1:
        raise SharesError(
            "value", "values must be an array of one axis (of 128-bit kinds also uint64[rows, 2])"
        )
    wanted = np.dtype(f"uint{min(bits, 64)}")
    if values.dtype == wanted and bits <= 64:
        return np.ascontiguousarray(values)
    if values.dtype.kind not in "biuO":
        raise SharesError("value", "values must be whole numbers")
    if values.dtype.kind == "O" or bits == 128:
        numbers = [as_number(kind, value) for value in values.tolist()]
        if bits <= 64:
            return np.array(numbers, wanted)
        halves = [(number & _LOW, number >> 64) for number in numbers]
        return np.array(halves, np.uint64).reshape(-1, 2)
    if len(values):
        as_number(kind, values.min())
        as_number(kind, values.max())
    made: NDArray[Any] = values.astype(wanted)
    return made


def as_integers(kind: str, values: NDArray[Any], signed: bool = False) -> list[int]:
    """What `Party.open` gives, as Python's integers; `signed` reads the upper half as negative."""
    bits = BITS[checked_kind(kind)]
    numbers: list[int] = values.tolist()
    if bits == 128:
        numbers = [low | high << 64 for low, high in values.tolist()]
    if not signed:
        return numbers
    half = 2 ** (bits - 1)
    return [(number + half) % 2**bits - half for number in numbers]


def checked_seed(seed: Any) -> bytes:
    if not isinstance(seed, bytes) or len(seed) != 32:
        raise SharesError("seed")
    return seed


def checked_label(label: Any) -> int:
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < 2**64:
        raise SharesError("label")
    return label


def split(kind: str, values: Any, seed_a: bytes, seed_b: bytes, label: int) -> bytes:
    """An owner's explicit share of a column: the values less what the two seeds expand to.

    Server 0 gets both seeds, server 1 `seed_b` and these bytes, server 2 `seed_a` and these bytes. So an
    upload is as large as the data, and goes once: server 1 relays it to server 2, which checks it against the
    owner's hash.

    Who learns what: a server that misses one of the three shares misses a pad: server 0 the explicit share;
    to server 1 the bytes are masked by the expansion of `seed_a`, to server 2 by that of `seed_b`.
    Assumption: AES-128 in counter mode is a pseudo-random function, seeds are fresh from the operating
    system, and a pair (seed, label) is used for one column only: two columns under one pair tell each server
    their difference.
    Simulator: uniform bytes for server 1 and 2, fresh seeds for all.
    F(seed, label): AES-128 in counter mode under the first 16 bytes of SHA-256("hitoku/shares-upload/1",
    seed, label in 8 bytes), all little-endian; the counter begins at 255 * 2**72, one block is 2**80.
    Source: Araki et al., CCS 2016, section 2 (the sharing); a seed for a share is folklore.

    Args:
        kind: of the vector to be.
        values: as `as_array` takes them.
        seed_a: 32 random bytes; expands to share 0.
        seed_b: 32 random bytes; expands to share 1.
        label: of this column, below 2**64: never the same twice under the same seeds.

    Returns:
        Share 2: little-endian elements.

    Raises:
        SharesError: ``value``, ``kind``, ``seed`` or ``label``.
    """
    array = as_array(kind, values)
    a, b, number = checked_seed(seed_a), checked_seed(seed_b), checked_label(label)
    if a == b:
        raise SharesError("seed", "the two seeds are the same: draw each from the operating system")
    with shares_kernel():
        return _core.shares_split(kind, array, a, b, number)


def expand(kind: str, rows: int, seed: bytes, label: int) -> bytes:
    """What a seed stands for: the share of a column that `split` took away, for `Party.load`.

    Raises:
        SharesError: ``kind``, ``value`` (of `rows`), ``seed`` or ``label``.
    """
    checked_kind(kind)
    count = checked_count(rows, "rows")
    with shares_kernel():
        return _core.shares_expand(kind, count, checked_seed(seed), checked_label(label))


def split_permutation(places: Any, seed_a: bytes, seed_b: bytes, label: int) -> bytes:
    """An owner's explicit part of an order that it knows, for `Party.owner_order`.

    The order is composed of three permutations, two drawn from the seeds; this is the third. Server 0 gets
    both seeds, server 1 `seed_b` and these bytes, server 2 `seed_a` and these bytes.

    Who learns what: server 0 has two permutations that were drawn without the order. Servers 1 and 2 have
    the explicit one, which is the order composed with a uniformly random permutation that this server lacks.
    Simulator: fresh seeds and a uniformly random permutation. Assumptions as of `split`.
    Source: Laur, Willemson, Zhang, ISC 2011 (composition of permutations that each miss at one party).

    Args:
        places: the row that becomes row 0, 1, ...: what ``numpy.argsort`` gives; each row once.
        seed_a: 32 random bytes.
        seed_b: 32 random bytes.
        label: of this order, below 2**64: never the same twice under the same seeds.

    Returns:
        The third permutation: little-endian words of 32 bits.

    Raises:
        SharesError: ``permutation``, ``value``, ``seed`` or ``label``.
    """
    array = as_array("u32", places)
    if not np.array_equal(np.sort(array), np.arange(len(array))):
        raise SharesError("permutation")
    a, b, number = checked_seed(seed_a), checked_seed(seed_b), checked_label(label)
    if a == b:
        raise SharesError("seed", "the two seeds are the same: draw each from the operating system")
    with shares_kernel():
        return _core.shares_permutation_split(array, a, b, number)
