# SPDX-License-Identifier: Apache-2.0
"""Who learns what, as data: part of every explanation and of every answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Leakage", "Learned"]


@dataclass(frozen=True, slots=True)
class Learned:
    """One thing one member learns beyond the answer.

    Attributes:
        member: who learns it.
        code: stable machine-readable name, e.g. ``EQUALITY_PATTERN``.
        words: one sentence for people.
        assumption: under which assumption it is no more than that; None if unconditional.
    """

    member: str
    code: str
    words: str
    assumption: str | None = None


@dataclass(frozen=True, slots=True)
class Leakage:
    """All that each member learns, the answer included; printed with every answer."""

    learned: tuple[Learned, ...]

    def of(self, member: str) -> tuple[Learned, ...]:
        """What one member learns."""
        return tuple(item for item in self.learned if item.member == member)

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-ready form."""
        return [
            {"member": i.member, "code": i.code, "words": i.words, "assumption": i.assumption}
            for i in self.learned
        ]
