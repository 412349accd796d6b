# SPDX-License-Identifier: Apache-2.0
"""A bank's blend: better where both know something, never worse on what it was chosen on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import InputError
from hitoku.learning.ensemble import _Ranked, blend, fit

average_precision_score = pytest.importorskip(
    "sklearn.metrics", reason="needs the extra inference"
).average_precision_score


def _world(seed, own_knows, joint_knows, count=4000):
    draw = np.random.default_rng(seed)
    hidden = draw.normal(size=(count, 2))
    label = (draw.random(count) < 1 / (1 + np.exp(4.5 - 1.8 * hidden.sum(1)))).astype(np.uint8)

    def model(knows):
        noise = draw.normal(size=count)
        return 1 / (1 + np.exp(4 - 1.5 * (hidden * knows).sum(1) - 0.5 * noise))

    return model(own_knows), model(joint_knows), label


def _halves(own, joint, label):
    half = len(label) // 2
    return [(own[part], joint[part], label[part]) for part in (slice(None, half), slice(half, None))]


def test_two_models_that_know_different_things_are_mixed():
    chosen, test = _halves(*_world(1, (1, 0), (0, 1), 12_000))
    fitted = fit(*chosen)
    assert 0 < fitted.weight < 1
    mixed = average_precision_score(test[2], blend(fitted, *test[:2]))
    assert mixed > 1.1 * max(average_precision_score(test[2], scores) for scores in test[:2])


def test_a_useless_joint_model_is_left_out():
    chosen, _ = _halves(*_world(2, (1, 1), (0, 0)))
    assert fit(*chosen).weight <= 0.3


def test_a_better_joint_model_is_taken():
    chosen, test = _halves(*_world(3, (0, 0), (1, 1)))
    fitted = fit(*chosen)
    mixed, joint = (
        average_precision_score(test[2], scores) for scores in (blend(fitted, *test[:2]), test[1])
    )
    assert fitted.weight >= 0.5
    assert mixed > 0.95 * joint


@given(st.integers(0, 10_000), st.tuples(*[st.floats(0, 1)] * 4))
@settings(max_examples=12, deadline=None)
def test_it_is_never_worse_on_the_holdout(seed, knows):
    own, joint, label = _world(seed, knows[:2], knows[2:], 800)
    fitted = fit(own, joint, label)
    mixed = average_precision_score(label, blend(fitted, own, joint)) if label.any() else 0.0
    assert not label.any() or mixed >= average_precision_score(label, own) - 1e-9
    assert fitted.gain >= 0


def test_with_few_frauds_a_bank_stays_with_its_own_model():
    own, joint = np.linspace(0.01, 0.99, 50), np.linspace(0.99, 0.01, 50)
    label = np.zeros(50, np.uint8)
    label[:4] = 1
    fitted = fit(own, joint, label)
    assert fitted.weight == 0
    assert np.allclose(blend(fitted, own, joint), own)
    assert fit(own[:0], joint[:0], label[:0]).weight == 0


def test_scores_of_0_and_1_and_perfect_models_have_an_answer():
    label = np.repeat([0, 1], 50).astype(np.uint8)
    own = label.astype(np.float64)
    fitted = fit(own, 1.0 - own, label)
    made = blend(fitted, own, 1.0 - own)
    assert np.isfinite(made).all()
    assert ((made > 0.5) == (label == 1)).all()


def test_other_lengths_are_refused():
    with pytest.raises(InputError):
        fit(np.ones(3), np.ones(2), np.ones(3, np.uint8))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_weighted_average_precision_is_the_known_one(rows):
    scores, label, count = (np.array(column) for column in zip(*rows, strict=True))
    if not (label * count).any():
        return
    made = _Ranked(scores.astype(float), label.astype(np.uint8)).precision(count[None, :].astype(float))[0]
    assert made == pytest.approx(average_precision_score(label, scores, sample_weight=count))
