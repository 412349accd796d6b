# SPDX-License-Identifier: Apache-2.0
"""Flower's clients as we use them: addresses, bounds on answers, no redirections, no proxy to loopback."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hitoku.errors import InputError, PeerError
from hitoku.learning.flower.certificate import certificate_files
from hitoku.learning.flower.clients import ENVELOPE_BYTES, Headers, _bounded, client, split
from hitoku.limits import MAX_LEARNING_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("bank.example:65535", ("bank.example", 65535)),
        ("[::1]:443", ("::1", 443)),
    ],
)
def test_addresses_are_read(address: str, found: tuple[str, int]) -> None:
    assert split(address) == found


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":1",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:1x",
        "host:9999999",
        "::1:443",
        "a/b:1",
        "user@host:1",
        "ho st:1",
        "[]:1",
        "host?:1",
        "host#:1",
        "host:١",
    ],
)
def test_other_texts_are_no_addresses(address: str) -> None:
    with pytest.raises(InputError, match="is no address"):
        split(address)


class Head:
    """An answer of which only the head is known."""

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


MOST = MAX_LEARNING_MESSAGE_BYTES + ENVELOPE_BYTES


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content_length": ""},
        {"content_length": "-1"},
        {"content_length": str(MOST + 1)},
        {"content_length": "9" * 20},
        {"content_length": "5", "content_encoding": "gzip"},
    ],
    ids=["none", "empty", "negative", "long", "digits", "packed"],
)
def test_answers_are_bounded(headers: dict[str, str]) -> None:
    with pytest.raises(PeerError, match="too long"):
        _bounded(Head(**headers))


def test_bounded_answers_pass() -> None:
    _bounded(Head(content_length="0"))
    _bounded(Head(content_length=str(MOST), content_encoding="identity"))


def test_headers_are_for_one_call() -> None:
    def sent() -> dict[str, str]:
        head = Head()
        headers.intercept(SimpleNamespace(request=head), lambda context: None)
        return head.headers

    headers = Headers({"always": "1"})
    with headers.with_({"once": "2"}):
        assert sent() == {"always": "1", "once": "2"}
    assert sent() == {"always": "1"}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("flwr") is None, reason="the extra `learning` is not installed")
@pytest.mark.parametrize("kind", ["FleetHttpClient", "RuntimeHttpClient", "ControlHttpClient"])
def test_flowers_client_uses_ours(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a version of Flower keeps its HTTP client elsewhere, this fails, and the bounds are gone."""
    from hitoku.learning.flower import parts

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    certificate = certificate_files(tmp_path)[0].read_bytes()
    seen: list[Any] = []
    with client(getattr(parts, kind), "127.0.0.1:9", certificate, []) as made:

        def send(request: Any, **_: Any) -> None:
            seen.append(request)
            raise ConnectionRefusedError

        monkeypatch.setattr(made._client, "send", send)
        with pytest.raises(ConnectionRefusedError):
            made._unary_unary(
                path="/x",
                rpc_method="x",
                request=parts.GetNodesRequest(),
                response_type=parts.GetNodesRequest,
            )
        assert len(seen) == 1
        assert made._client.follow_redirects is False
        assert made._client.trust_env is False
        assert made._client.event_hooks["response"] == [_bounded]
