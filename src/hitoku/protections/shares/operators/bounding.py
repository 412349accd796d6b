# SPDX-License-Identifier: Apache-2.0
"""Bounded contributions: which rows of a unit count, found under sharing.

Rows are sorted by unit and group. A row is beyond the first `most` of its unit and group exactly if the row
`most` places before has the same unit and group: one comparison, whatever `most` is. The first row of each
unit in a group stands for the pair; pairs are put in the order in which the unit's rows first reach them, and
the ones beyond `max_groups` are found in the same way, and told to all rows of the pair by differences and
sums.

What is kept depends on the unit's own rows, on their order among each other, and on nothing of any other
unit: this is what the sensitivity of `hitoku.questions.privacy` rests on. The order is that of the upload, in
which each owner puts its rows at random, so no value is favoured: a group with many of a unit's rows is
reached sooner, no other.

Who learns what: nobody anything; that is opened inside sorting alone, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hitoku.protections.shares.engine import Engine
from hitoku.protections.shares.operators.packing import Field, equal_words, pack

__all__ = ["bounded"]


def bounded(
    engine: Engine, valid: Any, unit: Field, keys: Sequence[Field], max_rows: int, max_groups: int | None
) -> tuple[Any, Any]:
    """Which rows count.

    Args:
        engine: of this party.
        valid: a bit: whether a row is there, with a unit that is not NULL.
        unit: the unit's words.
        keys: the group's.
        max_rows: of a unit in a group.
        max_groups: of a unit; None where there are not more.

    Returns:
        Two bits of each row, in the rows' own order: whether it counts, and whether it is the first that
        counts of its unit in its group.
    """
    count = len(valid)
    skip = Field("skip", engine.xor_public(valid, 1), 1)
    layout, words = pack(engine, [skip, unit, *keys])
    order = engine.order(layout.keys(words))
    moved = list(engine.apply(order, words))
    rows = layout.keys(moved)
    kept = engine.xor_public(layout.field(engine, moved, "skip"), 1)
    first = engine.and_(kept, engine.xor_public(_as_before(engine, rows, 1), 1))
    if max_rows < count:
        kept = engine.and_(kept, engine.xor_public(_as_before(engine, rows, max_rows), 1))
    if max_groups is not None and max_groups < count:
        beyond = _spread(engine, first, _beyond(engine, order, first, unit, max_groups))
        kept = engine.and_(kept, engine.xor_public(beyond, 1))
        first = engine.and_(first, kept)
    kept, first = engine.unapply(order, [kept, first])
    return kept, first


def _as_before(engine: Engine, words: Sequence[tuple[Any, int]], places: int) -> Any:
    """A bit: whether the row so many places before has the same words; 0 where there is none."""
    count = len(words[0][0])
    if places >= count:
        return engine.public("u8", 0, count)
    here = [(engine.slice(word, places, count), bits) for word, bits in words]
    before = [engine.slice(word, 0, count - places) for word, _ in words]
    return engine.concat([engine.public("u8", 0, places), equal_words(engine, here, before)])


def _beyond(engine: Engine, order: Any, first: Any, unit: Field, most: int) -> Any:
    """A bit of sorted rows that are the first of a pair: whether its unit has `most` pairs before it."""
    (flag,) = engine.unapply(order, [first])
    # Equal units stay in the order of the upload, which is random.
    layout, words = pack(engine, [Field("other", engine.xor_public(flag, 1), 1), unit])
    again = engine.order(layout.keys(words))
    moved = list(engine.apply(again, words))
    (beyond,) = engine.unapply(again, [_as_before(engine, layout.keys(moved), most)])
    (beyond,) = engine.apply(order, [beyond])
    return beyond


def _spread(engine: Engine, first: Any, bit: Any) -> Any:
    """A bit of each first row, given to all rows that follow it up to the next first row."""
    front = engine.order([(engine.xor_public(first, 1), 1)])
    (together,) = engine.apply(front, [bit])
    (steps,) = engine.unapply(front, [engine.diff(together)])
    return engine.prefix_sum(engine.and_(steps, first))
