# SPDX-License-Identifier: Apache-2.0
"""Attacks on runs in enclaves: by the host, which carries everything, by owners on each other, by strangers.

Names with a T are threats of the attestation design: T2 intermediate data, T3 replay, T11 key substitution,
T12 evidence for another room, key or broker, T14 one side alone, T23 software evidence where hardware is
demanded, T24 secrets in what leaves.
"""

from __future__ import annotations

import base64
import json
import os
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.enclaves import (
    CLEAR,
    DEV,
    JOIN,
    SQL,
    ThreadWorker,
    World,
    agreement_data,
    in_threads,
    make,
    tables,
)

from hitoku import limits
from hitoku.ask.asker import common_fields
from hitoku.ask.common import examine
from hitoku.ask.sealed import SealedRun
from hitoku.ask.unsealed import OneAnswer
from hitoku.attestation.attest.dev import DevAttester
from hitoku.attestation.release import KeyRequest, WorkerKeys
from hitoku.disclosure.answer import Answer
from hitoku.disclosure.render import stamp_words
from hitoku.errors import DisclosureError, EngineError, HitokuError, LimitError, PeerError, Refusal
from hitoku.node.enclave import EnclaveDesk, certificate_file
from hitoku.node.member import LocalNode
from hitoku.node.offers import Offers
from hitoku.ports import SystemClock
from hitoku.protections.enclave import enclosure, sealed_table
from hitoku.protections.enclave.frames import Broken, Channel, Kind
from hitoku.protections.enclave.sealing import open_answer, seal_answer
from hitoku.room.canonical import agreement_hash
from hitoku.room.consent import moment
from hitoku.room.ledger import EntryKind
from hitoku.room.runs import RunState
from hitoku.transport import messages


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with in_threads(make(tmp_path, agreement_data(), tables()), monkeypatch) as made:
        yield made


def entries(world: World, member: str, kind: EntryKind) -> list[dict[str, Any]]:
    records = world.members[member].records(str(world.room.agreement.id), SystemClock())
    found = [dict(entry.body) for entry in records.ledger.entries(0) if entry.kind is kind]
    records.store.close()
    return found


def state(world: World, member: str) -> RunState:
    """Of the last run that this owner consented to."""
    run = entries(world, member, EntryKind.QUESTION)[-1]["run"]
    records = world.members[member].records(str(world.room.agreement.id), SystemClock())
    found = records.consented(run)
    records.store.close()
    assert found is not None
    return found.state


def tampering(monkeypatch: pytest.MonkeyPatch, kind: Kind, change: Callable[[bytes], bytes]) -> None:
    """The host changes what it sends to the worker in frames of one kind."""
    send = Channel.send

    def sent(self: Channel, what: Kind, content: Any = b"") -> None:
        send(self, what, change(bytes(content)) if what is kind else content)

    monkeypatch.setattr(Channel, "send", sent)


def ordered(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def changed(content: bytes) -> bytes:
        order = json.loads(content)
        change(order)
        return json.dumps(order).encode()

    return changed


def refused(world: World, code: str, me: str = "shop", sql: str = SQL) -> None:
    """The question is not answered, for that reason, and the asker has nothing."""
    with pytest.raises(HitokuError) as caught:
        world.handle(me).ask(sql)
    assert str(getattr(caught.value, "code", None)).removeprefix("ENGINE_") == code
    answers = world.members[me].path / "answers"
    assert not answers.exists() or not list(answers.iterdir())


def test_the_question_is_answered_and_the_host_has_nothing(world: World) -> None:
    answer = world.handle().ask(SQL)
    assert dict(answer.fetchall()) == CLEAR
    assert answer.attestation is not None
    assert answer.attestation["software_rooted"] is True
    for file in world.members["cloud"].path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"+49 170" not in content
            assert b"family" not in content
    assert entries(world, "cloud", EntryKind.RELEASE)[-1]["answer"] == answer.digest


# --- a host that changes what it orders ---


def other_room(order: dict[str, Any]) -> None:
    order["room"]["agreement"]["tables"][0]["rule"]["outputConstraints"][0]["minimum"] = 2


def own_key(order: dict[str, Any]) -> None:
    order["sealing"][0]["key"] = base64.b64encode(
        X25519PrivateKey.generate().public_key().public_bytes_raw()
    ).decode()


CHANGED = {
    "sql": (lambda o: o.update(sql=SQL + " HAVING COUNT(DISTINCT c.phone) > 1"), "CONSENT_MISMATCH"),
    "another question": (
        lambda o: o.update(sql=SQL.replace("s.plan", "c.region")),
        "CONSENT_MISMATCH",
    ),
    "a question that the rules refuse": (
        lambda o: o.update(sql="SELECT phone FROM customers"),
        "ENCRYPTED_COLUMN",
    ),
    "no consents": (lambda o: o.update(consents=[]), "CONSENT_MISSING"),
    "one consent": (lambda o: o.update(consents=o["consents"][:1]), "CONSENT_MISSING"),
    "one consent twice": (lambda o: o.update(consents=o["consents"][:1] * 2), "CONSENT_UNEXPECTED"),
    "a consent's signature": (
        lambda o: o["consents"][0].update(signature=o["consents"][1]["signature"]),
        "CONSENT_FORGED",
    ),
    "a consent's time": (
        lambda o: o["consents"][0].update(expires=moment(datetime(2099, 1, 1, tzinfo=UTC))),
        "CONSENT_FORGED",
    ),
    "the asker": (lambda o: o.update(asker="telco"), "CONSENT_MISMATCH"),
    "the run": (lambda o: o.update(run="0" * 32), "CONSENT_MISMATCH"),
    "the host": (lambda o: o.update(host="shop"), "HOST_NOT_ALLOWED"),
    "the receivers": (lambda o: o.update(receivers=["shop", "telco"]), "CONSENT_MISMATCH"),
    "a receiver who may not": (lambda o: o.update(receivers=["cloud"]), "RECEIVER_NOT_ALLOWED"),
    "the agreement": (other_room, "ROOM"),
    "the agreement's signatures": (
        lambda o: o["room"].update(signatures=o["room"]["signatures"][1:]),
        "ROOM",
    ),
    "no room": (lambda o: o.update(room={}), "ROOM"),
    "a receiver's key": (own_key, "SEALING_KEY"),
    "no receiver's key": (lambda o: o.update(sealing=[]), "SEALING_KEY"),
    "a receiver's key twice": (lambda o: o.update(sealing=o["sealing"] * 2), "SEALING_KEY"),
    "a word that is not known": (lambda o: o.update(debug=True), "PEER"),
}


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, bytes]:
    """A world, and an order that was right a moment ago: what a host has in its hands."""
    seen: list[bytes] = []

    def keep(content: bytes) -> bytes:
        seen.append(content)
        return content

    with pytest.MonkeyPatch.context() as patch:
        world = make(tmp_path_factory.mktemp("captured"), agreement_data(), tables())
        with in_threads(world, patch):
            tampering(patch, Kind.ORDER, keep)
            world.handle().ask(SQL)
    return world, seen[0]


def heard(world: World, order: bytes) -> tuple[list[Kind], bytes]:
    """What a worker says to an order, until it fails or asks a broker."""
    worker, said, content = world.started(), list[Kind](), bytearray()
    channel = Channel(worker.connection)
    channel.receive({Kind.READY: 0}, 20)
    channel.send(Kind.ORDER, order)
    while not {Kind.FAILED, Kind.CALL} & set(said):
        kind, content = channel.receive(dict.fromkeys(Kind, 1 << 20), 20)
        said.append(kind)
    worker.end()
    return said, bytes(content)


@pytest.mark.parametrize("what", CHANGED)
def test_a_worker_does_not_do_what_a_host_changed(captured: tuple[World, bytes], what: str) -> None:
    """It refuses before it says a word to a broker: no consent, no key."""
    world, order = captured
    assert heard(world, order)[0][-1] is Kind.CALL  # as it came, it is carried out
    change, code = CHANGED[what]
    said, content = heard(world, ordered(change)(order))
    assert said[-1] is Kind.FAILED
    assert Kind.CALL not in said
    assert json.loads(content) == {"kind": "hitoku/enclave-failure/1", "code": code, "table": None}


def test_a_host_that_changes_the_question_gets_nothing_and_all_is_charged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tampering(monkeypatch, Kind.ORDER, ordered(CHANGED["another question"][0]))
    refused(world, "CONSENT_MISMATCH")
    for owner in ("shop", "telco"):
        assert not entries(world, owner, EntryKind.KEY_RELEASE)
        assert state(world, owner) is RunState.COMMITTED  # what a host says of a run gives nothing back


def test_T12_a_room_that_the_host_made_up_gets_no_key(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every signature in it holds, since the host made all of the keys: that is not the owners' room."""
    from hitoku.disclosure.plan import plan
    from hitoku.questions import check
    from hitoku.room.consent import give_consent
    from hitoku.room.sealing import give_sealing_key

    made_up = make(tmp_path / "made-up", agreement_data(), {}, program=None)

    def change(order: dict[str, Any]) -> None:
        room, keys = made_up.room, {n: d.keys({}) for n, d in made_up.members.items()}
        question = check(SQL, room, "shop")
        facts = {"room": question.room_hash, "host": "cloud", "run": order["run"]}
        planned = plan(question, room, ["shop"])
        order["room"] = room.model_dump(mode="json", exclude_none=True)
        order["consents"] = [
            give_consent(
                keys[owner],
                datetime.now(UTC),
                owner=owner,
                question=question.hash,
                plan=planned.hash,
                protection="enclave",
                asker="shop",
                **facts,
            ).model_dump(mode="json")
            for owner in question.owners
        ]
        own = X25519PrivateKey.generate().public_key().public_bytes_raw()
        order["sealing"] = [
            give_sealing_key(keys["shop"], receiver="shop", key=own, **facts).model_dump(mode="json")
        ]

    tampering(monkeypatch, Kind.ORDER, ordered(change))
    refused(world, "BINDING")
    assert not entries(world, "shop", EntryKind.KEY_RELEASE)


# --- a host that changes data on its way (T2) ---


def many() -> dict[str, pa.Table]:
    """Tables of some chunks each."""
    numbers = [f"+49 170 {n:07d}" for n in range(160_000)]
    plans = ["basic" if n % 2 else "family" for n in range(len(numbers))]
    return {
        "customers": pa.table({"phone": numbers, "region": plans}),
        "subscribers": pa.table({"phone": numbers, "plan": plans}),
    }


def chunks_by(change: Callable[[list[bytes]], list[bytes]]) -> Callable[..., Any]:
    """The host's way to tables, with the chunks of a table changed."""
    fetch = _fetch

    def changed(self: Any, member: str, run: str, name: str, *rest: Any) -> Iterator[pa.RecordBatch]:
        batches = [b.column(0)[0].as_py() for b in fetch(self, member, run, name, *rest)]
        assert len(batches) > 2
        for chunk in change(batches) if member == "telco" else batches:
            yield pa.record_batch([pa.array([chunk], pa.binary())], schema=sealed_table.SCHEMA)

    return changed


def _fetch(self: Any, *arguments: Any) -> Iterator[pa.RecordBatch]:
    return self._others.fetch(*arguments)  # type: ignore[no-any-return]


def flipped(chunks: list[bytes]) -> list[bytes]:
    place = random.Random(5).randrange(len(chunks[1]))
    changed = bytearray(chunks[1])
    changed[place] ^= 1
    return [chunks[0], bytes(changed), *chunks[2:]]


ALTERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a bit": (flipped, "RUN_ABORTED"),
    "the order": (lambda c: [c[1], c[0], *c[2:]], "RUN_ABORTED"),
    "the last left out": (lambda c: c[:-1], "PEER"),
}
"""All other ways to change chunks are in `tests/unit/protections/enclave/test_sealed_table.py`."""


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with in_threads(make(tmp_path, agreement_data(), many()), monkeypatch) as made:
        yield made


@pytest.mark.parametrize("what", ALTERED)
def test_T2_altered_chunks_end_the_run_and_revoke_its_keys(
    large: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    from hitoku.node import enclave

    change, code = ALTERED[what]
    monkeypatch.setattr(enclave._Own, "fetch", chunks_by(change))
    refused(large, code)
    for owner in ("shop", "telco"):
        assert [r["stage"] for r in entries(large, owner, EntryKind.REVOCATION)]
        assert state(large, owner) is RunState.COMMITTED


def test_T2_chunks_of_another_run_do_not_open(large: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from hitoku.node import enclave

    earlier: list[bytes] = []

    def kept(chunks: list[bytes]) -> list[bytes]:
        earlier.extend(chunks)
        return chunks

    monkeypatch.setattr(enclave._Own, "fetch", chunks_by(kept))
    large.handle().ask(SQL)
    monkeypatch.setattr(enclave._Own, "fetch", chunks_by(lambda chunks: [chunks[0], *earlier[1:]]))
    refused_here = SQL + " HAVING COUNT(DISTINCT c.phone) > 7"
    with pytest.raises(Refusal) as caught:
        large.handle().ask(refused_here)
    assert caught.value.code == "RUN_ABORTED"


def test_T2_one_owners_table_is_not_the_others(large: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host gives the worker shop's sealed table in place of telco's: another key, another name."""
    said = enclosure.Enclosure._table

    def crossed(self: Any, channel: Any, run: str, name: str, owners: Any, offered: Any) -> None:
        def other(table: str) -> Any:
            return offered("customers").model_copy(update={"table": table})

        if name == "subscribers":
            said(self, channel, run, name, owners | {name: "shop"}, other)
        else:
            said(self, channel, run, name, owners, offered)

    monkeypatch.setattr(enclosure.Enclosure, "_table", crossed)
    refused(large, "RUN_ABORTED")


# --- a host that changes or makes up the answer ---


def test_an_altered_sealed_answer_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = SealedRun.run

    def changed(self: SealedRun, *arguments: Any) -> dict[str, Any]:
        done = run(self, *arguments)
        raw = bytearray(base64.b64decode(done["sealed"]))
        raw[len(raw) // 2] ^= 1
        return done | {"sealed": base64.b64encode(raw).decode()}

    monkeypatch.setattr(SealedRun, "run", changed)
    with pytest.raises(PeerError, match="does not open"):
        world.handle().ask(SQL)


FORGED: dict[str, Callable[[dict[str, Any]], None]] = {
    "rows": lambda inside: inside["answer"].update(released_at="2026-01-01T00:00:00Z"),
    "the price": lambda inside: inside["answer"].update(budget={"spent": "nothing"}),
    "a ledger entry": lambda inside: inside["answer"].update(
        ledger={"member": "shop", "entry": 7, "answer": "sha256:" + "0" * 64}
    ),
    "the hash of what travels": lambda inside: inside["proof"].update(message="sha256:" + "0" * 64),
    "another plan": lambda inside: inside["proof"].update(plan="sha256:" + "0" * 64),
    "word of its own of the deletion": lambda inside: inside["answer"].update(deletion={"certified": True}),
    "the stamp": lambda inside: inside["answer"]["attestation"].update(software_rooted=False),
    "no stamp": lambda inside: inside["answer"].pop("attestation"),
    "no proof": lambda inside: inside.pop("proof"),
    "one voucher": lambda inside: inside["proof"].update(vouchers=inside["proof"]["vouchers"][:1]),
    "a voucher twice": lambda inside: inside["proof"].update(vouchers=inside["proof"]["vouchers"][:1] * 2),
    "another program's key": lambda inside: inside["proof"].update(signing_key="11" * 32),
    "another appraisal": lambda inside: inside["proof"]["vouchers"][0]["released"].update(
        ear=inside["proof"]["vouchers"][1]["released"]["ear"]
    ),
    "another challenge": lambda inside: inside["proof"]["vouchers"][0]["challenged"].update(nonce="22" * 32),
}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, OneAnswer, str]:
    """A world, the asker's one-time key, and the sealed answer that it got."""
    kept: list[tuple[OneAnswer, str]] = []
    opened = OneAnswer.opened

    def seen(self: OneAnswer, sealed: str, *rest: Any) -> Any:
        kept.append((self, sealed))
        return opened(self, sealed, *rest)

    with pytest.MonkeyPatch.context() as patch:
        short = agreement_data(attestation={"accept": ["dev"], "software": True, "minutes": 5})
        world = make(tmp_path_factory.mktemp("delivered"), short, tables())
        patch.setattr(OneAnswer, "opened", seen)
        with in_threads(world, patch):
            world.handle().ask(SQL)
    return world, *kept[0]


@pytest.mark.parametrize("what", ["nothing", *FORGED])
def test_T11_a_host_that_seals_what_it_made_up_is_found_out(
    delivered: tuple[World, OneAnswer, str], what: str
) -> None:
    """A host knows for which key answers are sealed; this one even opens one and seals it again."""
    world, one, sealed = delivered
    facts = {"room": one.given.room, "run": one.given.run, "receiver": "shop"}
    inside = json.loads(open_answer(base64.b64decode(sealed), one.key, sender="cloud", **facts))
    if what != "nothing":
        FORGED[what](inside)
    again = base64.b64encode(seal_answer(json.dumps(inside).encode(), one.given.raw, **facts)).decode()
    now = datetime.now(UTC)
    if what == "nothing":
        assert dict(one.opened(again, world.room, now).fetchall()) == CLEAR
        return
    with pytest.raises(PeerError) as caught:
        one.opened(again, world.room, now)
    assert "+49" not in str(caught.value)


@pytest.mark.parametrize("minutes", [-1, 10, 2 * limits.RUN_SECONDS / 60 + 1])
def test_an_answer_may_be_late_but_not_for_ever(
    delivered: tuple[World, OneAnswer, str], minutes: float
) -> None:
    """Appraisals hold for five minutes; a host that waits for the sixth must not make the answer void."""
    world, one, sealed = delivered
    now = datetime.now(UTC) + timedelta(minutes=minutes - (1 if minutes < 0 else 0))
    if minutes == 10:
        assert dict(one.opened(sealed, world.room, now).fetchall()) == CLEAR
        return
    with pytest.raises(PeerError) as caught:
        one.opened(sealed, world.room, now)
    assert caught.value.code == "NOT_FROM_ENCLAVE"


def plain(answer: Answer, **changes: Any) -> dict[str, Any]:
    """An answer as hosts deliver those that are not sealed."""
    given = replace(answer, receivers=("telco",), ledger=None, deletion=None, **changes)
    return messages.Deliver(run=given.run, answer=given.to_message()).model_dump(mode="json")


def delivery_refused(world: World, message: dict[str, Any]) -> None:
    cloud = world.handle()._nodes[2]
    with pytest.raises(Refusal) as caught:
        cloud.peers.call("telco", message)
    assert caught.value.code == "DELIVERY_REFUSED"
    answers = world.members["telco"].path / "answers"
    assert not answers.exists() or not list(answers.iterdir())


def with_host(*protections: str) -> dict[str, Any]:
    """An agreement in which `cloud` is a host, which may deliver answers that are not sealed."""
    data = agreement_data(protections=list(protections))
    cloud = {"name": "cloud", "abilities": ["host"]}
    return data | {"members": [cloud if m["name"] == "cloud" else m for m in data["members"]]}


def test_a_plain_answer_that_claims_to_be_an_enclaves_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No seal, no proof, no owner's word: a host that may deliver other answers made it up."""
    data = with_host("enclave", "tokens")
    with in_threads(make(tmp_path, data, tables()), monkeypatch) as world:
        genuine = world.handle().ask(SQL)
        stamp = dict(genuine.attestation or {}) | {"evidence": "sev-snp", "software_rooted": False}
        delivery_refused(world, plain(genuine, attestation=stamp))
        delivery_refused(world, plain(genuine, attestation=None))
        delivery_refused(world, plain(genuine, protection="tokens", attestation=stamp))
        delivery_refused(world, plain(genuine, protection="crosstab", attestation=None))
        delivery_refused(world, plain(genuine, protection="none", attestation=None))
        cloud = world.handle()._nodes[2]
        unsealed = plain(genuine, protection="tokens", attestation=None)
        assert cloud.peers.call("telco", unsealed)["run"] == genuine.run


def test_an_asker_takes_no_stamp_without_a_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host of a question on tokens puts an enclave's stamp on its answer."""
    from hitoku.ask.asker import _Asking

    data = with_host("enclave", "tokens")
    with in_threads(make(tmp_path, data, tables()), monkeypatch) as world:
        genuine = world.handle().ask(SQL)
    examined = examine(SQL, world.room, "shop", ["shop"], "tokens")
    peers: Any = SimpleNamespace(me="shop")
    none: Any = None
    asking = _Asking(SQL, world.room, peers, none, none, SystemClock(), examined, None, None, None)
    leakage = examined.protection.leakage(examined.question, world.room)
    answer = replace(genuine, protection="tokens", leakage=leakage)
    assert not asking._as_planned(answer)
    assert asking._as_planned(replace(answer, attestation=None))


def test_an_answer_under_another_plan_than_the_askers_is_refused(
    delivered: tuple[World, OneAnswer, str],
) -> None:
    world, one, sealed = delivered
    with pytest.raises(PeerError, match="another plan") as caught:
        replace(one, plan="sha256:" + "0" * 64).opened(sealed, world.room, datetime.now(UTC))
    assert caught.value.code == "NOT_FROM_ENCLAVE"


# --- a host that brings another certificate of deletion ---


def kept_without(world: World, answer: Answer, reason: str) -> None:
    """Both receivers have the answer, no certificate, and know why."""
    assert dict(answer.fetchall()) == CLEAR
    mine = json.loads((world.members["telco"].path / "answers" / f"{answer.run}.json").read_text())
    for deletion in (answer.deletion, mine["deletion"]):
        assert deletion is not None
        assert deletion["certified"] is False
        assert reason in deletion["reason"]
    for member in ("shop", "telco"):
        assert not certificate_file(world.members[member].path, answer.run).exists()
    words = stamp_words(answer)
    assert words is not None
    assert "no certificate" in words


def test_a_certificate_of_another_run_or_none_is_not_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, earlier = SealedRun._deleted, list[Any]()

    def kept(self: SealedRun, enclosed: Any) -> Any:
        earlier.append(made(self, enclosed))
        return earlier[-1]

    def brings(what: Any) -> None:
        def brought(self: SealedRun, enclosed: Any) -> Any:
            made(self, enclosed)
            return what

        monkeypatch.setattr(SealedRun, "_deleted", brought)

    both = ["shop", "telco"]
    monkeypatch.setattr(SealedRun, "_deleted", kept)
    honest = world.handle().ask(SQL, receivers=both)
    assert honest.deletion == {"certified": True}
    for what, reason in (
        (earlier[0], "of another run"),
        ({"format": "nonsense", "run": "0" * 32}, "this is no deletion certificate"),
        (None, "brought none"),
    ):
        brings(what)
        kept_without(world, world.handle().ask(SQL, receivers=both), reason)


def test_a_certificate_is_of_the_answer_that_came_and_of_all_its_tables(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hitoku.ask.unsealed import checked_deletion

    seen: list[tuple[OneAnswer, str]] = []
    opened = OneAnswer.opened

    def seeing(self: OneAnswer, sealed: str, *rest: Any) -> Any:
        seen.append((self, sealed))
        return opened(self, sealed, *rest)

    monkeypatch.setattr(OneAnswer, "opened", seeing)
    answer = world.handle().ask(SQL)
    ((one, sealed),) = seen
    certificate = json.loads(certificate_file(world.members["shop"].path, answer.run).read_text())

    def found(answer: Answer, sealed: str, me: str = "shop", host: str = "cloud") -> Any:
        return checked_deletion(certificate, world.room, answer, sealed, me=me, host=host)

    assert found(answer, sealed) == {"certified": True}
    facts = {"room": one.given.room, "run": one.given.run, "receiver": "shop"}
    content = open_answer(base64.b64decode(sealed), one.key, sender="cloud", **facts)
    again = base64.b64encode(seal_answer(content, one.given.raw, **facts)).decode()
    assert dict(opened(one, again, world.room, datetime.now(UTC)).fetchall()) == CLEAR
    one_table = replace(answer, sql="SELECT COUNT(DISTINCT phone) AS n FROM subscribers")
    stamp = dict(answer.attestation or {}) | {"program": "ab" * 48}
    for other in (
        found(answer, again),
        found(answer, sealed, me="telco"),
        found(answer, sealed, host="shop"),
        found(replace(answer, receivers=("shop", "telco")), sealed),
        found(replace(answer, run="0" * 32), sealed),
        found(replace(answer, room="sha256:" + "0" * 64), sealed),
        found(replace(answer, attestation=stamp), sealed),
        found(one_table, sealed),
    ):
        assert other["certified"] is False


# --- a member that asks for a run that is another's ---


def test_a_refused_request_takes_no_running_enclave_away(world: World) -> None:
    """Else anybody who knows a run's name can make its asker's cancelling come to nothing."""
    _, telco, cloud = world.handle()._nodes
    run, nothing = "ab" * 16, Any
    started = cloud.enclaves.enclave(run, "shop", cloud.peers, nothing)  # type: ignore[arg-type]
    order = messages.RunRequest(
        sql=SQL,
        room=agreement_hash(world.room.agreement),
        run=run,
        receivers=["telco"],
        protection="enclave",
        consents=[],
    )
    with pytest.raises(Refusal):
        telco.peers.call("cloud", order.model_dump(mode="json"))
    with pytest.raises(Refusal) as caught:
        cloud.enclaves.enclave(run, "telco", cloud.peers, nothing)  # type: ignore[arg-type]
    assert caught.value.code == "CONSENT_REPLAYED"
    cloud.enclaves.cancel(run, "shop")
    assert started.enclosure is not None
    assert started.enclosure._cancelled


def test_an_answer_is_not_delivered_for_another_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host keeps a sealed answer and brings it again when it is asked something else."""
    run, kept = SealedRun.run, list[str]()

    def changed(self: SealedRun, *arguments: Any) -> dict[str, Any]:
        done = run(self, *arguments)
        kept.append(done["sealed"])
        return done | {"sealed": kept[0]}

    monkeypatch.setattr(SealedRun, "run", changed)
    world.handle().ask(SQL)
    with pytest.raises(PeerError, match="does not open"):
        world.handle().ask(SQL)


# --- keys ---


def consented(world: World) -> tuple[LocalNode, LocalNode, LocalNode, str]:
    """Nodes of shop, telco and cloud, and a run to which both consented; the host has not begun it."""
    handle = world.handle()
    shop, telco, cloud = handle._nodes
    run = uuid.uuid4().hex
    examined = examine(SQL, world.room, "shop", ["shop"])
    common = common_fields(SQL, examined, None) | {"run": run, "repeats": None}
    for owner in ("shop", "telco"):
        asked = messages.ConsentRequest(host="cloud", **common).model_dump(mode="json")
        shop.peers.call(owner, asked)
    return shop, telco, cloud, run


def offer(sql: str, world: World, run: str, **changes: Any) -> dict[str, Any]:
    from hitoku.transport.enclave import OfferTables

    message = OfferTables(
        sql=sql,
        room=agreement_hash(world.room.agreement),
        run=run,
        asker="shop",
        receivers=["shop"],
        protection="enclave",
    )
    return message.model_dump(mode="json") | changes


def test_tables_are_sealed_for_the_consented_run_alone(world: World) -> None:
    shop, telco, cloud, run = consented(world)
    asked = offer(SQL, world, run)
    for sender, message in (
        (telco, asked),  # not the host
        (shop, asked),
        (cloud, asked | {"run": "0" * 32}),
        (cloud, asked | {"sql": SQL.replace("s.plan", "c.region")}),
        (cloud, asked | {"receivers": ["shop", "telco"]}),
        (cloud, asked | {"asker": "telco"}),
    ):
        with pytest.raises(Refusal) as caught:
            sender.peers.call("telco", message)
        assert caught.value.code == "NO_SUCH_RUN"
    assert not telco.enclaves.offers.knows(run)
    assert cloud.peers.call("telco", asked)["tables"] is None
    assert telco.enclaves.offers.knows(run)


def test_what_is_to_be_given_again_is_not_sealed_anew(world: World) -> None:
    """A consent to repeat costs nothing: nothing may be computed for it."""
    handle = world.handle()
    done = handle.ask(SQL)
    shop, _, cloud = world.handle()._nodes
    run = uuid.uuid4().hex
    examined = examine(SQL, world.room, "shop", ["shop"])
    common = common_fields(SQL, examined, None) | {"run": run, "repeats": done.run}
    asked = messages.ConsentRequest(host="cloud", **common).model_dump(mode="json")
    assert shop.peers.call("telco", asked)["consent"]["repeats"] == done.run
    with pytest.raises(Refusal) as caught:
        cloud.peers.call("telco", offer(SQL, world, run))
    assert caught.value.code == "NO_SUCH_RUN"


def request(world: World, run: str, broker: str = "telco") -> tuple[KeyRequest, WorkerKeys]:
    keys = WorkerKeys()
    attester = DevAttester(DEV, world.program)
    return KeyRequest(world.room.agreement, broker, "cloud", run, keys, attester), keys


def sealed(cloud: LocalNode, world: World, run: str) -> None:
    for owner in ("shop", "telco"):
        while cloud.peers.call(owner, offer(SQL, world, run))["tables"] is None:
            pass


def test_T12_a_host_that_asks_for_another_runs_keys_gets_none(world: World) -> None:
    shop, telco, cloud, run = consented(world)
    with pytest.raises(Refusal) as caught:  # nothing was sealed yet
        cloud.peers.call("telco", request(world, run)[0].challenge())
    assert caught.value.code == "NO_SUCH_KEY"
    sealed(cloud, world, run)
    for sender, asked in ((shop, run), (telco, run), (cloud, "f" * 32)):
        with pytest.raises(Refusal) as caught:
            sender.peers.call("telco", request(world, asked)[0].challenge())
        assert caught.value.code == "NO_SUCH_KEY"


def test_T12_evidence_for_one_broker_or_run_is_good_for_no_other(world: World) -> None:
    _, _, cloud, run = consented(world)
    sealed(cloud, world, run)
    of_telco, _ = request(world, run)
    answer = of_telco.answer(cloud.peers.call("telco", of_telco.challenge()))
    of_shop, _ = request(world, run, "shop")
    challenged = cloud.peers.call("shop", of_shop.challenge())
    with pytest.raises(Refusal) as caught:
        cloud.peers.call("shop", answer | {"challenge": challenged["challenge"]})
    assert caught.value.code == "BINDING"
    other_key = answer | {"public_key": request(world, run)[1].public_key.hex()}
    with pytest.raises(Refusal) as caught:  # T11: an attacker's key beside genuine evidence
        cloud.peers.call("telco", other_key)
    assert caught.value.code == "BINDING"
    with pytest.raises(Refusal) as caught:  # T3: the challenge is used up, whatever became of it
        cloud.peers.call("telco", answer)
    assert caught.value.code == "NONCE_USED"


def test_a_run_has_one_worker(world: World) -> None:
    """Whoever could have a run computed twice could have its noise drawn twice, and the mean of both."""
    _, _, cloud, run = consented(world)
    sealed(cloud, world, run)
    first, _ = request(world, run)
    first.open(cloud.peers.call("telco", first.answer(cloud.peers.call("telco", first.challenge()))))
    second, _ = request(world, run)
    with pytest.raises(Refusal) as caught:
        cloud.peers.call("telco", second.answer(cloud.peers.call("telco", second.challenge())))
    assert caught.value.code == "ALREADY_RELEASED"


def test_a_run_that_had_keys_is_charged_whatever_its_host_says(world: World) -> None:
    from hitoku.transport.messages import Settle

    _, telco, cloud, run = consented(world)
    sealed(cloud, world, run)
    cloud.peers.call("telco", Settle(run=run, outcome="aborted").model_dump(mode="json"))
    known = telco.records.consented(run)
    assert known is not None
    assert known.state is RunState.COMMITTED
    with pytest.raises(Refusal) as caught:
        cloud.peers.call("telco", request(world, run)[0].challenge())
    assert caught.value.code == "KEY_REVOKED"


def test_a_run_that_never_began_is_free(world: World) -> None:
    from hitoku.transport.messages import Settle

    _, telco, cloud, run = consented(world)
    cloud.peers.call("telco", Settle(run=run, outcome="aborted").model_dump(mode="json"))
    known = telco.records.consented(run)
    assert known is not None
    assert known.state is RunState.ABORTED


def test_another_program_gets_no_key_and_the_ledgers_say_so(world: World) -> None:
    world.program = "ab" * 48
    refused(world, "MEASUREMENT_MISMATCH")
    found = entries(world, "shop", EntryKind.KEY_REFUSAL)
    assert [entry["code"] for entry in found] == ["MEASUREMENT_MISMATCH"]
    assert found[0]["host"] == "cloud"
    assert not entries(world, "telco", EntryKind.KEY_RELEASE)


def test_T23_software_evidence_is_refused_where_the_room_wants_hardware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = agreement_data(attestation={"accept": ["dev"]})
    with in_threads(make(tmp_path, data, tables()), monkeypatch) as world:
        refused(world, "SOFTWARE_ROOTED")


def test_T14_no_order_of_frames_makes_a_worker_say_more(world: World) -> None:
    """Whatever a host sends instead of what is its turn, the worker ends, and never with an answer."""
    draw = random.Random(14)
    for _ in range(40):
        worker = world.started()
        channel, said = Channel(worker.connection), list[Kind]()
        with suppress(Broken):
            for _ in range(draw.randrange(1, 5)):
                content = draw.choice([b"", b"{}", os.urandom(40), b'{"kind":"hitoku/enclave-order/1"}'])
                channel.send(draw.choice(list(Kind)), content)
            while Kind.FAILED not in said:
                said.append(channel.receive(dict.fromkeys(Kind, 1 << 20), 20)[0])
        worker.end()
        assert not worker.thread.is_alive()
        assert not {Kind.RESULT, Kind.DONE, Kind.CALL} & set(said)


# --- owners against each other, and what leaves ---


def test_an_owner_that_seals_something_else_ends_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Offers._rows

    def other(self: Offers, table: str, columns: Any) -> Any:
        types, batches = rows(self, table, columns)
        return (types, batches) if table == "customers" else (types[:1], batches)

    monkeypatch.setattr(Offers, "_rows", other)
    refused(world, "PEER")


def test_an_owner_that_breaks_the_stream_ends_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow's decoder would believe it; the worker's reader does not."""
    from hitoku.protections.enclave import rows

    made = rows.pieces

    def broken(*arguments: Any) -> Iterator[tuple[memoryview, int]]:
        for content, count in made(*arguments):
            changed = bytearray(content)
            for place in range(8, len(changed), 97):
                changed[place] ^= 0xFF
            yield memoryview(changed), count

    monkeypatch.setattr(sealed_table, "pieces", broken)
    refused(world, "PEER")


def test_T24_what_a_failure_tells_is_a_code(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from hitoku.protections.enclave.worker import serve as worker

    secret = "+49 170 0000001"

    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"cannot read {secret}")

    seen: list[bytes] = []
    receive = Channel.receive

    def heard(self: Channel, *arguments: Any) -> Any:
        kind, content = receive(self, *arguments)
        seen.append(bytes(content))
        return kind, content

    monkeypatch.setattr(worker, "cells", failing)
    monkeypatch.setattr(Channel, "receive", heard)
    with pytest.raises(PeerError) as caught:
        world.handle().ask(SQL)
    assert secret not in str(caught.value)
    assert not any(secret.encode() in content for content in seen)
    assert not any(b'"INTERNAL"' in content for content in seen)
    assert any(b'"COMPUTE"' in content for content in seen)


@pytest.mark.parametrize(
    "error",
    [
        EngineError("out of memory at a row", "OUT_OF_MEMORY"),
        LimitError("too many rows"),
        DisclosureError("cells"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_T24_how_a_run_fails_on_its_rows_is_not_told(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Else an asker that works with the host learns bits of the tables, before any threshold."""
    from hitoku.protections.enclave.worker import serve as worker

    def failing(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(worker, "cells", failing)
    refused(world, "COMPUTE")


def test_T24_the_hosts_channel_never_carries_a_value(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    send = Channel.send

    def said(self: Channel, kind: Kind, content: Any = b"") -> None:
        seen.append(bytes(content))
        send(self, kind, content)

    monkeypatch.setattr(Channel, "send", said)
    answer = world.handle().ask(SQL)
    assert dict(answer.fetchall()) == CLEAR
    carried = b"\n".join(seen)
    assert b"+49 170" not in carried
    assert b"basic" not in carried


def test_a_question_of_one_owner_needs_that_owner_alone(world: World) -> None:
    answer = world.handle().ask(
        "SELECT s.plan, COUNT(DISTINCT s.phone) AS n FROM subscribers s GROUP BY s.plan"
    )
    assert dict(answer.fetchall()) == CLEAR
    assert answer.attestation is not None
    assert set(answer.attestation["appraisals"]) == {"telco"}
    assert not entries(world, "shop", EntryKind.KEY_RELEASE)


def test_all_receivers_get_their_own_sealed_copy_and_the_certificate(world: World) -> None:
    from hitoku.attestation.certificate import check_certificate

    answer = world.handle().ask(SQL, receivers=["shop", "telco"])
    mine = json.loads((world.members["telco"].path / "answers" / f"{answer.run}.json").read_text())
    assert mine["rows"] == [list(row) for row in answer.fetchall()]
    for member in ("shop", "telco"):
        file = world.members[member].path / "answers" / f"{answer.run}.deletion.json"
        checked = check_certificate(json.loads(file.read_text()), world.room)
        assert checked.run == answer.run
        assert checked.software_rooted
    assert not list((world.members["telco"].path / "enclave" / "keys").iterdir())


def test_asked_again_it_is_computed_again(world: World) -> None:
    """The host keeps no answer: it has none."""
    first, second = world.handle().ask(SQL), world.handle().ask(SQL)
    assert first.run != second.run
    assert world.workers == 2
    assert world.room.agreement.table("customers") is not None
    assert JOIN in SQL


def test_a_worker_that_is_killed_ends_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(_: EnclaveDesk, __: Any) -> ThreadWorker:
        worker = world.started()
        worker._channel._connection.close()
        return worker

    monkeypatch.setattr(EnclaveDesk, "start", started)
    with pytest.raises(PeerError) as caught:
        world.handle().ask(SQL)
    assert caught.value.code == "ENGINE_CRASHED"
    assert state(world, "telco") is RunState.COMMITTED
