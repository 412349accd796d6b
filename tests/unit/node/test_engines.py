# SPDX-License-Identifier: Apache-2.0
"""A host's engines: each run has its own, and who ends one ends no other."""

from __future__ import annotations

import threading

import pytest
from tests.conftest import QUESTION

import hitoku as api
from hitoku.engine.process import Engine
from hitoku.engine.tables import TableFile
from hitoku.errors import EngineError
from hitoku.node.engines import Engines
from hitoku.protections.tokens import Tokens


@pytest.fixture
def started(monkeypatch):
    """The engines that were started and not closed."""
    alive: list[Tokens] = []
    monkeypatch.setattr(Tokens, "prepare", lambda self: alive.append(self))
    monkeypatch.setattr(Tokens, "close", lambda self: alive.remove(self) if self in alive else None)
    return alive


def test_each_run_has_its_own_engine(started):
    engines = Engines(dict)
    engines.prepare()
    engines.prepare()
    (warm,) = started
    first, second = engines.take("1", "airport"), engines.take("2", "airport")
    assert first is warm
    assert second is not first
    assert started == [first, second]
    engines.done("1")
    engines.done("1")
    assert started == [second]
    engines.close()
    assert started == [second]
    engines.done("2")
    assert started == []


def test_an_engine_that_is_warm_for_other_files_is_not_used(started, tmp_path):
    files = {"flights": TableFile(tmp_path / "flights.csv", "csv")}
    engines = Engines(lambda: dict(files))
    engines.prepare()
    (warm,) = started
    files["flights"] = TableFile(tmp_path / "flights.parquet", "parquet")
    assert engines.take("1", "airport") is not warm
    assert warm not in started
    engines.prepare()
    engines.close()
    assert len(started) == 1


def test_a_run_is_ended_by_its_asker_only(started, monkeypatch):
    ended = []
    monkeypatch.setattr(Tokens, "cancel", lambda self: ended.append(self))
    engines = Engines(dict)
    first, second = engines.take("1", "airport"), engines.take("2", "registry")
    engines.cancel("1", "registry")
    engines.cancel("3", "airport")
    assert ended == []
    engines.cancel("1", "airport")
    assert ended == [first]
    engines.cancel_all()
    assert ended == [first, first, second]
    assert started == [first, second]


def test_two_threads_may_ask_with_one_handle(filled, monkeypatch):
    """What one of them has running is not ended when the other is done."""
    handle = api.open_room(filled.path, "airport")
    both = threading.Barrier(2, timeout=300)
    real = Engine.run

    def together(self, *arguments):
        both.wait()
        return real(self, *arguments)

    monkeypatch.setattr(Engine, "run", together)
    found: list[object] = []

    def ask(sql: str) -> None:
        try:
            found.append(handle.ask(sql).num_rows)
        except EngineError as error:
            found.append(error)

    other = QUESTION.replace("AVG(f.arr_delay) AS delay", "COUNT(f.tailnum) AS flights")
    threads = [threading.Thread(target=ask, args=(sql,)) for sql in (QUESTION, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert found == [1, 1]
