# SPDX-License-Identifier: Apache-2.0
"""The demo's place: five banks with keys and payments of their own, a server with none, a signed room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from hitoku.learning.planning import made
from hitoku.learning.signing import SignedPlan, sign
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import ROOM_FILE, MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.signing import sign as sign_room

if TYPE_CHECKING:
    from hitoku.learning.plan import Data

__all__ = ["BANKS", "SERVER", "Bank", "World", "make"]

BANKS: Final = ("bank-1", "bank-2", "bank-3", "bank-4", "bank-5")
SERVER: Final = "centre"
TABLE: Final = "payments.parquet"
_CUSTOMERS: Final = 2_500
_TERMINALS: Final = 5_000
_DAYS: Final = 122
_RADIUS: Final = 7.07
"""How far customers go for a terminal; in a smaller town further, so that as many serve each."""
_COMPROMISED: Final = 1
_LEAKED: Final = 2
"""New victims of two kinds of fraud a day, fewer as there are fewer of both: rates stay."""
_ROWS: Final = 500_000
"""No bank brings more; bounds of sums are proven with it."""


@dataclass(frozen=True, slots=True)
class Bank:
    """What the demo knows of a bank's payments.

    Attributes:
        rows: payments.
        frauds: how many of them are.
        size: bytes of its file.
    """

    rows: int
    frauds: int
    size: int


@dataclass(frozen=True, slots=True)
class World:
    """The demo's place.

    Attributes:
        place: its directory: members' directories, the room file, plans, runs, logs.
        room: in force.
        banks: what each brings.
        data: the columns, for plans.
    """

    place: Path
    room: Room
    banks: Mapping[str, Bank]
    data: Data

    def table(self, bank: str) -> Path:
        """A bank's payments, on its own side."""
        return self.place / bank / "tables" / TABLE

    def plan(self, name: str, model: Mapping[str, Any], **more: Any) -> Path:
        """Make a plan and have everybody sign it, each with its own key. Returns its file."""
        data = {**self.data.model_dump(mode="json", exclude_none=True), "rows": _ROWS}
        agreement = self.room.agreement
        signed = SignedPlan(made({"name": name, "data": data, "model": dict(model), **more}, agreement), {})
        for member in signed.signers:
            directory = MemberDirectory.open(self.place / member)
            signed = sign(signed, member, directory.keys({}), agreement)
        path = self.place / f"{name}.plan.json"
        signed.save(path)
        return path


def make(place: Path) -> World:
    """Members with keys, the room that they sign, and each bank's payments in its own directory.

    Raises:
        InputError: the directory cannot be written.
    """
    import pyarrow.parquet as pq

    from hitoku.learning.data.banks import bank_data, bank_table, five_banks
    from hitoku.learning.data.handbook import simulate

    members = {name: MemberDirectory.create(place / name, name) for name in (*BANKS, SERVER)}
    room = Room(agreement=Agreement.model_validate(_agreement(members)))
    for name, member in members.items():
        room = sign_room(room, name, member.keys({}))
        member.remember(room)
    save_room(room, place / ROOM_FILE)
    write_peers(place, {name: name for name in members})
    payments = simulate(
        _CUSTOMERS, _TERMINALS, _DAYS, radius=_RADIUS, compromised=_COMPROMISED, leaked=_LEAKED
    )
    banks = {}
    for name, own in five_banks(payments, "types").items():
        path = place / name / "tables" / TABLE
        path.parent.mkdir(exist_ok=True)
        pq.write_table(bank_table(own), path)
        banks[name] = Bank(len(own), int((own.fraud != 0).sum()), path.stat().st_size)
    return World(place, room, banks, bank_data(payments, terminals=_TERMINALS))


def _agreement(members: Mapping[str, MemberDirectory]) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "name": "Five banks against card fraud",
        "members": [
            {
                "name": name,
                "key": member.keys({}).public_key(),
                "abilities": ["compute"] if name == SERVER else [],
            }
            for name, member in members.items()
        ],
    }
