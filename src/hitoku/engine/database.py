# SPDX-License-Identifier: Apache-2.0
"""A table of a DuckDB file as a source of Arrow batches. The file is opened in a process of its own."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import pyarrow as pa

from hitoku.engine.process import EngineLimits
from hitoku.errors import EngineError, InputError
from hitoku.sources.base import Batch
from hitoku.sources.parquet import flat, flat_schema

__all__ = ["DatabaseSource"]

_READER: Final = Path(__file__).with_name("reader.py")
_MOST: Final = 1 << 16
_INPUT: Final = {
    "NO_TABLE": "has no such table, or it is a view of something that is not in the file",
    "NO_COLUMN": "lacks a column, or is a view whose columns are gone",
    "OTHER_FILES": "is a view of other files, which are not read: register those instead",
    "INPUT_FILE": "cannot be read: it is no whole DuckDB file, or another program has it open for writing",
}


class DatabaseSource:
    """One table of a DuckDB file, read-only.

    Args:
        path: the file.
        table: the table's name, with its schema before it where it has one.

    Raises:
        InputError: the file or the table cannot be read, or it has nested columns.
        EngineError: the process that reads it failed.
    """

    def __init__(self, path: Path, table: tuple[str, ...]) -> None:
        self._path, self._table = path, table
        if not path.is_file():
            raise InputError(f"{self.name}: there is no such file")
        with self._reading(None) as stored:
            self._stored: pa.Schema = stored.schema
            for _ in stored:
                continue
        self._schema = flat_schema(self._stored, self.name)

    @property
    def name(self) -> str:
        """The table's name and that of the file, without its folder."""
        return f"{'.'.join(self._table)} in {self._path.name}"

    @property
    def schema(self) -> pa.Schema:
        """The columns with their plain types."""
        return self._schema

    @property
    def estimated_bytes(self) -> int:
        """The size of the file."""
        return self._path.stat().st_size

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """The chosen columns, as the process sends them; it waits while nobody takes more."""
        wanted = pa.schema([self._schema.field(place) for place in columns])
        with self._reading([self._stored.field(place).name for place in columns]) as stored:
            for batch in stored:
                yield partial(flat, batch, wanted, self.name)

    @contextmanager
    def _reading(self, columns: list[str] | None) -> Iterator[Any]:
        """The table's rows (none where no columns are told), which must then be read to their end."""
        bounds = EngineLimits().to_dict()
        request = {
            "path": str(self._path.resolve()),
            "table": self._table,
            "columns": columns,
            "limits": bounds,
        }
        content = json.dumps(request).encode()
        with tempfile.TemporaryDirectory(prefix="hitoku-engine-") as folder:
            process = subprocess.Popen(
                [sys.executable, "-I", str(_READER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8", "HOME": folder, "TMPDIR": folder},
                cwd=folder,
                start_new_session=True,
            )
            try:
                if process.stdin is None or process.stdout is None:
                    raise AssertionError("both are pipes")
                process.stdin.write(struct.pack(">Qc", len(content), b"Q") + content)
                process.stdin.flush()
                header = process.stdout.read(9)
                length, kind = struct.unpack(">Qc", header) if len(header) == 9 else (0, b"E")
                if kind != b"S":
                    self._fail(process.stdout.read(min(length, _MOST)))
                with pa.ipc.open_stream(process.stdout) as stream:
                    yield stream
                    # Only a process that came to its end has sent everything.
                    if process.wait() != 0:
                        self._fail(b"")
            except (BrokenPipeError, pa.ArrowException, OSError):
                self._fail(b"")
            finally:
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        try:
                            pipe.close()
                        except OSError:
                            continue

    def _fail(self, answer: bytes) -> NoReturn:
        code = str(json.loads(answer).get("code", "INTERNAL")) if answer else "CRASHED"
        if code in _INPUT:
            raise InputError(f"{self.name} {_INPUT[code]}") from None
        raise EngineError(f"{self.name}: the process that reads it ended early", "CRASHED") from None
