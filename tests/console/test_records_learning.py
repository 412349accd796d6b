# SPDX-License-Identifier: Apache-2.0
"""Pages of learning runs over the folder of a real run."""

# mypy: allow-untyped-defs, allow-incomplete-defs, disable-error-code="union-attr,index,dict-item"

from __future__ import annotations

import json
import re
import shutil
import time
from html import unescape

import pytest
from tests.conftest import make_place
from tests.console.records_world import World
from tests.unit.learning.learning_world import make_room
from tests.unit.learning.test_server import Running

from hitoku.console.users import May
from hitoku.console.work import charts
from hitoku.learning.curve import read_curve

BANKS = ("aki", "benten", "chiyo", "daiwa", "ebisu")
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run that has ended, with a comparison of models beside it."""
    path = tmp_path_factory.mktemp("runs")
    place = make_room(tmp_path_factory.mktemp("room"))
    world = Running(place, path, guard={"every": 2})
    world.run()
    world.close()
    entries = [
        {"form": form, "bank": None, "test": bank, "auprc": 0.5 + at / 10, "low": 0.4, "high": 0.8}
        for bank in (*BANKS, "all banks")
        for at, form in enumerate(("alone", "joint"))
    ]
    report = {
        "plan": world.signed.hash.removeprefix("sha256:"),
        "curves": {"joint": [[0.0, 1.0], [0.5, 0.75], [1.0, 0.25]], "alone": [[0.0, 0.5], [1.0, 0.1]]},
        "entries": entries,
        "against_alone": [{"form": "joint", "bank": HOSTILE, "worse": True}],
        "notes": [HOSTILE],
    }
    (path / "compared").mkdir()
    (path / "compared" / "report.json").write_text(json.dumps(report))
    return path


@pytest.fixture
def world(done, tmp_path):
    shutil.copytree(done, tmp_path / "runs")
    more = f'[console]\nlearning = ["{tmp_path / "runs"}"]'
    return World(make_place(tmp_path / "place"), more=more)


def text_of(page):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def key_of(world, party="adder"):
    """The address of a party's folder, of the list."""
    for row in re.findall(r"<tr>.*?</tr>", world.get("/learning"), re.S):
        if f"<td>{party}</td>" in row:
            return re.search(r"/learning/([0-9a-f]+)", row)[1]
    raise AssertionError("the run is not in the list")


def audited(world, key):
    world.post(f"/learning/{key}/audit", 303)
    until = time.monotonic() + 300
    while time.monotonic() < until:
        page = world.client.get(f"/learning/{key}")
        if "refresh" not in page.headers:
            return text_of(page.text)
        time.sleep(0.02)
    raise AssertionError("the audit does not end")


def test_the_list_has_the_servers_and_the_members_folders(world):
    page = text_of(world.get("/learning"))
    assert page.count("fraud") == 6
    assert "as planned" in page
    assert page.count("a member's own folder") == 5


def test_a_run_says_what_it_was(world):
    page = text_of(world.get(f"/learning/{key_of(world)}"))
    for words in (
        "The server (adder) learns sums over the whole set",
        "no noise: exact sums",
        "Votes after every 2 steps",
        "Vote: accepted",
        "Trees or rounds 4",
        "aki, benten, chiyo, daiwa, ebisu",
    ):
        assert words in page


def test_curves_are_drawn_without_scripts_or_styles(world):
    page = world.get(f"/learning/{key_of(world)}")
    assert page.count("<path d=") == 2
    path = re.search(r'<path d="([^"]+)" stroke="#2f7ebc"', page)[1]
    assert path == "M46.0 12.0H247.0V84.0H448.0V228.0"  # precision 1, 0.75, 0.25 at recall 0, 0.5, 1
    assert page.count("<rect ") == 12
    assert "0.600" in page
    assert "style=" not in page
    assert "<style" not in page


def test_a_members_folder_has_its_own_curve(world, tmp_path):
    page = world.get(f"/learning/{key_of(world, 'aki')}")
    assert page.count("<path d=") == 4  # the comparison's two, the own one and the guess by the rate
    assert "style=" not in page
    words = text_of(page)
    assert "goes to no other member" in words
    points = read_curve(tmp_path / "runs" / "aki")
    assert f"Loss at step 0 {points[0].loss:.4f}" in words
    assert f"Latest loss, at step 4 {points[-1].loss:.4f}" in words
    assert text_of(page).count(f"{points[2].loss:.4f}") >= 1  # in the table of the same values
    assert "goes to no other member" not in text_of(world.get(f"/learning/{key_of(world)}"))


def test_lines_by_step_have_round_ticks():
    made = charts.by_step({"own": [(0, 0.7), (30, 0.35), (60, 0.0)], "blind": [(0, 0.5), (60, 0.5)]})
    assert [label for _, label in made.x_ticks] == ["0", "20", "40", "60"]
    assert [label for _, label in made.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8"]
    assert made.series[0].path == "M46.0 48.0L247.0 174.0L448.0 300.0"
    for points in ([(0, 0.0)], [(3, 1e-9)], [(1, 12345.0)], []):
        drawn = charts.by_step({"own": points})
        assert 2 <= len(drawn.y_ticks) <= 7
        assert 2 <= len(drawn.x_ticks) <= 6
    many = charts.by_step({"own": [(step, 1.0) for step in range(10_001)]})
    assert many.series[0].path.count("L") <= 401
    assert many.series[0].path.endswith("L448.0 12.0")


def test_others_words_are_escaped(world):
    page = world.get(f"/learning/{key_of(world)}")
    assert "Worse than alone, beyond chance: &lt;script&gt;" in page
    assert "<script>alert" not in page


def test_a_report_of_anybody_does_not_break_the_page(world, tmp_path):
    key = key_of(world)
    compared = tmp_path / "runs" / "compared" / "report.json"
    plan = json.loads(compared.read_text())["plan"]
    odd = {"plan": plan, "curves": {"joint": [[None, 1], [2, 0.5], [0.1, float("nan")], 7], "x": []}}
    odd |= {"entries": [{"form": "joint"}, 7, {"form": "joint", "test": "a", "auprc": "b"}], "notes": 7}
    compared.write_text(json.dumps(odd))
    world.get(f"/learning/{key}")
    report = tmp_path / "runs" / "run" / "report.json"
    for content in ('{"events": 7, "saw": 7, "steps": "x", "seconds": [], "stopped": ["<b>"]}', "[]", "{"):
        report.write_text(content)
        assert "<b>" not in world.get(f"/learning/{key}")
    (tmp_path / "runs" / "run" / "plan.json").write_text("{}")
    world.get(f"/learning/{key}", 404)
    assert text_of(world.get("/learning")).count("fraud") == 5


def test_an_honest_run_passes_its_audit_and_a_changed_one_does_not(world, tmp_path):
    key = key_of(world)
    page = audited(world, key)
    assert "Everything holds." in page
    assert "sums opened" in page
    transcript = tmp_path / "runs" / "run" / "transcript.jsonl"
    lines = transcript.read_text().splitlines()
    lines[5] = lines[5].replace('"kind":"', '"kind":"x')
    transcript.write_text("\n".join(lines) + "\n")
    page = audited(world, key)
    assert "findings" in page
    assert "CHAIN" in page


def test_the_transcript_is_for_auditors(world, tmp_path):
    key = key_of(world)
    content = (tmp_path / "runs" / "run" / "transcript.jsonl").read_text()
    assert world.get(f"/learning/{key}/transcript.jsonl") == content
    world.user = world.somebody(May.ASK)
    world.get(f"/learning/{key}")
    world.get(f"/learning/{key}/transcript.jsonl", 403)
    world.post(f"/learning/{key}/audit", 403)


def test_runs_of_rooms_that_a_user_may_not_see_are_not_there(world):
    key = key_of(world)
    world.user = world.somebody(*May, rooms=frozenset({"0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11"}))
    assert "fraud" not in world.get("/learning")
    world.get(f"/learning/{key}", 404)
    world.get(f"/learning/{key}/transcript.jsonl", 404)
    world.post(f"/learning/{key}/audit", 404)


def test_no_other_folder_is_read(world, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(tmp_path / "runs" / "run", tmp_path / "elsewhere" / "run")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere" / "run")
    assert text_of(world.get("/learning")).count("fraud") == 6
    for key in ("..", "0" * 24, "%2e%2e"):
        world.get(f"/learning/{key}/transcript.jsonl", 404)


def test_without_folders_the_page_says_how_to_get_there(tmp_path):
    world = World(make_place(tmp_path))
    assert "hitoku learn run" in world.get("/learning")
    world.user = world.somebody(*May, language="ja")
    assert "学習の実行" in world.get("/learning")
