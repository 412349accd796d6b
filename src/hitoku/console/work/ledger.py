# SPDX-License-Identifier: Apache-2.0
"""A member's ledger for people: search, read, prove, check proofs. Nothing here writes to it.

A page reads a bounded number of entries, newest first, and says how far it got. Entries hold names and texts
of other members; they are data to show, never to trust.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from hitoku import limits
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.errors import RoomError
from hitoku.room import merkle
from hitoku.room.heads import member_signed, signed_ever
from hitoku.room.ledger import Entry, EntryKind, Inclusion, Ledger, read_entry

if TYPE_CHECKING:
    from hitoku.room.records import Records

__all__ = [
    "Found",
    "Line",
    "Proved",
    "Wanted",
    "check_proof",
    "export_lines",
    "ledger_of",
    "line_of",
    "proof_of",
    "records_of",
    "search",
]


_PIECE_BYTES: Final = 256 * 1024
"""Each piece of a response costs a turn of the server's threads: not one a line."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for; an entry fits where all that is given fits.

    Attributes:
        kind: of entry.
        member: a member that the entry names, anywhere in it.
        run: a run's id, or its beginning.
        since: the earliest time, ISO 8601, or a beginning of one.
        until: the latest, inclusive.
        text: somewhere in a field's value; upper and lower case are the same.
    """

    kind: EntryKind | None = None
    member: str = ""
    run: str = ""
    since: str = ""
    until: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A place in the ledger; `entry` is None where what is there cannot be read."""

    seq: int
    entry: Entry | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search.

    Attributes:
        lines: newest first.
        size: entries in the ledger, by its signed head.
        reached: the number of the oldest entry that was looked at.
        older: from where the next page goes on; None at the ledger's beginning.
    """

    lines: tuple[Line, ...]
    size: int
    reached: int
    older: int | None


def records_of(context: Context, entry: RoomEntry) -> Records:
    """This member's records of a room."""
    from hitoku.room.records import Records

    directory = context.node.directory
    return Records(context.node.store(), entry.id, context.me, directory.keys(), context.clock)


def ledger_of(context: Context, entry: RoomEntry) -> Ledger:
    """This member's ledger of a room."""
    return records_of(context, entry).ledger


def search(context: Context, entry: RoomEntry, wanted: Wanted, before: int | None = None) -> Found:
    """One page of the entries that fit, newest first, below number `before`."""
    ledger = ledger_of(context, entry)
    head = ledger.head()
    marks = _marks(wanted)
    lines: list[Line] = []
    reached, older = 0 if before is None else before, None
    for looked, (seq, raw) in enumerate(ledger.back(before), 1):
        reached = seq
        if all(mark in raw for mark in marks):
            line = _line(seq, raw)
            if _fits(line, wanted):
                lines.append(line)
        if len(lines) == limits.MAX_CONSOLE_LEDGER_LINES or looked == limits.MAX_CONSOLE_LEDGER_SCAN:
            older = seq if seq else None
            break
    return Found(tuple(lines), 0 if head is None else head.size, reached, older)


def line_of(context: Context, entry: RoomEntry, seq: int) -> Line:
    """One entry.

    Raises:
        NotFound: there is none of that number.
    """
    found = next(ledger_of(context, entry).back(seq + 1), None)
    if found is None or found[0] != seq:
        raise NotFound("the ledger has no such entry")
    return _line(*found)


def proof_of(context: Context, entry: RoomEntry, seq: int) -> dict[str, Any]:
    """The proof that an entry is in the ledger, JSON-ready (`hitoku ledger prove`).

    Raises:
        NotFound: there is no such entry.
    """
    try:
        return ledger_of(context, entry).prove(seq).to_dict()
    except RoomError:
        raise NotFound("the ledger has no such entry") from None


def export_lines(context: Context, entry: RoomEntry) -> Iterator[bytes]:
    """The whole ledger for an outside auditor (`hitoku.room.exported`), in pieces of many lines."""
    from hitoku.room.exported import export

    piece = bytearray()
    for line in export(ledger_of(context, entry)):
        piece += line
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


@dataclass(frozen=True, slots=True)
class Proved:
    """What came of checking a proof.

    Attributes:
        outcome: ``holds``; or why not: ``form`` (no proof), ``room`` (of another room), ``member`` (its head
            names nobody of the room), ``signature`` (the head is not signed by the member that it names),
            ``earlier`` (it is signed by a key that the member gave up since),
            ``path`` (the entry is not under that head), ``place`` (the entry says that it is another one),
            ``forked`` (the head is real, and this node knows another one of the same ledger).
        member: whose ledger, where it holds.
        index: the entry's number.
        size: of the ledger that the head covers.
        time: of the head.
        entry: the entry, where it holds.
        known: whether this node compared the head with what it knows of that ledger: ``own``, ``same`` (the
            head it keeps), or ``not``.
    """

    outcome: Literal["holds", "form", "room", "member", "signature", "earlier", "path", "place", "forked"]
    member: str = ""
    index: int = 0
    size: int = 0
    time: str = ""
    entry: Entry | None = None
    known: Literal["own", "same", "not"] = "not"


def check_proof(context: Context, entry: RoomEntry, text: str) -> Proved:
    """Check a proof that somebody gave: its head's signature, its path, its place; and compare the head.

    Args:
        context: the console's.
        entry: the room that it must be of.
        text: the proof's JSON, from anywhere.
    """
    try:
        if len(text.encode("utf-8", "surrogatepass")) > limits.MAX_LEDGER_PROOF_BYTES:
            return Proved("form")
        proof = Inclusion.from_dict(json.loads(text))
    except (RoomError, ValueError, RecursionError, TypeError, AttributeError):
        return Proved("form")
    head = proof.head
    signed = member_signed(entry.agreement)
    if head.room != entry.id:
        return Proved("room")
    if entry.agreement.member(head.member) is None:
        return Proved("member")
    if not signed(head.member, head.message(), head.signature):
        earlier = signed_ever(entry.room)(head.member, head.message(), head.signature)
        return Proved("earlier" if earlier else "signature", head.member)
    if not proof.verify(signed):
        return Proved("path", head.member, proof.index, head.size, head.time)
    try:
        found = read_entry(proof.entry)
    except RoomError:
        return Proved("place", head.member, proof.index, head.size, head.time)
    said = json.loads(proof.entry)
    if (said.get("room"), said.get("member"), found.seq) != (entry.id, head.member, proof.index):
        return Proved("place", head.member, proof.index, head.size, head.time)
    known = _compare(context, entry, proof)
    if known == "forked":
        return Proved("forked", head.member, proof.index, head.size, head.time, found)
    return Proved("holds", head.member, proof.index, head.size, head.time, found, known)


def _compare(context: Context, entry: RoomEntry, proof: Inclusion) -> Literal["own", "same", "not", "forked"]:
    """The proof's head against what this node knows of the same ledger."""
    head, records = proof.head, records_of(context, entry)
    if head.member != context.me:
        kept = records.peer_head(head.member)
        if kept is None or kept.size != head.size:
            return "not"
        return "same" if kept.root == head.root else "forked"
    try:
        newest, steps = records.ledger.grow(head.size)
    except RoomError:
        return "forked"  # signed by this member's key, and longer than its ledger: that was cut
    same = merkle.verify_consistency(head.size, head.root, newest.size, newest.root, steps)
    return "own" if same else "forked"


def _line(seq: int, raw: bytes) -> Line:
    try:
        return Line(seq, read_entry(raw), raw)
    except RoomError:
        return Line(seq, None, raw)


def _marks(wanted: Wanted) -> list[bytes]:
    """What an entry's bytes have where it fits: most of a long ledger is told by them, without parsing it."""
    marks = [] if wanted.kind is None else [f'"kind":"{wanted.kind}"'.encode()]
    for value in (wanted.member, wanted.run):
        if value:
            marks.append(json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass"))
    return marks


def _fits(line: Line, wanted: Wanted) -> bool:
    entry = line.entry
    if entry is None:
        return wanted == Wanted()
    if wanted.kind is not None and entry.kind is not wanted.kind:
        return False
    if wanted.since and entry.time < wanted.since:
        return False
    # A day or minute is a beginning of all moments in it.
    if wanted.until and entry.time[: len(wanted.until)] > wanted.until:
        return False
    body = entry.body
    if wanted.run and not any(str(body.get(key, "")).startswith(wanted.run) for key in ("run", "repeats")):
        return False
    if wanted.member and wanted.member not in _leaves(body):
        return False
    if wanted.text:
        needle = wanted.text.casefold()
        return any(needle in leaf.casefold() for leaf in _leaves(body))
    return True


def _leaves(value: Any) -> Iterator[str]:
    """Every value in an entry as text."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        yield json.dumps(value)
