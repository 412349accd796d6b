# SPDX-License-Identifier: Apache-2.0
"""`hitoku node init`: with a console the port for who is invited is there without asking for it."""

from __future__ import annotations

import pytest

from hitoku.cli import main as cli
from hitoku.node.settings import NodeSettings


@pytest.mark.parametrize(
    ("words", "invitations"),
    [
        (["--console", "127.0.0.1:8480"], "127.0.0.1:8444"),
        (["--console", "127.0.0.1:8444", "--health", "127.0.0.1:8445"], "127.0.0.1:8446"),
        (["--console", "127.0.0.1:8480", "--invitations", "127.0.0.1:9000"], "127.0.0.1:9000"),
        (["--console", "127.0.0.1:8480", "--listen", "127.0.0.1:65535"], None),
        (["--health", "127.0.0.1:8480"], None),
    ],
)  # fmt: skip
def test_invitations_are_beside_listen(tmp_path, words, invitations):
    directory = tmp_path / "airport"
    assert cli.run(["room", "member", str(directory), "--name", "airport"]) == 0
    assert cli.run(["node", "init", str(directory), *words]) == 0
    assert NodeSettings.open(directory).invitations == invitations
