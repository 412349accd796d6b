# SPDX-License-Identifier: Apache-2.0
"""The course of a run: counters, preparation, steps, losses, votes; one way for every model and aggregation.

With `masks` it runs at the server, with `he` in a thread of the leader. It sees what a `Summer` opens and
what members say in the open, nothing else. After each step everything that is needed to go on is written to a
`Checkpoints`, so that a crash costs the step that was under way. A step whose set lost a member is discarded
by the trainer; the next one is over a new set, on fresh rows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from hitoku.errors import PeerError, Refusal
from hitoku.learning.base import (
    SessionLost,
    Summer,
    Trainer,
)
from hitoku.learning.checkpoints import Checkpoints, State
from hitoku.learning.explaining import Explaining
from hitoku.learning.guard import Block, Vote, rejected
from hitoku.learning.plan import Boosting, Plan
from hitoku.ports import NoProgress, Progress

__all__ = ["Checkpoints", "Counting", "Outcome", "drive"]

_NOT_READY: Final = {"LEARNING_NOT_READY", "LEARNING_SET_UNEXPLAINED", "LEARNING_VOTES"}
"""What a member that was started again says: it is told how things stand, and the step is made again."""


class Counting(Protocol):
    """The driver's side of what is counted before a model is trained; see `hitoku.learning.counters`."""

    def count(self, summer: Summer) -> dict[str, NDArray[Any]]:
        """Open the sums, once in a run, and tell every member."""
        ...

    def tell(self, summer: Summer, sums: Mapping[str, NDArray[Any]]) -> None:
        """Tell every member the sums again: one that was started again has forgotten them."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        model: the model's file.
        steps: how many trees or rounds it has.
        stopped: why it ended before its plan: ``early``, ``votes`` or ``changes``; None where it did not.
        losses: how many steps were discarded because a member was lost.
        left_out: who was left out after votes.
        events: what happened, in order.
        seconds: of work, those before a crash included.
    """

    model: bytes
    steps: int
    stopped: str | None
    losses: int
    left_out: tuple[str, ...]
    events: tuple[Mapping[str, Any], ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without the model."""
        return {
            "steps": self.steps,
            "stopped": self.stopped,
            "losses": self.losses,
            "left_out": list(self.left_out),
            "events": [dict(event) for event in self.events],
            "seconds": round(self.seconds, 3),
        }


def drive(
    plan: Plan,
    trainer: Trainer,
    summer: Summer,
    store: Checkpoints,
    progress: Progress | None = None,
    *,
    run: str,
    publics: Mapping[str, str],
    counting: Counting | None = None,
) -> Outcome:
    """Grow a model to its end, or as far as members and votes allow.

    Args:
        plan: the plan that all members signed.
        trainer: the model's driver side.
        summer: opens sums.
        store: where the state is kept; a run that was interrupted goes on from it.
        progress: hears of the phases.
        run: the run's id.
        publics: the members' public keys, for their votes.
        counting: what is counted first; None where the plan has no counters.

    Raises:
        TooFewMembers: fewer than the threshold are left; the state is kept, and the run can go on later.
        InputError: what is kept is of another run.
    """
    return _Drive(
        plan,
        trainer,
        summer,
        store,
        NoProgress() if progress is None else progress,
        run,
        publics,
        counting,
    ).go()


class _Drive:
    def __init__(
        self,
        plan: Plan,
        trainer: Trainer,
        summer: Summer,
        store: Checkpoints,
        progress: Progress,
        run: str,
        publics: Mapping[str, str],
        counting: Counting | None,
    ) -> None:
        self._plan, self._trainer, self._store = plan, trainer, store
        self._progress, self._run, self._publics, self._counting = progress, run, publics, counting
        self._state = State()
        self._inner = summer
        self._summer = Explaining(plan, summer, self._state, self._save, self._welcome)
        self._prepared = False
        self._stopped: str | None = None
        self._began = time.monotonic()

    def go(self) -> Outcome:
        kept = self._store.load()
        if kept is not None:
            self._resume(*kept)
        if self._counting is not None:
            self._progress.phase("count")
            if self._state.counted:
                self._counting.tell(self._summer, self._state.sums)
            else:
                self._state.sums = self._counting.count(self._summer)
                self._state.counted = True
            # Rows are in the counters' sums already: over another set, members want fresh ones.
            begun = getattr(self._trainer, "begun", None)
            if begun is not None and self._state.first:
                begun(tuple(self._state.first))
        self._progress.phase("prepare")
        self._prepare()
        self._save()
        self._synchronise()
        if self._votes and self._trainer.done > self._state.accepted:
            self._vote()  # one that a crash may have cut short: members wait for what comes of it
        model = self._plan.model
        total = model.trees if isinstance(model, Boosting) else model.rounds
        self._progress.phase("learn", total)
        self._progress.advance(self._trainer.done)
        while self._stopped is None and not self._over():
            before = self._trainer.done
            if self._again(lambda: self._trainer.step(self._summer)):
                self._save()
                self._progress.advance(self._trainer.done - before)
        if self._stopped is None and self._trainer.done < total:
            self._stopped = "early"
        self._save()
        return Outcome(
            model=self._trainer.model(),
            steps=self._trainer.done,
            stopped=self._stopped,
            losses=self._state.losses,
            left_out=() if self._state.out is None else (self._state.out,),
            events=tuple(self._state.events),
            seconds=self._state.seconds,
        )

    def _prepare(self) -> None:
        """What is needed before the first step; nothing where it is there."""
        while self._stopped is None:
            try:
                self._trainer.prepare(self._summer)
            except (SessionLost, Refusal) as error:
                self._lost(error)
                continue
            self._prepared = True
            break

    @property
    def _votes(self) -> bool:
        return self._plan.guard.every > 0

    def _over(self) -> bool:
        """Whether all steps are done; votes where it is time to."""
        block = self._trainer.done - self._state.accepted
        if self._votes and block > 0 and (block >= self._plan.guard.every or self._trainer.finished):
            self._vote()
        return self._stopped is not None or self._trainer.finished

    def _resume(self, trainer: bytes, state: State) -> None:
        self._trainer.restore(trainer)
        self._state = state
        self._summer = Explaining(self._plan, self._inner, state, self._save, self._welcome)
        self._event("resumed", done=self._trainer.done)
        if state.out is not None:
            self._inner.exclude(state.out)

    def _save(self) -> None:
        now = time.monotonic()
        self._state.seconds += now - self._began
        self._began = now
        self._store.save(self._trainer.checkpoint(), self._state)

    def _event(self, event: str, **facts: Any) -> None:
        self._state.events.append({"event": event, "done": self._trainer.done} | facts)

    def _again(self, work: Any) -> bool:
        """Do it; on a loss, let the members know the state of things again. Whether it was done."""
        try:
            work()
        except (SessionLost, Refusal) as error:
            self._lost(error)
            if self._stopped is None:
                self._save()
                self._synchronise()
            return False
        return True

    def _lost(self, error: SessionLost | Refusal) -> None:
        if isinstance(error, SessionLost):
            self._event("lost", members=list(error.lost))
        elif error.code in _NOT_READY:
            self._event("not ready", code=error.code)
        else:
            raise error
        self._state.losses += 1
        self._summer.forget()
        if self._state.losses > self._plan.aggregation.changes:
            self._stopped = "changes"
        elif self._counting is not None and self._state.counted:
            self._counting.tell(self._summer, self._state.sums)

    def _synchronise(self) -> None:
        """Tell every member how things stand; what came of the last vote first, if one of them missed it."""
        if self._state.settled:
            self._summer.tell(self._plan.model.kind, self._state.settled)
        self._trainer.synchronise(self._summer)

    def _welcome(self) -> None:
        """A member came back: it has missed what the others were told, and would refuse the next sum."""
        if self._counting is not None and self._state.counted:
            self._counting.tell(self._summer, self._state.sums)
        if self._prepared:
            self._synchronise()

    def _vote(self) -> None:
        block = Block(self._state.accepted, self._trainer.done)
        kind = self._plan.model.kind
        answers = self._summer.tell(kind, {"do": "vote", "from": block.start, "to": block.end})
        votes = []
        for name, (body, _) in answers.items():
            vote = Vote.of(body.get("vote"))
            right = vote is not None and vote.member == name and vote.block == block
            if vote is not None and right and vote.holds(self._plan, self._run, self._publics):
                votes.append(vote)
        against = sorted(vote.member for vote in votes if not vote.accept)
        reject = rejected(self._plan, self._run, block, votes, self._publics)
        self._event(
            "vote",
            start=block.start,
            accepted=not reject,
            against=against,
            votes=[v.to_dict() for v in votes],
        )
        shown = [vote.to_dict() for vote in votes]
        if not reject:
            self._state.settled = {"do": "votes", "votes": shown}
            self._summer.tell(kind, self._state.settled)
            self._state.accepted = block.end
            self._state.tried = []
            self._save()
            return
        self._state.settled = {"do": "rollback", "to": block.start, "votes": shown}
        self._summer.tell(kind, self._state.settled)
        self._trainer.rollback(block.start)
        self._save()
        self._rotate(votes)
        # Who comes back must know what the others know before its masks cancel with theirs.
        self._trainer.synchronise(self._summer)
        if not block.start and self._stopped is None:
            self._prepare()
            self._trainer.synchronise(self._summer)
        self._save()

    def _rotate(self, votes: list[Vote]) -> None:
        """Leave out another member; those first that saw nothing wrong with the block."""
        include = getattr(self._inner, "include", None)
        accepting = [vote.member for vote in votes if vote.accept]
        order = sorted(set(accepting)) + sorted(set(self._plan.members) - set(accepting))
        room = len(self._plan.members) - 1 >= self._plan.threshold
        if self._plan.guard.rotate and include is not None and room:
            for name in order:
                if name in self._state.tried:
                    continue
                self._state.tried.append(name)
                try:
                    self._inner.exclude(name)
                except PeerError:
                    continue  # the leader of a run with `he`: nobody else opens sums
                if self._state.out is not None:
                    include(self._state.out)
                self._state.out = name
                self._state.shown = [vote.to_dict() for vote in votes]
                self._event("left out", member=name)
                return
        self._stopped = "votes"
