# SPDX-License-Identifier: Apache-2.0
"""`hitoku table`: the member's own plain tables, which never leave its node."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from hitoku.cli.show import TerminalProgress, one_line
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.node.tables import Checked

__all__ = ["app"]

app = App(name="table", help="Enter a member's own tables, list and check them.", help_format="plaintext")

Json = Annotated[bool, Parameter(name="--json", negative="")]


@app.command
def add(
    directory: Path,
    name: str,
    *,
    source: str,
    room: str | None = None,
    column: list[str] | None = None,
    person: list[str] | None = None,
    json_: Json = False,
) -> int:
    """Enter a table into node.toml, after a look at its source's columns.

    Parameters
    ----------
    directory
        The member's own directory.
    name
        The table's name in the room.
    source
        A CSV or Parquet file, a folder of Parquet files, or a URI: duckdb:FILE?table=NAME,
        postgresql://USER@HOST/DATABASE?table=NAME (the password in PGPASSWORD or a password file).
    room
        The room's name or id, where the same name means another table in another room.
    column
        ROOM=SOURCE: the room's column has another name in the source. May be repeated.
    person
        KIND=SOURCE: a source column of an identifier of persons; repeated, its parts in order.
    json_
        Print one JSON object.
    """
    from hitoku.node.tables import add_table, entry
    from hitoku.room.directory import MemberDirectory

    member = MemberDirectory.open(directory)
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", source):
        source = os.path.relpath(Path(source).resolve(), directory.resolve())
    kinds: dict[str, tuple[str, ...]] = {}
    for kind, of in (_pair(given, "--person KIND=SOURCE") for given in person or ()):
        kinds[kind] = (*kinds.get(kind, ()), of)
    columns = dict(_pair(given, "--column ROOM=SOURCE") for given in column or ())
    if len(columns) != len(column or ()):
        raise InputError("--column names a column of the room twice")
    wanted = entry({"name": name, "room": room, "source": source, "columns": columns, "person": kinds})
    path = add_table(directory, member.name, wanted)
    if json_:
        sys.stdout.write(json.dumps({"file": str(path), "table": name, "source": source}) + "\n")
    else:
        sys.stdout.write(one_line(f"{path}: table {name} entered; `hitoku table check` reads it") + "\n")
    return 0


def _pair(given: str, form: str) -> tuple[str, str]:
    name, equals, of = given.partition("=")
    if not equals or not name or not of:
        raise InputError(f"{form} is expected")
    return name, of


@app.command(name="list")
def list_(directory: Path, *, json_: Json = False) -> int:
    """List the tables of node.toml.

    Parameters
    ----------
    directory
        The member's own directory.
    json_
        Print one JSON object.
    """
    from hitoku.node.settings import NodeSettings
    from hitoku.sources.uri import shown

    tables = NodeSettings.open(directory).tables
    if json_:
        data = [{**t.model_dump(), "source": shown(t.source)} for t in tables]
        sys.stdout.write(json.dumps({"tables": data}, ensure_ascii=False) + "\n")
        return 0
    if not tables:
        sys.stdout.write("no tables: `hitoku table add` enters one\n")
    for table in tables:
        where = "" if table.room is None else f" (room {table.room})"
        sys.stdout.write(one_line(f"{table.name}{where}: {shown(table.source)}") + "\n")
    return 0


@app.command
def check(directory: Path, name: str, *, room: str | None = None, json_: Json = False) -> int:
    """Read a whole table: what cannot be used, what is not as a room declares it. For its owner alone.

    Parameters
    ----------
    directory
        The member's own directory.
    name
        The table's name in the room.
    room
        Only the entry of this room.
    json_
        Print one JSON object.
    """
    from hitoku.node.tables import check_table
    from hitoku.room.directory import MemberDirectory

    member = MemberDirectory.open(directory)
    progress = TerminalProgress()
    try:
        found = check_table(directory, member.name, name, room, progress)
    finally:
        progress.close()
    if json_:
        data = [
            {
                "room": c.room,
                **({"rows": c.rows} if c.survey is None else asdict(c.survey)),
                **({} if c.holds is None else {"holds": list(c.holds)}),
            }
            for c in found
        ]
        sys.stdout.write(json.dumps({"table": name, "rooms": data}) + "\n")
        return 0
    for one in found:
        sys.stdout.write("".join(one_line(line) + "\n" for line in _lines(name, one)))
    sys.stdout.write("These figures are for you alone: no other member is told any of them.\n")
    return 0


def _lines(name: str, found: Checked) -> list[str]:
    head = f"{name} in room {found.room}: {found.rows:,} rows"
    seen = found.survey
    if found.holds is not None:
        return [f"{head}; it can be shared", *(f"  {words}" for words in found.holds)]
    if seen is None:
        return [f"{head}; the room has no private cross statistics over it"]
    lines = [f"{head}, {seen.people:,} people"]
    if seen.duplicates:
        lines.append(f"  {seen.duplicates:,} further rows of these people: merged into one row each")
    if seen.unusable:
        lines.append(f"  {seen.unusable:,} rows without a usable identifier: left out")
    for column, rows in seen.outside.items():
        if rows:
            what = "counted as `other`" if column in found.kept else "left out where it is grouped by"
            lines.append(f"  {column}: {rows:,} rows outside its public values: {what}")
    for column, rows in seen.missing.items():
        if rows:
            lines.append(f"  {column}: {rows:,} rows without a number: they count as 0")
    return lines
