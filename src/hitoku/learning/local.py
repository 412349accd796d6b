# SPDX-License-Identifier: Apache-2.0
"""A fleet in one process: the same bytes as over a network, handed from thread to thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait

__all__ = ["LocalFleet"]

Handler = Callable[[bytes], bytes]


class LocalFleet:
    """Members' `handle` functions, each called in a thread of its own. Close it, or use it in `with`.

    Args:
        members: what handles each member's requests. A handler that raises counts as a member that is lost.
    """

    def __init__(self, members: Mapping[str, Handler]) -> None:
        self._members = dict(members)
        self._pool = ThreadPoolExecutor(max(1, len(self._members)), thread_name_prefix="learning")

    def __enter__(self) -> LocalFleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def members(self) -> tuple[str, ...]:
        """Who is here, sorted by name."""
        return tuple(sorted(self._members))

    def join(self, name: str, handler: Handler) -> None:
        """Add a member, or put another handler in its place (a restart)."""
        self._members[name] = handler

    def leave(self, name: str) -> None:
        """Take a member away."""
        self._members.pop(name, None)

    def ask(self, requests: Mapping[str, bytes], seconds: float) -> dict[str, bytes]:
        """Send each member its request at the same time; what came back within so many seconds."""
        asked = {
            self._pool.submit(self._members[name], content): name
            for name, content in requests.items()
            if name in self._members
        }
        done, _ = wait(asked, timeout=seconds)
        return {asked[future]: future.result() for future in done if future.exception() is None}
