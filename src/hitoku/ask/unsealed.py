# SPDX-License-Identifier: Apache-2.0
"""A receiver opens an answer that an enclave sealed for it, and takes it only if it is an enclave's.

The host that brings it cannot read it, but could have made something up: it knows the key that answers are
sealed for. So what is inside must carry its proof (`hitoku.protections.enclave.proof`): every owner of a
table in the question says, with its member's key, that its broker released keys to the program that signed
it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hitoku.attestation.codes import Refused
from hitoku.disclosure.answer import Answer
from hitoku.errors import HitokuError, PeerError
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement, ProtectionName, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.sealing import SealingKey, give_sealing_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

__all__ = ["OneAnswer", "Sealing", "checked_deletion", "unsealed"]


@dataclass(frozen=True, slots=True)
class Sealing:
    """What an asker receives sealed answers with.

    Attributes:
        keys: what it signs with.
        certified: keeps the certificate of deletion of a run, which holds.
    """

    keys: KeyStore
    certified: Callable[[str, Mapping[str, Any]], None]

    def of(self, me: str, room: str, run: str, host: str, plan: str) -> OneAnswer:
        """A fresh key for one run's answer under one plan; it lives in this process only.

        Raises:
            SecretError: the member's key cannot be read.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        key = X25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        given = give_sealing_key(self.keys, receiver=me, room=room, run=run, host=host, key=public)
        return OneAnswer(given, key, plan)


@dataclass(frozen=True, slots=True)
class OneAnswer:
    """What is needed to open one sealed answer.

    Attributes:
        given: the public key, signed.
        key: the private one.
        plan: the hash of the plan that the asker made.
    """

    given: SealingKey
    key: X25519PrivateKey = field(repr=False)
    plan: str

    def opened(self, sealed: str, room: Room, now: datetime) -> Answer:
        """The answer. See `unsealed`.

        Raises:
            PeerError: it does not open, is of another run, or is not an enclave's.
        """
        given = self.given
        return unsealed(
            sealed,
            self.key,
            room.agreement,
            me=given.receiver,
            run=given.run,
            host=given.host,
            now=now,
            plan=self.plan,
        )


def unsealed(
    sealed: str,
    key: X25519PrivateKey,
    agreement: Agreement,
    *,
    me: str,
    run: str,
    host: str,
    now: datetime,
    plan: str | None = None,
) -> Answer:
    """The answer.

    Args:
        sealed: as it came, base64.
        key: this receiver's one-time key of the run.
        agreement: the room's.
        me: this receiver.
        run: the run.
        host: who brought it.
        now: the time; owners' appraisals hold for a while only.
        plan: the plan's hash, as the asker knows it; None at other receivers, who made none.

    Raises:
        PeerError: it does not open, is of another run, or is not an enclave's.
    """
    from hitoku.protections.enclave.proof import check_proof, message_hash, read_proof
    from hitoku.protections.enclave.sealing import open_answer
    from hitoku.protections.enclave.stamp import stamp_of

    room = agreement_hash(agreement)
    try:
        raw = base64.b64decode(sealed, validate=True)
    except ValueError:
        raise PeerError(f"{host!r} sent a sealed answer that is none") from None
    content = open_answer(raw, key, room=room, run=run, receiver=me, sender=host)
    try:
        inside: Any = json.loads(content)
        message, shown = inside["answer"], inside["proof"]
        hashed = message_hash(message)
    except (ValueError, KeyError, TypeError, RecursionError, HitokuError):
        raise PeerError(f"{host!r} sent a sealed answer that cannot be read") from None
    answer = Answer.from_message(message, host)
    if (
        (answer.room, answer.run) != (room, run)
        or me not in answer.receivers
        or answer.protection != ProtectionName.ENCLAVE
    ):
        raise PeerError(f"{host!r} sent the answer to another question")
    ears = check_proof(
        read_proof(shown, host),
        agreement,
        run=run,
        host=host,
        question=answer.question,
        answer=answer.digest,
        message=hashed,
        plan=plan,
        owners=_owners(answer, agreement),
    )
    try:
        stamp = stamp_of(ears, agreement, now)
    except Refused as refused:
        raise PeerError(
            f"{host!r} sent an answer that is not from an enclave: {refused.detail}", "NOT_FROM_ENCLAVE"
        ) from None
    if answer.attestation != stamp:
        raise PeerError(
            f"{host!r} sent an answer with another stamp than its owners gave", "NOT_FROM_ENCLAVE"
        )
    return answer


def checked_deletion(
    certificate: Mapping[str, Any] | None, room: Room, answer: Answer, sealed: str, *, me: str, host: str
) -> dict[str, Any]:
    """What a receiver can say of the deletion of the keys of its answer's run.

    An answer without a certificate that holds is an answer all the same: its proof is another. So this does
    not raise. The certificate has to be of the very program, run and host that made the answer, of every
    owner of a table in the question, of every such table, and of the sealed answer that came.

    Args:
        certificate: as the host brought it beside the answer, or None.
        room: verified.
        answer: as `unsealed` returned it.
        sealed: as it came, base64.
        me: this receiver.
        host: who brought both.

    Returns:
        ``certified``; where that is false also ``reason``.
    """
    from hitoku.attestation.certificate import check_certificate
    from hitoku.protections.enclave.needs import tables_in

    def missing(reason: str) -> dict[str, Any]:
        return {"certified": False, "reason": reason}

    if certificate is None:
        return missing(f"{host!r} brought none: not all brokers answered it")
    try:
        checked = check_certificate(certificate, room)
    except Refused as refused:
        return missing(f"what {host!r} brought does not hold: {refused.detail}")
    except ImportError:
        return missing("it needs the extra to be checked: install hitoku[attestation]")
    except HitokuError:
        return missing(f"what {host!r} brought does not hold")
    stamp = answer.attestation or {}
    if (checked.run, certificate["room"], checked.host, checked.program) != (
        answer.run, answer.room, host, stamp.get("program")
    ):  # fmt: skip
        return missing(f"what {host!r} brought is of another run")
    if {broker.broker for broker in checked.brokers} != _owners(answer, room.agreement) or set(
        checked.inputs
    ) != set(tables_in(answer.sql)):
        return missing(f"what {host!r} brought is not of all owners and tables of the question")
    came = f"sha256:{hashlib.sha256(base64.b64decode(sealed)).hexdigest()}"
    if checked.outputs.get(me) != came or set(checked.outputs) != set(answer.receivers):
        return missing(f"what {host!r} brought is of another sealed answer")
    return {"certified": True}


def _owners(answer: Answer, agreement: Agreement) -> set[str]:
    """The owners of the tables in an answer's question."""
    from hitoku.protections.enclave.needs import tables_in

    return {t.owner for t in agreement.tables if t.name in tables_in(answer.sql)}
