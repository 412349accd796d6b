# SPDX-License-Identifier: Apache-2.0
"""Flower's variables, its absence, the certificate that is pinned, and the layers in their lanes."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from hitoku.errors import InputError
from hitoku.learning.flower import environment
from hitoku.learning.flower.certificate import certificate_files, trusting
from hitoku.learning.flower.lanes import Lane


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.flower_variables(Path("x")):
        monkeypatch.setenv(name, "before")


def test_a_missing_extra_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"the extra `learning`: pip install \"hitoku\[learning\]\""):
        environment.require_flower(tmp_path)
    assert os.environ["FLWR_HOME"] == "before"


@pytest.mark.parametrize("found", ["1.40.0", "1.43.0", "2.0", "0.41", "soon"])
def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(environment, "version", lambda name: found)
    with pytest.raises(InputError, match="pip install"):
        environment.require_flower(tmp_path)


@pytest.mark.parametrize("found", ["1.41.0", "1.42.3"])
def test_flower_calls_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(environment, "version", lambda name: found)
    environment.require_flower(tmp_path)
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0"
    assert os.environ["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert os.environ["FLWR_HOME"] == str(tmp_path)


def test_a_folder_keeps_its_certificate(tmp_path: Path) -> None:
    certificate, key = certificate_files(tmp_path)
    before = certificate.read_bytes(), key.read_bytes()
    assert certificate_files(tmp_path) == (certificate, key)
    assert (certificate.read_bytes(), key.read_bytes()) == before
    assert key.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.crt", "server.key"]


def test_only_the_pinned_certificate_is_trusted(tmp_path: Path) -> None:
    """A TLS handshake in memory, with the server's own certificate and with another server's."""
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(certificate_files(tmp_path / name))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files[0])
    assert _shakes(trusting(files[0][0].read_bytes()), server)
    with pytest.raises(ssl.SSLCertVerificationError):
        _shakes(trusting(files[1][0].read_bytes()), server)


def _shakes(client: ssl.SSLContext, server: ssl.SSLContext) -> bool:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="any.name"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        left = []
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                left.append(end)
        if not left:
            return True
    return False


@pytest.mark.parametrize("content", [b"", b"no PEM", b"\xff", b"x" * 20_000])
def test_no_certificate_is_said(content: bytes) -> None:
    with pytest.raises(InputError, match="not one certificate in PEM"):
        trusting(content)


def test_a_layer_stays_in_its_lane() -> None:
    seen: list[str] = []

    class Layer:
        def __init__(self, app: Any, word: str) -> None:
            self.app, self.word = app, word

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(self.word)
            await self.app(scope, receive, send)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append("app")

    lane = Lane(app, "/v1/fleet/", Layer, (), {"word": "layer"})
    for scope in (
        {"type": "http", "path": "/v1/fleet/x"},
        {"type": "http", "path": "/v1/x"},
        {"type": "lifespan"},
    ):
        asyncio.run(lane(scope, None, None))
    assert seen == ["layer", "app", "app", "layer", "app"]


@pytest.mark.slow
def test_every_layer_of_flowers_is_known() -> None:
    """A new layer would stand around everything and cost time: look at it, then put it into its lane."""
    if importlib.util.find_spec("flwr") is None:
        pytest.skip("the extra `learning` is not installed")
    import flwr.superlink.main as link

    from hitoku.learning.flower import parts  # noqa: F401 - loads Flower with its dependencies' warnings off

    names = {layer.cls.__name__ for layer in link._get_middleware()}
    from hitoku.learning.flower import lanes

    assert names - set(lanes._PATHS) == {"BaseHTTPMiddleware", "ProtobufTranslationMiddleware"}
    assert set(lanes._PATHS) <= names
