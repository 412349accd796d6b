# SPDX-License-Identifier: Apache-2.0
"""A room that changes while its node serves it."""

from __future__ import annotations

import json
import threading
import time

import pytest
from tests.e2e.nodes import free_ports
from tests.unit.node.test_serving import Started, _init
from tests.unit.transport.https.parties import party, shake

from hitoku.errors import InputError, PeerError, RoomError
from hitoku.node import serving
from hitoku.node.certificate import certificate_file
from hitoku.node.remote import open_remote_room, pull_room
from hitoku.node.served import ServedRoom
from hitoku.node.settings import NodeSettings
from hitoku.ports import SystemClock
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, save_room
from hitoku.room.signing import sign
from hitoku.room.versions import newest_in_force, revise
from hitoku.transport.https import tls
from hitoku.transport.https.bounds import RUN

HEAD = b'{"kind":"hitoku/head-request/1","size":0}'


def next_version(place, change, *signers):
    """The next version of the room, signed by some; it is put in place."""
    room = revise(load_room(place.room_file), change)
    for name in signers:
        room = sign(room, name, place.members[name].keys({}))
    save_room(room, place.room_file)
    return room


ROUNDED = {"release": {"round_counts": 10}}
OWNERS = ("airport", "registry")


@pytest.fixture
def served(place):
    """The airport's served room."""
    assert _init(place) == 0
    airport = place.members["airport"]
    settings = NodeSettings.open(airport.path)
    (file,) = settings.room_files(airport.path)
    made = ServedRoom(airport, file, settings.rooms[0], certificate_file(airport), SystemClock())
    yield made
    made.close()


def told(room) -> int:
    """The version that the airport's node tells a member."""
    try:
        return int(room._https.version("airport").version)
    finally:
        room.close()


def version(served: ServedRoom) -> int:
    assert served.agreement is not None
    return served.agreement.version


def test_a_prediction_that_comes_while_the_room_changes_waits_for_the_change(served):
    """Else it would run on with records and connections that are closed under it."""
    import threading
    import time

    served._changing = True
    message = b'{"kind":"hitoku/predict/1"}'
    thread = threading.Thread(target=served.answer, args=("registry", message))
    thread.start()
    time.sleep(0.2)
    assert thread.is_alive()
    with served._turn:
        served._changing = False
        served._turn.notify_all()
    thread.join(300)
    assert not thread.is_alive()


def test_while_a_version_waits_for_runs_to_end_predictions_are_not_taken(place, served, monkeypatch):
    desk = served.node.models
    monkeypatch.setattr(type(desk), "idle", False)
    next_version(place, ROUNDED, *OWNERS)
    assert served.take_up() is False
    assert desk.closing
    monkeypatch.setattr(type(desk), "idle", True)
    assert served.take_up() is True
    assert not served.node.models.closing


def test_a_file_that_cannot_be_served_does_not_keep_predictions_out(place, served):
    text = place.room_file.read_text("utf-8")
    place.room_file.write_text("[", "utf-8")
    with pytest.raises(RoomError):
        served.take_up()
    assert not served.node.models.closing
    place.room_file.write_text(text, "utf-8")
    assert served.take_up() is False
    assert not served.node.models.closing


def test_a_new_version_is_taken_up_once_all_have_signed(place, served):
    assert served.take_up() is False
    next_version(place, ROUNDED, "airport")
    assert served.take_up() is False
    assert version(served) == 1
    room = load_room(place.room_file)
    save_room(sign(room, "registry", place.members["registry"].keys({})), place.room_file)
    before = served.node
    assert served.take_up() is True
    assert version(served) == 2
    assert served.node is not before
    assert served.agreement.release.round_counts == 10
    assert b"head-given" in served.answer("registry", HEAD)
    assert served.take_up() is False


@pytest.mark.parametrize("bad", ["missing", "no yaml", "altered", "other room", "older", "forged"])
def test_what_is_no_newer_version_is_left_alone(place, served, tmp_path, bad):
    first = place.room_file.read_text("utf-8")
    room = next_version(place, ROUNDED, *OWNERS)
    assert served.take_up() is True
    text = place.room_file.read_text("utf-8")
    if bad == "missing":
        place.room_file.unlink()
    if bad == "no yaml":
        place.room_file.write_text("[", "utf-8")
    if bad == "altered":
        place.room_file.write_text(text.replace("round_counts: 10", "round_counts: 9"), "utf-8")
    if bad == "other room":
        place.room_file.write_text(text.replace(str(room.agreement.id)[:4], "ffff"), "utf-8")
    if bad == "older":
        place.room_file.write_text(first, "utf-8")
    if bad == "forged":
        forged = revise(room, {"release": {"round_counts": 5}})
        forged = forged.model_copy(update={"signatures": room.signatures})
        save_room(forged, place.room_file)
        assert served.take_up() is False  # a draft on top of the version that is served
    else:
        with pytest.raises(RoomError):
            served.take_up()
    assert served.take_up() is False  # nobody is told twice
    assert version(served) == 2
    assert served.agreement.release.round_counts == 10
    place.room_file.write_text(text, "utf-8")
    assert served.take_up() is False
    next_version(place, {"release": {"round_counts": 20}}, *OWNERS)
    assert served.take_up() is True
    assert version(served) == 3


def test_a_version_waits_until_no_run_is_under_way(place, served):
    began, go_on = threading.Event(), threading.Event()
    network = served._now.network

    def slow(sender, receiver, content):
        began.set()
        assert go_on.wait(300)
        return b"{}"

    network.carry = slow
    run = threading.Thread(target=served.answer, args=("registry", b'{"kind":"%s"}' % RUN.encode()))
    run.start()
    assert began.wait(300)
    next_version(place, ROUNDED, *OWNERS)
    assert served.take_up() is False
    assert version(served) == 1
    go_on.set()
    run.join(300)
    assert served.take_up() is True
    assert version(served) == 2


def test_a_message_that_is_being_answered_keeps_its_node(place, served):
    began, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    old = served._now
    real = old.node.close

    def slow(sender, receiver, content):
        began.set()
        assert go_on.wait(300)
        assert not closed.is_set()
        return b"{}"

    def close():
        closed.set()
        real()

    old.network.carry, old.node.close = slow, close
    message = threading.Thread(target=served.answer, args=("registry", HEAD))
    message.start()
    assert began.wait(300)
    next_version(place, ROUNDED, *OWNERS)
    assert served.take_up() is True
    assert not closed.is_set()
    go_on.set()
    message.join(300)
    assert closed.is_set()


def test_new_addresses_are_taken_up_too(place, served):
    toml = place.members["airport"].path / "node.toml"
    before = served.node
    toml.write_text(toml.read_text("utf-8") + 'host = "https://host.example:8443"\n', "utf-8")
    assert served.take_up() is True
    assert served.node is not before
    toml.write_text(toml.read_text("utf-8") + 'nobody = "https://a"\n', "utf-8")
    with pytest.raises(InputError, match="'nobody' is no member"):
        served.take_up()
    assert version(served) == 1


def test_a_room_that_is_not_in_force_is_waited_for_where_others_are_invited(place):
    whole = load_room(place.room_file)
    save_room(whole.model_copy(update={"signatures": whole.signatures[:2]}), place.room_file)
    assert _init(place, "airport", "--invitations", f"127.0.0.1:{free_ports(1)[0]}") == 0
    airport = place.members["airport"]
    settings = NodeSettings.open(airport.path)
    (file,) = settings.room_files(airport.path)
    parts = (airport, file, settings.rooms[0], certificate_file(airport), SystemClock())
    with pytest.raises(RoomError):
        ServedRoom(*parts)
    made = ServedRoom(*parts, waits=True)
    assert (made.served, made.node, made.agreement, made.idle) == (None, None, None, True)
    with pytest.raises(PeerError, match="not in force"):
        made.answer("registry", HEAD)
    save_room(whole, place.room_file)
    assert made.take_up() is True
    assert version(made) == 1
    made.close()


def test_a_member_that_left_is_shut_out_and_one_that_came_is_let_in(place, monkeypatch, tmp_path):
    """Over the network, without a restart of the node that serves."""
    monkeypatch.setattr(serving, "_WATCH_SECONDS", 0.05)
    newcomer = MemberDirectory.create(tmp_path / "new" / "agency", "agency")
    for name in ("airport", "host"):
        assert _init(place, name) == 0
    url = NodeSettings.open(place.members["airport"].path).url
    for directory in (place.members["host"], newcomer):
        toml = directory.path / "node.toml"
        text = (place.members["host"].path / "node.toml").read_text("utf-8").split("[rooms.peers]")[0]
        text = text.replace("../room.yaml", str(place.room_file))
        toml.write_text(f'{text}[rooms.peers]\nairport = "{url}"\n', "utf-8")
    with Started(place.members["airport"].path) as started:
        assert told(open_remote_room(place.members["host"].path)) == 1
        changed = [m.model_dump(mode="json") for m in place.agreement.members if m.name != "host"]
        changed.append({"name": "agency", "key": newcomer.keys({}).public_key()})
        old = open_remote_room(place.members["host"].path)
        room = revise(load_room(place.room_file), {"members": changed})
        for directory in (place.members["airport"], place.members["registry"], newcomer):
            room = sign(room, directory.name, directory.keys({}))
        newcomer.remember(room)
        save_room(room, place.room_file)
        until = time.monotonic() + 300
        while "room_taken_up" not in started.out.getvalue() and time.monotonic() < until:
            time.sleep(0.02)
        assert told(open_remote_room(newcomer.path)) == 2
        with pytest.raises(PeerError):
            told(old)
        place.room_file.write_text("[", "utf-8")
        while "room_ignored" not in started.out.getvalue() and time.monotonic() < until:
            time.sleep(0.02)
        assert "room_ignored" in started.out.getvalue()
    lines = [json.loads(line) for line in started.out.getvalue().splitlines()]
    assert [line["version"] for line in lines if line["event"] == "room_taken_up"] == [2]


def test_a_context_admits_others_from_the_next_handshake_on(tmp_path):
    server, first, second = (party(tmp_path, name) for name in ("server", "first", "second"))
    listens = tls.server_context(server.certificate, server.key_file, [first.public])

    def admitted(who) -> bool:
        calls = tls.client_context(who.certificate, who.key_file, server.public)
        return bool(shake(calls, listens).server == who.public)

    assert (admitted(first), admitted(second)) == (True, False)
    tls.admit(listens, [second.public])
    assert (admitted(first), admitted(second)) == (False, True)
    tls.admit(listens, [first.public, second.public])
    assert (admitted(first), admitted(second)) == (True, True)
    tls.admit(listens, [])
    assert (admitted(first), admitted(second)) == (False, False)


def test_what_is_pulled_is_verified_like_any_file(place, tmp_path, monkeypatch):
    """A member that sends something else, or an older or unsigned version, changes nothing."""
    monkeypatch.setattr(serving, "_WATCH_SECONDS", 3600)
    for name in ("airport", "registry"):
        assert _init(place, name) == 0
    here = place.members["registry"].path
    own = tmp_path / "registrys.yaml"
    own.write_text(place.room_file.read_text("utf-8"), "utf-8")
    url = NodeSettings.open(place.members["airport"].path).url
    toml = (here / "node.toml").read_text("utf-8").replace("../room.yaml", str(own))
    (here / "node.toml").write_text(f'{toml}airport = "{url}"\n', "utf-8")
    room = next_version(place, ROUNDED, *OWNERS)
    with Started(place.members["airport"].path) as started:
        monkeypatch.setattr(started.node._rooms[str(room.agreement.id)]._now.node, "room", room)
        node = started.node._rooms[str(room.agreement.id)]._now.node
        assert pull_room(here, None, "airport")[2] is True
        assert load_room(own).agreement == room.agreement
        assert pull_room(here, None, None)[2] is False
        forged = revise(room, {"release": {"round_counts": 5}})
        monkeypatch.setattr(node, "room", forged.model_copy(update={"signatures": room.signatures}))
        with pytest.raises(RoomError):
            pull_room(here, None, "airport")
        monkeypatch.setattr(node, "room", place.room)
        assert pull_room(here, None, "airport")[2] is False
        assert load_room(own).agreement == room.agreement
        for source in ("registry", "nobody"):
            with pytest.raises(RoomError, match="is no other member"):
                pull_room(here, None, source)
    with pytest.raises(PeerError, match="cannot be reached"):
        pull_room(here, None, None)


def test_a_draft_does_not_hide_the_version_in_force(place):
    room = place.room
    assert newest_in_force(room) is room
    draft = revise(room, ROUNDED)
    found = newest_in_force(draft)
    assert (found.agreement, found.signatures, found.history) == (room.agreement, room.signatures, ())
    unsigned = room.model_copy(update={"signatures": ()})
    assert newest_in_force(unsigned) is unsigned
