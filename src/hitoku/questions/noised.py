# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""The SQL of noised questions: exact figures with bounded contributions, and what follows the noise.

Two texts. `figures_text` runs on the tables: per group whole numbers, each of which one unit changes by at
most `Figure.most` in at most `Part.max_groups` groups (the argument is in `hitoku.questions.privacy`).
Nothing else of the question is in it: no HAVING, no expression of aggregates, no order, no limit.
`answer_text` runs on the noised figures and has all of these; it is post-processing, which costs nothing and
tells nothing more.

Bounding. Rows of a unit beyond `max_rows` in a group, and groups beyond `max_groups`, are left out in the
order of a hash of the unit's own rows: which are kept depends on no other unit, is the same each time, and
favours no value. Sums are of whole numbers: each row's value is clamped as a decimal, then scaled; the sum is
computed in 128 bits, where it cannot overflow (a row counts at most 2^53), and cut to 62 bits, which no unit
can make larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlglot import exp

from hitoku.questions.form import Block, Combined, Family, Form, Item, Value
from hitoku.questions.layers import Layers
from hitoku.questions.names import quoted
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy
from hitoku.questions.render import rows_text, sql_of
from hitoku.questions.running import execution_text
from hitoku.questions.totals import key_text, total
from hitoku.room.rules import ColumnBounds

__all__ = ["HIGH", "LOW", "PART", "answer_text", "figures_text", "key_name", "key_sql", "value_sql"]

PART: Final = "_hitoku_part"
"""The column that says which branch a row of figures is of, from 1."""
LOW: Final = "_hitoku_low_"
HIGH: Final = "_hitoku_high_"
"""Beginnings of the columns with the band of an output, by its place from 1."""
_CAP: Final = 2**62
_KEY_CHARS: Final = 256


def key_name(part: int, place: int) -> str:
    """The column of a branch's grouping value; both count from 1."""
    return f"_hitoku_g{part}_{place}"


# --- before the noise ---


def figures_text(form: Form, privacy: Privacy, least_units: int) -> str:
    """The SQL that the protection runs: one row per group and branch, its keys and figures.

    Args:
        form: the question.
        privacy: its figures.
        least_units: groups of fewer units are left out, where groups are not public.
    """
    layers: list[str] = []
    selects: list[str] = []
    for n, (block, part) in enumerate(zip(form.blocks, privacy.parts, strict=True), 1):
        layers += _bounded(n, block, part)
        selects.append(_figures(n, block, part, least_units))
    return f"WITH {', '.join(layers)} {' UNION ALL BY NAME '.join(selects)}"


def _bounded(n: int, block: Block, part: Part) -> list[str]:
    """The branch's rows, at most `max_rows` a unit and group, at most `max_groups` groups a unit."""
    keys = [f"g{i}" for i in range(1, len(block.groups) + 1)]
    columns = [f"{quoted(part.unit.table)}.{quoted(part.unit.column)} AS u"]
    columns += [f"{key_sql(g)} AS {k}" for g, k in zip(block.groups, keys, strict=True)]
    values: list[str] = []
    for place, figure in enumerate(part.figures, 1):
        if figure.column is not None:
            values.append(f"v{place}")
            columns.append(f"{value_sql(figure)} AS v{place}")
    kept = "u IS NOT NULL"
    if part.domain is not None:
        for key, domain in zip(keys, part.domain, strict=True):
            kept += f" AND {key} IN ({', '.join(_literal(v) for v in domain)})"
    group = ", ".join(["u", *keys])
    own = ", ".join([*values, "u"])
    rank = f"ROW_NUMBER() OVER (PARTITION BY {group} ORDER BY HASH({own}), {own})"
    layers = [
        f"_hitoku_rows{n} AS (SELECT {', '.join(columns)} {rows_text(block, total)})",
        f"_hitoku_few{n} AS (SELECT *, {rank} AS i FROM _hitoku_rows{n} WHERE {kept})",
    ]
    source = f"(SELECT * FROM _hitoku_few{n} WHERE i <= {part.max_rows})"
    if keys:
        order = f"HASH({group}), {', '.join(f'{k} NULLS LAST' for k in keys)}"
        source = (
            f"(SELECT * FROM (SELECT *, DENSE_RANK() OVER (PARTITION BY u ORDER BY {order}) AS j "
            f"FROM {source}) WHERE j <= {part.max_groups})"
        )
    layers.append(f"_hitoku_kept{n} AS (SELECT * FROM {source})")
    return layers


def key_sql(group: Value) -> str:
    """A grouping value; of long texts the beginning, so that a result's size tells little of its groups."""
    text = key_text(group)
    return f"LEFT({text}, {_KEY_CHARS})" if group.family is Family.STRING else text


def _figures(n: int, block: Block, part: Part, least_units: int) -> str:
    keys = [f"g{i}" for i in range(1, len(block.groups) + 1)]
    made = [f"{key} AS {key_name(n, i)}" for i, key in enumerate(keys, 1)]
    made += [f"{_computed(figure, i)} AS _hitoku_f{i}" for i, figure in enumerate(part.figures, 1)]
    text = f"SELECT {n} AS {PART}, {', '.join(made)} FROM _hitoku_kept{n}"
    if not keys:
        return text
    text += " GROUP BY " + ", ".join(keys)
    if part.domain is None:
        return f"{text} HAVING COUNT(DISTINCT u) >= {least_units}"
    domains = [
        f"(SELECT UNNEST([{', '.join(_literal(v) for v in domain)}]) AS {key_name(n, i)})"
        for i, domain in enumerate(part.domain, 1)
    ]
    figures = [f"COALESCE(_hitoku_f{i}, 0) AS _hitoku_f{i}" for i in range(1, len(part.figures) + 1)]
    names = [key_name(n, i) for i in range(1, len(keys) + 1)]
    return (
        f"SELECT {n} AS {PART}, {', '.join([*names, *figures])} FROM {' CROSS JOIN '.join(domains)} "
        f"LEFT JOIN ({text}) USING ({', '.join(names)})"
    )


def _literal(value: str) -> str:
    return exp.Literal.string(value).sql(dialect="duckdb")


def value_sql(figure: Figure) -> str:
    """What a row brings to a figure: for sums a whole number within its bounds; NULL where it has none."""
    if figure.column is None:
        raise AssertionError("units and rows have no column")
    column = f"{quoted(figure.column.table)}.{quoted(figure.column.column)}"
    return column if figure.bounds is None else _clamped(column, figure.bounds)


def _clamped(column: str, bounds: ColumnBounds) -> str:
    """A row's whole number for a sum: clamped first, then scaled, then held within the clamp again."""
    scale = 10**bounds.decimals
    low, high = bounds.lower * scale, bounds.upper * scale
    # Inside the bounds 13 digits before the point are enough; NaN is larger than everything.
    decimal = f"ROUND(TRY_CAST({column} AS DECIMAL(19, 6)), {bounds.decimals})"
    whole = f"TRY_CAST({decimal} * {scale}::DECIMAL(7, 0) AS HUGEINT)"
    limited = f"LEAST(GREATEST(COALESCE({whole}, {low}), {low}), {high})"
    return (
        f"CASE WHEN {column} IS NULL THEN NULL WHEN {column} >= {bounds.upper} THEN {high} "
        f"WHEN {column} <= {bounds.lower} THEN {low} ELSE {limited} END::HUGEINT"
    )


def _computed(figure: Figure, place: int) -> str:
    match figure.kind:
        case FigureKind.UNITS:
            return "COUNT(DISTINCT u)"
        case FigureKind.ROWS:
            return "COUNT(*)"
        case FigureKind.VALUES:
            return f"COUNT(v{place})"
        case FigureKind.DISTINCT:
            return f"COUNT(DISTINCT v{place})"
        case FigureKind.SUM:
            return f"LEAST(GREATEST(COALESCE(SUM(v{place}), 0), {-_CAP}), {_CAP})::BIGINT"


# --- after the noise ---


def answer_text(
    form: Form, privacy: Privacy, single: Sequence[Sequence[int]], paired: Sequence[Sequence[int]]
) -> tuple[str, tuple[bool, ...]]:
    """The SQL that runs on tables ``_hitoku_p1``... of noised figures, with bands behind the outputs.

    Args:
        form: the question.
        privacy: its figures.
        single: half-width of the band of each figure of each branch, in the figure's units.
        paired: the same, so wide that two figures are within theirs together.

    Returns:
        The text, and for each output whether it has a band: columns ``LOW`` and ``HIGH`` and its place.
    """
    plain = not isinstance(form.tree, Combined) or form.tree.kind == "UNION ALL"
    places = range(len(form.blocks[0].items))
    banded = tuple(
        plain and any(isinstance(b.items[i].value.node, exp.AggFunc) for b in form.blocks) for i in places
    )
    bands = [
        Item(f"{name}{i + 1}", _read(f"{name}{i + 1}")) for i in places if banded[i] for name in (LOW, HIGH)
    ]
    blocks = tuple(replace(block, items=(*block.items, *bands)) for block in form.blocks)

    def groups(number: int, split: Layers) -> str:
        n = number - 1
        made = _Noised(number, form.blocks[n], privacy.parts[n], single[n], paired[n])
        return made.groups(split, banded)

    return execution_text(replace(form, blocks=blocks), (), groups), banded


def _read(name: str) -> Value:
    return Value(exp.Column(this=exp.Identifier(this=name, quoted=True)), Family.NUMBER)


@dataclass(frozen=True, slots=True)
class _Noised:
    """One branch after the noise: the layer of groups, its aggregates made from figures."""

    number: int
    block: Block
    part: Part
    single: Sequence[int]
    paired: Sequence[int]

    def groups(self, split: Layers, banded: Sequence[bool]) -> str:
        """SELECT grouping values, aggregates and the bands of outputs that are one aggregate."""
        columns = [f"{key_name(self.number, i)} AS g{i}" for i in range(1, len(self.block.groups) + 1)]
        columns += [f"{self._value(text)} AS a{n}" for n, text in enumerate(split.aggregates, 1)]
        for place, has in enumerate(banded, 1):
            if has:
                node = self.block.items[place - 1].value.node
                low, high = self._band(sql_of(node)) if isinstance(node, exp.AggFunc) else ("NULL", "NULL")
                columns += [f"{low} AS {quoted(f'{LOW}{place}')}", f"{high} AS {quoted(f'{HIGH}{place}')}"]
        return f"SELECT {', '.join(columns)} FROM _hitoku_p{self.number}"

    def _places(self, text: str) -> tuple[int, ...]:
        return dict(self.part.made_of)[text]

    def _figure(self, place: int, by: int) -> str:
        """A figure in its own units, moved by so many whole units."""
        figure = self.part.figures[place]
        moved = f"(_hitoku_f{place + 1}::HUGEINT + {by})"
        if not figure.decimals:
            return moved
        return f"({moved}::DECIMAL(38, 0) / {10**figure.decimals})"

    def _value(self, text: str) -> str:
        places = self._places(text)
        if len(places) == 1:
            return self._typed(places[0], 0)
        return self._mean(places, 0, 0)

    def _typed(self, place: int, by: int) -> str:
        """A figure as the type that the exact one would have."""
        figure = self.part.figures[place]
        if figure.kind is not FigureKind.SUM:
            return f"(_hitoku_f{place + 1} + {by})"
        moved = f"(_hitoku_f{place + 1}::HUGEINT + {by})"
        if not figure.decimals:
            return moved
        # Times 10 ** -decimals as a decimal: a division would be in floating point.
        unit = f"0.{'0' * (figure.decimals - 1)}1::DECIMAL(7, {figure.decimals})"
        return f"({moved}::DECIMAL(25, 0) * {unit})"

    def _mean(self, places: tuple[int, ...], up: int, down: int) -> str:
        """Noised sum by noised count, moved by so much, clamped; NULL where the count is below one."""
        total_, count = places
        bounds = self.part.figures[total_].bounds
        low, high = (0, 0) if bounds is None else (bounds.lower, bounds.upper)
        counted = f"(_hitoku_f{count + 1} + {down})"
        mean = f"{self._figure(total_, up)}::DOUBLE / {counted}::DOUBLE"
        return f"CASE WHEN {counted} >= 1 THEN LEAST(GREATEST({mean}, {low}), {high}) END"

    def _band(self, text: str) -> tuple[str, str]:
        """Lowest and highest value that the exact figures have with 95 % confidence."""
        places = self._places(text)
        if len(places) == 1:
            width = self.single[places[0]]
            return self._typed(places[0], -width), self._typed(places[0], width)
        sums, counts = self.paired[places[0]], self.paired[places[1]]
        corners = [self._mean(places, up, down) for up in (-sums, sums) for down in (-counts, counts)]
        # With no person left in the lowest count the mean is unknown.
        known = f"_hitoku_f{places[1] + 1} - {counts} >= 1"
        return tuple(  # type: ignore[return-value]
            f"CASE WHEN {known} THEN {pick}({', '.join(corners)}) END" for pick in ("LEAST", "GREATEST")
        )
