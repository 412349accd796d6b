# SPDX-License-Identifier: Apache-2.0
"""An owner's data keys in custody: made once for a run and table, revoked, deleted; every decision on record.

Each decision is one transaction on the owner's database: the state, the ledger's entries and the new head
are durable together or not at all. Decisions that must never be undone also raise a counter outside of the
database (`hitoku.attestation.epoch`) before anything that rests on them leaves. Where the database turns
out to be older than the counter, nobody knows what it has forgotten: then all its keys are revoked, and
that is on record.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from hitoku import limits
from hitoku.attestation.broker_state import BrokerState, HeldKey, KeyState
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.deletion import Release, Statement, Tombstone
from hitoku.attestation.epoch import Counter
from hitoku.attestation.keystore import KeyWrap
from hitoku.attestation.sealing import KEY_BYTES
from hitoku.ports import Clock, KeyStore
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash, canonical_json
from hitoku.room.consent import moment
from hitoku.room.ledger import EntryKind, Inclusion
from hitoku.room.records import Records

__all__ = ["Custody", "DataKey"]


@dataclass(slots=True)
class DataKey:
    """A key that the owner seals one table with for one run.

    Attributes:
        id: 32 hexadecimal digits.
        key: 32 bytes; the caller wipes them (`hitoku.attestation.release.wipe`).
    """

    id: str
    key: bytearray

    def __repr__(self) -> str:
        return f"DataKey({self.id!r})"


class Custody:
    """One owner's data keys in one room.

    Args:
        agreement: in force, verified.
        records: what the owner remembers; its ledger takes every decision.
        keys: what the owner signs with.
        wrap: keeps data keys at rest.
        counter: kept apart from the database.
        clock: the time.
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
    ) -> None:
        self._agreement, self._room = agreement, agreement_hash(agreement)
        self._records, self._me = records, records.member
        self._state = BrokerState(records.room)
        self._keys, self._wrap, self._counter = keys, wrap, counter
        self._clock = clock

    def make_key(self, run: str, table: str, host: str, workers: int = 1) -> DataKey:
        """Make the key that one of this owner's tables is sealed with for one run.

        Args:
            run: a run that this owner consented to.
            table: one of its tables.
            host: the host of that run.
            workers: how many workers get it.

        Raises:
            Refused: ``NO_SUCH_KEY``: no such run is open here on that host, or the key was made before;
                ``TOMBSTONED``: the run is over.
            SecretError: the key cannot be kept.
        """
        declared = self._agreement.table(table)
        if declared is None or declared.owner != self._me or workers < 1:
            raise Refused(Code.NO_SUCH_KEY, f"{table!r} is no table of {self._me!r}")
        made = HeldKey(
            id=os.urandom(16).hex(),
            run=run,
            table=table,
            host=host,
            workers=workers,
            state=KeyState.LIVE,
            wrapped=None,
            created=self._clock.now(),
        )
        key = bytearray(os.urandom(KEY_BYTES))
        wrapped = self._wrap.wrap(key, self._context(made))
        with self._deciding() as connection:
            if self._state.tombstone(connection, run) is not None:
                raise Refused(Code.TOMBSTONED, "the run is over, and its keys are deleted")
            if self._state.open_on(connection, run) != host:
                raise Refused(Code.NO_SUCH_KEY, "the owner has no such run open on that host")
            if any(k.table == table for k in self._state.keys(connection, run)):
                raise Refused(Code.NO_SUCH_KEY, "this table's key was made before, and is given once")
            self._state.add_key(connection, replace(made, wrapped=wrapped))
        return DataKey(made.id, key)

    def revoke(self, run: str, stage: str, sender: str | None = None) -> None:
        """End a run's keys: something in it was altered or went wrong. May be said twice.

        Args:
            run: the run.
            stage: where it went wrong, for the ledger.
            sender: the member who says so; None for this owner itself.

        Raises:
            Refused: ``NO_SUCH_KEY``: there are none of a run on that host.
        """
        with self._deciding() as connection:
            self._held(connection, run, sender)
            if self._state.end_keys(connection, run, KeyState.REVOKED):
                body = {"run": run, "stage": stage, "by": sender or self._me}
                self._records.ledger.append(connection, EntryKind.REVOCATION, body)
                epoch = self._state.raise_epoch(connection)
            else:
                epoch = self._state.epoch(connection)
        self._counter.advance(epoch)
        self._records.store.scrub()

    def tombstone(
        self, run: str, statement: Statement | None = None, sender: str | None = None
    ) -> tuple[Tombstone, Inclusion]:
        """Destroy a run's keys for good. Returns the tombstone and the proof that it is in the ledger.

        Said again, it gives the same tombstone with a proof into the newest head.

        Args:
            run: the run.
            statement: the worker's, checked by `hitoku.attestation.deletion.read_statement`.
            sender: the member who asks; None for this owner itself.

        Raises:
            Refused: ``NO_SUCH_KEY``: there are none of a run on that host; ``BINDING``: the statement is not
                of a worker that got these keys.
        """
        with self._deciding() as connection:
            known = self._state.tombstone(connection, run)
            held = self._held(connection, run, sender)
            if known is None:
                made = self._tombstone(connection, run, held, statement)
                body = {"run": run, "keys": made.keys, "tombstone": made.hash}
                if statement is not None:
                    facts = {"run": run, "statement": statement.hash, "worker": statement.worker}
                    self._records.ledger.append(connection, EntryKind.DELETION, facts)
                seq = self._records.ledger.append(connection, EntryKind.TOMBSTONE, body)
                self._state.end_keys(connection, run, KeyState.TOMBSTONED)
                content = canonical_json(made.model_dump(mode="json"))
                self._state.add_tombstone(connection, run, content, seq)
                epoch = self._state.raise_epoch(connection)
            else:
                made, seq = Tombstone.model_validate_json(known[0]), known[1]
                epoch = self._state.epoch(connection)
        self._counter.advance(epoch)
        self._records.store.scrub()
        return made, self._records.ledger.prove(seq)

    def _tombstone(
        self, connection: Connection, run: str, held: tuple[HeldKey, ...], statement: Statement | None
    ) -> Tombstone:
        releases = self._state.releases(connection, held)
        if statement is not None:
            got = statement.worker in releases and {k.id for k in held} <= set(statement.keys)
            if not got or (statement.room, statement.run) != (self._room, run):
                raise Refused(Code.BINDING, "the statement is not of a worker that got the keys of this run")
        made = Tombstone(
            room=self._room,
            run=run,
            broker=self._me,
            keys={k.table: k.id for k in held},
            releases=[Release.model_validate(facts) for facts in releases.values()],
            statement=None if statement is None else statement.hash,
            since=moment(self._clock.now()),
        )
        return made.model_copy(update={"signature": self._signed(made.message())})

    def _live(self, connection: Connection, run: str, host: str, now: datetime) -> tuple[HeldKey, ...]:
        """The keys of a run on that host, if they may still be released."""
        held = self._held(connection, run, host)
        states = {key.state for key in held}
        if KeyState.TOMBSTONED in states:
            raise Refused(Code.TOMBSTONED, "the keys of this run are deleted, and never released again")
        if KeyState.REVOKED in states:
            raise Refused(Code.KEY_REVOKED, "the keys of this run are revoked")
        late = now - min(key.created for key in held) > timedelta(seconds=limits.KEY_SECONDS)
        if late or self._state.open_on(connection, run) != host:
            raise Refused(Code.KEY_REVOKED, "the run is over")
        return held

    def _held(self, connection: Connection, run: str, host: str | None) -> tuple[HeldKey, ...]:
        """The keys of a run; those of another host's run are not said to be there."""
        held = self._state.keys(connection, run)
        if not held or (host is not None and held[0].host != host):
            raise Refused(Code.NO_SUCH_KEY, "no keys are held for such a run on that host")
        return held

    @contextmanager
    def _deciding(self) -> Iterator[Connection]:
        """One transaction on a database that nobody put back, in turn with all others."""
        store, counted = self._records.store, self._counter.read()
        with store.reading() as connection:
            back = self._state.epoch(connection) < counted
        if back:
            self._rolled_back()
        with store.transaction() as connection:
            self._records.ledger.lock(connection)
            yield connection

    def _rolled_back(self) -> None:
        """The database was put back: what it says of its keys is not known to hold, so none is released."""
        with self._records.store.transaction() as connection:
            self._records.ledger.lock(connection)
            before, counted = self._state.epoch(connection), self._counter.read()
            if before >= counted:
                return
            ended = self._state.revoke_all(connection)
            self._state.raise_epoch(connection, counted)
            if before or ended:  # else it is new, and its counter began above zero, as a TPM's does
                body = {"stage": "rolled-back", "by": self._me, "epochs": [before, counted], "keys": ended}
                self._records.ledger.append(connection, EntryKind.REVOCATION, body)
        self._records.store.scrub()

    def _context(self, key: HeldKey) -> dict[str, str]:
        return {"room": self._records.room, "run": key.run, "table": key.table, "key": key.id}

    def _signed(self, message: bytes) -> str:
        return base64.b64encode(self._keys.sign(message)).decode()
