# SPDX-License-Identifier: Apache-2.0
"""What a poisoned bank does to a model, with nobody voting: in this process, over plain sums."""

from __future__ import annotations

from collections.abc import Mapping

from hitoku.demo.learn.poison import Poison
from hitoku.learning.base import Rows
from hitoku.learning.evaluation.evaluate import TEST, pool
from hitoku.learning.evaluation.metrics import average_precision
from hitoku.learning.ideal import IdealSummer
from hitoku.learning.models import LearnedModel, read_model, score
from hitoku.learning.plan import Plan
from hitoku.learning.trainers import model_task, trainer_of

__all__ = ["area", "trained"]


def trained(plan: Plan, rows: Mapping[str, Rows], poisoned: str | None = None) -> LearnedModel:
    """The plan's model without votes, of these banks' rows, one of them poisoned.

    Args:
        plan: what is learned.
        rows: with the counters' features.
        poisoned: the bank whose program was changed.
    """
    plan = plan.model_copy(update={"guard": plan.guard.model_copy(update={"every": 0})})
    tasks = {name: model_task(plan, one, None) for name, one in rows.items()}
    if poisoned is not None:
        tasks[poisoned] = Poison(tasks[poisoned])
    summer = IdealSummer({name: {plan.model.kind: task} for name, task in tasks.items()})
    trainer = trainer_of(plan)
    trainer.prepare(summer)
    trainer.synchronise(summer)
    while not trainer.finished:
        trainer.step(summer)
    return read_model(trainer.model())


def area(model: LearnedModel, rows: Mapping[str, Rows]) -> float:
    """Average precision on all banks' test rows."""
    everybody = pool(rows)
    test = everybody.part == TEST
    return average_precision(everybody.label[test], score(model, everybody.features)[test])
