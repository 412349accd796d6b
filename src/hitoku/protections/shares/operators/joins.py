# SPDX-License-Identifier: Apache-2.0
"""Joins: each row so far finds the rows of one more table that have its key, without anybody seeing which.

The table's rows and the rows so far are sorted together by the key, the table's first where keys are equal
(sorting is stable). So what a row looks for, if it is there, is the last row of the table at or before it. To
bring it along without a product: the table's columns are shared as differences of neighbours, in the table's
own order of keys, and as 0 in the rows so far; then sums from the start (XOR, for words) give each row the
columns of the last row of the table. The key itself is brought along as well, and one comparison with the
row's own key says whether it was found.

Who learns what: nobody anything. Sizes are public: so many rows in, so many rows out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.expressions import evaluate
from hitoku.protections.shares.operators.packing import Field, equal_words, pack
from hitoku.protections.shares.operators.values import Rows, Value, both, with_type, zeroed
from hitoku.protections.shares.program import Lookup, Type

__all__ = ["look_up"]


def look_up(rows: Rows, table: Rows, lookup: Lookup, needed: set[str], occurrence: Type | None) -> Rows:
    """The rows, with the table's columns that are needed later.

    Args:
        rows: so far.
        table: its rows, with its leaves as columns.
        lookup: how.
        needed: names of leaves that later steps read.
        occurrence: the type of the leaf `lookup.occurrence`, where there is one.

    Returns:
        `copies` times as many rows as before.

    Raises:
        ValueError: keys that cannot be compared.
    """
    engine = rows.engine
    left, right, valid, present = _keys(rows, table, lookup)
    copies = lookup.copies
    found_valid = [valid]
    count = rows.count * copies
    if copies > 1:
        rows = _repeated(rows, copies)
        left = [replace(one, word=engine.tile(one.word, copies)) for one in left]
        found_valid = [None if valid is None else engine.tile(valid, copies)]
        place = _occurrence(engine, table, lookup, occurrence, count // copies)
        left.append(place[0])
        right.append(place[1])
    absent = Field("absent", engine.xor_public(present, 1), 1)
    layout, own = pack(engine, [Field("absent", engine.public("u8", 0, count), 1), *left])
    _, keys = pack(engine, [absent, *right])
    carried, names = _payload(engine, table, needed)
    if not lookup.sorted_by_owner:
        moved = list(engine.apply(engine.order(layout.keys(keys)), [*keys, *carried.vectors]))
        keys, payload = moved[: len(keys)], moved[len(keys) :]
    else:
        payload = carried.vectors
    order = engine.order(layout.keys([engine.concat([a, b]) for a, b in zip(keys, own, strict=True)]))
    brought = _brought(engine, order, [_marked(engine, layout.bits, keys), payload], table.count, count)
    brought_keys, payload = brought[: len(keys)], brought[len(keys) :]
    found = equal_words(
        engine, list(zip(_marked(engine, layout.bits, own), layout.bits, strict=True)), brought_keys
    )
    found = both(engine, found, found_valid[0])
    return _joined(rows, lookup, carried.columns(engine, payload, names), found)


def _marked(engine: Engine, bits: tuple[int, ...], words: list[Any]) -> list[Any]:
    """Packed keys with the highest bit turned: 1 in rows that are there, so that no row is not like a row."""
    return [engine.xor_public(words[0], 2 ** (bits[0] - 1)), *words[1:]]


def _brought(engine: Engine, order: Any, groups: list[list[Any]], table: int, count: int) -> list[Any]:
    vectors = [
        engine.concat([engine.diff(vector), engine.public(vector.kind, 0, count)])
        for group in groups
        for vector in group
    ]
    summed = [engine.prefix_sum(vector) for vector in engine.apply(order, vectors)]
    return [engine.slice(vector, table, table + count) for vector in engine.unapply(order, summed)]


def _keys(rows: Rows, table: Rows, lookup: Lookup) -> tuple[list[Field], list[Field], Any, Any]:
    """Key words of both sides; a bit: a row has a key (or None); a bit: the table's row counts."""
    engine = rows.engine
    left: list[Field] = []
    right: list[Field] = []
    valid, present = None, table.valid
    for at, (expr, leaf) in enumerate(lookup.keys):
        mine, other = evaluate(rows, expr), table.columns[leaf]
        kind = _common(mine.type, other.type)
        mine, other = with_type(rows, mine, kind), with_type(table, other, kind)
        left.append(Field(f"k{at}", mine.word, kind.bits))
        right.append(Field(f"k{at}", other.word, kind.bits))
        valid = both(engine, valid, mine.valid)
        if other.valid is not None:
            present = engine.and_(present, other.valid)
    return left, right, valid, present


def _common(left: Type, right: Type) -> Type:
    if left.kind != right.kind or (left.kind == "code" and left.dictionary != right.dictionary):
        raise ValueError("keys of two kinds cannot be joined")
    scale = max(left.scale, right.scale)
    bounds = [bound * 10 ** (scale - side.scale) for side in (left, right) for bound in (side.low, side.high)]
    return replace(left, low=min(bounds), high=max(bounds), scale=scale)


def _occurrence(
    engine: Engine, table: Rows, lookup: Lookup, kind: Type | None, count: int
) -> tuple[Field, Field]:
    if kind is None or lookup.occurrence is None or kind.low != 0:
        raise ValueError("a join with copies needs the place of a row among those with its key")
    wide = replace(kind, high=max(kind.high, lookup.copies - 1))
    other = with_type(table, table.columns[lookup.occurrence], wide)
    mine = engine.concat([engine.public(other.word.kind, copy, count) for copy in range(lookup.copies)])
    return Field("copy", mine, wide.bits), Field("copy", other.word, wide.bits)


def _repeated(rows: Rows, copies: int) -> Rows:
    engine = rows.engine

    def tiled(vector: Any) -> Any:
        return None if vector is None else engine.tile(vector, copies)

    columns = {
        name: replace(value, word=tiled(value.word), ring=tiled(value.ring), valid=tiled(value.valid))
        for name, value in rows.columns.items()
    }
    return Rows(engine, rows.count * copies, tiled(rows.valid), columns)


class _Payload:
    """The table's columns as few vectors: narrow words packed, rings as they are."""

    def __init__(self, engine: Engine, columns: dict[str, Value]) -> None:
        fields = []
        self.columns_of = columns
        self.rings: list[str] = []
        self.ring_vectors: list[Any] = []
        for name, value in columns.items():
            if value.valid is not None:
                fields.append(Field(f"valid {name}", value.valid, 1))
            if value.word is not None:
                fields.append(Field(f"word {name}", value.word, value.type.bits))
            if value.ring is not None:
                self.rings.append(name)
                self.ring_vectors.append(value.ring)
        self.layout, self.words = pack(engine, fields)

    @property
    def vectors(self) -> list[Any]:
        return [*self.words, *self.ring_vectors]

    def columns(self, engine: Engine, vectors: list[Any], names: list[str]) -> dict[str, Value]:
        """The columns again."""
        words, rings = (
            vectors[: len(self.words)],
            dict(zip(self.rings, vectors[len(self.words) :], strict=True)),
        )
        found = {}
        for name in names:
            value = self.columns_of[name]
            field = {
                part: self.layout.field(engine, words, f"{part} {name}")
                for part in ("word", "valid")
                if f"{part} {name}" in self.layout.places
            }
            found[name] = Value(value.type, field.get("word"), rings.get(name), field.get("valid"))
        return found


def _payload(engine: Engine, table: Rows, needed: set[str]) -> tuple[_Payload, list[str]]:
    names = [name for name in table.columns if name in needed]
    return _Payload(engine, {name: table.columns[name] for name in names}), names


def _joined(rows: Rows, lookup: Lookup, columns: dict[str, Value], found: Any) -> Rows:
    engine = rows.engine
    if lookup.kind == "inner":
        # What is beside a key that was not found is another row's, and the row is not valid.
        valid = engine.and_(rows.valid, found)
        return Rows(engine, rows.count, valid, {**rows.columns, **columns})
    valid = rows.valid
    if lookup.copies > 1:
        # The first copy of a row stays, found or not.
        once = rows.count // lookup.copies
        first = engine.slice(valid, 0, once)
        rest = engine.and_(engine.slice(valid, once, rows.count), engine.slice(found, once, rows.count))
        valid = engine.concat([first, rest])
    filled = {}
    for name, value in columns.items():
        there = found if value.valid is None else engine.and_(value.valid, found)
        word = None if value.word is None else zeroed(engine, value.word, found)
        ring = None if value.ring is None else zeroed(engine, value.ring, found)
        filled[name] = Value(replace(value.type, nullable=True), word, ring, there)
    return Rows(engine, rows.count, valid, {**rows.columns, **filled})
