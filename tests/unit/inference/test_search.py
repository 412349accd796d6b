# SPDX-License-Identifier: Apache-2.0
"""Parameters are found: secure, precise enough, the same every time; else it says what is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.unit.inference.layouts.nets import Floats, samples, table

from hitoku.hazmat.ring import MAX_BITS
from hitoku.inference import ModelError, compile  # noqa: A004 - the name users look for
from hitoku.inference.interpreters import noise, ranges
from hitoku.inference.layouts.chain import LARGEST_PRIME_BITS, SMALLEST_PRIME_BITS, Scaling, Sketch, write
from hitoku.inference.layouts.lowering import stages
from hitoku.inference.network import Dense, Layer, Network, Polynomial
from hitoku.inference.plan import Plan

CUBIC = np.array([0.1, 0.4, 0.2, 0.3])


def deep(squares: int) -> Network:
    source = np.random.default_rng(3)
    layers: list[Layer] = []
    for number in range(squares):
        layers += [
            Dense(source.choice([-0.25, 0.25], (4, 4)), np.full(4, 0.7), f"dense{number}"),
            Polynomial(np.array([0.0, 0.0, 1.0]), name=f"square{number}"),
        ]
    return Network("deep", (4,), (*layers, Dense(np.ones((1, 4)), np.zeros(1), "end")))


def bits(plan: Plan) -> float:
    return sum(math.log2(p) for p in (*plan.params.primes, plan.params.special))


@pytest.mark.parametrize("objective", ["throughput", "latency"])
@pytest.mark.parametrize("middle", [None, CUBIC], ids=["square", "cubic"])
def test_what_is_found_holds(objective: str, middle: Floats | None) -> None:
    network = table(1, middle)
    x = samples(network, 100)
    plan = compile(network, x, objective, 0.01)  # type: ignore[arg-type]
    assert bits(plan) <= MAX_BITS[plan.params.degree]
    assert max(plan.params.primes) < 2**50
    seen = plan.ranges()
    found = noise.find(plan.program, plan.params, seen)
    arg = plan.program.nodes[plan.program.outputs["scores"]].args[0]
    assert 6 * found.typical_error(arg) < plan.tolerance / 3
    ranges.check_overflow(plan.program, plan.params, found.scales, seen.widened(2.0))
    release = plan.program.releases()["scores"]
    assert release.flood_bits is not None
    assert release.flood_bits >= 0
    assert plan.tolerance == pytest.approx(0.01 * np.abs(network.run(x)).max(), rel=1e-6)


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_the_same_model_compiles_to_the_same_bytes(objective: str) -> None:
    network = table(1)
    x = samples(network, 50)
    first, second = (compile(network, x, objective, 0.02) for _ in range(2))  # type: ignore[arg-type]
    assert first.bundle().to_bytes() == second.bundle().to_bytes()
    assert first.client.to_json() == second.client.to_json()


def test_a_smaller_tolerance_takes_more_bits() -> None:
    network = table(1)
    x = samples(network, 50)
    loose, tight = (compile(network, x, "throughput", t) for t in (0.1, 0.0005))
    assert bits(tight) > bits(loose)
    assert tight.tolerance < loose.tolerance


def test_too_deep_a_network_names_layer_and_missing_bits() -> None:
    network = deep(40)
    with pytest.raises(ModelError) as caught:
        compile(network, samples(network, 20), "throughput", 0.01)
    assert caught.value.code == "NO_PARAMETERS"
    assert caught.value.where is not None
    assert caught.value.where.startswith('layer "dense')
    assert "bits are missing" in str(caught.value)
    assert "larger tolerance" in str(caught.value.remedy)


def test_too_wide_a_network_for_latency() -> None:
    layers = (
        Dense(np.full((20_000, 2), 0.5), np.zeros(20_000), "spread"),
        Polynomial(np.array([0.0, 0.0, 1.0])),
        Dense(np.full((1, 20_000), 1e-4), np.zeros(1), "sum"),
    )
    wide = Network("wide", (2,), layers)
    x = np.random.default_rng(0).random((8, 2))
    with pytest.raises(ModelError, match="20,000 values; the largest ring has 16,384 slots") as caught:
        compile(wide, x, "latency", 0.05)
    assert caught.value.where in ('layer "spread"', 'layer "sum"')
    assert "throughput" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"objective": "fast"}, "VALUE"),
        ({"tolerance": 0.0}, "VALUE"),
        ({"tolerance": 2.0}, "VALUE"),
        ({"bounds": (1.0, 0.0)}, "VALUE"),
        ({"bounds": (0.0, np.nan)}, "VALUE"),
    ],
)
def test_arguments(arguments: dict[str, object], code: str) -> None:
    network = table(1)
    with pytest.raises(ModelError) as caught:
        compile(network, samples(network, 20), **arguments)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_calibration() -> None:
    network = table(1)
    for x in (np.zeros((20, 5)), np.zeros((2, 12)), np.full((20, 12), np.nan)):
        with pytest.raises(ModelError) as caught:
            compile(network, x)
        assert caught.value.code == "CALIBRATION"


def test_stated_bounds_win_over_the_samples() -> None:
    network = table(1)
    x = samples(network, 50)
    plan = compile(network, x, "throughput", 0.05, bounds=(-5.0, 5.0))
    scaler = plan.client.encoder.scaler  # type: ignore[attr-defined]
    assert (scaler.low.tolist(), scaler.high.tolist()) == ([-5.0] * 12, [5.0] * 12)
    assert np.abs(plan.simulate(x, seed=0) - network.run(x)).max() < plan.tolerance


@pytest.mark.parametrize("widest", [36.0, LARGEST_PRIME_BITS])
@pytest.mark.parametrize("spare", [0.0, 0.4])
@pytest.mark.parametrize("work", range(14, 46, 3))
def test_primes_of_every_sketch_are_of_sizes_that_there_are(work: float, spare: float, widest: float) -> None:
    parts = stages(deep(5))
    growth, sizes = [2.0**7] * len(parts), [1.0] * len(parts)
    for early, late in ((False, True), (True, False), (True, True)):
        scaling = Scaling(work, work - 4, work - 8, early, late, spare, widest)
        sketch = Sketch(growth, [4.0] * len(parts), scaling, work)
        write(parts, sizes, scaling, sketch)
        assert all(SMALLEST_PRIME_BITS - 1e-9 <= b < LARGEST_PRIME_BITS + 0.1 for b in sketch.bits())
        for dropped, need in sketch.needs:
            assert need <= sum(sketch.base()) + sum(sketch.drops[dropped:]) + 1e-6
