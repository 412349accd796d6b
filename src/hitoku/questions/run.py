# SPDX-License-Identifier: Apache-2.0
"""The SQL that a host runs for a question, with the hidden columns that its plan's thresholds read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hitoku.errors import DisclosureError
from hitoku.questions.question import Question, UnitConstraint
from hitoku.questions.running import execution_text

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan

__all__ = ["execution_sql"]


def execution_sql(question: Question, plan: DisclosurePlan | Sequence[UnitConstraint] | None = None) -> str:
    """SQL regenerated from the checked form, plus one hidden column per threshold.

    Args:
        question: a checked question.
        plan: the plan or the constraints; the question's own constraints where None. A plan may be
            stricter than the question's rules, never laxer.

    Raises:
        DisclosureError: the plan is of another question, or lacks or lowers one of its thresholds.
    """
    return execution_text(question.form, _constraints(question, plan))


def _constraints(
    question: Question, plan: DisclosurePlan | Sequence[UnitConstraint] | None
) -> tuple[UnitConstraint, ...]:
    if plan is None:
        return question.constraints
    if isinstance(plan, Sequence):
        return tuple(plan)
    if plan.question != question.hash:
        raise DisclosureError("the plan is of another question")
    minima = {threshold.alias: threshold.minimum for threshold in plan.thresholds}
    made: list[UnitConstraint] = []
    for c in question.constraints:
        minimum = minima.pop(c.alias, 0)
        if minimum < c.minimum:
            raise DisclosureError(
                f"the plan lacks or lowers the threshold of {c.owner} on {c.table}.{c.column}"
            )
        made.append(UnitConstraint(c.table, c.column, c.owner, minimum, c.sql, c.alias))
    if minima:
        raise DisclosureError("the plan has a threshold that the question cannot count")
    return tuple(made)
