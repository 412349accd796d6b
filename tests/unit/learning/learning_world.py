# SPDX-License-Identifier: Apache-2.0
"""A signed room of five banks and a server, plans for it, and rows that something can be learned from."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from hitoku.learning.base import Rows
from hitoku.learning.plan import Plan
from hitoku.learning.planning import made
from hitoku.learning.signing import SignedPlan, sign
from hitoku.room.agreement import Agreement, Room
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import save_room
from hitoku.room.signing import sign as sign_room

BANKS = ("aki", "benten", "chiyo", "daiwa", "ebisu")
SHORT: dict[str, Any] = {
    "name": "fraud",
    "data": {"features": [{"name": "x0"}, {"name": "x1"}, {"name": "x2"}], "label": "fraud", "rows": 2000},
    "model": {"kind": "boosting", "trees": 4, "depth": 3, "bins": 16, "rate": 0.3},
    "aggregation": {"seconds": 20},
}


@dataclass(frozen=True)
class Place:
    path: Path
    members: dict[str, MemberDirectory]
    room: Room

    @property
    def agreement(self) -> Agreement:
        return self.room.agreement

    def plan(self, **change: Any) -> Plan:
        data = deepcopy(SHORT)
        for key, value in change.items():
            data[key] = {**data[key], **value} if isinstance(data.get(key), dict) else value
        return made(data, self.agreement)

    def signed(self, plan: Plan) -> SignedPlan:
        signed = SignedPlan(plan, {})
        for name in signed.signers:
            signed = sign(signed, name, self.members[name].keys({}), self.agreement)
        return signed

    @property
    def publics(self) -> dict[str, str]:
        return {member.name: member.key for member in self.agreement.members}


def make_room(path: Path, banks: tuple[str, ...] = BANKS, budget: int | None = 5) -> Place:
    """A room that all signed; the server is `adder`, and there is a host."""
    names = (*banks, "adder", "host")
    members = {name: MemberDirectory.create(path / name, name) for name in names}
    data: dict[str, Any] = {
        "id": str(UUID(int=77)),
        "name": "Banks against fraud",
        "members": [
            {
                "name": name,
                "key": members[name].keys({}).public_key(),
                "abilities": {"adder": ["compute"], "host": ["host"]}.get(name, ["query", "receive"]),
            }
            for name in names
        ],
    }
    if budget is not None:
        data["budgets"] = [{"owner": name, "unit": "customer", "epsilon": budget} for name in banks]
    room = Room(agreement=Agreement.model_validate(data))
    for name, directory in members.items():
        room = sign_room(room, name, directory.keys({}))
        directory.remember(room)
    save_room(room, path / "room.yaml")
    write_peers(path, {name: name for name in members})
    return Place(path, members, room)


def rows(seed: int, count: int = 400, flip: bool = False) -> Rows:
    """Rows whose first two columns tell of the label; with `flip`, labels are turned round."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(count, 3)).astype(np.float32)
    odds = 2.0 * features[:, 0] - 1.5 * features[:, 1] - 1.0
    label = (draw.random(count) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    part = draw.choice(3, size=count, p=(0.6, 0.2, 0.2)).astype(np.uint8)
    return Rows(features, (1 - label) if flip else label, part)
