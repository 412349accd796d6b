# SPDX-License-Identifier: Apache-2.0
"""What a branch of a program means, in plain Python over plain rows: nothing in common with the operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from tests.shares.tables import Table

from hitoku.protections.shares.program import (
    Aggregate,
    Arith,
    Branch,
    Case,
    Coalesce,
    Column,
    Compare,
    Expr,
    IsNull,
    Literal,
    Logic,
    Not,
    Ratio,
    Round,
)

Row = Mapping[str, Any]


def real(expr: Expr, row: Row) -> Fraction | None:
    """A value as a number, scale and all; NULL is None."""
    if isinstance(expr, Ratio):
        over, under = real(expr.over, row), real(expr.under, row)
        return None if over is None or not under else over / under
    value = units(expr, row)
    return None if value is None else Fraction(value, 10**expr.type.scale)


def units(expr: Expr, row: Row) -> int | None:
    """A value in units of its type's scale."""
    scale = 10**expr.type.scale
    match expr:
        case Column():
            return row[expr.name]  # type: ignore[no-any-return]
        case Literal():
            return expr.value
        case Arith():
            left, right = real(expr.left, row), real(expr.right, row)
            if left is None or right is None:
                return None
            found = {"+": left + right, "-": left - right, "*": left * right}[expr.op] * scale
            assert found.denominator == 1
            return int(found)
        case Round():
            value = real(expr.value, row)
            if value is None:
                return None
            lifted = abs(value) * Fraction(10) ** expr.digits
            whole = int(lifted + Fraction(1, 2))
            return int((-1 if value < 0 else 1) * whole * scale / Fraction(10) ** expr.digits)
        case Case():
            for condition, part in expr.whens:
                if units(condition, row) == 1:
                    return _rescaled(part, row, scale)
            return _rescaled(expr.otherwise, row, scale)
        case Coalesce():
            return next((v for part in expr.parts if (v := _rescaled(part, row, scale)) is not None), None)
        case IsNull():
            return int(real(expr.value, row) is None)
        case Not():
            bit = units(expr.value, row)
            return None if bit is None else 1 - bit
        case Logic():
            parts = [units(part, row) for part in expr.parts]
            decides = 0 if expr.op == "and" else 1
            return decides if decides in parts else None if None in parts else 1 - decides
        case Compare():
            left, right = real(expr.left, row), real(expr.right, row)
            if left is None or right is None:
                return None
            order = (left > right) - (left < right)
            wanted = {"=": (0,), "<>": (-1, 1), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}
            return int(order in wanted[expr.op])
    raise AssertionError(expr)


def _rescaled(expr: Expr, row: Row, scale: int) -> int | None:
    value = real(expr, row)
    return None if value is None else int(value * scale)


def rows_of(table: Table) -> list[dict[str, Any]]:
    """The valid rows of a table."""
    return [
        {f"{table.name}.{at}": made.values[place] for at, made in enumerate(table.columns, 1)}
        for place, valid in enumerate(table.valid)
        if valid
    ]


def joined(branch: Branch, tables: Sequence[Table]) -> list[dict[str, Any]]:
    """The rows of a branch after joins and conditions."""
    named = {table.name: table for table in tables}
    rows = rows_of(named[branch.start])
    for lookup in branch.lookups:
        others = rows_of(named[lookup.table])
        nothing = {f"{lookup.table}.{at}": None for at in range(1, len(named[lookup.table].columns) + 1)}
        found = []
        for row in rows:
            keys = [real(expr, row) for expr, _ in lookup.keys]
            matches = [
                {**row, **other}
                for other in others
                if None not in keys
                and keys == [real(_leaf(named[lookup.table], leaf), other) for _, leaf in lookup.keys]
            ]
            found += matches or ([{**row, **nothing}] if lookup.kind == "left" else [])
        rows = found
    return [row for row in rows if all(units(condition, row) == 1 for condition in branch.where)]


def _leaf(table: Table, leaf: str) -> Column:
    return table.column(int(leaf.rsplit(".", 1)[1]))


def figure(one: Aggregate, rows: Sequence[Row]) -> int | None:
    """One figure of a group's rows."""
    if one.kind == "count_rows" or one.argument is None:
        return len(rows)
    values = sorted(value for row in rows if (value := units(one.argument, row)) is not None)
    match one.kind:
        case "count":
            return len(values)
        case "count_distinct":
            return len(set(values))
        case _ if not values:
            return None
        case "sum":
            return sum(values)
        case "sum_distinct":
            return sum(set(values))
        case "sum_squares":
            return sum(value * value for value in values)
        case "min":
            return values[0]
        case "max":
            return values[-1]
        case "median":
            return 5 * (values[(len(values) - 1) // 2] + values[len(values) // 2])
    raise AssertionError(one.kind)


def groups(branch: Branch, tables: Sequence[Table]) -> list[dict[str, Any]]:
    """The groups that pass thresholds and HAVING, by names of grouping values and figures."""
    if branch.ready:
        (table,) = (table for table in tables if table.name == branch.start)
        names = [*(name for name, _ in branch.groups), *(one.name for one in branch.aggregates)]
        made = [dict(zip(names, row.values(), strict=True)) for row in rows_of(table)]
    else:
        found: dict[tuple[Any, ...], list[Row]] = {(): []} if branch.one_group else {}
        for row in joined(branch, tables):
            found.setdefault(tuple(units(expr, row) for _, expr in branch.groups), []).append(row)
        made = [
            {
                **dict(zip((name for name, _ in branch.groups), key, strict=True)),
                **{one.name: figure(one, members) for one in branch.aggregates},
            }
            for key, members in found.items()
        ]
    return [
        group
        for group in made
        if all(group[name] is not None and group[name] >= least for name, least in branch.thresholds)
        and all(units(condition, group) == 1 for condition in branch.having)
    ]


def answer(branch: Branch, tables: Sequence[Table]) -> list[tuple[Any, ...]]:
    """The released rows of a branch without LIMIT: whole numbers in units, ratios as fractions."""
    return [
        tuple(
            real(one.value, group) if isinstance(one.value, Ratio) else units(one.value, group)
            for one in branch.opened
        )
        for group in groups(branch, tables)
    ]
