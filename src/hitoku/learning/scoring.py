# SPDX-License-Identifier: Apache-2.0
"""Rows to be scored: a model's inputs out of a table, batch by batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.data.convert import numbers
from hitoku.sources.base import RowError
from hitoku.sources.uri import open_uri

__all__ = ["features_of"]


def features_of(names: tuple[str, ...], uri: str, base: Path) -> NDArray[np.float32]:
    """The columns of these names, shape (rows, names); NaN where a value is missing.

    Args:
        names: a model's inputs, in order.
        uri: the table; see `hitoku.sources.uri`.
        base: what relative paths are relative to.

    Raises:
        InputError: a column is missing, or has no numbers.
    """
    source = open_uri(uri, base)
    there = source.schema.names
    missing = [name for name in names if there.count(name) != 1]
    if missing:
        more = "" if len(missing) <= 5 else f" and {len(missing) - 5} more"
        raise InputError(
            f"{source.name}: the model needs the columns {', '.join(missing[:5])}{more}, each once; those "
            "that end in _count_ or _risk_ and a number come from counters, and `hitoku learn evaluate` "
            "makes them"
        )
    made: list[NDArray[np.float32]] = []
    before = 0
    for make in source.batches([there.index(name) for name in names]):
        try:
            batch = make()
            columns = [
                numbers(column, source.name, name) for name, column in zip(names, batch.columns, strict=True)
            ]
        except RowError as error:
            raise error.located(before) from None
        before += batch.num_rows
        made.append(np.column_stack(columns).astype(np.float32))
    if not before:
        raise InputError(f"{source.name} has no rows")
    return np.concatenate(made)
