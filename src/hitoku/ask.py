# SPDX-License-Identifier: Apache-2.0
"""The way of a question, all of it: the asker's side, every owner's, the host's and a receiver's.

Asker: check, plan, ask every owner for its consent, ask the host to run, receive. Owner: checks the question
itself against the agreement it signed, and signs a consent to exactly this run. Host: checks everything
again, the owners' signatures included, runs, releases, and sends the answer to its receivers only. What the
asker says about a question counts for nothing but its text.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hitoku.disclosure.plan import DisclosurePlan, default_receivers
from hitoku.disclosure.plan import plan as make_plan
from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.ports import Clock, Executor, KeyStore, Peers, Progress
from hitoku.room.agreement import Ability, ProtectionName, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.consent import Consent, check_consents, give_consent
from hitoku.room.records import Records, Role, Run
from hitoku.transport import messages
from hitoku.transport.heads import exchange_heads

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
    records: Records,
    progress: Progress,
    receivers: Iterable[str] | None = None,
) -> Answer | Sent:
    """Ask a question as `peers.me`. The asker's side.

    Args:
        sql: one SQL statement.
        room: the room, verified, as the asker knows it.
        peers: the way to the owners and the host.
        records: what the asker remembers of the room.
        progress: hears about the phases.
        receivers: who receives the answer; the asker, if it may, where nobody is named.

    Raises:
        Refusal: the room's rules do not allow it; an owner or the host says so, or the asker's own check.
        PeerError: an owner or the host cannot be reached or failed.
        RoomError: the room has no host.
    """
    me = peers.me
    progress.phase("check")
    to = tuple(default_receivers(room, me) if receivers is None else receivers)
    with _remembered(records, me, sql):
        question, plan, protection = _examine(sql, room, me, to)
        host = _host(room)
        exchange_heads(records, room, peers, (*question.owners, host))
    run = uuid.uuid4().hex
    records.reserve(_run(run, Role.ASKER, me, host, question, plan, protection))
    consented: list[str] = []
    try:
        answer = _carry_out(sql, room, peers, progress, run, host, (question, plan, protection), consented)
    except BaseException as error:
        _give_up(records, peers, host, run, consented, error)
        raise
    facts = {"question": question.hash, "receivers": list(plan.receivers)}
    if isinstance(answer, Sent):
        records.commit(run, Role.ASKER, facts)
        return answer
    entry = records.commit(run, Role.ASKER, facts | {"answer": answer.digest})
    exchange_heads(records, room, peers, (*question.owners, host))
    return replace(answer, ledger={"member": me, "entry": entry, "answer": answer.digest})


def _carry_out(
    sql: str,
    room: Room,
    peers: Peers,
    progress: Progress,
    run: str,
    host: str,
    examined: tuple[Question, DisclosurePlan, Protection],
    consented: list[str],
) -> Answer | Sent:
    """Gather the owners' consents, have the host run it, and check what comes back."""
    from hitoku.disclosure.answer import Answer

    me = peers.me
    question, plan, protection = examined
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
        consented.append(owner)
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


def _give_up(
    records: Records, peers: Peers, host: str, run: str, consented: list[str], error: BaseException
) -> None:
    """Cancel a run that cannot go on, so that it never begins later and the owners do not charge it."""
    reason = error.code if isinstance(error, Refusal) else type(error).__name__
    done = not consented
    if consented:
        with suppress(HitokuError):
            message = messages.Cancel(run=run, owners=consented).model_dump(mode="json")
            done = messages.read(messages.Cancelled, peers.call(host, message), host).done
    if done:
        records.abort(run, Role.ASKER, reason)
    else:
        records.fail(run, Role.ASKER, reason)


@contextmanager
def _remembered(records: Records, asker: str, sql: str) -> Iterator[None]:
    """Record a refusal in this member's ledger."""
    try:
        yield
    except Refusal as refusal:
        records.refused(asker, sql, refusal)
        raise


def _run(
    run: str,
    role: Role,
    asker: str,
    host: str,
    question: Question,
    plan: DisclosurePlan,
    protection: Protection,
    tables: tuple[str, ...] = (),
) -> Run:
    return Run(
        id=run,
        role=role,
        asker=asker,
        host=host,
        question=question.hash,
        sql=question.sql,
        plan=plan.hash,
        protection=str(protection.name),
        receivers=plan.receivers,
        tables=tables,
    )


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

    def __init__(self, room: Room, peers: Peers, records: Records, keys: KeyStore, clock: Clock) -> None:
        self._me = peers.me
        self._room, self._peers, self._records, self._keys, self._clock = room, peers, records, keys, clock

    def consent(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a ConsentRequest.

        Raises:
            Refusal: this owner's copy of the rules does not allow it, or its tables are not in it.
            PeerError: the message is malformed.
            SecretError: the key cannot be read.
        """
        request = messages.read(messages.ConsentRequest, message, sender)
        with _remembered(self._records, sender, request.sql):
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

    def _consent(self, sender: str, request: messages.ConsentRequest) -> dict[str, Any]:
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
        exchange_heads(self._records, self._room, self._peers, (sender, request.host))
        agreement = self._room.agreement
        mine = tuple(t for t in question.tables if (o := agreement.table(t)) and o.owner == self._me)
        # Durable before the consent leaves: no consent exists that this owner's ledger does not know.
        self._records.reserve(
            _run(request.run, Role.OWNER, sender, request.host, question, plan, protection, mine)
        )
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
    records: Records
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
        with _remembered(self.records, sender, request.sql):
            _same_room(self.room, request.room, self.peers.me)
            question, plan, chosen = _examine(
                request.sql, self.room, sender, request.receivers, request.protection
            )
            now = self.clock.now()
            self._check(request.consents, question, plan, str(chosen.name), request.run, now)
            exchange_heads(self.records, self.room, self.peers, (sender, *question.owners))
            protection = self.runner(chosen.name, question.tables)
            self.records.reserve(
                _run(request.run, Role.HOST, sender, self.peers.me, question, plan, protection)
            )
        try:
            cells = protection.run(question, plan, self.peers, self.executor, self.progress)
            self.progress.phase("release")
            released = release(
                cells,
                plan,
                question,
                leakage=protection.leakage(question, self.room),
                protection=str(protection.name),
                run=request.run,
                clock=self.clock,
            )
        except BaseException as error:
            self.records.fail(request.run, Role.HOST, type(error).__name__)
            self._settle(question.owners, messages.Settle(run=request.run, outcome="failed"))
            raise
        facts = {"question": question.hash, "answer": released.digest, "receivers": list(plan.receivers)}
        self.records.commit(request.run, Role.HOST, facts)
        settled = messages.Settle(
            run=request.run, outcome="released", question=question.hash, answer=released.digest
        )
        self._settle(question.owners, settled)
        answer = released.to_message()
        for receiver in plan.receivers:
            if receiver != sender:
                delivery = messages.Deliver(run=request.run, answer=answer).model_dump(mode="json")
                messages.read(messages.Delivered, self.peers.call(receiver, delivery), receiver)
        mine = answer if sender in plan.receivers else None
        return messages.RunDone(run=request.run, answer=mine).model_dump(mode="json")

    def cancel(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a Cancel: bury a run that has not begun, then tell the owners.

        The run's id is used up first. Otherwise an asker could have its owners told of an abort, so that
        they charge nothing, and send the consents afterwards.

        Raises:
            PeerError: the message is malformed.
        """
        request = messages.read(messages.Cancel, message, sender)
        done = self.records.bury(request.run, sender)
        if done:
            owners = [o for o in request.owners if o in self.room.agreement.owners()]
            self._settle(owners, messages.Settle(run=request.run, outcome="aborted"))
        return messages.Cancelled(run=request.run, done=done).model_dump(mode="json")

    def _settle(self, owners: Iterable[str], settle: messages.Settle) -> None:
        for owner in owners:
            # An owner that does not hear it charges the run by itself, later.
            with suppress(HitokuError):
                self.peers.call(owner, settle.model_dump(mode="json"))

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
