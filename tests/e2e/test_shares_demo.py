# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo shares`, as a newcomer runs it: three node processes, an answer, a refusal, nothing left."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hitoku.cli import main as cli
from hitoku.demo.shares.world import QUESTION, SERVERS

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
COMMAND = (sys.executable, "-m", "hitoku.cli.main", "demo", "shares")


def serving(directory: Path) -> list[str]:
    """Processes of this machine that serve a node of that demo."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"hitoku.demo.shares.serving" in words and any(str(directory).encode() in w for w in words):
            found.append(place.parent.name)
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    place = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [*COMMAND, "--json"], capture_output=True, text=True, check=False, timeout=1200, cwd=place
    )
    assert done.returncode == 0, done.stderr
    return place / "demo-shares", json.loads(done.stdout), done.stderr


def test_the_answer_is_plain_duckdbs(demo):
    _, outcome, story = demo
    assert outcome["right"] is True
    assert outcome["equal"] is True
    assert outcome["rows"] == 6
    assert "and the 8 smaller groups are not in it" in story


def test_it_shows_the_plan_and_who_learned_what(demo):
    _, outcome, story = demo
    assert outcome["predicted"]["rounds"] > 100
    assert outcome["predicted"]["bytes"] > 10_000_000
    for words in ("joining flights: ", "each server sees:", "never the rows", "laboratory learns"):
        assert words in story


def test_a_hidden_column_does_not_come_out(demo):
    _, outcome, story = demo
    assert outcome["refused"] == "OUTPUT_COLUMN_DISALLOWED"
    assert "planes.year" in story


def test_no_process_and_no_value_is_left_at_the_laboratory(demo):
    place, outcome, _ = demo
    assert outcome["nothing_kept"] is True
    assert serving(place) == []
    for file in (place / "laboratory").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"MCDONNELL" not in content, file
            assert b"N14228" not in content, file


def test_what_it_says_to_try_next_works(demo, capsys):
    place, _, story = demo
    lines = [line for line in story.splitlines() if line.startswith("hitoku ")]
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line.replace("demo-shares", str(place)))
        code = cli.run(words[1:])
        capsys.readouterr()
        assert code == (3 if words[1] == "explain" else 0), line


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_a_demo_that_is_ended_leaves_no_node(tmp_path, name):
    directory, log = tmp_path / "demo", tmp_path / "log"
    with log.open("wb") as out:
        # A shell's background job ignores Ctrl-C; this process is none.
        process = subprocess.Popen(
            [*COMMAND, "--directory", str(directory)], stdout=out, stderr=out,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        until = time.monotonic() + 600
        while "The airport asks" not in log.read_text("utf-8") and time.monotonic() < until:
            assert process.poll() is None, log.read_text("utf-8")
            time.sleep(0.1)
        time.sleep(1)
        assert len(serving(directory)) == len(SERVERS)
        process.send_signal(signal.Signals[name])
        process.wait(300)
        until = time.monotonic() + 300
        while serving(directory) and time.monotonic() < until:
            time.sleep(0.1)
        assert serving(directory) == []
        if name == "SIGINT":
            assert process.returncode == 130
    finally:
        process.kill()
        process.wait()


def test_a_wrong_answer_is_noticed(monkeypatch, tmp_path, capsys):
    from hitoku.demo.shares import run

    right = run.TRUTH
    assert "COUNT(f.arr_delay) AS flights" in right
    assert right.startswith(QUESTION[:40])
    monkeypatch.setattr(run, "TRUTH", right.replace("COUNT(f.arr_delay)", "COUNT(f.arr_delay) + 1"))
    assert cli.run(["demo", "shares", "--directory", str(tmp_path / "d")]) == 1
    assert "NOT EQUAL" in capsys.readouterr().out
