# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""The engine's process: one request on standard input, one answer on standard output, then the end.

It is started as a script in Python's isolated mode with an empty environment, and imports nothing of
hitoku. Frames are 8 bytes of length, one byte of kind and the content: ``Q`` request (JSON), ``H``
ready, ``E`` error (JSON: code, table, column; never the engine's words), ``R`` result (Arrow IPC).
When its standard input ends early, whoever started it is gone: it removes its directory and exits.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import os
import resource
import shutil
import struct
import sys
import threading
from typing import Any, BinaryIO, NoReturn

MAX_REQUEST = 16 * 1024 * 1024
WATCH = "watch"  # the thread that sees whoever started this process go
CODES = {
    "OutOfMemoryException": "OUT_OF_MEMORY",
    "MemoryError": "OUT_OF_MEMORY",
    "ConversionException": "DATA_TYPE",
    "OutOfRangeException": "DATA_TYPE",
    "InvalidInputException": "DATA_TYPE",
    "TypeMismatchException": "DATA_TYPE",
    "IOException": "INPUT_FILE",
    "PermissionException": "INPUT_FILE",
    "UnicodeDecodeError": "INPUT_FILE",
    "FileNotFoundError": "INPUT_FILE",
    "PermissionError": "INPUT_FILE",
    "InterruptException": "CANCELLED",
}


class Failed(Exception):
    """An error that may cross: a code and names, no words of the engine."""

    def __init__(self, code: str, **names: str) -> None:
        super().__init__(code)
        self.answer = {"code": code, **names}


def send(out: BinaryIO, kind: bytes, content: bytes) -> None:
    """Write one frame."""
    out.write(struct.pack(">Qc", len(content), kind) + content)
    out.flush()


def receive(source: BinaryIO) -> dict[str, Any]:
    """Read the request."""
    header = source.read(9)
    if len(header) < 9:
        raise Failed("INTERNAL")
    length, kind = struct.unpack(">Qc", header)
    if kind != b"Q" or length > MAX_REQUEST:
        raise Failed("INTERNAL")
    content = source.read(length)
    if len(content) < length:
        raise Failed("INTERNAL")
    request: dict[str, Any] = json.loads(content)
    return request


def bound(limits: dict[str, int]) -> None:
    """Limit this process by the operating system too: memory, processor time, open files, no core file."""
    address = limits["memory_bytes"] * 2 + 4 * 1024**3
    cpu = limits["seconds"] * max(1, limits["threads"]) + 10
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, address),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_NOFILE, 1024),
    ):
        _, hard = resource.getrlimit(what)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (value, value))


def forget(directory: str) -> None:
    """Remove the directory that was made for this process, if it is one."""
    if os.path.basename(directory).startswith("hitoku-engine-"):  # noqa: PTH119
        shutil.rmtree(directory, ignore_errors=True)


def watch(source: BinaryIO, directory: str) -> None:
    """Leave nothing behind when whoever started this process has gone."""
    source.read(1)
    for _ in range(10):  # a question that still runs may spill into it meanwhile
        shutil.rmtree(directory, ignore_errors=True)
        if not os.path.lexists(directory):
            break
    os._exit(1)


def connect(request: dict[str, Any]) -> Any:
    """A database in memory that can read the listed files and nothing else, and cannot be told otherwise."""
    duckdb = importlib.import_module("duckdb")
    limits = request["limits"]
    connection = duckdb.connect(
        ":memory:",
        config={
            "allow_community_extensions": "false",
            "allow_unsigned_extensions": "false",
            "allow_persistent_secrets": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": f"{limits['memory_bytes']}B",
            "threads": str(limits["threads"]),
            "temp_directory": os.path.join(request["directory"], "spill"),  # noqa: PTH118
            "max_temp_directory_size": f"{limits['memory_bytes'] * 4}B",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET enable_progress_bar = true")  # without it there is no progress to ask for
    connection.execute("SET enable_progress_bar_print = false")
    # type_pushdown turns TRY_CAST over a CSV file into a cast that fails and quotes the value (DuckDB 2.0.0).
    connection.execute("SET disabled_optimizers = 'type_pushdown,scalar_fn_pushdown'")
    paths = ", ".join(text(table["path"]) for table in request["tables"])
    connection.execute(f"SET allowed_paths = [{paths}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """A quoted identifier."""
    return '"' + value.replace('"', '""') + '"'


def found(table: dict[str, Any], headers: list[str]) -> dict[str, str]:
    """The file's header of each declared column."""
    folded: dict[str, str] = {}
    for header in headers:
        key = header.strip().lower()
        if key in folded:
            raise Failed("DUPLICATE_COLUMN", table=table["name"], column=key)
        folded[key] = header
    for column in table["columns"]:
        if column["name"] not in folded:
            raise Failed("MISSING_COLUMN", table=table["name"], column=column["name"])
    return folded


def csv_view(table: dict[str, Any]) -> str:
    """A CSV file as typed columns; text that is not of the type is NULL."""
    with open(table["path"], encoding="utf-8", newline="") as file:  # noqa: PTH123
        headers = next(csv.reader(file), None)
    if not headers:
        raise Failed("EMPTY_FILE", table=table["name"])
    folded = found(table, headers)
    types = ", ".join(f"{text(header)}: 'VARCHAR'" for header in headers)
    source = (
        f"read_csv({text(table['path'])}, auto_detect = false, header = true, columns = {{{types}}}, "
        """delim = ',', quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false)"""
    )
    columns = [
        f"{typed(name(folded[c['name']]), c, 'VARCHAR')} AS {name(c['name'])}" for c in table["columns"]
    ]
    return f"SELECT {', '.join(columns)} FROM {source}"


def parquet_view(connection: Any, table: dict[str, Any]) -> str:
    """A Parquet file as typed columns; an encrypted column must be text."""
    source = f"read_parquet({text(table['path'])})"
    rows = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    types = {row[0]: row[1] for row in rows}
    folded = found(table, list(types))
    columns = []
    for column in table["columns"]:
        header = folded[column["name"]]
        if column["encrypted"] and types[header] != "VARCHAR":
            raise Failed("COLUMN_TYPE", table=table["name"], column=column["name"])
        columns.append(f"{typed(name(header), column, types[header])} AS {name(column['name'])}")
    return f"SELECT {', '.join(columns)} FROM {source}"


def typed(expression: str, column: dict[str, Any], source_type: str) -> str:
    """A column of the declared type."""
    wanted = "VARCHAR" if column["encrypted"] else column["type"]
    return expression if source_type == wanted else f"TRY(CAST({expression} AS {wanted}))"


def prepare(connection: Any, request: dict[str, Any]) -> None:
    """One view for each table."""
    for table in request["tables"]:
        body = csv_view(table) if table["format"] == "csv" else parquet_view(connection, table)
        connection.execute(f"CREATE TEMP VIEW {name(table['name'])} AS {body}")


class Ticker:
    """Tells whole percents of the running question, as far as DuckDB knows; nothing else, and never less."""

    def __init__(self, connection: Any, out: BinaryIO) -> None:
        self.connection = connection
        self.out = out
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        # Joined, so that no frame of this thread falls into another.
        self.done.set()
        self.thread.join()

    def run(self) -> None:
        """Look every tenth of a second."""
        told = 0
        while not self.done.wait(0.1):
            percent = min(99, int(self.connection.query_progress()))
            if percent > told:
                told = percent
                send(self.out, b"P", bytes([percent]))


def answer(connection: Any, request: dict[str, Any]) -> bytes:
    """Run the question; its result as an Arrow IPC stream within the limits.

    Where a file is told, the stream goes there, and the answer is empty.
    """
    into = request.get("into")
    if into is None:
        with io.BytesIO() as memory:
            write(connection, request, memory)
            return memory.getvalue()
    with os.fdopen(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        write(connection, request, file)
    return b""


def write(connection: Any, request: dict[str, Any], sink: Any) -> None:
    """Run the question into `sink`."""
    arrow = importlib.import_module("pyarrow")
    limits = request["limits"]
    reader = connection.sql(request["sql"]).to_arrow_reader(16_384)
    rows = 0
    with arrow.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            rows += batch.num_rows
            writer.write_batch(batch)
            if rows > limits["result_rows"] or sink.tell() > limits["result_bytes"]:
                raise Failed("RESULT_TOO_LARGE")


def serve(source: BinaryIO, out: BinaryIO) -> None:
    """Answer one request."""
    # Imported while the request is on its way: starting is most of a small question's time.
    arrow = threading.Thread(target=importlib.import_module, args=("pyarrow",), daemon=True)
    arrow.start()
    importlib.import_module("duckdb")
    try:
        send(out, b"H", b"")
        request = receive(source)
    except Failed:
        forget(os.getcwd())  # noqa: PTH109
        raise
    except OSError:  # whoever started this process has gone: nobody is there to be told
        forget(os.getcwd())  # noqa: PTH109
        os._exit(1)
    bound(request["limits"])
    threading.Thread(target=watch, args=(source, request["directory"]), name=WATCH, daemon=True).start()
    connection = connect(request)
    prepare(connection, request)
    arrow.join()
    with Ticker(connection, out):
        result = answer(connection, request)
    send(out, b"R", result)


def main() -> NoReturn:
    """Serve, and report nothing but a code."""
    out = sys.stdout.buffer
    try:
        serve(sys.stdin.buffer, out)
    except Failed as failure:
        report(out, failure.answer)
    except Exception as error:  # whatever it says stays here
        report(out, {"code": CODES.get(type(error).__name__, "INTERNAL")})
    # Whoever started this process ends it and removes its directory. Was it killed before it could, the
    # watch sees that and does so; an end of our own now would leave the directory to nobody.
    for thread in threading.enumerate():
        if thread.name == WATCH:
            thread.join()
    os._exit(0)


def report(out: BinaryIO, answer: dict[str, str]) -> None:
    """Send what failed, if there is still somebody to be told."""
    with contextlib.suppress(OSError):
        send(out, b"E", json.dumps(answer).encode())


if __name__ == "__main__":
    main()
