# SPDX-License-Identifier: Apache-2.0
"""From groups to released rows: thresholds, HAVING, order, LIMIT; and the only opening there is.

What is opened, and why it tells nothing else. Thresholds and HAVING are compared under sharing first: each
group has one secret bit, whether it passes. Then groups are shuffled, by a permutation that no server knows,
and the bits are opened: to each server they are a random arrangement of so many ones, so they tell the number
of released rows, which the answer's size tells anyway, and nothing else: not how many groups there were, not
how many fell below a threshold, not where in the order of keys the passing ones lie. A simulator that is
given the number of released rows draws the arrangement at random.

Where rows come in order, or are cut to a LIMIT, they are shuffled first too (so that what ties is in random
order, not in that of hidden keys), then sorted, those that pass first, and cut, all under sharing. The bits
that are opened are then so many ones and then zeros: the number of released rows again.

Only then is anything of a released row computed that is not needed before: quotients, texts of codes. Their
shares, as those of all columns, come freshly from the shuffle or from later steps; servers never open them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators import comparing, dictionaries, dividing
from hitoku.protections.shares.operators.expressions import column_names, evaluate, true_bit, word_of
from hitoku.protections.shares.operators.layout import ColumnLayout, result_layout
from hitoku.protections.shares.operators.loaded import BranchResult, ResultColumn
from hitoku.protections.shares.operators.packing import Field, pack
from hitoku.protections.shares.operators.values import Rows, Value
from hitoku.protections.shares.program import (
    Branch,
    Column,
    Compare,
    Literal,
    Opened,
    Program,
    Ratio,
    SortKey,
    Type,
)

__all__ = ["release"]

_BOOLEAN = Type("boolean", 0, 1)


def release(program: Program, branch: Branch, groups: Rows, texts: dict[str, list[Any]]) -> BranchResult:
    """The rows that pass, still shared.

    Args:
        program: which the branch is of.
        branch: with thresholds, HAVING, order, limit and what is opened.
        groups: all there may be; `valid` says which are there.
        texts: dictionaries, by name.
    """
    engine = groups.engine
    passing = _passing(branch, groups)
    needed = set[str]().union(*(column_names(one.value) for one in branch.opened))
    columns = {name: value for name, value in groups.columns.items() if name in needed}
    sort = _sort_fields(groups, branch.order, texts)
    in_order = bool(branch.order) or branch.limit is not None or branch.offset > 0
    layout, keys = pack(engine, [Field("out", engine.xor_public(passing, 1), 1), *sort])
    vectors = list(engine.shuffle([*keys, *_vectors(columns)]))
    keys, vectors = vectors[: len(keys)], vectors[len(keys) :]
    if in_order:
        order = engine.order(layout.keys(keys))
        out = layout.field(engine, keys, "out")
        start = min(branch.offset, groups.count)
        stop = groups.count if branch.limit is None else min(branch.offset + branch.limit, groups.count)
        vectors = [engine.slice(vector, start, stop) for vector in engine.apply(order, [out, *vectors])]
        out, vectors = vectors[0], vectors[1:]
    else:
        out = layout.field(engine, keys, "out")
    places = (engine.open(engine.xor_public(out, 1)) == 1).nonzero()[0] if len(out) else []
    if not len(places):
        return _nothing(engine, program, branch)
    cut = [engine.take(vector, places) for vector in vectors]
    released = Rows(engine, len(places), None, _columns(columns, cut))
    return BranchResult(
        len(places),
        tuple(
            _result(released, one, layout, texts)
            for one, layout in zip(branch.opened, result_layout(program, branch), strict=True)
        ),
    )


def _passing(branch: Branch, groups: Rows) -> Any:
    """A bit: whether a group is there, is of enough units, and passes HAVING."""
    engine = groups.engine
    passing = groups.valid
    for name, least in branch.thresholds:
        kind = groups.columns[name].type
        enough = Compare(
            ">=", Column(name, kind), Literal(least, replace(kind, low=least, high=least)), _BOOLEAN
        )
        passing = engine.and_(passing, comparing.true_bit(groups, enough, evaluate))
    for condition in branch.having:
        passing = engine.and_(passing, true_bit(groups, condition))
    return passing


def _vectors(columns: dict[str, Value]) -> list[Any]:
    return [
        vector
        for value in columns.values()
        for vector in (value.word, value.ring, value.valid)
        if vector is not None
    ]


def _columns(columns: dict[str, Value], vectors: Sequence[Any]) -> dict[str, Value]:
    left = iter(vectors)
    return {
        name: Value(
            value.type,
            next(left) if value.word is not None else None,
            next(left) if value.ring is not None else None,
            next(left) if value.valid is not None else None,
        )
        for name, value in columns.items()
    }


# --- order ---


def _sort_fields(groups: Rows, order: Sequence[SortKey], texts: dict[str, list[Any]]) -> list[Field]:
    """Fields that sort as the keys say: NULLs by a bit of their own, descending ones complemented."""
    engine = groups.engine
    fields: list[Field] = []
    for at, key in enumerate(order):
        valid, parts = _sort_words(groups, key, texts)
        if valid is not None:
            bit = valid if key.nulls_first else engine.xor_public(valid, 1)
            fields.append(Field(f"null {at}", bit, 1))
        for number, (word, bits) in enumerate(parts):
            turned = engine.xor_public(word, 2**bits - 1) if key.descending else word
            fields.append(Field(f"key {at} {number}", turned, bits))
    return fields


def _sort_words(
    groups: Rows, key: SortKey, texts: dict[str, list[Any]]
) -> tuple[Any | None, list[tuple[Any, int]]]:
    engine = groups.engine
    if isinstance(key.value, Ratio):
        ratio = dividing.quotient(groups, key.value, evaluate)
        # Below 0 the larger absolute value comes first: all its bits are turned.
        positive = engine.xor_public(ratio.sign, 1)
        parts = [(positive, 1)]
        high, low = ratio.fraction
        words = [(high, 64)]
        for place, word in enumerate(reversed(ratio.whole)):
            words.insert(0, (word, min(ratio.whole_bits - 64 * place, 64)))
        if ratio.places > 64:
            words.append((engine.shift_right(low, 128 - ratio.places), ratio.places - 64))
        for word, bits in words:
            full = engine.public(word.kind, 2**bits - 1, groups.count)
            zero = engine.public(word.kind, 0, groups.count)
            parts.append((engine.xor(word, engine.select(ratio.sign, full, zero)), bits))
        return ratio.valid, parts
    value = word_of(groups, key.value, key.value.type)
    if value.type.kind == "code" and value.type.dictionary in texts:
        return value.valid, [
            (word, 64) for word in dictionaries.texts(groups, value, texts[value.type.dictionary])
        ]
    return value.valid, [(value.word, value.type.bits)]


# --- what receivers get ---


def _result(rows: Rows, opened: Opened, layout: ColumnLayout, texts: dict[str, list[Any]]) -> ResultColumn:
    engine, expr = rows.engine, opened.value
    if isinstance(expr, Ratio):
        ratio = dividing.quotient(rows, expr, evaluate)
        valid = ratio.valid if ratio.valid is not None else engine.public("u8", 1, rows.count)
        return ResultColumn(layout, (ratio.sign, *ratio.whole, *ratio.fraction), valid)
    value = word_of(rows, expr, expr.type)
    if value.valid is not None and not layout.nullable:
        raise ValueError("a column that may be NULL is declared as never NULL")
    valid = value.valid
    if layout.nullable and valid is None:
        valid = engine.public("u8", 1, rows.count)
    if layout.form == "text":
        found = dictionaries.texts(rows, value, texts[str(expr.type.dictionary)])
        return ResultColumn(layout, tuple(found), valid)
    return ResultColumn(layout, (value.word,), valid)


def _nothing(engine: Engine, program: Program, branch: Branch) -> BranchResult:
    return BranchResult(
        0,
        tuple(
            ResultColumn(
                layout,
                tuple(engine.public(kind, 0, 0) for kind in layout.kinds),
                engine.public("u8", 0, 0) if layout.nullable else None,
            )
            for layout in result_layout(program, branch)
        ),
    )
