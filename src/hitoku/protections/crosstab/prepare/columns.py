# SPDX-License-Identifier: Apache-2.0
"""Which columns of the source are read, what for, and which of them must become the room's types first.

A column that the source has in the declared type is used as it lies. Any other (every column of a CSV file,
for example, is text) is converted by the engine, and conditions are evaluated by it, over the declared types:
so a number, date or comparison means here what it means in every other protection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from hitoku.engine.tables import EngineColumn
from hitoku.errors import InputError
from hitoku.protections.crosstab.prepare.identify import Kind, check_type
from hitoku.protections.crosstab.prepare.normalise import Steps
from hitoku.room.agreement import Column, ColumnType
from hitoku.room.crosstab import PersonIdentifier
from hitoku.sources.columns import find_column as find

if TYPE_CHECKING:
    from hitoku.protections.crosstab.prepare.side import Side
    from hitoku.sources.base import Source

__all__ = ["Needed", "find", "identifiers", "needed", "sql_type"]

_SQL: Final = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.SMALLINT: "SMALLINT",
    ColumnType.INT: "INTEGER",
    ColumnType.BIGINT: "BIGINT",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.FLOAT: "FLOAT",
    ColumnType.DOUBLE: "DOUBLE",
    ColumnType.TIMESTAMP: "TIMESTAMP",
}
_INTEGERS: Final = {
    ColumnType.SMALLINT: (pa.int8(), pa.uint8(), pa.int16()),
    ColumnType.INT: (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32()),
    ColumnType.BIGINT: (
        *(pa.int8(), pa.uint8(), pa.int16(), pa.uint16()),
        *(pa.int32(), pa.uint32(), pa.int64()),
    ),
}


def sql_type(column: Column) -> str:
    """The SQL type of a declared column's values."""
    if column.type is ColumnType.DECIMAL:
        return f"DECIMAL({column.precision},{column.scale})"
    return _SQL[column.type]


@dataclass(frozen=True, slots=True)
class Needed:
    """What is read of a source.

    Attributes:
        places: the places in the source's schema, each once; a batch has these columns.
        kinds: identifiers; their columns are places in a batch.
        dimensions: for each dimension its place in a batch, or None where the engine gives it.
        measures: the same for each measure.
        converted: the columns of the room that the engine gives, as it is told of them.
        spooled: for the engine: the place in a batch and the column of the room.
    """

    places: tuple[int, ...]
    kinds: tuple[Kind, ...]
    dimensions: tuple[int | None, ...]
    measures: tuple[int | None, ...]
    converted: tuple[str, ...]
    spooled: tuple[tuple[int, EngineColumn], ...]


def identifiers(
    side: Side, source: Source, columns: Mapping[str, str], person: Mapping[str, Sequence[str]]
) -> list[tuple[PersonIdentifier, list[int]]]:
    """The kinds of identifiers that the source has, by priority, and the places of each one's parts.

    Raises:
        InputError: a kind is not the room's, or a column is missing or cannot identify anybody.
    """
    made = []
    for identifier, names in side.kinds(person, columns):
        places = [find(source.schema, side.table.name, name) for name in names]
        for name, place in zip(names, places, strict=True):
            check_type(source.schema.types[place], side.table.name, name)
        made.append((identifier, places))
    return made


def needed(
    side: Side, source: Source, columns: Mapping[str, str], person: Mapping[str, Sequence[str]]
) -> Needed:
    """What a side needs of its source.

    Args:
        side: the side.
        source: the member's table.
        columns: source columns by room column; the same name where nothing is said.
        person: source columns by kind of identifier.

    Raises:
        InputError: a column is missing, or cannot identify anybody.
    """
    table, schema = side.table.name, source.schema
    unknown = sorted(name for name in columns if side.table.column(name) is None)
    if unknown:
        raise InputError(f"table {table}: the room's table has no column {unknown[0]}")
    slots: dict[int, int] = {}

    def slot(place: int) -> int:
        return slots.setdefault(place, len(slots))

    kinds = []
    for identifier, parts in identifiers(side, source, columns, person):
        steps = Steps(identifier.normalise, side.calling_code)
        kinds.append(Kind(identifier.kind, steps, tuple(map(slot, parts))))
    places: dict[str, int] = {}
    engine: dict[str, EngineColumn] = {}

    def room(name: str, *, always: bool) -> int | None:
        """A column of the room in a batch; None where it goes through the engine."""
        declared = side.declared(name)
        place = find(schema, table, columns.get(name, name))
        places[name] = slot(place)
        direct = _is(schema.types[place], declared)
        if always or not direct:
            engine[name] = EngineColumn(name, sql_type(declared), encrypted=False)
        return places[name] if direct else None

    dimensions = tuple(room(d.column, always=False) for d in side.dimensions)
    measures = tuple(room(m.column, always=False) for m in side.measures)
    converted = tuple(engine)
    for name in sorted({use.ref.column for c in side.conditions for use in c.uses}):
        room(name, always=True)
    spooled = tuple((places[name], column) for name, column in engine.items())
    return Needed(tuple(slots), tuple(kinds), dimensions, measures, converted, spooled)


def _is(kind: pa.DataType, declared: Column) -> bool:
    """Whether values of an Arrow type are those of the declared type as they lie."""
    match declared.type:
        case ColumnType.STRING:
            return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
        case ColumnType.SMALLINT | ColumnType.INT | ColumnType.BIGINT:
            return kind in _INTEGERS[declared.type]
        case ColumnType.FLOAT:
            return bool(kind == pa.float32())
        case ColumnType.DOUBLE:
            return bool(kind == pa.float64())
        case ColumnType.DECIMAL:
            return bool(kind == pa.decimal128(declared.precision, declared.scale))
        case _:
            return False
