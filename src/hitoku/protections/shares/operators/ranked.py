# SPDX-License-Identifier: Apache-2.0
"""Figures that need a group's values in order: distinct values, MIN, MAX, MEDIAN.

Rows are sorted by group and then by the argument, NULLs first. A value counts once where the next row has
another; the largest is in the group's last row; the smallest in its first row that is not NULL (or in its
last, where only MIN is asked and the argument's words are complemented). The middle rows are those that have
as many of the group's values before them as behind, or one more or less.

Who learns what: nobody anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.kinds import ring_kind, wrapped
from hitoku.protections.shares.operators.packing import Field, Packing
from hitoku.protections.shares.operators.runs import compact, counted, differs_from_next, not_zero
from hitoku.protections.shares.operators.values import Rows, Value, both, with_ring, zeroed
from hitoku.protections.shares.program import Aggregate

__all__ = ["Rank"]


class Rank:
    """One argument's part of a sort by groups."""

    def __init__(self, engine: Engine, value: Value, kinds: Sequence[str]) -> None:
        """Makes the fields that follow the keys' fields: a bit that a value is not NULL, and its word."""
        self._engine = engine
        self._type = value.type
        self._turned = "min" in kinds and "max" not in kinds and "median" not in kinds
        self._nullable = value.valid is not None
        word = value.word
        if self._turned:
            word = engine.xor_public(word, 2**self._type.bits - 1)
        fields = [Field("valid argument", value.valid, 1)] if self._nullable else []
        self.fields = [*fields, Field("argument", word, self._type.bits)]
        self._picked: dict[str, Value] = {}

    def _column(self, layout: Packing, words: Sequence[Any]) -> Value:
        """The argument's column of sorted rows."""
        engine = self._engine
        word = layout.field(engine, words, "argument")
        valid = layout.field(engine, words, "valid argument") if self._nullable else None
        if self._turned:
            word = zeroed(engine, engine.xor_public(word, 2**self._type.bits - 1), valid)
        return Value(self._type, word, None, valid)

    def running(
        self,
        layout: Packing,
        words: list[Any],
        differs: Any,
        last: Any,
        aggregates: Sequence[Aggregate],
        most: int,
    ) -> dict[Any, Any]:
        """Sums from the start that the groups' last rows must bring along; picks what lies in other rows.

        Args:
            layout: of the packed words.
            words: of the rows, sorted.
            differs: a bit: the next row is of another group.
            last: a bit: it is the last row of its group, and valid.
            aggregates: those of this argument.
            most: groups.
        """
        engine = self._engine
        kinds = {one.kind for one in aggregates}
        sums: dict[Any, Any] = {}
        column = self._column(layout, words)
        present = engine.xor_public(layout.field(engine, words, "skip"), 1)
        counting = both(engine, present, column.valid)
        if kinds & {"count_distinct", "sum_distinct"}:
            new = engine.and_(counting, differs_from_next(engine, layout.keys(words)))
            if "count_distinct" in kinds or self._nullable:
                sums["distinct"] = engine.prefix_sum(engine.bit_to_ring(new, "r32"))
            for one in aggregates:
                if one.kind == "sum_distinct":
                    kind = ring_kind(one.type, "r32")
                    rows = Rows(engine, len(new), new, {})
                    ring = with_ring(rows, column, kind).ring
                    sums["sum_distinct"] = engine.prefix_sum(engine.mul(engine.bit_to_ring(new, kind), ring))
        if "median" in kinds or ("min" in kinds and not self._turned):
            first = self._first(column, counting, differs, last)
            if "min" in kinds:
                self._picked["min"] = self._at(column, first, most)
            if "median" in kinds:
                self._middle(column, counting, first, last, most)
        return sums

    def _first(self, column: Value, counting: Any, differs: Any, last: Any) -> Any:
        """A bit: the group's first row with a value; or its last row, where it has none."""
        engine, count = self._engine, len(differs)
        starts = engine.concat([engine.public("u8", 1, 1), engine.slice(differs, 0, count - 1)])
        if column.valid is None:
            return engine.and_(counting, starts)
        null = engine.xor_public(column.valid, 1)
        null_before = engine.concat([engine.public("u8", 1, 1), engine.slice(null, 0, count - 1)])
        value_starts = engine.and_(counting, engine.or_(starts, null_before))
        return engine.xor(value_starts, engine.and_(last, null))

    def _at(self, column: Value, flag: Any, most: int) -> Value:
        """The argument in flagged rows, of which each group has one."""
        vectors = [column.word] if column.valid is None else [column.word, column.valid]
        found, _ = compact(self._engine, flag, vectors, most)
        return Value(self._type, found[0], None, found[1] if len(found) > 1 else None)

    def _middle(self, column: Value, counting: Any, first: Any, last: Any, most: int) -> None:
        """Picks the two middle rows (which may be one).

        A row's place is i; its group's values lie from S to E. The row has i - S values before it and E - i
        behind: the lower middle is where 2 i - S - E is -1 or 0, the upper where it is 0 or 1. S + E is
        brought to all rows of a group as in `joins`: as differences at each group's first value, then summed.
        """
        import numpy as np

        engine, count = self._engine, len(counting)
        places = np.arange(count, dtype=np.uint32)
        order = engine.order([(engine.xor_public(first, 1), 1)])
        at_first = engine.bit_to_ring(first, "r32")
        at_last = engine.bit_to_ring(last, "r32")
        starts, flags = engine.apply(order, [engine.mul_public(at_first, places), at_first])
        order_last = engine.order([(engine.xor_public(last, 1), 1)])
        (ends,) = engine.apply(order_last, [engine.mul_public(at_last, places)])
        # Behind the last group the difference is not 0 once: the flag takes that away.
        steps = engine.mul(engine.diff(engine.add(starts, ends)), flags)
        (scattered,) = engine.unapply(order, [steps])
        middle = engine.add_public(engine.neg(engine.prefix_sum(scattered)), 2 * places + 1)
        bits = (2 * count + 2).bit_length()
        word = engine.ring_to_words(middle, bits)
        low, next_bit = (
            engine.cast(engine.and_public(engine.shift_right(word, place), 1), "u8") for place in (0, 1)
        )
        high = engine.shift_right(word, 2)
        near = engine.equal(high, engine.public(high.kind, 0, count), bits)
        near = engine.and_(near, counting)
        picks = {"lower": engine.xor_public(next_bit, 1), "upper": engine.xor(low, next_bit)}
        nothing = None
        if column.valid is not None:
            nothing = engine.and_(last, engine.xor_public(column.valid, 1))
        for name, pick in picks.items():
            flag = engine.and_(near, pick)
            self._picked[name] = self._at(
                column, flag if nothing is None else engine.xor(flag, nothing), most
            )

    def figures(
        self, layout: Packing, words: list[Any], sums: dict[Any, Any], aggregates: Sequence[Aggregate]
    ) -> dict[str, Value]:
        """The figures, of groups: from the words in their last rows, and the groups' own sums."""
        engine = self._engine
        columns = {}
        for one in aggregates:
            if one.kind == "count_distinct":
                value = counted(one.type, sums["distinct"])
            elif one.kind == "sum_distinct":
                valid = not_zero(engine, sums["distinct"]) if self._nullable else None
                value = Value(one.type, None, sums["sum_distinct"], valid)
            elif one.kind == "median":
                value = self._median(one)
            else:
                value = self._picked.get(one.kind) or self._column(layout, words)
            columns[one.name] = value
        return columns

    def _median(self, one: Aggregate) -> Value:
        engine, kind = self._engine, ring_kind(one.type)
        if one.type.scale != self._type.scale + 1:
            raise ValueError("a median's scale is its argument's plus 1")
        lower, upper = self._picked["lower"], self._picked["upper"]
        rows = Rows(engine, len(lower.word), None, {})
        ring = engine.add(with_ring(rows, lower, kind).ring, with_ring(rows, upper, kind).ring)
        return Value(one.type, None, engine.mul_public(ring, wrapped(kind, 5)), lower.valid)
