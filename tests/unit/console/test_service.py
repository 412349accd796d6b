# SPDX-License-Identifier: Apache-2.0
"""The console's listener: TLS, and an end in order while browsers still listen."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from tests.e2e.nodes import free_ports

from hitoku.cli import main as cli
from hitoku.console import service as module
from hitoku.console.service import ConsoleService
from hitoku.errors import InputError, SecretError
from hitoku.node.serving import NodeProcess, json_log
from hitoku.node.settings import NodeSettings


def _application(context) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.state.ended, app.state.begun = [], threading.Event()

    @app.get("/hello")
    def hello() -> dict[str, str]:
        return {"me": context.me}

    @app.get("/slow")
    def slow() -> dict[str, str]:
        app.state.begun.set()
        time.sleep(1)
        return {"slow": "done"}

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def for_ever():
            try:
                while True:
                    yield b"data: 1\n\n"
                    await asyncio.sleep(0.05)
            finally:
                app.state.ended.append("events")

        return StreamingResponse(for_ever(), media_type="text/event-stream")

    return app


@pytest.fixture
def world(place, monkeypatch):
    """A node without rooms and with a console; what starts it."""
    monkeypatch.setattr(module, "create_app", _application)
    directory = place.members["airport"]
    node, console = free_ports(2)
    words = ["node", "init", str(directory.path), "--listen", f"127.0.0.1:{node}"]
    assert cli.run([*words, "--console", f"127.0.0.1:{console}"]) == 0
    return directory


class Serving:
    """A node with its console, in a thread."""

    def __init__(self, directory):
        self.ready, self.out = threading.Event(), StringIO()
        made = []

        def make(view, log):
            made.append(ConsoleService(view, log))
            return made[0]

        self.node = NodeProcess(directory.path, json_log(self.out), self.ready.set, services=[make])
        self.console = made[0]
        self.thread = threading.Thread(target=self.node.run)

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(300)
        return self

    def __exit__(self, *_):
        self.node.stop()
        self.thread.join(300)
        assert not self.thread.is_alive()

    def get(self, path, **more):
        with urllib.request.urlopen(f"{self.console.address}{path}", timeout=300, **more) as answer:
            return json.loads(answer.read())


def test_the_console_is_served_beside_the_node_and_ends_with_it(world):
    with Serving(world) as serving:
        assert serving.get("/hello") == {"me": "airport"}
        with urllib.request.urlopen(f"{serving.console.address}/hello", timeout=300) as answer:
            assert "server" not in answer.headers
    with pytest.raises(urllib.error.URLError):
        serving.get("/hello")


def test_streams_and_slow_requests_end_in_order_when_the_node_stops(world):
    with Serving(world) as serving:
        stream = urllib.request.urlopen(f"{serving.console.address}/events", timeout=300)
        assert stream.readline() == b"data: 1\n"
        found = []
        slow = threading.Thread(target=lambda: found.append(serving.get("/slow")))
        slow.start()
        assert serving.console.application.state.begun.wait(300)
        serving.node.stop()
        slow.join(300)
        assert found == [{"slow": "done"}]
        serving.thread.join(300)
        stream.close()
    assert serving.console.application.state.ended == ["events"]
    assert "stopped_hard" not in serving.out.getvalue()


def test_what_cannot_be_served_is_said(world, place, monkeypatch):
    settings = NodeSettings.open(world.path)
    assert settings.console is not None
    where = settings.console.listen.split(":")
    with socket.create_server((where[0], int(where[1]))), pytest.raises(InputError, match="cannot listen on"):
        Serving(world)
    other = place.members["registry"]
    assert cli.run(["node", "init", str(other.path), "--listen", f"127.0.0.1:{free_ports(1)[0]}"]) == 0
    with pytest.raises(InputError, match=r"has no \[console\]"):
        Serving(other)


def test_a_console_that_is_not_installed_is_said_with_what_to_install(world, monkeypatch, capsys):
    import builtins

    there = builtins.__import__

    def without(name, *more, **named):
        if name == "hitoku.console.service":
            raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
        return there(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert cli.run(["node", "serve", str(world.path)]) == InputError.exit_code
    assert "pip install 'hitoku[console]'" in capsys.readouterr().err


def _certificate(place, name="localhost"):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        who, who, key.public_key(), 1, now - timedelta(1), now + timedelta(2),
        [x509.Extension(x509.SubjectAlternativeName.oid, False,
                        x509.SubjectAlternativeName([x509.DNSName(name)]))],
    ).sign(key, hashes.SHA256())  # fmt: skip
    (place / "console.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = place / "console.key"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    private.chmod(0o600)
    return made


def test_who_does_not_end_the_handshake_is_not_waited_for(world, monkeypatch):
    monkeypatch.setattr("hitoku.limits.CONSOLE_HANDSHAKE_SECONDS", 4)
    _certificate(world.path)
    text, console = (world.path / "node.toml").read_text("utf-8").split("[console]")
    console = console.replace("http://", "https://") + 'certificate = "console.pem"\nkey = "console.key"\n'
    (world.path / "node.toml").write_text(f"{text}[console]{console}", "utf-8")
    trusted = ssl.create_default_context(cafile=str(world.path / "console.pem"))
    with Serving(world) as serving:
        _, port = serving.console.settings.listen.rsplit(":", 1)
        with socket.create_connection(("127.0.0.1", int(port)), timeout=300) as silent:
            assert silent.recv(1) == b""  # closed by the console
        plain = socket.create_connection(("127.0.0.1", int(port)), timeout=300)
        with trusted.wrap_socket(plain, server_hostname="localhost") as talking:
            talking.sendall(b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert talking.recv(100).startswith(b"HTTP/1.1 200")


def test_elsewhere_than_on_loopback_there_is_tls(world):
    _certificate(world.path)
    port = free_ports(1)[0]
    text = (world.path / "node.toml").read_text("utf-8").split("[console]")[0]
    console = f'[console]\nlisten = "0.0.0.0:{port}"\nurl = "https://localhost:{port}"\n'
    (world.path / "node.toml").write_text(text + console, "utf-8")
    with pytest.raises(InputError, match="needs TLS"):
        Serving(world)
    console += 'certificate = "console.pem"\nkey = "console.key"\n'
    (world.path / "node.toml").write_text(text + console, "utf-8")
    trusted = ssl.create_default_context(cafile=str(world.path / "console.pem"))
    with Serving(world) as serving:
        assert serving.get("/hello", context=trusted) == {"me": "airport"}
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(f"http://localhost:{port}/hello", timeout=300)
    (world.path / "console.key").chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        Serving(world)
    (world.path / "console.key").chmod(0o600)
    (world.path / "console.pem").write_text("PLANTED", "utf-8")
    with pytest.raises(SecretError) as caught:
        Serving(world)
    assert "PLANTED" not in str(caught.value)
