# SPDX-License-Identifier: Apache-2.0
"""`hitoku user`: the first user, its password and its tokens."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from tests.conftest import Place
from tests.console.conftest import cheap_passwords

from hitoku.cli.main import run
from hitoku.console import entering, passwords, sessions, store
from hitoku.console.context import Context
from hitoku.console.users import May
from hitoku.node.settings import NodeSettings
from hitoku.node.view import MemberView


@pytest.fixture(name="node")
def member(place: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    cheap_passwords(monkeypatch)
    directory = place.members["airport"]
    said = {"listen": "127.0.0.1:8443", "url": "https://127.0.0.1:8443", "rooms": ({"file": "../room.yaml"},)}
    NodeSettings.model_validate(said).write(directory.path)
    return Context(MemberView(directory))


def call(node: Context, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    path = str(node.node.directory.path)
    code = run(["user", words[0], path, *words[1:], "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_first_user(
    node: Context, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\n"))
    code, said = call(node, capsys, "add", "ann", "--ability", "ask", "--ability", "administer")
    assert code == 0
    assert "password" not in said
    found = entering.by_password(node, "ann", "correct horse battery", "", "")
    assert found is not None
    assert found.abilities == frozenset({May.ASK, May.ADMINISTER})
    entering.known_cookie(node, found.id)
    assert (node.node.directory.path / "console-sealing.key").stat().st_mode & 0o777 == 0o600


def test_a_password_is_made_and_shown_once(node: Context, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = call(node, capsys, "add", "ann", "--ability", "audit", "--make-password")
    assert code == 0
    assert entering.by_password(node, "ann", said["password"], "", "") is not None
    code, again = call(node, capsys, "password", "ann", "--make-password")
    assert code == 0
    assert entering.by_password(node, "ann", said["password"], "", "") is None
    assert entering.by_password(node, "ann", again["password"], "", "") is not None
    code, listed = call(node, capsys, "list")
    assert [user["name"] for user in listed["users"]] == ["ann"]
    assert "password" not in str(listed)
    assert said["password"] not in str(store.notes(node))


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (("add", "ann", "--ability", "root"), "correct horse battery\n"),
        (("add", "ann", "--ability", "ask"), "short\n"),
        (("add", " ann", "--ability", "ask"), "correct horse battery\n"),
        (("add", "bob", "--ability", "ask"), "correct horse battery\n"),
        (("password", "nobody"), "correct horse battery\n"),
        (("token", "nobody"), ""),
        (("token", "bob", "--ability", "sign"), ""),
        (("token", "bob", "--days", "1000"), ""),
    ],
    ids=range(8),
)
def test_what_is_refused(
    node: Context,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    stdin: str,
) -> None:
    store.create(node, "bob", frozenset({May.ASK}), password=passwords.hashed("x"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    code, said = call(node, capsys, *words)
    assert code == 4
    assert said["error"] == "InputError"
    assert len(store.all_accounts(node)) == 1


def test_disable_and_token(node: Context, capsys: pytest.CaptureFixture[str]) -> None:
    call(node, capsys, "add", "ann", "--ability", "ask", "--ability", "sign", "--make-password")
    code, said = call(node, capsys, "token", "ann", "--ability", "ask", "--days", "2")
    assert code == 0
    user = sessions.of_token(node, said["token"])
    assert user is not None
    assert user.abilities == frozenset({May.ASK})
    assert call(node, capsys, "password", "ann", "--make-password")[0] == 0
    assert sessions.of_token(node, said["token"]) is None  # it may be that of who had the old password
    code, said = call(node, capsys, "token", "ann", "--ability", "ask", "--days", "2")
    assert call(node, capsys, "disable", "ann")[0] == 0
    assert sessions.of_token(node, said["token"]) is None
    assert call(node, capsys, "token", "ann")[0] == 4
    assert call(node, capsys, "disable", "ann", "--enable")[0] == 0
    found = store.by_name(node, "ann")
    assert found is not None
    assert not found.disabled
