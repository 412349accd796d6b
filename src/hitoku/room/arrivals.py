# SPDX-License-Identifier: Apache-2.0
"""What a moved node tells the other members: that its ledger goes on here, and nowhere else.

An archive of `hitoku node backup --move` can be restored twice, and then two nodes would go on under one key,
each with all of the budgets. So every restored copy makes a random instance of its own, signs for it, and
goes on only after all other members have kept that: of one ledger of so many entries each keeps the first
instance that it hears of, and tells every other one (docs/decisions/0018-restore.md).
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Self

import rfc8785
import sqlalchemy as sa

from hitoku import limits
from hitoku.errors import RoomError
from hitoku.ports import KeyStore
from hitoku.room import store as tables
from hitoku.room.store import Store, insert_once

__all__ = ["Arrival", "keep"]

FORMAT: Final = "hitoku/arrival/1"
_INSTANCE: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A signed statement of which copy of a moved ledger goes on.

    Attributes:
        room: the room's id.
        member: whose ledger it is.
        size: how many entries it had when it was moved; grows from move to move.
        instance: the copy, 32 hexadecimal digits.
        signature: the member's.
    """

    room: str
    member: str
    size: int
    instance: str
    signature: bytes = b""

    @classmethod
    def made(cls, keys: KeyStore, room: str, member: str, size: int, instance: str) -> Self:
        """A signed one.

        Raises:
            SecretError: the key cannot be used.
        """
        unsigned = cls(room, member, size, instance)
        return cls(room, member, size, instance, keys.sign(unsigned.message()))

    def message(self) -> bytes:
        """The bytes that are signed."""
        return f"{FORMAT}\n".encode() + rfc8785.dumps(self._facts())

    def _facts(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "room": self.room,
            "member": self.member,
            "size": self.size,
            "instance": self.instance,
        }

    def to_text(self) -> str:
        """Canonical JSON, signature included."""
        return rfc8785.dumps(
            self._facts() | {"signature": base64.b64encode(self.signature).decode()}
        ).decode()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read one as it came from outside.

        Raises:
            RoomError: it is none; nothing of the input is quoted.
        """
        try:
            if len(text) > limits.MAX_LEDGER_HEAD_BYTES:
                raise ValueError
            data = json.loads(text)
            if data.pop("format") != FORMAT or set(data) != {
                "room", "member", "size", "instance", "signature",
            }:  # fmt: skip
                raise ValueError
            size, instance = data["size"], str(data["instance"])
            if type(size) is not int or not 0 <= size < 2**53 or not _INSTANCE.fullmatch(instance):
                raise ValueError
            signature = base64.b64decode(data["signature"], validate=True)
            made = cls(str(data["room"]), str(data["member"]), size, instance, signature)
            made.message()  # JSON may have half characters, which cannot be signed
            return made
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise RoomError(f"not of the format {FORMAT}") from None


def keep(store: Store, arrival: Arrival) -> Arrival:
    """Keep a member's arrival, unless one of as many entries or more is kept. Returns the one that is kept.

    Args:
        store: of who keeps it.
        arrival: checked to be the member's.
    """
    # Names are short there: the member's is hashed.
    name = f"arrived:{arrival.room}:{sha256(arrival.member.encode()).hexdigest()[:16]}"
    fact = tables.facts.c
    with store.transaction() as connection:
        if insert_once(connection, tables.facts, {"name": name, "value": arrival.to_text()}):
            return arrival
        # Of two at once one waits here until the other is done.
        text = connection.scalar(sa.select(fact.value).where(fact.name == name).with_for_update())
        kept = Arrival.from_text(str(text))
        if kept.size >= arrival.size:
            return kept
        connection.execute(sa.update(tables.facts).where(fact.name == name).values(value=arrival.to_text()))
    return arrival
