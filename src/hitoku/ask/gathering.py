# SPDX-License-Identifier: Apache-2.0
"""What the owners of a question's tables offer one of the servers: asked of each owner, and checked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.transport import messages, shares

if TYPE_CHECKING:
    from hitoku.ask.server import Server
    from hitoku.ask.work import Work
    from hitoku.protections.shares.manifest import Manifest

__all__ = ["Offered", "Offers"]

_SHORTEST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Offered:
    """A table as its owner offers it to this server."""

    owner: str
    manifest: Manifest
    offer: shares.OfferedShares = field(repr=False)


class Offers:
    """What the owners say of their tables; asked for once, then waited for."""

    def __init__(self, server: Server, work: Work) -> None:
        self._server, self._work = server, work
        fields = work.order.request.model_dump(exclude={"kind", "consents", "sealing"})
        self._message = shares.OfferShares(**fields).model_dump(mode="json")

    def all(self) -> dict[str, Offered]:
        """All tables of the question, by name.

        Raises:
            PeerError: an owner cannot be reached, or offers something else.
            Refusal: an owner refuses.
        """
        question = self._work.examined.question
        waiting = list(question.owners)
        found: dict[str, Offered] = {}
        pause, began = _SHORTEST_PAUSE, time.monotonic()
        while True:
            for owner in tuple(waiting):
                self._work.check()
                tables = self._ask(owner)
                if tables is not None:
                    waiting.remove(owner)
                    found |= {table: self._checked(owner, one) for table, one in tables.items()}
            if not waiting:
                break
            if time.monotonic() - began > limits.RUN_SECONDS:
                raise PeerError(f"{waiting[0]!r} did not share its tables in time", "LATE")
            self._server.clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        lacking = sorted({t.name for t in question.sources} - set(found))
        if lacking:
            raise PeerError(f"nobody shares table {lacking[0]}")
        return found

    def _ask(self, owner: str) -> dict[str, shares.OfferedShares] | None:
        reply = self._server.peers.call(owner, self._message)
        given = messages.read(shares.SharesOffered, reply, owner)
        if given.run != self._work.run:
            raise PeerError(f"{owner!r} answered about another run")
        return None if given.tables is None else {offer.table: offer for offer in given.tables}

    def _checked(self, owner: str, offer: shares.OfferedShares) -> Offered:
        from hitoku.protections.shares.manifest import check_manifest, read_manifest

        question = self._work.examined.question
        owners = {table.name: table.owner for table in question.sources}
        if owners.get(offer.table) != owner:
            raise PeerError(f"{owner!r} offers table {offer.table}, which is not its own in this question")
        manifest = read_manifest(offer.manifest.encode(), owner)
        check_manifest(
            manifest,
            self._server.room.agreement,
            table=offer.table,
            room=question.room_hash,
            run=self._work.run,
            question=question.hash,
            plan=self._work.examined.plan.hash,
        )
        return Offered(owner, manifest, offer)
