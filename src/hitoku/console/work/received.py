# SPDX-License-Identifier: Apache-2.0
"""Answers that other members' questions brought to this member: what its node kept in ``answers/``.

Whoever may ask or audit sees them, in the rooms that it may see: the member received them, no one user did.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku import limits
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.work.answers import Column, Shown
from hitoku.disclosure.render import clean
from hitoku.room.canonical import agreement_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Received", "find", "received", "shown"]


@dataclass(frozen=True, slots=True)
class Received:
    """An answer that was delivered to this member.

    Attributes:
        run: the run that made it.
        data: as `hitoku.disclosure.answer.Answer.to_dict`.
    """

    run: str
    data: dict[str, Any]


def received(context: Context, entry: RoomEntry) -> list[Received]:
    """The answers of a room, the newest first."""
    found = [one for one in map(_read, _files(context)) if one is not None and _of(entry, one)]
    found.sort(key=lambda one: str(one.data.get("released_at")), reverse=True)
    return found[: limits.MAX_CONSOLE_JOBS]


def find(context: Context, entry: RoomEntry, run: str) -> Received:
    """One of them.

    Raises:
        NotFound: there is none of that run in this room.
    """
    if len(run) == 32 and run.isascii() and run.isalnum():
        one = _read(context.node.directory.path / "answers" / f"{run}.json")
        if one is not None and _of(entry, one):
            return one
    raise NotFound("there is no such answer in this room")


def shown(one: Received) -> Shown:
    """Its first rows as texts, the bands' ends beside their figures."""
    data = one.data
    bands = data.get("bands") or {"columns": [], "rows": []}
    places = {name: place for place, name in enumerate(bands["columns"])}
    columns, rows = [], data["rows"][: limits.MAX_CONSOLE_ROWS]
    for place, column in enumerate(data["columns"]):
        numbers = any(
            isinstance(row[place], int | float) and not isinstance(row[place], bool) for row in rows
        )
        banded = f"{column['name']}_low" in places
        columns.append(Column(clean(column["name"]), numbers or banded, "ends" if banded else None))
    made = []
    for number, row in enumerate(rows):
        cells: list[tuple[str, ...]] = []
        for column, value in zip(data["columns"], row, strict=True):
            texts = [_text(value)]
            for end in ("low", "high"):
                at = places.get(f"{column['name']}_{end}")
                if at is not None:
                    texts.append(_text(bands["rows"][number][at]))
            cells.append(tuple(texts))
        made.append(cells)
    return Shown(tuple(columns), made, len(data["rows"]))


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else clean(value)


def _of(entry: RoomEntry, one: Received) -> bool:
    versions = [entry.room.agreement, *(version.agreement for version in entry.room.history)]
    return any(one.data.get("room") == agreement_hash(version) for version in versions)


def _files(context: Context) -> Iterator[Path]:
    yield from (context.node.directory.path / "answers").glob("*.json")


def _read(path: Path) -> Received | None:
    """An answer's file; None where there is none, or it is not one."""
    try:
        if path.stat().st_size > 2 * limits.MAX_MESSAGE_BYTES:
            return None
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("rows"), list) or data.get("run") != path.stem:
        return None
    return Received(path.stem, data)
