# SPDX-License-Identifier: Apache-2.0
"""The client before servers that are no node: nothing is followed, believed or read without end."""

from __future__ import annotations

import datetime as dt
import gzip
import ipaddress
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hitoku.client import http
from hitoku.client.asking import _events
from hitoku.client.http import Door
from hitoku.errors import InputError, LimitError, PeerError, SecretError

TOKEN = "hitoku_" + "A" * 43


@contextmanager
def server(answer, context=None):
    """A server whose every GET is answered by `answer(handler)`; gives its address and what it was sent."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers.get("Authorization")))
            answer(self)

        def log_message(self, *_):
            """Quiet."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    if context is not None:
        made.socket = context.wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{made.server_address[1]}", seen
    finally:
        made.shutdown()
        made.server_close()
        thread.join(300)


@contextmanager
def door(url, verify=None):
    made = Door(url, TOKEN, verify)
    try:
        yield made
    finally:
        made.close()


def say(handler, status=200, body=b"{}", **headers):
    handler.send_response(status)
    for name, value in {"content-length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def test_a_redirect_is_not_followed_so_the_token_goes_nowhere_else():
    with server(lambda h: say(h)) as (other, elsewhere):
        away = server(lambda h: say(h, 302, location=f"{other}/x"))
        with away as (url, seen), door(url) as made, pytest.raises(PeerError, match="status 302"):
            made.get("me")
        assert [authorization for _, authorization in seen] == [f"Bearer {TOKEN}"]
        assert elsewhere == []


def test_a_body_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(http, "_BODY_BYTES", 100_000)
    packed = gzip.compress(b" " * 10_000_000)
    assert len(packed) < 20_000
    made_up = server(lambda h: say(h, 200, packed, **{"content-encoding": "gzip"}))
    with made_up as (url, _), door(url) as made, pytest.raises(LimitError, match="longer than 100000"):
        made.get("me")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 5_000, b'{"error": 7}', b"\xff"])
def test_what_is_no_json_is_a_peer_error(body):
    made_up = server(lambda h: say(h, 500, body))
    with made_up as (url, _), door(url) as made, pytest.raises(PeerError, match="cannot be read"):
        made.get("me")


def test_one_that_is_busy_is_asked_again_when_it_says(monkeypatch):
    pauses: list[float] = []
    answers = iter([(429, "7"), (503, None), (200, None)])
    monkeypatch.setattr("hitoku.client.http.time", SimpleNamespace(sleep=pauses.append))

    def answer(handler):
        status, again = next(answers)
        say(handler, status, b'{"fine": true}', **({} if again is None else {"retry-after": again}))

    with server(answer) as (url, seen), door(url) as made:
        assert made.get("me") == {"fine": True}
    assert len(seen) == 3
    assert pauses == [7.0, 0.5]


def test_one_that_says_to_wait_for_long_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("hitoku.client.http.time", SimpleNamespace(sleep=lambda _: pytest.fail("it waits")))
    body = b'{"error": {"error": "LimitError", "code": "LIMIT", "message": "later"}}'
    made_up = server(lambda h: say(h, 429, body, **{"retry-after": "3600"}))
    with made_up as (url, seen), door(url) as made, pytest.raises(LimitError, match="later"):
        made.get("me")
    assert len(seen) == 1


def test_events_are_bounded_and_checked(monkeypatch):
    monkeypatch.setattr(http, "_LINE_BYTES", 1_000)
    made_up = server(lambda h: say(h, 200, b"data: " + b"x" * 5_000))
    with made_up as (url, _), door(url) as made, pytest.raises(LimitError, match="an event is longer"):
        list(made.lines("events", 5))
    assert list(
        _events(iter([": quiet", "", "event: ask", 'data: {"a":', "data: 1}", "", "data: 7", ""]))
    ) == [{"a": 1}]
    with pytest.raises(PeerError, match="events cannot be read"):
        list(_events(iter(["data: {", ""])))


def test_nobody_there_is_said():
    with server(lambda h: say(h)) as (url, _):
        pass
    with door(url) as made, pytest.raises(PeerError, match="cannot be reached"):
        made.post("explain", {})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that no machine knows."""
    where = tmp_path_factory.mktemp("tls")
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "console")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (where / "crt").write_bytes(made.public_bytes(pem))
    none = serialization.NoEncryption()
    (where / "key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(where / "crt", where / "key")
    return where / "crt", context


def test_a_certificate_is_checked_always(certificate, tmp_path):
    file, context = certificate
    with server(lambda h: say(h, 200, b'{"fine": true}'), context) as (url, seen):
        with door(url, file) as made:
            assert made.get("me") == {"fine": True}
        with door(url) as made, pytest.raises(PeerError, match="certificate is not trusted"):
            made.post("explain", {})
        with door(url.replace("127.0.0.1", "localhost"), file) as made, pytest.raises(PeerError):
            made.post("explain", {})
        assert len(seen) == 1
    (tmp_path / "x").write_text("no certificate")
    wrongs: list[Any] = [tmp_path / "x", tmp_path / "missing", False, 0]
    for wrong in wrongs:
        with pytest.raises(InputError):
            Door("https://console.example", TOKEN, wrong)


def test_a_token_is_one_word(monkeypatch):
    monkeypatch.setenv("HITOKU_TOKEN", TOKEN)
    assert http.token_of(None, None) == TOKEN
    for wrong in ("", "a1", "x y" * 5, "abcdefgh\n", "ホ" * 10):
        with pytest.raises(SecretError) as found:
            http.token_of(wrong, None)
        assert not wrong or wrong not in str(found.value)


def test_the_client_needs_nothing_of_the_console():
    program = (
        "import sys, hitoku, hitoku.client, hitoku.client.room, hitoku.client.dbapi, hitoku.client.cursor\n"
        "hitoku.connect\n"
        "print(sorted({'fastapi', 'starlette', 'jinja2', 'argon2', 'uvicorn', 'duckdb', 'IPython', 'pandas', "
        "'sqlalchemy', 'sqlglot', 'hitoku.console'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
