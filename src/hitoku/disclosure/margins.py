# SPDX-License-Identifier: Apache-2.0
"""Secondary suppression of a question: from what the engine counted to the groups that are withheld besides.

It runs where the cells are, between the engine's two runs: the first counts the groups of related branches,
the second answers the question without the groups chosen here. The second run is made whether or not any is
chosen, so that the time does not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hitoku import limits
from hitoku.errors import DisclosureError
from hitoku.questions.margins import related
from hitoku.questions.survey import surveyed

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.questions.question import Question

__all__ = ["protected", "suppressed"]


def protected(question: Question, plan: DisclosurePlan) -> bool:
    """Whether secondary suppression has to be applied before the question's cells may be released."""
    return bool(plan.thresholds) and bool(related(question.form))


def suppressed(question: Question, plan: DisclosurePlan, table: Any) -> dict[int, frozenset[int] | None]:
    """For each block of related branches, the groups to withhold besides those below a threshold.

    Args:
        question: the question.
        plan: its plan.
        table: what the engine counted (`pyarrow.Table`); None where all sets have too many branches.

    Returns:
        By the block's place the numbers of its groups; None stands for all of them.

    Raises:
        DisclosureError: the table has another form.
    """
    from hitoku.disclosure.suppression import secondary, surveys

    chosen: dict[int, frozenset[int] | None] = {}
    for found in related(question.form):
        if len(found.branches) > limits.SUPPRESSION_BRANCHES:
            for n, branch in enumerate(found.branches):
                chosen |= dict.fromkeys(branch.blocks, frozenset() if n == found.kept else None)
    counted = surveyed(question.form)
    if not counted:
        return chosen
    if table is None:
        raise DisclosureError("the groups of related branches were not counted: nothing is released")
    sets = [
        (
            len(found.branches),
            [(t.alias, t.minimum) for t in plan.thresholds if t.table in found.rows.all_tables],
        )
        for found in counted
    ]
    read = surveys(table, sets, [threshold.alias for threshold in plan.thresholds])
    for found, survey in zip(counted, read, strict=True):
        for branch, groups in zip(found.branches, secondary(survey, found.kept), strict=True):
            chosen |= dict.fromkeys(branch.blocks, groups)
    return chosen
