# SPDX-License-Identifier: Apache-2.0
"""Overlap refusals: what two questions ask of declared columns must be equal or disjoint.

Two thresholded questions that differ by one person give that person away (differencing). A rule's
`overlapColumns` closes the way that leads through WHERE: of each such column a question fixes a set, an
interval or a list of values, read from its text; all the sets together are a *box*. A later question's box
must be equal to, or disjoint from, every box asked before. The rows are never looked at: whether a question
is refused tells what was asked, which the owner and the asker know, and nothing of the data.

What it does not do. Columns that are not declared are not looked at: keep them out of comparisons
(`comparisonControls`), or two questions differ by them. Equal boxes may be asked with other outputs and
groups; a group of the one question then lies inside a group of the other, and the difference of two released
figures can be a group below the threshold. Grouping by a declared column itself is allowed: it divides the
box, and its parts are disjoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from hitoku.errors import InputError, Refusal
from hitoku.questions.form import Block, Ref, Value
from hitoku.questions.nodes import operands
from hitoku.questions.ranges import Range, range_of, settled
from hitoku.questions.refusals import refuse
from hitoku.room.agreement import Table
from hitoku.room.rules import CustomRule

if TYPE_CHECKING:
    from hitoku.questions.question import Question

__all__ = ["Box", "box", "box_of", "conflicts", "declared", "overlapping"]


@dataclass(frozen=True, slots=True)
class Box:
    """What one question asks of one table's declared columns. A column that it leaves open is not in it."""

    table: str
    ranges: tuple[tuple[str, Range], ...] = ()

    @property
    def empty(self) -> bool:
        """Whether no row can be in it."""
        return any(found.empty for _, found in self.ranges)

    def to_json(self) -> str:
        """Canonical text: boxes are equal exactly where their texts are."""
        data = {"table": self.table, "columns": {name: found.to_json() for name, found in self.ranges}}
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> Box:
        """What `to_json` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            data = json.loads(text)
            ranges = {str(name): Range.from_json(found) for name, found in data["columns"].items()}
            return cls(str(data["table"]), tuple(sorted(ranges.items(), key=lambda item: item[0])))
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
            raise InputError("this is no box") from None


def conflicts(new: Box, earlier: Iterable[Box]) -> bool:
    """Whether some earlier box is neither equal to the new one nor disjoint from it.

    Decided on what was asked only, never on rows. Boxes of other tables do not count.
    """
    return any(new.table == old.table and new != old and not _disjoint(new, old) for old in earlier)


def overlapping(question: Question, table: str) -> Refusal:
    """The Refusal of a question whose box conflicts with an earlier one."""
    found = next(t for t in question.sources if t.name == table)
    return refuse(
        "OVERLAP",
        clause="WHERE",
        rule=f"tables.{table}.rule.overlapColumns",
        owner=found.owner,
        table=table,
        columns=", ".join(_declared(found)),
    )


def declared(question: Question) -> tuple[str, ...]:
    """The tables of a question whose rules have overlapColumns, sorted."""
    return tuple(table.name for table in question.sources if _declared(table))


def box(question: Question, table: str) -> Box:
    """What a question asks of a table's declared columns.

    Raises:
        Refusal: it touches one in another form than ``column op literal``, BETWEEN or IN in WHERE, or its
            branches ask for different boxes (`OVERLAP_FORM`).
    """
    found = next(t for t in question.sources if t.name == table)
    return box_of(question.form.blocks, found)


def box_of(blocks: Iterable[Block], table: Table) -> Box:
    """The same, before there is a Question."""
    boxes = {_block_box(block, table) for block in blocks if table.name in block.all_tables}
    if len(boxes) != 1:
        raise _form(table, _declared(table)[0], "UNION")
    return boxes.pop()


def _declared(table: Table) -> tuple[str, ...]:
    return tuple(sorted(table.rule.overlap_columns)) if isinstance(table.rule, CustomRule) else ()


def _block_box(block: Block, table: Table) -> Box:
    columns = {Ref(table.name, name): table.column(name) for name in _declared(table)}
    ranges: dict[str, Range] = {}
    for condition in block.where:
        for part in operands(condition.node, exp.And):
            refs = {Ref(c.table, c.name) for c in part.find_all(exp.Column)}
            touched = sorted(refs & set(columns))
            if not touched:
                continue
            made = range_of(part, columns[touched[0]]) if len(refs) == 1 else None
            if made is None:
                raise _form(table, touched[0].column, "WHERE", condition)
            before = ranges.get(touched[0].column)
            ranges[touched[0].column] = made if before is None else before.met(made)
    _only_there(block, table, set(columns))
    exact = {name: settled(found, table.column(name)) for name, found in ranges.items()}
    if any(found.empty for found in exact.values()):
        exact = {name: Range(found.family, ()) for name, found in exact.items()}
    return Box(table.name, tuple(sorted(exact.items(), key=lambda item: item[0])))


def _only_there(block: Block, table: Table, columns: set[Ref]) -> None:
    """Refuse declared columns in joins and HAVING, in CASE, and in groups as anything but themselves."""

    def touched(value: Value) -> list[Ref]:
        return sorted({use.ref for use in value.uses} & columns)

    for clause, values in (
        ("JOIN", (*block.on, *(c for left in block.lefts for c in left.on))),
        ("HAVING", block.having),
    ):
        for value in values:
            if touched(value):
                raise _form(table, touched(value)[0].column, clause, value)
    for group in block.groups:
        if group.plain is None and touched(group):
            raise _form(table, touched(group)[0].column, "GROUP BY", group)
    for item in block.items:
        for case in item.value.node.find_all(exp.Case):
            inside = {Ref(c.table, c.name) for c in case.find_all(exp.Column)} & columns
            if inside:
                raise _form(table, min(inside).column, "SELECT", item.value)


def _form(table: Table, column: str, clause: str, value: Value | None = None) -> Refusal:
    span = None
    if value is not None:
        spans = (use.span for use in value.uses if use.ref == Ref(table.name, column))
        span = next((s for s in spans if s is not None), value.span)
    return refuse(
        "OVERLAP_FORM",
        clause=clause,
        span=span,
        rule=f"tables.{table.name}.rule.overlapColumns",
        owner=table.owner,
        table=table.name,
        column=column,
    )


def _disjoint(one: Box, other: Box) -> bool:
    if one.empty or other.empty:
        return True
    there = dict(other.ranges)
    return any(name in there and found.met(there[name]).empty for name, found in one.ranges)
