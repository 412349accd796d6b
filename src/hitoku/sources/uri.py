# SPDX-License-Identifier: Apache-2.0
"""A member's plain table by URI.

=================================================  =====================================================
``people.csv``, ``people.parquet``, ``people/``    a file, or a folder of Parquet files; relative paths
                                                   are relative to the member's directory
``file:///data/people.parquet``                    the same, absolute
``duckdb:people.db?table=t``                       a table of a DuckDB file; ``duckdb:///data/people.db?...``
                                                   is absolute; ``table=schema.t`` names a schema
``postgresql://user@host/database?table=t``        a table or view of a PostgreSQL database
=================================================  =====================================================
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hitoku.errors import InputError
from hitoku.sources.base import Source
from hitoku.sources.formats import open_source

__all__ = ["open_uri", "shown"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_SECRETS: Final = re.compile(r"(?<=//)([^/@]*?):[^/]*@|(?<=[?&]password=)[^&]*")


def shown(uri: str) -> str:
    """The URI for people: a password that somebody wrote into it is left out."""
    return _SECRETS.sub(lambda m: f"{m[1]}:***@" if m[1] is not None else "***", uri)


def open_uri(uri: str, base: Path) -> Source:
    """Open a table. Nothing but its columns is read before `batches`.

    Args:
        uri: see above.
        base: what relative paths are relative to.

    Raises:
        InputError: the URI cannot be understood, or the table cannot be read. Names file, table and column,
            never a value or a password.
        EngineError: the process that reads a DuckDB file failed.
    """
    found = _SCHEME.match(uri)
    if found is None:
        return _open_path(base / uri)
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise InputError("the table's source is not a URI") from None
    match parts.scheme:
        case "file":
            return _open_path(base / _path(parts))
        case "duckdb":
            from hitoku.engine.database import DatabaseSource

            table, rest = _table(parts)
            if rest:
                raise InputError(f"a DuckDB source has the setting table alone, not {min(rest)}")
            return DatabaseSource(base / _path(parts), table)
        case "postgresql" | "postgres":
            from hitoku.sources.postgres import PostgresSource

            table, rest = _table(parts)
            return PostgresSource(parts, table, rest, base)
    raise InputError(
        f"a table's source is a path, file:, duckdb: or postgresql:, not {found[1]}:; a path that looks like "
        "it begins with ./"
    )


def _open_path(path: Path) -> Source:
    if path.is_dir():
        from hitoku.sources.folder import FolderSource

        return FolderSource(path)
    return open_source(path)


def _path(parts: SplitResult) -> str:
    if parts.netloc not in {"", "localhost"}:
        raise InputError(f"{parts.scheme}: names a file of this machine: {parts.scheme}:///absolute/path")
    path = unquote(parts.path)
    if not path:
        raise InputError(f"{parts.scheme}: names no file")
    return path


def _table(parts: SplitResult) -> tuple[tuple[str, ...], dict[str, str]]:
    """The table's name, and the other settings."""
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise InputError(f"{parts.scheme}: what follows ? must be name=value&name=value") from None
    rest = dict(pairs)
    if len(rest) != len(pairs):
        raise InputError(f"{parts.scheme}: a setting stands twice")
    name = tuple(rest.pop("table", "").split("."))
    if not all(name) or len(name) > 2:
        raise InputError(f"{parts.scheme}: say which table, ?table=NAME or ?table=SCHEMA.NAME")
    return name, rest
