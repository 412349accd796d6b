# SPDX-License-Identifier: Apache-2.0
"""The demo's room, members and nodes: two owners with key brokers, and a host that only computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.attestation.kept import Kept
from hitoku.attestation.program import pcr_of
from hitoku.attestation.reference import ReferenceValue
from hitoku.demo import story
from hitoku.demo.crosstab import nodes
from hitoku.demo.data import write_flights, write_planes
from hitoku.node.certificate import certificate_file
from hitoku.node.settings import NodeSettings
from hitoku.ports import SystemClock
from hitoku.room.consent import moment
from hitoku.room.directory import MemberDirectory
from hitoku.room.ledger import Entry, EntryKind

if TYPE_CHECKING:
    from hitoku.disclosure.answer import Answer
    from hitoku.ports import Peers, Progress
    from hitoku.room.agreement import Room
    from hitoku.room.records import Records

__all__ = ["HOST", "OWNERS", "World", "agreement", "make"]

HOST: Final = "host"
OWNERS: Final = ("airport", "registry")
_TABLES: Final = {"airport": "flights", "registry": "planes"}
_ABILITIES: Final = {"airport": ["query", "receive"], "registry": [], HOST: ["compute"]}
_DAYS: Final = 1


def agreement(keys: dict[str, str]) -> dict[str, Any]:
    """The first demo's agreement, with an enclave in place of tokens, for the members' public keys."""
    data = story.agreement(keys)
    for table in data["tables"]:
        # There they are sealed for nobody but the owners' own people; an enclave has no use for them.
        table["columns"] = [column for column in table["columns"] if column["protection"] != "sealed"]
    members = [{"name": name, "key": key, "abilities": _ABILITIES[name]} for name, key in keys.items()]
    attestation = {"accept": ["tpm"], "software": True}
    return data | {"members": members, "protections": ["enclave"], "attestation": attestation}


@dataclass(frozen=True, slots=True)
class World:
    """The demo's place.

    Attributes:
        place: its directory: members' directories, room file, logs.
        room: in force.
        rows: of each owner's table.
    """

    place: Path
    room: Room
    rows: dict[str, int]

    def ask(self, progress: Progress | None = None) -> Answer:
        """The airport asks the question over the network; all nodes must serve."""
        from hitoku.node.remote import open_remote_room

        handle = open_remote_room(self.place / "airport", progress=progress)
        try:
            return handle.ask(story.QUESTION)
        finally:
            handle.close()

    def sign_for(self, program: str) -> None:
        """Both owners sign the program's reference value, and enter it in their ledgers."""
        value = ReferenceValue.model_validate(
            {
                "room": self.room.agreement.id,
                "serial": 1,
                "program": program,
                "version": "the worker of this demo",
                "kind": "tpm",
                "measurements": {"pcr12": (pcr_of(program),)},
                "not_after": moment(datetime.now(UTC) + timedelta(days=_DAYS)),
            }
        )
        directories = [MemberDirectory.open(self.place / owner) for owner in OWNERS]
        for directory in directories:
            value = value.sign(directory.name, directory.keys({}))
        for directory in directories:
            with self._records(directory) as records:
                Kept(directory, records).put([value], self.room.agreement, "import")

    def entries(self, member: str, kind: EntryKind) -> list[Entry]:
        """What a member's ledger says."""
        with self._records(MemberDirectory.open(self.place / member)) as records:
            return list(records.ledger.entries(0, kind))

    @contextmanager
    def speaking_for(self, member: str) -> Iterator[Peers]:
        """A way to the others in a member's name, with its keys."""
        from hitoku.transport.https.client import HttpsNetwork
        from hitoku.transport.in_process import InProcessPeers

        directory = MemberDirectory.open(self.place / member)
        (settings,) = NodeSettings.open(directory.path).rooms
        certificate = certificate_file(directory)
        with HttpsNetwork(
            member, self.room.agreement, settings.peers, certificate, directory.key_file
        ) as network:
            yield InProcessPeers(network, member)

    @contextmanager
    def _records(self, directory: MemberDirectory) -> Iterator[Records]:
        records = directory.records(str(self.room.agreement.id), SystemClock())
        try:
            yield records
        finally:
            records.store.close()


def make(place: Path) -> World:
    """Members with keys and tables, the room that they sign, their nodes' settings.

    Raises:
        InputError: the data is not installed.
    """
    tables = {
        owner: [{"name": table, "source": f"tables/{table}.parquet"}] for owner, table in _TABLES.items()
    }
    room = nodes.make(place, agreement, {**tables, HOST: []})
    rows = {
        "flights": write_flights(place / "airport" / "tables" / "flights.parquet"),
        "planes": write_planes(place / "registry" / "tables" / "planes.parquet"),
    }
    return World(place, room, rows)
