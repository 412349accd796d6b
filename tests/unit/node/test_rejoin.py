# SPDX-License-Identifier: Apache-2.0
"""What a restored member may do, and what its loss costs it, with all nodes in one process."""

from __future__ import annotations

import shutil
import threading
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import AGREEMENT
from tests.unit.node.test_backup import ROOM, run
from tests.unit.room.test_budgets import TENTH, cost
from tests.unit.room.test_budgets import run as charged

from hitoku.errors import PeerError, Refusal, RoomError
from hitoku.node.backup import backup
from hitoku.node.member import LocalNode
from hitoku.node.proposals import Proposals
from hitoku.node.rejoin import _check_time, _compared, _said
from hitoku.node.resigned import _check_arrived, learn
from hitoku.node.restore import restore
from hitoku.ports import NoProgress
from hitoku.room import store as tables
from hitoku.room.arrivals import Arrival, keep
from hitoku.room.directory import MemberDirectory
from hitoku.room.ledger import EntryKind, Head
from hitoku.room.restored import Restored
from hitoku.transport.heads import exchange_heads
from hitoku.transport.in_process import InProcessNetwork
from hitoku.transport.restoring import Arrived, ArrivedKept, arrive, check_restored, loss_of


def _accounts(data: dict[str, Any]) -> None:
    data["budgets"] = [
        {"owner": "registry", "unit": "person", "epsilon": 5, "refresh": "CALENDAR_MONTH"},
        {"owner": "registry", "unit": "device", "epsilon": 5},
    ]
    data["tables"][1]["access_budgets"] = [{"type": "CALENDAR_DAY", "budget": 3}]


class World:
    """Three nodes; the registry's can be put back to a backup."""

    def __init__(self, place, clock, tmp_path) -> None:
        self.place, self.clock, self.path = place, clock, tmp_path
        self.network = InProcessNetwork()
        self.nodes = {
            name: LocalNode(directory, place.room, self.network, clock, NoProgress())
            for name, directory in place.members.items()
        }

    def seen(self) -> None:
        """The others get the registry's newest head."""
        for name in ("airport", "host"):
            node = self.nodes[name]
            exchange_heads(node.records, node.room, node.peers, ("registry",))

    def put_back(self) -> LocalNode:
        """Restore the registry, as its node would be after it started."""
        member = self.place.members["registry"]
        key = member.key_file.read_bytes()
        shutil.rmtree(member.path)
        restore(
            self.path / "b.zip", member.path, self.clock, key=self.place.room.agreement.member("registry").key
        )
        member.key_file.write_bytes(key)
        member.key_file.chmod(0o600)
        again = MemberDirectory.open(member.path)
        for held in (self.network._handlers, self.network._shelves):
            held.pop("registry", None)
        self.nodes["registry"] = LocalNode(again, self.place.room, self.network, self.clock, NoProgress())
        return self.nodes["registry"]

    def moved(self) -> None:
        """Close the registry's node, and have its archive and key."""
        member = self.place.members["registry"]
        self.key = member.key_file.read_bytes()
        backup(member, self.path / "moved.zip", self.clock, move=True)

    def arriving(self, name: str) -> LocalNode:
        """The registry's node from that archive, as one of several copies; it is the one that is reached."""
        member = self.place.room.agreement.member("registry")
        restore(self.path / "moved.zip", self.path / name, self.clock, key=member.key)
        (self.path / name / "member.key").write_bytes(self.key)
        (self.path / name / "member.key").chmod(0o600)
        return self.reached(self.path / name)

    def reached(self, path) -> LocalNode:
        for held in (self.network._handlers, self.network._shelves):
            held.pop("registry", None)
        node = LocalNode(MemberDirectory.open(path), self.place.room, self.network, self.clock, NoProgress())
        self.nodes["registry"] = node
        return node

    def compared(self, accept: bool):
        node = self.nodes["registry"]
        return _compared(node, node.room, node.peers, self.clock, accept)


@pytest.fixture
def world(make, clock, tmp_path):
    place = make(_accounts)
    made = World(place, clock, tmp_path)
    records = made.nodes["registry"].records
    records.reserve(charged(1, cost(TENTH)), place.agreement)
    made.seen()
    backup(place.members["registry"], tmp_path / "b.zip", clock)
    return made


def test_what_was_spent_after_the_backup_is_not_spent_again(world, clock):
    agreement = world.place.agreement
    records = world.nodes["registry"].records
    for number in range(2, 4):
        records.reserve(charged(number, cost(4 * TENTH)), agreement)
    assert 0 < records.accounts(agreement)[0].left.rho < 2 * TENTH
    world.seen()
    size = records.ledger.size()
    node = world.put_back()
    with pytest.raises(Refusal) as caught:
        check_restored(node.records, node.room, node.peers)
    assert caught.value.code == "RESTORED_BEHIND"
    assert "lacks 6 entries" in caught.value.message
    assert caught.value.params["missing"] == "6"
    with pytest.raises(Refusal, match="lacks 6 entries"):  # and whoever writes is told the same
        node.records.reserve(charged(5), agreement)
    clock.pass_seconds(1000)
    found = world.compared(accept=True)
    assert (found.missing, found.entries) == (6, size - 6)
    accounts = node.records.accounts(agreement)
    assert [account.left.rho for account in accounts] == [0, 0]
    assert [account.left.delta for account in accounts] == [0, 0]
    assert [window.left for window in node.records.windows(agreement)] == [0]
    for unit in ("person", "device"):
        with pytest.raises(Refusal) as spent:
            node.records.reserve(charged(6, cost(1, unit=unit), tables=()), agreement)
        assert spent.value.code == "BUDGET_SPENT"
    entry = next(node.records.ledger.entries(0, EntryKind.RESTORE))
    assert entry.body["missing"] == 6
    assert set(entry.body["known"]) == {"airport", "host"}
    assert {charge["unit"] for charge in entry.body["charges"]} == {"person", "device"}


def test_a_monthly_account_opens_with_the_next_month_and_the_other_never(world, clock):
    world.put_back()
    clock.pass_seconds(1000)
    world.compared(accept=True)
    records = world.nodes["registry"].records
    clock.pass_seconds(11 * 86_400)
    left = [account.left.rho for account in records.accounts(world.place.agreement)]
    assert left[0] > 0
    assert left[1] == 0
    assert [window.left for window in records.windows(world.place.agreement)] == [3]


def test_where_nobody_saw_more_it_goes_on_after_the_same_entries(world, clock):
    node = world.put_back()
    with pytest.raises(Refusal, match="what it did after the backup is not on record"):
        check_restored(node.records, node.room, node.peers)
    clock.pass_seconds(1000)
    assert world.compared(accept=True).missing == 0
    world.seen()  # no fork: the others take it as it is
    assert [account.left.rho for account in node.records.accounts(world.place.agreement)] == [0, 0]


def test_others_refuse_it_until_they_accept_what_its_ledger_says(world, clock):
    node = world.nodes["registry"]
    node.records.reserve(charged(2), world.place.agreement)
    world.seen()
    node = world.put_back()
    clock.pass_seconds(1000)
    world.compared(accept=True)
    for number in range(3, 9):  # longer than what they have seen: then only the proof tells
        node.records.refused("airport", "SELECT", Refusal("X", str(number)))
    with pytest.raises(Refusal) as forked:
        world.seen()
    assert forked.value.code == "LEDGER_FORKED"
    for name in ("airport", "host"):
        other = world.nodes[name]
        kept = other.records.peer_head("registry")
        proof = loss_of(other.room.agreement, other.room, other.peers, "registry")
        assert _said(proof.entry, name) == {"size": kept.size, "root": kept.root.hex()}
        other.records.accept_restored(proof.head, kept)
        with pytest.raises(RoomError, match="meanwhile"):
            other.records.accept_restored(proof.head, kept)
    world.seen()
    bodies = [e.body for e in world.nodes["airport"].records.ledger.entries(0, EntryKind.RESTORE)]
    assert [body["stage"] for body in bodies] == ["restored-accepted"]


def test_a_loss_cannot_be_accepted_while_one_member_cannot_be_asked(world, clock, monkeypatch):
    node = world.put_back()
    clock.pass_seconds(1000)
    call = type(node.peers).call

    def silent(self, member, message):
        if member == "host":
            raise PeerError("it does not answer")
        return call(self, member, message)

    monkeypatch.setattr(type(node.peers), "call", silent)
    with pytest.raises(PeerError):
        world.compared(accept=True)
    with pytest.raises(Refusal, match="was not compared yet"):
        check_restored(node.records, node.room, node.peers)
    assert node.records.ledger.restored() is not None


def test_a_member_cannot_make_up_that_it_saw_more(world, clock, monkeypatch):
    """A head that this member never signed would close it for good, or hide what was seen."""
    node = world.put_back()
    clock.pass_seconds(1000)
    kept = world.nodes["host"].records.peer_head("registry")
    forged = Head(kept.room, kept.member, kept.size + 100, b"\1" * 32, kept.time, kept.signature)
    monkeypatch.setattr(world.nodes["host"].records, "peer_head", lambda _member: forged)
    with pytest.raises(PeerError, match="never signed"):
        world.compared(accept=True)
    assert node.records.ledger.restored() is not None


def test_a_backup_of_another_history_is_not_gone_on_from(world, clock, tmp_path):
    """The ledger was cut and went on otherwise, before the backup was made: the others hold the proof."""
    records = world.nodes["registry"].records
    shutil.copytree(world.place.members["registry"].path, tmp_path / "older")
    records.reserve(charged(2), world.place.agreement)
    world.seen()
    older = MemberDirectory.open(tmp_path / "older").records(ROOM, clock)
    for number in range(3, 5):
        older.reserve(charged(number, question=f"sha256:{'f' * 64}"), world.place.agreement)
    (tmp_path / "b.zip").unlink()
    backup(MemberDirectory.open(tmp_path / "older"), tmp_path / "b.zip", clock)
    world.put_back()
    with pytest.raises(Refusal) as caught:
        world.compared(accept=False)
    assert caught.value.code == "LEDGER_FORKED"


def test_consents_from_before_must_have_ended(clock):
    closed = Restored("restored", clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), 3)
    with pytest.raises(Refusal, match="may still hold"):
        _check_time(closed, clock.now(), "registry")
    clock.pass_seconds(421)
    _check_time(closed, clock.now(), "registry")


def test_what_overlaps_with_the_unknown_is_refused(world, clock):
    node = world.put_back()
    clock.pass_seconds(1000)
    world.compared(accept=True)
    clock.pass_seconds(86_400)
    with pytest.raises(Refusal) as caught:
        node.records.reserve(charged(9, boxes=(("planes", "{}"),)), world.place.agreement, lambda *_: None)
    assert caught.value.code == "OVERLAPS_LOST"


def test_a_mark_that_cannot_be_read_stays_a_mark(world, clock):
    node = world.put_back()
    with node.records.store.transaction() as connection:
        connection.execute(sa.update(tables.ledgers).values(restored="?"))
    with pytest.raises(RoomError, match="cannot be read why"):
        node.records.reserve(run(9), world.place.agreement)


assert deepcopy(AGREEMENT)["id"] == ROOM


def test_a_moved_node_goes_on_when_all_others_know(world, clock, monkeypatch):
    world.moved()
    node = world.arriving("one")
    size = node.records.ledger.size()
    silent = _without(node, monkeypatch, "host")
    with pytest.raises(PeerError):
        world.compared(accept=False)
    with pytest.raises(Refusal) as caught:
        check_restored(node.records, node.room, node.peers)
    assert caught.value.code == "NOT_ARRIVED"
    with pytest.raises(Refusal) as caught:
        node.records.reserve(charged(2), world.place.agreement)
    assert caught.value.code == "NOT_ARRIVED"
    silent.clear()
    check_restored(node.records, node.room, node.peers)  # as with its first consent
    node.records.reserve(charged(2), world.place.agreement)
    world.seen()
    entry = next(node.records.ledger.entries(0, EntryKind.RESTORE))
    assert (entry.seq, entry.body["stage"], entry.body["entries"]) == (size, "arrived", size)
    assert not world.compared(accept=False).closed
    # And once more, to another place.
    (world.path / "moved.zip").unlink()
    backup(MemberDirectory.open(world.path / "one"), world.path / "moved.zip", clock, move=True)
    world.arriving("two")
    assert not world.compared(accept=False).closed
    world.seen()


def test_a_moved_node_does_not_go_on_twice(world, clock):
    """Two nodes of one key would each have all of its budgets, until somebody has seen a ledger of both."""
    world.moved()
    one = world.arriving("one")
    check_restored(one.records, one.room, one.peers)
    two = world.arriving("two")
    with pytest.raises(Refusal) as caught:
        check_restored(two.records, two.room, two.peers)
    assert caught.value.code == "MOVED_TWICE"
    with pytest.raises(Refusal) as caught:  # and from now on nothing of it
        two.records.reserve(charged(2), world.place.agreement)
    assert caught.value.code == "RESTORED_BEHIND"
    world.reached(world.path / "one").records.reserve(charged(2), world.place.agreement)
    world.seen()
    # One that comes later still, when others have seen entries that its archive lacks.
    three = world.arriving("three")
    with pytest.raises(Refusal, match="others have seen 4 more entries") as caught:
        check_restored(three.records, three.room, three.peers)
    assert caught.value.code == "MOVED_TWICE"
    # Where the other is gone for good, it goes on as from a plain backup: what may be lost is spent.
    with pytest.raises(Refusal, match="may still hold"):
        world.compared(accept=True)
    clock.pass_seconds(1000)
    assert world.compared(accept=True).missing == 4
    assert three.records.accounts(world.place.agreement)[0].left.rho == 0


def test_a_second_copy_signs_nothing_before_its_loss_is_accepted(world, clock):
    """Else two nodes of one key would each sign drafts of one version."""
    world.moved()
    one = world.arriving("one")
    check_restored(one.records, one.room, one.peers)
    two = world.arriving("two")
    with pytest.raises(Refusal, match="goes on elsewhere"):
        check_restored(two.records, two.room, two.peers)
    _refused(two, clock)
    world.compared(accept=False)  # asks how much is missing, and says so in the mark
    _refused(two, clock)
    # Nor does it get there by a backup of its own.
    directory = MemberDirectory.open(world.path / "two")
    backup(directory, world.path / "two.zip", clock)
    key = world.place.room.agreement.member("registry").key
    restore(world.path / "two.zip", world.path / "again", clock, key=key)
    shutil.copy(world.path / "two" / "member.key", world.path / "again" / "member.key")
    _refused(world.reached(world.path / "again"), clock)
    # As from a plain backup, when what may be lost counts as spent.
    clock.pass_seconds(1000)
    two = world.reached(world.path / "two")
    world.compared(accept=True)
    _check_arrived(_signing(two, clock))


def test_what_came_from_a_plain_backup_signs_before_its_loss_is_accepted(world, clock):
    """It only has to know what it signed (docs/backup.md)."""
    node = world.put_back()
    _check_arrived(_signing(node, clock))
    with pytest.raises(Refusal):
        check_restored(node.records, node.room, node.peers)
    _check_arrived(_signing(node, clock))


def _signing(node: LocalNode, clock) -> Proposals:
    return Proposals(node._directory, node._directory.path / "room.yaml", ROOM, clock)


def _refused(node: LocalNode, clock) -> None:
    with pytest.raises(Refusal) as caught:
        learn(_signing(node, clock), node.peers)
    assert caught.value.code == "RESTORED_BEHIND"
    assert "--accept-loss" in str(caught.value.remedy)


def test_two_copies_that_come_at_once_do_not_both_go_on(world):
    world.moved()
    one = world.arriving("one")
    two = world.arriving("two")
    nodes, errors = [one, two], []
    barrier = threading.Barrier(2)

    def come(node) -> None:
        barrier.wait()
        try:
            arrive(node.records, node.room, node.peers)
        except Refusal as refusal:
            errors.append(refusal.code)

    threads = [threading.Thread(target=come, args=(node,)) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    going = [node for node in nodes if node.records.ledger.restored() is None]
    assert len(going) <= 1
    assert errors == ["MOVED_TWICE"] * (2 - len(going))


@pytest.mark.parametrize("what", ["signature", "size", "room", "nothing"])
def test_a_member_cannot_make_up_that_another_copy_goes_on(world, monkeypatch, what):
    """Else it could close a moved node, and cost it what its accounts have left."""
    world.moved()
    node = world.arriving("one")
    mine = node.records.ledger.arrival(node.records.ledger.restored())
    forged = {
        "signature": replace(mine, instance="0" * 32),
        "size": replace(mine, size=mine.size + 1),
        "room": Arrival.made(node._directory.keys(), "another", "registry", mine.size, "0" * 32),
        "nothing": None,
    }[what]
    text = "{}" if forged is None else forged.to_text()
    call = type(node.peers).call

    def said(self, member, message):
        if message["kind"] == "hitoku/arrived/1" and member == "host":
            return ArrivedKept(arrival=text).model_dump(mode="json")
        return call(self, member, message)

    monkeypatch.setattr(type(node.peers), "call", said)
    with pytest.raises(PeerError, match="never signed"):
        arrive(node.records, node.room, node.peers)
    closed = node.records.ledger.restored()
    assert closed is not None
    assert closed.state == "arriving"


def test_nobody_says_that_another_member_moved(world):
    world.moved()
    node = world.arriving("one")
    mine = node.records.ledger.arrival(node.records.ledger.restored())
    host = world.nodes["host"]
    for text in (mine.to_text(), replace(mine, member="airport").to_text(), "x", "{}", *_half(mine)):
        with pytest.raises(PeerError, match="does not hold"):
            host.handle("airport", Arrived(arrival=text).model_dump(mode="json"))
    later = Arrival.made(node._directory.keys(), mine.room, mine.member, mine.size + 5, "1" * 32)
    assert keep(host.records.store, later) == later
    assert keep(host.records.store, mine) == later  # an older one changes nothing
    assert keep(host.records.store, replace(later, instance="2" * 32)) == later


def _half(arrival: Arrival) -> list[str]:
    """Text with half a character in each place that takes text: JSON may have it, and it has no bytes."""
    return [arrival.to_text().replace(f'"{said}"', '"\\ud800"') for said in (arrival.room, arrival.member)]


def _without(node, monkeypatch, name: str) -> set[str]:
    """Members that do not answer; may be changed."""
    silent, call = {name}, type(node.peers).call

    def asked(self, member, message):
        if member in silent:
            raise PeerError("it does not answer")
        return call(self, member, message)

    monkeypatch.setattr(type(node.peers), "call", asked)
    return silent
