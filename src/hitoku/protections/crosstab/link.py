# SPDX-License-Identifier: Apache-2.0
"""The messages of a run as files to serve and streams to take: their columns, and what is checked of any.

A record is never believed to be in its place: groups lie one after the other with the sizes of the terms,
inside each the records must rise strictly by their first bytes. Errors name message and row, never a value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.hazmat import group
from hitoku.ports import Parcels
from hitoku.protections.crosstab.prepared import buffer_of
from hitoku.protections.crosstab.terms import Parameters
from hitoku.protections.crosstab.vault import Vault
from hitoku.transport.parcels import write_parcel

__all__ = ["Link", "Order", "Spans", "rebatched", "schema_of"]


def schema_of(name: str, parameters: Parameters) -> pa.Schema:
    """The columns of a message."""
    sums = range(len(parameters.sums))
    match name:
        case "offer-a" | "offer-b":
            fields = [("json", pa.binary())]
        case "points-a":
            fields = [("record", pa.binary(group.POINT))]
        case "points-b":
            fields = [("record", pa.binary(parameters.width))]
        case "tags-a":
            fields = [("record", pa.binary(group.TAG))]
        case "cells-a":
            ciphertext = pa.binary(group.CIPHERTEXT)
            fields = [("count", pa.int64()), *((f"sum{number}", ciphertext) for number in sums)]
        case "sums-b":
            fields = [(f"sum{number}", pa.int64()) for number in sums] or [("received", pa.bool_())]
        case _:
            raise ValueError(name)
    return pa.schema([pa.field(column, kind, nullable=False) for column, kind in fields])


class Spans:
    """Groups of known sizes that lie one after the other: which rows are whose."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        self._group, self._left = -1, 0

    def next(self, rows: int) -> list[tuple[int, int]]:
        """The next rows as pieces: the group of each, and how many rows of it."""
        pieces = []
        while rows:
            while not self._left:
                self._group += 1
                self._left = self._sizes[self._group]
            taken = min(rows, self._left)
            pieces.append((self._group, taken))
            self._left -= taken
            rows -= taken
        return pieces


def numbers(pieces: list[tuple[int, int]]) -> bytes:
    """The group of each row as uint16."""
    return b"".join(struct.pack("=H", group) * rows for group, rows in pieces)


class Order:
    """Checks a stream of records: inside each group they rise strictly, so none stands there twice.

    Args:
        sizes: of the groups.
        width: bytes of a record.
        length: the first bytes that they are ordered by.
    """

    def __init__(self, sizes: tuple[int, ...], width: int, length: int) -> None:
        self._spans = Spans(sizes)
        self._width, self._length = width, length
        self._group, self._last, self._row = -1, b"", 0

    def check(self, column: pa.Array) -> list[tuple[int, int]]:
        """Takes the stream's next records; returns their groups as `Spans.next` does.

        Raises:
            RecordError: a record is not above the one before it; its row in the stream.
        """
        pieces = self._spans.next(len(column))
        start = 0
        for number, rows in pieces:
            part = column.slice(start, rows)
            view = buffer_of(part, self._width)
            first = bytes(view[: self._length])
            if number == self._group and first <= self._last:
                raise group.RecordError("unsorted", self._row)
            try:
                group.check_sorted(part, length=self._length)
            except group.RecordError as error:
                raise group.RecordError(error.code, self._row + (error.row or 0)) from None
            end = (rows - 1) * self._width
            self._group, self._last = number, bytes(view[end : end + self._length])
            start += rows
            self._row += rows
        return pieces


def rebatched(arrays: Iterable[pa.Array], rows: int) -> Iterator[pa.Array]:
    """The same records in arrays of exactly so many rows, but for the last: however they were computed."""
    kept: list[pa.Array] = []
    have = 0
    for array in arrays:
        while len(array):
            taken = array.slice(0, rows - have)
            kept.append(taken)
            have += len(taken)
            array = array.slice(len(taken))
            if have == rows:
                yield pa.concat_arrays(kept)
                kept, have = [], 0
    if kept:
        yield pa.concat_arrays(kept)


class Link:
    """One side's messages to and from the other.

    Args:
        vault: where its own are kept.
        parameters: the run's.
        parcels: how those of the other side are fetched.
        wait: how long to wait for one, in seconds.
    """

    def __init__(self, vault: Vault, parameters: Parameters, parcels: Parcels, wait: float) -> None:
        self._vault, self._parameters, self._parcels, self._wait = vault, parameters, parcels, wait

    def send_records(self, name: str, arrays: Iterable[pa.Array]) -> None:
        """Writes a message of records; it can be fetched once it is whole."""
        schema = schema_of(name, self._parameters)
        width = schema.field(0).type.byte_width
        rows = max(1, min(limits.BATCH_ROWS, limits.PARCEL_BATCH_BYTES // width))
        batches = (pa.RecordBatch.from_arrays([array], schema=schema) for array in rebatched(arrays, rows))
        self.send(name, batches)

    def send(self, name: str, batches: Iterable[pa.RecordBatch]) -> None:
        """Writes a message."""
        write_parcel(self._vault.file(name), schema_of(name, self._parameters), batches)

    def own(self, name: str) -> pa.Table:
        """A small message of this side, read again."""
        with pa.OSFile(str(self._vault.file(name)), "rb") as source:
            return pa.ipc.open_file(source).read_all()

    def fetch(self, name: str, rows: int) -> Iterator[pa.RecordBatch]:
        """A message of the other side, batch by batch, of exactly so many rows.

        Raises:
            PeerError: it does not come, or is not as agreed.
        """
        schema = schema_of(name, self._parameters)
        return self._parcels.fetch(self._vault.peer, self._vault.run, name, schema, rows, self._wait)

    def table(self, name: str, rows: int) -> pa.Table:
        """A small message of the other side."""
        return pa.Table.from_batches(list(self.fetch(name, rows)), schema_of(name, self._parameters))

    @contextmanager
    def blamed(self, name: str, start: int = 0) -> Iterator[None]:
        """Tells what a kernel refuses of a message as the other side's fault; rows count from `start`."""
        try:
            yield
        except group.RecordError as error:
            row = None if error.row is None else start + error.row
            # The kernel's own words end with a row that counts from another place.
            words = str(group.RecordError(error.code))
            raise self.broken(name, words, row) from None

    def broken(self, name: str, what: str, row: int | None = None) -> PeerError:
        """The error for a message that is not what the protocol demands."""
        where = "" if row is None else f" (row {row})"
        return PeerError(f"{self._vault.peer!r} broke the protocol in message {name}: {what}{where}")
