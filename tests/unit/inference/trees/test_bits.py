# SPDX-License-Identifier: Apache-2.0
"""What a client encodes: bits that say what the trees ask, read back from JSON, with nothing of the trees."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.inference.trees.forests import random_forest, random_samples

from hitoku.inference.encoders import read as read_encoder
from hitoku.inference.errors import ModelError
from hitoku.inference.trees.bits import Thermometer, questions_of, thermometer_of
from hitoku.inference.trees.branches import Branch, Question, shapes
from hitoku.inference.trees.forest import Forest
from hitoku.inference.trees.grid import bins_of, snapped
from hitoku.inference.trees.reading import Column
from hitoku.inference.trees.thermometer import ThermometerEncoder


def forest_of(seed: int, **sizes: Any) -> tuple[Forest, list[Branch], np.random.Generator]:
    rng = np.random.default_rng(seed)
    forest = random_forest(rng, **{"trees": 4, "depth": 3, **sizes})
    return forest, shapes(forest)[0], rng


def asked(forest: Forest, question: Question, x: Any) -> Any:
    """The answer from the definition, sample by sample."""
    values, missing = forest.prepared(x)
    column = values[:, question.feature]
    if question.chosen is not None:
        right = np.isin(column, sorted(question.chosen))
    else:
        right = column > np.asarray(question.threshold, dtype=np.float64)
    return np.where(missing[:, question.feature], question.missing_right, right)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), double=st.booleans(), missing=st.booleans())
def test_the_bits_of_a_question_add_up_to_its_answer(seed: int, double: bool, missing: bool) -> None:
    forest, trees, rng = forest_of(seed, missing=missing)
    if not trees:
        return
    bits = thermometer_of(forest, trees, double=double)
    x = random_samples(rng, 60, missing=missing)
    encoded = bits.encode(x).astype(np.int64)
    for question in questions_of(trees):
        places = bits.bits_of(question)
        np.testing.assert_array_equal(
            encoded[:, list(places)].sum(axis=1), asked(forest, question, x).astype(np.int64)
        )
        if double and question.threshold is not None:
            assert len(places) == 1
    assert len(bits.names()) == bits.bits == encoded.shape[1]


def test_json_gives_the_same_encoder_and_holds_no_leaf() -> None:
    forest, trees, rng = forest_of(5)
    bits = thermometer_of(forest, trees, double=True)
    text = json.dumps(bits.to_dict())
    again = Thermometer.from_dict(json.loads(text))
    assert again == bits
    x = random_samples(rng, 50)
    np.testing.assert_array_equal(again.encode(x), bits.encode(x))
    other = Forest(forest.trees[::-1], forest.columns, forest.base + 1.0)
    assert json.dumps(thermometer_of(other, shapes(other)[0], double=True).to_dict()) == text


def test_infinite_and_awkward_numbers_survive_json() -> None:
    column = Column("f", missing="nan", marker=-np.inf)
    bits = Thermometer((column,), ((-np.inf, 5e-324, 0.1, 1e300, np.inf),), (True,), infinite=True)
    assert Thermometer.from_dict(json.loads(json.dumps(bits.to_dict()))) == bits


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("columns"),
        lambda d: d.update(columns=[]),
        lambda d: d.update(precision="float16"),
        lambda d: d.update(infinite=1),
        lambda d: d.update(double="yes"),
        lambda d: d["columns"][0].update(bins=[2.0, 1.0]),
        lambda d: d["columns"][0].update(bins=[1.0, 1.0]),
        lambda d: d["columns"][0].update(bins=[float("nan")]),
        lambda d: d["columns"][0].update(bins=["1.0"]),
        lambda d: d["columns"][0].update(bins=[True]),
        lambda d: d["columns"][0].update(bins=list(range(100_000))),
        lambda d: d["columns"][0].update(missing="perhaps"),
        lambda d: d["columns"][0].update(missing_bit=1),
        lambda d: d["columns"][0].update(name=7),
        lambda d: d["columns"][0].update(reading=None),
        lambda d: d["columns"][0].update(categories=[1.0], bins=[1.0]),
        lambda d: d["columns"][0].update(categories=[[]]),
        lambda d: d["columns"][0].update(categories=list(range(5_000)), bins=[]),
        lambda d: d["columns"][0].update(marker="x"),
        lambda d: d["columns"].append(3),
    ],
)
def test_damaged_json_is_refused(change: Any) -> None:
    forest, trees, _ = forest_of(3)
    data = copy.deepcopy(thermometer_of(forest, trees).to_dict())
    change(data)
    with pytest.raises(ModelError) as caught:
        Thermometer.from_dict(data)
    assert caught.value.code in ("FORMAT", "TOO_LARGE")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=120, deadline=None)
@given(place=st.integers(0, 10**6), value=JSON)
def test_an_encoder_from_anybody_is_read_or_refused(place: int, value: Any) -> None:
    forest, trees, _ = forest_of(3)
    data = copy.deepcopy(thermometer_of(forest, trees).to_dict())
    places = [(data, key) for key in data] + [
        (part, key) for part in [*data["columns"], data["columns"]] for key in range_of(part)
    ]
    part, key = places[place % len(places)]
    part[key] = value
    try:
        bits = Thermometer.from_dict(data)
    except ModelError:
        return
    # What was read can be used.
    assert bits.encode(np.zeros((2, bits.features))).shape == (2, bits.bits)


def range_of(part: Any) -> Any:
    return range(len(part)) if isinstance(part, list) else list(part)


def test_refusals_name_the_feature_and_quote_no_value() -> None:
    bits = Thermometer((Column("age"), Column("pay", missing="nan")), ((1.0,), (2.0,)), (False, True))
    for value, words in ((np.nan, "missing"), (np.inf, "infinite")):
        with pytest.raises(ModelError, match='feature "age"') as caught:
            bits.encode(np.array([[value, 1234.5]]))
        assert words in str(caught.value)
        assert "1234" not in str(caught.value)
    for wrong in (np.zeros((1, 3)), np.zeros(2), np.array([["a", "b"]])):
        with pytest.raises(ModelError):
            bits.encode(wrong)


def test_public_bins_hide_thresholds_and_must_hold_them() -> None:
    forest, trees, rng = forest_of(8, trees=8)
    own = thermometer_of(forest, trees)
    grid = {f: np.arange(-8, 9) / 4.0 for f in range(4)}
    bits = thermometer_of(forest, trees, grid)
    assert all(len(bits.bins[f]) == 17 and bits.missing[f] for f in range(4))
    assert set(own.bins[0]) <= set(bits.bins[0])
    with pytest.raises(ModelError, match="not among the public bins"):
        thermometer_of(forest, trees, {f: [0.123] for f in range(4)})
    moved = snapped(forest, {f: [-1.0, 0.0, 1.0] for f in range(4)})
    thermometer_of(moved, shapes(moved)[0], {f: [-1.0, 0.0, 1.0] for f in range(4)})
    made = bins_of(rng.normal(size=(500, 2)), 16)
    assert [len(made[f]) for f in (0, 1)] == [16, 16]


def test_what_a_client_learns_is_told() -> None:
    forest, trees, _ = forest_of(8, trees=8)
    told = thermometer_of(forest, trees).learned()
    assert told["features"] == 5
    assert sum(len(u["bins"]) + len(u["categories"]) + u["missing"] for u in told["used"]) == told["bits"]


@pytest.mark.parametrize("layout", ["batch", "packed"])
def test_encoders_of_client_specifications(layout: Any) -> None:
    forest, trees, rng = forest_of(4)
    bits = thermometer_of(forest, trees, double=layout == "packed")
    encoder = ThermometerEncoder(bits, 1024, layout)
    again = read_encoder(json.loads(json.dumps({"kind": encoder.kind, **encoder.to_json()})), 1024)
    x = random_samples(rng, encoder.samples)
    slots = again.encode(x)
    assert slots.shape == (encoder.count, 1024) == (again.count, 1024)
    np.testing.assert_array_equal(slots, encoder.encode(x))
    assert set(np.unique(slots)) <= {0.0, 1.0}
    for wrong in (np.zeros((encoder.samples + 1, 5)), np.zeros((0, 5)), np.zeros(5)):
        with pytest.raises(ModelError) as caught:
            encoder.encode(wrong)
        assert caught.value.code == "SHAPE"
    with pytest.raises(ModelError):
        read_encoder({"kind": "thermometer", "layout": "other", "bits": bits.to_dict()}, 1024)
