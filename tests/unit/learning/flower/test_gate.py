# SPDX-License-Identifier: Apache-2.0
"""The gate before a SuperLink's app: who gets past it, how much, and when."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.learning.flower.admission import admission_headers, admitted
from hitoku.learning.flower.gate import LAST_HEADER, MEMBERS_PATH, SECRET_HEADER, WAIT_HEADER, Gate

SECRET = "known to the server"
CONTEXT = b"plan and run"
FLEET = "/v1/fleet/"
RUNTIME = "/v1/runtime/"
KEYS = {name: Ed25519PrivateKey.generate() for name in ("chiba", "横浜")}
PUBLICS = {
    name: "ed25519:" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
    for name, key in KEYS.items()
}


class App:
    """What stands for the SuperLink: takes down which paths reach it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope.get("path", scope["type"]))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})


def gate(app: App) -> Gate:
    return Gate(app, secret=SECRET, publics=PUBLICS, context=CONTEXT, most=1_000)


async def call(
    gate: Gate, path: str, method: str = "POST", length: str | None = "1", **headers: str
) -> tuple[int, Any]:
    """The status and the JSON of an answer. Underscores in headers' names stand for hyphens."""
    sent: list[Any] = []
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if length is not None:
        named["content-length"] = length

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    await gate(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 120))


def key_of(node: bytes) -> dict[str, str]:
    return {"flwr_public_key": base64.b64encode(node).decode()}


def admission(
    member: str, node: bytes, context: bytes = CONTEXT, signer: str | None = None
) -> dict[str, str]:
    headers = admission_headers(context, member, node, KEYS[signer or member].sign)
    return {name.replace("-", "_"): value for name, value in headers.items()} | key_of(node)


def test_only_members_nodes_are_let_in() -> None:
    app = App()

    async def test() -> None:
        made = gate(app)
        assert (await call(made, FLEET + "pull-messages", **key_of(b"node")))[0] == 401
        assert (await call(made, FLEET + "register-node", **key_of(b"node")))[0] == 403
        for bad in (
            admission("chiba", b"node", context=b"another run"),
            admission("chiba", b"node", signer="横浜"),
            admission("chiba", b"another") | key_of(b"node"),
            admission("chiba", b"node") | {"hitoku_member": "not base64"},
            admission("chiba", b"node") | {"hitoku_member": base64.b64encode(b"nobody").decode()},
            admission("chiba", b"node") | {"hitoku_admission": "AAAA"},
        ):
            assert (await call(made, FLEET + "register-node", **bad))[0] == 403
        assert app.paths == []
        assert (await call(made, FLEET + "register-node", **admission("横浜", b"node")))[0] == 200
        assert (await call(made, FLEET + "pull-messages", **key_of(b"node")))[0] == 200
        assert app.paths == [FLEET + "register-node", FLEET + "pull-messages"]
        _, members = await call(made, MEMBERS_PATH, "GET", None, hitoku_secret=SECRET)
        assert members == {base64.b64encode(b"node").decode(): "横浜"}

    run(test)


def test_a_node_that_flower_refuses_is_no_member() -> None:
    """Whether the node has its key is for the SuperLink to check: the admission alone may be a copy."""
    app = App()

    async def test() -> None:
        made = gate(app)
        app.status = 401
        await call(made, FLEET + "register-node", **admission("chiba", b"node"))
        app.status = 200
        assert (await call(made, FLEET + "pull-messages", **key_of(b"node")))[0] == 401

    run(test)


def test_the_newest_node_of_a_member_counts() -> None:
    async def test() -> None:
        made = gate(App())
        for node in (b"old", b"new"):
            assert (await call(made, FLEET + "register-node", **admission("chiba", node)))[0] == 200
        assert (await call(made, FLEET + "pull-messages", **key_of(b"old")))[0] == 409
        assert (await call(made, FLEET + "pull-messages", **key_of(b"new")))[0] == 200
        _, members = await call(made, MEMBERS_PATH, "GET", None, hitoku_secret=SECRET)
        assert list(members.values()) == ["chiba"]

    run(test)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/control/stop-run",
        "/v1/runtime/acquire-task",
        "/v1/runtime/push-messages",
        "/v1/responses",
        "/docs",
        "/openapi.json",
        MEMBERS_PATH,
    ],
)
def test_what_is_not_for_nodes_needs_the_secret(path: str) -> None:
    app = App()

    async def test() -> None:
        made = gate(app)
        for headers in ({}, {"hitoku_secret": ""}, {"hitoku_secret": SECRET[:-1]}):
            assert (await call(made, path, **headers))[0] == 404
        assert app.paths == []
        assert (await call(made, path, hitoku_secret=SECRET))[0] == 200

    run(test)


@pytest.mark.parametrize("name", ["get-fab", "get-run", "unregister-node", "", "../control/stop-run"])
def test_no_program_can_be_fetched(name: str) -> None:
    app = App()

    async def test() -> None:
        made = gate(app)
        await call(made, FLEET + "register-node", **admission("chiba", b"node"))
        assert (await call(made, FLEET + name, hitoku_secret=SECRET, **key_of(b"node")))[0] == 404
        assert app.paths == [FLEET + "register-node"]

    run(test)


@pytest.mark.parametrize(
    ("length", "status"),
    [(None, 411), ("", 411), ("-1", 411), ("x", 411), ("9" * 16, 411), ("1001", 413), ("1000", 200)],
)
def test_bodies_are_bounded(length: str | None, status: int) -> None:
    async def test() -> None:
        made = gate(App())
        assert (await call(made, "/v1/runtime/get-nodes", length=length, hitoku_secret=SECRET))[0] == status

    run(test)


def test_a_question_is_held_back_until_there_is_news() -> None:
    app = App()

    async def test() -> None:
        made = gate(app)
        node = key_of(b"node")
        await call(made, FLEET + "register-node", **admission("chiba", b"node"))
        pull = FLEET + "pull-messages"
        await call(made, pull, **node)  # what is there at the first question is given at once
        waiting = asyncio.create_task(call(made, pull, hitoku_wait="9", **node))
        await asyncio.sleep(0.05)
        assert app.paths.count(pull) == 1
        await call(made, RUNTIME + "push-object", hitoku_secret=SECRET)
        await asyncio.sleep(0.05)
        assert app.paths.count(pull) == 1  # not the last object
        await call(made, RUNTIME + "push-object", hitoku_secret=SECRET, hitoku_last="1")
        assert (await waiting)[0] == 200
        await call(made, RUNTIME + "push-object", hitoku_secret=SECRET, hitoku_last="1")
        await call(made, pull, hitoku_wait="9", **node)  # news came between two questions: no wait
        replies = asyncio.create_task(
            call(made, RUNTIME + "pull-messages", hitoku_secret=SECRET, hitoku_wait="9")
        )
        await asyncio.sleep(0.05)
        await call(made, RUNTIME + "pull-messages", hitoku_secret=SECRET)
        await call(made, FLEET + "push-object", hitoku_last="1", **node)
        assert (await replies)[0] == 200

    run(test)


@pytest.mark.parametrize("wait", ["0", "-1", "nan", "x", "1e-3", "9" * 20])
def test_a_wait_ends(wait: str) -> None:
    app = App()

    async def test() -> None:
        made = gate(app)
        for _ in range(2):
            await call(made, RUNTIME + "pull-messages", hitoku_secret=SECRET, **{WAIT_HEADER: wait})
        assert len(app.paths) == 2

    run(test)


def test_names_of_headers_are_http_names() -> None:
    for name in (SECRET_HEADER, WAIT_HEADER, LAST_HEADER):
        assert name == name.lower()
        assert name.isascii()


def test_lifespan_passes_and_websockets_do_not() -> None:
    app = App()

    async def test() -> None:
        made = gate(app)
        for kind in ("lifespan", "websocket"):
            await made({"type": kind}, None, None)  # type: ignore[arg-type]
        assert app.paths == ["lifespan"]

    run(test)


def test_an_admission_names_its_member_only() -> None:
    headers = admission_headers(CONTEXT, "chiba", b"node", KEYS["chiba"].sign)
    member, signature = headers.values()
    assert admitted(CONTEXT, PUBLICS, b"node", member, signature) == "chiba"
    assert admitted(CONTEXT, PUBLICS, b"nod", member, signature) is None
    assert admitted(CONTEXT + b"x", PUBLICS, b"node", member, signature) is None
    assert admitted(CONTEXT, {}, b"node", member, signature) is None
