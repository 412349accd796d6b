# SPDX-License-Identifier: Apache-2.0
"""What every array, scale, level and step must be before a kernel sees it, and what is said if it is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.ring_errors import RingError, ring_kernel
from hitoku.hazmat.ring_parameters import Parameters

__all__ = [
    "MAX_PARTS",
    "Words",
    "as_bytes",
    "checked",
    "checked_level",
    "checked_reals",
    "checked_scale",
    "checked_steps",
    "frozen",
    "kernel_of",
    "rows_of",
]

_WANTED: Final = "the {what} must be a numpy array of uint64, C-contiguous, of shape [{axes}]"
MAX_PARTS: Final = 8
"""Polynomials of a ciphertext, at most: two, and one more for every product before it is relinearised."""
Words = NDArray[np.uint64]


def checked(params: Parameters, words: Any, axes: str, what: str) -> Words:
    """A foreign array, refused unless it can be one of `params`; returned as a read-only view.

    Raises:
        RingError: its type, shape or a residue is wrong; the message says which is expected.
    """
    names = axes.split(", ")
    wanted = _WANTED.format(what=what, axes=axes)
    if not isinstance(params, Parameters):
        raise RingError("bad-parameters", "params must be hitoku.hazmat.ring.Parameters")
    if not isinstance(words, np.ndarray) or words.dtype != np.uint64 or not words.flags.c_contiguous:
        raise RingError("bad-array", wanted)
    if words.ndim != len(names):
        raise RingError("bad-shape", f"{wanted}; this one has {words.ndim} axes")
    level, degree = words.shape[-2:]
    if degree != params.degree:
        raise RingError("bad-shape", f"{wanted}; its last axis is {degree} and the degree is {params.degree}")
    if not 1 <= level <= params.levels:
        raise RingError("bad-shape", f"{wanted}; its level is {level} and there are {params.levels} primes")
    if "parts" in names and not 2 <= words.shape[1] <= MAX_PARTS:
        raise RingError(
            "bad-parts", f"{wanted}; it has {words.shape[1]} parts and a ciphertext has 2 to {MAX_PARTS}"
        )
    with ring_kernel():
        _core.ring_check(params.kernel, words, cores())
    return frozen(words)


def frozen(words: Words) -> Words:
    """A view that cannot be written, so that what was checked stays checked (unless its base is)."""
    view = words.view()
    view.flags.writeable = False
    return view


def checked_scale(params: Parameters, scale: float) -> float:
    """The scale as a float.

    Raises:
        RingError: it is not finite and positive; of BGV: not a whole number below the plain modulus.
    """
    try:
        number = float(scale)
    except (TypeError, ValueError, OverflowError):
        raise RingError("bad-scale", "a scale must be a number") from None
    if not (np.isfinite(number) and number > 0):
        raise RingError("bad-scale")
    if params.plain_modulus is not None and not (number.is_integer() and number < params.plain_modulus):
        raise RingError("bad-scale", "a scale of BGV is a whole number from 1 to the plain modulus less 1")
    return number


def checked_level(params: Parameters, level: int) -> int:
    """The level.

    Raises:
        RingError: it is not a whole number of the primes that there are.
    """
    if not isinstance(level, int | np.integer) or isinstance(level, bool):
        raise RingError("bad-level", "a level is a whole number of primes")
    if not 1 <= level <= params.levels:
        raise RingError("bad-level", f"the level must be 1 to {params.levels}, not {level}")
    return int(level)


def checked_steps(steps: Iterable[int]) -> list[int]:
    """Rotation steps.

    Raises:
        RingError: one is not a whole number, or not below 2^31 in size.
    """
    found = list(steps)
    for step in found:
        if not isinstance(step, int | np.integer) or isinstance(step, bool) or abs(int(step)) >= 1 << 31:
            raise RingError("bad-step", "a rotation step is a whole number of slots, below 2^31 in size")
    return [int(step) for step in found]


def checked_reals(
    params: Parameters, values: Any, scale: float, level: int | None
) -> tuple[NDArray[np.float64], float, int]:
    """Values, scale and level that can be encoded; the values as float64, C-contiguous.

    Raises:
        RingError: the scheme, the shape, the level or the scale is wrong.
    """
    if params.scheme != "ckks":
        raise RingError("bad-scheme", "reals are encoded by parameters of the scheme 'ckks'")
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != params.slots:
        raise RingError(
            "bad-shape", f"values must have the shape [count, {params.slots}], not {list(array.shape)}"
        )
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise RingError("bad-array", f"values must be real numbers, not {array.dtype}")
    level = checked_level(params, params.levels if level is None else level)
    return np.ascontiguousarray(array, dtype=np.float64), checked_scale(params, scale), level


def rows_of(rows: Any, count: int) -> Any:
    """An index of rows that keeps the axis.

    Raises:
        RingError: it is neither a slice nor a list of row numbers that there are.
    """
    if isinstance(rows, slice):
        return rows
    index = np.asarray(rows)
    if index.ndim != 1 or (index.size and not np.issubdtype(index.dtype, np.integer)):
        raise RingError("bad-rows", "rows are chosen by a slice or a one-dimensional list of row numbers")
    if index.size and not (-count <= index.min() and index.max() < count):
        raise RingError("bad-rows", f"a row number is not below the {count} rows that there are")
    return index.astype(np.intp)


def kernel_of(params: Parameters) -> _core.RingParams:
    """The kernel's side of parameters."""
    if not isinstance(params, Parameters):
        raise RingError("bad-parameters", "params must be hitoku.hazmat.ring.Parameters")
    return params.kernel


def as_bytes(data: bytes) -> bytes:
    """The bytes, if they are such."""
    if not isinstance(data, bytes):
        raise RingError("bad-bytes")
    return data
