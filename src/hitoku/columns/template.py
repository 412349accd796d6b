# SPDX-License-Identifier: Apache-2.0
"""Making table schemas: a template with every choice open, or one question after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from hitoku.columns.headers import header_problem, normalise, shown
from hitoku.columns.plan import type_classes
from hitoku.columns.schema import TableSchema, load_schema
from hitoku.errors import InputError
from hitoku.room.settings import Settings

__all__ = ["DEFAULT_MAX_PAD", "interactive_schema", "template"]

DEFAULT_MAX_PAD = 0
"""Suggested `length` of `max` padding: all values as long as the longest, and nothing on top."""

Ask = Callable[[str, Sequence[str] | None, str], str]
"""Asks one question: text, choices (None: free text), default; gives the answer."""


def _choices(kind: pa.DataType, settings: Settings) -> list[str]:
    encrypted, fingerprint = type_classes(kind)
    out = []
    if fingerprint:
        out.append("fingerprint")
    if encrypted:
        out.append("sealed")
    if settings.allow_cleartext:
        out.append("cleartext")
    return out


def template(source: pa.Schema, settings: Settings, *, header_row: bool = True) -> str:
    """A schema file to edit: every column with the choices that its type and the room leave.

    The result is JSON whose `type` and `pad` still say what may be chosen, so that it is refused
    until somebody has chosen. Columns that cannot be used are left out (positional: null).

    Raises:
        InputError: no column can be used.
    """
    columns: list[Any] = []
    for field in source:
        choices = _choices(field.type, settings)
        header = normalise(field.name)
        if not choices:
            if not header_row:
                columns.append(None)
            continue
        column: dict[str, Any] = {"sourceHeader": header} if header_row else {}
        column["targetHeader"] = header if not header_problem(header) else "[choose a header]"
        if not header_row:
            column["targetHeader"] = header.replace(" ", "_")
        column["type"] = choices[0] if len(choices) == 1 else f"[{'|'.join(choices)}]"
        if "sealed" in choices:
            column["pad"] = {
                "COMMENT": "for sealed columns only: length for fixed and max, in bytes",
                "type": "[none|fixed|max]",
                "length": DEFAULT_MAX_PAD,
            }
        columns.append(column if header_row else [column])
    if not any(columns):
        raise InputError("no column of the table can be used under these settings")
    data = {"headerRow": header_row, "columns": columns}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def interactive_schema(
    source: pa.Schema, settings: Settings, ask: Ask, *, header_row: bool = True
) -> TableSchema:
    """A schema from answers: for each column how many targets, their types, headers and padding.

    Args:
        source: the table's columns.
        settings: the room's; cleartext is not offered where it forbids it.
        ask: puts one question; it repeats it until a choice is answered.
        header_row: which form the schema takes.

    Raises:
        InputError: no column was chosen.
    """
    columns: list[Any] = []
    taken: set[str] = set()
    for index, field in enumerate(source):
        name = shown(normalise(field.name))
        choices = _choices(field.type, settings)
        targets: list[dict[str, Any]] = []
        many = "0"
        if choices:
            many = ask(
                f"column {index + 1} of {len(source)}, '{name}': how many output columns are made of it?",
                [str(n) for n in range(10)],
                "1",
            )
        for number in range(int(many)):
            made = _one(normalise(field.name), choices, ask, taken, header_row)
            made |= {"sourceHeader": normalise(field.name)} if header_row else {}
            taken.add(made["targetHeader"])
            targets.append(made)
            del number
        if header_row:
            columns += targets
        else:
            columns.append(targets or None)
    if not taken:
        raise InputError("no column was chosen: there is nothing to write")
    return load_schema({"headerRow": header_row, "columns": columns})


def _one(source: str, choices: list[str], ask: Ask, taken: set[str], header_row: bool) -> dict[str, Any]:
    kind = ask("  what becomes of it?", choices, choices[0])
    made: dict[str, Any] = {"type": kind}
    suffix = "" if kind == "cleartext" else f"_{kind}"
    stem = source if header_row else source.replace(" ", "_")
    default = f"{stem}{suffix}"
    if header_problem(default) or default in taken:
        default = ""
    while True:
        header = normalise(ask("  the output column's header", None, default))
        problem = header_problem(header) or ("is taken already" if header in taken else None)
        if problem is None:
            break
        default = ""
    made["targetHeader"] = header
    if kind == "sealed":
        made["pad"] = _pad(ask)
    return made


def _pad(ask: Ask) -> dict[str, Any]:
    kind = ask(
        "  padding hides how long values are: none, fixed (to a length), max (to the longest)",
        ["none", "fixed", "max"],
        "max",
    )
    if kind == "none":
        return {"type": "none"}
    what = "  padded to how many bytes?" if kind == "fixed" else "  bytes on top of the longest value?"
    while True:
        text = ask(what, None, "" if kind == "fixed" else str(DEFAULT_MAX_PAD))
        if text.isdecimal() and int(text) <= 10_000:
            return {"type": kind, "length": int(text)}
