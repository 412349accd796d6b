# SPDX-License-Identifier: Apache-2.0
"""What the planner raises inside where a question cannot be computed on shares; callers get `Unsupported`."""

from __future__ import annotations

__all__ = ["Cannot"]


class Cannot(Exception):
    """A reason in words for the asker, and what would help. It depends on public things only.

    Attributes:
        reason: why.
        remedy: what would help; None where nothing would.
    """

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
