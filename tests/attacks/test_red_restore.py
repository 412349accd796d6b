# SPDX-License-Identifier: Apache-2.0
"""What a restore must not bring back: a token that was ended after the backup."""

from __future__ import annotations

import shutil

import pytest
from tests.console.conftest import make_console

from hitoku.console.sessions import end_token, make_token, of_token, tokens_of
from hitoku.console.users import May
from hitoku.node.backup import backup
from hitoku.node.restore import restore
from hitoku.room.directory import MemberDirectory


@pytest.mark.parametrize("move", [False, True], ids=["backup", "move"])
def test_a_token_that_was_ended_is_not_good_again(place, clock, tmp_path, move):
    console = make_console(place)
    context, account = console.context, console.account(May.ASK)
    token = make_token(context, account, "stolen", frozenset({May.ASK}), 90)
    assert of_token(context, token) is not None
    backup(place.members["airport"], tmp_path / "b.zip", clock, move=move)
    end_token(context, account.id, tokens_of(context, account.id)[0]["id"])
    assert of_token(context, token) is None
    console.close()

    key = place.members["airport"].keys().public_key()
    restore(tmp_path / "b.zip", tmp_path / "again", clock, key=key)
    again = MemberDirectory.open(tmp_path / "again")
    shutil.copy(place.members["airport"].key_file, again.key_file)
    place.members["airport"] = again
    console = make_console(place)
    # With a move nothing can have come after the backup, so programs go on.
    assert (of_token(console.context, token) is not None) == move
    console.close()
