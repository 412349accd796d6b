# SPDX-License-Identifier: Apache-2.0
"""Hosts, workers and operators that want a data key they must not have, or a certificate they did not earn.

Names of tests begin with the threat that they are about (the table in `docs/attestation-deletion.md`).
"""

from __future__ import annotations

import base64
import json
import logging
import multiprocessing
import random
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import make_place
from tests.unit.attestation.brokers import (
    HOST,
    OTHER_PROGRAM,
    PROGRAM,
    RUN,
    TABLES,
    Desk,
    Ended,
    Machine,
    Office,
    Platform,
    attested,
    dev,
    no_credential,
    records_of,
    refused,
    signed_value,
)

from hitoku import limits
from hitoku.attestation import certificate as certificate_module
from hitoku.attestation.certificate import check_certificate
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.deletion import read_statement
from hitoku.attestation.ear import verify_ear
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.release import KeyRequest, WorkerKeys
from hitoku.attestation.sealing import release_binding
from hitoku.errors import PeerError, Refusal
from hitoku.ports import SystemClock
from hitoku.room.canonical import agreement_hash, digest


@pytest.fixture
def platform():
    return Platform()


@pytest.fixture
def office(place, clock, platform):
    made = Office(place, "registry", clock, platform)
    yield made
    made.records.store.close()


@pytest.fixture
def room(make):
    """A room where `dev` evidence of a program that both owners signed for is accepted."""
    return make(attested)


@pytest.fixture
def desk(room, clock):
    made = Desk(room, "registry", clock)
    yield made
    made.records.store.close()


@pytest.fixture
def ended(room, clock):
    made = Ended(room, clock)
    yield made
    made.close()


# --- T3: replayed evidence ---


def test_t3_the_same_answer_twice(office):
    office.key()
    answer = office.answered(office.request())
    office.broker.release(HOST, answer)
    refused(Code.NONCE_USED, office.broker.release, HOST, answer)
    assert len(office.entries("key-release")) == 1


def test_t3_the_same_answer_after_a_restart(office):
    office.key(workers=2)
    answer = office.answered(office.request())
    office.broker.release(HOST, answer)
    office.broker = office.opened()
    refused(Code.NONCE_USED, office.broker.release, HOST, answer)


def test_t3_a_refused_answer_is_not_looked_at_again(office):
    """The nonce is used up before verification: nobody tries variants of evidence against one challenge."""
    office.key()
    request = office.request()
    answer = office.answered(request)
    broken = {**answer, "evidence": {**answer["evidence"], "endorsements": {}}}
    refused(Code.SIGNATURE, office.broker.release, HOST, broken)
    refused(Code.NONCE_USED, office.broker.release, HOST, answer)
    assert len(office.judged) == 1


def test_t3_two_racers_of_which_one_wins(office):
    office.key(workers=2)
    answer = office.answered(office.request())
    start = threading.Barrier(8)

    def race(_: int) -> str:
        start.wait()
        try:
            office.opened().release(HOST, answer)
        except Exception as error:
            return str(getattr(error, "code", error))
        return "released"

    with ThreadPoolExecutor(8) as threads:
        ends = sorted(threads.map(race, range(8)))
    assert ends == ["NONCE_USED"] * 7 + ["released"]
    assert len(office.judged) == 1


def racer(path: str, answer: dict[str, Any], ready: Any, go: Any, told: Any) -> None:
    """Another process of the same member's node."""
    from hitoku.node.broker import BrokerDesk
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.files import load_room

    directory = MemberDirectory.open(Path(path) / "registry")
    found = directory.room(load_room(Path(path) / "room.yaml"))
    records = directory.records(str(found.agreement.id), SystemClock())
    desk = BrokerDesk(directory, found, lambda: records, SystemClock())
    _ = desk.broker
    ready.put(1)
    go.wait()
    try:
        desk.answer(HOST, answer)
    except Refusal as refusal:
        told.put(refusal.code)
    else:
        told.put("released")


@pytest.mark.slow
def test_t3_racers_in_several_processes(room):
    desk = Desk(room, "registry", SystemClock())
    desk.key(workers=9)
    answer = desk.answered(desk.request())
    context = multiprocessing.get_context("spawn")
    ready, go, told = context.Queue(), context.Event(), context.Queue()
    racers = [context.Process(target=racer, args=(str(room.path), answer, ready, go, told)) for _ in range(4)]
    for one in racers:
        one.start()
    for _ in racers:
        ready.get(timeout=120)
    go.set()
    ends = sorted(told.get(timeout=120) for _ in racers)
    for one in racers:
        one.join()
    assert ends == ["NONCE_USED"] * 3 + ["released"]
    assert len(desk.entries("key-release")) == 1
    desk.records.store.close()


# --- many at once ---


def test_t3_many_challenges_of_one_key_release_it_once(office):
    office.key()
    many = 60

    def one(_: int) -> str:
        try:
            office.get()
        except Exception as error:
            return str(getattr(error, "code", error))
        return "released"

    with ThreadPoolExecutor(16) as threads:
        ends = list(threads.map(one, range(many)))
    assert sorted(set(ends)) == ["ALREADY_RELEASED", "released"]
    assert ends.count("released") == 1
    office.records.ledger.verify(lambda *_: True)


@pytest.mark.slow
def test_t3_two_hundred_challenges_at_once_lose_none_and_release_none_twice(office):
    runs = [f"{number:032x}" for number in range(200)]
    keys = {run: office.key(run) for run in runs}
    start = threading.Barrier(200)
    got: dict[str, list[bytes]] = {run: [] for run in runs}

    def one(run: str) -> str:
        request = office.request(run)
        start.wait()
        answer = office.answered(request)
        start.wait()
        got[run].append(bytes(request.open(office.broker.release(HOST, answer))["planes"]))
        try:  # the same once more, and with another challenge
            office.broker.release(HOST, answer)
        except Exception as error:
            first = str(getattr(error, "code", error))
        try:
            office.get(office.request(run))
        except Exception as error:
            return first + " " + str(getattr(error, "code", error))
        return "released twice"

    with ThreadPoolExecutor(200) as threads:
        ends = list(threads.map(one, runs))
    assert set(ends) == {"NONCE_USED ALREADY_RELEASED"}
    assert got == {run: [keys[run]] for run in runs}
    released = office.entries("key-release")
    assert sorted(e["run"] for e in released) == runs
    assert len({e["epoch"] for e in released}) == 200
    assert office.counter.read() == 200
    office.records.ledger.verify(lambda *_: True)


# --- T4, T5: evidence that is not of this challenge ---


def test_t4_evidence_that_was_never_seen_but_is_stale(office):
    """De-duplication is no freshness: it was made for another challenge of the same run."""
    office.key(workers=9)
    request, other = office.request(), office.request()
    made = office.answered(request)
    later = office.answered(other)
    stale = {**made, "challenge": later["challenge"]}
    refused(Code.BINDING, office.broker.release, HOST, stale)
    assert not office.entries("key-release")


def test_t4_stale_evidence_of_a_platform_with_a_nonce(office):
    office.platform.kind = Kind.NITRO
    office.key(workers=9)
    made, later = (office.answered(office.request()) for _ in range(2))
    refused(Code.NONCE_MISMATCH, office.broker.release, HOST, {**made, "challenge": later["challenge"]})


def test_t5_wrong_nonces(office):
    """Signed evidence with the right binding in its other field, and a nonce that is not the challenge's."""
    office.platform.kind = Kind.NITRO
    office.key()
    nonces: list[Callable[[bytes], bytes | None]] = [
        lambda right: right,
        lambda right: bytes(32),
        lambda right: b"",
        lambda right: right[:16],
        lambda right: right + b"\0",
        lambda right: None,
    ]

    class Enclave(Machine):
        def attest(self, binding, public_key=b""):
            wrong = nonces[-1](binding.nonce)
            content = {"program": PROGRAM, "report_data": binding.digest.hex()}
            if wrong is not None:
                content["nonce"] = wrong.hex()
            signed = json.dumps(content).encode()
            return Evidence(Kind.NITRO, signed, {"signature": office.platform._key.sign(signed)})

    while len(nonces) > 1:
        refused(Code.NONCE_MISMATCH, office.get, office.request(attester=Enclave(office.platform)))
        nonces.pop()
    assert office.get(office.request(attester=Enclave(office.platform)))


# --- T11: an attacker's key beside genuine evidence ---


def test_t11_another_key_beside_genuine_evidence(office):
    office.key()
    mine = WorkerKeys()
    for other in ({"public_key": mine.public_key.hex()}, {"signing_key": mine.signing_key.hex()}):
        answer = office.answered(office.request())
        refused(Code.BINDING, office.broker.release, HOST, {**answer, **other})
    assert not office.entries("key-release")


def test_t11_a_key_of_small_order_gets_nothing(office):
    """Such a key would give everybody the shared secret; the evidence is bound to it."""
    keys = WorkerKeys()
    keys.public_key = bytes(32)
    office.key()
    refused(Code.MALFORMED, office.get, office.request(keys=keys))
    assert not office.entries("key-release")


def test_t11_the_host_cannot_put_its_own_keys_into_the_answer(office):
    """The base mode of HPKE says nothing of who sealed: the broker's signature does."""
    from hitoku.attestation.sealing import released_bytes, seal_keys
    from hitoku.transport.attested import KeyReleased

    office.key()
    worker = WorkerKeys()
    request = office.request(keys=worker)
    challenged = office.broker.challenge(HOST, request.challenge())
    answer = request.answer(challenged)
    released = office.broker.release(HOST, answer)
    binding = request._binding
    assert binding is not None
    enc, ciphertext = seal_keys(worker.public_key, [(0, b"k" * 32)], binding, "ear")
    host_key = office.place.members[HOST].keys({})
    for signer in (host_key, None):
        signature = (
            base64.b64encode(
                signer.sign(released_bytes(answer["challenge"], enc, ciphertext, "ear", binding))
            ).decode()
            if signer
            else released["signature"]
        )
        forged = KeyReleased(
            run=RUN,
            challenge=answer["challenge"],
            enc=enc.hex(),
            ciphertext=base64.b64encode(ciphertext).decode(),
            ear="ear",
            signature=signature,
        ).model_dump(mode="json")
        refused(Code.SIGNATURE, request.open, forged)
    assert request.open(released)


def test_t11_the_host_cannot_change_a_challenge(office):
    office.key()
    request = office.request()
    challenged = office.broker.challenge(HOST, request.challenge())
    for change in (
        {"nonce": "0" * 64},
        {"challenge": "0" * 32},
        {"keys": {"planes": "0" * 32}},
        {"credential": "AAAA"},
        {"expires": "2030-01-01T00:00:00Z"},
        {"run": "0" * 32},
    ):
        refused(Code.SIGNATURE, request.answer, {**challenged, **change})


# --- T12: evidence for one thing used for another ---


def test_t12_another_room(office, clock, tmp_path):
    """The same members, keys, run and worker in a room of another name."""
    elsewhere = make_place(tmp_path / "elsewhere", lambda data: data.update(name="Another room"))
    for name, directory in office.place.members.items():
        shutil.copy(directory.path / "member.key", elsewhere.members[name].path / "member.key")
    office.key()
    request = KeyRequest(elsewhere.agreement, "registry", HOST, RUN, WorkerKeys(), Machine(office.platform))
    refused(Code.BINDING, office.broker.challenge, HOST, request.challenge())
    request = office.request()
    answer = office.answered(request)
    refused(
        Code.BINDING, office.broker.release, HOST, {**answer, "room": agreement_hash(elsewhere.agreement)}
    )


def test_t12_evidence_bound_to_one_other_thing(office):
    key = office.key()
    others: list[dict[str, Any]] = [
        {"room": digest("r", b"")},
        {"run": "f" * 32},
        {"host": "airport"},
        {"broker": "airport"},
        {"keys": {"planes": "f" * 32}},
        {"challenge": "f" * 32},
        {"keys": {"flights": "f" * 32, "planes": "f" * 32}},
        {},
    ]
    for other in others:
        worker = WorkerKeys()
        request = office.request(keys=worker)
        challenged = office.broker.challenge(HOST, request.challenge())
        answer = request.answer(challenged)
        facts: dict[str, Any] = {
            "nonce": bytes.fromhex(challenged["nonce"]),
            "challenge": challenged["challenge"],
            "room": agreement_hash(office.place.agreement),
            "run": RUN,
            "host": HOST,
            "broker": "registry",
            "keys": challenged["keys"],
            "public_key": worker.public_key,
            "signing_key": worker.signing_key,
        }
        assert release_binding(**facts) == request._binding
        evidence = Machine(office.platform).attest(release_binding(**(facts | other)))
        message = {**answer, "evidence": evidence.to_dict()}
        if other:
            refused(Code.BINDING, office.broker.release, HOST, message)
        else:
            assert request.open(office.broker.release(HOST, message))["planes"] == key


def test_t12_parts_of_a_binding_do_not_run_into_each_other():
    facts: dict[str, Any] = {
        "nonce": bytes(32), "challenge": "1" * 32, "room": "r", "run": "2" * 32, "public_key": bytes(32),
        "signing_key": bytes(32),
    }  # fmt: skip
    one = release_binding(host="ab", broker="c", keys={"t": "k"}, **facts)
    other = release_binding(host="a", broker="bc", keys={"t": "k"}, **facts)
    third = release_binding(host="ab", broker="c", keys={"tk": ""}, **facts)
    assert len({one.digest, other.digest, third.digest}) == 3


def test_t12_another_member_is_not_the_host(office):
    office.key()
    request = office.request(host="airport")
    refused(Code.NO_SUCH_KEY, office.broker.challenge, "airport", request.challenge())
    answer = office.answered(office.request())
    refused(Code.CHALLENGE_EXPIRED, office.broker.release, "airport", answer)
    office.broker.release(HOST, answer)  # and its attempt used nothing up
    refused(Code.NO_SUCH_KEY, office.broker.tombstone, RUN, None, "airport")


def test_t12_another_brokers_challenge(place, clock, platform):
    offices = {owner: Office(place, owner, clock, platform) for owner in TABLES}
    for one in offices.values():
        one.key()
    answer = offices["airport"].answered(offices["airport"].request())
    refused(Code.CHALLENGE_EXPIRED, offices["registry"].broker.release, HOST, answer)
    challenged = offices["airport"].broker.challenge(HOST, offices["airport"].request().challenge())
    refused(Code.SIGNATURE, offices["registry"].request().answer, challenged)
    for one in offices.values():
        one.records.store.close()


def test_t12_another_runs_challenge(office):
    office.key()
    other = "f" * 32
    office.key(other)
    answer = office.answered(office.request())
    refused(Code.BINDING, office.broker.release, HOST, {**answer, "run": other})
    challenged = office.broker.challenge(HOST, office.request(other).challenge())
    refused(Code.BINDING, office.request().answer, challenged)


# --- T17: what the members signed for, rolled back or edited ---


def test_t17_a_revoked_program_gets_no_key(desk, clock):
    desk.key(workers=9)
    assert desk.get()
    old = signed_value(desk.place)
    value = signed_value(desk.place, serial=2, revoked=True, reason="a flaw")
    desk.kept.put([value], desk.place.agreement, "revoke")
    refused(Code.REVOKED, desk.get)
    refused(Code.REFERENCE, desk.kept.put, [old], desk.place.agreement, "import")  # a rollback
    refused(Code.REVOKED, desk.get)
    assert [e["code"] for e in desk.entries("key-refusal")] == ["REVOKED", "REVOKED"]


def test_t17_one_signer_is_not_enough(desk, clock):
    desk.key(workers=9)
    value = signed_value(desk.place, OTHER_PROGRAM)
    alone = value.model_copy(update={"signatures": value.signatures[:1]})
    desk.kept.put([alone], desk.place.agreement, "add")
    other = dev(clock, OTHER_PROGRAM)
    refused(Code.REFERENCE, desk.get, desk.request(attester=other))
    edited = signed_value(desk.place).model_copy(
        update={"program": OTHER_PROGRAM, "measurements": {"program": (OTHER_PROGRAM,)}, "serial": 7}
    )
    desk.kept.put([edited], desk.place.agreement, "add")
    refused(Code.REFERENCE, desk.get, desk.request(attester=other))
    assert len(desk.entries("reference")) == 3


def test_t17_a_room_without_attestation_releases_nothing(place, clock):
    desk = Desk.__new__(Desk)
    desk.place, desk.owner, desk.clock = place, "registry", clock
    desk.directory = place.members["registry"]
    desk.records = records_of(place, "registry", clock)
    from hitoku.node.broker import open_broker

    desk.broker = open_broker(desk.directory, place.room, desk.records, clock)
    desk.key()
    refused(Code.POLICY, desk.get)
    desk.records.store.close()


# --- T20: an older state of the broker ---


@pytest.fixture
def put_back(office):
    """Puts the database back to a copy, as an operator or a backup would."""
    file = office.directory.path / "state.db"

    def copy() -> Path:
        office.records.store.scrub()
        office.records.store.close()
        return Path(shutil.copy(file, file.with_suffix(".old")))

    def back(old: Path) -> None:
        office.records.store.close()
        for path in file.parent.glob("state.db*"):
            if path != old:
                path.unlink()
        shutil.copy(old, file)
        office.records = office.directory.records(str(office.place.agreement.id), office.clock)
        office.broker = office.opened()

    return copy, back


def test_t20_a_database_put_back_releases_no_key_a_second_time(office, put_back):
    copy, back = put_back
    office.key()
    before = office.answered(office.request())
    old = copy()
    office.broker.release(HOST, before)
    back(old)
    refused(Code.CHALLENGE_EXPIRED, office.broker.release, HOST, before)
    refused(Code.KEY_REVOKED, office.get)
    (said,) = office.entries("revocation")
    assert (said["stage"], said["epochs"], said["keys"]) == ("rolled-back", [0, 1], 1)
    office.broker = office.opened()
    refused(Code.KEY_REVOKED, office.get)
    office.broker._rolled_back()  # as another process does that found it at the same time
    assert len(office.entries("revocation")) == 1
    key = office.key("e" * 32)  # what is made afterwards is as good as any
    assert office.get(office.request("e" * 32)) == key


def test_t20_a_database_put_back_forgets_no_tombstone(office, put_back):
    copy, back = put_back
    office.key()
    old = copy()
    office.broker.tombstone(RUN)
    back(old)
    refused(Code.KEY_REVOKED, office.get)


def test_t20_a_crash_between_database_and_counter_is_no_rollback(office, monkeypatch):
    office.key()
    request = office.request()
    answer = office.answered(request)
    advance = office.counter.advance
    monkeypatch.setattr(office.counter, "advance", lambda to: (_ for _ in ()).throw(OSError("killed")))
    refused(Code.INTERNAL, office.broker.release, HOST, answer)  # nothing left, and the release is spent
    monkeypatch.setattr(office.counter, "advance", advance)
    office.broker = office.opened()
    refused(Code.ALREADY_RELEASED, office.get)
    key = office.key("e" * 32)
    assert office.get(office.request("e" * 32)) == key
    assert not office.entries("revocation")
    assert office.counter.read() == 2


# --- T21: no network ---


def test_t21_nothing_is_asked_of_anybody(office, monkeypatch):
    def no(*_: Any, **__: Any) -> None:
        raise AssertionError("a broker calls nobody")

    key = office.key()
    monkeypatch.setattr(socket, "socket", no)
    monkeypatch.setattr(socket, "create_connection", no)
    monkeypatch.setattr(socket, "getaddrinfo", no)
    assert office.get() == key


def test_t21_the_real_appraisal_asks_nobody_either(desk, monkeypatch):
    key = desk.key()
    monkeypatch.setattr(socket, "getaddrinfo", None)
    monkeypatch.setattr(socket, "create_connection", None)
    assert desk.get() == key


# --- T22: deletion ---


def test_t22_nothing_is_released_after_deletion(ended):
    pending = {owner: desk.answered(desk.request()) for owner, desk in ended.desks.items()}
    made = ended.certificate()
    for owner, desk in ended.desks.items():
        refused(Code.TOMBSTONED, desk.broker.release, HOST, pending[owner])
        refused(Code.TOMBSTONED, desk.broker.challenge, HOST, desk.request().challenge())
        refused(Code.TOMBSTONED, desk.broker.make_key, RUN, TABLES[owner], HOST)
        said = [(e["code"], e["run"], e["host"], e["challenge"]) for e in desk.entries("key-refusal")]
        answered = pending[owner]["challenge"]
        assert said == [("TOMBSTONED", RUN, HOST, answered), ("TOMBSTONED", RUN, HOST, None)]
    assert check_certificate(made, ended.place.room).run == RUN


def test_t22_the_wrapped_key_is_gone_from_the_files(office):
    office.key()
    with office.records.store.reading() as connection:
        (held,) = office.broker._state.keys(connection, RUN)
    wrapped = held.wrapped
    assert any(wrapped in path.read_bytes() for path in office.directory.path.glob("state.db*"))
    office.broker.tombstone(RUN)
    office.records.store.close()
    for path in office.directory.path.glob("state.db*"):
        assert wrapped not in path.read_bytes(), path


@pytest.mark.parametrize("end", ["revoked", "rolled-back", "tombstoned"])
def test_t22_the_wrapped_key_is_not_in_the_write_ahead_log_either(office, end):
    """While the database is in use: closing it would clear the log by itself."""
    office.key()
    with office.records.store.reading() as connection:
        (held,) = office.broker._state.keys(connection, RUN)
    if end == "revoked":
        office.broker.revoke(RUN, "chunk-3", HOST)
    elif end == "tombstoned":
        office.broker.tombstone(RUN)
    else:
        office.counter.advance(7)  # the database is behind it
        refused(Code.KEY_REVOKED, office.get)
    for path in office.directory.path.glob("state.db*"):
        assert held.wrapped not in path.read_bytes(), path


def test_t23_a_certificate_over_dev_evidence_is_software_whatever_the_owners_say(ended, monkeypatch):
    made = ended.certificate()
    read = verify_ear

    def lying(*arguments):
        claims = read(*arguments)
        claims["submods"]["dev"]["hitoku"]["software_rooted"] = False
        return claims

    monkeypatch.setattr(certificate_module, "verify_ear", lying)
    checked = check_certificate(made, ended.place.room)
    assert checked.software_rooted
    assert all(part.software_rooted for part in checked.brokers)


# --- a ledger is for ever ---


def test_who_hosts_no_run_of_ours_does_not_make_the_ledger_grow(office, monkeypatch):
    office.key()
    monkeypatch.setattr(office.broker, "_credential", no_credential)  # costs an RSA operation
    before = office.records.ledger.head().size
    message = office.request(host="airport").challenge()
    for run in (RUN, "d" * 32):
        asked = message | {"run": run, "identity": {"ek": "AAAA", "ak": "AAAA"}}
        refused(Code.NO_SUCH_KEY, office.broker.challenge, "airport", asked)
    answer = office.answered(office.request())
    for challenge in (answer["challenge"], "e" * 32):
        refused(Code.CHALLENGE_EXPIRED, office.broker.release, "airport", answer | {"challenge": challenge})
    refused(
        Code.CHALLENGE_EXPIRED, office.broker.release, HOST, answer | {"challenge": "e" * 32, "run": "d" * 32}
    )
    assert office.records.ledger.head().size == before
    refused(Code.CHALLENGE_EXPIRED, office.broker.release, HOST, answer | {"challenge": "e" * 32})
    assert office.entries("key-refusal")[-1]["code"] == "CHALLENGE_EXPIRED"


def test_refusals_of_a_run_on_record_are_bounded_also_after_a_restart(office, monkeypatch):
    monkeypatch.setattr(limits, "MAX_REFUSALS_A_RUN", 3)
    office.key()
    answer = office.answered(office.request())
    for _ in range(3):
        refused(Code.CHALLENGE_EXPIRED, office.broker.release, HOST, answer | {"challenge": "e" * 32})
        office.broker = office.opened()
    for _ in range(2):
        refused(Code.CHALLENGE_EXPIRED, office.broker.release, HOST, answer | {"challenge": "e" * 32})
    assert len(office.entries("key-refusal")) == 3
    other = "c" * 32
    office.key(other)
    asked = {"challenge": "e" * 32, "run": other}
    refused(Code.CHALLENGE_EXPIRED, office.broker.release, HOST, answer | asked)
    assert len(office.entries("key-refusal")) == 4


def changed(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the part at a dotted path replaced, by what a function of it gives."""
    made = deepcopy(data)
    *steps, last = path.split(".")
    part: Any = made
    for step in steps:
        part = part[int(step) if isinstance(part, list) else step]
    key: Any = int(last) if isinstance(part, list) else last
    part[key] = value(part[key]) if callable(value) else value
    return made


def flipped(text: str) -> str:
    return ("B" if text[0] != "B" else "C") + text[1:]


FORGERIES: list[tuple[str, Any, set[Code]]] = [
    ("format", "hitoku/deletion-certificate/2", {Code.MALFORMED}),
    ("run", "f" * 32, {Code.BINDING}),
    ("room", "sha256:" + "0" * 64, {Code.BINDING}),
    ("statement.program", "0" * 96, {Code.SIGNATURE}),
    ("statement.keys", lambda ids: ids[:1], {Code.SIGNATURE}),
    ("statement.host", "airport", {Code.SIGNATURE}),
    ("statement.kept", "something", {Code.MALFORMED}),
    ("statement.signature", flipped, {Code.SIGNATURE}),
    ("statement.signature", "", {Code.SIGNATURE}),
    ("brokers", lambda parts: parts[:1], {Code.BINDING}),
    ("brokers", lambda parts: [*parts, parts[0]], {Code.MALFORMED}),
    ("brokers", [], {Code.MALFORMED}),
    ("brokers.0.broker", "registry", {Code.MALFORMED, Code.BINDING}),
    ("brokers.0.broker", "host", {Code.BINDING}),
    ("brokers.0.challenged.nonce", "0" * 64, {Code.SIGNATURE}),
    ("brokers.0.challenged.signature", flipped, {Code.SIGNATURE}),
    ("brokers.0.public_key", "0" * 64, {Code.BINDING}),
    ("brokers.0.evidence.cmw.1", lambda text: text[:-8] + "AAAAAAAA", {Code.BINDING, Code.MALFORMED}),
    ("brokers.0.ear", lambda ear: ear[:-4] + "AAAA", {Code.SIGNATURE, Code.MALFORMED}),
    ("brokers.0.ear", "", {Code.MALFORMED}),
    ("brokers.0.tombstone.since", "2020-01-01T00:00:00Z", {Code.SIGNATURE}),
    ("brokers.0.tombstone.signature", flipped, {Code.SIGNATURE}),
    ("brokers.0.tombstone.releases", [], {Code.SIGNATURE}),
    ("brokers.0.proof.index", lambda n: n - 1, {Code.SIGNATURE}),
    ("brokers.0.proof.proof", lambda steps: steps[:-1], {Code.SIGNATURE}),
    ("brokers.0.proof.entry.body.tombstone", "sha256:" + "0" * 64, {Code.SIGNATURE}),
    ("brokers.0.proof.head.signature", flipped, {Code.SIGNATURE}),
    ("brokers.0.proof.head.size", lambda n: n + 1, {Code.SIGNATURE}),
    ("brokers.0.proof", {}, {Code.MALFORMED}),
]


def test_t22_forged_certificates(ended):
    made = ended.certificate()
    for path, value, codes in FORGERIES:
        with pytest.raises(Refused) as caught:
            check_certificate(changed(made, path, value), ended.place.room)
        assert caught.value.code in codes, (path, caught.value)


_JSON: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, 1.5, "", "x", "\ud800", "0" * 32, "2026-99-99T99:99:99Z",
    "2026-01-01T00:00:00Z",
    [], {}, [[]], ["0" * 32], {"x": 1}, "e30.eyJpYXQiOjFlOTl9.x", "e30.e30.x", "e30.W10.x",
)  # fmt: skip


def test_t22_whatever_a_certificate_says_it_is_refused_in_order(ended):
    """Each part of it in turn left out, doubled, or replaced by something else: never another error."""
    made = ended.certificate()
    chance = random.Random(1)
    places: list[str] = []
    left: list[tuple[str, Any]] = [("", made)]
    while left:
        path, part = left.pop()
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, value in items:
            places.append(f"{path}{key}")
            left.append((f"{path}{key}.", value))
    assert len(places) > 80
    for path in places:
        value = chance.choice(_JSON)
        other = changed(made, path, value)
        if other != made:
            with pytest.raises(Refused):
                check_certificate(other, ended.place.room)
    for other in _JSON:
        with pytest.raises(Refused):
            check_certificate(other, ended.place.room)


def test_t22_the_parts_of_two_brokers_do_not_mix(ended):
    made = ended.certificate()
    for path in ("challenged", "evidence", "ear", "tombstone", "proof"):
        mixed = changed(made, f"brokers.0.{path}", made["brokers"][1][path])
        with pytest.raises(Refused) as caught:
            check_certificate(mixed, ended.place.room)
        assert caught.value.code in {Code.BINDING, Code.SIGNATURE}


def test_t22_a_statement_of_another_worker(ended):
    """The host makes its own, with a key that no evidence was bound to."""
    ended.worker = WorkerKeys()
    forged = ended.statement()
    assert read_statement(forged.model_dump(mode="json")) == forged
    with pytest.raises(Refusal) as caught:
        ended.certificate(forged)
    assert caught.value.code == "BINDING"


def test_t22_brokers_countersign_only_what_they_know(ended):
    for change in ({"key_ids": ["0" * 32]}, {"run": "f" * 32}, {"room": digest("r", b"")}):
        with pytest.raises(Refusal) as caught:
            ended.certificate(ended.statement(**change))
        assert caught.value.code == "BINDING"
    for desk in ended.desks.values():
        assert not desk.entries("tombstone", "deletion")


def test_t22_a_statement_of_more_keys_than_were_deleted(ended):
    """Both owners' tombstones hold; the statement names a key besides that nobody deleted."""
    ended.ids.append("0" * 32)
    made = ended.certificate()
    refused(Code.BINDING, check_certificate, made, ended.place.room)


def test_t22_a_tombstone_without_the_statement(ended):
    for desk in ended.desks.values():
        desk.broker.tombstone(RUN)
    made = ended.certificate()  # too late: the tombstones are made
    refused(Code.BINDING, check_certificate, made, ended.place.room)


def test_t22_a_program_that_the_brokers_did_not_measure(ended):
    made = ended.certificate(ended.statement(program=OTHER_PROGRAM))
    refused(Code.BINDING, check_certificate, made, ended.place.room)


def test_t22_keys_that_another_worker_has_too(room, clock, monkeypatch):
    original = Desk.key
    monkeypatch.setattr(Desk, "key", lambda desk: original(desk, workers=2))
    two = Ended(room, clock)
    two.desks["registry"].get()
    refused(Code.BINDING, check_certificate, two.certificate(), two.place.room)
    two.close()


def test_t22_a_ledger_that_does_not_have_the_tombstone(ended):
    """The proof of another entry of the same ledger, as good as any."""
    made = ended.certificate()
    ledger = ended.desks["airport"].records.ledger
    for entry in list(ledger.entries()):
        if entry.kind.value != "tombstone":
            other = json.loads(json.dumps(ledger.prove(entry.seq).to_dict()))
            forged = changed(made, "brokers.0.proof", other)
            with pytest.raises(Refused) as caught:
                check_certificate(forged, ended.place.room)
            assert caught.value.code in {Code.BINDING, Code.MALFORMED}


# --- T24: no key where it does not belong ---


def test_t24_no_key_in_logs_errors_ledger_or_database(office, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    key = office.key(workers=9)
    said: list[str] = []
    for attempt in (
        lambda: office.get(office.request(attester=Machine(office.platform, OTHER_PROGRAM))),
        lambda: office.broker.release(HOST, {**office.answered(office.request()), "public_key": "0" * 64}),
        lambda: office.broker.make_key(RUN, "planes", HOST),
    ):
        with pytest.raises(Refused) as caught:
            attempt()
        trace = caught.value.__traceback__
        said += [str(caught.value), repr(caught.value), repr(trace)]
    assert office.get() == key
    office.broker.revoke(RUN, "x")
    said += [caplog.text, *capsys.readouterr()]
    said += [e.raw.decode() for e in office.records.ledger.entries()]
    office.records.store.close()
    kek = (office.folder / "broker.key").read_bytes()
    files = [p for p in office.directory.path.rglob("*") if p.is_file() and p.name != "broker.key"]
    assert any(p.name == "state.db" for p in files)
    for form in (lambda k: k, lambda k: k.hex().encode(), base64.b64encode, base64.urlsafe_b64encode):
        for secret in (key, kek):
            text = form(secret).rstrip(b"=")
            for line in said:
                assert text not in line.encode()
            for path in files:
                assert text not in path.read_bytes(), path


def test_t24_the_host_learns_the_code_and_nothing_else(desk, clock):
    desk.key()
    challenged = desk.desk.answer(HOST, desk.request().challenge())
    request = desk.request(attester=dev(clock, OTHER_PROGRAM))
    answer = request.answer(desk.desk.answer(HOST, request.challenge()))
    with pytest.raises(Refusal) as caught:
        desk.desk.answer(HOST, answer)
    said = json.dumps(caught.value.to_dict())
    assert caught.value.code == "MEASUREMENT_MISMATCH"
    assert caught.value.__suppress_context__
    for secret in (OTHER_PROGRAM, PROGRAM, challenged["nonce"]):
        assert secret not in said
    (entry,) = desk.entries("key-refusal")
    assert OTHER_PROGRAM in entry["reason"]  # the owner does


def test_t24_keys_show_nowhere_by_accident(office):
    office.reserve()
    made = office.broker.make_key(RUN, "planes", HOST)
    worker = WorkerKeys()
    assert worker._private is not None
    for thing in (made, worker, office.broker, office.broker._wrap):
        assert bytes(made.key).hex() not in repr(thing)
        assert worker._private.private_bytes_raw().hex() not in repr(thing)


def test_t24_a_key_file_that_others_can_read_is_not_used(office):
    office.key()
    (office.folder / "broker.key").chmod(0o644)
    assert "chmod 600" in str(refused(Code.INTERNAL, office.get))


def test_t24_a_wrapped_key_moved_to_another_run_does_not_open(office):
    """Whoever can write the database, but not read the key file."""
    office.key()
    other = "f" * 32
    office.key(other)
    office.records.store.close()
    with sqlite3.connect(office.directory.path / "state.db") as connection:
        connection.execute(
            "UPDATE broker_keys SET wrapped = (SELECT wrapped FROM broker_keys WHERE run = ?) WHERE run = ?",
            (RUN, other),
        )
    connection.close()
    assert "not wrapped with this key" in str(refused(Code.INTERNAL, office.get, office.request(other)))


def test_malformed_messages_reach_nothing(desk):
    desk.key()
    for kind in (
        "hitoku/challenge/1",
        "hitoku/release-key/1",
        "hitoku/revoke-keys/1",
        "hitoku/delete-keys/1",
    ):
        with pytest.raises(PeerError):
            desk.desk.answer(HOST, {"kind": kind, "run": 5})
    with pytest.raises(PeerError):
        desk.desk.answer(HOST, {"kind": "hitoku/other/1"})
    with pytest.raises(Refusal) as caught:
        desk.desk.answer(HOST, {"kind": "hitoku/delete-keys/1", "run": RUN, "statement": {"x": 1}})
    assert caught.value.code == "MALFORMED"
    assert desk.get()
