# SPDX-License-Identifier: Apache-2.0
"""Encrypted rows scored between two members' nodes as processes of their own, over HTTPS on loopback."""

from __future__ import annotations

import hashlib
import json
import signal
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import make_place
from tests.e2e.nodes import SECONDS, Nodes, hitoku
from tests.models import FEATURES, compiled, put, trained

from hitoku.errors import HitokuError, PeerError, Refusal
from hitoku.node.remote import open_remote_room

pytestmark = pytest.mark.e2e

PLANTED = 1.2345678901234567
"""A feature's value: its eight bytes must be nowhere at the model's owner."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    digest = "sha256:" + hashlib.sha256(compiled()[1]).hexdigest()

    def change(data):
        data["models"] = [
            {
                "name": "score",
                "owner": "registry",
                "client": digest,
                "askers": ["airport"],
                "rows_per_day": 10**8,
                "rounding": "0.01",
            }
        ]

    place = make_place(tmp_path_factory.mktemp("predictions"), change)
    put(place.members["registry"].path / "models" / "score")
    nodes = Nodes(place)
    try:
        nodes.start()
        yield nodes
    finally:
        nodes.end()


def ask(world, rows):
    return open_remote_room(world.place.members["airport"].path).predict("score", rows)


def close(found, rows):
    model, every = trained()
    largest = np.abs(model.decision_function(every)).max()
    return np.abs(found.scores[:, 0] - model.decision_function(rows)).max() < 0.02 * largest + 0.01


def test_rows_are_scored_over_the_network(world):
    _, rows = trained()
    assert close(ask(world, rows), rows)


def test_the_command_line_scores_a_file(world, tmp_path):
    model, rows = trained()
    file = tmp_path / "rows.csv"
    header = ",".join(f"f{n}" for n in range(FEATURES))
    np.savetxt(file, rows[:20], delimiter=",", header=header, comments="")
    done = hitoku("predict", "score", file, "--room", world.place.members["airport"].path, "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    scores = np.array(data["scores"])[:, 0]
    assert np.corrcoef(scores, model.decision_function(rows[:20]))[0, 1] > 0.99
    assert {one["member"] for one in data["learned"]} == {"registry", "airport"}


def test_the_owner_has_no_row_and_no_key_of_the_asker(world):
    """Its files, its log and all memory that it may read: no planted value, no byte of the secret key."""
    _, rows = trained()
    planted = rows[:50].copy()
    planted[:, 2] = PLANTED
    ask(world, planted)
    (secret,) = world.place.members["airport"].path.rglob("secret.key")
    # The head names the circuit, which both know; what follows is the key itself.
    needles = [struct.pack("<d", PLANTED), secret.read_bytes()[-512:-480], secret.read_bytes()[-256:-224]]
    registry = world.place.members["registry"].path
    for path in (*registry.rglob("*"), world.log("registry")):
        with suppress(FileNotFoundError, IsADirectoryError):  # the database's journal comes and goes
            content = path.read_bytes()
            assert not any(needle in content for needle in needles), path
    assert any(needles[1] in one for one in [secret.read_bytes()]), "the search would find it"
    process = world.processes["registry"].pid
    searched = 0
    with Path(f"/proc/{process}/maps").open() as maps, Path(f"/proc/{process}/mem").open("rb", 0) as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if "r" not in rights or "w" not in rights:
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            try:
                memory.seek(start)
                content = memory.read(end - start)
            except (OSError, OverflowError, ValueError):
                continue
            searched += len(content)
            assert not any(needle in content for needle in needles)
    assert searched > 10_000_000


def test_a_member_that_is_not_named_is_refused_by_the_owner(world):
    _, rows = trained()
    with pytest.raises(Refusal) as caught:
        open_remote_room(world.place.members["host"].path).predict("score", rows[:1])
    assert caught.value.code == "MODEL_NOT_ALLOWED"


def test_a_killed_owner_ends_the_run_and_the_next_one_is_right(world):
    _, rows = trained()
    many = np.tile(rows, (60, 1))
    failed = []

    def one():
        try:
            ask(world, many)
        except HitokuError as error:
            failed.append(error)

    thread = threading.Thread(target=one)
    thread.start()
    time.sleep(1.0)
    world.stop("registry", signal.SIGKILL)
    # An asker that was fetching scores goes on as soon as the node is back; it would wait a minute for it.
    world.start("registry")
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert all(isinstance(error, (PeerError, Refusal)) for error in failed)
    assert close(ask(world, rows), rows)
    left = world.place.members["registry"].path / "predictions"
    assert not left.is_dir() or list(left.iterdir()) == []
