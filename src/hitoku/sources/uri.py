# SPDX-License-Identifier: Apache-2.0
"""A member's plain table by URI."""

from __future__ import annotations

from pathlib import Path

from hitoku.sources.base import Source
from hitoku.sources.formats import open_source

__all__ = ["open_uri"]


def open_uri(uri: str, base: Path) -> Source:
    """Open a table; a path is relative to `base`."""
    return open_source(base / uri)
