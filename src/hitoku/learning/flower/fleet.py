# SPDX-License-Identifier: Apache-2.0
"""The members as the server reaches them over Flower: requests out, replies in, who is there.

A member's node is known by its admission (see `admission`), so there is no exchange of names. A member that
starts again has a new node, and the newest is the one that is asked. A request to a member that is not there,
that does not answer in time, that fails or whose node dies while it works has no reply; none of it is an
error.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from hitoku.errors import PeerError
from hitoku.learning.flower.messages import ASK, END, Arriving, payload, request
from hitoku.learning.flower.run import Run
from hitoku.learning.flower.superlink import SuperLink

__all__ = ["FlowerFleet"]

_WAIT_SECONDS: Final = 1.0
"""How long one question for replies is held back; between two, dead nodes are noticed."""
_POLL_SECONDS: Final = 0.02
_FRESH_SECONDS: Final = 0.5
_KEPT_AFTER: Final = 5.0


class FlowerFleet:
    """A `hitoku.learning.base.Fleet` over a SuperLink. One `ask` at a time; `serve` makes it.

    Args:
        link: the SuperLink.
        run: the run on it.
    """

    def __init__(self, link: SuperLink, run: Run) -> None:
        self._link = link
        self._run = run
        self._lock = threading.Lock()  # one `ask` at a time
        self._look = threading.Lock()
        self._known: dict[str, int] = {}
        self._looked = float("-inf")

    @property
    def members(self) -> tuple[str, ...]:
        """Who is connected now, sorted by name.

        Raises:
            PeerError: the SuperLink is gone.
        """
        return tuple(sorted(self._nodes()))

    def wait(self, count: int, seconds: float) -> tuple[str, ...]:
        """Wait until so many members are connected, or so long; who is there then."""
        until = time.monotonic() + seconds
        while len(found := self.members) < count and time.monotonic() < until:
            time.sleep(0.1)
        return found

    def ask(self, requests: Mapping[str, bytes], seconds: float) -> dict[str, bytes]:
        """Send each member its request at the same time; what came back within so many seconds.

        Raises:
            PeerError: the SuperLink is gone.
        """
        with self._lock:
            return self._ask(requests, seconds, ASK)

    def end(self, seconds: float = 15.0) -> None:
        """Tell the members that the run has ended: their `serve_member` returns. Waits for those at work."""
        with self._lock:
            self._ask(dict.fromkeys(self._nodes(), b""), seconds, END)

    def _ask(self, requests: Mapping[str, bytes], seconds: float, kind: str) -> dict[str, bytes]:
        until = time.monotonic() + seconds
        nodes = self._nodes()
        asked = sorted(member for member in requests if member in nodes)
        messages = [
            request(requests[member], self._run.number, nodes[member], kind, seconds + _KEPT_AFTER)
            for member in asked
        ]
        if not messages:
            return {}
        names = self._run.push(messages)
        waiting = {name: member for name, member in zip(names, asked, strict=True) if name}
        if len(waiting) < len(asked):
            self._looked = float("-inf")  # a node has gone since we looked
        return self._collect(waiting, until)

    def _collect(self, waiting: dict[str, str], until: float) -> dict[str, bytes]:
        """Replies as they come. `waiting`: the name of each message that was sent, and its member."""
        arriving: dict[str, tuple[str, Arriving]] = {}
        replies: dict[str, bytes] = {}
        while (waiting or arriving) and (left := until - time.monotonic()) > 0:
            began = time.monotonic()
            if waiting:
                pause = min(left, _POLL_SECONDS if arriving else _WAIT_SECONDS)
                for head, tree in self._run.pull(list(waiting), pause):
                    member = waiting.pop(head.metadata.reply_to_message_id, None)
                    if member is not None and not head.HasField("error"):
                        self._begin(arriving, member, tree)
                    else:
                        self._looked = float("-inf")
            got_before = len(replies)
            for name, (member, message) in list(arriving.items()):
                self._take(name, member, message, arriving, replies)
            if len(replies) == got_before and time.monotonic() - began < _POLL_SECONDS:
                time.sleep(_POLL_SECONDS)  # a SuperLink that does not hold questions back
        return replies

    def _begin(self, arriving: dict[str, tuple[str, Arriving]], member: str, tree: Any) -> None:
        with contextlib.suppress(PeerError):  # no reply of ours: the member is absent
            arriving[tree.object_id] = (member, Arriving(tree, self._run.pull_object))

    def _take(
        self,
        name: str,
        member: str,
        message: Arriving,
        arriving: dict[str, tuple[str, Arriving]],
        replies: dict[str, bytes],
    ) -> None:
        try:
            whole = message.fetch()
            if whole is None:
                return
            replies[member] = payload(whole)
        except PeerError as error:
            if error.code == "SUPERLINK":
                raise
        del arriving[name]
        self._run.confirm(name)

    def _nodes(self) -> dict[str, int]:
        with self._look:
            if time.monotonic() - self._looked > _FRESH_SECONDS:
                numbers = self._run.nodes()
                members = self._link.members()
                self._known = {member: numbers[key] for key, member in members.items() if key in numbers}
                self._looked = time.monotonic()
            return self._known
