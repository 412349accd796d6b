# SPDX-License-Identifier: Apache-2.0
"""Explicit shares on the second server's disk, encrypted: one share beside another server's tells everything.

AES-256-GCM with a key that is drawn for this one file and is in this process's memory only; each chunk has
its number as nonce and as what it is bound to, so a chunk that was changed or moved does not open. The file
has no name: nothing remains of it, whatever ends the process.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hitoku import limits
from hitoku.errors import InputError, PeerError

if TYPE_CHECKING:
    from hitoku.protections.shares.manifest import Manifest

__all__ = ["Spool"]

_TAG: Final = 16
_DOMAIN: Final = b"hitoku/shares-spool/1\n"


class Spool:
    """A context manager; leaving it takes the file away. Taken once, read once, in order.

    Args:
        manifest: of the table.
        folder: where the file stands.

    Raises:
        InputError: no file can be made.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._size, self._owner, self._table = manifest.size, manifest.owner, manifest.table
        self._chunks = manifest.chunks
        self._key = AESGCM(secrets.token_bytes(32))
        self._rest = memoryview(b"")
        self._next = 0
        self._whole = False
        try:
            # Closed by `close`: it outlives this function.
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115
        except OSError as error:
            raise InputError(f"no temporary file can be made: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the file away, and the key."""
        self._file.close()
        self._whole, self._rest = False, memoryview(b"")
        self._key = AESGCM(bytes(32))

    def take(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Store all chunks.

        Raises:
            PeerError: they are more, fewer, or of other lengths than follow from the manifest.
            InputError: the disk is full.
        """
        if self._next or self._whole:
            raise AssertionError("a spool is filled once")
        given = iter(chunks)
        try:
            for number in range(self._chunks):
                chunk = next(given, None)
                if chunk is None:
                    raise self._wrong("break off")
                if len(chunk) != self._length(number):
                    raise self._wrong("are not as long as agreed")
                self._file.write(self._key.encrypt(_nonce(number), chunk, _bound(number)))
            if next(given, None) is not None:
                raise self._wrong("are more than agreed")
            self._file.seek(0)
        except OSError:
            self.close()
            raise InputError("no space left for shares of a table") from None
        except BaseException:
            self.close()
            raise
        self._whole = True

    def read(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            PeerError: the file was altered.
        """
        if not self._whole:
            raise AssertionError("a spool is read after it was filled")
        made = bytearray(size)
        at = 0
        while at < size:
            if not self._rest:
                self._rest = memoryview(self._chunk())
            count = min(size - at, len(self._rest))
            made[at : at + count] = self._rest[:count]
            self._rest = self._rest[count:]
            at += count
        return bytes(made)

    def _chunk(self) -> bytes:
        number = self._next
        if number >= self._chunks:
            raise AssertionError("nobody reads more than was stored")
        self._next += 1
        try:
            stored = self._file.read(self._length(number) + _TAG)
            return self._key.decrypt(_nonce(number), stored, _bound(number))
        except (InvalidTag, OSError, ValueError):
            raise self._wrong("were altered on this machine's disk") from None

    def _length(self, number: int) -> int:
        return min(limits.SHARES_CHUNK_BYTES, self._size - number * limits.SHARES_CHUNK_BYTES)

    def _wrong(self, how: str) -> PeerError:
        return PeerError(f"the shares of table {self._table} from {self._owner!r} {how}")


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _bound(number: int) -> bytes:
    return _DOMAIN + number.to_bytes(8, "big")
