# SPDX-License-Identifier: Apache-2.0
"""The executor of a cluster: batches on the workers of Spark, check-pointed, each result once.

What is whose: Spark chooses the worker, repeats what a lost worker had, and passes numbers of batches through
`mapInArrow`. The shared folder (`spark_store`) has batches and results, sealed. The function travels sealed
under a key that workers unwrap by themselves (`spark_keys`).

A worker that is lost takes no result with it that is stored, and what it had begun is begun anew elsewhere. A
driver that is started again with the same folder, function and batches takes the results that are there. Both
rest on this: a result belongs to a function, a number and a batch's content, and is written once.

Who learns what: `docs/spark.md`.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from hitoku.errors import EngineError, InputError
from hitoku.executors.spark_keys import KeyFile, KeyWrapper
from hitoku.executors.spark_session import check_session, quiet_pandas
from hitoku.executors.spark_store import Store, open_job, packed, unpacked
from hitoku.executors.spark_worker import DONE, Work, failed

__all__ = ["Spark"]

T = TypeVar("T")
R = TypeVar("R")

_ATTEMPTS: Final = 4
_UNDER_WAY: Final = 2
_LOOK_SECONDS: Final = 0.1


class Spark:
    """Batches on the workers of a Spark cluster, as an `Executor`.

    Functions take and give `pyarrow.RecordBatch` or `pyarrow.Array`, can be pickled, and use one thread: how
    many run at once is Spark's to say. The same function on the same batch has one result: where it draws
    random numbers, the first one stands until `clear`.

    Args:
        session: a session of Spark, local or encrypted (`open_session`).
        folder: a folder that the driver and all workers reach under this path, on a file system with hard
            links and atomic names (local, NFS). One job: one run of one member.
        keys: who wraps the job's key; the file that `HITOKU_SPARK_KEY_FILE` names by default.

    Raises:
        InputError: the cluster is not encrypted, or the folder cannot be used.
        SecretError: the key cannot be had, or is not the folder's.
    """

    def __init__(self, session: Any, folder: Path, keys: KeyWrapper | None = None) -> None:
        check_session(session)
        self._session = session
        self._keys: KeyWrapper = KeyFile() if keys is None else keys
        self._folder = folder.absolute()
        self._wrapped, self._key = open_job(self._folder, self._keys)

    @property
    def parallelism(self) -> int:
        """How many batches run at the same time."""
        return max(1, int(self._session.sparkContext.defaultParallelism))

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply `function` to every item; results come in the order of the items.

        Items are taken from the caller's thread, and only as fast as results are taken: what waits in the
        folder is bounded by 12 batches a core. Results stay there until `clear`, for a driver that is
        started again.

        Raises:
            InputError: the function cannot be pickled, or something is no Arrow batch or array.
            RecordError: a kernel refuses a record; the row is counted in its batch.
            EngineError: the workers failed, again and again.
        """
        pickled = _pickled(function)
        store = Store.of(self._folder, self._key, pickled)
        sealed = self._key.seal(pickled, "function")
        tag = f"hitoku-{secrets.token_hex(8)}"
        size = 4 * self.parallelism
        stopped = threading.Event()
        pending: deque[tuple[list[str], Future[dict[str, str]]]] = deque()
        with ThreadPoolExecutor(_UNDER_WAY, thread_name_prefix="hitoku-spark") as pool:
            try:
                wave: list[str] = []
                for number, item in enumerate(items):
                    wave.append(store.stage(number, packed(item)))
                    if len(wave) == size:
                        pending.append((wave, pool.submit(self._wave, store, sealed, wave, tag, stopped)))
                        wave = []
                    if len(pending) > _UNDER_WAY:
                        yield from self._finished(store, *pending.popleft())
                if wave:
                    pending.append((wave, pool.submit(self._wave, store, sealed, wave, tag, stopped)))
                while pending:
                    yield from self._finished(store, *pending.popleft())
            finally:
                stopped.set()
                for _, future in pending:
                    future.cancel()
                # Again and again: Spark knows a job by its tag only once it has begun.
                while wait([future for _, future in pending], _LOOK_SECONDS).not_done:
                    with suppress(Exception):
                        self._session.sparkContext.cancelJobsWithTag(tag)

    def clear(self) -> None:
        """Remove all results and batches; what is asked again is computed again."""
        for folder in self._folder.glob("f-*"):
            Store(folder, self._key).remove()

    def erase(self) -> None:
        """Remove the job's folder with its key: the run is over, and this executor with it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _finished(self, store: Store, names: list[str], future: Future[dict[str, str]]) -> Iterator[Any]:
        """The results of a wave, up to the first batch that has none."""
        refused = future.result()
        for name in names:
            if name in refused:
                raise failed(refused[name], int(name.partition("-")[0]))
            yield unpacked(store.result(name))

    def _wave(
        self, store: Store, sealed: bytes, names: list[str], tag: str, stopped: threading.Event
    ) -> dict[str, str]:
        """Get the results of some batches made; one job of Spark, more where workers are lost.

        Returns:
            Of each batch that was refused, the state that tells why.
        """
        refused: dict[str, str] = {}
        for _ in range(_ATTEMPTS):
            missing = tuple(name for name in names if name not in refused and not store.done(name))
            if not missing or stopped.is_set():
                break
            work = Work(str(store.folder), missing, self._wrapped, self._keys, sealed)
            try:
                states = self._run(work, tag)
            except Exception:
                # What Spark says can quote data and stays in its log. What is stored is stored; the next
                # attempt does the rest. (A cluster repeats a lost worker's batches by itself; local Spark
                # does not.)
                states = []
            refused.update((missing[place], state) for place, state in states if state != DONE)
        if any(name not in refused and not store.done(name) for name in names):
            raise EngineError(
                f"Spark lost its workers {_ATTEMPTS} times over the same batches; "
                "what is done is kept: see Spark's own log, then start again with the same folder",
                "CRASHED",
            )
        for name in names:
            store.unstage(name)
        return refused

    def _run(self, work: Work, tag: str) -> list[tuple[int, str]]:
        context = self._session.sparkContext
        context.addJobTag(tag)
        count = len(work.names)
        quiet_pandas()
        # A partition a batch: what is lost with a worker is a batch, not more.
        numbers = self._session.range(0, count, 1, count)
        done = numbers.mapInArrow(lambda batches: work(batches), "place long, state string").toArrow()
        return list(zip(done["place"].to_pylist(), done["state"].to_pylist(), strict=True))


def _pickled(function: Any) -> bytes:
    from pyspark import cloudpickle

    try:
        return bytes(cloudpickle.dumps(function))
    except Exception as error:
        kind = type(error).__name__
        raise InputError(f"the function cannot be sent to workers: it cannot be pickled ({kind})") from None
