# SPDX-License-Identifier: Apache-2.0
"""Nodes in one process, and `open_room`: a room whose members' directories are on this machine.

Each node reads only its own directory and answers the same messages that it would answer over a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku import ask as way
from hitoku.disclosure.plan import default_receivers
from hitoku.errors import InputError, PeerError, Refusal, RoomError
from hitoku.ports import Clock, NoProgress, Progress, SystemClock
from hitoku.room.agreement import Ability, Agreement, ProtectionName, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory, Workspace
from hitoku.room.files import write_whole
from hitoku.transport.heads import give_own_head
from hitoku.transport.in_process import InProcessNetwork, InProcessPeers

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer
    from hitoku.protections.base import Protection
    from hitoku.protections.tokens import Tokens
    from hitoku.questions import Explanation
    from hitoku.room.records import Records

__all__ = ["LocalNode", "RoomHandle", "open_room"]


class LocalNode:
    """One member's node in this process."""

    def __init__(
        self,
        directory: MemberDirectory,
        shared: Room,
        network: InProcessNetwork,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._directory = directory
        before = directory.known(shared)
        self.room = directory.room(shared)
        self.peers: InProcessPeers = network.join(directory.name, self.handle)
        self._clock = clock
        self._progress = progress
        self._prepared: Tokens | None = None
        self._forget_tables(before)

    def _forget_tables(self, before: Agreement | None) -> None:
        """Delete the host's copies of tables that left the room, or are another owner's now.

        A copy that stayed could be asked about under a rule that its owner never saw.
        """
        member = self.room.agreement.member(self._directory.name)
        if member is None or Ability.HOST not in member.abilities:
            return
        # Tables of every earlier version, not only of the one known: signing or verifying a version makes
        # it known too, and a crash may have come between.
        left = {t.name: t for version in self.room.history for t in version.agreement.tables}
        left = {n: t for n, t in left.items() if self.room.agreement.table(n) is None}
        for table in (*left.values(), *(() if before is None else before.tables)):
            now = self.room.agreement.table(table.name)
            gone = now is None or now.owner != table.owner
            while gone and (path := self._directory.table_file(table.name)) is not None:
                path.unlink()
                self.records.deleted(table.name, "it left the room" if now is None else "it has a new owner")

    def handle(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        """Answer a message that another member sent.

        Raises:
            PeerError: the sender is no member, or this member has no such duty.
            HitokuError: whatever the duty raises.
        """
        agreement = self.room.agreement
        me = agreement.member(self._directory.name)
        if me is None or agreement.member(sender) is None:
            raise PeerError(f"{sender!r} is no member of this room")
        kind = message["kind"]
        if kind == "hitoku/head-request/1":
            return give_own_head(self.records, sender, message)
        if me.name in agreement.owners():
            if kind == "hitoku/consent-request/1":
                return self._owner().consent(sender, message)
            if kind == "hitoku/settle/1":
                return self._owner().settle(sender, message)
        if Ability.HOST in me.abilities:
            if kind == "hitoku/run-request/1":
                return self._host().run(sender, message)
            if kind == "hitoku/cancel/1":
                return self._host().cancel(sender, message)
        if kind == "hitoku/deliver/1" and Ability.RECEIVE in me.abilities:
            return way.Receiver(me.name, self.room, self._keep).deliver(sender, message)
        raise PeerError(f"{me.name!r} does not answer such messages")

    @cached_property
    def records(self) -> Records:
        """What this member remembers of the room."""
        records = self._directory.records(str(self.room.agreement.id), self._clock)
        records.accept(self.room.agreement)
        records.recover()
        return records

    def prepare(self) -> None:
        """Start what takes a while on a host, while others are still checking the question."""
        me = self.room.agreement.member(self._directory.name)
        if me is None or Ability.HOST not in me.abilities or self._prepared is not None:
            return
        from hitoku.engine.tables import TableFile
        from hitoku.protections.tokens import Tokens

        files: dict[str, TableFile] = {}
        for table in self.room.agreement.tables:
            path = self._directory.table_file(table.name)
            if path is not None:
                files[table.name] = TableFile(path, "csv" if path.suffix == ".csv" else "parquet")
        self._prepared = Tokens(files)
        self._prepared.prepare()

    def cancel(self) -> None:
        """End a running question on this host, from another thread."""
        if self._prepared is not None:
            self._prepared.cancel()

    def close(self) -> None:
        """End what was prepared and not used."""
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None
        if "records" in self.__dict__:
            self.records.store.close()

    def _owner(self) -> way.Owner:
        return way.Owner(self.room, self.peers, self.records, self._directory.keys(), self._clock)

    def _host(self) -> way.Host:
        from hitoku.executors.local import Local

        return way.Host(
            room=self.room,
            peers=self.peers,
            records=self.records,
            runner=self._protection,
            executor=Local(),
            progress=self._progress,
            clock=self._clock,
        )

    def _protection(self, name: ProtectionName, tables: tuple[str, ...]) -> Protection:
        for table in tables:
            declared = self.room.agreement.table(table)
            if self._directory.table_file(table) is None:
                raise Refusal(
                    "TABLE_NOT_AT_HOST",
                    f"host {self._directory.name!r} has no copy of table {table!r}",
                    owner=None if declared is None else declared.owner,
                    remedy=f"its owner encrypts it and puts it into the host's tables/ as {table}.parquet",
                )
        self.prepare()
        if name is not ProtectionName.TOKENS or self._prepared is None:
            raise InputError(f"this host cannot run the protection {name}")
        return self._prepared

    def _keep(self, answer: Answer) -> None:
        place = self._directory.path / "answers"
        place.mkdir(exist_ok=True)
        write_whole(place / f"{answer.run}.json", json.dumps(answer.to_dict(), allow_nan=False).encode())


class RoomHandle:
    """A room in force, as one member sees it.

    Attributes:
        me: the member who asks.
        room: the agreement with its signatures, as `me` knows and verified it.
    """

    def __init__(self, workspace: Workspace, me: str, clock: Clock, progress: Progress) -> None:
        self.me = me
        self._network = InProcessNetwork()
        self._progress = progress
        nodes = {
            name: LocalNode(directory, workspace.room, self._network, clock, progress)
            for name, directory in workspace.members.items()
        }
        if me not in nodes:
            workspace.member(me)  # raises, with the names that are here
        self._nodes = tuple(nodes.values())
        self.room = nodes[me].room
        self._node = nodes[me]
        self._peers = nodes[me].peers

    def __repr__(self) -> str:
        return f"RoomHandle({self.agreement.name!r}, me={self.me!r})"

    @property
    def agreement(self) -> Agreement:
        """What the members agreed on."""
        return self.room.agreement

    @property
    def hash(self) -> str:
        """The agreement's hash, its name in every record."""
        return agreement_hash(self.room.agreement)

    def ask(
        self, sql: str, *, receivers: Iterable[str] | None = None, progress: Progress | None = None
    ) -> Answer:
        """Ask a question and receive its answer.

        Args:
            sql: one SQL statement over the room's tables.
            receivers: who else receives the answer; this member must be among them.
            progress: hears about the phases.

        Raises:
            Refusal: a rule does not allow it; says which, whose, and what to change. Also where this
                member may not receive: then `send` is the way.
            PeerError: another member cannot be reached or failed.
        """
        to = self.receivers if receivers is None else tuple(receivers)
        if self.me not in to:
            raise Refusal(
                "ASKER_DOES_NOT_RECEIVE",
                f"{self.me!r} would not receive the answer",
                rule=f"members.{self.me}.abilities",
                remedy="send the answer to who may receive: `--to MEMBER`, in Python `send`",
            )
        answer = self._go(sql, to, progress)
        if isinstance(answer, way.Sent):
            raise PeerError("the answer went to others")
        return answer

    def send(
        self, sql: str, *, receivers: Iterable[str] | None = None, progress: Progress | None = None
    ) -> way.Sent:
        """Ask a question whose answer goes to others.

        Args:
            sql: one SQL statement over the room's tables.
            receivers: who receives the answer; all who may, where nobody is named and this member may not.
            progress: hears about the phases.

        Raises:
            Refusal: a rule does not allow it.
            PeerError: another member cannot be reached or failed.
        """
        to = self.receivers if receivers is None else tuple(receivers)
        done = self._go(sql, to, progress)
        return done if isinstance(done, way.Sent) else way.Sent(done.run, done.question, done.receivers)

    @property
    def receivers(self) -> tuple[str, ...]:
        """Who receives where nobody is named: this member, if it may, otherwise all who may."""
        return default_receivers(self.room, self.me)

    def _go(self, sql: str, to: tuple[str, ...], progress: Progress | None) -> Answer | way.Sent:
        try:
            for node in self._nodes:
                node.prepare()
            return way.ask(sql, self.room, self._peers, self._node.records, progress or self._progress, to)
        finally:
            for node in self._nodes:
                node.close()

    def cancel(self) -> None:
        """End the question that another thread is asking with this handle; that thread gets an EngineError.

        What the host had begun is charged: whether and when it would have ended can depend on the data.
        """
        for node in self._nodes:
            node.cancel()

    def explain(self, sql: str) -> Explanation:
        """What would happen to a question, and what each member would learn; nothing is run."""
        from hitoku import questions
        from hitoku.protections import registry

        return questions.explain(sql, self.room, self.me, registry.choices)


def open_room(
    path: str | Path,
    me: str | None = None,
    *,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> RoomHandle:
    """Open a room whose members' directories are on this machine.

    Args:
        path: a workspace directory, or the room file in it.
        me: the member to act as; may be left out if only one member here may ask.
        clock: the time; the machine's by default.
        progress: hears about phases; nobody by default.

    Raises:
        RoomError: the room is not in force, was altered, or cannot be read; or `me` is not here.
    """
    workspace = Workspace.open(Path(path))
    if me is None:
        able = [m.name for m in workspace.room.agreement.able(Ability.QUERY) if m.name in workspace.members]
        if len(able) != 1:
            raise RoomError(f"say who asks: {' or '.join(able) or 'no member here has the ability query'}")
        me = able[0]
    return RoomHandle(workspace, me, clock or SystemClock(), progress or NoProgress())
