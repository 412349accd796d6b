# SPDX-License-Identifier: Apache-2.0
"""Parcels that travel sealed: what a stream of batches becomes where two nodes attested to each other.

The file stays as it is; each batch is sealed when it leaves, for the session that the nodes have then. So a
node that starts again, and attests again, can send the same parcel under its new session's keys. A sealed
stream is ``mark || session (16 bytes)``, then frames ``length (4 bytes, big-endian) || last (1 byte) ||
sealed``; each holds one batch of the stream (`batches`), the first the stream's head before it. A frame says
by its place which batch it is, and by its byte whether it is the last; the seal binds both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from hitoku import limits
from hitoku.errors import RunAborted
from hitoku.ports import Parcels
from hitoku.transport.batches import BatchReader, CutOff, Pieces

__all__ = [
    "Opener",
    "Opening",
    "OtherSession",
    "SealedStream",
    "Sealer",
    "Sealing",
    "SealingParcels",
    "SealingShelf",
]

_MARK: Final = b"hitoku-sealed-1\n"
_SESSION: Final = 16
_FRAME: Final = struct.Struct(">IB")
_OVERHEAD: Final = 1024
"""A seal may make a batch so much longer."""


class Sealer(Protocol):
    """Seals the chunks of one stream (`hitoku.attestation.envelope.Envelope`)."""

    def seal(self, seq: int, last: bool, data: bytes | memoryview) -> bytes:
        """Seal a chunk; numbers rise."""
        ...


class Opener(Protocol):
    """Opens the chunks of one stream."""

    def open(self, seq: int, last: bool, sealed: bytes | memoryview) -> bytes:
        """Open a chunk.

        Raises:
            RunAborted: it is not that chunk.
        """
        ...


class OtherSession(CutOff):
    """The other side seals for a session that is not known here; perhaps not yet."""


class Batches(Protocol):
    """A parcel as it is sent (`hitoku.transport.parcels.ParcelFile`)."""

    @property
    def count(self) -> int:
        """How many batches there are."""
        ...

    def head(self) -> bytes:
        """What a stream begins with."""
        ...

    def batch(self, sequence: int) -> memoryview:
        """One batch."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


@dataclass(frozen=True, slots=True)
class Sealing:
    """What seals one stream: the session's public name, and a fresh sealer."""

    session: bytes
    sealer: Sealer


@runtime_checkable
class SealingShelf(Protocol):
    """A shelf some of whose parcels travel sealed."""

    def sealing(self, member: str, run: str, name: str) -> Sealing | None:
        """What seals a stream of that parcel; None where it travels as it is.

        Raises:
            PeerError: it has to be sealed, and nothing is there to seal it with.
        """
        ...


class SealedStream:
    """One stream of a parcel, sealed. Its batches are taken in order, from any on."""

    def __init__(self, file: Batches, sealing: Sealing) -> None:
        self._file, self._sealing = file, sealing
        self._headed = False
        self.count = file.count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def head(self) -> bytes:
        """The bytes that the stream begins with."""
        return _MARK + self._sealing.session

    def batch(self, sequence: int) -> memoryview:
        """A frame with one batch."""
        last = sequence == self.count - 1
        content: bytes | memoryview = self._file.batch(sequence)
        if not self._headed:
            content, self._headed = self._file.head() + bytes(content), True
        sealed = self._sealing.sealer.seal(sequence, last, content)
        return memoryview(_FRAME.pack(len(sealed), last) + sealed)

    def pieces(self, sequence: int) -> Iterator[bytes | memoryview]:
        """The bytes of a stream that begins with batch `sequence`."""
        yield self.head()
        for number in range(sequence, self.count):
            yield self.batch(number)


class SealingParcels(Parcels, Protocol):
    """Parcels that can be taken sealed."""

    def opened_by(self, opening: Callable[[str], Opening]) -> Parcels:
        """The same, for parcels that must come sealed: by the parcel's name, how they are opened."""
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """How the streams of one parcel are opened.

    Attributes:
        stage: the parcel's name, for errors.
        opener: a session's public name to a fresh opener; None where no such session is known here.
    """

    stage: str
    opener: Callable[[bytes], Opener | None]

    def stream(self, pieces: Pieces, reader: BatchReader) -> Pieces:
        """The stream inside a sealed one, from the reader's next batch on.

        Reading it raises `RunAborted` where something does not open, `CutOff` where the bytes end, and
        `OtherSession`.
        """
        return Pieces(self._opened(pieces, reader))

    def _opened(self, pieces: Pieces, reader: BatchReader) -> Iterator[bytes]:
        if pieces.read(len(_MARK)) != _MARK:
            raise RunAborted(self.stage)  # it came as it is, for everybody to read and change
        opener = self.opener(pieces.read(_SESSION))
        if opener is None:
            raise OtherSession
        most = reader.most + limits.MAX_PARCEL_METADATA_BYTES + _OVERHEAD
        sequence, last = reader.next, 0
        while not last:
            length, last = _FRAME.unpack(pieces.read(_FRAME.size))
            if length > most or last not in {0, 1}:
                raise RunAborted(self.stage)
            sealed = bytearray(length)
            pieces.read_into(memoryview(sealed))
            yield opener.open(sequence, last == 1, memoryview(sealed))
            sequence += 1
