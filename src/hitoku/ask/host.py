# SPDX-License-Identifier: Apache-2.0
"""The host's side: trusts nobody's word, runs, releases, sends the answer to its receivers only.

An answer that it has released to the same asker, for the same question under the same plan on the same files,
it gives again and computes nothing (`hitoku.room.answers`). It computes a question only with consents to
compute, and gives an answer again only with consents to repeat that very run.

Where the agreement sets a release interval, everything that leaves after the data was read leaves at a whole
multiple of it after the request came in: answers, failures, deliveries and the word to the owners. What can
still be seen is in which interval the work ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from hitoku.ask.common import Examined, budget_of, examine, remembered, run_of, same_room
from hitoku.ask.led import Led
from hitoku.ask.pace import Pace
from hitoku.errors import HitokuError, Refusal
from hitoku.ports import Clock, Executor, Peers, Progress
from hitoku.room.agreement import Room
from hitoku.room.answers import KeptAnswer, answer_key
from hitoku.room.consent import check_consents, moment
from hitoku.room.jobs import Jobs
from hitoku.room.records import Records, replayed
from hitoku.room.runs import Role
from hitoku.room.sealing import SealingKey, check_sealing_keys
from hitoku.transport import messages
from hitoku.transport.heads import exchange_heads

if TYPE_CHECKING:
    from hitoku.ask.sealed import SealedRun
    from hitoku.ask.server import Server
    from hitoku.ask.shared import SharedRun
    from hitoku.ask.work import Work
    from hitoku.disclosure.answer import Answer
    from hitoku.protections.base import Protection

__all__ = ["Host"]

# Draws made while the engine works; more are made where an answer has more groups.
_DRAWS_AHEAD: Final = 10_240


@dataclass(frozen=True, slots=True)
class Host:
    """The host's side of a room.

    Attributes:
        room: the room, verified.
        peers: the way to the others.
        records: what the host remembers.
        runner: the protection of a run, with all that it needs here.
        versions: the hash of the tables' files as they are now, which changes whenever one of them does; None
            where it cannot be told, and then no answer is kept.
        executor: runs kernels.
        progress: hears about the phases.
        clock: the time.
        jobs: runs that outlive their request; None where such are not taken.
        server: this member's side of runs on shares; None where it leads none.
        leading: hears of a run on shares before it begins, so that it can be looked at and ended.
    """

    room: Room
    peers: Peers
    records: Records
    runner: Callable[[Examined, messages.RunRequest], Protection]
    versions: Callable[[tuple[str, ...]], str | None]
    executor: Executor
    progress: Progress
    clock: Clock
    jobs: Jobs | None = None
    server: Server | None = None
    leading: Callable[[Work], None] = lambda _: None

    @property
    def led(self) -> Led:
        """The runs that outlive their request."""
        return Led(self)

    def look_up(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a Lookup: the run of an answer that this asker got and that can be given again.

        The question is checked like any other, and only the sender's own answers are found: nobody learns
        here what others asked.

        Raises:
            Refusal: the rules do not allow the question.
            PeerError: the message is malformed.
        """
        request = messages.read(messages.Lookup, message, sender)
        with remembered(self.records, sender, request.sql):
            same_room(self.room, request.room, self.peers.me)
            examined = self.examined(sender, request)
        kept = self._kept(self._key(examined))
        return messages.Found(run=None if kept is None else kept.run).model_dump(mode="json")

    def run(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a RunRequest.

        Raises:
            Refusal: the rules do not allow it, or a consent is missing, forged, used, or for something else;
                ``DATA_CHANGED`` where the answer to be repeated is not kept for the tables as they are now,
                ``ASKED_BEFORE`` where one is kept that was not asked for.
            EngineError, LimitError: the run failed.
            DisclosureError: the cells cannot be released.
            PeerError: the message is malformed, or a receiver cannot be reached.
        """
        pace = Pace(self.clock, self.room.agreement.release.interval_seconds)
        request = messages.read(messages.RunRequest, message, sender)
        with remembered(self.records, sender, request.sql):
            same_room(self.room, request.room, self.peers.me)
            examined = self.examined(sender, request)
            self._check(request, examined)
            exchange_heads(self.records, self.room, self.peers, (sender, *examined.question.owners))
            key = self._key(examined)
            if self.records.state(request.run, Role.HOST) is not None:
                raise replayed()
            kept = self._wanted(key, request.repeats)
            protection = None if kept is not None else self.runner(examined, request)
            sealed = self._sealed(sender, request, examined, protection)
            shared = self._shared(sender, request, examined)
            sealing = [] if sealed is None and shared is None else self._sealing(sender, request, examined)
            work = None if shared is None else shared.work(sealing)
            if work is not None:
                self.leading(work)
            own = run_of(request.run, Role.HOST, sender, self.peers.me, examined, repeats=request.repeats)
            if examined.protection.long:
                return self.led.taken_on(own, sender, message)
            self.records.reserve(own, self.room.agreement)
        if sealed is not None:
            return sealed.run(pace, sealing)
        if shared is not None and work is not None:
            return shared.run(pace, work)
        owners = examined.question.owners
        try:
            if protection is None or kept is not None:
                delivery, digest = self._again(kept)
            else:
                released = self.compute(protection, examined, request.run)
                released = replace(released, released_at=moment(pace.next()))
                delivery, digest, kept = self._packed(released, key, examined)
        except BaseException as error:
            if isinstance(error, Exception):
                pace.wait()
            self.records.fail(request.run, Role.HOST, type(error).__name__)
            self.settle(owners, messages.Settle(run=request.run, outcome="failed"))
            raise
        pace.wait()
        facts = self.facts(examined, digest)
        self.records.commit(request.run, Role.HOST, facts, kept if request.repeats is None else None)
        others = self.deliver(sender, request.run, examined, delivery, digest)
        if others:
            pace.wait()  # how long it took to deliver tells how large the answer is
        return self.done(sender, request.run, examined, delivery)

    def facts(self, examined: Examined, digest: str) -> dict[str, Any]:
        """What the ledger says of a release."""
        receivers = list(examined.plan.receivers)
        return {"question": examined.question.hash, "answer": digest, "receivers": receivers}

    def deliver(
        self, sender: str, run: str, examined: Examined, delivery: dict[str, Any], digest: str
    ) -> list[str]:
        """Tell the owners, and give the answer to those who receive it beside the asker: who they are."""
        question = examined.question
        outcome = messages.Settle(run=run, outcome="released", question=question.hash, answer=digest)
        self.settle(question.owners, outcome)
        others = [r for r in examined.plan.receivers if r != sender]
        for receiver in others:
            messages.read(messages.Delivered, self.peers.call(receiver, delivery), receiver)
        return others

    def done(self, sender: str, run: str, examined: Examined, delivery: dict[str, Any]) -> dict[str, Any]:
        """The asker's message: the answer is in it only if the asker receives."""
        mine = delivery["answer"] if sender in examined.plan.receivers else None
        return messages.RunDone(run=run, answer=mine).model_dump(mode="json")

    def examined(self, sender: str, request: messages.RunRequest | messages.Lookup) -> Examined:
        """The question, if it is to be run here.

        Raises:
            Refusal: the rules do not allow it, or it is another member's to run.
        """
        examined = examine(
            request.sql, self.room, sender, request.receivers, request.protection, request.users_noise
        )
        if examined.place != self.peers.me:
            raise Refusal(
                "HOST_NOT_ALLOWED",
                f"{self.peers.me!r} is not where this question is computed",
                rule="protections",
                remedy=f"ask {examined.place!r}",
            )
        return examined

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
            self.settle(owners, messages.Settle(run=request.run, outcome="aborted"))
        return messages.Cancelled(run=request.run, done=done).model_dump(mode="json")

    def _kept(self, key: str | None) -> KeptAnswer | None:
        return None if key is None else self.records.kept(key)

    def _key(self, examined: Examined) -> str | None:
        if examined.protection.long or examined.protection.sealed or examined.protection.shared:
            return None  # computed from others' tables, whose versions are not known here
        data = self.versions(examined.question.tables)
        if data is None:
            return None
        return answer_key(
            question=examined.question.hash,
            plan=examined.plan.hash,
            asker=examined.question.asker,
            protection=str(examined.protection.name),
            data=data,
        )

    def _wanted(self, key: str | None, repeats: str | None) -> KeptAnswer | None:
        """The kept answer that is to be given again; None where a new one is to be computed."""
        kept = self._kept(key)
        if repeats is None:
            if kept is not None:
                # Never fresh noise for what is answered; and what the owners reserved is given back.
                raise Refusal(
                    "ASKED_BEFORE",
                    "this is answered already, and the answer can be given again: nothing was run",
                    remedy="ask again; it costs nothing",
                )
            return None
        if kept is None or kept.run != repeats:
            raise Refusal(
                "DATA_CHANGED",
                "the answer that is to be given again is not kept for the tables as they are: nothing ran",
                remedy="ask again; it is a new question and costs like one",
            )
        return kept

    def compute(self, protection: Protection, examined: Examined, run: str) -> Answer:
        """Run and release.

        Raises:
            EngineError, LimitError, PeerError: the run failed.
            DisclosureError: the cells cannot be released.
        """
        from hitoku.disclosure.release import release

        question, plan, draws = examined.question, examined.plan, None
        if plan.noise is not None and not protection.by_owners:
            from hitoku.disclosure.noise import Draws

            draws = Draws(plan.noise, _DRAWS_AHEAD)
        try:
            cells = protection.run(question, plan, self.peers, self.executor, self.progress)
            self.progress.phase("release")
            released = release(
                cells,
                plan,
                question,
                leakage=protection.leakage(question, self.room),
                protection=str(protection.name),
                run=run,
                clock=self.clock,
                draws=draws,
            )
        finally:
            if draws is not None:
                draws.close()
        return replace(released, budget=budget_of(plan, self.room.agreement))

    def _packed(
        self, released: Answer, key: str | None, examined: Examined
    ) -> tuple[dict[str, Any], str, KeptAnswer | None]:
        """The message that delivers an answer, the answer's digest, and the answer as it is kept."""
        message = messages.Deliver(run=released.run, answer=released.to_message()).model_dump(mode="json")
        content = messages.encode(message)
        # Where files changed while the engine read them, it is not known what it saw.
        if key is None or self._key(examined) != key:
            return message, released.digest, None
        kept = KeptAnswer(key, released.run, examined.question.tables, content)
        return message, released.digest, kept

    def _again(self, kept: KeptAnswer | None) -> tuple[dict[str, Any], str]:
        from hitoku.disclosure.answer import Answer

        if kept is None:
            raise AssertionError("a run without a protection gives a kept answer again")
        message = messages.decode(kept.content, self.peers.me)
        return message, Answer.from_message(message["answer"], self.peers.me).digest

    def settle(self, owners: Iterable[str], settle: messages.Settle) -> None:
        """Tell the owners how a run ended, those that can be reached."""
        for owner in owners:
            # An owner that does not hear it charges the run by itself, later.
            with suppress(HitokuError):
                self.peers.call(owner, settle.model_dump(mode="json"))

    def _sealed(
        self,
        sender: str,
        request: messages.RunRequest,
        examined: Examined,
        protection: Protection | None,
    ) -> SealedRun | None:
        """The way of a run whose answer this host cannot read; None for all others."""
        from hitoku.ask.sealed import SealedRun
        from hitoku.protections.enclave import Enclave

        if not examined.protection.sealed:
            return None
        if not isinstance(protection, Enclave):
            raise AssertionError("what starts an enclave is handed in where an answer is sealed")
        return SealedRun(self, sender, request, examined, protection)

    def _sealing(self, sender: str, request: messages.RunRequest, examined: Examined) -> list[SealingKey]:
        """The receivers' one-time keys, before anything is reserved.

        Raises:
            Refusal: one is missing, or does not carry its receiver's signature.
            PeerError: a receiver cannot be reached.
        """
        from hitoku.transport import enclave

        room, run = examined.question.room_hash, request.run
        asked = enclave.SealingKeyRequest(room=room, run=run).model_dump(mode="json")
        given: list[SealingKey] = []
        for receiver in examined.plan.receivers:
            if receiver == sender and request.sealing is not None:
                given.append(request.sealing)
                continue
            reply = self.peers.call(receiver, asked)
            given.append(messages.read(enclave.SealingKeyGiven, reply, receiver).key)
        check_sealing_keys(
            given,
            self.room.agreement,
            receivers=examined.plan.receivers,
            room=room,
            run=run,
            host=self.peers.me,
        )
        return given

    def _shared(self, sender: str, request: messages.RunRequest, examined: Examined) -> SharedRun | None:
        """The way of a run of three servers; None for all others."""
        from hitoku.ask.shared import SharedRun

        if not examined.protection.shared:
            return None
        if self.server is None:
            raise AssertionError("who leads a run on shares is one of its servers")
        return SharedRun(self, self.server, sender, request, examined)

    def _check(self, request: messages.RunRequest, examined: Examined) -> None:
        question = examined.question
        check_consents(
            request.consents,
            self.room.agreement,
            self.clock.now(),
            owners=question.owners,
            room=question.room_hash,
            question=question.hash,
            plan=examined.plan.hash,
            protection=str(examined.protection.name),
            asker=question.asker,
            host=self.peers.me,
            run=request.run,
            repeats=request.repeats,
        )
