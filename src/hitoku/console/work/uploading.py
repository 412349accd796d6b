# SPDX-License-Identifier: Apache-2.0
"""Files from the browser: streamed into the member's `data/`, looked through, kept whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from hitoku import limits
from hitoku.console.work.looking import look
from hitoku.errors import HitokuError, InputError, LimitError, RoomError

__all__ = ["Upload", "kept", "receive"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}")
_SUFFIXES: Final = {".csv": ".csv", ".parquet": ".parquet", ".pq": ".parquet"}
_FIELD_BYTES: Final = 4_096
_HEADER_BYTES: Final = 4_096
_MAX_PARTS: Final = 8


class Upload:
    """A multipart form with one file, taken apart as it comes; nothing of the file stays in memory.

    Args:
        folder: where the file goes, under a name that nobody else uses.
        content_type: the request's header.
        most: bytes of the whole form at most.

    Raises:
        InputError: the header says that it is no such form.
    """

    def __init__(self, folder: Path, content_type: str, most: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
            raise InputError("a form with a file is expected")
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.path = folder / f".upload-{secrets.token_hex(16)}.part"
        self._most, self._seen, self._parts = most, 0, 0
        self._file = -1
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._field: str | None = None
        self._text = bytearray()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Take the next bytes of the form.

        Raises:
            LimitError: it is too large.
            InputError: it is no form.
            RoomError: the disk is full or cannot be written.
        """
        self._seen += len(chunk)
        if self._seen > self._most:
            raise LimitError(f"the file is larger than {self._most:,} bytes")
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise InputError("the form cannot be understood") from None
        except OSError as error:
            raise RoomError(f"the file cannot be kept ({error.strerror})") from None

    def close(self) -> None:
        """The form has ended.

        Raises:
            InputError: it was cut, or has no file.
            RoomError: the disk is full or cannot be written.
        """
        if not self._ended or self._file < 0:
            raise InputError("the form was cut on its way, or has no file in it")
        try:
            os.fsync(self._file)
        except OSError as error:
            raise RoomError(f"the file cannot be kept ({error.strerror})") from None

    def drop(self) -> None:
        """Remove what is left of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self.path.unlink(missing_ok=True)

    # --- of the parser ---

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise InputError("the form has too many parts")
        self._headers, self._name, self._value = {}, bytearray(), bytearray()
        self._field, self._text = None, bytearray()

    def _bounded(self, into: bytearray, data: bytes, start: int, end: int) -> None:
        if len(into) + end - start > _HEADER_BYTES:
            raise InputError("the form cannot be understood")
        into += data[start:end]

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._bounded(self._name, data, start, end)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._bounded(self._value, data, start, end)

    def _header_end(self) -> None:
        if len(self._headers) >= _MAX_PARTS:
            raise InputError("the form cannot be understood")
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        filename = options.get(b"filename")
        if filename is None:
            self._field = options.get(b"name", b"").decode("utf-8", "replace")
            return
        if self._file >= 0:
            raise InputError("one file at a time")
        self.filename = filename.decode("utf-8", "replace")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.open(self.path, flags, 0o600)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            view = memoryview(data)[start:end]
            while view:
                view = view[os.write(self._file, view) :]
            return
        if len(self._text) + end - start > _FIELD_BYTES:
            raise InputError("a field of the form is too long")
        self._text += data[start:end]

    def _part_end(self) -> None:
        if self._field is not None:
            self.fields[self._field] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


async def receive(
    stream: AsyncIterator[bytes], content_type: str, base: Path, most: int = limits.MAX_UPLOAD_BYTES
) -> str:
    """Take a table from a browser: whole and readable, or not at all.

    Args:
        stream: the request's body.
        content_type: its header.
        base: the member's directory; the file goes into its `data/`.
        most: bytes at most.

    Returns:
        The file, relative to the member's directory.

    Raises:
        InputError, LimitError, EngineError: it is no form, too large, or no table; nothing is kept.
        RoomError: the file cannot be written, or there is one of this name.
    """
    folder = base / "data"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RoomError(f"{folder}: cannot be made ({error.strerror})") from None
    _swept(folder)
    upload = Upload(folder, content_type, most)
    try:
        async for chunk in stream:
            await run_in_threadpool(upload.write, chunk)
        await run_in_threadpool(upload.close)
        return await run_in_threadpool(kept, upload.path, upload.filename, base)
    finally:
        upload.drop()


def _swept(folder: Path) -> None:
    """Remove what uploads left behind that ended with the node's process."""
    for path in folder.glob(".upload-*"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - limits.CONSOLE_BODY_SECONDS - 3_600:
                path.unlink()


def kept(part: Path, filename: str, base: Path) -> str:
    """Look a file through and give it its name. Returns that, relative to the member's directory.

    Raises:
        InputError, LimitError, EngineError: it is no table.
        RoomError: there is a file of this name.
    """
    name = filename.replace("\\", "/").rpartition("/")[2]
    stem, dot, end = name.rpartition(".")
    suffix = _SUFFIXES.get(f"{dot}{end}".lower())
    if suffix is None or not _NAME.fullmatch(stem):
        raise InputError("a file's name is of a-z, 0-9, _ and -, and ends in .csv or .parquet")
    wanted = part.parent / f"{stem}{suffix}"
    # The readers tell formats by the suffix.
    readable = part.with_suffix(suffix)
    try:
        part.rename(readable)
        # With the profile, which the next page shows.
        look(str(readable.relative_to(base)), base, profile=True, upload=True)
        # A link, unlike a rename, does not replace what is there.
        os.link(readable, wanted)
        _flushed(wanted.parent)
    except FileExistsError:
        raise RoomError(f"there is a file {wanted.name} already: choose another name") from None
    except OSError as error:
        raise RoomError(f"the file cannot be kept ({error.strerror})") from None
    except HitokuError as error:
        raise type(error)(str(error).replace(readable.name, wanted.name)) from None
    finally:
        readable.unlink(missing_ok=True)
    return str(wanted.relative_to(base))


def _flushed(folder: Path) -> None:
    """Make the new name last."""
    at = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)
