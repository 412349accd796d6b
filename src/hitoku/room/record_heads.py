# SPDX-License-Identifier: Apache-2.0
"""What a member's record of a room keeps of ledgers: the others' heads, and how a restored ledger goes on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku.errors import RoomError
from hitoku.ports import Clock, KeyStore
from hitoku.room import store as tables
from hitoku.room.agreement import Agreement
from hitoku.room.budgets import Accounts
from hitoku.room.ledger import EntryKind, Head, Ledger
from hitoku.room.predictiontables import close_models
from hitoku.room.restored import Restored
from hitoku.room.store import Store

__all__ = ["Heads", "charged_in"]


class Heads:
    """A member's own ledger of one room, and what it knows of the others'.

    Args:
        store: the member's database.
        room: the room's id.
        member: whose record this is.
        keys: signs the ledger's heads.
        clock: dates what is recorded.
    """

    def __init__(self, store: Store, room: str, member: str, keys: KeyStore, clock: Clock) -> None:
        self.room = room
        self.member = member
        self.store = store
        self.ledger = Ledger(store, room, member, keys, clock)
        self._clock = clock

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that has the member's record of the room to itself from its beginning.

        The ledger's lock comes before that of any row: who took a run's row first and then waited for the
        ledger would wait in a circle with who holds the ledger and comes to that row.
        """
        with self.store.transaction() as connection:
            self.ledger.lock(connection)
            yield connection

    def peer_head(self, member: str) -> Head | None:
        """The newest head seen of another member's ledger."""
        head = tables.peer_heads.c
        with self.store.reading() as connection:
            raw = connection.scalar(sa.select(head.head).where(head.room == self.room, head.member == member))
        return None if raw is None else Head.from_bytes(raw)

    def keep_head(self, head: Head, after: Head | None) -> bool:
        """Keep a head that continues `after`, the one known; an older one changes nothing.

        Returns False, and keeps nothing, where `after` is no longer the one known: nobody checked that the
        head continues the one that is.
        """
        known = tables.peer_heads.c
        here = (known.room == self.room) & (known.member == head.member)
        with self._writing() as connection:
            raw = connection.scalar(sa.select(known.head).where(here))
            if (None if raw is None else bytes(raw)) != (None if after is None else after.to_bytes()):
                return False
            row = {"size": head.size, "head": head.to_bytes()}
            if after is None:
                place = {"room": self.room, "member": head.member}
                connection.execute(sa.insert(tables.peer_heads), place | row)
            else:
                connection.execute(
                    sa.update(tables.peer_heads).where(here, known.size < head.size).values(**row)
                )
        return True

    def note_missing(self, closed: Restored) -> None:
        """Write down how far a restored ledger is behind what others have seen."""
        ledger = tables.ledgers.c
        with self.store.transaction() as connection:
            connection.execute(
                sa.update(tables.ledgers)
                .where(ledger.room == self.room, ledger.restored.is_not(None))
                .values(restored=closed.to_text())
            )

    def arrived(self, closed: Restored) -> int | None:
        """Let a ledger that was moved here go on, since all others know so. Returns its ledger entry.

        None where another process of this node was faster.
        """
        here = (tables.ledgers.c.room == self.room) & (tables.ledgers.c.restored == closed.to_text())
        with self.store.transaction() as connection:
            size = self.ledger.lock(connection, going_on=True)
            gone = connection.execute(sa.update(tables.ledgers).where(here).values(restored=None))
            if gone.rowcount != 1:
                return None
            body = {"stage": "arrived", "entries": size, "instance": closed.instance}
            return self.ledger.append(connection, EntryKind.RESTORE, body)

    def arrived_twice(self, closed: Restored, missing: int) -> None:
        """Another copy of the ledger goes on: this one is as one that was restored from a plain backup.

        Its instance stays in the mark: while it is there, this copy signs nothing (`Restored.twice`).
        """
        moment = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")  # the other may have consented until now
        mark = Restored("restored", moment, closed.size, missing, closed.instance)
        here = (tables.ledgers.c.room == self.room) & (tables.ledgers.c.restored == closed.to_text())
        with self.store.transaction() as connection:
            connection.execute(sa.update(tables.ledgers).where(here).values(restored=mark.to_text()))

    def accept_loss(self, agreement: Agreement, known: Mapping[str, Head | None], missing: int) -> int:
        """Let a restored ledger go on, and count as spent whatever may have been. Returns its ledger entry.

        What the lost entries charged is not known, and a single question may take all that an account has
        left: so every account of this member is closed for its period, all access budgets are used up for
        theirs, tables with overlap columns admit no further question that is judged by them, and models
        score no further row today.

        Args:
            agreement: the agreement in force.
            known: the head that each other member keeps of this ledger.
            missing: how many entries of it are lost that another has seen.
        """
        now = self._clock.now()
        here = (tables.ledgers.c.room == self.room) & tables.ledgers.c.restored.is_not(None)
        heads = {
            name: {"size": head.size, "root": head.root.hex()}
            for name, head in sorted(known.items())
            if head is not None
        }
        with self.store.transaction() as connection:
            size = self.ledger.lock(connection, going_on=True)
            connection.execute(sa.update(tables.ledgers).where(here).values(restored=None))
            charged = Accounts(connection, agreement, self.member, now).close(
                f"restore:{secrets.token_hex(16)}"
            )
            close_models(connection, agreement, self.member, now)
            body = {"stage": "loss-accepted", "entries": size, "missing": missing, "known": heads}
            seq = self.ledger.append(connection, EntryKind.RESTORE, body | charged_in(charged))
            connection.execute(sa.delete(tables.facts).where(tables.facts.c.name == self._lost))
            connection.execute(sa.insert(tables.facts), {"name": self._lost, "value": str(seq)})
            return seq

    @property
    def _lost(self) -> str:
        return f"lost:{self.room}"

    def loss(self) -> int | None:
        """The newest ledger entry that says what a restore lost; None where none does."""
        with self.store.reading() as connection:
            seq = connection.scalar(sa.select(tables.facts.c.value).where(tables.facts.c.name == self._lost))
        return None if seq is None else int(seq)

    def accept_restored(self, head: Head, kept: Head) -> int:
        """Keep a head of a restored ledger that does not continue the one that is kept. Returns the entry.

        Raises:
            RoomError: another head was kept meanwhile.
        """
        known = tables.peer_heads.c
        here = (known.room == self.room) & (known.member == head.member)
        with self._writing() as connection:
            raw = connection.scalar(sa.select(known.head).where(here))
            if raw is None or bytes(raw) != kept.to_bytes():
                raise RoomError("another head of that ledger was kept meanwhile: look again")
            values = {"size": head.size, "head": head.to_bytes()}
            connection.execute(sa.update(tables.peer_heads).where(here).values(**values))
            heads = {
                name: {"size": one.size, "root": one.root.hex()}
                for name, one in (("was", kept), ("now", head))
            }
            body = {"stage": "restored-accepted", "member": head.member, **heads}
            return self.ledger.append(connection, EntryKind.RESTORE, body)


def charged_in(facts: list[dict[str, str]]) -> dict[str, Any]:
    """The part of a ledger entry that says what was charged."""
    return {"charges": facts} if facts else {}
