# SPDX-License-Identifier: Apache-2.0
"""Members with a room file of their own each, whose nodes exchange proposals in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import FakeClock, make_place

from hitoku.errors import PeerError
from hitoku.node.courier import Courier
from hitoku.node.proposal_desk import ProposalDesk
from hitoku.node.proposals import Proposals
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, save_room
from hitoku.room.versions import newest_in_force
from hitoku.transport.in_process import InProcessNetwork, InProcessPeers
from hitoku.transport.joining import give_room

__all__ = ["Member", "World", "retold"]


class Member:
    """One member, with its own files."""

    def __init__(self, world: World, directory: MemberDirectory, room: Room) -> None:
        self.world, self.directory, self.name = world, directory, directory.name
        self.file = directory.path / "room.yaml"
        save_room(room, self.file)
        self.room = str(room.agreement.id)
        (directory.path / "node.toml").write_text(
            'listen = "127.0.0.1:1"\nurl = "https://127.0.0.1:1"\n[[rooms]]\nfile = "room.yaml"\n', "utf-8"
        )
        self.proposals = Proposals(directory, self.file, self.room, world.clock)
        self.desk = ProposalDesk(directory, self.room, world.clock)
        self.up = True
        self.saved: dict[Path, bytes] | None = None

    def save(self) -> None:
        """Keep what a backup has of proposals: in a real one, see `hitoku.node.backup`."""
        files = [
            self.file,
            *self.directory.path.glob("rooms/*"),
            *self.directory.path.glob("proposals/*/[!.]*"),
        ]
        self.saved = {path: path.read_bytes() for path in files if path.is_file()}

    def restore(self) -> None:
        """Put that back, and close signing as a restore does."""
        assert self.saved is not None
        for path in (*self.directory.path.glob("rooms/*"), *self.directory.path.glob("proposals/*/*.json")):
            path.unlink()
        for path, content in self.saved.items():
            path.write_bytes(content)
        self.proposals.book.close("restored")

    def handle(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        """What its node answers."""
        if not self.up:
            raise PeerError("nobody is here")
        if message["kind"] == "hitoku/room-request/1":
            return give_room(newest_in_force(load_room(self.file)), sender, message)
        return self.desk.answer(sender, message)

    def step(self, *, eager: bool = True) -> bool:
        """Its courier says what is to be said."""
        return Courier(self.proposals, {}, self.world.network).step(self.agreement, eager=eager)

    @property
    def agreement(self) -> Agreement:
        """What is in force at it."""
        return newest_in_force(load_room(self.file)).agreement

    @property
    def peers(self) -> InProcessPeers:
        """Its own way to the others, for what it says against the rules."""
        return InProcessPeers(self.world.network, self.name)


class World:
    """airport and registry own a table each, host owns none; all have version 1 in force."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        place = make_place(path)
        self.clock = clock
        self.network = InProcessNetwork()
        self.members = {n: Member(self, d, place.room) for n, d in place.members.items()}
        for name, member in self.members.items():
            self.network.join(name, member.handle)

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def versions(self) -> list[int]:
        """The version in force at each member."""
        return [m.agreement.version for m in self.members.values()]


def retold(agreement: Agreement, **more: Any) -> dict[str, Any]:
    """An agreement as data, with fields changed."""
    return agreement.model_dump(mode="json", by_alias=True, exclude_none=True) | more
