# SPDX-License-Identifier: Apache-2.0
"""Columns of ASCII text changed byte by byte, without a Python loop over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Counts = NDArray[np.int64]
    Mask = NDArray[np.bool_]

__all__ = ["Flat", "joined", "strings", "table"]


def table(characters: str) -> Mask:
    """Which bytes are among these ASCII characters."""
    found = np.zeros(256, np.bool_)
    found[list(characters.encode("ascii"))] = True
    return found


def strings(values: list[str]) -> pa.LargeStringArray:
    """A column of texts, none of them NULL."""
    content = [value.encode() for value in values]
    lengths = np.fromiter(map(len, content), np.int64, len(content))
    return Flat(_offsets(lengths), np.frombuffer(b"".join(content), np.uint8)).array()


def joined(parts: list[pa.LargeStringArray], separator: str) -> pa.LargeStringArray:
    """Columns of texts joined row by row."""
    return pc.binary_join_element_wise(*parts, pa.scalar(separator, pa.large_string()))


def _offsets(lengths: NDArray[Any]) -> Counts:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


class Flat:
    """A column of texts without NULLs as numpy sees it: where each begins, and all bytes in a row."""

    __slots__ = ("data", "offsets")

    def __init__(self, offsets: Counts, data: Bytes) -> None:
        self.offsets, self.data = offsets, data

    @classmethod
    def of(cls, array: pa.Array) -> Flat:
        """A string or large_string array; NULLs must have been filled."""
        kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
        _, places, content = array.buffers()
        if places is None:
            return cls(np.zeros(1, np.int64), np.zeros(0, np.uint8))
        offsets = np.frombuffer(places, kind)[array.offset : array.offset + len(array) + 1].astype(np.int64)
        data = np.zeros(0, np.uint8) if content is None else np.frombuffer(content, np.uint8)
        begin, end = int(offsets[0]), int(offsets[-1])
        return cls(offsets - begin, data[begin:end])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Counts:
        """Bytes of each text."""
        return np.diff(self.offsets)

    def array(self) -> pa.LargeStringArray:
        """The same as an Arrow array."""
        return pa.LargeStringArray.from_buffers(
            len(self), pa.py_buffer(self.offsets), pa.py_buffer(np.ascontiguousarray(self.data))
        )

    def mapped(self, to: Bytes) -> Flat:
        """Every byte replaced by its entry of a table of 256."""
        return Flat(self.offsets, to[self.data])

    def count(self, which: Mask) -> Counts:
        """How many bytes of each text are in a table."""
        return np.diff(self._before(which[self.data])[self.offsets])

    def kept(self, which: Mask) -> Flat:
        """Only the bytes that are in a table."""
        return self.chosen(which[self.data])

    def chosen(self, keep: Mask) -> Flat:
        """Only the bytes whose place is true in a mask over all bytes."""
        if keep.all():
            return self
        return Flat(self._before(keep)[self.offsets], self.data[keep])

    def at(self, place: int) -> Bytes:
        """The byte at a place of each text; 0 where the text is too short."""
        found = np.zeros(len(self), np.uint8)
        long = self.lengths > place
        found[long] = self.data[self.offsets[:-1][long] + place]
        return found

    def without_first(self, skip: Counts) -> Flat:
        """Each text without so many of its first bytes, at most its length."""
        if not skip.any():
            return self
        keep = np.ones(len(self.data), np.bool_)
        for place in range(int(skip.max())):
            rows = skip > place
            keep[self.offsets[:-1][rows] + place] = False
        return self.chosen(keep)

    @staticmethod
    def _before(keep: Mask) -> Counts:
        before = np.zeros(len(keep) + 1, np.int64)
        np.cumsum(keep, out=before[1:])
        return before
