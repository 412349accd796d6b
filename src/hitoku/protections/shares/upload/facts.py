# SPDX-License-Identifier: Apache-2.0
"""What an owner finds of its leaves: the numbers, between which bounds, how often a key is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hitoku import limits
from hitoku.errors import EngineError, InputError, LimitError
from hitoku.protections.shares.manifest import HASH_HIGH, LeafFacts, rounded_bounds
from hitoku.protections.shares.upload.columns import coded, whole
from hitoku.protections.shares.upload.whole import Whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hitoku.protections.shares.wanted import WantedLeaf

__all__ = ["Found", "Rows", "ends", "find", "occurrences", "sorted_by"]

_MOST = 1 << limits.MAX_SHARES_VALUE_BITS
_SUMMED_BITS = 33
"""Sums of 2**30 numbers below 2**33 fit r64."""


@dataclass(slots=True)
class Found:
    """A leaf with its values, in the order in which the engine gave them.

    Attributes:
        facts: what the manifest says of it.
        numbers: 0 where no value is.
        there: where values are; None where all are.
        texts: the dictionary's words, of codes.
    """

    facts: LeafFacts
    numbers: Whole
    there: NDArray[np.bool_] | None
    texts: list[NDArray[np.uint64]] = field(default_factory=list)

    def some(self, kept: NDArray[np.bool_]) -> Found:
        """The values of some rows; the facts stay those of all."""
        high = self.numbers.high
        numbers = Whole(self.numbers.low[kept], None if high is None else high[kept])
        return Found(self.facts, numbers, None if self.there is None else self.there[kept], self.texts)

    def words(self) -> NDArray[Any]:
        """Their words; 0 where no value is."""
        made = self.numbers.words(int(self.facts.low), self.facts.kind_of_words)
        if self.there is not None:
            made[~self.there] = 0
        return made


@dataclass(frozen=True, slots=True)
class Rows:
    """For errors: the table's name, and each row's number in the source; None where rows are groups."""

    table: str
    numbers: Any

    def first(self, wrong: NDArray[np.bool_]) -> str:
        """Which row it is: the first in the source."""
        if self.numbers is None:
            return ""
        numbers = np.concatenate([np.frombuffer(c.buffers()[1], np.uint32)[c.offset :][: len(c)]
                                  for c in self.numbers.chunks])  # fmt: skip
        return f", row {int(numbers[wrong].min()) + 1:,}"


def find(leaf: WantedLeaf, column: Any, rows: Rows, most: tuple[int, int] | None = None) -> Found:
    """A leaf's values and facts.

    Args:
        leaf: what is wanted.
        column: the engine's result.
        rows: for errors.
        most: of codes and ranks: how many different ones, and how long, are told instead of what is found.

    Raises:
        InputError: a value is outside declared bounds, missing, or cannot be shared. Names column and row.
        LimitError: values are too large, or there are too many texts.
        EngineError: the column is of another type than was wanted.
    """
    name = f"table {rows.table}, column {leaf.column or leaf.name}"
    if leaf.kind == "code":
        texts = coded(column, leaf, most)
        there = _steady(leaf, texts.there, len(texts.codes))
        facts = _facts(leaf, 0, texts.size - 1, there, entries=texts.size, words=len(texts.words))
        _complete(leaf, texts.there, rows, name)
        return Found(facts, texts.codes, there, texts.words)
    numbers, there = whole(column, leaf)
    there = _steady(leaf, there, len(numbers))
    _complete(leaf, there, rows, name)
    if leaf.kind == "hash":
        return Found(_facts(leaf, 0, HASH_HIGH, there), numbers, there)
    if leaf.kind == "boolean" and not {*(numbers.bounds(there) or ())} <= {0, 1}:
        raise EngineError(f"{name}: has values that are neither true nor false", "DATA_TYPE")
    low, high = (0, 1) if leaf.kind == "boolean" else _bounds(leaf, numbers, there, rows, name)
    if most is not None:  # a rank
        high = max(high, rounded_bounds(low, max(most[0], low))[1])
    return Found(_facts(leaf, low, high, there), numbers, there)


def _steady(leaf: WantedLeaf, there: NDArray[np.bool_] | None, count: int) -> NDArray[np.bool_] | None:
    """Validity bits also where nothing is missing, if that must not be told."""
    return np.ones(count, np.bool_) if there is None and leaf.steady and leaf.nullable else there


def _complete(leaf: WantedLeaf, there: NDArray[np.bool_] | None, rows: Rows, name: str) -> None:
    if there is not None and not leaf.nullable:
        raise InputError(f"{name}{rows.first(~there)}: a value is missing, which the room does not expect")


def _bounds(
    leaf: WantedLeaf, numbers: Whole, there: NDArray[np.bool_] | None, rows: Rows, name: str
) -> tuple[int, int]:
    """As declared, or as found and rounded outward."""
    for bound, side in ((leaf.low, "below the least"), (leaf.high, "above the largest")):
        if bound is None:
            continue
        wrong = numbers.below(bound) if side[0] == "b" else ~numbers.below(bound + 1)
        if there is not None:
            wrong &= there
        if wrong.any():
            raise InputError(f"{name}{rows.first(wrong)}: a value is {side} that the room declares")
    found = numbers.bounds(there)
    if found is None:
        some = leaf.low if leaf.low is not None else leaf.high or 0
        found = some, some
    if max(abs(found[0]), abs(found[1])) >= _MOST:
        raise LimitError(f"{name}: a value has more than {limits.MAX_SHARES_VALUE_BITS} bits")
    low, high = rounded_bounds(*found)
    return low if leaf.low is None else leaf.low, high if leaf.high is None else leaf.high


def _facts(
    leaf: WantedLeaf,
    low: int,
    high: int,
    there: NDArray[np.bool_] | None,
    entries: int | None = None,
    words: int | None = None,
) -> LeafFacts:
    most, ring = max(abs(low), abs(high)), leaf.ring
    if ring == "auto":
        ring = "r64" if most < 1 << _SUMMED_BITS else "r128"
    if ring == "r64" and most >= 1 << 63:
        raise LimitError(f"{leaf.column or leaf.name}: values are too large to be added up in 64 bits")
    return LeafFacts(
        name=leaf.name,
        kind=leaf.kind,
        scale=leaf.scale,
        low=str(low),
        high=str(high),
        nullable=there is not None,
        ring=ring,
        word=leaf.word,
        entries=entries,
        words=words,
    )


def sorted_by(leaves: Sequence[Found], start: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ascending order of rows by these leaves' words, the first leaf's before the second's.

    Rows with a NULL in one of them are last. Rows that are equal in all stay as they stand in `start`.
    """
    order, missing = start, np.zeros(len(start), np.bool_)

    def sort(order: NDArray[np.int64], key: NDArray[Any]) -> NDArray[np.int64]:
        return order[np.argsort(key[order], kind="stable")]

    for leaf in reversed(leaves):
        words = leaf.words()
        if leaf.there is not None:
            order = sort(order, leaf.there)
            missing |= ~leaf.there
        for key in (words[:, 0], words[:, 1]) if words.ndim == 2 else (words,):
            order = sort(order, key)
    return sort(order, missing) if missing.any() else order


def ends(leaves: Sequence[Found], order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where in an order (`sorted_by`) the last rows are of those that are equal in these leaves."""
    found = np.zeros(len(order), np.bool_)
    found[-1:] = True
    for leaf in leaves:
        words = leaf.words()[order]
        changed = words[1:] != words[:-1]
        found[:-1] |= changed.any(axis=1) if words.ndim == 2 else changed
        if leaf.there is not None:
            found[:-1] |= leaf.there[order][1:] != leaf.there[order][:-1]
    return found


def occurrences(leaves: Sequence[Found], start: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """How many rows have the same key at most, and each row's place (from 0) among those with its key.

    A row where a part of the key is NULL has no key: its place is 0. Places rise as rows stand in `start`.
    """
    places, usable = np.zeros(len(start), np.int64), np.ones(len(start), np.bool_)
    for leaf in leaves:
        if leaf.there is not None:
            usable &= leaf.there
    order = sorted_by(leaves, start)
    order = order[usable[order]]
    if not len(order):
        return 0, places
    begins = np.concatenate([[0], np.flatnonzero(ends(leaves, order))[:-1] + 1])
    lengths = np.diff(np.append(begins, len(order)))
    places[order] = np.arange(len(order)) - np.repeat(begins, lengths)
    return int(lengths.max()), places
