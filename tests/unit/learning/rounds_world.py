# SPDX-License-Identifier: Apache-2.0
"""Plans and rows for linear models and networks: small, with missing values and a heavy tail."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitoku.learning.base import Rows, Task, Trainer
from hitoku.learning.ideal import IdealSummer
from hitoku.learning.models import read_model, score
from hitoku.learning.plan import Data, Feature, Linear, Perceptron, Plan
from hitoku.learning.rounds import RoundsTask, RoundsTrainer

MEMBERS = ("aki", "benten", "chiyo", "daiwa", "ebisu")
WIDTH = 6


def make_plan(model: Linear | Perceptron, **more: Any) -> Plan:
    return Plan(
        name="fraud",
        room="0" * 36,
        agreement="none",
        members=MEMBERS,
        server="adder",
        data=Data(
            features=tuple(Feature(name=f"x{k}") for k in range(WIDTH)),
            label="fraud",
            rows=more.pop("rows", 1 << 16),
        ),
        model=model,
        salt="0" * 64,
        **more,
    )


def make_rows(count: int, seed: int, kinds: tuple[int, ...] = (0, 1)) -> Rows:
    """Two kinds of fraud; a bank may see only some of them."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, WIDTH))
    kind = draw.integers(0, 2, count)
    risk = np.where(kind == 0, 2.2 * x[:, 0] + 1.5 * x[:, 1], 2.2 * x[:, 2] * x[:, 3]) - 4.0
    label = (draw.random(count) < 1 / (1 + np.exp(-risk))) & np.isin(kind, kinds)
    x[:, 4] = np.exp(2.5 * x[:, 4])
    x[draw.random(count) < 0.1, 5] = np.nan
    part = draw.choice(3, count, p=[0.6, 0.2, 0.2])
    return Rows(x.astype(np.float32), label.astype(np.uint8), part.astype(np.uint8))


def pooled(rows: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([one.features for one in rows]),
        np.concatenate([one.label for one in rows]),
        np.concatenate([one.part for one in rows]),
    )


def summer(plan: Plan, rows: list[Rows]) -> IdealSummer:
    kind: str = plan.model.kind
    tasks: dict[str, dict[str, Task]] = {}
    for name, one in zip(MEMBERS, rows, strict=False):
        tasks[name] = {kind: RoundsTask(plan, one)}
    return IdealSummer(tasks)


def trained(plan: Plan, rows: list[Rows]) -> RoundsTrainer:
    trainer, sums = RoundsTrainer(plan), summer(plan, rows)
    trainer.prepare(sums)
    trainer.synchronise(sums)
    while not trainer.finished:
        trainer.step(sums)
    return trainer


def scores(trainer: Trainer, rows: Rows) -> NDArray[np.float64]:
    return score(read_model(trainer.model()), rows.features)
