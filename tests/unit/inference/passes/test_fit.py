# SPDX-License-Identifier: Apache-2.0
"""Polynomials stand for activations as well as reported, and no better."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.inference.activations import KINDS
from hitoku.inference.errors import ModelError
from hitoku.inference.network import Activation, Dense, Network, Polynomial
from hitoku.inference.passes import compare, fit
from hitoku.inference.passes.fit import fit_one

SMOOTH = sorted(set(KINDS) - {"clip", "exp"})


def network(kind: str, outputs: int, weight: float = 1.0) -> Network:
    rng = np.random.default_rng(0)
    sizes = [6, 12, 12, outputs]
    layers: list[Any] = []
    for place, (a, b) in enumerate(pairwise(sizes)):
        layers.append(Dense(rng.normal(size=(b, a)) * weight / np.sqrt(a), rng.normal(size=b) / 4))
        if place < 2:
            layers.append(Activation(kind))
    return Network("n", (6,), tuple(layers))


def samples(count: int = 800, seed: int = 5) -> Any:
    return np.random.default_rng(seed).normal(size=(count, 6))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SMOOTH), st.integers(3, 15), st.integers(0, 99))
def test_the_reported_error_is_the_error_on_the_samples(kind: str, degree: int, seed: int) -> None:
    parameters = tuple(value for _, value in KINDS[kind].defaults)
    activation = Activation(kind, parameters)
    values = np.random.default_rng(seed).normal(0, 2, 4000)
    polynomial, error = fit_one(activation, values, degree)
    assert polynomial.degree <= degree
    assert polynomial.replaced == kind
    assert polynomial.domain[0] < values.min() < values.max() < polynomial.domain[1]
    real = float(np.sqrt(np.mean((polynomial.run(values) - activation.run(values)) ** 2)))
    assert real == pytest.approx(error, rel=0.05, abs=1e-3)


def test_more_degrees_fit_better() -> None:
    values = np.random.default_rng(0).normal(0, 2, 4000)
    errors = [fit_one(Activation("relu"), values, degree)[1] for degree in (2, 4, 8, 14)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 4


def test_a_polynomial_activation_is_found_exactly() -> None:
    activation = Activation("expression", (), ("power", ("x",), 3))
    polynomial, error = fit_one(activation, np.linspace(-2, 3, 500), 5)
    assert error < 1e-12
    assert np.allclose(polynomial.coefficients, [0, 0, 0, 1, 0, 0], atol=1e-10)
    low, high = polynomial.domain
    unit = np.linspace(-1, 1, 9)
    wanted = polynomial.run(unit * (high - low) / 2 + (high + low) / 2)
    assert np.allclose(np.polynomial.chebyshev.chebval(unit, polynomial.chebyshev()), wanted)


@pytest.mark.parametrize("kind", ["relu", "sigmoid", "tanh", "gelu"])
def test_decisions_stay_within_the_tolerance(kind: str) -> None:
    before = network(kind, 3)
    fitted = fit(before, samples(), tolerance=0.02)
    assert fitted.cost.decisions <= 0.02
    assert all(isinstance(layer, (Dense, Polynomial)) for layer in fitted.network.layers)
    fresh = samples(seed=9)
    assert (
        compare(before.run(fresh), fitted.network.run(fresh)).decisions <= fitted.cost.decisions_most + 0.03
    )
    assert [one.kind for one in fitted.fits] == [kind, kind]
    assert fitted.to_dict()["cost"]["samples"] == 200


def test_scores_stay_within_the_tolerance() -> None:
    fitted = fit(network("tanh", 1), samples(), tolerance=0.01)
    assert fitted.cost.error <= 0.01


def test_degrees_are_no_higher_than_needed() -> None:
    rough = fit(network("tanh", 3, 3.0), samples(), tolerance=0.4)
    fine = fit(network("tanh", 3, 3.0), samples(), tolerance=0.1)
    assert sum(one.degree for one in rough.fits) < sum(one.degree for one in fine.fits)
    assert rough.fits[0].degree == 2


def test_fitting_dense_layers_again_takes_back_what_a_low_degree_loses() -> None:
    before = network("relu", 3, 2.0)
    options: dict[str, Any] = {"tolerance": 1.0, "degrees": (2,)}
    again, plain = (fit(before, samples(), refit=refit, **options).cost for refit in (True, False))
    assert again.error < 0.8 * plain.error


def test_what_cannot_be_reached_is_refused() -> None:
    with pytest.raises(ModelError, match="of decisions change") as error:
        fit(network("tanh", 3, 3.0), samples(), tolerance=0.0, degrees=(2, 3))
    assert error.value.code == "TOLERANCE"


def test_a_network_without_activations_stays() -> None:
    before = Network("n", (6,), (Dense(np.ones((2, 6)), np.zeros(2)),))
    fitted = fit(before, samples(20))
    assert fitted.network is before
    assert fitted.cost.worst == 0


@pytest.mark.parametrize(
    "given_samples", [np.zeros((3, 6)), np.zeros((20, 5)), np.full((20, 6), np.nan), "text", np.zeros(6)]
)
def test_samples_that_cannot_be_used(given_samples: object) -> None:
    with pytest.raises(ModelError) as error:
        fit(network("relu", 3), given_samples)
    assert error.value.code == "CALIBRATION"
