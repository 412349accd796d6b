# SPDX-License-Identifier: Apache-2.0
"""The leader's side of a run on shares: it begins the other two servers, computes with them, carries parts.

The leader is one of the three servers and computes like the others (`hitoku.ask.server`). Besides, it keeps
the run together: when all three have computed, and only then, it has each give out its sealed parts, tells
the owners, and sends the receivers theirs. If anything fails before, nothing is given out, the others are
told to stop, and the owners hear that the run failed.

No server knows the answer. So the ledgers of the leader and the owners name what was released by the hashes
of the sealed parts (`hitoku.room.parts.parts_digest`, docs/decisions/0015-shares.md), and no answer is kept:
asked again, a question is computed again and charged again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hitoku.ask.broken import ECHOES
from hitoku.ask.common import Examined
from hitoku.ask.pace import Pace
from hitoku.ask.server import Server
from hitoku.ask.work import Order, Work
from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.room.consent import moment
from hitoku.room.parts import SealedPart, SharedAnswer, hashes_of, parts_digest
from hitoku.room.runs import Role
from hitoku.room.sealing import SealingKey
from hitoku.transport import messages, shares

if TYPE_CHECKING:
    from hitoku.ask.host import Host

__all__ = ["SharedRun"]

_REASON_SECONDS: Final = 10.0
"""So long the others may take to say how the run ended for them; who lost another one ends at once."""
_SHORTEST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_PATIENCE: Final = 5
"""So often a server may not be reached, one time after the other, before the run is given up."""


@dataclass(frozen=True, slots=True)
class SharedRun:
    """One run of three servers, at its leader.

    Attributes:
        host: the leader's side as the place of the run.
        server: its side as one of the three.
        sender: who asked.
        request: the asker's order.
        examined: the question, as the leader examined it.
    """

    host: Host
    server: Server
    sender: str
    request: messages.RunRequest
    examined: Examined

    @property
    def others(self) -> tuple[str, ...]:
        """The two other servers, the last one first: when the first is begun, it can look for both."""
        return tuple(s for s in reversed(self.server.servers) if s != self.host.peers.me)

    def work(self, sealing: Sequence[SealingKey]) -> Work:
        """The run, as this server and the others are to do it."""
        request = self.request
        begin = shares.SharesBegin(
            sql=request.sql,
            room=request.room,
            run=request.run,
            asker=self.sender,
            receivers=list(self.examined.plan.receivers),
            protection=request.protection,
            users_noise=request.users_noise,
            consents=request.consents,
            sealing=list(sealing),
        )
        return Work(Order(self.host.peers.me, begin), self.examined)

    def run(self, pace: Pace, work: Work) -> dict[str, Any]:
        """Run, settle, and deliver. The run is reserved already.

        Raises:
            HitokuError: whatever ended it; the owners and the other servers know then.
        """
        host, run = self.host, self.request.run
        owners = self.examined.question.owners
        try:
            parts = self._parts(work, pace)
        except BaseException as error:
            why = self._why(error)  # first: once they are told to stop, that is all that they have to say
            work.end()
            self._stop()
            if isinstance(error, Exception):
                pace.wait()
            host.records.fail(run, Role.HOST, type(why).__name__)
            host.settle(owners, messages.Settle(run=run, outcome="failed"))
            if isinstance(why, PeerError) or _code(why) in _ABORTED:
                raise self._aborted(why) from None
            if why is not error:
                raise why from None
            raise
        hashes = hashes_of(parts)
        digest = parts_digest(run, hashes)
        pace.wait()
        host.records.commit(run, Role.HOST, host.facts(self.examined, digest))
        outcome = messages.Settle(
            run=run, outcome="released", question=self.examined.question.hash, answer=digest
        )
        host.settle(owners, outcome)
        answers = {
            receiver: SharedAnswer(
                parts=[next(p for p in one if p.receiver == receiver) for one in parts], hashes=hashes
            )
            for receiver in self.examined.plan.receivers
        }
        if self._deliver(answers, work):
            pace.wait()  # how long it took to deliver tells how large the answer is
        return messages.RunDone(run=run, answer=None, shared=answers.get(self.sender)).model_dump(mode="json")

    def _parts(self, work: Work, pace: Pace) -> list[list[SealedPart]]:
        """All three servers' parts, in the order of the servers."""
        began: list[str] = []
        watch = _Watch(self, work)
        self.host.progress.phase("begin")
        begin = work.order.request.model_dump(mode="json")
        for other in self.others:
            began.append(other)
            given = messages.read(shares.SharesBegun, self.host.peers.call(other, begin), other)
            if given.run != work.run:
                raise PeerError(f"{other!r} answered about another run")
        watch.start()
        try:
            self.server.compute(work, self.host.progress)
            watch.wait()
        finally:
            watch.stop()
        released_at = moment(pace.next())
        found = {self.host.peers.me: self.server.parts(work, released_at)}
        finish = shares.SharesFinish(run=work.run, released_at=released_at).model_dump(mode="json")
        receivers = list(self.examined.plan.receivers)
        for other in self.others:
            reply = messages.read(shares.SharesParts, self.host.peers.call(other, finish), other)
            if reply.run != work.run or [part.receiver for part in reply.parts] != receivers:
                raise PeerError(f"{other!r} did not give a part for each receiver")
            found[other] = reply.parts
        return [found[name] for name in self.server.servers]

    def _why(self, error: BaseException) -> BaseException:
        """What ended the run first: a server that broke off for another's sake knows less than that one.

        A server that ends a run knows why before its lines end, or very soon after. So each of the others is
        asked until it gives a reason, has none (it computed its part, or lost another server itself), or
        cannot be reached. Who then cannot be reached at all is the reason.
        """
        if _code(error) not in ECHOES:
            return error
        asked = shares.SharesWait(run=self.request.run).model_dump(mode="json")
        lost = dict.fromkeys(self.others, 0)
        gone: PeerError | None = None
        until, pause = time.monotonic() + _REASON_SECONDS, _SHORTEST_PAUSE
        while lost and time.monotonic() < until:
            for other in tuple(lost):
                try:
                    reply = self.host.peers.call(other, asked)
                    if messages.read(shares.SharesGoing, reply, other).done:
                        del lost[other]
                except HitokuError as found:
                    code = _code(found)
                    if code in ECHOES:
                        del lost[other]
                    elif code is not None:  # its own word
                        return found
                    else:
                        lost[other] += 1
                        if lost[other] > _PATIENCE:
                            del lost[other]
                            gone = found if isinstance(found, PeerError) else gone
            if lost:
                self.host.clock.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 1.5)
        return gone or error

    def _aborted(self, error: BaseException) -> Refusal:
        """What the asker hears: who failed, and that nothing came out."""
        return Refusal(
            "RUN_ABORTED",
            f"the three servers did not come to an answer ({error}); nothing was given out, and the owners "
            "charge the run",
            remedy="ask again when the servers and the owners' nodes are all there; where an owner failed "
            "(INPUT), `hitoku table check` tells it why",
        )

    def _stop(self) -> None:
        message = shares.SharesStop(run=self.request.run).model_dump(mode="json")
        for other in self.others:
            with suppress(HitokuError):
                self.host.peers.call(other, message)

    def _deliver(self, answers: dict[str, SharedAnswer], work: Work) -> bool:
        """Send the others theirs. Returns whether there were any."""
        others = [receiver for receiver in answers if receiver != self.sender]
        fields = work.order.request.model_dump(exclude={"kind", "consents", "sealing"})
        for receiver in others:
            message = shares.DeliverShares(**fields, shared=answers[receiver])
            reply = self.host.peers.call(receiver, message.model_dump(mode="json"))
            messages.read(messages.Delivered, reply, receiver)
        return bool(others)


_ABORTED: Final = ECHOES | {"RUN_ABORTED"}


def _code(error: BaseException) -> str | None:
    """What an error's server said, if it said anything: peers fail with a code, or refuse with one."""
    return error.code if isinstance(error, (PeerError, Refusal)) else None


class _Watch:
    """Asks the two others, while this one computes, whether they still do: one that fails ends the run."""

    def __init__(self, run: SharedRun, work: Work) -> None:
        self._run, self._work = run, work
        self._waiting = list(run.others)
        self._lost = dict.fromkeys(run.others, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name=f"hitoku-watch-{work.run[:8]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self) -> None:
        """Wait until both have computed.

        Raises:
            HitokuError: one has not.
        """
        self._thread.join()
        self._work.check()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()

    def _look(self) -> None:
        pause = _SHORTEST_PAUSE
        while self._waiting and not self._over.is_set() and not self._work.over.is_set():
            for other in tuple(self._waiting):
                try:
                    if self._done(other):
                        self._waiting.remove(other)
                except HitokuError as error:
                    self._work.end(error)
                    return
            if self._waiting:
                self._over.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 1.5)

    def _done(self, other: str) -> bool:
        asked = shares.SharesWait(run=self._work.run).model_dump(mode="json")
        try:
            going = messages.read(shares.SharesGoing, self._run.host.peers.call(other, asked), other)
        except PeerError as error:
            self._lost[other] += 1
            if error.code is not None or self._lost[other] > _PATIENCE:  # a code is its own word
                raise
            return False
        self._lost[other] = 0
        return going.done
