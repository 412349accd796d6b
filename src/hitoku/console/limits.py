# SPDX-License-Identifier: Apache-2.0
"""Guessing is slow: every failed sign-in makes the next one wait, in the database, so also after a restart.

It slows down and does not lock out: who guesses at somebody's name must not keep that person out. So the
strict count is of a name *from one address*; the counts of a name and of an address alone are mild; and a
browser that the user signed in with before is counted by itself (OWASP: device cookies), whatever others do.
The address is the connection's. Headers such as ``X-Forwarded-For`` are the sender's to write, and are not
read: behind a proxy all have one address, and its mild count is all that this costs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hitoku import limits
from hitoku.console.context import Context
from hitoku.console.failing import Slow
from hitoku.room.consoletables import attempts

__all__ = ["Turn", "code", "sign_in"]


@dataclass(frozen=True, slots=True)
class _Count:
    """What is counted: after `free` failures, each next one waits twice as long, up to `most` seconds."""

    key: str
    free: int
    most: float
    clears: bool


def _key(*parts: str) -> str:
    """Names and addresses are stored as hashes of bounded length."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()


_NAME: Final = (20, 30.0)
_ADDRESS: Final = (60, 15.0)
_PAIR: Final = (5, 900.0)


def _in_turn(connection: Connection, keys: list[str]) -> None:
    """Whoever counts the same waits until the other is done; on SQLite a transaction writes alone anyway."""
    if connection.dialect.name == "postgresql":
        for number in sorted(int(key[:15], 16) for key in keys):  # one order: nobody waits in a circle
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


class Turn:
    """One attempt. It is counted as failed before it is looked at; `passed` takes that back."""

    def __init__(self, context: Context, counts: tuple[_Count, ...]) -> None:
        self._context, self._counts = context, counts
        self._seqs: list[int] = []

    def take(self) -> None:
        """Count the attempt.

        Raises:
            Slow: it is too early for another one; nothing was counted.
        """
        now = self._context.clock.now().timestamp()
        with self._context.node.store().transaction() as connection:
            _in_turn(connection, [count.key for count in self._counts])
            connection.execute(attempts.delete().where(attempts.c.time < now - limits.ATTEMPT_SECONDS))
            for count in self._counts:
                found = connection.execute(
                    sa.select(sa.func.count(), sa.func.max(attempts.c.time)).where(
                        attempts.c.key == count.key
                    )
                ).one()
                failed, last = int(found[0]), found[1]
                if last is None or failed < count.free:
                    continue
                wait = last + min(count.most, 2.0 ** min(failed - count.free, 20)) - now
                if wait > 0:
                    raise Slow(wait)
            for count in self._counts:
                made = connection.execute(attempts.insert().values(key=count.key, time=now))
                self._seqs.append(int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0)

    def passed(self) -> None:
        """It was the right one: forget it, and what failed before it of this name from this address."""
        clear = [count.key for count in self._counts if count.clears]
        with self._context.node.store().transaction() as connection:
            connection.execute(
                attempts.delete().where(attempts.c.seq.in_(self._seqs) | attempts.c.key.in_(clear))
            )


def sign_in(context: Context, name: str, address: str, known: str | None) -> Turn:
    """A turn to try a name's password.

    Args:
        context: the console's.
        name: what was typed as name.
        address: where the connection comes from.
        known: what names the browser, where this user signed in with it before.
    """
    if known is not None:
        return Turn(context, (_Count(_key("known", name, known), *_PAIR, True),))
    return Turn(
        context,
        (
            _Count(_key("pair", name, address), *_PAIR, True),
            _Count(_key("name", name), *_NAME, False),
            _Count(_key("address", address), *_ADDRESS, False),
        ),
    )


def code(context: Context, user: str) -> Turn:
    """A turn to try a one-time code, after the right password."""
    return Turn(context, (_Count(_key("code", user), *_PAIR, True),))
