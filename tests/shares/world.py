# SPDX-License-Identifier: Apache-2.0
"""A question end to end in the clear: owners' evaluation, planner, operators on the ideal engine, finish,
release.

Everything between the plain tables and the answer is the real code but the three-party kernel, whose place
the ideal engine takes, and the transport. So what a plan gets wrong shows here, fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from hitoku.disclosure.cells import Cells
from hitoku.disclosure.plan import DisclosurePlan, plan
from hitoku.disclosure.release import release
from hitoku.engine.types import declared_type
from hitoku.hazmat.shares import Party, run_three
from hitoku.ports import NoProgress, SystemClock
from hitoku.protections.base import Leakage, Unsupported
from hitoku.protections.shares.manifest import Manifest
from hitoku.protections.shares.operators import execute
from hitoku.protections.shares.operators.draws import Draws
from hitoku.protections.shares.operators.loaded import BranchResult, Loaded
from hitoku.protections.shares.output.combine import combine
from hitoku.protections.shares.output.parts import ColumnHead, Terms
from hitoku.protections.shares.output.share import share as share_output
from hitoku.protections.shares.output.values import column_of
from hitoku.protections.shares.planning import Draft, draft, finish, program
from hitoku.protections.shares.program import Program
from hitoku.protections.shares.upload.evaluate import ROW, statement
from hitoku.protections.shares.upload.make import Sharing
from hitoku.protections.shares.wanted import WantedTable
from hitoku.questions import check
from hitoku.questions.names import quoted
from hitoku.questions.question import Question
from hitoku.room.agreement import Room

from .dealing import dealer
from .ideal import IdealEngine, vector

_RUN = "5a" * 16
_HASH = "sha256:" + "0" * 64


@dataclass
class Asked:
    """What came of a question.

    Attributes:
        table: the released table.
        cells: before the release.
        program: what was run.
        drafted: what owners were asked for.
        manifests: what they said.
        opened: all that servers opened.
    """

    table: pa.Table
    cells: pa.Table
    program: Program
    drafted: Draft
    manifests: dict[str, Manifest]
    opened: list[list[int]] = field(default_factory=list)


def ask(
    sql: str, room: Room, tables: Mapping[str, pa.Table], asker: str, seed: int = 0
) -> Asked | Unsupported:
    """Ask a question of plain tables, on shares in the clear."""
    question, planned, drafted = prepared(sql, room, asker)
    if isinstance(drafted, Unsupported):
        return drafted
    return answered(question, planned, drafted, tables, seed)


def prepared(sql: str, room: Room, asker: str) -> tuple[Question, DisclosurePlan, Draft | Unsupported]:
    """What every member does with a question before there is any data."""
    question = check(sql, room, asker)
    planned = plan(question, room, [asker], by_servers=True)
    return question, planned, draft(question, planned, room)


def answered(
    question: Question,
    planned: DisclosurePlan,
    drafted: Draft,
    tables: Mapping[str, pa.Table],
    seed: int = 0,
    draws: Draws | None = None,
) -> Asked:
    """The answer over some tables. One object plays all three servers: `draws` are the noise, all of it."""
    loaded = Loaded(rows={})
    manifests = {t.table: share(t, tables[t.table], question, loaded) for t in drafted.tables}
    made = program(drafted, manifests)
    engine = IdealEngine(seed)
    results = execute(made, engine, loaded, NoProgress(), draws)
    cells, table = _released(question, planned, drafted, [_opened(result) for result in results])
    return Asked(table, cells, made, drafted, manifests, engine.opened)


def answered_by_three(
    question: Question, planned: DisclosurePlan, drafted: Draft, tables: Mapping[str, pa.Table]
) -> tuple[Asked, list[dict[str, int]]]:
    """The same from three real parties in this process, and their counters."""
    uploads = {t.table: shared(t, tables[t.table], question) for t in drafted.tables}
    made = program(drafted, {name: manifest for name, (manifest, _) in uploads.items()})
    terms = Terms(
        run=_RUN, question=question.hash, plan=_HASH, program=_HASH, released_at="2026-01-02T03:04:05Z"
    )

    def work(party: Party) -> tuple[bytes, dict[str, int]]:
        deal, loaded = dealer(party), Loaded(rows={})
        for manifest, dealt in uploads.values():
            take(loaded, manifest, [deal(kind, values) for kind, values in dealt])
        results = execute(made, party, loaded, NoProgress())
        return share_output(party, results, **terms.model_dump()), party.counters()

    parts = run_three(work)
    branches = combine([content for content, _ in parts], ["one", "two", "three"], terms).branches
    cells, table = _released(question, planned, drafted, branches)
    manifests = {name: manifest for name, (manifest, _) in uploads.items()}
    return Asked(table, cells, made, drafted, manifests), [counters for _, counters in parts]


def _released(
    question: Question, planned: DisclosurePlan, drafted: Draft, branches: Sequence[pa.Table]
) -> tuple[pa.Table, pa.Table]:
    """The cells, and the table of the answer."""
    cells = finish(question, planned, drafted, branches)
    answer = release(
        Cells(question.hash, cells, frozenset({"threshold" if planned.noise is None else "noise"})),
        planned,
        question,
        leakage=Leakage(()),
        protection="shares",
        run=_RUN,
        clock=SystemClock(),
    )
    return cells, answer.table


def share(wanted: WantedTable, content: pa.Table, question: Question, loaded: Loaded) -> Manifest:
    """An owner's part, its vectors left as they are."""
    manifest, dealt = shared(wanted, content, question)
    take(loaded, manifest, [vector(kind, _integers(values)) for kind, values in dealt])
    return manifest


def shared(
    wanted: WantedTable, content: pa.Table, question: Question
) -> tuple[Manifest, list[tuple[str, Any]]]:
    """An owner's manifest, and its vectors: kinds and values."""
    with duckdb.connect() as connection:
        numbered = content.append_column(ROW, pa.array(range(content.num_rows), pa.uint32()))
        connection.register("incoming", numbered)
        declared = [
            f"CAST({quoted(c.name)} AS {declared_type(c)}) AS {quoted(c.name)}" for c in wanted.columns
        ]
        row = f"{quoted(ROW)} AS {quoted(ROW)}"
        connection.execute(
            f"CREATE VIEW {quoted(wanted.table)} AS SELECT {', '.join([row, *declared])} FROM incoming"
        )
        found = connection.sql(statement(wanted, bytes(16))).to_arrow_table()
    kept: list[tuple[str, Any]] = []

    def split(kind: str, values: Any, seed_a: bytes, seed_b: bytes, label: int) -> bytes:
        kept.append((kind, values))
        return b""

    sharing = Sharing(wanted, found, content.num_rows, (bytes(32), bytes(32)), split, NoProgress())
    for _ in sharing.explicit():
        pass
    manifest = Manifest(
        room=_HASH,
        run=_RUN,
        question=question.hash,
        plan=_HASH,
        table=wanted.table,
        owner=wanted.owner,
        rows=sharing.rows,
        leaves=tuple(sharing.facts),
        keys=tuple(sharing.keys),
        seeds=("0" * 64, "0" * 64),
        hashes=tuple(sharing.hashes),
    )
    assert [piece.kind for piece in manifest.pieces()] == [kind for kind, _ in kept]
    return manifest, kept


def take(loaded: Loaded, manifest: Manifest, vectors: Sequence[Any]) -> None:
    """A server's vectors, put where the operators look for them."""
    for piece, made in zip(manifest.pieces(), vectors, strict=True):
        match piece.part:
            case "rows":
                loaded.rows[manifest.table] = made
            case "ring":
                loaded.ring[piece.leaf] = made
            case "word":
                loaded.words[piece.leaf] = made
            case "valid":
                loaded.valid[piece.leaf] = made
            case "text":
                loaded.dictionaries.setdefault(piece.leaf, []).append(made)


def _integers(values: Any) -> list[int]:
    if values.ndim == 2:
        return [int(low) | int(high) << 64 for low, high in values.tolist()]
    return [int(value) for value in values.tolist()]


def _opened(result: BranchResult) -> pa.Table:
    """What a receiver makes of a result."""
    columns = {}
    for column in result.columns:
        vectors = [*column.vectors, *(() if column.valid is None else (column.valid,))]
        columns[column.name] = column_of(
            ColumnHead.of(column.layout), result.rows, [_plain(one) for one in vectors]
        )
    return pa.table(columns)


def _plain(one: Any) -> Any:
    if one.kind == "u128":
        pairs = [(int(v) & (2**64 - 1), int(v) >> 64) for v in one.data]
        return np.array(pairs, np.uint64).reshape(-1, 2)
    return one.data


def plain_table(sql: str, tables: Mapping[str, pa.Table]) -> pa.Table:
    """What DuckDB gives over the plain tables."""
    with duckdb.connect() as connection:
        for name, content in tables.items():
            connection.register(name, content)
        return connection.sql(sql).to_arrow_table()


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """A table's rows."""
    columns: Sequence[list[Any]] = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def counted(rows: Sequence[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """Rows without their order; floating-point numbers to nine digits, all other values exactly."""
    return Counter(tuple(_told(value) for value in row) for row in rows)


def _told(value: Any) -> Any:
    return f"{value + 0.0:.9g}" if isinstance(value, float) else value
