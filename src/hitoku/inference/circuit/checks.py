# SPDX-License-Identifier: Apache-2.0
"""What `Builder` and the reader of stored circuits ask of every argument, with the limits.

A stored circuit is read by building it again, so these checks stand between hostile bytes and every
interpreter: sizes, shapes, finite numbers, steps inside the slots.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hitoku.inference.circuit.errors import CircuitError
from hitoku.inference.circuit.node import Values, frozen
from hitoku.inference.circuit.program import Program

MAX_NODES: Final = 100_000
MAX_COUNT: Final = 1 << 20
MAX_LEVEL: Final = 32
# Polynomials of a ciphertext, as many as the fused kernel takes: a product of 7 fresh ones.
MAX_PARTS: Final = 8
MAX_NAME_CHARS: Final = 120
MAX_WEIGHT: Final = (1 << 31) - 1
MAX_ARRAY_BYTES: Final = 1 << 31


def _wrong(code: str, message: str) -> CircuitError:
    return CircuitError(code, message)


def whole(value: Any, what: str, low: int, high: int) -> int:
    """A whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise _wrong("NUMBER", f"{what} must be a whole number from {low} to {high}")
    return int(value)


def slots(value: int) -> int:
    """The number of slots: a power of two."""
    value = whole(value, "slots", 512, 16384)
    if value & (value - 1):
        raise _wrong("NUMBER", "slots must be a power of two")
    return value


def count(value: int) -> int:
    """How many ciphertexts a value has."""
    return whole(value, "count", 1, MAX_COUNT)


def level(value: int) -> int:
    """How many primes."""
    return whole(value, "level", 1, MAX_LEVEL)


def step(value: int, slots: int) -> int:
    """A rotation, brought into [0, slots)."""
    return whole(value, "step", -(1 << 31), 1 << 31) % slots


def scale(value: Any, what: str = "scale") -> float:
    """A positive, finite number."""
    number = float(value)
    if not (np.isfinite(number) and 2.0**-200 <= number <= 2.0**400):
        raise _wrong("NUMBER", f"{what} must be a positive number from 2^-200 to 2^400")
    return number


def plain_scale(scale_: float | None, to: float | None) -> dict[str, float | None]:
    """The scale of constants: stated, or by what the value shall have after the next rescale."""
    if (scale_ is None) == (to is None):
        raise _wrong("NUMBER", "give either scale or to")
    return {
        "scale": None if scale_ is None else scale(scale_),
        "to": None if to is None else scale(to, "to"),
    }


def name(value: Any, taken: Collection[str], what: str) -> None:
    """A name of letters that print, not used before."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_CHARS or not value.isprintable():
        raise _wrong("NAME", f"an {what}'s name has 1 to {MAX_NAME_CHARS} printable characters")
    if value in taken:
        raise _wrong("NAME", f"the {what} {value!r} is there already")


def size(nodes: int) -> None:
    """Room for one more operation."""
    if nodes >= MAX_NODES:
        raise _wrong("TOO_LARGE", f"a circuit has at most {MAX_NODES:,} operations")


def reals(values: npt.ArrayLike, what: str, shape: tuple[int, ...] | None = None) -> Values:
    """Finite float64 numbers of a shape."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.size * 8 > MAX_ARRAY_BYTES:
        raise _wrong("SHAPE", f"{what} must be an array of real numbers below 2 GB")
    array = array.astype(np.float64)
    if shape is not None and array.shape != shape:
        raise _wrong("SHAPE", f"{what} must have the shape {list(shape)}, not {list(array.shape)}")
    if not np.isfinite(array).all():
        raise _wrong("NUMBER", f"{what} holds a number that is not finite")
    return frozen(array)


def weights(values: npt.ArrayLike, columns: int) -> Values:
    """Whole numbers [out, columns] below 2^31, in their narrowest type."""
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != columns or not 1 <= array.shape[0] <= MAX_COUNT:
        raise _wrong("SHAPE", f"weights must have the shape [out, {columns}], not {list(array.shape)}")
    if array.dtype.kind not in "iu" or array.size * 8 > MAX_ARRAY_BYTES:
        raise _wrong("NUMBER", "weights must be whole numbers, in an array of an integer type")
    if max(-int(array.min()), int(array.max())) > MAX_WEIGHT:
        raise _wrong("NUMBER", "weights must be below 2^31")
    return frozen(array.astype(np.int64))


def indices(values: Any, columns: int) -> Values:
    """Positions below `columns`."""
    array = np.asarray(values)
    if array.ndim != 1 or not 1 <= array.size <= MAX_COUNT or array.dtype.kind not in "iu":
        raise _wrong("SHAPE", "indices must be a list of whole numbers")
    if int(array.min()) < 0 or int(array.max()) >= columns:
        raise _wrong("SHAPE", f"an index is not from 0 to {columns - 1}")
    return frozen(array.astype(np.int64))


def plain(values: npt.ArrayLike, what: str, count: int, slots: int, *, one_row: str) -> Values:
    """Constants brought to two dimensions: [1 or count, 1 or slots].

    A list is one number for each ciphertext (`one_row` "count") or one for each slot ("slots").
    """
    array = np.asarray(values, dtype=None)
    if array.ndim == 0:
        array = array.reshape(1, 1)
    elif array.ndim == 1:
        array = array.reshape(-1, 1) if one_row == "count" else array.reshape(1, -1)
    if array.ndim != 2 or array.shape[0] not in (1, count) or array.shape[1] not in (1, slots):
        raise _wrong("SHAPE", f"{what} do not fit {count} ciphertexts of {slots} slots")
    return reals(array, what)


def bounds(bound: Any, count: int, slots: int) -> tuple[Values, Values]:
    """Lowest and highest values, each [1 or count, 1 or slots]."""
    if isinstance(bound, tuple):
        if len(bound) != 2:
            raise _wrong("SHAPE", "a bound is a number or a pair (low, high)")
        low, high = (plain(b, "bounds", count, slots, one_row="count") for b in bound)
    else:
        high = plain(bound, "bounds", count, slots, one_row="count")
        low = frozen(-high)
    if (low > high).any():
        raise _wrong("NUMBER", "a lower bound is above the upper one")
    return low, high


def diagonals(
    maps: Sequence[Sequence[Mapping[int, npt.ArrayLike]]], slots: int
) -> tuple[tuple[tuple[tuple[int, ...], ...], ...], Values]:
    """Steps by target and source, rising, and all diagonals one after the other [sum of steps, slots]."""
    count(len(maps))
    rows: list[Values] = []
    steps = tuple(tuple(_steps(one, slots, rows) for one in target) for target in maps)
    if not all(any(target) for target in steps):
        raise _wrong("SHAPE", "a map has no diagonal other than zero")
    return steps, frozen(np.stack(rows))


def _steps(one: Mapping[int, npt.ArrayLike], slots: int, rows: list[Values]) -> tuple[int, ...]:
    """A map's steps; its diagonals are appended to `rows`."""
    merged: dict[int, Values] = {}
    for k, diagonal in one.items():
        row = reals(diagonal, "a diagonal", (slots,))
        at = step(k, slots)
        merged[at] = merged[at] + row if at in merged else row
    # Diagonals of zeros cost a rotation and change nothing.
    kept = {k: row for k, row in sorted(merged.items()) if row.any()}
    rows.extend(kept.values())
    return tuple(kept)


def prune(program: Program) -> Program:
    """The circuit without operations that no output needs; inputs stay, they are its signature."""
    needed = set(program.outputs.values()) | set(program.inputs.values())
    for index in range(len(program.nodes) - 1, -1, -1):
        if index in needed:
            needed.update(program.nodes[index].args)
    order = {old: new for new, old in enumerate(sorted(needed))}
    nodes = tuple(
        replace(program.nodes[old], args=tuple(order[a] for a in program.nodes[old].args)) for old in order
    )
    return Program(program.slots, nodes)
