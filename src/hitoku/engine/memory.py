# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""DuckDB over Arrow tables in the memory of this process, which holds members' rows and nothing else.

For a process that is isolated as a whole: the worker of an enclave. What `worker` gets by a process of its
own, this gets by being in one: it has no files (nothing is spilled either: the disk is the host's), no
network, no extensions, no settings to change, bounds on memory, threads, time and the result, and an error of
it is a code.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from hitoku.engine.failures import failure
from hitoku.engine.process import EngineLimits
from hitoku.engine.worker import CODES, name, typed
from hitoku.errors import EngineError

__all__ = ["MemoryEngine", "TypedColumn"]

_BATCH_ROWS: Final = 16_384
_INPUT: Final = "_hitoku_in_"


@dataclass(frozen=True, slots=True)
class TypedColumn:
    """A column of a view: its name there and in the Arrow table, and the SQL type its values get."""

    name: str
    source: str
    sql_type: str


class MemoryEngine:
    """One database in memory. A context manager; leaving it gives its memory back.

    Args:
        bounds: what a question may use.
    """

    def __init__(self, bounds: EngineLimits) -> None:
        import duckdb

        self._bounds = bounds
        self._connection: Any = duckdb.connect(
            ":memory:",
            config={
                "enable_external_access": "false",
                "allow_community_extensions": "false",
                "allow_unsigned_extensions": "false",
                "allow_persistent_secrets": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
                "memory_limit": f"{bounds.memory_bytes}B",
                "threads": str(bounds.threads),
                "temp_directory": "",
            },
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET preserve_insertion_order = false")
        # As for files (`worker.connect`): a cast that is pushed into a scan fails where TRY would not.
        self._connection.execute("SET disabled_optimizers = 'type_pushdown,scalar_fn_pushdown'")
        self._connection.execute("SET lock_configuration = true")
        self._tables = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, table: str, columns: Sequence[TypedColumn], content: Any) -> None:
        """A table, as a view of that name. A value that is not of its column's type is NULL there.

        Args:
            table: the name of the view.
            columns: its columns, in order.
            content: a `pyarrow.Table`; it stays where it is.

        Raises:
            EngineError: it cannot be read.
        """
        source = f"{_INPUT}{self._tables}"
        self._tables += 1
        with _Coded(self._bounds):
            self._connection.register(source, content)
            rows = self._connection.execute(f"DESCRIBE SELECT * FROM {name(source)}").fetchall()
            types = {row[0]: row[1] for row in rows}
            made = [
                typed(name(c.source), {"encrypted": False, "type": c.sql_type}, types[c.source])
                + f" AS {name(c.name)}"
                for c in columns
            ]
            self._connection.execute(
                f"CREATE TEMP VIEW {name(table)} AS SELECT {', '.join(made)} FROM {name(source)}"
            )

    def run(self, sql: str) -> Any:
        """Run one statement.

        Args:
            sql: our own text, never an asker's.

        Returns:
            A `pyarrow.Table`.

        Raises:
            LimitError: the result is larger than allowed.
            EngineError: anything else, as a code.
        """
        import pyarrow as pa

        late = threading.Event()

        def end() -> None:
            late.set()
            self._connection.interrupt()

        watch = threading.Timer(self._bounds.seconds, end)
        watch.daemon = True
        watch.start()
        try:
            with _Coded(self._bounds, late):
                reader = self._connection.sql(sql).to_arrow_reader(_BATCH_ROWS)
                batches, rows, size = [], 0, 0
                for batch in reader:
                    rows, size = rows + batch.num_rows, size + batch.nbytes
                    if rows > self._bounds.result_rows or size > self._bounds.result_bytes:
                        raise failure({"code": "RESULT_TOO_LARGE"}, self._bounds.seconds)
                    batches.append(batch)
                return pa.Table.from_batches(batches, reader.schema)
        finally:
            watch.cancel()

    def close(self) -> None:
        """Give the memory back; nothing can be run any more."""
        self._connection.close()


class _Coded:
    """What the engine says becomes a code: its words can quote data."""

    def __init__(self, bounds: EngineLimits, late: threading.Event | None = None) -> None:
        self._seconds, self._late = bounds.seconds, late

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or not isinstance(error, Exception):
            return
        from hitoku.errors import HitokuError

        if isinstance(error, HitokuError):
            return
        code = CODES.get(type(error).__name__, "INTERNAL")
        if self._late is not None and self._late.is_set():
            code = "TIMEOUT"
        made = failure({"code": code}, self._seconds)
        raise made if isinstance(made, EngineError) else EngineError(str(made), code) from None
