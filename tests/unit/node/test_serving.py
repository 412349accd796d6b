# SPDX-License-Identifier: Apache-2.0
"""A node's settings, its start, and what it does when it starts again."""

from __future__ import annotations

import json
import os
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import timedelta
from io import StringIO

import pytest
from tests.e2e.nodes import free_ports

from hitoku import limits
from hitoku.cli import main as cli
from hitoku.errors import InputError, PeerError, RoomError, SecretError
from hitoku.node.certificate import certificate_file
from hitoku.node.remote import open_remote_room
from hitoku.node.serving import NodeProcess, json_log
from hitoku.node.settings import NodeSettings, socket_of
from hitoku.room.canonical import agreement_hash
from hitoku.room.records import Role, Run, RunState


def _init(place, name="airport", *more) -> int:
    port = free_ports(1)[0]
    words = [
        "node",
        "init",
        place.members[name].path,
        "--room",
        place.room_file,
        "--listen",
        f"127.0.0.1:{port}",
    ]
    return cli.run([str(word) for word in (*words, *more)])


class Started:
    """A node in a thread."""

    def __init__(self, path, **more):
        self.ready = threading.Event()
        self.out = StringIO()
        self.node = NodeProcess(path, json_log(self.out), self.ready.set, **more)
        self.thread = threading.Thread(target=self.node.run)

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(300)
        return self

    def __exit__(self, *_):
        self.node.stop()
        self.thread.join(300)
        assert not self.thread.is_alive()


def test_init_writes_settings_that_can_be_read(place, capsys):
    assert _init(place, "airport", "--peer", "host=https://host.example:8443", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["without_address"] == ["registry"]
    settings = NodeSettings.open(place.members["airport"].path)
    assert settings.url == f"https://{settings.listen}"
    assert settings.rooms[0].peers == {"host": "https://host.example:8443"}
    assert settings.room_files(place.members["airport"].path) == (place.room_file,)
    assert (place.members["airport"].path / "node.crt").read_bytes().startswith(b"-----BEGIN CERTIFICATE")
    assert _init(place, "airport") == 4
    assert "is there already" in capsys.readouterr().err


def test_init_says_whose_address_is_missing(place, capsys):
    assert _init(place) == 0
    assert "Add the addresses of host, registry" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--peer", "nobody=https://a"], "names another member"),
        (["--peer", "airport=https://a"], "names another member"),
        (["--peer", "host"], "names another member"),
        (["--peer", "host=http://a"], "https://host:port"),
        (["--url", "ftp://a"], "https://host:port"),
        (["--health", "0.0.0.0:8480"], "loopback"),
        (["--health", "example.org:8480"], "loopback"),
    ],
)
def test_init_refuses_what_cannot_be(place, capsys, more, words):
    assert _init(place, "airport", *more) == 4
    assert words in capsys.readouterr().err
    assert not (place.members["airport"].path / "node.toml").exists()


def test_init_is_for_members(place, capsys, tmp_path):
    assert cli.run(["room", "member", str(tmp_path / "other"), "--name", "other"]) == 0
    assert cli.run(["node", "init", str(tmp_path / "other"), "--room", str(place.room_file)]) == 4
    assert "is no member of room" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["", "listen = 1", 'listen = "a:1"\nurl = "https://a"\nrooms = 1', "x" * 1_000_001, "[", "\0",
     'listen = "a:1"\nurl = "https://a"\nsecret = "PLANTED"\n[[rooms]]\nfile = "r"'],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_said_without_quoting(tmp_path, text):
    (tmp_path / "node.toml").write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        NodeSettings.open(tmp_path)
    assert "PLANTED" not in str(caught.value)


def test_settings_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="hitoku node init"):
        NodeSettings.open(tmp_path)
    (tmp_path / "node.toml").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        NodeSettings.open(tmp_path)


def test_places_to_listen_on():
    assert socket_of("127.0.0.1:8443") == ("127.0.0.1", 8443)
    assert socket_of("[::1]:8443") == ("::1", 8443)
    for text in ("", "8443", ":8443", "a:", "a:0", "a:65536", "::1:8443", "a:x", "a:１"):
        with pytest.raises(ValueError, match=r"host:port|brackets"):
            socket_of(text)


def test_the_certificate_follows_the_key(place):
    airport, host = place.members["airport"], place.members["host"]
    path = certificate_file(airport)
    first = path.read_bytes()
    assert certificate_file(airport).read_bytes() == first
    path.write_bytes(b"damaged")
    assert certificate_file(airport).read_bytes() == first
    airport.key_file.write_bytes(host.key_file.read_bytes())
    assert certificate_file(airport).read_bytes() == certificate_file(host).read_bytes() != first
    airport.key_file.write_text("no key")
    with pytest.raises(SecretError, match="not an Ed25519 key"):
        certificate_file(airport)
    airport.key_file.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        certificate_file(airport)


def test_a_node_does_not_serve_a_room_that_was_altered(place):
    assert _init(place) == 0
    text = place.room_file.read_text("utf-8")
    place.room_file.write_text(text.replace("Test room", "Best room"), "utf-8")
    with pytest.raises(RoomError):
        NodeProcess(place.members["airport"].path)
    with pytest.raises(RoomError):
        open_remote_room(place.members["airport"].path)


def test_a_node_does_not_serve_a_room_it_did_not_sign(place):
    assert _init(place) == 0
    (place.members["airport"].path / "rooms" / f"{place.agreement.id}.json").unlink()
    with pytest.raises(RoomError, match="no record of having signed"):
        NodeProcess(place.members["airport"].path)


def test_a_node_whose_key_is_another_members_does_not_start(place):
    assert _init(place) == 0
    airport, registry = place.members["airport"], place.members["registry"]
    airport.key_file.write_bytes(registry.key_file.read_bytes())
    for start in (NodeProcess, open_remote_room):
        with pytest.raises(RoomError, match="is not the key that room 'Test room' names for 'airport'"):
            start(airport.path)


def test_rooms_and_peers_must_fit(place):
    assert _init(place) == 0
    path = place.members["airport"].path
    toml = path / "node.toml"
    before = toml.read_text("utf-8")
    toml.write_text(before + 'nobody = "https://a"\n', "utf-8")
    with pytest.raises(InputError, match="'nobody' is no member"):
        NodeProcess(path)
    toml.write_text(before + '\n[[rooms]]\nfile = "../room.yaml"\n', "utf-8")
    with pytest.raises(InputError, match="is there twice"):
        NodeProcess(path)
    with pytest.raises(RoomError, match="2 such rooms"):
        open_remote_room(path)
    with pytest.raises(RoomError, match="0 such rooms"):
        open_remote_room(path, "another")


def test_a_port_that_is_taken_is_said(place):
    assert _init(place) == 0
    path = place.members["airport"].path
    where = socket_of(NodeSettings.open(path).listen)
    with socket.create_server(where), pytest.raises(InputError, match="cannot listen on"):
        NodeProcess(path)


def test_a_node_that_starts_again_charges_what_was_cut_off(place, clock):
    assert _init(place, "registry") == 0
    directory = place.members["registry"]
    records = directory.records(str(place.agreement.id), clock)
    run = Run(
        id="ab" * 16, role=Role.ASKER, asker="registry", host="host", question="sha256:" + "0" * 64, sql="x",
        plan="sha256:" + "0" * 64, protection="tokens", receivers=("registry",),
    )  # fmt: skip
    records.reserve(run, place.agreement)
    records.store.close()
    clock.time += timedelta(seconds=limits.RUN_SECONDS + 1)
    with Started(directory.path, clock=clock):
        pass
    records = directory.records(str(place.agreement.id), clock)
    assert records.state(run.id, Role.ASKER) is RunState.COMMITTED
    records.store.close()


def test_health_is_told_on_loopback_and_nothing_else(place):
    health = f"127.0.0.1:{free_ports(1)[0]}"
    assert _init(place, "airport", "--health", health) == 0
    with Started(place.members["airport"].path):
        with urllib.request.urlopen(f"http://{health}/health", timeout=300) as answer:
            assert json.loads(answer.read()) == {"status": "ok"}
        for path in ("/", "/rooms", "/healthy", "/health?x"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://{health}{path}", timeout=300)
        with socket.create_connection(socket_of(health), 300) as connection:
            connection.sendall(b"x" * 20_000)
            with suppress(ConnectionError):
                assert connection.recv(10) == b""


def test_status_of_one_that_is_alone(place, capsys):
    assert _init(place) == 0
    path = place.members["airport"].path
    capsys.readouterr()
    assert cli.run(["node", "status", str(path)]) == PeerError.exit_code
    out = capsys.readouterr().out
    assert "'airport' cannot be reached at https://127.0.0.1:" in out
    assert "'host' cannot be reached: its address is not known" in out
    with Started(path) as started:
        found = open_remote_room(path, str(place.agreement.id)).status()
    assert [one["reached"] for one in found] == [True, False, False]
    assert found[0]["same_room"] is True
    lines = [json.loads(line) for line in started.out.getvalue().splitlines()]
    assert [line["sender"] for line in lines if line["event"] == "request"] == ["airport"]
    assert agreement_hash(place.agreement) not in started.out.getvalue()


def test_serve_is_a_command_that_says_what_is_wrong(place, capsys):
    assert cli.run(["node", "serve", str(place.members["airport"].path)]) == 4
    assert "hitoku node init" in capsys.readouterr().err
    assert os.environ.get("HITOKU_DEBUG") != "1"
