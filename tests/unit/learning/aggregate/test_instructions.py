# SPDX-License-Identifier: Apache-2.0
"""Instructions are the same at both ends, and hash to the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hitoku.errors import PeerError
from hitoku.learning.aggregate.instructions import from_message, instruction_hash, kind, purpose, to_message
from hitoku.learning.base import Instruction
from hitoku.learning.wire import pack, unpack

ONE = Instruction(
    "boosting",
    {"do": "level", "tree": 3, "nodes": (1, 2), "rate": 0.1, "map": {2: "b", 10: "a"}, "名": None},
    7,
    (1 << 62) + 1,
    {"b": np.arange(3), "a": np.zeros((2, 2), np.float32)},
)


def over_the_wire(instruction: Instruction) -> Instruction:
    data, arrays = to_message(instruction)
    header, values = unpack(pack({"instruction": data}, {**arrays, "sealed/other": np.zeros(1)}))
    return from_message(header["instruction"], values)


def test_over_the_wire() -> None:
    two = over_the_wire(ONE)
    assert (two.task, two.length, two.bound) == (ONE.task, ONE.length, ONE.bound)
    assert two.body["nodes"] == [1, 2]
    assert sorted(two.arrays) == ["a", "b"]
    assert np.array_equal(two.arrays["b"], ONE.arrays["b"])
    assert instruction_hash(two) == instruction_hash(ONE)
    assert purpose(two) == purpose(ONE)
    assert kind(two) == kind(ONE) == '["boosting", "level"]'


@pytest.mark.parametrize(
    "changed",
    [
        {"task": "linear"},
        {"body": {**ONE.body, "tree": 4}},
        {"length": 8},
        {"bound": 5},
        {"arrays": {**ONE.arrays, "b": np.arange(1, 4)}},
        {"arrays": {"b": ONE.arrays["b"]}},
    ],
    ids=["task", "body", "length", "bound", "values", "fewer"],
)
def test_every_part_counts(changed: dict[str, Any]) -> None:
    fields = {field: getattr(ONE, field) for field in ("task", "body", "length", "bound", "arrays")}
    other = Instruction(**{**fields, **changed})
    assert instruction_hash(other) != instruction_hash(ONE)
    assert (purpose(other) == purpose(ONE)) == ("arrays" in changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"task": 1},
        {"body": []},
        {"length": -1},
        {"length": True},
        {"length": 1 << 40},
        {"bound": -1},
        {"bound": 1 << 63},
        {"bound": 1.0},
        {"more": 1},
    ],
    ids=str,
)
def test_malformed(changed: dict[str, Any]) -> None:
    data, _ = to_message(ONE)
    with pytest.raises(PeerError):
        from_message({**data, **changed}, {})
    with pytest.raises(PeerError):
        from_message(None, {})
