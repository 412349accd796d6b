# SPDX-License-Identifier: Apache-2.0
"""A member's own plain tables: entered into node.toml, and examined before they are used."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hitoku.errors import InputError
from hitoku.findings import findings
from hitoku.node.scratch import scratch
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, TableSettings
from hitoku.room.files import load_room, locked, write_whole

if TYPE_CHECKING:
    from hitoku.ports import Progress
    from hitoku.protections.crosstab.prepare import Survey
    from hitoku.room.agreement import Agreement, Table
    from hitoku.sources.base import Source

__all__ = ["Checked", "add_table", "check_table", "entry", "owned"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of a table in one room.

    Attributes:
        room: the room's name.
        rows: how many rows the source has.
        survey: what private cross statistics would make of them; None where the room has none over it.
        kept: the dimensions whose values outside are kept, as `other`.
        holds: what the room declares of it for secret shares, and is so; None where it has none.
    """

    room: str
    rows: int
    survey: Survey | None
    kept: frozenset[str]
    holds: tuple[str, ...] | None = None


def entry(data: dict[str, Any]) -> TableSettings:
    """An entry of node.toml, checked.

    Raises:
        InputError: it cannot be used; says where.
    """
    try:
        return TableSettings.model_validate(data)
    except ValidationError as error:
        raise InputError(f"table: {findings(error, 'entry')}") from None


def owned(directory: Path, member: str, settings: NodeSettings, wanted: TableSettings) -> list[Agreement]:
    """The agreements in which the member owns a table of this name.

    Raises:
        InputError: there is none.
    """
    found = []
    for file in settings.room_files(directory):
        agreement = load_room(file).agreement
        if wanted.room not in {None, agreement.name, str(agreement.id)}:
            continue
        table = agreement.table(wanted.name)
        if table is not None and table.owner == member:
            found.append(agreement)
    if not found:
        where = "no room of this node" if wanted.room is None else f"no room {wanted.room!r} of this node"
        raise InputError(f"{member} owns a table {wanted.name!r} in {where}")
    return found


def add_table(directory: Path, member: str, wanted: TableSettings) -> Path:
    """Enter a table into node.toml; all that stands there stays as it is. Returns the file.

    Raises:
        InputError: the table is entered already, is not the member's, or its source lacks a column.
        RoomError: the file cannot be written.
    """
    settings = NodeSettings.open(directory)
    if any((t.name, t.room) == (wanted.name, wanted.room) for t in settings.tables):
        raise InputError(f"{directory / SETTINGS_FILE}: has table {wanted.name!r} already; edit it there")
    source = _open(directory, wanted)
    for agreement in owned(directory, member, settings, wanted):
        _fits(agreement, wanted, source)
    path = directory / SETTINGS_FILE
    with locked(path):  # the console, or another command, may change it at the same time
        text = path.read_text(encoding="utf-8")
        text = "\n".join([text.rstrip("\n"), "", *wanted.lines(), ""])
        NodeSettings.made(tomllib.loads(text), str(path))
        write_whole(path, text.encode())
    return path


def check_table(
    directory: Path, member: str, name: str, room: str | None = None, progress: Progress | None = None
) -> list[Checked]:
    """Read a whole table and count what its rooms would make of it. For its owner alone.

    Raises:
        InputError: the table is not entered, its source cannot be used, or is not as a room declares it: a
            value is of another type, or what is declared for secret shares does not hold.
    """
    settings = NodeSettings.open(directory)
    found = [t for t in settings.tables if t.name == name and room in {None, t.room}]
    if not found:
        raise InputError(f"{directory / SETTINGS_FILE}: has no table {name!r}: `hitoku table add` enters one")
    made = []
    with scratch(directory) as folder:
        for wanted in found:
            for agreement in owned(directory, member, settings, wanted):
                made.append(_checked(directory, folder, agreement, wanted, progress))
    return made


def _checked(
    directory: Path, folder: Path, agreement: Agreement, wanted: TableSettings, progress: Progress | None
) -> Checked:
    from hitoku.protections.crosstab.prepare import Side, survey

    source = _open(directory, wanted)
    table = _fits(agreement, wanted, source)
    agreed = agreement.crosstab
    if agreed is None or agreed.table(wanted.name) is None:
        if agreement.shares is not None:
            from hitoku.node.declared import check_declared

            part = agreement.shares.table(wanted.name)
            rows, holds = check_declared(table, part, source, wanted.columns, folder, progress)
            return Checked(agreement.name, rows, None, frozenset(), holds)
        from hitoku.node.typed import check_types

        return Checked(
            agreement.name, check_types(table, source, wanted.columns, folder, progress), None, frozenset()
        )
    side = Side.whole(table, agreed)
    seen = survey(side, source, columns=wanted.columns, person=wanted.person, progress=progress)
    kept = frozenset(d.column for d in side.dimensions if d.other is not None)
    return Checked(agreement.name, seen.rows, seen, kept)


def _fits(agreement: Agreement, wanted: TableSettings, source: Source) -> Table:
    """Every column that is mapped is there; every column of the room, unless identifiers stand for it."""
    from hitoku.protections.crosstab.prepare import Side, identifiers

    table = agreement.table(wanted.name)
    if table is None:
        raise InputError(f"room {agreement.name!r} has no table {wanted.name!r}")
    unknown = sorted(name for name in wanted.columns if table.column(name) is None)
    if unknown:
        raise InputError(f"table {wanted.name}: the room's table has no column {unknown[0]}")
    agreed = agreement.crosstab
    person = None
    if agreed is not None and agreed.table(wanted.name) is not None:
        side = Side.whole(table, agreed)
        identifiers(side, source, wanted.columns, wanted.person)
        person = side.person if wanted.person else None
    elif wanted.person:
        raise InputError(f"table {wanted.name}: room {agreement.name!r} has no identifiers of persons")
    for column in table.columns:
        if column.name != person or column.name in wanted.columns:
            _column(source, wanted, column.name)
    return table


def _column(source: Source, wanted: TableSettings, name: str) -> int:
    from hitoku.protections.crosstab.prepare import find

    return find(source.schema, wanted.name, wanted.columns.get(name, name))


def _open(directory: Path, wanted: TableSettings) -> Source:
    from hitoku.sources.uri import open_uri

    return open_uri(wanted.source, directory)
