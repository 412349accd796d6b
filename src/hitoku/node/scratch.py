# SPDX-License-Identifier: Apache-2.0
"""Where a check of a table puts a copy of it for a while; what a killed process left there goes.

A folder that is in use is locked (flock(2)), which the system ends with its process, however that ends. So
whoever can lock a folder may remove it: at the next check, and when the node starts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hitoku.errors import InputError

__all__ = ["scratch", "sweep"]

_FOLDER: Final = "checks"


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """A folder of a member's directory that only this user can read, while the context lasts.

    Raises:
        InputError: none can be made, e.g. since the disk is full.
    """
    try:
        with _turn(directory):
            _sweep(directory / _FOLDER)
            place = Path(tempfile.mkdtemp(dir=directory / _FOLDER))
            held = os.open(place, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
    except OSError as error:
        raise InputError(f"no temporary file can be made in {directory}: {error.strerror}") from None
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(held)


def sweep(directory: Path) -> None:
    """Remove what processes that are no more left in a member's directory."""
    if (directory / _FOLDER).is_dir():
        with _turn(directory):
            _sweep(directory / _FOLDER)


@contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """One at a time: a folder is never there without its lock."""
    (directory / _FOLDER).mkdir(mode=0o700, exist_ok=True)
    turn = os.open(directory / _FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turn)


def _sweep(folder: Path) -> None:
    for place in folder.iterdir():
        try:
            held = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # no folder of ours
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place, ignore_errors=True)
        except OSError:
            continue  # in use
        finally:
            os.close(held)
