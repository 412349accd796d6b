# SPDX-License-Identifier: Apache-2.0
"""DuckDB inside this process, for tables that hold nothing secret any more: noised figures.

Everything that touches members' rows runs in a process of its own (`hitoku.engine.process`). What comes here
may be known to anybody: it is what is released, before it is put into the question's form. So the reasons for
a process of its own are fewer, and one stays: the question's shape is the asker's. It is bounded in time and
memory, has no files, no network, no extensions and no settings to change.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from hitoku.errors import EngineError

__all__ = ["compute"]

_MEMORY: Final = "512MB"
_SECONDS: Final = 20.0


def compute(tables: Mapping[str, Any], sql: str) -> Any:
    """Run one statement over Arrow tables.

    Args:
        tables: `pyarrow.Table` by name.
        sql: regenerated from a checked form.

    Returns:
        A `pyarrow.Table`.

    Raises:
        EngineError: it failed or took too long; never quotes the engine's words.
    """
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": False,
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "memory_limit": _MEMORY,
        "threads": 1,
    }
    try:
        with duckdb.connect(":memory:", config=settings) as connection:
            for name, table in tables.items():
                connection.register(name, table)
            connection.execute("SET lock_configuration = true")
            watch = threading.Timer(_SECONDS, connection.interrupt)
            watch.daemon = True
            watch.start()
            try:
                return connection.sql(sql).to_arrow_table()
            finally:
                watch.cancel()
    except duckdb.Error:  # its words may quote a value
        raise EngineError("the figures cannot be put into the question's form") from None
