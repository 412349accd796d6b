# SPDX-License-Identifier: Apache-2.0
"""Rows of numbers from a file: CSV, Parquet, or an array that NumPy saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hitoku import limits
from hitoku.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["read_rows"]


def read_rows(
    path: Path, shape: tuple[int, ...] | None = None
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The rows of a file, and its columns' names.

    Args:
        path: ``.npy`` [n, ...]; ``.csv`` with a header or ``.parquet``: a column a feature, in order.
        shape: of one row, which the columns are put into; None: as they come.

    Raises:
        InputError: the file cannot be read, a column has no numbers, or the rows do not fit.
    """
    from hitoku.node.scoring import need_inference

    need_inference()
    import numpy as np

    names: tuple[str, ...] = ()
    try:
        if path.stat().st_size > limits.MAX_MODEL_BYTES:
            raise InputError(f"{path}: has more than {limits.MAX_MODEL_BYTES:,} bytes; split it")
        if path.suffix == ".npy":
            rows = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        elif path.suffix in {".csv", ".parquet"}:
            rows, names = _table(path)
        else:
            raise InputError(f"{path}: rows are a .csv, .parquet or .npy file")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError):
        raise InputError(f"{path}: does not hold an array of numbers") from None
    if rows.ndim < 1 or not len(rows):
        raise InputError(f"{path}: has no rows")
    if shape is not None and rows.shape[1:] != shape:
        size, wanted = int(np.prod(rows.shape[1:])), int(np.prod(shape))
        if size != wanted:
            raise InputError(f"{path}: a row has {size:,} numbers, the model takes {wanted:,}")
        rows = rows.reshape(len(rows), *shape)
    return rows, names


def _table(path: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        table = pa.csv.read_csv(path) if path.suffix == ".csv" else pa.parquet.read_table(path)
    except pa.ArrowInvalid:
        raise InputError(f"{path}: is no {path.suffix[1:]} file with a value in every column") from None
    if not table.num_rows:
        raise InputError(f"{path}: has no rows")
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise InputError(f"{path}: column {name!r} is {kind}, not a number; leave it out, or encode it")
        # A NULL becomes NaN: a tree model may know what a missing value means, others refuse it by name.
        columns.append(np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False)))
    return np.column_stack(columns), tuple(table.column_names)
