# SPDX-License-Identifier: Apache-2.0
"""Our bytes in Flower's Message API, and their way in pieces.

A message carries one RecordDict with one ConfigRecord with one value, our bytes. Flower stores a message as
objects under their SHA-256: the message, the dictionary, the record. Whoever sends announces the tree of
objects and then pushes each; whoever receives may hear of a message before its objects have come. Flower's
own `pull_objects` then waits a second or more (`supercore/constant.py`, PULL_INITIAL_BACKOFF); `Arriving`
looks again when it is asked to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from hitoku.errors import PeerError
from hitoku.limits import MAX_LEARNING_MESSAGE_BYTES

__all__ = ["ASK", "END", "Arriving", "content", "outgoing", "payload", "reply", "request"]

ASK: Final = "query.hitoku_ask"
END: Final = "query.hitoku_end"
_RECORD: Final = "hitoku"
_VALUE: Final = "content"
_MOST_OBJECTS: Final = 4
"""The message, the dictionary, the record, and one to spare."""


def content(body: bytes) -> Any:
    """A RecordDict that carries `body`."""
    from hitoku.learning.flower import parts

    return parts.RecordDict({_RECORD: parts.ConfigRecord({_VALUE: bytes(body)})})


def request(body: bytes, run: int, node: int, kind: str, seconds: float) -> Any:
    """A message of the server's to a node that is forgotten after so many seconds."""
    return _message(content(body), run, kind, seconds, time.time(), node)


def reply(body: bytes | None, asked: Any, took: float) -> Any:
    """A node's answer to a message; None says that it failed.

    Args:
        body: the answer.
        asked: the message.
        took: the seconds since it came. The reply's time is the request's plus these, so that it is right by
            the server's clock and the node's is not needed.

    Raises:
        PeerError: the message has expired, and an answer would be refused.
    """
    from hitoku.learning.flower import parts

    about = asked.metadata
    if took >= about.ttl:
        raise PeerError("a request was answered too late")
    error = parts.Error(code=parts.ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason="the member failed")
    return _message(
        error if body is None else content(body),
        about.run_id,
        about.message_type,
        about.ttl - took,
        about.created_at + took,
        about.src_node_id,
        source=about.dst_node_id,
        answers=about.message_id,
    )


def _message(
    carried: Any,
    run: int,
    kind: str,
    seconds: float,
    created: float,
    target: int,
    source: int | None = None,
    answers: str = "",
) -> Any:
    """By Flower's metadata: its constructor takes the run and the sender from a global of the process."""
    from hitoku.learning.flower import parts

    metadata = parts.Metadata(
        run_id=run,
        message_id="",
        src_node_id=parts.SUPERLINK_NODE_ID if source is None else source,
        dst_node_id=target,
        reply_to_message_id=answers,
        group_id="",
        created_at=created,
        ttl=seconds,
        message_type=kind,
    )
    if isinstance(carried, parts.Error):
        return parts.make_message(metadata, error=carried)
    return parts.make_message(metadata, content=carried)


def payload(message: Any) -> bytes:
    """Our bytes out of a message.

    Raises:
        PeerError: it carries something else.
    """
    if message.has_error():
        raise PeerError("Flower brought an error instead of a message")
    record = message.content.config_records.get(_RECORD)
    body = None if record is None else record.get(_VALUE)
    if not isinstance(body, bytes):
        raise PeerError("Flower brought a message of another program's")
    return body


def outgoing(message: Any) -> tuple[Any, Any, list[tuple[str, bytes]]]:
    """A message as what is sent of it: its head, its tree, and its objects, the message itself last."""
    from hitoku.learning.flower import parts

    with parts.no_object_id_recompute():
        message.metadata.__dict__["_message_id"] = message.object_id
        tree = parts.get_object_tree(message)
        objects = [(name, each.deflate()) for name, each in parts.get_all_nested_objects(message).items()]
    head = parts.message_to_proto(parts.remove_content_from_message(message))
    return head, tree, objects


class Arriving:
    """A message of which the tree is known and the objects are still to be fetched.

    Args:
        tree: the announced objects.
        pull: fetches one object's bytes, or None while it is not there yet.

    Raises:
        PeerError: the tree is larger than a message of ours can be.
    """

    def __init__(self, tree: Any, pull: Callable[[str], bytes | None]) -> None:
        self._root = tree.object_id
        self._missing = list(_names(tree))
        self._pull = pull
        self._objects: dict[str, bytes] = {}

    def fetch(self) -> Any | None:
        """Fetch what is missing; the message once all of it is here, None before.

        Raises:
            PeerError: what came is too large, or no message.
        """
        from hitoku.learning.flower import parts

        while self._missing:
            found = self._pull(self._missing[0])
            if not found:
                return None
            self._objects[self._missing.pop(0)] = found
            if sum(map(len, self._objects.values())) > MAX_LEARNING_MESSAGE_BYTES:
                raise PeerError("a message is larger than allowed")
        try:
            message = parts.inflate_object_from_contents(self._root, self._objects)
        except Exception as error:  # whatever Flower's decoders raise for a stranger's bytes
            raise PeerError(f"Flower could not read a message ({type(error).__name__})") from None
        if not isinstance(message, parts.Message):
            raise PeerError("Flower brought an object that is no message")
        message.metadata.__dict__["_message_id"] = self._root
        return message


def _names(tree: Any) -> Iterable[str]:
    names = list(_bounded(_walk(tree, 0)))
    return dict.fromkeys(names)  # an object may be listed twice, and is fetched once


def _walk(tree: Any, depth: int) -> Iterator[str]:
    if depth > _MOST_OBJECTS:
        raise PeerError("a message has more parts than allowed")
    for child in tree.children:
        yield from _walk(child, depth + 1)
    yield str(tree.object_id)


def _bounded(names: Iterator[str]) -> Iterator[str]:
    for count, name in enumerate(names):
        if count >= _MOST_OBJECTS:
            raise PeerError("a message has more parts than allowed")
        yield name
