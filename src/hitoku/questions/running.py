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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from hitoku.questions.expressions import comparable
from hitoku.questions.form import Block, Combined, Family, Form, Ref, Tree
from hitoku.questions.layers import Layers
from hitoku.questions.names import quoted
from hitoku.questions.render import ordered, rows_text, select_text
from hitoku.questions.totals import (
    aggregate_text,
    as_double,
    key_text,
    number_text,
    rounded,
    total,
    window_text,
)
from hitoku.questions.units import counted_units, passing, unit_masks

if TYPE_CHECKING:
    from hitoku.questions.question import UnitConstraint

__all__ = ["REST", "TOTAL", "Release", "execution_text", "summarised"]

REST: Final = "_rest"
"""Ending of the hidden column with the number of units that all withheld groups rest on together."""
TOTAL: Final = "_hitoku_total_"
"""Beginning of the hidden column with the total of an output, by its place, over all withheld groups."""


@dataclass(frozen=True, slots=True)
class Release:
    """How the room lets answers out, as far as it shows in the SQL.

    Attributes:
        round_counts: every count is rounded to the nearest multiple of it, halves up, where it is computed:
            no expression, HAVING, window function or ORDER BY sees another. Thresholds read exact ones.
        summary: whether the totals of all withheld groups together are wanted.
        withheld: by a block's place, the numbers of groups that secondary suppression withholds; None: all.
        inexact: columns of floating-point numbers, whose sums would otherwise tell of the rows' order.
    """

    round_counts: int = 1
    summary: bool = False
    withheld: Mapping[int, frozenset[int] | None] = field(default_factory=dict)
    inexact: frozenset[Ref] = frozenset()


def execution_text(
    form: Form,
    constraints: Sequence[UnitConstraint],
    groups: Callable[[int, Layers], str] | None = None,
    release: Release | None = None,
) -> str:
    """The SQL that runs: the question's outputs, then one hidden column per constraint.

    Args:
        form: the question.
        constraints: the thresholds.
        groups: writes the layer of groups of a branch (counted from 1) where that is not the tables' rows.
        release: how answers leave; exact, and without a summary, where None.
    """
    if form.blocks[0].listing:
        return _listing_text(form)
    release = release or Release()
    passes = passing(constraints)
    layers = [
        layer
        for n, block in enumerate(form.blocks, 1)
        for layer in _Branch(n, block, form, constraints, passes, groups, release).layers()
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
    totals = summarised(form) if release.summary else ()
    layers.append(_rest(form, constraints, passes, totals, release.round_counts))
    # The left side is one row, so what is known of the rest comes out where no group passes, too.
    outputs += [f"{c.alias}{REST}" for c in constraints]
    outputs += [f"{TOTAL}{place}" for place in totals]
    return (
        f"WITH {', '.join(layers)} SELECT {', '.join(outputs)} FROM _hitoku_rest LEFT JOIN "
        f"(SELECT * FROM _hitoku_ranked WHERE {shown}) ON TRUE ORDER BY _hitoku_r"
    )


def summarised(form: Form) -> tuple[int, ...]:
    """The places of the outputs that a summary has: COUNT and SUM of one SELECT, without DISTINCT.

    Groups of several branches may be parts of one another. An expression of totals is not the total of an
    expression, nor are distinct values those of the groups together.
    """
    if isinstance(form.tree, Combined) or form.blocks[0].listing:
        return ()
    nodes = [item.value.node for item in form.blocks[0].items]
    return tuple(
        place
        for place, node in enumerate(nodes)
        if isinstance(node, (exp.Count, exp.Sum)) and not isinstance(node.this, exp.Distinct)
    )


def _rest(
    form: Form, constraints: Sequence[UnitConstraint], passes: str, totals: Sequence[int], multiple: int
) -> str:
    masks = ", ".join([*(f"{c.alias}_m" for c in constraints), *(f"q{place}" for place in totals)])
    cells = " UNION ALL ".join(
        f"SELECT {masks} FROM _hitoku_c{n} WHERE NOT ({passes})" for n in range(1, len(form.blocks) + 1)
    )
    counts = ", ".join(
        f"COALESCE(BIT_COUNT(BIT_OR({c.alias}_m)::HUGEINT), 0) AS {c.alias}{REST}" for c in constraints
    )
    for place in totals:
        if isinstance(form.blocks[0].items[place].value.node, exp.Count):
            text = rounded(f"SUM(q{place})::BIGINT", multiple)
        else:  # as DOUBLE nothing overflows: an error would tell
            text = f"SUM(TRY_CAST(q{place} AS DOUBLE) ORDER BY q{place})"
        counts += f", {text} AS {TOTAL}{place}"
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


def _mixed(form: Form) -> frozenset[int]:
    """The places of a set operation's outputs that need DOUBLE: numbers with no common type that holds both.

    The engine would convert them by itself, for withheld rows too, and fail where one does not fit.
    """
    if not isinstance(form.tree, Combined):
        return frozenset()
    found: set[int] = set()
    for place, items in enumerate(zip(*(block.items for block in form.blocks), strict=True), 1):
        values = [item.value for item in items]
        number = any(v.family is Family.NUMBER for v in values)
        same = len({v.text for v in values}) == 1
        if number and not same and not all(comparable(v.node) for v in values):
            found.add(place)
    return frozenset(found)


# --- one branch ---


class _Branch:
    """One SELECT in layers: per group (g, a, units), window functions (w), then outputs and sort keys."""

    def __init__(
        self,
        number: int,
        block: Block,
        form: Form,
        constraints: Sequence[UnitConstraint],
        passes: str,
        groups: Callable[[int, Layers], str] | None,
        release: Release,
    ) -> None:
        self._number = number
        self._block = block
        self._form = form
        self._constraints = constraints
        self._passes = passes
        self._given = groups
        self._release = release
        self._totals = summarised(form) if release.summary and constraints else ()

    def layers(self) -> list[str]:
        """The branch's common table expressions; the last one, ``_hitoku_c`` and its number, is its cells."""
        number, block = self._number, self._block
        split = Layers(block.groups)
        mixed = _mixed(self._form)
        texts = [total(split.upper(item.value.node)) for item in block.items]
        outputs = [
            f"{as_double(text) if n in mixed else text} AS _hitoku_o{n}" for n, text in enumerate(texts, 1)
        ]
        if not isinstance(self._form.tree, Combined):
            outputs += [
                f"{total(split.upper(key.value.node))} AS _hitoku_s{n}"
                for n, key in enumerate(self._form.order, 1)
            ]
        having = [f"COALESCE({total(split.upper(value.node))}, FALSE)" for value in block.having]
        units = [name for c in self._constraints for name in (c.alias, f"{c.alias}_m")]
        source = f"_hitoku_b{number}"
        text = self._given(number, split) if self._given else self._groups(split)
        made = [f"{source} AS ({text})"]
        if number - 1 in self._release.withheld:
            source = f"_hitoku_v{number}"
            made.append(f"{source} AS (SELECT * REPLACE ({self._suppressed()}) FROM _hitoku_b{number})")
        if split.windows:
            kept = " AND ".join([f"({self._passes})", *having])
            made.append(f"_hitoku_k{number} AS (SELECT *, ({kept}) AS _hitoku_k FROM {source})")
            windows = [
                f"{window_text(window, len(block.groups))} AS w{n}"
                for n, window in enumerate(split.windows.values(), 1)
            ]
            source = f"_hitoku_w{number}"
            made.append(f"{source} AS (SELECT *, {', '.join(windows)} FROM _hitoku_k{number})")
        units += [f"q{place}" for place in self._totals]
        last = [*outputs, *units, f"{' AND '.join(having) or 'TRUE'} AS _hitoku_h"]
        # The cells are read twice, for what passes and for the rest; they are computed once.
        kind = "AS MATERIALIZED" if self._constraints else "AS"
        return [*made, f"_hitoku_c{number} {kind} (SELECT {', '.join(last)} FROM {source})"]

    def _suppressed(self) -> str:
        """A group that suppression withholds counts as resting on nobody, so it passes no threshold."""
        chosen = self._release.withheld[self._number - 1]
        inside = "TRUE"
        if chosen is not None:
            names = [f"g{n}" for n in range(1, len(self._block.groups) + 1)]
            number = number_text(names) if names else "1"
            inside = f"{number} IN ({', '.join(str(n) for n in sorted(chosen))})" if chosen else "FALSE"
        return ", ".join(
            f"CASE WHEN {inside} THEN 0 ELSE {c.alias} END AS {c.alias}" for c in self._constraints
        )

    def _groups(self, split: Layers) -> str:
        """What is computed per group, by the engine's own GROUP BY."""
        block = self._block
        first = [f"{key_text(group)} AS g{n}" for n, group in enumerate(block.groups, 1)]
        first += [
            f"{aggregate_text(node, self._release.inexact, self._release.round_counts)} AS a{n}"
            for n, node in enumerate(split.aggregates.values(), 1)
        ]
        first += counted_units(block, self._constraints) + unit_masks(block, self._constraints)
        first += [
            f"{aggregate_text(block.items[place].value.node, self._release.inexact)} AS q{place}"
            for place in self._totals
        ]
        text = f"SELECT {', '.join(first)} {rows_text(block, total)}"
        if block.groups:
            text += " GROUP BY " + ", ".join(str(n) for n in range(1, len(block.groups) + 1))
        return text


def _listing_text(form: Form) -> str:
    text = select_text(form.blocks[0], total)
    keys = [ordered(total(key.value.node), key) for key in form.order]
    keys += [f"{quoted(item.name)} NULLS LAST" for item in form.blocks[0].items]
    text += " ORDER BY " + ", ".join(keys)
    if form.limit is not None:
        text += f" LIMIT {form.limit}"
    return text + (f" OFFSET {form.offset}" if form.offset else "")
