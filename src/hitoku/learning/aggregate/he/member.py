# SPDX-License-Identifier: Apache-2.0
"""A member's side of `he`: what stands behind its door; at the leader the driver, too."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.learning.aggregate.he.desk import Desk
from hitoku.learning.aggregate.he.sealing import GROUP_BOX_BYTES, Card, Group, begin, opened, sealed
from hitoku.learning.aggregate.he.sums import give, open_part
from hitoku.learning.aggregate.masks.statements import Scope
from hitoku.learning.aggregate.memory import Memory
from hitoku.learning.base import Task
from hitoku.learning.plan import Plan
from hitoku.learning.wire import pack, unpack
from hitoku.ports import KeyStore

if TYPE_CHECKING:
    from hitoku.learning.aggregate.he.driver import HeDriver

__all__ = ["HE_LEDGER", "HeMember"]

HE_LEDGER: Final = "he.jsonl"
Arrays = Mapping[str, NDArray[Any]]
Reply = tuple[Mapping[str, Any], Arrays]


class HeMember:
    """Answers the server's requests; see `argument` for what they may open.

    Args:
        plan: the plan that this member signed.
        run: the run's id.
        name: this member.
        keys: its keys.
        publics: every member's public key, `ed25519:...`, from the room and not from the network.
        tasks: what it can contribute; may be added to while it runs.
        state: a folder of this member for this run.
        threads: for ciphertexts; every core by default.

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
        self.plan, self.name, self.tasks, self.threads = plan, name, tasks, threads
        self.memory = Memory(state / HE_LEDGER, plan, run, name)
        self.desk = Desk()
        self.group: Group | None = None
        """The set that this member is in now, with its keys."""
        self._scope, self._keys = Scope(plan, run, publics), keys
        self._card: Card | None = None
        self._drive: Callable[[HeDriver], Mapping[str, Any] | None] | None = None
        self._thread: threading.Thread | None = None
        leaders = [entry["leader"] for entry in self.memory.ledger.entries if "leader" in entry]
        self._leader: str | None = leaders[-1] if leaders else None

    def close(self) -> None:
        """Let go of keys and state; a driver that waits ends with RunAborted."""
        self.desk.close()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self.group is not None:
            self.group.erase()
        self.memory.close()

    def lead(self, drive: Callable[[HeDriver], Mapping[str, Any] | None]) -> None:
        """What this member runs, in a thread of its own, if the server asks it to lead.

        Args:
            drive: grows the model with the `Summer` it is given; what it returns ends the run. The server
                reads it: JSON-ready, no model, no sums.
        """
        self._drive = drive

    def answer(self, kind: str, body: Mapping[str, Any], arrays: Arrays) -> Reply:
        """The reply to one request, as `hitoku.learning.door.Answer` has it.

        Raises:
            Refusal: the plan, the task or the rules about sets do not allow it.
            PeerError: the server departs from the protocol.
            InputError: a task made what does not fit, or the state cannot be written.
        """
        match kind:
            case "he/card":
                return self._offer(body)
            case "he/share":
                return self._begin(body)
            case "he/join":
                return self._join(body, arrays)
            case "he/give":
                group = self._group(body)
                number = group.take(body.get("number"))
                box = arrays.get("sealed/instruction")
                return {}, give(group, number, box, self.tasks, self.memory, self.threads)
            case "he/open":
                group = self._group(body)
                return {}, open_part(group, body.get("number"), arrays, self.memory, self.threads)
            case "he/tell":
                return self._told(body, arrays)
            case "he/next":
                return self._next(body, arrays)
        raise PeerError("there is no such kind of request", "NO_SUCH_KIND")

    # --- a set and its keys ---

    def _offer(self, body: Mapping[str, Any]) -> Reply:
        number = body.get("set")
        if self.group is not None:
            self.group.erase()
        self.group = self._card = None
        if not self.memory.sessions.use(number):
            return {"least": self.memory.sessions.last + 1}, {}
        self._card = Card.fresh(self._scope, int(number or 0))
        return self._card.signed(self._scope, self._keys, self.name), {}

    def _begin(self, body: Mapping[str, Any]) -> Reply:
        card, self._card = self._card, None
        if card is None or body.get("set") != card.number:
            raise PeerError("this member offered no keys for this set", "NO_SESSION")
        leader = body.get("leader")
        group = begin(self._scope, card, self.name, leader, body.get("keys"))
        if self._leader is None:
            self.memory.ledger.append({"leader": leader})
            self._leader = group.leader
        if self._leader != leader:
            raise Refusal(
                "LEARNING_OTHER_LEADER",
                "another member than at the start of the run would open sums: a run has one reader",
                owner=self.name,
                remedy="wait for the leader to come back, or agree on a new plan",
            )
        self.group = group
        made: dict[str, NDArray[Any]] = {"share": card.share}
        if leader == self.name:
            group.secret = os.urandom(32)
            boxes = [
                sealed(group.pair_key(peer, "group", group.number, self.name), group.secret)
                for peer in group.peers
            ]
            made["sealed/boxes"] = np.stack(boxes)
        return {}, made

    def _join(self, body: Mapping[str, Any], arrays: Arrays) -> Reply:
        group = self._group(body)
        if group.joint is not None:
            raise PeerError("the set's keys were given before", "ANSWERED")
        if self.name != group.leader:
            box = arrays.get("sealed/box")
            if box is None or box.shape != (GROUP_BOX_BYTES,):
                raise PeerError("the set's secret is malformed", "MALFORMED")
            group.secret = opened(group.pair_key(group.leader, "group", group.number, group.leader), box)
        group.join(self._scope, arrays.get("shares"))
        return {}, {}

    def _group(self, body: Mapping[str, Any]) -> Group:
        if self.group is None or body.get("set") != self.group.number:
            raise PeerError("this member is in no such set", "NO_SESSION")
        return self.group

    # --- what is told ---

    def _told(self, body: Mapping[str, Any], arrays: Arrays) -> Reply:
        group = self._group(body)
        number = group.take(body.get("number"))
        if self.name == group.leader:
            raise PeerError("the leader tells and is not told", "WRONG_MEMBER")
        header, values = unpack(opened(group.message_key("tell", number), arrays.get("sealed/said")))
        task, said = header.get("task"), header.get("body")
        if not isinstance(task, str) or not isinstance(said, dict) or task not in self.tasks:
            raise PeerError("this member's plan has no such task", "NO_SUCH_TASK")
        replied, made = self.tasks[task].told(said, values)
        key = group.pair_key(group.leader, "told", number, self.name)
        return {}, {"sealed/said": sealed(key, pack({"body": replied}, made))}

    # --- leading ---

    def _next(self, body: Mapping[str, Any], arrays: Arrays) -> Reply:
        if self._drive is None or self._leader not in (None, self.name):
            raise PeerError("this member does not lead the run", "WRONG_MEMBER")
        seconds = body.get("seconds")
        if type(seconds) not in (int, float):
            raise PeerError("a request is malformed", "MALFORMED")
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, args=(self._drive,), name="learning-driver", daemon=True
            )
            self._thread.start()
        answer = body.get("answer")
        given = (answer, arrays) if isinstance(answer, dict) else None
        return self.desk.exchange(given, float(seconds or 0))

    def _run(self, drive: Callable[[HeDriver], Mapping[str, Any] | None]) -> None:
        from hitoku.learning.aggregate.he.driver import HeDriver

        try:
            made = drive(HeDriver(self))
        except HitokuError as error:
            self.desk.finish({"do": "failed", "error": error.to_dict()})
        except Exception as error:
            # A message of another library can quote a value: the server reads the kind of error alone.
            self.desk.finish({"do": "failed", "error": {"error": type(error).__name__, "message": "failed"}})
        else:
            self.desk.finish({"do": "finished", "said": dict(made or {})})
