# SPDX-License-Identifier: Apache-2.0
"""Times as pages show them: UTC, to the minute, the same for every reader."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["day_and_time"]


def day_and_time(seconds: float | None) -> str | None:
    """A time in seconds since 1970, as ``2026-11-22 21:48 UTC``."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
