# SPDX-License-Identifier: Apache-2.0
"""Circuits of both layouts, run on plain numbers, give the network's scores; scales are as planned."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.unit.inference.layouts.nets import SQUARE, Floats, normal, picture, samples, table

from hitoku.hazmat.ring import find_primes
from hitoku.inference.circuit import Program
from hitoku.inference.interpreters import depth, plain, scales
from hitoku.inference.interpreters.ring import RingShape
from hitoku.inference.layouts import batch, packed
from hitoku.inference.layouts.chain import Scaling, Sketch, write
from hitoku.inference.layouts.lowering import stages
from hitoku.inference.layouts.packed_moves import Fold, Gather
from hitoku.inference.layouts.stages import Linear, Stage, run
from hitoku.inference.layouts.writer import Ring
from hitoku.inference.network import AveragePool, Conv, Dense, Flatten, Network, Polynomial
from hitoku.inference.passes import integers, normalise

PLANS = [
    Scaling(24.0, 20.0, 14.0),
    Scaling(24.0, 24.0, 14.0, early=True, late=False),
    Scaling(24.0, 20.0, 14.0, early=True, late=True, spare=0.4, widest=40.0),
]
NETWORKS = [
    table(1),
    table(2, np.array([0.1, 0.4, 0.2, 0.3])),
    table(3, np.array([0.0, 0.5, 0.1, 0.0, 0.2, 0.1])),
]


def ring(
    parts: tuple[Stage, ...], x: Floats, growth: list[float], scaling: Scaling
) -> tuple[list[float], Ring]:
    values = run(parts, x)[1:]
    sizes = [float(np.sqrt(np.square(v).mean())) for v in values]
    tops = [2 * float(np.abs(v).max()) for v in values]
    sketch = Sketch(growth, tops, scaling, 20.0)
    write(parts, sizes, scaling, sketch)
    bits = [round(b) for b in sketch.bits()]
    *primes, special = find_primes(32768, [*bits, 45])
    return sizes, Ring(8192, tuple(primes), special, tuple(sketch.counts))


def whole(network: Network) -> tuple[Network, tuple[Stage, ...], Floats]:
    x = samples(network, 30)
    rounded = integers(normalise(network, x, inputs=False).network, x, tolerance=0.01)
    units = tuple(None if w is None else w.unit for w in rounded.weights)
    parts = tuple(p.whole() if isinstance(p, Linear) else p for p in stages(rounded.network, units))
    return rounded.network, parts, x


def scale_left(program: Program, numbers: Ring) -> float:
    shape = RingShape(numbers.degree, numbers.primes, numbers.special)
    return scales.find(program, shape).values[program.outputs["scores"]]


@pytest.mark.parametrize("scaling", PLANS)
@pytest.mark.parametrize("network", [*NETWORKS, picture(4)], ids=lambda n: n.name)
def test_batch(network: Network, scaling: Scaling) -> None:
    rounded, parts, x = whole(network)
    sizes, numbers = ring(parts, x, batch.growth(parts), scaling)
    program = batch.program(parts, sizes, scaling, numbers)
    slots = np.zeros((x[0].size, 4096))
    slots[:, : len(x)] = x.reshape(len(x), -1).T
    found = plain.run(program, {"x": slots})["scores"][:, : len(x)].T
    assert np.allclose(found, rounded.run(x), atol=1e-9)
    assert scale_left(program, numbers) > 2.0**12


@pytest.mark.parametrize("scaling", PLANS)
@pytest.mark.parametrize("network", [*NETWORKS, picture(4), picture(5, padding=1)], ids=lambda n: n.name)
def test_packed(network: Network, scaling: Scaling) -> None:
    x = samples(network, 8)
    parts = packed.joined(stages(normalise(network, x, inputs=False).network))
    way = packed.packing(parts, 4096)
    assert way is not None
    sizes, numbers = ring(parts, x, packed.growth(parts, way.moves, scaling), scaling)
    program = packed.program(parts, sizes, way, scaling, numbers)
    for one, wanted in zip(x, network.run(x), strict=True):
        found = plain.run(program, {"x": way.arrange(one.ravel())})["scores"]
        assert np.allclose(found[0, way.output.at], wanted, atol=1e-8)
        allowed = np.append(wanted, 0.0)
        nearest = np.abs(found[0][:, None] - allowed).min(axis=1)
        assert nearest.max() < 1e-8, "a slot holds more than scores"
    assert scale_left(program, numbers) > 2.0**12


def test_depth_is_that_of_the_polynomials() -> None:
    for network in NETWORKS:
        _, parts, x = whole(network)
        sizes, numbers = ring(parts, x, batch.growth(parts), PLANS[0])
        program = batch.program(parts, sizes, PLANS[0], numbers)
        degree = len(network.layers[1].coefficients) - 1  # type: ignore[union-attr]
        assert depth.find(program).products == math.ceil(math.log2(degree))


def test_a_pooling_after_a_gathered_convolution_costs_rotations_only() -> None:
    source = np.random.default_rng(1)
    layers = (
        Conv(normal(source, 6, 1, 5, 5), np.ones(6), name="c1"),
        Polynomial(SQUARE),
        AveragePool((2, 2), (2, 2), name="pool"),
        Flatten(),
        Dense(normal(source, 10, 864), np.ones(10)),
    )
    network = Network("pooled", (1, 28, 28), layers)
    parts = packed.joined(stages(network))
    way = packed.packing(parts, 4096)
    assert way is not None
    assert isinstance(way.moves[0], Gather)
    assert isinstance(way.moves[2], Fold)


def test_a_layer_wider_than_the_slots_has_no_packing() -> None:
    parts = packed.joined(stages(picture(4)))
    assert packed.packing(parts, 64) is None
