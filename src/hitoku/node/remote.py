# SPDX-License-Identifier: Apache-2.0
"""`open_remote_room`: a room whose other members are on other machines, as one member sees it.

The asker's own part runs in this process, on the member's own directory. Its node must serve at the same
time: owners and the host ask the asker, too, for the head of its ledger before they act.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku._core import __version__
from hitoku.errors import EngineError, HitokuError, PeerError, RoomError
from hitoku.node.certificate import certificate_file, check_key
from hitoku.node.local import RoomHandle
from hitoku.node.member import LocalNode
from hitoku.node.proposal_book import Book
from hitoku.node.settings import SETTINGS_FILE, NodeSettings, RoomSettings
from hitoku.ports import Clock, NoProgress, Progress, SystemClock
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, locked, parse_room, save_room
from hitoku.room.signing import verify
from hitoku.room.versions import continues, newest_in_force
from hitoku.transport import messages
from hitoku.transport.heads import exchange_heads
from hitoku.transport.https import bounds
from hitoku.transport.https.client import HttpsNetwork
from hitoku.transport.joining import RoomGiven, RoomRequest

if TYPE_CHECKING:
    from hitoku.ask import Sent
    from hitoku.disclosure.answer import Answer
    from hitoku.room.agreement import Room

__all__ = ["RemoteRoom", "open_remote_room", "pull_room"]


_NODES_OWN: Final = frozenset({bounds.RUN, "hitoku/run-wait/1", "hitoku/cancel/1"})
"""What a member says to its own node, not to itself in this process: what is about runs."""


class _AskersNetwork(HttpsNetwork):
    """The asker's way to the others. Looks first whether its own node answers.

    Attributes:
        given_up: whether the asker gave up: then nothing but cancellations is sent.
        orders: the runs that hosts are doing now: who does it, and who consented to it.
    """

    _looked = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.given_up = False
        self.orders: dict[str, tuple[str, list[str]]] = {}

    def carry(self, sender: str, receiver: str, content: bytes) -> bytes:
        """Deliver a message; the first to another member only if the others can reach this one.

        Raises:
            EngineError: ``CANCELLED``, where the asker gave up.
            PeerError: as for any network.
        """
        kind = bounds.kind_of(content)
        if self.given_up and kind != "hitoku/cancel/1":
            raise _cancelled()
        if kind != bounds.RUN:
            return self._sent(sender, receiver, content)
        order = json.loads(content)
        self.orders[order["run"]] = (receiver, [consent["owner"] for consent in order["consents"]])
        try:
            return self._sent(sender, receiver, content)
        finally:
            del self.orders[order["run"]]

    def _sent(self, sender: str, receiver: str, content: bytes) -> bytes:
        kind = bounds.kind_of(content) or ""
        needed = (receiver != self._me and kind != "hitoku/room-request/1") or kind in _NODES_OWN
        if needed and not self._looked:
            try:
                self.version(self._me)
            except PeerError as error:
                raise PeerError(
                    f"this member's own node must serve while it asks (`hitoku node serve`): {error}"
                ) from None
            self._looked = True
        if receiver == self._me and kind in _NODES_OWN:
            # The node outlives this process, and the others take what a run has ready from it.
            return self._again(receiver, "messages", content, kind)
        return super().carry(sender, receiver, content)


def _cancelled() -> EngineError:
    return EngineError("the question was cancelled", "CANCELLED")


class RemoteRoom(RoomHandle):
    """A room in force, as one member sees it from its own machine; asks like any `RoomHandle`."""

    def __init__(
        self,
        directory: MemberDirectory,
        shared: Room,
        settings: NodeSettings,
        room: RoomSettings,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self.me = directory.name
        peers = {**room.peers, self.me: settings.url}
        certificate = certificate_file(directory)
        self._https = _AskersNetwork(self.me, shared.agreement, peers, certificate, directory.key_file)
        self._network = self._https
        self._progress, self._clock = progress, clock
        self._node = LocalNode(directory, shared, self._https, clock, progress)
        self._nodes = (self._node,)
        self.room = self._node.room
        check_key(directory, self.agreement)
        self._peers = self._node.peers
        self._asking, self._lock = 0, threading.Lock()

    def cancel(self) -> None:
        """End the questions that other threads are asking with this handle; they get an EngineError.

        A run that waits at the host for its turn never begins, and costs nothing; one that has begun is
        ended there, and is charged.
        """
        self._https.given_up = True
        for run, (host, owners) in list(self._https.orders.items()):
            with suppress(HitokuError):  # a host that cannot be reached hears it from the asking thread
                message = messages.Cancel(run=run, owners=owners)
                self._peers.call(host, message.model_dump(mode="json"))

    def _go(self, *arguments: Any) -> Answer | Sent:
        with self._lock:
            if not self._asking:
                self._https.given_up = False
            self._asking += 1
        try:
            return super()._go(*arguments)
        except HitokuError:
            if self._https.given_up:
                raise _cancelled() from None
            raise
        finally:
            with self._lock:
                self._asking -= 1

    def status(self) -> list[dict[str, Any]]:
        """How every member's node stands: whether it answers, what it runs, and its ledger's newest head.

        A head that is new is checked against the last one, and kept.
        """
        found = []
        try:
            for member in self.agreement.members:
                found.append(self._status(member.name))
        finally:
            self._close()
        return found

    def _status(self, member: str) -> dict[str, Any]:
        data: dict[str, Any] = {"member": member, "reached": False}
        try:
            given = self._https.version(member)
            data |= {"reached": True, "hitoku": given.hitoku, "version": given.version}
            data["same_room"] = given.room == self.hash
            ahead = self._ahead(member)
            if ahead is not None:
                data["clock_seconds"] = ahead
                if abs(ahead) > limits.CLOCK_SKEW_SECONDS:
                    data["problem"] = (
                        f"its clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} this one's: "
                        f"beyond {limits.CLOCK_SKEW_SECONDS} s consents are refused. Set both clocks (NTP)"
                    )
            if bounds.PROTOCOL not in given.protocols:
                raise PeerError(
                    f"speaks protocol {' and '.join(given.protocols) or 'none'}, and hitoku {__version__} "
                    f"here {bounds.PROTOCOL}: bring both to versions that speak the same"
                )
            if member != self.me:
                exchange_heads(self._node.records, self.room, self._peers, (member,))
                head = self._node.records.peer_head(member)
                data["head"] = None if head is None else {"size": head.size, "root": head.root.hex()}
        except HitokuError as error:
            data["problem"] = str(error)
        return data

    def _ahead(self, member: str) -> int | None:
        """How many seconds a member's clock is ahead of this one's; None where its node does not tell."""
        said = self._https.told_time(member)
        return None if said is None else round((said - self._clock.now()).total_seconds())

    def newest(self, source: str | None) -> tuple[Room, PeerError | None]:
        """The newest version of the room that others have in force, or this one's; and who was not reached.

        Raises:
            RoomError: what a member sent cannot be read as a room.
            PeerError: the member that was named cannot be reached.
        """
        if source is not None and (source == self.me or self.agreement.member(source) is None):
            raise RoomError(f"{source!r} is no other member of room {self.agreement.name!r}")
        newest, unreached, reached = self.room, None, False
        for member in [m.name for m in self.agreement.members if m.name != self.me]:
            if source not in {None, member}:
                continue
            try:
                reply = self._peers.call(member, RoomRequest().model_dump(mode="json"))
                text = messages.read(RoomGiven, reply, member).room
            except PeerError as error:
                unreached = error
                continue
            reached = True
            found = parse_room(text, f"the room that {member!r} sent")
            if found.agreement.version > newest.agreement.version:
                continues(found, self.agreement)
                verify(found)
                newest = found
        return newest, None if reached else unreached

    def close(self) -> None:
        """End what is open."""
        self._close()

    def _close(self) -> None:
        super()._close()
        self._https.close()


def open_remote_room(
    path: str | Path,
    room: str | None = None,
    *,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> RemoteRoom:
    """Open a room from a member's directory whose node.toml says where the others are.

    Args:
        path: the member's directory.
        room: the room's name or id; may be left out if node.toml names only one.
        clock: the time; the machine's by default.
        progress: hears about phases; nobody by default.

    Raises:
        InputError: node.toml is missing or cannot be used.
        RoomError: the room is not in force, was altered, or is not named clearly.
        SecretError: the member's key cannot be used.
    """
    directory = MemberDirectory.open(Path(path))
    settings = NodeSettings.open(directory.path)
    shared, one, _ = _room_of(directory, settings, room)
    return RemoteRoom(directory, shared, settings, one, clock or SystemClock(), progress or NoProgress())


def pull_room(path: Path, room: str | None, source: str | None) -> tuple[Room, Path, bool]:
    """Get the newest version of a room that is in force from other members, and put it in place.

    What others send is verified like a file that came otherwise: it must continue the version that this
    member knows, signed by all who must.

    Args:
        path: the member's directory, with its node.toml.
        room: the room's name or id; may be left out if node.toml names only one.
        source: the member to ask; all others where it is None.

    Returns:
        The room, its file, and whether the file was written.

    Raises:
        InputError, SecretError: as for `open_remote_room`.
        RoomError: also where a draft that is not in force is in the room file's place.
        PeerError: nobody could be asked.
    """
    directory = MemberDirectory.open(path)
    handle = open_remote_room(path, room)
    _, _, file = _room_of(directory, NodeSettings.open(path), room)
    try:
        newest, unreached = handle.newest(source)
    finally:
        handle.close()
    with locked(file):
        here = load_room(file)
        if here.agreement.version > handle.agreement.version and newest.agreement != here.agreement:
            raise RoomError(f"{file}: holds a draft that is not in force; move it away, then pull again")
        fresh = newest.agreement.version > handle.agreement.version
        if fresh:
            book = Book(directory.path, str(newest.agreement.id))
            book.check_kept(newest, directory.name, directory.known(newest))
            save_room(directory.room(newest), file)
        elif unreached is not None:
            raise unreached
    return newest, file, fresh


def _room_of(
    directory: MemberDirectory, settings: NodeSettings, room: str | None
) -> tuple[Room, RoomSettings, Path]:
    """One room of node.toml, without a draft on top of it."""
    known = []
    for file, one in zip(settings.room_files(directory.path), settings.rooms, strict=True):
        shared = newest_in_force(load_room(file))
        if room in {None, shared.agreement.name, str(shared.agreement.id)}:
            known.append((shared, one, file))
    if len(known) != 1:
        raise RoomError(f"{directory.path / SETTINGS_FILE}: names {len(known)} such rooms; say which one")
    return known[0]
