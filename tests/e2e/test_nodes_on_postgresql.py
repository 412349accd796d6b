# SPDX-License-Identifier: Apache-2.0
"""Nodes that keep their state in PostgreSQL: the same questions, also across a restart of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from tests.conftest import QUESTION, REFUSED, fill, make_place
from tests.e2e.nodes import SECONDS, Nodes, hitoku
from tests.e2e.test_restored_node import OTHER, ask
from tests.postgresql import PASSWORD, Server, server

from hitoku.errors import HitokuError, Refusal
from hitoku.room.directory import MemberDirectory

pytestmark = pytest.mark.e2e


@pytest.fixture
def postgresql() -> Iterator[Server]:
    with server() as made:
        yield made


def test_a_question_end_to_end_and_across_a_restart(postgresql, tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "not the password: the file says it")
    create = MemberDirectory.create.__func__  # type: ignore[attr-defined]
    word = tmp_path / "word"
    word.write_text(PASSWORD)
    word.chmod(0o600)

    def made(cls, path, name):
        return create(cls, path, name, postgresql.database(), word)

    monkeypatch.setattr(MemberDirectory, "create", classmethod(made))
    place = fill(make_place(tmp_path))
    nodes = Nodes(place)
    try:
        nodes.start()
        first = ask(place, QUESTION)
        assert first.to_dict()["rows"]
        with pytest.raises(Refusal):
            ask(place, REFUSED)
        asked: list[object] = []

        def many() -> None:
            for _ in range(3):
                try:
                    asked.append(ask(place, OTHER).to_dict()["rows"])
                except HitokuError as error:  # a run that the restart cut off is told of in our own words
                    assert "psycopg" not in str(error)  # noqa: PT017
                    asked.append(None)

        thread = threading.Thread(target=many)
        thread.start()
        time.sleep(1)
        postgresql.stop()
        postgresql.start()
        thread.join(SECONDS)
        assert len(asked) == 3
        again = ask(place, QUESTION)  # given again, byte for byte
        assert again.to_dict()["rows"] == first.to_dict()["rows"]
        for name, directory in place.members.items():
            assert not list(directory.path.glob("state.db*"))
            verified = hitoku("ledger", "verify", "--room", place.path, "--as", name)
            assert verified.returncode == 0, verified.stderr
            assert PASSWORD not in nodes.log(name).read_text()
    finally:
        nodes.end()
