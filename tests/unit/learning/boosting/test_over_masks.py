# SPDX-License-Identifier: Apache-2.0
"""Boosting over the real masks between processes' worth of members: the plain model, and losses survived."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.learning.world import RUN, World
from tests.unit.learning.boosting.banks import BANKS, grown, plan_of, rows_of, spread

from hitoku.learning.aggregate.masks import MasksMember, MasksSummer
from hitoku.learning.base import Rows, SessionLost
from hitoku.learning.boosting import BoostingTask, BoostingTrainer
from hitoku.learning.plan import Aggregation, Plan

ROWS = rows_of(1_500)


@contextmanager
def masked(plan: Plan, banks: dict[str, Rows], folder: Path) -> Iterator[tuple[World, MasksSummer]]:
    def member(name: str, world: World, state: Path) -> MasksMember:
        tasks = {"boosting": BoostingTask(plan, banks[name])}
        keys, publics = world.keys[name], world.publics
        return MasksMember(plan, RUN, name, keys, publics, tasks, state, threads=1)

    # The server of these plans has the name that the world's keys know.
    world = World(plan, folder, member)
    try:
        yield world, MasksSummer(world.channel, plan, RUN, threads=1)
    finally:
        world.close()


def plan(**model: Any) -> Plan:
    made = plan_of(depth=3, bins=16, aggregation=Aggregation(seconds=20.0), **model)
    return Plan.model_validate(made.model_dump() | {"server": "server"})


def test_the_model_over_masks_is_the_plain_one(tmp_path: Path) -> None:
    chosen, banks = plan(trees=3, patience=3), spread(ROWS)
    with masked(chosen, banks, tmp_path) as (_, summer):
        trainer = BoostingTrainer(chosen)
        trainer.prepare(summer)
        trainer.synchronise(summer)
        while not trainer.finished:
            trainer.step(summer)
    plain = grown(chosen, banks)
    assert trainer.model() == plain.model()
    assert trainer.losses == plain.losses


def test_a_lost_member_costs_a_tree_and_comes_back(tmp_path: Path) -> None:
    chosen, banks = plan(trees=4), spread(ROWS)
    with masked(chosen, banks, tmp_path) as (world, summer):
        trainer = BoostingTrainer(chosen)
        trainer.prepare(summer)
        trainer.synchronise(summer)
        trainer.step(summer)
        world.stop("b2")
        for _ in range(3):
            try:
                trainer.step(summer)
                break
            except SessionLost:
                trainer.synchronise(summer)
        else:
            pytest.fail("no tree without the lost member")
        assert trainer.done == 2
        world.start("b2")
        trainer.synchronise(summer)
        while not trainer.finished:
            trainer.step(summer)
        assert trainer.done == 4
        assert set(world.doors) == set(BANKS)
