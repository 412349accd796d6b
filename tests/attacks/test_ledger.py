# SPDX-License-Identifier: Apache-2.0
"""Members that rewrite their own past: whoever holds an old head finds it, and the question ends."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

import hitoku
from hitoku.errors import PeerError, Refusal, RoomError
from hitoku.ports import SystemClock
from hitoku.room.heads import check_growth, give_head, member_signed
from hitoku.room.ledger import EntryKind
from hitoku.room.records import Role, Run
from hitoku.transport import messages


@pytest.fixture
def asked(filled, question):
    """A room in which one question was asked, so that all know each other's heads."""
    hitoku.open_room(filled.path, "airport").ask(question)
    return filled


def records_of(place, name):
    return place.members[name].records(str(place.agreement.id), SystemClock())


def refused(place, question):
    with pytest.raises(Refusal) as caught:
        hitoku.open_room(place.path, "airport").ask(question)
    return caught.value


def test_an_owner_that_goes_back_to_an_older_state_is_found(asked, question):
    database = asked.members["registry"].path / "state.db"
    shutil.copy(database, database.with_suffix(".old"))
    hitoku.open_room(asked.path, "airport").ask(question)
    shutil.move(database.with_suffix(".old"), database)
    with pytest.raises((Refusal, PeerError)):
        hitoku.open_room(asked.path, "airport").ask(question)


def test_an_owner_that_forks_its_ledger_is_found_and_named(asked, question):
    database = asked.members["registry"].path / "state.db"
    shutil.copy(database, database.with_suffix(".old"))
    hitoku.open_room(asked.path, "airport").ask(question)
    shutil.move(database.with_suffix(".old"), database)
    fork = records_of(asked, "registry")
    for number in range(20):  # longer than what the others saw, but another past
        with fork.store.transaction() as connection:
            fork.ledger.append(connection, EntryKind.CHARGE, {"fork": number})
    fork.ledger.verify(member_signed(asked.agreement))  # it is consistent in itself
    fork.store.close()
    found = refused(asked, question)
    assert (found.code, found.owner) == ("LEDGER_FORKED", "registry")
    seen = records_of(asked, "airport").peer_head("registry")
    with pytest.raises(RoomError, match="cut or forked"):
        records_of(asked, "registry").ledger.verify(member_signed(asked.agreement), seen)


def test_a_host_without_its_past_is_found(asked, question):
    (asked.members["host"].path / "state.db").unlink()
    with pytest.raises((Refusal, PeerError)):
        hitoku.open_room(asked.path, "airport").ask(question)


def test_an_edited_entry_is_found_by_the_owner(asked):
    database = asked.members["registry"].path / "state.db"
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE ledger_entries SET body = CAST(replace(CAST(body AS TEXT), 'airport', 'nobody1') AS BLOB)"
        )
    connection.close()
    with pytest.raises(RoomError, match="edited or reordered"):
        records_of(asked, "registry").ledger.verify(member_signed(asked.agreement))


def test_heads_that_are_not_the_members_are_refused(asked):
    airport, registry = records_of(asked, "airport"), records_of(asked, "registry")
    head, proof = give_head(registry, 0)
    assert head is not None
    for bad in (
        head.replace('"size":', '"size":1'),
        head.replace("registry", "airport"),
        "{}",
        None,
        give_head(airport, 0)[0],
    ):
        with pytest.raises(Refusal) as caught:
            check_growth(airport, asked.agreement, "registry", bad, proof, airport.peer_head("registry"))
        assert caught.value.code == "LEDGER_FORKED"
    with pytest.raises(RoomError, match="shorter"):
        give_head(registry, 10**6)


def test_a_settlement_is_taken_from_the_consented_host_only(asked, question):
    registry = records_of(asked, "registry")
    run = Run(
        id="ab" * 16,
        role=Role.OWNER,
        asker="airport",
        host="host",
        question="sha256:" + "0" * 64,
        sql="SELECT 1",
        plan="sha256:" + "0" * 64,
        protection="tokens",
        receivers=("airport",),
    )
    registry.reserve(run, asked.agreement)
    handle = hitoku.open_room(asked.path, "airport")
    forged = messages.Settle(run=run.id, outcome="aborted").model_dump(mode="json")
    with pytest.raises(Refusal) as caught:
        handle._peers.call("registry", forged)
    assert caught.value.code == "NO_SUCH_RUN"
    assert registry.state(run.id, Role.OWNER) == "reserved"


def test_a_cancelled_run_never_begins_so_its_owners_need_not_charge_it(asked, question):
    """Cancel first, run afterwards with the same consents: the host has used the number up."""
    from hitoku.ask import Host

    handle = hitoku.open_room(asked.path, "airport")
    sent = []
    original = Host.run

    def cancelled_first(self, sender, message):
        cancel = messages.Cancel(run=message["run"], owners=["airport", "registry"])
        sent.append(self.cancel(sender, cancel.model_dump(mode="json")))
        return original(self, sender, message)

    patch = pytest.MonkeyPatch()
    patch.setattr(Host, "run", cancelled_first)
    try:
        with pytest.raises(Refusal) as caught:
            handle.ask(question)
    finally:
        patch.undo()
    assert sent[0]["done"] is True
    assert caught.value.code == "CONSENT_REPLAYED"
    run = next(e.body["run"] for e in records_of(asked, "registry").ledger.entries(kind=EntryKind.ABORT))
    assert records_of(asked, "registry").state(run, Role.OWNER) == "aborted"
    assert records_of(asked, "host").state(run, Role.HOST) == "aborted"


def test_a_run_that_began_is_not_cancelled(asked, question):
    host = records_of(asked, "host")
    run = next(e.body["run"] for e in host.ledger.entries(kind=EntryKind.RELEASE))
    assert host.bury(run, "airport") is False
    assert records_of(asked, "registry").state(run, Role.OWNER) == "committed"


def test_all_members_name_the_answer_by_one_digest(asked):
    digests = {
        next(records_of(asked, name).ledger.entries(kind=EntryKind.RELEASE)).body["answer"]
        for name in asked.members
    }
    assert len(digests) == 1
