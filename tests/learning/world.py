# SPDX-License-Identifier: Apache-2.0
"""A small world of members with keys, tasks and state, for tests of everything that sends messages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from hitoku.learning.base import Arrays, Instruction
from hitoku.learning.channel import Channel
from hitoku.learning.door import Door
from hitoku.learning.local import LocalFleet
from hitoku.learning.plan import Aggregation, Boosting, Data, Feature, Plan, plan_hash
from hitoku.learning.transcript import Transcript

RUN = "0123456789abcdef0123456789abcdef"
SERVER = "server"
NAMES = ("aoi", "beni", "chika", "daichi", "emi", "fuji", "ginjo", "hana", "iroha", "juri")


class Keys:
    """A KeyStore in memory."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public = "ed25519:" + base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def shared_secret(self) -> bytes:
        raise AssertionError


class Numbers:
    """A task that contributes numbers made from the instruction and the member's own seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.asked: list[tuple[Instruction, tuple[str, ...]]] = []

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        self.asked.append((instruction, members))
        return values(self.seed, instruction)

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        return {"heard": dict(body), "seed": self.seed}, dict(arrays)


def values(seed: int, instruction: Instruction) -> NDArray[np.int64]:
    """What `Numbers(seed)` contributes."""
    step = int(instruction.body.get("step", 0))
    random = np.random.default_rng([seed, step])
    return random.integers(-instruction.bound, instruction.bound, instruction.length, endpoint=True)


def instruction(step: int = 0, length: int = 50, bound: int = 1 << 40, **body: Any) -> Instruction:
    return Instruction("numbers", {"do": "numbers", "step": step, **body}, length, bound)


def plan_of(count: int = 5, **aggregation: Any) -> Plan:
    """A plan of the first `count` names."""
    return Plan(
        name="joint",
        room="00000000-0000-0000-0000-000000000000",
        agreement="sha256:" + "0" * 64,
        members=NAMES[:count],
        server=SERVER,
        data=Data(features=(Feature(name="x"),), label="y"),
        model=Boosting(trees=2),
        aggregation=Aggregation(**{"seconds": 20.0, **aggregation}),
        salt="ab" * 32,
    )


def _nobody(_: bytes) -> bytes:
    raise ConnectionError


class World:
    """Members behind doors on a local fleet, and the server's channel to them.

    Args:
        plan: the plan.
        folder: for members' state.
        make: makes what answers at a member, from its name, the world and its state folder.
    """

    def __init__(self, plan: Plan, folder: Path, make: Callable[[str, World, Path], Any]) -> None:
        self.plan, self.folder, self.make = plan, folder, make
        self.keys = {name: Keys() for name in (*plan.members, SERVER)}
        self.publics = {name: keys.public for name, keys in self.keys.items()}
        self.tasks = {name: {"numbers": Numbers(n + 1)} for n, name in enumerate(plan.members)}
        self.transcript = Transcript(None, party=SERVER, plan=plan_hash(plan), run=RUN)
        self.doors: dict[str, Door] = {}
        self.answers: dict[str, Any] = {}
        self.fleet = LocalFleet(dict.fromkeys(plan.members, _nobody))  # a thread for each
        for name in plan.members:
            self.start(name)
        self.channel = self.server()

    def server(self) -> Channel:
        """A server that has just started."""
        return Channel(self.plan, RUN, self.fleet, self.keys[SERVER], self.publics, self.transcript)

    def start(self, name: str) -> None:
        """Start a member, or start it again with the state it left."""
        self.stop(name)
        state = self.folder / name
        answer = self.make(name, self, state)
        self.answers[name] = answer
        self.doors[name] = Door(
            plan_hash(self.plan), RUN, name, self.keys[name], self.publics[SERVER], state, answer.answer
        )
        self.fleet.join(name, self.doors[name].handle)

    def stop(self, name: str) -> None:
        """Kill a member: what it had in memory is gone."""
        self.fleet.leave(name)
        if name in self.doors:
            self.doors.pop(name).close()
            close = getattr(self.answers.pop(name), "close", None)
            if close is not None:
                close()

    def close(self) -> None:
        for name in tuple(self.doors):
            self.stop(name)
        self.fleet.close()

    def plain(self, asked: Instruction, members: Sequence[str]) -> NDArray[np.int64]:
        """The plain sum of what these members contribute."""
        seeds = {name: n + 1 for n, name in enumerate(self.plan.members)}
        total = np.zeros(asked.length, np.int64)
        for name in members:
            total += values(seeds[name], asked)
        return total
