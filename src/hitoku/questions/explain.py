# SPDX-License-Identifier: Apache-2.0
"""What would happen to a question, without asking it: verdict, reason, who would learn what, at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from hitoku.disclosure.leakage import Leakage
from hitoku.errors import Refusal
from hitoku.questions.check import check
from hitoku.questions.question import Question
from hitoku.questions.wording import translated
from hitoku.questions.words import protected_by
from hitoku.room.agreement import Room

__all__ = ["Choice", "Explainer", "Explanation", "Verdict", "explain"]


class Verdict(StrEnum):
    """Whether the rules allow a question."""

    ACCEPT = "accept"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Choice:
    """What one protection that the room accepts would do with the question."""

    protection: str
    supported: bool
    reason: str | None = None
    remedy: str | None = None
    leakage: Leakage | None = None
    seconds: float | None = None
    network_bytes: int | None = None
    rounds: int | None = None
    plan: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "protection": self.protection,
            "supported": self.supported,
            "reason": self.reason,
            "remedy": self.remedy,
            "learned": None if self.leakage is None else self.leakage.to_dict(),
            "seconds": self.seconds,
            "network_bytes": self.network_bytes,
            "rounds": self.rounds,
            "plan": list(self.plan),
        }


class Explainer(Protocol):
    """Tells what the protections of a room would do, as `hitoku.protections.registry.choices` does."""

    def __call__(self, question: Question, room: Room) -> Sequence[Choice]:
        """One Choice for each protection that the room accepts."""
        ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on a question and all that can be told before it is asked."""

    verdict: Verdict
    question: Question | None = None
    refusal: Refusal | None = None
    choices: tuple[Choice, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the same for CLI and API; refusals in English and Japanese."""
        return {
            "verdict": self.verdict.value,
            "question": None if self.question is None else _described(self.question),
            "refusal": None if self.refusal is None else _refused(self.refusal),
            "protections": [choice.to_dict() for choice in self.choices],
        }


def explain(sql: str, room: Room, asker: str, choices: Explainer | None = None) -> Explanation:
    """Explain a question without asking it. Never raises a Refusal: that is part of the answer.

    Args:
        sql: what the asker wrote.
        room: the room.
        asker: the member who would ask.
        choices: tells what the room's protections would do; none are told of where None.
    """
    try:
        question = check(sql, room, asker)
    except Refusal as refusal:
        return Explanation(Verdict.REFUSE, refusal=refusal)
    made = () if choices is None else tuple(choices(question, room))
    return Explanation(Verdict.ACCEPT, question, choices=made)


def _described(question: Question) -> dict[str, Any]:
    return {
        "hash": question.hash,
        "sql": question.sql,
        "tables": list(question.tables),
        "owners": list(question.owners),
        "outputs": [
            {
                "name": o.name,
                "kind": o.kind.value,
                "sources": [list(s) for s in o.sources],
                "reveals": [reveal.to_dict() for reveal in reveals],
            }
            for o, reveals in zip(question.outputs, question.reveals, strict=True)
        ],
        "template": question.template,
        "protected_by": protected_by(question),
        "thresholds": [
            {"table": c.table, "column": c.column, "owner": c.owner, "minimum": c.minimum}
            for c in question.constraints
        ],
    }


def _refused(refusal: Refusal) -> dict[str, Any]:
    message, remedy = translated(refusal, "ja")
    return {**refusal.to_dict(), "ja": {"message": message, "remedy": remedy}}
