# SPDX-License-Identifier: Apache-2.0
"""One contract for every protection: what it can answer, who learns what, what it costs, the run.

A new protection is a folder beside this file plus one line in `hitoku.protections.registry`; it is
done when it passes `tests/conformance`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.room.agreement import ProtectionName, Room

if TYPE_CHECKING:
    from hitoku.disclosure.cells import Cells
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.ports import Executor, Peers, Progress
    from hitoku.questions.question import Question

__all__ = ["Cost", "Leakage", "Learned", "Protection", "Supported", "TableStats", "Unsupported"]


@dataclass(frozen=True, slots=True)
class Supported:
    """The protection can answer the question in this room."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The protection cannot; `reason` says why in words for the asker, `remedy` what would help."""

    reason: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class TableStats:
    """Public sizes that a cost estimate may use: rows and bytes of each table."""

    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cost:
    """A prediction, from measured figures: wall seconds, bytes over the network."""

    seconds: float | None
    network_bytes: int | None


class Protection(Protocol):
    """How a question is computed."""

    name: ProtectionName

    def supports(self, question: Question, room: Room) -> Supported | Unsupported:
        """Whether this protection can answer the question. Never raises."""
        ...

    def leakage(self, question: Question, room: Room) -> Leakage:
        """What each member learns from a run, the host included."""
        ...

    def estimate(self, question: Question, stats: TableStats) -> Cost:
        """What a run would cost."""
        ...

    def run(
        self,
        question: Question,
        plan: DisclosurePlan,
        peers: Peers,
        executor: Executor,
        progress: Progress,
    ) -> Cells:
        """Compute the cells, at the place where this protection makes them.

        Raises:
            EngineError: the engine failed.
            LimitError: a limit of `hitoku.limits` was reached.
            PeerError: a peer failed or refused.
        """
        ...
