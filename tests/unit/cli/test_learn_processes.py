# SPDX-License-Identifier: Apache-2.0
"""`hitoku learn run` and `hitoku learn join` as six processes that talk over Flower."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, SHORT, make_room, rows

pytest.importorskip("flwr", reason="needs the extra learning")
pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from hitoku.cli.main import main; main()", "learn"]


def start(*arguments):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_five_banks_and_a_server(tmp_path):
    place = make_room(tmp_path)
    for seed, name in enumerate(BANKS):
        table = rows(seed, 300)
        content = np.column_stack([table.features, table.label])
        np.savetxt(
            tmp_path / name / "rows.csv", content,
            delimiter=",", header="x0,x1,x2,fraud", comments="", fmt="%.7g",
        )  # fmt: skip
    plan, run = tmp_path / "plan.json", tmp_path / "run"
    place.signed(place.plan(aggregation={"transcript": "full", "seconds": 300})).save(plan)
    assert SHORT["model"]["trees"] == 4

    processes = []
    try:
        server = start(
            "run", plan, "--member", tmp_path / "adder", "--room", tmp_path, "--out", run, "--json"
        )
        processes.append(server)
        until = time.monotonic() + 600
        while not (run / "server.json").exists():
            assert server.poll() is None, server.communicate()
            assert time.monotonic() < until
            time.sleep(0.1)
        for name in BANKS:
            member = tmp_path / name
            processes.append(
                start(
                    "join", plan, "--member", member, "--room", tmp_path, "--data", "rows.csv",
                    "--server", run / "server.json", "--json",
                )
            )  # fmt: skip
        out, err = server.communicate(timeout=1200)
        assert server.returncode == 0, err
        report = json.loads(out)
        assert report["steps"] == 4
        assert report["delivered"] == list(BANKS)
        for name, process in zip(BANKS, processes[1:], strict=True):
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            assert json.loads(out) == {
                "member": name,
                "ended": {"model": report["model"], "steps": 4, "stopped": None},
            }
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    folders = [p for name in BANKS for p in ("--bank", tmp_path / name / "learning" / report["run"])]
    checked = start("audit", run, *folders, "--json")
    out, err = checked.communicate(timeout=600)
    assert checked.returncode == 0, out + err
    assert json.loads(out)["facts"]["replayed"] is True
