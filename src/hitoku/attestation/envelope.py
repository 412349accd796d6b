# SPDX-License-Identifier: Apache-2.0
r"""Envelopes: data on its way between two stages of a run, sealed so that nothing but that stage opens it.

A stream of chunks of one stage is sealed with AES-256-GCM under a key of its own::

    key of the stream = HKDF-SHA-256(key, salt, info = context)
    context           = SHA-512 over "hitoku/envelope/1", room, run, stage, program, each with its length
    nonce             = 0^4 || seq (8 bytes, big-endian)
    additional data   = context || seq (8 bytes) || last (1 byte)
    chunk             = salt (32 bytes) || ciphertext || tag (16 bytes)

What is bound: the room's hash, the run, the stage's name, the program that made the data (the digest under
which it was appraised), the chunk's number, and whether it is the last one. A chunk that was altered, moved
to another place, taken from another run, stage or program, or that lies about being the last, does not open.
Leaving out chunks at the end is seen by whoever reads: the last one has to say that it is.

Assumptions: AES-GCM is a secure AEAD as long as no nonce repeats under one key, HKDF is a pseudo-random
function of its salt (RFC 5869, section 3.1). One object seals its numbers in rising order only and draws its
own salt, so a nonce does not repeat, however often a process starts again with the same key: the chance that
two of 2^40 salts are equal is 2^-177. A reader keeps to the salt of the first chunk that it opened: chunks of
two sealings of one stage cannot be mixed.

What it does not do: it does not hide the number and sizes of chunks, and it cannot know whether the sealed
data is true.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hitoku import limits
from hitoku.attestation.binding import bound
from hitoku.errors import LimitError, RunAborted

__all__ = ["KEY_BYTES", "OVERHEAD", "Envelope"]

KEY_BYTES: Final = 32
_DOMAIN: Final = "hitoku/envelope/1"
_SALT: Final = 32
_TAG: Final = 16
OVERHEAD: Final = _SALT + _TAG
"""How many bytes a sealed chunk is longer than its data."""
_MOST_CHUNKS: Final = 1 << 32


class Envelope:
    """One stage's chunks. One object seals, or opens, one stream.

    Args:
        key: 32 bytes that both sides have; of one direction, or of one purpose.
        room: the room's hash, ``sha256:...``.
        run: the run, 32 hexadecimal digits.
        stage: which data it is, by name (a parcel's, a table's).
        program: the digest of the program that seals, 96 hexadecimal digits.

    Raises:
        ValueError: the key has another length.
    """

    def __init__(self, key: bytes | bytearray, room: str, run: str, stage: str, program: str) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"an envelope's key has {KEY_BYTES} bytes")
        self.stage = stage
        self._key = bytes(key)
        self._context = bound(_DOMAIN, [text.encode() for text in (room, run, stage, program)])
        self._sealing: tuple[bytes, AESGCM] | None = None
        self._opening: tuple[bytes, AESGCM] | None = None
        self._next = 0

    def __repr__(self) -> str:
        return f"Envelope(stage={self.stage!r})"

    def seal(self, seq: int, last: bool, data: bytes | memoryview) -> bytes:
        """Seal a chunk.

        Args:
            seq: its number, from 0; above that of the chunk sealed before.
            last: whether it is the last one.
            data: what is in it.

        Raises:
            ValueError: this number, or a higher one, was sealed before. To send again, make another object.
            LimitError: the chunk is too large.
        """
        if not self._next <= seq < _MOST_CHUNKS:
            raise ValueError("an envelope seals its chunks in rising order, each once")
        if len(data) > limits.MAX_ENVELOPE_BYTES:
            raise LimitError(f"a sealed chunk has at most {limits.MAX_ENVELOPE_BYTES} bytes")
        if self._sealing is None:
            salt = os.urandom(_SALT)
            self._sealing = salt, self._cipher(salt)
        self._next = seq + 1
        salt, cipher = self._sealing
        return salt + cipher.encrypt(_nonce(seq), data, self._beside(seq, last))

    def open(self, seq: int, last: bool, sealed: bytes | memoryview) -> bytes:
        """Open a chunk that has to be number `seq`, and the last one if `last`.

        Raises:
            RunAborted: it is something else, or was altered. Nothing that follows may be used.
        """
        if not (0 <= seq < _MOST_CHUNKS and OVERHEAD <= len(sealed) <= limits.MAX_ENVELOPE_BYTES + OVERHEAD):
            raise RunAborted(self.stage)
        salt = bytes(sealed[:_SALT])
        if self._opening is None:
            known = salt, self._cipher(salt)
        elif hmac.compare_digest(self._opening[0], salt):
            known = self._opening
        else:
            raise RunAborted(self.stage)
        try:
            data = known[1].decrypt(_nonce(seq), sealed[_SALT:], self._beside(seq, last))
        except InvalidTag:
            raise RunAborted(self.stage) from None
        self._opening = known
        return data

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, self._context).derive(self._key))

    def _beside(self, seq: int, last: bool) -> bytes:
        return self._context + seq.to_bytes(8, "big") + (b"\1" if last else b"\0")


def _nonce(seq: int) -> bytes:
    return seq.to_bytes(12, "big")
