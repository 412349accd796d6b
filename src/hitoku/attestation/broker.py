# SPDX-License-Identifier: Apache-2.0
"""An owner's key broker: it alone decides who gets the keys to the owner's data, by evidence, and remembers.

A key is made for one run and table, and released for that run only, through that run's host only, to workers
whose fresh evidence this owner's own appraisal accepts, each at most once and to no more workers than the run
has. Why one worker is the default: whoever could have a run computed twice could have its noise drawn twice.

The order in `Broker.release` is what the arguments rest on:

1. The nonce is used up in a transaction of its own before anything of the evidence is read. Of two answers to
   one challenge one is looked at, in whatever processes, and after a restart, too: the nonce is in the
   database.
2. The evidence is verified, compared with the binding that this broker computes from its own record of the
   challenge, and appraised. Whatever goes wrong refuses; an error that is no refusal refuses, too.
3. The keys are sealed, then the release is recorded: state, ledger and evidence in one transaction, which
   looks again whether the keys are live. Only then is the counter raised (`hitoku.attestation.epoch`) and
   only then does the answer leave. What is not on record was not released.

Refusals are on record the same way, where the one who asks hosts a run that keys are held of, and the
first few of a run: a ledger is for ever, and no other member can make it grow. Nothing of a key is in a
message, an error or the ledger but its id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sqlalchemy.engine import Connection

from hitoku import limits
from hitoku.attestation.binding import Binding, bound
from hitoku.attestation.broker_state import HeldKey, Taken
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.custody import Custody, DataKey
from hitoku.attestation.deletion import Release
from hitoku.attestation.epoch import Counter
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.keystore import KeyWrap
from hitoku.attestation.sealing import (
    Form,
    challenge_bytes,
    evidence_hash,
    release_binding,
    released_bytes,
    seal_keys,
    wipe,
)
from hitoku.errors import HitokuError
from hitoku.ports import Clock, KeyStore
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json
from hitoku.room.consent import moment
from hitoku.room.ledger import EntryKind
from hitoku.room.records import Records
from hitoku.transport import messages
from hitoku.transport.attested import Challenge, Challenged, KeyReleased, ReleaseKey

__all__ = ["Accepted", "Broker", "Credential", "DataKey", "Judge"]

_UNSIGNED: Final = "A" * 86 + "=="
"""Stands where the signature will, while the bytes to be signed are made."""
_REASON_CHARS: Final = 300


class Accepted(Protocol):
    """What an appraisal says of evidence that it accepts (`hitoku.attestation.appraise.Appraisal`)."""

    @property
    def claims(self) -> Claims:
        """What the evidence says."""
        ...

    @property
    def program(self) -> str:
        """The program that runs, by its digest."""
        ...

    @property
    def ear(self) -> str:
        """The signed result."""
        ...

    @property
    def ear_id(self) -> str:
        """The result's name in ledgers."""
        ...

    @property
    def software_rooted(self) -> bool:
        """Whether no hardware vouches for it."""
        ...


Judge = Callable[[Evidence, Binding, bool], Accepted]
"""`(evidence, binding, activated)`: this owner's appraisal, now; raises `Refused`."""

Credential = Callable[[Mapping[str, bytes]], tuple[bytes, bytes]]
"""A TPM's identity to a credential that only that TPM opens, and the secret in it."""


class Broker(Custody):
    """One owner's broker in one room.

    Args:
        agreement: in force, verified.
        records: what the owner remembers; its ledger takes every decision.
        keys: what the owner signs with.
        wrap: keeps data keys at rest.
        counter: kept apart from the database.
        clock: the time.
        judge: the owner's appraisal.
        credential: makes credentials for TPMs.
    """

    def __init__(
        self,
        *,
        agreement: Agreement,
        records: Records,
        keys: KeyStore,
        wrap: KeyWrap,
        counter: Counter,
        clock: Clock,
        judge: Judge,
        credential: Credential,
    ) -> None:
        super().__init__(
            agreement=agreement, records=records, keys=keys, wrap=wrap, counter=counter, clock=clock
        )
        self._judge, self._credential = judge, credential
        self._refusals: dict[str, int] = {}

    def challenge(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a Challenge: a fresh nonce, signed.

        Raises:
            Refused: there are no such keys for that sender; or they are revoked or deleted, which is in the
                ledger then.
            PeerError: the message is malformed.
        """
        request = messages.read(Challenge, message, sender)
        with self._refusing(_Asked(sender, request.run)):
            self._same_room(request.room)
            with self._records.store.reading() as connection:  # before anything that costs time is done
                self._live(connection, request.run, sender, self._clock.now())
            identity = {name: _bytes(part) for name, part in request.identity.items()}
            credential, secret = self._credential(identity) if identity else (b"", b"")
            now = self._clock.now()
            with self._deciding() as connection:
                held = self._live(connection, request.run, sender, now)
                made = Taken(
                    id=os.urandom(16).hex(),
                    run=request.run,
                    host=sender,
                    nonce=os.urandom(32),
                    keys={key.table: key.id for key in held},
                    expires=now + timedelta(seconds=limits.CHALLENGE_SECONDS),
                    activated=hashlib.sha256(secret).digest() if identity else None,
                    identity=_identity(identity) if identity else None,
                )
                self._state.add_challenge(connection, made)
        given = Challenged(
            run=made.run,
            challenge=made.id,
            nonce=made.nonce.hex(),
            expires=moment(made.expires),
            keys=dict(made.keys),
            credential=_base64(credential),
            signature=_UNSIGNED,
        )
        signature = self._signed(challenge_bytes(given, self._room, sender, self._me))
        return given.model_copy(update={"signature": signature}).model_dump(mode="json")

    def release(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a ReleaseKey: the keys, sealed for the worker that the evidence speaks for.

        Raises:
            Refused: with its code; it is in the ledger then.
            PeerError: the message is malformed.
        """
        request = messages.read(ReleaseKey, message, sender)
        asked = _Asked(sender, request.run, request.challenge)
        with self._refusing(asked):
            with self._deciding() as connection:
                taken = self._state.take_challenge(connection, request.challenge, sender)
            asked.run = taken.run
            self._same_room(request.room)
            if request.run != taken.run:
                raise Refused(Code.BINDING, "the challenge is of another run")
            if taken.expires < self._clock.now():
                raise Refused(Code.CHALLENGE_EXPIRED, "the challenge was not answered in time")
            asked.evidence = evidence = Evidence.from_dict(request.evidence)
            binding = release_binding(
                nonce=taken.nonce,
                challenge=taken.id,
                room=self._room,
                run=taken.run,
                host=sender,
                broker=self._me,
                keys=taken.keys,
                public_key=bytes.fromhex(request.public_key),
                signing_key=bytes.fromhex(request.signing_key),
            )
            activated = _activated(taken, evidence, _bytes(request.activated))
            accepted = self._judge(evidence, binding, activated)
            binding.check(accepted.claims)  # the appraisal does, too: keys hang on it
            return self._release(request, taken, evidence, binding, accepted)

    def _release(
        self, request: ReleaseKey, taken: Taken, evidence: Evidence, binding: Binding, accepted: Accepted
    ) -> dict[str, Any]:
        """Seal the keys, then record that they were released; then they may leave."""
        worker, now = request.signing_key, self._clock.now()
        with self._records.store.reading() as connection:
            held = self._challenged(connection, taken, now)
        enc, ciphertext = self._sealed(request, held, binding, accepted, evidence)
        answer = KeyReleased(
            run=taken.run,
            challenge=taken.id,
            enc=enc.hex(),
            ciphertext=_base64(ciphertext),
            ear=accepted.ear,
            signature=self._signed(released_bytes(taken.id, enc, ciphertext, accepted.ear, binding)),
        )
        name = evidence_hash(evidence)
        release = Release(
            worker=worker,
            program=accepted.program,
            evidence=name,
            ear=accepted.ear_id,
            time=moment(now),
        ).model_dump(mode="json")
        with self._deciding() as connection:
            if held != self._challenged(connection, taken, now):
                raise Refused(Code.KEY_REVOKED, "the keys changed while the evidence was appraised")
            for key in held:
                self._state.add_release(connection, key, worker, taken.id, release)
            content = canonical_json(evidence.to_dict())
            self._state.keep_evidence(connection, taken.run, name, content, accepted.ear)
            facts = {"run": taken.run, "challenge": taken.id, "host": taken.host, **release}
            rooted = {"kind": str(evidence.kind), "software_rooted": accepted.software_rooted}
            self._records.ledger.append(connection, EntryKind.APPRAISAL, facts | rooted)
            epoch = self._state.raise_epoch(connection)
            given = {"keys": dict(taken.keys), "epoch": epoch}
            self._records.ledger.append(connection, EntryKind.KEY_RELEASE, facts | given)
        self._counter.advance(epoch)
        return answer.model_dump(mode="json")

    def _sealed(
        self,
        request: ReleaseKey,
        held: tuple[HeldKey, ...],
        binding: Binding,
        accepted: Accepted,
        evidence: Evidence,
    ) -> tuple[bytes, bytes]:
        """The keys, sealed for the worker.

        Where a key service seals for the enclave itself, this broker never has them.
        """
        plain: list[tuple[int, bytes | bytearray]] = []
        by_service = evidence.kind is Kind.NITRO and bool(accepted.claims.public_key)
        try:
            for key in held:
                context, wrapped = self._context(key), key.wrapped or b""
                cms = self._wrap.unwrap_for(wrapped, context, evidence.content) if by_service else None
                if cms is not None:
                    plain.append((Form.CMS, cms))
                else:
                    plain.append((Form.RAW, self._wrap.unwrap(wrapped, context)))
            return seal_keys(bytes.fromhex(request.public_key), plain, binding, accepted.ear)
        finally:
            wipe(*(content for _, content in plain if isinstance(content, bytearray)))

    def _challenged(self, connection: Connection, taken: Taken, now: datetime) -> tuple[HeldKey, ...]:
        """The keys that a challenge named, all of them, while they are live."""
        live = self._live(connection, taken.run, taken.host, now)
        held = tuple(key for key in live if taken.keys.get(key.table) == key.id)
        if len(held) != len(taken.keys):
            raise Refused(Code.NO_SUCH_KEY, "the challenge is of other keys")
        return held

    @contextmanager
    def _refusing(self, asked: _Asked) -> Iterator[None]:
        """Record why, whatever goes wrong."""
        try:
            yield
        except Refused as refused:
            self._record(asked, refused)
            raise
        except HitokuError as error:
            failed = Refused(Code.INTERNAL, str(error))
        except Exception as error:  # fail closed; its words may quote evidence or a key
            failed = Refused(Code.INTERNAL, f"the broker failed ({type(error).__name__})")
        else:
            return
        self._record(asked, failed)
        raise failed from None

    def _record(self, asked: _Asked, refused: Refused) -> None:
        evidence = asked.evidence
        body: dict[str, Any] = {
            "run": asked.run,
            "challenge": asked.challenge,
            "host": asked.sender,
            "code": str(refused.code),
            "reason": refused.detail[:_REASON_CHARS],
            "evidence": None if evidence is None else evidence_hash(evidence),
        }
        with self._deciding() as connection:
            held = self._state.keys(connection, asked.run)
            if not held or held[0].host != asked.sender or not self._noteworthy(asked.run):
                return
            if evidence is not None:
                content = canonical_json(evidence.to_dict())
                self._state.keep_evidence(connection, asked.run, body["evidence"], content, None)
            self._records.ledger.append(connection, EntryKind.KEY_REFUSAL, body)

    def _noteworthy(self, run: str) -> bool:
        """Whether another refusal of a run goes on record. Inside the transaction that records it."""
        if run not in self._refusals:
            entries = self._records.ledger.entries(0, EntryKind.KEY_REFUSAL)
            self._refusals[run] = sum(entry.body.get("run") == run for entry in entries)
        self._refusals[run] += 1
        return self._refusals[run] <= limits.MAX_REFUSALS_A_RUN

    def _same_room(self, theirs: str) -> None:
        if theirs != self._room:
            raise Refused(Code.BINDING, "another version of the room is in force here")


@dataclass(slots=True)
class _Asked:
    """A request for keys, as far as it is understood."""

    sender: str
    run: str
    challenge: str | None = None
    evidence: Evidence | None = None


def _activated(taken: Taken, evidence: Evidence, secret: bytes) -> bool:
    """Whether the TPM that signed the evidence opened its credential.

    Raises:
        Refused: a credential was made for a TPM, and this is another, or did not open it.
    """
    if taken.activated is None:
        return False
    if evidence.kind is not Kind.TPM or _identity(evidence.endorsements) != taken.identity:
        raise Refused(Code.HARDWARE_MISMATCH, "the evidence is of another TPM, or key, than the challenge")
    if not hmac.compare_digest(hashlib.sha256(secret).digest(), taken.activated):
        raise Refused(Code.HARDWARE_MISMATCH, "the TPM did not open the credential that was made for it")
    return True


def _identity(parts: Mapping[str, bytes]) -> bytes:
    """What names a TPM's endorsement and attestation key."""
    return bound("hitoku/tpm-identity/1", [parts.get("ek", b""), parts.get("ak", b"")])[:32]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(Code.MALFORMED, "bytes are base64 text") from None
