# SPDX-License-Identifier: Apache-2.0
"""A node that serves takes rooms up and drops them as node.toml says, and serves other things beside."""

from __future__ import annotations

import json
import threading
from io import StringIO
from typing import Any

import pytest
from tests.e2e.nodes import free_ports

from hitoku.cli import main as cli
from hitoku.errors import InputError, PeerError
from hitoku.node import settings_file
from hitoku.node.remote import open_remote_room
from hitoku.node.serving import NodeProcess, json_log
from hitoku.node.settings import NodeSettings
from hitoku.node.view import MemberView
from hitoku.room.files import save_room


def empty(place, name: str = "airport") -> Any:
    """A node without rooms; returns the member's directory."""
    directory = place.members[name]
    words = ["node", "init", str(directory.path), "--listen", f"127.0.0.1:{free_ports(1)[0]}"]
    assert cli.run(words) == 0
    return directory


class Recorded:
    """A service that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.view: Any = None

    def __call__(self, view, log):
        self.view = view
        self.heard.append("made")
        return self

    async def start(self) -> None:
        self.heard.append("started")

    async def stop(self) -> None:
        self.heard.append("stopped")


class Started:
    """A node in a thread."""

    def __init__(self, path, services=(), **more):
        self.ready = threading.Event()
        self.out = StringIO()
        self.node = NodeProcess(path, json_log(self.out), self.ready.set, services=services, **more)
        self.thread = threading.Thread(target=self.node.run)

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(300)
        return self

    def __exit__(self, *_):
        self.node.stop()
        self.thread.join(300)
        assert not self.thread.is_alive()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]


def test_a_node_may_begin_without_rooms_and_gets_one_while_it_serves(place):
    directory = empty(place)
    with Started(directory.path) as started:
        assert started.node.rooms == ()
        assert started.node.view.rooms() == ()
        settings_file.add_room(directory.path, place.room_file)
        started.node.view.look()
        assert started.node.rooms == ("Test room",)
        assert [entry.name for entry in started.node.view.rooms()] == ["Test room"]
        found = open_remote_room(directory.path).status()
        assert found[0]["reached"]
        assert found[0]["same_room"]
        handle = open_remote_room(directory.path)
        settings_file.drop_room(directory.path, place.room_file)
        started.node.view.look()
        assert started.node.rooms == ()
        with pytest.raises(PeerError):
            handle._https.version("airport")
        assert started.events("room_left") == [
            {
                "event": "room_left",
                "room": str(place.agreement.id),
                "timestamp": started.events("room_left")[0]["timestamp"],
            }
        ]
        settings_file.add_room(directory.path, place.room_file)
        started.node.view.look()
        assert open_remote_room(directory.path).status()[0]["reached"]


def test_who_is_in_no_room_cannot_connect(place):
    airport, host = empty(place), place.members["host"]
    settings_file.add_room(airport.path, place.room_file)
    handle = open_remote_room(airport.path)
    settings_file.drop_room(airport.path, place.room_file)
    with Started(airport.path), pytest.raises(PeerError):
        handle._https.version("airport")
    assert host.name == "host"


def test_what_cannot_be_served_is_said_once_and_the_rest_goes_on(place, tmp_path):
    directory = empty(place)
    settings_file.add_room(directory.path, place.room_file)
    with Started(directory.path) as started:
        bad = tmp_path / "bad.yaml"
        bad.write_text("PLANTED", "utf-8")
        settings_file.add_room(directory.path, bad)
        for _ in range(3):
            started.node.view.look()
        assert started.node.rooms == ("Test room",)
        assert len(started.events("room_ignored")) == 1
        assert "PLANTED" not in started.out.getvalue()
        assert len(started.node.view.rooms()) == 1
        (directory.path / "node.toml").write_text("[", "utf-8")
        for _ in range(3):
            started.node.view.look()
        assert len(started.events("settings_ignored")) == 1
        assert started.node.rooms == ("Test room",)
        with pytest.raises(InputError):
            started.node.view.settings()


def test_a_draft_waits_at_a_node_with_a_service_and_is_served_when_all_have_signed(place):
    directory = empty(place)
    save_room(place.room.model_copy(update={"signatures": place.room.signatures[:1]}), place.room_file)
    settings_file.add_room(directory.path, place.room_file)
    service = Recorded()
    with Started(directory.path, [service]) as started:
        assert started.node.rooms == ()
        (entry,) = service.view.rooms()
        assert entry.in_force is None
        assert started.node._standing().rooms == {"served": 0, "waiting": 1, "unusable": 0}
        assert len(started.events("room_waits")) == 1
        assert entry.missing == ("registry", "host")
        save_room(place.room, place.room_file)
        service.view.look()
        assert started.node.rooms == ("Test room",)
        assert service.view.rooms()[0].in_force is not None
    assert service.heard == ["made", "started", "stopped"]


def test_an_altered_room_does_not_keep_a_console_from_starting_and_is_said(place):
    directory = empty(place)
    settings_file.add_room(directory.path, place.room_file)
    text = place.room_file.read_text("utf-8")
    place.room_file.write_text(text.replace("Test room", "Best room"), "utf-8")
    with Started(directory.path, [Recorded()]) as started:
        assert started.node.rooms == ()
        assert started.node._ready.look()["rooms"] == "unusable"
        assert started.node._standing().rooms == {"served": 0, "waiting": 0, "unusable": 1}
        (line,) = started.events("room_ignored")
        assert "it was altered" in line["why"]
        place.room_file.write_text(text, "utf-8")
        started.node.view.look()
        assert started.node._ready.look()["rooms"] == "ok"
    both = place.path / "copy.yaml"
    both.write_text(text, "utf-8")
    settings_file.add_room(directory.path, both)
    with pytest.raises(InputError, match="is there twice"):
        NodeProcess(directory.path, json_log(StringIO()))


def test_a_service_that_cannot_start_ends_the_process_and_the_others_stop(place):
    class Broken(Recorded):
        async def start(self) -> None:
            raise InputError("no")

    directory, first = empty(place), Recorded()
    node = NodeProcess(directory.path, json_log(StringIO()), services=[first, Broken()])
    with pytest.raises(InputError, match="no"):
        node.run()
    assert first.heard == ["made", "started", "stopped"]


def test_a_service_that_does_not_stop_is_said_and_keeps_nobody(place, monkeypatch):
    class Endless(Recorded):
        async def stop(self) -> None:
            import asyncio

            await asyncio.sleep(600)

    monkeypatch.setattr("hitoku.node.serving._STOP_SECONDS", 0.1)
    directory, other = empty(place), Recorded()
    with Started(directory.path, [other, Endless()]) as started:
        pass
    assert started.events("service_stopped_hard")[0]["error"] == "TimeoutError"
    assert other.heard == ["made", "started", "stopped"]


def test_a_view_reads_what_changed_and_only_that(place, monkeypatch):
    directory = empty(place)
    view = MemberView(directory)
    assert view.rooms() == ()
    settings_file.add_room(directory.path, place.room_file)
    (entry,) = view.rooms()
    monkeypatch.setattr("hitoku.node.view.load_room", lambda file: pytest.fail("read again"))
    assert view.rooms() == (entry,)
    assert entry.id == str(place.agreement.id)
    assert view.settings() == NodeSettings.open(directory.path)
    assert view.store() is view.store()
    view.close()
