# SPDX-License-Identifier: Apache-2.0
"""A member's side of `masks`: what stands behind its door."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from hitoku.errors import PeerError
from hitoku.learning.aggregate.masks.rounds import RoundSide
from hitoku.learning.aggregate.masks.sessions import SessionSide
from hitoku.learning.aggregate.masks.statements import Scope
from hitoku.learning.aggregate.memory import Memory
from hitoku.learning.base import Task
from hitoku.learning.plan import Plan
from hitoku.ports import KeyStore

__all__ = ["MEMBER_LEDGER", "MasksMember"]

MEMBER_LEDGER: Final = "masks.jsonl"


class MasksMember:
    """Answers the server's requests; see `hitoku.learning.aggregate.masks` for what they may open.

    Args:
        plan: the plan that this member signed.
        run: the run's id.
        name: this member.
        keys: its keys.
        publics: every member's public key, `ed25519:...`, from the room and not from the network.
        tasks: what it can contribute; may be added to while it runs.
        state: a folder of this member for this run.
        threads: for masks; every core by default.

    Raises:
        InputError: the state belongs to something else, is damaged, or in use.
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
        scope = Scope(plan, run, publics)
        self._tasks = tasks
        self.memory = Memory(state / MEMBER_LEDGER, plan, run, name)
        self._sessions = SessionSide(scope, name, keys, tasks, self.memory, threads)
        self._rounds = RoundSide(scope, name, keys, tasks, self.memory, threads)

    def close(self) -> None:
        """Let go of the state."""
        self.memory.close()

    def answer(
        self, kind: str, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]:
        """The reply to one request, as `hitoku.learning.door.Answer` has it.

        Raises:
            Refusal: the plan, the task or the rules about sets do not allow it.
            PeerError: the server departs from the protocol.
            InputError: a task made what does not fit, or the state cannot be written.
        """
        match kind:
            case "masks.keys":
                return self._sessions.offer(body)
            case "masks.sum":
                return self._sessions.sum(body, arrays)
            case "masks.advertise":
                return self._rounds.advertise(body)
            case "masks.share":
                return self._rounds.share(body)
            case "masks.masked":
                return self._rounds.masked(body, arrays)
            case "masks.consistent":
                return self._rounds.consistent(body)
            case "masks.unmask":
                return self._rounds.unmask(body)
            case "masks.tell":
                return self._told(body, arrays)
        raise PeerError("there is no such kind of request", "NO_SUCH_KIND")

    def _told(self, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> tuple[Any, Any]:
        task, said = body.get("task"), body.get("body")
        if not isinstance(task, str) or not isinstance(said, dict) or task not in self._tasks:
            raise PeerError("this member's plan has no such task", "NO_SUCH_TASK")
        return self._tasks[task].told(said, arrays)
