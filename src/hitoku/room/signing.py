# SPDX-License-Identifier: Apache-2.0
r"""Signing an agreement, and verifying that it is in force: every member signed exactly this.

A signature covers ``hitoku/room/1\n`` and the agreement's canonical form; the domain in front keeps a
signature given to a room from being anything else, and the other way round.
"""

from __future__ import annotations

import base64
from collections import Counter
from typing import Final

from hitoku.errors import RoomError
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement, Room, Signature
from hitoku.room.canonical import canonical
from hitoku.room.keys import valid_signature

__all__ = ["missing", "problems", "sign", "verify"]

_DOMAIN: Final = b"hitoku/room/1\n"


def _message(agreement: Agreement) -> bytes:
    return _DOMAIN + canonical(agreement)


def sign(room: Room, member: str, keys: KeyStore) -> Room:
    """The room with `member`'s signature added, or renewed.

    Raises:
        RoomError: `member` is no member, or the key is not the one the agreement names for it.
        SecretError: the key cannot be read.
    """
    who = room.agreement.member(member)
    if who is None:
        raise RoomError(f"{member!r} is no member of room {room.agreement.name!r}: nothing was signed")
    message = _message(room.agreement)
    signature = base64.b64encode(keys.sign(message)).decode()
    if not valid_signature(who.key, message, signature):
        raise RoomError(
            f"the key of this directory is not the key that the room names for {member!r}: nothing was signed"
        )
    others = tuple(s for s in room.signatures if s.member != member)
    return Room(
        agreement=room.agreement,
        signatures=(*others, Signature(member=member, signature=signature)),
    )


def missing(room: Room) -> tuple[str, ...]:
    """The members that have not signed yet, in the order of the agreement."""
    signed = {s.member for s in room.signatures}
    return tuple(m.name for m in room.agreement.members if m.name not in signed)


def problems(room: Room) -> tuple[str, ...]:
    """Everything that keeps the room from being in force; empty if it is."""
    found: list[str] = []
    message = _message(room.agreement)
    for name, times in Counter(s.member for s in room.signatures).items():
        if times > 1:
            found.append(f"{name!r} signed {times} times: remove all but one of its signatures")
    for signature in room.signatures:
        who = room.agreement.member(signature.member)
        if who is None:
            found.append(f"{signature.member!r} signed but is no member: remove its signature")
        elif not valid_signature(who.key, message, signature.signature):
            found.append(
                f"the signature of {signature.member!r} does not fit: the agreement was changed after it "
                "signed, or its key is another; it must look and sign again"
            )
    found.extend(f"{name!r} has not signed yet" for name in missing(room))
    return tuple(found)


def verify(room: Room) -> None:
    """Accept only a room that every member signed, exactly as it stands.

    Raises:
        RoomError: anything else; the message lists every problem.
    """
    found = problems(room)
    if found:
        raise RoomError(f"room {room.agreement.name!r} is not in force: " + "; ".join(found))
