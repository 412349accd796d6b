# SPDX-License-Identifier: Apache-2.0
"""One room as a node serves it, from version to version, without a restart.

The room file is looked at now and then. A newer version in it that all have signed who must, and that
continues the one this member knows, takes the place of the one that is served; anything else is said in the
log and left alone. The change waits until no run is under way: a run ends under the agreement under which it
began, and the copies of tables that left the room are deleted only then. Runs that come in that moment wait
for the change, and are then refused by the new version: their consents were given under the one before.

Messages that are being answered meanwhile end with the node of the version under which they began; it is
closed after the last of them.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hitoku.errors import InputError, PeerError, Refusal, RoomError
from hitoku.node.certificate import check_key
from hitoku.node.member import LocalNode
from hitoku.node.metrics import Meter
from hitoku.node.quotas import Asked, Quotas
from hitoku.node.settings import NodeSettings, RoomSettings
from hitoku.node.view import stamp
from hitoku.ports import Clock
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.room.signing import missing
from hitoku.room.versions import newest_in_force
from hitoku.transport.https import bounds
from hitoku.transport.https.app import Served
from hitoku.transport.https.client import HttpsNetwork
from hitoku.transport.https.lanes import Lanes
from hitoku.transport.in_process import told
from hitoku.transport.messages import encode
from hitoku.transport.restoring import arrive

__all__ = ["ServedRoom"]

_Seen = tuple[tuple[int, int, int] | None, ...]


@dataclass(slots=True)
class _Version:
    """What serves one version of the room, and how many messages it is answering."""

    node: LocalNode
    network: HttpsNetwork
    served: Served
    peers: dict[str, str]
    answering: int = 0
    replaced: bool = False

    def close(self) -> None:
        self.network.close()
        self.node.close()


class ServedRoom:
    """One room at this node.

    Args:
        directory: the member's directory.
        path: the room file.
        settings: what node.toml says of the room.
        certificate: what this node shows, PEM.
        clock: the time.
        waits: whether a room that is not in force yet is waited for, and not an error.
        quotas: how much the others may ask; no limit beyond the protocol's own if None.
        meter: measures the runs.

    Raises:
        InputError: node.toml does not fit the room.
        RoomError: the room is not in force, was altered, or this member has no record of it.
        SecretError: the member's key cannot be used.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        path: Path,
        settings: RoomSettings,
        certificate: Path,
        clock: Clock,
        *,
        waits: bool = False,
        quotas: Quotas | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._directory, self._path, self._settings = directory, path, settings
        self._quotas, self._meter = quotas, meter or Meter(None, None)
        self._certificate, self._clock = certificate, clock
        self._lanes = Lanes()
        self._turn = threading.Condition()
        self._changing, self._running = False, 0
        self._now: _Version | None = None
        self._seen: _Seen = self._look()
        self.identity = str(load_room(path).agreement.id)
        self.problem: str | None = None
        try:
            self._now = self._made(settings)
        except (InputError, RoomError) as error:
            if not waits:
                raise
            self.problem = str(error)

    @property
    def file(self) -> Path:
        """The room file."""
        return self._path

    @property
    def served(self) -> Served | None:
        """The version that is served now; None while the room is not in force yet."""
        return None if self._now is None else self._now.served

    @property
    def waiting(self) -> bool:
        """Whether the room is not served because members have still to sign it."""
        if self._now is not None:
            return False
        try:
            return bool(missing(load_room(self._path)))
        except RoomError:
            return False

    @property
    def node(self) -> LocalNode | None:
        """The node that answers now."""
        return None if self._now is None else self._now.node

    @property
    def agreement(self) -> Agreement | None:
        """The agreement by which messages are answered now."""
        return None if self._now is None else self._now.served.agreement

    @property
    def queued(self) -> dict[str, int]:
        """How many messages are being answered or wait for it, by lane."""
        return self._lanes.queued

    @property
    def jobs(self) -> int:
        """How many runs that outlive their request are under way."""
        return 0 if self._now is None else self._now.node.runs.count

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered and nothing runs."""
        return self._lanes.idle and (self._now is None or self._now.node.idle)

    def answer(self, sender: str, content: bytes) -> bytes:
        """Answer a message; called by a thread of the message's lane.

        Raises:
            PeerError: the room is not in force here.
        """
        asked = Asked.of(content)
        runs = asked is not None and asked.begins
        with self._turn:
            while runs and self._changing:
                self._turn.wait()
            version = self._now
            if version is None:
                raise PeerError("the room is not in force here yet")
            version.answering += 1
            self._running += runs
        try:
            return self._answered(version, sender, content, asked)
        finally:
            with self._turn:
                version.answering -= 1
                self._running -= runs
                last = version.replaced and not version.answering
            if last:
                version.close()

    def _answered(self, version: _Version, sender: str, content: bytes, asked: Asked | None) -> bytes:
        """Answer a message by one version of the room, within the sender's quota, and measure it."""
        began = time.monotonic()
        try:
            with ExitStack() as stack:
                member = version.served.agreement.member(sender)
                other = sender != self._directory.name  # its own people have quotas of their own
                if asked is not None and self._quotas is not None and member is not None and other:
                    jobs = version.node.runs.led_for(sender) if asked.begins else 0
                    taken = self._quotas.taken(self.identity, sender, member.key, asked, jobs)
                    stack.enter_context(taken)
                if asked is not None and asked.begins:
                    with suppress(PeerError):  # its ledger then says that it waits
                        arrive(version.node.records, version.node.room, version.node.peers)
                answer = version.network.carry(sender, self._directory.name, content)
        except Refusal as refusal:
            answer = encode(told(refusal))
        outcome = _OUTCOMES.get(bounds.kind_of(answer), "done")
        if outcome == "refused":
            self._meter.refused(str(json.loads(answer).get("code")))
        if asked is not None and asked.begins:
            self._meter.ended(asked.run, asked.protection, outcome, time.monotonic() - began)
        return answer

    def take_up(self) -> bool:
        """Look whether the file holds a newer version, and serve it. Not for two threads at once.

        Returns whether one was taken up. False where nothing changed, or a run is under way: then the next
        look decides.

        Raises:
            HitokuError: what is there now cannot be served; it is not looked at again until it changes.
        """
        seen = self._look()
        before = self._now
        if before is not None:
            # An asker with one request after another would keep the room as it is, and itself in it.
            before.node.models.closing = seen != self._seen
        if seen == self._seen:
            return False
        with self._turn:
            if self._running or (before is not None and not before.node.idle):
                return False
            self._changing = True
        try:
            self._seen = seen
            settings = self._reread()
            if before is not None and self._same(before, settings):
                return False
            made = self._made(settings)
            with self._turn:
                self._now = made
                if before is not None:
                    before.replaced = True
                    if not before.answering:
                        before.close()
            return True
        finally:
            if before is not None:
                before.node.models.closing = False
            with self._turn:
                self._changing = False
                self._turn.notify_all()

    def leave(self) -> bool:
        """Serve the room no longer, unless a run is under way. Returns whether it is left.

        Messages that are being answered end as they would have; what comes later is refused.
        """
        with self._turn:
            before = self._now
            if before is not None:
                # As for a new version: no request after another keeps the room served.
                before.node.models.closing = True
                if self._running or not before.node.idle:
                    return False
                before.replaced = True
                if not before.answering:
                    before.close()
            self._now = None
        return True

    def stop_runs(self) -> None:
        """Take no more, and end what still runs."""
        self._lanes.close()
        if self._now is not None:
            self._now.node.cancel()

    def close(self) -> None:
        """End what is open."""
        self._lanes.close()
        if self._now is not None:
            self._now.close()

    def _look(self) -> _Seen:
        """What tells that the room file or node.toml changed."""
        return tuple(map(stamp, (self._path, self._directory.path / "node.toml")))

    def _reread(self) -> RoomSettings:
        """What node.toml says of this room now."""
        settings = NodeSettings.open(self._directory.path)
        for file, room in zip(settings.room_files(self._directory.path), settings.rooms, strict=True):
            if file == self._path:
                return room
        raise InputError(f"{self._path}: is no longer in node.toml")

    def _same(self, before: _Version, settings: RoomSettings) -> bool:
        shared = self._shared()
        known = before.served.agreement
        if shared.agreement.version < known.version:
            raise RoomError(f"{self._path}: holds a version before the one that is served")
        return agreement_hash(shared.agreement) == agreement_hash(known) and before.peers == settings.peers

    def _shared(self) -> Room:
        shared = newest_in_force(load_room(self._path))
        if str(shared.agreement.id) != self.identity:
            raise RoomError(f"{self._path}: is another room than when the node was started")
        return shared

    def _made(self, settings: RoomSettings) -> _Version:
        shared, directory = self._shared(), self._directory
        strangers = [name for name in settings.peers if shared.agreement.member(name) is None]
        if strangers:
            raise InputError(f"node.toml: {strangers[0]!r} is no member of room {shared.agreement.name!r}")
        network = HttpsNetwork(
            directory.name, shared.agreement, settings.peers, self._certificate, directory.key_file
        )
        # Verifies the room, so nothing is called or answered by an agreement that is not in force.
        node = LocalNode(directory, shared, network, self._clock, self._meter)
        check_key(directory, node.room.agreement)
        # Both are opened here, before threads could open them twice.
        node.records  # noqa: B018 (recovers)
        node.models  # noqa: B018
        node.jobs  # noqa: B018
        served = Served(
            node.room.agreement, directory.name, self.answer, lanes=self._lanes, shelf=node.shelves
        )
        return _Version(node, network, served, dict(settings.peers))


_OUTCOMES: Final[dict[str | None, str]] = {
    "hitoku/refused/1": "refused",
    "hitoku/failed/1": "failed",
    "hitoku/run-going/1": "going",
    "hitoku/begun/1": "going",
    "hitoku/shares-begun/1": "going",
    "hitoku/predicting/1": "going",
}
"""How runs stand after the answer to what began them, by its kind."""
