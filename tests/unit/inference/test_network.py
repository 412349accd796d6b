# SPDX-License-Identifier: Apache-2.0
"""The layers of a network: what they compute, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.inference import activations, post
from hitoku.inference.errors import ModelError
from hitoku.inference.network import (
    Activation,
    AveragePool,
    Conv,
    Dense,
    Flatten,
    Layer,
    Network,
    Polynomial,
    Reshape,
    Scale,
    Select,
)

RNG = np.random.default_rng(1)


def by_hand(conv: Conv, x: Any) -> Any:
    """A convolution by its definition, one sum a place."""
    top, left, bottom, right = conv.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    samples, (out, height, width) = len(x), conv.output_shape(x.shape[1:])
    found = np.empty((samples, out, height, width))
    per, each = out // conv.groups, conv.weights.shape[1]
    for o, row, column in np.ndindex(out, height, width):
        channels = slice(o // per * each, (o // per + 1) * each)
        rows = row * conv.stride[0] + np.arange(conv.kernel[0]) * conv.dilation[0]
        columns = column * conv.stride[1] + np.arange(conv.kernel[1]) * conv.dilation[1]
        window = padded[:, channels][:, :, rows][:, :, :, columns]
        found[:, o, row, column] = (window * conv.weights[o]).sum(axis=(1, 2, 3)) + conv.bias[o]
    return found


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 2),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_a_convolution_is_its_definition(
    groups: int, each: int, kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any
) -> None:
    weights = RNG.normal(size=(2 * groups, each, *kernel))
    conv = Conv(weights, RNG.normal(size=2 * groups), stride, padding, dilation, groups)
    x = RNG.normal(size=(2, groups * each, 6, 7))
    assert np.allclose(conv.run(x), by_hand(conv, x))


def test_a_large_convolution_is_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Conv(RNG.normal(size=(2, 1, 3, 3)), RNG.normal(size=2))
    x = RNG.normal(size=(9, 1, 8, 8))
    whole = conv.run(x)
    monkeypatch.setattr("hitoku.inference.layers.CHUNK_VALUES", 1000)
    assert np.array_equal(conv.run(x), whole)


def test_an_average_at_the_edge_counts_what_is_there() -> None:
    x = np.ones((1, 1, 4, 4))
    assert AveragePool((2, 2), (2, 2), (1, 1, 1, 1)).run(x).min() == 1.0
    assert AveragePool((2, 2), (2, 2), (1, 1, 1, 1), count_padding=True).run(x)[0, 0, 0, 0] == 0.25


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=12), st.floats(-5, 5), st.floats(0.1, 9))
def test_chebyshev_coefficients_give_the_same(values: list[float], low: float, width: float) -> None:
    polynomial = Polynomial(np.array(values), domain=(low, low + width))
    unit = np.linspace(-1, 1, 33)
    wanted = polynomial.run((unit + 1) * width / 2 + low)
    found = np.polynomial.chebyshev.chebval(unit, polynomial.chebyshev())
    assert np.allclose(found, wanted, rtol=1e-6, atol=1e-6 * (1 + np.abs(wanted).max()))


def test_degrees_and_squares() -> None:
    assert Polynomial(np.array([0.0, 0, 1, 0])).is_square
    assert not Polynomial(np.array([0.0, 1e-9, 1])).is_square
    assert Polynomial(np.array([3.0])).degree == 0
    with pytest.raises(ModelError, match="no bounded domain"):
        Polynomial(np.array([3.0])).chebyshev()


def test_constants_cannot_be_changed() -> None:
    dense = Dense(np.ones((2, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="read-only"):
        dense.weights[0, 0] = 5


WRONG: list[Any] = [
    lambda: Dense(np.ones((2, 3)), np.zeros(3)),
    lambda: Dense(np.ones((2, 3, 1)), np.zeros(2)),
    lambda: Dense(np.full((1, 1), np.nan), np.zeros(1)),
    lambda: Conv(np.ones((3, 1, 2, 2)), np.zeros(3), groups=2),
    lambda: Conv(np.ones((1, 1, 2, 2)), np.zeros(1), padding=(-1, 0, 0, 0)),
    lambda: Conv(np.ones((1, 1, 2, 2)), np.zeros(1), stride=(0, 1)),
    lambda: AveragePool((2, 2), (0, 1)),
    lambda: AveragePool((2, 2), (1, 1), (2, 0, 0, 0)),
    lambda: Scale(np.ones(2), np.zeros(1)),
    lambda: Select(np.array([0, -2]), (2,)),
    lambda: Select(np.array([0, 1]), (3,)),
    lambda: Polynomial(np.array([])),
    lambda: Polynomial(np.ones(2), domain=(1.0, 1.0)),
    lambda: Activation("unheard"),
    lambda: Activation("elu"),
    lambda: Activation("elu", (math.nan,)),
    lambda: Activation("expression", (), ("add", ("x",))),
    lambda: Activation("expression", (), ("call", "unheard", (), ("x",))),
    lambda: Network("n", (0,), ()),
    lambda: Network("n", (2,), (), post=("unheard",)),
]


@pytest.mark.parametrize("make", WRONG)
def test_what_does_not_fit_is_refused(make: Any) -> None:
    with pytest.raises(ModelError):
        make()


MISFITS: list[tuple[Layer, tuple[int, ...]]] = [
    (Dense(np.ones((2, 3)), np.zeros(2)), (4,)),
    (Conv(np.ones((1, 2, 2, 2)), np.zeros(1)), (1, 4, 4)),
    (Conv(np.ones((1, 1, 5, 5)), np.zeros(1)), (1, 4, 4)),
    (Conv(np.ones((1, 1, 2, 2)), np.zeros(1)), (16,)),
    (AveragePool((3, 3), (1, 1)), (1, 2, 2)),
    (Scale(np.ones(3), np.zeros(3)), (4,)),
    (Reshape((5,)), (4,)),
    (Select(np.array([4]), (1,)), (4,)),
]


@pytest.mark.parametrize(("layer", "shape"), MISFITS)
def test_layers_that_do_not_fit_each_other(layer: Layer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as error:
        Network("n", shape, (layer,))
    assert error.value.code == "SHAPE"
    assert type(layer).__name__ in (error.value.where or "")


def test_inputs_are_checked() -> None:
    network = Network("n", (1, 2, 2), (Flatten(), Dense(np.ones((1, 4)), np.zeros(1))))
    flat = np.arange(8.0).reshape(2, 4)
    assert network.run(flat).tolist() == network.run(flat.reshape(2, 1, 2, 2)).tolist() == [[6.0], [22.0]]
    for wrong in (np.ones(4), np.ones((2, 5)), np.float64(1), np.full((1, 4), np.inf)):
        with pytest.raises(ModelError):
            network.run(wrong)
    assert [part.shape for part in network.trace(flat)] == [(2, 1, 2, 2), (2, 4), (2, 1)]


def test_last_steps() -> None:
    scores = np.array([[1.0, 3.0, 2.0], [900.0, 0.0, -900.0]])
    shares = post.apply(("softmax",), scores)
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(np.exp(post.apply(("log_softmax",), scores)), shares)
    assert post.apply(("argmax",), scores).tolist() == [[1.0], [0.0]]
    assert post.apply(("argmax",), np.array([[0.1], [-0.1]])).tolist() == [[1.0], [0.0]]
    both = post.apply(("sigmoid", "complement"), np.array([[0.0], [-800.0]]))
    assert both.tolist() == [[0.5, 0.5], [1.0, 0.0]]
    assert post.apply(("share",), np.array([[0.0, 0.0], [1.0, 3.0]])).tolist() == [[0.5, 0.5], [0.25, 0.75]]


@pytest.mark.parametrize("kind", sorted(activations.KINDS))
def test_activations_are_finite_far_out(kind: str) -> None:
    parameters = tuple(value for _, value in activations.KINDS[kind].defaults)
    values = activations.apply(kind, parameters, None, np.array([-1e3, -1.0, 0.0, 1.0, 1e3]))
    assert np.isfinite(values).all() or kind == "swish"


def test_expressions_are_bounded() -> None:
    expression: Any = ("x",)
    for _ in range(10):
        expression = ("add", expression, expression)
    with pytest.raises(ModelError, match="more than"):
        Activation("expression", (), expression)
