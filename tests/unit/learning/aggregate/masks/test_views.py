# SPDX-License-Identifier: Apache-2.0
"""What the server sees opens sums over whole sets only; each planted fault makes the same check fail."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.learning.views import Recorder, Row, forms, looks_masked, opened, simulated
from tests.learning.world import World, instruction, values
from tests.unit.learning.aggregate.masks.masks_world import die, masks_world, single, summer

from hitoku.hazmat import masks as kernel
from hitoku.learning.aggregate.masks import sessions
from hitoku.learning.aggregate.masks.statements import Scope
from hitoku.learning.base import Instruction
from hitoku.learning.channel import Message

LENGTH = 4096
Views = dict[str, Row]


def rows(world: World, recorder: Recorder, asked: Instruction, what: str = "") -> Views:
    """Each member's masked vector for one instruction."""
    found = {}
    for n, name in enumerate(world.plan.members):
        plain = values(n + 1, asked)
        if any(np.array_equal(row.plain, plain) for row in recorder.rows):
            found[name + what] = recorder.row(plain)
    return found


def session_problems(folder: Path, monkeypatch: pytest.MonkeyPatch, anew: bool = True) -> list[str]:
    """Two sessions of two sums each: what is wrong with what the server, with helpers, could open."""
    recorder = Recorder(monkeypatch)
    problems = []
    with masks_world(folder) as world:
        adder = summer(world)
        seen: Views = {}
        asked = [instruction(step, LENGTH) for step in range(4)]
        wanted = []
        for tree in range(2):
            if anew:
                adder._kept = None  # else the first session's keys go on
            with adder.fixed() as session:
                for level in range(2):
                    one = asked[2 * tree + level]
                    total = session.sum(one)
                    view = rows(world, recorder, one, f" {one.body['step']}")
                    if not looks_masked([row.masked for row in view.values()]):
                        problems.append("a vector does not look uniform")
                    if not looks_masked(simulated(total, 5, seed=1)):
                        problems.append("the simulator's vectors do not look uniform")
                    wanted.append(dict.fromkeys(view, 1))
                    seen |= view
        names = world.plan.members
        if opened(seen) != forms(seen, wanted):
            problems.append("more opens than the sums")
        masked = [row.masked for row in seen.values()]
        if not looks_masked([a - b for a, b in itertools.pairwise(masked)]):
            problems.append("two vectors share masks")
        for size in (1, 2, 3):
            for helpers in itertools.combinations(names, size):
                known = set[bytes]().union(
                    *(recorder.pairs(row) for name, row in seen.items() if name.split()[0] in helpers)
                )
                honest = {name: row for name, row in seen.items() if name.split()[0] not in helpers}
                sums = [{name: 1 for name in form if name in honest} for form in wanted]
                if opened(honest, known) != forms(honest, sums):
                    problems.append(f"the server and {size} members open more than the others' sums")
    return problems


def round_problems(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A round that loses a member after it sent its vector, which the server then has, but late."""
    recorder = Recorder(monkeypatch)
    problems = []
    with masks_world(folder) as world:
        die(world, {"beni": (2, "after")})
        asked = single(length=LENGTH)
        total = summer(world).total(asked)
        if not np.array_equal(total.values, world.plain(asked, total.members)):
            problems.append("the sum is wrong")
        view = rows(world, recorder, asked)
        if not looks_masked([row.masked for row in view.values()]):
            problems.append("a vector does not look uniform")
        known = recorder.pairs(view["beni"]).union(*(recorder.selves(view[name]) for name in total.members))
        if opened(view, known) != forms(view, [dict.fromkeys(total.members, 1)]):
            problems.append("more opens than the sum")
        if not looks_masked([recorder.without_pairs(view["beni"])]):
            problems.append("a late vector is open")
    return problems


@pytest.mark.parametrize("anew", [False, True])
def test_sessions_open_sums_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anew: bool) -> None:
    assert session_problems(tmp_path, monkeypatch, anew) == []


def twice(folder: Path) -> bool:
    """Whether one instruction, asked twice in a session, is under two streams: rows may be drawn anew."""
    asked = instruction(0, LENGTH)
    with masks_world(folder) as world:
        seen: list[dict[str, np.ndarray]] = []
        ask = world.channel.ask

        def noted(kind: str, requests: Any, seconds: float | None = None) -> Any:
            replies = ask(kind, requests, seconds)
            if kind == "masks.sum":
                seen.append({name: arrays["masked/values"] for name, (_, arrays) in replies.items()})
            return replies

        world.channel.ask = noted  # type: ignore[method-assign]
        with summer(world).fixed() as session:
            for _ in range(2):
                session.sum(asked)
    return looks_masked([seen[0][name] - seen[1][name] for name in seen[0]])


def test_an_instruction_asked_twice(tmp_path: Path) -> None:
    assert twice(tmp_path)


def test_planted_masks_without_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "session_context", lambda index, asked: asked)
    assert not twice(tmp_path)


def test_rounds_open_sums_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert round_problems(tmp_path, monkeypatch) == []


def test_fewer_than_the_threshold_of_shares_open_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(monkeypatch)
    with masks_world(tmp_path) as world:
        die(world, {"beni": (4, "before"), "emi": (4, "before")})
        asked = single(length=64)
        with pytest.raises(Exception, match="nothing was opened"):
            summer(world).total(asked)
        # Three shares of each secret are at the server, the threshold is four: it knows none.
        assert opened(rows(world, recorder, asked)) == []


# --- planted faults: each must be found by the check above ---


def one_mask_for_two_sums(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sessions, "session_context", lambda index, asked: b"always")


def one_key_for_two_sessions(patch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}
    offer = sessions.SessionSide.offer

    def again(side: Any, body: Any) -> Any:
        made, arrays = offer(side, body)
        key = side._offer.key = kept.setdefault(side._name, side._offer.key)
        number = body["session"]
        signed = side._scope.sign_keys(side._keys, sessions.SESSION_KEY, number, side._name, key.public)
        return {**made, "public": key.public.hex(), "signature": signed.hex()}, arrays

    patch.setattr(sessions.SessionSide, "offer", again)
    patch.setattr(Scope, "set_hash", lambda *_: bytes(32))
    statement = Scope.statement

    def numberless(scope: Scope, what: str, **data: Any) -> bytes:
        if what == "session-pair":
            data.pop("number")
        return statement(scope, what, **data)

    patch.setattr(Scope, "statement", numberless)
    patch.setattr(sessions, "session_context", lambda index, asked: bytes([index]))


def half_of_the_pairs(patch: pytest.MonkeyPatch) -> None:
    names = ("aoi", "beni", "chika", "daichi", "emi")

    def ring(me: str, peer: str) -> int:
        apart = (names.index(me) - names.index(peer)) % 5
        return 0 if apart in (2, 3) else (1 if me < peer else -1)

    patch.setattr(sessions, "sign_of", ring)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (one_mask_for_two_sums, "two vectors share masks"),
        (one_key_for_two_sessions, "more opens than the sums"),
        (half_of_the_pairs, "the server and 2 members open more than the others' sums"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_planted_in_sessions(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[pytest.MonkeyPatch], None],
    problem: str,
) -> None:
    fault(monkeypatch)
    assert problem in session_problems(tmp_path, monkeypatch)


def test_planted_missing_own_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own: set[bytes] = set()
    secret, mask, mask_into = kernel.MaskSeed.secret, kernel.mask, kernel.mask_into

    def noted(seed: Any, info: bytes) -> Any:
        made = secret(seed, info)
        own.add(made.derive(b"own"))
        return made

    def without(terms: Any) -> Any:
        return [(term, sign) for term, sign in terms if term.derive(b"own") not in own]

    monkeypatch.setattr(kernel.MaskSeed, "secret", noted)
    monkeypatch.setattr(kernel, "mask", lambda v, t, c, threads=None: mask(v, without(t), c))
    monkeypatch.setattr(kernel, "mask_into", lambda v, t, c, threads=None: mask_into(v, without(t), c))
    assert round_problems(tmp_path, monkeypatch) == ["a late vector is open"]


# --- masks are bound to the set and to the instruction ---


def keys_of(world: World, number: int) -> dict[str, list[str]]:
    """The server's own way to signed keys, for servers that go wrong afterwards."""
    replies = world.channel.ask("masks.keys", dict.fromkeys(world.plan.members, ({"session": number}, {})))
    return {name: [said["public"], said["signature"]] for name, (said, _) in replies.items()}


def two_sets(world: World) -> np.ndarray:
    """Every member but two is told the whole set; daichi and emi are told a set without each other."""
    keys = keys_of(world, 1)
    asked = {"task": "numbers", "body": {"do": "numbers", "step": 0}, "length": LENGTH, "bound": 1 << 40}
    told = {name: dict(keys) for name in keys}
    del told["daichi"]["emi"], told["emi"]["daichi"]
    requests: dict[str, Message] = {
        name: ({"session": 1, "index": 0, "keys": told[name], "instruction": asked}, {}) for name in keys
    }
    replies = world.channel.ask("masks.sum", requests)
    assert len(replies) == 5
    total = np.zeros(LENGTH, np.uint64)
    for _, arrays in replies.values():
        total += arrays["masked/values"]
    return total


def two_instructions(world: World) -> np.ndarray:
    """One member is asked for its numbers, the others for something that the server knows."""
    keys = keys_of(world, 1)
    asked = {"task": "numbers", "body": {"do": "numbers", "step": 0}, "length": LENGTH, "bound": 1 << 40}
    other = {**asked, "body": {"do": "numbers", "step": 1}}
    requests: dict[str, Message] = {
        name: (
            {"session": 1, "index": 0, "keys": keys, "instruction": asked if name == "aoi" else other},
            {},
        )
        for name in keys
    }
    replies = world.channel.ask("masks.sum", requests)
    total = np.zeros(LENGTH, np.uint64)
    for _, arrays in replies.values():
        total += arrays["masked/values"]
    return total


@pytest.mark.parametrize("wrong", [two_sets, two_instructions], ids=lambda f: f.__name__)
def test_members_that_were_told_different_things(
    tmp_path: Path, wrong: Callable[[World], np.ndarray]
) -> None:
    with masks_world(tmp_path) as world:
        assert looks_masked([wrong(world)])


def test_planted_masks_without_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "set_hash", lambda *_: bytes(32))
    with masks_world(tmp_path) as world:
        assert not looks_masked([two_sets(world)])


def test_planted_masks_without_the_instruction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "session_context", lambda index, asked: bytes([index]))
    with masks_world(tmp_path) as world:
        assert not looks_masked([two_instructions(world)])
