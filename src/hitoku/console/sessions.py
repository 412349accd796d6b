# SPDX-License-Identifier: Apache-2.0
"""Sessions of browsers and tokens of programs: 256 random bits each, of which only SHA-256 is stored.

A session's token is new at each sign-in and at each change of password, so one that somebody planted or saw
before is worth nothing. It ends when unused for a while, at latest after half a day, and all of a user's end
at once where the user says so, or an administrator disables it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from hitoku import limits
from hitoku.console.context import Context, NotFound
from hitoku.console.store import Account, account
from hitoku.console.users import May, User
from hitoku.errors import InputError, LimitError
from hitoku.room.consoletables import sessions, tokens, users

__all__ = ["Found", "begin", "end", "end_all", "of_session", "of_token", "well_formed"]

Strength = Literal["half", "password", "onetime", "oidc"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_PREFIX: Final = "hitoku_"
_SEEN_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Found:
    """A session: whose, and whether the one-time code is still to come."""

    account: Account
    half: bool


def well_formed(token: str) -> bool:
    """Whether it looks like a token of ours."""
    return _TOKEN.fullmatch(token) is not None


def hashed(token: str) -> str:
    """What is stored of a token. It is random: a fast hash without salt is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def _time(context: Context) -> float:
    return context.clock.now().timestamp()


def begin(context: Context, user: str, strength: Strength, *, instead: str | None = None) -> str:
    """Begin a session. Returns the cookie's token.

    Args:
        context: the console's.
        user: the user's id.
        strength: how the user proved who it is; ``half`` where the one-time code is still to come.
        instead: the token of a session that ends with it.
    """
    token, now = secrets.token_urlsafe(32), _time(context)
    length = limits.SIGN_IN_SECONDS if strength == "half" else limits.SESSION_SECONDS
    with context.node.store().transaction() as connection:
        connection.execute(sessions.delete().where((sessions.c.until < now) | (_idle(now))))
        if instead:
            connection.execute(sessions.delete().where(sessions.c.hash == hashed(instead)))
        old = connection.scalars(
            sa.select(sessions.c.hash)
            .where(sessions.c.user == user)
            .order_by(sessions.c.created.desc())
            .offset(limits.MAX_SESSIONS_A_USER - 1)
        ).all()
        connection.execute(sessions.delete().where(sessions.c.hash.in_(old)))
        connection.execute(
            sessions.insert().values(
                hash=hashed(token), user=user, created=now, seen=now, until=now + length, strength=strength
            )
        )
    return token


def _idle(now: float) -> sa.ColumnElement[bool]:
    return sessions.c.seen < now - limits.SESSION_IDLE_SECONDS


def of_session(context: Context, token: str) -> Found | None:
    """Whose session a cookie's token is; None where it is none, or has ended."""
    if not well_formed(token):
        return None
    now, key = _time(context), hashed(token)
    query = (
        sa.select(users, sessions.c.seen, sessions.c.strength)
        .join(sessions, sessions.c.user == users.c.id)
        .where(sessions.c.hash == key, sessions.c.until >= now, ~_idle(now), users.c.disabled.is_(False))
    )
    store = context.node.store()
    with store.reading() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.seen < now - _SEEN_SECONDS:
        with store.transaction() as connection:
            connection.execute(sessions.update().where(sessions.c.hash == key).values(seen=now))
    return Found(account(row), row.strength == "half")


def end(context: Context, token: str) -> None:
    """End a session, by its cookie's token."""
    with context.node.store().transaction() as connection:
        connection.execute(sessions.delete().where(sessions.c.hash == hashed(token)))


def end_all(context: Context, user: str, *, but: str | None = None) -> int:
    """End all sessions of a user, but the one with the token `but`. Returns how many."""
    where = sessions.c.user == user
    if but is not None:
        where &= sessions.c.hash != hashed(but)
    with context.node.store().transaction() as connection:
        return connection.execute(sessions.delete().where(where)).rowcount


def count(context: Context, user: str) -> int:
    """How many sessions of a user there are."""
    now = _time(context)
    where = (
        (sessions.c.user == user) & (sessions.c.until >= now) & ~_idle(now) & (sessions.c.strength != "half")
    )
    with context.node.store().reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(sessions).where(where)) or 0


def age(context: Context, token: str) -> float:
    """How many seconds ago somebody signed in to a session, by its cookie's token; endless if it is none."""
    query = sa.select(sessions.c.created).where(sessions.c.hash == hashed(token))
    with context.node.store().reading() as connection:
        created = connection.scalar(query)
    return float("inf") if created is None else _time(context) - float(created)


def check_token(user: Account | User, name: str, abilities: frozenset[May], days: int) -> None:
    """Whether `make_token` takes these.

    Raises:
        InputError: name, abilities or days cannot be used.
    """
    name = name.strip()
    if not name or len(name) > limits.MAX_NAME_CHARS or not name.isprintable():
        raise InputError(f"a token's name has 1 to {limits.MAX_NAME_CHARS} printable characters")
    if not abilities or not abilities <= user.abilities:
        raise InputError("a token may do something, and nothing that its user may not")
    if not 1 <= days <= limits.MAX_TOKEN_DAYS:
        raise InputError(f"a token ends after 1 to {limits.MAX_TOKEN_DAYS} days")


def make_token(
    context: Context, user: Account | User, name: str, abilities: frozenset[May], days: int
) -> str:
    """Make a bearer token, which is shown once and never again.

    Args:
        context: the console's.
        user: whose.
        name: what it is for.
        abilities: what it may do, of what its user may.
        days: after so many it ends.

    Raises:
        InputError: name, abilities or days cannot be used.
        LimitError: the user has too many.
    """
    check_token(user, name, abilities, days)
    token, now = _PREFIX + secrets.token_urlsafe(32), _time(context)
    with context.node.store().transaction() as connection:
        connection.execute(tokens.delete().where((tokens.c.user == user.id) & (tokens.c.until < now)))
        held = sa.select(sa.func.count()).select_from(tokens).where(tokens.c.user == user.id)
        if (connection.scalar(held) or 0) >= limits.MAX_TOKENS_A_USER:
            raise LimitError(f"a user has at most {limits.MAX_TOKENS_A_USER} tokens: end one first")
        connection.execute(
            tokens.insert().values(
                hash=hashed(token),
                id=secrets.token_hex(16),
                user=user.id,
                name=name.strip(),
                abilities=json.dumps(sorted(abilities)),
                created=now,
                used=None,
                until=now + days * 86_400,
            )
        )
    return token


def of_token(context: Context, token: str) -> User | None:
    """The user of a bearer token, with the token's abilities; None where it is none, or has ended."""
    if not token.startswith(_PREFIX) or not well_formed(token.removeprefix(_PREFIX)):
        return None
    now, key = _time(context), hashed(token)
    query = (
        sa.select(users, tokens.c.used, tokens.c.abilities.label("narrowed"))
        .join(tokens, tokens.c.user == users.c.id)
        .where(tokens.c.hash == key, tokens.c.until >= now, users.c.disabled.is_(False))
    )
    store = context.node.store()
    with store.reading() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if row.used is None or row.used < now - _SEEN_SECONDS:
        with store.transaction() as connection:
            connection.execute(tokens.update().where(tokens.c.hash == key).values(used=now))
    return account(row).user(frozenset(May(name) for name in json.loads(row.narrowed)))


def tokens_of(context: Context, user: str) -> list[dict[str, Any]]:
    """A user's tokens: id, name, abilities, created, used, until (seconds since 1970)."""
    query = sa.select(tokens).where(tokens.c.user == user, tokens.c.until >= _time(context))
    with context.node.store().reading() as connection:
        rows = connection.execute(query.order_by(tokens.c.created.desc())).all()
    return [
        {
            "id": row.id,
            "name": row.name,
            "abilities": json.loads(row.abilities),
            "created": row.created,
            "used": row.used,
            "until": row.until,
        }
        for row in rows
    ]


def end_token(context: Context, user: str, token: str) -> None:
    """End a user's own token, by its id.

    Raises:
        NotFound: the user has no such token.
    """
    with context.node.store().transaction() as connection:
        where = (tokens.c.user == user) & (tokens.c.id == token)
        if connection.execute(tokens.delete().where(where)).rowcount == 0:
            raise NotFound("there is no such token")
