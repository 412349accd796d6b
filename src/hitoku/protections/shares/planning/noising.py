# SPDX-License-Identifier: Apache-2.0
"""A SELECT of a noised question as a program: keys and figures, nothing else; the rest follows the noise.

Everything behind the figures (HAVING, expressions, order, LIMIT, set operations) is computed from noised
figures, which costs nothing and tells nothing more; so nothing of it is computed inside. What rows bring to
figures is what `hitoku.questions.noised` says, by its own SQL, at the owner of the table: clamped, whole.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from hitoku.protections.shares.planning import numbers
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.joins import Joined
from hitoku.protections.shares.planning.outputs import Shown, View
from hitoku.protections.shares.planning.rows import Rows, tables_of
from hitoku.protections.shares.program import (
    Aggregate,
    AggregateKind,
    Branch,
    Column,
    Expr,
    Noising,
    Opened,
    Type,
    noised_type,
)
from hitoku.questions.form import Block, Family, Value, column_node
from hitoku.questions.noised import key_name, key_sql, value_sql
from hitoku.questions.privacy import Figure, FigureKind, Part
from hitoku.questions.totals import total

if TYPE_CHECKING:
    from hitoku.disclosure.noise import NoisedPart

__all__ = ["noised_branch"]

_CAP: Final = 1 << 62
"""No sum is larger; with noise it is below 2**63."""
_KINDS: Final[dict[FigureKind, AggregateKind]] = {
    FigureKind.UNITS: "count_distinct",
    FigureKind.ROWS: "count_rows",
    FigureKind.VALUES: "count",
    FigureKind.DISTINCT: "count_distinct",
    FigureKind.SUM: "sum",
}


def noised_branch(
    number: int, part: Part, how: NoisedPart, rows: Rows, block: Block, made: Joined, where: tuple[Expr, ...]
) -> tuple[Branch, View]:
    """Compile a SELECT whose figures get noise.

    Args:
        number: of the SELECT, from 1.
        part: its figures.
        how: their noise.
        rows: compiles expressions of its rows.
        block: the SELECT.
        made: its joins.
        where: conditions that are decided on shares.

    Raises:
        Cannot: it cannot be computed on shares.
    """
    if block.listing or not part.figures:
        raise Cannot("a SELECT without figures cannot be noised")
    unit = column_node(made.same.get(part.unit, part.unit))
    keys: dict[str, Expr] = {}
    shown: list[Shown] = []
    for place, group in enumerate(block.groups, 1):
        domain = None if part.domain is None else part.domain[place - 1]
        keys[f"g{place}"], one = _key(f"g{place}", key_name(number, place), group, domain, rows)
        shown.append(one)
    aggregates = tuple(
        _aggregate(f"f{place}", figure, unit, rows, made.rows) for place, figure in enumerate(part.figures, 1)
    )
    opened = [Opened(name, Column(name, _opened(expr.type, part))) for name, expr in keys.items()]
    for one_of, scale in zip(aggregates, how.scales, strict=True):
        opened.append(Opened(one_of.name, Column(one_of.name, noised_type(one_of.type, scale))))
        shown.append(Shown(one_of.name, f"_hitoku_{one_of.name}", "BIGINT", "number"))
    units = next((f"f{n}" for n, f in enumerate(part.figures, 1) if f.kind is FigureKind.UNITS), None)
    if how.threshold is not None and units is None:
        raise AssertionError("a thresholded branch counts its units")
    noising = Noising(
        unit=rows.distinct(unit, total(unit)),
        max_rows=part.max_rows,
        max_groups=part.max_groups,
        scales=how.scales,
        units=units,
        least_units=how.least_units if part.thresholded else 0,
        domain=None if part.domain is None or not keys else tuple(len(values) for values in part.domain),
    )
    branch = Branch(
        start=made.start,
        lookups=made.lookups,
        where=where,
        groups=tuple(keys.items()),
        aggregates=aggregates,
        most_groups=_most_groups(noising, keys, made.rows),
        thresholds=() if how.threshold is None or units is None else ((units, how.threshold),),
        opened=tuple(opened),
        one_group=not keys,
        noising=noising,
    )
    return branch, View(tuple(shown), frozenset(), positioned=False)


def _key(
    name: str, column: str, group: Value, domain: tuple[str, ...] | None, rows: Rows
) -> tuple[Expr, Shown]:
    """A grouping value: of public groups its place among the public values, and NULL where it is none."""
    tables = tables_of(group.node)
    text = key_sql(group)
    if domain is not None:
        places = " ".join(
            f"WHEN {exp.Literal.string(value).sql(dialect='duckdb')} THEN {place}"
            for place, value in enumerate(domain)
        )
        made = rows.whole_number(tables[0], f"CASE {text} {places} END", (0, len(domain) - 1), summed=False)
        return made, Shown(name, column, "VARCHAR", "number", labels=domain)
    kind = rows.describer.of_rows(text, tables).name
    if len(tables) != 1:
        if group.family is Family.STRING:
            value, labels = rows.labels(group.node)
            return value, Shown(name, column, kind, "number", 0, labels)
        value = rows.number(group.node)
    elif group.family is Family.STRING:
        value = rows.distinct(group.node, text, opened=True)
    else:
        value = rows.key(group, opened=True, ordered=False)
    match value.type.kind:
        case "code":
            return value, Shown(name, column, kind, "text")
        case "date":
            return value, Shown(name, column, kind, "date")
        case "boolean":
            return value, Shown(name, column, kind, "boolean")
    return value, Shown(name, column, kind, "number", value.type.scale)


def _opened(kind: Type, part: Part) -> Type:
    """Rows without a public value do not count, so no public group has a NULL."""
    if part.domain is None:
        return kind
    return Type(kind.kind, kind.low, kind.high, kind.scale, False, kind.dictionary)


def _aggregate(name: str, figure: Figure, unit: exp.Column, rows: Rows, count: int) -> Aggregate:
    kind = _KINDS[figure.kind]
    counted = numbers.number(0, count, nullable=False)
    if figure.kind is FigureKind.UNITS:
        return Aggregate(name, kind, rows.distinct(unit, total(unit)), counted)
    if figure.column is None:
        return Aggregate(name, kind, None, counted)
    node = column_node(figure.column)
    if figure.kind is FigureKind.VALUES:
        return Aggregate(name, kind, rows.presence(node), counted)
    if figure.bounds is None:
        return Aggregate(name, kind, rows.distinct(node, total(node)), counted)
    unit_of = 10**figure.bounds.decimals
    low, high = figure.bounds.lower * unit_of, figure.bounds.upper * unit_of
    value = rows.whole_number(figure.column.table, value_sql(figure), (low, high), summed=True)
    if max(abs(low), abs(high)) * count > _CAP:
        raise Cannot(
            f"a sum of {figure.column.column!r} could have more than 62 bits",
            "agree on narrower `bounds` of the column, or on fewer `decimals`",
        )
    return Aggregate(
        name, kind, value, numbers.number(min(low * count, 0), max(high * count, 0), nullable=False)
    )


def _most_groups(noising: Noising, keys: dict[str, Expr], rows: int) -> int:
    if noising.domain is not None:
        return prod(noising.domain)
    most = 1
    for value in keys.values():
        most *= value.type.high - value.type.low + 1 + int(value.type.nullable)
        if most >= rows:
            return rows
    return most
