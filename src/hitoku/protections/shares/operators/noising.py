# SPDX-License-Identifier: Apache-2.0
"""Figures with bounded contributions, and noise that no server knows.

In this order: rows that do not count are left out (`bounding`); figures are added up by group; groups of too
few units are left out; groups are put in a random order that no server knows; each server adds its own noise
to every figure, as an addend that the others do not learn. Only then are thresholds compared, with the noised
number of units, and only figures with noise and the keys of groups that pass come out (`select.release`).

Why the random order. Groups lie in the order of their keys, so one group more or less would move all others
by a place. A server knows its own draws by place; with a receiver, it could see from thousands of groups
which of its draws went where, and so whether a group is there. After the shuffle each group is equally likely
at any place, whatever other groups there are.

Who learns what. Servers: how many rows are released, which follows from noised figures, and each its own
draws. A receiver: released figures with noise. A server and a receiver together: the draws of the two other
servers are still in every figure (`hitoku.disclosure.three`). Two servers together have everything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from hitoku.ports import Progress
from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.bounding import bounded
from hitoku.protections.shares.operators.comparing import true_bit
from hitoku.protections.shares.operators.draws import Draws
from hitoku.protections.shares.operators.expressions import evaluate, word_of
from hitoku.protections.shares.operators.groups import grouped
from hitoku.protections.shares.operators.kinds import ring_kind, word_kind
from hitoku.protections.shares.operators.packing import Field
from hitoku.protections.shares.operators.runs import compact
from hitoku.protections.shares.operators.single import one_group
from hitoku.protections.shares.operators.values import Rows, Value, both, with_ring
from hitoku.protections.shares.program import (
    Aggregate,
    Branch,
    Column,
    Compare,
    Literal,
    Noising,
    Type,
    noised_type,
)

__all__ = ["noised"]

_THERE = Type("boolean", 0, 1)
_SURE = replace(_THERE, nullable=False)


def noised(branch: Branch, how: Noising, rows: Rows, draws: Draws, progress: Progress) -> Rows:
    """The groups with noised figures, in random order; `valid`: there, and of enough units before noise.

    Args:
        branch: which.
        how: its `noising`.
        rows: after joins and conditions.
        draws: this server's.
        progress: hears of the steps.

    Raises:
        ValueError: the program is not one that planners make.
    """
    progress.phase("leaving out what a unit has too many of")
    exact, made = _counting(branch, how, rows)
    rows.columns.clear()  # of many rows there is memory for few copies
    rows.memo.clear()
    progress.phase("adding up groups")
    groups = one_group(made, exact) if branch.one_group else grouped(made, exact)
    progress.phase("adding noise")
    engine = groups.engine
    names = [name for name, _ in branch.groups]
    columns = {name: groups.columns[name] for name in names}
    for one in branch.aggregates:
        found = groups.columns[one.name]
        columns[one.name] = Value(one.type, None, with_ring(groups, found, ring_kind(one.type, "r32")).ring)
    valid, most = groups.valid, groups.count
    if how.units is not None and how.least_units > 0:
        kind = columns[how.units].type
        least = Literal(how.least_units, replace(kind, low=how.least_units, high=how.least_units))
        counts = Rows(engine, most, valid, columns)
        enough = Compare(">=", Column(how.units, kind), least, _SURE)
        valid = engine.and_(valid, true_bit(counts, enough, evaluate))
        # So many groups of so many units there can be: the rest needs no noise.
        most = min(most, max(rows.count // how.least_units, 1))
    vectors = _vectors(columns)
    if most < groups.count:
        vectors, valid = compact(engine, valid, vectors, most)
    valid, *vectors = engine.shuffle([valid, *vectors])
    columns = _again(columns, vectors)
    return Rows(engine, most, valid, _with_noise(engine, branch, how, columns, draws, most))


def _with_noise(
    engine: Engine, branch: Branch, how: Noising, columns: dict[str, Value], draws: Draws, count: int
) -> dict[str, Value]:
    made = {name: columns[name] for name, _ in branch.groups}
    rows = Rows(engine, count, None, columns)
    # All at once, before anything is sent: how long a draw takes depends on its value.
    own = [np.array(draws.take(scale, count), np.int64) for scale in how.scales]
    for one, scale, mine in zip(branch.aggregates, how.scales, own, strict=True):
        kind = noised_type(one.type, scale)
        ring = with_ring(rows, columns[one.name], ring_kind(kind, "r32")).ring
        made[one.name] = Value(kind, None, engine.add(ring, engine.addends(ring.kind, mine)))
    return made


# --- what counts ---


@dataclass
class _Cells:
    """The public groups behind the rows: one row of each, that adds nothing to any figure."""

    engine: Engine
    sizes: tuple[int, ...] | None

    @property
    def count(self) -> int:
        return 0 if self.sizes is None else prod(self.sizes)

    def key(self, word: Any, place: int) -> Any:
        """The words of a grouping value, with those of the public groups behind them."""
        if self.sizes is None:
            return word
        step = prod(self.sizes[place + 1 :])
        cells = np.arange(self.count) // step % self.sizes[place]
        return self.engine.concat([word, self.engine.public(word.kind, cells)])

    def nothing(self, vector: Any, value: int = 0) -> Any:
        """A vector with this value behind it."""
        if self.sizes is None:
            return vector
        return self.engine.concat([vector, self.engine.public(vector.kind, value, self.count)])


def _counting(branch: Branch, how: Noising, rows: Rows) -> tuple[Rows, Branch]:
    """The rows that count with the columns that figures need, and the branch over these."""
    engine, valid = rows.engine, rows.valid
    unit = word_of(rows, how.unit, how.unit.type)
    valid = engine.and_(valid, unit.valid) if unit.valid is not None else valid
    keys = {name: word_of(rows, expr, expr.type) for name, expr in branch.groups}
    fields: list[Field] = []
    for name, value in keys.items():
        if value.valid is not None and how.domain is not None:
            valid = engine.and_(valid, value.valid)
            keys[name] = replace(value, type=replace(value.type, nullable=False), valid=None)
        elif value.valid is not None:
            fields.append(Field(f"valid {name}", value.valid, 1))
        fields.append(Field(name, value.word, value.type.bits))
    possible = branch.most_groups if how.domain is None else prod(how.domain)
    max_groups = how.max_groups if branch.groups and how.max_groups < possible else None
    of_unit = Field("unit", unit.word, unit.type.bits)
    kept, first = bounded(engine, valid, of_unit, fields, how.max_rows, max_groups)

    cells = _Cells(engine, how.domain)
    columns: dict[str, Value] = {}
    for place, (name, value) in enumerate(keys.items()):
        if how.domain is not None and value.word.kind != word_kind((how.domain[place] - 1).bit_length() or 1):
            raise ValueError("a public grouping value has other bounds than its values")
        columns[name] = Value(value.type, cells.key(value.word, place), None, value.valid)
    aggregates = tuple(_figure(one, how, rows, cells, kept, first, columns) for one in branch.aggregates)
    made = replace(
        branch,
        groups=tuple((name, Column(name, columns[name].type)) for name in keys),
        aggregates=aggregates,
        most_groups=branch.most_groups if how.domain is None else cells.count,
        noising=None,
    )
    return Rows(engine, rows.count + cells.count, cells.nothing(kept, 1), columns), made


def _figure(
    one: Aggregate, how: Noising, rows: Rows, cells: _Cells, kept: Any, first: Any, columns: dict[str, Value]
) -> Aggregate:
    """An aggregate over the rows that count; puts the column that it reads among `columns`."""
    name = f"of {one.name}"
    if one.name == how.units:
        return _counted(one, name, cells.nothing(first), columns)
    if one.kind == "count_rows" or one.argument is None:
        return _counted(one, name, cells.nothing(kept), columns)
    if one.kind == "sum":
        ring = evaluate(rows, one.argument, ring_kind(one.type, "r32")).ring
        kind = replace(one.argument.type, nullable=False)  # a NULL adds 0, and so does no row at all
        columns[name] = Value(kind, None, cells.nothing(ring))
        return replace(one, argument=Column(name, kind))
    value = word_of(rows, one.argument, one.argument.type)
    there = both(rows.engine, value.valid, kept)
    if one.kind == "count":
        return _counted(one, name, cells.nothing(there), columns)
    if one.kind != "count_distinct":
        raise ValueError("a figure that noise cannot hide a unit of")
    kind = replace(one.argument.type, nullable=True)
    word = value.word if value.valid is not None else _zeroed(rows.engine, value.word, there)
    columns[name] = Value(kind, cells.nothing(word), None, cells.nothing(there))
    return replace(one, argument=Column(name, kind))


def _counted(one: Aggregate, name: str, bit: Any, columns: dict[str, Value]) -> Aggregate:
    """A count of rows with a bit."""
    columns[name] = Value(_THERE, bit, None, bit)
    return replace(one, kind="count", argument=Column(name, _THERE))


def _zeroed(engine: Engine, word: Any, bit: Any) -> Any:
    return engine.select(bit, word, engine.public(word.kind, 0, len(word)))


# --- columns of groups as vectors ---


def _vectors(columns: dict[str, Value]) -> list[Any]:
    found = [
        part
        for value in columns.values()
        for part in (value.word, value.ring, value.valid)
        if part is not None
    ]
    return list(found)


def _again(columns: dict[str, Value], vectors: list[Any]) -> dict[str, Value]:
    left = iter(vectors)
    made = {}
    for name, value in columns.items():
        parts = [None if part is None else next(left) for part in (value.word, value.ring, value.valid)]
        made[name] = Value(value.type, parts[0], parts[1], parts[2])
    return made
