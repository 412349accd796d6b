# SPDX-License-Identifier: Apache-2.0
"""An owner's side of a run in an enclave: it seals its tables, for a run that it consented to, once.

The host asks for it, and its word counts for nothing: the owner looks up what it consented to, and examines
the question again. A run whose consent is to give an old answer again has no new one computed; nothing is
sealed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hitoku.ask.common import Examined, examine, same_room
from hitoku.errors import Refusal
from hitoku.room.records import Records
from hitoku.room.runs import RunState
from hitoku.transport import enclave, messages

if TYPE_CHECKING:
    from hitoku.room.agreement import Room

__all__ = ["Offering"]


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
        same_room(self.room, request.room, self.me)
        examined = examine(
            request.sql,
            self.room,
            request.asker,
            request.receivers,
            request.protection,
            request.users_noise,
        )
        known = self.records.consented(request.run)
        question = examined.question
        if (
            known is None
            or not examined.protection.sealed
            or (known.asker, known.host) != (question.asker, sender)
            or (known.question, known.plan) != (question.hash, examined.plan.hash)
            or known.repeats is not None
        ):
            raise Refusal("NO_SUCH_RUN", f"{self.me!r} consented to no such run on {sender!r}", owner=self.me)
        if known.state is not RunState.RESERVED:
            raise Refusal("RUN_ENDED", f"{self.me!r} has ended this run; ask again", owner=self.me)
        tables = self.seal(examined, request.run, sender)
        return enclave.TablesOffered(run=request.run, tables=tables).model_dump(mode="json")
