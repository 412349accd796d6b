# SPDX-License-Identifier: Apache-2.0
"""Every protection, one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from hitoku.engine.tables import TableFile
from hitoku.errors import EngineError, Refusal
from hitoku.protections.base import Cost, Leakage, Protection, TableStats, Unsupported
from hitoku.protections.crosstab import Crosstab
from hitoku.protections.enclave import Enclave
from hitoku.protections.shares import Shares
from hitoku.protections.tokens import Tokens
from hitoku.questions.explain import Choice
from hitoku.questions.question import Question
from hitoku.room.agreement import ProtectionName, Room

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.ports import Executor, Peers, Progress

__all__ = ["PROTECTIONS", "Absent", "choices", "get"]

PROTECTIONS: Final[Mapping[ProtectionName, Callable[[Mapping[str, TableFile]], Protection]]] = {
    ProtectionName.TOKENS: Tokens,
    ProtectionName.CROSSTAB: lambda _: Crosstab(),
    ProtectionName.ENCLAVE: lambda _: Enclave(),
    ProtectionName.SHARES: lambda _: Shares(),
}


def get(name: ProtectionName, *, tables: Mapping[str, TableFile] | None = None) -> Protection:
    """A protection by name.

    Args:
        name: one that a room may accept; one that this version lacks supports nothing.
        tables: the files that a host holds; none anywhere else.
    """
    factory = PROTECTIONS.get(name)
    return Absent(name) if factory is None else factory(tables or {})


@dataclass
class Absent:
    """A protection that a room names and this version of hitoku does not have."""

    name: ProtectionName
    by_owners = False
    long = False
    sealed = False
    shared = False

    def place(self, question: Question, room: Room) -> NoReturn:
        """Nowhere.

        Raises:
            Refusal: always.
        """
        del question, room
        raise Refusal("NO_PROTECTION", f"this version of hitoku does not have the protection {self.name}")

    def receivers(self, question: Question, room: Room) -> tuple[str, ...]:
        """Nobody."""
        del question, room
        return ()

    def supports(self, question: Question, room: Room) -> Unsupported:
        """It supports nothing."""
        del question, room
        return Unsupported(
            f"this version of hitoku does not have the protection {self.name}", "install one that has it"
        )

    def leakage(self, question: Question, room: Room) -> Leakage:
        """Nothing runs, so nobody learns anything."""
        del question, room
        return Leakage(())

    def estimate(self, question: Question, stats: TableStats) -> Cost:
        """Not known."""
        del question, stats
        return Cost(None, None)

    def feasible(self, question: Question, plan: DisclosurePlan, room: Room) -> None:
        """Nothing is known beforehand."""
        del question, plan, room

    def begin(self, question: Question, peers: Peers) -> None:
        """Nobody takes part."""
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
        """Refuse to run.

        Raises:
            EngineError: always.
        """
        del question, plan, peers, executor, progress
        raise EngineError(f"this version of hitoku does not have the protection {self.name}")


def choices(question: Question, room: Room, stats: TableStats | None = None) -> tuple[Choice, ...]:
    """What each protection that the room accepts would do with a question."""
    made: list[Choice] = []
    for name in room.agreement.protections:
        protection = get(name)
        verdict = protection.supports(question, room)
        if isinstance(verdict, Unsupported):
            made.append(Choice(name.value, supported=False, reason=verdict.reason, remedy=verdict.remedy))
            continue
        cost = protection.estimate(question, stats or TableStats())
        leakage = protection.leakage(question, room)
        made.append(
            Choice(
                name.value,
                supported=True,
                leakage=leakage,
                seconds=cost.seconds,
                network_bytes=cost.network_bytes,
                rounds=cost.rounds,
                plan=cost.plan,
            )
        )
    return tuple(made)
