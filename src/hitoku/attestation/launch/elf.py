# SPDX-License-Identifier: Apache-2.0
"""What an ELF file asks of the dynamic loader: its loader, needed libraries and search paths.

Read from the program headers (System V ABI, chapter 5) instead of asking `ldd`, which runs the file.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["Dynamic", "dynamic"]

_PT_LOAD: Final = 1
_PT_DYNAMIC: Final = 2
_PT_INTERP: Final = 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29
_MOST_NAME: Final = 4096


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What one file asks for.

    Attributes:
        loader: path of its dynamic loader (programs), else "".
        needed: names of libraries.
        paths: where to look first, ``$ORIGIN`` not replaced.
        soname: its own name, or "".
    """

    loader: str
    needed: tuple[str, ...]
    paths: tuple[str, ...]
    soname: str


def dynamic(path: Path) -> Dynamic | None:
    """What a file asks for; None where it is not a 64-bit little-endian ELF file that can be read."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _read(file: BinaryIO) -> Dynamic | None:
    head = file.read(64)
    if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] != 2 or head[5] != 1:
        return None
    (table,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    loads: list[tuple[int, int, int]] = []
    loader, entries = "", b""
    for number in range(count):
        kind, _, offset, address, _, length, _, _ = struct.unpack(
            "<IIQQQQQQ", _at(file, table + number * size, 56)
        )
        if kind == _PT_LOAD:
            loads.append((address, offset, length))
        elif kind == _PT_INTERP:
            loader = _at(file, offset, min(length, _MOST_NAME)).rstrip(b"\0").decode("ascii")
        elif kind == _PT_DYNAMIC:
            entries = _at(file, offset, min(length, 1 << 16))
    tags = [(tag, value) for tag, value in struct.iter_unpack("<qQ", entries[: len(entries) // 16 * 16])]
    ends = [place for place, (tag, _) in enumerate(tags) if tag == _DT_NULL]
    tags = tags[: ends[0]] if ends else tags
    strings = next((value for tag, value in tags if tag == _DT_STRTAB), None)
    if strings is None:
        return Dynamic(loader, (), (), "")
    base = next((o + strings - a for a, o, n in loads if a <= strings < a + n), None)
    if base is None:
        return None

    def texts(wanted: int) -> list[str]:
        return [_text(file, base + value) for tag, value in tags if tag == wanted]

    # A RUNPATH makes the loader ignore an RPATH (ld.so(8)).
    paths = texts(_DT_RUNPATH) or texts(_DT_RPATH)
    sonames = texts(_DT_SONAME)
    return Dynamic(
        loader,
        tuple(texts(_DT_NEEDED)),
        tuple(p for text in paths for p in text.split(":") if p),
        sonames[0] if sonames else "",
    )


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset, os.SEEK_SET)
    return file.read(length)


def _text(file: BinaryIO, offset: int) -> str:
    return _at(file, offset, _MOST_NAME).split(b"\0", 1)[0].decode("ascii")
