# SPDX-License-Identifier: Apache-2.0
"""An owner's side: checks a question itself, charges its own accounts, and consents; or refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hitoku.ask.common import examine, remembered, run_of, same_room
from hitoku.errors import Refusal
from hitoku.ports import Clock, KeyStore, Peers
from hitoku.room.accounting import Charge, epsilon_of
from hitoku.room.agreement import Room
from hitoku.room.consent import give_consent
from hitoku.room.records import Records
from hitoku.room.runs import Role
from hitoku.transport import messages
from hitoku.transport.heads import exchange_heads
from hitoku.transport.restoring import check_restored

if TYPE_CHECKING:
    from hitoku.questions.question import Question
    from hitoku.room.budgets import Judge

__all__ = ["Owner"]


class Owner:
    """An owner's side of a room.

    Args:
        room: the room, verified.
        peers: the way to the others.
        records: what the owner remembers.
        keys: what it signs with.
        clock: the time.
        ready: refuses where this node itself would compute on these tables and does not have them.
    """

    def __init__(
        self,
        room: Room,
        peers: Peers,
        records: Records,
        keys: KeyStore,
        clock: Clock,
        ready: Callable[[tuple[str, ...]], None] = lambda _: None,
    ) -> None:
        self._me, self._ready = peers.me, ready
        self._room, self._peers, self._records, self._keys, self._clock = room, peers, records, keys, clock

    def consent(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a ConsentRequest.

        Raises:
            Refusal: this owner's copy of the rules does not allow it, its tables are not in it, or its
                accounts do not admit it.
            PeerError: the message is malformed.
            SecretError: the key cannot be read.
        """
        request = messages.read(messages.ConsentRequest, message, sender)
        with remembered(self._records, sender, request.sql):
            return self._consent(sender, request)

    def settle(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a Settle: the host's word on how a run ended.

        Raises:
            Refusal: this owner consented to no such run on that host.
            PeerError: the message is malformed.
        """
        request = messages.read(messages.Settle, message, sender)
        if self._records.host_of(request.run) != sender:
            raise Refusal("NO_SUCH_RUN", f"{self._me!r} consented to no such run on {sender!r}")
        if request.outcome == "aborted":
            self._records.abort(request.run, Role.OWNER, "cancelled before it began")
        elif request.outcome == "failed":
            self._records.fail(request.run, Role.OWNER, "the run failed")
        else:
            facts = {"question": request.question, "answer": request.answer}
            self._records.commit(request.run, Role.OWNER, facts)
        return messages.Settled(run=request.run).model_dump(mode="json")

    def preview(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a PreviewRequest: what the question would cost here, and what is left. Changes nothing.

        Raises:
            Refusal: this owner's copy of the rules does not allow it, or its tables are not in it.
            PeerError: the message is malformed.
        """
        from hitoku.transport import preview as wire

        request = messages.read(wire.PreviewRequest, message, sender)
        same_room(self._room, request.room, self._me)
        examined = examine(
            request.sql, self._room, sender, request.receivers, request.protection, request.users_noise
        )
        self._own(examined.question.owners)
        charges = {c.unit: c for c in examined.plan.charges if c.owner == self._me}
        agreement = self._room.agreement
        accounts = []
        for account in self._records.accounts(agreement) if charges else ():
            left, unit = account.left, account.budget.unit
            if unit not in charges:
                continue
            charge: Charge = charges[unit]
            accounts.append(
                wire.Previewed(
                    unit=unit,
                    period=account.period,
                    cost=format(epsilon_of(charge.rho, left.caps.delta), "f"),
                    spent=format(left.epsilon_spent, "f"),
                    epsilon=str(account.budget.epsilon),
                    questions=left.questions(charge),
                )
            )
        windows = [
            wire.WindowLeft(table=w.table, window=str(w.type), left=w.left)
            for w in self._records.windows(agreement, examined.question.tables)
        ]
        return wire.PreviewGiven(accounts=accounts, windows=windows).model_dump(mode="json")

    def _consent(self, sender: str, request: messages.ConsentRequest) -> dict[str, Any]:
        same_room(self._room, request.room, self._me)
        examined = examine(
            request.sql, self._room, sender, request.receivers, request.protection, request.users_noise
        )
        question = examined.question
        agreement = self._room.agreement
        if request.host != examined.place:
            raise Refusal(
                "HOST_NOT_ALLOWED",
                f"{request.host!r} may not run this question",
                rule=f"members.{request.host}.abilities",
                owner=self._me,
                remedy=f"run it on {examined.place!r}",
            )
        self._own(question.owners)
        check_restored(self._records, self._room, self._peers)
        exchange_heads(self._records, self._room, self._peers, (sender, request.host))
        mine = tuple(t for t in question.tables if (o := agreement.table(t)) and o.owner == self._me)
        protection = examined.protection
        if (protection.by_owners or protection.sealed or protection.shared) and request.repeats is None:
            self._ready(mine)
        run = run_of(
            request.run,
            Role.OWNER,
            sender,
            request.host,
            examined,
            tables=mine,
            boxes=_boxes(question, mine),
            repeats=request.repeats,
        )
        # Durable before the consent leaves: no consent exists that this owner's ledger does not know, and
        # none that is not charged.
        self._records.reserve(run, agreement, _judge(question))
        consent = give_consent(
            self._keys,
            self._clock.now(),
            owner=self._me,
            room=question.room_hash,
            question=question.hash,
            plan=examined.plan.hash,
            protection=str(examined.protection.name),
            asker=sender,
            host=request.host,
            run=request.run,
            repeats=request.repeats,
        )
        return messages.ConsentGiven(consent=consent).model_dump(mode="json")

    def _own(self, owners: tuple[str, ...]) -> None:
        if self._me not in owners:
            raise Refusal("NOT_AN_OWNER", f"no table of {self._me!r} is in this question", owner=self._me)


def _boxes(question: Question, tables: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """What the question asks of this owner's tables that have overlap columns."""
    from hitoku.questions import overlap

    concerned = overlap.declared(question)
    return tuple((t, overlap.box(question, t).to_json()) for t in tables if t in concerned)


def _judge(question: Question) -> Judge:
    """Refuses a question whose box is neither equal to an earlier one nor disjoint from it."""

    def judge(table: str, box: str, earlier: list[str]) -> Refusal | None:
        from hitoku.questions import overlap

        known = [overlap.Box.from_json(text) for text in earlier]
        clash = overlap.conflicts(overlap.Box.from_json(box), known)
        return overlap.overlapping(question, table) if clash else None

    return judge
