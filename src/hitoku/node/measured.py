# SPDX-License-Identifier: Apache-2.0
"""Measures a run that outlives its request, while it is carried out in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hitoku.node.metrics import Meter
from hitoku.node.quotas import Asked
from hitoku.ports import Progress
from hitoku.room.jobs import Job, JobState

__all__ = ["Both", "measured"]


class Both:
    """A Progress that tells two.

    Args:
        first: hears first, and may end the work by raising.
        second: hears then.
    """

    def __init__(self, first: Progress, second: Progress) -> None:
        self._first, self._second = first, second

    def phase(self, name: str, total: int | None = None) -> None:
        """A new phase begins."""
        self._first.phase(name, total)
        self._second.phase(name, total)

    def advance(self, amount: int = 1) -> None:
        """So much of the phase is done."""
        self._first.advance(amount)
        self._second.advance(amount)


_OUTCOMES = {
    JobState.DONE: "done",
    JobState.RELEASED: "done",
    JobState.REFUSED: "refused",
    JobState.FAILED: "failed",
}


@contextmanager
def measured(
    job: Job, state: Callable[[], JobState | None], following: Progress, progress: Progress
) -> Iterator[Progress]:
    """Who hears of the work's phases; told how it ended, where the node is measured.

    Args:
        job: the job.
        state: where it stands when the work is over; None where nobody knows.
        following: hears of the phases.
        progress: hears of them, too, and is a `Meter` where the node is measured.
    """
    began, broke = time.monotonic(), True
    try:
        yield Both(following, progress)
        broke = False
    finally:
        if isinstance(progress, Meter):
            found = None if broke else state()
            outcome = "failed" if found is None else _OUTCOMES.get(found, "failed")
            asked = Asked.of(job.request)
            protection = "other" if asked is None else asked.protection
            progress.ended(job.run, protection, outcome, time.monotonic() - began)
