# SPDX-License-Identifier: Apache-2.0
"""A question over the API: posted once, watched until it ends, cancelled where its asker gives up.

The key of the POST is made here and stays the same however often it is sent, so that a question whose first
POST was heard, but not its answer, is not asked twice.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from hitoku.client.errors import rebuilt
from hitoku.client.http import Door
from hitoku.errors import EngineError, HitokuError, PeerError
from hitoku.ports import Progress

__all__ = ["Asking"]

_OVER: Final = frozenset({"done", "refused", "failed", "cancelled", "interrupted"})
_QUIET_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.5
_BROKEN_TRIES: Final = 20


@dataclass(eq=False, slots=True)
class _Mine:
    """A question that is being asked: the key of its POST, its id once that is known."""

    key: str
    identity: str | None = None
    cancelled: bool = False


class Asking:
    """Questions in one room.

    Args:
        door: the way to the node.
        path: of the room.
        progress: hears about the phases where a question brings none of its own.
    """

    def __init__(self, door: Door, path: str, progress: Progress) -> None:
        self._door = door
        self._path = path
        self._progress = progress
        self._open: list[_Mine] = []
        self._lock = threading.Lock()

    def ask(self, question: dict[str, Any], progress: Progress | None) -> dict[str, Any]:
        """Ask, and wait for the end. Returns the ask as the API has it.

        Raises:
            HitokuError: what the question ended with.
        """
        mine = _Mine(secrets.token_hex(16))
        with self._lock:
            self._open.append(mine)
        try:
            asked = self._posted(question, mine)
            return self._ended(asked, progress or self._progress)
        except KeyboardInterrupt:
            with suppress(HitokuError):
                if mine.identity is None:  # perhaps it was heard: the same key finds it
                    self._posted(question, mine)
                self._cancel(str(mine.identity))
            raise
        finally:
            with self._lock:
                self._open.remove(mine)

    def cancel(self) -> None:
        """Cancel the questions that other threads ask."""
        with self._lock:
            asked = tuple(self._open)
            for mine in asked:
                mine.cancelled = True
        for mine in asked:
            if mine.identity is not None:
                self._cancel(mine.identity)

    def _posted(self, question: dict[str, Any], mine: _Mine) -> dict[str, Any]:
        asked = self._door.post(f"{self._path}/asks", question, key=mine.key)
        if not isinstance(asked, dict) or not isinstance(asked.get("id"), str):
            raise PeerError("the node's answer cannot be read", "BAD_RESPONSE")
        with self._lock:
            mine.identity = asked["id"]
            cancelled = mine.cancelled
        if cancelled:  # before its id was known here
            self._cancel(asked["id"])
        return asked

    def _cancel(self, identity: str) -> None:
        self._door.post(f"{self._path}/asks/{identity}/cancel")

    def _ended(self, asked: dict[str, Any], progress: Progress) -> dict[str, Any]:
        heard = _Heard(progress)
        heard.hear(asked)
        for state in self._states(asked):
            heard.hear(state)
            asked = state
        ended, error = asked.get("state"), asked.get("error")
        if ended == "done":
            return asked
        if error is not None:
            raise rebuilt(error)
        if ended == "cancelled":
            raise EngineError("the question was cancelled", "CANCELLED")
        raise PeerError("the question ended without an answer; its ledger says what it cost", "INTERRUPTED")

    def _states(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """How the question stands, until it is over; over a stream of events that may break off."""
        path = f"{self._path}/asks/{asked['id']}"
        broken = 0
        while asked.get("state") not in _OVER:
            try:
                for asked in _events(self._door.lines(f"{path}/events", _QUIET_SECONDS)):
                    broken = 0
                    yield asked
                    if asked.get("state") in _OVER:
                        return
            except PeerError as error:
                broken += 1
                if broken > _BROKEN_TRIES or error.code != "UNREACHABLE":
                    raise
            time.sleep(_PAUSE_SECONDS)
            asked = self._door.get(path)
            yield asked


class _Heard:
    """Tells a Progress what it has not heard yet."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._phases = 0
        self._done = 0

    def hear(self, asked: dict[str, Any]) -> None:
        phases = asked.get("phases")
        if not isinstance(phases, list):
            return
        for number, phase in enumerate(phases, 1):
            if number < self._phases or not isinstance(phase, dict):
                continue
            if number > self._phases:
                total = phase.get("total")
                self._progress.phase(str(phase.get("name")), total if type(total) is int else None)
                self._phases, self._done = number, 0
            done = phase.get("done")
            if type(done) is int and done > self._done:
                self._progress.advance(done - self._done)
                self._done = done


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            try:
                found = json.loads("\n".join(data))
            except (ValueError, RecursionError):
                raise PeerError("the node's events cannot be read", "BAD_RESPONSE") from None
            data = []
            if isinstance(found, dict):
                yield found
