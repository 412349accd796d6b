# SPDX-License-Identifier: Apache-2.0
"""The course of a run, with a model of one number a step: losses, crashes, votes, rotation."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, make_room

from hitoku.errors import InputError, Refusal
from hitoku.learning.base import Instruction, SessionLost, TooFewMembers
from hitoku.learning.driver import Checkpoints, drive
from hitoku.learning.guard import Guarded
from hitoku.learning.ideal import IdealSummer

RUN = "a" * 32


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


class Adds:
    """Trainer: each step is the sum of what members give; the model is the list of sums."""

    def __init__(self, steps, crash_at=None):
        self.sums, self.steps, self.crash_at = [], steps, crash_at
        self.prepared = False

    @property
    def done(self):
        return len(self.sums)

    @property
    def finished(self):
        return self.done >= self.steps

    def prepare(self, summer):
        if not self.prepared:
            with summer.fixed() as session:
                session.sum(Instruction("boosting", {"do": "prepare"}, 1, 100))
        self.prepared = True

    def synchronise(self, summer):
        summer.tell("boosting", {"do": "sync", "sums": self.sums})

    def step(self, summer):
        if self.done == self.crash_at:
            raise KeyboardInterrupt
        with summer.fixed() as session:
            made = session.sum(Instruction("boosting", {"do": "step", "step": self.done}, 1, 100))
        self.sums.append(int(made[0]))
        summer.tell("boosting", {"do": "sync", "sums": self.sums})

    def rollback(self, done):
        del self.sums[done:]

    def checkpoint(self):
        return json.dumps([self.sums, self.prepared]).encode()

    def restore(self, content):
        self.sums, self.prepared = json.loads(content)

    def model(self):
        return json.dumps(self.sums).encode()


class Gives:
    """Task: gives its number; rejects what has a sum above its limit."""

    def __init__(self, number, limit=1000):
        self.number, self.limit, self.sums = number, limit, []

    def contribute(self, instruction, members):
        return np.full(instruction.length, self.number, np.int64)

    def told(self, body, arrays):
        if body["do"] == "sync":
            self.sums = list(body["sums"])
        elif body["do"] == "rollback":
            del self.sums[body["to"] :]
        elif body["do"] == "vote":
            return {"accept": all(made <= self.limit for made in self.sums[body["from"] :])}, {}
        return {}, {}


class Members(IdealSummer):
    """Sums in this process, in which members can be lost, left out and taken in again."""

    def __init__(self, tasks):
        super().__init__({name: {"boosting": task} for name, task in tasks.items()})
        self.here = dict(self._members)
        self.lose_at = {}
        self.refused = []
        self.sets = []

    @contextmanager
    def fixed(self):
        if len(self._members) < 4:
            raise TooFewMembers("too few")
        self.sets.append(self.members)
        yield self

    def sum(self, instruction):
        lost = self.lose_at.pop(instruction.body.get("step"), None)
        if lost is not None:
            self._members.pop(lost)
            raise SessionLost([lost])
        return super().sum(instruction)

    def tell(self, task, body, arrays=None):
        answers = {}
        for name, tasks in self.here.items():
            try:
                answers[name] = tasks[task].told(body, arrays or {})
            except Refusal as refusal:
                self.refused.append((name, refusal.code))
        return answers

    def include(self, member):
        self._members = {n: self.here[n] for n in sorted({*self._members, member})}


class World:
    def __init__(self, place, path, limits=None, numbers=None, **change):
        self.plan = place.plan(**change)
        self.store = Checkpoints(path, self.plan, RUN)
        self.publics = place.publics
        self.tasks = {
            name: Guarded(
                Gives((numbers or {}).get(name, 1), (limits or {}).get(name, 1000)),
                self.plan, RUN, name, place.members[name].keys({}), place.publics,
            )
            for name in BANKS
        }  # fmt: skip
        self.members = Members(self.tasks)

    def drive(self, trainer):
        return drive(self.plan, trainer, self.members, self.store, run=RUN, publics=self.publics)


def test_all_steps_of_all_members(place, tmp_path):
    world = World(place, tmp_path)
    outcome = world.drive(Adds(4))
    assert json.loads(outcome.model) == [5, 5, 5, 5]
    assert (outcome.steps, outcome.stopped, outcome.losses) == (4, None, 0)
    assert world.members.refused == []


def test_fewer_steps_than_planned_are_said(place, tmp_path):
    assert World(place, tmp_path).drive(Adds(3)).stopped == "early"


def test_a_lost_member_costs_the_step_and_its_absence_is_explained(place, tmp_path):
    world = World(place, tmp_path)
    world.members.lose_at = {2: "ebisu"}
    outcome = world.drive(Adds(4))
    assert json.loads(outcome.model) == [5, 5, 4, 4]
    assert outcome.losses == 1
    assert [dict(e) for e in outcome.events] == [{"event": "lost", "done": 2, "members": ["ebisu"]}]
    assert world.tasks["aki"].lost == [("ebisu",)]
    assert world.members.refused == []


def test_too_many_lost_end_the_run_and_it_goes_on_later(place, tmp_path):
    world = World(place, tmp_path)
    world.members.lose_at = {2: "ebisu", 3: "aki"}
    with pytest.raises(TooFewMembers):
        world.drive(Adds(4))
    world.members.include("aki")
    world.members.include("ebisu")
    outcome = world.drive(Adds(4))
    assert json.loads(outcome.model) == [5, 5, 4, 5]
    assert outcome.losses == 2
    assert [e["event"] for e in outcome.events] == ["lost", "lost", "resumed"]


def test_losses_are_limited_by_the_plan(place, tmp_path):
    world = World(place, tmp_path, aggregation={"seconds": 20, "changes": 0})
    world.members.lose_at = {2: "ebisu"}
    outcome = world.drive(Adds(4))
    assert (json.loads(outcome.model), outcome.stopped) == ([5, 5], "changes")


def test_a_crash_costs_no_step_that_was_done(place, tmp_path):
    world = World(place, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        world.drive(Adds(4, crash_at=3))
    sums = world.members.sums
    outcome = world.drive(Adds(4))
    assert json.loads(outcome.model) == [5, 5, 5, 5]
    assert world.members.sums == sums + 1


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(place, tmp_path):
    world = World(place, tmp_path)
    world.drive(Adds(4))
    with pytest.raises(InputError, match="another plan or run"):
        Checkpoints(tmp_path, world.plan, "b" * 32).load()
    with pytest.raises(InputError, match="another plan or run"):
        Checkpoints(tmp_path, place.plan(), RUN).load()
    (tmp_path / "checkpoint").write_bytes((tmp_path / "checkpoint").read_bytes()[:-9])
    with pytest.raises(InputError, match="not a checkpoint"):
        world.store.load()


def test_blocks_that_nobody_minds_stay(place, tmp_path):
    world = World(place, tmp_path, guard={"every": 2})
    outcome = world.drive(Adds(4))
    assert json.loads(outcome.model) == [5, 5, 5, 5]
    assert [(e["start"], e["accepted"]) for e in outcome.events] == [(0, True), (2, True)]
    assert world.members.refused == []


def test_one_that_rejects_everything_changes_nothing(place, tmp_path):
    outcome = World(place, tmp_path, guard={"every": 2}, limits={"aki": 0}).drive(Adds(4))
    assert json.loads(outcome.model) == [5, 5, 5, 5]
    assert [e["against"] for e in outcome.events] == [["aki"], ["aki"]]


@pytest.mark.parametrize("culprit", ["aki", "chiyo", "ebisu"])
def test_a_poisoned_update_is_taken_back_and_its_member_left_out(place, tmp_path, culprit):
    limits = dict.fromkeys(BANKS, 10) | {culprit: 1000}
    world = World(place, tmp_path, guard={"every": 2}, limits=limits, numbers={culprit: 100})
    outcome = world.drive(Adds(4))
    assert json.loads(outcome.model) == [4, 4, 4, 4]
    assert outcome.left_out == (culprit,)
    # Who saw nothing wrong is left out first.
    assert [e["event"] for e in outcome.events] == ["vote", "left out", "vote", "vote"]
    assert world.members.refused == []
    assert world.tasks["benten"].lost == []


def test_rotation_tries_one_after_the_other_and_then_stops(place, tmp_path):
    limits = dict.fromkeys(BANKS, 0)
    world = World(place, tmp_path, guard={"every": 2}, limits=limits)
    outcome = world.drive(Adds(4))
    assert (json.loads(outcome.model), outcome.stopped) == ([], "votes")
    assert [e["member"] for e in outcome.events if e["event"] == "left out"] == list(BANKS)
    assert world.members.refused == []


def test_without_rotation_a_rejection_stops(place, tmp_path):
    limits = dict.fromkeys(BANKS, 10)
    world = World(place, tmp_path, guard={"every": 2, "rotate": False}, limits=limits, numbers={"daiwa": 100})
    outcome = world.drive(Adds(4))
    assert (json.loads(outcome.model), outcome.stopped) == ([], "votes")


def test_a_crash_in_a_vote_is_made_good(place, tmp_path, monkeypatch):
    world = World(place, tmp_path, guard={"every": 2})
    tell = world.members.tell

    def dies(task, body, arrays=None):
        if body["do"] == "votes":
            raise KeyboardInterrupt
        return tell(task, body, arrays)

    monkeypatch.setattr(world.members, "tell", dies)
    with pytest.raises(KeyboardInterrupt):
        world.drive(Adds(4))
    monkeypatch.undo()
    outcome = world.drive(Adds(4))
    assert json.loads(outcome.model) == [5, 5, 5, 5]
    assert world.members.refused == []
