# SPDX-License-Identifier: Apache-2.0
"""Pages of models, and rows scored by another member's node over HTTPS; the newest heads of all members."""

# mypy: allow-untyped-defs, allow-incomplete-defs, disable-error-code="union-attr,index,dict-item"

from __future__ import annotations

import hashlib
import re
import time
from html import unescape

import numpy as np
import pytest
from tests.conftest import make_place
from tests.console.asking import Served
from tests.console.records_world import ROOM, World, copied
from tests.models import FEATURES, compiled, put, trained

from hitoku.console.users import May
from hitoku.console.work import models as work
from hitoku.errors import InputError

BASE = f"/rooms/{ROOM}/models"


def text_of(page):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def changed(data):
    digest = "sha256:" + hashlib.sha256(compiled()[1]).hexdigest()
    model = {"name": "score", "owner": "registry", "client": digest, "askers": ["airport"]}
    data["models"] = [{**model, "rows_per_day": 4000, "rounding": "0.01"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A room in which the registry serves a model to the airport, with all nodes up."""
    place = make_place(tmp_path_factory.mktemp("models"), changed)
    put(place.members["registry"].path / "models" / "score")
    nodes = Served(place)
    nodes.start()
    yield place
    nodes.stop()


def rows_csv(count=5):
    lines = [",".join(f"f{n}" for n in range(FEATURES))]
    lines += [",".join(f"{value:.6f}" for value in row) for row in trained()[1][:count]]
    return "\n".join(lines) + "\n"


def scored(world, content):
    files = {"rows": ("rows.csv", content, "text/csv")}
    answer = world.client.post(f"{BASE}/score/scores", files=files)
    assert answer.status_code == 303, answer.text[:1500]
    place = answer.headers["location"]
    until = time.monotonic() + 300
    while time.monotonic() < until:
        page = world.client.get(place)
        if "refresh" not in page.headers:
            return place, text_of(page.text)
        time.sleep(0.02)
    raise AssertionError("the scoring does not end")


def test_rows_of_a_file_are_scored_by_another_members_model(served):
    world = World(served)
    world.user = world.somebody(May.ASK, May.AUDIT)
    place, page = scored(world, rows_csv())
    assert "Rows 5" in page
    assert "Who learned what" in page
    lines = world.get(f"{place}/scores.csv").splitlines()
    model, rows = trained()
    found = np.array([float(line.split(",")[0]) for line in lines[1:]])
    assert np.abs(found - model.decision_function(rows[:5])).max() < 1.0
    assert "sent_rows" not in page
    # The owner's page counts it, and its ledger has it.
    owner = World(served, "registry")
    charged = re.search(r"airport ([\d,]+) ([\d,]+) 1 0", text_of(owner.get(f"{BASE}/score")))
    assert charged is not None
    assert int(charged[1].replace(",", "")) + int(charged[2].replace(",", "")) == 4000
    assert "had" in text_of(owner.get(f"/rooms/{ROOM}/ledger", kind="prediction"))
    asker = text_of(world.get(f"{BASE}/score"))
    assert charged[1] in asker  # as its own ledger says
    # Another user of the same member sees neither the task nor its scores.
    world.user = type(world.user)("9" * 32, "Other", frozenset({May.ASK}))
    world.get(place, 404)
    world.get(f"{place}/scores.csv", 404)
    assert place not in world.get(f"{BASE}/score")


def test_newest_heads_are_asked_for_checked_and_kept(served):
    world = World(served)
    page = text_of(world.client.post(f"/rooms/{ROOM}/ledger/heads", follow_redirects=True).text)
    assert page.count("cannot be reached") == 0
    registry = World(served, "registry")
    size = registry.ledger.head().size
    assert f"registry {size}" in page
    registry.records().deleted("flights", "test")
    registry.post(f"/rooms/{ROOM}/ledger/heads", 303)  # so that it keeps the airport's
    page = text_of(world.client.post(f"/rooms/{ROOM}/ledger/heads", follow_redirects=True).text)
    assert f"grew from {size} to {size + 1}, consistently" in page
    own = world.ledger.head().size
    assert f"{own} entries: your ledger continues it" in page
    assert "does not continue" not in page


def test_a_ledger_that_was_rewritten_is_found_by_who_keeps_its_head(served):
    import sqlite3

    world, host = World(served), World(served, "host")
    host.records().deleted("flights", "first")
    world.post(f"/rooms/{ROOM}/ledger/heads", 303)
    with sqlite3.connect(served.members["host"].path / "state.db") as database:
        for table in ("ledger_entries", "ledger_nodes", "ledgers"):
            database.execute(f"DELETE FROM {table} WHERE room = ?", (ROOM,))
    for n in range(20):
        host.records().deleted(f"t{n}", "second")
    page = text_of(world.client.post(f"/rooms/{ROOM}/ledger/heads", follow_redirects=True).text)
    assert "does not continue the head that is kept" in page
    assert "grew from" not in page.split("host")[1].split("registry")[0]
    # The host, for its part, is told by everybody that its own ledger was rewritten.
    host.context.parts.clear()
    page = text_of(host.client.post(f"/rooms/{ROOM}/ledger/heads", follow_redirects=True).text)
    assert "your ledger does not continue it" in page


def test_a_node_that_is_away_is_said_to_be(served, tmp_path):
    away = World(copied(served, tmp_path / "away"))
    text = (away.directory.path / "node.toml").read_text()
    ports = re.findall(r'(?:registry|host) = "https://127.0.0.1:(\d+)"', text)
    for port in ports:
        text = text.replace(f":{port}", ":1")
    (away.directory.path / "node.toml").write_text(text)
    page = text_of(away.client.post(f"/rooms/{ROOM}/ledger/heads", follow_redirects=True).text)
    assert page.count("cannot be reached") == 2


def test_the_owner_sees_the_circuit(served):
    owner = World(served, "registry")
    page = text_of(owner.get(f"{BASE}/score"))
    assert "Ring degree 2,048" in page
    assert "Inputs of a row 6" in page
    assert "Have rows scored" not in page
    assert "noise at least 0.01 wide" in page


def test_without_its_files_the_owner_is_told(served, tmp_path):
    place = copied(served, tmp_path / "gone")
    spec = place.members["registry"].path / "models" / "score" / "client.json"
    spec.write_text(spec.read_text() + " ")
    assert "of another model than the members signed" in World(place, "registry").get(f"{BASE}/score")
    spec.unlink()
    assert "does not have the model" in World(place, "registry").get(f"{BASE}/score")


def test_who_may_not_ask(served):
    host = World(served, "host")
    host.user = host.somebody(May.ASK)
    assert "may not have rows scored" in host.get(f"{BASE}/score")
    answer = host.client.post(f"{BASE}/score/scores", files={"rows": ("r.csv", rows_csv(), "text/csv")})
    assert answer.status_code == 422
    assert "MODEL_NOT_ALLOWED" in answer.text
    world = World(served)
    world.user = world.somebody(May.AUDIT)
    assert "You need the ability to ask" in world.get(f"{BASE}/score")
    answer = world.client.post(f"{BASE}/score/scores", files={"rows": ("r.csv", rows_csv(), "text/csv")})
    assert answer.status_code == 403
    world.user = world.somebody(*May, rooms=frozenset())
    world.get(BASE, 404)
    world.get(f"{BASE}/score", 404)
    world.user = world.somebody(*May)
    world.get(f"{BASE}/nothing", 404)


def test_an_error_of_a_file_names_its_place_and_no_value(served):
    world = World(served)
    world.user = world.somebody(May.ASK)
    files = {"rows": ("r.csv", "a,b\n1,SECRET<b>\n", "text/csv")}
    page = world.client.post(f"{BASE}/score/scores", files=files)
    assert page.status_code == 400
    assert "line 2, column 2: not a finite number" in page.text
    assert "SECRET" not in page.text
    for content in (b"", b"a,b\n", b"a\nnan\n", b"a\n1e999\n", b"a,b\n1\n", b"\xff\xfe\x00", b'a\n"'):
        with pytest.raises(InputError):
            work.rows_of(content)
    # A file of too few columns is refused by the model, in its own words, and nothing is charged.
    _, said = scored(world, "a\n1\n")
    assert "failed" in said


def test_a_room_without_models_says_so(place):
    assert "No model is served" in World(place).get(BASE)
