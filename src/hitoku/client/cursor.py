# SPDX-License-Identifier: Apache-2.0
"""PEP 249's cursor: one question after another, and the rows of the last answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hitoku.client.binding import Parameters, bound, called
from hitoku.client.dbapi_errors import InterfaceError, NotSupportedError, ProgrammingError, mapped
from hitoku.client.dbapi_types import description

if TYPE_CHECKING:
    import pyarrow as pa

    from hitoku.client.dbapi import Connection
    from hitoku.disclosure.answer import Answer

__all__ = ["Cursor"]

Row = tuple[Any, ...]


class Cursor:
    """Asks questions and gives the rows of their answers. Made by `Connection.cursor`.

    Attributes:
        connection: what made it.
        arraysize: how many rows `fetchmany` gives where nothing is said.
        answer: the last Answer, with what was withheld, noise bands and who learned what; None before one.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.arraysize = 1
        self.answer: Answer | None = None
        self.lastrowid: None = None
        self._rows: list[Row] | None = None
        self._at = 0
        self._closed = False

    def __enter__(self) -> Cursor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    @property
    def description(self) -> tuple[tuple[Any, ...], ...] | None:
        """Seven facts of each column of the answer; None before a question."""
        return None if self.answer is None else description(self.answer.table.schema)

    @property
    def rowcount(self) -> int:
        """How many rows the answer has; -1 before a question."""
        return -1 if self.answer is None else self.answer.num_rows

    @property
    def rownumber(self) -> int | None:
        """The place of the next row, from 0; None before a question."""
        return None if self.answer is None else self._at

    def execute(self, operation: str, parameters: Parameters | None = None) -> Cursor:
        """Ask a question and wait for its answer.

        Args:
            operation: one SQL statement.
            parameters: a sequence for ``?``, or a mapping for ``:name``.

        Raises:
            ProgrammingError: it is refused, or its parameters cannot be bound.
            OperationalError: the node or another member cannot do it, or a limit is reached.
        """
        self._check()
        self._forget()
        with mapped():
            self.answer = self.connection.room.ask(bound(operation, parameters))
        return self

    def callproc(self, procname: str, parameters: Parameters = ()) -> Parameters:
        """Ask by a template of the room; the rows are fetched as after `execute`.

        Args:
            procname: the template's name.
            parameters: its values by name, as a mapping; nothing where it has none.
        """
        self._check()
        self._forget()
        with mapped():
            self.answer = self.connection.room.ask(called(procname, parameters or {}))
        return parameters

    def executemany(self, operation: str, seq_of_parameters: Sequence[Parameters]) -> None:  # noqa: ARG002
        """Not supported: each question is asked, and paid, for itself.

        Raises:
            NotSupportedError: always.
        """
        raise NotSupportedError("executemany is for statements that give no rows; ask one question at a time")

    def fetchone(self) -> Row | None:
        """The next row; None where there is none left."""
        rows = self._fetched()
        if self._at >= len(rows):
            return None
        self._at += 1
        return rows[self._at - 1]

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, as many as `arraysize` says where nothing is said."""
        rows = self._fetched()
        found = rows[self._at : self._at + max(0, self.arraysize if size is None else size)]
        self._at += len(found)
        return found

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        rows = self._fetched()
        found = rows[self._at :]
        self._at = len(rows)
        return found

    def fetch_arrow_table(self) -> pa.Table:
        """All rows that are left, as a `pyarrow.Table`."""
        answer = self._answer()
        found: pa.Table = answer.table.slice(self._at)
        self._at = answer.num_rows
        return found

    def nextset(self) -> None:
        """There is one answer to a question: None."""
        self._check()

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Nothing to do."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """End it; it cannot be used after."""
        self._forget()
        self._closed = True

    def _fetched(self) -> list[Row]:
        answer = self._answer()
        if self._rows is None:
            self._rows = answer.fetchall()
        return self._rows

    def _answer(self) -> Answer:
        self._check()
        if self.answer is None:
            raise ProgrammingError("there is no answer: execute a question first")
        return self.answer

    def _forget(self) -> None:
        self.answer, self._rows, self._at = None, None, 0

    def _check(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed")
        self.connection.check()
