# SPDX-License-Identifier: Apache-2.0
"""One member's part in runs in enclaves: as owner, as the place where they run, as receiver."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku import ask as way
from hitoku.errors import PeerError
from hitoku.node.broker import refused_outside
from hitoku.node.bulk import is_bulk
from hitoku.node.offers import Offers
from hitoku.node.onetime import OneTimeKeyFiles
from hitoku.node.settings import SETTINGS_FILE, EnclaveSettings, NodeSettings
from hitoku.room.agreement import Ability
from hitoku.room.files import write_whole
from hitoku.room.records import replayed
from hitoku.transport.parcels import LocalParcels

if TYPE_CHECKING:
    import pyarrow as pa

    from hitoku.ask.common import Examined
    from hitoku.attestation.broker import Broker
    from hitoku.disclosure.answer import Answer
    from hitoku.node.bulk import BulkShelf
    from hitoku.node.jobs import RunShelf
    from hitoku.node.uploads import Uploads
    from hitoku.ports import Clock, Parcels, Peers
    from hitoku.protections.enclave import Enclave
    from hitoku.protections.enclave.enclosure import Enclosure, Started
    from hitoku.room.agreement import Room
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.records import Records
    from hitoku.transport.enclave import OfferedTable
    from hitoku.transport.sealed import Sealing

__all__ = ["KINDS", "EnclaveDesk", "Shelves", "certificate_file"]

OFFER: Final = "hitoku/offer-tables/1"
KEY: Final = "hitoku/sealing-key-request/1"
DELIVER: Final = "hitoku/deliver-sealed/1"
KINDS: Final = frozenset({OFFER, KEY, DELIVER})


def certificate_file(directory: Path, run: str) -> Path:
    """Where a member keeps the certificate of deletion of a run."""
    return directory / "answers" / f"{run}.deletion.json"


class EnclaveDesk:
    """Where the messages of runs in enclaves arrive at one member's node.

    Args:
        directory: the member's.
        room: the room, verified.
        records: what the member remembers.
        clock: the time.
        broker: as owner, its key broker.
        keep: as receiver, keeps an answer.
    """

    def __init__(
        self,
        directory: MemberDirectory,
        room: Room,
        records: Callable[[], Records],
        clock: Clock,
        broker: Callable[[], Broker],
        keep: Callable[[Answer], None],
    ) -> None:
        self._directory, self._room, self._records, self._clock = directory, room, records, clock
        self._keep_answer = keep
        self.offers = Offers(directory, room, broker)
        self._running: dict[str, tuple[str, Enclosure]] = {}
        self._lock = threading.Lock()

    # --- as owner and receiver ---

    def answer(self, sender: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one of `KINDS`.

        Raises:
            Refusal: this member does not do that for the sender.
            PeerError: the message is malformed, or for who has another duty.
            HitokuError: whatever the duty raises.
        """
        kind, agreement = message["kind"], self._room.agreement
        me = agreement.member(self._directory.name)
        if kind == OFFER and self._directory.name in agreement.owners():
            with refused_outside(self._directory.name):
                return way.Offering(self._directory.name, self._room, self._records(), self._seal).offer(
                    sender, message
                )
        if me is not None and Ability.RECEIVE in me.abilities:
            if kind == KEY:
                return self._receiver.key(sender, message)
            if kind == DELIVER:
                return self._receiver.deliver(sender, message)
        raise PeerError(f"{self._directory.name!r} does not answer such messages")

    def _seal(self, examined: Examined, run: str, host: str) -> list[OfferedTable] | None:
        return self.offers.seal(examined, run, host)

    @cached_property
    def _receiver(self) -> way.SealedReceiver:
        directory = self._directory
        return way.SealedReceiver(
            directory.name,
            self._room,
            directory.keys(),
            OneTimeKeyFiles(directory.path / "enclave" / "keys"),
            self._keep,
            lambda run: (directory.path / "answers" / f"{run}.json").exists(),
            self._clock,
        )

    def _keep(self, answer: Answer, certificate: Mapping[str, Any] | None) -> None:
        self._keep_answer(answer)
        if certificate is not None:
            self.certified(answer.run, certificate)

    def certified(self, run: str, certificate: Mapping[str, Any]) -> None:
        """Keep the certificate of deletion that came with a run's answer, and holds."""
        file = certificate_file(self._directory.path, run)
        file.parent.mkdir(exist_ok=True)
        write_whole(file, json.dumps(certificate, allow_nan=False).encode())

    # --- as the place of a run ---

    def enclave(self, run: str, asker: str, peers: Peers, parcels: Parcels) -> Enclave:
        """What starts and serves the worker of a run.

        Raises:
            InputError: node.toml cannot be used.
            Refusal: the run has one already.
        """
        from hitoku.protections.enclave import Enclave
        from hitoku.protections.enclave.enclosure import Enclosure

        settings = _settings(self._directory.path)
        enclosure = Enclosure(lambda: self.start(settings), peers, _Own(self._directory.name, self, parcels))
        with self._lock:
            if run in self._running:
                raise replayed()
            self._running[run] = (asker, enclosure)
        return Enclave(enclosure, self._led)

    def _led(self, run: str, certificate: Mapping[str, Any]) -> None:
        """Keep the certificate of deletion of a run that this member was the place of."""
        folder = self._directory.path / "enclave" / "certificates"
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        write_whole(folder / f"{run}.json", json.dumps(certificate, allow_nan=False).encode())

    def start(self, settings: EnclaveSettings) -> Started:
        """Start a worker.

        Raises:
            InputError: something is not installed, or the system does not allow it.
        """
        from hitoku.protections.enclave.starting import start_worker

        device = settings.device
        key = None if settings.platform != "dev" or device is None else self._directory.path / device
        return start_worker(settings.platform, device=device, key=key)

    def done(self, run: str) -> None:
        """The run is over at this place."""
        with self._lock:
            self._running.pop(run, None)

    def cancel(self, run: str, asker: str) -> None:
        """End a run that its asker gives up; nothing where it is another's, or none."""
        with self._lock:
            known = self._running.get(run)
        if known is not None and known[0] == asker:
            known[1].cancel()

    def cancel_all(self) -> None:
        """End whatever runs."""
        with self._lock:
            found = [enclosure for _, enclosure in self._running.values()]
        for enclosure in found:
            enclosure.cancel()


class _Own:
    """The way to parcels, where this member may be one of the owners itself."""

    def __init__(self, me: str, desk: EnclaveDesk, others: Parcels) -> None:
        self._me, self._others = me, others
        self._here = LocalParcels(me, {me: desk.offers})

    def fetch(
        self, member: str, run: str, name: str, schema: pa.Schema, rows: int, wait: float
    ) -> Iterator[pa.RecordBatch]:
        """See `hitoku.ports.Parcels.fetch`."""
        way_to = self._here if member == self._me else self._others
        return way_to.fetch(member, run, name, schema, rows, wait)


class Shelves:
    """A node's parcels: of runs between two owners, sealed tables for enclaves, shares, and ciphertexts."""

    def __init__(self, runs: RunShelf, offers: Offers, bulk: BulkShelf, uploads: Uploads) -> None:
        self._runs, self._offers, self._bulk, self._uploads = runs, offers, bulk, uploads

    def parcel(self, member: str, run: str, name: str) -> Path | None:
        """See `hitoku.transport.parcels.Shelf`.

        Raises:
            Refusal: ``NO_SUCH_PARCEL``, ``RUN_ENDED``.
        """
        if is_bulk(name):
            return self._bulk.parcel(member, run, name)
        if self._uploads.knows(run):
            return self._uploads.parcel(member, run, name)
        shelf = self._offers if self._offers.knows(run) else self._runs
        return shelf.parcel(member, run, name)

    def sealing(self, member: str, run: str, name: str) -> Sealing | None:
        """See `hitoku.transport.sealed.SealingShelf`; what is for an enclave, and ciphertexts, are sealed.

        Nor does a share tell anything.
        """
        if is_bulk(name) or self._offers.knows(run) or self._uploads.knows(run):
            return None
        return self._runs.sealing(member, run, name)

    def left(self, member: str, run: str, name: str) -> None:
        """Some of a parcel is about to leave."""
        if not is_bulk(name) and not self._offers.knows(run) and not self._uploads.knows(run):
            self._runs.left(member, run, name)


def _settings(directory: Path) -> EnclaveSettings:
    """What node.toml says of enclaves here; a software TPM of its own where it says nothing."""
    if not (directory / SETTINGS_FILE).is_file():
        return EnclaveSettings()
    return NodeSettings.open(directory).enclave or EnclaveSettings()
