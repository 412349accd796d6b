# SPDX-License-Identifier: Apache-2.0
"""Remedies that a program can make: of the room, by its owner, or of the asked SQL, by the asker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from sqlglot import exp

from hitoku.errors import Change, InputError
from hitoku.questions.names import quoted, span_of
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash

__all__ = ["added", "applied_to_room", "applied_to_sql", "possible", "renamed", "set_to", "written"]


def added(rule: str, value: str | Mapping[str, str | list[str]]) -> Change:
    """Add an entry to a list of the room."""
    return Change("add", rule, value)


def set_to(rule: str, value: str | int | bool | None) -> Change:
    """Set a field of the room."""
    return Change("set", rule, value)


def written(*edits: tuple[int, int, str]) -> Change:
    """Replace pieces of the SQL."""
    return Change("edit", edits=tuple(sorted(edits)))


def renamed(node: exp.Expr | None, name: str) -> Change | None:
    """Write another name in a node's place; None where the parser does not remember the place."""
    span = span_of(node)
    return None if span is None else written((span.start, span.end, quoted(name)))


def applied_to_sql(change: Change, sql: str) -> str:
    """The SQL with the change's edits made.

    Raises:
        InputError: an edit points outside the text, or two overlap.
    """
    parts: list[str] = []
    at = 0
    for start, end, text in change.edits:
        if not at <= start <= end <= len(sql):
            raise InputError("the change does not fit the text")
        parts += [sql[at:start], text]
        at = end
    return "".join([*parts, sql[at:]])


def applied_to_room(change: Change, agreement: Agreement) -> Agreement:
    """The agreement with the change made, as a next version that nobody has signed yet.

    Raises:
        InputError: the path is not in the room, or the room would not hold.
    """
    data: dict[str, Any] = agreement.model_dump(mode="json", by_alias=True)
    place, last = _place(data, (change.rule or "").split("."))
    if change.action == "set":
        place[last] = change.value
    else:
        entry = dict(change.value) if isinstance(change.value, Mapping) else change.value
        place[last] = [*(place.get(last) or []), entry]
    data |= {"version": agreement.version + 1, "previous": agreement_hash(agreement)}
    try:
        return Agreement.model_validate(data)
    except ValidationError:
        raise InputError("the room would not hold with this change") from None


def possible(change: Change | None, agreement: Agreement) -> Change | None:
    """The change if it is of the SQL, or the room would hold with it; else None."""
    if change is None or change.action == "edit":
        return change
    try:
        applied_to_room(change, agreement)
    except InputError:
        return None
    return change


def _place(data: Any, path: list[str]) -> tuple[dict[str, Any], str]:
    """The object that holds the last part of a path. Things in a list are found by name, dots included."""
    while len(path) > 1:
        if isinstance(data, list):
            for size in range(len(path) - 1, 0, -1):
                name = ".".join(path[:size])
                found = next((thing for thing in data if thing.get("name") == name), None)
                if found is not None:
                    data, path = found, path[size:]
                    break
            else:
                raise InputError("the change names nothing in the room")
        elif isinstance(data, dict) and path[0] in data:
            data, path = data[path[0]], path[1:]
        else:
            raise InputError("the change names nothing in the room")
    if not isinstance(data, dict):
        raise InputError("the change names nothing in the room")
    return data, path[0]
