# SPDX-License-Identifier: Apache-2.0
"""A program from uploads to released rows."""

from __future__ import annotations

from collections.abc import Sequence

from hitoku.ports import Progress
from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.draws import Draws, OwnDraws
from hitoku.protections.shares.operators.expressions import column_names, true_bit
from hitoku.protections.shares.operators.groups import grouped
from hitoku.protections.shares.operators.joins import look_up
from hitoku.protections.shares.operators.loaded import BranchResult, Loaded
from hitoku.protections.shares.operators.noising import noised
from hitoku.protections.shares.operators.select import release
from hitoku.protections.shares.operators.single import one_group
from hitoku.protections.shares.operators.values import Rows, Value
from hitoku.protections.shares.program import Branch, Expr, Program

__all__ = ["execute"]


def execute(
    program: Program, engine: Engine, loaded: Loaded, progress: Progress, draws: Draws | None = None
) -> list[BranchResult]:
    """Run a program at this server, together with the other two.

    Args:
        program: the same at all three.
        engine: this server's party.
        loaded: its shares of the uploads. Columns are taken out of it when the last branch has them, since of
            many rows there is memory for few copies.
        progress: hears of the steps.
        draws: where this server's noise comes from; fresh draws where None.

    Returns:
        A result for each branch, in order.

    Raises:
        ValueError: the program is not one that planners make; found before anything is opened, at all three.
    """
    results = []
    draws = OwnDraws() if draws is None else draws
    for number, branch in enumerate(program.branches, 1):
        last = number == len(program.branches)
        rows = _rows(program, branch, engine, loaded, progress, last=last)
        groups = rows if branch.ready else _groups(branch, rows, progress, draws)
        del rows
        progress.phase(f"releasing rows of part {number}")
        results.append(release(program, branch, groups, loaded.dictionaries))
    engine.check()
    return results


def _rows(
    program: Program, branch: Branch, engine: Engine, loaded: Loaded, progress: Progress, last: bool
) -> Rows:
    """Joined rows; of a branch that is ready, groups."""
    if branch.ready:
        return _ready(program, branch, engine, loaded)
    later = _needed(branch)
    rows = table_rows(program, engine, loaded, branch.start, later[0])
    for lookup, needed in zip(branch.lookups, later[1:], strict=True):
        progress.phase(f"joining {lookup.table}")
        own = {leaf for _, leaf in lookup.keys} | ({lookup.occurrence} if lookup.occurrence else set())
        table = table_rows(program, engine, loaded, lookup.table, needed | own)
        occurrence = program.upload(lookup.table).leaf(lookup.occurrence).type if lookup.occurrence else None
        rows = look_up(rows, table, lookup, needed, occurrence)
        rows.columns = {name: value for name, value in rows.columns.items() if name in needed}
        del table
    if last:
        for part in (loaded.rows, loaded.words, loaded.ring, loaded.valid):
            part.clear()
    for condition in branch.where:
        rows.valid = engine.and_(rows.valid, true_bit(rows, condition))
    return rows


def _groups(branch: Branch, rows: Rows, progress: Progress, draws: Draws) -> Rows:
    if branch.noising is not None:
        return noised(branch, branch.noising, rows, draws, progress)
    progress.phase("adding up groups")
    return one_group(branch, rows) if branch.one_group else grouped(branch, rows)


def _needed(branch: Branch) -> list[set[str]]:
    """Names of the leaves that are read after each lookup, and, first, of all."""
    read: set[str] = {branch.boundary} if branch.boundary else set()
    final: list[Expr] = [*branch.where, *(expr for _, expr in branch.groups)]
    final += [one.argument for one in branch.aggregates if one.argument is not None]
    final += [] if branch.noising is None else [branch.noising.unit]
    read = read.union(*(column_names(expr) for expr in final))
    found = [read]
    for lookup in reversed(branch.lookups):
        read = read.union(*(column_names(expr) for expr, _ in lookup.keys))
        found.append(read)
    return found[::-1]


def table_rows(program: Program, engine: Engine, loaded: Loaded, table: str, names: set[str] | None) -> Rows:
    """An upload's rows, with the leaves of these names (None: all); of an empty upload one row, not valid."""
    upload = program.upload(table)
    valid = loaded.rows[table]
    empty = len(valid) == 0
    if empty:
        valid = engine.public("u8", 0, 1)
    columns = {}
    for leaf in upload.leaves:
        if names is not None and leaf.name not in names:
            continue
        vectors = [part.get(leaf.name) for part in (loaded.words, loaded.ring, loaded.valid)]
        if empty:
            vectors = [None if vector is None else engine.public(vector.kind, 0, 1) for vector in vectors]
        word, ring, known = vectors
        columns[leaf.name] = Value(leaf.type, word, ring, known)
    return Rows(engine, len(valid), valid, columns)


def _ready(program: Program, branch: Branch, engine: Engine, loaded: Loaded) -> Rows:
    """Groups that their owner made: the leaves are the grouping values, then the figures."""
    rows = table_rows(program, engine, loaded, branch.start, None)
    names: Sequence[str] = [*(name for name, _ in branch.groups), *(one.name for one in branch.aggregates)]
    rows.columns = dict(zip(names, rows.columns.values(), strict=True))
    return rows
