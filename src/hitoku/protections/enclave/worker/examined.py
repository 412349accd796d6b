# SPDX-License-Identifier: Apache-2.0
"""The worker's own examination of what it is ordered to do: the host's word counts for nothing.

It does what owners and host do (`hitoku.ask.common.examine`), by the agreement whose signatures it verified.
That this is the room which the owners signed, and no other that somebody made up, shows later: evidence is
bound to the agreement's hash, and an owner's broker releases nothing to another. What it cannot check is the
time: it has the host's clock. So a consent that is too old is refused by the worker only if the host's clock
is right; the brokers, who look at their own clocks, release keys of runs that are open with them alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hitoku import questions
from hitoku.disclosure.plan import plan as make_plan
from hitoku.errors import Refusal, RoomError
from hitoku.protections.base import Unsupported
from hitoku.protections.enclave.needs import needed
from hitoku.protections.enclave.protection import Enclave
from hitoku.room.agreement import ProtectionName, Room
from hitoku.room.consent import check_consents
from hitoku.room.sealing import check_sealing_keys
from hitoku.room.signing import verify

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.protections.enclave.terms import Order
    from hitoku.questions.question import Question
    from hitoku.room.agreement import Column

__all__ = ["Task", "examined"]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done, all of it checked.

    Attributes:
        room: the room, in force.
        question: the question.
        plan: how its answer is released.
        protection: this one.
        run: the run's id.
        host: the member at whom it runs.
        columns: by table, the columns that are needed.
        sealing: by receiver, its one-time key.
        began: when the request came.
    """

    room: Room
    question: Question
    plan: DisclosurePlan
    protection: Enclave
    run: str
    host: str
    columns: Mapping[str, tuple[Column, ...]]
    sealing: Mapping[str, bytes]
    began: datetime


def examined(order: Order, now: datetime) -> Task:
    """Check an order.

    Raises:
        RoomError: the room is not in force, or is no room.
        Refusal: the rules do not allow the question, this protection or place is not for it, or a consent or
            a sealing key is missing, forged, or for something else.
    """
    try:
        room = Room.model_validate(order.room)
    except (ValidationError, RecursionError):
        raise RoomError("what the host says is the room is none") from None
    verify(room)
    question = questions.check(order.sql, room, order.asker)
    plan = make_plan(question, room, order.receivers, order.users_noise)
    protection = Enclave()
    verdict = protection.supports(question, room)
    if isinstance(verdict, Unsupported):
        raise Refusal("NO_PROTECTION", verdict.reason, rule="protections", remedy=verdict.remedy)
    if protection.place(question, room) != order.host:
        raise Refusal("HOST_NOT_ALLOWED", f"{order.host!r} is not where this question is computed")
    agreement = room.agreement
    check_consents(
        order.consents,
        agreement,
        now,
        owners=question.owners,
        room=question.room_hash,
        question=question.hash,
        plan=plan.hash,
        protection=ProtectionName.ENCLAVE.value,
        asker=order.asker,
        host=order.host,
        run=order.run,
    )
    sealing = check_sealing_keys(
        order.sealing,
        agreement,
        receivers=plan.receivers,
        room=question.room_hash,
        run=order.run,
        host=order.host,
    )
    began = datetime.fromisoformat(order.began)
    columns = needed(question, plan)
    return Task(room, question, plan, protection, order.run, order.host, columns, sealing, began)
