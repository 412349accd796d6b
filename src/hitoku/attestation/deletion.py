# SPDX-License-Identifier: Apache-2.0
"""What is said when a run is over: the worker's statement of deletion, and each broker's tombstone.

A statement is signed by the key that the worker's evidence was bound to, so it is the word of the measured
program. A tombstone is signed by the owner, and its hash stands in the owner's ledger: the broker's wrapped
copies are destroyed, and it will not release these keys again. Together they are a certificate
(`hitoku.attestation.certificate`). None of it proves that no copy exists elsewhere; nothing can.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.release import WorkerKeys
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.consent import Hash, Moment, RunId, moment
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name

__all__ = ["Release", "Statement", "Tombstone", "read_statement", "read_tombstone", "state_deletion"]

Signature = Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{86}==)?$")]
Program = Annotated[str, Field(pattern=r"^[0-9a-f]{96}$")]
WorkerKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
KeyIds = Annotated[dict[Name, KeyId], Field(min_length=1, max_length=limits.MAX_TABLES_PER_QUESTION)]
Digests = Annotated[dict[Name, Hash], Field(max_length=limits.MAX_MEMBERS)]


class _Signed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: str
    signature: Signature = ""

    def message(self) -> bytes:
        """The bytes that are signed."""
        facts = self.model_dump(mode="json", exclude={"signature"})
        return f"{self.format}\n".encode() + canonical_json(facts)

    @property
    def hash(self) -> str:
        """Its name in ledgers, signature included."""
        return digest(self.format, canonical_json(self.model_dump(mode="json")))


class Statement(_Signed):
    """A worker's word at its end.

    Attributes:
        room: the agreement's hash.
        run: the run.
        host: the member at whom it ran.
        program: what it is, as it was told; brokers have measured it.
        worker: the key that signs this, which its evidence was bound to.
        keys: ids of the data keys that it held and has overwritten.
        inputs: table -> digest of the sealed table that it read.
        outputs: receiver -> digest of the sealed answer that it made.
        kept: nothing: the program has no storage but memory, and no output but these.
        started: when it began, by the machine's clock.
        ended: when it ended.
    """

    format: Literal["hitoku/deletion-statement/1"] = "hitoku/deletion-statement/1"
    room: Hash
    run: RunId
    host: Name
    program: Program
    worker: WorkerKey
    keys: Annotated[list[KeyId], Field(min_length=1, max_length=limits.MAX_TABLES_PER_QUESTION)]
    inputs: Digests
    outputs: Digests
    kept: Literal["nothing"] = "nothing"
    started: Moment
    ended: Moment

    def holds(self) -> bool:
        """Whether the worker's key signed it."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.worker))
            key.verify(base64.b64decode(self.signature), self.message())
        except (InvalidSignature, ValueError):
            return False
        return True


class Release(BaseModel):
    """To whom the keys of a run were released.

    Attributes:
        worker: the worker's signing key.
        program: what was measured.
        evidence: hash of the evidence.
        ear: hash of the signed result of its appraisal.
        time: when.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    worker: WorkerKey
    program: Program
    evidence: Hash
    ear: Hash
    time: Moment


class Tombstone(_Signed):
    """An owner's word that its broker destroyed the keys of a run and releases them no more.

    Attributes:
        room: the agreement's hash.
        run: the run.
        broker: the owner.
        keys: table -> id of its key.
        releases: to which workers they were released.
        statement: hash of the worker's statement that the broker saw and checked; None if it saw none.
        since: from when on the broker refuses.
    """

    format: Literal["hitoku/tombstone/1"] = "hitoku/tombstone/1"
    room: Hash
    run: RunId
    broker: Name
    keys: KeyIds
    releases: Annotated[list[Release], Field(max_length=limits.MAX_MEMBERS)]
    statement: Hash | None = None
    since: Moment

    def holds(self, member_key: str) -> bool:
        """Whether the member's key (``ed25519:...``) signed it."""
        return valid_signature(member_key, self.message(), self.signature)


S = TypeVar("S", Statement, Tombstone)


def state_deletion(
    keys: WorkerKeys,
    *,
    room: str,
    run: str,
    host: str,
    program: str,
    key_ids: list[str],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    started: datetime,
    ended: datetime,
) -> Statement:
    """The worker's statement, signed. Call it after the data keys were overwritten; then forget `keys`.

    Args:
        keys: the worker's own keys.
        room: the agreement's hash.
        run: the run.
        host: the member at whom the worker runs.
        program: the program's digest as the worker was told, 96 hexadecimal digits.
        key_ids: of all data keys that were released to it.
        inputs: table -> ``sha256:`` digest of the sealed table.
        outputs: receiver -> ``sha256:`` digest of the sealed answer.
        started: when it began.
        ended: now.
    """
    statement = Statement(
        room=room,
        run=run,
        host=host,
        program=program,
        worker=keys.signing_key.hex(),
        keys=sorted(key_ids),
        inputs=dict(inputs),
        outputs=dict(outputs),
        started=moment(started),
        ended=moment(ended),
    )
    signature = base64.b64encode(keys.sign(statement.message())).decode()
    return statement.model_copy(update={"signature": signature})


def read_statement(data: object) -> Statement:
    """A statement from outside, its signature checked.

    Raises:
        Refused: ``MALFORMED``, or ``SIGNATURE``.
    """
    statement = _read(Statement, data)
    if not statement.holds():
        raise Refused(Code.SIGNATURE, "the statement of deletion is not signed by the worker's key")
    return statement


def read_tombstone(data: object, member_key: str) -> Tombstone:
    """A tombstone from outside, its signature checked with the owner's key.

    Raises:
        Refused: ``MALFORMED``, or ``SIGNATURE``.
    """
    tombstone = _read(Tombstone, data)
    if not tombstone.holds(member_key):
        raise Refused(Code.SIGNATURE, "the tombstone is not signed by the owner of the keys")
    return tombstone


def _read(model: type[S], data: Any) -> S:
    try:
        return model.model_validate(data)
    except ValidationError:
        raise Refused(Code.MALFORMED, f"not a {model.__name__.lower()} of deletion") from None
