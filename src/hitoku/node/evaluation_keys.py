# SPDX-License-Identifier: Apache-2.0
"""Askers' evaluation keys at a model's owner: public, large, and worth keeping between requests."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from hitoku import limits
from hitoku.node.bulk import named
from hitoku.room.files import write_whole

__all__ = ["KeyFiles"]


class KeyFiles:
    """Askers' evaluation keys, by hash, so that they come once. No secret: they only allow to compute.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def find(self, asker: str, digest: str) -> bytes | None:
        """The keys of that hash which this asker sent before; None where they are not here."""
        path = self._path(asker, digest)
        with self._lock:
            if not path.is_file():
                return None
            content = path.read_bytes()
            if named(content) != digest:
                path.unlink(missing_ok=True)
                return None
            os.utime(path)
        return content

    def keep(self, asker: str, digest: str, content: bytes) -> None:
        """Keep keys; the asker's that were used longest ago go."""
        path = self._path(asker, digest)
        with self._lock:
            path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            write_whole(path, content)
            kept = sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime, reverse=True)
            for file in kept[limits.MAX_KEPT_EVALUATION_KEYS :]:
                file.unlink(missing_ok=True)

    def _path(self, asker: str, digest: str) -> Path:
        return self._folder / asker / digest.removeprefix("sha256:")
