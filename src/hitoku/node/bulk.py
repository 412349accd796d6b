# SPDX-License-Identifier: Apache-2.0
"""Ciphertexts as parcels: bytes in pieces, in files that only their one receiver may take.

``<folder>/<run>/<member>/<name>`` is what `member` may take. Whoever asks for another's gets the answer that
one gets who asks for nothing that is.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hitoku.errors import PeerError, Refusal
from hitoku.transport.parcels import NO_SUCH_PARCEL, write_parcel

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from hitoku.ports import Parcels

__all__ = ["KEYS", "REQUEST", "RESULT", "BulkShelf", "fetched", "is_bulk", "named"]

KEYS: Final = "prediction-keys"
REQUEST: Final = "prediction-request"
RESULT: Final = "prediction-result"
_NAMES: Final = frozenset({KEYS, REQUEST, RESULT})
_PIECE: Final = 512 * 1024
_RUN: Final = re.compile(r"[0-9a-f]{32}")
_KEPT_SECONDS: Final = 24 * 60 * 60


def is_bulk(name: str) -> bool:
    """Whether a parcel of that name is one of these."""
    return name in _NAMES


def named(content: bytes) -> str:
    """The hash that messages name bytes by."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class BulkShelf:
    """Parcels of predictions at one member's node; a `hitoku.transport.parcels.Shelf` without a memory.

    Args:
        folder: where they are; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, run: str, member: str, name: str, content: bytes) -> None:
        """Make bytes ready for a member.

        Raises:
            ValueError: no such run or name can be.
        """
        if not _RUN.fullmatch(run) or name not in _NAMES:
            raise ValueError("no parcel of a prediction")
        place = self._folder / run / member
        place.mkdir(parents=True, mode=0o700, exist_ok=True)
        write_parcel(place / name, _schema(), _batches(memoryview(content)))

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        """See `hitoku.transport.parcels.Shelf`.

        Raises:
            Refusal: ``NO_SUCH_PARCEL``.
        """
        place = self._folder / run / member
        if not _RUN.fullmatch(run) or name not in _NAMES or not place.is_dir():
            raise Refusal(NO_SUCH_PARCEL, "there is no such parcel for that member")
        path = place / name
        return path if path.is_file() else None

    def left(self, member: str, run: str, name: str) -> None:
        """What leaves is encrypted; nothing has to be kept of that."""

    def runs(self) -> tuple[str, ...]:
        """The runs that something is here of."""
        places = self._folder.iterdir() if self._folder.is_dir() else ()
        return tuple(place.name for place in places if _RUN.fullmatch(place.name))

    def over(self, run: str) -> None:
        """Remove what there is of a run; nothing where there is none."""
        if _RUN.fullmatch(run):
            shutil.rmtree(self._folder / run, ignore_errors=True)

    def clean(self) -> None:
        """Remove what runs have left here that nobody can be waiting for any more."""
        oldest = time.time() - _KEPT_SECONDS
        for place in self._folder.iterdir() if self._folder.is_dir() else ():
            try:
                old = place.stat().st_mtime < oldest
            except FileNotFoundError:  # another thread or process removed it
                continue
            if old:
                shutil.rmtree(place, ignore_errors=True)


def fetched(parcels: Parcels, member: str, run: str, name: str, size: int, digest: str, wait: float) -> bytes:
    """The bytes that a member has ready.

    Args:
        parcels: the way to the others' parcels.
        member: who has them.
        run: the run.
        name: which.
        size: how many bytes they are, as the member said before.
        digest: their hash, as the member said before.
        wait: seconds until they must be there.

    Raises:
        PeerError: they do not come, or are others than was said.
    """
    content = bytearray()
    for batch in parcels.fetch(member, run, name, _schema(), -(-size // _PIECE), wait):
        for piece in batch.column(0):
            content += memoryview(piece.as_buffer())
        if len(content) > size:
            break
    if len(content) != size or named(bytes(content)) != digest:
        raise PeerError(f"{member!r} sent another {name} than it said it would", "OTHER_BYTES")
    return bytes(content)


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field("piece", pa.binary(), nullable=False)])


def _batches(view: memoryview) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for start in range(0, len(view), _PIECE):
        piece = view[start : start + _PIECE]
        offsets = pa.py_buffer(bytes(4) + len(piece).to_bytes(4, "little"))
        column = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(piece)])
        yield pa.RecordBatch.from_arrays([column], schema=_schema())
