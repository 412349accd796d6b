# SPDX-License-Identifier: Apache-2.0
"""Runs: reserved, then committed or aborted, once; with their entries, in one transaction."""

from __future__ import annotations

import sqlite3

import pytest

from hitoku import limits
from hitoku.errors import LimitError, Refusal
from hitoku.room import store
from hitoku.room.ledger import EntryKind
from hitoku.room.records import Role, Run, RunState


@pytest.fixture
def records(place, clock):
    made = place.members["registry"].records(str(place.agreement.id), clock)
    yield made
    made.store.close()


def run(number=1, role=Role.OWNER):
    return Run(
        id=f"{number:032x}",
        role=role,
        asker="airport",
        host="host",
        question="sha256:" + "0" * 64,
        sql="SELECT 1",
        plan="sha256:" + "1" * 64,
        protection="tokens",
        receivers=("airport",),
        tables=("planes",),
    )


def kinds(records):
    return [entry.kind.value for entry in records.ledger.entries()]


def test_a_run_is_reserved_once_and_settled_once(records, place):
    records.reserve(run(), place.agreement)
    with pytest.raises(Refusal) as caught:
        records.reserve(run(), place.agreement)
    assert caught.value.code == "CONSENT_REPLAYED"
    records.reserve(run(role=Role.ASKER), place.agreement)  # a member may ask about its own table
    assert records.state(run().id, Role.OWNER) is RunState.RESERVED
    entry = records.commit(run().id, Role.OWNER, {"answer": "x"})
    assert entry == len(kinds(records)) - 1
    assert records.commit(run().id, Role.OWNER, {}) is None
    records.abort(run().id, Role.OWNER, "too late")
    records.fail(run().id, Role.OWNER, "too late")
    assert records.state(run().id, Role.OWNER) is RunState.COMMITTED
    assert kinds(records) == ["question", "verdict", "reservation"] * 2 + ["charge", "release"]


def test_an_abort_charges_nothing_and_a_failure_does(records, place):
    records.reserve(run(1), place.agreement)
    records.abort(run(1).id, Role.OWNER, "cancelled")
    records.reserve(run(2), place.agreement)
    records.fail(run(2).id, Role.OWNER, "EngineError")
    assert [k for k in kinds(records) if k in {"charge", "abort", "release"}] == ["abort", "charge"]
    assert records.state(run(1).id, Role.OWNER) is RunState.ABORTED
    assert records.state(run(3).id, Role.OWNER) is None


def test_what_is_open_too_long_is_charged_once(records, place, clock):
    records.reserve(run(1), place.agreement)
    assert records.recover() == 0
    clock.pass_seconds(limits.RUN_SECONDS + 1)
    records.reserve(run(2), place.agreement)
    assert records.recover() == 1
    assert records.recover() == 0
    assert records.state(run(1).id, Role.OWNER) is RunState.COMMITTED
    assert records.state(run(2).id, Role.OWNER) is RunState.RESERVED


def test_a_buried_run_cannot_begin(records, place):
    assert records.bury(run().id, "airport") is True
    assert records.bury(run().id, "airport") is True  # said again
    assert records.bury(run().id, "registry") is False
    with pytest.raises(Refusal):
        records.reserve(run(role=Role.HOST), place.agreement)
    assert records.host_of(run().id) is None


def test_agreements_and_deletions_are_entries(records, place):
    records.accept(place.agreement)
    records.accept(place.agreement)
    records.deleted("planes", "it left the room")
    records.refused("airport", "SELECT '\ud800'", Refusal("NO", "no"))
    assert kinds(records) == ["agreement", "deletion", "refusal"]
    (entry,) = records.ledger.entries(kind=EntryKind.REFUSAL)
    assert "SELECT" not in str(entry.body)


def test_a_database_that_stays_locked_is_told_of(place, clock, monkeypatch):
    monkeypatch.setattr(store, "_PRAGMAS", ("journal_mode=WAL", "busy_timeout=50"))
    records = place.members["registry"].records(str(place.agreement.id), clock)
    path = place.members["registry"].path / "state.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LimitError, match="too busy"):
            records.reserve(run(), place.agreement)
        other.execute("ROLLBACK")
    other.close()
    records.reserve(run(), place.agreement)
    records.store.close()
