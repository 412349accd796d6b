# SPDX-License-Identifier: Apache-2.0
"""The receiver who computes: which values of a withheld cell it cannot exclude, by linear programming.

Unknowns are how far each atom may differ from what it is. Sums over a cell that is shown do not differ; no
atom falls below zero. A deviation that keeps to this is a table which the receiver cannot tell from the true
one: a witness that the cells which differ in it are protected as far as that. The programs only propose
witnesses; each is checked here in whole numbers, so protection does not rest on a solver's tolerance.
A witness stays one when more is withheld.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hitoku.disclosure.suppression.solver import Effort, model
from hitoku.disclosure.suppression.tables import Linked

__all__ = ["Attacker", "Cut", "Target"]

_ROOM: Final = 8
"""Deviations are bounded by this many times the largest that is demanded: numbers stay small, and a receiver
who is taken to know such a bound knows more than it does."""
_NOTHING: Final = 1e-6
"""Of a count; what a solver's arithmetic may be off by."""

Target = tuple[int, int]
"""A withheld cell and the direction in which it has to be free: -1 down to zero, +1 up to the minimum."""


@dataclass(frozen=True, slots=True)
class Cut:
    """An inequality that every good choice keeps: the weights of the withheld cells sum up to `least`."""

    weights: dict[int, float]
    least: float


class Attacker:
    """One measure of one part, with the cells that are withheld so far.

    Attributes:
        open: the targets without a witness, each with how far it has to be free.
        hidden: the places of the withheld cells.
    """

    def __init__(self, part: Linked, measure: int, effort: Effort) -> None:
        self.part = part
        self.hidden: set[int] = {n for n, cell in enumerate(part.cells) if cell.small}
        self.effort = effort
        self.atoms = part.counts[:, measure].astype(np.int64)
        self.sums = np.array([int(self.atoms[list(c.atoms)].sum()) for c in part.cells], dtype=np.int64)
        self.open: dict[Target, int] = {}
        for cell in sorted(self.hidden):
            value = int(self.sums[cell])
            for direction, level in ((-1, value), (1, part.minima[measure] - value)):
                if level > 0:
                    self.open[cell, direction] = level
        self.room = _ROOM * max(self.open.values(), default=1)
        self.lower = -np.minimum(self.atoms, self.room).astype(np.float64)
        direct = {cell.atoms[0]: n for n, cell in enumerate(part.cells) if len(cell.atoms) == 1}
        self.cell_of_atom = np.array([direct.get(a, -1) for a in range(len(self.atoms))], dtype=np.int64)
        self.row_cells = [n for n, cell in enumerate(part.cells) if len(cell.atoms) > 1]
        self.row_of_cell = {cell: row for row, cell in enumerate(self.row_cells)}
        lengths = [len(part.cells[n].atoms) for n in self.row_cells]
        atoms = len(self.atoms)
        self.place = {n: atom for atom, n in enumerate(self.cell_of_atom.tolist()) if n >= 0}
        self.place |= {n: atoms + row for row, n in enumerate(self.row_cells)}
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        inside = [np.array(part.cells[n].atoms, dtype=np.int64) for n in self.row_cells]
        self.inside = np.concatenate(inside) if inside else np.zeros(0, dtype=np.int64)
        self._highs = self._model()

    def hide(self, cells: Iterable[int]) -> None:
        """Withhold more cells."""
        for cell in cells:
            if cell not in self.hidden:
                self.hidden.add(cell)
                self._bound(cell, -self.room, self.room)

    def accept(self, atoms: Any) -> None:
        """Check a proposed witness, and close the targets that it protects."""
        if (self.atoms + atoms < -_NOTHING).any():
            return
        rows = np.add.reduceat(atoms[self.inside], self.starts[:-1]) if self.row_cells else atoms[:0]
        moved = {int(cell) for cell in self.cell_of_atom[np.abs(atoms) > _NOTHING] if cell >= 0}
        moved |= {self.row_cells[row] for row in np.flatnonzero(np.abs(rows) > _NOTHING).tolist()}
        if not moved <= self.hidden:
            return
        reach = np.concatenate([atoms, rows])
        for target, level in list(self.open.items()):
            if reach[self.place[target[0]]] * target[1] >= level - _NOTHING:
                del self.open[target]

    def spread(self, direction: int) -> None:
        """Look for one witness for as many open targets of a direction as may be."""
        wanted = {cell: level for (cell, way), level in self.open.items() if way == direction}
        cost = np.zeros(len(self.atoms))
        for cell, level in wanted.items():
            cost[list(self.part.cells[cell].atoms)] -= direction
            # Not farther than is demanded, so that the others have the more; none falls below zero anyway.
            self._bound(cell, -self.room, level if direction > 0 else self.room)
        self._price(cost)
        if self.effort.run(self._highs):
            self.accept(self._values())
        for cell in wanted:
            self._bound(cell, -self.room, self.room)

    def attack(self, target: Target) -> Cut | None:
        """How far a target can get. None where a witness was found; else an inequality that it lacks.

        By duality the reach is at most the sum, over all bounds, of bound times price. A cell that is shown
        has the bounds 0; withheld, it has others: so each choice's reach is at most a sum over its withheld
        cells, which must be as large as is demanded (Fischetti and Salazar 2001, section 3).
        """
        cell, direction = target
        level = self.open[target]
        cost = np.zeros(len(self.atoms))
        cost[list(self.part.cells[cell].atoms)] = -direction
        self._price(cost)
        if not self.effort.run(self._highs):
            return Cut({}, 1.0)
        self.accept(self._values())
        if target not in self.open:
            return None
        solution = self._highs.getSolution()
        weights: dict[int, float] = {}
        fixed = 0.0
        prices = np.asarray(solution.col_dual)
        for atom in np.flatnonzero(np.abs(prices) > 1e-9).tolist():
            worth = float(
                prices[atom] * (-self.lower[atom]) if prices[atom] > 0 else -prices[atom] * self.room
            )
            owner = int(self.cell_of_atom[atom])
            if owner < 0:
                fixed += worth
            else:
                weights[owner] = worth
        for row, price in enumerate(solution.row_dual):
            if abs(price) > 1e-9:
                weights[self.row_cells[row]] = abs(price) * self.room
        least = level - fixed
        return Cut({n: min(w, least) for n, w in weights.items() if w > 1e-9}, least)

    def _model(self) -> Any:
        shown = np.array([n >= 0 and n not in self.hidden for n in self.cell_of_atom.tolist()], dtype=bool)
        lower = np.where(shown, 0.0, self.lower)
        upper = np.where(shown, 0.0, float(self.room))
        free = np.array([float(self.room) if n in self.hidden else 0.0 for n in self.row_cells])
        entries = (self.starts, self.inside, np.ones(len(self.inside)))
        return model(np.zeros(len(self.atoms)), (lower, upper), (-free, free), entries)

    def _bound(self, cell: int, lower: float, upper: float) -> None:
        row = self.row_of_cell.get(cell)
        if row is not None:
            self._highs.changeRowBounds(row, float(lower), float(upper))
        else:
            atom = self.part.cells[cell].atoms[0]
            self._highs.changeColBounds(atom, max(float(lower), float(self.lower[atom])), float(upper))

    def _price(self, cost: Any) -> None:
        self._highs.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)

    def _values(self) -> Any:
        return np.asarray(self._highs.getSolution().col_value)
