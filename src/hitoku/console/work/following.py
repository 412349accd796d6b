# SPDX-License-Identifier: Apache-2.0
"""How far a question is, while it runs: heard by its thread, told to the pages that watch it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from hitoku import limits
from hitoku.console.work.asks_store import Phase, moment
from hitoku.errors import EngineError

__all__ = ["Following"]

_PAUSE: Final = 0.2
"""Steps of one phase are told no oftener than this, in seconds."""


class Following:
    """A `hitoku.ports.Progress` that remembers, and tells who watches that there is something new.

    Args:
        now: the time.
        write: writes the phases down, at each new one.
    """

    def __init__(self, now: Callable[[], datetime], write: Callable[[tuple[Phase, ...]], None]) -> None:
        self._now, self._write = now, write
        self._lock = threading.Lock()
        self._phases: list[Phase] = []
        self._watching: list[Callable[[], None]] = []
        self._told = 0.0
        self.version = 0
        self.cancelled = False

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins.

        Raises:
            EngineError: ``CANCELLED``: the user gave up; nothing further is begun.
        """
        if self.cancelled:
            raise EngineError("the question was cancelled", "CANCELLED")
        with self._lock:
            at = moment(self._now())
            if self._phases:
                self._phases[-1] = replace(self._phases[-1], ended=at)
            if len(self._phases) >= limits.MAX_CONSOLE_PHASES:
                self._phases.pop()  # a far side that names ever new phases fills no memory
            self._phases.append(Phase(name[:64], total, 0, at))
            phases = tuple(self._phases)
        self._write(phases)
        self._tell()

    def advance(self, amount: int = 1) -> None:
        """So much of the phase is done."""
        with self._lock:
            if not self._phases:
                return
            last = self._phases[-1]
            self._phases[-1] = replace(last, done=last.done + amount)
            soon = time.monotonic() - self._told < _PAUSE
        if not soon:
            self._tell()

    def ended(self) -> tuple[Phase, ...]:
        """All phases, the last one ended now."""
        with self._lock:
            if self._phases and self._phases[-1].ended is None:
                self._phases[-1] = replace(self._phases[-1], ended=moment(self._now()))
            return tuple(self._phases)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What happened so far."""
        with self._lock:
            return tuple(self._phases)

    def watch(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Call `hear` whenever there is something new. Returns what ends that."""
        with self._lock:
            self._watching.append(hear)

        def stop() -> None:
            with self._lock:
                if hear in self._watching:
                    self._watching.remove(hear)

        return stop

    def _tell(self) -> None:
        with self._lock:
            self.version += 1
            self._told = time.monotonic()
            watching = list(self._watching)
        for hear in watching:
            hear()

    def tell(self) -> None:
        """Tell who watches to look: the question has come to its end."""
        self._tell()
