# SPDX-License-Identifier: Apache-2.0
"""Cells: a result before disclosure. They exist only where the protection makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Cells"]


@dataclass(frozen=True, slots=True, repr=False)
class Cells:
    """A result before disclosure.

    Attributes:
        question: hash of the question they answer.
        table: a `pyarrow.Table` with the question's output columns in order, then the plan's hidden
            columns.
        applied: what the protection itself already applied: ``threshold``, ``noise``, ``suppression`` (of
            what follows from totals), ``rounding`` (of counts).
    """

    question: str
    table: Any
    applied: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Never shows a value: a traceback or log line may print it."""
        return f"Cells(question={self.question!r}, applied={sorted(self.applied)!r})"
