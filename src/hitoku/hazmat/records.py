# SPDX-License-Identifier: Apache-2.0
"""Columns of fixed-width records: put side by side, sorted, checked, joined. See `hitoku.hazmat.group`.

Sorting records that look random by whole groups is the shuffle that hides where they came from. Which
records match, and how many, is secret: `Matches` keeps it and wipes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from hitoku import _core
from hitoku.executors.local import cores
from hitoku.hazmat.faults import RecordError, kernel

__all__ = ["Matches", "Sorter", "check_distinct", "check_sorted", "interleave", "join", "records", "sort"]

Matches = _core.Matches


def records(buffer: Any, width: int) -> pa.FixedSizeBinaryArray:
    """A column of records over bytes as they lie, without a copy.

    Raises:
        RecordError: the buffer is not a whole number of records.
    """
    whole = pa.py_buffer(buffer)
    if width < 1 or whole.size % width:
        raise RecordError("bad-width")
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), whole.size // width, [None, whole])


def check_distinct(column: pa.Array, *, length: int, threads: int | None = None) -> None:
    """Raise RecordError (``repeated``) for the first record whose first `length` bytes stood before."""
    with kernel():
        row = _core.records_first_repeat(column, length, threads or cores())
    if row is not None:
        raise RecordError("repeated", row)


def check_sorted(column: pa.Array, *, length: int) -> None:
    """Raise RecordError (``unsorted``) for the first record not above the one before by `length` bytes."""
    with kernel():
        row = _core.records_first_disorder(column, length)
    if row is not None:
        raise RecordError("unsorted", row)


def interleave(columns: Sequence[pa.Array]) -> pa.Array:
    """Columns of equal length joined record by record: points and ciphertexts as records of 96 bytes."""
    with kernel():
        return _core.records_interleave(list(columns))


def sort(column: pa.Array, *, threads: int | None = None) -> pa.Array:
    """The records in the order of their bytes, in memory. Of points that look random it is the shuffle."""
    with kernel():
        return _core.records_sort(column, threads or cores())


class Sorter:
    """Sorts more records than memory holds, by group, and gives none out before all are in.

    What does not fit memory waits in an encrypted file without a name. Records must look random.

    Args:
        width: bytes of a record, 1 to 4,096.
        sizes: how many records each group has, to the record: sizes are agreed upon beforehand.
        memory: bytes kept out of the file, about; 4 MiB times the threads are used besides.
        folder: where the file is.
    """

    def __init__(self, width: int, sizes: Sequence[int], *, memory: int, folder: Path) -> None:
        self._groups = len(sizes)
        with kernel():
            self._sorter = _core.RecordSorter(width, list(sizes), memory, folder)

    @property
    def spilled(self) -> bool:
        """Whether anything went to the file."""
        return self._sorter.spilled

    @property
    def whole(self) -> bool:
        """Whether every group has all its records."""
        return self._sorter.whole

    def push(self, column: pa.Array, groups: pa.Array | None = None) -> None:
        """Takes records; `groups` (uint16) tells the group of each, else all are of group 0.

        Raises:
            RecordError: there is no such group, or it is full; nothing of the call was taken.
            OSError: the file cannot be written.
        """
        with kernel():
            self._sorter.push(column, groups)

    def take(self, group: int = 0, *, threads: int | None = None) -> Iterator[pa.Array]:
        """The records of a group in order, some MiB at a time; once.

        Raises:
            RecordError: ``incomplete`` while any group lacks records.
        """
        with kernel():
            first, end = self._sorter.slots(group)
        for slot in range(first, end):
            with kernel():
                taken = self._sorter.take(slot, threads or cores())
            yield taken


def join(
    left: tuple[pa.Array, pa.Array, int],
    right: tuple[pa.Array, pa.Array, int],
    *,
    part: tuple[int, int] = (0, 1),
    threads: int | None = None,
) -> Matches:
    """Joins two lists of tags (message 4).

    Args:
        left: tags (12 bytes), the group of each (uint16) and how many groups there are.
        right: the same of the other list, the one that has ciphertexts.
        part: ``(i, n)`` joins the i-th of n ranges of bytes 1 to 7 of the tags alone: a shard.
        threads: every core that the process may use by default.

    Returns:
        Matches; ``counts()`` is a uint64 array, cell ``left group * right groups + right group``. The
        counts are exact but for the other party's dummies: neither log nor store them.

    Raises:
        RecordError: a tag stands twice in a list or is none, a group does not exist; `column` is the side.
        LimitError: more than 2^24 cells.
    """
    with kernel():
        return _core.Matches(*left, *right, part, threads or cores())
