# SPDX-License-Identifier: Apache-2.0
"""What a client does to a sample before it encrypts: bits for public bins, categories, missing values.

A number x becomes the bits ``x > bin`` for the feature's bins in rising order (a thermometer), a category the
bits ``x is c`` (one-hot), and where a model tells missing values from others one more bit says that x is
missing, then all others are 0. With `double` there is a second thermometer, of the bits ``x > bin or x is
missing``: then every answer to a question about a number is one bit, which the packed layout wants; which of
the two a node takes stays the model's secret. Comparisons are the dear part of trees under encryption; here
the client has made all of them, and the server only selects.

**What the client learns**: the bins, the categories, which features have any, where missing values are told
apart. Not which tree asks what, in what order, with which leaves, nor how often. With bins of the model's own
(the default) the set of its thresholds is known; with a public grid (`grid`) only that they lie on it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitoku.inference.errors import ModelError
from hitoku.inference.trees.branches import Branch, Question, Shape
from hitoku.inference.trees.forest import Forest
from hitoku.inference.trees.grid import rising
from hitoku.inference.trees.reading import Column, prepare

__all__ = ["MAX_BITS", "Thermometer", "questions_of", "thermometer_of"]

MAX_BITS: Final = 1 << 16


@dataclass(frozen=True)
class Thermometer:
    """How samples become bits. Holds no part of the model but its bins.

    Attributes:
        columns: how each feature is read.
        bins: for each feature its bins, rising; empty for categories and unused features.
        missing: for each feature whether it has a bit for missing values.
        precision: what numbers are rounded to before they are compared.
        infinite: whether infinite inputs are taken.
        double: whether numbers that can be missing have two thermometers.
    """

    columns: tuple[Column, ...]
    bins: tuple[tuple[float, ...], ...]
    missing: tuple[bool, ...]
    precision: Literal["float32", "float64"] = "float64"
    infinite: bool = False
    double: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise ModelError(
                "TOO_LARGE",
                f"needs {self.bits:,} bits, 1 to {MAX_BITS:,} can be",
                where="encoder",
                remedy="train with fewer bins (max_bin)",
            )

    @property
    def features(self) -> int:
        """How many columns a sample has."""
        return len(self.columns)

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for column, bins, missing in zip(self.columns, self.bins, self.missing, strict=True):
            thermometers = len(bins) * (2 if self.double and missing else 1)
            starts.append(starts[-1] + thermometers + len(column.categories or ()) + missing)
        return starts

    @property
    def bits(self) -> int:
        """How many bits a sample becomes."""
        return self._starts[-1]

    def encode(self, x: ArrayLike) -> NDArray[np.uint8]:
        """The bits of samples [samples, features], uint8[samples, bits].

        Raises:
            ModelError: a shape that does not fit, or values that the model does not take (infinite, missing
                where none can be); the value is not quoted.
        """
        values, missing = prepare(self.columns, self.precision, self.infinite, x)
        found = np.zeros((len(values), self.bits), dtype=np.uint8)
        for at, (column, bins) in enumerate(zip(self.columns, self.bins, strict=True)):
            place, of = self._starts[at], values[:, at]
            there = ~missing[:, at]
            if bins:
                above = (of[:, None] > np.asarray(bins)) & there[:, None]
                found[:, place : place + len(bins)] = above
                if self.double and self.missing[at]:
                    found[:, place + len(bins) : place + 2 * len(bins)] = above | missing[:, at : at + 1]
            elif column.categories:
                known = (of[:, None] == np.asarray(column.categories)) & there[:, None]
                found[:, place : place + len(column.categories)] = known
            if self.missing[at]:
                found[:, self._starts[at + 1] - 1] = missing[:, at]
        return found

    def bits_of(self, question: Question) -> tuple[int, ...]:
        """The bits whose sum is a question's answer; none where it is always left.

        Raises:
            ModelError: the threshold is no bin here.
        """
        at, column = question.feature, self.columns[question.feature]
        place = self._starts[at]
        found: list[int] = []
        if question.chosen is not None:
            found = [place + i for i, c in enumerate(column.categories or ()) if c in question.chosen]
        elif question.threshold is not None and question.threshold != np.inf:
            bins = self.bins[at]
            bin_ = bisect_left(bins, question.threshold)
            if bin_ == len(bins) or bins[bin_] != question.threshold:
                raise ModelError(
                    "VALUE", "has a threshold that is none of the bins", where=f'feature "{column.name}"'
                )
            found = [place + bin_]
            if question.missing_right and self.double:
                return (place + len(bins) + bin_,)
        if question.missing_right:
            if not self.missing[at]:
                raise ModelError("VALUE", "has no bit for missing values", where=f'feature "{column.name}"')
            found.append(self._starts[at + 1] - 1)
        return tuple(found)

    def names(self) -> list[str]:
        """What each bit says, e.g. ``age > 38.5``."""
        found: list[str] = []
        for column, bins, missing in zip(self.columns, self.bins, self.missing, strict=True):
            found += [f"{column.name} > {b:.9g}" for b in bins]
            if self.double and missing:
                found += [f"{column.name} > {b:.9g} or missing" for b in bins]
            if not bins:
                found += [f"{column.name} is {c:.9g}" for c in column.categories or ()]
            found += [f"{column.name} is missing"] * missing
        return found

    def learned(self) -> dict[str, Any]:
        """What somebody who has this encoder knows of the model, JSON-ready."""
        used = [
            {
                "feature": column.name,
                "bins": list(bins),
                "categories": list(column.categories or ()),
                "missing": missing,
            }
            for column, bins, missing in zip(self.columns, self.bins, self.missing, strict=True)
            if bins or column.categories or missing
        ]
        return {"features": self.features, "features used": len(used), "bits": self.bits, "used": used}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it. Numbers stand as the shortest text that is exactly them."""
        from hitoku.inference.trees.bits_json import write

        return write(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Thermometer:
        """Read what `to_dict` wrote, from anybody: everything is checked.

        Raises:
            ModelError: it is no such encoder (``FORMAT``), or past a limit (``TOO_LARGE``).
        """
        from hitoku.inference.trees.bits_json import read

        return read(data)


def thermometer_of(
    forest: Forest,
    trees: Sequence[Branch],
    bins: Mapping[int, ArrayLike] | None = None,
    *,
    double: bool = False,
) -> Thermometer:
    """The encoder that a forest needs.

    Args:
        forest: the model.
        trees: its trees as they will be computed (`branches.shapes`); what they do not ask has no bit.
        bins: public bins by feature, which must hold the model's thresholds; then a feature's bit for missing
            values is there whenever values can be missing. Features that are left out have the model's own
            thresholds.
        double: two thermometers where values can be missing.

    Raises:
        ModelError: a threshold that is not among the public bins (`grid.snapped` moves thresholds).
    """
    asked: dict[int, set[float]] = {}
    lost: set[int] = set()
    for question in questions_of(trees):
        of = asked.setdefault(question.feature, set())
        if question.threshold is not None and question.threshold != np.inf:
            of.add(question.threshold)
        if question.missing_right:
            lost.add(question.feature)
    public = {f: rising(given, forest.precision) for f, given in (bins or {}).items()}
    found: list[tuple[float, ...]] = []
    columns = list(forest.columns)
    for at, column in enumerate(columns):
        own = tuple(sorted(asked.get(at, ())))
        if at in public and column.categories is None:
            off = len(set(own) - set(public[at]))
            if off:
                raise ModelError(
                    "VALUE",
                    f"has {off} thresholds that are not among the public bins",
                    where=f'feature "{column.name}"',
                    remedy="train on binned values, or move the thresholds with trees.snapped",
                )
            own = public[at]
            if column.can_miss:
                lost.add(at)
        found.append(own)
    missing = tuple(at in lost for at in range(len(columns)))
    used = [c if at in asked else _unused(c) for at, c in enumerate(columns)]
    return Thermometer(tuple(used), tuple(found), missing, forest.precision, forest.infinite, double)


def questions_of(trees: Sequence[Branch]) -> list[Question]:
    """Every different question, in the order of first use."""
    found: dict[Question, None] = {}
    seen: set[int] = set()
    open_: list[Shape] = list(reversed(trees))
    while open_:
        shape = open_.pop()
        if isinstance(shape, Branch) and id(shape) not in seen:
            seen.add(id(shape))
            found[shape.question] = None
            open_ += [shape.right, shape.left]
    return list(found)


def _unused(column: Column) -> Column:
    """A feature that no tree asks: its values are checked no further than the model's own library does."""
    return Column(column.name, "refused" if column.missing == "refused" else "nan")
