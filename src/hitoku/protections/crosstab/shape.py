# SPDX-License-Identifier: Apache-2.0
"""Whether a question is one that two owners can cross-tabulate privately, and then what each side does in it.

It is recognised from ordinary SQL: one SELECT over two tables of two owners, joined by the columns that hold
the person, conditions each on one side only, grouped by columns with public values, with counts of people and
sums and means of one side's bounded columns. Everything after the figures (HAVING, ORDER BY, LIMIT,
expressions, windows) is computed from the noised table and so costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from hitoku import limits
from hitoku.disclosure.laplace import delta_of_a_figure, dummies_of, two_draws
from hitoku.protections.base import Unsupported
from hitoku.questions.form import Block, Ref, Value
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy
from hitoku.room.agreement import Ability, ProtectionName, Room
from hitoku.room.rules import CustomRule

if TYPE_CHECKING:
    from hitoku.questions.question import Question
    from hitoku.room.agreement import Table

__all__ = ["Shape", "ShapeSide", "recognise"]

# A dummy is masked and raised on both sides, like a person (benchmarks/crosstab.py).
_SECONDS_A_DUMMY: Final = 130e-6


@dataclass(frozen=True, slots=True)
class ShapeSide:
    """What one owner does in a question.

    Attributes:
        table: its table.
        person: the column that holds the person.
        groups: for each of its grouping columns: the place in GROUP BY from 0, the column, its public values,
            sorted.
        conditions: the conditions on its rows.
        sums: the figures that it has the values of; only side B has some.
    """

    table: Table
    person: str
    groups: tuple[tuple[int, str, tuple[str, ...]], ...]
    conditions: tuple[Value, ...]
    sums: tuple[Figure, ...] = ()

    @property
    def owner(self) -> str:
        """Whose side it is."""
        return self.table.owner

    @property
    def cells(self) -> int:
        """How many groups it has; 1 where it groups by nothing."""
        return prod(len(values) for _, _, values in self.groups)


@dataclass(frozen=True, slots=True)
class Shape:
    """A question as private cross statistics.

    Attributes:
        a: the side that joins, adds up and leads the run.
        b: the side that has the values, if any, and the key of their encryption.
        part: the figures, as the plan's noise is for them.
    """

    a: ShapeSide
    b: ShapeSide
    part: Part

    @property
    def cells(self) -> int:
        """How many cells there are: every pair of the two sides' groups."""
        return self.a.cells * self.b.cells


def recognise(question: Question, room: Room) -> Shape | Unsupported:
    """The shape of a question; or why private cross statistics cannot answer it, and what would help."""
    agreed = room.agreement.crosstab
    if ProtectionName.CROSSTAB not in room.agreement.protections or agreed is None:
        return Unsupported(
            "the room does not agree on private cross statistics",
            "agree on a version that lists `crosstab` in its protections and says in `crosstab` how people "
            "are recognised",
        )
    form, privacy = question.form, question.privacy
    if len(form.blocks) != 1 or form.blocks[0].listing or form.tree != 0:
        return Unsupported("private cross statistics answer one SELECT with aggregates", "ask one at a time")
    block = form.blocks[0]
    if block.lefts or len(block.tables) != 2:
        return Unsupported(
            "private cross statistics join two tables, by an inner join",
            "join one table of each of two owners",
        )
    tables = {t.name: t for t in question.sources}
    if privacy is None or len(privacy.accounts) != 2 or len({t.owner for t in tables.values()}) != 2:
        return Unsupported(
            "private cross statistics are of tables of two owners whose rules both ask for noise",
            "both owners' rules need differentialPrivacy",
        )
    outside = [name for name in block.tables if agreed.table(name) is None]
    if outside:
        return Unsupported(
            f"table {outside[0]} is not in the room's private cross statistics",
            f"agree on a version that lists {outside[0]} under `crosstab.tables`",
        )
    part = privacy.parts[0]
    return (
        _joined(block, tables)
        or _public(block, tables, privacy)
        or _bounded(part)
        or _received(tables, room)
        or _sided(block, tables, part)
    )


def _joined(block: Block, tables: dict[str, Table]) -> Unsupported | None:
    """Joined by the two person columns and by nothing else."""
    people = {Ref(name, _person(table)) for name, table in tables.items()}
    plain = len(block.on) == 1 and isinstance(block.on[0].node, exp.EQ)
    if not plain or {use.ref for use in block.on[0].uses} != people or _computed(block.on[0]):
        names = " = ".join(sorted(f"{r.table}.{r.column}" for r in people))
        return Unsupported("private cross statistics join by the person alone", f"join ON {names}")
    return None


def _computed(condition: Value) -> bool:
    return not all(isinstance(side, exp.Column) for side in (condition.node.this, condition.node.expression))


def _public(block: Block, tables: dict[str, Table], privacy: Privacy) -> Unsupported | None:
    """Every cell is computed, empty ones too, so all must be known beforehand and not be too many."""
    sizes: list[int] = []
    for group in block.groups:
        values = {} if group.plain is None else _public_values(tables[group.plain.table])
        column = "" if group.plain is None else group.plain.column
        if column not in values:
            return Unsupported(
                "private cross statistics compute every cell, so all grouping columns need public values",
                "group by columns that have publicValues in their tables' rules",
            )
        sizes.append(len(values[column]))
    cells = prod(sizes)
    if cells <= limits.MAX_NOISED_CELLS:
        return None
    noise, _ = two_draws(privacy, None)
    dummies = cells * dummies_of(noise.users_noise, delta_of_a_figure(privacy))
    hours = dummies * _SECONDS_A_DUMMY / 3_600
    return Unsupported(
        f"{cells:,} cells are more than the {limits.MAX_NOISED_CELLS:,} that are computed: to hide who is in "
        f"them each side would need {dummies:,} dummies, about {hours:,.1f} CPU-hours of both together",
        "group by fewer columns, or by coarser ones",
    )


def _public_values(table: Table) -> dict[str, tuple[str, ...]]:
    rule = table.rule
    privacy = rule.differential_privacy if isinstance(rule, CustomRule) else None
    return {} if privacy is None else {p.column_name: p.values for p in privacy.public_values}


def _bounded(part: Part) -> Unsupported | None:
    if part.max_rows != 1 or part.max_groups != 1:
        return Unsupported(
            "private cross statistics count each person once",
            "agree on maxRowsPerGroup and maxGroups of 1 in both tables' rules",
        )
    other = [f for f in part.figures if f.kind not in {FigureKind.UNITS, FigureKind.SUM}]
    if other:
        counted = "values that may be NULL" if other[0].kind is FigureKind.VALUES else "distinct values"
        return Unsupported(
            "private cross statistics count people and add up bounded columns; a count of "
            f"{counted} is neither",
            "count people, or declare the column as not nullable",
        )
    return None


def _received(tables: dict[str, Table], room: Room) -> Unsupported | None:
    """Both owners learn the noised table while they compute it."""
    owners = {t.owner for t in tables.values()}
    able = {m.name for m in room.agreement.able(Ability.RECEIVE)}
    for table in tables.values():
        rule = table.rule
        if isinstance(rule, CustomRule) and rule.allowed_result_receivers is not None:
            able &= set(rule.allowed_result_receivers)
    lacking = sorted(owners - able)
    if lacking:
        return Unsupported(
            f"both owners learn the result of private cross statistics, and {lacking[0]} may not receive it",
            f"agree that {lacking[0]} receives answers about both tables",
        )
    return None


def _sided(block: Block, tables: dict[str, Table], part: Part) -> Shape | Unsupported:
    first, second = (tables[name] for name in sorted(tables))
    summed = {f.column.table for f in part.figures if f.column is not None and f.kind is FigureKind.SUM}
    if len(summed) > 1:
        return Unsupported(
            "private cross statistics add up columns of one of the two owners",
            "ask for the other owner's sums in a question of their own",
        )
    if summed == {first.name}:
        first, second = second, first
    sides = []
    for table in (first, second):
        groups = []
        for place, (group, values) in enumerate(zip(block.groups, part.domain or (), strict=True)):
            if group.plain is not None and group.plain.table == table.name:
                groups.append((place, group.plain.column, values))
        conditions = tuple(c for c in block.where if {u.ref.table for u in c.uses} == {table.name})
        sides.append(ShapeSide(table, _person(table), tuple(groups), conditions))
    if any(len({u.ref.table for u in c.uses}) != 1 for c in block.where):
        return Unsupported(
            "each condition must be on one owner's table alone, for no owner sees the other's rows",
            "split the condition, or group by what it compares",
        )
    sums = tuple(f for f in part.figures if f.kind is FigureKind.SUM)
    a, b = sides
    if len(sums) > limits.MAX_CROSSTAB_SUMS:
        return Unsupported(
            f"private cross statistics add up at most {limits.MAX_CROSSTAB_SUMS} columns at a time",
            "ask for some of them in a question of their own",
        )
    for figure in sums:
        column = None if figure.column is None else b.table.column(figure.column.column)
        if column is not None and column.nullable:
            return Unsupported(
                f"private cross statistics give every person one value, and {b.table.name}.{column.name} may "
                "be NULL",
                "declare the column as not nullable",
            )
    return Shape(a, ShapeSide(b.table, b.person, b.groups, b.conditions, sums), part)


def _person(table: Table) -> str:
    rule = table.rule
    if not isinstance(rule, CustomRule) or rule.differential_privacy is None:
        return ""  # the checker has refused a question whose tables differ in this
    return rule.differential_privacy.column
