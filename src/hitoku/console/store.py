# SPDX-License-Identifier: Apache-2.0
"""The console's users and what they did, in the member's database."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hitoku import limits
from hitoku.console.context import Context, NotFound
from hitoku.console.users import May, User
from hitoku.console.words import LANGUAGES
from hitoku.errors import InputError, LimitError, RoomError
from hitoku.room.consoletables import events, sessions, tokens, users

__all__ = ["THEMES", "Account", "all_accounts", "by_id", "by_name", "change", "create", "note", "notes"]

THEMES: Final = ("auto", "light", "dark")


@dataclass(frozen=True, slots=True)
class Account:
    """A user's row.

    Attributes:
        id: 32 hexadecimal digits.
        name: what the user signs in with.
        password: the argon2id hash; None where only an OIDC provider signs the user in.
        onetime: whether one-time codes are set up.
        recovery: how many recovery codes are left.
        abilities: what the user may do.
        rooms: the rooms the user may see; all where None.
        language: ``en`` or ``ja``.
        theme: ``auto``, ``light`` or ``dark``.
        issuer: the OIDC provider that signs the user in; None where none does.
        disabled: whether the user may not sign in.
        created: when, as ISO 8601.
    """

    id: str
    name: str
    password: str | None
    onetime: bool
    recovery: int
    abilities: frozenset[May]
    rooms: frozenset[str] | None
    language: str
    theme: str
    issuer: str | None
    disabled: bool
    created: str

    def user(self, narrowed: frozenset[May] | None = None) -> User:
        """The user, as pages and API see it; with those of `narrowed` abilities alone, if there are any."""
        abilities = self.abilities if narrowed is None else self.abilities & narrowed
        return User(self.id, self.name, abilities, self.rooms, self.language, self.theme)


def account(row: Row[Any]) -> Account:
    """An account of its row."""
    known = {str(ability) for ability in May}
    rooms = None if row.rooms is None else frozenset(json.loads(row.rooms))
    return Account(
        row.id,
        row.name,
        row.password,
        row.onetime is not None,
        len(json.loads(row.recovery)),
        frozenset(May(name) for name in json.loads(row.abilities) if name in known),
        rooms,
        row.language,
        row.theme,
        row.issuer,
        bool(row.disabled),
        row.created,
    )


def now(context: Context) -> str:
    """The time as it is stored."""
    return context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def checked_name(name: str) -> str:
    """A user's name: printable, without spaces at its ends.

    Raises:
        InputError: it is none.
    """
    if not name or len(name) > limits.MAX_NAME_CHARS or name != name.strip() or not name.isprintable():
        raise InputError(f"a user's name has 1 to {limits.MAX_NAME_CHARS} printable characters")
    return name


def create(
    context: Context,
    name: str,
    abilities: frozenset[May],
    *,
    password: str | None = None,
    rooms: frozenset[str] | None = None,
    language: str = "en",
    issuer: str | None = None,
    subject: str | None = None,
) -> Account:
    """Make a user.

    Args:
        context: the console's.
        name: what the user signs in with.
        abilities: what it may do.
        password: its argon2id hash.
        rooms: the rooms it may see; all where None.
        language: of its pages.
        issuer: the OIDC provider that signs it in.
        subject: who it is there.

    Raises:
        InputError: the name cannot be used or is taken.
        LimitError: there are too many users.
    """
    row = {
        "id": secrets.token_hex(16),
        "name": checked_name(name),
        "password": password,
        "abilities": json.dumps(sorted(abilities)),
        "rooms": None if rooms is None else json.dumps(sorted(rooms)),
        "language": language if language in LANGUAGES else "en",
        "theme": "auto",
        "issuer": issuer,
        "subject": subject,
        "created": now(context),
        "changed": now(context),
    }
    try:
        with context.node.store().transaction() as connection:
            held = connection.scalar(sa.select(sa.func.count()).select_from(users)) or 0
            if held >= limits.MAX_CONSOLE_USERS:
                raise LimitError(f"a console has at most {limits.MAX_CONSOLE_USERS} users")
            connection.execute(users.insert().values(**row))
            found = connection.execute(sa.select(users).where(users.c.id == row["id"])).one()
    except sa.exc.IntegrityError:  # the database's word: another one may have come at the same time
        raise InputError("there is a user of this name already") from None
    return account(found)


def by_id(context: Context, user: str) -> Account:
    """A user by its id.

    Raises:
        NotFound: there is none.
    """
    with context.node.store().reading() as connection:
        row = connection.execute(sa.select(users).where(users.c.id == user)).one_or_none()
    if row is None:
        raise NotFound("there is no such user")
    return account(row)


def by_name(context: Context, name: str) -> Account | None:
    """A user by its name; None where there is none."""
    with context.node.store().reading() as connection:
        row = connection.execute(sa.select(users).where(users.c.name == name)).one_or_none()
    return None if row is None else account(row)


def by_subject(context: Context, issuer: str, subject: str) -> Account | None:
    """A user by who it is at an OIDC provider; None where there is none."""
    where = (users.c.issuer == issuer) & (users.c.subject == subject)
    with context.node.store().reading() as connection:
        row = connection.execute(sa.select(users).where(where)).one_or_none()
    return None if row is None else account(row)


def all_accounts(context: Context) -> tuple[Account, ...]:
    """All users, by name."""
    with context.node.store().reading() as connection:
        rows = connection.execute(sa.select(users).order_by(users.c.name)).all()
    return tuple(account(row) for row in rows)


def change(context: Context, user: str, *, end: bool = False, guarded: bool = True, **values: Any) -> Account:
    """Change a user's row.

    Args:
        context: the console's.
        user: its id.
        end: whether its sessions and tokens end.
        guarded: whether it is refused where nobody would be left who may administer this console.
        values: columns; `abilities` and `rooms` as sets.

    Raises:
        NotFound: there is no such user.
        RoomError: nobody would be left who may administer this console.
    """
    for name in ("abilities", "rooms"):
        if values.get(name) is not None:
            values[name] = json.dumps(sorted(values[name]))
    with context.node.store().transaction() as connection:
        before = _administrators(connection)
        connection.execute(users.update().where(users.c.id == user).values(**values, changed=now(context)))
        row = connection.execute(sa.select(users).where(users.c.id == user)).one_or_none()
        if row is None:
            raise NotFound("there is no such user")
        if guarded and before and not _administrators(connection):
            raise RoomError("this is the last user who may administer this console: make another one first")
        if end:
            connection.execute(sessions.delete().where(sessions.c.user == user))
            connection.execute(tokens.delete().where(tokens.c.user == user))
    return account(row)


def _administrators(connection: Connection) -> int:
    """How many can administer; on PostgreSQL all of them are locked, so that two cannot leave at once."""
    rows = connection.execute(
        sa.select(users.c.abilities).where(users.c.disabled.is_(False)).with_for_update()
    ).scalars()
    return sum("administer" in json.loads(abilities) for abilities in rows)


def note(
    context: Context, user: User | Account | str | None, what: str, *, room: str | None = None, **detail: Any
) -> None:
    """Write down what a user did: for the audit page. Names, codes and sizes only, never data or secrets."""
    with context.node.store().transaction() as connection:
        connection.execute(
            events.insert().values(
                time=now(context),
                user=user[: limits.MAX_NAME_CHARS] if isinstance(user, str) else user and user.name,
                what=what,
                room=room,
                detail=json.dumps(detail, sort_keys=True)[:4_000],
            )
        )


def notes(context: Context, *, before: int | None = None, most: int = 100) -> list[dict[str, Any]]:
    """What users did, newest first: seq, time, user, what, room, detail."""
    query = sa.select(events).order_by(events.c.seq.desc()).limit(most)
    if before is not None:
        query = query.where(events.c.seq < before)
    with context.node.store().reading() as connection:
        rows = connection.execute(query).all()
    return [{**row._asdict(), "detail": json.loads(row.detail)} for row in rows]
