# SPDX-License-Identifier: Apache-2.0
"""A world whose aggregation is `masks`, members that die at a given request, and single sums to ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.learning.world import RUN, World, plan_of

from hitoku.learning.aggregate.masks import MasksMember, MasksSummer
from hitoku.learning.base import Instruction
from hitoku.learning.door import Answer
from hitoku.learning.plan import Plan

Death = tuple[int, Literal["before", "after"]]
"""At which of its requests (from 0) a member dies: before it answers, or after it did, reply lost."""
PHASES = ("advertise", "share", "masked", "consistent", "unmask")


def member(name: str, world: World, state: Path) -> MasksMember:
    return MasksMember(
        world.plan, RUN, name, world.keys[name], world.publics, world.tasks[name], state, threads=1
    )


@contextmanager
def masks_world(folder: Path, plan: Plan | None = None) -> Iterator[World]:
    world = World(plan or plan_of(), folder, member)
    try:
        yield world
    finally:
        world.close()


def summer(world: World) -> MasksSummer:
    return MasksSummer(world.channel, world.plan, RUN, threads=1)


def single(step: int = 0, length: int = 20, bound: int = 1 << 40, **body: Any) -> Instruction:
    return Instruction("numbers", {"do": "single", "step": step, **body}, length, bound)


class Dead(BaseException):
    """What happens to a member that dies while it answers."""


def die(world: World, deaths: Mapping[str, Death]) -> None:
    """Members that die as told, counted from now in requests that they answer in earnest."""

    def mortal(name: str, answer: Answer, when: int, how: str) -> Answer:
        count = 0

        def answered(kind: str, body: Any, arrays: Any) -> tuple[Any, Any]:
            nonlocal count
            if count > when or (count == when and how == "before"):
                raise Dead
            said, values = answer(kind, body, arrays)
            if "least" in said:  # asked again with another number
                return said, values
            count += 1
            if count > when:
                raise Dead
            return said, values

        return answered

    for name, (when, how) in deaths.items():
        door = world.doors[name]
        door._answer = mortal(name, world.answers[name].answer, when, how)
