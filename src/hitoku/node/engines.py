# SPDX-License-Identifier: Apache-2.0
"""The engines of a host: one for each run, and at most one that is warm for the next.

A run's engine is its own from beginning to end. So a run sees the tables' files as they are when it begins,
whoever ends one ends no other, and nothing of a run is left in what the next one uses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hitoku.room.records import replayed

if TYPE_CHECKING:
    from hitoku.engine.spark import SparkEngine
    from hitoku.engine.tables import TableFile
    from hitoku.protections.tokens import Tokens

__all__ = ["Engines"]


class Engines:
    """The engines of one host in one room. May be used by many threads.

    Args:
        files: the tables' files as they are now.
        spark: makes what joins and groups their rows in place of this machine, for one run; or None.
    """

    def __init__(
        self,
        files: Callable[[], Mapping[str, TableFile]],
        spark: Callable[[], SparkEngine | None] = lambda: None,
    ) -> None:
        self._files = files
        self._spark = spark
        self._lock = threading.Lock()
        self._warm: tuple[Mapping[str, TableFile], Tokens] | None = None
        self._running: dict[str, tuple[str, Tokens]] = {}

    def prepare(self) -> None:
        """Start an engine ahead of the next run; nothing where one is warm."""
        with self._lock:
            if self._warm is not None:
                return
            files = self._files()
            self._warm = (files, self._made(files))
            self._warm[1].prepare()

    def take(self, run: str, asker: str) -> Tokens:
        """The engine of a run, until `done`.

        Raises:
            Refusal: the run has one already.
        """
        files = self._files()
        with self._lock:
            if run in self._running:
                raise replayed()
            warm, self._warm = self._warm, None
            fits = warm is not None and warm[0] == files
            engine = warm[1] if warm is not None and fits else self._made(files)
            self._running[run] = (asker, engine)
        if not fits:
            if warm is not None:
                warm[1].close()
            try:
                engine.prepare()
            except BaseException:
                self.done(run)
                raise
        return engine

    def done(self, run: str) -> None:
        """The run is over: nothing of its engine stays."""
        with self._lock:
            known = self._running.pop(run, None)
        if known is not None:
            known[1].close()

    def cancel(self, run: str, asker: str) -> None:
        """End a run that its asker gives up; nothing where it is another's, or none."""
        with self._lock:
            known = self._running.get(run)
        if known is not None and known[0] == asker:
            known[1].cancel()

    def cancel_all(self) -> None:
        """End whatever runs, and what is about to."""
        with self._lock:
            found = [engine for _, engine in self._running.values()]
            if self._warm is not None:
                found.append(self._warm[1])
        for engine in found:
            engine.cancel()

    def close(self) -> None:
        """End the one that is warm and was not used."""
        with self._lock:
            warm, self._warm = self._warm, None
        if warm is not None:
            warm[1].close()

    def _made(self, files: Mapping[str, TableFile]) -> Tokens:
        from hitoku.protections.tokens import Tokens

        return Tokens(files, spark=self._spark())
