# SPDX-License-Identifier: Apache-2.0
"""A member's own table as its input of a run: found by its settings, read where it lies, de-identified."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from hitoku.errors import InputError
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, TableSettings

if TYPE_CHECKING:
    from hitoku.ports import Progress
    from hitoku.protections.crosstab.prepared import Prepared
    from hitoku.protections.crosstab.shape import ShapeSide
    from hitoku.room.agreement import Room
    from hitoku.room.directory import MemberDirectory

__all__ = ["prepared", "settings_of"]


def settings_of(directory: MemberDirectory, room: Room, table: str) -> TableSettings:
    """What the member's node.toml says of a table; its file in ``tables/`` where it says nothing.

    Raises:
        InputError: there is neither.
    """
    if (directory.path / SETTINGS_FILE).is_file():
        names = {None, room.agreement.name, str(room.agreement.id)}
        for found in NodeSettings.open(directory.path).tables:
            if found.name == table and found.room in names:
                return found
    file = directory.table_file(table)
    if file is None:
        raise InputError(
            f"table {table}: this node does not know where it is; say so with `hitoku table add`, or put "
            f"{table}.parquet into {directory.path / 'tables'}"
        )
    return TableSettings(name=table, source=str(file.resolve()))


def prepared(
    directory: MemberDirectory, room: Room, side: ShapeSide, place: Path, progress: Progress | None = None
) -> Prepared:
    """This member's rows of a question: one a person, de-identified.

    Args:
        directory: the member's.
        room: the room, verified.
        side: what the question wants of the table.
        place: the run's directory, for files that only this user can read.
        progress: hears about the phases.

    Raises:
        InputError: the table is not where the settings say, or not as declared. No value is quoted.
    """
    from hitoku.protections.crosstab.prepare import Side, prepare
    from hitoku.sources.uri import open_uri

    agreed = room.agreement.crosstab
    if agreed is None:
        raise AssertionError("a question of this kind is recognised only where the room agrees on it")
    settings = settings_of(directory, room, side.table.name)
    return prepare(
        Side.of(side, agreed),
        open_uri(settings.source, directory.path),
        _salt(room),
        columns=settings.columns,
        person=settings.person,
        folder=place,
        progress=progress,
    )


def _salt(room: Room) -> bytes:
    """The key of identifiers' hashes. No secret: what hides them is the mask of the run."""
    return hashlib.sha256(b"hitoku/people-salt/1\n" + str(room.agreement.id).encode()).digest()
