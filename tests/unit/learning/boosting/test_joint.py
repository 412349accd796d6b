# SPDX-License-Identifier: Apache-2.0
"""Joint training over sums: the pooled model to the bit, kept over losses, restarts and roll-backs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.learning.boosting import reference
from tests.unit.learning.boosting.banks import BANKS, grown, part_of, plan_of, rows_of, spread, summer_of

from hitoku.errors import InputError, Refusal
from hitoku.learning.base import Instruction, Rows, Session, SessionLost
from hitoku.learning.boosting import BoostingTask, BoostingTrainer, task, trees
from hitoku.learning.boosting.fixed_point import losses, sigmoid
from hitoku.learning.ideal import IdealSummer
from hitoku.learning.models import read_model, score
from hitoku.learning.plan import Guard, Plan, Weighting

ROWS = rows_of(4_000)


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 5, "bins": 32},
        {"depth": 3, "bins": 255, "rate": 0.3, "l2": 0.0, "child_weight": 0.0},
        {"depth": 4, "bins": 2, "gain": 1.0, "weights": Weighting(positive=25.0)},
        {"depth": 1, "bins": 16, "patience": 2},
    ],
    ids=["plain", "no-bounds", "weighted", "stumps"],
)
def test_five_banks_grow_the_pooled_model_to_the_bit(settings: Mapping[str, Any]) -> None:
    plan = plan_of(trees=4, **settings)
    joint, pooled = grown(plan, spread(ROWS)), grown(plan, {"all": ROWS})
    assert joint.done == 4
    assert joint.model() == pooled.model()
    assert joint.losses == pooled.losses


def test_a_second_implementation_of_the_kernels_grows_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, rows = plan_of(trees=3, depth=4, bins=16), rows_of(800, seed=4)
    with monkeypatch.context() as patched:
        patched.setattr(task, "Grower", reference.Grower)
        patched.setattr(task, "bin_features", reference.bin_features)
        patched.setattr(trees, "Forest", reference.Forest)
        slow = grown(plan, spread(rows))
        scores = score(read_model(slow.model()), rows.features)
    quick = grown(plan, spread(rows))
    assert slow.model() == quick.model()
    assert np.array_equal(scores, score(read_model(quick.model()), rows.features))


def test_banks_scores_are_the_models() -> None:
    plan = plan_of(trees=5, depth=4, bins=32)
    summer, trainer = summer_of(plan, spread(ROWS)), BoostingTrainer(plan)
    trainer.prepare(summer)
    while not trainer.finished:
        trainer.step(summer)
    held = BoostingTask(plan, ROWS)
    mine = ROWS.part < 2
    held.told({"do": "sync"}, trainer._arrays())
    model = read_model(trainer.model())
    assert np.array_equal(sigmoid(held._margins), score(model, ROWS.features[mine]))


def test_the_model_learns() -> None:
    plan = plan_of(trees=25, depth=4, bins=32)
    model = read_model(grown(plan, spread(ROWS)).model())
    test = ROWS.part == 2
    p = score(model, ROWS.features[test])
    y = ROWS.label[test].astype(bool)
    assert np.mean(p[y][:, None] > p[~y][None, :]) > 0.9


def test_the_first_margin_is_the_log_odds_of_the_training_labels() -> None:
    plan = plan_of(trees=1, weights=Weighting(positive=3.0))
    training = ROWS.label[ROWS.part == 0]
    positive, negative = int(training.sum()), int((1 - training).sum())
    content = read_model(grown(plan, spread(ROWS)).model()).content
    assert content.base == pytest.approx(np.log(3 * (positive + 0.5) / (negative + 0.5)), rel=1e-12)


class Counting(IdealSummer):
    """Remembers what was asked, and loses a member where it is told to."""

    def __init__(self, members: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(members)
        self.asked: list[tuple[Instruction, tuple[str, ...]]] = []
        self.opened: list[NDArray[np.int64]] = []
        self.lose: tuple[str, int] | None = None

    def sum(self, instruction: Instruction) -> NDArray[np.int64]:
        if self.lose is not None and self.lose[1] == 0:
            gone, self.lose = self.lose[0], None
            self.exclude(gone)
            raise SessionLost([gone])
        if self.lose is not None:
            self.lose = (self.lose[0], self.lose[1] - 1)
        self.asked.append((instruction, self.members))
        self.opened.append(super().sum(instruction))
        return self.opened[-1]

    @contextmanager
    def fixed(self) -> Iterator[Session]:
        yield self


def counting(plan: Plan, banks: Mapping[str, Rows]) -> Counting:
    return Counting({name: {"boosting": BoostingTask(plan, rows)} for name, rows in banks.items()})


def test_only_the_lighter_child_is_asked_for() -> None:
    plan = plan_of(trees=1, depth=4, bins=16)
    summer, trainer = counting(plan, spread(ROWS)), BoostingTrainer(plan)
    trainer.prepare(summer)
    trainer.step(summer)
    levels = [i for i, _ in summer.asked if i.body["do"] == "grow"]
    assert [i.body["level"] for i in levels] == [0, 1, 2, 3]
    for before, now in pairwise(levels[1:]):
        assert len(now.arrays["nodes"]) == len(now.arrays["node"])
        assert len(now.arrays["node"]) <= 2 * len(before.arrays["nodes"])
    # Of two siblings exactly one: their numbers are 2k + 1 and 2k + 2.
    for asked in levels[1:]:
        pairs = (asked.arrays["nodes"] - 1) // 2
        assert len(set(pairs.tolist())) == len(pairs) == len(asked.arrays["node"])


@pytest.mark.parametrize("sign", [1, -1], ids=["as-is", "turned"])
def test_of_two_siblings_the_lighter_is_asked_for(sign: int) -> None:
    plan = plan_of(trees=1, depth=2, bins=16)
    rows = Rows(sign * ROWS.features, ROWS.label, ROWS.part)
    summer, trainer = counting(plan, spread(rows)), BoostingTrainer(plan)
    trainer.prepare(summer)
    trainer.step(summer)
    whole, child = (made.reshape(6, 17, 2)[0, :, 1].sum() for made in summer.opened[-2:])
    assert 0 < 2 * child <= whole


@pytest.mark.parametrize("lost_at", [0, 1, 3])
def test_a_tree_that_loses_a_member_is_discarded_and_no_sum_is_asked_twice_under_another_set(
    lost_at: int,
) -> None:
    plan = plan_of(trees=5, depth=4, bins=16, patience=3)
    summer, trainer = counting(plan, spread(ROWS)), BoostingTrainer(plan)
    trainer.prepare(summer)
    trainer.synchronise(summer)
    trainer.step(summer)
    trainer.step(summer)
    before = trainer.model()
    summer.lose = ("b1", lost_at)
    with pytest.raises(SessionLost):
        trainer.step(summer)
    assert trainer.done == 2
    assert trainer.model() == before
    trainer.synchronise(summer)
    while not trainer.finished:
        trainer.step(summer)
    first = summer.asked[0][1]
    seen: dict[str, tuple[str, ...]] = {}
    for instruction, members in summer.asked:
        fresh = instruction.body.get("fresh") is True
        assert fresh == (members != first)
        key = str(sorted(instruction.body.items()))
        assert seen.setdefault(key, members) == members
    assert any(members != first for _, members in summer.asked)


def test_other_sets_are_summed_over_other_rows() -> None:
    plan = plan_of(trees=5, depth=2, bins=16)
    banks = spread(ROWS)
    one = BoostingTask(plan, banks["b0"])
    summer, trainer = counting(plan, banks), BoostingTrainer(plan)
    trainer.prepare(summer)
    one.told({"do": "sync"}, trainer._arrays())
    instruction = Instruction(
        "boosting",
        {"do": "grow", "tree": 0, "level": 0},
        one._shape.level_length(1),
        one._shape.level_bound,
        {"nodes": np.zeros(1, np.int32)},
    )
    fresh = Instruction("boosting", {**instruction.body, "fresh": True}, *_rest(instruction))
    whole = one.contribute(instruction, BANKS)
    assert np.array_equal(one.contribute(instruction, BANKS), whole)
    with pytest.raises(Refusal) as refused:
        one.contribute(instruction, BANKS[:4])
    assert refused.value.code == "LEARNING_NOT_FRESH"
    part = one.contribute(fresh, BANKS[:4])
    # Asking again for the same tree over the same set does not draw again: nothing averages out.
    assert np.array_equal(one.contribute(fresh, BANKS[:4]), part)
    assert not np.array_equal(one.contribute(fresh, BANKS[1:]), part)
    h = whole.reshape(-1, 2)[:, 1].sum()
    assert 0.7 * h < part.reshape(-1, 2)[:, 1].sum() < 0.9 * h


def _rest(instruction: Instruction) -> tuple[int, int, Any]:
    return instruction.length, instruction.bound, instruction.arrays


def test_a_fraction_of_the_rows_grows_another_model_from_fewer_rows() -> None:
    plan = plan_of(trees=3, depth=3, bins=16, rows=1 << 20)
    half = Plan.model_validate(plan.model_dump() | {"model": {**plan.model_dump()["model"], "rows": 0.5}})
    assert grown(half, spread(ROWS)).model() != grown(plan, spread(ROWS)).model()


def test_training_stops_where_the_holdout_loss_no_longer_falls() -> None:
    rows = rows_of(1_500, seed=2)
    plan = plan_of(trees=150, depth=6, bins=32, rate=0.5, child_weight=0.1, patience=3)
    trainer = grown(plan, spread(rows))
    assert trainer.done < 100
    assert int(np.argmin(trainer.losses)) == trainer.done - 1
    holdout = rows.part == 1
    content = read_model(trainer.model()).content
    loss = losses(content.margins(rows.features[holdout]), rows.label[holdout], 1.0).mean()
    assert loss == pytest.approx(trainer.losses[-1], abs=1e-5)


def test_without_holdout_rows_training_does_not_stop() -> None:
    rows = part_of(ROWS, ROWS.part == 0)
    assert grown(plan_of(trees=4, depth=2, patience=1), spread(rows)).done == 4


def test_a_restored_run_ends_with_the_same_model() -> None:
    plan, banks = plan_of(trees=5, depth=4, bins=32, patience=4), spread(ROWS)
    whole = grown(plan, banks)
    first, summer = BoostingTrainer(plan), summer_of(plan, banks)
    first.prepare(summer)
    first.step(summer)
    first.step(summer)
    kept = first.checkpoint()
    # Server and banks start again.
    second, summer = BoostingTrainer(plan), summer_of(plan, banks)
    second.restore(kept)
    assert second.checkpoint() == kept
    second.prepare(summer)
    assert summer.sums == 0
    second.synchronise(summer)
    while not second.finished:
        second.step(summer)
    assert second.model() == whole.model()
    assert second.losses == whole.losses


def test_a_checkpoint_before_the_bins_goes_on_with_the_bins() -> None:
    plan = plan_of(trees=1, depth=2)
    trainer = BoostingTrainer(plan)
    trainer.restore(BoostingTrainer(plan).checkpoint())
    with pytest.raises(InputError, match="prepare"):
        trainer.synchronise(summer_of(plan, spread(ROWS)))


def test_checkpoints_of_other_plans_and_other_bytes_are_refused() -> None:
    plan, other = plan_of(trees=2), plan_of(trees=3)
    for content in (BoostingTrainer(other).checkpoint(), b"", b"{}", BoostingTrainer(plan).checkpoint()[:-1]):
        with pytest.raises(InputError):
            BoostingTrainer(plan).restore(content)


def test_a_roll_back_goes_on_as_if_the_trees_had_not_been() -> None:
    plan, banks = plan_of(trees=5, depth=3, bins=16), spread(ROWS)
    summer, trainer = summer_of(plan, banks), BoostingTrainer(plan)
    trainer.prepare(summer)
    for _ in range(4):
        trainer.step(summer)
    assert all(body["ready"] for body, _ in summer.tell("boosting", {"do": "rollback", "to": 2}).values())
    trainer.rollback(2)
    assert trainer.done == 2
    trainer.synchronise(summer)
    while not trainer.finished:
        trainer.step(summer)
    assert trainer.model() == grown(plan, banks).model()
    with pytest.raises(InputError):
        trainer.rollback(6)


def test_a_bank_that_was_started_again_is_told_everything() -> None:
    plan, banks = plan_of(trees=4, depth=3, bins=16), spread(ROWS)
    tasks = {name: {"boosting": BoostingTask(plan, rows)} for name, rows in banks.items()}
    trainer, summer = BoostingTrainer(plan), IdealSummer(tasks)
    trainer.prepare(summer)
    trainer.step(summer)
    trainer.step(summer)
    summer = IdealSummer({**tasks, "b3": {"boosting": BoostingTask(plan, banks["b3"])}})
    with pytest.raises(Refusal) as refused:
        trainer.step(summer)
    assert refused.value.code in {"LEARNING_NOT_READY", "LEARNING_OUT_OF_TURN"}
    trainer.synchronise(summer)
    while not trainer.finished:
        trainer.step(summer)
    assert trainer.model() == grown(plan, banks).model()


def test_banks_vote_on_their_holdouts() -> None:
    plan = plan_of(trees=6, depth=3, bins=16, guard=Guard(every=2))
    banks = spread(ROWS)
    summer, trainer = summer_of(plan, banks), BoostingTrainer(plan)
    trainer.prepare(summer)
    for _ in range(4):
        trainer.step(summer)
    votes = summer.tell("boosting", {"do": "vote", "from": 2})
    assert [body for body, _ in votes.values()] == [{"accept": True}] * 5
    # The same trees with their leaves turned make every holdout's loss worse.
    arrays = dict(trainer._arrays())
    arrays["value"] = np.where(np.arange(len(arrays["value"])) < arrays["starts"][2], 1, -3) * arrays["value"]
    arrays["value"] = arrays["value"].astype(np.float32)
    summer.tell("boosting", {"do": "sync"}, arrays)
    votes = summer.tell("boosting", {"do": "vote", "from": 2})
    assert [body for body, _ in votes.values()] == [{"accept": False}] * 5


def test_a_bank_without_holdout_rows_accepts() -> None:
    plan = plan_of(trees=2, depth=2, guard=Guard(every=1))
    rows = part_of(ROWS, ROWS.part == 0)
    summer, trainer = summer_of(plan, spread(rows)), BoostingTrainer(plan)
    trainer.prepare(summer)
    trainer.step(summer)
    assert all(body["accept"] for body, _ in summer.tell("boosting", {"do": "vote", "from": 0}).values())
