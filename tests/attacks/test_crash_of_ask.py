# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments of a question: ledgers, stores and reservations stay consistent."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.attacks.budget_world import EXACTLY, another, noised, paying
from tests.conftest import fill

import hitoku
from hitoku import limits
from hitoku.errors import Refusal
from hitoku.ports import SystemClock
from hitoku.room import store as tables
from hitoku.room.heads import member_signed
from hitoku.room.ledger import EntryKind
from hitoku.room.records import RunState

WORKER = Path(__file__).with_name("crash_worker.py")


def check(place) -> Counter[str]:
    """Every ledger verifies and says of each run exactly what the store says. Returns the runs' states."""
    signed = member_signed(place.agreement)
    states: Counter[str] = Counter()
    heads = {}
    for name, directory in place.members.items():
        records = directory.records(str(place.agreement.id), SystemClock())
        records.ledger.verify(signed)
        for other in place.members:
            if (head := records.peer_head(other)) is not None:
                heads[name, other] = head
        written: Counter[tuple[str, str]] = Counter()
        for entry in records.ledger.entries():
            if "run" in entry.body:
                written[entry.body["run"], entry.kind] += 1
        with records.store.reading() as connection:
            known = tables.runs.c
            found = connection.execute(sa.select(known.run, known.state, known.repeats)).all()
            # Of a run that was cancelled before it began only its id is used up, with no question.
            empty = connection.scalars(sa.select(known.run).where(known.question == "")).all()
            costs = connection.execute(sa.select(tables.charges.c.run, tables.charges.c.state)).all()
        rows = [(key, state) for key, state, repeats in found if repeats is None]
        again = Counter(key.partition(":")[2] for key, _, repeats in found if repeats is not None)
        given = Counter(
            key.partition(":")[2] for key, state, repeats in found if repeats and state == RunState.COMMITTED
        )
        assert set(costs) <= set(rows)  # a charge is where its run is
        runs = Counter(key.partition(":")[2] for key, _ in rows)
        charged = Counter(key.partition(":")[2] for key, state in rows if state == RunState.COMMITTED)
        aborted = Counter(key.partition(":")[2] for key, state in rows if state == RunState.ABORTED)
        for run, parts in runs.items():
            buried = empty.count(f"host:{run}")
            assert written[run, EntryKind.RESERVATION] == parts - buried
            assert written[run, EntryKind.QUESTION] == parts - buried
            assert written[run, EntryKind.CHARGE] == charged[run]
            assert written[run, EntryKind.ABORT] == aborted[run]
            assert written[run, EntryKind.RELEASE] <= charged[run]
        for run, parts in again.items():
            assert written[run, EntryKind.QUESTION] == parts
            assert written[run, EntryKind.RELEASE] == given[run]
            assert written[run, EntryKind.CHARGE] == written[run, EntryKind.RESERVATION] == 0
        assert {run for run, _ in written} <= {*runs, *again}
        states.update(f"{name} {state}" for _, state in rows)
        records.store.close()
    for (_, other), head in heads.items():
        records = place.members[other].records(str(place.agreement.id), SystemClock())
        records.ledger.verify(signed, head)  # no ledger lost what another member has seen of it
        records.store.close()
    return states


def kill_at_random(place, questions: Iterator[str], times: int, seed: int) -> Counter[int]:
    chance = random.Random(seed)
    worker = subprocess.Popen(
        [sys.executable, WORKER, str(place.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    ends: Counter[int] = Counter()
    try:

        def start() -> int:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(next(questions).replace("\n", " ") + "\n")
            worker.stdin.flush()
            return int(worker.stdout.readline())

        start()
        begin = time.perf_counter()
        assert worker.stdout.readline().strip() == "0"
        start()
        begin = time.perf_counter()
        assert worker.stdout.readline().strip() == "0"
        whole = time.perf_counter() - begin
        for _ in range(times):
            child, begin = start(), time.perf_counter()
            ended, _, _ = select.select([worker.stdout], [], [], chance.uniform(0, whole))
            if ended:  # it came to its end before: the machine is faster than it was
                whole = time.perf_counter() - begin
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(child, signal.SIGKILL)
            ends[int(worker.stdout.readline())] += 1
    finally:
        worker.stdin.close()
        worker.wait(300)
        worker.stdout.close()
    return ends


def mixed(question: str) -> Iterator[str]:
    """New questions, and every third one that was asked before."""
    for number in count():
        yield question.replace(" AS delay", f" AS d{number - 2 if number % 3 == 2 else number}")


@pytest.mark.parametrize("times", [25, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_leaves_everything_consistent(filled, question, times):
    ends = kill_at_random(filled, mixed(question), times, seed=times)
    assert ends[-signal.SIGKILL] >= times // 4
    states = check(filled)
    assert states["host committed"] > 0
    answer = hitoku.open_room(filled.path, "airport").ask(question)
    assert answer.num_rows > 0
    after = check(filled)
    assert after["airport committed"] >= states["airport committed"] + 2  # as asker and as owner
    assert after["host committed"] == states["host committed"] + 1


def test_what_nobody_heard_the_end_of_is_charged(filled, question, monkeypatch, clock):
    from hitoku.ask import Host

    monkeypatch.setattr(Host, "settle", lambda *_: None)
    room = hitoku.open_room(filled.path, "airport", clock=clock)
    room.ask(question)
    assert check(filled)["registry reserved"] == 1
    clock.pass_seconds(limits.RUN_SECONDS + 1)
    monkeypatch.undo()
    hitoku.open_room(filled.path, "airport", clock=clock).ask(question.replace(" AS delay", " AS d"))
    states = check(filled)
    assert states["registry reserved"] == 0
    assert states["registry committed"] == 2


def balance(place, clock):
    """What the registry's account says, after its open runs were recovered; the same on every restart."""
    seen = []
    for _ in range(3):
        records = place.members["registry"].records(str(place.agreement.id), clock)
        records.recover()
        (account,) = records.accounts(place.agreement)
        with records.store.reading() as connection:
            rows = connection.execute(
                sa.select(tables.charges.c.rho).where(tables.charges.c.state != RunState.ABORTED)
            ).all()
        assert (account.charges, account.rho) == (len(rows), sum(rho for (rho,) in rows))
        seen.append(account)
        records.store.close()
    assert seen[0] == seen[1] == seen[2]
    return seen[0]


@pytest.mark.parametrize(("times", "pays"), [(12, 8), pytest.param(100, EXACTLY, marks=pytest.mark.slow)])
def test_no_kill_makes_a_budget_larger(make, clock, times, pays):
    place = fill(make(noised(**paying(pays))))
    numbers = count()
    ends = kill_at_random(place, (another(n) for n in numbers), times, seed=times)
    assert ends[-signal.SIGKILL] >= times // 5
    check(place)
    before = balance(place, SystemClock())
    assert before.charges <= pays
    clock.time = SystemClock().now()
    clock.pass_seconds(limits.RUN_SECONDS + 1)
    later = balance(place, clock)
    assert (later.charges, later.rho) == (before.charges, before.rho)  # reserved counted as spent
    # What is left is paid out to the last question, and no further.
    room = hitoku.open_room(place.path, "airport", clock=clock)
    for _ in range(pays - before.charges):
        room.ask(another(next(numbers)))
    with pytest.raises(Refusal) as caught:
        room.ask(another(next(numbers)))
    assert caught.value.code == "BUDGET_SPENT"
    assert balance(place, clock).charges == pays
    check(place)
