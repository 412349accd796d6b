# SPDX-License-Identifier: Apache-2.0
"""Tables, runs and protections taken over through a room's versions, or from another room."""

from __future__ import annotations

import pytest

import hitoku
from hitoku.errors import RoomError
from hitoku.node.local import LocalNode
from hitoku.ports import NoProgress, SystemClock
from hitoku.room.agreement import ProtectionName
from hitoku.room.changes import must_sign
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import save_room
from hitoku.room.records import Records, Role, Run, RunState
from hitoku.room.signing import missing, problems, sign, verify
from hitoku.room.store import Store
from hitoku.room.versions import revise
from hitoku.transport.heads import exchange_heads
from hitoku.transport.in_process import InProcessNetwork


def _signed(room, keys):
    for name in missing(room):
        room = sign(room, name, keys[name])
    return room


def _keys(place):
    return {name: directory.keys({}) for name, directory in place.members.items()}


def _data(room):
    return room.agreement.model_dump(mode="json", by_alias=True, exclude_none=True)


def _without_airport(place):
    data = _data(place.room)
    change = {
        "members": [m for m in data["members"] if m["name"] != "airport"],
        "tables": [t for t in data["tables"] if t["name"] != "flights"],
    }
    return _signed(revise(place.room, change), _keys(place)), data["tables"][0]


def test_the_name_of_a_table_that_left_does_not_pass_to_another_owner(filled):
    """The file may still be at the host: with a rule of the new owner's, it could be asked."""
    room, table = _without_airport(filled)
    assert problems(room) == ()
    table |= {"owner": "registry"}
    room = _signed(revise(room, {"tables": [*_data(room)["tables"], table]}), _keys(filled))
    with pytest.raises(RoomError, match="'flights' was another owner's"):
        verify(room)


def test_nor_to_a_new_member_of_the_old_owners_name(filled, tmp_path):
    room, table = _without_airport(filled)
    impostor = MemberDirectory.create(tmp_path / "impostor", "airport").keys({})
    keys = _keys(filled) | {"airport": impostor}
    member = {"name": "airport", "key": impostor.public_key(), "abilities": ["query", "receive"]}
    room = _signed(revise(room, {"members": [*_data(room)["members"], member]}), keys)
    assert problems(room) == ()
    room = _signed(revise(room, {"tables": [*_data(room)["tables"], table]}), keys)
    with pytest.raises(RoomError, match="'flights' was another owner's"):
        verify(room)


def test_its_owner_may_come_back_with_it_and_hand_it_over(filled):
    keys = _keys(filled)
    room, table = _without_airport(filled)
    member = _data(filled.room)["members"][0]
    room = _signed(revise(room, {"members": [*_data(room)["members"], member]}), keys)
    room = _signed(revise(room, {"tables": [*_data(room)["tables"], table]}), keys)
    assert problems(room) == ()
    given = [t | {"owner": "registry"} if t["name"] == "flights" else t for t in _data(room)["tables"]]
    room = revise(room, {"tables": given})
    assert set(missing(room)) == {"airport", "registry"}
    assert problems(_signed(room, keys)) == ()


def test_a_host_deletes_a_table_that_left_also_if_it_signed_the_version_before_it_opened_it(filled):
    room, _ = _without_airport(filled)
    host = filled.members["host"]
    assert host.table_file("flights") is not None
    host.remember(room)  # as `hitoku room sign` and `room verify --member` do
    save_room(room, filled.room_file)
    (filled.path / "peers.toml").write_text('[members]\nregistry = "registry"\nhost = "host"\n')
    hitoku.open_room(filled.path, "registry")
    assert host.table_file("flights") is None
    assert host.table_file("planes") is not None


def test_the_order_of_protections_is_the_owners_to_change(make):
    """The first that can computes the question: the order decides who learns what."""
    place = make(lambda data: data.update(protections=["enclave", "tokens"]))
    data = _data(place.room)
    data["tables"].append({**data["tables"][1], "name": "more"})
    later = revise(place.room, {"tables": data["tables"], "protections": ["tokens", "enclave"]})
    assert later.agreement.protections[0] is ProtectionName.TOKENS
    assert must_sign(place.agreement, later.agreement).current == {"airport", "registry"}


def test_a_run_is_not_settled_from_another_room(place, tmp_path):
    """Hosts of two rooms may have one name; the runs of both are in the owner's one database."""
    keys = place.members["registry"].keys({})
    store = Store(tmp_path / "state.db")
    ours, theirs = (
        Records(store, room, "registry", keys, SystemClock())
        for room in (str(place.agreement.id), "11111111-2222-3333-4444-555555555555")
    )
    run = Run("ab" * 16, Role.OWNER, "airport", "host", "q", "sql", "p", "tokens", ("airport",))
    ours.reserve(run, place.agreement)
    assert theirs.host_of(run.id) is None
    assert theirs.state(run.id, Role.OWNER) is None
    theirs.abort(run.id, Role.OWNER, "cancelled before it began")
    theirs.fail(run.id, Role.OWNER, "failed")
    assert theirs.commit(run.id, Role.OWNER, {}) is None
    assert ours.state(run.id, Role.OWNER) is RunState.RESERVED
    assert ours.host_of(run.id) == "host"
    store.close()


def test_two_questions_at_once_accuse_nobody_of_a_fork(filled, question):
    """A newer head may be kept while an older one's proof is on its way."""
    network = InProcessNetwork()
    nodes = {
        n: LocalNode(d, filled.room, network, SystemClock(), NoProgress()) for n, d in filled.members.items()
    }
    records, peers = nodes["airport"].records, nodes["airport"].peers
    exchange_heads(records, filled.room, peers, ["registry"])
    before = records.peer_head("registry")

    class Racing:
        me = "airport"
        asked = False

        def call(self, member, message):
            reply = peers.call(member, message)
            if not self.asked:
                self.asked = True
                hitoku.open_room(filled.path, "airport").ask(question)  # another process of the same member
            return reply

    exchange_heads(records, filled.room, Racing(), ["registry"])
    after = records.peer_head("registry")
    assert after is not None
    assert before is None or after.size > before.size
    for node in nodes.values():
        node.close()
