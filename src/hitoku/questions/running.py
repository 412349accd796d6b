# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""From normal form to SQL: the text that runs.

It has the normal form's answer and three things more: hidden columns for each threshold, TRY around whatever
can fail on some value, and HAVING, window functions, set operations and LIMIT that act only on groups which
pass the thresholds. A withheld group takes no place of a LIMIT, and of a result's size.

Of the groups that do not pass, only one number a threshold comes out, beside every row: how many distinct
units they rest on *together*, whatever HAVING says of them. It is a lower bound: a unit sets one of 127 bits
by its hash, and the bits of the union are counted. A branch without the threshold's table adds none.

Why window functions and set operations tell nothing of a withheld group. Let R be the groups of a branch that
pass every threshold and HAVING: what would be released if the branch were asked alone, which its rules allow.
A window function is computed in partitions of their own for R and the rest, so its value in a row of R is a
function of R. A set operation reads the R of each branch and nothing else, so its rows are a function of
these. Both could be computed by the asker from answers it may have; nothing of another group enters.
EXCEPT and INTERSECT thus compare released rows: a row that the second branch withholds counts as not there.
What EXCEPT or INTERSECT leaves out is not withheld; the units of "the rest" are those of the groups below a
threshold of any branch, whatever the set operation then made of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from hitoku.questions.form import Block, Combined, Form, Ref, Tree
from hitoku.questions.layers import Layers
from hitoku.questions.names import quoted
from hitoku.questions.render import ordered, rows_text, select_text, sql_of
from hitoku.questions.totals import total, window_text

if TYPE_CHECKING:
    from hitoku.questions.question import UnitConstraint

__all__ = ["REST", "execution_text", "unit_count"]

REST: Final = "_rest"
"""Ending of the hidden column with the number of units that all withheld groups rest on together."""


def unit_count(table: str, column: str) -> str:
    """How many distinct units an output row rests on."""
    return f"COUNT(DISTINCT {quoted(table)}.{quoted(column)})"


def _mask(table: str, column: str) -> str:
    """A set of the units of a group, as 127 bits."""
    unit = f"{quoted(table)}.{quoted(column)}"
    return f"BIT_OR(1::UHUGEINT << (HASH({unit}) % 127)::UHUGEINT) FILTER (WHERE {unit} IS NOT NULL)"


def execution_text(form: Form, constraints: Sequence[UnitConstraint]) -> str:
    """The SQL that runs: the question's outputs, then one hidden column per constraint."""
    if form.blocks[0].listing:
        return _listing_text(form)
    passes = " AND ".join(f"{c.alias} >= {c.minimum}" for c in constraints) or "TRUE"
    layers = [
        layer
        for n, block in enumerate(form.blocks, 1)
        for layer in _Branch(n, block, form, constraints, passes).layers()
    ]
    names = [item.name for item in form.blocks[0].items]
    cells = "_hitoku_c1"
    if isinstance(form.tree, Combined):
        columns = [*(f"_hitoku_o{n}" for n in range(1, len(names) + 1)), *(c.alias for c in constraints)]
        layers.extend(_combined(form, columns, passes))
        cells = "_hitoku_cells"
    layers.append(f"_hitoku_marked AS (SELECT *, ({passes}) AS _hitoku_ok FROM {cells})")
    keys = [ordered(text, key) for text, key in zip(_sorts(form, names), form.order, strict=True)]
    keys += [f"_hitoku_o{n} NULLS LAST" for n in range(1, len(names) + 1)]
    rank = f"ROW_NUMBER() OVER (PARTITION BY _hitoku_ok ORDER BY {', '.join(keys)})"
    layers.append(
        f"_hitoku_ranked AS (SELECT *, {rank} AS _hitoku_r FROM _hitoku_marked "
        "WHERE NOT _hitoku_ok OR _hitoku_h)"
    )
    outputs = [f"_hitoku_o{n} AS {quoted(name)}" for n, name in enumerate(names, 1)]
    outputs += [c.alias for c in constraints]
    shown = " AND ".join(["_hitoku_ok", *filter(None, [_limited(form)])])
    if not constraints:
        text = f"WITH {', '.join(layers)} SELECT {', '.join(outputs)} FROM _hitoku_ranked WHERE {shown}"
        return text + " ORDER BY _hitoku_r"
    layers.append(_rest(form, constraints, passes))
    # The left side is one row, so what is known of the rest comes out where no group passes, too.
    outputs += [f"{c.alias}{REST}" for c in constraints]
    return (
        f"WITH {', '.join(layers)} SELECT {', '.join(outputs)} FROM _hitoku_rest LEFT JOIN "
        f"(SELECT * FROM _hitoku_ranked WHERE {shown}) ON TRUE ORDER BY _hitoku_r"
    )


def _rest(form: Form, constraints: Sequence[UnitConstraint], passes: str) -> str:
    masks = ", ".join(f"{c.alias}_m" for c in constraints)
    cells = " UNION ALL ".join(
        f"SELECT {masks} FROM _hitoku_c{n} WHERE NOT ({passes})" for n in range(1, len(form.blocks) + 1)
    )
    counts = ", ".join(
        f"COALESCE(BIT_COUNT(BIT_OR({c.alias}_m)::HUGEINT), 0) AS {c.alias}{REST}" for c in constraints
    )
    return f"_hitoku_rest AS (SELECT {counts} FROM ({cells}))"


def _sorts(form: Form, names: list[str]) -> list[str]:
    """The columns that ORDER BY reads; of a set operation its outputs only."""
    if not isinstance(form.tree, Combined):
        return [f"_hitoku_s{n}" for n in range(1, len(form.order) + 1)]
    return [f"_hitoku_o{names.index(key.value.node.name) + 1}" for key in form.order]


def _limited(form: Form) -> str:
    parts = [f"_hitoku_r > {form.offset}"] if form.offset else []
    if form.limit is not None:
        parts.append(f"_hitoku_r <= {form.offset + form.limit}")
    return " AND ".join(parts)


# --- set operations ---


def _combined(form: Form, columns: list[str], passes: str) -> list[str]:
    """Set operations over each branch's released rows, and nothing else."""
    listed = ", ".join(columns)
    outputs = len(form.blocks[0].items)
    layers: list[str] = []

    def made(tree: Tree) -> str:
        if not isinstance(tree, Combined):
            return f"SELECT {listed} FROM _hitoku_c{tree + 1} WHERE ({passes}) AND _hitoku_h"
        parts = [made(part) for part in tree.parts]
        name = f"_hitoku_t{len(layers) + 1}"
        if tree.kind == "UNION ALL":
            layers.append(f"{name} AS ({' UNION ALL '.join(parts)})")
            return f"SELECT {listed} FROM {name}"
        sides = " UNION ALL ".join(
            f"SELECT *, {n} AS _hitoku_b FROM ({part})" for n, part in enumerate(parts)
        )
        # A row that several branches have rests on the fewest units that one of them counted.
        kept = [*columns[:outputs], *(f"MIN({alias}) AS {alias}" for alias in columns[outputs:])]
        text = f"SELECT {', '.join(kept)} FROM ({sides}) GROUP BY {', '.join(columns[:outputs])}"
        if tree.kind == "INTERSECT":
            text += f" HAVING COUNT(DISTINCT _hitoku_b) = {len(parts)}"
        elif tree.kind == "EXCEPT":
            text += " HAVING MAX(_hitoku_b) = 0"
        layers.append(f"{name} AS ({text})")
        return f"SELECT {listed} FROM {name}"

    released = made(form.tree)
    return [*layers, f"_hitoku_cells AS (SELECT *, TRUE AS _hitoku_h FROM ({released}))"]


# --- one branch ---


class _Branch:
    """One SELECT in layers: per group (g, a, units), window functions (w), then outputs and sort keys."""

    def __init__(
        self, number: int, block: Block, form: Form, constraints: Sequence[UnitConstraint], passes: str
    ) -> None:
        self._number = number
        self._block = block
        self._form = form
        self._constraints = constraints
        self._passes = passes

    def layers(self) -> list[str]:
        """The branch's common table expressions; the last one, ``_hitoku_c`` and its number, is its cells."""
        number, block = self._number, self._block
        split = Layers(block.groups)
        outputs = [
            f"{total(split.upper(item.value.node))} AS _hitoku_o{n}" for n, item in enumerate(block.items, 1)
        ]
        if not isinstance(self._form.tree, Combined):
            outputs += [
                f"{total(split.upper(key.value.node))} AS _hitoku_s{n}"
                for n, key in enumerate(self._form.order, 1)
            ]
        having = [f"COALESCE({total(split.upper(value.node))}, FALSE)" for value in block.having]
        units = [name for c in self._constraints for name in (c.alias, f"{c.alias}_m")]
        made = [f"_hitoku_b{number} AS ({self._groups(split)})"]
        source = f"_hitoku_b{number}"
        if split.windows:
            kept = " AND ".join([f"({self._passes})", *having])
            made.append(f"_hitoku_k{number} AS (SELECT *, ({kept}) AS _hitoku_k FROM {source})")
            windows = [
                f"{window_text(window, len(block.groups))} AS w{n}"
                for n, window in enumerate(split.windows.values(), 1)
            ]
            source = f"_hitoku_w{number}"
            made.append(f"{source} AS (SELECT *, {', '.join(windows)} FROM _hitoku_k{number})")
        last = [*outputs, *units, f"{' AND '.join(having) or 'TRUE'} AS _hitoku_h"]
        # The cells are read twice, for what passes and for the rest; they are computed once.
        kind = "AS MATERIALIZED" if self._constraints else "AS"
        return [*made, f"_hitoku_c{number} {kind} (SELECT {', '.join(last)} FROM {source})"]

    def _groups(self, split: Layers) -> str:
        """What is computed per group, by the engine's own GROUP BY."""
        block = self._block
        first = [f"{total(group.node)} AS g{n}" for n, group in enumerate(block.groups, 1)]
        first += [f"{sql_of(node)} AS a{n}" for n, node in enumerate(split.aggregates.values(), 1)]
        inside = set(block.all_tables)
        same = _representatives(block)
        for c in self._constraints:
            ref = same.get(Ref(c.table, c.column), Ref(c.table, c.column))
            count = unit_count(ref.table, ref.column) if c.table in inside else str(c.minimum)
            mask = _mask(ref.table, ref.column) if c.table in inside else "0::UHUGEINT"
            first += [f"{count} AS {c.alias}", f"{mask} AS {c.alias}_m"]
        text = f"SELECT {', '.join(first)} {rows_text(block, total)}"
        if block.groups:
            text += " GROUP BY " + ", ".join(str(n) for n in range(1, len(block.groups) + 1))
        return text


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


def _listing_text(form: Form) -> str:
    text = select_text(form.blocks[0], total)
    keys = [ordered(total(key.value.node), key) for key in form.order]
    keys += [f"{quoted(item.name)} NULLS LAST" for item in form.blocks[0].items]
    text += " ORDER BY " + ", ".join(keys)
    if form.limit is not None:
        text += f" LIMIT {form.limit}"
    return text + (f" OFFSET {form.offset}" if form.offset else "")
