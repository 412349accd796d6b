# SPDX-License-Identifier: Apache-2.0
"""As host: released answers, kept to be given again byte for byte.

One question asked twice must not get fresh noise: the mean of many answers would be the truth. So a host
gives the first answer again to whom it was given, as long as nothing that it depends on has changed: the
question in normal form (and with it the agreement), the disclosure plan (and with it the receivers), asker,
protection, and the tables' files. They are hashed into one key. What is dropped for want of room costs a new
charge.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku import limits
from hitoku.room import store as tables
from hitoku.room.canonical import canonical_json, digest

__all__ = ["KeptAnswer", "answer_key", "find", "forget", "keep"]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A released answer as it was sent.

    Attributes:
        key: what it depends on, hashed.
        run: the run that computed it.
        tables: the tables in it.
        content: the message in which it travels, encoded.
    """

    key: str
    run: str
    tables: tuple[str, ...]
    content: bytes


def answer_key(*, question: str, plan: str, asker: str, protection: str, data: str) -> str:
    """The name of all that an answer depends on.

    Args:
        question: hash of the question, which covers the agreement.
        plan: hash of the disclosure plan, which covers the receivers.
        asker: who asked. Another member's same question is not found: whether it was asked is its business.
        protection: how it was computed.
        data: hash of the tables' versions.
    """
    facts = {"question": question, "plan": plan, "asker": asker, "protection": protection, "data": data}
    return digest("hitoku/kept-answer/1", canonical_json(facts))


def find(connection: Connection, room: str, key: str) -> KeptAnswer | None:
    """The answer of that key, if it is kept."""
    kept = tables.answers
    row = connection.execute(
        sa.select(kept).where(kept.c.room == room, kept.c.key == key).order_by(kept.c.number).limit(1)
    ).first()
    if row is None:
        return None
    return KeptAnswer(key, str(row.run), tuple(json.loads(row.tables)), bytes(row.answer))


def keep(connection: Connection, room: str, answer: KeptAnswer) -> None:
    """Keep an answer, and drop the oldest ones of this member where they become too many or too large."""
    kept = tables.answers
    size = len(answer.content)
    # All rooms of this member share the numbers and the room there is.
    tables.lock_all(connection, 1)
    if size > limits.MAX_KEPT_ANSWERS_BYTES or find(connection, room, answer.key) is not None:
        return
    number = 1 + int(connection.scalar(sa.select(sa.func.max(kept.c.number))) or 0)
    connection.execute(
        sa.insert(kept),
        {
            "run": answer.run,
            "room": room,
            "number": number,
            "key": answer.key,
            "tables": json.dumps(list(answer.tables)).encode(),
            "size": size,
            "answer": answer.content,
        },
    )
    count, total = 0, 0
    # Newest first: what comes after the first that does not fit is older, and goes too.
    for row in connection.execute(sa.select(kept.c.number, kept.c.size).order_by(kept.c.number.desc())):
        count, total = count + 1, total + int(row.size)
        if count > limits.MAX_KEPT_ANSWERS or total > limits.MAX_KEPT_ANSWERS_BYTES:
            connection.execute(sa.delete(kept).where(kept.c.number <= row.number))
            return


def forget(connection: Connection, room: str, table: str) -> int:
    """Delete the answers that rest on a table. Returns how many there were."""
    kept = tables.answers
    tables.lock_all(connection, 1)
    rows = connection.execute(sa.select(kept.c.run, kept.c.tables).where(kept.c.room == room)).all()
    runs = [str(row.run) for row in rows if table in json.loads(row.tables)]
    for run in runs:
        connection.execute(sa.delete(kept).where(kept.c.room == room, kept.c.run == run))
    return len(runs)
