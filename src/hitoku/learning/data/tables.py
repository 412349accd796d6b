# SPDX-License-Identifier: Apache-2.0
"""Files of a whole experiment: a table for each bank, and the lines that `hitoku learn plan` takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.data.adapters import Table
from hitoku.learning.plan import Data
from hitoku.room.files import write_whole

__all__ = ["PLAN", "need_new", "write_plan", "write_tables"]

PLAN: Final = "plan.yaml"


def need_new(folder: Path) -> None:
    """Accept only a folder that is not there, or empty.

    Raises:
        InputError: there is something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already; name a new folder")


def write_tables(folder: Path, table: Table, banks: Mapping[str, NDArray[np.int64]]) -> dict[str, Path]:
    """Write the rows of each bank as Parquet: the inputs, the label, the time.

    Args:
        folder: is made.
        table: a real data set.
        banks: the rows' places by bank, of `adapters.deal`.

    Returns:
        The files by bank.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, places in banks.items():
        features = table.rows.features[places]
        columns = {
            feature.name: pa.array(features[:, k], from_pandas=True)
            for k, feature in enumerate(table.data.features)
        }
        columns[table.data.label] = pa.array(table.rows.label[places])
        if table.data.time is not None:
            columns[table.data.time] = pa.array(table.time[places])
        made[name] = folder / f"{name}.parquet"
        pq.write_table(pa.table(columns), made[name])
    return made


def write_plan(folder: Path, name: str, data: Data) -> Path:
    """Write the lines of a plan with boosted trees; the rest comes from the room and from defaults."""
    text = data.model_dump_json(exclude_none=True)
    path = folder / PLAN
    lines = f"name: {name}\nmodel: {{kind: boosting}}\n# The data part; JSON is YAML, too.\ndata: {text}\n"
    write_whole(path, lines.encode())
    return path
