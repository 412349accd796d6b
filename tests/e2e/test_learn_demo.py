# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo learn`, as a newcomer runs it: a lost bank, a poisoned one, nothing left behind."""

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
from hitoku.demo.learn.world import BANKS, SERVER

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
COMMAND = (sys.executable, "-m", "hitoku.cli.main", "demo", "learn")
PROGRAMS = (b"hitoku.demo.learn.serving", b"hitoku.learning.flower.link")


def processes(directory: Path) -> list[str]:
    """Processes of this machine that belong to that demo, Flower's among them."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes()
            around = words + (place / "environ").read_bytes()
        except OSError:
            continue
        if any(program in words for program in PROGRAMS) and str(directory).encode() in around:
            found.append(place.name)
    return found


def gone(directory: Path, seconds: float = 300) -> bool:
    """Whether that demo's processes end soon."""
    until = time.monotonic() + seconds
    while processes(directory) and time.monotonic() < until:
        time.sleep(0.1)
    return not processes(directory)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    pytest.importorskip("flwr", reason="needs the extra learning")
    place = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [*COMMAND, "--json"], capture_output=True, text=True, check=False, timeout=2400, cwd=place
    )
    assert done.returncode == 0, done.stderr
    return place / "demo-learn", json.loads(done.stdout), done.stderr


def test_together_is_better_than_alone_and_as_good_as_pooled(demo):
    _, outcome, story = demo
    assert outcome["right"] is True
    compared = outcome["compared"]
    assert compared["joint"] == pytest.approx(compared["pooled"], abs=1e-9)
    assert compared["joint"] > 1.5 * compared["alone"]
    assert compared["worse"] == []
    assert "ensemble: no bank worse" in story


def test_a_lost_bank_costs_a_tree_and_comes_back(demo):
    _, outcome, story = demo
    sets = [tuple(one["members"]) for one in outcome["lost"]["sets"]]
    assert sets[0] == BANKS
    assert sets[-1] == BANKS
    assert tuple(name for name in BANKS if name != "bank-4") in sets
    assert "kill -9 bank-4" in story


def test_the_poisoned_bank_is_left_out(demo):
    _, outcome, _ = demo
    assert outcome["poisoned"]["left_out"] == ["bank-3"]
    honest, _, guarded, spoilt = outcome["poisoned"]["auprc"].values()
    assert spoilt < 0.5 * honest
    assert guarded > 0.8 * honest


def test_the_audit_holds(demo):
    _, outcome, story = demo
    audited = outcome["audited"]
    assert audited["findings"] == []
    assert audited["replayed"] is True
    assert audited["protected_share"] > 0.99
    assert "Everything holds" in story


def test_it_says_who_learned_what(demo):
    _, _, story = demo
    for words in ("No sum of fewer than 4 of the 5", "centre learns", "each bank learns", "no bound holds"):
        assert words in " ".join(story.split()), words


def test_rows_stay_at_their_bank_and_no_process_is_left(demo):
    place, _, _ = demo
    assert processes(place) == []
    tables = {path.relative_to(place).parts[0] for path in place.rglob("payments.parquet")}
    assert tables == set(BANKS)
    assert not list((place / SERVER).rglob("*.parquet"))


def test_plots_are_there(demo):
    place, _, _ = demo
    pytest.importorskip("vl_convert", reason="needs the extra plots")
    for name in ("auprc.svg", "curves.svg"):
        assert (place / "evaluation" / name).read_text("utf-8").startswith("<svg")


def test_what_it_says_to_try_next_works(demo, capsys):
    _, _, story = demo
    lines = [line for line in story.splitlines() if line.startswith("hitoku ")]
    assert len(lines) == 3
    for line in lines:
        code = cli.run(shlex.split(line)[1:])
        capsys.readouterr()
        assert code == 0, line


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_a_demo_that_is_ended_leaves_no_process(tmp_path, name):
    pytest.importorskip("flwr", reason="needs the extra learning")
    directory, log = tmp_path / "demo", tmp_path / "log"
    with log.open("wb") as out:
        # A shell's background job ignores Ctrl-C; this process is none.
        process = subprocess.Popen(
            [*COMMAND, "--directory", str(directory)], stdout=out, stderr=out,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        until = time.monotonic() + 600
        while len(processes(directory)) < 1 + len(BANKS) and time.monotonic() < until:
            assert process.poll() is None, log.read_text("utf-8")
            time.sleep(0.1)
        assert len(processes(directory)) >= 1 + len(BANKS)
        time.sleep(2)
        process.send_signal(signal.Signals[name])
        process.wait(600)
        assert gone(directory)
        if name == "SIGINT":
            assert process.returncode == 130
    finally:
        process.kill()
        process.wait()


def test_a_directory_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("mine", "utf-8")
    assert cli.run(["demo", "learn", "--directory", str(tmp_path)]) == 4
    assert "name another with --directory" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text("utf-8") == "mine"
