# SPDX-License-Identifier: Apache-2.0
"""From tables in memory to an answer: the engine, what the plan withholds, the release. No way round it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hitoku.disclosure.budget import budget_of
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.margins import protected, suppressed
from hitoku.disclosure.release import release
from hitoku.engine.memory import MemoryEngine, TypedColumn
from hitoku.engine.process import EngineLimits
from hitoku.engine.types import compared_type
from hitoku.questions.run import execution_sql, survey_sql

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer
    from hitoku.disclosure.leakage import Leakage
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.ports import Clock
    from hitoku.questions.question import Question
    from hitoku.room.agreement import Agreement, Column

__all__ = ["cells", "released"]

# Draws made while the engine works; more are made where an answer has more groups.
_DRAWS_AHEAD: Final = 10_240


def cells(
    question: Question,
    plan: DisclosurePlan,
    tables: Mapping[str, Any],
    columns: Mapping[str, tuple[Column, ...]],
    bounds: EngineLimits,
) -> Cells:
    """Run a question: the cells with the plan's hidden columns, no threshold applied yet.

    Args:
        question: a checked question.
        plan: its plan.
        tables: by name, a `pyarrow.Table` with the needed columns.
        columns: by table, these columns as the room declares them.
        bounds: what it may use.

    Raises:
        EngineError: the engine failed.
        LimitError: the result is too large.
        DisclosureError: the plan does not fit the question.
    """
    survey = survey_sql(question, plan)
    applied: set[str] = {"rounding"} if plan.round_counts > 1 else set()
    withheld = None
    with MemoryEngine(bounds) as engine:
        for name, content in tables.items():
            typed = [TypedColumn(c.name, c.name, compared_type(c)) for c in columns[name]]
            engine.add(name, typed, content)
        if protected(question, plan):
            counted = None if survey is None else engine.run(survey)
            withheld = suppressed(question, plan, counted)
            applied.add("suppression")
        table = engine.run(execution_sql(question, plan, withheld))
    return Cells(question.hash, table, frozenset(applied))


def released(
    compute: Callable[[], Cells],
    question: Question,
    plan: DisclosurePlan,
    agreement: Agreement,
    *,
    leakage: Leakage,
    protection: str,
    run: str,
    clock: Clock,
) -> Answer:
    """Compute and release; noise is drawn while the engine works.

    Raises:
        EngineError, LimitError: the run failed.
        DisclosureError: the cells cannot be released.
    """
    draws = None
    if plan.noise is not None:
        from hitoku.disclosure.noise import Draws

        draws = Draws(plan.noise, _DRAWS_AHEAD)
    try:
        made = compute()
        answer = release(
            made, plan, question, leakage=leakage, protection=protection, run=run, clock=clock, draws=draws
        )
    finally:
        if draws is not None:
            draws.close()
    return replace(answer, budget=budget_of(plan, agreement))
