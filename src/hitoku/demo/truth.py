# SPDX-License-Identifier: Apache-2.0
"""Is an answer right? The same question by plain DuckDB on the clear tables, which only a demo has."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku.demo import story

if TYPE_CHECKING:
    from rich.console import Console

    from hitoku.disclosure.answer import Answer

__all__ = ["check"]


def check(directory: Path, answer: Answer, console: Console, sql: str | None = None) -> bool:
    """Compare the answer to the story's question with DuckDB's, and say how it went.

    Args:
        directory: the demo's, with the owners' tables in their members' directories.
        answer: the answer.
        console: where to say it.
        sql: the question on the clear tables, with a last column that says which groups are too small; the
            story's where None.
    """
    import duckdb

    with duckdb.connect() as connection:
        rows = connection.execute(
            story.TRUTH if sql is None else sql,
            {
                "flights": str(directory / "airport" / "tables" / "flights.parquet"),
                "minimum": story.MINIMUM,
                "planes": str(directory / "registry" / "tables" / "planes.parquet"),
            },
        ).fetchall()
    expected = [row[:-1] for row in rows if not row[-1]]
    small = len(expected) < len(rows)
    right = _equal(answer.fetchall(), expected) and small and bool(expected)
    if right:
        console.print(
            f"[b]equal: {len(expected)} rows[/b], "
            f"and the {len(rows) - len(expected)} smaller groups are not in it."
        )
    else:
        console.print("[b red]NOT EQUAL[/b red]: the answer differs from plain DuckDB's. Please report this.")
    return right


def _equal(ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]]) -> bool:
    def key(row: tuple[Any, ...]) -> str:
        return repr(row[:2])

    def same(a: Any, b: Any) -> bool:
        # The order of a mean's additions differs: rows come in another order.
        return math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b

    pairs = zip(sorted(ours, key=key), sorted(theirs, key=key), strict=False)
    return len(ours) == len(theirs) and all(
        len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True)) for a, b in pairs
    )
