# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""From normal form to SQL: the text that names the question, and the text that runs.

The running text has the same answer and three things more: a hidden column for each threshold, TRY
around whatever can fail on some value, and HAVING and LIMIT that act only on groups which pass the
thresholds. Groups that do not pass stay in, whatever HAVING says of them; so how many are withheld tells
nothing about their sums, and a withheld group takes no place of a LIMIT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from hitoku.questions.form import Block, Form, Order, Ref, Value
from hitoku.questions.layers import Layers
from hitoku.questions.names import quoted

if TYPE_CHECKING:
    from hitoku.questions.question import UnitConstraint

__all__ = ["execution_text", "normal_text", "unit_count"]

_BOOLEAN: Final = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
    *(exp.In, exp.Is, exp.Like, exp.Paren),
)
_SAFE: Final = (exp.Column, exp.Literal, exp.Boolean, exp.Null, exp.AggFunc, exp.TryCast)


Writer = Callable[[exp.Expr], str]


def _sql(node: exp.Expr) -> str:
    return node.sql(dialect="duckdb")


# --- the normal form as text ---


def normal_text(form: Form) -> str:
    """The question's normal form: one SELECT, or several under UNION ALL, in DuckDB's dialect."""
    text = " UNION ALL ".join(_block(block, _sql) for block in form.blocks)
    if form.order:
        text += " ORDER BY " + ", ".join(_ordered(_sql(key.value.node), key) for key in form.order)
    if form.limit is not None:
        text += f" LIMIT {form.limit}"
    return text + (f" OFFSET {form.offset}" if form.offset else "")


def _block(block: Block, write: Writer) -> str:
    items = ", ".join(f"{write(item.value.node)} AS {quoted(item.name)}" for item in block.items)
    text = f"SELECT {'DISTINCT ' if block.listing else ''}{items} {_rows(block, write)}"
    if block.groups:
        text += " GROUP BY " + ", ".join(write(group.node) for group in block.groups)
    if block.having:
        text += " HAVING " + _all(block.having, write)
    return text


def _rows(block: Block, write: Writer) -> str:
    text = f"FROM {quoted(block.tables[0])}"
    waiting = list(block.on)
    placed = {block.tables[0]}
    for table in block.tables[1:]:
        placed.add(table)
        ready = [c for c in waiting if {use.ref.table for use in c.uses} <= placed]
        waiting = [c for c in waiting if c not in ready]
        text += f" JOIN {quoted(table)} ON {_all(ready, write)}"
    for left in block.lefts:
        text += f" LEFT JOIN {quoted(left.table)} ON {_all(left.on, write)}"
    if block.where:
        text += " WHERE " + _all(block.where, write)
    return text


def _all(values: Sequence[Value], write: Writer) -> str:
    return " AND ".join(
        f"({write(value.node)})" if isinstance(value.node, exp.Or) else write(value.node) for value in values
    )


def _ordered(text: str, key: Order) -> str:
    return f"{text}{' DESC' if key.descending else ''} NULLS {'FIRST' if key.nulls_first else 'LAST'}"


# --- the running text ---


def _total(node: exp.Expr) -> str:
    """A node as SQL that fails on no value: whatever could is NULL there."""
    return _sql(_tried(node.copy()))


def _tried(node: exp.Expr) -> exp.Expr:
    if isinstance(node, _SAFE):
        return node
    if isinstance(node, _BOOLEAN):
        for key, part in list(node.args.items()):
            if isinstance(part, exp.Expr):
                node.set(key, _tried(part))
            elif isinstance(part, list):
                node.set(key, [_tried(p) if isinstance(p, exp.Expr) else p for p in part])
        return node
    if not any(True for _ in node.find_all(exp.Column)):
        return node
    return exp.Anonymous(this="TRY", expressions=[node])


def unit_count(table: str, column: str) -> str:
    """How many distinct units an output row rests on."""
    return f"COUNT(DISTINCT {quoted(table)}.{quoted(column)})"


def execution_text(form: Form, constraints: Sequence[UnitConstraint]) -> str:
    """The SQL that runs: the question's outputs, then one hidden column per constraint."""
    if form.blocks[0].listing:
        return _listing_text(form)
    layers = [part for n, block in enumerate(form.blocks, 1) for part in _layers(n, block, form, constraints)]
    cells = " UNION ALL ".join(f"SELECT * FROM _hitoku_c{n}" for n in range(1, len(form.blocks) + 1))
    passes = " AND ".join(f"{c.alias} >= {c.minimum}" for c in constraints) or "TRUE"
    layers.append(f"_hitoku_cells AS ({cells})")
    layers.append(f"_hitoku_marked AS (SELECT *, ({passes}) AS _hitoku_ok FROM _hitoku_cells)")
    names = [item.name for item in form.blocks[0].items]
    keys = [_ordered(f"_hitoku_s{n}", key) for n, key in enumerate(form.order, 1)]
    keys += [f"_hitoku_o{n} NULLS LAST" for n in range(1, len(names) + 1)]
    rank = f"ROW_NUMBER() OVER (PARTITION BY _hitoku_ok ORDER BY {', '.join(keys)})"
    layers.append(
        f"_hitoku_ranked AS (SELECT *, {rank} AS _hitoku_r FROM _hitoku_marked "
        "WHERE NOT _hitoku_ok OR _hitoku_h)"
    )
    outputs = [f"_hitoku_o{n} AS {quoted(name)}" for n, name in enumerate(names, 1)]
    outputs += [c.alias for c in constraints]
    text = f"WITH {', '.join(layers)} SELECT {', '.join(outputs)} FROM _hitoku_ranked"
    window = _window(form)
    if window:
        text += f" WHERE NOT _hitoku_ok OR ({window})"
    return text + " ORDER BY _hitoku_ok DESC, _hitoku_r"


def _window(form: Form) -> str:
    parts = [f"_hitoku_r > {form.offset}"] if form.offset else []
    if form.limit is not None:
        parts.append(f"_hitoku_r <= {form.offset + form.limit}")
    return " AND ".join(parts)


def _layers(number: int, block: Block, form: Form, constraints: Sequence[UnitConstraint]) -> list[str]:
    """Two layers of one block: per group (g, a, units), then outputs and what HAVING and ORDER BY say."""
    split = Layers(block.groups)
    outputs = [
        f"{_total(split.upper(item.value.node))} AS _hitoku_o{n}" for n, item in enumerate(block.items, 1)
    ]
    sorts = [
        f"{_total(split.upper(_of(block, form, key.value).node))} AS _hitoku_s{n}"
        for n, key in enumerate(form.order, 1)
    ]
    having = " AND ".join(f"COALESCE({_total(split.upper(value.node))}, FALSE)" for value in block.having)
    first = [f"{_total(group.node)} AS g{n}" for n, group in enumerate(block.groups, 1)]
    first += [f"{_sql(node)} AS a{n}" for n, node in enumerate(split.aggregates.values(), 1)]
    inside = set(block.all_tables)
    same = _representatives(block)
    for c in constraints:
        ref = same.get(Ref(c.table, c.column), Ref(c.table, c.column))
        count = unit_count(ref.table, ref.column) if c.table in inside else str(c.minimum)
        first.append(f"{count} AS {c.alias}")
    text = f"SELECT {', '.join(first)} {_rows(block, _total)}"
    if block.groups:
        text += " GROUP BY " + ", ".join(str(n) for n in range(1, len(block.groups) + 1))
    units = [c.alias for c in constraints]
    second = [*outputs, *sorts, *units, f"{having or 'TRUE'} AS _hitoku_h"]
    return [
        f"_hitoku_b{number} AS ({text})",
        f"_hitoku_c{number} AS (SELECT {', '.join(second)} FROM _hitoku_b{number})",
    ]


def _representatives(block: Block) -> dict[Ref, Ref]:
    """One column for all that inner joins equate: they hold the same values in every row; one count serves.

    Only conditions that are an equality and nothing else equate; under OR either side may differ.
    """
    same: dict[Ref, Ref] = {}

    def root(ref: Ref) -> Ref:
        while same.get(ref, ref) != ref:
            ref = same[ref]
        return ref

    for condition in block.on:
        if isinstance(condition.node, exp.EQ):
            first, *others = sorted(root(use.ref) for use in condition.uses)
            for other in others:
                same[other] = first
    return {ref: root(ref) for ref in same}


def _of(block: Block, form: Form, value: Value) -> Value:
    """An ORDER BY key in a block: itself, or the block's output of that name where blocks are united."""
    if len(form.blocks) == 1:
        return value
    name = value.node.name
    return next(item.value for item in block.items if item.name == name)


def _listing_text(form: Form) -> str:
    text = " UNION ALL ".join(_block(block, _total) for block in form.blocks)
    keys = [_ordered(_total(key.value.node), key) for key in form.order]
    keys += [f"{quoted(item.name)} NULLS LAST" for item in form.blocks[0].items]
    text += " ORDER BY " + ", ".join(keys)
    if form.limit is not None:
        text += f" LIMIT {form.limit}"
    return text + (f" OFFSET {form.offset}" if form.offset else "")
