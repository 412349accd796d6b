# SPDX-License-Identifier: Apache-2.0
"""What all sides of a question do alike: each examines it for itself, by the agreement it signed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hitoku.disclosure.budget import budget_of
from hitoku.disclosure.plan import DisclosurePlan
from hitoku.disclosure.plan import plan as make_plan
from hitoku.errors import Refusal
from hitoku.room.agreement import Room
from hitoku.room.canonical import agreement_hash

if TYPE_CHECKING:
    from hitoku.protections.base import Protection
    from hitoku.questions.question import Question
    from hitoku.room.records import Records
    from hitoku.room.runs import Role, Run

__all__ = ["Examined", "Sent", "budget_of", "examine", "plan_of", "remembered", "run_of", "same_room"]


@dataclass(frozen=True, slots=True)
class Sent:
    """What an asker gets that may not receive: the answer went to others."""

    run: str
    question: str
    receivers: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"run": self.run, "question": self.question, "receivers": list(self.receivers), "rows": None}


@dataclass(frozen=True, slots=True)
class Examined:
    """A question that may be asked, under its plan, by the protection that computes it at a member's."""

    question: Question
    plan: DisclosurePlan
    protection: Protection
    place: str


def examine(
    sql: str,
    room: Room,
    asker: str,
    receivers: Iterable[str],
    protection: str | None = None,
    users_noise: int | None = None,
) -> Examined:
    """What every side does for itself: may the asker ask this, under which plan, by which protection?

    Raises:
        Refusal: a rule does not allow it, or no protection that the room accepts can answer it.
    """
    from hitoku import questions
    from hitoku.protections import registry
    from hitoku.protections.base import Unsupported

    question = questions.check(sql, room, asker)
    to = tuple(receivers)
    make_plan(question, room, to, users_noise)  # who may not receive is told before what cannot be computed
    refused: list[Unsupported] = []
    for name in room.agreement.protections:
        if protection is not None and name != protection:
            continue
        candidate = registry.get(name)
        verdict = candidate.supports(question, room)
        if not isinstance(verdict, Unsupported):
            place = candidate.place(question, room)
            plan = plan_of(candidate, question, room, to, users_noise)
            candidate.feasible(question, plan, room)
            return Examined(question, plan, candidate, place)
        refused.append(verdict)
    raise Refusal(
        "NO_PROTECTION",
        "no protection that this room accepts can answer it: "
        + ("; ".join(u.reason for u in refused) or "it does not accept the one asked for"),
        rule="protections",
        remedy=next((u.remedy for u in refused if u.remedy), "agree on another protection"),
    )


def plan_of(
    protection: Protection,
    question: Question,
    room: Room,
    receivers: Iterable[str],
    users_noise: int | None = None,
) -> DisclosurePlan:
    """The plan under which a protection computes a question.

    Raises:
        Refusal: nobody is to receive, or somebody who may not.
    """
    to = {*receivers, *protection.receivers(question, room)}
    return make_plan(
        question, room, to, users_noise, by_owners=protection.by_owners, by_servers=protection.shared
    )


def run_of(
    run: str,
    role: Role,
    asker: str,
    host: str,
    examined: Examined,
    *,
    tables: tuple[str, ...] = (),
    boxes: tuple[tuple[str, str], ...] = (),
    repeats: str | None = None,
) -> Run:
    """The run as this member records it."""
    from hitoku.room.runs import Run

    question, plan = examined.question, examined.plan
    return Run(
        id=run,
        role=role,
        asker=asker,
        host=host,
        question=question.hash,
        sql=question.sql,
        plan=plan.hash,
        protection=str(examined.protection.name),
        receivers=plan.receivers,
        tables=tables,
        charges=plan.charges,
        boxes=boxes,
        repeats=repeats,
    )


def same_room(room: Room, theirs: str, me: str) -> None:
    """Refuse who has another version of the agreement.

    Raises:
        Refusal: the hashes differ.
    """
    if theirs != agreement_hash(room.agreement):
        raise Refusal(
            "ROOM_DIFFERS",
            f"{me!r} has signed another version of this room than the asker uses",
            rule="version",
            owner=me,
            remedy="exchange the room file that all members signed",
        )


@contextmanager
def remembered(records: Records, asker: str, sql: str) -> Iterator[None]:
    """Record a refusal in this member's ledger."""
    try:
        yield
    except Refusal as refusal:
        records.refused(asker, sql, refusal)
        raise
