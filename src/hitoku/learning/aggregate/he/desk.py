# SPDX-License-Identifier: Apache-2.0
"""Between the leader's driver and the requests of the server: one wish at a time, and its answer.

The server asks and the leader replies, but it is the leader that knows what comes next: the server asks again
and again what that is, and brings the answer to the last wish with it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from hitoku.errors import RunAborted

__all__ = ["Desk"]

Arrays = Mapping[str, NDArray[Any]]
_MOST_WAIT: Final = 60.0
_START_BITS: Final = 48


class Desk:
    """Wishes of one thread, answered by another one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # Not from 0: an answer to a wish of the process before this one is to none of this one's.
        self._number = secrets.randbits(_START_BITS)
        self._wish: tuple[dict[str, Any], Arrays] | None = None
        self._answer: tuple[Mapping[str, Any], Arrays] | None = None
        self._end: dict[str, Any] | None = None
        self._closed = False

    def number(self) -> int:
        """The number that the next wish will have."""
        return self._number + 1

    def call(self, wish: Mapping[str, Any], arrays: Arrays | None = None) -> tuple[Mapping[str, Any], Arrays]:
        """Wish something and wait for the answer.

        Raises:
            RunAborted: the member was closed.
        """
        with self._changed:
            self._number += 1
            self._wish, self._answer = ({**wish, "number": self._number}, arrays or {}), None
            self._changed.notify_all()
            self._changed.wait_for(self._is_over)
            self._wish = None
            return self._taken()

    def _is_over(self) -> bool:
        return self._answer is not None or self._closed

    def _taken(self) -> tuple[Mapping[str, Any], Arrays]:
        if self._answer is None:
            raise RunAborted("the leader of a learning run was closed before the run's end")
        return self._answer

    def exchange(
        self, answer: tuple[Mapping[str, Any], Arrays] | None, seconds: float
    ) -> tuple[dict[str, Any], Arrays]:
        """Bring the answer to the last wish, if there is one, and take the next wish.

        An answer to anything but the open wish is dropped: it came twice. Without a wish in time: `wait`.
        """
        with self._changed:
            wished = self._wish
            if answer is not None and wished is not None and answer[0].get("number") == wished[0]["number"]:
                self._answer, self._wish = answer, None
                self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._wish is not None or self._end is not None or self._closed,
                timeout=min(max(seconds, 0.0), _MOST_WAIT),
            )
            if self._wish is not None:
                return self._wish
            if self._end is not None:
                return self._end, {}
            return {"do": "wait"}, {}

    def finish(self, end: Mapping[str, Any]) -> None:
        """There will be no more wishes; every later request hears this."""
        with self._changed:
            self._end = dict(end)
            self._changed.notify_all()

    def close(self) -> None:
        """Wake up who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
