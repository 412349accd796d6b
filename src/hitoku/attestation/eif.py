# SPDX-License-Identifier: Apache-2.0
"""The registers that an enclave image file (EIF) of Nitro will show: what its reference values are made from.

After aws-nitro-enclaves-image-format (`src/defs/mod.rs`, `src/utils/eif_reader.rs`), and not compared with an
image that AWS's tools built: a member who signs a reference value compares with what ``nitro-cli
describe-eif`` prints. Each register is SHA-384(48 zero bytes || SHA-384(its sections)):

- PCR0: kernel, command line and all ramdisks; PCR1: kernel, command line and the first ramdisk;
- PCR2: the other ramdisks, which hold the application; PCR8: the certificate that signed the image.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from hitoku.attestation.certificates import certificate
from hitoku.attestation.codes import Refused
from hitoku.attestation.strict import cbor
from hitoku.errors import InputError

__all__ = ["registers"]

_HEADER: Final = struct.Struct(">4sHHQQHH32Q32QII")
_SECTION: Final = struct.Struct(">HHQ")
_MAGIC: Final = b".eif"
_VERSIONS: Final = (2, 3, 4)
_KERNEL, _COMMAND_LINE, _RAMDISK, _SIGNATURE, _METADATA = 1, 2, 3, 4, 5
_PIECE: Final = 1 << 20
_MOST_SIGNATURE: Final = 1 << 16


def registers(path: Path) -> dict[str, str]:
    """PCR0, 1 and 2 of an image, and 8 where it is signed, as lower-case hexadecimal.

    The signature itself is not checked; who needs it uses ``nitro-cli``.

    Args:
        path: the file; it is read once, in pieces.

    Raises:
        InputError: the file cannot be read, or is no EIF of version 2 to 4.
    """
    hashes = {name: hashlib.sha384() for name in ("pcr0", "pcr1", "pcr2")}
    ramdisks, signed = 0, None
    try:
        with path.open("rb") as file:
            for kind, pieces in _sections(file, path):
                named: tuple[str, ...] = ()
                if kind in {_KERNEL, _COMMAND_LINE}:
                    named = ("pcr0", "pcr1")
                elif kind == _RAMDISK:
                    named = ("pcr0", "pcr2" if ramdisks else "pcr1")
                    ramdisks += 1
                kept = bytearray()
                for piece in pieces:
                    for name in named:
                        hashes[name].update(piece)
                    if kind == _SIGNATURE:
                        kept += piece
                if kind == _SIGNATURE:
                    signed = _signer(bytes(kept), path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    found = {name: _extended(hashed.digest()) for name, hashed in hashes.items()}
    return found if signed is None else found | {"pcr8": _extended(hashlib.sha384(signed).digest())}


def _sections(file: BinaryIO, path: Path) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Kind and content of each section; the head's table and checksum must agree with what follows it."""
    head = file.read(_HEADER.size)
    if len(head) != _HEADER.size:
        raise _broken(path, "it is too short")
    magic, version, _, _, _, _, count, *table, _, checksum = _HEADER.unpack(head)
    if magic != _MAGIC or version not in _VERSIONS or not 1 <= count <= 32:
        raise _broken(path, "it has another head, or another version than 2 to 4")
    offsets, sizes = table[:32], table[32:]
    running = [zlib.crc32(head[:-4])]
    for place in range(count):
        at, head = file.tell(), file.read(_SECTION.size)
        if len(head) != _SECTION.size:
            raise _broken(path, "it ends too early")
        kind, _, size = _SECTION.unpack(head)
        if not _KERNEL <= kind <= _METADATA or (offsets[place], sizes[place]) != (at, size):
            raise _broken(path, "its table and its sections do not agree")
        running[0] = zlib.crc32(head, running[0])
        left = [size]
        yield kind, _pieces(file, left, running, path)
        if left[0]:
            raise _broken(path, "it ends too early")
    if file.read(1):
        raise _broken(path, "bytes stand behind its last section")
    if running[0] != checksum:
        raise _broken(path, "its checksum is wrong")


def _pieces(file: BinaryIO, left: list[int], running: list[int], path: Path) -> Iterator[bytes]:
    while left[0]:
        piece = file.read(min(left[0], _PIECE))
        if not piece:
            raise _broken(path, "it ends too early")
        running[0] = zlib.crc32(piece, running[0])
        left[0] -= len(piece)
        yield piece


def _signer(content: bytes, path: Path) -> bytes:
    """The DER of the certificate in a signature section: CBOR, with bytes as lists of numbers."""
    try:
        entries = cbor(content, most=_MOST_SIGNATURE)
        return certificate(bytes(entries[0]["signing_certificate"])).der
    except (Refused, LookupError, TypeError, ValueError):
        raise _broken(path, "its signature is not in its form") from None


def _extended(digest: bytes) -> str:
    return hashlib.sha384(bytes(48) + digest).hexdigest()


def _broken(path: Path, why: str) -> InputError:
    return InputError(f"{path} is no enclave image file: {why}")
