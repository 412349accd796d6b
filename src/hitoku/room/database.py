# SPDX-License-Identifier: Apache-2.0
"""Where a member's state is: an SQLite file in its directory, or a PostgreSQL server by URL.

``member.toml`` says it, since every command needs it::

    [database]
    url = "postgresql+psycopg://hitoku@db.example:5432/hitoku"
    password_file = "database.password"     # relative to the member's directory, mode 0600

A password never stands in the URL: settings are shown, copied and backed up. It comes from the file, or, as
PostgreSQL's own programs take it, from PGPASSWORD or PGPASSFILE. It is read anew for every connection, so a
new password is taken up without a restart, and it is in no object that could be printed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from hitoku.errors import InputError
from hitoku.room.private import read_private

__all__ = ["STATE_FILE", "DatabaseSettings", "checked_url"]

STATE_FILE: Final = "state.db"
"""The SQLite file in a member's directory."""

_SCHEMES: Final = frozenset({"postgresql", "postgresql+psycopg"})
_PARAMETERS: Final = frozenset(
    {
        "application_name", "connect_timeout", "host", "keepalives", "keepalives_idle", "options", "port",
        "sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert", "target_session_attrs",
    }
)  # fmt: skip
_EXAMPLE: Final = "postgresql+psycopg://USER@HOST:5432/DATABASE"


def checked_url(url: str, where: str = "--database") -> str:
    """A URL of a PostgreSQL database, with the driver that hitoku uses.

    Args:
        url: ``postgresql://...`` or ``postgresql+psycopg://...``, without a password.
        where: what it was given as, for the message. The URL itself is never quoted.

    Raises:
        InputError: it is none, or has a password or a setting in it that does not belong there.
    """
    try:
        parts = urlsplit(url)
        password, port = parts.password, parts.port
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise InputError(f"{where}: not a URL; it is written {_EXAMPLE}") from None
    names = {name for name, _ in given}
    if password is not None or names & {"password", "passfile", "sslpassword"}:
        raise InputError(
            f"{where}: a password must not stand in the URL, which is shown and copied: put it into a file "
            "that only you can read and name it as `password_file`, or set PGPASSWORD or PGPASSFILE"
        )
    if parts.scheme not in _SCHEMES:
        raise InputError(f"{where}: only PostgreSQL is known besides SQLite; it is written {_EXAMPLE}")
    if parts.fragment or not re.fullmatch(r"/[^/?#]+", parts.path) or (port is not None and not port):
        raise InputError(f"{where}: names no database; it is written {_EXAMPLE}")
    strange = sorted(names - _PARAMETERS)
    if strange:
        raise InputError(
            f"{where}: has a setting that is not known; known are {', '.join(sorted(_PARAMETERS))}"
        )
    rest = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return f"postgresql+psycopg://{parts.netloc}{rest}"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """The section ``[database]`` of member.toml.

    Attributes:
        url: of PostgreSQL, checked, without a password.
        password_file: where the password is; None where PostgreSQL's own variables say it.
    """

    url: str
    password_file: Path | None = None

    @classmethod
    def read(cls, data: Mapping[str, Any], directory: Path, where: str) -> DatabaseSettings | None:
        """The settings of a parsed member.toml; None where it has none, and the state is in SQLite.

        Raises:
            InputError: they cannot be used.
        """
        part = data.get("database")
        if part is None:
            return None
        if not isinstance(part, dict) or not set(part) <= {"url", "password_file"}:
            raise InputError(f"{where}: [database] has `url` and `password_file`, and nothing else")
        url, file = part.get("url"), part.get("password_file")
        if not isinstance(url, str) or not (file is None or isinstance(file, str)):
            raise InputError(f"{where}: [database] needs `url`, a text; `password_file` is a text, too")
        return cls(checked_url(url, f"{where}: database.url"), None if file is None else directory / file)

    def lines(self, directory: Path) -> list[str]:
        """As TOML."""
        made = ["", "[database]", f"url = {json.dumps(self.url)}"]
        if self.password_file is not None:
            file = self.password_file
            inside = file.relative_to(directory) if file.is_relative_to(directory) else file.resolve()
            made.append(f"password_file = {json.dumps(str(inside))}")
        return made

    def password(self) -> str | None:
        """The password; None where PostgreSQL's own variables say it.

        Raises:
            SecretError: the file is missing, or others can read it.
        """
        if self.password_file is None:
            return None
        content = read_private(self.password_file, "the database's password")
        return content.decode("utf-8", errors="replace").rstrip("\r\n")
