# SPDX-License-Identifier: Apache-2.0
"""Bounds, scaling and arrangement; refusals name the feature and never its value."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.inference import encoders
from hitoku.inference.encoders import BatchEncoder, PackedEncoder, Scaler, bounds_of
from hitoku.inference.errors import ModelError


def scaler() -> Scaler:
    low, high = np.array([-1.0, 0.0, 10.0]), np.array([3.0, 5.0, 20.0])
    return Scaler((3,), low, high, (high - low) / 2, (high + low) / 2, ("age", "height", "weight"))


def test_scaling() -> None:
    found = scaler().numbers([[-1.0, 0.0, 10.0], [3.0, 5.0, 20.0], [1.0, 2.5, 15.0]])
    assert found.tolist() == [[-1.0] * 3, [1.0] * 3, [0.0] * 3]


def test_what_is_outside_is_named_and_not_quoted() -> None:
    with pytest.raises(ModelError) as caught:
        scaler().numbers([[0.0, 1.0, 11.0], [0.0, 5.12345, 11.0]])
    assert caught.value.code == "RANGE"
    assert "feature 1 (height) of sample 1" in str(caught.value)
    assert "5.12345" not in json.dumps(caught.value.to_dict())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_numbers(value: float) -> None:
    with pytest.raises(ModelError, match=r"feature 2 \(weight\) of sample 0 is not a finite number"):
        scaler().numbers([[0.0, 1.0, value]])


@pytest.mark.parametrize("shape", [(3,), (2, 4), (0, 3), (2, 3, 2), ()])
def test_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        scaler().numbers(np.zeros(shape))
    assert caught.value.code == "SHAPE"


def test_batch() -> None:
    encoder = BatchEncoder(scaler(), 8)
    found = encoder.encode(np.array([[-1.0, 0.0, 10.0], [3.0, 5.0, 20.0]]))
    assert found.shape == (3, 8)
    assert found[:, 0].tolist() == [-1.0] * 3
    assert not found[:, 2:].any()
    with pytest.raises(ModelError, match="a request holds 8 samples, got 9"):
        encoder.encode(np.tile([0.0, 1.0, 11.0], (9, 1)))


def test_packed() -> None:
    indices = np.array([[0, 1, 2, -1], [2, 2, -1, 0]], dtype=np.int32)
    encoder = PackedEncoder(scaler(), indices)
    found = encoder.encode(np.array([[3.0, 0.0, 15.0]]))
    assert found.tolist() == [[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    with pytest.raises(ModelError, match="a request holds 1 sample, got 2"):
        encoder.encode(np.zeros((2, 3)) + 11.0 * np.array([0, 0, 1]))


@pytest.mark.parametrize(
    "encoder",
    [BatchEncoder(scaler(), 4), PackedEncoder(scaler(), np.array([[0, -1, 2, 1]], dtype=np.int32))],
    ids=lambda e: e.kind,
)
def test_json(encoder: Any) -> None:
    data = {"kind": encoder.kind, **encoder.to_json()}
    again = encoders.read(json.loads(json.dumps(data)), 4)
    x = np.array([[0.0, 1.0, 11.0]])
    assert np.array_equal(again.encode(x), encoder.encode(x))
    assert (again.kind, again.count, again.samples) == (encoder.kind, encoder.count, encoder.samples)


DAMAGED: list[tuple[str, Any]] = [
    ("shape", [0]),
    ("shape", [1 << 30]),
    ("shape", "3"),
    ("shape", [3, True]),
    ("low", [1.0, 2.0]),
    ("low", [float("nan")] * 3),
    ("factor", 0.0),
    ("factor", -1.0),
    ("high", -50.0),
    ("names", ["a"]),
    ("names", ["a", "b", "\x1b[2J"]),
    ("offset", None),
]


@pytest.mark.parametrize(("name", "value"), DAMAGED)
def test_damaged(name: str, value: Any) -> None:
    data = {"kind": "batch", **BatchEncoder(scaler(), 4).to_json()}
    data["scaler"][name] = value
    with pytest.raises(ModelError) as caught:
        encoders.read(data, 4)
    assert caught.value.code == "FILE"


@pytest.mark.parametrize("value", ["", "AAAA", "!" * 24, None, "A" * 24, "fwAAA" + "A" * 17 + "=="])
def test_damaged_indices(value: Any) -> None:
    encoder = PackedEncoder(scaler(), np.array([[0, -1, 2, 1]], dtype=np.int32))
    data = {"kind": "packed", **encoder.to_json()} | {"indices": value}
    with pytest.raises(ModelError):
        encoders.read(data, 4)


@pytest.mark.parametrize("data", [None, [], {}, {"kind": "other"}, {"kind": ["batch"]}])
def test_unknown_kinds(data: Any) -> None:
    with pytest.raises(ModelError):
        encoders.read(data, 4)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
@settings(max_examples=100, deadline=None)
def test_bounds_hold_their_samples_and_are_round(values: list[float]) -> None:
    array = np.array(values)
    low, high = bounds_of(array[None].min(axis=1), array[None].max(axis=1))
    assert low[0] <= array.min() + 1e-6 * (1 + abs(array).max())
    assert high[0] >= array.max() - 1e-6 * (1 + abs(array).max())
    assert low[0] < high[0]
