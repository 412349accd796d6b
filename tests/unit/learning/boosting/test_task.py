# SPDX-License-Identifier: Apache-2.0
"""What a bank refuses, whatever the driver says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.learning.boosting.banks import BANKS, plan_of, rows_of, spread, summer_of

from hitoku.errors import InputError, Refusal
from hitoku.learning.base import Instruction
from hitoku.learning.boosting import BoostingTask, BoostingTrainer
from hitoku.learning.plan import Aggregation, Plan

PLAN = plan_of(trees=3, depth=3, bins=8, patience=2)
BANK = spread(rows_of(1_000))


def ready(plan: Plan = PLAN) -> BoostingTask:
    """A bank that knows the bins and no tree."""
    trainer = BoostingTrainer(plan)
    trainer.prepare(summer_of(plan, BANK))
    one = BoostingTask(plan, BANK["b0"])
    one.told({"do": "sync"}, trainer._arrays())
    return one


def grow(
    one: BoostingTask,
    body: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]] | None = None,
    nodes: NDArray[Any] | None = None,
    members: tuple[str, ...] = BANKS,
    **changed: Any,
) -> NDArray[np.int64]:
    asked = np.zeros(1, np.int32) if nodes is None else nodes
    about: dict[str, Any] = {
        "length": one._shape.level_length(len(asked)),
        "bound": one._shape.level_bound,
    } | changed
    instruction = Instruction(
        "boosting",
        {"do": "grow", "tree": 0, "level": 0, **body},
        about["length"],
        about["bound"],
        {"nodes": asked, **(arrays or {})},
    )
    return one.contribute(instruction, members)


def split(node: int = 0, feature: int = 0, at: int = 3) -> dict[str, NDArray[Any]]:
    return {
        "node": np.asarray([node], np.int32),
        "feature": np.asarray([feature], np.int32),
        "bin": np.asarray([at], np.uint8),
        "missing_left": np.zeros(1, np.uint8),
    }


SECOND = {"level": 1}
CHILD = np.asarray([1], np.int32)
BOTH = np.asarray([1, 2], np.int32)


def test_a_tree_can_be_grown_by_hand() -> None:
    one = ready()
    root = grow(one, {}).reshape(6, 9, 2)
    both = grow(one, SECOND, split(), BOTH).reshape(2, 6, 9, 2)
    assert np.array_equal(both.sum(axis=0), root)
    assert grow(one, {"level": 2}, split(1, 1, 2), np.asarray([3], np.int32)).any()


@pytest.mark.parametrize(
    ("body", "arrays", "nodes", "changed"),
    [
        (SECOND, split(1), BOTH, {}),
        (SECOND, split(0, 6), CHILD, {}),
        (SECOND, split(0, -1), CHILD, {}),
        (SECOND, split(0, 0, 8), CHILD, {}),
        (SECOND, split() | {"missing_left": np.asarray([2], np.uint8)}, CHILD, {}),
        (SECOND, split() | {"bin": np.zeros(2, np.uint8)}, CHILD, {}),
        (SECOND, split() | {"node": np.zeros(1, np.int64)}, CHILD, {}),
        (SECOND, split(), np.asarray([0], np.int32), {}),
        (SECOND, split(), np.asarray([3], np.int32), {}),
        (SECOND, split(), np.asarray([1, 1], np.int32), {}),
        (SECOND, split(), np.asarray([2, 1], np.int32), {}),
        (SECOND, split(), np.asarray([1], np.int64), {}),
        (SECOND, split(), np.zeros(0, np.int32), {}),
        ({"level": 2}, split(), CHILD, {}),
        ({"level": None}, split(), CHILD, {}),
        (SECOND | {"tree": 1}, split(), CHILD, {}),
        (SECOND, split(), CHILD, {"length": 5}),
        (SECOND, split(), CHILD, {"bound": 5}),
        (SECOND | {"fresh": True}, split(), CHILD, {"members": BANKS[:4]}),
        ({"tree": 1}, {}, None, {}),
        ({"tree": True}, {}, None, {}),
        ({"do": "dump"}, {}, None, {}),
    ],
    ids=[
        "other-level",
        "no-feature",
        "negative-feature",
        "no-bin",
        "direction",
        "lengths",
        "type",
        "node-above",
        "node-beyond",
        "node-twice",
        "disorder",
        "node-type",
        "no-node",
        "level-skipped",
        "no-level",
        "other-tree",
        "length",
        "bound",
        "set-within-a-tree",
        "tree-ahead",
        "tree-not-a-number",
        "unknown",
    ],
)
def test_what_is_out_of_turn_is_refused(
    body: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    nodes: NDArray[Any] | None,
    changed: Mapping[str, Any],
) -> None:
    one = ready()
    grow(one, {})
    with pytest.raises(Refusal) as refused:
        grow(one, body, arrays, nodes, **changed)
    assert refused.value.remedy


def test_a_level_is_answered_once() -> None:
    one = ready()
    grow(one, {})
    grow(one, SECOND, split(), CHILD)
    with pytest.raises(Refusal):
        grow(one, SECOND, {}, BOTH)


def test_no_level_is_deeper_than_the_plan() -> None:
    one = ready()
    grow(one, {})
    grow(one, SECOND, split(), CHILD)
    grow(one, {"level": 2}, split(1, 1), np.asarray([3], np.int32))
    with pytest.raises(Refusal):
        grow(one, {"level": 3}, split(3, 2), np.asarray([5], np.int32))


def test_a_bank_that_knows_no_bins_does_nothing() -> None:
    with pytest.raises(Refusal) as refused:
        grow(BoostingTask(PLAN, BANK["b0"]), {})
    assert refused.value.code == "LEARNING_NOT_READY"


def test_trees_are_begun_a_bounded_number_of_times() -> None:
    one = ready()
    for _ in range(4 * 3 + 8):
        grow(one, {})
    with pytest.raises(Refusal, match="more trees"):
        grow(one, {})


def test_the_set_changes_as_often_as_the_plan_allows() -> None:
    one = ready(plan_of(trees=3, depth=3, bins=8, aggregation=Aggregation(changes=2)))
    grow(one, {})
    grow(one, {"fresh": True}, members=BANKS[1:])
    grow(one, {"fresh": True}, members=BANKS[:4])
    with pytest.raises(Refusal) as refused:
        grow(one, {"fresh": True}, members=BANKS[1:])
    assert refused.value.code == "LEARNING_SET_CHANGES"


def test_no_loss_is_told_but_at_the_end_of_a_tree() -> None:
    one = ready()
    loss = Instruction("boosting", {"do": "loss", "tree": 0}, 2, one._shape.scale.loss)
    with pytest.raises(Refusal):
        one.contribute(loss, BANKS)
    grow(one, {})
    with pytest.raises(Refusal):
        one.contribute(loss, BANKS)
    ended = Instruction(
        "boosting",
        {"do": "loss", "tree": 0},
        2,
        one._shape.scale.loss,
        {**split(), "value": np.zeros(3, np.float32)},
    )
    assert one.contribute(ended, BANKS).min() > 0
    with pytest.raises(Refusal):
        one.contribute(ended, BANKS)


def test_no_loss_is_told_where_the_plan_has_no_early_stopping() -> None:
    one = ready(plan_of(trees=3, depth=3, bins=8))
    grow(one, {})
    arrays = {"value": np.zeros(1, np.float32)}
    with pytest.raises(Refusal):
        one.contribute(
            Instruction("boosting", {"do": "loss", "tree": 0}, 2, one._shape.scale.loss, arrays), BANKS
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base", np.asarray([101.0])),
        ("base", np.asarray([np.nan])),
        ("base", None),
        ("edges", np.asarray([2.0, 1.0], np.float32)),
        ("edges", np.asarray([1.0, 1.0], np.float32)),
        ("edges", np.asarray([1.0, np.inf], np.float32)),
        ("edges", np.asarray([1.0, 2.0])),
        ("edge_starts", np.asarray([0, 2, 2, 2, 2, 2, 3], np.int64)),
        ("edge_starts", np.asarray([0, 2, 1, 2, 2, 2, 2], np.int64)),
        ("edge_starts", np.asarray([0, 2], np.int64)),
        ("starts", np.asarray([0, 1, 2, 3, 4], np.int64)),
    ],
    ids=[
        "base",
        "nan",
        "no-base",
        "falling",
        "equal",
        "infinite",
        "type",
        "beyond",
        "back",
        "short",
        "trees",
    ],
)
def test_a_model_that_is_not_sound_is_not_taken_in(name: str, value: NDArray[Any] | None) -> None:
    one = BoostingTask(PLAN, BANK["b0"])
    arrays: dict[str, NDArray[Any]] = {
        "base": np.asarray([0.5]),
        "edges": np.asarray([1.0, 2.0], np.float32),
        "edge_starts": np.asarray([0, 2, 2, 2, 2, 2, 2], np.int64),
        "starts": np.asarray([0, 1], np.int64),
        "feature": np.full(1, -1, np.int32),
        "bin": np.zeros(1, np.uint8),
        "missing_left": np.zeros(1, np.uint8),
        "value": np.ones(1, np.float32),
    }
    assert one.told({"do": "sync"}, arrays)[0] == {"ready": True, "trees": 1}
    changed = {key: kept for key, kept in arrays.items() if key != name}
    if value is not None:
        changed[name] = value
    if name == "starts":
        changed |= {key: np.repeat(arrays[key], 4) for key in ("feature", "bin", "missing_left", "value")}
    with pytest.raises(Refusal):
        one.told({"do": "sync"}, changed)


@pytest.mark.parametrize(
    "body",
    [
        {"do": "vote", "from": 1},
        {"do": "vote"},
        {"do": "rollback", "to": 1},
        {"do": "rollback", "to": -1},
        {"do": "tree", "tree": 0},
        {"do": "rows"},
        {},
    ],
    ids=["vote-ahead", "vote", "roll-back-ahead", "roll-back-below", "tree", "unknown", "empty"],
)
def test_what_cannot_be_is_refused(body: Mapping[str, Any]) -> None:
    with pytest.raises(Refusal):
        ready().told(body, {})


def test_rows_that_do_not_fit_the_plan_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.rows"):
        BoostingTask(plan_of(rows=10), BANK["b0"])
    with pytest.raises(InputError, match="inputs"):
        BoostingTask(plan_of(7), BANK["b0"])


def test_only_training_and_holdout_rows_are_used() -> None:
    one = BoostingTask(PLAN, BANK["b0"])
    assert len(one._label) == int((BANK["b0"].part < 2).sum())
