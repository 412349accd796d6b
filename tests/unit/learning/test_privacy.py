# SPDX-License-Identifier: Apache-2.0
"""Draws, what they cost, and that no more is drawn than was paid for."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.learning.rounds_world import make_plan, make_rows, scores, trained

from hitoku.errors import InputError, Refusal
from hitoku.learning import gaussian
from hitoku.learning.base import Instruction
from hitoku.learning.gaussian import draw
from hitoku.learning.network import Network
from hitoku.learning.plan import Boosting, Linear, Perceptron, Privacy
from hitoku.learning.privacy import LEAST_SCALE, Meter, Schedule, epsilon, rho_for, spent, told
from hitoku.learning.rounds import RoundsTask, Work
from hitoku.room.accounting import RHO_UNITS


def _law(scale):
    reach = 12 * scale
    points = np.arange(-reach, reach + 1)
    weight = np.exp(-(points**2) / (2 * scale**2))
    return points, weight / weight.sum()


@pytest.mark.parametrize("scale", [1, 2, 7])
def test_draws_have_the_discrete_gaussians_law(scale):
    points, law = _law(scale)
    made = draw(scale, 200_000)
    expected = law * len(made)
    common = expected > 20
    seen = np.array([np.count_nonzero(made == point) for point in points[common]])
    statistic = float(((seen - expected[common]) ** 2 / expected[common]).sum())
    freedom = int(common.sum())
    # Six standard deviations above the mean of the chi-square law: one run in 10^8 fails by chance.
    assert statistic < freedom + 6 * math.sqrt(2 * freedom) + 20


def test_a_faulty_law_would_be_noticed():
    """The same statistic on rounded continuous draws of a slightly wrong scale is far too large."""
    points, law = _law(7)
    made = np.rint(np.random.default_rng(1).normal(0, 7.3, 200_000)).astype(int)
    expected = law * len(made)
    common = expected > 20
    seen = np.array([np.count_nonzero(made == point) for point in points[common]])
    statistic = float(((seen - expected[common]) ** 2 / expected[common]).sum())
    assert statistic > int(common.sum()) + 6 * math.sqrt(2 * common.sum()) + 20


@pytest.mark.parametrize("scale", [1000, 1 << 30, gaussian.MAX_SCALE])
def test_large_scales_have_the_right_variance(scale):
    made = draw(scale, 100_000) / scale
    assert abs(made.mean()) < 0.03
    assert abs(made.var() - 1) < 0.04


@pytest.mark.parametrize("accepting", [False, True])
def test_coins_are_the_same_by_decimals(accepting, monkeypatch):
    """Judged by decimals only, the coins have the same odds."""
    count = 3000
    if accepting:
        exact = (np.full(count, 9, np.int64), 5)
        exponent = np.full(count, (9 - 25 / 6) ** 2 / 50)
    else:
        exact, exponent = (np.full(count, 3, np.int64), 4), np.full(count, 0.75)
    sure = np.zeros(count, np.bool_) if accepting else None
    heads = gaussian._coins(exponent, exact=exact, near=2.0, sure=sure)
    p = math.exp(-exponent[0])
    assert abs(heads.mean() - p) < 6 * math.sqrt(p * (1 - p) / count)


def test_a_scale_out_of_range_is_refused():
    for scale in (0, -1, gaussian.MAX_SCALE + 1):
        with pytest.raises(ValueError, match="scale"):
            draw(scale, 1)


PLANS = {
    "linear": make_plan(Linear(rounds=30), privacy=Privacy(rho=0.2)),
    "perceptron": make_plan(Perceptron(rounds=60), privacy=Privacy(rho=0.5, colluding=2)),
    "boosting": make_plan(Linear()).model_copy(
        update={"model": Boosting(trees=20, depth=4), "privacy": Privacy(rho=1)}
    ),
}


@pytest.mark.parametrize("name", sorted(PLANS))
def test_the_whole_run_costs_at_most_its_rho(name):
    plan = PLANS[name]
    made = spent(plan)
    assert plan.privacy is not None
    whole = Decimal(repr(plan.privacy.rho)) * RHO_UNITS
    assert 0.999 * float(whole) < made <= whole
    assert epsilon(plan) > 0
    assert told(plan)["epsilon"] == str(epsilon(plan))


@given(st.integers(1, 10**15), st.sampled_from(sorted(PLANS)))
@settings(max_examples=100)
def test_noise_of_those_that_do_not_collude_pays_for_a_sum(squared, name):
    plan = PLANS[name]
    schedule = Schedule(plan)
    part = schedule.parts["quantiles"]
    scale = schedule.noise("quantiles", squared).scale
    assert plan.privacy is not None
    honest = plan.threshold - plan.privacy.colluding
    # The variance that remains after the colluding ones took theirs off, against the exact demand.
    assert Fraction(squared, 2 * honest * scale**2) <= Fraction(part.rho, RHO_UNITS)
    if scale > LEAST_SCALE:
        assert Fraction(squared, 2 * honest * (scale - 2) ** 2) > Fraction(part.rho, RHO_UNITS)


def test_more_colluding_members_mean_more_noise():
    few, many = (
        Schedule(make_plan(Linear(), privacy=Privacy(rho=0.1, colluding=c))).noise("step", 10**12).scale
        for c in (0, 3)
    )
    assert abs(many / few - 2) < 1e-3


def test_rho_for_gives_the_epsilon_that_was_wanted():
    for wanted in (1.0, 3.0, 8.0):
        plan = make_plan(Linear(), privacy=Privacy(rho=rho_for(wanted, 1e-6), delta=1e-6))
        assert wanted - 0.001 < float(epsilon(plan)) <= wanted


def test_without_privacy_nothing_is_spent():
    plan = make_plan(Linear())
    assert spent(plan) == 0
    assert told(plan) == {}
    with pytest.raises(InputError, match="no noise"):
        Schedule(plan)


def test_too_little_rho_is_refused():
    with pytest.raises(InputError, match=r"privacy\.rho"):
        Schedule(make_plan(Perceptron(rounds=5000), privacy=Privacy(rho=1e-10)))


def test_plans_with_privacy_have_no_unnoised_ways_out():
    from hitoku.learning.plan import Counter, Data, Feature, Guard, Plan

    plan = make_plan(Linear(), privacy=Privacy(rho=0.1)).model_dump()
    with pytest.raises(ValueError, match=r"guard\.every"):
        Plan.model_validate(plan | {"guard": Guard(every=5).model_dump()})
    data = Data(
        features=(Feature(name="x"),), label="y", time="t", counters=(Counter(column="c", entities=9),)
    )
    with pytest.raises(ValueError, match=r"data\.counters"):
        Plan.model_validate(plan | {"data": data.model_dump()})


def test_a_meter_remembers_over_restarts_and_stops(tmp_path):
    plan = make_plan(Linear(rounds=3), privacy=Privacy(rho=0.1))
    path = tmp_path / "meter.json"
    for _ in range(3):
        Meter(plan, path).take("step")
    with pytest.raises(Refusal) as refused:
        Meter(plan, path).take("step")
    assert refused.value.code == "LEARNING_PRIVACY_SPENT"
    path.write_text("[1]")
    with pytest.raises(InputError, match=r"meter\.json"):
        Meter(plan, path)


def test_a_member_gives_no_more_noised_rounds_than_were_paid_for(tmp_path):
    plan = make_plan(Perceptron(rounds=2, layers=(4,)), privacy=Privacy(rho=1))
    rows = make_rows(300, 1)
    trainer = trained(plan, [rows] * 4)
    work, scaling = Work(plan), trainer._ready()[2].scaling
    network = work.network(scaling.inputs)
    asked = work.instruction(0, network, trainer.weights, scaling.arrays())
    members = plan.members[:4]
    for _ in range(2):
        RoundsTask(plan, rows, tmp_path).contribute(asked, members)
    with pytest.raises(Refusal) as refused:
        RoundsTask(plan, rows, tmp_path).contribute(asked, members)
    assert refused.value.code == "LEARNING_PRIVACY_SPENT"


@given(st.integers(0, 10_000), st.floats(0.1, 5))
@settings(max_examples=25, deadline=None)
def test_one_row_moves_a_private_sum_by_no_more_than_is_paid_for(seed, clip):
    """The sensitivity itself: the same blocks with and without one row, rounded as a member rounds them."""
    draws = np.random.default_rng(seed)
    network = Network(5, (7, 3))
    weights = draws.normal(size=network.length)
    inputs = draws.normal(0, 10, (40, 5)).astype(np.float32)
    label = draws.integers(0, 2, 40).astype(np.uint8)
    scale = 2.0**24 / clip

    def total(rows):
        blocks = network.clipped_sums(weights, inputs[rows], label[rows], 3.0, clip, block=64)
        return sum(np.rint(block * scale).astype(np.int64) for block in blocks)

    keep = np.arange(40) != 17
    moved = (total(np.arange(40)) - total(keep)).astype(np.float64)
    assert np.linalg.norm(moved) <= 2**24 + 16 + math.sqrt(network.length)


def test_per_row_norms_are_those_of_the_rows_gradients():
    draws = np.random.default_rng(3)
    network = Network(4, (6, 5))
    weights = draws.normal(size=network.length)
    inputs = draws.normal(size=(9, 4)).astype(np.float32)
    label = draws.integers(0, 2, 9).astype(np.uint8)
    for clip in (0.05, 1e9):
        whole = sum(network.clipped_sums(weights, inputs, label, 2.0, clip))
        each = [
            network.gradient_sums(weights, inputs[k : k + 1], label[k : k + 1], 2.0, 8)[0] for k in range(9)
        ]
        wanted = np.sum([g * min(1.0, clip / float(np.linalg.norm(g))) for g in each], axis=0)
        assert np.allclose(whole, wanted, rtol=1e-4, atol=1e-5)


def test_noise_is_inside_what_a_member_sends():
    plan = make_plan(Linear(rounds=1), privacy=Privacy(rho=0.01))
    task = RoundsTask(plan, make_rows(200, 1))
    other = RoundsTask(plan, make_rows(200, 1))
    from hitoku.learning.preparation import _counts_instruction

    asked = _counts_instruction(plan, "linear", 6)
    a, b = (one.contribute(asked, plan.members) for one in (task, other))
    deviation = Schedule(plan).noise("quantiles", 6).scale
    difference = (a - b).astype(float)
    # Of 1,932 numbers, and some of these stand for several: their deviation is known to 1.9 %.
    assert 0.85 < difference.std() / (deviation * math.sqrt(2)) < 1.15


def test_an_instruction_that_asks_to_leave_the_noise_out_is_refused():
    plan = make_plan(Perceptron(rounds=3), privacy=Privacy(rho=0.1))
    plain = make_plan(Perceptron(rounds=3))
    rows = make_rows(200, 1)
    trainer = trained(plain, [rows] * 4)
    work, scaling = Work(plain), trainer._ready()[2].scaling
    asked = work.instruction(0, work.network(scaling.inputs), trainer.weights, scaling.arrays())
    with pytest.raises(Refusal):
        RoundsTask(plan, rows).contribute(asked, plan.members)
    with pytest.raises(Refusal):
        RoundsTask(plan, rows).contribute(Instruction("perceptron", {"do": "raw"}, 3, 3), plan.members)


def test_something_is_learned_with_noise():
    pytest.importorskip("sklearn", reason="needs the extra inference")
    from sklearn.metrics import average_precision_score

    rows = [make_rows(6000, k) for k in range(5)]
    test = make_rows(5000, 99)
    plan = make_plan(Linear(rounds=30, rate=0.2), privacy=Privacy(rho=rho_for(8.0)))
    made = average_precision_score(test.label, scores(trained(plan, rows), test))
    assert made > 2 * test.label.mean()
