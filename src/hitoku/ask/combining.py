# SPDX-License-Identifier: Apache-2.0
"""A receiver puts an answer together from three servers' parts, and releases it: only it ever has the cells.

The leader that brings the parts can neither read nor change them (`hitoku.room.parts`). Shares that two
servers both hold must be equal in their parts. What follows from released columns alone is computed here, as
every receiver does; salt and time come from the three servers, so all receivers have one and the same Answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hitoku.ask.common import Examined, budget_of, examine, same_room
from hitoku.ask.receiver import OneTimeKeys
from hitoku.disclosure.cells import Cells
from hitoku.errors import PeerError, Refusal
from hitoku.ports import Clock
from hitoku.room.agreement import Room
from hitoku.room.parts import SharedAnswer, check_parts, open_part
from hitoku.transport import messages, shares

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from hitoku.disclosure.answer import Answer

__all__ = ["SharesReceiver", "combined"]


def combined(
    shared: SharedAnswer,
    key: X25519PrivateKey,
    room: Room,
    examined: Examined,
    *,
    me: str,
    run: str,
    clock: Clock,
) -> Answer:
    """The answer in three parts.

    Args:
        shared: the parts, as they came.
        key: this receiver's one-time key of the run.
        room: the room, verified.
        examined: the question, as this receiver examined it.
        me: this receiver.
        run: the run.
        clock: the time.

    Raises:
        PeerError: a part is missing, forged, of something else, or the parts do not agree.
        DisclosureError: what they hold cannot be released.
    """
    from hitoku.disclosure.release import release
    from hitoku.protections.base import Unsupported
    from hitoku.protections.shares.output.combine import combine
    from hitoku.protections.shares.planning import draft
    from hitoku.protections.shares.planning.finish import finish

    question, plan = examined.question, examined.plan
    terms = check_parts(
        shared.parts,
        room.agreement,
        receiver=me,
        room=question.room_hash,
        run=run,
        question=question.hash,
        plan=plan.hash,
    )
    if set(shared.hashes) != set(plan.receivers) or shared.hashes[me] != [p.hash for p in shared.parts]:
        raise PeerError("the parts do not have the hashes by which they are named")
    sketch = draft(question, plan, room)
    if isinstance(sketch, Unsupported):
        raise PeerError("the parts are of a question that cannot be computed so")
    servers = () if room.agreement.shares is None else room.agreement.shares.servers
    found = combine([open_part(part, key) for part in shared.parts], servers, terms)
    table = finish(question, plan, sketch, found.branches)
    released = release(
        Cells(question.hash, table, frozenset({"threshold" if plan.noise is None else "noise"})),
        plan,
        question,
        leakage=examined.protection.leakage(question, room),
        protection=str(examined.protection.name),
        run=run,
        clock=clock,
    )
    return replace(
        released,
        salt=found.salt,
        released_at=terms.released_at,
        budget=budget_of(plan, room.agreement),
    )


class SharesReceiver:
    """A receiver's side of answers in three parts to others' questions.

    Args:
        me: the receiver.
        room: the room, verified.
        one_time: its keys for sealed answers.
        keep: keeps an answer.
        kept: whether the answer of a run is kept already.
        clock: the time.
    """

    def __init__(
        self,
        me: str,
        room: Room,
        one_time: OneTimeKeys,
        keep: Callable[[Answer], None],
        kept: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._me, self._room, self._one_time = me, room, one_time
        self._keep, self._kept, self._clock = keep, kept, clock

    def deliver(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a DeliverShares.

        Raises:
            Refusal: nothing is awaited from that sender for that run, or the question is not allowed.
            PeerError: the parts are not those of this run's answer.
        """
        request = messages.read(shares.DeliverShares, message, sender)
        same_room(self._room, request.room, self._me)
        key = self._one_time.find(request.run, sender)
        if key is not None:
            examined = examine(
                request.sql,
                self._room,
                request.asker,
                request.receivers,
                request.protection,
                request.users_noise,
            )
            if not examined.protection.shared or examined.place != sender:
                raise Refusal("DELIVERY_REFUSED", f"{self._me!r} does not take this answer from {sender!r}")
            answer = combined(
                request.shared,
                key,
                self._room,
                examined,
                me=self._me,
                run=request.run,
                clock=self._clock,
            )
            self._keep(answer)
            self._one_time.forget(request.run)
        elif not self._kept(request.run):
            raise Refusal("DELIVERY_REFUSED", f"{self._me!r} does not take this answer from {sender!r}")
        return messages.Delivered(run=request.run).model_dump(mode="json")
