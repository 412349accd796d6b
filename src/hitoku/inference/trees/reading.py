# SPDX-License-Identifier: Apache-2.0
"""How a model reads its inputs before any tree asks: precision, missing values, categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError

__all__ = ["MAX_CATEGORIES", "Bools", "Column", "below_single", "prepare"]

Bools: TypeAlias = NDArray[np.bool_]

MAX_CATEGORIES: Final = 1_024
"""Categories of one column that a model asks for."""
ZERO: Final = 1e-35
"""LightGBM's kZeroThreshold: numbers so small are zero where zero means missing."""


@dataclass(frozen=True, slots=True)
class Column:
    """How a model reads one feature. Known to whoever sends inputs.

    Attributes:
        name: the feature's name.
        missing: ``refused``: NaN is not taken; ``nan``: NaN is a missing value; ``zero``: NaN and zero
            are; ``as_zero``: NaN is read as 0 (numbers) or as no known category.
        categories: the category values the model may ask for; None: a number.
        reading: how a number becomes a category: ``exact``: as it is; ``cast``: without its fraction, as
            C casts to int; ``natural``: the same, but a negative number is no category.
        unknown: a category that is not among `categories` counts as ``missing`` or as ``other``.
        marker: a number that stands for a missing value beside NaN, or None.
    """

    name: str
    missing: Literal["refused", "nan", "zero", "as_zero"] = "refused"
    categories: tuple[float, ...] | None = None
    reading: Literal["exact", "cast", "natural"] = "exact"
    unknown: Literal["missing", "other"] = "other"
    marker: float | None = None

    @property
    def can_miss(self) -> bool:
        """Whether a missing value is told from the others."""
        return self.missing in ("nan", "zero") or self.unknown == "missing"


def prepare(columns: Sequence[Column], precision: str, infinite: bool, x: ArrayLike) -> tuple[Floats, Bools]:
    """See `Forest.prepared`. A missing entry's value is 0."""
    given = np.asarray(x)
    if given.ndim != 2 or given.shape[1] != len(columns):
        shape = " x ".join(map(str, given.shape))
        raise ModelError("SHAPE", f"takes samples x {len(columns)} features, got {shape}", where="input")
    if given.dtype.kind not in "fiub":
        raise ModelError("VALUE", "takes numbers", where="input", remedy="encode categories as numbers")
    values = given.astype(np.float64)
    missing = np.isnan(values)
    for at, column in enumerate(columns):
        if column.missing == "refused" and missing[:, at].any():
            raise ModelError("VALUE", "takes no missing values", where=f'feature "{column.name}"')
        if column.marker is not None:
            missing[:, at] |= _rounded(values[:, at], precision) == _rounded(
                np.asarray([column.marker]), precision
            )
    values = _rounded(values, precision)
    values[missing] = 0.0
    if not infinite and np.isinf(values).any():
        at = int(np.flatnonzero(np.isinf(values).any(axis=0))[0])
        where = f'feature "{columns[at].name}"'
        raise ModelError("VALUE", f"takes no infinite values and none beyond {precision}", where=where)
    for at, column in enumerate(columns):
        if column.categories is None:
            if column.missing == "zero":
                missing[:, at] |= np.abs(values[:, at]) <= ZERO
            elif column.missing == "as_zero":
                missing[:, at] = False
        else:
            _categories(column, values[:, at], missing[:, at])
    return values, missing


def _rounded(values: NDArray[Any], precision: str) -> Floats:
    if precision == "float64":
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64)


def below_single(numbers: Floats) -> Floats:
    """The largest float32 that is not above: ``x > t`` says the same of every float32 x."""
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    above = single.astype(np.float64) > numbers
    single[above] = np.nextafter(single[above], np.float32(-np.inf))
    return single.astype(np.float64)


def _categories(column: Column, values: Floats, missing: Bools) -> None:
    """Rounds category values in place. NaN stands for a value that is no known category."""
    if column.reading != "exact":
        taken = (values >= 0 if column.reading == "natural" else values > -1) & (values < 2**31)
        values[:] = np.where(taken, np.trunc(values), np.nan) + 0.0
    other = missing | ~np.isin(values, np.asarray(column.categories or ()))
    values[other] = np.nan
    if column.unknown == "missing":
        missing |= other
    elif column.missing == "as_zero":
        missing[:] = False
