# SPDX-License-Identifier: Apache-2.0
"""Models that other tools exported, compiled without any parameter set by hand, run encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from hitoku.inference import Client, Plan, Server, compile, load  # noqa: A004 - the name users look for

MODELS = Path(__file__).parent / "models"
Objective = Literal["throughput", "latency"]


def calibration(name: str, count: int) -> Any:
    """The model's stored samples and others between them."""
    held = np.load(MODELS / f"{name}.npz")["x"].astype(np.float64)
    source = np.random.default_rng(0)
    shape = (count, *(1 for _ in held.shape[1:]))
    mixed = held[source.integers(0, len(held), count)] * source.uniform(0.85, 1.0, shape)
    return np.concatenate([held, mixed])


def check(name: str, objective: Objective, tolerance: float = 0.02) -> Plan:
    """Compiles, runs encrypted, and compares with the plan's own simulation, which is what it promises."""
    x = calibration(name, 200)
    model = load(MODELS / f"{name}.onnx")
    plan = compile(model, x, objective, tolerance)
    client, server = Client(plan.client.to_json()), Server(plan.bundle().to_bytes())
    admitted = server.admit(client.keys())
    some = x[: min(8, client.samples_per_request)]
    scores = client.decrypt(server.run(client.encrypt(some), admitted))
    from hitoku.inference.interpreters import plain

    (given,) = plan.program.inputs
    exact = plain.run(plan.program, {given: plan.client.encoder.encode(some)})["scores"]
    assert np.abs(scores - plan.client.scores.read(exact, len(some))).max() < plan.tolerance
    assert (client.predict(server.run(client.encrypt(some), admitted)).shape[0]) == len(some)
    return plan


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_logistic_regression(objective: Objective) -> None:
    plan = check("logistic", objective)
    assert plan.params.degree <= 4096


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_three_layer_perceptron_with_relu(objective: Objective) -> None:
    plan = check("mlp", objective)
    assert any(note.startswith("relu became a polynomial of degree") for note in plan.notes)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_lenet5(objective: Objective) -> None:
    plan = check("lenet5", objective)
    assert plan.params.degree == 16384
