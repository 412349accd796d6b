# SPDX-License-Identifier: Apache-2.0
"""What makes an answer the enclave's: the worker's signature, and its owners' word that the worker is one.

A host knows every receiver's sealing key, so anybody could seal something for it. Inside the seal, beside the
answer, is this: the worker signs what it answers with the Ed25519 key that its evidence was bound to, and
hands on, of each owner, the challenge and the release of keys that this evidence got. These carry the owner's
signature over that very key (`hitoku.attestation.release`: the binding), so a receiver knows: every owner of
a table in the question appraised a program, and that program made this answer. It needs nobody's word but
theirs, and not the host's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitoku import limits
from hitoku.attestation.binding import bound
from hitoku.attestation.sealing import challenge_bytes, release_binding, released_bytes
from hitoku.errors import PeerError
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash, canonical_json, digest
from hitoku.room.consent import Hash, RunId
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name
from hitoku.transport.attested import Challenged, KeyReleased

__all__ = ["Proof", "Voucher", "check_proof", "message_hash", "proof_bytes", "read_proof"]

Bytes32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_DOMAIN: Final = "hitoku/enclave-answer/1"


class Voucher(BaseModel):
    """One owner's word: its challenge, and what it answered the worker's evidence with."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    owner: Name
    challenged: Challenged
    released: KeyReleased


class Proof(BaseModel):
    """What stands beside an answer, inside its seal.

    Attributes:
        run: the run.
        room: the agreement's hash.
        host: where it ran.
        question: the question's hash.
        plan: the plan's.
        answer: the answer's digest, as ledgers name it.
        message: hash of the whole answer as it travels, with what the digest leaves out.
        public_key: the worker's X25519 key.
        signing_key: its Ed25519 key.
        vouchers: every owner's.
        signature: the worker's, of all above.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["hitoku/enclave-proof/1"] = "hitoku/enclave-proof/1"
    run: RunId
    room: Hash
    host: Name
    question: Hash
    plan: Hash
    answer: Hash
    message: Hash
    public_key: Bytes32
    signing_key: Bytes32
    vouchers: Annotated[list[Voucher], Field(min_length=1, max_length=limits.MAX_MEMBERS)]
    signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]


def message_hash(message: Mapping[str, Any]) -> str:
    """The hash of all that stands in an answer as it travels (`hitoku.disclosure.answer.Answer.to_message`).

    The answer's digest leaves out budget and ledger, which differ between members elsewhere. A receiver must
    not be told another price by a second receiver that works with the host: so the proof names both hashes.

    Raises:
        RoomError: it has no canonical form.
    """
    return digest("hitoku/enclave-answer-message/1", canonical_json(message))


def proof_bytes(
    *, room: str, run: str, host: str, question: str, plan: str, answer: str, message: str, public_key: bytes
) -> bytes:
    """The bytes that the worker signs."""
    texts = [text.encode() for text in (room, run, host, question, plan, answer, message)]
    return bound(_DOMAIN, [*texts, public_key])


def read_proof(data: object, sender: str) -> Proof:
    """A proof as it came.

    Raises:
        PeerError: it is none.
    """
    try:
        return Proof.model_validate(data)
    except ValidationError:
        raise PeerError(f"{sender!r} sent an answer without its proof") from None


def check_proof(
    proof: Proof,
    agreement: Agreement,
    *,
    run: str,
    host: str,
    question: str,
    answer: str,
    message: str,
    plan: str | None,
    owners: Iterable[str],
) -> Mapping[str, str]:
    """Whether the answer is from a program that every owner released its keys to.

    Args:
        proof: what came with the answer.
        agreement: the room's, as the receiver knows it.
        run: the run that the receiver waits for.
        host: who sent it.
        question: the answer's question.
        answer: the digest of the answer that came.
        message: the hash of the whole of it, see `message_hash`.
        plan: the plan's hash, where the receiver knows it: the asker does.
        owners: of the tables in the question.

    Returns:
        By owner, the signed result of its appraisal (EAR).

    Raises:
        PeerError: it is not.
    """

    def forged(what: str) -> PeerError:
        return PeerError(f"{host!r} sent an answer that is not from an enclave: {what}", "NOT_FROM_ENCLAVE")

    room = agreement_hash(agreement)
    if (proof.room, proof.run, proof.host, proof.question, proof.answer, proof.message) != (
        room, run, host, question, answer, message
    ):  # fmt: skip
        raise forged("its proof is of another answer")
    if plan is not None and proof.plan != plan:
        raise forged("it was released under another plan than the asker's")
    public, signing = bytes.fromhex(proof.public_key), bytes.fromhex(proof.signing_key)
    signed = proof_bytes(
        room=room,
        run=run,
        host=host,
        question=question,
        plan=proof.plan,
        answer=answer,
        message=message,
        public_key=public,
    )
    if not valid_signature(base64.b64encode(signing).decode(), signed, proof.signature):
        raise forged("the program's signature does not fit")
    found: dict[str, str] = {}
    for voucher in proof.vouchers:
        if voucher.owner in found or not _vouches(voucher, agreement, proof, public, signing):
            raise forged(f"{voucher.owner!r} did not vouch for the program")
        found[voucher.owner] = voucher.released.ear
    if set(found) != set(owners):
        raise forged("not all owners vouched for the program")
    return found


def _vouches(voucher: Voucher, agreement: Agreement, proof: Proof, public: bytes, signing: bytes) -> bool:
    member = agreement.member(voucher.owner)
    given, released = voucher.challenged, voucher.released
    if member is None or given.run != proof.run or released.run != proof.run:
        return False
    tables = [agreement.table(name) for name in given.keys]
    if any(table is None or table.owner != voucher.owner for table in tables):
        return False
    asked = challenge_bytes(given, proof.room, proof.host, voucher.owner)
    if given.challenge != released.challenge or not valid_signature(member.key, asked, given.signature):
        return False
    binding = release_binding(
        nonce=bytes.fromhex(given.nonce),
        challenge=given.challenge,
        room=proof.room,
        run=proof.run,
        host=proof.host,
        broker=voucher.owner,
        keys=given.keys,
        public_key=public,
        signing_key=signing,
    )
    try:
        ciphertext = base64.b64decode(released.ciphertext, validate=True)
    except ValueError:
        return False
    said = released_bytes(released.challenge, bytes.fromhex(released.enc), ciphertext, released.ear, binding)
    return valid_signature(member.key, said, released.signature)
