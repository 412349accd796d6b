# SPDX-License-Identifier: Apache-2.0
r"""A member's ledger of one room: an append-only Merkle log of its own, whose heads it signs.

Format `hitoku/ledger/1`. An entry is a canonical JSON object (RFC 8785) ``{format, room, member, seq,
time, kind, body}``; its bytes are the leaf. A head is ``{format, room, member, size, root, time}`` with
the member's Ed25519 signature over ``"hitoku/ledger-head/1\n"`` and its canonical form.

Who can find what: the owner finds an edited, reordered or missing entry, because entries no longer give
the signed root; a cut of the log's end together with its stored head is found by the owner against the
head file outside the database, and by every peer that holds an older head, because no consistency
proof from that head exists (SHA-256 collision resistance, Ed25519 unforgeability). Two heads of one
size and different roots, or without a consistency proof, are a signed proof of a fork. What nobody
finds: entries that the member never wrote, or a past rewritten before anyone saw a head of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import rfc8785
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku import limits
from hitoku.errors import RoomError
from hitoku.ports import Clock, KeyStore
from hitoku.room import merkle
from hitoku.room import store as tables
from hitoku.room.arrivals import Arrival
from hitoku.room.restored import Restored
from hitoku.room.store import Store, insert_once

__all__ = ["Entry", "EntryKind", "Head", "Inclusion", "Ledger", "entry_number", "read_entry"]

FORMAT = "hitoku/ledger/1"
HEAD_FORMAT = "hitoku/ledger-head/1"
_READ_ROWS = 10_000
_TELL_ROWS = 1_000
_BACK_ROWS = 1_000
_START = b'{"body":'

Verify = Callable[[str, bytes, bytes], bool]
"""`(member, message, signature)` to whether the member's key made the signature."""


class EntryKind(StrEnum):
    """What a ledger remembers."""

    AGREEMENT = "agreement"
    QUESTION = "question"
    VERDICT = "verdict"
    RESERVATION = "reservation"
    CHARGE = "charge"
    RELEASE = "release"
    REFUSAL = "refusal"
    DELETION = "deletion"
    ABORT = "abort"
    APPRAISAL = "appraisal"
    KEY_RELEASE = "key-release"
    KEY_REFUSAL = "key-refusal"
    REVOCATION = "revocation"
    TOMBSTONE = "tombstone"
    REFERENCE = "reference"
    PREDICTION = "prediction"
    LEARNING = "learning"
    RESTORE = "restore"
    KEY_CHANGE = "key-change"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `raw` is its canonical form, the bytes that are hashed."""

    seq: int
    time: str
    kind: EntryKind
    body: dict[str, Any]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A signed statement of a ledger's size and root."""

    room: str
    member: str
    size: int
    root: bytes
    time: str
    signature: bytes

    def message(self) -> bytes:
        """The bytes that are signed."""
        return _head_message(self.room, self.member, self.size, self.root, self.time)

    def to_bytes(self) -> bytes:
        """Canonical JSON, signature included."""
        return rfc8785.dumps(
            {
                "format": HEAD_FORMAT,
                "room": self.room,
                "member": self.member,
                "size": self.size,
                "root": self.root.hex(),
                "time": self.time,
                "signature": base64.b64encode(self.signature).decode(),
            }
        )

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Read a head as it came from outside.

        Raises:
            RoomError: not a head; nothing of the input is quoted.
        """
        try:
            if len(raw) > limits.MAX_LEDGER_HEAD_BYTES:
                raise ValueError
            data = json.loads(raw)
            if data.pop("format") != HEAD_FORMAT or set(data) != {
                "room", "member", "size", "root", "time", "signature",
            }:  # fmt: skip
                raise ValueError
            head = cls(
                room=str(data["room"]),
                member=str(data["member"]),
                size=data["size"],
                root=bytes.fromhex(data["root"]),
                time=str(data["time"]),
                signature=base64.b64decode(data["signature"], validate=True),
            )
            if type(head.size) is not int or head.size < 0 or len(head.root) != merkle.HASH_BYTES:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise RoomError(f"not a ledger head of the format {HEAD_FORMAT}") from None
        return head


@dataclass(frozen=True, slots=True)
class Inclusion:
    """An entry with the proof that it stands at its place under a signed head."""

    entry: bytes
    index: int
    head: Head
    proof: tuple[bytes, ...]

    def verify(self, verify: Verify) -> bool:
        """Whether head and proof hold; `verify` knows the members' keys."""
        return verify(self.head.member, self.head.message(), self.head.signature) and merkle.verify_inclusion(
            merkle.leaf_hash(self.entry), self.index, self.head.size, self.proof, self.head.root
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; what `hitoku ledger prove` writes."""
        return {
            "format": "hitoku/ledger-proof/1",
            "entry": json.loads(self.entry),
            "index": self.index,
            "head": json.loads(self.head.to_bytes()),
            "proof": [step.hex() for step in self.proof],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read a proof that came from outside.

        Raises:
            RoomError: not a proof of this format.
        """
        try:
            if data["format"] != "hitoku/ledger-proof/1" or len(data["proof"]) > merkle.MAX_PROOF_HASHES:
                raise ValueError
            return cls(
                entry=rfc8785.dumps(data["entry"]),
                index=int(data["index"]),
                head=Head.from_bytes(rfc8785.dumps(data["head"])),
                proof=tuple(bytes.fromhex(step) for step in data["proof"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise RoomError("not a ledger proof of the format hitoku/ledger-proof/1") from None


class Ledger:
    """One member's ledger of one room.

    Args:
        store: the member's database.
        room: the room's id.
        member: the member whose ledger this is.
        keys: signs the heads.
        clock: dates entries and heads.
    """

    def __init__(self, store: Store, room: str, member: str, keys: KeyStore, clock: Clock) -> None:
        self.store = store
        self.room = room
        self.member = member
        self._keys = keys
        self._clock = clock

    def append(
        self, connection: Connection, kind: EntryKind, body: dict[str, Any], *, going_on: bool = False
    ) -> int:
        """Append an entry within the caller's transaction. Returns its sequence number, from 0.

        The new head is signed and stored in the same transaction, so entry, tree and head are durable
        together or not at all.

        Raises:
            Refusal: as `lock`, which says what `going_on` is, too.
        """
        size = self.lock(connection, going_on=going_on)
        time = _time(self._clock.now())
        raw = rfc8785.dumps(
            {
                "format": FORMAT,
                "room": self.room,
                "member": self.member,
                "seq": size,
                "time": time,
                "kind": str(kind),
                "body": body,
            }
        )
        frontier = merkle.Frontier(size, merkle.edge_of(size, self._node_source(connection)))
        made = frontier.append(merkle.leaf_hash(raw))
        connection.execute(sa.insert(tables.entries), {"room": self.room, "seq": size, "body": raw})
        connection.execute(
            sa.insert(tables.nodes),
            [{"room": self.room, "level": lv, "index": ix, "hash": value} for lv, ix, value in made],
        )
        head = self._sign(size + 1, frontier.root(), time)
        connection.execute(
            sa.update(tables.ledgers)
            .where(tables.ledgers.c.room == self.room)
            .values(size=size + 1, head=head.to_bytes())
        )
        return size

    def head(self) -> Head | None:
        """The newest signed head; None while the ledger is empty."""
        with self.store.reading() as connection:
            raw = connection.scalar(
                sa.select(tables.ledgers.c.head).where(tables.ledgers.c.room == self.room)
            )
        return None if raw is None else Head.from_bytes(raw)

    def entries(self, start: int = 0, kind: EntryKind | None = None) -> Iterator[Entry]:
        """The entries from sequence number `start` on."""
        # Canonical JSON has one spelling: most of a long ledger is told by its bytes, without parsing it.
        mark = b"" if kind is None else f'"kind":"{kind}"'.encode()
        for _, raw in self._raw(start):
            if mark not in raw:
                continue
            entry = read_entry(raw)
            if kind is None or entry.kind is kind:
                yield entry

    def raw(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """The entries from sequence number `start` on, as they are kept: number and bytes."""
        yield from self._raw(start)

    def back(self, before: int | None = None) -> Iterator[tuple[int, bytes]]:
        """The entries below sequence number `before`, newest first, as they are kept: number and bytes.

        Nothing is checked; `read_entry` reads the bytes. Few are in memory at a time.
        """
        entry = tables.entries.c
        while True:
            below = () if before is None else (entry.seq < before,)
            with self.store.reading() as connection:
                rows = connection.execute(
                    sa.select(entry.seq, entry.body)
                    .where(entry.room == self.room, *below)
                    .order_by(entry.seq.desc())
                    .limit(_BACK_ROWS)
                ).all()
            for seq, body in rows:
                yield int(seq), bytes(body)
            if len(rows) < _BACK_ROWS:
                return
            before = int(rows[-1][0])

    def prove(self, seq: int) -> Inclusion:
        """The proof that entry `seq` is in the ledger under its newest head.

        Raises:
            RoomError: there is no such entry.
        """
        with self.store.reading() as connection:
            head = self._stored_head(connection)
            raw = connection.scalar(
                sa.select(tables.entries.c.body).where(
                    tables.entries.c.room == self.room, tables.entries.c.seq == seq
                )
            )
            if head is None or raw is None or seq >= head.size:
                raise RoomError(f"the ledger has no entry {seq}")
            proof = merkle.inclusion_proof(seq, head.size, self._node_source(connection))
        return Inclusion(raw, seq, head, tuple(proof))

    def grow(self, old_size: int) -> tuple[Head, list[bytes]]:
        """The newest head with the proof that it continues the tree of `old_size` entries.

        Raises:
            RoomError: the ledger is shorter than that.
        """
        with self.store.reading() as connection:
            head = self._stored_head(connection)
            if head is None or old_size > head.size:
                raise RoomError("the ledger is shorter than the head that is asked about")
            return head, merkle.consistency_proof(old_size, head.size, self._node_source(connection))

    def verify(
        self, verify: Verify, known: Head | None = None, tell: Callable[[int, int], None] | None = None
    ) -> int:
        """Read the whole ledger and check it against its signed head. Returns the number of entries.

        What is appended meanwhile is read, too, so that a ledger in use is not taken for a broken one.

        Args:
            verify: knows the member's public key.
            known: a head seen earlier (from a head file or a peer); the ledger must continue it.
            tell: called now and then with the entries read so far and how many there are.

        Raises:
            RoomError: which entry or head does not hold.
        """
        frontier = merkle.Frontier()
        known_size = -1 if known is None else known.size
        known_root = merkle.EMPTY_ROOT if known_size == 0 else None
        head, end = self._end()
        while True:
            for seq, raw in self._raw(frontier.size):
                expected = frontier.size
                if seq != expected or entry_number(raw) != expected:
                    raise RoomError(f"the ledger has no entry {expected}, or it stands in another place")
                frontier.push(merkle.leaf_hash(raw))
                if frontier.size == known_size:
                    known_root = frontier.root()
                if tell is not None and frontier.size % _TELL_ROWS == 0:
                    tell(frontier.size, max(end, frontier.size))
            head, end = self._end()
            if end <= frontier.size:
                break
        if head is None:
            if frontier.size or known is not None:
                raise RoomError("the ledger has entries or an older head but no signed head")
            return 0
        self._check_head(head, verify)
        if head.size != frontier.size:
            raise RoomError(f"the signed head covers {head.size} entries, the ledger has {frontier.size}")
        if head.root != frontier.root():
            raise RoomError("the entries do not give the signed root: one was edited or reordered")
        if known is not None:
            self._check_head(known, verify)
            if known.size > head.size or known.root != known_root:
                raise RoomError(
                    f"the ledger does not continue the head of {known.size} entries: it was cut or forked"
                )
        return head.size

    def _end(self) -> tuple[Head | None, int]:
        """The signed head and how many places of entries there are, both as of one moment."""
        entry, ledger = tables.entries.c, tables.ledgers.c
        last = sa.select(sa.func.max(entry.seq)).where(entry.room == self.room).scalar_subquery()
        head = sa.select(ledger.head).where(ledger.room == self.room).scalar_subquery()
        with self.store.reading() as connection:  # one statement: nothing comes between the two
            row = connection.execute(sa.select(head.label("head"), last.label("last"))).one()
        return (
            None if row.head is None else Head.from_bytes(bytes(row.head)),
            0 if row.last is None else int(row.last) + 1,
        )

    def _check_head(self, head: Head, verify: Verify) -> None:
        if head.room != self.room or head.member != self.member:
            raise RoomError("the head belongs to another ledger")
        if not verify(head.member, head.message(), head.signature):
            raise RoomError("the head's signature is not its member's")

    def lock(self, connection: Connection, *, going_on: bool = False) -> int:
        """Let no other transaction write to this member's record of the room until this one ends.

        Returns the number of entries. On SQLite every writing transaction has the lock from its beginning.

        Args:
            connection: the transaction.
            going_on: by who lets a restored ledger go on (`hitoku.room.restored`), and nobody else.

        Raises:
            Refusal: ``RESTORED_BEHIND`` or ``MOVED_AWAY``: the ledger came from a backup and may not go on
                yet, or went on elsewhere.
        """
        ledger = tables.ledgers
        # The update takes the row's lock before the size is read: two writers never share a number.
        take = sa.update(ledger).where(ledger.c.room == self.room).values(size=ledger.c.size)
        if connection.execute(take).rowcount == 0:
            insert_once(connection, ledger, {"room": self.room, "size": 0, "head": None})
            connection.execute(take)  # where another made it first: its end is waited for
        row = connection.execute(
            sa.select(ledger.c.size, ledger.c.restored).where(ledger.c.room == self.room)
        ).one()
        if row.restored is not None and not going_on:
            raise Restored.from_text(str(row.restored)).refusal(self.member)
        return int(row.size)

    def restored(self) -> Restored | None:
        """What keeps the ledger from going on; None where nothing does."""
        ledger = tables.ledgers.c
        with self.store.reading() as connection:
            text = connection.scalar(sa.select(ledger.restored).where(ledger.room == self.room))
        return None if text is None else Restored.from_text(str(text))

    def arrival(self, closed: Restored) -> Arrival:
        """What this copy of a moved ledger tells the other members.

        Args:
            closed: the mark of the ledger, ``arriving``.
        """
        return Arrival.made(self._keys, self.room, self.member, closed.size, str(closed.instance))

    def size(self) -> int:
        """How many entries there are."""
        ledger = tables.ledgers.c
        with self.store.reading() as connection:
            return int(connection.scalar(sa.select(ledger.size).where(ledger.room == self.room)) or 0)

    def root_at(self, size: int) -> bytes:
        """The root that the first `size` entries gave."""
        with self.store.reading() as connection:
            return merkle.root_hash(size, self._node_source(connection))

    def sign_again(self, connection: Connection) -> Head | None:
        """Sign the newest head with the member's key of now, within the caller's transaction.

        Size and root stay, so nothing is said that was not said before. None while the ledger is empty.
        """
        self.lock(connection)
        head = self._stored_head(connection)
        if head is None:
            return None
        made = self._sign(head.size, head.root, head.time)
        ledger = tables.ledgers
        connection.execute(sa.update(ledger).where(ledger.c.room == self.room).values(head=made.to_bytes()))
        return made

    def _sign(self, size: int, root: bytes, time: str) -> Head:
        message = _head_message(self.room, self.member, size, root, time)
        return Head(self.room, self.member, size, root, time, self._keys.sign(message))

    def _stored_head(self, connection: Connection) -> Head | None:
        raw = connection.scalar(sa.select(tables.ledgers.c.head).where(tables.ledgers.c.room == self.room))
        return None if raw is None else Head.from_bytes(raw)

    def _node_source(self, connection: Connection) -> merkle.NodeSource:
        node = tables.nodes.c

        def read(level: int, index: int) -> bytes:
            value = connection.scalar(
                sa.select(node.hash).where(node.room == self.room, node.level == level, node.index == index)
            )
            if value is None:
                raise RoomError("the ledger's tree lacks a node: restore it from a backup")
            return bytes(value)

        return read

    def _raw(self, start: int) -> Iterator[tuple[int, bytes]]:
        entry = tables.entries.c
        while True:
            with self.store.reading() as connection:
                rows = connection.execute(
                    sa.select(entry.seq, entry.body)
                    .where(entry.room == self.room, entry.seq >= start)
                    .order_by(entry.seq)
                    .limit(_READ_ROWS)
                ).all()
            for seq, body in rows:
                yield int(seq), bytes(body)
            if len(rows) < _READ_ROWS:
                return
            start = int(rows[-1][0]) + 1


def read_entry(raw: bytes) -> Entry:
    """An entry from its canonical form; that it is in a ledger is for a proof to say.

    Raises:
        RoomError: it is none.
    """
    try:
        data = json.loads(raw)
        if data["format"] != FORMAT:
            raise ValueError
        return Entry(int(data["seq"]), str(data["time"]), EntryKind(data["kind"]), dict(data["body"]), raw)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RoomError(f"an entry of the ledger is not of the format {FORMAT}") from None


def entry_number(raw: bytes) -> int:
    """The sequence number in an entry's bytes: canonical JSON sorts its keys, so it stands before the time.

    A million entries are not parsed for it; what an entry says is settled by its hash.
    """
    _, mark, rest = raw.rpartition(b',"seq":')
    number, comma, _ = rest.partition(b',"time":"')
    if not (raw.startswith(_START) and mark and comma and number.isdigit()):
        raise RoomError(f"an entry of the ledger is not of the format {FORMAT}")
    return int(number)


def _head_message(room: str, member: str, size: int, root: bytes, time: str) -> bytes:
    head: dict[str, Any] = {
        "format": HEAD_FORMAT,
        "room": room,
        "member": member,
        "size": size,
        "root": root.hex(),
        "time": time,
    }
    return f"{HEAD_FORMAT}\n".encode() + rfc8785.dumps(head)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
