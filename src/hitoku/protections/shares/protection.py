# SPDX-License-Identifier: Apache-2.0
"""The protection `shares`: what it answers, where, what it costs. Runs are in `hitoku.ask.shared`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from hitoku.errors import EngineError, Refusal
from hitoku.protections.base import Cost, Supported, TableStats, Unsupported
from hitoku.protections.shares.leakage import shares_leakage
from hitoku.room.agreement import ProtectionName, Room

if TYPE_CHECKING:
    from hitoku.disclosure.leakage import Leakage
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.ports import Executor, Peers, Progress
    from hitoku.protections.shares.planning import Draft
    from hitoku.questions.question import Question

__all__ = ["Shares"]

_EXAMPLE_ROWS: Final = 1_000_000


class Shares:
    """SQL on secret-shared tables, by three servers none of which sees a value.

    The servers never have the answer: each seals its shares of it for the receivers, who put them together.
    So there are no Cells at any server, and `run` is never called.
    """

    by_owners = False
    long = False
    sealed = False
    shared = True

    def __init__(self) -> None:
        self.name = ProtectionName.SHARES
        self._draft: Draft | None = None

    def supports(self, question: Question, room: Room) -> Supported | Unsupported:
        """What the planner can make a program of, if the room names three servers."""
        if ProtectionName.SHARES not in room.agreement.protections:
            return Unsupported(
                "the room does not accept secret-shared tables",
                "agree on a version that lists `shares` in `protections`",
            )
        if room.agreement.shares is None:
            return Unsupported(
                "the room does not say which three members compute on shares",
                "agree on a version with `shares`",
            )
        from hitoku.protections.shares.planning import draft

        made = draft(question, None, room)
        if isinstance(made, Unsupported):
            return made
        self._draft = made
        return Supported()

    def place(self, question: Question, room: Room) -> str:
        """The first of the three servers, which leads.

        Raises:
            Refusal: the room names none.
        """
        del question
        if room.agreement.shares is None:
            raise Refusal(
                "NO_SERVERS",
                "the room does not say which three members compute on shares",
                rule="shares",
                remedy="agree on a version with `shares`",
            )
        return room.agreement.shares.servers[0]

    def receivers(self, question: Question, room: Room) -> tuple[str, ...]:
        """Nobody but those whom the asker names."""
        del question, room
        return ()

    def leakage(self, question: Question, room: Room) -> Leakage:
        """What each member learns from a run."""
        return shares_leakage(question, room)

    def estimate(self, question: Question, stats: TableStats) -> Cost:
        """From public sizes, those that the room declares among them; the plan says what it assumes."""
        from hitoku.protections.shares.planning.predict import expected

        if self._draft is None or self._draft.question.hash != question.hash:
            return Cost(None, None)
        found = expected(self._draft, stats.rows)
        if found is not None:
            return Cost(found.seconds, found.bytes, found.rounds, tuple(found.text.splitlines()))
        unknown = [t.table for t in self._draft.tables if t.rows is None and t.table not in stats.rows]
        example = expected(self._draft, {**dict.fromkeys(unknown, _EXAMPLE_ROWS), **stats.rows})
        if example is None:
            return Cost(None, None)
        said = f"nobody says how many rows {', '.join(unknown)} have; if they were {_EXAMPLE_ROWS:,}:"
        return Cost(None, None, None, (said, *example.text.splitlines()))

    def feasible(self, question: Question, plan: DisclosurePlan, room: Room) -> None:
        """Refuse what the planner cannot make a program of.

        Raises:
            Refusal: it cannot.
        """
        from hitoku.protections.shares.planning import draft

        made = draft(question, plan, room)
        if isinstance(made, Unsupported):
            raise Refusal("NO_PROTECTION", made.reason, rule="protections", remedy=made.remedy)

    def begin(self, question: Question, peers: Peers) -> None:
        """The servers are begun by the leader's side of a run."""
        del question, peers

    def nothing_left(self) -> bool:
        """It is no long run."""
        return False

    def run(
        self,
        question: Question,
        plan: DisclosurePlan,
        peers: Peers,
        executor: Executor,
        progress: Progress,
    ) -> NoReturn:
        """No server has cells.

        Raises:
            EngineError: always.
        """
        del question, plan, peers, executor, progress
        raise EngineError("servers have shares of cells, no cells; receivers put them together")
