# SPDX-License-Identifier: Apache-2.0
"""The engine as its owner sees it: start a process, hand it files and SQL, get a table or a coded error."""

from __future__ import annotations

import importlib
import json
import os
import selectors
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hitoku import limits
from hitoku.engine.failures import failure
from hitoku.engine.tables import EngineTable
from hitoku.errors import EngineError, InputError

__all__ = ["Engine", "EngineLimits"]

_WORKER: Final = Path(__file__).with_name("worker.py")
_CHUNK: Final = 1 << 20
_START_SECONDS: Final = 60


def _memory() -> int:
    """The engine's share of this machine's memory: at most half, at most the documented limit."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return limits.ENGINE_MEMORY_BYTES
    return min(limits.ENGINE_MEMORY_BYTES, physical // 2)


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one question may use."""

    memory_bytes: int = field(default_factory=_memory)
    seconds: int = limits.ENGINE_SECONDS
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    result_rows: int = limits.ENGINE_MAX_RESULT_ROWS
    result_bytes: int = limits.ENGINE_MAX_RESULT_BYTES

    def to_dict(self) -> dict[str, int]:
        """What the process is told."""
        return {
            "memory_bytes": self.memory_bytes,
            "seconds": self.seconds,
            "threads": self.threads,
            "result_rows": self.result_rows,
            "result_bytes": self.result_bytes,
        }


class Engine:
    """One process for one question. A context manager; leaving it ends the process and removes its files.

    `cancel` may be called from another thread while `run` waits.
    """

    def __init__(self, bounds: EngineLimits | None = None) -> None:
        self.bounds = bounds or EngineLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: str | None = None
        self._cancelled = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the process now, so that it is ready when the question is."""
        with self._lock:
            if self._process is not None:
                return
            if self._cancelled:
                raise failure({"code": "CANCELLED"}, self.bounds.seconds)
            self._directory = tempfile.mkdtemp(prefix="hitoku-engine-")
            # An empty environment: no secret, proxy or preload of ours is inherited.
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8", "HOME": self._directory, "TMPDIR": self._directory},
                cwd=self._directory,
                start_new_session=True,
            )

    def run(
        self,
        tables: Sequence[EngineTable],
        sql: str,
        advance: Callable[[int], None] | None = None,
        into: Path | None = None,
    ) -> Any:
        """Run SQL over the tables' files.

        Args:
            tables: each becomes a view of that name; nothing else can be read.
            sql: our own text, never an asker's.
            advance: hears by how many of 100 percent the question has come on; 100 in all at the end.
            into: a file that is made for the result, readable by this user only, so that a large one need not
                fit the memory; the caller removes it.

        Returns:
            A `pyarrow.Table`; it lies in that file where one is told.

        Raises:
            InputError: a file lacks a column, or a column is of another type.
            LimitError: the result is larger than allowed.
            EngineError: anything else, as a code.
        """
        self.start()
        process, directory = self._process, self._directory
        if process is None or directory is None or process.stdin is None:
            raise EngineError("the engine is closed", "INTERNAL")
        request = {
            "sql": sql,
            "directory": directory,
            "limits": self.bounds.to_dict(),
            "tables": [_told(table, Path(directory), place) for place, table in enumerate(tables)],
            "into": None if into is None else str(into.absolute()),
        }
        deadline = time.monotonic() + self.bounds.seconds + _START_SECONDS
        try:
            self._frame(process, b"H", deadline)
            content = json.dumps(request).encode()
            process.stdin.write(struct.pack(">Qc", len(content), b"Q") + content)
            process.stdin.flush()
            result = self._result(process, time.monotonic() + self.bounds.seconds, advance)
        except BrokenPipeError:
            raise self._ended() from None
        if self._cancelled:  # it came too late: whoever cancelled must not be given an answer
            raise self._ended()
        arrow = importlib.import_module("pyarrow")
        content = arrow.py_buffer(result) if into is None else arrow.memory_map(str(into))
        with arrow.ipc.open_stream(content) as reader:
            return reader.read_all()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """End the question; `run` raises an EngineError with code ``CANCELLED``.

        From any thread, at any time, more than once. Before `start` nothing will be started; while `run`
        waits its process is killed; a result that arrived while `run` has not returned is thrown away.
        """
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process and remove its directory."""
        with self._lock:
            process, self._process = self._process, None
            directory, self._directory = self._directory, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        continue
            process.wait()
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def _result(
        self, process: subprocess.Popen[bytes], deadline: float, advance: Callable[[int], None] | None
    ) -> bytes:
        """The result's frame, after those that tell of progress."""
        told = 0
        while True:
            kind, content = self._any(process, b"RP", deadline)
            percent = 100 if kind == b"R" else content[0] if len(content) == 1 else 0
            if told < percent <= 100:
                if advance is not None:
                    advance(percent - told)
                told = percent
            if kind == b"R":
                return content

    def _frame(self, process: subprocess.Popen[bytes], wanted: bytes, deadline: float) -> bytes:
        return self._any(process, wanted, deadline)[1]

    def _any(self, process: subprocess.Popen[bytes], wanted: bytes, deadline: float) -> tuple[bytes, bytes]:
        """A frame of one of the wanted kinds: its kind and content."""
        length, kind = struct.unpack(">Qc", self._read(process, 9, deadline))
        most = self.bounds.result_bytes * 2 if kind == b"R" else 1 << 16
        if length > most:
            raise failure({"code": "RESULT_TOO_LARGE"}, self.bounds.seconds)
        content = self._read(process, length, deadline)
        if kind == b"E":
            raise failure(json.loads(content), self.bounds.seconds)
        if kind not in wanted:
            raise failure({"code": "INTERNAL"}, self.bounds.seconds)
        return kind, content

    def _read(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        if process.stdout is None:
            raise self._ended()
        parts = bytearray()
        source = process.stdout.fileno()
        with selectors.DefaultSelector() as waiting:
            waiting.register(source, selectors.EVENT_READ)
            while len(parts) < size:
                if not waiting.select(max(0.0, deadline - time.monotonic())):
                    process.kill()
                    raise failure({"code": "TIMEOUT"}, self.bounds.seconds)
                chunk = os.read(source, min(_CHUNK, size - len(parts)))
                if not chunk:
                    raise self._ended()
                parts += chunk
        return bytes(parts)

    def _ended(self) -> Exception:
        return failure({"code": "CANCELLED" if self._cancelled else "CRASHED"}, self.bounds.seconds)


def _told(table: EngineTable, directory: Path, place: int) -> dict[str, Any]:
    """A table as the process is told of it: by a link that we name, so that no file name is a pattern."""
    source = table.file.path.resolve()
    if not source.is_file():
        raise InputError(f"table {table.name}: its file is missing or is no file")
    link = directory / f"table{place}.{table.file.format}"
    link.symlink_to(source)
    return {
        "name": table.name,
        "path": str(link),
        "format": table.file.format,
        "columns": [{"name": c.name, "type": c.sql_type, "encrypted": c.encrypted} for c in table.columns],
    }
