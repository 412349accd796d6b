# SPDX-License-Identifier: Apache-2.0
"""Arrow tables in memory as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa

from hitoku import limits
from hitoku.errors import InputError
from hitoku.sources.base import Batch
from hitoku.sources.parquet import flat_type

__all__ = ["TableSource"]


class TableSource:
    """A `pyarrow.Table`; read in place.

    Raises:
        InputError: the table has nested columns.
    """

    def __init__(self, table: pa.Table) -> None:
        nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
        if nested:
            raise InputError(f"nested columns cannot be used: {', '.join(nested)}")
        self._table = table
        self._schema = pa.schema([f.with_type(flat_type(f.type)) for f in table.schema])

    @property
    def name(self) -> str:
        """What messages call it."""
        return "the table"

    @property
    def schema(self) -> pa.Schema:
        """The columns with their plain types."""
        return self._schema

    @property
    def estimated_bytes(self) -> int:
        """The size of the table's buffers."""
        return int(self._table.nbytes)

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """The chosen columns in batches of at most 65,536 rows."""
        wanted = pa.schema([self._schema.field(i) for i in columns])
        chosen = self._table.select(list(columns))
        for batch in chosen.to_batches(max_chunksize=limits.BATCH_ROWS):
            yield partial(_flatten, batch, wanted)


def _flatten(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    arrays = [a if a.type == f.type else a.cast(f.type) for a, f in zip(batch.columns, wanted, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)
