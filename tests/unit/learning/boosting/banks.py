# SPDX-License-Identifier: Apache-2.0
"""Plans and made-up rows for tests of boosting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.learning.base import Rows
from hitoku.learning.boosting import BoostingTask, BoostingTrainer
from hitoku.learning.ideal import IdealSummer
from hitoku.learning.plan import Aggregation, Boosting, Data, Feature, Guard, Plan, Privacy

BANKS = ("b0", "b1", "b2", "b3", "b4")


def plan_of(
    features: int = 6,
    *,
    rows: int = 1 << 20,
    aggregation: Aggregation | None = None,
    guard: Guard | None = None,
    privacy: Privacy | None = None,
    **model: Any,
) -> Plan:
    return Plan(
        name="fraud",
        room="00000000-0000-0000-0000-000000000000",
        agreement="sha256:0",
        members=BANKS,
        server="s",
        data=Data(features=tuple(Feature(name=f"x{i}") for i in range(features)), label="y", rows=rows),
        model=Boosting(**model),
        aggregation=aggregation or Aggregation(),
        guard=guard or Guard(),
        privacy=privacy,
        salt="0" * 64,
    )


def rows_of(rows: int, features: int = 6, seed: int = 0, missing: float = 0.05) -> Rows:
    """Normal features, one of whole numbers, one mostly zero; a few percent of positives."""
    made = np.random.default_rng(seed)
    x = made.normal(size=(rows, features)).astype(np.float32)
    x[:, 1] = np.round(np.exp(x[:, 1]) * 3)
    x[:, 2] = np.where(made.random(rows) < 0.8, 0, np.abs(x[:, 2]))
    z = 2 * x[:, 0] + x[:, 0] * x[:, 3] + 2 * (x[:, 2] > 1) + 0.2 * x[:, 1] - 3
    y = (made.random(rows) < 1 / (1 + np.exp(-2 * z))).astype(np.uint8)
    x[made.random(x.shape) < missing] = np.nan
    return Rows(x, y, made.choice([0, 1, 2, 3], p=[0.6, 0.2, 0.1, 0.1], size=rows).astype(np.uint8))


def part_of(rows: Rows, chosen: NDArray[Any]) -> Rows:
    return Rows(rows.features[chosen], rows.label[chosen], rows.part[chosen])


def spread(rows: Rows, seed: int = 1) -> dict[str, Rows]:
    """The rows dealt to five banks of different sizes."""
    who = np.random.default_rng(seed).choice(5, p=[0.5, 0.25, 0.13, 0.08, 0.04], size=len(rows.label))
    return {name: part_of(rows, who == bank) for bank, name in enumerate(BANKS)}


def summer_of(plan: Plan, banks: Mapping[str, Rows]) -> IdealSummer:
    return IdealSummer({name: {"boosting": BoostingTask(plan, rows)} for name, rows in banks.items()})


def grown(plan: Plan, banks: Mapping[str, Rows]) -> BoostingTrainer:
    summer, trainer = summer_of(plan, banks), BoostingTrainer(plan)
    trainer.prepare(summer)
    while not trainer.finished:
        trainer.step(summer)
    return trainer
