# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import threading
import time

import pytest

from hitoku.executors import Local
from hitoku.executors.local import cores


def test_order_and_bound():
    taken = []

    def items():
        for i in range(40):
            taken.append(i)
            yield i

    results = Local(2).map(lambda i: i * i, items())
    assert next(results) == 0
    assert len(taken) <= 4
    assert list(results) == [i * i for i in range(1, 40)]


def test_the_first_error_ends_the_work():
    started = []

    def work(i):
        started.append(i)
        if i == 3:
            raise ValueError("three")
        time.sleep(0.001)
        return i

    with pytest.raises(ValueError, match="three"):
        list(Local(2).map(work, range(1_000)))
    assert len(started) < 20
    # Its own threads: those of other tests' nodes have longer names, and may be ending still.
    assert not any(t.name.startswith("hitoku_") for t in threading.enumerate())


def test_threads():
    assert Local().parallelism == cores() >= 1
    with pytest.raises(ValueError):
        Local(0)
