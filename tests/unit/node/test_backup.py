# SPDX-License-Identifier: Apache-2.0
"""Backups and restores: all of a member's state, in one file, checked; and nothing that must not be in it."""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import AGREEMENT

from hitoku.errors import InputError, Refusal, RoomError, SecretError
from hitoku.node.backup import backup
from hitoku.node.restore import restore
from hitoku.node.settings import NodeSettings
from hitoku.room import store as tables
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room
from hitoku.room.heads import member_signed
from hitoku.room.records import Role, Run, RunState
from hitoku.room.store import metadata

ROOM = AGREEMENT["id"]


def run(number: int = 1) -> Run:
    return Run(
        id=f"{number:032x}", role=Role.OWNER, asker="airport", host="host", question="sha256:" + "0" * 64,
        sql="SELECT 1", plan="sha256:" + "1" * 64, protection="tokens", receivers=("airport",),
        tables=("planes",),
    )  # fmt: skip


def rows(directory: MemberDirectory) -> dict[str, list[Any]]:
    with directory.store().reading() as connection:
        return {
            t.name: [tuple(r) for r in connection.execute(sa.select(t).order_by(*t.primary_key.columns))]
            for t in metadata.sorted_tables
        }


@pytest.fixture
def member(place, clock):
    found = place.members["registry"]
    records = found.records(ROOM, clock)
    records.accept(place.agreement)
    records.reserve(run(1), place.agreement)
    records.commit(run(1).id, Role.OWNER, {"answer": "x"})
    records.reserve(run(2), place.agreement)
    (found.path / "tables" / "planes.csv").write_text("tailnum\nPLANTED-ROW\n")
    (found.path / "shared.secret").write_text("c2VjcmV0LXNoYXJlZA==")
    (found.path / "shared.secret").chmod(0o600)
    return found


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("correct horse battery\n")
    path.chmod(0o600)
    return path


def test_what_was_there_is_there_again_and_closed(member, place, clock, tmp_path, passphrase):
    before = rows(member)
    backup(member, tmp_path / "b.zip", clock, passphrase=passphrase)
    assert rows(member) == before  # a backup changes nothing
    restore(tmp_path / "b.zip", tmp_path / "again", clock, passphrase=passphrase)
    again = MemberDirectory.open(tmp_path / "again")
    after = rows(again)
    assert again.name == member.name
    assert again.keys().public_key() == member.keys().public_key()
    assert after.keys() == before.keys()
    for name in before.keys() - {"ledgers"}:
        assert after[name] == before[name], name
    records = again.records(ROOM, clock)
    assert records.ledger.verify(member_signed(place.agreement)) == len(before["ledger_entries"])
    assert records.state(run(2).id, Role.OWNER) is RunState.RESERVED
    with pytest.raises(Refusal) as caught:
        records.reserve(run(3), place.agreement)
    assert caught.value.code == "RESTORED_BEHIND"
    assert records.recover() == 0  # and it can be opened, to look
    records.accept(place.agreement)
    assert len(rows(again)["ledger_entries"]) == len(before["ledger_entries"])
    assert [path for path in (tmp_path / "again").rglob("*") if path.suffix in {".csv", ".parquet"}] == []
    assert {p.stat().st_mode & 0o077 for p in (tmp_path / "again").glob("*.key")} == {0}


@pytest.mark.parametrize("what", ["abort", "settle", "fail", "predict", "beside"])
def test_nothing_at_all_is_written_to_a_closed_ledger(member, place, clock, tmp_path, what):
    backup(member, tmp_path / "b.zip", clock)
    restore(tmp_path / "b.zip", tmp_path / "again", clock, key=member.keys().public_key())
    shutil.copy(member.key_file, tmp_path / "again" / "member.key")
    records = MemberDirectory.open(tmp_path / "again").records(ROOM, clock)
    before = records.ledger.size()
    doing = {
        "abort": lambda: records.abort(run(2).id, Role.OWNER, "x"),
        "settle": lambda: records.commit(run(2).id, Role.OWNER, {}),
        "fail": lambda: records.fail(run(2).id, Role.OWNER, "x"),
        "predict": lambda: records.refused("airport", "SELECT", Refusal("X", "x")),
        "beside": lambda: records.deleted("planes", "x"),
    }
    with pytest.raises(Refusal, match="restored from a backup"):
        doing[what]()
    assert records.ledger.size() == before
    assert records.state(run(2).id, Role.OWNER) is RunState.RESERVED


def test_a_moved_node_goes_on_there_and_not_here(member, place, clock, tmp_path):
    backup(member, tmp_path / "b.zip", clock, move=True)
    with pytest.raises(Refusal) as caught:
        member.records(ROOM, clock).reserve(run(3), place.agreement)
    assert caught.value.code == "MOVED_AWAY"
    backup(member, tmp_path / "c.zip", clock, move=True)  # what was cut off is done again
    with zipfile.ZipFile(tmp_path / "b.zip") as one, zipfile.ZipFile(tmp_path / "c.zip") as two:
        parts = [name for name in one.namelist() if name.startswith("tables/")]
        assert [one.read(name) for name in parts] == [two.read(name) for name in parts]
    restore(tmp_path / "b.zip", tmp_path / "again", clock, key=member.keys().public_key())
    shutil.copy(member.key_file, tmp_path / "again" / "member.key")
    records = MemberDirectory.open(tmp_path / "again").records(ROOM, clock)
    with pytest.raises(Refusal) as caught:
        records.reserve(run(3), place.agreement)
    assert caught.value.code == "NOT_ARRIVED"
    with pytest.raises(Refusal):  # it would be two copies that do not know of each other
        backup(MemberDirectory.open(tmp_path / "again"), tmp_path / "d.zip", clock, move=True)
    closed = records.ledger.restored()
    assert closed is not None
    assert records.arrived(closed) is not None
    assert records.arrived(closed) is None
    records.reserve(run(3), place.agreement)
    assert records.ledger.verify(member_signed(place.agreement)) > 0


def test_a_backup_that_somebody_made_up_is_not_restored(member, place, clock, tmp_path, passphrase):
    """Whoever holds an archive can make another one, signed by a key of its own."""
    backup(member, tmp_path / "b.zip", clock, passphrase=passphrase)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
    thief = place.members["host"].keys()
    manifest["key"] = thief.public_key()
    content = json.dumps(manifest).encode()
    signature = base64.b64encode(thief.sign(b"hitoku/backup/1\n" + content))
    _edited(tmp_path / "b.zip", tmp_path / "bad.zip", {"manifest.json": content, "manifest.sig": signature})
    to = tmp_path / "again"
    with pytest.raises(InputError, match="nothing tells whose the backup is"):
        restore(tmp_path / "b.zip", to, clock)
    with pytest.raises(InputError, match="another key than the one named"):
        restore(tmp_path / "bad.zip", to, clock, key=member.keys().public_key())
    with pytest.raises(SecretError, match="not the one that signed it"):
        restore(tmp_path / "bad.zip", to, clock, passphrase=passphrase)
    with pytest.raises(InputError, match="another key than the one named"):
        restore(tmp_path / "b.zip", to, clock, passphrase=passphrase, key=thief.public_key())
    assert not to.exists()
    restore(tmp_path / "b.zip", to, clock, passphrase=passphrase, key=member.keys().public_key())


def test_no_key_and_no_plain_row_is_in_a_backup(member, clock, tmp_path, passphrase):
    backup(member, tmp_path / "plain.zip", clock)
    backup(member, tmp_path / "sealed.zip", clock, passphrase=passphrase)
    assert (tmp_path / "sealed.zip").stat().st_mode & 0o077 == 0
    for name in ("plain.zip", "sealed.zip"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            content = b"".join(archive.read(entry) for entry in archive.namelist())
        assert b"PRIVATE KEY" not in content
        assert b"c2VjcmV0LXNoYXJlZA" not in content
        assert b"PLANTED-ROW" not in content
        assert b"correct horse" not in content
    restore(tmp_path / "plain.zip", tmp_path / "again", clock, key=member.keys().public_key())
    assert not (tmp_path / "again" / "member.key").exists()


def test_a_wrong_passphrase_restores_nothing(member, clock, tmp_path, passphrase):
    backup(member, tmp_path / "b.zip", clock, passphrase=passphrase)
    passphrase.write_text("another horse battery")
    with pytest.raises(SecretError, match="does not open"):
        restore(tmp_path / "b.zip", tmp_path / "again", clock, passphrase=passphrase)
    assert not (tmp_path / "again").exists()
    passphrase.write_text("short")
    with pytest.raises(SecretError, match="at least 12"):
        backup(member, tmp_path / "c.zip", clock, passphrase=passphrase)
    assert not (tmp_path / "c.zip").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def _edited(
    source: Path, to: Path, edit: dict[str, bytes | None], more: dict[str, bytes] | None = None
) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            content = edit.get(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in (more or {}).items():
            new.writestr(name, content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["tables/charges.jsonl", "files/member.toml", "manifest.json", "manifest.sig"]
)
@pytest.mark.parametrize("how", ["changed", "left out"])
def test_an_altered_backup_is_refused_whole(member, clock, tmp_path, name, how):
    backup(member, tmp_path / "b.zip", clock)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        content = archive.read(name)
    changed = content.replace(b"registry", b"airport!") if b"registry" in content else content[:-2] + b"00"
    _edited(tmp_path / "b.zip", tmp_path / "bad.zip", {name: changed if how == "changed" else None})
    with pytest.raises(InputError, match="nothing was restored"):
        restore(tmp_path / "bad.zip", tmp_path / "again", clock, key=member.keys().public_key())
    assert sorted(p.name for p in tmp_path.iterdir() if "again" in p.name) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["files/../escaped", "/etc/escaped", "files/member.key", "files/state.db", "files/tables/x", "odd/x"],
)
def test_a_part_that_leads_elsewhere_is_refused_even_if_signed(member, clock, tmp_path, name):
    """Signed by the member's key, too: whoever made the archive is not trusted with where it is unpacked."""
    import hashlib

    backup(member, tmp_path / "b.zip", clock)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest["parts"].append({"path": name, "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()})
    content = json.dumps(manifest).encode()
    signature = base64.b64encode(member.keys().sign(b"hitoku/backup/1\n" + content))
    edit: dict[str, bytes | None] = {"manifest.json": content, "manifest.sig": signature}
    _edited(tmp_path / "b.zip", tmp_path / "bad.zip", edit, {name: b"x"})
    with pytest.raises(InputError, match="nothing was restored"):
        restore(tmp_path / "bad.zip", tmp_path / "in" / "again", clock, key=member.keys().public_key()) if (
            (tmp_path / "in").mkdir() is None
        ) else None
    assert list((tmp_path / "in").iterdir()) == []
    assert not (tmp_path / "escaped").exists()


def test_a_cut_archive_and_another_file_are_refused(member, clock, tmp_path):
    backup(member, tmp_path / "b.zip", clock)
    content = (tmp_path / "b.zip").read_bytes()
    for number, bad in enumerate([content[:-30], content[: len(content) // 2], b"", b"PK\x03\x04"]):
        (tmp_path / f"{number}.zip").write_bytes(bad)
        with pytest.raises(InputError, match="nothing was restored"):
            restore(tmp_path / f"{number}.zip", tmp_path / "again", clock, key=member.keys().public_key())


def test_nothing_is_overwritten(member, clock, tmp_path):
    (tmp_path / "b.zip").write_bytes(b"mine")
    with pytest.raises(InputError, match="never overwritten"):
        backup(member, tmp_path / "b.zip", clock)
    assert (tmp_path / "b.zip").read_bytes() == b"mine"
    backup(member, tmp_path / "c.zip", clock)
    with pytest.raises(InputError, match="is there already"):
        restore(tmp_path / "c.zip", member.path, clock, key=member.keys().public_key())


def test_a_newer_schema_is_refused(member, clock, tmp_path, monkeypatch):
    monkeypatch.setattr("hitoku.room.store.SCHEMA_VERSION", "9999")
    backup(member, tmp_path / "b.zip", clock)
    monkeypatch.undo()
    with pytest.raises(RoomError, match="schema 9999"):
        restore(tmp_path / "b.zip", tmp_path / "again", clock, key=member.keys().public_key())


def test_what_was_under_way_is_ended_and_data_keys_are_revoked(member, place, clock, tmp_path):
    from hitoku.room import keytables

    with member.store().transaction() as connection:
        connection.execute(
            sa.insert(tables.jobs),
            {"run": "a" * 32, "room": ROOM, "part": "lead", "sender": "airport", "state": "open",
             "request": b"{}", "created": "2026"},
        )  # fmt: skip
        connection.execute(
            sa.insert(keytables.keys),
            {"id": "k" * 32, "room": ROOM, "run": "a" * 32, "table": "planes", "host": "host", "workers": 1,
             "state": "live", "wrapped": b"wrapped-key", "created": "2026"},
        )  # fmt: skip
    backup(member, tmp_path / "b.zip", clock)
    restore(tmp_path / "b.zip", tmp_path / "again", clock, key=member.keys().public_key())
    found = rows(MemberDirectory.open(tmp_path / "again"))
    assert [row[4] for row in found["jobs"]] == ["failed"]
    assert [(row[6], row[7]) for row in found["broker_keys"]] == [("revoked", None)]
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert b"d3JhcHBlZC1rZXk" not in archive.read("tables/broker_keys.jsonl")


def test_a_closed_node_is_not_moved_but_backed_up(member, clock, tmp_path):
    """A restored node that nobody opened must not get rid of its mark by being moved."""
    backup(member, tmp_path / "b.zip", clock)
    restore(tmp_path / "b.zip", tmp_path / "again", clock, key=member.keys().public_key())
    shutil.copy(member.key_file, tmp_path / "again" / "member.key")
    again = MemberDirectory.open(tmp_path / "again")
    with pytest.raises(Refusal) as caught:
        backup(again, tmp_path / "c.zip", clock, move=True)
    assert caught.value.code == "RESTORED_BEHIND"
    assert not (tmp_path / "c.zip").exists()
    backup(again, tmp_path / "c.zip", clock)
    restore(tmp_path / "c.zip", tmp_path / "third", clock, key=member.keys().public_key())
    records = MemberDirectory.open(tmp_path / "third").records(ROOM, clock)
    assert records.ledger.restored() is not None


@pytest.mark.parametrize("name", ["../room.yaml", "部屋.yaml", "rooms-of/one.yaml"])
def test_room_files_come_along_wherever_they_are(member, place, clock, tmp_path, name):
    file = member.path / name
    file.parent.mkdir(exist_ok=True)
    shutil.copy(place.room_file, tmp_path / "kept.yaml")
    shutil.move(tmp_path / "kept.yaml", file)
    settings = {"listen": "127.0.0.1:1", "url": "https://127.0.0.1:1", "rooms": [{"file": name}]}
    NodeSettings.made(settings, "x").write(member.path)
    backup(member, tmp_path / "b.zip", clock)
    (tmp_path / "elsewhere").mkdir()
    restore(tmp_path / "b.zip", tmp_path / "elsewhere" / "again", clock, key=member.keys().public_key())
    again = tmp_path / "elsewhere" / "again"
    found = NodeSettings.open(again).room_files(again)
    assert [load_room(path).agreement for path in found] == [place.agreement]
    assert all(path.is_relative_to(again) for path in found)
