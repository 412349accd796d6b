# SPDX-License-Identifier: Apache-2.0
"""A table or view of a PostgreSQL database as Arrow batches, streamed by ADBC. Needs the extra `postgres`.

One SELECT in a read-only transaction, so all rows are of one moment. The password comes from PGPASSWORD, a
password file or ``~/.pgpass``, as libpq knows them; one in the URI is refused. The server's own error texts
quote values and connection settings, so none is shown: the SQLSTATE is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, unquote

import pyarrow as pa

from hitoku import limits
from hitoku.errors import InputError
from hitoku.sources.base import Batch
from hitoku.sources.parquet import flat, flat_schema

__all__ = ["PostgresSource"]

_FILES: Final = frozenset({"passfile", "sslrootcert", "sslcert", "sslkey"})
_PARAMETERS: Final = _FILES | {"host", "port", "user", "sslmode", "connect_timeout"}
_WORDS: Final = {
    "28": "the server refuses the login: check the user, PGPASSWORD or the password file",
    "3D": "there is no such database",
    "42501": "the user may not read it",
    "42P01": "there is no such table",
    "42703": "a column is missing",
    "3F": "there is no such schema",
}
_OPTIONS: Final = "-c default_transaction_read_only=on -c TimeZone=UTC"


class PostgresSource:
    """One table or view.

    Args:
        uri: ``postgresql://[user@]host[:port]/database``, split.
        table: the table's name, with its schema before it where it has one.
        parameters: further settings of the connection: host, port, user, sslmode, sslrootcert, sslcert,
            sslkey, passfile, connect_timeout.
        base: what the paths of files among them are relative to.

    Raises:
        InputError: there is a password in the URI, a setting is unknown, the extra is missing, or the table
            cannot be read.
    """

    def __init__(
        self, uri: SplitResult, table: tuple[str, ...], parameters: Mapping[str, str], base: Path
    ) -> None:
        self._table = table
        if uri.password is not None or "password" in parameters:
            raise InputError(
                f"{self.name}: a password has no place in a URI; use PGPASSWORD or a password file"
            )
        unknown = sorted(parameters.keys() - _PARAMETERS)
        if unknown:
            raise InputError(f"{self.name}: the setting {unknown[0]} is not known")
        try:
            port = uri.port
        except ValueError:
            raise InputError(f"{self.name}: the port must be a number from 0 to 65535") from None
        settings: dict[str, str | None] = {
            "host": uri.hostname and unquote(uri.hostname),
            "port": None if port is None else str(port),
            "user": uri.username and unquote(uri.username),
            "dbname": unquote(uri.path.removeprefix("/")),
            **{k: str(base / v) if k in _FILES else v for k, v in parameters.items()},
            "application_name": "hitoku",
            "options": _OPTIONS,
        }
        self._settings = " ".join(f"{k}={_quoted(v)}" for k, v in settings.items() if v)
        with self._cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self._from()} LIMIT 0")  # noqa: S608 (quoted names)
            stored = cursor.fetch_record_batch().schema
        # Types that Arrow has no own type for, numeric above all, come as text.
        self._as_text = [isinstance(kind, pa.BaseExtensionType) for kind in stored.types]
        plain = [
            pa.field(field.name, pa.string() if as_text else field.type)
            for field, as_text in zip(stored, self._as_text, strict=True)
        ]
        self._schema = flat_schema(pa.schema(plain), self.name)

    @property
    def name(self) -> str:
        """The table's name, without where the server is."""
        return f"PostgreSQL table {'.'.join(self._table)}"

    @property
    def schema(self) -> pa.Schema:
        """The columns; numeric ones are text."""
        return self._schema

    @property
    def estimated_bytes(self) -> int:
        """Not known; one buffer's worth."""
        return limits.SHUFFLE_MEMORY_BYTES

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """The chosen columns, as the server sends them."""
        wanted = pa.schema([self._schema.field(place) for place in columns])
        texts = [
            f"{_name(self._schema.field(place).name)}{'::text' if self._as_text[place] else ''}"
            for place in columns
        ]
        with self._cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(texts)} FROM {self._from()}")  # noqa: S608 (quoted names)
            for large in cursor.fetch_record_batch():
                for start in range(0, large.num_rows, limits.BATCH_ROWS):
                    yield partial(flat, large.slice(start, limits.BATCH_ROWS), wanted, self.name)

    def _from(self) -> str:
        return ".".join(map(_name, self._table))

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        try:
            from adbc_driver_postgresql import dbapi
        except ImportError:
            raise InputError(
                f"{self.name}: reading PostgreSQL needs the extra `postgres`: pip install 'hitoku[postgres]'"
            ) from None
        try:
            with dbapi.connect(self._settings) as connection, connection.cursor() as cursor:
                yield cursor
        # A failure amid the rows is an OSError with the server's words in it.
        except (dbapi.Error, pa.ArrowException, OSError) as error:
            raise InputError(f"{self.name}: {_explained(error)}") from None


def _explained(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    if not isinstance(state, str) or not state.isalnum():
        return "the server cannot be reached, refuses the login, or failed amid the rows; psql tells more"
    words = _WORDS.get(state) or _WORDS.get(state[:2])
    return f"{words} (SQLSTATE {state})" if words else f"the server refuses (SQLSTATE {state[:5]})"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
