# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from hitoku.errors import RoomError
from hitoku.room.directory import MemberDirectory, Workspace, write_peers


def test_a_workspace_opens_by_directory_or_file(place):
    assert Workspace.open(place.path).room == place.room
    assert set(Workspace.open(place.room_file).members) == {"airport", "registry", "host"}


def test_a_member_elsewhere_is_named(place):
    with pytest.raises(RoomError, match="airport, host, registry"):
        Workspace.open(place.path).member("bank")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1", "members"),
        ("[members]\nairport = 3", "must be a path"),
        ("[members]\nairport = 'host'", "belongs to 'host'"),
        ("[members", "not valid TOML"),
        ("[members]\nairport = 'nowhere'", "no such file"),
    ],
)
def test_peers_that_cannot_be_used(place, content, words):
    (place.path / "peers.toml").write_text(content)
    with pytest.raises(RoomError, match=words):
        Workspace.open(place.path)


def test_missing_or_odd_files(place, tmp_path):
    (place.path / "peers.toml").unlink()
    with pytest.raises(RoomError, match="no such file"):
        Workspace.open(place.path)
    (place.path / "airport" / "member.toml").write_text("name = 7")
    with pytest.raises(RoomError, match="needs"):
        MemberDirectory.open(place.path / "airport")
    (place.path / "airport" / "member.toml").write_bytes(b"x" * 2_000_000)
    with pytest.raises(RoomError, match="too large"):
        MemberDirectory.open(place.path / "airport")


def test_table_files_are_found_parquet_first(place):
    host = place.members["host"]
    assert host.table_file("flights") is None
    (host.path / "tables" / "flights.csv").write_text("a\n")
    assert host.table_file("flights") == host.path / "tables" / "flights.csv"
    (host.path / "tables" / "flights.parquet").write_text("a\n")
    assert host.table_file("flights") == host.path / "tables" / "flights.parquet"


def test_peers_file_quotes_paths(tmp_path, place):
    write_peers(place.path, {"airport": "airport", "host": "host", "registry": 'odd "name"'})
    with pytest.raises(RoomError, match="odd"):
        Workspace.open(place.path)


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RoomError, match="cannot be made"):
        MemberDirectory.create(tmp_path / "file" / "x", "x")
