# SPDX-License-Identifier: Apache-2.0
"""A node restored from a backup that is older than what the others have seen, over HTTPS."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta

import pytest
from tests.conftest import QUESTION, FakeClock, fill, make_place
from tests.e2e.nodes import Nodes, hitoku

from hitoku.errors import HitokuError, Refusal
from hitoku.node.proposal_book import Book
from hitoku.node.rejoin import accept_loss, accept_restored, compare
from hitoku.node.remote import open_remote_room
from hitoku.ports import SystemClock
from hitoku.room.directory import MemberDirectory

pytestmark = pytest.mark.e2e

OTHER = QUESTION.replace("AVG(f.arr_delay) AS delay", "COUNT(f.tailnum) AS flights")
LATER = QUESTION.replace("AVG(f.arr_delay) AS delay", "COUNT(DISTINCT f.tailnum) AS flights")


def _limited(data):
    data["tables"][1]["access_budgets"] = [{"type": "CALENDAR_MONTH", "budget": 20}]


def ask(place, sql):
    handle = open_remote_room(place.members["airport"].path)
    try:
        return handle.ask(sql)
    finally:
        handle.close()


def test_it_consents_to_nothing_until_the_loss_is_accepted_everywhere(tmp_path):
    place = fill(make_place(tmp_path, _limited))
    registry = place.members["registry"]
    nodes = Nodes(place)
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse battery\n")
    phrase.chmod(0o600)
    try:
        nodes.start()
        ask(place, QUESTION)
        made = hitoku(
            "node", "backup", registry.path, "--to", tmp_path / "b.zip", "--with-keys", phrase, "--json"
        )
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["keys"]
        ask(place, OTHER)  # after the backup: the others see more of the ledger than it has
        ask(place, QUESTION.replace("AS delay", "AS late"))
        nodes.stop("registry")
        shutil.rmtree(registry.path)
        read = hitoku(
            "node", "restore", tmp_path / "b.zip", "--to", registry.path, "--with-keys", phrase, "--json"
        )
        assert read.returncode == 0, read.stderr
        assert json.loads(read.stdout)["closed"]

        signing = Book(registry.path, str(place.agreement.id))
        assert signing.closed()
        nodes.start("registry")
        with pytest.raises(Refusal) as caught:
            ask(place, LATER)
        assert caught.value.code == "RESTORED_BEHIND"
        found = compare(registry, SystemClock())[0]
        assert found.closed
        assert found.missing > 0
        assert not signing.closed()  # all others have said what it signed
        said = hitoku("node", "restore", "--to", registry.path)
        assert f"lacks {found.missing} entries" in said.stdout
        with pytest.raises(Refusal, match="may still hold"):
            accept_loss(registry, SystemClock())

        clock = FakeClock()
        clock.time = SystemClock().now() + timedelta(seconds=600)
        opened = accept_loss(registry, clock)[0]
        assert opened.accepted is not None
        windows = registry.records(str(place.agreement.id), clock).windows(place.agreement)
        assert [window.left for window in windows] == [0]
        with pytest.raises(Refusal, match="goes on from a backup") as caught:
            ask(place, LATER)  # the others hold what it can no longer continue
        assert caught.value.owner == "registry"

        for name in ("airport", "host"):
            done = hitoku("node", "accept-restored", place.members[name].path, "registry", "--json")
            assert done.returncode == 0, done.stderr + done.stdout
        with pytest.raises(Refusal) as spent:
            ask(place, LATER)
        assert spent.value.code == "ACCESS_BUDGET_SPENT"
        for name, directory in place.members.items():
            verified = hitoku("ledger", "verify", "--room", place.path, "--as", name)
            assert verified.returncode == 0, verified.stderr
            assert directory.store()
    finally:
        nodes.end()


def test_a_moved_node_goes_on_at_one_place_only(tmp_path):
    place = fill(make_place(tmp_path))
    nodes = Nodes(place)
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse battery\n")
    phrase.chmod(0o600)
    keys = ("--with-keys", phrase)

    def moved(name: str, without: str) -> str:
        """Move a node while another one does not serve. Returns what was said."""
        path = place.members[name].path
        tables = {file.name: file.read_bytes() for file in (path / "tables").iterdir()}
        made = hitoku("node", "backup", path, "--to", tmp_path / f"{name}.zip", *keys, "--move")
        assert made.returncode == 0, made.stderr
        nodes.stop(name)
        shutil.rmtree(path)
        nodes.stop(without)
        said = hitoku("node", "restore", tmp_path / f"{name}.zip", "--to", path, *keys)
        assert said.returncode == 0, said.stderr
        for file, content in tables.items():
            (path / "tables" / file).write_bytes(content)
        nodes.start(without)
        return said.stdout

    try:
        nodes.start()
        ask(place, QUESTION)
        assert "It does not go on yet: " in moved("registry", without="host")
        registry = place.members["registry"].path
        told = hitoku("node", "restore", "--to", registry, "--json")
        assert told.returncode == 0, told.stderr
        assert not json.loads(told.stdout)["rooms"][0]["closed"]
        nodes.start("registry")
        ask(place, OTHER)

        nameless = hitoku("node", "restore", tmp_path / "registry.zip", "--to", tmp_path / "nameless")
        assert "nothing tells whose the backup is" in nameless.stderr + nameless.stdout
        twice = hitoku("node", "restore", tmp_path / "registry.zip", "--to", tmp_path / "twice", *keys)
        assert "goes on elsewhere already" in twice.stdout
        again = hitoku("node", "restore", "--to", tmp_path / "twice")
        assert "closed" in again.stdout
        assert Book(tmp_path / "twice", str(place.agreement.id)).closed()  # it signs nothing either
        ask(place, LATER)  # the one that goes on is not touched by it

        assert "It does not go on yet: " in moved("host", without="registry")
        nodes.start("host")
        ask(
            place, LATER.replace("AS flights", "AS many")
        )  # it tells the others by itself, before its first run
        host = place.members["host"].records(str(place.agreement.id), SystemClock())
        assert host.ledger.restored() is None
    finally:
        nodes.end()


def test_what_a_member_cannot_prove_is_not_accepted(tmp_path):
    """A member that cut its ledger without saying so stays a fork, whoever asks for it to be accepted."""
    place = fill(make_place(tmp_path))
    registry = place.members["registry"]
    nodes = Nodes(place)
    try:
        nodes.start()
        ask(place, QUESTION)
        with pytest.raises(HitokuError, match="does not say that it was restored"):
            accept_restored(place.members["airport"], None, "registry", SystemClock())
        assert MemberDirectory.open(registry.path).records(str(place.agreement.id), SystemClock())
    finally:
        nodes.end()
