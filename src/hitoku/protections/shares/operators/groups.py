# SPDX-License-Identifier: Apache-2.0
"""GROUP BY: rows are sorted by the grouping values, and figures are differences of sums from the start.

Rows that are not valid sort last. In each group's last row the sum from the start is that of all groups so
far; those rows are brought to the front (stably, by one more bit), cut to the public number of groups there
may be, and differences of neighbours are the groups' own figures. COUNT(*) costs nothing: a row's place is
public.

Distinct values, MIN, MAX and MEDIAN sort by their argument as well (`ranked`), once for each argument; since
groups come out in the order of their keys each time, the figures stand beside each other.

Who learns what: nobody anything; how many groups there are stays secret here, behind a bit for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators import ranked
from hitoku.protections.shares.operators.expressions import evaluate, word_of
from hitoku.protections.shares.operators.kinds import ring_kind
from hitoku.protections.shares.operators.packing import Field, Packing, pack
from hitoku.protections.shares.operators.runs import compact, counted, differs_from_next, not_zero
from hitoku.protections.shares.operators.values import Rows, Value
from hitoku.protections.shares.program import Aggregate, Branch, Expr

__all__ = ["RANKED", "Figures", "figure", "grouped", "owner_grouped", "plan_figures", "ranked_pass"]

RANKED = ("count_distinct", "sum_distinct", "min", "max", "median")


@dataclass
class Figures:
    """What sums of rows a list of aggregates needs: each vector once.

    Attributes:
        rings: by (argument, ring, squared): vectors to add up.
        bits: by argument: validity bits to add up.
    """

    rings: dict[tuple[Expr, str, bool], Any] = field(default_factory=dict)
    bits: dict[Expr, Any] = field(default_factory=dict)


def plan_figures(rows: Rows, aggregates: Sequence[Aggregate]) -> Figures:
    """The vectors that sums and counts add up."""
    found = Figures()
    for one in aggregates:
        if one.argument is None:
            continue
        squared = one.kind == "sum_squares"
        if one.kind in ("sum", "sum_squares"):
            kind = ring_kind(one.type, "r32")
            value = evaluate(rows, one.argument, kind)
            key = (one.argument, kind, squared)
            if key not in found.rings:
                found.rings[key] = rows.engine.mul(value.ring, value.ring) if squared else value.ring
        else:
            value = evaluate(rows, one.argument)
        if value.public:
            raise ValueError("an aggregate of a public value")
        if value.valid is not None:
            found.bits[one.argument] = value.valid
    return found


def figure(engine: Engine, one: Aggregate, sums: dict[Any, Any], everything: Any, never_empty: bool) -> Value:
    """A count or sum from added-up vectors.

    Args:
        engine: of this party.
        one: which.
        sums: by the keys of `Figures`.
        everything: how many rows.
        never_empty: every group has rows.
    """
    if one.kind == "count_rows":
        return counted(one.type, everything)
    number = sums.get(one.argument, everything)
    if one.kind == "count":
        return counted(one.type, number)
    ring = sums[(one.argument, ring_kind(one.type, "r32"), one.kind == "sum_squares")]
    if one.argument not in sums and never_empty:
        return Value(one.type, None, ring)
    return Value(one.type, None, ring, not_zero(engine, number))


# --- the general way ---


def ranked_by_argument(branch: Branch) -> dict[Expr, list[Aggregate]]:
    """Figures that need an order of their arguments, by argument."""
    found: dict[Expr, list[Aggregate]] = {}
    for one in branch.aggregates:
        if one.kind in RANKED and one.argument is not None:
            found.setdefault(one.argument, []).append(one)
    return found


def key_fields(rows: Rows, branch: Branch) -> list[Field]:
    """The grouping values as fields: where there may be NULLs, a bit before the word."""
    fields = []
    for name, expr in branch.groups:
        value = word_of(rows, expr, expr.type)
        if value.valid is not None:
            fields.append(Field(f"valid {name}", value.valid, 1))
        fields.append(Field(name, value.word, expr.type.bits))
    return fields


def grouped(branch: Branch, rows: Rows) -> Rows:
    """The groups: columns ``g1``..., ``a1``...; `valid` says which are there.

    Raises:
        ValueError: the program is not one that planners make.
    """
    plain = [one for one in branch.aggregates if one.kind not in RANKED]
    by_argument = ranked_by_argument(branch)
    if branch.sorted_by_owner and not by_argument:
        return owner_grouped(branch, rows, plain)
    fields = key_fields(rows, branch)
    passes: list[tuple[Expr | None, list[Aggregate]]] = list(by_argument.items()) or [(None, [])]
    found = ranked_pass(branch, rows, fields, *passes[0], plain, final=len(passes) == 1)
    for number, (argument, aggregates) in enumerate(passes[1:], 2):
        added = ranked_pass(branch, rows, fields, argument, aggregates, [], final=number == len(passes))
        found.columns.update({one.name: added.columns[one.name] for one in aggregates})
    return found


def ranked_pass(
    branch: Branch,
    rows: Rows,
    keys: list[Field],
    argument: Expr | None,
    aggregates: Sequence[Aggregate],
    plain: Sequence[Aggregate],
    final: bool = False,
) -> Rows:
    """One sort: groups with the figures of one argument's order, and plain sums and counts.

    After the `final` one the rows' columns are gone: of many rows there is memory for few copies.
    """
    engine, count = rows.engine, rows.count
    groups = min(branch.most_groups, count)
    last_key = keys[-1].name if keys else "skip"
    skip = Field("skip", engine.xor_public(rows.valid, 1), 1)
    value = None if argument is None else word_of(rows, argument, argument.type)
    rank = None if value is None else ranked.Rank(engine, value, [one.kind for one in aggregates])
    layout, words = pack(engine, [skip, *keys, *(rank.fields if rank else ())])
    figures = plan_figures(rows, plain)
    flags, flag_words = pack(
        engine, [Field(f"b{at}", bit, 1) for at, bit in enumerate(figures.bits.values())]
    )
    del value
    rows.memo.clear()
    if final:
        rows.columns.clear()
        keys.clear()
    ordered = list(
        engine.apply(engine.order(layout.keys(words)), [*words, *flag_words, *figures.rings.values()])
    )
    figures.rings = dict.fromkeys(figures.rings)
    words = ordered[: len(words)]
    flag_words = ordered[len(words) : len(words) + len(flag_words)]
    rings = ordered[len(words) + len(flag_words) :]
    del ordered

    differs = differs_from_next(engine, layout.above(engine, words, last_key))
    present = engine.xor_public(layout.field(engine, words, "skip"), 1)
    last = engine.and_(present, differs)
    # Sums from the start, each with the name it is found by afterwards.
    running: dict[Any, Any] = {}
    if any(one.kind == "count_rows" or one.kind == "count" for one in plain):
        running["rows"] = engine.prefix_sum(engine.public("r32", 1, count))
    for at, argument_of in enumerate(figures.bits):
        bit = flags.field(engine, flag_words, f"b{at}")
        running[argument_of] = engine.prefix_sum(engine.bit_to_ring(bit, "r32"))
    for key in reversed(figures.rings):
        running[key] = engine.prefix_sum(rings.pop())
    if rank is not None:
        running |= rank.running(layout, words, differs, last, aggregates, groups)
    compacted, there = compact(engine, last, [*words, *running.values()], groups)
    words = compacted[: len(words)]
    sums = dict(zip(running, (engine.diff(vector) for vector in compacted[len(words) :]), strict=True))
    columns = _keys_again(engine, branch, layout, words)
    for one in plain:
        columns[one.name] = figure(engine, one, sums, sums.get("rows"), never_empty=True)
    if rank is not None:
        columns |= rank.figures(layout, words, sums, aggregates)
    return Rows(engine, groups, there, columns)


def _keys_again(engine: Engine, branch: Branch, layout: Packing, words: list[Any]) -> dict[str, Value]:
    columns = {}
    for name, expr in branch.groups:
        valid = layout.field(engine, words, f"valid {name}") if f"valid {name}" in layout.places else None
        columns[name] = Value(expr.type, layout.field(engine, words, name), None, valid)
    return columns


# --- where the owner has put the rows of a group side by side ---


def owner_grouped(branch: Branch, rows: Rows, plain: Sequence[Aggregate]) -> Rows:
    """Groups of rows that their owner sorted: no sort, but rows that are not valid are in between.

    Their values are brought to 0 first, and a group of no valid rows is not there. Owners know how their rows
    lie, so all that comes out is put in a random order before anything is opened (`select`).
    """
    engine = rows.engine
    if any(lookup.copies > 1 for lookup in branch.lookups) or branch.boundary is None:
        raise ValueError("rows are not in their owner's order any more")
    groups = min(branch.most_groups, rows.count)
    figures = plan_figures(rows, plain)
    layout, words = pack(engine, key_fields(rows, branch))
    present: dict[str, Any] = {}

    def there(kind: str) -> Any:
        if kind not in present:
            present[kind] = engine.bit_to_ring(rows.valid, kind)
        return present[kind]

    running: dict[Any, Any] = {}
    for key, ring in figures.rings.items():
        running[key] = engine.prefix_sum(engine.mul(there(ring.kind), ring))
    for argument, bit in figures.bits.items():
        both_bits = engine.bit_to_ring(engine.and_(bit, rows.valid), "r32")
        running[argument] = engine.prefix_sum(both_bits)
    counted = next((ring for ring in present.values() if ring.kind != "r32"), None)
    running["rows"] = engine.prefix_sum(engine.cast(counted, "r32") if counted is not None else there("r32"))
    boundary = rows.columns[branch.boundary].word
    compacted, flag = compact(engine, boundary, [*words, *running.values()], groups)
    sums = dict(zip(running, (engine.diff(one) for one in compacted[len(words) :]), strict=True))
    columns = _keys_again(engine, branch, layout, compacted[: len(words)])
    for one in plain:
        columns[one.name] = figure(engine, one, sums, sums["rows"], never_empty=True)
    valid = engine.and_(flag, not_zero(engine, sums["rows"]))
    return Rows(engine, groups, valid, columns)
