# SPDX-License-Identifier: Apache-2.0
"""Which exact figures a noised question needs, and how much one unit of privacy can change each.

The argument (add or remove one unit: all rows that carry it, in all tables). Every table with
`differentialPrivacy` is joined by its unit's column, so each joined row carries one unit, and removing a unit
takes away exactly its rows: no row appears, none changes, because nothing here looks across rows before the
figures do. `hitoku.questions.noised` then keeps at most `max_rows` rows of a unit in a group and rows of at
most `max_groups` groups of a unit; both choices read that unit's rows alone. So a unit changes at most
`max_groups` groups, and a figure of one group by at most `Figure.most`. Bounding comes after all joins, so a
join that repeats rows repeats nothing that counts. The noise is scaled to `most`; its cost is in
`hitoku.disclosure.noise`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import Final

from sqlglot import exp

from hitoku import limits
from hitoku.errors import Refusal, Span
from hitoku.questions.form import Block, Form, Ref, Value
from hitoku.questions.refusals import refuse
from hitoku.questions.render import sql_of
from hitoku.questions.rules import Rules
from hitoku.room.rules import ColumnBounds, CustomRule, DifferentialPrivacy

__all__ = ["Figure", "FigureKind", "Part", "Privacy", "private"]

_LARGEST: Final = 2**53
"""`Figure.most` times the noise's units stays below, so that 64 bits hold any figure with any noise."""


class FigureKind(StrEnum):
    """What is counted or added up in a group, after bounding."""

    UNITS = "units"
    ROWS = "rows"
    VALUES = "values"
    DISTINCT = "distinct"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Figure:
    """One whole number per group that noise is added to.

    Attributes:
        kind: what it is.
        column: of which column; None for units and rows.
        most: how much one unit can change it in one group.
        bounds: the clamp of a sum.
    """

    kind: FigureKind
    column: Ref | None
    most: int
    bounds: ColumnBounds | None = None

    @property
    def decimals(self) -> int:
        """The figure is in units of ``10 ** -decimals``."""
        return 0 if self.bounds is None else self.bounds.decimals


@dataclass(frozen=True, slots=True)
class Part:
    """One branch of a noised question.

    Attributes:
        unit: the column that is the unit in every row.
        max_rows: so many rows of a unit count in one group.
        max_groups: so many groups a unit counts in; 1 where there is no GROUP BY.
        figures: what is noised, units first where they are.
        made_of: for each aggregate of the branch, by its SQL, the places of its figures: one, or for AVG the
            sum's and the count's.
        domain: the public values of each grouping column where all have some; None where groups are not
            public and must pass a noisy threshold.
    """

    unit: Ref
    max_rows: int
    max_groups: int
    figures: tuple[Figure, ...]
    made_of: tuple[tuple[str, tuple[int, ...]], ...]
    domain: tuple[tuple[str, ...], ...] | None

    @property
    def thresholded(self) -> bool:
        """Whether a group is released only if its noisy number of units is large enough."""
        return self.domain is None


@dataclass(frozen=True, slots=True)
class Privacy:
    """What noise must hide, and at whose expense.

    Attributes:
        unit: the unit's name.
        accounts: the owners whose accounts for it pay, sorted.
        least_noise: the largest `users_noise_per_query` of these accounts.
        delta: the smallest delta of these accounts, as they write it.
        parts: one for each branch.
    """

    unit: str
    accounts: tuple[str, ...]
    least_noise: int
    delta: str
    parts: tuple[Part, ...]


def private(form: Form, rules: Rules) -> Privacy | None:
    """What noise a question needs; None where no table of it asks for any.

    Raises:
        Refusal: the unit is not in every row, a figure has no bounded contribution, or branches differ.
    """
    concerned = [_concerned(block, rules) for block in form.blocks]
    if not any(concerned):
        return None
    for block, tables in zip(form.blocks, concerned, strict=True):
        if not tables:
            first = next(name for found in concerned for name in found)
            raise _refusal("PRIVACY_BRANCHES", rules, first, clause="UNION", tables=", ".join(block.tables))
    names = {_privacy(rules, table).account for found in concerned for table in found}
    if len(names) > 1:
        first = concerned[0][0]
        raise _refusal("PRIVACY_UNITS_DIFFER", rules, first, clause="FROM", units=", ".join(sorted(names)))
    unit = names.pop()
    owners = sorted({rules.table(table).owner for found in concerned for table in found})
    budgets = [b for owner in owners if (b := rules.agreement.budget(owner, unit)) is not None]
    least = max(b.users_noise_per_query for b in budgets)
    parts = tuple(_part(form, n, tables, rules) for n, tables in enumerate(concerned))
    return Privacy(unit, tuple(owners), least, min((b.delta for b in budgets), key=float), parts)


def _concerned(block: Block, rules: Rules) -> list[str]:
    """The tables of a block whose owners want noise, sorted."""
    found = []
    for name in sorted(block.all_tables):
        rule = rules.table(name).rule
        if isinstance(rule, CustomRule) and rule.differential_privacy is not None:
            found.append(name)
    return found


def _privacy(rules: Rules, table: str) -> DifferentialPrivacy:
    rule = rules.table(table).rule
    if not isinstance(rule, CustomRule) or rule.differential_privacy is None:
        raise AssertionError("only tables with differentialPrivacy come here")
    return rule.differential_privacy


# --- one branch ---


def _part(form: Form, place: int, tables: list[str], rules: Rules) -> Part:
    block = form.blocks[place]
    settings = [_privacy(rules, table) for table in tables]
    unit, same = _unit(block, tables, rules)
    max_rows = min(s.max_rows_per_group for s in settings)
    max_groups = min(s.max_groups for s in settings) if block.groups else 1
    domain = _domain(block, tables, rules) if block.groups else ()
    asked = [item.value for item in block.items] + list(block.having) + [key.value for key in form.order]
    made: dict[str, tuple[Figure, ...]] = {}
    for value in asked:
        for node in value.node.find_all(exp.AggFunc):
            figures = _figures(node, same, max_rows, _bounds(tables, rules), _filled(block, rules))
            if figures is None:
                raise _unbounded(node, value, rules, tables[0])
            made[sql_of(node)] = figures
    needed = {figure for figures in made.values() for figure in figures}
    if domain is None:
        needed.add(Figure(FigureKind.UNITS, None, 1))
    figures = tuple(sorted(needed, key=_order))
    for figure in figures:
        if figure.most * limits.MAX_USERS_NOISE > _LARGEST:
            raise _refusal("PRIVACY_BOUNDS_WIDE", rules, tables[0], clause="SELECT")
    made_of = tuple((text, tuple(figures.index(f) for f in made[text])) for text in sorted(made))
    return Part(unit, max_rows, max_groups, figures, made_of, domain)


def _order(figure: Figure) -> tuple[int, str]:
    return (list(FigureKind).index(figure.kind), repr(figure))


def _bounds(tables: Iterable[str], rules: Rules) -> dict[Ref, ColumnBounds]:
    return {Ref(t, b.column_name): b for t in tables for b in _privacy(rules, t).bounds}


def _filled(block: Block, rules: Rules) -> frozenset[Ref]:
    """Columns that are never NULL in the block's rows: those of inner tables that are declared so."""
    return frozenset(Ref(t, c.name) for t in block.tables for c in rules.table(t).columns if not c.nullable)


def _figures(
    node: exp.AggFunc,
    same: frozenset[Ref],
    max_rows: int,
    bounds: dict[Ref, ColumnBounds],
    filled: frozenset[Ref],
) -> tuple[Figure, ...] | None:
    """The figures that an aggregate is made of; None where a unit's part in it has no bound.

    Args:
        node: the aggregate, as the normal form has it.
        same: the columns that hold the unit.
        max_rows: so many rows of a unit count in one group.
        bounds: the clamps.
        filled: columns that are never NULL.
    """
    units = Figure(FigureKind.UNITS, None, 1)
    rows = (
        Figure(FigureKind.ROWS, None, max_rows) if max_rows > 1 else units
    )  # one row a unit: rows are units
    argument = node.this
    if isinstance(node, exp.Count) and isinstance(argument, exp.Star):
        return (rows,)
    distinct = isinstance(argument, exp.Distinct)
    column = argument.expressions[0] if distinct else argument
    if not isinstance(column, exp.Column):
        return None
    ref = Ref(column.table, column.name)
    count = rows if ref in filled or ref in same else Figure(FigureKind.VALUES, ref, max_rows)
    if isinstance(node, exp.Count):
        if not distinct:
            return (count,)
        return (units if ref in same else Figure(FigureKind.DISTINCT, ref, max_rows),)
    clamp = bounds.get(ref)
    if clamp is None or distinct or not isinstance(node, (exp.Sum, exp.Avg)):
        return None
    most = max_rows * max(abs(clamp.lower), abs(clamp.upper)) * 10**clamp.decimals
    total = Figure(FigureKind.SUM, ref, most, clamp)
    return (total, count) if isinstance(node, exp.Avg) else (total,)


def _unbounded(node: exp.AggFunc, value: Value, rules: Rules, table: str) -> Refusal:
    argument = node.this
    if isinstance(argument, exp.Column) and isinstance(node, (exp.Sum, exp.Avg)):
        owner = argument.table
        where = owner if isinstance(_rule(rules, owner), DifferentialPrivacy) else table
        return _refusal(
            "PRIVACY_BOUNDS_MISSING",
            rules,
            where,
            clause="SELECT",
            span=value.span,
            column=argument.name,
            field="bounds",
        )
    return _refusal("PRIVACY_AGGREGATE", rules, table, clause="SELECT", span=value.span)


def _rule(rules: Rules, table: str) -> object:
    rule = rules.table(table).rule
    return rule.differential_privacy if isinstance(rule, CustomRule) else None


def _unit(block: Block, tables: list[str], rules: Rules) -> tuple[Ref, frozenset[Ref]]:
    """The unit's column in every row, and all columns that hold the same.

    Raises:
        Refusal: some table with noise is not joined by its unit, or only left-joined.
    """
    units = {table: Ref(table, _privacy(rules, table).column) for table in tables}
    core = [table for table in tables if table in block.tables]
    if not core:
        raise _refusal("PRIVACY_LEFT_JOIN", rules, tables[0], clause="JOIN")
    for ref in units.values():
        if not rules.nulls_told(ref, frozenset()):
            raise _refusal("PRIVACY_UNIT_NULLS", rules, ref.table, clause="FROM", column=ref.column)
    inner = _class(units[core[0]], block.on)
    for table in core:
        if units[table] not in inner:
            raise _refusal("PRIVACY_UNIT_NOT_JOINED", rules, table, clause="JOIN", column=units[table].column)
    same = set(inner)
    for left in block.lefts:
        if left.table not in units:
            continue
        equated = any(
            isinstance(c.node, exp.EQ)
            and units[left.table] in {use.ref for use in c.uses}
            and any(use.ref in inner for use in c.uses)
            for c in left.on
        )
        if not equated:
            ref = units[left.table]
            raise _refusal("PRIVACY_UNIT_NOT_JOINED", rules, ref.table, clause="JOIN", column=ref.column)
    return units[core[0]], frozenset(same)


def _class(start: Ref, conditions: Sequence[Value]) -> frozenset[Ref]:
    """All columns that inner joins equate with one, by equalities that always hold."""
    found = {start}
    pairs = [{use.ref for use in c.uses} for c in conditions if isinstance(c.node, exp.EQ)]
    grown = True
    while grown:
        grown = False
        for pair in pairs:
            if pair & found and not pair <= found:
                found |= pair
                grown = True
    return frozenset(found)


def _domain(block: Block, tables: Iterable[str], rules: Rules) -> tuple[tuple[str, ...], ...] | None:
    public = {Ref(t, p.column_name): p.values for t in tables for p in _privacy(rules, t).public_values}
    found: list[tuple[str, ...]] = []
    for group in block.groups:
        values = None if group.plain is None else public.get(group.plain)
        if values is None:
            return None
        found.append(tuple(sorted(values)))
    return tuple(found) if prod(len(v) for v in found) <= limits.MAX_NOISED_CELLS else None


def _refusal(
    code: str,
    rules: Rules,
    table: str,
    *,
    clause: str,
    span: Span | None = None,
    field: str = "",
    **params: str,
) -> Refusal:
    path = f"tables.{table}.rule.differentialPrivacy" + (f".{field}" if field else "")
    owner = rules.table(table).owner
    return refuse(code, clause=clause, span=span, rule=path, owner=owner, params={"table": table, **params})
