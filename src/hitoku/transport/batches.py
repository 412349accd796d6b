# SPDX-License-Identifier: Apache-2.0
"""Reading a stream of Arrow record batches from somebody who is not trusted.

The stream is Arrow's own (Columnar Format 1.5, "Encapsulated message format" and "IPC Streaming Format"): a
schema, record batches, an end. Each batch says in its custom metadata which batch of which parcel it is
(``parcel``, ``seq``) and the last one that it is that (``last``).

Arrow's decoder believes its input: what is compressed may unpack to any size, a dictionary may grow from
message to message, and a length is allocated before it is read. So it is used for the schema only, which is
short, and not at all where the schema's bytes are those that we would write. Of a batch's metadata, a
flatbuffer, we read the few fields that matter, each with its place checked; then the sizes of all buffers
follow from the schema and the number of rows, which the receiver knows or bounds. Only after that, a body of
that size is read, and cut into columns. So memory is bounded by one batch, whatever is sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.transport.flatbuffer import Malformed, Table, message_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["END", "BatchReader", "CutOff", "Pieces"]

END: Final = b"\xff\xff\xff\xff\0\0\0\0"
"""How a stream ends."""

_SCHEMA: Final = 1
_BATCH: Final = 3
_ALIGNED: Final = 8
_SLACK: Final = 64
"""A writer may align each buffer to so many bytes."""


class CutOff(Exception):
    """The bytes ended before the stream did."""


class Pieces:
    """Bytes that come in pieces, read in lengths of the reader's own choice."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self.taken = 0
        """How many bytes have been read."""

    def read_into(self, place: memoryview) -> None:
        """Fill `place`.

        Raises:
            CutOff: there are not so many bytes.
        """
        at = 0
        while at < len(place):
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    raise CutOff
                self._rest = memoryview(piece)
                continue
            count = min(len(place) - at, len(self._rest))
            place[at : at + count] = self._rest[:count]
            self._rest = self._rest[count:]
            at += count
        self.taken += at

    def read(self, count: int) -> bytes:
        """The next `count` bytes, a small number.

        Raises:
            CutOff: there are not so many.
        """
        place = bytearray(count)
        self.read_into(memoryview(place))
        return bytes(place)


class BatchReader:
    """Takes one parcel's batches out of one or more streams, each of which goes on where the last broke off.

    Args:
        schema: what every batch has, exactly.
        rows: how many rows there are in all.
        parcel: which parcel the batches have to be of.
        sender: the member who sends, for errors.

    Attributes:
        next: the sequence number of the next batch.
        left: how many rows are still to come.
        done: whether all batches were read.
        most: how many bytes one batch can have at most, with all around it.

    Raises:
        ValueError: such a schema cannot be read, or the number of rows is negative.
    """

    def __init__(self, schema: pa.Schema, rows: int, parcel: str, sender: str) -> None:
        if rows < 0:
            raise ValueError("a parcel has no negative number of rows")
        self._schema, self._parcel, self._sender = schema, parcel, sender
        self._widths = _widths(schema)
        self.next, self.left, self.done = 0, rows, False
        self.most = self._body(min(rows, limits.MAX_PARCEL_BATCH_ROWS)) + limits.MAX_PARCEL_METADATA_BYTES

    def batches(self, pieces: Pieces) -> Iterator[pa.RecordBatch]:
        """The batches of one stream, which begins with the schema and the batch `next`.

        Raises:
            CutOff: the stream broke off; what was read before is right.
            PeerError: it is something else.
        """
        try:
            self._read_schema(pieces)
            while not self.done:
                batch, last = self._read_batch(pieces)
                if last:  # told before it is passed on, so that nobody acts on a stream that is malformed
                    self._read_end(pieces)
                    self.done = True
                self.next += 1
                self.left -= batch.num_rows
                yield batch
        except Malformed as why:
            raise PeerError(f"{self._sender!r} sent a parcel that is not as agreed: {why}") from None

    def _read_schema(self, pieces: Pieces) -> None:
        import pyarrow as pa

        metadata = self._metadata(pieces)
        head = struct.pack("<Ii", 0xFFFFFFFF, len(metadata))
        if head + metadata == self._schema.serialize().to_pybytes():
            return
        message = message_of(metadata)  # written by another version of Arrow, perhaps
        if message.number(1, "<B") != _SCHEMA or message.number(3, "<q") != 0:
            raise Malformed("it does not begin with a schema")
        try:
            theirs = pa.ipc.read_schema(pa.py_buffer(head + metadata))
        except Exception:  # its words may quote the bytes
            raise Malformed("it does not begin with a schema") from None
        if not theirs.equals(self._schema, check_metadata=True) or theirs.metadata is not None:
            raise Malformed("it has another schema")

    def _read_batch(self, pieces: Pieces) -> tuple[pa.RecordBatch, bool]:
        import pyarrow as pa

        metadata = self._metadata(pieces)
        if not metadata:
            raise Malformed("it ends before its last batch")
        message = message_of(metadata)
        if message.number(1, "<B") != _BATCH:
            raise Malformed("something other than a batch is in it")
        header = message.table(2)
        if header is None:
            raise Malformed("a batch has no header")
        last = self._labels(message)
        rows = header.number(0, "<q")
        if not 0 <= rows <= limits.MAX_PARCEL_BATCH_ROWS:
            raise Malformed("a batch has too many rows")
        if rows > self.left:
            raise Malformed("it has more rows than agreed")
        if rows == 0 and not (last and self.left == 0 and self.next == 0):
            raise Malformed("a batch has no rows")
        if last and rows != self.left:
            raise Malformed("it has fewer rows than agreed")
        if rows == self.left and not last:
            raise Malformed("a batch should be the last, and does not say so")
        if header.table(3) is not None:
            raise Malformed("a batch is compressed")
        size = message.number(3, "<q")
        if not 0 <= size <= self._body(rows):
            raise Malformed("a batch has another size than its rows")
        places = self._places(header, rows, size)
        body = pa.allocate_buffer(size)
        pieces.read_into(memoryview(body).cast("B"))
        columns = []
        try:  # Arrow's checks of the values; their words may quote them
            for field, width, buffers in zip(self._schema, self._widths, places, strict=True):
                cut = [body.slice(at, length) for at, length in buffers]
                if width is None and rows:
                    _check_offsets(cut[0], cut[1].size, rows)
                columns.append(pa.Array.from_buffers(field.type, rows, [None, *cut], null_count=0))
            batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
            batch.validate(full=True)
        except (pa.ArrowException, ValueError):
            raise Malformed("a batch has values that are not of their column's type") from None
        return batch, last

    def _read_end(self, pieces: Pieces) -> None:
        """After the last batch comes the end, unless the connection broke there, which harms nobody."""
        try:
            if pieces.read(len(END)) != END:
                raise Malformed("it goes on after its last batch")
            pieces.read(1)
        except CutOff:
            return
        raise Malformed("it goes on after its end")

    def _metadata(self, pieces: Pieces) -> bytes:
        """The metadata of the next message; none at the end of the stream."""
        mark, size = struct.unpack("<Ii", pieces.read(8))
        if mark != 0xFFFFFFFF or not 0 <= size <= limits.MAX_PARCEL_METADATA_BYTES or size % _ALIGNED:
            raise Malformed("it is no stream of Arrow batches")
        return pieces.read(size)

    def _labels(self, message: Table) -> bool:
        """Whether the batch says that it is the last. It must say that it is the next of this parcel."""
        found = {}
        for pair in message.tables(4, most=3):
            found[pair.word(0)] = pair.word(1)
        expected = {b"parcel": self._parcel.encode(), b"seq": b"%d" % self.next}
        last = found.pop(b"last", None)
        if found != expected or last not in {None, b"1"}:
            raise Malformed("a batch is not the next one of this parcel")
        return last is not None

    def _places(self, header: Table, rows: int, size: int) -> list[list[tuple[int, int]]]:
        """For each column, where in the body its buffers are, without the one that says which are null."""
        nodes = header.structs(1, "<qq", count=len(self._widths))
        if any(node != (rows, 0) for node in nodes):
            raise Malformed("a batch has nulls, or columns of different lengths")
        buffers = iter(header.structs(2, "<qq", count=sum(3 if w is None else 2 for w in self._widths)))
        if header.slot(4) is not None:
            raise Malformed("a batch has buffers that no column needs")
        found = []
        for width in self._widths:
            next(buffers)  # says which values are null, and no value is
            offsets = 4 * (rows + 1) if rows else 0  # of no rows, a writer may leave out even the first
            needs = [offsets, 0] if width is None else [(rows * width + 7) // 8]
            column = []
            for need in needs:
                at, length = next(buffers)
                if at < 0 or at % _ALIGNED or length < need or at + length > size:
                    raise Malformed("a batch's buffers are not where its rows need them")
                # What is longer than needed is left out; of values without a fixed width, all is taken.
                column.append((at, need or length))
            found.append(column)
        return found

    def _body(self, rows: int) -> int:
        """How large a body with so many rows can be."""
        total = 0
        for width in self._widths:
            validity = (rows + 7) // 8 + _SLACK
            if width is None:
                total += validity + 4 * (rows + 1) + limits.MAX_PARCEL_BINARY_BYTES + 2 * _SLACK
            else:
                total += validity + (rows * width + 7) // 8 + _SLACK
        return total


def _widths(schema: pa.Schema) -> list[int | None]:
    """The bits of each column's values; None for binary and text.

    Raises:
        ValueError: a column is of another kind, there are none, or a row is too wide.
    """
    import pyarrow as pa

    widths: list[int | None] = []
    for field in schema:
        kind = field.type
        if pa.types.is_binary(kind) or pa.types.is_string(kind):
            widths.append(None)
        elif pa.types.is_primitive(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_decimal(kind):
            widths.append(kind.bit_width)
        else:
            raise ValueError(f"a parcel has no columns of type {kind}")
    if not widths or sum(w or 0 for w in widths) > 8 * limits.MAX_PARCEL_ROW_BYTES:
        raise ValueError("a parcel has at least one column, and no wider rows than limits.py allows")
    if schema.metadata is not None or any(field.metadata is not None for field in schema):
        raise ValueError("a parcel's schema has no metadata")
    return widths


def _check_offsets(offsets: pa.Buffer, size: int, rows: int) -> None:
    """Offsets must begin at 0, never fall, and end within the values (which may be padded)."""
    found = memoryview(offsets).cast("B").cast("i")
    if found[0] != 0 or not 0 <= found[rows] <= size or size > limits.MAX_PARCEL_BINARY_BYTES + _SLACK:
        raise Malformed("a batch's buffers are not where its rows need them")
