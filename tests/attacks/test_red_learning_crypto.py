# SPDX-License-Identifier: Apache-2.0
"""Attacks on what a run of learning opens: differences of sums, oracles, noise without effect.

Each test is an attack that once worked. The server follows the protocol's letter (its signatures are right)
and chooses whatever the protocol lets it choose.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.learning.world import NAMES, RUN, SERVER, World
from tests.unit.learning.aggregate.he.test_he import led
from tests.unit.learning.aggregate.he.test_he import make as he_member
from tests.unit.learning.aggregate.masks.masks_world import masks_world
from tests.unit.learning.rounds_world import make_rows

from hitoku.errors import HitokuError, InputError, PeerError, Refusal
from hitoku.learning.aggregate.instructions import told_state
from hitoku.learning.aggregate.masks import MasksSummer
from hitoku.learning.aggregate.masks.rounds import round_context
from hitoku.learning.aggregate.masks.sessions import session_context
from hitoku.learning.base import Instruction, Rows, Task, TooFewMembers
from hitoku.learning.boosting import BoostingTask
from hitoku.learning.boosting.bins import first_spans
from hitoku.learning.boosting.noise import level_squared
from hitoku.learning.boosting.sampling import Draws
from hitoku.learning.boosting.shape import shape_of
from hitoku.learning.boosting.trees import Tree, packed
from hitoku.learning.checkpoints import State
from hitoku.learning.counters import CounterTask, instructions
from hitoku.learning.counting import Counted
from hitoku.learning.explaining import Explaining
from hitoku.learning.guard import Block, Guarded, Vote, most_votes
from hitoku.learning.network import Network
from hitoku.learning.plan import (
    Aggregation,
    Boosting,
    Counter,
    Cuts,
    Data,
    Feature,
    Guard,
    Linear,
    Perceptron,
    Plan,
    Privacy,
)
from hitoku.learning.preparation import Inputs, _counts_instruction, prepare
from hitoku.learning.privacy import Schedule
from hitoku.learning.rounds import RoundsTask
from hitoku.learning.rounds.work import Work
from hitoku.learning.wire import pack, unpack

MEMBERS: Final = NAMES[:5]
VICTIM: Final = "emi"
WIDTH: Final = 6
Making = Callable[[Plan, Rows], dict[str, Task]]


def plan(model: Any, **more: Any) -> Plan:
    data = more.pop("data", None) or Data(
        features=tuple(Feature(name=f"x{k}") for k in range(WIDTH)), label="fraud", rows=1 << 12
    )
    return Plan(
        name="fraud",
        room="0" * 36,
        agreement="none",
        members=MEMBERS,
        server=SERVER,
        data=data,
        model=model,
        aggregation=Aggregation(seconds=20.0),
        salt="0" * 64,
        **more,
    )


def rows_of(name: str) -> Rows:
    return make_rows(60 + 10 * MEMBERS.index(name), MEMBERS.index(name))


@contextmanager
def banks(folder: Path, made: Plan, make: Making, rows: Callable[[str], Rows] = rows_of) -> Iterator[World]:
    """Members with real tasks behind real doors under `masks`."""
    with masks_world(folder, made) as world:
        for name in made.members:
            world.tasks[name].clear()
            world.tasks[name].update(make(made, rows(name)))  # type: ignore[arg-type]
        yield world


class Dropping(MasksSummer):
    """A server that calls a member lost after it has its masked vector."""

    victim: str | None = None

    def _ask(self, kind: str, requests: Mapping[str, Any]) -> Any:
        replies = super()._ask(kind, requests)
        if kind == "masks.masked" and self.victim is not None:
            replies.pop(self.victim, None)
        return replies


def server(world: World) -> Dropping:
    return Dropping(world.channel, world.plan, RUN, threads=1)


def difference(adder: Dropping, first: Instruction, second: Instruction) -> NDArray[np.int64] | None:
    """What a sum over everybody and one without the victim differ by; None if the second does not open."""
    one = adder.total(first)
    assert one.members == MEMBERS
    adder.victim = VICTIM
    try:
        other = adder.total(second)
    except (Refusal, TooFewMembers):
        return None
    assert other.members == tuple(name for name in MEMBERS if name != VICTIM)
    if len(one.values) != len(other.values):
        return other.values
    return one.values - other.values


# --- a sum over everybody, and one without a member, of the same rows ---


def test_the_same_weights_without_a_member_that_was_called_lost(tmp_path: Path) -> None:
    made = plan(Linear())
    with banks(tmp_path, made, lambda p, r: {"linear": RoundsTask(p, r)}) as world:
        adder = server(world)
        prepared = prepare(made, adder, "linear")
        work = Work(made)
        network = work.network(prepared.scaling.inputs)
        weights = np.zeros(network.length)
        asked = work.instruction(0, network, weights, prepared.scaling.arrays())
        own = RoundsTask(made, rows_of(VICTIM)).contribute(asked, MEMBERS)
        got = difference(adder, asked, asked)
        assert got is None or not np.array_equal(got, own)
        # Nor its number of rows to the last one, which the last value but one of the sum is.
        assert got is None or got[-2] != own[-2]


def test_an_honest_server_goes_on_when_a_member_is_lost_in_the_middle(tmp_path: Path) -> None:
    """The rule costs an honest run one more try, over those who are left and with fresh rows."""
    made = plan(Linear())
    with banks(tmp_path, made, lambda p, r: {"linear": RoundsTask(p, r)}) as world:
        adder = server(world)
        prepared = prepare(made, adder, "linear")
        work = Work(made)
        network = work.network(prepared.scaling.inputs)
        asked = work.instruction(0, network, np.zeros(network.length), prepared.scaling.arrays())
        assert adder.total(asked).members == MEMBERS
        adder.victim = VICTIM
        without = adder.total(asked)
        assert without.members == tuple(name for name in MEMBERS if name != VICTIM)
        four_fifths = sum(
            round(0.8 * int((rows_of(name).part == 0).sum())) for name in MEMBERS if name != VICTIM
        )
        assert work.scale.decode(without.values)[0][-1] == four_fifths


def test_training_sums_over_another_set_than_the_preparation_was(tmp_path: Path) -> None:
    """The first sum of training was over all rows of whatever set it was."""
    made = plan(Linear())
    with banks(tmp_path, made, lambda p, r: {"linear": RoundsTask(p, r)}) as world:
        adder = server(world)
        prepared = prepare(made, adder, "linear")
        adder.exclude(VICTIM)
        work = Work(made)
        network = work.network(prepared.scaling.inputs)
        asked = work.instruction(0, network, np.zeros(network.length), prepared.scaling.arrays())
        rows = int(work.scale.decode(adder.total(asked).values)[0][-1])
        whole = sum(int((rows_of(name).part == 0).sum()) for name in MEMBERS if name != VICTIM)
        assert rows < whole


def test_moments_over_another_set_than_the_counts(tmp_path: Path) -> None:
    """Both are of all rows; with a narrow scaling moments are counts."""
    made = plan(Linear())
    with banks(tmp_path, made, lambda p, r: {"linear": RoundsTask(p, r)}) as world:
        adder = server(world)

        class Between:
            """Drops the victim between the two sums."""

            asked = 0

            def total(self, instruction: Instruction) -> Any:
                self.asked += 1
                if self.asked == 2:
                    adder.exclude(VICTIM)
                return adder.total(instruction)

        with pytest.raises(Refusal):
            prepare(made, Between(), "linear")  # type: ignore[arg-type]


def test_trees_by_single_sums_and_a_word_more_in_the_body(tmp_path: Path) -> None:
    made = plan(Boosting(trees=2, depth=2, bins=8))
    shape = shape_of(made)
    with banks(tmp_path, made, lambda p, r: {"boosting": BoostingTask(p, r)}) as world:
        adder = server(world)
        model: dict[str, NDArray[Any]] = {
            "base": np.zeros(1),
            "edges": np.tile(np.linspace(-1, 1, 7, dtype=np.float32), WIDTH),
            "edge_starts": (7 * np.arange(WIDTH + 1)).astype(np.int64),
            **_no_trees(),
        }
        answered = adder.tell("boosting", {"do": "sync"}, model)
        assert sorted(answered) == sorted(MEMBERS)
        asked = _level(shape, {})
        own = BoostingTask(made, rows_of(VICTIM))
        own.told({"do": "sync"}, model)
        wanted = own.contribute(asked, MEMBERS)
        try:
            got = difference(adder, asked, _level(shape, {"again": 1}))
        except (Refusal, TooFewMembers):
            return
        assert got is None or not np.array_equal(got, wanted)


def test_trees_by_single_sums_at_another_tree(tmp_path: Path) -> None:
    """A tree whose leaves add nothing changes no gradient, but is another purpose."""
    made = plan(Boosting(trees=2, depth=2, bins=8))
    shape = shape_of(made)
    with banks(tmp_path, made, lambda p, r: {"boosting": BoostingTask(p, r)}) as world:
        adder = server(world)
        model: dict[str, NDArray[Any]] = {
            "base": np.zeros(1),
            "edges": np.tile(np.linspace(-1, 1, 7, dtype=np.float32), WIDTH),
            "edge_starts": (7 * np.arange(WIDTH + 1)).astype(np.int64),
        }
        adder.tell("boosting", {"do": "sync"}, {**model, **_no_trees()})
        own = BoostingTask(made, rows_of(VICTIM))
        own.told({"do": "sync"}, {**model, **_no_trees()})
        wanted = own.contribute(_level(shape, {}), MEMBERS)
        first = adder.total(_level(shape, {}))
        assert first.members == MEMBERS
        adder.tell("boosting", {"do": "sync"}, {**model, **_no_trees(1)})
        adder.victim = VICTIM
        try:
            second = adder.total(_level(shape, {}, tree=1))
        except (Refusal, TooFewMembers):
            return
        assert not np.array_equal(first.values - second.values, wanted)


def _level(shape: Any, more: Mapping[str, Any], tree: int = 0) -> Instruction:
    body = {"do": "grow", "tree": tree, "level": 0, **more}
    return Instruction(
        "boosting", body, shape.level_length(1), shape.level_bound, {"nodes": np.zeros(1, np.int32)}
    )


def _no_trees(count: int = 0, leaf: float = 0.0) -> dict[str, NDArray[Any]]:
    nothing = Tree(
        np.full(1, -1, np.int32), np.zeros(1, np.uint8), np.zeros(1, np.bool_), np.full(1, leaf, np.float32)
    )
    return packed([nothing] * count)


def counting_plan() -> Plan:
    day = 86_400
    data = Data(
        features=(Feature(name="x0"),),
        label="fraud",
        time="time",
        rows=1 << 12,
        counters=(Counter(column="terminal", entities=7), Counter(column="payee", entities=3)),
        cuts=Cuts(train=0, holdout=20 * day, test=25 * day, end=30 * day),
    )
    return plan(Boosting(trees=2), data=data)


def counting_rows(name: str) -> Rows:
    draw = np.random.default_rng(MEMBERS.index(name))
    count = 80 + 10 * MEMBERS.index(name)
    return Rows(
        draw.normal(size=(count, 1)).astype(np.float32),
        (draw.random(count) < 0.2).astype(np.uint8),
        np.zeros(count, np.uint8),
        draw.integers(0, 20, count).astype(np.int32),
        {"terminal": draw.integers(0, 7, count), "payee": draw.integers(0, 3, count)},
    )


@pytest.mark.parametrize("more", [{"again": 1}, {"attempt": 2}, {"fresh": True}])
def test_counters_with_a_word_more_in_the_body(tmp_path: Path, more: dict[str, Any]) -> None:
    made = counting_plan()
    first = next(instructions(made.data))
    second = Instruction(first.task, {**first.body, **more}, first.length, first.bound)
    own = CounterTask(made, counting_rows(VICTIM)).contribute(first, MEMBERS)
    make: Making = lambda p, r: {"counters": CounterTask(p, r)}  # noqa: E731
    with banks(tmp_path, made, make, counting_rows) as world:
        got = difference(server(world), first, second)
        assert got is None or not np.array_equal(got, own)


def test_two_counters_over_two_sets(tmp_path: Path) -> None:
    """Payments by day are in both counters: their difference is one member's payments of each day."""
    made = counting_plan()
    terminal, payee = instructions(made.data)
    make: Making = lambda p, r: {"counters": CounterTask(p, r)}  # noqa: E731
    with banks(tmp_path, made, make, counting_rows) as world:
        assert difference(server(world), terminal, payee) is None


@pytest.mark.parametrize("how", ["round", "session", "he"])
@pytest.mark.parametrize("word", [{}, {"whole": True}], ids=["", "lie"])
def test_the_member_and_not_the_server_says_which_rows(
    tmp_path: Path, how: str, word: dict[str, Any]
) -> None:
    """A task that is asked for fresh rows hears from its own member whether it may use all of them."""

    def asked(step: int) -> Instruction:
        return Instruction("numbers", {"do": "numbers", "step": step, "fresh": True, **word}, 9, 100)

    def total(adder: Any, step: int) -> None:
        if how == "session":
            with adder.fixed() as session:
                session.sum(asked(step))
        else:
            adder.total(asked(step))

    def drive(adder: Any) -> None:
        total(adder, 0)
        adder.exclude(VICTIM)
        total(adder, 1)
        adder.include(VICTIM)
        total(adder, 2)

    made = plan(Boosting(trees=2))
    with he_world(tmp_path, made) if how == "he" else masks_world(tmp_path, made) as world:
        if how == "he":
            led(world, drive)
        else:
            drive(server(world))
        numbers = world.tasks["aoi"]["numbers"]
        assert [one.body["whole"] for one, _ in numbers.asked][:2] == [True, False]


@contextmanager
def he_world(folder: Path, made: Plan) -> Iterator[World]:
    world = World(made, folder, he_member)
    try:
        yield world
    finally:
        world.close()


def test_an_honest_run_counts_on_over_those_it_began_with(tmp_path: Path) -> None:
    """Who was lost at the first counter and comes back is left out of the others, and nobody else is."""
    made = counting_plan()
    make: Making = lambda p, r: {"counters": CounterTask(p, r), "boosting": Told()}  # noqa: E731
    with banks(tmp_path, made, make, counting_rows) as world:
        adder, state, saved = server(world), State(), []
        summer = Explaining(made, adder, state, lambda: saved.append(1), lambda: None)
        adder.victim = VICTIM
        sums = instructions(made.data)
        without = summer.total(next(sums)).members
        assert without == MEMBERS[:4]
        adder.victim = None
        assert summer.total(next(sums)).members == without
        assert state.first == list(without)
        assert saved
        assert adder.members == MEMBERS


def test_trees_over_another_set_than_the_counters_were(tmp_path: Path) -> None:
    """Bins of the counters' features count payments of a terminal; so do the counters."""
    made = counting_plan()
    shape = shape_of(made)
    make: Making = lambda p, r: {  # noqa: E731
        "counters": CounterTask(p, r),
        "boosting": BoostingTask(
            p, Rows(np.zeros((len(r.label), shape.features), np.float32), r.label, r.part, r.day)
        ),
    }
    spans = first_spans(shape.inputs)
    length = 2 + int((1 << spans["bits"].astype(np.int64)).sum())
    with banks(tmp_path, made, make, counting_rows) as world:
        adder = server(world)
        adder.total(next(instructions(made.data)))
        adder.exclude(VICTIM)
        body = {"do": "count", "pass": 0}
        with adder.fixed() as session, pytest.raises(Refusal) as refused:
            session.sum(Instruction("boosting", body, length, shape.count_bound, spans))
        assert refused.value.code == "LEARNING_NOT_FRESH"


# --- one member is told another model, other bins, other sums ---


def _model(edges: NDArray[Any], trees: int = 0, leaf: float = 0.0) -> dict[str, NDArray[Any]]:
    starts = (len(edges) * np.arange(WIDTH + 1)).astype(np.int64)
    return {
        "base": np.zeros(1),
        "edges": np.tile(edges.astype(np.float32), WIDTH),
        "edge_starts": starts,
        **_no_trees(trees, leaf),
    }


@pytest.mark.parametrize("how", ["session", "round", "he"])
@pytest.mark.parametrize("what", ["edges", "trees", "base", "nothing"])
def test_one_member_that_is_told_another_model(tmp_path: Path, how: str, what: str) -> None:
    """With bins of its own all of a member's values lay where nobody else's did: its sums, alone, opened."""
    made = plan(Boosting(trees=4, depth=3, bins=8))
    shape = shape_of(made)
    make: Making = lambda p, r: {"boosting": BoostingTask(p, r)}  # noqa: E731
    plain, other = _model(np.linspace(100.0, 200.0, 7)), {}
    match what:
        case "edges":
            other = _model(np.linspace(-200.0, -100.0, 7))
        case "trees":
            other = _model(np.linspace(100.0, 200.0, 7), 1, 3.0)
            plain = _model(np.linspace(100.0, 200.0, 7), 1)
        case "base":
            other = {**plain, "base": np.full(1, 30.0)}
        case _:
            other = plain
    tree = 1 if what == "trees" else 0
    with banks(tmp_path, made, make) if how != "he" else he_world(tmp_path, made) as world:
        if how == "he":
            for name in MEMBERS:
                world.tasks[name].update(make(made, rows_of(name)))  # type: ignore[arg-type]
        for name in MEMBERS:
            world.tasks[name]["boosting"].told({"do": "sync"}, other if name == VICTIM else plain)
        found: list[NDArray[np.int64]] = []

        def drive(adder: Any) -> None:
            if how == "session":
                with adder.fixed() as session:
                    found.append(session.sum(_level(shape, {}, tree=tree)))
            else:
                found.append(adder.total(_level(shape, {}, tree=tree)).values)

        if what == "nothing":
            led(world, drive) if how == "he" else drive(server(world))
            assert len(found) == 1
            return
        if how == "round":  # those who were told the same go on without the other one
            assert server(world).total(_level(shape, {}, tree=tree)).members == MEMBERS[:4]
            return
        with pytest.raises(PeerError, match=r"told different things|no sum"):
            led(world, drive) if how == "he" else drive(server(world))
        assert not found


def test_one_member_that_is_told_another_split(tmp_path: Path) -> None:
    """The sum of the level whose splits differ was noise; the next one, asked for alike, was not."""
    made = plan(Boosting(trees=4, depth=3, bins=8))
    shape = shape_of(made)
    make: Making = lambda p, r: {"boosting": BoostingTask(p, r)}  # noqa: E731
    with banks(tmp_path, made, make) as world:
        for name in MEMBERS:
            world.tasks[name]["boosting"].told({"do": "sync"}, _model(np.linspace(-1, 1, 7)))
        adder = server(world)

        def split(level: int, node: int, at: int, nodes: list[int]) -> Instruction:
            arrays: dict[str, NDArray[Any]] = {
                "nodes": np.array(nodes, np.int32),
                "node": np.array([node], np.int32),
                "feature": np.zeros(1, np.int32),
                "bin": np.array([at], np.uint8),
                "missing_left": np.zeros(1, np.uint8),
            }
            body = {"do": "grow", "tree": 0, "level": level}
            return Instruction("boosting", body, shape.level_length(len(nodes)), shape.level_bound, arrays)

        with adder.fixed() as session:
            session.sum(_level(shape, {}))
            ask = world.channel.ask

            def otherwise(kind: str, requests: Mapping[str, Any], seconds: float | None = None) -> Any:
                if kind != "masks.sum":
                    return ask(kind, requests, seconds)
                changed = dict(requests)
                body, arrays = requests[VICTIM]
                changed[VICTIM] = (body, {**arrays, "in:bin": np.array([6], np.uint8)})
                return ask(kind, changed, seconds)

            world.channel.ask = otherwise  # type: ignore[method-assign]
            with pytest.raises(PeerError):
                session.sum(split(1, 0, 0, [1]))
            world.channel.ask = ask  # type: ignore[method-assign]
            with pytest.raises(PeerError):
                session.sum(split(2, 1, 3, [3]))


def test_one_member_that_is_told_other_sums_of_counters() -> None:
    made = counting_plan()
    states = []
    for sums in (0, 0, 5):
        counted = Counted(made, counting_rows("aoi"), lambda rows: BoostingTask(made, rows))
        for asked in instructions(made.data):
            values = np.full(asked.length, sums, np.int64)
            counted.counters.told({**asked.body, "do": "sums"}, {"sums": values})
        shape = shape_of(made)
        edges = np.concatenate([np.linspace(0, 1, 63)] * shape.features).astype(np.float32)
        starts = (63 * np.arange(shape.features + 1)).astype(np.int64)
        model: dict[str, NDArray[Any]] = {
            "base": np.zeros(1),
            "edges": edges,
            "edge_starts": starts,
            **_no_trees(),
        }
        counted.model.told({"do": "sync"}, model)
        states.append(told_state({"boosting": counted.model}, Instruction("boosting", {}, 0, 0)))
    assert states[0] == states[1] != states[2]


# --- many draws of the same rows ---


def test_a_draw_for_every_tree_does_not_average_out() -> None:
    """After the set changed each tree drew its rows anew: the mean of many sums is the sum of all rows."""
    made = plan(Boosting(trees=200, rows=1.0))
    draws = Draws(made, 1.0)
    rows = np.ones(4000, np.bool_)
    draws.over(MEMBERS, False)
    draws.over(MEMBERS[:4], True)
    seen = [draws.rows("grow", (tree, MEMBERS[:4]), rows, fresh=True) for tree in range(50)]
    ever = np.logical_or.reduce(seen)
    assert 0.75 < ever.mean() < 0.85
    # Nor do the kinds of sums: counts, trees and losses of one set are of the same four fifths.
    count = draws.rows("count", MEMBERS[:4], rows, fresh=True, whole=True)
    assert np.array_equal(count, ever)


def test_a_fraction_of_rows_is_still_drawn_for_every_tree() -> None:
    made = plan(Boosting(trees=200, rows=0.4))
    draws = Draws(made, 0.4)
    rows = np.ones(4000, np.bool_)
    draws.over(MEMBERS, False)
    draws.over(MEMBERS[:4], True)
    seen = np.array([draws.rows("grow", (tree, MEMBERS[:4]), rows, fresh=True) for tree in range(40)])
    assert 0.35 < seen.mean() < 0.45
    assert 0.75 < seen.any(axis=0).mean() < 0.85


# --- votes: one bit about one member's holdout rows ---


class Told:
    """A task that answers to votes and counts them."""

    def __init__(self) -> None:
        self.votes = 0

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        return np.zeros(instruction.length, np.int64)

    def told(self, body: Mapping[str, Any], arrays: Any) -> tuple[dict[str, Any], Any]:
        self.votes += body.get("do") == "vote"
        return {"accept": self.votes % 2 == 0}, {}


def guarded(world: World, made: Plan, task: Task, state: Path | None = None) -> Guarded:
    return Guarded(task, made, RUN, "aoi", world.keys["aoi"], world.publics, state)


def test_no_vote_where_the_plan_has_none(tmp_path: Path) -> None:
    """Also with privacy, whose noise does not cover votes: a model of the server's choice, and a bit of the
    member's own holdout rows for each."""
    for made in (
        plan(Boosting(trees=10)),
        plan(Boosting(trees=10), privacy=Privacy(rho=1.0)),
        plan(Linear(), privacy=Privacy(rho=1.0)),
    ):
        with masks_world(tmp_path / made.model.kind / str(made.privacy is None), made) as world:
            task = Told()
            guard = guarded(world, made, task)
            with pytest.raises(Refusal) as refused:
                guard.told({"do": "vote", "from": 0, "to": 1}, {})
            assert refused.value.code == "LEARNING_VOTES"
            assert task.votes == 0
            guard.close()


def test_votes_are_no_oracle(tmp_path: Path) -> None:
    """A server that chose any model and asked for a vote on it, again and again, read the holdout rows."""
    made = plan(Boosting(trees=20), guard=Guard(every=10))
    with masks_world(tmp_path, made) as world:
        task = Told()
        guard = guarded(world, made, task, tmp_path / "aoi")
        answers = []
        for restart in range(3):
            for start, end in [(0, 10), (10, 20)] * 20:
                try:
                    said, _ = guard.told({"do": "vote", "from": start, "to": end}, {})
                except Refusal:
                    continue
                answers.append(said["vote"]["accept"])
            guard.close()
            guard = guarded(world, made, task, tmp_path / "aoi")
            assert restart >= 0
        guard.close()
        # Two blocks, two bits; asked again, also after a restart, it says the same.
        assert task.votes == 2
        assert answers == [answers[0], answers[1]] * 60


def test_votes_on_blocks_that_overlap(tmp_path: Path) -> None:
    made = plan(Boosting(trees=20), guard=Guard(every=10))
    with masks_world(tmp_path, made) as world:
        task = Told()
        guard = guarded(world, made, task)
        guard.told({"do": "vote", "from": 3, "to": 8}, {})
        for start, end in [(0, 10), (3, 9), (7, 12), (5, 6)]:
            with pytest.raises(Refusal):
                guard.told({"do": "vote", "from": start, "to": end}, {})
        guard.told({"do": "vote", "from": 8, "to": 18}, {})
        assert task.votes == 2


def test_blocks_that_are_taken_back_again_and_again(tmp_path: Path) -> None:
    """Old rejections of a block take it back once more; each time another model could be shown."""
    made = plan(Boosting(trees=20), guard=Guard(every=10))
    with masks_world(tmp_path, made) as world:
        task = Told()
        guard = guarded(world, made, task, tmp_path / "aoi")
        block = Block(0, 10)
        votes = [Vote.cast(made, RUN, name, block, False, world.keys[name]).to_dict() for name in MEMBERS[1:]]
        for again in range(60):
            if again % 20 == 10:
                guard.close()
                guard = guarded(world, made, task, tmp_path / "aoi")
            try:
                guard.told({"do": "vote", "from": 0, "to": 10}, {})
            except Refusal:
                continue
            guard.told({"do": "rollback", "to": 0, "votes": votes}, {})
        guard.close()
        assert task.votes == most_votes(made) == 2 + 3 * len(MEMBERS) + 8


@pytest.mark.parametrize("block", [(0, 11), (0, 21), (15, 26), (20, 21)])
def test_votes_on_blocks_that_the_plan_has_not(tmp_path: Path, block: tuple[int, int]) -> None:
    made = plan(Boosting(trees=20), guard=Guard(every=10))
    with masks_world(tmp_path, made) as world:
        guard = guarded(world, made, Told())
        with pytest.raises(Refusal):
            guard.told({"do": "vote", "from": block[0], "to": block[1]}, {})


# --- privacy: what one row can do to a sum ---


@pytest.mark.parametrize("size", [1e308, 1e200, 1e155, 1e30])
@pytest.mark.parametrize("layers", [(), (4,), (4, 3)], ids=["none", "one", "two"])
def test_no_weights_make_a_row_count_more_than_the_clip(size: float, layers: tuple[int, ...]) -> None:
    """Weights of the server's choice overflowed for rows that it chose, and NaN spoiled the whole block."""
    draw = np.random.default_rng(5)
    network = Network(WIDTH, layers)
    inputs = draw.normal(size=(40, WIDTH)).astype(np.float32)
    label = (draw.random(40) < 0.3).astype(np.uint8)
    for _ in range(5):
        weights = draw.choice([-size, size, 1.0, 0.0], network.length)
        with np.errstate(all="ignore"):
            blocks = list(network.clipped_sums(weights, inputs, label, 5.0, 4.0, 8))
            ones = [
                next(iter(network.clipped_sums(weights, inputs[k : k + 1], label[k : k + 1], 5.0, 4.0, 8)))
                for k in range(40)
            ]
        assert np.isfinite(blocks).all()
        assert np.isfinite(ones).all()
        assert max(float(np.linalg.norm(one)) for one in ones) <= 4.0 * (1 + 1e-9)
        assert max(float(np.linalg.norm(block)) for block in blocks) <= 8 * 4.0 * (1 + 1e-9)


def test_no_weights_make_a_private_contribution_fail(tmp_path: Path) -> None:
    """A contribution that failed for its values told of a row in the open."""
    for model in (Linear(), Perceptron(layers=(3,))):
        made = plan(model, privacy=Privacy(rho=1.0))
        work = Work(made)
        task = RoundsTask(made, make_rows(60, 1))
        scaling = np.zeros((6, WIDTH))
        scaling[0], scaling[1], scaling[4] = -1e30, 1e30, 1e-300
        network = work.network(WIDTH)
        for place, size in enumerate((1e308, 1e160, -1e308)):
            weights = np.full(network.length, size)
            weights[::2] *= -1
            asked = work.instruction(place, network, weights, {"scaling": scaling})
            with np.errstate(all="ignore"):
                made_values = task.contribute(asked, MEMBERS)
            assert np.abs(made_values).max() <= asked.bound


def test_every_sum_of_a_private_plan_is_noised_and_paid_for(tmp_path: Path) -> None:
    """Whatever a server asks of a private plan's tasks: two answers to it differ, or there is none."""
    data = Data(
        features=tuple(Feature(name=f"x{k}", low=-3.0, high=3.0) for k in range(WIDTH)),
        label="fraud",
        rows=1 << 12,
    )
    for model in (Linear(rounds=3), Linear(rounds=3, method="averages"), Perceptron(rounds=3, layers=(3,))):
        made = plan(model, privacy=Privacy(rho=1.0), data=data)
        work, rows = Work(made), make_rows(60, 1)
        sums = []
        scaling = np.zeros((6, WIDTH))
        scaling[0], scaling[1], scaling[4] = -3, 3, 1
        network = work.network(WIDTH)
        asked = work.instruction(0, network, np.zeros(network.length), {"scaling": scaling})
        for do in ("private", "newton", "average", "gradient", "counts", "moments", "loss"):
            for length in {asked.length, asked.length + 2, asked.length + 5}:
                body = {**asked.body, "do": do} if do not in ("counts", "moments") else {"do": do}
                one = Instruction(asked.task, body, length, asked.bound, asked.arrays)
                pair = []
                for _ in range(2):
                    task = RoundsTask(made, rows)
                    try:
                        pair.append(task.contribute(one, MEMBERS))
                    except (Refusal, InputError):
                        continue
                sums.append(len(pair))
                assert len(pair) in (0, 2)
                assert not pair or not np.array_equal(pair[0], pair[1])
        assert 2 in sums
        task = RoundsTask(made, rows)
        for _ in range(3):
            task.contribute(asked, MEMBERS)
        with pytest.raises(Refusal, match="pays for 3"):
            task.contribute(asked, MEMBERS)


def test_streams_are_of_what_was_asked_and_among_whom() -> None:
    """The consistency check has both, too; masks that cancel for different questions would be half of it."""
    one, other = bytes(32), bytes(31) + b"1"
    assert len({round_context(s, a) for s in (MEMBERS, MEMBERS[:4]) for a in (one, other)}) == 4
    assert len({session_context(n, a) for n in (0, 1) for a in (one, other)}) == 4


# --- what comes from outside ---


def _message(draw: np.random.Generator) -> bytes:
    header = {"a": [1, "x", None, {"b": 1.5}], "n": int(draw.integers(0, 1 << 60))}
    arrays = {f"k{k}": draw.integers(0, 200, int(draw.integers(0, 9))).astype(np.uint8) for k in range(3)}
    return pack(header, {**arrays, "f": draw.normal(size=(2, 3))})


def test_broken_messages_are_refused_and_nothing_else() -> None:
    draw = np.random.default_rng(11)
    opened = 0
    for n in range(3000):
        content = bytearray(_message(draw))
        for _ in range(int(draw.integers(1, 4))):
            match int(draw.integers(0, 4)):
                case 0:
                    content[int(draw.integers(len(content)))] ^= int(draw.integers(1, 256))
                case 1:
                    at = int(draw.integers(len(content)))
                    del content[at : at + int(draw.integers(1, 9))]
                case 2:
                    at = int(draw.integers(len(content)))
                    content[at:at] = draw.bytes(int(draw.integers(1, 9)))
                case _:
                    at = int(draw.integers(8, len(content)))
                    content[at : at + 1] = b'{["\\u-9e'[n % 8 : n % 8 + 1]
            if not content:
                content = bytearray(b"x")
        try:
            header, arrays = unpack(bytes(content), 1 << 16)
        except PeerError:
            continue
        opened += 1
        assert isinstance(header, dict)
        assert sum(values.nbytes for values in arrays.values()) <= len(content)
    assert opened  # some changes are of the header's text and leave a message


def test_half_a_character_in_a_header() -> None:
    """It has no bytes: a member's transcript broke its own chain at a kind of request that held one."""
    for whole in (pack({"kind": "AAAAAA"}, {}), pack({"AAAAAA": 1}, {})):
        assert unpack(whole)
        for half in (b"\\ud800", b"\\uDFFF"):
            with pytest.raises(PeerError):
                unpack(whole.replace(b"AAAAAA", half))
        assert unpack(whole.replace(b"AAAAAA", b"\\u00e9"))


LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["\ud800", "emi", "aoi"]),
)
JSON = st.one_of(LEAF, st.lists(LEAF, max_size=4), st.dictionaries(st.text(max_size=5), LEAF, max_size=4))
KINDS: Final = [
    "masks.keys", "masks.sum", "masks.advertise", "masks.share", "masks.masked", "masks.consistent",
    "masks.unmask", "masks.tell",
]  # fmt: skip
FIELDS: Final = [
    "session", "round", "index", "keys", "sharing", "members", "signatures", "instruction", "task",
]  # fmt: skip


STEPS: Final = st.lists(
    st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4)),
    min_size=1,
    max_size=4,
)


def test_a_member_answers_any_request_or_refuses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request of the server's own ends a member: what comes of it is an error of ours."""
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    with masks_world(tmp_path) as world:
        member = world.answers["aoi"]

        @settings(max_examples=80, deadline=None)
        @given(steps=STEPS)
        def any_requests(steps: list[tuple[str, dict[str, Any]]]) -> None:
            for kind, body in steps:
                try:
                    member.answer(kind, body, {})
                except HitokuError:
                    continue

        any_requests()


def test_every_sum_of_private_trees_has_its_noise_and_is_paid_for(tmp_path: Path) -> None:
    made = plan(Boosting(trees=2, depth=2, bins=8), privacy=Privacy(rho=1.0))
    shape, rows = shape_of(made), rows_of("aoi")
    assert shape.level_noise is not None
    assert shape.count_noise is not None
    spans = first_spans(shape.inputs)
    length = 2 + int((1 << spans["bits"].astype(np.int64)).sum())
    count = Instruction("boosting", {"do": "count", "pass": 0}, length, shape.count_bound, spans)
    for asked, scale in ((_level(shape, {}), shape.level_noise.scale), (count, shape.count_noise.scale)):
        pair = []
        for _ in range(2):
            task = BoostingTask(made, rows)
            task.told({"do": "sync"}, _model(np.linspace(-1, 1, 7)))
            pair.append(task.contribute(asked, MEMBERS).astype(np.float64))
        # 100 numbers and more: their deviation is known to 7 %, so that chance stays within 40 %.
        assert 0.6 < (pair[0] - pair[1]).std() / (2**0.5 * scale) < 1.4
    paid = Schedule(made).parts
    for asked, sums in ((_level(shape, {}), paid["tree"].sums), (count, paid["quantiles"].sums)):
        for again in range(sums + 2):
            task = BoostingTask(made, rows, tmp_path)  # restarted before each
            task.told({"do": "sync"}, _model(np.linspace(-1, 1, 7)))
            if again < sums:
                task.contribute(asked, MEMBERS)
                continue
            with pytest.raises(Refusal, match="pays for"):
                task.contribute(asked, MEMBERS)


def test_no_row_moves_a_levels_sum_by_more_than_the_noise_is_made_for() -> None:
    made, rows = plan(Boosting(trees=2, depth=2, bins=8)), rows_of("aoi")
    shape, training = shape_of(made), np.flatnonzero(rows_of("aoi").part == 0)
    sums = []
    for left_out in (None, *training[:20]):
        part = rows.part.copy()
        if left_out is not None:
            part[left_out] = 2
        task = BoostingTask(made, Rows(rows.features, rows.label, part))
        task.told({"do": "sync"}, {**_model(np.linspace(-1, 1, 7)), "base": np.full(1, 40.0)})
        sums.append(task.contribute(_level(shape, {}), MEMBERS))
    most = max(int(((one - sums[0]) ** 2).sum()) for one in sums[1:])
    assert 0.9 * level_squared(made, WIDTH) < most <= level_squared(made, WIDTH)


def test_meters_survive_a_restart(tmp_path: Path) -> None:
    """The count of noised sums is on the disk before the noise is drawn."""
    made = plan(Linear(rounds=3), privacy=Privacy(rho=1.0))
    asked = _counts_instruction(made, "linear", WIDTH)
    for again in range(2):
        inputs = Inputs(made, make_rows(60, 1), tmp_path)
        if again:
            with pytest.raises(Refusal, match="pays for 1"):
                inputs.contribute(asked, MEMBERS)
        else:
            inputs.contribute(asked, MEMBERS)
