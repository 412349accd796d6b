# SPDX-License-Identifier: Apache-2.0
"""`%%hitoku` in IPython's own shell."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from tests.conftest import QUESTION, REFUSED

import hitoku
from hitoku.disclosure.answer import Answer


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    InteractiveShell.clear_instance()
    made: Any = InteractiveShell()
    made.history_manager.enabled = False
    made.run_line_magic("load_ext", "hitoku")
    yield made
    made.reset(new_session=False)
    made.history_manager.end_session()
    InteractiveShell.clear_instance()


def run(shell, text):
    return shell.run_cell(text, store_history=False)


def test_a_cell_asks_and_keeps_the_answer(shell, connection, capsys):
    shell.user_ns["node"] = connection
    done = run(shell, f"%%hitoku node --room 'Test room' --into planes\n{QUESTION}")
    assert done.success
    assert isinstance(done.result, Answer)
    assert shell.user_ns["planes"] is done.result
    assert done.result.fetchall()[0][:2] == ("BIG", 18)
    said = capsys.readouterr().out
    assert "checking the question" in said
    again = run(shell, f"%%hitoku\n{QUESTION}")  # the room of the cell before
    assert again.result.digest == done.result.digest


def test_a_refusal_is_shown_with_the_clause_marked_and_no_traceback(shell, room, capsys):
    shell.user_ns["room"] = room
    done = run(shell, f"%%hitoku room\n{REFUSED}")
    assert not done.success
    assert isinstance(done.error_in_exec.error, hitoku.Refusal)
    said = capsys.readouterr().out
    assert "Refused (" in said
    assert "^^^" in said
    assert "what to do" in said
    assert "Traceback" not in said
    assert "site-packages" not in said


def test_explain_and_preview_run_nothing(world, shell, room, capsys):
    shell.user_ns["room"] = room
    before = world.context.parts["asks"].store.count() if "asks" in world.context.parts else 0
    done = run(shell, f"%%hitoku room --explain --into told\n{QUESTION}")
    assert done.success
    assert shell.user_ns["told"].verdict == "accept"
    assert "The rules allow this question." in repr(done.result)
    assert "learns" in repr(done.result)
    assert "<table>" in done.result._repr_html_()
    done = run(shell, f"%%hitoku room --preview\n{QUESTION}")
    assert done.success
    assert "costs nothing" in repr(done.result)
    done = run(shell, f"%%hitoku room --explain\n{REFUSED}")
    assert isinstance(done.error_in_exec.error, hitoku.Refusal)
    assert (world.context.parts["asks"].store.count() if "asks" in world.context.parts else 0) == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nowhere", "there is no variable 'nowhere'"),
        ("", "say which room"),
        ("node --nonsense", "unrecognized arguments"),
        ("node --into 1x", "names a variable"),
        ("node 'open", "a quote that does not end"),
        ("http://console.example", "begins with https://"),
        ("'''<b>''' --room x", "there is no variable"),
    ],
)
def test_a_wrong_line_is_said(shell, connection, capsys, line, words, monkeypatch):
    monkeypatch.delenv("HITOKU_URL", raising=False)
    monkeypatch.setenv("HITOKU_TOKEN", "hitoku_" + "A" * 43)
    shell.user_ns["node"] = connection
    assert not run(shell, f"%%hitoku {line}\n{QUESTION}").success
    assert words in capsys.readouterr().out


def test_an_address_and_the_environment_are_enough(world, token, shell, monkeypatch):
    monkeypatch.setenv("HITOKU_TOKEN", token)
    assert run(shell, f"%%hitoku {world.url}\n{QUESTION}").success
    shell.run_line_magic("reload_ext", "hitoku")
    monkeypatch.setenv("HITOKU_URL", world.url)
    done = run(shell, f"%%hitoku\n{QUESTION}")
    assert done.success
    shell.magics_manager.registry["HitokuMagics"].close()
