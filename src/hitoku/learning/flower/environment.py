# SPDX-License-Identifier: Apache-2.0
"""What Flower finds when it is loaded: no telemetry, no look for updates, no installing, a folder of its own.

Flower is an extra. Everything here that needs it calls `require_flower` first, which says how to install it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from hitoku.errors import InputError

__all__ = ["flower_variables", "require_flower"]

_SINCE: Final = (1, 41)
_BEFORE: Final = (1, 43)
_INSTALL: Final = 'pip install "hitoku[learning]"'


def flower_variables(folder: Path) -> Mapping[str, str]:
    """The environment variables under which Flower writes only into `folder` and calls nobody."""
    return {
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_HOME": str(folder),
        "FLWR_LOG_LEVEL": "WARNING",
        "FLWR_TELEMETRY_ENABLED": "0",
    }


def require_flower(folder: Path) -> None:
    """Make sure that Flower is there, in a version this code was written for, and set its variables.

    Raises:
        InputError: it is missing, or another version; the message says how to install it.
    """
    if importlib.util.find_spec("flwr") is None:
        raise InputError(f"learning over Flower needs the extra `learning`: {_INSTALL}")
    try:
        found = version("flwr")
        number = tuple(int(part) for part in found.split(".")[:2])
    except (PackageNotFoundError, ValueError):
        raise InputError(f"cannot tell which version of Flower is installed: {_INSTALL}") from None
    if not _SINCE <= number < _BEFORE:
        raise InputError(f"Flower {found} is installed, 1.41 or 1.42 is needed: {_INSTALL}")
    os.environ.update(flower_variables(folder))
