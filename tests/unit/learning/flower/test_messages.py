# SPDX-License-Identifier: Apache-2.0
"""Our bytes in Flower's messages, and back, whatever comes."""

from __future__ import annotations

import hashlib
import importlib.util
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.errors import PeerError
from hitoku.learning.flower import messages

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("flwr") is None, reason="the extra `learning` is not installed"
)


class Tree:
    """A tree of objects as a stranger may announce it."""

    def __init__(self, name: str, *children: Tree) -> None:
        self.object_id = name
        self.children = children


def sent(message: Any) -> tuple[Any, Any, dict[str, bytes]]:
    head, tree, objects = messages.outgoing(message)
    return head, tree, dict(objects)


@settings(deadline=None)  # the first loads Flower: seconds
@given(st.binary(max_size=2_000))
def test_bytes_come_back(body: bytes) -> None:
    head, tree, objects = sent(messages.request(body, 7, 11, messages.ASK, 60))
    assert head.metadata.run_id == 7
    assert head.metadata.dst_node_id == 11
    assert list(objects)[-1] == tree.object_id  # the message comes last
    came: Any = messages.Arriving(tree, objects.get).fetch()
    assert messages.payload(came) == body
    answer = messages.reply(body[::-1], came, 1.5)
    assert answer.metadata.reply_to_message_id == tree.object_id
    assert answer.metadata.dst_node_id == 1
    assert answer.metadata.src_node_id == 11
    # By the server's clock alone: the reply expires when the request does.
    about = came.metadata
    assert answer.metadata.created_at == about.created_at + 1.5
    assert answer.metadata.ttl == pytest.approx(about.ttl - 1.5)
    _, tree, objects = sent(answer)
    assert messages.payload(messages.Arriving(tree, objects.get).fetch()) == body[::-1]


def test_objects_may_come_late() -> None:
    _, tree, objects = sent(messages.request(b"body", 7, 11, messages.ASK, 60))
    there: dict[str, bytes] = {}
    arriving = messages.Arriving(tree, there.get)
    for name in list(objects):
        assert arriving.fetch() is None
        there[name] = objects[name]
    assert messages.payload(arriving.fetch()) == b"body"


def test_a_failure_is_a_message_without_bytes() -> None:
    asked = messages.request(b"body", 7, 11, messages.ASK, 60)
    asked.metadata.__dict__["_message_id"] = "name"
    failed = messages.reply(None, asked, 0)
    head, _, _ = messages.outgoing(failed)
    assert head.HasField("error")
    with pytest.raises(PeerError, match="an error"):
        messages.payload(failed)


def test_late_is_said() -> None:
    with pytest.raises(PeerError, match="too late"):
        messages.reply(b"", messages.request(b"", 7, 11, messages.ASK, 5), 5)


def test_other_programs_messages_are_not_ours() -> None:
    from hitoku.learning.flower import parts

    for record in (
        parts.RecordDict(),
        parts.RecordDict({"other": parts.ConfigRecord({"content": b"x"})}),
        parts.RecordDict({"hitoku": parts.ConfigRecord({"other": b"x"})}),
        parts.RecordDict({"hitoku": parts.ConfigRecord({"content": 7})}),
    ):
        message = messages.request(b"", 7, 11, messages.ASK, 5)
        message.__dict__["_content"] = record
        with pytest.raises(PeerError, match="another program"):
            messages.payload(message)


def test_announced_trees_are_bounded() -> None:
    wide = Tree("root", *(Tree(str(number)) for number in range(10_000)))
    deep = Tree("0")
    for number in range(900):
        deep = Tree(str(number), deep)
    for tree in (wide, deep):
        with pytest.raises(PeerError, match="more parts"):
            messages.Arriving(tree, lambda name: b"x")


@settings(deadline=None)  # the first loads Flower: seconds
@given(st.binary(max_size=200), st.sampled_from(["Message", "RecordDict", "ConfigRecord", "Array", "os"]))
def test_whatever_comes_is_ours_or_a_peer_error(body: bytes, kind: str) -> None:
    content = f"{kind} {hashlib.sha256(body).hexdigest()} {len(body)}".encode() + b"\x00" + body
    for each in (body or b"x", content):
        arriving = messages.Arriving(Tree("root"), lambda name, each=each: each)  # type: ignore[misc]
        with pytest.raises(PeerError):
            messages.payload(arriving.fetch())
