# SPDX-License-Identifier: Apache-2.0
"""A table schema applied to a source under a room's settings: what exactly will be made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from hitoku import _core, limits
from hitoku.columns.headers import normalise, shown
from hitoku.columns.schema import ColumnSchema, Pad, TableSchema
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.room.settings import Settings

__all__ = ["MAX_SEALED_BYTES", "Plan", "Target", "make_plan", "type_classes"]

# Of a sealed value: prefix, nonce 32, iv 12, type 1, padding length 2, tag 16, all but the prefix
# in base64. The longest value that keeps the whole within the format's limit:
MAX_SEALED_BYTES = (limits.MAX_ENCODED_VALUE_BYTES - 7) // 4 * 3 - (32 + 12 + 1 + 2 + 16)


@dataclass(frozen=True)
class Target:
    """One output column.

    Attributes:
        header: target header, normalised.
        kind: `fingerprint`, `sealed` or `cleartext`.
        slot: which of the plan's used columns it is made of.
        pad: of a sealed column.
    """

    header: str
    kind: str
    slot: int
    pad: Pad | None

    @property
    def limit(self) -> int:
        """Longest value in bytes, with its metadata, that the column takes.

        What is padded begins with a byte that tells the type, so padding leaves one byte less.
        """
        if self.pad is None or self.pad.type == "none":
            return MAX_SEALED_BYTES
        length = self.pad.length or 0
        if self.pad.type == "fixed":
            return max(0, length - 1)
        return limits.MAX_PADDED_BYTES - length - 1


@dataclass(frozen=True)
class Plan:
    """What is read and what is made.

    Attributes:
        used: indexes of the source's columns that are read, each once.
        fields: names and types of those columns as they are read.
        targets: output columns in their order.
    """

    used: tuple[int, ...]
    fields: pa.Schema
    targets: tuple[Target, ...]

    def of_kind(self, kind: str) -> list[Target]:
        """The targets of one kind, in order."""
        return [target for target in self.targets if target.kind == kind]

    def counts(self) -> dict[str, int]:
        """How many output columns there are of each kind."""
        counts = Counter(target.kind for target in self.targets)
        return {kind: counts[kind] for kind in ("fingerprint", "sealed", "cleartext")}


def make_plan(schema: TableSchema, source: pa.Schema, name: str, settings: Settings) -> Plan:
    """Match a schema with a source's columns.

    Raises:
        InputError: unknown source columns, columns that the settings forbid, types that cannot be
            used: all of them at once.
    """
    found = _sources(schema, source, name)
    problems: list[str] = []
    if not settings.allow_cleartext:
        clear = [shown(c.target) for _, c in schema.flat() if c.type == "cleartext"]
        if clear:
            problems.append(f"cleartext columns that the room forbids: {', '.join(clear)}")
    unknown: list[str] = []
    used: dict[int, int] = {}
    targets: list[Target] = []
    for key, column in schema.flat():
        index = found.get(key)
        if index is None:
            unknown.append(shown(str(key)))
            continue
        if column.pad is not None and column.pad.type == "fixed" and not column.pad.length:
            problems.append(f"column '{shown(column.target)}' is padded to 0 bytes: at least 1 is needed")
        problem = _type_problem(source.field(index), column)
        if problem:
            problems.append(problem)
        slot = used.setdefault(index, len(used))
        targets.append(Target(column.target, column.type, slot, column.pad))
    if unknown:
        problems.insert(0, f"source columns that {name} does not have: {', '.join(unknown)}")
    if problems:
        raise InputError("; ".join(dict.fromkeys(problems)))
    fields = pa.schema([source.field(index) for index in used])
    return Plan(tuple(used), fields, tuple(targets))


def _sources(schema: TableSchema, source: pa.Schema, name: str) -> dict[str | int, int]:
    """Which column of the source each key of the schema means."""
    if not schema.header_row:
        if len(schema.columns) != len(source):
            raise InputError(
                f"the schema lists {len(schema.columns):,} input columns, {name} has {len(source):,}"
            )
        return {index: index for index in range(len(source))}
    headers = [normalise(header) for header in source.names]
    twice = [shown(h) for h, count in Counter(headers).items() if count > 1]
    if twice:
        raise InputError(f"{name} has columns of the same name: {', '.join(twice)}")
    return {header: index for index, header in enumerate(headers)}


def _type_problem(field: pa.Field, column: ColumnSchema) -> str | None:
    """Why a column of this type cannot become what the schema wants; None where it can."""
    name = shown(field.name)
    if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
        return f"column '{name}' is plain binary: if it holds UTF-8 text, say so (--parquetBinaryAsString)"
    if column.type == "cleartext":
        try:
            _core.Shuffle(pa.schema([field]), 1, 0, Path())
        except (_core.CellError, pa.ArrowException, ValueError):
            return f"column '{name}' has type {field.type}, which cannot be carried"
        return None
    encrypted, fingerprint = type_classes(field.type)
    if not encrypted:
        return f"column '{name}' has type {field.type}, which cannot be encrypted"
    if column.type == "fingerprint" and not fingerprint:
        return (
            f"column '{name}' has type {field.type}, which has no fingerprint: only text, integers, "
            "booleans and dates do"
        )
    return None


def type_classes(kind: pa.DataType) -> tuple[bool, bool]:
    """Whether columns of a type can be sealed, and whether they can be fingerprints."""
    try:
        _, equivalence_class = _core.type_indexes(pa.nulls(0, kind))
    except (_core.CellError, pa.ArrowException, ValueError):
        return False, False
    return True, equivalence_class is not None
