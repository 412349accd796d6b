# SPDX-License-Identifier: Apache-2.0
"""Which sources of tables the console may open: files in allowed folders, databases named in node.toml.

A user of the console is no operator of the machine: what it names is resolved, symbolic links and all, before
anything is opened, and must then lie in one of the folders of ``[console] sources``. What is not there and
what is not allowed are answered alike, so that nobody can find out by asking which files the machine has.

Who can write into those folders by other ways than the console (the machine's operator) is trusted: a link
that is put there between the check and the opening is not noticed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from hitoku import limits
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.node.settings import NodeSettings

__all__ = ["NOT_THERE", "Found", "Places", "places"]

_DEFAULT: Final = ("tables", "data")
_FILES: Final = frozenset({".csv", ".parquet", ".pq"})
_DATABASES: Final = frozenset({".duckdb", ".db"})
_SERVERS: Final = ("postgresql://", "postgres://")
NOT_THERE: Final = (
    "there is no such table in the folders that this console may read: `sources` under [console] in "
    "node.toml names them"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A source that may be registered.

    Attributes:
        source: what node.toml would say: a path, relative to the member's directory where it lies in it.
        kind: ``csv``, ``parquet``, ``folder`` or ``duckdb`` (whose table is still to be named).
        bytes: its size; of a folder None.
    """

    source: str
    kind: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Places:
    """The allowed places of one member.

    Attributes:
        base: the member's directory.
        roots: the allowed folders, resolved; those that are not there are left out.
        servers: the allowed databases, by what node.toml says.
    """

    base: Path
    roots: tuple[Path, ...]
    servers: tuple[str, ...]

    def allowed(self, source: str) -> str:
        """The source as node.toml should have it.

        Raises:
            InputError: it is not there or not allowed, which look alike; or it cannot be understood.
        """
        if not source or len(source) > 4_096 or not source.isprintable():
            raise InputError("a source is a path or URI of at most 4,096 printable characters")
        if source.startswith(_SERVERS):
            return self._server(source)
        if source.startswith("duckdb:"):
            path, table = self._split(source)
            return f"duckdb:{quote(self._path(path, _DATABASES), safe='/')}?{urlencode({'table': table})}"
        if source.startswith("file:"):
            parts = urlsplit(source)
            if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
                raise InputError(NOT_THERE)
            source = unquote(parts.path)
        return self._path(source, _FILES)

    def found(self) -> tuple[Found, ...]:
        """What lies in the allowed folders, sorted; bounded."""
        made: list[Found] = []
        for root in self.roots:
            for path in self._walk(root):
                if len(made) >= limits.MAX_LISTED_SOURCES:
                    return tuple(made)
                kind = _kind(path)
                if kind is not None and self._inside(path):
                    size = path.stat().st_size if path.is_file() else None
                    made.append(Found(self._named(path.resolve()), kind, size))
        return tuple(made)

    def _walk(self, root: Path) -> Iterator[Path]:
        """A folder's own files, and its folders, which can be one table each."""
        try:
            entries = sorted(root.iterdir())
        except OSError:
            return
        for entry in entries:
            if not entry.name.startswith((".", "_")) and entry.name.isprintable():
                yield entry

    def _server(self, source: str) -> str:
        head, _, query = source.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        for server in self.servers:
            own, _, settings = server.partition("?")
            if head == own and [name for name, _ in pairs] == ["table"]:
                # Settings of the connection are node.toml's alone: `host` in a URI leads elsewhere.
                return f"{own}?{'&'.join(p for p in (settings, urlencode(pairs)) if p)}"
        raise InputError(
            "a database is named in `sources` under [console] in node.toml; here only ?table=NAME follows it"
        )

    def _split(self, source: str) -> tuple[str, str]:
        parts = urlsplit(source)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        if parts.netloc or [name for name, _ in pairs] != ["table"] or not pairs[0][1]:
            raise InputError("a DuckDB source is duckdb:PATH?table=NAME")
        return unquote(parts.path), pairs[0][1]

    def _path(self, given: str, suffixes: frozenset[str]) -> str:
        try:
            path = (self.base / given).resolve(strict=True)
            mode = path.stat().st_mode
        except (OSError, ValueError, RuntimeError):
            raise InputError(NOT_THERE) from None
        if not self._under(path):
            raise InputError(NOT_THERE)
        if stat.S_ISDIR(mode) and suffixes is _FILES:
            if path in self.roots or not self._whole(path):
                raise InputError(NOT_THERE)
        elif not stat.S_ISREG(mode):
            raise InputError(NOT_THERE)
        elif path.suffix.lower() not in suffixes:
            raise InputError(f"a table's file ends in {', '.join(sorted(suffixes))}")
        return self._named(path)

    def _whole(self, folder: Path) -> bool:
        """Whether no file below a folder leads out of the allowed places."""
        for count, (at, folders, files) in enumerate(os.walk(folder)):
            if count > limits.MAX_FOLDER_FILES or len(files) > limits.MAX_FOLDER_FILES:
                return False
            if not all(self._inside(Path(at, name)) for name in (*folders, *files)):
                return False
        return True

    def _inside(self, path: Path) -> bool:
        try:
            return self._under(path.resolve(strict=True))
        except (OSError, RuntimeError):
            return False

    def _under(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self.roots)

    def _named(self, path: Path) -> str:
        base = self.base.resolve()
        name = str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
        # `x:y.csv` would be read as a URI.
        return f"./{name}" if ":" in name.split("/", 1)[0] else name


def places(base: Path, settings: NodeSettings) -> Places:
    """The places that node.toml allows; the member's `tables/` and `data/` where it says nothing.

    Args:
        base: the member's directory.
        settings: node.toml.
    """
    console = settings.console
    named = _DEFAULT if console is None else console.sources
    roots = []
    for name in named:
        if name.startswith(_SERVERS):
            continue
        try:
            root = (base / name).resolve(strict=True)
        except (OSError, RuntimeError):
            continue
        if root.is_dir():
            roots.append(root)
    return Places(base, tuple(roots), tuple(name for name in named if name.startswith(_SERVERS)))


def _kind(path: Path) -> str | None:
    try:
        if path.is_dir():
            return "folder" if any(p.suffix.lower() in {".parquet", ".pq"} for p in path.iterdir()) else None
        if not path.is_file():
            return None
    except OSError:
        return None
    suffix = path.suffix.lower()
    if suffix in _DATABASES:
        return "duckdb"
    return {".csv": "csv"}.get(suffix, "parquet" if suffix in _FILES else None)
