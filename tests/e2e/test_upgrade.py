# SPDX-License-Identifier: Apache-2.0
"""Nodes are upgraded while questions are under way, meet older ones, and are not downgraded.

The other releases are other code: copies of the package with a version, a protocol or a migration of their
own (`releases`). What they leave is looked at with the release that left it (`upgrade_worker`).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import QUESTION, Place, fill, make_place
from tests.e2e.crosstab_world import OWNERS, Asking, appears, new_run, serving
from tests.e2e.nodes import SECONDS, Nodes
from tests.e2e.releases import NEXT_SCHEMA, Release, released
from tests.e2e.test_load import account, cost, noised
from tests.e2e.test_nodes import _working
from tests.postgresql import PASSWORD, Server, server

import hitoku
from hitoku.disclosure.answer import Answer
from hitoku.errors import HitokuError, PeerError
from hitoku.node.remote import open_remote_room
from hitoku.room.accounting import RHO_UNITS
from hitoku.room.directory import MemberDirectory
from hitoku.room.jobs import JobState
from hitoku.room.store import SCHEMA_VERSION

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NEWER, OLDER = "9.9.9", "0.0.9"
USERS = 10
NOISED = "SELECT COUNT(t.tailnum) AS n FROM tails AS t"
WORKER = Path(__file__).with_name("upgrade_worker.py")


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The next release: another version, one more migration."""
    return released(tmp_path_factory.mktemp("newer"), NEWER, migrates=True)


@pytest.fixture
def postgresql(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with server() as made:
        yield made


def said(release: Release | None, *words: object) -> subprocess.CompletedProcess[str]:
    """What a release's command line says; this one's where it is None."""
    more = {} if release is None else release.environment
    return subprocess.run(
        [sys.executable, "-m", "hitoku.cli.main", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=SECONDS, env={**os.environ, **more},
    )  # fmt: skip


def serves(nodes: Nodes, name: str) -> None:
    """Wait until a node says that it serves: before, it takes connections, and a signal ends it at once."""
    until = time.monotonic() + SECONDS
    while not any(line.get("event") == "serving" for line in nodes.lines(name)):
        assert time.monotonic() < until
        time.sleep(0.05)


def looked(release: Release | None, place: Path) -> dict[str, Any]:
    """What the records of all members say, read by a release."""
    more = {} if release is None else release.environment
    done = subprocess.run(
        [sys.executable, str(WORKER), str(place)],
        capture_output=True, text=True, check=False, timeout=SECONDS, env={**os.environ, **more},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["hitoku"] == (hitoku.__version__ if release is None else NEWER)
    return found


# --- a job of several phases ---


@pytest.mark.parametrize(
    ("victim", "sender", "file"),
    [
        ("insurer", "clinic", "parcels/offer-a.arrow"),
        ("insurer", "clinic", "parcels/points-a.arrow"),
        ("clinic", "insurer", "parcels/offer-b.arrow"),
        ("clinic", "insurer", "parcels/points-b.arrow"),
    ],
)
def test_a_job_goes_on_across_an_upgrade(tmp_path, newer, victim, sender, file):
    """Of who leads it, who is also who asks, and of the other owner; at an early and at a later phase."""
    with serving(tmp_path, both=2_000, alone=1_000) as world:
        before = world.runs()
        asking = Asking(world)
        run = new_run(world, before, asking.going)
        assert run is not None, asking.end()
        assert appears(world.path / sender / "runs" / run / file, asking.going)
        other = world.nodes.processes[sender].pid
        os.kill(other, signal.SIGSTOP)  # the run cannot come to its end before it is cut off
        try:
            assert world.stop(victim) == 0
        finally:
            os.kill(other, signal.SIGCONT)
        assert world.jobs(victim)[run].state is JobState.OPEN, "it had ended before it was cut off"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in newer.environment.items():
                patch.setenv(name, value)
            world.start(victim)
        answer = asking.end()
        assert isinstance(answer, Answer), answer
        assert answer.run == run
        world.check(answer)
        until = time.monotonic() + SECONDS
        while any((found := looked(newer, tmp_path))[name]["jobs"] != {run: "done"} for name in OWNERS):
            assert time.monotonic() < until, found
            time.sleep(0.2)
        for name in OWNERS:
            assert found[name]["schema"] == NEXT_SCHEMA
            assert found[name]["entries"].keys() == {run}
            assert not world.left(name, run)
            # Of each owner's account exactly what the question costs, once.
            (spent,) = found[name]["accounts"].values()
            assert spent == [1, charge(answer, name)]
        assert found["clinic"]["entries"][run] == {
            "question": 3, "verdict": 3, "reservation": 3, "charge": 3, "release": 3,
        }  # fmt: skip
        assert found["insurer"]["entries"][run]["charge"] == 1


def charge(answer: Answer, owner: str) -> int:
    """What an answer says that it cost an owner's account."""
    assert answer.budget is not None
    (mine,) = (one for one in answer.budget["charges"] if one["owner"] == owner)
    units = Decimal(mine["rho"]) * RHO_UNITS
    assert units == int(units)
    return int(units)


# --- a question of one message ---


def noised_place(path: Path, change: Any = None) -> Place:
    """A room with an account: the registry's table of tails is answered with noise only."""

    def changed(data: dict[str, Any]) -> None:
        data["members"][1]["abilities"] = ["query", "receive"]
        data["tables"].append(noised("registry", "tails", "tails"))
        data["tables"][-1]["rule"]["allowedAnalysisProviders"] = ["airport", "registry"]
        data["budgets"] = [account("registry", "tails", 5, "1e-5", USERS)]
        if change is not None:
            change(data)

    place = make_place(path, changed)
    fill_all(place)
    return place


def fill_all(place: Place) -> None:
    """The encrypted tables at the host; the registry's second one has as many tails as its first."""
    import pyarrow as pa
    from pyarrow import parquet

    from hitoku import columns

    tables = [t for t in place.agreement.tables if t.name != "tails"]
    less = Place(place.path, place.members, place.room.model_copy(
        update={"agreement": place.agreement.model_copy(update={"tables": tuple(tables)})}
    ))  # fmt: skip
    fill(less)
    encrypted = columns.encrypt(
        pa.table({"tailnum": [f"N{n:03}" for n in range(200)]}),
        None,
        {"headerRow": True, "columns": [
            {"sourceHeader": "tailnum", "targetHeader": "tailnum", "type": "fingerprint"}
        ]},
        place.agreement.settings,
        str(place.agreement.id),
        bytes(range(1, 33)),
    )  # fmt: skip
    parquet.write_table(encrypted, place.members["host"].path / "tables" / "tails.parquet")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_question_has_its_answer_while_its_host_and_an_owner_are_upgraded(
    tmp_path, newer, kind, request, monkeypatch
):
    """The host lets the run end before it stops; asked again, the newer release gives the same answer."""
    if kind == "postgresql":
        databases = request.getfixturevalue("postgresql")
        create = MemberDirectory.create.__func__  # type: ignore[attr-defined]

        def made(cls: type[MemberDirectory], path: Path, name: str) -> Any:
            return create(cls, path, name, databases.database(), None)

        monkeypatch.setattr(MemberDirectory, "create", classmethod(made))
    place = noised_place(tmp_path)
    nodes = Nodes(place)
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(open_remote_room(place.members["airport"].path).ask(NOISED))
        except HitokuError as error:
            found.append(error)

    try:
        nodes.start()
        asking = threading.Thread(target=ask)
        asking.start()
        until = time.monotonic() + SECONDS
        while not (engines := _working(nodes)):
            assert time.monotonic() < until
            time.sleep(0.001)
        # The engine is held by a signal, so that the run is under way for sure.
        os.kill(engines[0], signal.SIGSTOP)
        assert nodes.stop("registry") == 0
        host = nodes.processes["host"]
        host.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert host.poll() is None, "it did not wait for what ran"
        assert not found
        os.kill(engines[0], signal.SIGCONT)
        assert host.wait(SECONDS) == 0
        asking.join(SECONDS)
        (answer,) = found
        assert isinstance(answer, Answer), answer
        nodes.more = newer.environment
        nodes.start("registry", "host")
        again = open_remote_room(place.members["airport"].path).ask(NOISED)
        assert (again.run, again.fetchall()) == (answer.run, answer.fetchall())
        later = said(None, "node", "status", place.members["airport"].path, "--json")
        runs = {one["member"]: one["hitoku"] for one in json.loads(later.stdout)["members"]}
        assert runs == {"airport": hitoku.__version__, "registry": NEWER, "host": NEWER}
    finally:
        nodes.end()
    seen = looked(newer, tmp_path)
    assert seen["registry"]["accounts"] == {"tails": [1, cost(USERS)]}
    assert seen["registry"]["schema"] == NEXT_SCHEMA
    assert seen["host"]["entries"][answer.run]["charge"] == 1


# --- one that is older ---


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return noised_place(tmp_path)


def test_one_that_speaks_an_older_protocol_is_refused_and_nothing_is_charged(place, tmp_path):
    """In both directions, with both versions, what each speaks, and what to do; then it is upgraded."""
    older = released(tmp_path / "older", OLDER, protocol="0")
    nodes = Nodes(place)
    try:
        nodes.start("airport", "host")
        nodes.more = older.environment
        nodes.start("registry")
        before = looked(None, tmp_path)
        with pytest.raises(PeerError) as failed:
            open_remote_room(place.members["airport"].path).ask(NOISED)
        assert failed.value.code == "PROTOCOL"
        for words in (
            "'registry'",
            f"hitoku {OLDER}",
            "protocol 0",
            f"hitoku {hitoku.__version__} here speaks 1",
            "bring both to versions that speak the same",
        ):
            assert words in str(failed.value), words
        asked = said(older, "ask", NOISED, "--room", place.members["registry"].path)
        assert asked.returncode == PeerError.exit_code
        for words in (
            f"hitoku {hitoku.__version__}",
            "protocol 1",
            f"hitoku {OLDER} here speaks 0",
            "bring both",
        ):
            assert words in " ".join(asked.stderr.split()), (words, asked.stderr)
        status = said(None, "node", "status", place.members["airport"].path, "--json")
        (told,) = (one for one in json.loads(status.stdout)["members"] if one["member"] == "registry")
        assert told["hitoku"] == OLDER
        assert f"protocol 0, and hitoku {hitoku.__version__} here 1" in told["problem"]
        after = looked(None, tmp_path)
        for name in place.members:
            assert after[name]["accounts"] == before[name]["accounts"]
            kinds = {kind for run in after[name]["entries"].values() for kind in run}
            assert not kinds & {"charge", "release"}
        assert after["registry"]["accounts"] == {"tails": [0, 0]}
        assert nodes.stop("registry") == 0
        nodes.more = {}
        nodes.start("registry")
        assert len(open_remote_room(place.members["airport"].path).ask(NOISED)) == 1
    finally:
        nodes.end()
    assert looked(None, tmp_path)["registry"]["accounts"] == {"tails": [1, cost(USERS)]}


def test_one_that_is_older_and_speaks_the_same_works_together_with_a_newer_one(place, tmp_path, newer):
    older = released(tmp_path / "older", OLDER)
    nodes = Nodes(place)
    try:
        nodes.more = older.environment
        nodes.start("airport", "host")
        nodes.more = newer.environment
        nodes.start("registry")
        asked = said(older, "ask", QUESTION, "--room", place.members["airport"].path, "--json")
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["rows"][0][:2] == ["BIG", 18]
        asked = said(newer, "ask", NOISED, "--room", place.members["registry"].path, "--json")
        assert asked.returncode == 0, asked.stderr
    finally:
        nodes.end()
    assert looked(newer, tmp_path)["registry"]["accounts"] == {"tails": [1, cost(USERS)]}


# --- back ---


def content(directory: MemberDirectory) -> str:
    """All that is in a member's database, hashed, and its bytes on disk."""
    with sqlite3.connect(directory.path / "state.db") as connection:
        text = "\n".join(connection.iterdump())
    connection.close()
    data = (directory.path / "state.db").read_bytes()
    return hashlib.sha256(text.encode() + data).hexdigest()


def test_an_older_release_refuses_a_newer_state_and_leaves_it_as_it_is(place, newer):
    nodes, directory = Nodes(place), place.members["registry"]
    try:
        nodes.more = newer.environment
        nodes.start("registry")
        serves(nodes, "registry")
        assert nodes.stop("registry") == 0
        before = content(directory)
        commands = [
            ("node", "serve", directory.path),
            ("ledger", "verify", "--room", place.path, "--as", "registry"),
            ("ask", QUESTION, "--room", directory.path),
            ("node", "backup", directory.path, "--to", place.path / "backup.zip"),
        ]
        for words in commands:
            refused = said(None, *words)
            assert refused.returncode == 5, (words, refused.stdout, refused.stderr)
            text = " ".join(refused.stderr.split())
            assert f"has schema {NEXT_SCHEMA}, this hitoku knows {SCHEMA_VERSION}" in text, text
            assert "use the newer hitoku that wrote it" in text
            assert content(directory) == before, words
        assert not (place.path / "backup.zip").exists()
        nodes.start("registry")
    finally:
        nodes.end()
