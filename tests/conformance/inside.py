# SPDX-License-Identifier: Apache-2.0
"""Each protection as this suite runs it: `enclave`, whose cells never leave its worker, from the inside.

Owners' part and the worker's are the real ones: the plain tables are read from their files, cut to the
columns that the question needs, sealed, opened, and asked. What is left out, because no value depends on it,
is who may have the keys; whole runs are in `test_two_owners` and in `tests/attacks/test_enclave.py`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from hitoku.disclosure.cells import Cells
from hitoku.disclosure.plan import DisclosurePlan
from hitoku.engine.process import EngineLimits
from hitoku.engine.tables import TableFile
from hitoku.ports import Executor, Peers, Progress
from hitoku.protections.base import Protection
from hitoku.protections.enclave import Enclave
from hitoku.protections.enclave.needs import needed
from hitoku.protections.enclave.rows import plain_type
from hitoku.protections.enclave.sealed_table import open_table, seal_table
from hitoku.protections.enclave.worker.compute import cells
from hitoku.protections.registry import get
from hitoku.questions.question import Question
from hitoku.room.agreement import Column, ProtectionName
from hitoku.sources.formats import open_source

from .world import World

__all__ = ["protection_at"]

RUN = "c0" * 16


class _Inside(Enclave):
    """What a worker does with a question, in this process."""

    def __init__(self, files: Mapping[str, TableFile]) -> None:
        super().__init__()
        self._files = files

    def run(  # type: ignore[override]
        self, question: Question, plan: DisclosurePlan, peers: Peers, executor: Executor, progress: Progress
    ) -> Cells:
        columns = needed(question, plan)
        with tempfile.TemporaryDirectory() as folder:
            tables = {
                name: self._sent(question, name, columns[name], Path(folder) / "parcel")
                for name in question.tables
            }
        return cells(question, plan, tables, columns, EngineLimits(threads=1))

    def _sent(self, question: Question, table: str, columns: tuple[Column, ...], path: Path) -> Any:
        """A table as it comes out at the other end."""
        file = self._files[table].path
        clear = file.with_name(f"{table}-clear{file.suffix}")
        source = open_source(clear, null="" if file.suffix == ".csv" else None)
        names = [c.name for c in columns]
        places = [source.schema.get_field_index(name) for name in names]
        types = [(n, plain_type(source.schema.field(p).type)) for n, p in zip(names, places, strict=True)]
        key = os.urandom(32)
        what = {"key": key, "room": question.room_hash, "run": RUN, "table": table}
        sealed = seal_table((batch() for batch in source.batches(places)), types, path, **what)  # type: ignore[arg-type]

        def chunks() -> Iterator[bytes]:
            with pa.ipc.open_file(path) as parcel:
                for number in range(parcel.num_record_batches):
                    yield from parcel.get_batch(number).column(0).to_pylist()

        return open_table(sealed.head, sealed.chunks, chunks(), names, owner="shop", **what)  # type: ignore[arg-type]


def protection_at(name: ProtectionName, place: World) -> Protection:
    """A protection where it makes its cells."""
    if name is ProtectionName.ENCLAVE:
        return _Inside(place.files)
    return get(name, tables=place.files)
