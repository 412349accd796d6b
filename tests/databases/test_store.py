# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL as a member's database: how it is named, who may use it, and what is never said of it."""

from __future__ import annotations

import multiprocessing
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.conftest import AGREEMENT
from tests.postgresql import PASSWORD, Server
from tests.unit.node.test_backup import ROOM, rows, run

from hitoku.cli import main as cli
from hitoku.errors import HitokuError, InputError, LimitError, Refusal, RoomError
from hitoku.node.backup import backup
from hitoku.node.restore import restore
from hitoku.room import store as tables
from hitoku.room.database import checked_url
from hitoku.room.directory import MemberDirectory
from hitoku.room.heads import member_signed
from hitoku.room.records import Role
from hitoku.room.store import SCHEMA_VERSION, Store

HIDDEN = "PLANTED-WORD"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://me:{HIDDEN}@h/d", "password must not stand in the URL"),
        (f"postgresql://me@h/d?password={HIDDEN}", "password must not stand in the URL"),
        (f"postgresql://me@h/d?passfile={HIDDEN}", "password must not stand in the URL"),
        (f"mysql://me@h/{HIDDEN}", "only PostgreSQL"),
        (f"sqlite:///{HIDDEN}", "only PostgreSQL"),
        (f"postgresql+psycopg2://me@h/{HIDDEN}", "only PostgreSQL"),
        (f"postgresql://{HIDDEN}@h", "names no database"),
        (f"postgresql://{HIDDEN}@h/d#x", "names no database"),
        (f"postgresql://me@h/d?service={HIDDEN}", "not known"),
        (f"postgresql://me@h:{HIDDEN}/d", "not a URL"),
        (HIDDEN, "only PostgreSQL"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_quoted(url, words):
    with pytest.raises(InputError, match=words) as caught:
        checked_url(url)
    assert HIDDEN not in str(caught.value)


def test_a_member_is_made_with_a_database_by_the_command_line(
    postgresql: Server, tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "word").write_text(PASSWORD + "\n")
    (tmp_path / "word").chmod(0o600)
    url = postgresql.database()
    monkeypatch.undo()
    monkeypatch.delenv("PGPASSWORD", raising=False)
    words = ["room", "member", str(tmp_path / "acme"), "--name", "acme", "--database", url]
    assert cli.run([*words, "--password-file", str(tmp_path / "word")]) == 0
    assert not (tmp_path / "acme" / "state.db").exists()
    directory = MemberDirectory.open(tmp_path / "acme")
    store = directory.store()
    assert directory.store() is store
    assert not store.is_sqlite
    shown = (
        repr(store) + repr(directory) + repr(directory.database) + str(store.url) + capsys.readouterr().out
    )
    assert PASSWORD not in shown + (tmp_path / "acme" / "member.toml").read_text()
    (tmp_path / "word").chmod(0o644)
    store.close()
    with pytest.raises(HitokuError, match="others can read"), store.reading() as connection:
        connection.scalar(sa.text("SELECT 1"))
    store.close()


def test_a_wrong_password_is_said_at_once_and_without_it(postgresql: Server, monkeypatch):
    url = postgresql.database()
    monkeypatch.setenv("PGPASSWORD", HIDDEN)
    monkeypatch.setattr("hitoku.room.store._AWAY_SECONDS", 600)
    began = time.monotonic()
    with pytest.raises(LimitError, match="lets nobody in") as caught:
        Store(url)
    assert time.monotonic() - began < 300
    assert HIDDEN not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_is_not_there_is_waited_for_and_then_told_of(monkeypatch):
    monkeypatch.setattr("hitoku.room.store._AWAY_SECONDS", 0.3)
    with pytest.raises(LimitError, match="does not answer"):
        Store("postgresql+psycopg://owner@127.0.0.1:1/none")


def test_a_database_is_one_members(postgresql: Server, tmp_path, place):
    url = place.members["airport"].database.url
    place.members["airport"].store()
    path = tmp_path / "other"
    MemberDirectory.create.__func__(MemberDirectory, path, "other")  # type: ignore[attr-defined]
    (path / "member.toml").write_text(f'name = "other"\n[database]\nurl = "{url}"\n')
    with pytest.raises(RoomError, match="belongs to member 'airport'"):
        MemberDirectory.open(path).store()


def test_a_newer_schema_is_refused(postgresql: Server):
    url = postgresql.database(empty=False)
    postgresql.run("UPDATE alembic_version SET version_num = '9999'", url.rpartition("/")[2])
    with pytest.raises(RoomError, match=f"knows {SCHEMA_VERSION}"):
        Store(url)


def _open(url: str) -> None:
    Store(url, lambda: PASSWORD).close()


def test_processes_that_make_the_schema_at_once_make_it_once(postgresql: Server):
    url = postgresql.database()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open, args=(url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0, 0]


class _Clock:
    def now(self) -> datetime:
        return datetime(2026, 11, 21, 12, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _spend(path: str, first: int, count: int, room: str) -> None:
    from hitoku.room.agreement import Agreement

    records = MemberDirectory.open(Path(path)).records(ROOM, _Clock())
    agreement = Agreement.model_validate_json(room)
    for number in range(first, first + count):
        try:
            records.reserve(run(number), agreement)
        except Refusal as refusal:
            assert refusal.code == "ACCESS_BUDGET_SPENT"  # noqa: PT017
            continue
        if number % 2:
            records.commit(run(number).id, Role.OWNER, {"answer": "x"})
        else:
            records.abort(run(number).id, Role.OWNER, "cancelled")


def test_two_processes_never_overspend_one_account(make):
    """The access budget admits 10: every second run is given back, so more are tried than it admits."""

    def limited(data):
        data["tables"][1]["access_budgets"] = [{"type": "LIFETIME", "budget": 10}]

    place = make(limited)
    member = place.members["registry"]
    text = place.agreement.model_dump_json()
    context = multiprocessing.get_context("spawn")
    work = [(str(member.path), first, 16, text) for first in (100, 200)]
    processes = [context.Process(target=_spend, args=one) for one in work]
    for process in processes:
        process.start()
    for process in processes:
        process.join(600)
    assert [process.exitcode for process in processes] == [0, 0]
    records = member.records(ROOM, _Clock())
    with records.store.reading() as connection:
        states = list(connection.scalars(sa.select(tables.uses.c.state)))
    assert states.count("committed") <= 10
    assert states.count("committed") >= 8
    assert "reserved" not in states
    left = [window.left for window in records.windows(place.agreement)]
    assert left == [10 - states.count("committed")]
    assert records.ledger.verify(member_signed(place.agreement)) == records.ledger.size()


def test_state_goes_to_another_kind_of_database_and_back(postgresql: Server, make, clock, tmp_path):
    place = make()
    member = place.members["registry"]
    records = member.records(ROOM, clock)
    records.accept(place.agreement)
    records.reserve(run(1), place.agreement)
    records.commit(run(1).id, Role.OWNER, {"answer": "x"})
    with member.store().transaction() as connection:  # a column that counts by itself goes on counting
        connection.execute(sa.insert(tables.metadata.tables["console_events"]), _event(1))
    (tmp_path / "phrase").write_text("correct horse battery")
    (tmp_path / "phrase").chmod(0o600)
    before = rows(member)
    phrase = tmp_path / "phrase"
    backup(member, tmp_path / "1.zip", clock, passphrase=phrase, move=True)
    restore(tmp_path / "1.zip", tmp_path / "file", clock, passphrase=phrase)
    on_file = MemberDirectory.open(tmp_path / "file")
    assert on_file.store().is_sqlite
    _same(rows(on_file), before)
    _arrive(on_file.records(ROOM, clock))
    before = rows(on_file)
    backup(on_file, tmp_path / "2.zip", clock, passphrase=phrase, move=True)
    with pytest.raises(RoomError, match="not empty"):
        restore(
            tmp_path / "2.zip",
            tmp_path / "x",
            clock,
            passphrase=phrase,
            database=postgresql.database(empty=False),
        )
    assert not (tmp_path / "x").exists()
    restore(tmp_path / "2.zip", tmp_path / "served", clock, passphrase=phrase, database=postgresql.database())
    served = MemberDirectory.open(tmp_path / "served")
    assert not served.store().is_sqlite
    _same(rows(served), before)
    again = served.records(ROOM, clock)
    _arrive(again)
    again.reserve(run(2), place.agreement)
    assert again.ledger.verify(member_signed(place.agreement)) == again.ledger.size()
    with served.store().transaction() as connection:
        connection.execute(sa.insert(tables.metadata.tables["console_events"]), _event(2))


def _same(found, before) -> None:
    """All rows but the mark that says which copy of the ledger this is."""
    assert {k: v for k, v in found.items() if k != "ledgers"} == {
        k: v for k, v in before.items() if k != "ledgers"
    }


def _arrive(records) -> None:
    """What the other members' answers would do."""
    closed = records.ledger.restored()
    assert closed is not None
    assert closed.state == "arriving"
    assert records.arrived(closed) is not None


def _event(number: int) -> dict[str, object]:
    table = tables.metadata.tables["console_events"]
    row: dict[str, object] = {}
    for column in table.columns:
        if column.primary_key or column.nullable or column.server_default is not None:
            continue
        row[column.name] = float(number) if isinstance(column.type, sa.Float) else str(number)
    return row


assert AGREEMENT["id"] == ROOM
