# SPDX-License-Identifier: Apache-2.0
"""Parcels: bulk data that one member's node makes ready for another member, who pulls it batch by batch.

A parcel is an Arrow IPC file, immutable and complete once it has its name. The number of a batch in the file
is its sequence number, so any batch can be sent again and again, and is the same each time.

What travels is an Arrow IPC stream (`batches`), in one process too, so that both ways have the same checks.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from hitoku import limits
from hitoku.errors import HitokuError, InputError, LimitError, PeerError, Refusal
from hitoku.transport.batches import BatchReader, CutOff, Pieces
from hitoku.transport.sealed import Opening, OtherSession, SealedStream, SealingShelf

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "NO_SUCH_PARCEL",
    "RUN_ENDED",
    "LocalParcels",
    "ParcelFile",
    "Shelf",
    "late",
    "open_parcel",
    "reader_of",
    "told",
    "write_parcel",
]

NO_SUCH_PARCEL: Final = "NO_SUCH_PARCEL"
RUN_ENDED: Final = "RUN_ENDED"

_RUN: Final = re.compile(r"[0-9a-f]{32}")
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_LOOK_SECONDS: Final = 0.02


class Shelf(Protocol):
    """What a node serves its member's parcels from. Called by several threads at once.

    Files on it are never changed or cut while they have their name, only removed: they are read through
    memory maps, and a map whose file gets shorter ends the process.
    """

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        """The file of a parcel that is for `member`; None while it is not made yet.

        Asked many times a second while somebody waits.

        Raises:
            Refusal: ``NO_SUCH_PARCEL`` if that member may never have it, whether there is such a run or not;
                ``RUN_ENDED`` if the run is one of that member's, and over.
        """
        ...

    def left(self, member: str, run: str, name: str) -> None:
        """Some of a parcel is about to leave; called before its first byte does, each time it is asked for.

        What it keeps has to be durable when it returns. If it raises, nothing leaves.
        """
        ...


def write_parcel(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write a parcel, whole or not at all, readable by its owner only. Returns the number of rows.

    Batches are cut to sizes that travel well; those without rows are left out.

    Raises:
        ValueError: a batch has another schema, or nulls.
    """
    import pyarrow as pa

    part = path.with_name(f".{path.name}.part")
    total = 0
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            for batch in batches:
                if not batch.schema.equals(schema, check_metadata=True):
                    raise ValueError("a batch has another schema than its parcel")
                if any(column.null_count for column in batch.columns):
                    raise ValueError("a parcel has no nulls")
                width = max(1, batch.nbytes // max(1, batch.num_rows))
                rows = min(limits.MAX_PARCEL_BATCH_ROWS, max(1, limits.PARCEL_BATCH_BYTES // width))
                for start in range(0, batch.num_rows, rows):
                    writer.write_batch(batch.slice(start, rows))
                total += batch.num_rows
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return total


class ParcelFile:
    """A parcel as it is sent, read through a memory map.

    Args:
        path: the file.
        parcel: ``<run>/<name>``, which every batch will carry.

    Attributes:
        count: how many batches are sent; one, without rows, where the file has none.

    Raises:
        InputError: the file is no parcel.
    """

    def __init__(self, path: Path, parcel: str) -> None:
        import pyarrow as pa

        self._parcel = parcel
        try:
            self._map = pa.memory_map(str(path))
        except (pa.ArrowInvalid, OSError):
            raise InputError(f"{path.name}: cannot be read") from None
        try:
            self._file = pa.ipc.open_file(self._map)
        except pa.ArrowInvalid:
            self._map.close()
            raise InputError(f"{path.name}: is no parcel") from None
        # What the reader expects of metadata is none; what is in the file's schema is no part of the parcel.
        self._schema: pa.Schema = self._file.schema.remove_metadata()
        self._head: bytes = self._schema.serialize().to_pybytes()
        self.count: int = max(1, self._file.num_record_batches)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._map.close()

    def head(self) -> bytes:
        """The bytes that a stream begins with."""
        return self._head

    def batch(self, sequence: int) -> memoryview:
        """The bytes of one batch in a stream; the last one's have the stream's end with them.

        Raises:
            LimitError: the batch is larger than a receiver would take.
        """
        import pyarrow as pa

        if self._file.num_record_batches:
            batch = self._file.get_batch(sequence)
        else:
            batch = pa.RecordBatch.from_arrays(
                [pa.nulls(0, field.type) for field in self._schema], schema=self._schema
            )
        if batch.num_rows > limits.MAX_PARCEL_BATCH_ROWS:
            raise LimitError(f"a parcel's batch has more than {limits.MAX_PARCEL_BATCH_ROWS} rows")
        last = sequence == self.count - 1
        labels = {"parcel": self._parcel, "seq": str(sequence), **({"last": "1"} if last else {})}
        sink = pa.BufferOutputStream()
        writer = pa.ipc.new_stream(sink, self._schema)
        writer.write_batch(batch.replace_schema_metadata(None), custom_metadata=labels)
        if last:
            writer.close()
        return memoryview(sink.getvalue()).cast("B")[len(self._head) :]

    def pieces(self, sequence: int) -> Iterator[bytes | memoryview]:
        """The bytes of a stream that begins with batch `sequence`."""
        yield self._head
        for number in range(sequence, self.count):
            yield self.batch(number)


def open_parcel(shelf: Shelf, path: Path, member: str, run: str, name: str) -> ParcelFile | SealedStream:
    """A parcel of a shelf as one stream of it is sent to `member`: sealed where the shelf says so.

    Raises:
        InputError: the file is no parcel.
        PeerError: it has to be sealed, and nothing is there to seal it with.
    """
    sealing = shelf.sealing(member, run, name) if isinstance(shelf, SealingShelf) else None
    file = ParcelFile(path, f"{run}/{name}")
    return file if sealing is None else SealedStream(file, sealing)


def reader_of(member: str, run: str, name: str, schema: pa.Schema, rows: int) -> tuple[BatchReader, str]:
    """What reads a parcel, and the parcel's ``<run>/<name>``.

    Raises:
        ValueError: these cannot be a parcel's.
    """
    if not _RUN.fullmatch(run) or not _NAME.fullmatch(name):
        raise ValueError("a parcel has a run of 32 hexadecimal digits and a name of a-z, 0-9 and -")
    parcel = f"{run}/{name}"
    return BatchReader(schema, rows, parcel, member), parcel


def told(member: str, name: str, code: str) -> PeerError:
    """The error for what a member's node said about a parcel instead of sending it."""
    what = {
        RUN_ENDED: f"{member!r} has ended the run: its parcel {name} is gone",
        NO_SUCH_PARCEL: f"{member!r} has no parcel {name} of this run for this member",
    }.get(code, f"{member!r} failed to send the parcel {name} ({code}); its own words stay on its machine")
    return PeerError(what, code)


def late(member: str, name: str, wait: float) -> PeerError:
    """The error for a parcel that does not come."""
    return PeerError(f"{member!r} did not have the parcel {name} ready within {wait:g} seconds", "LATE")


class LocalParcels:
    """Parcels between members of one process (see `hitoku.ports.Parcels`).

    Args:
        me: the member who fetches.
        shelves: each other member's.
        opening: how sealed parcels are opened; None where they come as they are.
    """

    def __init__(
        self, me: str, shelves: Mapping[str, Shelf], opening: Callable[[str], Opening] | None = None
    ) -> None:
        self._me, self._shelves, self._opening = me, shelves, opening

    def opened_by(self, opening: Callable[[str], Opening]) -> LocalParcels:
        """See `hitoku.transport.sealed.SealingParcels`."""
        return LocalParcels(self._me, self._shelves, opening)

    def fetch(
        self, member: str, run: str, name: str, schema: pa.Schema, rows: int, wait: float
    ) -> Iterator[pa.RecordBatch]:
        """See `hitoku.ports.Parcels.fetch`."""
        reader, _ = reader_of(member, run, name, schema, rows)
        return self._fetch(member, run, name, reader, wait)

    def _fetch(
        self, member: str, run: str, name: str, reader: BatchReader, wait: float
    ) -> Iterator[pa.RecordBatch]:
        until = time.monotonic() + wait
        try:
            while True:
                path = self._wait(member, run, name, wait, until)
                try:
                    yield from self._stream(path, member, run, name, reader)
                    return
                except OtherSession:  # the two are just agreeing on another one
                    if time.monotonic() > until:
                        raise late(member, name, wait) from None
                    time.sleep(_LOOK_SECONDS)
        except Refusal as refusal:
            raise told(member, name, RUN_ENDED if refusal.code == RUN_ENDED else NO_SUCH_PARCEL) from None
        except CutOff:
            raise PeerError(f"{member!r} sent a parcel that breaks off") from None
        except PeerError:
            raise
        except (HitokuError, OSError):  # its words stay with whom they are about
            raise told(member, name, "INTERNAL") from None

    def _stream(
        self, path: Path, member: str, run: str, name: str, reader: BatchReader
    ) -> Iterator[pa.RecordBatch]:
        shelf = self._shelves[member]
        with open_parcel(shelf, path, self._me, run, name) as file:
            shelf.left(self._me, run, name)
            pieces = Pieces(file.pieces(reader.next))
            if self._opening is not None:
                pieces = self._opening(name).stream(pieces, reader)
            yield from reader.batches(pieces)

    def _wait(self, member: str, run: str, name: str, wait: float, until: float) -> Path:
        shelf = self._shelves.get(member)
        if shelf is None:
            raise PeerError(f"{member!r} cannot be reached from here")
        while (path := shelf.parcel(self._me, run, name)) is None:
            if time.monotonic() > until:
                raise late(member, name, wait)
            time.sleep(_LOOK_SECONDS)
        return path
