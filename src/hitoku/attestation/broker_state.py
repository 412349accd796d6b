# SPDX-License-Identifier: Apache-2.0
"""What a broker remembers of one room, row by row; every method works inside its caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.room import keytables as tables
from hitoku.room.canonical import canonical_json
from hitoku.room.runs import Role, RunState
from hitoku.room.store import insert_once, runs

__all__ = ["BrokerState", "HeldKey", "KeyState", "Taken", "read_time", "write_time"]

_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_EPOCH: Final = "broker"


class KeyState(StrEnum):
    """Where a data key stands; it only moves down."""

    LIVE = "live"
    REVOKED = "revoked"
    TOMBSTONED = "tombstoned"


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A data key as it is kept.

    Attributes:
        id: 32 hexadecimal digits.
        run: the run it is for.
        table: whose data it seals.
        host: the only member at whom a worker gets it.
        workers: how many workers get it.
        state: where it stands.
        wrapped: the key, wrapped; None once it is destroyed.
        created: when.
    """

    id: str
    run: str
    table: str
    host: str
    workers: int
    state: KeyState
    wrapped: bytes | None
    created: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """A challenge that is being answered: its nonce is used up.

    Attributes:
        id: of the challenge.
        run: the run.
        host: who asked for it.
        nonce: 32 bytes.
        keys: table -> id of its key.
        activated: of a TPM, SHA-256 of what was in the credential; else None.
        identity: of a TPM, SHA-256 of the keys that the credential was made for.
        expires: until when it could be answered.
    """

    id: str
    run: str
    host: str
    nonce: bytes
    keys: Mapping[str, str]
    expires: datetime
    activated: bytes | None = None
    identity: bytes | None = None


class BrokerState:
    """A broker's rows of one room.

    Args:
        room: the room's id.
    """

    def __init__(self, room: str) -> None:
        self._room = room

    def add_key(self, connection: Connection, key: HeldKey) -> None:
        """Keep a new key."""
        row = {
            "id": key.id,
            "room": self._room,
            "run": key.run,
            "table": key.table,
            "host": key.host,
            "workers": key.workers,
            "state": str(key.state),
            "wrapped": key.wrapped,
            "created": write_time(key.created),
        }
        connection.execute(sa.insert(tables.keys), row)

    def keys(self, connection: Connection, run: str) -> tuple[HeldKey, ...]:
        """The keys of a run, by their tables' names."""
        row = tables.keys.c
        found = connection.execute(
            sa.select(tables.keys).where(row.room == self._room, row.run == run).order_by(row.table)
        )
        return tuple(
            HeldKey(
                id=str(key.id),
                run=run,
                table=str(key.table),
                host=str(key.host),
                workers=int(key.workers),
                state=KeyState(key.state),
                wrapped=None if key.wrapped is None else bytes(key.wrapped),
                created=read_time(key.created),
            )
            for key in found
        )

    def end_keys(self, connection: Connection, run: str, state: KeyState) -> int:
        """Destroy the wrapped keys of a run. Returns how many changed their state."""
        row = tables.keys.c
        earlier = [KeyState.LIVE] if state is KeyState.REVOKED else [KeyState.LIVE, KeyState.REVOKED]
        done = connection.execute(
            sa.update(tables.keys)
            .where(row.room == self._room, row.run == run, row.state.in_([str(s) for s in earlier]))
            .values(state=str(state), wrapped=None)
        )
        return int(done.rowcount)

    def add_challenge(self, connection: Connection, challenge: Taken) -> None:
        """Keep a new challenge.

        Raises:
            Refused: ``POLICY``: the run had too many.
        """
        row = tables.challenges.c
        here = (row.room == self._room) & (row.run == challenge.run)
        count = connection.scalar(sa.select(sa.func.count()).where(here))
        if int(count or 0) >= limits.MAX_CHALLENGES_A_RUN:
            raise Refused(Code.POLICY, f"a run has at most {limits.MAX_CHALLENGES_A_RUN} challenges")
        values = {
            "id": challenge.id,
            "room": self._room,
            "run": challenge.run,
            "host": challenge.host,
            "nonce": challenge.nonce,
            "keys": canonical_json(challenge.keys),
            "activated": challenge.activated,
            "identity": challenge.identity,
            "expires": write_time(challenge.expires),
            "state": "open",
        }
        connection.execute(sa.insert(tables.challenges), values)

    def take_challenge(self, connection: Connection, challenge: str, host: str) -> Taken:
        """Use up a challenge's nonce, whatever comes of it: one caller gets it, all others are refused.

        Raises:
            Refused: ``CHALLENGE_EXPIRED`` (unknown, or another host's), ``NONCE_USED``.
        """
        row = tables.challenges.c
        here = (row.id == challenge) & (row.room == self._room) & (row.host == host)
        found = connection.execute(sa.select(tables.challenges).where(here)).first()
        if found is None:
            raise Refused(Code.CHALLENGE_EXPIRED, "there is no such challenge for that host")
        # The update decides, not the row that was read: of two at once, one changes it.
        used = connection.execute(
            sa.update(tables.challenges).where(here, row.state == "open").values(state="used")
        )
        if used.rowcount != 1:
            raise Refused(Code.NONCE_USED, "the challenge was answered before")
        return Taken(
            id=challenge,
            run=str(found.run),
            host=host,
            nonce=bytes(found.nonce),
            keys=json.loads(found.keys),
            expires=read_time(found.expires),
            activated=None if found.activated is None else bytes(found.activated),
            identity=None if found.identity is None else bytes(found.identity),
        )

    def open_on(self, connection: Connection, run: str) -> str | None:
        """The host of a run that this owner consented to and that is not settled; None of any other."""
        row = runs.c
        here = (row.run == f"{Role.OWNER}:{run}") & (row.room == self._room)
        host = connection.scalar(sa.select(row.host).where(here, row.state == str(RunState.RESERVED)))
        return None if host is None else str(host)

    def revoke_all(self, connection: Connection) -> int:
        """Destroy all live keys of all rooms, and drop all challenges. Returns how many keys there were."""
        row = tables.keys.c
        connection.execute(sa.delete(tables.challenges))
        done = connection.execute(
            sa.update(tables.keys)
            .where(row.state == str(KeyState.LIVE))
            .values(state=str(KeyState.REVOKED), wrapped=None)
        )
        return int(done.rowcount)

    def releases(self, connection: Connection, keys: Iterable[HeldKey]) -> dict[str, dict[str, Any]]:
        """To which workers these keys were released: signing key -> facts."""
        row = tables.releases.c
        found = connection.execute(
            sa.select(row.worker, row.facts).where(row.key.in_([k.id for k in keys])).order_by(row.worker)
        )
        return {str(worker): json.loads(facts) for worker, facts in found}

    def add_release(
        self, connection: Connection, key: HeldKey, worker: str, challenge: str, facts: Mapping[str, Any]
    ) -> None:
        """Count a release of a key to a worker.

        Raises:
            Refused: ``ALREADY_RELEASED``: this worker has it, or as many as the run has.
        """
        row = tables.releases.c
        known = set(connection.scalars(sa.select(row.worker).where(row.key == key.id)))
        if worker in known or len(known) >= key.workers:
            raise Refused(Code.ALREADY_RELEASED, "the key was released to all workers that the run has")
        values = {"key": key.id, "worker": worker, "challenge": challenge, "facts": canonical_json(facts)}
        connection.execute(sa.insert(tables.releases), values)

    def keep_evidence(
        self, connection: Connection, run: str, name: str, content: bytes, ear: str | None
    ) -> None:
        """Keep evidence by its hash; of refused evidence only the first few of a run."""
        row = tables.evidence.c
        here = row.room == self._room
        if connection.scalar(sa.select(row.hash).where(here, row.hash == name)) is not None:
            return
        if ear is None:
            refused = sa.select(sa.func.count()).where(here, row.run == run, row.ear.is_(None))
            if int(connection.scalar(refused) or 0) >= limits.MAX_REFUSED_EVIDENCE_A_RUN:
                return
        said = None if ear is None else ear.encode()
        values = {"room": self._room, "hash": name, "run": run, "content": content, "ear": said}
        connection.execute(sa.insert(tables.evidence), values)

    def evidence(self, connection: Connection, name: str) -> tuple[bytes, str | None] | None:
        """Evidence as canonical JSON, and its EAR, by its hash; None where it is not kept."""
        row = tables.evidence.c
        found = connection.execute(
            sa.select(row.content, row.ear).where(row.room == self._room, row.hash == name)
        ).first()
        return None if found is None else (bytes(found[0]), None if found[1] is None else found[1].decode())

    def add_tombstone(self, connection: Connection, run: str, body: bytes, seq: int) -> None:
        """Keep a run's tombstone, and where it stands in the ledger."""
        row = {"room": self._room, "run": run, "body": body, "seq": seq}
        connection.execute(sa.insert(tables.tombstones), row)

    def tombstone(self, connection: Connection, run: str) -> tuple[bytes, int] | None:
        """A run's tombstone and its ledger entry; None where it has none."""
        row = tables.tombstones.c
        found = connection.execute(
            sa.select(row.body, row.seq).where(row.room == self._room, row.run == run)
        ).first()
        return None if found is None else (bytes(found[0]), int(found[1]))

    def epoch(self, connection: Connection) -> int:
        """How many decisions were taken that must never be undone."""
        row = tables.epochs.c
        return int(connection.scalar(sa.select(row.value).where(row.name == _EPOCH)) or 0)

    def raise_epoch(self, connection: Connection, to: int | None = None) -> int:
        """Count one more, or up to a number. Returns the number."""
        row = tables.epochs.c
        value = row.value + 1 if to is None else to
        raising = sa.update(tables.epochs).where(row.name == _EPOCH).values(value=value)
        if connection.execute(raising).rowcount == 0:
            first = 1 if to is None else to
            # Rooms do not wait for each other: where another room's broker was first, one is counted on top.
            if not insert_once(connection, tables.epochs, {"name": _EPOCH, "value": first}):
                connection.execute(raising)
        return self.epoch(connection)


def write_time(moment: datetime) -> str:
    """A time as text that sorts."""
    return moment.astimezone(UTC).strftime(_FORMAT)


def read_time(text: str) -> datetime:
    """What `write_time` wrote."""
    return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)
