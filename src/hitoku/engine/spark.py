# SPDX-License-Identifier: Apache-2.0
"""The engine on a cluster: Spark runs statements over Parquet files, and nothing of what it says leaves.

What comes here was written by `hitoku.protections.tokens.on_spark` from a checked form; literals come as
parameters, so no text of anybody is ever parsed. A question gets a session of its own: it sees the views of
its tables and no others.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from hitoku.engine.failures import failure
from hitoku.engine.process import EngineLimits
from hitoku.engine.tables import EngineColumn, EngineTable
from hitoku.errors import HitokuError, InputError

__all__ = ["SparkEngine", "Statement"]

_LOOK_SECONDS: Final = 0.1
_PATTERN: Final = frozenset("*?[]{}\\,")
_ARROW: Final = {
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "BOOLEAN": "bool",
    "DATE": "date32[day]",
    "FLOAT": "float",
    "DOUBLE": "double",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL in Spark's dialect, and the text that its parameters stand for."""

    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)


class SparkEngine:
    """Statements over tables' files, on a session of Spark.

    Args:
        session: makes the session, or gives the one there is; called when the first question comes.
        bounds: seconds and rows that a question may take.
    """

    def __init__(self, session: Callable[[], Any], bounds: EngineLimits | None = None) -> None:
        self.bounds = bounds or EngineLimits()
        self._session = session
        self._cancelled = threading.Event()
        self._late = threading.Event()
        self._context: Any = None
        self._tag = f"hitoku-{secrets.token_hex(8)}"

    def run(self, tables: Sequence[EngineTable], statements: Sequence[Statement]) -> list[Any]:
        """Run statements over the tables' files, and collect what they give.

        Args:
            tables: each becomes a view of that name, with the declared columns; Parquet only.
            statements: in Spark's dialect.

        Returns:
            A `pyarrow.Table` for each.

        Raises:
            InputError: a file is missing, is not Parquet, or a column is not of the declared type.
            LimitError: a result is larger than allowed.
            EngineError: anything else, as a code.
        """
        sources = [(table, *_source(table)) for table in tables]
        self._check()
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=(done,), name="hitoku-spark-watch", daemon=True)
        try:
            session = self._session().newSession()
            self._context = session.sparkContext
            watch.start()
            return self._collected(session, sources, statements)
        except HitokuError:
            raise
        except Exception:
            # Spark's errors quote values. They stay in its log, on this machine.
            code = (
                "CANCELLED" if self._cancelled.is_set() else "TIMEOUT" if self._late.is_set() else "INTERNAL"
            )
            raise self._failed(code) from None
        finally:
            done.set()
            if watch.ident is not None:
                watch.join()

    def cancel(self) -> None:
        """End the question, from any thread: `run` raises an EngineError with code ``CANCELLED``."""
        self._cancelled.set()

    def _collected(
        self,
        session: Any,
        sources: Sequence[tuple[EngineTable, str, list[str]]],
        statements: Sequence[Statement],
    ) -> list[Any]:
        context = session.sparkContext
        session.conf.set("spark.sql.variable.substitute", "false")
        for table, path, headers in sources:
            frame = session.read.parquet(path)
            pairs = zip(table.columns, headers, strict=True)
            chosen = [frame[_name(header)].alias(column.name) for column, header in pairs]
            frame.select(*chosen).createOrReplaceTempView(table.name)
        results = []
        context.addJobTag(self._tag)
        try:
            for statement in statements:
                self._check()
                frame = session.sql(statement.sql, args=dict(statement.parameters))
                result = frame.limit(self.bounds.result_rows + 1).toArrow()
                self._check()  # where it came too late: no answer for whoever cancelled
                if result.num_rows > self.bounds.result_rows or result.nbytes > self.bounds.result_bytes:
                    raise self._failed("RESULT_TOO_LARGE")
                results.append(result)
        finally:
            context.removeJobTag(self._tag)
        return results

    def _watch(self, done: threading.Event) -> None:
        """End the question's jobs when it is cancelled or late.

        Again and again: Spark knows a job by its tag only once it has begun, and a question has several.
        """
        deadline = time.monotonic() + self.bounds.seconds
        while not done.wait(_LOOK_SECONDS):
            if time.monotonic() >= deadline:
                self._late.set()
            if self._late.is_set() or self._cancelled.is_set():
                with suppress(Exception):
                    self._context.cancelJobsWithTag(self._tag)

    def _check(self) -> None:
        """Go no further where the question is cancelled or late."""
        if self._cancelled.is_set():
            raise self._failed("CANCELLED")
        if self._late.is_set():
            raise self._failed("TIMEOUT")

    def _failed(self, code: str) -> HitokuError:
        return failure({"code": code}, self.bounds.seconds)


def _name(header: str) -> str:
    return "`" + header.replace("`", "``") + "`"


def _source(table: EngineTable) -> tuple[str, list[str]]:
    """A table's file as Spark reads it, and the file's header of each declared column."""
    from pyarrow import ArrowInvalid, parquet

    if table.file.format != "parquet":
        raise InputError(f"table {table.name}: Spark reads Parquet files only; deliver it as Parquet")
    path = table.file.path.resolve()
    if not path.is_file():
        raise InputError(f"table {table.name}: its file is missing or is no file")
    if _PATTERN & set(str(path)):
        raise InputError(f"table {table.name}: Spark would read its file's path as a pattern; rename it")
    try:
        schema = parquet.read_schema(path)
    except (ArrowInvalid, OSError):
        raise failure({"code": "INPUT_FILE"}, 0) from None
    folded: dict[str, str] = {}
    for header in schema.names:
        key = header.strip().lower()
        if key in folded:
            raise failure({"code": "DUPLICATE_COLUMN", "table": table.name, "column": key}, 0)
        folded[key] = header
    for column in table.columns:
        if column.name not in folded:
            raise failure({"code": "MISSING_COLUMN", "table": table.name, "column": column.name}, 0)
        if not _is(schema.field(folded[column.name]).type, column):
            raise InputError(
                f"table {table.name}: the column {column.name} is not {column.sql_type} in its file; Spark "
                "converts nothing, so its owner delivers it with that type"
            )
    return path.as_uri(), [folded[column.name] for column in table.columns]


def _is(found: Any, column: EngineColumn) -> bool:
    """Whether a file's column has the declared type, as it is stored."""
    from pyarrow import types

    if types.is_dictionary(found):
        found = found.value_type
    if column.encrypted or column.sql_type == "VARCHAR":
        return bool(types.is_string(found) or types.is_large_string(found))
    if column.sql_type.startswith("DECIMAL"):
        return (
            bool(types.is_decimal128(found))
            and column.sql_type == f"DECIMAL({found.precision},{found.scale})"
        )
    return str(found) == _ARROW.get(column.sql_type)
