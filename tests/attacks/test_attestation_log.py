# SPDX-License-Identifier: Apache-2.0
"""Threat T18: an owner that wants its broker's decisions forgotten, changed, or told differently."""

from __future__ import annotations

import json
import sqlite3

import pytest
from tests.unit.attestation.brokers import HOST, Desk, attested

from hitoku.errors import Refusal, RoomError
from hitoku.room.heads import check_growth, give_head, member_signed
from hitoku.room.ledger import EntryKind


@pytest.fixture
def desk(make, clock):
    """A broker that released a key to a worker."""
    made = Desk(make(attested), "registry", clock)
    made.key()
    made.desk.answer(HOST, made.answered(made.request()))
    yield made
    made.records.store.close()


@pytest.fixture
def other(desk, clock):
    """Another member, which saw the ledger's head after the release."""
    records = desk.place.members["airport"].records(str(desk.place.agreement.id), clock)
    shown(desk.records, records, desk.place.agreement)
    yield records
    records.store.close()


def shown(owner, reader, agreement):
    """The reader asks for the owner's head, and keeps it where it continues the one before."""
    known = reader.peer_head("registry")
    head, proof = give_head(owner, 0 if known is None else known.size)
    return check_growth(reader, agreement, "registry", head, proof, known)


def edit(desk, sql):
    desk.records.store.close()
    with sqlite3.connect(desk.directory.path / "state.db") as connection:
        changed = connection.execute(sql).rowcount
    connection.close()
    assert changed


def reopened(desk, clock):
    desk.records = desk.directory.records(str(desk.place.agreement.id), clock)
    return desk.records


def test_t18_a_release_that_was_cut_off_the_end(desk, other, clock):
    last = entries(desk)[-1].seq
    edit(desk, f"DELETE FROM ledger_entries WHERE seq = {last}")
    again = reopened(desk, clock)
    with pytest.raises(RoomError):
        again.ledger.verify(member_signed(desk.place.agreement), other.peer_head("registry"))


def test_t18_a_release_that_was_changed_to_another_program(desk, other, clock):
    (released,) = [e for e in entries(desk) if e.kind == EntryKind.KEY_RELEASE]
    program = str(released.body["program"])
    assert len(program) == 96
    edit(
        desk,
        "UPDATE ledger_entries SET body = CAST(replace(CAST(body AS TEXT), "
        f"'{program}', '{'0' * 96}') AS BLOB) WHERE seq = {released.seq}",
    )
    again = reopened(desk, clock)
    with pytest.raises(RoomError, match="edited or reordered"):
        again.ledger.verify(member_signed(desk.place.agreement))


def test_t18_another_past_for_each_reader(desk, other, clock):
    """A split view: the fork is consistent in itself and as long, and who saw the other one finds it."""
    name = desk.directory.path / "state.db"
    desk.records.store.scrub()  # all of it is in the one file now
    kept = name.read_bytes()
    with desk.records.store.transaction() as connection:
        desk.records.ledger.append(connection, EntryKind.KEY_REFUSAL, {"run": "0" * 32, "told": "airport"})
    shown(desk.records, other, desk.place.agreement)
    desk.records.store.close()
    for path in desk.directory.path.glob("state.db-*"):
        path.unlink()
    name.write_bytes(kept)
    fork = reopened(desk, clock)
    for number in range(3):
        with fork.store.transaction() as connection:
            fork.ledger.append(connection, EntryKind.KEY_REFUSAL, {"run": "0" * 32, "told": str(number)})
    fork.ledger.verify(member_signed(desk.place.agreement))
    with pytest.raises(Refusal) as caught:
        shown(fork, other, desk.place.agreement)
    assert caught.value.code == "LEDGER_FORKED"


def entries(desk):
    return list(desk.records.ledger.entries())


def test_t18_what_the_broker_decided_is_in_the_ledger(desk):
    """What the others watch over is the decision itself, with the evidence by its hash."""
    said = [e.body for e in entries(desk) if e.kind == EntryKind.KEY_RELEASE]
    assert len(said) == 1
    assert "sha256:" in json.dumps(said)
