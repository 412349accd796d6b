# SPDX-License-Identifier: Apache-2.0
"""Changing an agreement: the next version of a room, and whether one version of it continues another."""

from __future__ import annotations

from typing import Any

from hitoku.errors import RoomError
from hitoku.room.agreement import Agreement, Room, SignedVersion
from hitoku.room.canonical import agreement_hash
from hitoku.room.signing import problems

__all__ = ["continues", "hashes", "newest_in_force", "revise"]


def revise(room: Room, change: dict[str, Any]) -> Room:
    """The room with fields of its agreement replaced; nobody has signed the result yet.

    A version that is in force stays in the room's history and a new one begins; a version that is not in
    force yet is changed itself.

    Args:
        room: the room.
        change: JSON-ready fields of the agreement, e.g. ``{"members": [...]}``.

    Raises:
        pydantic.ValidationError: the result is no agreement.
    """
    data = room.agreement.model_dump(mode="json", by_alias=True, exclude_none=True) | change
    if problems(room):
        return Room(agreement=Agreement.model_validate(data), history=room.history)
    data |= {"version": room.agreement.version + 1, "previous": agreement_hash(room.agreement)}
    past = SignedVersion(agreement=room.agreement, signatures=room.signatures)
    return Room(agreement=Agreement.model_validate(data), history=(*room.history, past))


def newest_in_force(room: Room) -> Room:
    """The room without a draft on top of it: itself where it is in force, else the version before.

    Whether that one is in force is for the caller to verify.
    """
    if not room.history or not problems(room):
        return room
    last = room.history[-1]
    return Room(agreement=last.agreement, signatures=last.signatures, history=room.history[:-1])


def hashes(room: Room) -> frozenset[str]:
    """The hashes of all versions of a room: each version names the one before."""
    named = (v.agreement.previous for v in room.history)
    return frozenset(h for h in (*named, room.agreement.previous, agreement_hash(room.agreement)) if h)


def continues(room: Room, known: Agreement) -> None:
    """Accept only a room whose chain of versions contains the version that is known.

    Raises:
        RoomError: it is another room, an older version, or another version of that number.
    """
    agreement = room.agreement
    if agreement.id != known.id:
        raise RoomError(f"room {agreement.name!r} is another room than {known.name!r}: their ids differ")
    if agreement.version < known.version:
        raise RoomError(
            f"room {agreement.name!r} was rolled back: the file has version {agreement.version}, "
            f"version {known.version} is known to be in force; get the newer file"
        )
    versions = [*(v.agreement for v in room.history), agreement]
    theirs = next((a for a in versions if a.version == known.version), None)
    if theirs is None or agreement_hash(theirs) != agreement_hash(known):
        raise RoomError(
            f"room {agreement.name!r}: version {known.version} is not the one that was signed: it was "
            "altered, or changed without a new version number"
        )
