# SPDX-License-Identifier: Apache-2.0
"""A whole ledger as one file for an outside auditor: a line with the signed head, then a line an entry.

Format `hitoku/ledger-export/1`, JSON lines. The first is ``{format, room, member, head}``; each one after it
is an entry's canonical form, byte for byte what was hashed. Whoever has the room file (it has the members'
keys) checks it without the member's database: `hitoku ledger check-export`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

import rfc8785

from hitoku import limits
from hitoku.errors import InputError, RoomError
from hitoku.room import merkle
from hitoku.room.agreement import Room
from hitoku.room.heads import signed_ever
from hitoku.room.ledger import Head, Ledger, entry_number

__all__ = ["FORMAT", "check_export", "export"]

FORMAT: Final = "hitoku/ledger-export/1"


def export(ledger: Ledger) -> Iterator[bytes]:
    """The lines of the export, up to the newest head; nothing where the ledger is empty."""
    head = ledger.head()
    if head is None:
        return
    first = {
        "format": FORMAT,
        "room": head.room,
        "member": head.member,
        "head": json.loads(head.to_bytes()),
    }
    yield rfc8785.dumps(first) + b"\n"
    for seq, raw in ledger.raw():
        if seq >= head.size:
            return
        yield raw + b"\n"


def check_export(lines: Iterable[bytes], room: Room, kept: Iterable[Head] = ()) -> Head:
    """Check an export from anybody: every entry stands in its place under a head that its member signed.

    The key may be one that the member had in an earlier version of the room: the export may be older than
    the change. Whoever has that key could sign it today, so whoever shows the outcome says which it is.

    Args:
        lines: of the file, in order.
        room: with the members' keys in every version.
        kept: heads of this ledger that were kept elsewhere; the export must continue them.

    Returns:
        The head.

    Raises:
        InputError: it is no export.
        RoomError: it does not hold; says where.
    """
    given = iter(lines)
    head = _head(next(given, b""))
    if head.room != str(room.agreement.id):
        raise RoomError("the export is of another room")
    signed = signed_ever(room)
    if not signed(head.member, head.message(), head.signature):
        raise RoomError("the head is not signed by the member of the room that it names")
    older = {one.size: one for one in kept}
    for one in older.values():
        if (one.room, one.member) != (head.room, head.member):
            raise RoomError("a head that was kept belongs to another ledger")
        if not signed(one.member, one.message(), one.signature) or one.size > head.size:
            raise RoomError(f"the export does not continue the kept head of {one.size} entries")
    frontier = merkle.Frontier()
    for line in given:
        raw = line.rstrip(b"\n")
        if len(raw) > limits.MAX_LEDGER_EXPORT_LINE_BYTES:
            raise InputError(f"line {frontier.size + 2} is longer than an entry can be")
        if entry_number(raw) != frontier.size or frontier.size == head.size:
            raise RoomError(f"line {frontier.size + 2} is not entry {frontier.size} of {head.size}")
        frontier.push(merkle.leaf_hash(raw))
        if frontier.size in older and older[frontier.size].root != frontier.root():
            raise RoomError(f"the export does not continue the kept head of {frontier.size} entries")
    if frontier.size != head.size:
        raise RoomError(f"the head covers {head.size} entries, the export has {frontier.size}")
    if frontier.root() != head.root:
        raise RoomError("the entries do not give the signed root: one was edited or reordered")
    return head


def _head(line: bytes) -> Head:
    try:
        if len(line) > 2 * limits.MAX_LEDGER_HEAD_BYTES:
            raise ValueError
        data = json.loads(line)
        if data["format"] != FORMAT:
            raise ValueError
        head = Head.from_bytes(rfc8785.dumps(data["head"]))
        if (data["room"], data["member"]) != (head.room, head.member):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError, RoomError):
        raise InputError(f"not an export of the format {FORMAT}") from None
    return head
