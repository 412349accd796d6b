# SPDX-License-Identifier: Apache-2.0
"""Votes against poisoned updates: each member judges the joint model on its own holdout and signs its vote.

A vote is about a *block*: the steps `start` to `end` of one run. It says accept or reject, with the member's
Ed25519 key over plan, run, block and digest of the model's step count. A block is rejected if more than a
third of the plan's members reject it. Then every member takes its steps back, and the run goes on without
one member, or stops.

What a member checks for itself, whatever the server says: after it voted it contributes to nothing until the
votes are shown, its own among them, and too few of them reject; a roll-back needs more than a third of the
plan's members' signed rejections of that block. A session over a set without some member needs such
rejections, or the server's signed word that the member was lost: that word is kept in both sides'
transcripts, and an audit that has the folder of the member called lost sees whether it was.

A vote is one bit about one member's own holdout rows, told in the open, on a model that the driver shows:
many votes on models of its choice would read those rows. So a member votes only where the plan has votes
(never with privacy, whose noise covers none), on blocks that follow one another and are no longer than the
plan's, once each: asked again, it repeats what it said. Only after a roll-back of the block, with the signed
rejections that it takes, it judges another one there, and in a whole run at most `most_votes` times. All of
this survives restarts, given a folder for it.

What this cannot do. Bounds of single updates are not proven: under masks or encryption a poisoned update can
be any vector of the ring, so one block can be spoiled entirely; votes notice it where it hurts a holdout, and
the roll-back bounds the loss to the block. With five members there are no groups whose medians could be
compared without opening sums of one or two members. Sums with and without one member (leave-one-out) are
never opened over the same rows: their difference is that member's contribution. So votes judge the joint
model only, and who did it is found by leaving out one member after the other on fresh rows. Poison that no
holdout notices (a backdoor on rows that no bank has) is not noticed. A third of the members that reject
everything can stop a run. Where rejections go back to the start, what was counted with the member that is
left out (the joint rate, the bins) is counted anew without it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import Refusal
from hitoku.learning.base import Arrays, Instruction, Task
from hitoku.learning.ledger import Ledger
from hitoku.learning.plan import Boosting, Plan, plan_hash
from hitoku.ports import KeyStore
from hitoku.room.keys import valid_signature

__all__ = ["Block", "Guarded", "Vote", "ballot", "blind_loss", "most_votes", "needed", "rejected"]

_DOMAIN: Final = b"hitoku/learning-vote/1\n"
_LEDGER: Final = "votes.jsonl"
_EACH: Final = 10
"""So many holdout rows of each label make a bank's own rate something to measure by."""
_WORSE_THAN_BLIND: Final = 2.0


def ballot(plan: Plan, before: float, after: float, blind: float | None = None) -> bool:
    """Whether a member accepts a block, by its holdout's mean loss before and after.

    A loss that is not a number is rejected. Losses below a millionth count as that: a relative bound on
    almost nothing would reject rounding. A model with more than twice the loss of one that knows nothing but
    the bank's own rate is rejected, too: it was bad before the first vote (flipped labels are in the joint
    rate, where margins begin), so that each block looks like progress. Twice, because honest banks' rates
    differ: one with a tenth of the others' frauds sees 1.4 times its own at first.

    Args:
        plan: says how much worse a block may be.
        before: the mean loss before the block.
        after: the mean loss after it.
        blind: of `blind_loss`; None where the holdout cannot tell.
    """
    if not (math.isfinite(before) and math.isfinite(after)):
        return False
    if blind is not None and after > _WORSE_THAN_BLIND * max(blind, 1e-6):
        return False
    return after <= max(before, 1e-6) * (1 + plan.guard.worse)


def blind_loss(label: NDArray[np.uint8], positive: float) -> float | None:
    """The mean weighted loss of the best constant on a bank's own holdout rows: the entropy of their rate.

    Args:
        label: the holdout's labels, 0 and 1, shape (rows,).
        positive: the weight of label 1.

    Returns:
        The loss; None where there are fewer than ten rows of one of the labels.
    """
    ones = int(np.count_nonzero(label))
    if min(ones, len(label) - ones) < _EACH:
        return None
    rate = positive * ones / (positive * ones + len(label) - ones)
    return -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))


def needed(plan: Plan) -> int:
    """How many rejections reject: more than a third of the plan's members."""
    return len(plan.members) // 3 + 1


def most_votes(plan: Plan) -> int:
    """How many blocks a member judges in a run: one for each, and some for those that were taken back."""
    if not plan.guard.every:
        return 0
    return -(-_steps(plan) // plan.guard.every) + 3 * len(plan.members) + plan.aggregation.changes


def _steps(plan: Plan) -> int:
    return plan.model.trees if isinstance(plan.model, Boosting) else plan.model.rounds


@dataclass(frozen=True, slots=True)
class Block:
    """Steps `start` to `end` of a run, the last one not included."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Vote:
    """One member's signed word on a block."""

    member: str
    block: Block
    accept: bool
    signature: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "member": self.member,
            "from": self.block.start,
            "to": self.block.end,
            "accept": self.accept,
            "signature": self.signature,
        }

    @classmethod
    def of(cls, data: Any) -> Vote | None:
        """A vote as it came from outside; None if it is none. Its signature is not verified here."""
        if not isinstance(data, Mapping) or set(data) != {"member", "from", "to", "accept", "signature"}:
            return None
        member, start, end = data["member"], data["from"], data["to"]
        accept, signature = data["accept"], data["signature"]
        if not (isinstance(member, str) and isinstance(signature, str) and type(accept) is bool):
            return None
        if not (type(start) is int and type(end) is int and 0 <= start < end):
            return None
        return cls(member, Block(start, end), accept, signature)

    @classmethod
    def cast(cls, plan: Plan, run: str, member: str, block: Block, accept: bool, keys: KeyStore) -> Vote:
        """A member's vote, signed."""
        signature = base64.b64encode(keys.sign(_message(plan, run, member, block, accept))).decode()
        return cls(member, block, accept, signature)

    def holds(self, plan: Plan, run: str, publics: Mapping[str, str]) -> bool:
        """Whether it is a vote of a member of the plan in this run."""
        message = _message(plan, run, self.member, self.block, self.accept)
        return self.member in plan.members and valid_signature(
            publics.get(self.member, ""), message, self.signature
        )


def _message(plan: Plan, run: str, member: str, block: Block, accept: bool) -> bytes:
    verdict = "accept" if accept else "reject"
    text = f"{run}\n{member}\n{block.start}\n{block.end}\n{verdict}\n"
    return _DOMAIN + plan_hash(plan) + text.encode()


def rejected(plan: Plan, run: str, block: Block, votes: Iterable[Vote], publics: Mapping[str, str]) -> bool:
    """Whether the signed votes reject a block; what is not signed, or of another block, does not count."""
    against = {
        vote.member
        for vote in votes
        if vote.block == block and not vote.accept and vote.holds(plan, run, publics)
    }
    return len(against) >= needed(plan)


class Guarded:
    """A member's task of the model, behind what the member checks for itself: votes, roll-backs, sets.

    Args:
        task: the model's task.
        plan: the signed plan.
        run: the run's id.
        name: the member.
        keys: signs its votes.
        publics: the members' public keys.
        state: the member's folder of the run, where its votes outlive a restart; None: in memory.

    Raises:
        InputError: the votes in the folder are damaged, of another run, or in use.
    """

    def __init__(
        self,
        task: Task,
        plan: Plan,
        run: str,
        name: str,
        keys: KeyStore,
        publics: Mapping[str, str],
        state: Path | None = None,
    ) -> None:
        self._task = task
        self._plan, self._run, self._name = plan, run, name
        self._keys, self._publics = keys, publics
        self._set = frozenset(plan.members)
        self._cast: Vote | None = None
        self._judged = 0
        self._voted: list[Vote] = []
        """Votes on blocks that were not taken back."""
        self._ledger: Ledger | None = None
        if state is not None and plan.guard.every:
            self._ledger = Ledger(state / _LEDGER, plan_hash(plan), run, name)
            for entry in self._ledger.entries:
                self._apply(entry)
        self.lost: list[tuple[str, ...]] = []
        """The members that the server said were lost, each time it said so."""

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """The task's vector, for a set that this member knows the reason of.

        Raises:
            Refusal: ``LEARNING_SET_UNEXPLAINED``: a member is missing, and nobody said why.
            ``LEARNING_VOTES``:
                this member voted, and was not shown what came of it.
        """
        if self._cast is not None:
            raise _refusal("LEARNING_VOTES", "the votes on the last block were not shown", self._name)
        without = self._set - set(members)
        if without:
            raise Refusal(
                "LEARNING_SET_UNEXPLAINED",
                f"the sum would be over a set without {', '.join(sorted(without))}, and no reason was given",
                owner=self._name,
                rule="members",
                remedy="say which member was lost, or show the signed votes that rejected a block",
            )
        return self._task.contribute(instruction, members)

    def told_state(self) -> bytes:
        """As the task: see `aggregate.instructions.told_state`."""
        state = getattr(self._task, "told_state", None)
        return b"" if state is None else bytes(state())

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """Votes are signed, roll-backs and sets are checked, everything else goes to the task.

        Raises:
            Refusal: ``LEARNING_VOTES``: too few signed rejections; ``LEARNING_SET``: the set is none of the
            plan.
        """
        match body.get("do"):
            case "vote":
                return self._vote(body, arrays)
            case "votes":
                return self._accepted(body)
            case "rollback":
                start = body.get("to")
                if type(start) is not int:
                    raise _refusal("LEARNING_VOTES", "a roll-back names the step to go back to", self._name)
                self._check(body.get("votes"), start)
                self._remember({"back": start})
                self._cast = None
                return self._task.told({"do": "rollback", "to": start}, arrays)
            case "present":
                return {"ready": True}, {}
            case "set":
                return self._explain(body)
            case _:
                return self._task.told(body, arrays)

    def _vote(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        start, end = body.get("from"), body.get("to")
        if not (type(start) is int and type(end) is int and 0 <= start < end):
            raise _refusal("LEARNING_VOTES", "a vote is about the steps of a block, from and to", self._name)
        every = self._plan.guard.every
        before = next((vote for vote in self._voted if vote.block == Block(start, end)), None)
        if before is not None:
            self._cast = before
            return {"vote": before.to_dict()}, {}
        if end - start > every or end > _steps(self._plan):
            raise _refusal("LEARNING_VOTES", "the plan has no votes on such a block", self._name)
        if any(vote.block.end > start for vote in self._voted):
            raise _refusal(
                "LEARNING_VOTES", "this member voted on these steps, and they were not taken back", self._name
            )
        if self._judged >= most_votes(self._plan):
            raise _refusal("LEARNING_VOTES", "this member has voted as often as a run needs", self._name)
        judged, _ = self._task.told({"do": "vote", "from": start}, arrays)
        accept = judged.get("accept") is True
        vote = Vote.cast(self._plan, self._run, self._name, Block(start, end), accept, self._keys)
        self._remember({"vote": vote.to_dict()})
        self._cast = vote
        return {"vote": vote.to_dict()}, {}

    def close(self) -> None:
        """Let go of the state."""
        if self._ledger is not None:
            self._ledger.close()

    def _remember(self, entry: Mapping[str, Any]) -> None:
        if self._ledger is not None:
            self._ledger.append(entry)
        self._apply(entry)

    def _apply(self, entry: Mapping[str, Any]) -> None:
        vote = Vote.of(entry.get("vote"))
        if vote is not None:
            self._judged += 1
            self._voted.append(vote)
        if "back" in entry:
            self._voted = [vote for vote in self._voted if vote.block.end <= entry["back"]]

    def _accepted(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        """A block stays: this member's own vote is among those shown, and too few reject."""
        votes = _read(body.get("votes"))
        if self._cast is not None:
            if self._cast not in votes:
                raise _refusal(
                    "LEARNING_VOTES", "this member's own vote is not among those shown", self._name
                )
            if rejected(self._plan, self._run, self._cast.block, votes, self._publics):
                raise _refusal("LEARNING_VOTES", "the block was rejected and must be taken back", self._name)
        self._cast = None
        return {"ready": True}, {}

    def _explain(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        given = body.get("members")
        names = given if isinstance(given, list) and all(isinstance(n, str) for n in given) else []
        members = frozenset(names)
        if len(members) != len(names) or not members <= set(self._plan.members):
            raise _refusal("LEARNING_SET", "the set has names that the plan has not", self._name)
        if len(members) < self._plan.threshold:
            raise _refusal(
                "LEARNING_SET", f"the set has fewer than {self._plan.threshold} members", self._name
            )
        because = body.get("because")
        gone = tuple(sorted(self._set - members))
        if because == "votes":
            self._check(body.get("votes"), None)
        elif because == "loss":
            self.lost.append(gone)
        elif because != "rejoin" or gone:
            raise _refusal("LEARNING_SET", "a smaller set needs votes or a loss", self._name)
        self._set = members
        return {"ready": True}, {}

    def _check(self, given: Any, start: int | None) -> None:
        votes = _read(given)
        for block in {vote.block for vote in votes if start in {None, vote.block.start}}:
            if rejected(self._plan, self._run, block, votes, self._publics):
                return
        raise _refusal(
            "LEARNING_VOTES",
            f"fewer than {needed(self._plan)} members' signed rejections of one block were shown",
            self._name,
        )


def _read(given: Any) -> list[Vote]:
    if not isinstance(given, list) or len(given) > limits.MAX_MEMBERS:
        return []
    return [vote for vote in map(Vote.of, given) if vote is not None]


def _refusal(code: str, message: str, owner: str) -> Refusal:
    return Refusal(
        code,
        message,
        owner=owner,
        rule="guard",
        remedy="the server must follow the plan that all members signed",
    )
