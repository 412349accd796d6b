# SPDX-License-Identifier: Apache-2.0
"""A receiver's side: takes an answer from a host of the room, if it is for this member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from hitoku.ask.common import same_room
from hitoku.errors import Refusal
from hitoku.ports import Clock, KeyStore
from hitoku.room.agreement import Ability, ProtectionName, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.sealing import give_sealing_key
from hitoku.transport import enclave, messages

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from hitoku.disclosure.answer import Answer

__all__ = ["OneTimeKeys", "Receiver", "SealedReceiver"]


class OneTimeKeys(Protocol):
    """A receiver's keys for sealed answers, one a run, kept until the answer comes."""

    def make(self, run: str, host: str) -> bytes:
        """The public key of a run at that host, made at the first call. 32 bytes.

        Raises:
            Refusal: too many are waiting, or the run is another host's.
        """
        ...

    def find(self, run: str, host: str) -> X25519PrivateKey | None:
        """The key of a run at that host; None where there is none."""
        ...

    def forget(self, run: str) -> None:
        """Destroy the key of a run."""
        ...


class Receiver:
    """A receiver's side: takes an answer from a host of the room, if it is for this member."""

    def __init__(self, me: str, room: Room, keep: Callable[[Answer], None]) -> None:
        self._me, self._room, self._keep = me, room, keep

    def deliver(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a Deliver.

        An enclave's answer comes sealed, with its proof (`SealedReceiver`). What comes here carries no proof,
        so it is nothing that claims to be one: neither by its protection nor by a stamp. Nor is it an answer
        that three servers computed on shares: that comes in their parts (`hitoku.ask.combining`).

        Raises:
            Refusal: the sender is no host, the answer is of another room, run or receiver, of a protection
                that the room does not accept, or claims to be an enclave's or of three servers.
            PeerError: the message is malformed.
        """
        from hitoku.disclosure.answer import Answer

        request = messages.read(messages.Deliver, message, sender)
        host = self._room.agreement.member(sender)
        answer = Answer.from_message(request.answer, sender)
        if (
            host is None
            or not (Ability.HOST in host.abilities or self._computes(sender, answer.protection))
            or answer.room != agreement_hash(self._room.agreement)
            or answer.run != request.run
            or self._me not in answer.receivers
            or answer.protection not in self._room.agreement.protections
            or answer.protection in {ProtectionName.ENCLAVE, ProtectionName.SHARES}
            or answer.attestation is not None
        ):
            raise Refusal("DELIVERY_REFUSED", f"{self._me!r} does not take this answer from {sender!r}")
        self._keep(answer)
        return messages.Delivered(run=request.run).model_dump(mode="json")

    def _computes(self, sender: str, protection: str) -> bool:
        """Whether the room lets that member compute such answers with another owner."""
        agreed = self._room.agreement.crosstab if protection == ProtectionName.CROSSTAB else None
        tables = [] if agreed is None else [self._room.agreement.table(t.table) for t in agreed.tables]
        return sender in {t.owner for t in tables if t is not None}


class SealedReceiver:
    """A receiver's side of answers that an enclave seals for it.

    Args:
        me: the receiver.
        room: the room, verified.
        keys: what it signs with.
        one_time: its keys for sealed answers.
        keep: keeps an answer, with its certificate of deletion where one came that holds.
        kept: whether the answer of a run is kept already.
        clock: the time.
    """

    def __init__(
        self,
        me: str,
        room: Room,
        keys: KeyStore,
        one_time: OneTimeKeys,
        keep: Callable[[Answer, Mapping[str, Any] | None], None],
        kept: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._me, self._room, self._keys, self._one_time = me, room, keys, one_time
        self._keep, self._kept, self._clock = keep, kept, clock

    def key(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a SealingKeyRequest.

        Raises:
            Refusal: the sender computes nothing in this room, or asks for too many.
            PeerError: the message is malformed.
            SecretError: the member's key cannot be read.
        """
        request = messages.read(enclave.SealingKeyRequest, message, sender)
        same_room(self._room, request.room, self._me)
        self._computing(sender)
        public = self._one_time.make(request.run, sender)
        given = give_sealing_key(
            self._keys, receiver=self._me, room=request.room, run=request.run, host=sender, key=public
        )
        return enclave.SealingKeyGiven(key=given).model_dump(mode="json")

    def deliver(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a DeliverSealed.

        Raises:
            Refusal: nothing is awaited from that sender for that run.
            PeerError: it does not open, or is not an enclave's.
        """
        from hitoku.ask.unsealed import checked_deletion, unsealed

        request = messages.read(enclave.DeliverSealed, message, sender)
        self._computing(sender)
        key = self._one_time.find(request.run, sender)
        if key is not None:
            answer = unsealed(
                request.sealed,
                key,
                self._room.agreement,
                me=self._me,
                run=request.run,
                host=sender,
                now=self._clock.now(),
            )
            deletion = checked_deletion(
                request.certificate, self._room, answer, request.sealed, me=self._me, host=sender
            )
            certified = request.certificate if deletion["certified"] else None
            self._keep(replace(answer, deletion=deletion), certified)
            self._one_time.forget(request.run)
        elif not self._kept(request.run):
            raise Refusal("DELIVERY_REFUSED", f"{self._me!r} does not take this answer from {sender!r}")
        return messages.Delivered(run=request.run).model_dump(mode="json")

    def _computing(self, sender: str) -> None:
        member = self._room.agreement.member(sender)
        if member is None or not {Ability.COMPUTE, Ability.HOST} & set(member.abilities):
            raise Refusal("DELIVERY_REFUSED", f"{self._me!r} takes no answers from {sender!r}")
