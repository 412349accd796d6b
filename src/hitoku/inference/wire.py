# SPDX-License-Identifier: Apache-2.0
"""Frames: how requests, answers, keys and bundles travel and rest.

::

    magic "HTKI" | version u16 | kind u8 | sections u8 | id [16] | circuit [32] | lengths u64 each | sections

All numbers are little-endian. `circuit` names the circuit and ring that the content belongs to
(`specification.circuit_name`), so that nothing is computed with another model's keys by mistake; it is no
authentication. `id` of a request comes back in its answer. A frame is exactly as long as it says, and how
long it may be is known before it is read: what does not fit is refused before anything is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from hitoku.inference.errors import ModelError

__all__ = ["ID_BYTES", "VERSION", "Frame", "Kind", "pack", "unpack"]

VERSION: Final = 1
ID_BYTES: Final = 16
_MAGIC: Final = b"HTKI"
_HEAD: Final = struct.Struct("<4sHBB16s32s")
_MOST_SECTIONS: Final = 4


class Kind(IntEnum):
    """What a frame holds."""

    REQUEST = 1
    ANSWER = 2
    KEYS = 3
    BUNDLE = 4
    SECRET = 5
    TRAINING_KEYS = 6
    WEIGHTS = 7
    SUMS = 8
    SCORES = 9


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was read."""

    kind: Kind
    id: bytes
    circuit: bytes
    sections: tuple[memoryview, ...]


def pack(
    kind: Kind, circuit: bytes, sections: Sequence[bytes | memoryview], number: bytes = bytes(ID_BYTES)
) -> bytes:
    """A frame's bytes."""
    head = _HEAD.pack(_MAGIC, VERSION, kind, len(sections), number, circuit)
    lengths = struct.pack(f"<{len(sections)}Q", *map(len, sections))
    return b"".join([head, lengths, *sections])


def unpack(
    data: bytes | memoryview, kind: Kind, sections: int, most: int, circuit: bytes | None = None
) -> Frame:
    """Read a frame; its sections share the memory of `data`.

    Args:
        data: the frame.
        kind: what it must hold.
        sections: how many sections it must have.
        most: how many bytes it may have.
        circuit: which circuit it must belong to; None: any.

    Raises:
        ModelError: it is too long (``TOO_LARGE``), damaged or of another kind (``FILE``), of a version that
            is not read here (``FORMAT``), or of another circuit (``CIRCUIT``).
    """
    what = kind.name.lower()
    if len(data) > most:
        raise ModelError("TOO_LARGE", f"has {len(data):,} bytes where at most {most:,} can be", where=what)
    view = memoryview(data).cast("B") if not isinstance(data, bytes) else memoryview(data)
    if len(view) < _HEAD.size:
        raise ModelError("FILE", "is cut off in its head", where=what)
    magic, version, found, count, number, name = _HEAD.unpack_from(view)
    if magic != _MAGIC:
        raise ModelError("FILE", "is no frame of hitoku's predictions", where=what)
    if version != VERSION:
        raise ModelError(
            "FORMAT",
            f"has the version {version}, version {VERSION} is read here",
            where=what,
            remedy="use the same release of hitoku on both sides",
        )
    if found != kind or count != sections or count > _MOST_SECTIONS:
        raise ModelError("FILE", "holds something else", where=what)
    if circuit is not None and name != circuit:
        raise ModelError(
            "CIRCUIT",
            "was made for another model or another version of it",
            where=what,
            remedy="get the server's present client.json, and make keys and requests from it",
        )
    start = _HEAD.size + 8 * count
    if len(view) < start:
        raise ModelError("FILE", "is cut off in its head", where=what)
    lengths = struct.unpack_from(f"<{count}Q", view, _HEAD.size)
    if start + sum(lengths) != len(view):
        raise ModelError("FILE", "is not as long as it says", where=what)
    parts = []
    for length in lengths:
        parts.append(view[start : start + length])
        start += length
    return Frame(kind, number, name, tuple(parts))
