# SPDX-License-Identifier: Apache-2.0
"""Whether a process is the first to work on something, or another one is alive that does.

Each holds a shared lock of a file, which the system takes away when the process ends, however it does. Who
can have the lock alone for a moment is the first, and may end what an earlier process left.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from hitoku.errors import RoomError

__all__ = ["first"]


def first(holder: object, path: Path) -> bool:
    """Take part in the work that a file stands for, as long as `holder` lives.

    Returns whether nobody else did at that moment.

    Raises:
        RoomError: the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # not on this system: then one process for each member is the operator's care
        return True
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise RoomError(f"{path}: cannot be made ({error.strerror})") from None
    weakref.finalize(holder, os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except OSError:
        alone = False
    fcntl.flock(handle, fcntl.LOCK_SH)
    return alone
