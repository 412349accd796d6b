# SPDX-License-Identifier: Apache-2.0
"""The host's side of a worker, against a worker that says what the test wants."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest

from hitoku.errors import EngineError, HitokuError, PeerError, Refusal, RunAborted
from hitoku.ports import NoProgress
from hitoku.protections.enclave.enclosure import Enclosed, Enclosure
from hitoku.protections.enclave.frames import Broken, Channel, Kind
from hitoku.protections.enclave.sealed_table import SCHEMA
from hitoku.protections.enclave.terms import Order
from hitoku.transport.enclave import OfferedTable

ORDER = Order(
    room={},
    sql="SELECT 1",
    run="ab" * 16,
    host="cloud",
    asker="shop",
    receivers=["shop", "telco"],
    consents=[],
    sealing=[],
    began="2026-11-22T00:00:00Z",
)
OWNERS = {"customers": "shop", "subscribers": "telco"}
DONE = json.dumps({"kind": "hitoku/enclave-done/1", "answer": "sha256:" + "1" * 64, "statement": {}}).encode()


def result(receiver: str, content: bytes = b"sealed") -> bytes:
    return bytes([len(receiver)]) + receiver.encode() + content


def call(owner: str, kind: str) -> bytes:
    return json.dumps({"kind": "hitoku/enclave-call/1", "owner": owner, "message": {"kind": kind}}).encode()


def failure(code: str, table: str | None = None) -> bytes:
    return json.dumps({"kind": "hitoku/enclave-failure/1", "code": code, "table": table}).encode()


class Scripted:
    """A worker that sends frames, and remembers the answers to those that have some."""

    def __init__(self, *frames: tuple[Kind, bytes]) -> None:
        self.connection, theirs = socket.socketpair()
        self.replies: list[tuple[Kind, bytes]] = []
        self.ended = 0
        self._channel, self._frames = Channel(theirs), frames
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(Broken):  # the host has heard enough
            self._say()
        self._channel.close()

    def _say(self) -> None:
        self._channel.send(Kind.READY)
        self._channel.receive({Kind.ORDER: 1 << 20}, 20)
        for kind, content in self._frames:
            self._channel.send(kind, content)
            if kind is Kind.CALL:
                self._heard({Kind.REPLY: 1 << 20})
            if kind is Kind.TABLE:
                self._heard({Kind.REPLY: 1 << 20})
                while self._heard({Kind.CHUNK: 1 << 20, Kind.END: 0}) is not Kind.END:
                    continue

    def _heard(self, wanted: Mapping[Kind, int]) -> Kind:
        kind, content = self._channel.receive(wanted, 20)
        self.replies.append((kind, bytes(content)))
        return kind

    def end(self) -> None:
        self.ended += 1
        Channel(self.connection).close()
        self._thread.join(300)


class Peers:
    """Brokers that answer, or do not."""

    me = "cloud"

    def __init__(self, error: HitokuError | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self._error = error

    def call(self, member: str, message: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((member, message["kind"]))
        if self._error is not None:
            raise self._error
        return {"kind": "answer"}


class Parcels:
    """Two chunks of every table."""

    def fetch(self, *arguments: Any) -> Iterator[pa.RecordBatch]:
        for chunk in (b"one", b"two"):
            yield pa.record_batch([pa.array([chunk], pa.binary())], schema=SCHEMA)


def offered(table: str) -> OfferedTable:
    return OfferedTable(table=table, parcel="table-0", chunks=2, head="aGVhZA==")


def run(worker: Scripted, peers: Peers | None = None) -> Enclosed:
    return Enclosure(lambda: worker, peers or Peers(), Parcels()).run(ORDER, OWNERS, offered, NoProgress())


def test_what_was_sealed_is_handed_on() -> None:
    worker = Scripted(
        (Kind.PHASE, b"check"), (Kind.PHASE, b"\xff unknown"), (Kind.RESULT, result("shop", b"a")),
        (Kind.RESULT, result("telco", b"b")), (Kind.DONE, DONE),
    )  # fmt: skip
    made = run(worker)
    assert made.sealed == {"shop": b"a", "telco": b"b"}
    assert made.answer == "sha256:" + "1" * 64
    assert worker.ended


def test_two_kinds_of_messages_are_carried_to_owners() -> None:
    calls = [(Kind.CALL, call("shop", f"hitoku/{kind}/1")) for kind in ("challenge", "release-key")]
    worker, peers = Scripted(*calls, (Kind.FAILED, failure("INTERNAL"))), Peers()
    with pytest.raises(EngineError):
        run(worker, peers)
    assert peers.calls == [("shop", "hitoku/challenge/1"), ("shop", "hitoku/release-key/1")]
    assert all(json.loads(content)["message"] == {"kind": "answer"} for _, content in worker.replies)


@pytest.mark.parametrize("kind", ["settle", "cancel", "delete-keys", "revoke-keys", "run-request", "deliver"])
def test_nothing_else_is_said_in_the_hosts_name(kind: str) -> None:
    """What a worker says to a broker is said by its host: it must not settle or cancel runs."""
    worker = Scripted((Kind.CALL, call("shop", f"hitoku/{kind}/1")), (Kind.FAILED, failure("KEYS_REFUSED")))
    peers = Peers()
    with pytest.raises(HitokuError):
        run(worker, peers)
    assert not peers.calls
    assert json.loads(worker.replies[0][1])["message"] is None


def test_who_owns_no_table_of_the_question_is_not_called() -> None:
    worker, peers = Scripted((Kind.CALL, call("bank", "hitoku/challenge/1")), (Kind.DONE, DONE)), Peers()
    with pytest.raises(PeerError):
        run(worker, peers)
    assert not peers.calls


def test_why_a_broker_refused_is_told_to_the_asker_and_not_to_the_worker() -> None:
    refusal = Refusal("MEASUREMENT_MISMATCH", "the key broker refused", owner="shop")
    calls = [(Kind.CALL, call(owner, "hitoku/challenge/1")) for owner in ("shop", "telco")]
    worker = Scripted(*calls, (Kind.FAILED, failure("KEYS_REFUSED")))
    with pytest.raises(Refusal) as caught:
        run(worker, Peers(refusal))
    assert caught.value is refusal
    assert all(json.loads(content)["message"] is None for _, content in worker.replies)


def test_a_tables_chunks_are_carried_as_they_came() -> None:
    worker = Scripted((Kind.TABLE, b"customers"), (Kind.FAILED, failure("RUN_ABORTED", "customers")))
    with pytest.raises(RunAborted) as caught:
        run(worker)
    assert caught.value.stage == "table customers"
    said, *rest = worker.replies
    assert json.loads(said[1])["chunks"] == 2
    assert rest == [(Kind.CHUNK, b"one"), (Kind.CHUNK, b"two"), (Kind.END, b"")]


WRONG: dict[str, tuple[tuple[Kind, bytes], ...]] = {
    "a table that is not in the question": ((Kind.TABLE, b"secrets"),),
    "an answer for somebody else": ((Kind.RESULT, result("bank")),),
    "two answers for one": ((Kind.RESULT, result("shop")), (Kind.RESULT, result("shop"))),
    "not for all": ((Kind.RESULT, result("shop")), (Kind.DONE, DONE)),
    "an end that is none": ((Kind.DONE, b"{}"),),
    "a failure that is none": ((Kind.FAILED, b'{"code": "words, and a value"}'),),
    "a call that is none": ((Kind.CALL, b"[]"),),
    "a frame that is the host's": ((Kind.ORDER, b""),),
    "a phase that is too long": ((Kind.PHASE, b"x" * 1_000),),
    "nothing": (),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_worker_that_does_not_keep_to_it_ends_the_run(what: str) -> None:
    worker = Scripted(*WRONG[what])
    with pytest.raises(HitokuError) as caught:
        run(worker)
    assert "a value" not in str(caught.value)
    assert worker.ended


@pytest.mark.parametrize(
    ("code", "kind"),
    [("CONSENT_MISSING", EngineError), ("ENGINE_CRASHED", EngineError), ("PEER", EngineError)],
)
def test_a_code_becomes_an_error(code: str, kind: type[HitokuError]) -> None:
    with pytest.raises(kind):
        run(Scripted((Kind.FAILED, failure(code))))


def cancelled(before: bool) -> Callable[[], None]:
    worker = Scripted((Kind.RESULT, result("shop")), (Kind.RESULT, result("telco")), (Kind.DONE, DONE))
    enclosure: Enclosure

    def start() -> Scripted:
        if not before:
            enclosure.cancel()
        return worker

    enclosure = Enclosure(start, Peers(), Parcels())
    if before:
        enclosure.cancel()

    def go() -> None:
        enclosure.run(ORDER, OWNERS, offered, NoProgress())

    return go


@pytest.mark.parametrize("before", [True, False])
def test_who_cancelled_gets_no_answer(before: bool) -> None:
    with pytest.raises(EngineError) as caught:
        cancelled(before)()
    assert caught.value.code == "CANCELLED"
