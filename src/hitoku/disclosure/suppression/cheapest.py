# SPDX-License-Identifier: Apache-2.0
"""The cheapest further cells for one target: a linear program that pays for moving a cell that is shown.

This is the sequential method of Kelly, Golden and Assad, Cell suppression: disclosure protection for
sensitive tabular data, Networks 22 (1992), 397-417. It does not always find the best choice for all targets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hitoku.disclosure.suppression.attacker import Attacker, Target
from hitoku.disclosure.suppression.solver import model

__all__ = ["Cheapest"]


class Cheapest:
    """One program for all targets of an attacker; columns are atoms up, atoms down, cells up, cells down."""

    def __init__(self, attacker: Attacker) -> None:
        self._attacker = attacker
        atoms, rows = len(attacker.atoms), len(attacker.row_cells)
        self._atoms = atoms
        places = np.arange(rows)
        row_of = np.repeat(places, np.diff(attacker.starts))
        order = np.argsort(np.concatenate([row_of, row_of, places, places]), kind="stable")
        columns = np.concatenate(
            [attacker.inside, attacker.inside + atoms, 2 * atoms + places, 2 * atoms + rows + places]
        )[order]
        ones = np.ones(len(attacker.inside))
        values = np.concatenate([ones, -ones, -np.ones(rows), np.ones(rows)])[order]
        starts = np.concatenate([[0], np.cumsum(2 * np.diff(attacker.starts) + 2)])
        up = np.full(atoms + rows, float(attacker.room))
        self._upper = np.concatenate([up[:atoms], -attacker.lower, up[atoms:], up[atoms:]])
        self._owner = np.concatenate(
            [attacker.cell_of_atom] * 2 + [np.array(attacker.row_cells, dtype=np.int64)] * 2
        )
        zero = np.zeros(len(self._upper))
        self._highs = model(
            zero, (zero, self._upper), (np.zeros(rows), np.zeros(rows)), (starts, columns, values)
        )

    def protect(self, targets: Sequence[Target]) -> bool:
        """Withhold what one witness of some targets, all of one direction, has to move; whether there is one.

        Closes them, and what else is protected by that.
        """
        attacker = self._attacker
        weights = np.array([float(c.weight) for c in attacker.part.cells] + [0.0])
        weights[list(attacker.hidden)] = 0.0
        # A tiny price for every move keeps the witness small and the optimum one.
        cost = weights[self._owner] + 1e-3
        lower, upper = np.zeros(len(self._upper)), self._upper.copy()
        for target in targets:
            forward, back = self._columns(target[0])
            if target[1] < 0:
                forward, back = back, forward
            lower[forward] = upper[forward] = float(attacker.open[target])
            upper[back] = 0.0
        places = np.arange(len(cost), dtype=np.int32)
        self._highs.changeColsCost(len(places), places, cost)
        self._highs.changeColsBounds(len(places), places, lower, upper)
        if not attacker.effort.run(self._highs):
            return False
        values = np.asarray(self._highs.getSolution().col_value)
        moves = values[: self._atoms] - values[self._atoms : 2 * self._atoms]
        used = np.flatnonzero(values > 1e-6)
        attacker.hide({int(n) for n in self._owner[used] if n >= 0})
        attacker.accept(moves)
        return not any(target in attacker.open for target in targets)

    def _columns(self, cell: int) -> tuple[int, int]:
        """The columns that move a cell up and down."""
        attacker = self._attacker
        row = attacker.row_of_cell.get(cell)
        if row is None:
            atom = attacker.part.cells[cell].atoms[0]
            return atom, atom + self._atoms
        rows = len(attacker.row_cells)
        return 2 * self._atoms + row, 2 * self._atoms + rows + row
