# SPDX-License-Identifier: Apache-2.0
"""What runs in a worker of Spark: opens one batch, applies the function, stores the result. No words leave.

Spark itself passes the numbers of batches and gets back, for each, what became of it. Function, batches and
results are sealed and go by the shared folder, and the key is unwrapped here, so neither Spark's driver, nor
its block manager, event log or web pages ever hold them. Errors would go through all of these with their
texts, and texts can quote data: so they are caught here, and only a code leaves, or what a kernel or one of
hitoku's own errors says, which quotes no value.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.errors import EngineError, HitokuError, InputError, LimitError, SecretError

if TYPE_CHECKING:
    import pyarrow as pa

    from hitoku.executors.spark_keys import KeyWrapper

__all__ = ["DONE", "Work", "failed"]

DONE: Final = "done"
_TOLD: Final = {kind.__name__: kind for kind in (InputError, LimitError, SecretError)}
_AGAIN: Final = (OSError, MemoryError)


class WorkerError(Exception):
    """A batch could not be done here, and may be elsewhere. Without words: Spark shows them."""


@dataclass(frozen=True, slots=True)
class Work:
    """Some batches of one job, as it travels to the workers: references and sealed bytes, no secret.

    Attributes:
        folder: the function's folder, as the workers reach it.
        names: the batches, by their place in what Spark passes.
        wrapped: the job's key, wrapped.
        keys: unwraps it.
        function: the function, pickled and sealed.
    """

    folder: str
    names: tuple[str, ...]
    wrapped: bytes
    keys: KeyWrapper
    function: bytes

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Do the batches with these places; for each its place and what became of it."""
        import pyarrow as pa

        for batch in batches:
            for place in batch.column(0).to_pylist():
                state = self._one(self.names[place])
                yield pa.RecordBatch.from_pydict({"place": [place], "state": [state]}, schema=_schema())

    def _one(self, name: str) -> str:
        from hitoku.executors.spark_keys import JobKey
        from hitoku.executors.spark_store import Store, packed, unpacked

        try:
            store = Store(Path(self.folder), JobKey.of(self.keys.unwrap(self.wrapped)))
            if store.done(name):
                return DONE
            # Sealed under the job's key, so made by who holds it: nothing else is unpickled.
            function = pickle.loads(store.key.open(self.function, "function"))  # noqa: S301
            store.put(name, packed(function(unpacked(store.item(name)))))
        except _AGAIN:
            raise WorkerError from None
        except Exception as error:
            return _state(error)
        return DONE


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("place", pa.int64()), ("state", pa.string())])


def _state(error: Exception) -> str:
    """What may be told of an error: code and numbers of a kernel's, the words of hitoku's own."""
    from hitoku.hazmat.faults import RecordError

    told: dict[str, Any] = {"kind": "other"}
    if isinstance(error, RecordError):
        told = {"kind": "record", "code": error.code, "row": error.row, "column": error.column}
    elif type(error).__name__ in _TOLD and type(error) is _TOLD[type(error).__name__]:
        told = {"kind": type(error).__name__, "message": str(error)}
    return json.dumps(told)


def failed(state: str, number: int) -> HitokuError:
    """The error behind a state that is not `DONE`, of the batch with this number."""
    from hitoku.hazmat.faults import RecordError

    told = json.loads(state)
    if told["kind"] == "record":
        error = RecordError(told["code"], told["row"], told["column"])
        error.add_note(f"in batch {number}, counted from 0")
        return error
    if told["kind"] in _TOLD:
        return _TOLD[told["kind"]](f"{told['message']} (batch {number})")
    return EngineError(f"batch {number} cannot be computed; a worker's own words are not shown", "INTERNAL")
