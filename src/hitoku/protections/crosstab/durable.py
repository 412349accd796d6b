# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole, and stay, or are not there: what a run may rely on after a crash."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["PART", "commit", "private_folder", "sync_folder", "whole", "wipe", "write_whole"]

PART: Final = ".part"


def private_folder(path: Path) -> None:
    """Makes a folder that only its owner may enter, durably; one that is there is left as it is."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def commit(path: Path) -> None:
    """Gives the written and synced file ``<path>.part`` its name, durably."""
    path.with_name(path.name + PART).replace(path)
    sync_folder(path.parent)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The path of a part to write; when the block ends, the part is synced and gets the name `path`.

    Where the block raises, nothing stands at `path`. The part has mode 0600 from its first byte.
    """
    part = path.with_name(path.name + PART)
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600))
    yield part
    handle = os.open(part, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    commit(path)


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file in one step and makes it durable; a crash leaves the old or the new one."""
    with whole(path) as part, part.open("r+b") as file:
        file.write(content)


def wipe(path: Path) -> None:
    """Overwrites a file with zeros, syncs and removes it; nothing where there is none.

    What a copying file system or a flash disk keeps elsewhere, this cannot reach.
    """
    try:
        handle = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return
    with os.fdopen(handle, "wb") as file:
        left = os.fstat(file.fileno()).st_size
        zeros = bytes(min(left, 1 << 20))
        while left > 0:
            left -= file.write(zeros[: min(left, len(zeros))])
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    sync_folder(path.parent)
