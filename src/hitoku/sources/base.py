# SPDX-License-Identifier: Apache-2.0
"""What every source of a table can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

from hitoku.errors import InputError

__all__ = ["Batch", "RowError", "Source"]

# One piece of work: called on a worker thread, it gives the batch (parsing CSV is the worker's).
Batch = Callable[[], "pa.RecordBatch"]


class RowError(InputError):
    """A row that cannot be used, told by its place in its batch.

    Batches are worked on side by side, so only who takes their results in order knows how many rows
    stand before; that one raises `located(rows)`.
    """

    def __init__(self, name: str, what: str, row: int) -> None:
        super().__init__(f"{name}: a row {what}")
        self._name, self._what, self._row = name, what, row

    def located(self, before: int) -> InputError:
        """The same error with the row's number in the table, counted from 1 without a header."""
        return InputError(f"{self._name}: row {before + self._row + 1:,} {self._what}")


class Source(Protocol):
    """A table that is read in batches, more than once if need be."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Names as they stand in the source, and types. CSV columns are text."""
        ...

    @property
    def estimated_bytes(self) -> int:
        """About how many bytes of values there are; only sizes of buffers depend on it."""
        ...

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """The rows of these columns (indexes into `schema`), in the order of the source.

        Raises:
            InputError: the source is malformed; raised here or, as RowError, by the batch.
        """
        ...
