# SPDX-License-Identifier: Apache-2.0
"""Fixed point and noise: bounds that hold for every row, scores that do not depend on a row's place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.learning.boosting.banks import BANKS, grown, plan_of, rows_of, spread, summer_of

from hitoku.errors import InputError, Refusal
from hitoku.learning.base import Instruction
from hitoku.learning.boosting import BoostingTask, BoostingTrainer
from hitoku.learning.boosting.fixed_point import FixedPoint, fixed_point, gradients, losses, sigmoid
from hitoku.learning.boosting.noise import count_squared, level_noise, level_squared
from hitoku.learning.boosting.shape import shape_of
from hitoku.learning.plan import Aggregation, Plan, Privacy, Weighting


@given(st.floats(0.01, 10_000), st.integers(1, 1 << 28))
def test_no_sum_leaves_what_float64_holds_exactly(positive: float, rows: int) -> None:
    plan = plan_of(rows=rows, weights=Weighting(positive=positive))
    try:
        scale = fixed_point(plan)
    except InputError:
        assert 5 * rows * (max(1.0, positive) * 2**8 + 2) > 2**53
        return
    assert len(BANKS) * scale.cell <= 1 << 53
    assert 8 <= scale.bits <= 24
    assert scale.row >= max(1.0, positive) * 2**scale.bits
    assert rows * (32 * max(1.0, positive) / scale.loss_unit + 0.5) <= scale.loss
    assert len(BANKS) * scale.loss < 1 << 62


def test_usual_plans_have_all_bits() -> None:
    assert fixed_point(plan_of(rows=1 << 22)).bits == 24


def test_so_much_that_it_would_be_coarse_is_refused() -> None:
    plan = plan_of(rows=1 << 28, weights=Weighting(positive=10_000))
    many = Plan.model_validate(plan.model_dump() | {"members": [f"b{i:02}" for i in range(60)]})
    with pytest.raises(InputError, match="too coarse"):
        fixed_point(many)


@settings(max_examples=50)
@given(st.floats(-1e4, 1e4), st.integers(0, 1), st.floats(0.01, 100), st.integers(8, 24))
def test_a_rows_gradient_is_bounded_and_near(margin: float, label: int, positive: float, bits: int) -> None:
    scale = FixedPoint(bits, int(np.ceil(max(1.0, positive) * 2.0**bits)) + 1, 0)
    labels = np.asarray([label], np.uint8)
    g, h = gradients(np.asarray([margin]), labels, positive, scale)
    weight = positive if label else 1.0
    p = 1 / (1 + np.exp(-np.clip(margin, -60, 60)))
    assert abs(int(g[0])) <= scale.row
    assert 0 <= int(h[0]) <= scale.row
    assert g[0] * scale.unit == pytest.approx((p - label) * weight, abs=0.51 * scale.unit)
    assert h[0] * scale.unit == pytest.approx(p * (1 - p) * weight, abs=0.51 * scale.unit)
    # The bound of the noise: with the row or without it.
    assert int(g[0]) ** 2 + int(h[0]) ** 2 <= scale.row**2
    assert 0 <= losses(np.asarray([margin]), labels, positive)[0] <= 32 * weight


@given(st.integers(0, 1 << 30), st.integers(1, 70), st.integers(0, 20))
def test_a_probability_does_not_depend_on_the_place(seed: int, rows: int, shift: int) -> None:
    margins = np.random.default_rng(seed).normal(scale=6, size=rows + shift)
    assert np.array_equal(sigmoid(margins)[shift:], sigmoid(margins[shift:].copy()))
    assert np.array_equal(sigmoid(margins), np.concatenate([sigmoid(m) for m in margins.reshape(-1, 1)]))


def test_one_row_moves_a_level_no_further_than_is_said() -> None:
    plan = plan_of(trees=1, depth=2, bins=8, weights=Weighting(positive=7.0), l2=0.1)
    rows = rows_of(400, seed=3)
    trainer = BoostingTrainer(plan)
    trainer.prepare(summer_of(plan, spread(rows)))
    shape = shape_of(plan)
    # Where all probabilities are near 0, rows of label 1 move the sums the furthest.
    model = trainer._arrays() | {"base": np.asarray([-9.0])}
    ask = Instruction(
        "boosting",
        {"do": "grow", "tree": 0, "level": 0},
        shape.level_length(1),
        shape.level_bound,
        {"nodes": np.zeros(1, np.int32)},
    )

    def level(kept: np.ndarray) -> np.ndarray:
        banks = BoostingTask(plan, type(rows)(rows.features[kept], rows.label[kept], rows.part[kept]))
        banks.told({"do": "sync"}, model)
        return banks.contribute(ask, BANKS)

    whole = level(np.ones(400, np.bool_))
    squared = level_squared(plan, 6)
    worst = 0
    for row in np.flatnonzero((rows.part == 0) & (rows.label == 1))[:20]:
        moved = (whole - level(np.arange(400) != row)).astype(object)
        worst = max(worst, int((moved**2).sum()))
    assert 0.99 * squared < worst <= squared
    assert count_squared(6) == 7


def test_noise_is_in_what_a_bank_contributes_and_is_paid_for() -> None:
    privacy = Privacy(rho=0.5)
    plan = plan_of(trees=2, depth=2, bins=8, privacy=privacy, aggregation=Aggregation(changes=2))
    banks = spread(rows_of(1_000))
    noise = level_noise(plan, 6)
    assert noise is not None
    clean = BoostingTrainer(plan_of(trees=2, depth=2, bins=8))
    clean.prepare(summer_of(plan_of(trees=2, depth=2, bins=8), banks))
    exact, noised = (BoostingTask(p, banks["b0"]) for p in (plan_of(trees=2, depth=2, bins=8), plan))
    made = []
    for one in (exact, noised):
        one.told({"do": "sync"}, clean._arrays())
        ask = Instruction(
            "boosting",
            {"do": "grow", "tree": 0, "level": 0},
            one._shape.level_length(1),
            one._shape.level_bound,
            {"nodes": np.zeros(1, np.int32)},
        )
        made.append(one.contribute(ask, BANKS))
    spread_of = np.std((made[1] - made[0]).astype(np.float64))
    assert 0.5 * noise.scale < spread_of < 2 * noise.scale
    paid = (2 + plan.aggregation.changes) * 2
    for _ in range(paid - 1):
        noised.contribute(ask, BANKS)
    with pytest.raises(Refusal) as refused:
        noised.contribute(ask, BANKS)
    assert refused.value.code == "LEARNING_PRIVACY_SPENT"


def test_a_model_grows_under_noise() -> None:
    plan = plan_of(trees=2, depth=3, bins=8, privacy=Privacy(rho=50.0))
    trainer = grown(plan, spread(rows_of(2_000)))
    assert trainer.done == 2
    with pytest.raises(InputError, match="patience"):
        BoostingTrainer(plan_of(trees=2, patience=1, privacy=Privacy(rho=1.0)))


def test_sums_that_would_be_too_long_are_refused_before_anything() -> None:
    with pytest.raises(InputError, match="too long"):
        BoostingTrainer(plan_of(2000, depth=10, bins=255))
