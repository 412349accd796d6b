# SPDX-License-Identifier: Apache-2.0
"""Reading a table that another member sent: nothing is unpacked before its size is known.

A stream of Arrow can hold 400 MB in 16 KB (compressed), a billion NULLs in no bytes at all, or columns that
refer to the bytes of others. So the headers of its messages are looked at first.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import pyarrow as pa

from hitoku import limits

__all__ = ["read_table"]

_SCHEMA: Final = 1
_BATCH: Final = 3
_LENGTH: Final = 0
_COMPRESSION: Final = 3
_END: Final = b"\xff\xff\xff\xff\0\0\0\0"


def read_table(content: bytes) -> Any:
    """The table of an Arrow IPC stream with plain, uncompressed columns.

    Raises:
        ValueError: it is something else, damaged or too large; never quotes it.
    """
    try:
        _look(content)
        with pa.ipc.open_stream(content) as reader:
            for field in reader.schema:
                _plain(field.type)
            table = reader.read_all()
        if table.nbytes > limits.MAX_MESSAGE_BYTES:
            raise ValueError("too large")
        table.validate(full=True)
    except (pa.ArrowException, struct.error, EOFError, OSError, OverflowError, MemoryError, KeyError):
        raise ValueError("not a table") from None
    return table


def _look(content: bytes) -> None:
    """Read the headers of all messages; refuse what is compressed, long, or neither schema nor rows."""
    source = pa.BufferReader(content)
    rows = 0
    while (at := source.tell()) < len(content):
        if content[at : at + 8] == _END:
            return
        header = bytes(pa.ipc.read_message(source).metadata)
        place = _table(header, 0)
        (kind,) = struct.unpack_from("<B", header, _field(header, place, 1))
        if kind == _SCHEMA:
            continue
        if kind != _BATCH:
            raise ValueError("neither schema nor rows")
        batch = _table(header, _field(header, place, 2))
        if _field(header, batch, _COMPRESSION):
            raise ValueError("compressed")
        length = _field(header, batch, _LENGTH)
        rows += struct.unpack_from("<q", header, length)[0] if length else 0
        if not 0 <= rows <= limits.ENGINE_MAX_RESULT_ROWS:
            raise ValueError("too many rows")


def _table(header: bytes, at: int) -> int:
    """Where the flatbuffer table is that the offset at `at` points to."""
    return int(at + struct.unpack_from("<I", header, at)[0])


def _field(header: bytes, table: int, number: int) -> int:
    """Where a flatbuffer table has a field; 0 where it is absent."""
    slots = table - struct.unpack_from("<i", header, table)[0]
    if slots < 0 or 4 + 2 * number + 2 > struct.unpack_from("<H", header, slots)[0]:
        return 0
    offset = struct.unpack_from("<H", header, slots + 4 + 2 * number)[0]
    return int(table + offset) if offset else 0


def _plain(kind: Any) -> None:
    is_ = pa.types
    odd = is_.is_nested(kind) or is_.is_dictionary(kind) or is_.is_run_end_encoded(kind)
    if odd or is_.is_string_view(kind) or is_.is_binary_view(kind) or isinstance(kind, pa.BaseExtensionType):
        raise ValueError("not a plain type")
