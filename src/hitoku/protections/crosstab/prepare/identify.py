# SPDX-License-Identifier: Apache-2.0
"""From the columns that identify a person to its id: HMAC-SHA256 under the room's salt.

What is hashed is ``kind || 0x00 || parts joined by 0x1f``, each part normalised. A kind has no 0x00 in it and
a part no 0x1f, so no two identifiers are hashed as one message. Of several kinds the first whose parts are
all there counts in a row; what a row has of later kinds is a link to it (`links`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from hitoku.errors import InputError
from hitoku.hazmat import group
from hitoku.protections.crosstab.prepare.links import Links
from hitoku.protections.crosstab.prepare.normalise import SEPARATOR, Steps
from hitoku.protections.crosstab.prepare.texts import joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ID", "Kind", "check_type", "identified"]

ID: Final = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of identifier as the source has it.

    Attributes:
        name: the kind, part of what is hashed.
        steps: how its parts are normalised.
        columns: the places of its parts in a batch.
    """

    name: str
    steps: Steps
    columns: tuple[int, ...]


def check_type(kind: pa.DataType, table: str, column: str) -> None:
    """Raise InputError where values of a type have no one spelling as text."""
    if not (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_date(kind)
        or pa.types.is_null(kind)
    ):
        raise InputError(
            f"table {table}: column {column} is {kind}; text, whole numbers or dates can identify a person"
        )


def identified(
    batch: pa.RecordBatch, kinds: Sequence[Kind], salt: bytes, links: Links | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The ids of a batch's rows.

    Args:
        batch: rows with the columns of the kinds.
        kinds: by priority.
        salt: 32 bytes, the key of the hash.
        links: takes note of what rows have of later kinds.

    Returns:
        Ids, ``(rows, 32)``, and which rows have one; the bytes of the others are zero.
    """
    rows = batch.num_rows
    ids = np.zeros((rows, ID), np.uint8)
    open_ = np.arange(rows)
    counts = np.zeros(rows, np.uint8)
    for number, kind in enumerate(kinds):
        if links is not None and number:
            _link(batch, kind, salt, np.setdiff1d(np.arange(rows), open_), ids, counts, links)
        if not len(open_):
            continue
        text, there = _identifier(batch, kind, None if len(open_) == rows else open_)
        if not there.all():
            text = text.filter(_boolean(there))
        codes = group.hmac_records(text, salt, prefix=kind.name.encode() + b"\0", threads=1)
        made = np.frombuffer(codes.buffers()[1], np.uint8).reshape(-1, ID)
        if len(made) == rows and (links is None or len(kinds) == 1):
            return made, np.ones(rows, np.bool_)
        ids[open_[there]] = made
        counts[open_[there]] = number
        open_ = open_[~there]
    usable = np.ones(rows, np.bool_)
    usable[open_] = False
    return ids, usable


def _link(
    batch: pa.RecordBatch,
    kind: Kind,
    salt: bytes,
    rows: NDArray[np.int64],
    ids: NDArray[np.uint8],
    counts: NDArray[np.uint8],
    links: Links,
) -> None:
    """Rows that have an id already, and an identifier of this later kind besides."""
    if not len(rows):
        return
    text, there = _identifier(batch, kind, rows)
    codes = group.hmac_records(
        text.filter(_boolean(there)), salt, prefix=kind.name.encode() + b"\0", threads=1
    )
    made = np.frombuffer(codes.buffers()[1], np.uint8).reshape(-1, ID)
    links.add(made, ids[rows[there]], counts[rows[there]])


def _identifier(
    batch: pa.RecordBatch, kind: Kind, rows: NDArray[np.int64] | None
) -> tuple[pa.Array, NDArray[np.bool_]]:
    """The normalised identifier of each row, and whether all its parts are there."""
    parts = []
    for place in kind.columns:
        column = batch.column(place)
        if rows is not None:
            column = column.take(_places(rows))
        parts.append(kind.steps.column(_text(column)))
    there = np.ones(len(parts[0]), np.bool_)
    for part in parts:
        there &= (
            np.diff(np.frombuffer(part.buffers()[1], np.int64)[part.offset : part.offset + len(part) + 1]) > 0
        )
    whole = parts[0] if len(parts) == 1 else joined(parts, SEPARATOR)
    return whole, there


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column
    return column.cast(pa.string())


def _places(rows: NDArray[np.int64]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])


def _boolean(mask: NDArray[np.bool_]) -> pa.Array:
    return pa.Array.from_buffers(
        pa.bool_(), len(mask), [None, pa.py_buffer(np.packbits(mask, bitorder="little"))]
    )
