# SPDX-License-Identifier: Apache-2.0
"""Client and server: scores within the tolerance, and errors that say what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from tests.unit.inference.served import Objective, Served, served

from hitoku import inference
from hitoku.inference import Client, ClientSpec, ModelError, Server
from hitoku.inference.bundle import Bundle
from hitoku.inference.interpreters import scales
from hitoku.inference.wire import Kind, pack, unpack

OBJECTIVES: list[Objective] = ["throughput", "latency"]


def each(one: Served, count: int) -> list[Any]:
    return (
        [one.x[i : i + 1] for i in range(count)] if one.client.samples_per_request == 1 else [one.x[:count]]
    )


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("table", "throughput"),
        ("table", "latency"),
        ("picture", "throughput"),
        pytest.param("picture", "latency", marks=pytest.mark.slow),
    ],
)
def test_scores_are_within_the_tolerance(name: Literal["table", "picture"], objective: Objective) -> None:
    one = served(name, objective)
    admitted = one.server.admit(one.keys)
    for x in each(one, 5):
        scores = one.client.decrypt(one.server.run(one.client.encrypt(x), admitted))
        assert scores.shape == (len(x), one.network.outputs)
        assert np.abs(scores - one.network.run(x)).max() < one.plan.tolerance
        assert np.abs(one.plan.simulate(x, seed=1) - one.network.run(x)).max() < one.plan.tolerance


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_saved_and_read_again(objective: Objective, tmp_path: Path) -> None:
    one = served("table", objective)
    one.plan.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["client.json", "server.bundle"]
    client, server = Client(tmp_path / "client.json"), Server(tmp_path)
    again = Client(str(tmp_path / "client.json"), client.secret())
    x = one.x[:1]
    answer = server.run(client.encrypt(x), client.keys())
    assert np.abs(again.decrypt(answer, 1) - one.network.run(x)).max() < one.plan.tolerance
    assert one.plan.client.to_json() == ClientSpec.from_json(one.plan.client.to_json()).to_json()


def test_another_client_s_answer_is_noise_or_refused() -> None:
    one = served("table", "throughput")
    answer = one.server.run(one.client.encrypt(one.x[:3]), one.keys)
    with pytest.raises(ModelError) as caught:
        Client(one.plan.client).decrypt(answer)
    assert caught.value.code == "RANGE"


def test_keys_and_requests_of_another_model_are_refused() -> None:
    one, other = served("table", "throughput"), served("picture", "throughput")
    with pytest.raises(ModelError, match="another model or another version of it; get the server's present"):
        other.server.run(one.client.encrypt(one.x[:1]), other.keys)
    with pytest.raises(ModelError) as caught:
        one.server.run(other.client.encrypt(other.x[:1]), one.keys)
    assert caught.value.code in ("TOO_LARGE", "CIRCUIT")
    with pytest.raises(ModelError) as caught:
        one.server.admit(other.keys)
    assert caught.value.code == "CIRCUIT"
    with pytest.raises(ModelError):
        Client(one.plan.client, other.client.secret())


def test_missing_and_superfluous_keys() -> None:
    one = served("table", "latency")
    frame = unpack(one.keys, Kind.KEYS, 3, 1 << 40)
    parts = [bytes(s) for s in frame.sections]
    for at in range(3):
        changed = [b"" if i == at else part for i, part in enumerate(parts)]
        with pytest.raises(ModelError) as caught:
            one.server.admit(pack(Kind.KEYS, frame.circuit, changed))
        assert caught.value.code in ("FILE", "KEYS")
    batch = served("table", "throughput")
    held = unpack(batch.keys, Kind.KEYS, 3, 1 << 40)
    with pytest.raises(ModelError, match="hold keys that the circuit does not need"):
        batch.server.admit(pack(Kind.KEYS, held.circuit, [*held.sections[:2], b"x"]))


def test_too_many_samples_and_out_of_bounds() -> None:
    one = served("table", "latency")
    with pytest.raises(ModelError, match="a request holds 1 sample"):
        one.client.encrypt(one.x[:2])
    with pytest.raises(ModelError) as caught:
        one.client.encrypt(one.x[:1] + np.eye(12)[3] * 77.125)
    assert caught.value.code == "RANGE"
    assert "feature 3 of sample 0" in str(caught.value)
    assert "77" not in str(caught.value)


def test_the_specification_holds_no_weights() -> None:
    """Every number of it, against every weight and every constant of the circuit."""
    for one in (served("picture", "throughput"), served("table", "latency")):
        text = one.plan.client.to_json()
        numbers: set[float] = set()
        waiting = [json.loads(text)]
        while waiting:
            item = waiting.pop()
            if isinstance(item, dict):
                waiting += item.values()
            elif isinstance(item, list):
                waiting += item
            elif isinstance(item, float) and not item.is_integer():
                numbers.add(item)
        weights = {float(v) for layer in one.network.layers for v in np.ravel(getattr(layer, "weights", []))}
        held = {
            float(v)
            for _, name, values in one.plan.program.constants
            if name not in ("low", "high", "indices") and values.dtype.kind == "f"
            for v in values.ravel()
        }
        assert weights
        assert not numbers & (weights | {v for v in held if not v.is_integer()})
        assert len(text) < 500_000


def test_the_bundle_names_its_circuit() -> None:
    one = served("table", "throughput")
    data = one.plan.bundle().to_bytes()
    again = Bundle.from_bytes(data)
    assert again.to_bytes() == data
    assert scales.find(again.program, again.params).values[-1] == one.plan.client.answer_scale
    for at in (5, 30, 60, 200, len(data) - 10):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(ModelError):
            Bundle.from_bytes(bytes(changed))


def test_a_changed_specification_is_refused() -> None:
    text = served("table", "throughput").plan.client.to_json()
    with pytest.raises(ModelError, match="does not match its digest"):
        ClientSpec.from_json(text.replace('"columns": 3', '"columns": 2'))
    with pytest.raises(ModelError) as caught:
        ClientSpec.from_json(text.replace('"version": 1', '"version": 2'))
    assert caught.value.code == "FORMAT"


def test_results_do_not_depend_on_threads() -> None:
    one = served("table", "throughput")
    request = one.client.encrypt(one.x[:4])
    for threads in (1, 2):
        answer = Server(one.plan, threads).run(request, one.keys)
        assert np.abs(one.client.decrypt(answer, 4) - one.network.run(one.x[:4])).max() < one.plan.tolerance


def test_an_erased_client_decrypts_nothing() -> None:
    one = served("table", "throughput")
    client = Client(one.plan.client)
    answer = one.server.run(client.encrypt(one.x[:1]), client.keys())
    client.erase()
    with pytest.raises(Exception, match=r"(?i)erased|wiped"):
        client.decrypt(answer)


def test_a_feature_that_is_the_same_in_all_samples() -> None:
    """Its bounds are a range nevertheless, so that there is something to scale by."""
    from sklearn.linear_model import LinearRegression

    x = np.random.default_rng(2).normal(size=(60, 3))
    x[:, 1] = 0.0
    model = LinearRegression().fit(x, x @ [1.0, 2.0, 3.0])
    objectives: tuple[Objective, ...] = ("throughput", "latency")
    for objective in objectives:
        plan = inference.compile(model, x, objective, 0.02)
        client, server = Client(plan.client), Server(plan)
        given = x[: min(20, client.samples_per_request)]
        scores = client.decrypt(server.run(client.encrypt(given), server.admit(client.keys())))
        assert np.abs(scores[:, 0] - model.predict(given)).max() < plan.tolerance
