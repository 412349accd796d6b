# SPDX-License-Identifier: Apache-2.0
"""A ledger on a real SQLite file: growth, proofs, and every way of tampering with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.errors import RoomError
from hitoku.room import merkle
from hitoku.room.ledger import EntryKind, Head, Inclusion, Ledger
from hitoku.room.store import SCHEMA_VERSION, Store

ROOM = "11111111-2222-3333-4444-555555555555"


class Keys:
    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def shared_secret(self) -> bytes:
        raise AssertionError("a ledger needs no secret")

    def verify(self, member: str, message: bytes, signature: bytes) -> bool:
        try:
            self.private.public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return member == "acme"


class Noon:
    def now(self) -> datetime:
        return datetime(2026, 11, 21, 12, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a ledger does not wait")


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def ledger(path: Path, keys: Keys) -> Ledger:
    return Ledger(Store(path), ROOM, "acme", keys, Noon())


def add(ledger: Ledger, n: int, start: int = 0) -> None:
    for i in range(start, start + n):
        with ledger.store.transaction() as connection:
            assert ledger.append(connection, EntryKind.QUESTION, {"i": i}) == i


def test_it_grows_and_its_heads_are_consistent(ledger: Ledger, keys: Keys) -> None:
    assert ledger.head() is None
    assert ledger.verify(keys.verify) == 0
    heads = []
    for i in range(9):
        add(ledger, 1, i)
        head = ledger.head()
        assert head is not None
        assert Head.from_bytes(head.to_bytes()) == head
        heads.append(head)
    assert ledger.verify(keys.verify) == 9
    for old in heads:
        new, proof = ledger.grow(old.size)
        assert merkle.verify_consistency(old.size, old.root, new.size, new.root, proof)
        assert ledger.verify(keys.verify, old) == 9
    assert [e.body for e in ledger.entries()] == [{"i": i} for i in range(9)]
    assert list(ledger.entries(kind=EntryKind.CHARGE)) == []


def test_a_proof_stands_alone_as_json(ledger: Ledger, keys: Keys) -> None:
    add(ledger, 6)
    text = json.dumps(ledger.prove(4).to_dict())
    proof = Inclusion.from_dict(json.loads(text))
    assert proof.verify(keys.verify)
    altered = json.loads(text)
    altered["entry"]["body"]["i"] = 5
    assert not Inclusion.from_dict(altered).verify(keys.verify)
    with pytest.raises(RoomError, match="no entry 6"):
        ledger.prove(6)
    with pytest.raises(RoomError, match="not a ledger proof"):
        Inclusion.from_dict({"format": "other"})


def test_a_rolled_back_transaction_leaves_nothing(ledger: Ledger, keys: Keys) -> None:
    add(ledger, 2)

    class Stop(Exception):
        pass

    def fail() -> None:
        with ledger.store.transaction() as connection:
            ledger.append(connection, EntryKind.CHARGE, {})
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert ledger.verify(keys.verify) == 2
    add(ledger, 1, 2)
    assert ledger.verify(keys.verify) == 3


def tamper(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            ["UPDATE ledger_entries SET body = replace(body, '\"i\":3', '\"i\":4') WHERE seq = 3"],
            "signed root",
        ),
        (["DELETE FROM ledger_entries WHERE seq = 7"], "covers 8 entries"),
        (["DELETE FROM ledger_entries WHERE seq = 2"], "no entry 2"),
        (
            [
                "UPDATE ledger_entries SET seq = 100 WHERE seq = 1",
                "UPDATE ledger_entries SET seq = 1 WHERE seq = 2",
                "UPDATE ledger_entries SET seq = 2 WHERE seq = 100",
            ],
            "another place",
        ),
        (["UPDATE ledgers SET head = NULL"], "no signed head"),
        (["UPDATE ledger_entries SET body = 'x' WHERE seq = 0"], "not of the format"),
        (["UPDATE ledgers SET head = replace(head, '\"size\":8', '\"size\":7')"], "signature"),
        (["UPDATE ledgers SET head = 'x'"], "not a ledger head"),
    ],
)
def test_the_owner_finds_what_was_tampered_with(
    ledger: Ledger, path: Path, keys: Keys, statements: list[str], message: str
) -> None:
    add(ledger, 8)
    ledger.store.close()
    # The columns are blobs; SQLite's replace works on them as text and must store a blob again.
    tamper(path, *statements, "UPDATE ledger_entries SET body = CAST(body AS BLOB)",
           "UPDATE ledgers SET head = CAST(head AS BLOB)")  # fmt: skip
    again = Ledger(Store(path), ROOM, "acme", keys, Noon())
    with pytest.raises(RoomError, match=message):
        again.verify(keys.verify)


def test_a_cut_with_a_matching_older_head_is_found_by_whoever_holds_a_newer_one(
    ledger: Ledger, path: Path, keys: Keys, tmp_path: Path
) -> None:
    add(ledger, 4)
    ledger.store.close()
    older = tmp_path / "older.db"
    with sqlite3.connect(path) as source, sqlite3.connect(older) as target:
        source.backup(target)
    grown = Ledger(Store(path), ROOM, "acme", keys, Noon())
    add(grown, 3, 4)
    seen = grown.head()
    assert seen is not None
    cut = Ledger(Store(older), ROOM, "acme", keys, Noon())
    assert cut.verify(keys.verify) == 4
    with pytest.raises(RoomError, match="cut or forked"):
        cut.verify(keys.verify, seen)
    with pytest.raises(RoomError, match="shorter"):
        cut.grow(seen.size)
    add(cut, 3, 4)  # a fork of the same length, other content
    with cut.store.transaction() as connection:
        cut.append(connection, EntryKind.CHARGE, {"fork": True})
    new, proof = cut.grow(seen.size)
    forked = not merkle.verify_consistency(seen.size, seen.root, new.size, new.root, proof)
    same_prefix = [e.raw for e in cut.entries()][:7] == [e.raw for e in grown.entries()][:7]
    assert forked is not same_prefix


def test_two_writers_never_share_a_number(path: Path, keys: Keys) -> None:
    import threading

    ledgers = [Ledger(Store(path), ROOM, "acme", keys, Noon()) for _ in range(4)]

    def work(ledger: Ledger) -> None:
        for _ in range(10):
            with ledger.store.transaction() as connection:
                ledger.append(connection, EntryKind.CHARGE, {})

    threads = [threading.Thread(target=work, args=(one,)) for one in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledgers[0].verify(keys.verify) == 40


def mutate(change: Callable[[dict[str, Any]], None]) -> bytes:
    data: dict[str, Any] = {
        "format": "hitoku/ledger-head/1", "room": ROOM, "member": "acme", "size": 1,
        "root": "00" * 32, "time": "t", "signature": "",
    }  # fmt: skip
    change(data)
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"x" * 5000,
        b"[" * 4000,
        mutate(lambda d: d.pop("root")),
        mutate(lambda d: d.update(size=-1)),
        mutate(lambda d: d.update(size="1")),
        mutate(lambda d: d.update(root="00")),
        mutate(lambda d: d.update(signature="*")),
        mutate(lambda d: d.update(extra=1)),
        mutate(lambda d: d.update(format="hitoku/ledger-head/2")),
    ],
)
def test_hostile_heads_are_refused(raw: bytes) -> None:
    with pytest.raises(RoomError, match="not a ledger head"):
        Head.from_bytes(raw)


def test_a_newer_schema_is_refused(path: Path) -> None:
    Store(path).close()
    tamper(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RoomError, match=f"knows {SCHEMA_VERSION}"):
        Store(path)


def test_metadata_and_migrations_agree(path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from hitoku.room.store import metadata

    store = Store(path)
    with store.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
