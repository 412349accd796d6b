# SPDX-License-Identifier: Apache-2.0
"""Whole runs in one process, over real masks: a lost member, a poisoned one, restarts of both sides."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, SHORT, make_room, rows

from hitoku.errors import RoomError
from hitoku.learning.audit import audit
from hitoku.learning.bank import Bank, make_tasks
from hitoku.learning.base import TooFewMembers
from hitoku.learning.boosting import BoostingTrainer
from hitoku.learning.driver import Checkpoints, drive
from hitoku.learning.folders import RunFolder
from hitoku.learning.ideal import IdealSummer
from hitoku.learning.local import LocalFleet
from hitoku.learning.models import read_model, score
from hitoku.learning.planning import made
from hitoku.learning.server import Server

RUN = "a" * 32


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_room(tmp_path_factory.mktemp("room"))


class Running:
    """A server and five banks, each with its own folder of the run."""

    def __init__(self, place, path, poison=None, plan=None, data=rows, **change):
        self.place, self.path, self.poison = place, path, poison
        self.signed = place.signed(place.plan(**change) if plan is None else plan)
        self.plan = self.signed.plan
        self.data = {name: data(seed) for seed, name in enumerate(BANKS)}
        self.banks = {}
        self.asked = {}
        self.before = {}
        """What happens before a member's n-th request is handled."""
        self.fleet = LocalFleet({})
        for name in BANKS:
            self.start(name)
        self.folder = RunFolder.create(path / "run", RUN, "adder", self.signed, place.room)

    def start(self, name):
        if name in self.banks:
            self.banks[name].close()
        own = RunFolder.create(self.path / name, RUN, name, self.signed, self.place.room)
        keys = self.place.members[name].keys({})
        tasks = make_tasks(self.plan, self.data[name], own.path)
        if name == self.poison:
            tasks = {kind: Poison(task) for kind, task in tasks.items()}
        bank = Bank(self.plan, RUN, name, keys, self.place.publics, tasks, own.path, threads=1)
        self.banks[name] = bank

        def handle(content):
            self.asked[name] = self.asked.get(name, 0) + 1
            happens = self.before.get((name, self.asked[name]))
            if happens is not None:
                happens()
            return self.banks[name].handle(content)

        self.fleet.join(name, handle)

    def stop(self, name):
        self.fleet.leave(name)
        raise RuntimeError("killed")

    def run(self):
        with Server(self.folder, self.fleet, self.place.members["adder"].keys({}), threads=1) as server:
            self.server = server
            return server.run()

    def audit(self):
        return audit(self.folder.path, [self.path / name for name in BANKS])

    def close(self):
        self.fleet.close()
        for bank in self.banks.values():
            bank.close()


def at_terminals(seed):
    """Rows of 45 days at 20 terminals."""
    made = rows(seed)
    draw = np.random.default_rng(seed)
    day = np.sort(draw.integers(0, 45, len(made.label))).astype(np.int32)
    part = np.array([3, 0, 1, 3, 2], np.uint8)[np.searchsorted([10, 30, 36, 37], day, side="right")]
    return replace(made, day=day, part=part, entities={"terminal": draw.integers(0, 20, len(day))})


@pytest.fixture
def running(place, tmp_path):
    with ExitStack() as stack:

        def start(**more):
            world = Running(place, tmp_path, **more)
            stack.callback(world.close)
            return world

        yield start


def ideal(running, tmp_path):
    """The same plan over plain sums."""
    summer = IdealSummer({n: make_tasks(running.plan, running.data[n]) for n in BANKS})
    (tmp_path / "ideal").mkdir()
    store = Checkpoints(tmp_path / "ideal", running.plan, RUN)
    publics = running.place.publics
    return drive(running.plan, BoostingTrainer(running.plan), summer, store, run=RUN, publics=publics)


def accuracy(model, of):
    found = score(read_model(model), of.features)
    return float(np.mean((found > 0.5) == of.label))


def test_a_run_over_masks_gives_the_model_of_plain_sums(running, tmp_path):
    world = running()
    report = world.run()
    model = (world.folder.path / "model.json").read_bytes()
    assert model == ideal(world, tmp_path).model
    assert accuracy(model, rows(99)) > 0.75
    assert report["delivered"] == list(BANKS)
    assert report["steps"] == 4
    assert report["saw"]["sets"] == [{"members": list(BANKS), "sums": report["saw"]["sums"]}]
    for name in BANKS:
        assert (world.path / name / "model.json").read_bytes() == model
        assert world.banks[name].ended["model"] == report["model"]
    assert json.loads((world.folder.path / "report.json").read_text()) == report


@pytest.mark.parametrize("kind", ["masks", "he"])
def test_a_member_lost_in_a_tree_costs_that_tree(running, kind):
    world = running(aggregation={"kind": kind, "seconds": 30})
    world.before["chiyo", 12] = lambda: world.stop("chiyo")
    report = world.run()
    rest = [name for name in BANKS if name != "chiyo"]
    assert report["losses"] == 1
    assert report["steps"] == 4
    assert report["delivered"] == rest
    assert accuracy((world.path / "aki" / "model.json").read_bytes(), rows(99)) > 0.75
    assert world.banks["aki"].guard.lost[-1] == ("chiyo",)
    if kind == "masks":
        sets = sorted(s["members"] for s in report["saw"]["sets"])
        assert sets == sorted([rest, list(BANKS)])
    assert world.audit().findings == []


def test_a_bank_that_was_started_again_goes_on(running):
    world = running()
    world.before["chiyo", 12] = lambda: world.start("chiyo")
    report = world.run()
    assert report["steps"] == 4
    assert report["delivered"] == list(BANKS)
    assert world.audit().findings == []


def test_two_lost_of_five_stop_the_run_and_it_goes_on_when_they_are_back(running):
    world = running()
    world.before["chiyo", 12] = lambda: world.stop("chiyo")
    world.before["daiwa", 12] = lambda: world.stop("daiwa")
    with pytest.raises(TooFewMembers):
        world.run()
    world.start("chiyo")
    world.start("daiwa")
    report = world.run()
    assert report["steps"] == 4
    assert report["delivered"] == list(BANKS)
    assert "resumed" in [event["event"] for event in report["events"]]


def test_a_server_that_crashed_goes_on(running, tmp_path):
    world = running()

    def crash():
        raise KeyboardInterrupt

    ask = world.fleet.ask
    calls = []

    def asked(requests, seconds):
        calls.append(1)
        if len(calls) == 15:
            raise KeyboardInterrupt
        return ask(requests, seconds)

    world.fleet.ask = asked
    with pytest.raises(KeyboardInterrupt):
        world.run()
    report = world.run()
    assert (world.folder.path / "model.json").read_bytes() == ideal(world, tmp_path).model
    assert report["delivered"] == list(BANKS)
    found = world.audit()
    assert found.findings == []
    assert found.facts["messages"] > 0


class Poison:
    """A task that gives the opposite of what its rows say, a hundred times over."""

    def __init__(self, task):
        self._task = task

    def contribute(self, instruction, members):
        made = self._task.contribute(instruction, members)
        if instruction.body.get("do") == "grow":
            made = made.reshape(-1, 2).copy()
            made[:, 0] *= -100
            np.clip(made, -instruction.bound, instruction.bound, out=made)
            made = made.reshape(-1)
        return made

    def told_state(self):
        return self._task.told_state()

    def told(self, body, arrays):
        answer, more = self._task.told(body, arrays)
        return ({"accept": True} if body.get("do") == "vote" else answer), more


@pytest.mark.parametrize(
    ("guarded", "kind"), [(True, "masks"), (True, "he"), (False, "masks")], ids=["masks", "he", "no-votes"]
)
def test_a_poisoned_member_is_left_out_after_votes(running, guarded, kind):
    aggregation = {"kind": kind, "seconds": 30}
    world = running(poison="daiwa", guard={"every": 2 if guarded else 0}, aggregation=aggregation)
    report = world.run()
    model = (world.path / "aki" / "model.json").read_bytes()
    assert world.audit().findings == []
    if guarded:
        assert report["left_out"] == ["daiwa"]
        assert report["steps"] == 4
        assert accuracy(model, rows(99)) > 0.75
        assert report["delivered"] == list(BANKS)
    else:
        assert accuracy(model, rows(99)) < 0.5


def test_a_folder_is_of_one_run(place, running):
    world = running()
    other = place.signed(place.plan())
    with pytest.raises(RoomError):
        RunFolder.create(world.folder.path, RUN, "adder", type(other)(other.plan, {}), place.room)


def test_blind_the_server_has_no_model(running, tmp_path):
    world = running(aggregation={"kind": "he", "seconds": 60})
    report = world.run()
    model = (world.path / "aki" / "model.json").read_bytes()
    assert model == ideal(world, tmp_path).model
    assert not (world.folder.path / "model.json").exists()
    assert report["delivered"] == list(BANKS)
    assert report["saw"]["sums"] == 0
    assert world.audit().findings == []


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "linear", "rounds": 3, "rate": 0.5, "batch": 64},
        {"kind": "perceptron", "rounds": 4, "layers": [8], "batch": 32, "rate": 0.3},
    ],
    ids=["linear", "perceptron"],
)
def test_models_of_averaged_weights(place, tmp_path, model):
    plan = {**SHORT, "model": model, "guard": {"every": 2}}
    world = Running(place, tmp_path, plan=made(plan, place.agreement))
    try:
        # A member is lost for good in the middle of a sum: the sum is exact over the others.
        world.before["ebisu", 20] = lambda: world.stop("ebisu")
        report = world.run()
    finally:
        world.close()
    assert report["steps"] == model["rounds"]
    assert report["delivered"] == list(BANKS[:4])
    assert accuracy((world.folder.path / "model.json").read_bytes(), rows(99)) > 0.75
    assert world.audit().findings == []


def test_noise_inside_the_masks(place, tmp_path):
    world = Running(place, tmp_path, privacy={"rho": 5.0, "unit": "customer"})
    try:
        report = world.run()
    finally:
        world.close()
    assert report["steps"] == 4
    assert world.audit().findings == []


def test_counters_come_before_the_model(place, tmp_path):
    day = 86_400
    cuts = {"history": 0, "train": 10 * day, "holdout": 30 * day, "wait": 36 * day, "test": 37 * day}
    data = {
        **SHORT["data"],
        "time": "time",
        "cuts": {**cuts, "end": 45 * day},
        "counters": [{"column": "terminal", "entities": 20, "windows": [1, 7], "delay": 2}],
    }
    plan = made({**SHORT, "data": data}, place.agreement)
    world = Running(place, tmp_path, plan=plan, data=at_terminals)
    try:
        world.before["chiyo", 24] = lambda: world.start("chiyo")
        report = world.run()
    finally:
        world.close()
    assert report["steps"] == 4
    assert report["delivered"] == list(BANKS)
    model = read_model((world.folder.path / "model.json").read_bytes())
    assert model.features[-1] == "terminal_risk_7"
    assert world.audit().findings == []
