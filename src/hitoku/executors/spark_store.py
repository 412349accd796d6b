# SPDX-License-Identifier: Apache-2.0
"""The folder that driver and workers share: batches on their way, and results, each written once.

::

    job.json               the job's key, wrapped
    f-<function>/          what one function made; the name tells the function apart, not what it is
        <number>-<batch>.item      a batch that waits; sealed; removed when its result is there
        <number>-<batch>.result    its result; sealed

A result's name is its batch's number and a keyed digest of the batch's content. So a batch that is repeated
finds or makes the same file, whatever happened before, and one that is changed never meets the result of what
stood there before. A file gets its name with `link`, complete and synced, and the first one stays: two
workers that do one batch, one of them believed dead, leave one result.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from hitoku.errors import InputError
from hitoku.executors.spark_keys import JobKey, KeyWrapper

__all__ = ["Store", "open_job", "packed", "unpacked"]

_FORMAT: Final = "hitoku/spark-job/1"
_JOB: Final = "job.json"
_NAME: Final = re.compile(r"[0-9]{8,}-[0-9a-f]{32}")
_KIND: Final = b"hitoku"
_ARRAY: Final = b"array"


def packed(value: Any) -> bytes:
    """An Arrow record batch or array as bytes (an IPC stream).

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, pa.Array):
        schema = pa.schema([pa.field("array", value.type)], {_KIND: _ARRAY})
        value = pa.RecordBatch.from_arrays([value], schema=schema)
    if not isinstance(value, pa.RecordBatch):
        raise InputError(f"Spark takes and gives Arrow record batches and arrays, not {type(value).__name__}")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as writer:
        writer.write_batch(value)
    return bytes(sink.getvalue())


def unpacked(content: bytes) -> Any:
    """What `packed` was given."""
    with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
        batch = reader.read_next_batch()
    if (batch.schema.metadata or {}).get(_KIND) == _ARRAY:
        return batch.column(0)
    return batch


def open_job(folder: Path, keys: KeyWrapper) -> tuple[bytes, JobKey]:
    """The key of a folder's job, made where there is none yet: wrapped, as it travels, and open.

    Raises:
        InputError: the folder cannot be written, or its job.json is none.
        SecretError: the key cannot be wrapped or unwrapped.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / _JOB).exists():
            wrapped = keys.wrap(secrets.token_bytes(32))
            made = {"format": _FORMAT, "wrapped": base64.b64encode(wrapped).decode("ascii")}
            _publish(folder / _JOB, json.dumps(made).encode())
        content = json.loads((folder / _JOB).read_bytes())
        if content["format"] != _FORMAT:
            raise ValueError
        wrapped = base64.b64decode(content["wrapped"], validate=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be used for work on Spark ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{folder / _JOB}: not a job of hitoku") from None
    return wrapped, JobKey.of(keys.unwrap(wrapped))


@dataclass(frozen=True, slots=True)
class Store:
    """The files of one function.

    Attributes:
        folder: where they are.
        key: the job's.
    """

    folder: Path
    key: JobKey

    @classmethod
    def of(cls, job: Path, key: JobKey, function: bytes) -> Store:
        """The store of a pickled function, its folder made."""
        folder = job / f"f-{key.name(b'function', function)}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return cls(folder, key)

    def stage(self, number: int, item: bytes) -> str:
        """Put a batch there for a worker, unless its result is there. Returns its name."""
        name = f"{number:08d}-{self.key.name(b'item', number.to_bytes(8, 'big'), item)}"
        if not self.done(name):
            self._write(name, "item", item)
        return name

    def done(self, name: str) -> bool:
        """Whether a batch's result is there."""
        return self._path(name, "result").exists()

    def item(self, name: str) -> bytes:
        """A batch that waits."""
        return self._read(name, "item")

    def put(self, name: str, result: bytes) -> None:
        """Store a result; if one is there already, that one stays."""
        self._write(name, "result", result)

    def result(self, name: str) -> bytes:
        """A batch's result."""
        return self._read(name, "result")

    def unstage(self, name: str) -> None:
        """Remove a batch that waits no longer."""
        with suppress(FileNotFoundError):
            self._path(name, "item").unlink()

    def results(self) -> Iterator[str]:
        """The names of all results, in the order of their numbers."""
        yield from sorted(path.stem for path in self.folder.glob("*.result"))

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str, kind: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InputError("not the name of a batch")
        return self.folder / f"{name}.{kind}"

    def _place(self, name: str, kind: str) -> str:
        return f"{self.folder.name}/{name}.{kind}"

    def _read(self, name: str, kind: str) -> bytes:
        return self.key.open(self._path(name, kind).read_bytes(), self._place(name, kind))

    def _write(self, name: str, kind: str, content: bytes) -> None:
        _publish(self._path(name, kind), self.key.seal(content, self._place(name, kind)))


def _publish(path: Path, content: bytes) -> None:
    """A file under its name at once and whole, or not at all; the first one stays."""
    waiting = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(waiting)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        waiting.unlink(missing_ok=True)
