# SPDX-License-Identifier: Apache-2.0
"""What the demo makes of a run's records; and its poisoned bank."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from rich.console import Console

from hitoku.demo.learn.poison import FACTOR, Poison
from hitoku.demo.learn.telling import Stretch, sets, votes
from hitoku.learning.base import Instruction

ALL, REST = ["a", "b", "c", "d"], ["a", "b", "d"]


def opened(kind: str, members: list[str]) -> dict[str, object]:
    return {"kind": kind, "what": {"members": members}}


def shown(table: object) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(table)
    return out.getvalue()


def test_sets_are_told_in_their_order_without_preparation_and_counters():
    entries = [opened("masks.total", ALL)] + [opened("masks.sum", ALL)] * 5
    entries += [opened("masks.sum", REST)] * 2 + [opened("masks.sum", ALL)]
    assert sets(entries, 2) == [Stretch(tuple(ALL), 3), Stretch(tuple(REST), 2), Stretch(tuple(ALL), 1)]


def test_votes_say_who_was_left_out_of_which_block():
    cast = [{"accept": False}, {"accept": False}, {"accept": True}]
    events: list[dict[str, Any]] = [
        {"event": "vote", "start": 0, "done": 2, "accepted": False, "votes": cast},
        {"event": "left out", "member": "a"},
        {"event": "vote", "start": 0, "done": 2, "accepted": True, "votes": [{"accept": True}] * 2},
    ]
    lines = shown(votes(events)).splitlines()
    assert lines[1].split() == ["1-2", "nobody", "2", "of", "3", "taken", "back"]
    assert lines[2].split() == ["1-2", "a", "0", "of", "2", "accepted"]


class Honest:
    def contribute(self, instruction, members):
        del instruction, members
        return np.array([3, 4, -5, 6], np.int64)

    def told(self, body, arrays):
        return {"accept": body["loss"] < 1}, arrays


def test_a_poisoned_bank_turns_gradients_and_nothing_else():
    poison = Poison(Honest())
    grow = Instruction("boosting", {"do": "grow"}, 4, 400)
    assert poison.contribute(grow, ("a",)).tolist() == [-3 * FACTOR, 4, 400, 6]
    count = Instruction("boosting", {"do": "count"}, 4, 400)
    assert poison.contribute(count, ("a",)).tolist() == [3, 4, -5, 6]
    assert poison.told({"loss": 2}, {}) == ({"accept": False}, {})
