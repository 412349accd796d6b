# SPDX-License-Identifier: Apache-2.0
"""When something may leave, where the agreement sets a release interval."""

from __future__ import annotations

from datetime import datetime, timedelta

from hitoku.ports import Clock

__all__ = ["Pace"]


class Pace:
    """When something may leave: at whole multiples of the interval after `began`."""

    def __init__(self, clock: Clock, interval_seconds: int, began: datetime | None = None) -> None:
        self._clock, self._interval = clock, timedelta(seconds=interval_seconds)
        self._began = began or clock.now()

    def next(self) -> datetime:
        """The next multiple; now where there is no interval."""
        now = self._clock.now()
        if not self._interval:
            return now
        passed = max(timedelta(0), now - self._began)
        return self._began + max(1, -(-passed // self._interval)) * self._interval

    def wait(self) -> None:
        """Wait for the next multiple."""
        rest = self.next() - self._clock.now()
        if self._interval and rest > timedelta(0):
            self._clock.sleep(rest.total_seconds())
