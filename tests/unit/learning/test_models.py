# SPDX-License-Identifier: Apache-2.0
"""Files of learned models: exact round trips, and nothing hostile gets in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.learning.boosting.banks import grown, plan_of, rows_of

from hitoku import limits
from hitoku.errors import InputError
from hitoku.learning.boosting.kind import BoostedTrees, ValueTree
from hitoku.learning.models import FORMAT, LearnedModel, read_model, score, write_model
from hitoku.learning.plan import plan_hash

PLAN = plan_of(4, trees=2, depth=2, bins=8)
ROWS = rows_of(600, 4)
FILE = grown(PLAN, {"all": ROWS}).model()

Change = Callable[[dict[str, Any]], Any]


def hashed(data: dict[str, Any]) -> bytes:
    """A file whose hash is right, as an attacker would make it."""
    rest = {key: value for key, value in data.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(FORMAT.encode() + b"\n" + text.encode("utf-8", "surrogatepass")).hexdigest()
    return json.dumps({**rest, "sha256": digest}).encode()


def test_reading_and_writing_gives_the_same_bytes_and_scores() -> None:
    model = read_model(FILE)
    assert write_model(model) == FILE
    assert (model.kind, model.name) == ("boosting", "fraud")
    assert model.plan == plan_hash(PLAN).hex()
    assert model.features == ("x0", "x1", "x2", "x3")
    again = read_model(write_model(model))
    assert np.array_equal(score(model, ROWS.features), score(again, ROWS.features))


@settings(max_examples=50)
@given(
    st.floats(-100, 100),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=4, max_size=4),
    st.booleans(),
)
def test_every_number_keeps_its_bits(base: float, numbers: list[float], missing_left: bool) -> None:
    tree = ValueTree(
        np.asarray([0, -1, -1], np.int32),
        np.asarray([numbers[0], 0, 0], np.float32),
        np.asarray([missing_left, False, False]),
        np.asarray([0, numbers[1], numbers[2]], np.float32),
    )
    model = LearnedModel("boosting", "m", "0" * 64, ("x",), BoostedTrees(base, (tree,)))
    back = read_model(write_model(model)).content
    assert np.float64(back.base).tobytes() == np.float64(base).tobytes()
    for name in ("feature", "threshold", "missing_left", "value"):
        assert getattr(back.trees[0], name).tobytes() == getattr(tree, name).tobytes()


def test_a_file_has_nothing_of_what_the_trees_grew_from() -> None:
    data = json.loads(FILE)
    assert set(data["model"]) == {"base", "trees"}
    assert set(data["model"]["trees"][0]) == {"feature", "threshold", "missing_left", "value"}
    for tree in data["model"]["trees"]:
        assert all(v == 0 for v, f in zip(tree["value"], tree["feature"], strict=True) if f >= 0)


def test_missing_and_infinite_values_are_scored_alike() -> None:
    model = read_model(FILE)
    rows = ROWS.features[:50].copy()
    rows[:, 0] = np.nan
    infinite = rows.copy()
    infinite[:, 0] = np.inf
    assert np.array_equal(score(model, rows), score(model, infinite))


def test_features_must_fit() -> None:
    with pytest.raises(InputError, match="4 features"):
        score(read_model(FILE), np.zeros((2, 5), np.float32))
    with pytest.raises(InputError):
        score(read_model(FILE), np.zeros(3, np.float32))


def test_no_rows_have_no_scores() -> None:
    assert score(read_model(FILE), np.zeros((0, 4), np.float32)).shape == (0,)


def test_an_altered_file_is_noticed() -> None:
    data = json.loads(FILE)
    data["model"]["trees"][0]["value"][-1] += 1.0
    with pytest.raises(InputError, match="altered"):
        read_model(json.dumps(data).encode())


def put(path: str, value: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        at: Any = data
        *before, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in before:
            at = at[part]
        at[last] = value

    return change


TREE = "model/trees/0/"
HOSTILE: dict[str, Change] = {
    "format": put("format", "hitoku/learned-model/2"),
    "kind": put("kind", "os.system"),
    "kind-type": put("kind", ["boosting"]),
    "name": put("name", ""),
    "long-name": put("name", "x" * 64),
    "plan": put("plan", "../" * 21 + "x"),
    "features": put("features", []),
    "features-type": put("features", "abc"),
    "feature-twice": put("features", ["a", "a", "b", "c"]),
    "feature-long": put("features", ["a" * 1000, "b", "c", "d"]),
    "more-fields": put("extra", 1),
    "model": put("model", []),
    "base": put("model/base", 1e9),
    "base-type": put("model/base", "0"),
    "base-truth": put("model/base", True),
    "trees": put("model/trees", {}),
    "many-trees": put("model/trees", [{}] * 2001),
    "tree": put("model/trees/0", []),
    "tree-fields": put("model/trees/0", {"feature": [-1]}),
    "no-nodes": put(TREE + "feature", []),
    "lengths": put(TREE + "value", [0.0]),
    "no-such-feature": put(TREE + "feature/0", 4),
    "negative-feature": put(TREE + "feature/0", -2),
    "fraction": put(TREE + "feature/0", 0.5),
    "truth": put(TREE + "missing_left/0", True),
    "direction": put(TREE + "missing_left/0", -1),
    "all-split": put(TREE + "feature/3", 0),
    "text": put(TREE + "threshold/0", "1"),
    "double": put(TREE + "threshold/0", 0.1),
    "huge": put(TREE + "value/3", 1e300),
    "huge-whole": put(TREE + "value/3", 10**400),
    "nested": put(TREE + "value/3", [[1]]),
    "null": put(TREE + "value/3", None),
    "deep": put("name", json.loads("[" * 500 + "]" * 500)),
    "surrogate": put("name", "\ud800"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_refused(change: Change) -> None:
    data = json.loads(FILE)
    change(data)
    with pytest.raises(InputError):
        read_model(hashed(data))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}', FILE[:-1], FILE + b"x"],
    ids=["empty", "open", "list", "null", "bytes", "deep", "nan", "cut", "more"],
)
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        read_model(content)


def test_files_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_MODEL_BYTES", len(FILE) - 1)
    with pytest.raises(InputError, match="at most"):
        read_model(FILE)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(FILE) - 1), st.integers(0, 255))
def test_no_changed_byte_passes_as_another_model(at: int, byte: int) -> None:
    changed = FILE[:at] + bytes([byte]) + FILE[at + 1 :]
    try:
        model = read_model(changed)
    except InputError:
        return
    assert write_model(model) == FILE
