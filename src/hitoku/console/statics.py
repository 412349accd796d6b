# SPDX-License-Identifier: Apache-2.0
"""The console's own files: kept in memory with a strong ETag, compressed once, cached for good by content.

Pages name a file by `address`, which has a piece of its hash in the query: such an answer never changes, and
browsers need not ask again. Without the hash they ask each time, and mostly hear that nothing changed.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

__all__ = ["FOLDER", "Statics", "address"]

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".LICENSE": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class _File:
    stamp: tuple[int, int]
    content: bytes
    packed: bytes | None
    hash: str
    type: str


_KNOWN: dict[str, _File] = {}


def _file(name: str) -> _File | None:
    """A file by its name below `static/`; read anew where it changed on disk."""
    known = _KNOWN.get(name)
    path = FOLDER / name
    kind = _TYPES.get(path.suffix)
    if kind is None or ".." in name.split("/") or "\\" in name or "\x00" in name:
        return None
    try:
        found = path.stat()
        stamp = (found.st_mtime_ns, found.st_size)
        if known is not None and known.stamp == stamp:
            return known
        if not path.is_file() or not path.resolve().is_relative_to(FOLDER.resolve()):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    packed = gzip.compress(content, 9, mtime=0)
    made = _File(
        stamp,
        content,
        packed if len(packed) < len(content) * 0.9 else None,
        hashlib.sha256(content).hexdigest()[:20],
        kind,
    )
    _KNOWN[name] = made
    return made


def address(name: str) -> str:
    """The address of a static file, with a piece of its hash.

    Raises:
        LookupError: there is no such file.
    """
    found = _file(name)
    if found is None:
        raise LookupError(f"no static file {name!r}")
    return f"/static/{name}?v={found.hash}"


class Statics:
    """The application that answers ``/static/...``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        name = request.url.path.removeprefix("/static/")
        found = _file(name) if request.method in {"GET", "HEAD"} else None
        if found is None:
            await Response(status_code=404)(scope, receive, send)
            return
        named = request.query_params.get("v") == found.hash
        packed = found.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
        tag = f'"{found.hash}{"-gz" if packed else ""}"'
        headers = {
            "ETag": tag,
            "Cache-Control": "public, max-age=31536000, immutable" if named else "no-cache",
            "Vary": "Accept-Encoding",
        }
        if tag in [given.strip() for given in request.headers.get("if-none-match", "").split(",")]:
            await Response(status_code=304, headers=headers)(scope, receive, send)
            return
        if packed:
            headers["Content-Encoding"] = "gzip"
        body = found.packed if packed and found.packed is not None else found.content
        await Response(body, headers=headers, media_type=found.type)(scope, receive, send)
