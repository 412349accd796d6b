# SPDX-License-Identifier: Apache-2.0
"""The SQL that a host runs for a question, with the hidden columns that its plan's thresholds read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hitoku.errors import DisclosureError
from hitoku.questions.form import Ref
from hitoku.questions.noised import figures_text
from hitoku.questions.question import Question, UnitConstraint
from hitoku.questions.running import Release, execution_text
from hitoku.questions.survey import survey_text
from hitoku.room.agreement import ColumnType

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.questions.layers import Layers

__all__ = ["execution_sql", "survey_sql"]


def execution_sql(
    question: Question,
    plan: DisclosurePlan | Sequence[UnitConstraint] | None = None,
    withheld: Mapping[int, frozenset[int] | None] | None = None,
    groups: Callable[[int, Layers], str] | None = None,
) -> str:
    """SQL regenerated from the checked form, plus one hidden column per threshold; or figures to be noised.

    Args:
        question: a checked question.
        plan: the plan or the constraints; the question's own constraints where None. A plan may be
            stricter than the question's rules, never laxer.
        withheld: what secondary suppression withholds, by a block's place: the numbers of its groups, as the
            survey numbers them, or None for all.
        groups: as for `hitoku.questions.running.execution_text`: where groups are computed elsewhere.

    Raises:
        DisclosureError: the plan is of another question, or lacks or lowers one of its thresholds.
    """
    if question.privacy is not None:
        if plan is None or isinstance(plan, Sequence) or plan.noise is None or plan.question != question.hash:
            raise DisclosureError("the question needs noise, and this plan has none for it")
        return figures_text(question.form, question.privacy, plan.noise.parts[0].least_units)
    planned = None if plan is None or isinstance(plan, Sequence) else plan
    release = Release(
        round_counts=1 if planned is None else planned.round_counts,
        summary=False if planned is None else planned.summary,
        withheld=withheld or {},
        inexact=_inexact(question),
    )
    return execution_text(question.form, _constraints(question, plan), groups, release)


def survey_sql(
    question: Question, plan: DisclosurePlan | Sequence[UnitConstraint] | None = None
) -> str | None:
    """SQL that counts the groups of related branches, for secondary suppression; None where there are none.

    Raises:
        DisclosureError: as `execution_sql`.
    """
    constraints = () if question.privacy is not None else _constraints(question, plan)
    return survey_text(question.form, constraints) if constraints else None


def _inexact(question: Question) -> frozenset[Ref]:
    """The columns whose sums depend on the order of the rows."""
    return frozenset(
        Ref(table.name, column.name)
        for table in question.sources
        for column in table.columns
        if column.type in {ColumnType.FLOAT, ColumnType.DOUBLE}
    )


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
