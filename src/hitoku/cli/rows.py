# SPDX-License-Identifier: Apache-2.0
"""Rows of numbers from a file: CSV, Parquet, or an array that NumPy saved."""

from __future__ import annotations

import math
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
    """The rows of a file, and its columns' names. The file may be anybody's: what it claims is not believed.

    Args:
        path: ``.npy`` [n, ...]; ``.csv`` with a header or ``.parquet``: a column a feature, in order.
        shape: of one row, which the columns are put into; None: as they come.

    Raises:
        InputError: the file cannot be read, is too large, a column has no numbers, or the rows do not fit.
    """
    from hitoku.node.scoring import need_inference

    need_inference()
    import numpy as np

    names: tuple[str, ...] = ()
    try:
        if not path.is_file():
            what = "is no plain file" if path.exists() else "there is no such file"
            raise InputError(f"{path}: {what}")
        if path.stat().st_size > limits.MAX_MODEL_BYTES:
            raise InputError(f"{path}: has more than {limits.MAX_MODEL_BYTES:,} bytes; split it")
        if path.suffix == ".npy":
            rows = _array(path)
        elif path.suffix in {".csv", ".parquet"}:
            rows, names = _table(path)
        else:
            raise InputError(f"{path}: rows are a .csv, .parquet or .npy file")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or 'it is damaged'})") from None
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


def _array(path: Path) -> NDArray[np.float64]:
    import numpy as np

    try:
        # A map takes no memory for what a head only claims to be there; nothing else is opened as one.
        with np.errstate(over="ignore"):
            found = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception:  # the parser of heads raises what Python's own tokenizer does
        raise InputError(f"{path}: does not hold an array of numbers") from None
    if found.dtype.kind not in "biuf":
        raise InputError(f"{path}: holds {found.dtype}, not numbers")
    return np.array(found, dtype=np.float64)


def _table(path: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if path.suffix == ".csv":
            table = pa.csv.read_csv(path)
        else:
            with pa.parquet.ParquetFile(path) as file:
                # A column of one value over and over takes no room in the file, but in memory.
                if 8 * file.metadata.num_rows * file.metadata.num_columns > 4 * limits.MAX_MODEL_BYTES:
                    raise InputError(f"{path}: has {file.metadata.num_rows:,} rows; split it")
                table = file.read()
    except pa.ArrowInvalid:
        raise InputError(f"{path}: is no {path.suffix[1:]} file with a value in every column") from None
    if not table.num_rows:
        raise InputError(f"{path}: has no rows")
    if _are_values(table.column_names):
        raise InputError(f"{path}: begins with a row of values where the columns' names are expected")
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise InputError(f"{path}: column {name!r} is {kind}, not a number; leave it out, or encode it")
        # A NULL becomes NaN: a tree model may know what a missing value means, others refuse it by name.
        columns.append(np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False)))
    return np.column_stack(columns), tuple(table.column_names)


def _are_values(names: list[str]) -> bool:
    """Whether a header is a row of numbers, other than 0, 1, 2, ... that columns may be numbered with."""
    if names in ([str(n + first) for n in range(len(names))] for first in (0, 1)):
        return False
    try:
        return all(math.isfinite(float(name)) for name in names)
    except ValueError:
        return False
