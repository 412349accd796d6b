# SPDX-License-Identifier: Apache-2.0
"""`hitoku learn run` and `join` over Flower, of which one process is killed in mid-run and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, make_room, rows

pytest.importorskip("flwr", reason="needs the extra learning")
pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from hitoku.cli.main import main; main()", "learn"]
TREES = 8


class Processes:
    """A server and five banks, each a process of its own."""

    def __init__(self, path):
        self.path, self.run = path, path / "run"
        place = make_room(path)
        for seed, name in enumerate(BANKS):
            table = rows(seed, 300)
            np.savetxt(
                path / name / "rows.csv", np.column_stack([table.features, table.label]),
                delimiter=",", header="x0,x1,x2,fraud", comments="", fmt="%.7g",
            )  # fmt: skip
        self.plan = path / "plan.json"
        aggregation = {"transcript": "full", "seconds": 60}
        model = {"trees": TREES, "depth": 3}
        place.signed(place.plan(aggregation=aggregation, model=model)).save(self.plan)
        self.started = {}

    def _start(self, name, *arguments):
        self.started[name] = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def server(self, *more):
        self._start(
            "adder", "run", self.plan, "--member", self.path / "adder", "--room", self.path,
            "--out", self.run, "--json", *more,
        )  # fmt: skip
        self.wait(lambda: (self.run / "server.json").exists())

    def bank(self, name):
        self._start(
            name, "join", self.plan, "--member", self.path / name, "--room", self.path,
            "--data", "rows.csv", "--server", self.run / "server.json", "--json",
        )  # fmt: skip

    def kill(self, name):
        """As a power cut: nothing of the process runs any more."""
        process = self.started.pop(name)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def wait(self, until, seconds=900):
        end = time.monotonic() + seconds
        while not until():
            for name, process in self.started.items():
                assert process.poll() is None, (name, process.communicate())
            assert time.monotonic() < end
            time.sleep(0.05)

    def messages(self, words, of="run"):
        """How many lines of a transcript have these words."""
        path = self.path / of / "transcript.jsonl"
        return path.read_text().count(words) if path.exists() else 0

    def end(self):
        """The server's report, after all processes ended as they should."""
        out, err = self.started["adder"].communicate(timeout=1200)
        assert self.started["adder"].returncode == 0, out + err
        report = json.loads(out)
        for name in BANKS:
            out, err = self.started[name].communicate(timeout=300)
            assert self.started[name].returncode == 0, (name, err)
            assert json.loads(out)["ended"]["model"] == report["model"]
        return report

    def audit(self, run):
        folders = [p for name in BANKS for p in ("--bank", self.path / name / "learning" / run)]
        command = [*COMMAND, "audit", str(self.run), *map(str, folders), "--json"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        return json.loads(made.stdout)

    def close(self):
        for process in self.started.values():
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def processes(tmp_path):
    made = []

    def start(*more):
        made.append(Processes(tmp_path))
        made[0].server(*more)
        for name in BANKS:
            made[0].bank(name)
        return made[0]

    yield start
    for one in made:
        one.close()


def opened(world):
    return world.messages('"direction":"opened"')


def test_a_bank_that_was_killed_comes_back(processes):
    world = processes("--listen", "0.0.0.0:0", "--announce", "127.0.0.1")
    assert json.loads((world.run / "server.json").read_text())["address"].startswith("127.0.0.1:")
    world.wait(lambda: (world.run / "checkpoint").exists() and opened(world) >= 8)
    world.kill("chiyo")
    world.bank("chiyo")
    report = world.end()
    assert report["steps"] == TREES
    assert report["delivered"] == list(BANKS)
    assert report["losses"] >= 1
    audit = world.audit(report_run(world))
    assert audit["findings"] == []
    assert audit["facts"]["replayed"] is True
    assert sorted(audit["facts"]["compared_with"]) == list(BANKS)
    # It gave to sums after it came back: the last set has it.
    assert audit["facts"]["sets"][-1] == list(BANKS)


def test_a_server_that_was_killed_goes_on_from_its_checkpoint(processes):
    world = processes()
    world.wait(lambda: (world.run / "checkpoint").exists() and opened(world) >= 8)
    before = opened(world)
    world.kill("adder")
    world.server()
    report = world.end()
    assert report["steps"] == TREES
    assert report["delivered"] == list(BANKS)
    resumed = [event for event in report["events"] if event["event"] == "resumed"]
    assert len(resumed) == 1
    assert resumed[0]["done"] >= 1
    # What was opened before the crash stays, and is not opened all over again.
    assert report["saw"]["sums"] < before + 3 * TREES + 3
    audit = world.audit(report_run(world))
    assert audit["findings"] == []
    assert audit["facts"]["replayed"] is True


def report_run(world):
    return json.loads((world.run / "run.json").read_text())["run"]
