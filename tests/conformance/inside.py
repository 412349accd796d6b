# SPDX-License-Identifier: Apache-2.0
"""Each protection as this suite runs it: those whose cells no member's node has, from the inside.

`enclave`: owners' part and the worker's are the real ones: the plain tables are read from their files, cut to
the columns that the question needs, sealed, opened, and asked. `shares`: owners share their plain tables,
three parties compute in three threads, joined by memory, and a receiver puts their parts together. What is
left out, because no value depends on it, is who may have what; whole runs are in `test_two_owners`, in
`tests/attacks/test_enclave.py` and in `tests/unit/node/test_shares.py`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from hitoku.disclosure.cells import Cells
from hitoku.disclosure.plan import DisclosurePlan
from hitoku.engine.process import EngineLimits
from hitoku.engine.tables import TableFile
from hitoku.hazmat.shares import Party, run_three
from hitoku.ports import Executor, Peers, Progress
from hitoku.protections.base import Protection, Unsupported
from hitoku.protections.enclave import Enclave
from hitoku.protections.enclave.needs import needed
from hitoku.protections.enclave.rows import plain_type
from hitoku.protections.enclave.sealed_table import open_table, seal_table
from hitoku.protections.enclave.worker.compute import cells
from hitoku.protections.registry import get
from hitoku.protections.shares import Shares
from hitoku.protections.shares.naming import program_hash
from hitoku.protections.shares.operators.draws import Draws
from hitoku.protections.shares.operators.execute import execute
from hitoku.protections.shares.output.combine import combine
from hitoku.protections.shares.output.share import share
from hitoku.protections.shares.planning import draft, finish, program
from hitoku.protections.shares.upload.chunks import chunks_in
from hitoku.protections.shares.upload.load import Given, load
from hitoku.protections.shares.upload.make import Binding, Made, make
from hitoku.protections.shares.upload.spool import Spool
from hitoku.protections.shares.wanted import WantedTable
from hitoku.questions.question import Question
from hitoku.room.agreement import Column, ProtectionName
from hitoku.room.parts import Terms
from hitoku.sources.formats import open_source

from .world import World

__all__ = ["Three", "protection_at"]

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


class Three(Shares):
    """What owners, servers and a receiver do with a question, in this process."""

    def __init__(self, place: World) -> None:
        super().__init__()
        self._place = place
        self.draws: Callable[[int], Draws | None] = lambda index: None
        """By a server's number, its draws; None: its own."""

    def run(  # type: ignore[override]
        self, question: Question, plan: DisclosurePlan, peers: Peers, executor: Executor, progress: Progress
    ) -> Cells:
        sketch = draft(question, plan, self._place.room)
        assert not isinstance(sketch, Unsupported)
        with tempfile.TemporaryDirectory() as folder:
            uploads = {w.table: self._upload(question, plan, w, Path(folder)) for w in sketch.tables}
            computed = program(sketch, {name: made.manifest for name, made in uploads.items()})
            name = program_hash(computed)
            terms = Terms(
                room=question.room_hash,
                run=RUN,
                question=question.hash,
                plan=plan.hash,
                program=name,
                released_at="2026-01-01T00:00:00Z",
            )

            def server(party: Party) -> bytes:
                with ExitStack() as stack:
                    given = {t: _given(made, party.index, stack) for t, made in uploads.items()}
                    loaded = load(given, party, SERVERS)
                    results = execute(computed, party, loaded, progress, self.draws(party.index))
                    party.check()
                said = terms.model_dump(exclude={"room"})
                return share(party, results, **said)

            combined = combine(run_three(server), SERVERS, terms)
        table = finish(question, plan, sketch, combined.branches)
        return Cells(question.hash, table, frozenset({"threshold" if plan.noise is None else "noise"}))

    def _upload(self, question: Question, plan: DisclosurePlan, wanted: WantedTable, folder: Path) -> Made:
        file = self._place.files[wanted.table].path
        clear = file.with_name(f"{wanted.table}-clear{file.suffix}")
        source = open_source(clear, null="" if file.suffix == ".csv" else None)
        binding = Binding(question.room_hash, RUN, question.hash, plan.hash)
        return make(wanted, source, {}, folder / wanted.table, binding, _Keys())


SERVERS = ("east", "north", "west")


class _Keys:
    """Signs manifests, which nobody checks here."""

    def sign(self, message: bytes) -> bytes:
        return bytes(64)

    def shared_secret(self) -> bytes:
        raise AssertionError("nothing here needs it")


def _given(made: Made, index: int, stack: ExitStack) -> Given:
    """What the server of that number has."""
    spool = None
    if index == 1:
        spool = stack.enter_context(Spool(made.manifest, made.path.parent))
        with pa.ipc.open_file(made.path) as parcel:
            spool.take(chunks_in(parcel.get_batch(n) for n in range(parcel.num_record_batches)))
    return Given(
        made.manifest, None if index == 1 else made.seed_a, None if index == 2 else made.seed_b, spool
    )


def protection_at(name: ProtectionName, place: World) -> Protection:
    """A protection where it makes its cells."""
    if name is ProtectionName.ENCLAVE:
        return _Inside(place.files)
    if name is ProtectionName.SHARES:
        return Three(place)
    return get(name, tables=place.files)
