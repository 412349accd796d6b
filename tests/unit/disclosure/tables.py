# SPDX-License-Identifier: Apache-2.0
"""Tables of counts with totals, and a receiver who computes: written apart from the code under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from hitoku.disclosure.suppression import Survey

Key = tuple[int, ...]
Branch = Callable[[Key], Key | None]
"""Which group of a branch a cell is in; None for none."""


def by(*axes: int) -> Branch:
    """Grouped by some axes."""
    return lambda key: tuple(key[axis] for axis in axes)


def where(condition: Callable[[Key], bool], *axes: int) -> Branch:
    """Grouped by some axes, of some rows only."""
    return lambda key: tuple(key[axis] for axis in axes) if condition(key) else None


@dataclass(frozen=True)
class Made:
    """Counts by key, branches, and the minimum; which groups are small is judged by `units` where given."""

    counts: Mapping[Key, int]
    branches: Sequence[Branch]
    minimum: int
    units: Mapping[Key, int] | None = None

    def groups(self) -> list[dict[Key, list[Key]]]:
        """For each branch its groups, each with the cells in it."""
        found: list[dict[Key, list[Key]]] = []
        for branch in self.branches:
            groups: dict[Key, list[Key]] = {}
            for key in sorted(self.counts):
                group = branch(key)
                if group is not None:
                    groups.setdefault(group, []).append(key)
            found.append(groups)
        return found

    def total(self, keys: Sequence[Key]) -> int:
        return sum(self.counts[key] for key in keys)

    def small(self, keys: Sequence[Key]) -> bool:
        judged = self.counts if self.units is None else self.units
        return sum(judged[key] for key in keys) < self.minimum

    def survey(self, order: Sequence[int] | None = None) -> Survey:
        """As the engine would count it."""
        keys = sorted(self.counts)
        found = self.groups()
        numbers = [{group: n for n, group in enumerate(groups, 1)} for groups in found]
        low = [{group for group, inside in groups.items() if self.small(inside)} for groups in found]
        cells, small = [], []
        for key in keys:
            mine = [branch(key) for branch in self.branches]
            cells.append([0 if g is None else numbers[n][g] for n, g in enumerate(mine)])
            small.append([g in low[n] for n, g in enumerate(mine)])
        place = list(range(len(keys))) if order is None else list(order)
        measures = [self.counts] if self.units is None else [self.counts, self.units]
        counts = np.array([[measure[key] for measure in measures] for key in keys], dtype=np.int64)
        minima = (self.minimum,) * len(measures)
        return Survey(np.array(cells)[place], np.array(small)[place], counts[place], minima)

    def too_narrow(self, chosen: Sequence[frozenset[int] | None]) -> Iterator[tuple[int, Key]]:
        """The small groups of which a receiver can tell more than it may."""
        found = self.groups()
        keys = {key: n for n, key in enumerate(sorted(self.counts))}
        shown: list[tuple[list[Key], int]] = []
        small: list[tuple[int, Key, list[Key]]] = []
        for branch, groups in enumerate(found):
            withheld = chosen[branch]
            for number, (group, inside) in enumerate(groups.items(), 1):
                if self.small(inside):
                    small.append((branch, group, inside))
                elif withheld is not None and number not in withheld:
                    shown.append((inside, self.total(inside)))
        for branch, group, inside in small:
            value = self.total(inside)
            low, high = (
                _reach(
                    len(keys), [([keys[k] for k in c], t) for c, t in shown], [keys[k] for k in inside], way
                )
                for way in (1, -1)
            )
            if low > 1e-6 or -high < max(self.minimum, value) - 1e-6:
                yield branch, group


def _reach(size: int, shown: list[tuple[list[int], int]], inside: list[int], way: int) -> float:
    """The least of `way` times the sum over `inside`, of all tables that show the same."""
    program: Any = highspy.Highs()
    program.setOptionValue("output_flag", False)
    for place in range(size):
        program.addVar(0.0, highspy.kHighsInf)
        program.changeColCost(place, float(way) if place in inside else 0.0)
    for cells, total in shown:
        program.addRow(
            float(total),
            float(total),
            len(cells),
            np.array(cells, dtype=np.int32),
            np.ones(len(cells)),
        )
    program.run()
    if program.getModelStatus() in {
        highspy.HighsModelStatus.kUnbounded,
        highspy.HighsModelStatus.kUnboundedOrInfeasible,
    }:
        return -np.inf
    assert program.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(program.getObjectiveValue())
