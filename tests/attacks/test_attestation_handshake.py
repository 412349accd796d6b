# SPDX-License-Identifier: Apache-2.0
"""Attacks on mutual attestation and on what travels under it: threats T2, T11, T12, T13, T14.

The attacker owns the network, is a member of the room with a key of its own where the name says so, and may
have genuine machines with the accepted program. It has no private key of an honest member or machine.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.attestation.handshakes import (
    OTHER_PROGRAM,
    PROGRAM,
    ROOM,
    RUN,
    Key,
    Machine,
    Members,
    Platform,
    fresh,
    reachable,
    shake,
)

from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.envelope import OVERHEAD, Envelope
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.handshake import Initiator, Responder
from hitoku.attestation.session import Secrets
from hitoku.errors import RunAborted

OTHER_ROOM = "sha256:" + "9" * 64
KEY = bytes(range(32))
PLACE = {"room": ROOM, "run": RUN, "stage": "points-a", "program": PROGRAM}


class Stolen:
    """An attester that hands out evidence that was made for something else."""

    kind = Kind.DEV

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def identity(self) -> dict[str, bytes]:
        return {}

    def activate(self, credential: bytes) -> bytes:
        return b""

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
        return self._evidence


def refused(call, *arguments: Any) -> Code:
    """The code with which a step is refused, as it must be."""
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.code


def altered(message: bytes, **fields: Any) -> bytes:
    """A message with other values in it, written as it has to be."""
    return json.dumps({**json.loads(message), **fields}, sort_keys=True, separators=(",", ":")).encode()


# --- T2: intermediate data altered, moved, from another job ---


def sealed(count: int = 3, **place: str) -> list[bytes]:
    envelope = Envelope(KEY, **{**PLACE, **place})
    return [envelope.seal(n, n == count - 1, b"chunk %d" % n) for n in range(count)]


def opens(chunks: list[bytes], **place: str) -> list[bytes]:
    envelope = Envelope(KEY, **{**PLACE, **place})
    return [envelope.open(n, n == len(chunks) - 1, chunk) for n, chunk in enumerate(chunks)]


def test_t2_what_was_sealed_opens():
    assert opens(sealed()) == [b"chunk 0", b"chunk 1", b"chunk 2"]


@given(st.data())
def test_t2_one_changed_bit_ends_the_run(data):
    chunks = sealed()
    number = data.draw(st.integers(0, 2))
    chunk = bytearray(chunks[number])
    chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    chunks[number] = bytes(chunk)
    with pytest.raises(RunAborted) as caught:
        opens(chunks)
    assert caught.value.stage == "points-a"


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (0, 0, 2), (2,), (0, 2), (0, 1)])
def test_t2_chunks_that_are_swapped_repeated_or_left_out_do_not_open(order):
    chunks = sealed()
    with pytest.raises(RunAborted):
        opens([chunks[n] for n in order])


@pytest.mark.parametrize(
    "place",
    [{"room": OTHER_ROOM}, {"run": "3" * 32}, {"stage": "points-b"}, {"program": OTHER_PROGRAM}],
    ids=lambda p: next(iter(p)),
)
def test_t2_data_of_another_room_run_stage_or_program_does_not_open(place):
    with pytest.raises(RunAborted):
        opens(sealed(**place))


def test_t2_two_sealings_of_one_stage_cannot_be_mixed():
    one, two = sealed(), sealed()
    with pytest.raises(RunAborted):
        opens([one[0], two[1], one[2]])


@pytest.mark.parametrize("length", [0, 1, OVERHEAD - 1, OVERHEAD])
def test_t2_what_is_too_short_does_not_open(length):
    with pytest.raises(RunAborted):
        opens([bytes(length)])


def test_t2_a_nonce_never_repeats():
    envelope = Envelope(KEY, **PLACE)
    envelope.seal(4, False, b"one")
    for number in (4, 3, 0):
        with pytest.raises(ValueError, match="rising"):
            envelope.seal(number, False, b"two")
    assert Envelope(KEY, **PLACE).seal(4, False, b"one") != Envelope(KEY, **PLACE).seal(4, False, b"one")


# --- T11: a key of the attacker's beside genuine evidence ---


def test_t11_the_key_in_an_offer_cannot_be_exchanged():
    world = Members("airline", "telco")
    one, two = world.pair()
    offer = two.offer(one.hello())
    mine = Responder(world.setting("telco", "airline"))
    theirs = json.loads(mine.offer(Initiator(world.setting("airline", "telco")).hello()))["key"]
    assert refused(one.evidence, altered(offer, key=theirs)) is Code.HANDSHAKE
    assert not world.judges["airline"].passed


def test_t11_genuine_evidence_speaks_for_no_other_key_even_where_the_member_itself_signs():
    world = Members("airline", "telco")
    one, two = world.pair()
    hello = one.hello()
    two.offer(hello)
    genuine = world.machines["telco"].made[-1]
    # The member's own key, the genuine evidence of this very session, and a key of the attacker's.
    forger = Responder(world.setting("telco", "airline", attester=Stolen(genuine)))
    assert refused(one.evidence, forger.offer(hello)) is Code.BINDING
    assert one.session is None


def test_t11_the_initiators_evidence_speaks_for_no_other_key():
    world = Members("airline", "telco")
    one, two = world.pair()
    one.evidence(two.offer(one.hello()))
    genuine = world.machines["airline"].made[-1]
    forger = Initiator(world.setting("airline", "telco", attester=Stolen(genuine)))
    target = Responder(world.setting("telco", "airline"))
    proof = forger.evidence(target.offer(forger.hello()))
    assert refused(target.acceptance, proof) is Code.BINDING


# --- T12: evidence of one room or run used in another ---


@pytest.mark.parametrize("other", [{"room": OTHER_ROOM}, {"run": "3" * 32}], ids=["room", "run"])
def test_t12_evidence_of_another_room_or_run_is_refused(other):
    world = Members("airline", "telco")
    elsewhere = Responder(world.setting("telco", "airline", **other))
    elsewhere.offer(Initiator(world.setting("airline", "telco", **other)).hello())
    genuine = world.machines["telco"].made[-1]
    one = Initiator(world.setting("airline", "telco"))
    forger = Responder(world.setting("telco", "airline", attester=Stolen(genuine)))
    assert refused(one.evidence, forger.offer(one.hello())) is Code.BINDING


@pytest.mark.parametrize("other", [{"room": OTHER_ROOM}, {"run": "3" * 32}], ids=["room", "run"])
def test_t12_messages_of_another_room_or_run_are_refused(other):
    world = Members("airline", "telco")
    stranger = Initiator(world.setting("airline", "telco", **other))
    assert refused(Responder(world.setting("telco", "airline")).offer, stranger.hello()) is Code.HANDSHAKE


# --- T13: reflection, replay, relay, diversion, swapped roles, another company ---


def test_t13_reflection_a_side_takes_nothing_that_it_said_itself():
    world = Members("airline", "telco")
    one, two = world.pair()
    hello = one.hello()
    assert refused(Responder(world.setting("airline", "telco")).offer, hello) is Code.HANDSHAKE
    offer = two.offer(hello)
    assert refused(two.acceptance, offer) is Code.HANDSHAKE
    assert refused(one.evidence, hello) is Code.HANDSHAKE


def test_t13_reflection_of_the_confirmation():
    world = Members("airline", "telco")
    one, two = world.pair()
    accepted = two.acceptance(one.evidence(two.offer(one.hello())))
    mac = json.loads(accepted)["mac"]
    confirmation = one.confirmation(accepted)
    assert refused(two.end, altered(confirmation, mac=mac)) is Code.HANDSHAKE
    assert two.session is None


@pytest.mark.parametrize("step", ["offer", "proof", "accepted", "confirmation"])
def test_t13_replay_messages_of_an_earlier_session_are_refused(step):
    world = Members("airline", "telco")
    one, two = world.pair()
    old = {"offer": two.offer(one.hello())}
    old["proof"] = one.evidence(old["offer"])
    old["accepted"] = two.acceptance(old["proof"])
    old["confirmation"] = one.confirmation(old["accepted"])
    two.end(old["confirmation"])
    one, two = world.pair()
    offer = two.offer(one.hello())
    if step == "offer":
        code = refused(one.evidence, old["offer"])
    elif step == "proof":
        code = refused(two.acceptance, old["proof"])
    else:
        two.acceptance(one.evidence(offer))
        code = (
            refused(one.confirmation, old["accepted"])
            if step == "accepted"
            else refused(two.end, old["confirmation"])
        )
    assert code is Code.HANDSHAKE
    assert step == "confirmation" or one.session is None
    assert two.session is None


def test_t13_relay_one_member_cannot_pass_anothers_machine_off_as_its_own():
    """Diversion: the airline talks to `broker`, who has no machine and asks the telco's honest one."""
    world = Members("airline", "telco", "broker")
    one = Initiator(world.setting("airline", "broker"))
    hello = one.hello()
    # What the telco's node says to the broker, who gives it the airline's nonce and key as its own.
    honest = Responder(world.setting("telco", "broker"))
    honest.offer(altered(hello, **{"from": "broker", "to": "telco"}))
    genuine = world.machines["telco"].made[-1]
    relay = Responder(world.setting("broker", "airline", attester=Stolen(genuine)))
    assert refused(one.evidence, relay.offer(hello)) is Code.BINDING
    assert one.session is None


def test_t13_relay_of_untouched_messages_names_the_wrong_member():
    world = Members("airline", "telco", "broker")
    one = Initiator(world.setting("airline", "broker"))
    assert refused(Responder(world.setting("telco", "broker")).offer, one.hello()) is Code.HANDSHAKE
    one = Initiator(world.setting("airline", "broker"))
    offer = Responder(world.setting("telco", "airline")).offer(altered(one.hello(), to="telco"))
    assert refused(one.evidence, offer) is Code.HANDSHAKE


def test_t13_relay_through_two_sessions_ends_with_two_keys_at_most():
    """Who passes everything on between two honest sides is a wire: it learns nothing, both end alike."""
    world = Members("airline", "telco")
    one, two = world.pair()
    seen = [one.hello()]
    seen.append(two.offer(seen[-1]))
    seen.append(one.evidence(seen[-1]))
    seen.append(two.acceptance(seen[-1]))
    seen.append(one.confirmation(seen[-1]))
    two.end(seen[-1])
    keys = reachable(one.session) & reachable(two.session)
    secret = {key for key in keys if len(key) == 32}
    assert len(secret) == 2
    assert not any(key in message or key.hex().encode() in message for key in secret for message in seen)


def test_t13_role_swap_evidence_of_one_role_does_not_serve_in_the_other():
    world = Members("airline", "telco")
    first = Initiator(world.setting("telco", "airline"))
    first.evidence(Responder(world.setting("airline", "telco")).offer(first.hello()))
    as_a = world.machines["telco"].made[-1]
    one = Initiator(world.setting("airline", "telco"))
    forger = Responder(world.setting("telco", "airline", attester=Stolen(as_a)))
    assert refused(one.evidence, forger.offer(one.hello())) is Code.BINDING


def test_t13_role_swap_both_begin():
    world = Members("airline", "telco")
    one = Initiator(world.setting("airline", "telco"))
    two = Initiator(world.setting("telco", "airline"))
    one.hello()
    assert refused(one.evidence, two.hello()) is Code.HANDSHAKE


@pytest.mark.parametrize("begins", [True, False])
def test_t13_another_company_that_runs_the_accepted_image_is_not_the_member(begins):
    """A genuine machine with the accepted program, but not the member's key."""
    world = Members("airline", "telco")
    posing = {"keys": Key(), "attester": Machine(world.platform)}
    if begins:
        stranger = Initiator(world.setting("telco", "airline", **posing))
        target = Responder(world.setting("airline", "telco"))
        code = refused(target.acceptance, stranger.evidence(target.offer(stranger.hello())))
    else:
        honest = Initiator(world.setting("airline", "telco"))
        stranger_b = Responder(world.setting("telco", "airline", **posing))
        code = refused(honest.evidence, stranger_b.offer(honest.hello()))
    assert code is Code.HANDSHAKE
    assert not world.judges["airline"].passed


@pytest.mark.parametrize("begins", [True, False])
def test_t13_another_member_of_the_room_does_not_sign_for_the_member(begins):
    world = Members("airline", "telco", "rival")
    posing = {"keys": world.keys["rival"], "attester": world.machines["rival"]}
    if begins:
        rival = Initiator(world.setting("telco", "airline", **posing))
        target = Responder(world.setting("airline", "telco"))
        assert refused(target.acceptance, rival.evidence(target.offer(rival.hello()))) is Code.HANDSHAKE
    else:
        honest = Initiator(world.setting("airline", "telco"))
        rival_b = Responder(world.setting("telco", "airline", **posing))
        assert refused(honest.evidence, rival_b.offer(honest.hello())) is Code.HANDSHAKE


def test_t13_a_machine_of_another_platform_is_refused_though_the_member_signs():
    world = Members("airline", "telco")
    one = Initiator(world.setting("airline", "telco"))
    forger = Responder(world.setting("telco", "airline", attester=Machine(Platform())))
    assert refused(one.evidence, forger.offer(one.hello())) is Code.SIGNATURE


@pytest.mark.parametrize("who", ["airline", "telco"])
def test_t13_a_tampered_program_is_refused_on_either_side(who):
    world = Members("airline", "telco")
    world.machines[who].program = OTHER_PROGRAM
    one, two = world.pair()
    with pytest.raises(Refused) as caught:
        shake(one, two)
    assert caught.value.code is Code.MEASUREMENT_MISMATCH
    assert one.session is None
    assert two.session is None


# --- T14: keys before both have accepted, in whatever order messages come ---


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_t14_whatever_order_messages_come_in_there_is_no_session_before_both_accepted(data):
    world = Members("airline", "telco")
    if data.draw(st.booleans()):
        world.machines[data.draw(st.sampled_from(["airline", "telco"]))].program = OTHER_PROGRAM
    sides: dict[str, Any] = {}
    for name in ("one", "two"):  # two sessions at once: their messages may be mixed
        sides[f"{name} a"], sides[f"{name} b"] = world.pair()
    said: list[bytes] = []
    steps = {
        "a": ("hello", "evidence", "confirmation"),
        "b": ("offer", "acceptance", "end"),
    }
    for _ in range(data.draw(st.integers(1, 14))):
        name = data.draw(st.sampled_from(sorted(sides)))
        side, call = sides[name], data.draw(st.sampled_from(steps[name[-1]]))
        before = side.session
        try:
            if call == "hello":
                said.append(side.hello())
            elif said:
                answer = getattr(side, call)(data.draw(st.sampled_from(said)))
                said += [] if answer is None else [answer]
        except Refused:
            assert side.session is before
        if side.session is not None and before is None:
            assert all(judge.passed for judge in world.judges.values())
            assert all(m.program == PROGRAM for m in world.machines.values())
    ended = [s.session for s in sides.values() if s.session is not None]
    for session in ended:
        assert sum(other.id == session.id for other in ended) <= 2


@given(st.lists(st.integers(0, 4), max_size=8))
@settings(max_examples=100, deadline=None)
def test_t14_a_right_handshake_ends_well_only_in_its_order(disturbances):
    """At some steps, a message is given to the side that does not expect it: that side is lost."""
    world = Members("airline", "telco")
    one, two = world.pair()
    turns: list[tuple[Any, Any]] = [
        (two, two.offer), (one, one.evidence), (two, two.acceptance), (one, one.confirmation), (two, two.end),
    ]  # fmt: skip
    message: bytes | None = one.hello()
    lost = False
    with suppress(Refused):
        for number, (side, call) in enumerate(turns):
            if number in disturbances:
                wrong = next(c for s, c in turns if s is side and c is not call)
                assert refused(wrong, message) in {Code.HANDSHAKE, Code.MALFORMED}
                lost = True
            message = call(message)
    assert (two.session is not None) == (not lost)


def test_t14_no_key_exists_before_both_accepted_and_confirmed(monkeypatch):
    world = Members("airline", "telco")
    one, two = world.pair()
    derived: list[tuple[bool, bool]] = []
    direction = Secrets.direction

    def watched(self: Secrets, role: str) -> bytes:
        derived.append(tuple(bool(judge.passed) for judge in world.judges.values()))  # type: ignore[arg-type]
        return direction(self, role)

    monkeypatch.setattr(Secrets, "direction", watched)
    before: list[set[bytes]] = []

    def step(message: bytes) -> bytes:
        before.append(reachable(one) | reachable(two))
        assert not derived
        return message

    accepted = step(two.acceptance(step(one.evidence(step(two.offer(step(one.hello())))))))
    confirmation = one.confirmation(accepted)
    assert two.session is None
    assert derived == [(True, True)] * 2
    alone = reachable(two)
    two.end(confirmation)
    keys = {key for key in reachable(two.session) & reachable(one.session) if len(key) == 32}
    assert len(keys) == 2
    assert not keys & alone
    assert not any(keys & seen for seen in before)


def test_t14_after_a_refusal_nothing_secret_is_left():
    world = Members("airline", "telco")
    world.machines["airline"].program = OTHER_PROGRAM
    one, two = world.pair()
    proof = one.evidence(two.offer(one.hello()))
    assert refused(two.acceptance, proof) is Code.MEASUREMENT_MISMATCH
    assert two._kem is None
    assert two._secrets is None
    for call in (two.offer, two.acceptance, two.end):
        assert refused(call, proof) is Code.HANDSHAKE


def test_t14_a_side_that_skips_its_check_gets_nobody_elses_consent():
    """The telco accepts anything. The airline still refuses what it did not sign for."""
    world = Members("airline", "telco")

    class Careless:
        def __call__(self, evidence: Evidence, binding: Binding, activated: bool):
            from tests.unit.attestation.handshakes import Found

            return Found(PROGRAM)

    world.machines["telco"].program = OTHER_PROGRAM
    one = Initiator(world.setting("airline", "telco"))
    two = Responder(world.setting("telco", "airline", appraise=Careless()))
    assert refused(one.evidence, two.offer(one.hello())) is Code.MEASUREMENT_MISMATCH
    assert one.session is None


def test_t14_an_appraisal_that_fails_in_another_way_refuses():
    world = Members("airline", "telco")

    def broken(evidence: Evidence, binding: Binding, activated: bool):
        raise KeyError("a bug")

    one = Initiator(world.setting("airline", "telco", appraise=broken))
    two = Responder(world.setting("telco", "airline"))
    assert refused(one.evidence, two.offer(one.hello())) is Code.INTERNAL
    assert one.session is None


def test_t14_sessions_of_two_runs_share_no_key():
    world = Members("airline", "telco")
    found: set[bytes] = set()
    for _ in range(2):
        run = fresh()
        one = Initiator(world.setting("airline", "telco", run=run))
        two = Responder(world.setting("telco", "airline", run=run))
        shake(one, two)
        keys = {key for key in reachable(one.session) if len(key) == 32}
        assert not keys & found
        found |= keys
    assert len(found) == 4
