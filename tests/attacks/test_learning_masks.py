# SPDX-License-Identifier: Apache-2.0
"""A malicious server of a learning run under `masks`: what it tries is refused, or opens noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.learning.views import Recorder, looks_masked, opened
from tests.learning.world import RUN, SERVER, Keys, World, instruction, plan_of, values
from tests.unit.learning.aggregate.masks.masks_world import masks_world, single, summer

from hitoku.errors import InputError, PeerError, Refusal
from hitoku.hazmat import masks as kernel
from hitoku.learning.aggregate.instructions import to_message
from hitoku.learning.aggregate.masks import MasksMember
from hitoku.learning.aggregate.masks.statements import Scope
from hitoku.learning.base import Instruction
from hitoku.learning.door import Door
from hitoku.learning.plan import plan_hash
from hitoku.learning.wire import REPLY_DOMAIN, REQUEST_DOMAIN, open_signed, seal

Signed = dict[str, list[str]]
LENGTH = 2000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with masks_world(tmp_path) as made:
        yield made


@pytest.fixture
def seven(tmp_path: Path) -> Iterator[World]:
    with masks_world(tmp_path, plan_of(7, threshold=5)) as made:
        yield made


def ask(
    world: World, kind: str, bodies: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, Any] | None = None
) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """What a server that has its key may ask of anybody."""
    given = arrays or {}
    return world.channel.ask(kind, {name: (body, given.get(name, {})) for name, body in bodies.items()})


def why(world: World, member: str) -> str:
    """Why this member's last reply did not count."""
    return next(one.reason for one in reversed(world.channel.absences) if one.member == member)


def to_all(world: World, body: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return dict.fromkeys(world.plan.members, body)


def offers(world: World, number: int = 1) -> Signed:
    replies = ask(world, "masks.keys", to_all(world, {"session": number}))
    return {name: [said["public"], said["signature"]] for name, (said, _) in replies.items()}


def session_body(keys: Signed | None, asked: Instruction, number: int = 1, index: int = 0) -> dict[str, Any]:
    body = {"session": number, "index": index, "instruction": to_message(asked)[0]}
    return body if keys is None else {**body, "keys": keys}


def added(replies: Mapping[str, tuple[Any, Mapping[str, Any]]]) -> np.ndarray:
    total = np.zeros(LENGTH, np.uint64)
    for _, arrays in replies.values():
        total += arrays["masked/values"]
    return total


class Round:
    """A round run by hand, so that it can go wrong at any step."""

    def __init__(self, world: World, asked: Instruction, number: int = 1) -> None:
        self.world, self.asked, self.number = world, asked, number

    def advertise(self) -> Signed:
        replies = ask(self.world, "masks.advertise", to_all(self.world, {"round": self.number}))
        return {name: [said["public"], said["signature"]] for name, (said, _) in replies.items()}

    def share(self, keys: Signed, to: Iterable[str] | None = None) -> dict[str, Any]:
        bodies = {name: {"round": self.number, "keys": keys} for name in (to or keys)}
        self.names = sorted(keys)
        return {
            name: arrays["sealed/shares"]
            for name, (_, arrays) in ask(self.world, "masks.share", bodies).items()
        }

    def routed(self, tables: Mapping[str, Any], sharing: Iterable[str]) -> dict[str, Any]:
        made = {}
        for receiver in sharing:
            rows = [
                tables[sender][[n for n in self.names if n != sender].index(receiver)]
                for sender in sharing
                if sender != receiver
            ]
            made[receiver] = {"sealed/shares": np.array(rows)}
        return made

    def masked(self, tables: Mapping[str, Any], to: Iterable[str] | None = None) -> dict[str, Any]:
        self.sharing = sorted(tables)
        body = {"round": self.number, "sharing": self.sharing, "instruction": to_message(self.asked)[0]}
        chosen = list(to or self.sharing)
        return ask(self.world, "masks.masked", dict.fromkeys(chosen, body), self.routed(tables, self.sharing))

    def consistent(self, sets: Mapping[str, list[str]]) -> dict[str, str]:
        bodies = {name: {"round": self.number, "members": members} for name, members in sets.items()}
        return {
            name: said["signature"] for name, (said, _) in ask(self.world, "masks.consistent", bodies).items()
        }

    def unmask(self, signatures: Mapping[str, str], to: Iterable[str] | None = None) -> dict[str, Any]:
        body = {"round": self.number, "signatures": dict(signatures)}
        return ask(self.world, "masks.unmask", dict.fromkeys(to or signatures, body))

    def until_masked(self) -> dict[str, Any]:
        return self.masked(self.share(self.advertise()))


# --- keys ---


def test_a_session_key_that_the_server_made(world: World) -> None:
    keys = offers(world)
    mine = kernel.MaskKey()
    keys["beni"] = [mine.public.hex(), keys["beni"][1]]
    replies = ask(world, "masks.sum", to_all(world, session_body(keys, instruction())))
    assert replies == {}
    assert "not what it signed" in why(world, "aoi")
    assert "own keys are missing" in why(world, "beni") or "not what it signed" in why(world, "beni")


def test_a_session_key_signed_by_the_servers_own_key(world: World) -> None:
    keys = offers(world)
    mine = kernel.MaskKey().public
    scope = Scope(world.plan, RUN, world.publics)
    forged = scope.sign_keys(world.keys[SERVER], "session-key", 1, "beni", mine)
    keys["beni"] = [mine.hex(), forged.hex()]
    assert ask(world, "masks.sum", to_all(world, session_body(keys, instruction()))) == {}


def test_an_old_session_key_of_a_member(world: World) -> None:
    old = offers(world, 1)
    keys = offers(world, 2)
    keys["beni"] = old["beni"]
    replies = ask(world, "masks.sum", to_all(world, session_body(keys, instruction(), 2)))
    assert replies == {}
    assert "not what it signed" in why(world, "aoi")


def test_a_round_key_as_a_session_key(world: World) -> None:
    keys = offers(world)
    other = Round(world, single()).advertise()
    keys["beni"] = [other["beni"][0][:64], other["beni"][1]]
    assert ask(world, "masks.sum", to_all(world, session_body(keys, instruction()))) == {}


def test_one_members_key_under_two_names(world: World) -> None:
    # A member that helps the server signs another one's key as its own: masks would cancel in part.
    keys = offers(world)
    copied = bytes.fromhex(keys["aoi"][0])
    scope = Scope(world.plan, RUN, world.publics)
    keys["emi"] = [copied.hex(), scope.sign_keys(world.keys["emi"], "session-key", 1, "emi", copied).hex()]
    assert "beni" not in ask(world, "masks.sum", to_all(world, session_body(keys, instruction())))
    assert "twice" in why(world, "beni")


def test_a_key_of_low_order_that_a_helper_signed(world: World) -> None:
    keys = offers(world)
    low = bytes(32)
    scope = Scope(world.plan, RUN, world.publics)
    keys["emi"] = [low.hex(), scope.sign_keys(world.keys["emi"], "session-key", 1, "emi", low).hex()]
    assert "aoi" not in ask(world, "masks.sum", to_all(world, session_body(keys, instruction())))


def test_keys_of_a_round_that_the_server_made(world: World) -> None:
    step = Round(world, single())
    keys = step.advertise()
    mine = kernel.MaskKey().public + kernel.MaskKey().public
    keys["beni"] = [mine.hex(), keys["beni"][1]]
    assert step.share(keys) == {}
    assert "not what it signed" in why(world, "aoi")


def test_a_stranger_and_too_small_a_set(world: World) -> None:
    keys = offers(world)
    assert (
        ask(
            world,
            "masks.sum",
            to_all(world, session_body({n: keys[n] for n in ("aoi", "beni", "emi")}, instruction())),
        )
        == {}
    )
    keys = offers(world, 2)
    keys["zoe"] = keys["emi"]
    del keys["emi"]
    assert ask(world, "masks.sum", to_all(world, session_body(keys, instruction(), 2))) == {}


def test_a_set_that_a_member_is_not_in(world: World) -> None:
    keys = offers(world)
    del keys["aoi"]
    assert ask(world, "masks.sum", {"aoi": session_body(keys, instruction())}) == {}
    assert "own keys are missing" in why(world, "aoi")
    step = Round(world, single())
    keys = step.advertise()
    del keys["aoi"]
    assert step.share(keys, ["aoi"]) == {}
    assert "own keys are missing" in why(world, "aoi")


# --- dropping members selectively ---


def test_dropping_a_member_from_a_session_after_the_fact(world: World) -> None:
    keys = offers(world)
    replies = ask(world, "masks.sum", to_all(world, session_body(keys, instruction(length=LENGTH))))
    for left_out in world.plan.members:
        rest = {name: reply for name, reply in replies.items() if name != left_out}
        assert looks_masked([added(rest)])


def test_dropping_more_than_the_threshold_allows(seven: World) -> None:
    step = Round(seven, single())
    masked = step.until_masked()
    few = sorted(masked)[:4]
    assert step.consistent(dict.fromkeys(few, few)) == {}
    assert "too few" in why(seven, "aoi")


def test_sharing_among_too_few(seven: World) -> None:
    step = Round(seven, single())
    tables = step.share(step.advertise())
    assert step.masked({name: tables[name] for name in sorted(tables)[:4]}) == {}


def test_a_set_that_grows_again(seven: World) -> None:
    step = Round(seven, single())
    tables = step.share(step.advertise())
    del tables["aoi"]
    assert len(step.masked(tables)) == 6
    everybody = list(seven.plan.members)
    assert step.consistent(dict.fromkeys(everybody[1:], everybody)) == {}


# --- different sets for different members ---


def test_two_sets_in_the_consistency_check(seven: World) -> None:
    step = Round(seven, single())
    masked = step.until_masked()
    names = sorted(masked)
    one, two = names[:6], names[1:]
    sets = {name: one if n < 4 else two for n, name in enumerate(names)}
    signatures = step.consistent(sets)
    assert len(signatures) == 7
    assert step.unmask(signatures) == {}
    assert "did not agree" in why(seven, "beni") or "fewer" in why(seven, "beni")


def test_two_sets_with_the_signatures_of_those_in_both(seven: World) -> None:
    # Both kinds of shares would come out: of aoi's and ginjo's seeds here, of their keys there.
    step = Round(seven, single())
    names = sorted(step.until_masked())
    one, two = names[:6], names[1:]
    signatures = step.consistent({name: one if n < 4 else two for n, name in enumerate(names)})
    both = {name: signatures[name] for name in names[1:6]}
    assert step.unmask(both, to=names) == {}
    assert "did not agree" in why(seven, "beni")
    assert "did not agree" in why(seven, "fuji")


def test_too_few_signatures_of_one_set(seven: World) -> None:
    step = Round(seven, single())
    names = sorted(step.until_masked())
    signatures = step.consistent(dict.fromkeys(names, names))
    assert step.unmask(dict(sorted(signatures.items())[:4]), to=names) == {}


def test_signatures_of_another_round(seven: World) -> None:
    step = Round(seven, single())
    names = sorted(step.until_masked())
    signatures = step.consistent(dict.fromkeys(names, names))
    again = Round(seven, single(), 2)
    assert sorted(again.until_masked()) == names
    again.consistent(dict.fromkeys(names, names))
    assert again.unmask(signatures) == {}


def test_different_instructions_in_one_round(seven: World) -> None:
    step = Round(seven, single())
    tables = step.share(step.advertise())
    step.masked(tables, to=["aoi"])
    step.asked = single(1)
    step.masked(tables, to=sorted(tables)[1:])
    names = sorted(tables)
    assert step.unmask(step.consistent(dict.fromkeys(names, names))) == {}
    assert "did not agree" in why(seven, "aoi")


def test_different_sharing_sets_in_one_round(seven: World, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(monkeypatch)
    step = Round(seven, single())
    tables = step.share(step.advertise())
    without = {name: table for name, table in tables.items() if name != "ginjo"}
    assert list(step.masked(without, to=["aoi"])) == ["aoi"]
    assert len(step.masked(tables, to=sorted(tables)[1:])) == 6
    # Their streams have nothing in common, even if the server gets every own mask and ginjo's key.
    rows = {name: recorder.row(values(n + 1, single())) for n, name in enumerate(seven.plan.members)}
    known = recorder.own | recorder.pairs(rows.pop("ginjo"))
    assert opened(rows, known) == []
    six = sorted(without)
    signatures = step.consistent(dict.fromkeys(six, six))
    assert len(signatures) == 6
    assert step.unmask(signatures) == {}
    assert "did not agree" in why(seven, "aoi")


# --- both kinds of shares ---


def test_both_kinds_of_shares_of_one_member(seven: World) -> None:
    step = Round(seven, single())
    names = sorted(step.until_masked())
    signatures = step.consistent(dict.fromkeys(names, names))
    first = step.unmask(signatures)
    assert {arrays["keys"].shape for _, arrays in first.values()} == {(0, kernel.SHARE_BYTES)}
    without = names[1:]
    assert step.consistent(dict.fromkeys(without, without)) == {}
    assert step.unmask(signatures) == {}
    assert "no such round" in why(seven, "beni")


def test_a_second_set_before_unmasking(seven: World) -> None:
    step = Round(seven, single())
    names = sorted(step.until_masked())
    step.consistent(dict.fromkeys(names, names))
    without = names[1:]
    assert step.consistent(dict.fromkeys(without, without)) == {}


def test_unmasking_without_the_consistency_check(seven: World) -> None:
    step = Round(seven, single())
    names = sorted(step.until_masked())
    assert step.unmask(dict.fromkeys(names, "00" * 64)) == {}


def test_shares_that_were_sent_to_the_wrong_member(seven: World) -> None:
    step = Round(seven, single())
    tables = step.share(step.advertise())
    swapped = {name: table[::-1] for name, table in tables.items()}
    assert "beni" not in step.masked(swapped)
    assert "not what it encrypted" in why(seven, "beni")


# --- two almost equal sums ---


def test_the_same_single_sum_over_another_set(world: World) -> None:
    adder = summer(world)
    asked = single(weights=1)
    assert len(adder.total(asked).members) == 5
    assert len(adder.total(asked).members) == 5  # the same set may be summed again
    adder.exclude("emi")
    with pytest.raises(Refusal) as refused:
        adder.total(asked)
    assert refused.value.code == "LEARNING_SAME_SUM"
    nearly = Instruction(asked.task, asked.body, asked.length, asked.bound, {"weights": np.array([1e-9])})
    with pytest.raises(Refusal, match="another set"):
        adder.total(nearly)
    for name in world.plan.members:
        world.start(name)
    with pytest.raises(Refusal, match="another set"):
        adder.total(asked)


def test_the_same_tree_over_another_set(world: World) -> None:
    adder = summer(world)
    with adder.fixed() as session:
        session.sum(instruction(0))
    adder.exclude("emi")
    for name in ("aoi", "beni"):
        world.start(name)
    with adder.fixed() as session, pytest.raises(Refusal) as refused:
        session.sum(instruction(0))
    assert refused.value.code == "LEARNING_NOT_FRESH"
    with adder.fixed() as session:
        session.sum(instruction(0, fresh=True))


def test_many_fresh_draws_of_one_sum(tmp_path: Path) -> None:
    with masks_world(tmp_path, plan_of(5, changes=3)) as world:
        adder = summer(world)
        with adder.fixed() as session:
            session.sum(instruction(0))
        adder.exclude("emi")
        for _ in range(3):  # one change and two repeats
            adder = summer(world)
            adder.exclude("emi")
            with adder.fixed() as session:
                session.sum(instruction(0, fresh=True))
                session.sum(instruction(1, fresh=True))
        for again in (adder, summer(world)):
            again.exclude("emi")
            with again.fixed() as session, pytest.raises(Refusal) as refused:
                session.sum(instruction(0, fresh=True))
        assert refused.value.code == "LEARNING_SET_CHANGES"
        with adder.fixed() as session:  # what is new may still be asked over the same set
            session.sum(instruction(2, fresh=True))


@pytest.mark.parametrize("restart", [False, True])
def test_changing_the_set_too_often(tmp_path: Path, restart: bool) -> None:
    with masks_world(tmp_path, plan_of(5, changes=2)) as world:
        adder = summer(world)
        for step, out in enumerate(["", "emi", ""]):
            if out:
                adder.exclude(out)
            else:
                adder.include("emi")
            adder.total(single(step, fresh=True))
        if restart:
            for name in world.plan.members:
                world.start(name)
        adder.exclude("aoi")
        with pytest.raises(Refusal) as refused:
            adder.total(single(3, fresh=True))
        assert refused.value.code == "LEARNING_SET_CHANGES"


def test_one_kind_of_sum_in_sessions_and_rounds(world: World) -> None:
    adder = summer(world)
    with adder.fixed() as session:
        session.sum(instruction(0))
    with pytest.raises(Refusal) as refused:
        adder.total(instruction(1))
    assert refused.value.code == "LEARNING_TWO_MODES"


def test_a_second_run_of_one_plan(tmp_path: Path, world: World) -> None:
    world.stop("aoi")
    with pytest.raises(InputError, match="one plan is run once"):
        MasksMember(world.plan, "f" * 32, "aoi", world.keys["aoi"], world.publics, {}, world.folder / "aoi")


# --- old requests, another order, after a restart ---


class Wire:
    """Requests as bytes, noted on their way."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: dict[str, list[bytes]] = {}
        for name, door in world.doors.items():
            self.seen[name] = []
            world.fleet.join(name, partial(self._noted, name, door))

    def _noted(self, name: str, door: Door, content: bytes) -> bytes:
        self.seen[name].append(content)
        return door.handle(content)


def header(world: World, reply: bytes, member: str = "aoi") -> dict[str, Any]:
    return open_signed(REPLY_DOMAIN, world.publics[member], reply).header


@pytest.mark.parametrize("restart", [False, True])
def test_replayed_requests(world: World, restart: bool) -> None:
    wire = Wire(world)
    adder = summer(world)
    with adder.fixed() as session:
        session.sum(instruction(0))
        session.sum(instruction(1))
    asked = len(world.tasks["aoi"]["numbers"].asked)
    last = wire.seen["aoi"][-1]
    before = world.doors["aoi"].handle(last)
    assert header(world, before)["body"] == {}  # the identical last request gets the identical reply
    assert world.doors["aoi"].handle(last) == before
    if restart:
        world.start("aoi")
    for content in wire.seen["aoi"][: None if restart else -1]:
        assert set(header(world, world.doors["aoi"].handle(content))) & {"body", "stale"} == {"stale"}
    assert len(world.tasks["aoi"]["numbers"].asked) == asked


def test_sums_out_of_order_and_twice(world: World) -> None:
    keys = offers(world)
    assert ask(world, "masks.sum", to_all(world, session_body(None, instruction(), index=1))) == {}
    keys = offers(world, 2)
    assert len(ask(world, "masks.sum", to_all(world, session_body(keys, instruction(), 2)))) == 5
    for session in (1, 3, True, None):
        body = {**session_body(None, instruction(1), 2, 1), "session": session}
        assert ask(world, "masks.sum", {"aoi": body}) == {}
    for index in (2, -1, True, "1", None, 0):
        body = {**session_body(None, instruction(1), 2), "index": index}
        assert ask(world, "masks.sum", {"aoi": body}) == {}
    assert len(world.tasks["beni"]["numbers"].asked) == 1
    body = session_body(None, instruction(1), 2, 1)
    assert list(ask(world, "masks.sum", {"beni": body})) == ["beni"]
    assert ask(world, "masks.sum", {"beni": body}) == {}


def test_phases_out_of_order(seven: World) -> None:
    step = Round(seven, single())
    keys = step.advertise()
    assert ask(seven, "masks.consistent", to_all(seven, {"round": 1, "members": list(keys)})) == {}
    assert step.share(keys) == {}  # a round that went wrong is over
    step = Round(seven, single(), 2)
    tables = step.share(step.advertise())
    step.masked(tables)
    assert step.masked(tables) == {}
    assert "in order" in why(seven, "aoi") or "no such round" in why(seven, "aoi")


def test_a_session_after_a_members_restart(world: World) -> None:
    keys = offers(world)
    ask(world, "masks.sum", to_all(world, session_body(keys, instruction())))
    world.start("aoi")
    for index in (0, 1):
        body = session_body(keys, instruction(index), index=index)
        assert ask(world, "masks.sum", {"aoi": body}) == {}
    replies = ask(world, "masks.keys", {"aoi": {"session": 1}})
    assert set(replies["aoi"][0]) == {"least"}


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_round_after_a_members_restart(seven: World, steps: int) -> None:
    step = Round(seven, single())
    names = list(seven.plan.members)
    keys = step.advertise()
    tables = step.share(keys) if steps > 1 else {}
    if steps > 2:
        step.masked(tables)
    signatures = step.consistent(dict.fromkeys(names, names)) if steps > 3 else {}
    seven.start("aoi")
    again: dict[int, Any] = {
        1: lambda: step.share(keys, ["aoi"]),
        2: lambda: step.masked(tables, ["aoi"]),
        3: lambda: step.consistent({"aoi": names}),
        4: lambda: step.unmask(signatures, ["aoi"]),
    }
    assert again[steps]() == {}
    assert "no such round" in why(seven, "aoi")
    assert set(ask(seven, "masks.advertise", {"aoi": {"round": 1}})["aoi"][0]) == {"least"}


# --- others on the network ---


def test_requests_that_the_server_did_not_sign(world: World) -> None:
    common = {
        "plan": plan_hash(world.plan).hex(),
        "run": RUN,
        "member": "aoi",
        "sequence": 1,
        "kind": "masks.keys",
        "body": {"session": 1},
    }
    door = world.doors["aoi"]
    stranger = Keys()
    for keys, domain, changed in (
        (stranger, REQUEST_DOMAIN, {}),
        (world.keys["beni"], REQUEST_DOMAIN, {}),
        (world.keys[SERVER], REPLY_DOMAIN, {}),
        (world.keys[SERVER], REQUEST_DOMAIN, {"member": "beni"}),
        (world.keys[SERVER], REQUEST_DOMAIN, {"run": "f" * 32}),
        (world.keys[SERVER], REQUEST_DOMAIN, {"plan": "0" * 64}),
        (world.keys[SERVER], REQUEST_DOMAIN, {"sequence": 0}),
        (world.keys[SERVER], REQUEST_DOMAIN, {"sequence": True}),
        (world.keys[SERVER], REQUEST_DOMAIN, {"sequence": 1 << 60}),
        (world.keys[SERVER], REQUEST_DOMAIN, {"more": 1}),
    ):
        with pytest.raises(PeerError):
            door.handle(seal(domain, keys, {**common, **changed}, {}).content)
    assert "body" in header(world, door.handle(seal(REQUEST_DOMAIN, world.keys[SERVER], common, {}).content))


def test_replies_that_were_changed_or_moved(world: World) -> None:
    handle = world.doors["aoi"].handle

    def changed(content: bytes) -> bytes:
        reply = bytearray(handle(content))
        reply[-1] ^= 1
        return bytes(reply)

    world.fleet.join("aoi", changed)
    world.fleet.join("beni", lambda content: world.doors["chika"].handle(content))
    old: list[bytes] = []

    def older(content: bytes) -> bytes:
        old.append(world.doors["emi"].handle(content))
        return old[0]

    world.fleet.join("emi", older)
    body = {"task": "numbers", "body": {}}
    assert sorted(ask(world, "masks.tell", to_all(world, body))) == ["chika", "daichi", "emi"]
    assert sorted(ask(world, "masks.tell", to_all(world, body))) == ["chika", "daichi"]
    assert "another request" in why(world, "emi")
