# SPDX-License-Identifier: Apache-2.0
"""Which code grows which kind of model: the driver's side and the member's side of each, by the plan."""

from __future__ import annotations

from pathlib import Path

from hitoku.learning.base import Rows, Task, Trainer
from hitoku.learning.plan import Boosting, Linear, Plan

__all__ = ["model_task", "trainer_of"]


def trainer_of(plan: Plan) -> Trainer:
    """The driver's side of the plan's model."""
    if isinstance(plan.model, Boosting):
        from hitoku.learning.boosting import BoostingTrainer

        return BoostingTrainer(plan)
    if isinstance(plan.model, Linear):
        from hitoku.learning.linear import LinearTrainer

        return LinearTrainer(plan)
    from hitoku.learning.perceptron import PerceptronTrainer

    return PerceptronTrainer(plan)


def model_task(plan: Plan, rows: Rows, state: Path | None) -> Task:
    """The member's side of the plan's model, over its rows with all features.

    Args:
        plan: the signed plan.
        rows: the member's rows, those of counters among the features.
        state: the member's folder of the run, for what must survive a restart.
    """
    if isinstance(plan.model, Boosting):
        from hitoku.learning.boosting import BoostingTask

        return BoostingTask(plan, rows, state)
    if isinstance(plan.model, Linear):
        from hitoku.learning.linear import LinearTask

        return LinearTask(plan, rows, state)
    from hitoku.learning.perceptron import PerceptronTask

    return PerceptronTask(plan, rows, state)
