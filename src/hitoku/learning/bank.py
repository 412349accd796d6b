# SPDX-License-Identifier: Apache-2.0
"""A bank's side of a run: a resident object that holds rows and keys and answers the server's requests.

Requests come in as bytes, from whatever carries them, and replies go out as bytes. Between them stand, in
this order: the door (is it signed by the server of this run, for this member, not seen before), the protocol
of the plan's aggregation (may this sum open), the guard (votes, roll-backs, sets), and the task that knows
rows. No part has a way round the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import Refusal, RoomError
from hitoku.learning.base import Arrays, Instruction, Rows, Summer, Task, TooFewMembers
from hitoku.learning.door import Door
from hitoku.learning.driver import Checkpoints, Outcome, drive
from hitoku.learning.guard import Guarded
from hitoku.learning.plan import Plan, plan_hash
from hitoku.learning.trainers import model_task, trainer_of
from hitoku.learning.transcript import Transcript
from hitoku.ports import KeyStore
from hitoku.room.files import write_whole

__all__ = ["Bank", "finish", "lead", "make_tasks"]

END: Final = "run"
"""The task that hears of a run's end."""
_MODEL: Final = "model.json"
_TRANSCRIPT: Final = "transcript.jsonl"


class _Side(Protocol):
    """A protocol's member side."""

    def answer(
        self, kind: str, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]: ...

    def close(self) -> None: ...


def make_tasks(plan: Plan, rows: Rows, state: Path | None = None) -> dict[str, Task]:
    """What a member can contribute to a run of a plan, by task.

    Args:
        plan: the signed plan.
        rows: the member's rows, without the features of counters.
        state: the member's folder of the run, for what must survive a restart; None: in memory.

    Raises:
        InputError: the rows are not those that the plan describes.
    """
    kind = plan.model.kind
    if not plan.data.counters:
        return {kind: model_task(plan, rows, state)}
    from hitoku.learning.counting import Counted

    counted = Counted(plan, rows, lambda whole: model_task(plan, whole, state))
    return {"counters": counted.counters, kind: counted.model}


class Bank:
    """One member in one run. Close it, or use it in `with`.

    Args:
        plan: the plan that this member signed; checked by the caller (`SignedPlan.verify`).
        run: the run's id.
        name: the member.
        keys: its keys.
        publics: the public keys of all members and of the server, from the room.
        tasks: from `make_tasks`.
        state: the member's folder of this run: what it must not forget, its transcript, the model at the end.
        threads: for masks and encryption; every core by default.

    Raises:
        InputError: the folder belongs to another run, is damaged, or in use by another process.
    """

    def __init__(
        self,
        plan: Plan,
        run: str,
        name: str,
        keys: KeyStore,
        publics: Mapping[str, str],
        tasks: Mapping[str, Task],
        state: Path,
        threads: int | None = None,
    ) -> None:
        if name not in plan.members or plan.server not in publics:
            raise RoomError(f"{name!r} brings no rows in plan {plan.name!r}")
        kind = plan.model.kind
        self.name = name
        self.guard = Guarded(tasks[kind], plan, run, name, keys, publics, state)
        self._end = _End(state)
        behind: dict[str, Task] = {**tasks, kind: self.guard, END: self._end}
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._side = _side(plan, run, name, keys, publics, behind, state, threads)
        transcript = Transcript(state / _TRANSCRIPT, party=name, plan=plan_hash(plan), run=run)
        self._door = Door(
            plan_hash(plan), run, name, keys, publics[plan.server], state, self._side.answer, transcript
        )
        self._transcript = transcript

    def __enter__(self) -> Bank:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the state."""
        self._door.close()
        self._side.close()
        self.guard.close()
        self._transcript.close()

    def handle(self, content: bytes) -> bytes:
        """The signed reply to a request.

        Raises:
            PeerError: it is not a request of this run's server to this member; nothing is said about it.
            InputError: the state cannot be written; nothing was answered.
        """
        return self._door.handle(content)

    @property
    def ended(self) -> dict[str, Any] | None:
        """What the server said at the run's end, with the hash of the model's file; None before that."""
        return self._end.said


class _End:
    """Hears of the run's end, and keeps the model that this member helped to make."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.said: dict[str, Any] | None = None

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """Nothing: no sum is made here.

        Raises:
            Refusal: always.
        """
        del instruction, members
        raise Refusal(
            "LEARNING_NO_SUM", "the end of a run has no sum", rule="task", remedy="ask a task of the plan"
        )

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """Keep the model; the file is checked when it is read."""
        model = arrays.get("model")
        steps, stopped = body.get("steps"), body.get("stopped")
        said = type(steps) is int and 0 <= steps < 1 << 32 and stopped in (None, "early", "votes", "changes")
        if body.get("do") != "end" or not said or model is None or model.dtype != np.uint8:
            raise Refusal(
                "LEARNING_END", "a run ends with a model", rule="task", remedy="send the model's file"
            )
        content = model.tobytes()
        write_whole(self._state / _MODEL, content)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.said = {"model": digest, "steps": steps, "stopped": stopped}
        return {"model": digest}, {}


def _side(
    plan: Plan,
    run: str,
    name: str,
    keys: KeyStore,
    publics: Mapping[str, str],
    tasks: Mapping[str, Task],
    state: Path,
    threads: int | None,
) -> _Side:
    if plan.aggregation.kind == "masks":
        from hitoku.learning.aggregate.masks import MasksMember

        return MasksMember(plan, run, name, keys, publics, tasks, state, threads)
    from hitoku.learning.aggregate.he import HeMember

    member = HeMember(plan, run, name, keys, publics, tasks, state, threads)
    member.lead(lambda summer: lead(plan, summer, run, publics, state))
    return member


def lead(plan: Plan, summer: Summer, run: str, publics: Mapping[str, str], state: Path) -> dict[str, Any]:
    """Drive a run as its leader, with `he`: this member opens the sums, the server is blind.

    Returns:
        What the server gets to read: how the run went, and the model's hash; not the model.
    """
    from hitoku.learning.counting import SummedCounters

    outcome = drive(
        plan,
        trainer_of(plan),
        summer,
        Checkpoints(state, plan, run),
        run=run,
        publics=publics,
        counting=SummedCounters(plan) if plan.data.counters else None,
    )
    have = finish(summer, outcome)
    digest = "sha256:" + hashlib.sha256(outcome.model).hexdigest()
    return {"model": digest, "delivered": list(have), **outcome.to_dict()}


def finish(summer: Summer, outcome: Outcome) -> tuple[str, ...]:
    """Give every member the model, also one that was left out. Returns who has it."""
    include = getattr(summer, "include", None)
    if include is not None:
        for name in outcome.left_out:
            include(name)
        if outcome.left_out:
            # With `he` members hear what the set hears: it is formed anew, nothing is summed.
            with suppress(TooFewMembers, Refusal), summer.fixed():
                pass
    body = {"do": "end", "steps": outcome.steps, "stopped": outcome.stopped}
    answers = summer.tell(END, body, {"model": np.frombuffer(outcome.model, np.uint8)})
    digest = "sha256:" + hashlib.sha256(outcome.model).hexdigest()
    return tuple(sorted(name for name, (said, _) in answers.items() if said.get("model") == digest))
