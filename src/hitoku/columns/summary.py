# SPDX-License-Identifier: Apache-2.0
"""What `encrypt` and `decrypt` tell about a finished run: counts, never values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """A finished run.

    Attributes:
        action: `encrypt` or `decrypt`.
        source: what was read.
        target: what was written; None after a dry run.
        rows: rows read, and written unless it was a dry run.
        columns: output columns of each kind, or opened columns.
        seconds: how long it took.
        dry_run: whether everything was done but the writing.
        warnings: what the user should know.
    """

    action: str
    source: str
    target: str | None
    rows: int
    columns: dict[str, int]
    seconds: float
    dry_run: bool = False
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; what `--json` prints."""
        data = asdict(self)
        data["seconds"] = round(self.seconds, 3)
        data["warnings"] = list(self.warnings)
        return data
