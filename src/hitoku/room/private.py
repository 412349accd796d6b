# SPDX-License-Identifier: Apache-2.0
"""Files that only their owner may read: made so from the first byte, refused where others can read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hitoku.errors import SecretError

__all__ = ["read_private", "sync_folder", "write_private"]

_MAX_BYTES = 65_536


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: a file that is synced can still lose its name with the power.

    Raises:
        OSError: they cannot be.
    """
    if os.name != "posix":  # a folder cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_private(path: Path, content: bytes, what: str) -> None:
    """Write a new file with mode 0600 and make it durable.

    Raises:
        SecretError: there is something at `path` already, or it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise SecretError(f"{path}: {what} is there already; it is never overwritten") from error
    except OSError as error:
        raise SecretError(f"{path}: {what} cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise SecretError(f"{path}: {what} cannot be written ({error.strerror})") from error


def read_private(path: Path, what: str) -> bytes:
    """Read a file that must belong to this user and be closed to all others.

    Raises:
        SecretError: missing, not a plain file, another user's, readable by others, or too large.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError as error:
        raise SecretError(f"{path}: there is no {what.removeprefix('the ')} here") from error
    except OSError as error:
        raise SecretError(f"{path}: {what} cannot be read ({error.strerror})") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(f"{path}: {what} must be a plain file")
        if hasattr(os, "geteuid") and status.st_uid not in {os.geteuid(), 0}:
            raise SecretError(f"{path}: {what} belongs to another user")
        if os.name == "posix" and status.st_mode & 0o077:
            raise SecretError(f"{path}: others can read or change {what}; run `chmod 600 {path}`")
        if status.st_size > _MAX_BYTES:
            raise SecretError(f"{path}: {what} is too large to be one")
        return os.read(handle, _MAX_BYTES)
    finally:
        os.close(handle)
