# SPDX-License-Identifier: Apache-2.0
"""HiGHS as it is used here: one thread, a fixed seed, silent, with a bound on the work."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np

from hitoku import limits

__all__ = ["Effort", "TooMuch", "model"]


class TooMuch(Exception):
    """The choice was not found within the limits. Caught here: whoever asks withholds whole branches then."""


@dataclass(slots=True)
class Effort:
    """What one question's suppression may still use.

    The programs are counted, so that a machine's speed decides nothing; the time is the second bound only.
    """

    programs: int = field(default_factory=lambda: limits.SUPPRESSION_PROGRAMS)
    until: float = field(default_factory=lambda: time.monotonic() + limits.SUPPRESSION_SECONDS)

    def run(self, highs: Any) -> bool:
        """Solve; whether an optimum was found.

        Raises:
            TooMuch: the limits are used up.
        """
        left = self.until - time.monotonic()
        self.programs -= 1
        if self.programs < 0 or left <= 0:
            raise TooMuch
        highs.setOptionValue("time_limit", highs.getRunTime() + left)
        highs.run()
        status = highs.getModelStatus()
        if status == highspy.HighsModelStatus.kTimeLimit:
            raise TooMuch
        return bool(status == highspy.HighsModelStatus.kOptimal)


def model(
    cost: Any,
    columns: tuple[Any, Any],
    rows: tuple[Any, Any],
    entries: tuple[Any, Any, Any],
    *,
    whole: bool = False,
) -> Any:
    """A program in HiGHS: minimise `cost` within the bounds of columns and rows.

    Args:
        cost: one a column.
        columns: lower and upper bounds of the columns.
        rows: lower and upper bounds of the rows.
        entries: the matrix by rows: starts, column numbers, values.
        whole: whether all columns are whole numbers.
    """
    program = highspy.HighsLp()
    program.num_col_ = len(cost)
    program.num_row_ = len(rows[0])
    program.col_cost_ = np.asarray(cost, dtype=np.float64)
    program.col_lower_ = np.asarray(columns[0], dtype=np.float64)
    program.col_upper_ = np.asarray(columns[1], dtype=np.float64)
    program.row_lower_ = np.asarray(rows[0], dtype=np.float64)
    program.row_upper_ = np.asarray(rows[1], dtype=np.float64)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.asarray(entries[0], dtype=np.int32)
    program.a_matrix_.index_ = np.asarray(entries[1], dtype=np.int32)
    program.a_matrix_.value_ = np.asarray(entries[2], dtype=np.float64)
    if whole:
        program.integrality_ = [highspy.HighsVarType.kInteger] * len(cost)
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (
        ("output_flag", False),
        ("threads", 1),
        ("random_seed", 1),
        ("mip_max_nodes", 20_000),
    ):
        highs.setOptionValue(name, value)
    highs.passModel(program)
    return highs
