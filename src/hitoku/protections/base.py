# SPDX-License-Identifier: Apache-2.0
"""One contract for every protection: what it can answer, who learns what, what it costs, the run.

A new protection is a folder beside this file plus one line in `hitoku.protections.registry`; it is
done when it passes `tests/conformance`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.errors import Refusal
from hitoku.room.agreement import Ability, ProtectionName, Room

if TYPE_CHECKING:
    from hitoku.disclosure.cells import Cells
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.ports import Executor, Peers, Progress
    from hitoku.questions.question import Question

__all__ = [
    "Cost",
    "Leakage",
    "Learned",
    "Protection",
    "Supported",
    "TableStats",
    "Unsupported",
    "host_of",
]


def host_of(room: Room) -> str:
    """The member that runs questions on encrypted tables.

    Raises:
        Refusal: there is none.
    """
    hosts = room.agreement.able(Ability.HOST)
    if not hosts:
        raise Refusal(
            "NO_HOST",
            "the room has no host to run questions on",
            rule="members",
            remedy="agree on a member with the ability `host`",
        )
    return hosts[0].name


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
    """A prediction, from measured figures.

    Attributes:
        seconds: wall seconds; None where it is not known.
        network_bytes: over the network; None where it is not known.
        rounds: messages that wait for one another; None where that does not matter.
        plan: how it is computed, what each step costs and what it rests on, in lines for people.
    """

    seconds: float | None
    network_bytes: int | None
    rounds: int | None = None
    plan: tuple[str, ...] = ()


class Protection(Protocol):
    """How a question is computed.

    Attributes:
        name: its name.
        by_owners: two owners add the noise while they compute; the room's figures are never exact anywhere.
        long: a run is a job: it outlives the request that asked for it, and the process.
        sealed: the answer is released and sealed for its receivers where the cells are, and `run` is never
            called; who runs it never has an answer, and keeps none.
        shared: three servers compute on shares, and receivers put the answer together and release it; `run`
            is never called, and no server keeps an answer. The servers add noise, which none of them knows.
    """

    name: ProtectionName
    by_owners: bool
    long: bool
    sealed: bool
    shared: bool

    def supports(self, question: Question, room: Room) -> Supported | Unsupported:
        """Whether this protection can answer the question. Never raises."""
        ...

    def place(self, question: Question, room: Room) -> str:
        """The member at which a run is asked for, and which releases the answer.

        Raises:
            Refusal: the room has none.
        """
        ...

    def receivers(self, question: Question, room: Room) -> tuple[str, ...]:
        """Who receives the answer whatever the asker says, since it learns the answer while it computes."""
        ...

    def leakage(self, question: Question, room: Room) -> Leakage:
        """What each member learns from a run, the host included."""
        ...

    def estimate(self, question: Question, stats: TableStats) -> Cost:
        """What a run would cost."""
        ...

    def feasible(self, question: Question, plan: DisclosurePlan, room: Room) -> None:
        """Refuse, before anything is charged, what could not be computed under that plan on any data.

        Raises:
            Refusal: it could not.
        """
        ...

    def begin(self, question: Question, peers: Peers) -> None:
        """Of a long run: have the others begin their parts. May be said twice.

        Raises:
            PeerError: one cannot be reached or failed.
            Refusal: one refused.
        """
        ...

    def nothing_left(self) -> bool:
        """Of a long run: whether nothing that tells of data has left this member yet."""
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
