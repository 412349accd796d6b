# SPDX-License-Identifier: Apache-2.0
"""A member's own tables in the console: found, looked into, declared for a room, entered, removed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from pydantic import ValidationError

from hitoku import limits
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.users import User
from hitoku.console.work.looking import look
from hitoku.console.work.places import NOT_THERE, Found, places
from hitoku.errors import InputError, RoomError
from hitoku.findings import findings
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, TableSettings
from hitoku.node.tables import add_table, entry
from hitoku.room.agreement import Agreement, Column, Table
from hitoku.room.files import locked, write_whole

__all__ = [
    "Own",
    "changed_tables",
    "column_of",
    "declared",
    "entered",
    "inspect",
    "mine",
    "normal_header",
    "own_table",
    "register",
    "remove_entry",
    "removed",
    "sources",
]

_HEADER_CHARS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


@dataclass(frozen=True, slots=True)
class Own:
    """One table of a room, as this member's console lists it.

    Attributes:
        table: what the room declares.
        mine: whether this member owns it.
        entry: what node.toml says of it; None where it is not entered, or not this member's.
    """

    table: Table
    mine: bool
    entry: TableSettings | None


def mine(context: Context, room: RoomEntry) -> tuple[Own, ...]:
    """The room's tables, this member's first."""
    me, settings = context.me, context.node.settings()
    made = [Own(t, t.owner == me, entered(settings, room, t.name)) for t in room.agreement.tables]
    return tuple(sorted(made, key=lambda own: (not own.mine, own.table.name)))


def own_table(context: Context, room: RoomEntry, name: str) -> Table:
    """A table of this member in the room.

    Raises:
        NotFound: there is none.
    """
    table = room.agreement.table(name)
    if table is None or table.owner != context.me:
        raise NotFound("there is no such table of this member in the room")
    return table


def entered(settings: NodeSettings, room: RoomEntry, name: str) -> TableSettings | None:
    """What node.toml says of a table in a room; an entry of this room goes before one of all rooms."""
    known = [t for t in settings.tables if t.name == name and t.room in {None, room.id, room.name}]
    return min(known, key=lambda t: t.room is None, default=None)


def sources(context: Context) -> tuple[Found, ...]:
    """What can be registered."""
    return places(context.node.directory.path, context.node.settings()).found()


def inspect(
    context: Context, user: User, source: str, *, profile: bool = False, sample: bool = False
) -> tuple[str, dict[str, Any]]:
    """Look into a source that the console may open. Returns it as node.toml would have it, and what it has.

    Raises:
        InputError, LimitError, EngineError: it may not be opened or cannot be used, or it is a table of rooms
            none of which the user may see.
    """
    base = context.node.directory.path
    allowed = places(base, context.node.settings()).allowed(source)
    if _only_elsewhere(context, user, allowed):
        raise InputError(NOT_THERE)  # as what is not there
    return allowed, look(allowed, base, profile=profile, sample=sample)


def _only_elsewhere(context: Context, user: User, source: str) -> bool:
    """Whether a source is entered for rooms, and the user may see none of them."""
    base, given = context.node.directory.path, _place(context.node.directory.path, source)
    rooms = [table.room for table in context.node.settings().tables if _place(base, table.source) == given]
    seen = {name for entry in context.rooms(user) for name in (entry.id, entry.name)}
    return user.rooms is not None and bool(rooms) and not any(r is None or r in seen for r in rooms)


def _place(base: Path, source: str) -> str:
    """One text for one source, however it is written."""
    path, mark, query = source.removeprefix("file://").removeprefix("file:").partition("?")
    if "://" in source and not source.startswith("file:"):
        return source
    kind = "duckdb:" if path.startswith("duckdb:") else ""
    plain = path.removeprefix(kind)
    return kind + str((base / (unquote(plain) if kind else plain)).resolve()) + mark + query


def normal_header(name: str) -> str:
    """A name that a room's column can have, made of a source's: a-z, 0-9 and _."""
    folded = "".join(c if c in _HEADER_CHARS else "_" for c in name.strip().lower())
    return folded.strip("_")[: limits.MAX_HEADER_CHARS] or "column"


def declared(name: str, owner: str, columns: Iterable[Mapping[str, Any]], before: Table | None) -> Table:
    """The room's table, of a form; a rule and access budgets that it has already stay.

    Raises:
        InputError: it is no table; says which column and why.
    """
    data: dict[str, Any] = {"name": name, "owner": owner, "columns": list(columns)}
    if before is not None:
        kept = before.model_dump(mode="json", by_alias=True, exclude_none=True)
        data = {**kept, **data}
    try:
        return Table.model_validate(data)
    except ValidationError as error:
        raise InputError(findings(error, "table")) from None


def changed_tables(agreement: Agreement, table: Table) -> dict[str, Any]:
    """The change of an agreement that puts a table in, or in another's of the same name place."""
    made = [t if t.name != table.name else table for t in agreement.tables]
    if agreement.table(table.name) is None:
        made.append(table)
    return {"tables": [_plain(t) for t in made]}


def removed(agreement: Agreement, name: str) -> dict[str, Any]:
    """The change of an agreement that takes a table out, and what private statistics and shares say of it.

    Raises:
        RoomError: private cross statistics or shares need it.
    """
    for part, what in ((agreement.crosstab, "crosstab"), (agreement.shares, "shares")):
        if part is not None and part.table(name) is not None:
            raise RoomError(
                f"table {name} is part of the room's `{what}`: take it out there first, all owners sign that"
            )
    return {"tables": [_plain(t) for t in agreement.tables if t.name != name]}


def _plain(table: Table) -> dict[str, Any]:
    return table.model_dump(mode="json", by_alias=True, exclude_none=True)


# --- node.toml ---


def register(
    context: Context,
    room: RoomEntry,
    name: str,
    source: str,
    columns: Mapping[str, str],
    person: Mapping[str, Iterable[str]] | None = None,
) -> None:
    """Enter a table of the room into node.toml.

    Args:
        context: the console's.
        room: the room.
        name: the table's name.
        source: what the user named.
        columns: source columns by room column; those of the same name may be left out.
        person: source columns by kind of identifier.

    Raises:
        InputError: the source may not be opened, lacks a column, or the table is entered already.
        RoomError: node.toml cannot be written.
    """
    base = context.node.directory.path
    allowed = places(base, context.node.settings()).allowed(source)
    wanted = entry(
        {
            "name": name,
            "room": room.id,
            "source": allowed,
            "columns": {k: v for k, v in columns.items() if k != v},
            "person": {k: list(v) for k, v in (person or {}).items()},
        }
    )
    look(allowed, base)  # in a process of its own first: what add_table opens here is then known to be sane
    add_table(base, context.me, wanted)
    context.node.look()


def remove_entry(context: Context, room: RoomEntry, name: str) -> None:
    """Take a table's entry out of node.toml; all else stays as it is, comments too.

    Raises:
        NotFound: it is not entered.
        RoomError: node.toml is written in a way that a program does not change: edit it by hand.
    """
    base = context.node.directory.path
    path = base / SETTINGS_FILE
    with locked(path):
        settings = NodeSettings.open(base)
        found = entered(settings, room, name)
        if found is None:
            raise NotFound("this table is not entered in node.toml")
        if found.room is None and _elsewhere(context, room, name):
            raise RoomError(f"{path}: this entry is for another room's table {name} too: edit it by hand")
        place = settings.tables.index(found)
        text = _without(path.read_text("utf-8"), place)
        try:
            after = None if text is None else NodeSettings.made(tomllib.loads(text), str(path))
        except (tomllib.TOMLDecodeError, InputError):
            after = None
        wanted = settings.model_copy(
            update={"tables": tuple(t for n, t in enumerate(settings.tables) if n != place)}
        )
        if text is None or after != wanted:
            raise RoomError(f"{path}: cannot be changed by a program as it is written: edit it by hand")
        write_whole(path, text.encode())
    context.node.look()


def _elsewhere(context: Context, room: RoomEntry, name: str) -> bool:
    """Whether another room of this node has a table of this member of that name."""
    others = (entry.room.agreement.table(name) for entry in context.node.rooms() if entry.id != room.id)
    return any(table is not None and table.owner == context.me for table in others)


def _without(text: str, place: int) -> str | None:
    """A file without its n-th ``[[tables]]``, of which the caller verifies that it says what it should."""
    lines = text.splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.strip().replace(" ", "").startswith("[[tables]]")]
    if place >= len(starts):
        return None
    end = starts[place] + 1
    while end < len(lines):
        head = lines[end].strip().replace(" ", "")
        if head.startswith("[") and not head.startswith("[tables."):
            break
        end += 1
    # Comments right above the next part are about that part.
    while end > starts[place] + 1 and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    return "".join((*lines[: starts[place]], *lines[end:]))


def column_of(form: Mapping[str, str], place: int) -> Column | None:
    """A column of the form that declares a table; None where it is not taken.

    Raises:
        InputError: it is no column.
    """
    if form.get(f"take-{place}") != "yes":
        return None
    kind = form.get(f"type-{place}", "")
    data: dict[str, Any] = {
        "name": form.get(f"name-{place}", ""),
        "type": kind,
        "protection": form.get(f"protection-{place}", ""),
        "nullable": form.get(f"nullable-{place}") == "yes",
    }
    if kind == "decimal":
        try:
            data["precision"] = int(form.get(f"precision-{place}") or 18)
            data["scale"] = int(form.get(f"scale-{place}") or 0)
        except ValueError:
            raise InputError(f"column {place + 1}: precision and scale are whole numbers") from None
    try:
        return Column.model_validate(data)
    except ValidationError as error:
        raise InputError(f"column {place + 1}: {findings(error, 'column')}") from None
