# SPDX-License-Identifier: Apache-2.0
"""The few fields of Arrow's message headers that decide what their reader would do, read without trust.

A header is a flatbuffer (`Message.fbs`): tables whose fields are found through offsets. Nothing is followed
that leads outside, nothing recurs, and what is read is bounded by the caller.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["Malformed", "Table", "message_of"]

_V5: Final = 4
_WORD: Final = 80


class Malformed(Exception):
    """What came is not what it has to be; the words quote nothing of it."""


class Table:
    """A table of a flatbuffer; every place is checked to be inside before it is read.

    Raises:
        Malformed: one is not; any of its methods, too.
    """

    __slots__ = ("_at", "_content", "_size", "_vtable")

    def __init__(self, content: bytes, at: int) -> None:
        self._content, self._at = content, at
        self._vtable = at - self._get("<i", at)
        self._size = self._get("<H", self._vtable)

    def slot(self, number: int) -> int | None:
        """Where a field is; None where it has its default."""
        at = 4 + 2 * number
        if at + 2 > self._size:
            return None
        relative = self._get("<H", self._vtable + at)
        return self._at + relative if relative else None

    def number(self, slot: int, form: str) -> int:
        """A number; its default is 0."""
        at = self.slot(slot)
        return 0 if at is None else self._get(form, at)

    def table(self, slot: int) -> Table | None:
        """A table inside this one."""
        at = self.slot(slot)
        return None if at is None else Table(self._content, at + self._get("<I", at))

    def tables(self, slot: int, most: int) -> Iterator[Table]:
        """A list of tables."""
        start, count = self._vector(slot)
        if count > most:
            raise Malformed("a message is too long")
        for at in range(start, start + 4 * count, 4):
            yield Table(self._content, at + self._get("<I", at))

    def structs(self, slot: int, form: str, count: int) -> list[tuple[Any, ...]]:
        """A list of so many structs."""
        start, found = self._vector(slot)
        size = struct.calcsize(form)
        if found != count or start + count * size > len(self._content):
            raise Malformed("a batch has other columns than its schema")
        return [struct.unpack_from(form, self._content, start + i * size) for i in range(count)]

    def word(self, slot: int) -> bytes:
        """A short string."""
        start, count = self._vector(slot)
        if count > _WORD or start + count > len(self._content):
            raise Malformed("a message is too long")
        return self._content[start : start + count]

    def _vector(self, slot: int) -> tuple[int, int]:
        at = self.slot(slot)
        if at is None:
            return 0, 0
        start = at + self._get("<I", at)
        return start + 4, self._get("<I", start)

    def _get(self, form: str, at: int) -> int:
        if not 0 <= at <= len(self._content) - struct.calcsize(form):
            raise Malformed("it is no stream of Arrow batches")
        value: int = struct.unpack_from(form, self._content, at)[0]
        return value


def message_of(metadata: bytes) -> Table:
    """The table of a message of Arrow's, from its metadata.

    Raises:
        Malformed: it is none.
    """
    if len(metadata) < 8:
        raise Malformed("it is no stream of Arrow batches")
    message = Table(metadata, struct.unpack_from("<I", metadata)[0])
    if message.number(0, "<h") != _V5:
        raise Malformed("it is of another version of Arrow's format")
    return message
