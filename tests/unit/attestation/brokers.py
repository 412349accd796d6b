# SPDX-License-Identifier: Apache-2.0
"""Two owners' brokers, a run that both consented to, and workers on a platform made for the tests."""

# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.attestation.attest.dev import DevAttester
from hitoku.attestation.binding import Binding
from hitoku.attestation.broker import Broker
from hitoku.attestation.certificate import Carried, make_certificate
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.deletion import Statement, state_deletion
from hitoku.attestation.epoch import COUNTER_FILE, FileCounter
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.kept import Kept
from hitoku.attestation.keystore import LocalKeys
from hitoku.attestation.reference import ReferenceValue
from hitoku.attestation.release import KeyRequest, WorkerKeys
from hitoku.node.broker import BrokerDesk
from hitoku.room.agreement import Agreement
from hitoku.room.attestation import AcceptedKind
from hitoku.room.canonical import agreement_hash, digest
from hitoku.room.records import Records, Role, Run
from hitoku.room.store import Store
from hitoku.transport.attested import DeleteKeys

PROGRAM = hashlib.sha384(b"the worker that the members signed for").hexdigest()
OTHER_PROGRAM = hashlib.sha384(b"the same with one byte changed").hexdigest()
RUN = "0123456789abcdef" * 2
HOST = "host"
TABLES = {"airport": "flights", "registry": "planes"}


@cache
def empty_database() -> bytes:
    """A member's database as it is at first: making the tables anew takes a third of a second each time."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "state.db")
        store.scrub()
        store.close()
        return (Path(folder) / "state.db").read_bytes()


def records_of(place: Any, owner: str, clock: Any) -> Records:
    """A member's records."""
    directory = place.members[owner]
    file = directory.path / "state.db"
    if not file.exists():
        file.write_bytes(empty_database())
    records: Records = directory.records(str(place.agreement.id), clock)
    return records


class Platform:
    """A maker of machines: evidence of one of its machines is signed with its key."""

    def __init__(self, kind: Kind = Kind.DEV) -> None:
        self.kind = kind
        self._key = Ed25519PrivateKey.generate()

    def quote(self, program: str, binding: Binding, public_key: bytes = b"") -> Evidence:
        said = {"program": program, "report_data": binding.report_data(self.kind).hex()}
        if self.kind is Kind.NITRO:
            said |= {"nonce": binding.nonce.hex(), "public_key": public_key.hex()}
        content = json.dumps(said).encode()
        return Evidence(self.kind, content, {"signature": self._key.sign(content)})

    def verify(self, evidence: Evidence) -> Claims:
        try:
            self._key.public_key().verify(evidence.endorsements["signature"], evidence.content)
        except (InvalidSignature, KeyError):
            raise Refused(Code.SIGNATURE, "not of this platform") from None
        said = json.loads(evidence.content)
        return Claims(
            kind=evidence.kind,
            measurements={"program": said["program"]},
            report_data=bytes.fromhex(said["report_data"]),
            software_rooted=True,
            nonce=bytes.fromhex(said["nonce"]) if "nonce" in said else None,
            public_key=bytes.fromhex(said["public_key"]) if "public_key" in said else None,
        )


@dataclass
class Machine:
    """One machine of the platform and the program on it: an Attester."""

    platform: Platform
    program: str = PROGRAM

    @property
    def kind(self) -> Kind:
        return self.platform.kind

    def identity(self) -> dict[str, bytes]:
        return {}

    def activate(self, credential: bytes) -> bytes:
        raise AssertionError("no credential was made for it")

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
        return self.platform.quote(self.program, binding, public_key)


@dataclass(frozen=True)
class Found:
    """What the stand-in for the appraisal says of evidence that it accepts."""

    claims: Claims
    program: str
    ear: str
    software_rooted: bool = True

    @property
    def ear_id(self) -> str:
        return digest("hitoku/ear/1", self.ear.encode())


@dataclass
class Office:
    """One owner's broker."""

    place: Any
    owner: str
    clock: Any
    platform: Platform
    judged: list[tuple[Evidence, Binding, bool]] = field(default_factory=list)
    wrap: Any = None
    credential: Any = None

    def __post_init__(self) -> None:
        self.directory = self.place.members[self.owner]
        self.records = records_of(self.place, self.owner, self.clock)
        self.folder: Path = self.directory.path / "attestation"
        self.counter = FileCounter(self.folder / COUNTER_FILE)
        self.broker = self.opened()

    def opened(self, agreement: Agreement | None = None) -> Broker:
        """The broker as after a restart."""
        return Broker(
            agreement=agreement or self.place.agreement,
            records=self.records,
            keys=self.directory.keys({}),
            wrap=self.wrap or LocalKeys(self.folder),
            counter=self.counter,
            clock=self.clock,
            judge=self.judge,
            credential=self.credential or no_credential,
        )

    def judge(self, evidence: Evidence, binding: Binding, activated: bool) -> Found:
        self.judged.append((evidence, binding, activated))
        claims = self.platform.verify(evidence)
        program = claims.measurements["program"]
        if program != PROGRAM:
            raise Refused(Code.MEASUREMENT_MISMATCH, "what runs is not what the members signed for")
        return Found(claims, program, f"ear.{secrets.token_hex(8)}.signed")

    def reserve(self, run: str = RUN, host: str = HOST) -> None:
        """Consent to a run, as `ask.Owner` does."""
        self.records.reserve(
            Run(
                id=run,
                role=Role.OWNER,
                asker="airport",
                host=host,
                question=digest("q", b""),
                sql="SELECT 1",
                plan=digest("p", b""),
                protection="enclave",
                receivers=("airport",),
                tables=(TABLES[self.owner],),
            ),
            self.place.agreement,
        )

    def key(self, run: str = RUN, host: str = HOST, workers: int = 1) -> bytes:
        """Consent to a run and make its key; the key."""
        self.reserve(run, host)
        return bytes(self.broker.make_key(run, TABLES[self.owner], host, workers).key)

    def entries(self, *kinds: str) -> list[dict[str, Any]]:
        """The bodies of the ledger's entries of these kinds."""
        return [e.body for e in self.records.ledger.entries() if e.kind in kinds]

    def request(
        self, run: str = RUN, host: str = HOST, keys: WorkerKeys | None = None, attester: Any = None
    ) -> KeyRequest:
        """A worker's request to this broker."""
        attester = attester or Machine(self.platform)
        return KeyRequest(self.place.agreement, self.owner, host, run, keys or WorkerKeys(), attester)

    def answered(self, request: KeyRequest, host: str = HOST) -> dict[str, Any]:
        """The request's second message, after its challenge."""
        return request.answer(self.broker.challenge(host, request.challenge()))

    def get(self, request: KeyRequest | None = None, host: str = HOST) -> bytes:
        """The key that a worker gets, all steps in their order."""
        request = request or self.request(host=host)
        released = self.broker.release(host, self.answered(request, host))
        return bytes(request.open(released)[TABLES[self.owner]])


def no_credential(identity):
    raise AssertionError("no identity was sent")


def refused(code: Code, action: Any, *arguments: Any) -> Refused:
    """What an action is refused with, which has that code."""
    with pytest.raises(Refused) as caught:
        action(*arguments)
    assert caught.value.code is code
    return caught.value


# --- with the real appraisal and `dev` evidence ---


def attested(data: dict[str, Any]) -> None:
    """The small room, where software that both owners signed for is accepted."""
    data["attestation"] = {"accept": ["dev", "tpm"], "software": True}


def signed_value(place: Any, program: str = PROGRAM, serial: int = 1, **more: Any) -> ReferenceValue:
    """A statement about a program, signed by both owners."""
    said: dict[str, Any] = {
        "room": place.agreement.id,
        "serial": serial,
        "program": program,
        "version": "worker",
        "kind": AcceptedKind.DEV,
        "measurements": {"program": (program,)},
        "not_after": "2027-01-01T00:00:00Z",
    }
    value = ReferenceValue(**(said | more))
    for owner in TABLES:
        value = value.sign(owner, place.members[owner].keys({}))
    return value


class Desk(Office):
    """One owner's broker as its node opens it."""

    def __init__(self, place: Any, owner: str, clock: Any) -> None:
        self.place, self.owner, self.clock = place, owner, clock
        self.directory = place.members[owner]
        self.records = records_of(place, owner, clock)
        self.folder = self.directory.path / "attestation"
        self.kept = Kept(self.directory, self.records)
        self.kept.put([signed_value(place)], place.agreement, "add")
        self.desk = BrokerDesk(self.directory, place.room, lambda: self.records, clock)
        self.broker = self.desk.broker

    def request(
        self, run: str = RUN, host: str = HOST, keys: WorkerKeys | None = None, attester: Any = None
    ) -> KeyRequest:
        attester = attester or dev(self.clock)
        return KeyRequest(self.place.agreement, self.owner, host, run, keys or WorkerKeys(), attester)


def dev(clock: Any, program: str = PROGRAM) -> DevAttester:
    """What signs that it is that program."""
    return DevAttester(Ed25519PrivateKey.from_private_bytes(bytes(range(32))), program, clock)


@dataclass
class Ended:
    """A run that ended: both owners' keys were released to one worker, which made its statement."""

    place: Any
    clock: Any
    worker: WorkerKeys = field(default_factory=WorkerKeys)

    def __post_init__(self) -> None:
        self.desks = {owner: Desk(self.place, owner, self.clock) for owner in TABLES}
        self.carried: dict[str, dict[str, Any]] = {}
        self.ids: list[str] = []
        for owner, desk in self.desks.items():
            desk.key()
            request = desk.request(keys=self.worker)
            challenged = desk.desk.answer(HOST, request.challenge())
            release = request.answer(challenged)
            released = desk.desk.answer(HOST, release)
            request.open(released)
            self.ids += request.key_ids.values()
            self.carried[owner] = {"challenged": challenged, "release": release, "released": released}
        self.clock.pass_seconds(5)

    def statement(self, **change: Any) -> Statement:
        """The worker's, with changes of what it says."""
        said: dict[str, Any] = {
            "room": agreement_hash(self.place.agreement),
            "run": RUN,
            "host": HOST,
            "program": PROGRAM,
            "key_ids": self.ids,
            "inputs": {"flights": digest("in", b"1"), "planes": digest("in", b"2")},
            "outputs": {"airport": digest("out", b"1")},
            "started": self.clock.now(),
            "ended": self.clock.now(),
        }
        return state_deletion(self.worker, **(said | change))

    def certificate(self, statement: Statement | None = None) -> dict[str, Any]:
        """What the host puts together."""
        said = (statement or self.statement()).model_dump(mode="json")
        carried = {}
        for owner, desk in self.desks.items():
            deleted = desk.desk.answer(HOST, DeleteKeys(run=RUN, statement=said).model_dump(mode="json"))
            carried[owner] = Carried(**self.carried[owner], deleted=deleted)
        made: dict[str, Any] = json.loads(json.dumps(make_certificate(said, carried)))
        return made

    def close(self) -> None:
        """Close the databases."""
        for desk in self.desks.values():
            desk.records.store.close()
