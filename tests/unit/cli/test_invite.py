# SPDX-License-Identifier: Apache-2.0
"""`hitoku room invite` and what belongs to it, as far as it goes without another machine."""

from __future__ import annotations

import json

import pytest

from hitoku.room.files import save_room
from hitoku.room.invitations import Invitation


@pytest.fixture
def inviter(place, hitoku):
    """The airport, whose node.toml says where the invited come to."""
    path = place.members["airport"].path
    code, _, _ = hitoku(
        "node", "init", path, "--room", place.room_file, "--listen", "127.0.0.1:8443",
        "--invitations", "127.0.0.1:8444",
    )  # fmt: skip
    assert code == 0
    return path


def test_an_invitation_is_printed_or_written(inviter, hitoku, tmp_path):
    code, out, _ = hitoku("room", "invite", inviter, "--as", "agency", "--ability", "query")
    assert code == 0
    read = Invitation.from_text(out)
    assert (read.name, read.url) == ("agency", "https://127.0.0.1:8444")
    file = tmp_path / "invitation"
    words = ("room", "invite", inviter, "--as", "agency", "--url", "https://a.example", "--to", file)
    code, out, _ = hitoku(*words)
    assert code == 0
    kept = sorted(inviter.glob("invitations/*"))
    assert Invitation.from_text(file.read_text("utf-8")).url == "https://a.example"
    assert file.read_text("utf-8").strip() not in out
    code, _, err = hitoku(*words)
    assert (code, "never overwritten" in err) == (4, True)
    assert sorted(inviter.glob("invitations/*")) == kept


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["--as", "No Name"], 5, "invitation"),
        (["--as", "agency", "--hours", "0"], 4, "1 to"),
        (["--as", "agency", "--url", "http://a"], 4, "https://HOST:PORT"),
        (["--as", "agency", "--room", "another"], 5, "0 such rooms"),
        (["--as", "registry", "--ability", "host"], 4, "is in the room already"),
    ],
)
def test_what_cannot_be_an_invitation_is_said(inviter, hitoku, words, code, what):
    found, _, err = hitoku("room", "invite", inviter, *words)
    assert (found, what in err) == (code, True), err
    assert not list(inviter.glob("invitations/*"))


def test_a_node_without_a_desk_invites_nobody(place, hitoku):
    path = place.members["airport"].path
    hitoku("node", "init", path, "--room", place.room_file)
    code, _, err = hitoku("room", "invite", path, "--as", "agency")
    assert (code, "needs `invitations" in err) == (4, True)


def test_status_lists_rooms_and_invitations(place, inviter, hitoku):
    assert hitoku("room", "status", inviter)[1].strip() == "Test room (version 1): in force"
    hitoku("room", "invite", inviter, "--as", "agency")
    hitoku("room", "invite", inviter, "--as", "registry")
    code, out, _ = hitoku("room", "status", inviter, "--json")
    assert code == 0
    agency, registry = json.loads(out)["invitations"]
    assert (agency["state"], registry["state"]) == ("has not come yet", "signed")
    room = place.room.model_copy(update={"signatures": place.room.signatures[:1]})
    save_room(room, place.room_file)
    out = hitoku("room", "status", inviter)[1]
    assert "still to sign: registry, host" in out
    assert "registry: has still to sign" in out
    assert hitoku("room", "withdraw", inviter, agency["id"])[0] == 0
    code, _, err = hitoku("room", "withdraw", inviter, agency["id"])
    assert (code, "no such invitation" in err) == (4, True)
    assert "agency" not in hitoku("room", "status", inviter)[1]


def test_nobody_is_admitted_who_has_not_come(inviter, hitoku):
    code, _, err = hitoku("room", "admit", inviter, "agency")
    assert (code, "no key offered by 'agency'" in err) == (4, True)
    code, _, err = hitoku("room", "admit", inviter, "agency", "--key", "ed25519:x")
    assert (code, "not the one you name" in err) == (4, True)


def test_joining_says_what_is_missing(place, hitoku, tmp_path, monkeypatch):
    path = place.members["host"].path
    code, _, err = hitoku("room", "join", path)
    assert (code, "keeps 0 invitations" in err) == (4, True)
    file = tmp_path / "none"
    file.write_text("aGVsbG8\n", "utf-8")
    code, _, err = hitoku("room", "join", tmp_path / "new", file)
    assert (code, "no invitation" in err) == (4, True)
    assert not (tmp_path / "new").exists()
    code, _, err = hitoku("room", "join", path, file, "--yes")
    assert (code, "--yes signs only what --hash names" in err) == (4, True)


def test_an_inviter_that_is_not_there_is_said(place, inviter, hitoku, tmp_path):
    file = tmp_path / "invitation"
    hitoku("room", "invite", inviter, "--as", "agency", "--url", "https://127.0.0.1:1", "--to", file)
    code, _, err = hitoku("room", "join", tmp_path / "agency", file)
    assert (code, "is in no network that addresses from others may be in" in err) == (4, True)
    code, _, err = hitoku("room", "join", tmp_path / "agency", file, "--network", "127.0.0.0/8")
    assert (code, "cannot be reached at https://127.0.0.1:1" in err) == (8, True)
    kept = next((tmp_path / "agency" / "joining").glob("*.invitation"))
    assert kept.stat().st_mode & 0o077 == 0
