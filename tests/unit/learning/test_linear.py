# SPDX-License-Identifier: Apache-2.0
"""Logistic regression: the joint model is the pooled one, and its inputs' scaling."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.learning.rounds_world import (
    MEMBERS,
    WIDTH,
    make_plan,
    make_rows,
    pooled,
    scores,
    summer,
    trained,
)

from hitoku.errors import InputError, Refusal
from hitoku.learning.base import Instruction, Rows
from hitoku.learning.models import read_model
from hitoku.learning.plan import Feature, Guard, Linear, Weighting
from hitoku.learning.rounds import RoundsTask, RoundsTrainer, Work
from hitoku.learning.scaling import BUCKETS, MOST, ONE, buckets, finished, moments, scaling_of

SKEWED = [make_rows(count, k) for k, count in enumerate((6000, 3000, 1500, 900, 400))]
BY_KIND = [make_rows(1500, k, kinds=((0,), (1,), (0,), (1,), ())[k]) for k in range(5)]


@pytest.mark.parametrize("rows", [SKEWED, BY_KIND], ids=["skewed", "by-kind"])
def test_the_joint_model_is_the_pooled_one(rows):
    plan = make_plan(Linear())
    joint, alone = trained(plan, rows), trained(plan, [pooled(rows)])
    assert joint.finished
    assert joint.done < 20
    assert np.abs(joint.weights - alone.weights).max() < 1e-4 * np.abs(alone.weights).max()
    test = make_rows(2000, 77)
    assert np.abs(scores(joint, test) - scores(alone, test)).max() < 1e-5


def test_it_is_the_maximum_of_the_likelihood():
    pytest.importorskip("sklearn", reason="needs the extra inference")
    from sklearn.linear_model import LogisticRegression

    rows = pooled(SKEWED)
    plan = make_plan(Linear(l2=0.0, weights=Weighting(positive=3.0)))
    made = trained(plan, SKEWED)
    model = read_model(made.model()).content
    inputs = model.scaling.apply(rows.features[rows.part == 0])
    label = rows.label[rows.part == 0]
    weight = np.where(label == 1, 3.0, 1.0)
    known = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(inputs, label, sample_weight=weight)
    assert np.allclose(made.weights[:-1], known.coef_[0], atol=2e-3)
    assert np.allclose(made.weights[-1], known.intercept_[0], atol=2e-3)


def test_separable_classes_and_constant_columns_have_an_answer():
    x = np.zeros((400, WIDTH), np.float32)
    x[:, 0] = np.linspace(-1, 1, 400)
    x[:, 2] = np.nan
    rows = Rows(x, (x[:, 0] > 0).astype(np.uint8), np.zeros(400, np.uint8))
    made = trained(make_plan(Linear(rounds=60)), [rows] * 4)
    assert np.isfinite(made.weights).all()
    assert ((scores(made, rows) > 0.5) == (rows.label == 1)).mean() > 0.99


def test_a_lost_member_leaves_the_rest_exact_and_on_fresh_rows():
    plan = make_plan(Linear())
    trainer, sums = RoundsTrainer(plan), summer(plan, SKEWED)
    trainer.prepare(sums)
    trainer.step(sums)
    sums.exclude("daiwa")
    while not trainer.finished:
        trainer.step(sums)
    whole = trained(plan, SKEWED[:3] + SKEWED[4:])
    assert np.isfinite(trainer.weights).all()
    assert np.abs(trainer.weights - whole.weights).max() < 0.8
    assert not np.array_equal(trainer.weights, whole.weights)


def test_it_goes_on_from_a_checkpoint():
    plan = make_plan(Linear())
    sums = summer(plan, SKEWED)
    first = RoundsTrainer(plan)
    first.prepare(sums)
    for _ in range(3):
        first.step(sums)
    second = RoundsTrainer(plan)
    second.restore(first.checkpoint())
    second.prepare(sums)
    assert second.done == 3
    while not second.finished:
        second.step(sums)
    whole = trained(plan, SKEWED)
    assert np.abs(second.weights - whole.weights).max() < 1e-4
    empty = RoundsTrainer(plan)
    empty.restore(RoundsTrainer(plan).checkpoint())
    assert empty.done == 0
    for content in (b"", b"x" * 100, first.checkpoint()[:-9]):
        with pytest.raises(InputError):
            RoundsTrainer(plan).restore(content)


def test_votes_see_the_block_and_roll_back_undoes_it():
    plan = make_plan(Linear(rounds=20), guard=Guard(every=2))
    trainer, sums = RoundsTrainer(plan), summer(plan, SKEWED)
    trainer.prepare(sums)
    trainer.synchronise(sums)
    for _ in range(2):
        trainer.step(sums)
    good = trainer.weights.copy()
    votes = sums.tell("linear", {"do": "vote", "from": 0})
    assert all(answer == {"accept": True} for answer, _ in votes.values())
    trainer.step(sums)
    method = trainer._ready()[0]
    method.best = method.best + 5.0
    trainer._done = 4
    trainer.synchronise(sums)
    votes = sums.tell("linear", {"do": "vote", "from": 2})
    assert [answer["accept"] for answer, _ in votes.values()].count(False) >= 3
    sums.tell("linear", {"do": "rollback", "to": 2})
    trainer.rollback(2)
    assert trainer.done == 2
    assert np.array_equal(trainer.weights, good)
    trainer.synchronise(sums)
    while not trainer.finished:
        trainer.step(sums)
    assert np.abs(trainer.weights - trained(make_plan(Linear()), SKEWED).weights).max() < 1e-3
    with pytest.raises(InputError):
        trainer.rollback(1)


@pytest.mark.parametrize(
    "change",
    [{"do": "gradient"}, {"round": -1}, {"round": 10_000}, {"round": True}, {"fresh": False}, {"more": 1}],
    ids=lambda change: "-".join(map(str, next(iter(change.items())))),
)
def test_what_the_plan_does_not_name_is_refused(change):
    plan = make_plan(Linear())
    task, work = RoundsTask(plan, SKEWED[4]), Work(plan)
    scaling = _scaling(SKEWED[4])
    network = work.network(scaling.inputs)
    asked = work.instruction(0, network, np.zeros(network.length), scaling.arrays())
    assert len(task.contribute(asked, MEMBERS)) == asked.length
    body = {**asked.body, **change}
    with pytest.raises(Refusal):
        task.contribute(Instruction("linear", body, asked.length, asked.bound, asked.arrays), MEMBERS)


@pytest.mark.parametrize("broken", ["length", "bound", "weights", "scaling", "nan"])
def test_malformed_instructions_are_refused(broken):
    plan = make_plan(Linear())
    task, work = RoundsTask(plan, SKEWED[4]), Work(plan)
    scaling = _scaling(SKEWED[4])
    network = work.network(scaling.inputs)
    asked = work.instruction(0, network, np.zeros(network.length), scaling.arrays())
    arrays = dict(asked.arrays)
    if broken == "weights":
        arrays["weights"] = arrays["weights"][:-1]
    elif broken == "nan":
        arrays["weights"] = arrays["weights"] * np.nan
    elif broken == "scaling":
        arrays["scaling"] = arrays["scaling"][:, :-1]
    length, bound = asked.length + (broken == "length"), asked.bound * (1 + (broken == "bound"))
    with pytest.raises(Refusal):
        task.contribute(Instruction("linear", asked.body, length, bound, arrays), MEMBERS)


def test_more_rows_than_the_plan_says_are_not_used():
    with pytest.raises((InputError, Refusal)):
        RoundsTask(make_plan(Linear(), rows=10), SKEWED[0])


def test_a_models_file_that_was_changed_is_refused():
    content = json.loads(trained(make_plan(Linear(rounds=1)), SKEWED).model())
    assert content["kind"] == "linear"
    from hitoku.learning import network_kind

    body = content["model"]
    made = network_kind.from_body(body, WIDTH)
    assert network_kind.to_body(made) == body
    for change in (
        {"weights": body["weights"][:-1]},
        {"weights": [None, *body["weights"][1:]]},
        {"layers": [0]},
        {"layers": "ab"},
        {"scaling": {**body["scaling"], "low": [1e9] * WIDTH}},
        {"scaling": {**body["scaling"], "mean": ["x"] * WIDTH}},
        {"scaling": None},
    ):
        with pytest.raises(InputError):
            network_kind.from_body({**body, **change}, WIDTH)
    with pytest.raises(InputError):
        network_kind.from_body(body, WIDTH + 1)


def _scaling(rows):
    features = rows.features[rows.part == 0]
    counts = buckets(features)
    made = scaling_of(counts, [Feature(name=f"x{k}") for k in range(features.shape[1])], 0.0)
    return finished(made, counts, moments(features, rows.label[rows.part == 0], made))[0]


def test_inputs_have_mean_0_and_deviation_1_and_missing_ones_are_said():
    rows = pooled(SKEWED)
    scaling = _scaling(rows)
    inputs = scaling.apply(rows.features[rows.part == 0])
    assert scaling.inputs == WIDTH + 1 == inputs.shape[1]
    assert np.abs(inputs.mean(0)).max() < 0.02
    assert np.abs(inputs.std(0) - 1).max() < 0.07
    assert np.isfinite(inputs).all()
    assert scaling.unit[4] > 0
    assert not scaling.unit[:4].any()


def test_infinities_and_extremes_stay_within_the_bound():
    scaling = _scaling(SKEWED[0])
    x = np.full((3, WIDTH), np.inf, np.float32)
    x[1], x[2] = -np.inf, np.nan
    assert np.abs(scaling.apply(x)).max() <= MOST


@given(st.lists(st.floats(width=32, allow_nan=True), min_size=1, max_size=40))
@settings(max_examples=50)
def test_every_value_counts_once_and_within_its_bucket(values):
    x = np.array(values, np.float32)[:, None]
    counts = buckets(x)
    assert counts.sum() == len(values)
    assert len(counts) == BUCKETS
    assert counts[-1] == np.isnan(x).sum()
    made = scaling_of(counts, [Feature(name="x")], 0.0)
    known = x[np.isfinite(x)]
    if len(known) and np.abs(known).max() < 2.0**39 and not np.isinf(x).any():
        # Few values: none is outside the bounds.
        assert made.low[0] <= known.min()
        assert known.max() <= made.high[0]
    sums = moments(x, np.ones(len(x), np.uint8), made)
    assert np.abs(sums[:2]).max() <= len(values) * ONE
    assert sums[-2] == len(values) * ONE


def test_the_plans_bounds_win():
    counts = buckets(np.linspace(-100, 100, 500, dtype=np.float32)[:, None])
    made = scaling_of(counts, [Feature(name="x", low=0.0, high=10.0)], 0.0)
    assert (made.low[0], made.high[0]) == (0.0, 10.0)
