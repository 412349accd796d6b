# SPDX-License-Identifier: Apache-2.0
"""The demo as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hitoku.cli import main as cli


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    place = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "hitoku.cli.main", "demo", "tokens", "--json"],
        capture_output=True, text=True, check=False, timeout=600, cwd=place,
    )  # fmt: skip
    return place, done


def test_it_is_right_and_quick(demo):
    place, done = demo
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["equal"] is True
    assert outcome["rows"] > 5
    if os.environ.get("HITOKU_TIMINGS"):
        assert outcome["seconds"] < 20
    assert outcome["directory"] == str(place / "demo-run")


def test_it_tells_the_whole_story(demo):
    _, done = demo
    for words in (
        "336,776 flights",
        "3,322 aircraft",
        "02:hmac:",
        "02:enc:",
        "Some groups are withheld: they do not rest on",
        "Refused (",
        "equal: ",
        "Who learned what",
        "hitoku ask",
    ):
        assert words in done.stderr


def test_only_what_was_encrypted_is_at_the_host(demo):
    place, _ = demo
    assert sorted(p.name for p in (place / "demo-run" / "host" / "tables").iterdir()) == [
        "flights.parquet",
        "planes.parquet",
    ]


def test_what_it_says_to_try_next_works(demo, capsys):
    place, done = demo
    import shlex

    lines = [x for x in done.stderr.splitlines() if x.startswith("hitoku ")]
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line.replace("demo-run", str(place / "demo-run")))
        code = cli.run(words[1:])
        capsys.readouterr()
        assert code == (3 if words[1] == "explain" else 0), line


def test_it_runs_again_over_itself_but_over_nothing_else(demo, capsys, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("keep")
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "mine")]) == 4
    assert (tmp_path / "mine" / "file").read_text() == "keep"
    assert "is not this demo's" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(demo[0] / "demo-run")
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "link")]) == 4
    (tmp_path / "file").write_text("x")
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "file" / "x")]) == 4
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "d")]) == 0
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "d")]) == 0


def test_a_wrong_answer_is_noticed(monkeypatch, tmp_path, capsys):
    from hitoku.demo import story

    monkeypatch.setattr(story, "TRUTH", story.TRUTH.replace("COUNT(f.tailnum)", "COUNT(f.tailnum) + 1"))
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "d")]) == 1
    assert "NOT EQUAL" in capsys.readouterr().out


def test_data_that_is_missing_or_damaged_is_said(monkeypatch, tmp_path, capsys):
    from hitoku.demo import data

    monkeypatch.setattr(data, "find_spec", lambda name: None)
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "a")]) == 4
    assert "make build EXTRAS=demo" in capsys.readouterr().err

    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(data, "find_spec", lambda name: Spec)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "flights.csv.zip").write_bytes(b"no zip")
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "b")]) == 4
    import zipfile

    with zipfile.ZipFile(tmp_path / "data" / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", "a,b\n1,2\n")
    assert cli.run(["demo", "tokens", "--directory", str(tmp_path / "c")]) == 4


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    place = tmp_path_factory.mktemp("noise")
    done = subprocess.run(
        [sys.executable, "-m", "hitoku.cli.main", "demo", "noise", "--json"],
        capture_output=True, text=True, check=False, timeout=600, cwd=place,
    )  # fmt: skip
    return place / "demo-noise", done


def test_the_errors_of_noise_are_as_predicted(noisy):
    _, done = noisy
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["right"] is True
    assert outcome["rows"] == 16
    assert 0.25 < outcome["error"] / outcome["predicted"] < 2.2
    for words in (
        "about 44 such questions remain",
        "the same answer, to the last digit, at no cost",
        "other noise, paid for like the first",
        "are not shown",
        "figures are inside",
    ):
        assert words in " ".join(done.stderr.split())


def test_the_noisy_rooms_owners_paid_for_what_was_asked(noisy, capsys):
    place, _ = noisy
    for owner in ("airport", "registry"):
        assert cli.run(["room", "budgets", str(place), "--as", owner]) == 0
        assert "3 questions" in capsys.readouterr().out


def test_what_the_noisy_demo_says_to_try_next_works(noisy, capsys):
    place, done = noisy
    import shlex

    lines = [x for x in done.stderr.splitlines() if x.startswith("hitoku ")]
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line.replace("demo-noise", str(place)))
        code = cli.run(words[1:])
        capsys.readouterr()
        assert code == 0, line
    chart = json.loads((place / "aircraft.vl.json").read_text("utf-8"))
    assert len(chart["data"]["values"]) == 16
