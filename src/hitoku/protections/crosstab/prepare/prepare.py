# SPDX-License-Identifier: Apache-2.0
"""The whole way from a member's table to its input in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hitoku.errors import InputError
from hitoku.hazmat import group
from hitoku.ports import NoProgress
from hitoku.protections.crosstab.prepare.columns import needed
from hitoku.protections.crosstab.prepare.identify import ID
from hitoku.protections.crosstab.prepare.merge import by_id, merged, smallest
from hitoku.protections.crosstab.prepare.reading import read
from hitoku.protections.crosstab.prepared import Prepared

if TYPE_CHECKING:
    from hitoku.ports import Progress
    from hitoku.protections.crosstab.prepare.side import Side
    from hitoku.sources.base import Source

__all__ = ["prepare"]

_MOST_GROUPS = 1 << 16


def prepare(
    side: Side,
    source: Source,
    salt: bytes,
    *,
    columns: Mapping[str, str] | None = None,
    person: Mapping[str, Sequence[str]] | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """One row a person: its id, its composite attribute and its clamped values, in the order of the ids.

    Rows without a usable identifier, rows that a condition leaves out and rows outside a domain without
    `other` are dropped. Of the rest, a person's dimension is the smallest value of its rows, each dimension
    by itself, whatever else is grouped by; its values are merged as the room says and then clamped.
    The same table, side and salt give the same bytes.

    Args:
        side: what the room and the question want.
        source: the member's table.
        salt: 32 bytes that both owners have in common.
        columns: source columns by room column; the same name where nothing is said.
        person: source columns by kind of identifier; the person's column for the first where nothing is said.
        folder: where a temporary file may stand that only this user can read.
        progress: hears of the phases.

    Raises:
        InputError: a column is missing, or the source is malformed. No value is quoted.
        LimitError: too many rows.
        EngineError: the engine failed.
    """
    if len(salt) != ID:
        raise InputError("the salt of identifiers must have 32 bytes")
    if side.groups > _MOST_GROUPS:
        raise InputError(f"table {side.table.name}: {side.groups:,} groups of one side are too many")
    heard = progress or NoProgress()
    plan = needed(side, source, columns or {}, person or {})
    rows = read(side, source, plan, salt, folder, heard)
    heard.phase("one row a person")
    order, starts = by_id(rows.ids)
    first = order if len(starts) == len(order) else order[starts]
    ids = rows.ids[first]
    rows.ids = ids[:0]
    groups = np.zeros(len(ids), np.uint16)
    for dimension, digits in zip(side.dimensions, rows.digits, strict=True):
        groups = (groups * np.uint16(len(dimension.domain)) + smallest(digits, order, starts)).astype(
            np.uint16
        )
    values = []
    for measure, (found, there) in zip(side.measures, rows.values, strict=True):
        scale = 10**measure.bounds.decimals
        bounds = (measure.bounds.lower * scale, measure.bounds.upper * scale)
        made = merged(found, there, order, starts, measure.merge, bounds)
        values.append(pa.Array.from_buffers(pa.int64(), len(ids), [None, pa.py_buffer(made)]))
    return Prepared(
        group.records(ids, ID),
        pa.Array.from_buffers(pa.uint16(), len(ids), [None, pa.py_buffer(groups)]),
        tuple(values),
    )
