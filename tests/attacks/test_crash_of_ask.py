# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments of a question: ledgers, stores and reservations stay consistent."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

import hitoku
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
            rows = connection.execute(sa.select(tables.runs.c.run, tables.runs.c.state)).all()
        runs = Counter(key.partition(":")[2] for key, _ in rows)
        charged = Counter(key.partition(":")[2] for key, state in rows if state == RunState.COMMITTED)
        aborted = Counter(key.partition(":")[2] for key, state in rows if state == RunState.ABORTED)
        for run, parts in runs.items():
            buried = sum(1 for key, _ in rows if key == f"host:{run}" and not written[run, "reservation"])
            assert written[run, EntryKind.RESERVATION] == parts - buried
            assert written[run, EntryKind.QUESTION] == parts - buried
            assert written[run, EntryKind.CHARGE] == charged[run]
            assert written[run, EntryKind.ABORT] == aborted[run]
            assert written[run, EntryKind.RELEASE] <= charged[run]
        assert {run for run, _ in written} <= set(runs)
        states.update(f"{name} {state}" for _, state in rows)
        records.store.close()
    for (_, other), head in heads.items():
        records = place.members[other].records(str(place.agreement.id), SystemClock())
        records.ledger.verify(signed, head)  # no ledger lost what another member has seen of it
        records.store.close()
    return states


def kill_at_random(place, question: str, times: int, seed: int) -> Counter[int]:
    chance = random.Random(seed)
    worker = subprocess.Popen(
        [sys.executable, WORKER, str(place.path), question],
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
            worker.stdin.write("\n")
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
            child = start()
            time.sleep(chance.uniform(0, whole))
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(child, signal.SIGKILL)
            ends[int(worker.stdout.readline())] += 1
    finally:
        worker.stdin.close()
        worker.wait(30)
        worker.stdout.close()
    return ends


@pytest.mark.parametrize("times", [25, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_leaves_everything_consistent(filled, question, times):
    ends = kill_at_random(filled, question, times, seed=times)
    assert ends[-signal.SIGKILL] >= times // 2
    states = check(filled)
    answer = hitoku.open_room(filled.path, "airport").ask(question)
    assert answer.num_rows > 0
    after = check(filled)
    assert after["airport committed"] >= states["airport committed"] + 2  # as asker and as owner
    assert after["host committed"] == states["host committed"] + 1


def test_what_nobody_heard_the_end_of_is_charged(filled, question, monkeypatch, clock):
    from hitoku import limits
    from hitoku.ask import Host

    monkeypatch.setattr(Host, "_settle", lambda *_: None)
    room = hitoku.open_room(filled.path, "airport", clock=clock)
    room.ask(question)
    assert check(filled)["registry reserved"] == 1
    clock.pass_seconds(limits.RUN_SECONDS + 1)
    monkeypatch.undo()
    hitoku.open_room(filled.path, "airport", clock=clock).ask(question)
    states = check(filled)
    assert states["registry reserved"] == 0
    assert states["registry committed"] == 2
