# SPDX-License-Identifier: Apache-2.0
"""The messages by which a run's host carries, between a worker and an owner's key broker, what is not for it.

The host is an untrusted carrier: evidence is bound to all that a message says, keys come sealed for the
worker and signed by the broker. What evidence, a statement and a tombstone look like is checked by who reads
them (`hitoku.attestation`); here they are bounded objects.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hitoku import limits
from hitoku.room.consent import Hash, Moment, RunId
from hitoku.room.naming import Name
from hitoku.transport.messages import Message

__all__ = [
    "BROKER_KINDS",
    "CHALLENGE",
    "DELETE",
    "RELEASE",
    "REVOKE",
    "Challenge",
    "Challenged",
    "DeleteKeys",
    "KeyReleased",
    "KeysDeleted",
    "KeysRevoked",
    "ReleaseKey",
    "RevokeKeys",
]

CHALLENGE: Final = "hitoku/challenge/1"
RELEASE: Final = "hitoku/release-key/1"
REVOKE: Final = "hitoku/revoke-keys/1"
DELETE: Final = "hitoku/delete-keys/1"
BROKER_KINDS: Final = frozenset({CHALLENGE, RELEASE, REVOKE, DELETE})
"""The messages that a broker answers; it calls nobody for it."""

Bytes32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Blob = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=limits.MAX_ATTESTED_BLOB_CHARS)]
Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
Ear = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]*$", max_length=limits.MAX_EAR_CHARS)]
Stage = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
PartOfIdentity = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class Challenge(Message):
    """Host to a key broker, for a worker: what must evidence for this run's keys be bound to?

    Attributes:
        room: hash of the agreement.
        run: the run that the owner consented to.
        identity: what the worker's attester says of itself before (`Attester.identity`), base64 each.
    """

    kind: Literal["hitoku/challenge/1"] = "hitoku/challenge/1"
    room: Hash
    run: RunId
    identity: Annotated[dict[PartOfIdentity, Blob], Field(max_length=4)] = Field(default_factory=dict)


class Challenged(Message):
    """Broker to worker: answer this, once, until then.

    Attributes:
        run: the run.
        challenge: the challenge's id.
        nonce: 32 bytes, used once.
        expires: until when it can be answered.
        keys: the key's id of each of the owner's tables in the run.
        credential: of a TPM, what only it can open, base64; else empty.
        signature: the owner's, of all this and the room.
    """

    kind: Literal["hitoku/challenged/1"] = "hitoku/challenged/1"
    run: RunId
    challenge: Identifier
    nonce: Bytes32
    expires: Moment
    keys: Annotated[dict[Name, Identifier], Field(min_length=1, max_length=limits.MAX_TABLES_PER_QUESTION)]
    credential: Blob = ""
    signature: Signature


class ReleaseKey(Message):
    """Worker to broker: evidence that answers a challenge; release the keys to it.

    Attributes:
        room: hash of the agreement.
        run: the run.
        challenge: which challenge is answered.
        evidence: as `hitoku.attestation.evidence.Evidence.to_dict` makes it.
        public_key: X25519, for HPKE.
        signing_key: Ed25519; signs the statement of deletion.
        activated: what was in the credential, base64.
    """

    kind: Literal["hitoku/release-key/1"] = "hitoku/release-key/1"
    room: Hash
    run: RunId
    challenge: Identifier
    evidence: dict[str, Any]
    public_key: Bytes32
    signing_key: Bytes32
    activated: Blob = ""


class KeyReleased(Message):
    """Broker to worker: the keys, sealed for it.

    Attributes:
        run: the run.
        challenge: which challenge was answered.
        enc: HPKE's encapsulated key.
        ciphertext: the keys, sealed, base64.
        ear: the signed result of the appraisal, a JWT.
        signature: the owner's, of challenge, enc, ciphertext, EAR and binding: HPKE's base mode does not
            authenticate who sealed.
    """

    kind: Literal["hitoku/key-released/1"] = "hitoku/key-released/1"
    run: RunId
    challenge: Identifier
    enc: Bytes32
    ciphertext: Blob
    ear: Ear
    signature: Signature


class RevokeKeys(Message):
    """Host to broker: this run was ended at that stage; release its keys no more."""

    kind: Literal["hitoku/revoke-keys/1"] = "hitoku/revoke-keys/1"
    run: RunId
    stage: Stage


class KeysRevoked(Message):
    """Broker to host: so it is."""

    kind: Literal["hitoku/keys-revoked/1"] = "hitoku/keys-revoked/1"
    run: RunId


class DeleteKeys(Message):
    """Host to broker: the run is over; destroy its keys and say so.

    Attributes:
        run: the run.
        statement: the worker's signed statement of deletion, if it made one.
    """

    kind: Literal["hitoku/delete-keys/1"] = "hitoku/delete-keys/1"
    run: RunId
    statement: dict[str, Any] | None = None


class KeysDeleted(Message):
    """Broker to host: the tombstone, and the proof that it stands in the owner's ledger."""

    kind: Literal["hitoku/keys-deleted/1"] = "hitoku/keys-deleted/1"
    run: RunId
    tombstone: dict[str, Any]
    proof: dict[str, Any]
