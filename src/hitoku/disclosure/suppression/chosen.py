# SPDX-License-Identifier: Apache-2.0
"""The choice of the cells to withhold: exact in small parts, one target after the other in large ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from hitoku import limits
from hitoku.disclosure.suppression.attacker import Attacker, Cut
from hitoku.disclosure.suppression.cheapest import Cheapest
from hitoku.disclosure.suppression.solver import Effort, TooMuch, model
from hitoku.disclosure.suppression.survey import Survey
from hitoku.disclosure.suppression.tables import Linked, linked

__all__ = ["secondary"]


def secondary(survey: Survey, kept: int = 0) -> tuple[frozenset[int] | None, ...]:
    """For each branch, the numbers of the groups to withhold besides those that a threshold withholds.

    The same survey has the same result, in whatever order its atoms stand. The guarantee is the package's.

    Args:
        survey: the groups.
        kept: the branch that stays where no choice is found within the limits. The others are None then:
            all their groups.
    """
    branches = range(survey.groups.shape[1])
    if not survey.small.any():
        return tuple(frozenset() for _ in branches)
    chosen: set[tuple[int, int]] = set()
    effort = Effort()
    try:
        if len(survey.groups) > limits.SUPPRESSION_ATOMS:
            raise TooMuch
        for part in linked(survey):
            for cell in _withheld(part, effort):
                chosen.update(part.cells[cell].groups)
    except TooMuch:
        return tuple(frozenset() if branch == kept else None for branch in branches)
    small = {
        (branch, number)
        for branch in branches
        for number in np.unique(survey.groups[survey.small[:, branch], branch]).tolist()
    }
    return tuple(frozenset(number for at, number in chosen - small if at == branch) for branch in branches)


def _withheld(part: Linked, effort: Effort) -> set[int]:
    """Places of the cells to withhold, the small ones among them.

    Raises:
        TooMuch: not found within the limits.
    """
    if len(part.cells) <= limits.SUPPRESSION_EXACT_CELLS:
        found = _exact(part, effort)
        if found is not None:
            return found
    attackers = [Attacker(part, measure, effort) for measure in range(len(part.minima))]
    hidden = {n for n, cell in enumerate(part.cells) if cell.small}
    for attacker in attackers:
        attacker.hide(hidden)
        _settle(attacker)
        hidden |= attacker.hidden
    return hidden


def _settle(attacker: Attacker) -> None:
    """Withhold the cheapest further cells for one open target after the other, until none is open."""
    cheapest: Cheapest | None = None
    while attacker.open:
        before = len(attacker.open)
        for direction in (-1, 1):
            if any(way == direction for _, way in attacker.open):
                attacker.spread(direction)
        if len(attacker.open) < before * 0.9:
            continue
        cheapest = cheapest or Cheapest(attacker)
        for _ in range(limits.SUPPRESSION_TARGETS_AT_ONCE):
            if attacker.open:
                _protect(cheapest, attacker)


def _protect(cheapest: Cheapest, attacker: Attacker) -> None:
    """One target; in a large part several at once: that withholds a little more, and takes less long."""
    direction = next(iter(attacker.open))[1]
    targets = [target for target in attacker.open if target[1] == direction]
    large = len(attacker.part.cells) > limits.SUPPRESSION_LARGE_CELLS
    size = 1 + len(targets) // 8 if large else 1
    while not cheapest.protect(targets[:size]):
        if size == 1:
            raise TooMuch
        size = (size + 1) // 2


def _exact(part: Linked, effort: Effort) -> set[int] | None:
    """The cheapest choice: an integer program whose inequalities the attackers find. None where not found."""
    cuts: list[Cut] = []
    for _ in range(limits.SUPPRESSION_ROUNDS):
        hidden = _cheapest_choice(part, cuts, effort)
        if hidden is None:
            return None
        more: list[Cut] = []
        for measure in range(len(part.minima)):
            attacker = Attacker(part, measure, effort)
            attacker.hide(hidden)
            for direction in (-1, 1):
                if any(way == direction for _, way in attacker.open):
                    attacker.spread(direction)
            for target in list(attacker.open):
                cut = attacker.attack(target) if target in attacker.open else None
                if cut is not None:
                    more.append(cut)
        if not more:
            return hidden
        cuts += more
    return None


def _cheapest_choice(part: Linked, cuts: list[Cut], effort: Effort) -> set[int] | None:
    lower = np.array([float(cell.small) for cell in part.cells])
    cost = np.array([float(cell.weight) for cell in part.cells])
    starts: list[int] = [0]
    places: list[int] = []
    values: list[float] = []
    for cut in cuts:
        if cut.least <= 0 or not cut.weights:  # a solver's failure: there is always a choice, all cells
            return None
        for cell, weight in sorted(cut.weights.items()):
            places.append(cell)
            values.append(weight / cut.least)
        starts.append(len(places))
    least: Any = np.full(len(cuts), 1.0 - 1e-6)
    highs = model(
        cost,
        (lower, np.ones(len(cost))),
        (least, np.full(len(cuts), np.inf)),
        (starts, places, values),
        whole=True,
    )
    if not effort.run(highs):
        return None
    return {n for n, value in enumerate(highs.getSolution().col_value) if value > 0.5}
