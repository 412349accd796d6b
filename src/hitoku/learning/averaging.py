# SPDX-License-Identifier: Apache-2.0
"""Sums and weighted averages in fixed point, exact over whoever stayed, with a proven bound.

A member's numbers are sums over its rows, or its weights times its rows. With at most R rows a member
(members refuse to bring more) and at most `row` from each (`RANGE` for weights), a contribution lies within
``R * row * 2^bits``, and the sum of M members within M times that; `bits` is the most, up to 36, that keeps
it below 2^62. A member whose numbers leave the range cuts them off and counts how many; the count is
summed, too, so that the driver can say so. Nothing proves that a member did as told: what it sends in the
ring can be anything (votes on holdouts are the answer to that).

Differencing. Two sums over sets S and S' at the same weights would give the lost member's part away. So a
member whose set is not its first one draws four fifths of its rows for the new set, by the system's
randomness (`FreshRows`), and the sums of preparation are never made over a second set.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError, Refusal
from hitoku.learning.base import Instruction
from hitoku.learning.plan import Plan
from hitoku.room.files import write_whole

__all__ = [
    "RANGE",
    "FixedPoint",
    "FreshRows",
    "averaged",
    "generator",
    "not_asked",
    "summed",
]

RANGE: Final = 256.0
_MOST_BITS: Final = 36
_LEAST_BITS: Final = 14
_FRESH: Final = 0.8
_MOST_SETS: Final = 64


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """How a member's numbers become whole ones.

    Attributes:
        bits: numbers are multiples of 2^-bits.
        most: no number is larger; what is larger is cut off.
        rows: no member has more.
    """

    bits: int
    most: float
    rows: int

    @property
    def bound(self) -> int:
        """No value of a contribution is larger."""
        return max(int(self.most * 2.0**self.bits) + 1, self.rows, 1 << 27)

    def encode(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        """Whole numbers and, last, how many of them were cut off; shape (values + 1,)."""
        wide = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=self.most, neginf=-self.most)
        cut = int(np.count_nonzero(~(np.abs(values) <= self.most)))
        whole = np.rint(np.clip(wide, -self.most, self.most) * 2.0**self.bits).astype(np.int64)
        return np.append(whole, cut)

    def decode(self, total: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
        """The sums and how many numbers were cut off."""
        return np.ldexp(total[:-1].astype(np.float64), -self.bits), int(total[-1])


def summed(plan: Plan, row: float) -> FixedPoint:
    """The scale for sums over rows of which none adds more than `row` to any number.

    Raises:
        InputError: a plan of so many rows and members leaves no bits.
    """
    most = row * plan.data.rows
    bits = min(_MOST_BITS, math.floor(61.9 - math.log2(len(plan.members) * most)))
    if bits < 0:
        raise InputError("data.rows: sums over so many rows would be too coarse; lower it")
    return FixedPoint(bits, most, plan.data.rows)


def averaged(plan: Plan) -> FixedPoint:
    """The scale for weights times a member's rows.

    Raises:
        InputError: a plan of so many rows and members leaves less than 14 bits.
    """
    made = summed(plan, RANGE)
    if made.bits < _LEAST_BITS:
        raise InputError("data.rows: averages over so many rows would be too coarse; lower it")
    return made


class FreshRows:
    """Which rows a member computes with: all of them for its first set, four fifths drawn anew for another.

    The rows of a set are drawn once, so that a model can converge on them; no set but the first is over all.

    Args:
        rows: how many there are.
        path: a file that keeps which set was the first, over restarts; None: in memory.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, rows: int, path: Path | None = None) -> None:
        self._rows, self._path = rows, path
        self._first: tuple[str, ...] | None = None
        self._drawn: dict[tuple[str, ...], NDArray[np.int64]] = {}
        if path is not None and path.exists():
            try:
                names = json.loads(path.read_bytes())
            except ValueError as error:
                raise InputError(f"{path.name}: not the first set of a run") from error
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise InputError(f"{path.name}: not the first set of a run")
            self._first = tuple(names)

    def of(self, members: tuple[str, ...], whole: bool | None = None) -> NDArray[np.int64] | None:
        """Row numbers, ascending; None for all.

        Args:
            members: the set.
            whole: whether all rows may be in the sum, as this member's memory of sets says
                (`aggregate.memory`), which knows the sums of other kinds, too, and whose sets opened. None:
                where there is none, all rows are for the first set that is asked about here.
        """
        if whole:
            return None
        if whole is None and self._first is None:
            if self._path is not None:
                write_whole(self._path, json.dumps(list(members)).encode())
            self._first = members
        if whole is None and members == self._first:
            return None
        if members not in self._drawn:
            if len(self._drawn) >= _MOST_SETS:
                self._drawn.pop(next(iter(self._drawn)))
            some = generator().permutation(self._rows)[: round(_FRESH * self._rows)]
            self._drawn[members] = np.sort(some)
        return self._drawn[members]


def generator() -> np.random.Generator:
    """A generator from the system's randomness: nobody else can know which rows it chooses."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(os.urandom(32), "big")))


def not_asked(_: Instruction | Mapping[str, object]) -> Refusal:
    """The refusal of what the plan does not name."""
    return Refusal(
        "LEARNING_NOT_IN_PLAN",
        "the plan that this member signed does not name this work, or not with these sizes",
        rule="model",
        remedy="a server of the same version and plan asks for nothing else",
    )
