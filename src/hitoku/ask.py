# SPDX-License-Identifier: Apache-2.0
"""The way of a question, all of it: the asker's side, every owner's, the host's and a receiver's.

Asker: check, plan, ask every owner for its consent, ask the host to run, receive. Owner: checks the question
itself against the agreement it signed, and signs a consent to exactly this run. Host: checks everything
again, the owners' signatures included, runs, releases, and sends the answer to its receivers only. What the
asker says about a question counts for nothing but its text.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hitoku.disclosure.plan import DisclosurePlan, default_receivers
from hitoku.disclosure.plan import plan as make_plan
from hitoku.errors import PeerError, Refusal
from hitoku.ports import Clock, Executor, KeyStore, Peers, Progress
from hitoku.room.agreement import Ability, ProtectionName, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.consent import Consent, RunRegister, check_consents, give_consent
from hitoku.transport import messages

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer
    from hitoku.protections.base import Protection
    from hitoku.questions.question import Question

__all__ = ["Host", "Owner", "Receiver", "Sent", "ask"]


@dataclass(frozen=True, slots=True)
class Sent:
    """What an asker gets that may not receive: the answer went to others."""

    run: str
    question: str
    receivers: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"run": self.run, "question": self.question, "receivers": list(self.receivers), "rows": None}


def ask(
    sql: str,
    room: Room,
    peers: Peers,
    progress: Progress,
    receivers: Iterable[str] | None = None,
) -> Answer | Sent:
    """Ask a question as `peers.me`. The asker's side.

    Args:
        sql: one SQL statement.
        room: the room, verified, as the asker knows it.
        peers: the way to the owners and the host.
        progress: hears about the phases.
        receivers: who receives the answer; the asker, if it may, where nobody is named.

    Raises:
        Refusal: the room's rules do not allow it; an owner or the host says so, or the asker's own check.
        PeerError: an owner or the host cannot be reached or failed.
        RoomError: the room has no host.
    """
    from hitoku.disclosure.answer import Answer

    me = peers.me
    progress.phase("check")
    to = tuple(default_receivers(room, me) if receivers is None else receivers)
    question, plan, protection = _examine(sql, room, me, to)
    host = _host(room)
    run = uuid.uuid4().hex
    common: dict[str, Any] = {
        "sql": sql,
        "room": question.room_hash,
        "run": run,
        "receivers": list(plan.receivers),
        "protection": str(protection.name),
    }

    progress.phase("consent", len(question.owners))
    consents = []
    for owner in question.owners:
        reply = peers.call(owner, messages.ConsentRequest(host=host, **common).model_dump(mode="json"))
        consents.append(messages.read(messages.ConsentGiven, reply, owner).consent)
        progress.advance()

    progress.phase("run")
    reply = peers.call(host, messages.RunRequest(consents=consents, **common).model_dump(mode="json"))
    done = messages.read(messages.RunDone, reply, host)
    if done.run != run or (done.answer is None) != (me not in plan.receivers):
        raise PeerError(f"{host!r} answered another question")
    if done.answer is None:
        return Sent(run, question.hash, plan.receivers)
    progress.phase("receive")
    answer = Answer.from_message(done.answer, host)
    thresholds = tuple((t.table, t.column, t.owner, t.minimum) for t in plan.thresholds)
    if (
        (answer.question, answer.sql, answer.room, answer.run)
        != (question.hash, question.sql, question.room_hash, run)
        or (answer.asker, answer.receivers, answer.withheld.thresholds) != (me, plan.receivers, thresholds)
        or answer.column_names != [o.name for o in question.outputs]
        or answer.leakage != protection.leakage(question, room)
    ):
        raise PeerError(f"{host!r} answered another question")
    return answer


def _examine(
    sql: str, room: Room, asker: str, receivers: Iterable[str], protection: str | None = None
) -> tuple[Question, DisclosurePlan, Protection]:
    """What every side does for itself: may the asker ask this, under which plan, by which protection?"""
    from hitoku import questions
    from hitoku.protections import registry
    from hitoku.protections.base import Unsupported

    question = questions.check(sql, room, asker)
    plan = make_plan(question, room, receivers)
    refused: list[Unsupported] = []
    for name in room.agreement.protections:
        if protection is not None and name != protection:
            continue
        candidate = registry.get(name)
        verdict = candidate.supports(question, room)
        if not isinstance(verdict, Unsupported):
            return question, plan, candidate
        refused.append(verdict)
    raise Refusal(
        "NO_PROTECTION",
        "no protection that this room accepts can answer it: "
        + ("; ".join(u.reason for u in refused) or "it does not accept the one asked for"),
        rule="protections",
        remedy=next((u.remedy for u in refused if u.remedy), "agree on another protection"),
    )


def _host(room: Room) -> str:
    hosts = room.agreement.able(Ability.HOST)
    if not hosts:
        raise Refusal(
            "NO_HOST",
            "the room has no host to run questions on",
            rule="members",
            remedy="agree on a member with the ability `host`",
        )
    return hosts[0].name


def _same_room(room: Room, theirs: str, me: str) -> None:
    if theirs != agreement_hash(room.agreement):
        raise Refusal(
            "ROOM_DIFFERS",
            f"{me!r} has signed another version of this room than the asker uses",
            rule="version",
            owner=me,
            remedy="exchange the room file that all members signed",
        )


class Owner:
    """An owner's side: checks a question itself and consents, or refuses."""

    def __init__(self, me: str, room: Room, keys: KeyStore, clock: Clock) -> None:
        self._me, self._room, self._keys, self._clock = me, room, keys, clock

    def consent(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a ConsentRequest.

        Raises:
            Refusal: this owner's copy of the rules does not allow it, or its tables are not in it.
            PeerError: the message is malformed.
            SecretError: the key cannot be read.
        """
        request = messages.read(messages.ConsentRequest, message, sender)
        _same_room(self._room, request.room, self._me)
        question, plan, protection = _examine(
            request.sql, self._room, sender, request.receivers, request.protection
        )
        host = self._room.agreement.member(request.host)
        if host is None or Ability.HOST not in host.abilities:
            raise Refusal(
                "HOST_NOT_ALLOWED",
                f"{request.host!r} may not run questions in this room",
                rule=f"members.{request.host}.abilities",
                owner=self._me,
                remedy="run it on a member that the room calls a host",
            )
        if self._me not in question.owners:
            raise Refusal("NOT_AN_OWNER", f"no table of {self._me!r} is in this question", owner=self._me)
        consent = give_consent(
            self._keys,
            self._clock.now(),
            owner=self._me,
            room=question.room_hash,
            question=question.hash,
            plan=plan.hash,
            protection=str(protection.name),
            asker=sender,
            host=request.host,
            run=request.run,
        )
        return messages.ConsentGiven(consent=consent).model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Host:
    """The host's side: trusts nobody's word, runs, releases, sends the answer to its receivers only."""

    room: Room
    peers: Peers
    runs: RunRegister
    runner: Callable[[ProtectionName, tuple[str, ...]], Protection]
    executor: Executor
    progress: Progress
    clock: Clock

    def run(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a RunRequest.

        Raises:
            Refusal: the rules do not allow it, or a consent is missing, forged, used, or for something else.
            EngineError, LimitError: the run failed.
            DisclosureError: the cells cannot be released.
            PeerError: the message is malformed, or a receiver cannot be reached.
        """
        from hitoku.disclosure.release import release

        request = messages.read(messages.RunRequest, message, sender)
        _same_room(self.room, request.room, self.peers.me)
        question, plan, chosen = _examine(
            request.sql, self.room, sender, request.receivers, request.protection
        )
        now = self.clock.now()
        self._check(request.consents, question, plan, str(chosen.name), request.run, now)
        protection = self.runner(chosen.name, question.tables)
        self.runs.claim(request.run, now)
        cells = protection.run(question, plan, self.peers, self.executor, self.progress)
        self.progress.phase("release")
        answer = release(
            cells,
            plan,
            question,
            leakage=protection.leakage(question, self.room),
            protection=str(protection.name),
            run=request.run,
            clock=self.clock,
        ).to_message()
        for receiver in plan.receivers:
            if receiver != sender:
                delivery = messages.Deliver(run=request.run, answer=answer).model_dump(mode="json")
                messages.read(messages.Delivered, self.peers.call(receiver, delivery), receiver)
        mine = answer if sender in plan.receivers else None
        return messages.RunDone(run=request.run, answer=mine).model_dump(mode="json")

    def _check(
        self,
        consents: list[Consent],
        question: Question,
        plan: DisclosurePlan,
        protection: str,
        run: str,
        now: Any,
    ) -> None:
        check_consents(
            consents,
            self.room.agreement,
            now,
            owners=question.owners,
            room=question.room_hash,
            question=question.hash,
            plan=plan.hash,
            protection=protection,
            asker=question.asker,
            host=self.peers.me,
            run=run,
        )


class Receiver:
    """A receiver's side: takes an answer from a host of the room, if it is for this member."""

    def __init__(self, me: str, room: Room, keep: Callable[[Answer], None]) -> None:
        self._me, self._room, self._keep = me, room, keep

    def deliver(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a Deliver.

        Raises:
            Refusal: the sender is no host, or the answer is of another room, run or receiver.
            PeerError: the message is malformed.
        """
        from hitoku.disclosure.answer import Answer

        request = messages.read(messages.Deliver, message, sender)
        host = self._room.agreement.member(sender)
        answer = Answer.from_message(request.answer, sender)
        if (
            host is None
            or Ability.HOST not in host.abilities
            or answer.room != agreement_hash(self._room.agreement)
            or answer.run != request.run
            or self._me not in answer.receivers
        ):
            raise Refusal("DELIVERY_REFUSED", f"{self._me!r} does not take this answer from {sender!r}")
        self._keep(answer)
        return messages.Delivered(run=request.run).model_dump(mode="json")
