# SPDX-License-Identifier: Apache-2.0
"""The end of a listener, its lanes, and what the libraries below it may say."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.unit.transport.https.parties import SECONDS, Heard, listening
from tests.unit.transport.https.test_client import holder, network

from hitoku.errors import PeerError
from hitoku.transport.https import bounds
from hitoku.transport.https.lanes import Busy, Lane, Lanes
from hitoku.transport.https.listener import quiet

RUN = b'{"kind":"hitoku/run-request/1"}'


class Runs:
    """An answer that takes until it is let go, or ended."""

    def __init__(self):
        self.begun, self.go_on, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, sender, content):
        self.begun.set()
        self.go_on.wait(SECONDS)
        return (
            b'{"kind":"hitoku/failed/1","code":"ENGINE_CANCELLED"}'
            if self.ended.is_set()
            else b'{"kind":"x"}'
        )

    def stop(self):
        self.ended.set()
        self.go_on.set()


def _stopped(place, monkeypatch, runs, seconds, let_go):
    """What two run requests get from a listener that is told to stop while it answers the first of them."""
    monkeypatch.setattr(bounds, "GRACE_SECONDS", seconds)
    with ThreadPoolExecutor(2) as threads:
        with listening(place.agreement, "host", holder(place, "host"), runs, runs.stop) as there:
            net = network(place, "airport", there)
            first = threads.submit(net.carry, "airport", "host", RUN)
            assert runs.begun.wait(SECONDS)
            second = threads.submit(net.carry, "airport", "host", RUN)
            while len(there.listener.server_state.tasks) < 2:
                threading.Event().wait(0.01)
            there.listener.should_exit = True
            if let_go:
                while there.listener.servers[0].is_serving():
                    threading.Event().wait(0.01)
                runs.go_on.set()
        outcomes = [first.exception() or first.result(), second.exception() or second.result()]
        net.close()
    return outcomes


def test_what_runs_may_end_in_a_while(place, monkeypatch):
    runs = Runs()
    assert _stopped(place, monkeypatch, runs, SECONDS, let_go=True) == [b'{"kind":"x"}'] * 2
    assert not runs.ended.is_set()


def test_what_does_not_end_is_ended_and_its_asker_told(place, monkeypatch):
    runs = Runs()
    first, second = _stopped(place, monkeypatch, runs, 3, let_go=False)
    assert b"ENGINE_CANCELLED" in first
    # The one that waited was ended too; in which way depends on which was first.
    assert isinstance(second, PeerError) or b"ENGINE_CANCELLED" in second


def test_lanes_are_three_and_bounded(monkeypatch):
    monkeypatch.setattr(bounds, "PLACES", 3)
    monkeypatch.setattr(bounds, "PLACES_A_MEMBER", 2)
    lanes = Lanes()
    kinds = ("hitoku/run-request/1", "hitoku/consent-request/1", "hitoku/head-request/1")
    assert len({id(lanes.of(kind)) for kind in kinds}) == 3
    assert lanes.of("hitoku/cancel/1") is lanes.of("hitoku/consent-request/1")
    assert lanes.of("hitoku/settle/1") is lanes.of("hitoku/unheard-of/1") is lanes.of("hitoku/head-request/1")
    lane, go_on = Lane("x", 1), threading.Event()

    def work():
        go_on.wait(SECONDS)
        return b"done"

    async def all_of_them():
        waiting = [asyncio.create_task(lane.answer("a", work)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await lane.answer("a", work)
        waiting.append(asyncio.create_task(lane.answer("b", work)))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await lane.answer("b", work)
        assert not lane.idle
        go_on.set()
        assert await asyncio.gather(*waiting) == [b"done"] * 3
        assert await lane.answer("b", work) == b"done"

    asyncio.run(all_of_them())
    assert lane.idle
    lane.close()
    lanes.close()


def test_a_lane_counts_work_that_fails():
    lane = Lane("x", 1)

    def fails():
        raise ValueError

    async def go():
        with pytest.raises(ValueError, match=r"^$"):
            await lane.answer("a", fails)

    asyncio.run(go())
    assert lane.idle
    assert lane._held["a"] == 0
    lane.close()


def test_the_libraries_words_do_not_reach_a_log(capsys):
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "httpx", "httpcore", "py.warnings")
    before = {n: (logging.getLogger(n).handlers, logging.getLogger(n).propagate) for n in names}
    heard, last = Heard(), logging.lastResort
    try:
        quiet(heard)
        try:
            raise ValueError("PLANTED")
        except ValueError:
            logging.getLogger("uvicorn.error").exception("PLANTED %s", "PLANTED")
        logging.getLogger("httpx").info("PLANTED")
    finally:
        for name, (handlers, propagate) in before.items():
            logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
            logging.getLogger(name).setLevel(logging.NOTSET)
        logging.captureWarnings(False)
        logging.lastResort = last
    assert len(heard.events) == 1
    assert heard.events[0]["error"] == "ValueError"
    said = capsys.readouterr()
    assert "PLANTED" not in str(heard.events) + said.out + said.err


def test_nor_do_the_words_of_a_library_that_nobody_thought_of():
    program = """
import json, logging, sys, warnings
from hitoku.transport.https.listener import quiet
class Log:
    def info(self, event, **facts):
        print(json.dumps({"event": event, **facts}), file=sys.stderr)
quiet(Log())
logging.getLogger("some.library").warning("PLANTED %s", "PLANTED")
warnings.warn("PLANTED", RuntimeWarning)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [one["logger"] for one in said] == ["some.library", "py.warnings"]
    assert "PLANTED" not in done.stderr + done.stdout


def test_kinds_are_told_from_the_first_bytes():
    assert bounds.kind_of(b'{"kind":"hitoku/x/1","a":1}') == "hitoku/x/1"
    assert bounds.kind_of(b'{"kind": "hitoku/x/1"}') == "hitoku/x/1"
    for other in (b"", b"{}", b'{"a":1,"kind":"x"}', b'{"kind":"X"}', b'{"kind":"' + b"x" * 99 + b'"}'):
        assert bounds.kind_of(other) is None
