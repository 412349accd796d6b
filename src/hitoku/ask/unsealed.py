# SPDX-License-Identifier: Apache-2.0
"""A receiver opens an answer that an enclave sealed for it, and takes it only if it is an enclave's.

The host that brings it cannot read it, but could have made something up: it knows the key that answers are
sealed for. So what is inside must carry its proof (`hitoku.protections.enclave.proof`): every owner of a
table in the question says, with its member's key, that its broker released keys to the program that signed
it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hitoku.attestation.codes import Refused
from hitoku.disclosure.answer import Answer
from hitoku.errors import PeerError
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement, ProtectionName, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.sealing import SealingKey, give_sealing_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

__all__ = ["OneAnswer", "Sealing", "unsealed"]


@dataclass(frozen=True, slots=True)
class Sealing:
    """What an asker receives sealed answers with.

    Attributes:
        keys: what it signs with.
        certified: keeps the certificate of deletion that comes with a run's answer.
    """

    keys: KeyStore
    certified: Callable[[str, Mapping[str, Any]], None]

    def of(self, me: str, room: str, run: str, host: str) -> OneAnswer:
        """A fresh key for one run's answer; it lives in this process only.

        Raises:
            SecretError: the member's key cannot be read.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        key = X25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        given = give_sealing_key(self.keys, receiver=me, room=room, run=run, host=host, key=public)
        return OneAnswer(given, key)


@dataclass(frozen=True, slots=True)
class OneAnswer:
    """What is needed to open one sealed answer.

    Attributes:
        given: the public key, signed.
        key: the private one.
    """

    given: SealingKey
    key: X25519PrivateKey = field(repr=False)

    def opened(self, sealed: str, room: Room, now: datetime) -> Answer:
        """The answer. See `unsealed`.

        Raises:
            PeerError: it does not open, is of another run, or is not an enclave's.
        """
        given = self.given
        return unsealed(
            sealed, self.key, room.agreement, me=given.receiver, run=given.run, host=given.host, now=now
        )


def unsealed(
    sealed: str, key: X25519PrivateKey, agreement: Agreement, *, me: str, run: str, host: str, now: datetime
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

    Raises:
        PeerError: it does not open, is of another run, or is not an enclave's.
    """
    from hitoku.protections.enclave.needs import tables_in
    from hitoku.protections.enclave.proof import check_proof, read_proof
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
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PeerError(f"{host!r} sent a sealed answer that cannot be read") from None
    answer = Answer.from_message(message, host)
    if (
        (answer.room, answer.run) != (room, run)
        or me not in answer.receivers
        or answer.protection != ProtectionName.ENCLAVE
    ):
        raise PeerError(f"{host!r} sent the answer to another question")
    owned = {t.owner for t in agreement.tables if t.name in tables_in(answer.sql)}
    ears = check_proof(
        read_proof(shown, host),
        agreement,
        run=run,
        host=host,
        question=answer.question,
        answer=answer.digest,
        owners=owned,
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
