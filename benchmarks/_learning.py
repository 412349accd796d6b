# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of joint learning share: members in one process, plans, jobs over the cores.

Members stand behind the same signed messages as in a run (`Channel`, `Door`, `LocalFleet`), each in a thread
of its own. `plain` sends its vectors as they are over those messages: what masks and he add is all that
differs. It protects nothing and exists for tests and benchmarks only.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from _common import ROOT, say

sys.path.insert(0, str(ROOT))

from tests.learning.plain import PlainMember, PlainSummer
from tests.learning.world import RUN, SERVER, World

from hitoku.learning.base import Summer, Task
from hitoku.learning.ideal import IdealSummer
from hitoku.learning.plan import Data, Plan

__all__ = ["BANKS", "RUN", "Kind", "Traffic", "drive_steps", "jobs", "over", "plan_of"]

Kind = Literal["ideal", "plain", "masks", "he"]
BANKS: Final = tuple(f"bank-{number}" for number in range(1, 6))


def plan_of(data: Data, model: Any, members: Sequence[str] = BANKS, **more: Any) -> Plan:
    """A plan that nobody signed: it is run in this process alone."""
    return Plan(
        name="bench",
        room="00000000-0000-0000-0000-000000000000",
        agreement="sha256:" + "0" * 64,
        members=tuple(sorted(members)),
        server=SERVER,
        data=data,
        model=model,
        salt="ab" * 32,
        **more,
    )


@dataclass
class Traffic:
    """The bytes of all messages of a channel, both ways."""

    world: World | None

    @property
    def bytes(self) -> int:
        if self.world is None:
            return 0
        return self.world.channel.sent_bytes + self.world.channel.received_bytes


@contextmanager
def over(
    kind: Kind, plan: Plan, tasks: Mapping[str, Mapping[str, Task]]
) -> Iterator[Callable[[Callable[[Summer, Traffic], None]], None]]:
    """Members with these tasks, joined in the way of `kind`; what is yielded runs a driver over them.

    With he the driver runs in the leader's thread, as it does in a run.
    """
    if kind == "ideal":
        yield lambda driver: driver(IdealSummer(tasks), Traffic(None))
        return

    def make(name: str, world: World, state: Path) -> Any:
        if kind == "plain":
            return PlainMember(plan.members, tasks[name])
        common = (plan, RUN, name, world.keys[name], world.publics, tasks[name], state)
        if kind == "masks":
            from hitoku.learning.aggregate.masks import MasksMember

            return MasksMember(*common, threads=1)
        from hitoku.learning.aggregate.he import HeMember

        return HeMember(*common, threads=1)

    with tempfile.TemporaryDirectory(prefix="hitoku-learning-") as folder:
        world = World(plan, Path(folder), make)
        traffic = Traffic(world)

        def run(driver: Callable[[Summer, Traffic], None]) -> None:
            if kind == "plain":
                driver(PlainSummer(world.channel), traffic)
            elif kind == "masks":
                from hitoku.learning.aggregate.masks import MasksSummer

                driver(MasksSummer(world.channel, plan, RUN), traffic)
            else:
                from hitoku.learning.aggregate.he import HeRelay

                for member in world.answers.values():
                    member.lead(lambda summer: driver(summer, traffic))
                HeRelay(world.channel, plan, RUN).run()

        try:
            yield run
        finally:
            world.close()


def drive_steps(trainer: Any, summer: Summer, after: Callable[[], None] | None = None) -> None:
    """All steps of a model; `after` is called when it is prepared."""
    trainer.prepare(summer)
    trainer.synchronise(summer)
    if after is not None:
        after()
    while not trainer.finished:
        trainer.step(summer)


def jobs(
    work: Callable[..., Any], each: Sequence[tuple[Any, ...]], what: str, *, apart: bool = True
) -> list[Any]:
    """Run independent jobs, one on each core, in processes of their own; results in the order of `each`.

    For figures of accuracy only: nothing that is timed runs here. Small jobs need no process (`apart`).
    """
    cores = sorted(os.sched_getaffinity(0))
    say(f"{what}: {len(each)} jobs")
    if not apart or len(each) == 1:
        return [work(*one) for one in each]
    before = dict(os.environ)
    # Each job has one core: more threads than that would wait for one another. Libraries read it when loaded.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    context = multiprocessing.get_context("spawn")
    free = context.Queue()
    for core in cores:
        free.put(core)
    try:
        with ProcessPoolExecutor(
            min(len(cores), len(each)), mp_context=context, initializer=_pin, initargs=(free,)
        ) as pool:
            return list(pool.map(work, *zip(*each, strict=True)))
    finally:
        os.environ.clear()
        os.environ.update(before)


def _pin(free: Any) -> None:
    os.sched_setaffinity(0, {free.get()})
