# SPDX-License-Identifier: Apache-2.0
"""What each output column of a question reveals of each input column: the derivation.

It is computed from the checked form alone, not from how the checker came to it, so it can be a second
opinion: `hitoku.questions.verdict` refuses whatever it shows that no rule grants.

The argument. Take output column `o` and an input column `c` that is not among what `o` reveals. Then no
expression on the way to `o` reads `c`: not its own, no join, WHERE, GROUP BY or HAVING of its branch (which
decide which rows and groups there are), no key or output that decides which rows a LIMIT, DISTINCT or set
operation keeps, and no threshold. DuckDB computes each of these from what it reads; so other values of `c`
give the same values of `o`, as often as before. Which values of *another* output stand in the same row, and
the order of rows without ORDER BY, are not said of `o` alone. `tests/rules/test_derived.py` tries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hitoku.questions.flows import By, Comparison, Flow, Flows, Level
from hitoku.questions.form import Block, Combined, Form, Item, Ref, Tree
from hitoku.questions.rules import Rules
from hitoku.questions.thresholds import thresholds
from hitoku.room.rules import CustomRule

__all__ = ["By", "Derivation", "DerivedBlock", "Level", "Reveal", "Way", "derive", "levels"]


@dataclass(frozen=True, slots=True, order=True)
class Way:
    """One way that a column comes into an output: what comes through, and by which part of the question."""

    level: Level
    by: By


@dataclass(frozen=True, slots=True)
class Reveal:
    """What one output reveals of one column; a column that an output tells nothing of has none.

    Attributes:
        table: the column's table.
        column: its name.
        owner: whose it is.
        ways: sorted, strongest level first.
        noised: whether all of it comes through noise.
    """

    table: str
    column: str
    owner: str
    ways: tuple[Way, ...]
    noised: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "table": self.table,
            "column": self.column,
            "owner": self.owner,
            "ways": [{"level": way.level.value, "by": way.by.value} for way in self.ways],
            "noised": self.noised,
        }


@dataclass(frozen=True, slots=True)
class DerivedBlock:
    """The flows of one SELECT: of each output's own expression, and of what decides rows and groups."""

    block: Block
    items: tuple[tuple[Flow, ...], ...]
    rows: tuple[Flow, ...]
    groups: tuple[Flow, ...]
    comparisons: tuple[Comparison, ...]
    counts_rows: bool


@dataclass(frozen=True, slots=True)
class Derivation:
    """All flows of a question, and what they come to for each output, in order."""

    blocks: tuple[DerivedBlock, ...]
    order: tuple[Flow, ...]
    comparisons: tuple[Comparison, ...]
    outputs: tuple[tuple[Reveal, ...], ...]


_RANK: Final = {level: n for n, level in enumerate(Level)}
_PLACE: Final = {by: n for n, by in enumerate(By)}


def levels(reveals: Iterable[Reveal], table: str, column: str) -> frozenset[Level]:
    """What an output reveals of a column: its levels, or NEVER alone."""
    found = {way.level for r in reveals if (r.table, r.column) == (table, column) for way in r.ways}
    return frozenset(found or {Level.NEVER})


def derive(form: Form, rules: Rules) -> Derivation:
    """What each output of a checked form reveals."""
    tables = sorted({table for block in form.blocks for table in block.all_tables})
    compare = any(isinstance(rules.table(table).rule, CustomRule) for table in tables)
    blocks = tuple(_block(block, compare) for block in form.blocks)
    ordering = _ordering(form, compare)
    counted = {Ref(unit.table.name, unit.column) for unit in thresholds(rules, tables)}
    noised = {
        Ref(table, rule.differential_privacy.column)
        for table in tables
        if isinstance(rule := rules.table(table).rule, CustomRule) and rule.differential_privacy is not None
    }
    common = {_way(flow) for block in blocks for flow in (*block.rows, *block.groups)}
    common |= {(ref, Way(Level.AFTER_AGGREGATE, By.THRESHOLD)) for ref in counted | noised}
    common |= {_way(flow) for flow in ordering.flows}
    common |= _kept_together(form, blocks)
    shared = _by_column(common)
    owners = {table: rules.table(table).owner for table in tables}
    same = {noise: _reveals(shared, owners, noised=noise) for noise in (False, True)[: 1 + bool(noised)]}
    outputs = []
    for place in range(len(form.blocks[0].items)):
        own = {_way(flow) for block in blocks for flow in block.items[place]}
        figure = any(block.items[place].value.aggregate for block in form.blocks)
        mine = {ref: shared.get(ref, set()) | ways for ref, ways in _by_column(own).items()}
        noise = bool(noised) and figure
        found = same[noise] | _reveals(mine, owners, noised=noise)
        outputs.append(tuple(found[ref] for ref in sorted(found)))
    return Derivation(blocks, tuple(ordering.flows), tuple(ordering.comparisons), tuple(outputs))


def _block(block: Block, compare: bool) -> DerivedBlock:
    joined = len(block.all_tables) > 1
    plain = Level.AFTER_JOIN if joined else Level.PLAIN
    shown = plain if block.listing else Level.AFTER_GROUP_BY
    rows, wheres, groups = (Flows(compare=compare) for _ in range(3))
    for condition in (*block.on, *(c for left in block.lefts for c in left.on)):
        rows.take(condition, By.JOIN, Level.AFTER_JOIN, condition=True)
    joins = [replace(flow, level=Level.AFTER_JOIN) for flow in rows.flows]
    for condition in block.where:
        wheres.take(condition, By.WHERE, Level.AFTER_COMPARE, condition=True)
    for group in block.groups:
        groups.take(group, By.GROUP_BY, Level.AFTER_GROUP_BY, key=True)
    for condition in block.having:
        groups.take(condition, By.HAVING, Level.AFTER_COMPARE, condition=True)
    items = [_item(item, shown, compare) for item in block.items]
    comparisons = [c for found in (rows, wheres, groups, *items) for c in found.comparisons]
    return DerivedBlock(
        block,
        tuple(tuple(found.flows) for found in items),
        (*joins, *wheres.flows),
        tuple(groups.flows),
        tuple(comparisons),
        any(found.rows_counted for found in (groups, *items)),
    )


def _item(item: Item, level: Level, compare: bool) -> Flows:
    found = Flows(compare=compare)
    found.take(item.value, By.SELECT, level)
    return found


def _ordering(form: Form, compare: bool) -> Flows:
    """ORDER BY. Over a set operation it names outputs; `_kept_together` has these."""
    found = Flows(compare=compare)
    block = form.blocks[0]
    level = Level.AFTER_GROUP_BY
    if block.listing:
        level = Level.AFTER_JOIN if len(block.all_tables) > 1 else Level.PLAIN
    if not isinstance(form.tree, Combined):
        for key in form.order:
            found.take(key.value, By.ORDER_BY, level, key=True)
    return found


def _kept_together(form: Form, blocks: tuple[DerivedBlock, ...]) -> set[tuple[Ref, Way]]:
    """Where all outputs of a row together decide whether it is there, or where: they reveal one another."""
    reasons = []
    if form.blocks[0].listing:
        reasons.append(By.DISTINCT)
    if form.limit is not None or form.offset:
        reasons.append(By.LIMIT)  # equals are ordered by the outputs
    if isinstance(form.tree, Combined) and form.order:
        reasons.append(By.ORDER_BY)
    if _compares_rows(form.tree):
        reasons.append(By.SET)
    flows = [flow for block in blocks for item in block.items for flow in item]
    return {(flow.ref, Way(_compared(flow.level), by)) for by in reasons for flow in flows}


def _compared(level: Level) -> Level:
    return level if level is Level.AFTER_AGGREGATE else Level.AFTER_COMPARE


def _compares_rows(tree: Tree) -> bool:
    """Whether some part is UNION, INTERSECT or EXCEPT, which compare rows with rows."""
    if not isinstance(tree, Combined):
        return False
    return tree.kind != "UNION ALL" or any(_compares_rows(part) for part in tree.parts)


def _way(flow: Flow) -> tuple[Ref, Way]:
    return flow.ref, Way(flow.level, flow.by)


def _by_column(found: set[tuple[Ref, Way]]) -> dict[Ref, set[Way]]:
    ways: dict[Ref, set[Way]] = {}
    for ref, way in found:
        ways.setdefault(ref, set()).add(way)
    return ways


def _reveals(ways: Mapping[Ref, set[Way]], owners: Mapping[str, str], *, noised: bool) -> dict[Ref, Reveal]:
    def strongest(way: Way) -> tuple[int, int]:
        return _RANK[way.level], _PLACE[way.by]

    return {
        ref: Reveal(ref.table, ref.column, owners[ref.table], tuple(sorted(found, key=strongest)), noised)
        for ref, found in ways.items()
    }
