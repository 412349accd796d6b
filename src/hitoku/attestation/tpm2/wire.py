# SPDX-License-Identifier: Apache-2.0
"""TPM structures on the wire: big-endian numbers and buffers that carry their size, read without trust."""

from __future__ import annotations

from typing import Final

from hitoku.attestation.codes import Code, Refused

__all__ = ["ALG_NULL", "ECC", "ECDSA", "RSA", "RSASSA", "SHA256", "Reader", "sized", "u8", "u16", "u32"]

RSA: Final = 0x0001
SHA256: Final = 0x000B
ALG_NULL: Final = 0x0010
RSASSA: Final = 0x0014
ECDSA: Final = 0x0018
ECC: Final = 0x0023


class Reader:
    """Reads a structure from its start to its end; whatever does not fit is refused.

    Args:
        content: the bytes, from anybody.
        what: the structure's name, for the refusal.
    """

    __slots__ = ("_at", "_content", "_what")

    def __init__(self, content: bytes, what: str) -> None:
        self._content, self._what, self._at = content, what, 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        piece = self._content[self._at : self._at + size]
        if len(piece) != size:
            raise self.refused("it ends too early")
        self._at += size
        return piece

    def number(self, size: int) -> int:
        """The next number, of `size` bytes, unsigned."""
        return int.from_bytes(self.take(size))

    def u8(self) -> int:
        """The next byte."""
        return self.number(1)

    def u16(self) -> int:
        """The next number of 16 bits."""
        return self.number(2)

    def u32(self) -> int:
        """The next number of 32 bits."""
        return self.number(4)

    def u64(self) -> int:
        """The next number of 64 bits."""
        return self.number(8)

    def sized(self, most: int) -> bytes:
        """The next buffer with its size before it (TPM2B), of at most `most` bytes."""
        size = self.u16()
        if size > most:
            raise self.refused(f"a buffer has more than {most} bytes")
        return self.take(size)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._content) - self._at)

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._content):
            raise self.refused("bytes are left over at its end")

    def refused(self, why: str) -> Refused:
        """The refusal of this structure."""
        return Refused(Code.MALFORMED, f"{self._what}: {why}")


def u8(value: int) -> bytes:
    """A byte."""
    return value.to_bytes(1)


def u16(value: int) -> bytes:
    """A number of 16 bits."""
    return value.to_bytes(2)


def u32(value: int) -> bytes:
    """A number of 32 bits."""
    return value.to_bytes(4)


def sized(content: bytes) -> bytes:
    """A buffer with its size before it (TPM2B)."""
    return u16(len(content)) + content
