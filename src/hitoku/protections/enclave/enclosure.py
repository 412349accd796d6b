# SPDX-License-Identifier: Apache-2.0
"""The host's side of a worker: starts it, carries for it, hands on what it sealed. It can read none of it.

The host answers the worker's frames and nothing else: messages to owners' brokers, of two kinds only (a
worker speaks in the host's name there, and must not settle or cancel runs), and the chunks of sealed tables.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from hitoku import limits
from hitoku.engine.failures import failure
from hitoku.errors import EngineError, HitokuError, PeerError, RunAborted
from hitoku.protections.enclave.frames import Broken, Channel, Kind
from hitoku.protections.enclave.sealed_table import SCHEMA, stage_of
from hitoku.protections.enclave.terms import (
    COMPUTE,
    Call,
    Done,
    Failure,
    Order,
    Reply,
    Table,
    read_frame,
    written,
)

if TYPE_CHECKING:
    import socket

    from hitoku.ports import Parcels, Peers, Progress
    from hitoku.transport.enclave import OfferedTable

__all__ = ["Enclosed", "Enclosure", "Started"]

_CHALLENGE: Final = "hitoku/challenge/1"
_RELEASE: Final = "hitoku/release-key/1"
_CARRIED: Final = frozenset({_CHALLENGE, _RELEASE})
_PHASES: Final = {
    "check": "the enclave checks the question",
    "keys": "the owners' brokers check the enclave",
    "tables": "sealed tables",
    "compute": "run in the enclave",
    "seal": "seal the answer",
}
_PARCEL_SECONDS: Final = 60.0
_NAME: Final = limits.MAX_NAME_CHARS + 1


class Started(Protocol):
    """A worker that was started."""

    @property
    def connection(self) -> socket.socket:
        """The host's end of its channel."""
        ...

    def end(self) -> None:
        """End it, if it has not ended, and remove what was made for it. From any thread, more than once."""
        ...


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What a run leaves at the host.

    Attributes:
        answer: the answer's digest.
        statement: the worker's, of deletion.
        sealed: by receiver, the answer that only it opens.
        carried: by owner, what went between its broker and the worker: the challenge, the answer to it with
            the evidence, and the release.
    """

    answer: str
    statement: Mapping[str, Any]
    sealed: Mapping[str, bytes] = field(repr=False)
    carried: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]] = field(
        repr=False, default_factory=dict
    )


class Enclosure:
    """One run at its host.

    Args:
        start: starts a worker.
        peers: the way to the owners' brokers.
        parcels: the way to their sealed tables.
    """

    def __init__(self, start: Callable[[], Started], peers: Peers, parcels: Parcels) -> None:
        self._start, self._peers, self._parcels = start, peers, parcels
        self._worker: Started | None = None
        self._cancelled = False
        self._lock = threading.Lock()
        self._refused: HitokuError | None = None
        self._carried: dict[tuple[str, str], tuple[Mapping[str, Any], Mapping[str, Any]]] = {}

    def cancel(self) -> None:
        """End the run, from any thread: `run` raises ``CANCELLED``."""
        with self._lock:
            self._cancelled = True
            worker = self._worker
        if worker is not None:
            worker.end()

    def run(
        self,
        order: Order,
        owners: Mapping[str, str],
        offered: Callable[[str], OfferedTable],
        progress: Progress,
    ) -> Enclosed:
        """Have a worker carry out an order.

        Args:
            order: what to do.
            owners: by table of the question, its owner.
            offered: what an owner says of its table; waits until it is sealed.
            progress: hears about the phases.

        Raises:
            Refusal, Refused, PeerError: an owner's broker refused, or an owner did not answer.
            RunAborted: a sealed table was altered on its way.
            EngineError: the worker refused, failed or was cancelled: a code.
        """
        progress.phase("start the enclave")
        worker = self._started()
        channel = Channel(worker.connection)
        until = time.monotonic() + limits.RUN_SECONDS
        try:
            channel.receive({Kind.READY: 0}, until - time.monotonic())
            channel.send(Kind.ORDER, written(order))
            return self._serve(channel, order, owners, offered, progress, until)
        except Broken:
            raise failure({"code": "CANCELLED" if self._cancelled else "CRASHED"}, 0) from None
        finally:
            worker.end()

    def _started(self) -> Started:
        worker = self._start()
        with self._lock:
            self._worker = worker
            cancelled = self._cancelled
        if cancelled:
            worker.end()
            raise failure({"code": "CANCELLED"}, 0)
        return worker

    def _serve(
        self,
        channel: Channel,
        order: Order,
        owners: Mapping[str, str],
        offered: Callable[[str], OfferedTable],
        progress: Progress,
        until: float,
    ) -> Enclosed:
        wanted = {
            Kind.CALL: limits.MAX_ENCLAVE_CALL_BYTES,
            Kind.TABLE: _NAME,
            Kind.PHASE: 32,
            Kind.RESULT: limits.MAX_SEALED_ANSWER_BYTES + 4096,
            Kind.DONE: limits.MAX_ENCLAVE_CALL_BYTES,
            Kind.FAILED: 4096,
        }
        sealed: dict[str, bytes] = {}
        while True:
            kind, content = channel.receive(wanted, max(0.0, until - time.monotonic()))
            if self._cancelled:  # it came too late: whoever cancelled must not be given an answer
                raise failure({"code": "CANCELLED"}, 0)
            match kind:
                case Kind.PHASE:
                    progress.phase(_PHASES.get(content.decode(errors="replace"), "run in the enclave"))
                case Kind.CALL:
                    self._carry(channel, read_frame(Call, content, "the enclave"), set(owners.values()))
                case Kind.TABLE:
                    self._table(channel, order.run, content.decode(errors="replace"), owners, offered)
                case Kind.RESULT:
                    length = content[0] if content else 0
                    receiver = content[1 : 1 + length].decode(errors="replace")
                    if receiver not in order.receivers or receiver in sealed:
                        raise PeerError("the enclave sealed for somebody who does not receive")
                    sealed[receiver] = bytes(memoryview(content)[1 + length :])
                case Kind.FAILED:
                    raise self._failed(read_frame(Failure, content, "the enclave"))
                case _:
                    done = read_frame(Done, content, "the enclave")
                    if set(sealed) != set(order.receivers):
                        raise PeerError("the enclave did not seal for all who receive")
                    return Enclosed(done.answer, done.statement, sealed, self._messages(set(owners.values())))

    def _carry(self, channel: Channel, call: Call, owners: set[str]) -> None:
        answer = None
        if call.owner in owners and call.message.get("kind") in _CARRIED:
            try:
                answer = self._peers.call(call.owner, call.message)
                self._carried[call.owner, str(call.message["kind"])] = (call.message, answer)
            except HitokuError as error:  # told to the asker; the worker hears that there is none
                self._refused = self._refused or error
        channel.send(Kind.REPLY, written(Reply(message=answer)))

    def _table(
        self,
        channel: Channel,
        run: str,
        name: str,
        owners: Mapping[str, str],
        offered: Callable[[str], OfferedTable],
    ) -> None:
        owner = owners.get(name)
        if owner is None:
            raise PeerError("the enclave asked for a table that is not in the question")
        said = offered(name)
        head = Table(table=name, chunks=said.chunks, head=said.head)
        channel.send(Kind.REPLY, written(head))
        batches = self._parcels.fetch(owner, run, said.parcel, SCHEMA, said.chunks, _PARCEL_SECONDS)
        with suppress(Broken):  # a worker that does not take them all has failed, and says why
            for batch in batches:
                column = batch.column(0)
                for place in range(len(column)):
                    channel.send(Kind.CHUNK, memoryview(column[place].as_buffer()).cast("B"))
            channel.send(Kind.END)

    def _messages(
        self, owners: set[str]
    ) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
        """What went between each owner's broker and the worker."""
        found = {}
        for owner in owners:
            first, second = (self._carried.get((owner, kind)) for kind in (_CHALLENGE, _RELEASE))
            if first is not None and second is not None:
                found[owner] = (first[1], second[0], second[1])
        return found

    def _failed(self, told: Failure) -> HitokuError:
        """The worker's code as an error of ours; where an owner's node said why, that."""
        if told.code == "KEYS_REFUSED" and self._refused is not None:
            return self._refused
        if told.code == "RUN_ABORTED":
            return RunAborted("tables" if told.table is None else stage_of(told.table))
        if told.code == COMPUTE:
            return EngineError(
                "the enclave did not come to an answer; it does not tell why, since that may depend on the "
                "rows. It may be out of memory or time, or the answer too large: group by fewer columns, or "
                "use LIMIT",
                COMPUTE,
            )
        if told.code.startswith("ENGINE_"):
            return failure({"code": told.code.removeprefix("ENGINE_")}, limits.ENGINE_SECONDS)
        return EngineError(f"the enclave ended the run ({told.code}); it tells no more than that", told.code)
