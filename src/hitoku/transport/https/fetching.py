# SPDX-License-Identifier: Apache-2.0
"""Fetching parcels from other members' nodes (see `hitoku.ports.Parcels`).

A connection that breaks costs one batch: the next one asks for the batch that was not read yet. What is not
as agreed ends the fetch at once, for then the other side is at fault, not the way to it. Time is a budget
that only waiting for the other side uses up and only whole batches earn back (`_Patience`), so a sender that
is slow, or breaks off again and again without ever finishing a batch, comes to an end; a receiver that
computes between two batches may take as long as it likes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.transport import messages
from hitoku.transport.batches import BatchReader, CutOff, Pieces
from hitoku.transport.https import bounds
from hitoku.transport.https.asgi import ARROW
from hitoku.transport.https.client import HttpsNetwork
from hitoku.transport.https.tls import Deadline, reading
from hitoku.transport.parcels import late, reader_of, told
from hitoku.transport.sealed import Opening

if TYPE_CHECKING:
    import httpx
    import pyarrow as pa

__all__ = ["HttpsParcels"]


class HttpsParcels:
    """One member's way to the parcels of others, over HTTPS. May be used by many threads at once.

    Args:
        network: the member's way to the others.
        opening: how sealed parcels are opened; None where they come as they are.
    """

    def __init__(self, network: HttpsNetwork, opening: Callable[[str], Opening] | None = None) -> None:
        self._network, self._opening = network, opening

    def opened_by(self, opening: Callable[[str], Opening]) -> HttpsParcels:
        """See `hitoku.transport.sealed.SealingParcels`."""
        return HttpsParcels(self._network, opening)

    def fetch(
        self, member: str, run: str, name: str, schema: pa.Schema, rows: int, wait: float
    ) -> Iterator[pa.RecordBatch]:
        """See `hitoku.ports.Parcels.fetch`."""
        reader, parcel = reader_of(member, run, name, schema, rows)
        opening = None if self._opening is None else self._opening(name)
        return _Fetch(self._network, member, parcel, reader, wait, opening).batches()


class _Patience(Deadline):
    """Until when the other side may keep us waiting.

    Args:
        most: seconds; what is earned never makes it more.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self.renew()

    def earn(self, count: int) -> None:
        """So many bytes came, and were right."""
        more = self.until + count / bounds.BODY_BYTES_A_SECOND
        self.until = min(more, time.monotonic() + self._most)

    def renew(self) -> None:
        """The other side did all that it can do now."""
        self.until = time.monotonic() + self._most

    @property
    def over(self) -> bool:
        """Whether it may not any longer."""
        return time.monotonic() > self.until


class _Again(Exception):
    """Nothing is wrong with the other side that would not pass."""


class _Fetch:
    """One fetch of one parcel."""

    def __init__(
        self,
        network: HttpsNetwork,
        member: str,
        parcel: str,
        reader: BatchReader,
        wait: float,
        opening: Opening | None,
    ) -> None:
        self._network, self._member, self._parcel, self._reader = network, member, parcel, reader
        self._name = parcel.partition("/")[2]
        self._wait, self._opening = wait, opening
        # A batch earns nothing before it is whole, so there must be time for the largest.
        self._patience = _Patience(bounds.STALL_SECONDS + reader.most / bounds.BODY_BYTES_A_SECOND)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All batches, over as many connections as it takes."""
        import httpx

        self._until = time.monotonic() + self._wait
        self._patience.renew()
        pause = bounds.AGAIN_SECONDS[0]
        while True:
            before, error = self._reader.next, None
            try:
                yield from self._connection()
            except (_Again, CutOff, httpx.TransportError) as why:
                error = why
            if self._reader.done:
                return
            self._judge(error)
            if error is None or before != self._reader.next:
                pause = bounds.AGAIN_SECONDS[0]
            time.sleep(pause)
            pause = min(2 * pause, bounds.AGAIN_SECONDS[1])

    def _judge(self, error: Exception | None) -> None:
        """Whether to try again.

        Raises:
            PeerError: no.
        """
        if self._reader.next == 0 and time.monotonic() > self._until:
            if error is None or isinstance(error, (_Again, CutOff)):
                raise late(self._member, self._name, self._wait)
            raise self._stalled(error)
        if self._patience.over:
            raise self._stalled(error)

    def _connection(self) -> Iterator[pa.RecordBatch]:
        """The batches that come over one connection; none where the parcel is not made yet."""
        path = f"parcels/{self._parcel}/{self._reader.next}"
        seconds = bounds.PARCEL_SECONDS + bounds.BODY_SECONDS
        with self._network.open(self._member, path, seconds, self._patience) as response:
            if response.status_code == 204:
                if self._reader.next == 0:
                    self._patience.renew()
                return
            self._check(response)
            pieces = Pieces(self._in_time(response.iter_raw()))
            began = 0
            opened = pieces if self._opening is None else self._opening.stream(pieces, self._reader)
            for batch in self._reader.batches(opened):
                self._patience.earn(pieces.taken - began)
                began = pieces.taken
                left = time.monotonic()
                yield batch
                self._patience.until += time.monotonic() - left

    def _in_time(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with reading(self._patience):
                piece = next(pieces, None)
            if piece is None:
                return
            if self._patience.over:
                raise self._stalled(None)
            yield piece

    def _check(self, response: httpx.Response) -> None:
        """Whether an answer is a parcel.

        Raises:
            _Again: not now.
            PeerError: no.
        """
        status = response.status_code
        if status == 503:
            raise _Again
        if status == 200:
            kind = response.headers.get("content-type")
            # What is encoded is never unpacked: it could grow without bound.
            if kind != ARROW.decode() or "content-encoding" in response.headers:
                raise PeerError(f"{self._member!r} sent something that is no parcel")
            return
        said = bytearray()
        for piece in self._in_time(response.iter_raw()):
            said += piece
            if len(said) > limits.MAX_CONTROL_BYTES:
                break
        failed = messages.read(messages.Failed, messages.decode(bytes(said), self._member), self._member)
        raise told(self._member, self._name, failed.code)

    def _stalled(self, error: Exception | None) -> PeerError:
        if error is None or isinstance(error, (_Again, CutOff)):
            return PeerError(
                f"{self._member!r} sends the parcel {self._name} too slowly, or breaks off again and again: "
                "the run can go on from there when it is asked again",
                "STALLED",
            )
        return PeerError(self._network.why(self._member, error), "STALLED")
