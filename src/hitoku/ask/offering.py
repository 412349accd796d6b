# SPDX-License-Identifier: Apache-2.0
"""An owner's side of a run elsewhere: it seals or shares its tables, for a run that it consented to, once.

Who runs it asks for them, and its word counts for nothing: the owner looks up what it consented to, and
examines the question again. A run whose consent is to give an old answer again has no new one computed;
nothing is sealed or shared for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hitoku.ask.common import Examined, examine, same_room
from hitoku.errors import Refusal
from hitoku.room.records import Records
from hitoku.room.runs import RunState
from hitoku.transport import enclave, messages, shares

if TYPE_CHECKING:
    from hitoku.room.agreement import Room

__all__ = ["Offering", "SharesOffering"]


@dataclass(frozen=True, slots=True)
class Offering:
    """An owner's side of runs in enclaves.

    Attributes:
        me: the owner.
        room: the room, verified.
        records: what it remembers.
        seal: seals its tables of a question for a run on a host, or looks what came of it: None while it is
            under way. Called as often as the host asks.
    """

    me: str
    room: Room
    records: Records
    seal: Callable[[Examined, str, str], list[enclave.OfferedTable] | None]

    def offer(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an OfferTables.

        Raises:
            Refusal: this owner's copy of the rules does not allow the question, or it did not consent to
                exactly this run on the sender, or the run is over.
            PeerError: the message is malformed.
            InputError: a table is not where this node's settings say, or cannot be sealed.
        """
        request = messages.read(enclave.OfferTables, message, sender)
        examined = _consented(self, request, sender)
        if not examined.protection.sealed:
            raise _unknown(self.me, sender)
        tables = self.seal(examined, request.run, sender)
        return enclave.TablesOffered(run=request.run, tables=tables).model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class SharesOffering:
    """An owner's side of runs of three servers on shares.

    Attributes:
        me: the owner.
        room: the room, verified.
        records: what it remembers.
        share: shares its tables of a question for a run, or looks what came of it: what the server of that
            number may have; None while it is under way. Called as often as the servers ask.
    """

    me: str
    room: Room
    records: Records
    share: Callable[[Examined, str, int], list[shares.OfferedShares] | None]

    def offer(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an OfferShares.

        Raises:
            Refusal: this owner's copy of the rules does not allow the question, it did not consent to exactly
                this run, the sender is none of its servers, or the run is over.
            PeerError: the message is malformed.
            InputError: a table is not where this node's settings say, or cannot be shared.
        """
        request = messages.read(shares.OfferShares, message, sender)
        part = self.room.agreement.shares
        servers = () if part is None else part.servers
        if sender not in servers:
            raise _unknown(self.me, sender)
        examined = _consented(self, request, servers[0])
        if not examined.protection.shared:
            raise _unknown(self.me, sender)
        tables = self.share(examined, request.run, servers.index(sender))
        return shares.SharesOffered(run=request.run, tables=tables).model_dump(mode="json")


def _consented(
    owner: Offering | SharesOffering, request: enclave.OfferTables | shares.OfferShares, host: str
) -> Examined:
    """The question of a run to which the owner has consented, on that host.

    Raises:
        Refusal: it has not, or the run is over.
    """
    same_room(owner.room, request.room, owner.me)
    examined = examine(
        request.sql,
        owner.room,
        request.asker,
        request.receivers,
        request.protection,
        request.users_noise,
    )
    known = owner.records.consented(request.run)
    question = examined.question
    if (
        known is None
        or (known.asker, known.host) != (question.asker, host)
        or (known.question, known.plan) != (question.hash, examined.plan.hash)
        or known.repeats is not None
    ):
        raise _unknown(owner.me, host)
    if known.state is not RunState.RESERVED:
        raise Refusal("RUN_ENDED", f"{owner.me!r} has ended this run; ask again", owner=owner.me)
    return examined


def _unknown(me: str, host: str) -> Refusal:
    return Refusal("NO_SUCH_RUN", f"{me!r} consented to no such run on {host!r}", owner=me)
