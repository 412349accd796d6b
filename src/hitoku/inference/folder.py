# SPDX-License-Identifier: Apache-2.0
"""The platform's data folder: where what was fetched or measured once is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["data_folder"]


def data_folder() -> Path:
    """Where hitoku keeps data of its own for this user; not made here.

    ``HITOKU_DATA`` wins; else the platform's place for an application's data.
    """
    chosen = os.environ.get("HITOKU_DATA")
    if chosen:
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "hitoku"
