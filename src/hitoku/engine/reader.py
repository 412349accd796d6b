# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names; no asker's text comes here
"""The process that reads a table of a DuckDB file: a request on standard input, rows on standard output.

A database file is read in a process of its own like everything DuckDB does with members' rows: a damaged file
must not end the node, and what the file holds besides tables (views that read other files, settings) must not
reach anything. Opened read-only, with neither files, network nor extensions, and no setting can be changed
back. Started as a script in Python's isolated mode with an empty environment. Frames are `worker.py`'s; after
``S`` (empty) comes one Arrow IPC stream, and the exit code 0 says that it is whole.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import threading
from typing import Any, BinaryIO, NoReturn

HEADER = 12
MAGIC = b"DUCK"
CODES = {
    "CatalogException": "NO_TABLE",
    "BinderException": "NO_COLUMN",
    "PermissionException": "OTHER_FILES",
    "IOException": "INPUT_FILE",
    "SerializationException": "INPUT_FILE",
    "OutOfMemoryException": "OUT_OF_MEMORY",
    "MemoryError": "OUT_OF_MEMORY",
}


def beside() -> Any:
    """The engine's own process, for its frames and bounds."""
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")  # noqa: PTH100, PTH118, PTH120
    spec = importlib.util.spec_from_file_location("worker", place)
    if spec is None or spec.loader is None:
        raise ImportError(place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def connect(request: dict[str, Any], worker: Any) -> Any:
    """The database, read-only and locked."""
    with open(request["path"], "rb") as file:  # noqa: PTH123
        if file.read(HEADER)[-len(MAGIC) :] != MAGIC:
            raise worker.Failed("INPUT_FILE")
    limits = request["limits"]
    connection = importlib.import_module("duckdb").connect(
        request["path"],
        read_only=True,
        config={
            "enable_external_access": "false",
            "allow_community_extensions": "false",
            "allow_unsigned_extensions": "false",
            "allow_persistent_secrets": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": f"{limits['memory_bytes']}B",
            "threads": str(limits["threads"]),
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


def serve(source: BinaryIO, out: BinaryIO, worker: Any) -> None:
    """Answer one request."""
    request = worker.receive(source)
    worker.bound(request["limits"])
    # Whoever started this process may go away; this one has no directory to remove.
    threading.Thread(target=worker.watch, args=(source, ""), daemon=True).start()
    arrow = importlib.import_module("pyarrow")
    connection = connect(request, worker)
    table = ".".join(map(worker.name, request["table"]))
    columns = "*" if request["columns"] is None else ", ".join(map(worker.name, request["columns"]))
    limit = " LIMIT 0" if request["columns"] is None else ""
    reader = connection.sql(f"SELECT {columns} FROM {table}{limit}").to_arrow_reader(16_384)
    worker.send(out, b"S", b"")
    with arrow.ipc.new_stream(out, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    out.flush()


def main() -> NoReturn:
    """Serve, and report nothing but a code."""
    worker = beside()
    out = sys.stdout.buffer
    try:
        serve(sys.stdin.buffer, out, worker)
    except worker.Failed as failure:
        worker.send(out, b"E", json.dumps(failure.answer).encode())
        os._exit(1)
    except BaseException as error:  # whatever it says stays here
        worker.send(out, b"E", json.dumps({"code": CODES.get(type(error).__name__, "INTERNAL")}).encode())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
