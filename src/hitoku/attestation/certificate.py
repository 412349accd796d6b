# SPDX-License-Identifier: Apache-2.0
"""Deletion certificates: all that was said about one run's keys, in one file, for anybody with the room.

The run's host puts it together of the messages that it carried anyway (`make_certificate`). Checking it
(`check_certificate`) trusts nobody's summary: each broker's challenge, evidence, appraisal, tombstone and
ledger proof are read again, and have to fit each other and the worker's statement.

What it shows, if the members' keys are theirs, the evidence is what it says, and the hash and signatures
hold: the program that the brokers measured said that it overwrote the keys and kept nothing; and each owner
signed, and has in its ledger, that its broker destroyed its copies and releases these keys no more. It does
not show that no copy exists elsewhere. That rests on the measured program having no other way out, and on
the machine that ran it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitoku.attestation.binding import Binding
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.deletion import Statement, Tombstone, read_statement, read_tombstone
from hitoku.attestation.ear import ear_id, issued_at, verify_ear
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.sealing import challenge_bytes, evidence_hash, release_binding
from hitoku.attestation.verify import verify
from hitoku.errors import RoomError
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.consent import Hash, RunId
from hitoku.room.heads import signed_ever
from hitoku.room.keys import valid_signature
from hitoku.room.ledger import EntryKind, Inclusion
from hitoku.room.naming import Name
from hitoku.transport.attested import Bytes32, Challenged, Ear

__all__ = ["Carried", "Checked", "CheckedBroker", "check_certificate", "make_certificate"]

FORMAT: Final = "hitoku/deletion-certificate/1"


@dataclass(frozen=True, slots=True)
class Carried:
    """The messages of one broker's release and deletion, as the host carried them."""

    challenged: Mapping[str, Any]
    release: Mapping[str, Any]
    released: Mapping[str, Any]
    deleted: Mapping[str, Any]


class _Part(BaseModel):
    """What one broker said, and what was said to it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    broker: Name
    challenged: Challenged
    evidence: dict[str, Any]
    public_key: Bytes32
    ear: Ear
    tombstone: dict[str, Any]
    proof: dict[str, Any]


class _Certificate(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["hitoku/deletion-certificate/1"] = FORMAT
    room: Hash
    run: RunId
    statement: dict[str, Any]
    brokers: Annotated[list[_Part], Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class CheckedBroker:
    """What holds of one broker.

    Attributes:
        broker: the owner.
        tables: whose keys are deleted.
        evidence: which kind of evidence it accepted.
        software_rooted: whether no hardware vouches for that.
        appraised: when it accepted it.
        since: from when on it refuses.
        entry: the tombstone's number in its ledger.
        size: of the ledger, under the head that proves it.
        not_checked: what the evidence's verifier cannot check.
    """

    broker: str
    tables: tuple[str, ...]
    evidence: str
    software_rooted: bool
    appraised: str
    since: str
    entry: int
    size: int
    not_checked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A certificate that holds.

    Attributes:
        run: the run.
        program: what ran, by its digest.
        host: where.
        ended: when the worker said that it ended, by its own clock.
        inputs: table -> digest of the sealed table that it said it read.
        outputs: receiver -> digest of the sealed answer that it said it made, and nothing else.
        brokers: the owners' parts.
        software_rooted: whether some evidence has no hardware behind it: then all of it shows a flow only.
    """

    run: str
    program: str
    host: str
    ended: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    brokers: tuple[CheckedBroker, ...]
    software_rooted: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)


def make_certificate(statement: Mapping[str, Any], carried: Mapping[str, Carried]) -> dict[str, Any]:
    """A certificate of what the host carried, JSON-ready; it holds if `check_certificate` says so.

    Args:
        statement: the worker's.
        carried: owner -> the messages of its broker.
    """
    parts = [
        {
            "broker": broker,
            "challenged": dict(said.challenged),
            "evidence": said.release["evidence"],
            "public_key": said.release["public_key"],
            "ear": said.released["ear"],
            "tombstone": said.deleted["tombstone"],
            "proof": said.deleted["proof"],
        }
        for broker, said in sorted(carried.items())
    ]
    return {
        "format": FORMAT,
        "room": statement["room"],
        "run": statement["run"],
        "statement": dict(statement),
        "brokers": parts,
    }


def check_certificate(data: object, room: Room) -> Checked:
    """Check a certificate, all of it.

    Args:
        data: from anybody, JSON-ready.
        room: verified to be in force (`hitoku.room.signing.verify`); the run may be of an earlier version.

    Raises:
        Refused: ``MALFORMED``, ``SIGNATURE`` or ``BINDING``, or what the evidence's verifier says.
    """
    try:
        certificate = _Certificate.model_validate(data)
    except ValidationError:
        raise Refused(Code.MALFORMED, "this is no deletion certificate") from None
    statement = read_statement(certificate.statement)
    if (statement.room, statement.run) != (certificate.room, certificate.run):
        raise Refused(Code.BINDING, "the worker's statement is of another run")
    agreement = _version(room, certificate.room)
    if len({part.broker for part in certificate.brokers}) != len(certificate.brokers):
        raise Refused(Code.MALFORMED, "one broker is there twice")
    held = {key for part in certificate.brokers for key in part.challenged.keys.values()}
    tables = {table for part in certificate.brokers for table in part.challenged.keys}
    if set(statement.keys) != held or not statement.inputs.keys() <= tables:
        raise Refused(Code.BINDING, "the worker had other keys than those whose deletion the brokers sign")
    brokers = tuple(_broker(part, statement, agreement, room) for part in certificate.brokers)
    return Checked(
        run=statement.run,
        program=statement.program,
        host=statement.host,
        ended=statement.ended,
        inputs=statement.inputs,
        outputs=statement.outputs,
        brokers=brokers,
        software_rooted=any(b.software_rooted for b in brokers),
    )


def _version(room: Room, name: str) -> Agreement:
    for agreement in (room.agreement, *(v.agreement for v in room.history)):
        if agreement_hash(agreement) == name:
            return agreement
    raise Refused(Code.BINDING, "the run is of another room, or of a version that is not in the room file")


def _broker(part: _Part, statement: Statement, agreement: Agreement, room: Room) -> CheckedBroker:
    member = agreement.member(part.broker)
    owned = {t.name for t in agreement.tables if t.owner == part.broker}
    if member is None or not part.challenged.keys.keys() <= owned:
        raise Refused(Code.BINDING, f"{part.broker!r} owns other tables")
    challenged = part.challenged
    signed = challenge_bytes(challenged, statement.room, statement.host, part.broker)
    if not valid_signature(member.key, signed, challenged.signature):
        raise Refused(Code.SIGNATURE, f"the challenge does not carry the signature of {part.broker!r}")
    if challenged.run != statement.run:
        raise Refused(Code.BINDING, f"the challenge of {part.broker!r} is of another run")
    binding = release_binding(
        nonce=bytes.fromhex(challenged.nonce),
        challenge=challenged.challenge,
        room=statement.room,
        run=statement.run,
        host=statement.host,
        broker=part.broker,
        keys=challenged.keys,
        public_key=bytes.fromhex(part.public_key),
        signing_key=bytes.fromhex(statement.worker),
    )
    evidence = Evidence.from_dict(part.evidence)
    made, software_rooted = _appraisal(part, statement, agreement, evidence, binding)
    claims = _claims(evidence, binding, made)
    tombstone = read_tombstone(part.tombstone, member.key)
    _fits(tombstone, part, statement, evidence)
    proof = _proof(part, tombstone, room)
    if datetime.fromisoformat(tombstone.since) < made:
        raise Refused(Code.BINDING, f"{part.broker!r} deleted its keys before it released them")
    return CheckedBroker(
        broker=part.broker,
        tables=tuple(sorted(challenged.keys)),
        evidence=str(evidence.kind),
        software_rooted=software_rooted,
        appraised=made.isoformat(),
        since=tombstone.since,
        entry=proof.index,
        size=proof.head.size,
        not_checked=claims.not_checked,
    )


def _appraisal(
    part: _Part, statement: Statement, agreement: Agreement, evidence: Evidence, binding: Binding
) -> tuple[datetime, bool]:
    """When the broker accepted this evidence for this binding, and whether as software."""
    made = issued_at(part.ear)  # it is checked as of then, since it is long past
    claims = verify_ear(part.ear, agreement, made)
    said = claims["submods"].get(str(evidence.kind), {})
    ours = said.get("hitoku") if isinstance(said, dict) else None
    if claims["iss"] != part.broker or len(claims["submods"]) != 1 or not isinstance(ours, dict):
        raise Refused(Code.BINDING, f"the appraisal is not one of {part.broker!r} of this evidence")
    wanted = {
        "room": statement.room,
        "program": statement.program,
        "evidence": evidence_hash(evidence),
        "binding": hashlib.sha256(binding.digest).hexdigest(),
    }
    if any(ours.get(name) != value for name, value in wanted.items()):
        raise Refused(
            Code.BINDING, f"the appraisal of {part.broker!r} is of another program, room, worker or evidence"
        )
    # No owner's word makes a dev key hardware.
    return made, ours.get("software_rooted") is not False or evidence.kind is Kind.DEV


def _claims(evidence: Evidence, binding: Binding, made: datetime) -> Claims:
    """The evidence, verified again as of when the broker did."""
    claims = verify(evidence, made)
    binding.check(claims)
    return claims


def _fits(tombstone: Tombstone, part: _Part, statement: Statement, evidence: Evidence) -> None:
    said = (tombstone.room, tombstone.run, tombstone.broker, tombstone.keys)
    if said != (statement.room, statement.run, part.broker, part.challenged.keys):
        raise Refused(Code.BINDING, f"the tombstone of {part.broker!r} is of other keys")
    if tombstone.statement != statement.hash:
        raise Refused(Code.BINDING, f"{part.broker!r} did not countersign this statement")
    others = [r for r in tombstone.releases if r.worker != statement.worker]
    if others or len(tombstone.releases) != 1:
        raise Refused(Code.BINDING, f"{part.broker!r} released the keys to others, who stated nothing")
    release = tombstone.releases[0]
    facts = (release.program, release.evidence, release.ear)
    if facts != (statement.program, evidence_hash(evidence), ear_id(part.ear)):
        raise Refused(Code.BINDING, f"{part.broker!r} released the keys for other evidence")


def _proof(part: _Part, tombstone: Tombstone, room: Room) -> Inclusion:
    """That the tombstone stands in the owner's ledger, under a head that the owner signed."""
    try:
        proof = Inclusion.from_dict(part.proof)
        entry = json.loads(proof.entry)
        facts = (entry["member"], entry["room"], entry["kind"], entry["body"]["tombstone"])
        seq = entry["seq"]
    except (RoomError, ValueError, KeyError, TypeError):
        raise Refused(Code.MALFORMED, f"the proof of {part.broker!r} is none") from None
    room_id = str(room.agreement.id)
    if (proof.head.member, proof.head.room) != (part.broker, room_id) or not proof.verify(signed_ever(room)):
        raise Refused(Code.SIGNATURE, f"the proof does not hold under a head that {part.broker!r} signed")
    if facts != (part.broker, room_id, str(EntryKind.TOMBSTONE), tombstone.hash) or seq != proof.index:
        raise Refused(Code.BINDING, f"the proof of {part.broker!r} is of another ledger entry")
    return proof
