# SPDX-License-Identifier: Apache-2.0
"""Whether an owner's table is as the room declares it for secret shares, found before a question fails on it.

What a run would find is told to nobody but codes; here its owner hears the words, on its own machine.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hitoku.ports import NoProgress, Progress

if TYPE_CHECKING:
    from hitoku.protections.shares.wanted import WantedLeaf
    from hitoku.room.agreement import Column, Table
    from hitoku.room.shares import SharesColumn, SharesTable
    from hitoku.sources.base import Source

__all__ = ["check_declared"]

_SEED: Final = 32
_SALT: Final = bytes(16)


def check_declared(
    table: Table,
    part: SharesTable | None,
    source: Source,
    columns: Mapping[str, str],
    folder: Path,
    progress: Progress | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Share everything that the room declares of a table, as for a run, and keep none of it.

    Args:
        table: the room's.
        part: what the room declares of it; None: nothing.
        source: the plain table.
        columns: source columns by room column; the same name where nothing is said.
        folder: where files may stand meanwhile.
        progress: hears about the phases.

    Returns:
        How many rows there are, and what holds, in words.

    Raises:
        InputError: something does not hold. No value is quoted.
        LimitError: the table is too large.
        EngineError: the engine failed.
    """
    from hitoku.protections.shares.upload.evaluate import evaluated
    from hitoku.protections.shares.upload.make import Sharing, kernel_split
    from hitoku.protections.shares.wanted import WantedKey, WantedTable

    leaves: list[WantedLeaf] = []
    holds: list[str] = []
    for declared in () if part is None else part.columns:
        column = table.column(declared.column_name)
        if column is not None and (leaf := _bounded(table, column, declared, len(leaves))) is not None:
            leaves.append(leaf)
            holds.append(f"{column.name} lies between what the room declares")
    for column in table.columns:
        if not column.nullable:
            leaves.append(_text(table, column, len(leaves)))
            holds.append(f"{column.name} has a value in every row")
    keys = []
    for names in () if part is None else part.unique:
        found = [table.column(name) for name in names]
        mine = [_text(table, c, len(leaves) + n) for n, c in enumerate(c for c in found if c is not None)]
        leaves += mine
        keys.append(WantedKey(tuple(leaf.name for leaf in mine), None, 1))
        holds.append(f"no two rows have the same {', '.join(names)}")
    rows = None if part is None else part.rows
    read = tuple(column for column in table.columns if any(leaf.column == column.name for leaf in leaves))
    if not leaves:
        read = table.columns[:1]
        leaves.append(_text(table, read[0], 0))
    wanted = WantedTable(table.name, table.owner, read, tuple(leaves), (), None, tuple(keys), rows)
    seeds = secrets.token_bytes(_SEED), secrets.token_bytes(_SEED)
    hears = progress or NoProgress()
    with evaluated(wanted, source, columns, folder, _SALT, hears) as there:
        sharing = Sharing(
            wanted, there.table, there.total, seeds, kernel_split, hears, there.most, there.groups
        )
        for _ in sharing.explicit():
            pass
        total = there.total
    if rows is not None:
        holds.insert(0, f"it fits into the {rows:,} rows that are declared")
    return total, tuple(holds)


def _quoted(table: Table, column: Column) -> str:
    return f'"{table.name}"."{column.name}"'


def _text(table: Table, column: Column, place: int) -> WantedLeaf:
    from hitoku.protections.shares.wanted import WantedLeaf

    return WantedLeaf(
        f"{table.name}.{place}",
        _quoted(table, column),
        "hash",
        word=True,
        low=0,
        high=(1 << 64) - 1,
        nullable=column.nullable,
        column=column.name,
    )


def _bounded(table: Table, column: Column, declared: SharesColumn, place: int) -> WantedLeaf | None:
    """The leaf that a run would share of a column with bounds; None where it has none, or is no number."""
    from hitoku.protections.shares.wanted import WantedLeaf

    if declared.lower is None or declared.upper is None:
        return None
    sql, scale = _quoted(table, column), column.scale or 0
    if str(column.type) in {"float", "double"}:
        if declared.decimals is None:
            return None
        sql, scale = f"CAST({sql} AS DECIMAL(38,{declared.decimals}))", declared.decimals
    date = str(column.type) == "date"
    return WantedLeaf(
        f"{table.name}.{place}",
        sql,
        "date" if date else "number",
        scale,
        word=True,
        low=declared.lower * 10**scale,
        high=declared.upper * 10**scale,
        nullable=column.nullable,
        column=column.name,
    )
