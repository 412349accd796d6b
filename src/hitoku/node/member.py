# SPDX-License-Identifier: Apache-2.0
"""One member's node in this process: it reads its own directory only and answers the others' messages."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hitoku import ask as way
from hitoku.errors import InputError, PeerError, Refusal
from hitoku.ports import Clock, Progress
from hitoku.room.agreement import Ability, Agreement, ProtectionName, Room
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import write_whole
from hitoku.transport.heads import give_own_head
from hitoku.transport.in_process import InProcessNetwork, InProcessPeers

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer
    from hitoku.protections.base import Protection
    from hitoku.protections.tokens import Tokens
    from hitoku.room.records import Records

__all__ = ["LocalNode"]


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
            if gone:
                self.records.forget_answers(table.name)
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
            if kind == "hitoku/preview-request/1":
                return self._owner().preview(sender, message)
        if Ability.HOST in me.abilities:
            if kind == "hitoku/run-request/1":
                return self._host().run(sender, message)
            if kind == "hitoku/cancel/1":
                return self._host().cancel(sender, message)
            if kind == "hitoku/lookup/1":
                return self._host().look_up(sender, message)
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
            versions=self._versions,
            executor=Local(),
            progress=self._progress,
            clock=self._clock,
        )

    def _versions(self, tables: tuple[str, ...]) -> str | None:
        """A hash that changes whenever one of the tables' files does, as the file system tells it.

        None where one is not here: then nothing can be told of its version.

        A file written in place with its size and all its times put back is taken for the same one; only who
        can write the host's files, and set its clock, can do that.
        """
        facts: dict[str, Any] = {}
        for name in tables:
            path = self._directory.table_file(name)
            if path is None:
                return None
            try:
                s = path.stat()
            except OSError:
                return None
            times = [str(s.st_mtime_ns), str(s.st_ctime_ns)]
            facts[name] = [path.name, str(s.st_size), str(s.st_ino), *times]
        return digest("hitoku/table-versions/1", canonical_json(facts))

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
