# SPDX-License-Identifier: Apache-2.0
"""A room where both owners add noise and keep budgets, and where exactly so many questions can be paid."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from hitoku import ask as way
from hitoku.node.local import LocalNode
from hitoku.ports import NoProgress, SystemClock
from hitoku.room import store as tables
from hitoku.room.accounting import RHO_UNITS, caps
from hitoku.room.agreement import Budget
from hitoku.room.records import RunState
from hitoku.transport.in_process import InProcessNetwork

EXACTLY = 37
NOISED = "SELECT COUNT(p.tailnum) AS n FROM planes AS p"
JOINED = "SELECT COUNT(f.tailnum) AS n FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum"


def noised(change: Callable[[dict[str, Any]], None] | None = None, **budget: Any) -> Callable[..., None]:
    """A change of the small room: both tables with noise, both owners with an account for tails."""

    def made(data: dict[str, Any]) -> None:
        for table in data["tables"]:
            table["rule"] = {
                "type": "custom",
                "allowedAnalyses": ["ANY_QUERY"],
                "allowedAnalysisProviders": ["airport"],
                "differentialPrivacy": {"columns": [{"name": "tailnum"}], "unit": "tail"},
            }
        limits = {"unit": "tail", "epsilon": 5, "users_noise_per_query": 10, **budget}
        data["budgets"] = [{"owner": owner, **limits} for owner in ("airport", "registry")]
        if change is not None:
            change(data)

    return made


def paying(number: int) -> dict[str, Any]:
    """A budget that pays for exactly so many questions of one figure: epsilon and users' noise."""
    for epsilon in range(1, 21):
        most = caps(Budget(owner="a", unit="a", epsilon=epsilon)).rho
        for users in range(10, 101):
            if most // -(-RHO_UNITS // (2 * users * users)) == number:
                return {"epsilon": epsilon, "users_noise_per_query": users}
    raise AssertionError("no such budget")


def another(number: int, question: str = NOISED) -> str:
    """A question like it that was not asked before."""
    return question.replace(" AS n ", f" AS n{number} ")


class Tapped(InProcessNetwork):
    """A network that remembers what goes over it, and lets a test change it."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[str, str, dict[str, Any]]] = []
        self.change: Callable[[str, str, dict[str, Any]], None] = lambda sender, receiver, message: None

    def carry(self, sender: str, receiver: str, content: bytes) -> bytes:
        message = json.loads(content)
        self.change(sender, receiver, message)
        self.log.append((sender, receiver, message))
        return super().carry(sender, receiver, json.dumps(message).encode())

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """All messages of a kind."""
        return [message for _, _, message in self.log if message["kind"] == f"hitoku/{kind}/1"]


class World:
    """All nodes of a place on one tapped network."""

    def __init__(self, place: Any, clock: Any = None) -> None:
        self.place = place
        self.network = Tapped()
        self.nodes = {
            name: LocalNode(directory, place.room, self.network, clock or SystemClock(), NoProgress())
            for name, directory in place.members.items()
        }
        self.room = self.nodes["airport"].room

    def ask(self, sql: str, **more: Any) -> Any:
        """Ask as the airport."""
        node = self.nodes["airport"]
        return way.ask(sql, self.room, node.peers, node.records, NoProgress(), **more)

    def account(self, owner: str = "registry") -> Any:
        """The owner's account."""
        (account,) = self.nodes[owner].records.accounts(self.room.agreement)
        return account

    def ran(self) -> int:
        """How many runs the host computed."""
        run = tables.runs.c
        with self.nodes["host"].records.store.reading() as connection:
            query = sa.select(sa.func.count()).where(
                run.role == "host", run.repeats.is_(None), run.state == str(RunState.COMMITTED)
            )
            return int(connection.scalar(query) or 0)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
