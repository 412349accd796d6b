# SPDX-License-Identifier: Apache-2.0
"""The asker's side: check, look whether it is answered already, gather consents, have it run, receive."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hitoku.ask.common import Examined, Sent, budget_of, examine, remembered, run_of
from hitoku.disclosure.plan import default_receivers
from hitoku.errors import HitokuError, PeerError, Refusal, RoomError
from hitoku.ports import Clock, Peers, Progress, SystemClock
from hitoku.room.agreement import Room
from hitoku.room.records import Records
from hitoku.room.runs import Role, RunState
from hitoku.transport import messages
from hitoku.transport import runs as waiting
from hitoku.transport.heads import exchange_heads

if TYPE_CHECKING:
    from hitoku.ask.unsealed import OneAnswer, Sealing
    from hitoku.disclosure.answer import Answer
    from hitoku.room.parts import SharedAnswer

__all__ = ["ask", "common_fields", "look_up"]

# The tables' files, or whether the answer is kept, changed between the look and the run: look again.
_LOOK_AGAIN: Final = frozenset({"DATA_CHANGED", "ASKED_BEFORE"})
_LOOKS: Final = 3
_GOING: Final = "hitoku/run-going/1"
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_PATIENCE: Final = 60


def ask(
    sql: str,
    room: Room,
    peers: Peers,
    records: Records,
    progress: Progress,
    receivers: Iterable[str] | None = None,
    users_noise: int | None = None,
    clock: Clock | None = None,
    sealing: Sealing | None = None,
    cut_off: Iterable[str] = (),
    begun: Callable[[str], None] | None = None,
) -> Answer | Sent:
    """Ask a question as `peers.me`.

    What was answered to this asker already, under the same plan and on the same files, is given again: the
    same answer, without a charge.

    Args:
        sql: one SQL statement.
        room: the room, verified, as the asker knows it.
        peers: the way to the owners and the host.
        records: what the asker remembers of the room.
        progress: hears about the phases.
        receivers: who receives the answer; the asker, if it may, where nobody is named.
        users_noise: how many units' contributions the noise hides, where the question is noised; more than
            the accounts demand costs less.
        clock: paces the questions after a run that takes long; the machine's by default.
        sealing: what an answer that an enclave seals for the asker is received with; needed there only.
        cut_off: runs that this member asked for and never heard the end of, since its process ended, none of
            which another thread or process asks for now. One of this very question that came to its end, or
            still runs, is waited for, and its answer taken without another charge; one that never began is
            given up, so that nobody charges it. The next is taken only where the one before gave no answer.
        begun: is told the id of each run that is asked for, or waited for, here, before anything of it is on
            record: the last one is what the question costs. What it raises ends the question before that.

    Raises:
        Refusal: the room's rules do not allow it; an owner or the host says so, or the asker's own check.
        PeerError: an owner or the host cannot be reached or failed.
        RoomError: the room has no host.
    """
    me, clock = peers.me, clock or SystemClock()
    progress.phase("check")
    to = tuple(default_receivers(room, me) if receivers is None else receivers)
    with remembered(records, me, sql):
        examined = examine(sql, room, me, to, users_noise=users_noise)
        exchange_heads(records, room, peers, (*examined.question.owners, examined.place))
    asking = _Asking(sql, room, peers, records, progress, clock, examined, users_noise, sealing, begun)
    left: list[str] = []
    for run in cut_off:
        if not asking.is_of_this(run):
            continue
        left.append(run)
        found = asking.picked_up(run)
        if found is not None:
            return found
    answer = _looked(asking, sql, peers, examined, users_noise)
    for run in left:  # not before: one that a host still computed is at its end now, and its answer given
        asking.give_up(run)
    return answer


def _looked(
    asking: _Asking, sql: str, peers: Peers, examined: Examined, users_noise: int | None
) -> Answer | Sent:
    for _ in range(_LOOKS - 1):
        try:
            return asking.once(look_up(sql, peers, examined, users_noise))
        except Refusal as refusal:
            # Nothing is asked twice unasked where the first may be charged.
            if refusal.code not in _LOOK_AGAIN or not asking.free:
                raise
    return asking.once(look_up(sql, peers, examined, users_noise))


def common_fields(sql: str, examined: Examined, users_noise: int | None) -> dict[str, Any]:
    """The fields that all messages about a question share."""
    return {
        "sql": sql,
        "room": examined.question.room_hash,
        "receivers": list(examined.plan.receivers),
        "protection": str(examined.protection.name),
        "users_noise": users_noise,
    }


def look_up(sql: str, peers: Peers, examined: Examined, users_noise: int | None) -> str | None:
    """The run that answered the question to this asker already, if the host keeps its answer.

    Raises:
        Refusal: the host's copy of the rules does not allow the question.
        PeerError: the host cannot be reached or failed.
    """
    message = messages.Lookup(**common_fields(sql, examined, users_noise)).model_dump(mode="json")
    return messages.read(messages.Found, peers.call(examined.place, message), examined.place).run


class _Asking:
    """One question on its way; `once` may be called again where it was refused."""

    def __init__(
        self,
        sql: str,
        room: Room,
        peers: Peers,
        records: Records,
        progress: Progress,
        clock: Clock,
        examined: Examined,
        users_noise: int | None,
        sealing: Sealing | None,
        begun: Callable[[str], None] | None,
    ) -> None:
        self._sealing, self._begun = sealing, begun or _nobody
        self.free = True
        self._room, self._peers, self._records, self._progress = room, peers, records, progress
        self._clock, self._host, self._examined = clock, examined.place, examined
        self._common = common_fields(sql, examined, users_noise)
        self._lost: PeerError | None = None
        self._parts: str | None = None

    def once(self, repeats: str | None) -> Answer | Sent:
        """Have it run, or the answer of the run `repeats` given again."""
        run = uuid.uuid4().hex
        self._begun(run)
        own = run_of(run, Role.ASKER, self._peers.me, self._host, self._examined, repeats=repeats)
        self._records.reserve(own, self._room.agreement)
        consented: list[str] = []
        try:
            answer = self._carry_out(run, repeats, consented)
        except BaseException as error:
            self.free = self._give_up(run, consented, error)
            raise
        return self._recorded(run, repeats, answer)

    def is_of_this(self, run: str) -> bool:
        """Whether this member asked exactly this, of this host, in that run."""
        asked = self._records.asked(run)
        return asked == (self._examined.question.hash, self._examined.plan.hash, self._host)

    def picked_up(self, run: str) -> Answer | Sent | None:
        """The answer of a run of this question that was left in its midst; None where there is none.

        Only what outlives its request keeps its answer for who asked.

        Raises:
            PeerError: who computes it cannot be reached: whether it is charged is not known, so nothing new
                is begun.
        """
        if not self._examined.protection.long:
            return None
        self._begun(run)
        self._progress.phase("run")
        try:
            done = self._ended(run, waiting.RunGoing(run=run).model_dump(mode="json"))
            answer = self._taken(run, None, done, None)
        except PeerError as error:
            if error.code is None:
                raise
            return None  # it failed, there, and was charged like any that fails
        except HitokuError:
            return None  # it failed, or never came there
        return self._recorded(run, None, answer)

    def give_up(self, run: str) -> None:
        """See to it that a run that was left in its midst never begins; what has begun is charged.

        Also where this member counts it as charged, since it could not reach the host: the host knows whether
        it ever began, and the owners hear of that from the host.
        """
        if self._records.state(run, Role.ASKER) is not RunState.ABORTED:
            self._give_up(run, list(self._examined.question.owners), PeerError("its asker's process ended"))

    def _recorded(self, run: str, repeats: str | None, answer: Answer | Sent) -> Answer | Sent:
        """Note what came, durably, and look at the others' ledgers."""
        me, plan, question = self._peers.me, self._examined.plan, self._examined.question
        facts: dict[str, Any] = {"question": question.hash, "receivers": list(plan.receivers)}
        if isinstance(answer, Sent):
            self._records.commit(run, Role.ASKER, facts)
            return answer
        if self._parts is not None:
            facts["parts"] = self._parts  # by which the others' ledgers name it: they do not know the answer
        facts["answer"] = answer.digest
        entry = self._records.commit(run, Role.ASKER, facts)
        if entry is None:  # it counts as charged already: its end was not heard of for so long
            entry = self._records.received(run, facts)
        # An answer that is here and cost its price is not thrown away because a node has just gone, which is
        # stopped in order when its last run is answered. A ledger that was changed is a Refusal; who was not
        # reached is looked at before the next question.
        with suppress(PeerError):
            exchange_heads(self._records, self._room, self._peers, (*question.owners, self._host))
        ledger = {"member": me, "entry": entry, "answer": answer.digest}
        return replace(answer, ledger=ledger if repeats is None else {**ledger, "repeats": repeats})

    def _carry_out(self, run: str, repeats: str | None, consented: list[str]) -> Answer | Sent:
        """Gather the owners' consents, have the host run it, and check what comes back."""
        question, host = self._examined.question, self._host
        common = {**self._common, "run": run, "repeats": repeats}

        self._progress.phase("consent", len(question.owners))
        consents = []
        for owner in question.owners:
            request = messages.ConsentRequest(host=host, **common).model_dump(mode="json")
            try:
                reply = self._peers.call(owner, request)
            except PeerError:
                consented.append(owner)  # it may have: then its answer was lost
                raise
            consented.append(owner)
            consents.append(messages.read(messages.ConsentGiven, reply, owner).consent)
            self._progress.advance()

        self._progress.phase("run")
        sealing = self._key_of(run)
        given = None if sealing is None else sealing.given
        order = messages.RunRequest(consents=consents, sealing=given, **common).model_dump(mode="json")
        return self._taken(run, repeats, self._ended(run, self._ordered(run, order)), sealing)

    def _taken(
        self, run: str, repeats: str | None, done: messages.RunDone, sealing: OneAnswer | None
    ) -> Answer | Sent:
        """What came back, checked against all that is known of it beforehand."""
        from hitoku.disclosure.answer import Answer

        me, plan, question, host = self._peers.me, self._examined.plan, self._examined.question, self._host
        shared = self._examined.protection.shared
        here: Any = done.shared if shared else done.answer if sealing is None else done.sealed
        if done.run != run or (here is None) != (me not in plan.receivers):
            raise PeerError(f"{host!r} answered another question")
        made_by = run if repeats is None else repeats
        if here is None:
            return Sent(made_by, question.hash, plan.receivers)
        self._progress.phase("receive")
        if sealing is None:
            answer = Answer.from_message(here, host)
        elif shared:
            answer = self._combined(here, sealing)
        else:
            answer = sealing.opened(here, self._room, self._clock.now())
        if answer.run != made_by or not self._as_planned(answer):
            raise PeerError(f"{host!r} answered another question")
        if sealing is None or shared:
            return answer
        return self._deleted(answer, here, done.certificate)

    def _combined(self, shared: SharedAnswer, sealing: OneAnswer) -> Answer:
        """The answer in three servers' parts, put together and released here."""
        from hitoku.ask.combining import combined
        from hitoku.room.parts import parts_digest

        given = sealing.given
        self._parts = parts_digest(given.run, shared.hashes)
        return combined(
            shared,
            sealing.key,
            self._room,
            self._examined,
            me=given.receiver,
            run=given.run,
            clock=self._clock,
        )

    def _deleted(self, answer: Answer, sealed: str, certificate: dict[str, Any] | None) -> Answer:
        """The answer with what is known of the deletion of its keys; a certificate that holds is kept."""
        from hitoku.ask.unsealed import checked_deletion

        deletion = checked_deletion(
            certificate, self._room, answer, sealed, me=self._peers.me, host=self._host
        )
        if deletion["certified"] and certificate is not None and self._sealing is not None:
            self._sealing.certified(answer.run, certificate)
        return replace(answer, deletion=deletion)

    def _key_of(self, run: str) -> OneAnswer | None:
        """The one-time key for the answer, where an enclave or three servers seal it for this member."""
        me, question, protection = self._peers.me, self._examined.question, self._examined.protection
        if not (protection.sealed or protection.shared) or me not in self._examined.plan.receivers:
            return None
        if self._sealing is None:
            raise RoomError("this asker has nothing to receive sealed answers with")
        return self._sealing.of(me, question.room_hash, run, self._host, self._examined.plan.hash)

    def _ordered(self, run: str, order: dict[str, Any]) -> dict[str, Any]:
        """The host's answer to the order. Of a run that outlives it, a lost answer is asked for again."""
        try:
            return self._peers.call(self._host, order)
        except PeerError as error:
            if not self._examined.protection.long or error.code is not None:
                raise
            self._lost = error
            return waiting.RunGoing(run=run).model_dump(mode="json")

    def _ended(self, run: str, reply: dict[str, Any]) -> messages.RunDone:
        """The end of a run that the host may only have begun: it is asked until it is there.

        The host keeps the run, also where its process ends and starts again, so a host that cannot be reached
        is asked again for a while.
        """
        host, phase, done, lost = self._host, "", 0, 0
        wait = waiting.RunWait(run=run).model_dump(mode="json")
        pause = _SHORTEST_PAUSE
        while reply["kind"] == _GOING:
            going = messages.read(waiting.RunGoing, reply, host)
            if going.phase != phase:
                phase, done = going.phase, 0
                self._progress.phase(phase, going.total)
            self._progress.advance(max(0, going.done - done))
            done = max(done, going.done)
            self._clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)
            try:
                reply, lost = self._peers.call(host, wait), 0
            except Refusal as refusal:
                if self._lost is not None and refusal.code == "NO_SUCH_RUN":
                    raise self._lost from None  # the order did not come through
                raise
            except PeerError as error:
                lost += 1
                if lost > _PATIENCE or error.code is not None:  # a code is the host's own word
                    raise
        return messages.read(messages.RunDone, reply, host)

    def _as_planned(self, answer: Answer) -> bool:
        """Whether all that the asker knows of the answer beforehand is as it must be, the cost included."""
        plan, question = self._examined.plan, self._examined.question
        thresholds = tuple((t.table, t.column, t.owner, t.minimum) for t in plan.thresholds)
        return (
            (answer.question, answer.sql, answer.room) == (question.hash, question.sql, question.room_hash)
            and (answer.asker, answer.receivers) == (self._peers.me, plan.receivers)
            and answer.protection == str(self._examined.protection.name)
            and answer.withheld.thresholds == thresholds
            and answer.column_names == [o.name for o in question.outputs]
            and answer.leakage == self._examined.protection.leakage(question, self._room)
            and answer.budget == budget_of(plan, self._room.agreement)
            and answer.noise == self._noise()
            # What came without a proof bears no stamp of an enclave, and what came from one bears it.
            and (answer.attestation is not None) == self._examined.protection.sealed
        )

    def _noise(self) -> dict[str, Any] | None:
        question, noise = self._examined.question, self._examined.plan.noise
        if noise is None:
            return None
        from hitoku.disclosure.noising import described

        return described(question, noise)

    def _give_up(self, run: str, consented: list[str], error: BaseException) -> bool:
        """Cancel a run that cannot go on, so that it never begins later and the owners do not charge it.

        Returns whether the host says that it never began, and never will.
        """
        reason = error.code if isinstance(error, Refusal) else type(error).__name__
        done = not consented
        if consented:
            with suppress(HitokuError):
                message = messages.Cancel(run=run, owners=consented).model_dump(mode="json")
                done = messages.read(
                    messages.Cancelled, self._peers.call(self._host, message), self._host
                ).done
        if done:
            self._free_own(run)
            self._records.abort(run, Role.ASKER, reason)
        else:
            self._records.fail(run, Role.ASKER, reason)
        return done

    def _free_own(self, run: str) -> None:
        """As an owner, take the host's word that a run never began from its answer to this asker.

        Its word to the owners may not have come: this member's node does not answer while it stops. What this
        owner has begun itself it charges all the same.
        """
        if self._records.host_of(run) == self._host:
            self._records.abort(run, Role.OWNER, "cancelled before it began")


def _nobody(run: str) -> None:
    del run
