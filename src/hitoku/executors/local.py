# SPDX-License-Identifier: Apache-2.0
"""The executor of one machine: threads, which is enough since the Rust kernels release the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Local", "cores"]

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many cores this process may use: its affinity mask, not what the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


class Local:
    """Threads over batches, with a bounded number of batches under way.

    Args:
        threads: how many batches run at once; every core that the process may use by default.
    """

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ValueError("threads must be at least 1")
        self._threads = threads or cores()

    @property
    def parallelism(self) -> int:
        """How many batches run at the same time."""
        return self._threads

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply `function` to every item; results come in the order of the items.

        Items are taken from the caller's thread, and only as fast as results are taken, so that
        memory is bounded by `2 * parallelism` items and results. The first exception ends the work:
        what has not begun is cancelled, what has is waited for.
        """
        window = 2 * self._threads
        with ThreadPoolExecutor(self._threads, thread_name_prefix="hitoku") as pool:
            pending: deque[Future[R]] = deque()
            try:
                for item in items:
                    pending.append(pool.submit(function, item))
                    if len(pending) >= window:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()
