# SPDX-License-Identifier: Apache-2.0
"""One member's part in runs on shares: as server, as owner, as receiver.

A run lives in this process alone. Where the process ends, so does the run, and cleanly: the two other servers
lose their connections and tell the leader, nothing has been given out, and what the process left on its disk
is sealed under keys that it had in memory. Every member's record says that the run began, so it is charged.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku import ask as way
from hitoku import limits
from hitoku.ask.broken import ECHOES, broken
from hitoku.ask.combining import SharesReceiver
from hitoku.ask.server import Server
from hitoku.ask.work import Work
from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.node.listening import Listening
from hitoku.node.onetime import OneTimeKeyFiles
from hitoku.node.uploads import Uploads
from hitoku.room.agreement import Ability
from hitoku.room.records import replayed
from hitoku.room.runs import Role
from hitoku.transport import messages, shares
from hitoku.transport.parcels import LocalParcels

if TYPE_CHECKING:
    import pyarrow as pa

    from hitoku.disclosure.answer import Answer
    from hitoku.ports import Clock, Parcels, Peers
    from hitoku.room.agreement import Room
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.jobs import Jobs
    from hitoku.room.records import Records

__all__ = ["KINDS", "SharesDesk"]

_BEGIN: Final = "hitoku/shares-begin/1"
_WHERE: Final = "hitoku/shares-where/1"
_WAIT: Final = "hitoku/shares-wait/1"
_FINISH: Final = "hitoku/shares-finish/1"
_STOP: Final = "hitoku/shares-stop/1"
_OFFER: Final = "hitoku/offer-shares/1"
_DELIVER: Final = "hitoku/deliver-shares/1"
KINDS: Final = frozenset({_BEGIN, _WHERE, _WAIT, _FINISH, _STOP, _OFFER, _DELIVER})
_REMEMBERED: Final = 256
"""So many runs that are over are remembered, for the other servers to hear how they ended."""


class SharesDesk:
    """Where the messages of runs on shares arrive at one member's node.

    Args:
        directory: the member's.
        room: the room, verified.
        peers: the way to the others.
        parcels: the way to what they have ready.
        records: what the member remembers.
        jobs: its runs on record.
        clock: the time.
        keep: as receiver, keeps an answer.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        room: Room,
        peers: Peers,
        parcels: Callable[[], Parcels],
        records: Callable[[], Records],
        jobs: Callable[[], Jobs],
        clock: Clock,
        keep: Callable[[Answer], None],
    ) -> None:
        self._directory, self._room, self._peers, self._parcels = directory, room, peers, parcels
        self._records, self._clock, self._keep = records, clock, keep
        self.uploads = Uploads(directory, room, records, jobs, directory.keys, clock)
        self._listening = Listening(directory)
        self._works: dict[str, Work] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._claimed: set[str] = set()
        self._lock = threading.Lock()

    def answer(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one of `KINDS`.

        Raises:
            Refusal: this member does not do that for the sender.
            PeerError: the message is malformed, or for who has another duty.
            HitokuError: whatever the duty raises.
        """
        kind, agreement, me = message["kind"], self._room.agreement, self._directory.name
        part = agreement.shares
        if part is None:
            raise PeerError(f"{me!r} does not answer such messages")
        if kind == _OFFER and me in agreement.owners():
            offering = way.SharesOffering(me, self._room, self._records(), self.uploads.share)
            return offering.offer(sender, message)
        member = agreement.member(me)
        if kind == _DELIVER and member is not None and Ability.RECEIVE in member.abilities:
            return self._receiver.deliver(sender, message)
        duties: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
            _BEGIN: self._begin,
            _WHERE: self._where,
            _WAIT: self._wait,
            _FINISH: self._finish,
            _STOP: self._stop,
        }
        if kind in duties and me in part.servers and sender in part.servers:
            return duties[kind](sender, message)
        raise PeerError(f"{me!r} does not answer such messages")

    # --- as server ---

    @cached_property
    def server(self) -> Server:
        """This member's side of runs."""
        return Server(
            self._room,
            self._peers,
            self._records(),
            self._directory.keys(),
            self._clock,
            _Site(self._directory, self._room, self._listening, self.uploads, self._parcels),
        )

    def claim(self, run: str) -> None:
        """This member is about to lead a run; `done` has to be called for it.

        Raises:
            Refusal: it has that run already, or too many.
        """
        with self._lock:
            if run in self._works or run in self._claimed:
                raise replayed()
            self._room_for_one()
            self._claimed.add(run)

    def leading(self, work: Work) -> None:
        """This member leads a run that it claimed: the others may ask for it."""
        with self._lock:
            self._admit(work)

    def done(self, run: str) -> None:
        """A run that this member led is over here."""
        with self._lock:
            self._claimed.discard(run)
            work = self._works.get(run)
        if work is not None:
            work.end()
            self._wipe(run)

    def cancel(self, run: str, asker: str) -> None:
        """End a run that its asker gives up; nothing where it is another's, or none."""
        with self._lock:
            work = self._works.get(run)
        if work is not None and work.order.request.asker == asker:
            work.end(PeerError("the question was cancelled", "CANCELLED"))

    def cancel_all(self) -> None:
        """End whatever runs."""
        with self._lock:
            found = list(self._works.values())
        for work in found:
            work.end(PeerError(f"{self._directory.name!r} stops", "CANCELLED"))

    @property
    def idle(self) -> bool:
        """Whether no run is under way here."""
        with self._lock:
            return not any(thread.is_alive() for thread in self._threads.values())

    def close(self) -> None:
        """End what is not used; a run that another thread of this process waits for goes on."""
        with self._lock:
            busy = [run for run, work in self._works.items() if not work.over.is_set()]
            ending = [thread for run, thread in self._threads.items() if run not in busy]
        for thread in ending:
            thread.join(_END_SECONDS)
        if not busy and not self._claimed:
            self._listening.close()

    def _begin(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        request = messages.read(shares.SharesBegin, message, sender)
        with self._lock:
            known = self._works.get(request.run)
            if known is not None:
                if known.order.leader != sender or known.order.request != request or known.over.is_set():
                    raise replayed()
            else:
                self._room_for_one()
                work = self.server.begin(sender, message)
                self._admit(work)
                thread = threading.Thread(
                    target=self._run, args=(work,), name=f"hitoku-shares-{work.run[:8]}", daemon=True
                )
                self._threads[work.run] = thread
                thread.start()
        return shares.SharesBegun(run=request.run).model_dump(mode="json")

    def _where(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        request = messages.read(shares.SharesWhere, message, sender)
        work = self._known(request.run)
        if work.program is None:
            return shares.SharesAt(run=request.run).model_dump(mode="json")
        address = self._listening.address
        return shares.SharesAt(run=request.run, program=work.program, address=address).model_dump(mode="json")

    def _wait(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        request = messages.read(shares.SharesWait, message, sender)
        work = self._led_by(sender, request.run)
        return shares.SharesGoing(run=request.run, done=work.computed is not None).model_dump(mode="json")

    def _finish(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        request = messages.read(shares.SharesFinish, message, sender)
        work = self._led_by(sender, request.run)
        parts = self.server.parts(work, request.released_at)
        facts = {
            "question": work.examined.question.hash,
            "receivers": list(work.examined.plan.receivers),
            "program": work.program or "",
            "parts": {part.receiver: part.hash for part in parts},
        }
        # On record before anything leaves.
        self._records().commit(request.run, Role.SERVER, facts)
        work.end()
        return shares.SharesParts(run=request.run, parts=parts).model_dump(mode="json")

    def _stop(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        request = messages.read(shares.SharesStop, message, sender)
        with self._lock:
            work = self._works.get(request.run)
        if work is not None and work.order.leader == sender:
            work.end(PeerError(f"{sender!r}, who leads it, has ended the run", "RUN_ENDED"))
        return shares.SharesStopped(run=request.run).model_dump(mode="json")

    def _run(self, work: Work) -> None:
        """A run that another server leads, in its thread."""
        reason = "not finished"
        try:
            self.server.compute(work)
            work.over.wait(limits.RUN_SECONDS)
        except Exception as error:  # `work` has it, for the others to hear
            reason = type(error).__name__
        finally:
            work.end(PeerError(f"{work.order.leader!r} did not finish the run in time", "LATE"))
            with suppress(Exception):  # what is not on record now is charged later, as any run without an end
                self._records().fail(work.run, Role.SERVER, reason)
            self._wipe(work.run)

    def _known(self, run: str) -> Work:
        """A run that goes on here.

        Raises:
            Refusal: there is none, or it has failed; then why.
        """
        with self._lock:
            work = self._works.get(run)
        if work is None:
            raise Refusal("NO_SUCH_RUN", f"{self._directory.name!r} has no such run")
        if work.error is not None:
            raise _told(work.error, self._directory.name)
        return work

    def _led_by(self, sender: str, run: str) -> Work:
        work = self._known(run)
        if work.order.leader != sender:
            raise Refusal("NO_SUCH_RUN", f"{self._directory.name!r} has no such run of {sender!r}")
        return work

    def _room_for_one(self) -> None:
        going = len(self._claimed) + sum(
            not work.over.is_set() for run, work in self._works.items() if run not in self._claimed
        )
        if going >= limits.MAX_SHARES_RUNS:
            me = self._directory.name
            raise Refusal(
                "BUSY", f"{me!r} takes part in {going} runs already", owner=me, remedy="ask again later"
            )

    def _admit(self, work: Work) -> None:
        self._works[work.run] = work
        for run in [r for r, w in self._works.items() if w.over.is_set()][:-_REMEMBERED]:
            del self._works[run]
            self._threads.pop(run, None)

    def _wipe(self, run: str) -> None:
        shutil.rmtree(self._directory.path / "shares" / "runs" / run, ignore_errors=True)

    # --- as receiver ---

    @cached_property
    def _receiver(self) -> SharesReceiver:
        directory = self._directory
        return SharesReceiver(
            directory.name,
            self._room,
            OneTimeKeyFiles(directory.path / "enclave" / "keys"),
            self._keep,
            lambda run: (directory.path / "answers" / f"{run}.json").exists(),
            self._clock,
        )


_END_SECONDS: Final = 10.0


class _Site:
    """What this node gives to its runs; see `hitoku.ask.server.Site`."""

    def __init__(
        self,
        directory: MemberDirectory,
        room: Room,
        listening: Listening,
        uploads: Uploads,
        parcels: Callable[[], Parcels],
    ) -> None:
        self._directory, self._room, self._listening = directory, room, listening
        self._uploads, self._others = uploads, parcels

    @property
    def parcels(self) -> Parcels:
        """The way to what owners have ready; this member may be one of them."""
        return _Own(self._directory.name, self._uploads, self._others())

    def folder(self, run: str) -> Path:
        """See there."""
        place = self._directory.path / "shares" / "runs" / run
        place.mkdir(parents=True, mode=0o700, exist_ok=True)
        return place

    def connect(
        self, index: int, run: str, program: str, addresses: Sequence[str | None], seconds: float
    ) -> Any:
        """See there."""
        from hitoku import _core
        from hitoku.hazmat.shares import Party
        from hitoku.node.settings import socket_of

        part = self._room.agreement.shares
        servers = () if part is None else part.servers
        peers = []
        for name, address in zip(servers, addresses, strict=True):
            member = self._room.agreement.member(name)
            try:
                host, port = ("", 0) if address is None else socket_of(address)
            except ValueError:
                raise PeerError(f"{name!r} listens at no address") from None
            peers.append((host, port, "" if member is None else member.key))
        hashed = bytes.fromhex(program.removeprefix("sha256:"))
        try:
            kernel = self._listening.listener.connect(index, bytes.fromhex(run), hashed, peers, seconds)
        except _core.SharesError as error:
            raise broken(error, servers) from None
        return Party(kernel)


class _Own:
    """The way to parcels, where this member may be one of the owners itself."""

    def __init__(self, me: str, uploads: Uploads, others: Parcels) -> None:
        self._me, self._others = me, others
        self._here = LocalParcels(me, {me: _Shelf(uploads)})

    def fetch(
        self, member: str, run: str, name: str, schema: pa.Schema, rows: int, wait: float
    ) -> Iterator[pa.RecordBatch]:
        """See `hitoku.ports.Parcels.fetch`."""
        way_to = self._here if member == self._me else self._others
        return way_to.fetch(member, run, name, schema, rows, wait)


class _Shelf:
    """This member's own uploads, for itself."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        """See `hitoku.transport.parcels.Shelf`."""
        return self._uploads.parcel(member, run, name)

    def left(self, member: str, run: str, name: str) -> None:
        """Nothing has to be kept of that."""


def _told(error: HitokuError, me: str) -> Refusal:
    """Why a run failed here, for another server: a Refusal as it is, of anything else names and codes.

    A server that only lost another one says so by its code: the leader then listens to the others.
    """
    if isinstance(error, Refusal):
        return error
    said, code = type(error).__name__, "RUN_ABORTED"
    if isinstance(error, PeerError):
        said = str(error)
        code = error.code if error.code in ECHOES else code
    return Refusal(code, f"{me!r} cannot go on with this run ({said})", owner=me, remedy="ask again")
