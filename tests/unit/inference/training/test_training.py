# SPDX-License-Identifier: Apache-2.0
"""Training with encrypted weights: the same steps as in the clear, sums that tell nothing else, guards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.hazmat import ring
from hitoku.inference import ModelError
from hitoku.inference.training import EncryptedModel, EncryptedSGD, ModelOwner, Shape, messages, steps
from hitoku.inference.training.masking import constant, masked

RATE, DECAY = 2.0, 0.01


def clipped(shape: Shape, x):
    rows = np.column_stack([x, np.ones(len(x))])
    return rows / np.maximum(1.0, np.linalg.norm(rows, axis=1) / shape.clip)[:, None]


def samples(n, features, seed=3):
    source = np.random.default_rng(seed)
    x = source.normal(size=(n, features)) * 0.4
    return x, (x @ np.arange(1, features + 1) + 0.3 * source.normal(size=n) > 0).astype(float)


@pytest.fixture(scope="module")
def logistic():
    return ModelOwner(Shape("logistic", 3), rate=RATE, decay=DECAY)


def test_logistic_steps_are_those_in_the_clear(logistic):
    shape = logistic.shape
    x, y = samples(50, 3)
    sgd = EncryptedSGD(logistic.keys(), logistic.send(), logistic)
    rows, w = clipped(shape, x), logistic.weights.copy()
    first, third = shape.sigmoid
    before = len(logistic.rounds)  # other tests' come first where tests are spread over processes
    for _ in range(3):
        sgd.partial_fit(x, y)
        z = rows @ w
        p = 0.5 + first * z + third * z**3
        w = w - RATE * (rows.T @ (p - y) / len(y) + DECAY * w)
        w *= min(1.0, shape.bound / np.linalg.norm(w))
        # Flooding moves a weight by 0.009 (standard deviation, third step); a step moves the largest by 0.2.
        assert np.abs(logistic.weights - w).max() < 0.055
    assert [r.samples for r in logistic.rounds[before:]] == [50] * 3


def test_scores_under_encrypted_weights(logistic):
    x, _ = samples(20, 3, seed=5)
    model = EncryptedModel(logistic.keys(), logistic.send())
    scores = logistic.scores(model.scores(x), len(x))
    assert np.abs(scores - clipped(logistic.shape, x) @ logistic.weights).max() < 1e-3


def test_many_linear_steps_are_one_round():
    shape = Shape("linear", 2, bound=10.0)
    owner = ModelOwner(shape)
    source = np.random.default_rng(1)
    x = source.normal(size=(200, 2))
    y = x @ [1.5, -2.0] + 0.7 + 0.01 * source.normal(size=200)
    EncryptedSGD(owner.keys(), owner.send(), owner).fit_linear(x, y, rate=0.2, steps_=300)
    assert len(owner.rounds) == 1
    assert np.abs(owner.weights - [1.5, -2.0, 0.7]).max() < 0.01


def test_a_network_steps_as_in_the_clear():
    shape = Shape("network", 2, hidden=2, bound=2.0, reach=4.0)
    source = np.random.default_rng(4)
    x = source.normal(size=(40, 2)) * 0.5
    y = x[:, 0] * x[:, 1]
    begin = source.normal(size=shape.weights) * 0.4
    owner = ModelOwner(shape, rate=0.2, weights=begin)
    EncryptedSGD(owner.keys(), owner.send(), owner).partial_fit(x, y)
    rows = clipped(shape, x)
    first, second, last = begin[:6].reshape(2, 3), begin[6:8], begin[8]
    z = rows @ first.T
    away = (z**2) @ second + last - y
    gradient = np.concatenate(
        [
            np.concatenate([rows.T @ (away * second[h] * 2 * z[:, h]) for h in range(2)]),
            (z**2).T @ away,
            [away.sum()],
        ]
    ) / len(x)
    assert np.abs(owner.weights - (begin - 0.2 * gradient)).max() < 0.02


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=5))
def test_a_masked_ciphertext_keeps_the_mean_of_its_slots(values):
    params = steps.parameters(Shape("linear", 1))
    secret = ring.SecretKey.generate(params)
    rows = np.zeros((len(values), params.slots))
    rows[:, 0] = values
    rows[:, -1] = 3.0
    scale = 2.0**40
    found = constant(secret.decrypt(masked(secret.encrypt(ring.encode(params, rows, scale)).expand())))
    assert np.abs(found - rows.mean(axis=1)).max() < 1e-6


def test_what_is_masked_is_uniform_but_for_the_mean():
    """A real view against a simulated one; and without the mask the test fails."""
    params = steps.parameters(Shape("linear", 1))
    secret = ring.SecretKey.generate(params)
    rows = np.zeros((1, params.slots))
    rows[0, :100] = 5.0
    sent = secret.encrypt(ring.encode(params, rows, 2.0**40)).expand()

    def spread(x: ring.Ciphertexts) -> float:
        """Chi-square of 64 equal parts of [0, q) over the decrypted values at the roots."""
        values = secret.decrypt(x).residues[0, 0].astype(np.float64) / params.primes[0]
        counts = np.bincount((values * 64).astype(int), minlength=64)
        expected = len(values) / 64
        return float(((counts - expected) ** 2 / expected).sum())

    def coefficients(x: ring.Ciphertexts) -> float:
        """How much of the plaintext a decoding sees: the largest slot against the mean's."""
        return float(np.abs(ring.decode(secret.decrypt(x))).max())

    # 63 degrees of freedom: below 140 but once in 10^7.
    assert spread(masked(sent)) < 140
    assert coefficients(sent) == pytest.approx(5.0, abs=1e-3)
    assert coefficients(masked(sent)) > 1e6, "no slot can be read"
    one, two = masked(sent), masked(sent)
    assert not np.array_equal(one.residues, two.residues), "masks are drawn anew"


def test_the_owner_refuses_sums_whose_probe_is_wrong():
    logistic = ModelOwner(Shape("logistic", 3), rate=RATE, decay=DECAY)
    x, y = samples(10, 3)
    sgd = EncryptedSGD(logistic.keys(), logistic.send(), logistic)

    class Tampering:
        def refresh(self, message):
            sums, facts = messages.read_sums(logistic.shape, message)
            doubled = ring.add(sums, sums)
            return logistic.refresh(messages.write_sums(logistic.shape, doubled, facts))

    sgd._refresher = Tampering()
    before = logistic.weights.copy()
    with pytest.raises(ModelError, match="probe") as caught:
        sgd.partial_fit(x, y)
    assert caught.value.code == "PRECISION"
    assert np.array_equal(before, logistic.weights)


def test_weights_beyond_the_bound_are_not_sent():
    shape = Shape("linear", 1, bound=1.0)
    with pytest.raises(ModelError) as caught:
        ModelOwner(shape, weights=np.array([1.0, 1.0]))
    assert caught.value.code == "RANGE"


def test_steps_that_diverge_are_refused_before_they_run():
    owner = ModelOwner(Shape("linear", 1))
    sgd = EncryptedSGD(owner.keys(), owner.send(), owner)
    with pytest.raises(ModelError, match="diverge"):
        sgd.fit_linear(np.ones((5, 1)) * 10, np.zeros(5), rate=10.0, steps_=50)


@pytest.mark.parametrize(
    ("x", "y", "code"),
    [
        (np.zeros((3, 2)), np.zeros(3), "SHAPE"),
        (np.zeros((3, 3)), np.zeros(2), "SHAPE"),
        (np.full((3, 3), np.nan), np.zeros(3), "VALUE"),
        (np.zeros((3, 3)), np.array([0, 1, 2.0]), "VALUE"),
    ],
)
def test_samples_that_do_not_fit_are_refused(logistic, x, y, code):
    sgd = EncryptedSGD(logistic.keys(), logistic.send(), logistic)
    with pytest.raises(ModelError) as caught:
        sgd.partial_fit(x, y)
    assert caught.value.code == code


def test_noise_is_drawn_and_accounted_for(logistic):
    """The same gradient twice: with noise it comes out differently, by about as much as was asked."""
    x, y = samples(50, 3)
    seen = []

    class Looking:
        def refresh(self, message):
            sums, _ = messages.read_sums(logistic.shape, message)
            seen.append(constant(logistic._secret.decrypt(sums)) * sums.params.slots)
            return logistic.send()

    sgd = EncryptedSGD(logistic.keys(), logistic.send(), Looking(), noise_multiplier=2.0)
    sgd.partial_fit(x, y, rounds=24)
    assert sgd.rho == pytest.approx(24 / 8)
    spread = np.std(np.array(seen)[:, :-1], axis=0).mean()
    asked = 2.0 * logistic.shape.clip * logistic.shape.residual
    assert 0.5 * asked < spread < 1.6 * asked
    assert np.std(np.array(seen)[:, -1]) < 1, "the probe has none"


def test_noise_is_for_logistic_regression_alone():
    owner = ModelOwner(Shape("linear", 1))
    with pytest.raises(ModelError):
        EncryptedSGD(owner.keys(), owner.send(), owner, noise_multiplier=1.0)


@pytest.mark.parametrize("cut", [0, 10, 100, -1])
def test_damaged_messages_are_refused(logistic, cut):
    for read, data in (
        (messages.read_keys, logistic.keys()),
        (lambda d: messages.read_weights(logistic.shape, d), logistic.send()),
    ):
        with pytest.raises(ModelError):
            read(data[:cut])


def test_the_trainer_has_no_weight_and_the_messages_no_sample(logistic):
    """Planted values are in no message's bytes."""
    planted = 0.12345678912345
    x, y = samples(10, 3)
    x[:, 1] = planted
    sent = []

    class Listening:
        def refresh(self, message):
            sent.append(message)
            return logistic.refresh(message)

    first = logistic.send()
    EncryptedSGD(logistic.keys(), first, Listening()).partial_fit(x, y)
    for needle in (np.float64(planted).tobytes(), *(w.tobytes() for w in logistic.weights)):
        assert not any(needle in message for message in (*sent, first))
