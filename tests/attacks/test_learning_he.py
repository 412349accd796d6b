# SPDX-License-Identifier: Apache-2.0
"""A server that attacks threshold sums, alone or with the leader; and what it sees if it only watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.learning.world import NAMES, RUN, World, instruction, plan_of

from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.hazmat import masks
from hitoku.hazmat import ring_threshold as ring
from hitoku.learning.aggregate.he import HeDriver, HeMember, HeRelay, sums
from hitoku.learning.aggregate.he.argument import SERVER_SEES, simulated_view
from hitoku.learning.aggregate.he.sealing import Group, sealed
from hitoku.learning.aggregate.he.sums import Asked, ask
from hitoku.learning.base import Instruction

ASKED = instruction(1, length=50)
Requests = dict[str, tuple[dict[str, Any], dict[str, Any]]]
Hook = Callable[[str, Requests], Requests]


class Watched(World):
    """A world whose server may change every request, and keeps every message."""

    def __init__(self, folder: Path, members: int = 4) -> None:
        super().__init__(plan_of(members), folder, make)
        self.hook: Hook = lambda _, requests: requests
        self.seen: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = []
        """Kind, member, body and arrays of every reply."""
        self.asked: list[tuple[str, Requests]] = []
        plain = self.channel.ask

        def attacked(kind: str, requests: Any, seconds: float | None = None) -> Any:
            changed = self.hook(kind, {name: (dict(b), dict(a)) for name, (b, a) in requests.items()})
            self.asked.append((kind, changed))
            replies = plain(kind, changed, seconds)
            self.seen += [(kind, name, body, arrays) for name, (body, arrays) in replies.items()]
            return replies

        self.channel.ask = attacked  # type: ignore[method-assign]

    def run(self, drive: Callable[[HeDriver], Mapping[str, Any] | None]) -> dict[str, Any]:
        for member in self.answers.values():
            member.lead(drive)
        return HeRelay(self.channel, self.plan, RUN, threads=1).run()

    def arrays(self, kind: str, what: str) -> dict[str, NDArray[np.uint8]]:
        return {name: arrays[what] for seen, name, _, arrays in self.seen if seen == kind and what in arrays}

    def reasons(self) -> set[str]:
        return {absence.reason for absence in self.channel.absences}


def make(name: str, world: World, state: Path) -> HeMember:
    return HeMember(
        world.plan, RUN, name, world.keys[name], world.publics, world.tasks[name], state, threads=1
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.close()


def one_sum(summer: HeDriver) -> dict[str, Any]:
    """A driver that wants one sum, and says how that ended."""
    try:
        with summer.fixed() as session:
            values = session.sum(ASKED)
    except HitokuError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"sum": values.tolist()}


def right(world: World) -> list[int]:
    return [int(x) for x in world.plain(ASKED, NAMES[:4])]


def test_without_an_attack_the_sum_opens(world: Watched) -> None:
    assert world.run(one_sum) == {"sum": right(world)}
    assert {kind for kind, _ in world.asked} <= set(SERVER_SEES)


# --- a server that shows something else than the sum ---


def _one(world: Watched, honest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return world.arrays("he/give", "encrypted/second")["beni"]


def _dropped(world: Watched, honest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    given = world.arrays("he/give", "encrypted/second")
    shape = ring.layout(4, ASKED.bound, ASKED.length)
    return ring.add(shape, [half for name, half in given.items() if name != "emi"][:3], second=True)


def _twice(world: Watched, honest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    given = world.arrays("he/give", "encrypted/second")
    return ring.add(ring.layout(4, ASKED.bound, ASKED.length), [honest, given["beni"]], second=True)


def _chosen(world: Watched, honest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small constant: a part of its decryption, less the smudging, would be a multiple of the key."""
    return np.zeros_like(honest)


SUBSTITUTES = {"one member's": _one, "one dropped": _dropped, "one twice": _twice, "chosen": _chosen}


@pytest.mark.parametrize("what", sorted(SUBSTITUTES))
def test_no_part_is_given_for_anything_but_the_sum(world: Watched, what: str) -> None:
    def hook(kind: str, requests: Requests) -> Requests:
        if kind == "he/open":
            for _, arrays in requests.values():
                arrays["encrypted/second"] = SUBSTITUTES[what](world, arrays["encrypted/second"])
        return requests

    world.hook = hook
    assert world.run(one_sum)["error"] == "SessionLost"
    assert not world.arrays("he/open", "encrypted/part")
    assert any("nothing is decrypted" in reason for reason in world.reasons())


def test_with_a_check_that_checks_nothing_the_attack_works(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: so the test above can fail."""
    monkeypatch.setattr(sums, "_same", lambda found, right: None)

    def hook(kind: str, requests: Requests) -> Requests:
        if kind == "he/open":
            for _, arrays in requests.values():
                arrays["encrypted/second"] = _one(world, arrays["encrypted/second"])
        return requests

    world.hook = hook
    world.run(one_sum)
    assert len(world.arrays("he/open", "encrypted/part")) == 3


def test_first_halves_and_parts_that_were_changed_do_not_open(world: Watched) -> None:
    def changed(what: str) -> Hook:
        def hook(kind: str, requests: Requests) -> Requests:
            for body, arrays in requests.values():
                if kind == "he/next" and what in arrays and body.get("answer"):
                    other = np.array(arrays[what])
                    other.flat[5] ^= 1
                    arrays[what] = other
            return requests

        return hook

    def drive(summer: HeDriver) -> dict[str, Any]:
        said = []
        for step, what in enumerate(
            ["encrypted/first", "encrypted/second", "sealed/checks", "sealed/parts", "nothing"]
        ):
            world.hook = changed(what)
            with summer.fixed() as session:
                try:
                    session.sum(instruction(step, length=50))
                    said.append("opened")
                except PeerError as error:
                    said.append(error.code or "")
        return {"said": said}

    assert world.run(drive) == {"said": ["WRONG_SUM", "WRONG_SUM", "WRONG_SEAL", "WRONG_SEAL", "opened"]}


def test_the_ciphertexts_of_another_sum_do_not_open(world: Watched) -> None:
    kept: dict[str, Any] = {}

    def hook(kind: str, requests: Requests) -> Requests:
        for body, arrays in requests.values():
            if kind == "he/next" and "encrypted/first" in arrays:
                if kept:
                    arrays.update({name: kept[name] for name in ("encrypted/first", "encrypted/second")})
                kept.setdefault("encrypted/first", arrays["encrypted/first"])
                kept.setdefault("encrypted/second", arrays["encrypted/second"])
            del body
        return requests

    def drive(summer: HeDriver) -> dict[str, Any]:
        with summer.fixed() as session:
            session.sum(instruction(0, length=50))
            with pytest.raises(PeerError, match="not the sum"):
                session.sum(instruction(1, length=50))
        return {}

    world.hook = hook
    world.run(drive)


# --- keys and sets ---


def test_key_shares_and_keys_that_were_not_signed_are_refused(world: Watched) -> None:
    attacker = masks.MaskKey().public.hex()
    shares = ring.ThresholdKey()

    def share(kind: str, requests: Requests) -> Requests:
        if kind == "he/join":
            for _, arrays in requests.values():
                other = np.array(arrays["shares"])
                # A rogue key: known to the server, in the place of a member's.
                other[1] = shares.share(bytes(32))
                arrays["shares"] = other
        return requests

    def key(kind: str, requests: Requests) -> Requests:
        if kind == "he/share":
            for body, _ in requests.values():
                public, signature = body["keys"]["beni"]
                body["keys"] = {**body["keys"], "beni": [attacker + public[64:], signature]}
        return requests

    for hook in (share, key):
        world.hook = hook
        assert world.run(one_sum)["error"] == "TooFewMembers"
        assert any("signed" in reason for reason in world.reasons())
        assert not world.arrays("he/give", "encrypted/first")
        world.channel.absences.clear()
        for name in NAMES[:4]:
            world.start(name)


def test_members_that_are_shown_other_sets_never_sum(tmp_path: Path) -> None:
    world = Watched(tmp_path, 5)

    def hook(kind: str, requests: Requests) -> Requests:
        if kind == "he/share" and "beni" in requests:
            body, _ = requests["beni"]
            body["keys"] = {name: card for name, card in body["keys"].items() if name != "daichi"}
        return requests

    world.hook = hook
    try:
        # beni agrees to its set of four, but nothing that the others seal opens at it: it drops out.
        said = world.run(one_sum)
        assert said == {"sum": [int(x) for x in world.plain(ASKED, ["aoi", "chika", "daichi", "emi"])]}
        assert any("does not belong here" in reason for reason in world.reasons())
        assert "beni" not in world.arrays("he/give", "encrypted/first")
    finally:
        world.close()


def test_nothing_is_answered_twice(world: Watched) -> None:
    world.run(one_sum)
    for kind in ("he/give", "he/open", "he/tell", "he/join"):
        for asked, requests in list(world.asked):
            if asked == kind:
                body, arrays = requests["beni"]
                with pytest.raises(PeerError):
                    world.answers["beni"].answer(kind, body, arrays)
                # Under a new number the instruction of an old one does not open.
                with pytest.raises(PeerError):
                    world.answers["beni"].answer(kind, {**body, "number": 1_000}, arrays)


def test_the_leaders_part_never_leaves_it(world: Watched) -> None:
    world.run(one_sum)
    assert "aoi" not in world.arrays("he/open", "encrypted/part")
    body, arrays = next(requests["beni"] for kind, requests in world.asked if kind == "he/open")
    leader = world.answers["aoi"]
    leader.group.pending[body["number"]] = (Asked("session", 1, ASKED), ring.layout(4, 1, 1))
    with pytest.raises(PeerError, match="never leaves"):
        leader.answer("he/open", body, arrays)


# --- the server and the leader together ---


def test_a_leader_that_asks_members_different_things_opens_nothing(world: Watched) -> None:
    """An empty question to all but one would make the sum that one's vector."""

    def hook(kind: str, requests: Requests) -> Requests:
        if kind == "he/give":
            group: Group = world.answers["aoi"].group
            empty = Asked("session", 1, Instruction("empty", {"step": 1}, ASKED.length, ASKED.bound))
            for name, (body, arrays) in requests.items():
                if name != "beni":
                    key = group.message_key("sum", body["number"])
                    arrays["sealed/instruction"] = sealed(key, ask(empty))
        return requests

    class Empty:
        def contribute(self, asked: Instruction, members: tuple[str, ...]) -> Any:
            return np.zeros(asked.length, np.int64)

    for name in NAMES[:4]:
        world.tasks[name]["empty"] = Empty()  # type: ignore[assignment]
    world.hook = hook
    said = world.run(one_sum)
    assert "no sum of vectors" in said["message"]


def _decrypted(world: Watched, name: str) -> NDArray[np.uint64]:
    """One member's ciphertext, opened with every member's key: more than any attack can have."""
    shape = ring.layout(4, ASKED.bound, ASKED.length)
    first = world.arrays("he/give", "encrypted/first")[name]
    second = world.arrays("he/give", "encrypted/second")[name]
    groups = [member.group for member in world.answers.values()]
    parts = [group.key.partial(shape, second) for group in groups[1:]]
    whole = ring.add(shape, [first, *parts], second=False)
    values: NDArray[np.int64] = groups[0].key.finish(shape, whole, second)
    return values.view(np.uint64)


def test_even_decrypted_one_members_vector_is_masked(world: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(one_sum)
    width = np.uint64(ring.layout(4, ASKED.bound, ASKED.length).parts[0].packing[1])
    mask = (np.uint64(1) << width) - np.uint64(1)
    alone = world.plain(ASKED, ["beni"]).view(np.uint64)
    found = _decrypted(world, "beni")
    assert not ((found ^ alone) & mask == 0).any()
    # Its bits are as often one as zero (6.4 deviations).
    bits = np.unpackbits((found & mask).view(np.uint8)).sum()
    assert abs(int(bits) - 50 * int(width) / 2) < 3.2 * (50 * int(width)) ** 0.5
    # The planted fault: without masks it is the member's vector.
    monkeypatch.setattr(Group, "masked", lambda self, values, *_: values.view(np.uint64))
    world.seen.clear()
    for name in NAMES[:4]:
        world.start(name)
    world.run(one_sum)
    assert np.array_equal(_decrypted(world, "beni"), alone)


# --- a server that watches ---


def _residues(shape: ring.Layout, packed: NDArray[np.uint8], *, second: bool) -> NDArray[np.float64]:
    """All residues as fractions of their prime, from a layout of one part and one row."""
    (part,) = shape.parts
    used = (1 << part.log_n) if second else part.coefficients
    place, made = 0, []
    for prime in part.primes:
        width = (prime - 1).bit_length()
        bits = np.unpackbits(packed[place : place + used * width // 8], bitorder="little").reshape(
            used, width
        )
        place += used * width // 8
        made.append(bits.astype(np.float64) @ (2.0 ** np.arange(width)) / prime)
    assert place == len(packed)
    return np.concatenate(made)


def _chi_square(fractions: NDArray[np.float64], cells: int = 64) -> float:
    """In deviations from what uniform fractions give."""
    counts = np.bincount((fractions * cells).astype(int), minlength=cells)
    expected = len(fractions) / cells
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return float((statistic - (cells - 1)) / (2 * (cells - 1)) ** 0.5)


@pytest.mark.parametrize("vector", ["zeroes", "bounds"])
def test_the_view_of_the_server_is_that_of_its_simulator(world: Watched, vector: str) -> None:
    asked = instruction(1, length=3_000)
    shape = ring.layout(4, asked.bound, asked.length)

    class Extreme:
        def contribute(self, asked: Instruction, members: tuple[str, ...]) -> Any:
            return np.full(asked.length, 0 if vector == "zeroes" else asked.bound)

        def told(self, body: Any, arrays: Any) -> Any:
            return {}, {}

    for name in NAMES[:4]:
        world.tasks[name]["numbers"] = Extreme()  # type: ignore[assignment]

    def drive(summer: HeDriver) -> None:
        with summer.fixed() as session:
            session.sum(asked)

    world.run(drive)
    view = {
        **{f"first {n}": a for n, a in world.arrays("he/give", "encrypted/first").items()},
        **{f"second {n}": a for n, a in world.arrays("he/give", "encrypted/second").items()},
        **{f"part {n}": a for n, a in world.arrays("he/open", "encrypted/part").items()},
    }
    made = simulated_view(shape, np.random.default_rng(7))
    assert sorted(len(a) for a in view.values()) == sorted(len(a) for a in made.values())
    for each in (view, made):
        for what, packed in each.items():
            assert abs(_chi_square(_residues(shape, packed, second=what.startswith("second")))) < 6, what
    # What is added up shows nothing either: the sum that the server makes looks the same.
    total = ring.add(shape, [a for what, a in view.items() if what.startswith("first")], second=False)
    assert abs(_chi_square(_residues(shape, total, second=False))) < 6


def test_a_ciphertext_without_its_key_would_fail_the_test_of_views() -> None:
    """The planted fault: what is not encrypted is seen by the same statistic."""
    shape = ring.layout(4, 1 << 40, 3_000)
    assert abs(_chi_square(_residues(shape, np.zeros(shape.first_bytes, np.uint8), second=False))) > 6


def test_no_word_of_instructions_answers_or_sums_passes_the_server(world: Watched) -> None:
    sums_: list[NDArray[np.int64]] = []

    def drive(summer: HeDriver) -> None:
        with summer.fixed() as session:
            sums_.append(session.sum(instruction(1, length=64, marker="TOP-SECRET")))
        summer.tell("numbers", {"marker": "TOP-SECRET"}, {"model": np.full(64, 1234567890123)})

    world.run(drive)
    passed = b"".join(
        repr(body).encode() + b"".join(np.asarray(values).tobytes() for values in arrays.values())
        for body, arrays in [
            *((body, arrays) for _, requests in world.asked for body, arrays in requests.values()),
            *((body, arrays) for _, _, body, arrays in world.seen),
        ]
    )
    for secret in (b"TOP-SECRET", b"numbers", sums_[0][:2].tobytes(), np.full(2, 1234567890123).tobytes()):
        assert secret not in passed


def test_a_single_sum_that_may_have_opened_does_not_open_over_another_set(tmp_path: Path) -> None:
    world = Watched(tmp_path, 5)

    def hook(kind: str, requests: Requests) -> Requests:
        if kind == "he/open" and "daichi" in requests:
            # The server has the other parts when it lets one member go.
            requests.pop("daichi")
            world.stop("daichi")
        return requests

    def drive(summer: HeDriver) -> dict[str, Any]:
        with pytest.raises(Refusal) as refused:
            summer.total(ASKED)
        return {"code": refused.value.code}

    world.hook = hook
    try:
        assert world.run(drive) == {"code": "LEARNING_SAME_SUM"}
        assert len(world.arrays("he/open", "encrypted/part")) == 3
    finally:
        world.close()
