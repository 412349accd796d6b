# SPDX-License-Identifier: Apache-2.0
"""Networks: gradients, near to pooled however rows are spread, averages, early stopping."""

import numpy as np
import pytest
from tests.unit.learning.rounds_world import MEMBERS, make_plan, make_rows, pooled, scores, summer, trained

from hitoku.learning.base import Rows
from hitoku.learning.methods import QuasiNewton
from hitoku.learning.network import Network, losses
from hitoku.learning.plan import Perceptron
from hitoku.learning.rounds import RoundsTask, RoundsTrainer, Work

average_precision_score = pytest.importorskip(
    "sklearn.metrics", reason="needs the extra inference"
).average_precision_score

SKEWED = [make_rows(count, k) for k, count in enumerate((3000, 1500, 800, 500, 240))]
BY_KIND = [make_rows(1300, k, kinds=((0,), (1,), (0,), (1,), (0,))[k]) for k in range(5)]
TEST = make_rows(6000, 55)


def _precision(trainer):
    return average_precision_score(TEST.label, scores(trainer, TEST))


@pytest.mark.parametrize(("rows", "lost"), [(SKEWED, 0.01), (BY_KIND, 0.03)], ids=["similar", "by-kind"])
def test_the_joint_model_is_as_good_as_the_pooled_one(rows, lost):
    plan = make_plan(Perceptron(layers=(16, 8), rounds=60))
    joint, alone = _precision(trained(plan, rows)), _precision(trained(plan, [pooled(rows)]))
    assert joint >= (1 - lost) * alone
    assert alone > 2 * TEST.label.mean()


def test_the_joint_model_beats_banks_that_saw_one_kind_of_fraud():
    plan = make_plan(Perceptron(layers=(16, 8), rounds=60))
    joint = _precision(trained(plan, BY_KIND))
    each = [_precision(trained(plan, [one])) for one in BY_KIND[:2]]
    assert joint > 1.2 * np.mean(each)


def test_averages_learn_and_never_leave_their_range():
    plan = make_plan(Perceptron(layers=(16,), rounds=15, method="averages", batch=64))
    made = trained(plan, SKEWED)
    assert made.done == 15
    assert made.cut == 0
    # 3.09 times, with a deviation of 0.02: orders are drawn anew in every run.
    assert _precision(made) > 2.7 * TEST.label.mean()


def test_averages_of_members_who_do_not_move_are_what_they_were_told():
    plan = make_plan(Perceptron(layers=(4,), rounds=3, method="averages", rate=1e-30, l2=0))
    trainer, sums = RoundsTrainer(plan), summer(plan, SKEWED)
    trainer.prepare(sums)
    before = trainer.weights.copy()
    trainer.step(sums)
    assert np.abs(trainer.weights - before).max() < 1e-6


def test_a_pull_towards_the_average_keeps_members_near():
    rows = SKEWED[0]
    moved = []
    for proximal in (0.0, 5.0):
        plan = make_plan(Perceptron(layers=(8,), method="averages", epochs=3, proximal=proximal))
        trainer, sums = RoundsTrainer(plan), summer(plan, [rows] * 3)
        trainer.prepare(sums)
        before = trainer.weights.copy()
        trainer.step(sums)
        moved.append(np.linalg.norm(trainer.weights - before))
    assert moved[1] < 0.7 * moved[0]


def test_local_steps_draw_fresh_orders():
    plan = make_plan(Perceptron(layers=(4,), method="averages", batch=32))
    trainer, sums = RoundsTrainer(plan), summer(plan, SKEWED)
    trainer.prepare(sums)
    _, network, prepared = trainer._ready()
    asked = Work(plan).instruction(0, network, trainer.weights, prepared.scaling.arrays())
    task = RoundsTask(plan, SKEWED[1])
    assert not np.array_equal(task.contribute(asked, MEMBERS), task.contribute(asked, MEMBERS))


@pytest.mark.parametrize("layers", [(), (5,), (6, 4)], ids=["0", "1", "2"])
def test_gradients_are_those_of_the_loss(layers):
    draws = np.random.default_rng(2)
    network = Network(4, layers)
    weights = draws.normal(size=network.length)
    inputs = draws.normal(size=(30, 4)).astype(np.float32)
    label = draws.integers(0, 2, 30).astype(np.uint8)
    gradient, loss = network.gradient_sums(weights, inputs, label, 2.5, 16)
    wide = inputs.astype(np.float64)
    assert abs(loss - losses(network.logits(weights, wide), label, 2.5).sum()) < 1e-3
    for k in range(0, network.length, 3):
        moved = weights.copy()
        moved[k] += 1e-6
        rise = losses(network.logits(moved, wide), label, 2.5) - losses(
            network.logits(weights, wide), label, 2.5
        )
        assert abs(rise.sum() / 1e-6 - gradient[k]) < 1e-2


def test_it_stops_when_the_holdout_does_not_improve():
    rows = [make_rows(300, k) for k in range(5)]
    made = trained(make_plan(Perceptron(layers=(32, 16), rounds=400, patience=5)), rows)
    assert made.finished
    assert made.done < 400
    method = made._ready()[0]
    assert isinstance(method, QuasiNewton)
    assert method._waited >= 5


def test_without_holdout_rows_it_goes_on_to_the_end():
    rows = [Rows(one.features, one.label, np.zeros_like(one.part)) for one in SKEWED]
    made = trained(make_plan(Perceptron(layers=(4,), rounds=25, patience=3)), rows)
    assert made.done == 25


def test_it_goes_on_from_a_checkpoint():
    plan = make_plan(Perceptron(layers=(8,), rounds=40, patience=0))
    sums, first = summer(plan, SKEWED), RoundsTrainer(plan)
    first.prepare(sums)
    for _ in range(10):
        first.step(sums)
    second = RoundsTrainer(plan)
    second.restore(first.checkpoint())
    assert second.done == 10
    assert np.array_equal(second.weights, first.weights)
    assert second.model() == first.model()
    while not second.finished:
        second.step(sums)
    assert _precision(second) > 0.9 * _precision(trained(plan, SKEWED))


def test_a_member_that_started_again_takes_part_at_once():
    plan = make_plan(Perceptron(layers=(8,), rounds=6))
    sums, trainer = summer(plan, SKEWED), RoundsTrainer(plan)
    trainer.prepare(sums)
    trainer.step(sums)
    again = summer(plan, SKEWED)
    other = RoundsTrainer(plan)
    other.restore(trainer.checkpoint())
    trainer.step(sums)
    other.step(again)
    assert other.done == trainer.done == 2


def test_a_spoiled_sum_does_not_end_the_search():
    """A step whose loss is wrong is taken back by the search itself, as far as losses show it."""
    center = np.array([3.0, -2.0])

    def sums(at):
        return np.concatenate([10 * (at - center), [5 * float((at - center) @ (at - center)), 10, 0, 0]])

    method = QuasiNewton(np.zeros(2), 0.0, 0)
    for k in range(60):
        made = sums(method.trial)
        if k == 5:
            made[:3] = 1e6
        method.learn(made, ("a",))
    assert np.abs(method.best - center).max() < 1e-3


def test_the_first_weights_are_the_same_for_everybody():
    network = Network(7, (5, 3))
    assert np.array_equal(network.first(4, 0.01), network.first(4, 0.01))
    assert not np.array_equal(network.first(4, 0.01), network.first(5, 0.01))
    assert np.isclose(network.first(4, 0.01)[-1], np.log(0.01 / 0.99))
