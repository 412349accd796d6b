# SPDX-License-Identifier: Apache-2.0
"""Reads a source once: of each row that counts, its id, the digits of its dimensions and its values."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hitoku import limits
from hitoku.errors import LimitError
from hitoku.executors.local import Local
from hitoku.protections.crosstab.prepare.columns import Needed
from hitoku.protections.crosstab.prepare.identify import ID, identified
from hitoku.protections.crosstab.prepare.links import Links
from hitoku.protections.crosstab.prepare.numbers import units
from hitoku.protections.crosstab.prepare.side import Measure, Side
from hitoku.protections.crosstab.prepare.spool import Spool
from hitoku.protections.crosstab.prepare.texts import strings
from hitoku.sources.base import Batch, RowError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hitoku.ports import Progress
    from hitoku.sources.base import Source

__all__ = ["Rows", "Tally", "read"]

_OUTSIDE: Final = np.uint16(0xFFFF)
_AT_ONCE: Final = 128
"""Batches whose rows are put together: about 64 MiB of ids."""


@dataclass
class Tally:
    """What was found while reading. Secret: for the table's owner, on its own machine.

    Attributes:
        rows: rows of the source.
        unusable: rows without a usable identifier.
        outside: by dimension, rows with a value (or none) outside its domain, among those with an identifier.
        missing: by measure, rows without a number, among the same.
    """

    rows: int = 0
    unusable: int = 0
    outside: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)


@dataclass
class Rows:
    """The rows that count, in the order of the source.

    Attributes:
        ids: ``(rows, 32)``.
        digits: for each dimension the place in its domain.
        values: for each measure its units, and where there are any.
        tally: what was left out.
    """

    ids: NDArray[np.uint8]
    digits: list[NDArray[np.uint16]]
    values: list[tuple[NDArray[np.int64], NDArray[np.bool_]]]
    tally: Tally


@dataclass
class _Part:
    """What a batch gives."""

    rows: int
    ids: NDArray[np.uint8]
    digits: list[NDArray[np.uint16] | None]
    values: list[tuple[NDArray[np.int64], NDArray[np.bool_]] | None]
    spooled: list[pa.Array]
    links: Links | None = None


def read(
    side: Side, source: Source, plan: Needed, salt: bytes, folder: Path | None, progress: Progress
) -> Rows:
    """All rows that count for a side.

    Raises:
        InputError: the source is malformed.
        LimitError: it has too many rows.
        EngineError: the engine failed.
    """
    tally = Tally()
    domains = [strings(list(dimension.domain)) for dimension in side.dimensions]

    def work(batch_of: Batch) -> _Part:
        batch = batch_of()
        found = Links(len(plan.kinds)) if len(plan.kinds) > 1 else None
        ids, usable = identified(batch, plan.kinds, salt, found)
        total = batch.num_rows
        if not usable.all():
            ids = ids[usable]
            keep = np.packbits(usable, bitorder="little")
            batch = batch.filter(pa.Array.from_buffers(pa.bool_(), total, [None, pa.py_buffer(keep)]))
        digits = [
            None if place is None else _digits(batch.column(place), domain)
            for place, domain in zip(plan.dimensions, domains, strict=True)
        ]
        values = [
            None if place is None else units(batch.column(place), measure.bounds.decimals)
            for place, measure in zip(plan.measures, side.measures, strict=True)
        ]
        return _Part(total, ids, digits, values, [batch.column(place) for place, _ in plan.spooled], found)

    parts: list[_Part] = []
    waiting = 0
    links = Links(len(plan.kinds))
    with _spool(side, plan, folder) as spool:
        progress.phase("read the table")
        try:
            for part in Local().map(work, source.batches(plan.places)):
                tally.rows += part.rows
                tally.unusable += part.rows - len(part.ids)
                if tally.rows > limits.MAX_CROSSTAB_RECORDS:
                    raise LimitError(f"{source.name} has more than {limits.MAX_CROSSTAB_RECORDS:,} rows")
                if spool is not None:
                    spool.push(part.spooled)
                    part.spooled = []
                if part.links is not None:
                    links.take(part.links)
                    part.links = None
                parts.append(part)
                waiting += 1
                if waiting == _AT_ONCE:
                    parts[-waiting:], waiting = [_joined(parts[-waiting:])], 0
                progress.advance(part.rows)
        except RowError as error:
            raise error.located(tally.rows) from None
        numbers: NDArray[np.int64] | None = None
        converted: dict[str, pa.Array] = {}
        if spool is not None:
            numbers, columns = spool.kept(side.conditions, plan.converted, progress)
            converted = dict(zip(plan.converted, columns, strict=False))
    return _gathered(side, plan, parts, numbers, converted, domains, tally, links)


def _joined(parts: list[_Part]) -> _Part:
    """Several parts as one: many small arrays would leave the process's memory in pieces."""
    first = parts[0]
    digits = [
        None if found is None else _chosen([part.digits[place] for part in parts], None, _NO_DIGITS)
        for place, found in enumerate(first.digits)
    ]
    values = [
        None if found is None else _pairs([part.values[place] for part in parts], None)
        for place, found in enumerate(first.values)
    ]
    rows = sum(part.rows for part in parts)
    return _Part(rows, np.concatenate([part.ids for part in parts]), digits, values, [])


def _spool(side: Side, plan: Needed, folder: Path | None) -> Any:
    if not plan.spooled:
        return nullcontext(None)
    return Spool(side.table.name, [column for _, column in plan.spooled], folder)


def _gathered(
    side: Side,
    plan: Needed,
    parts: list[_Part],
    numbers: NDArray[np.int64] | None,
    converted: dict[str, pa.Array],
    domains: Sequence[pa.Array],
    tally: Tally,
    links: Links,
) -> Rows:
    """The parts in one, without the rows that conditions or domains leave out."""
    # Links are of the whole table: who is whom does not depend on the question's conditions.
    ids = links.followed(_ids(parts, numbers))
    digits: list[NDArray[np.uint16]] = []
    inside = np.ones(len(ids), np.bool_)
    for place, (dimension, domain) in enumerate(zip(side.dimensions, domains, strict=True)):
        if plan.dimensions[place] is None:
            made = _digits(converted[dimension.column], domain) if len(ids) else _NO_DIGITS
        else:
            made = _chosen([part.digits[place] for part in parts], numbers, _NO_DIGITS)
        digits.append(made)
    values = [_measured(n, m, plan, parts, numbers, converted, len(ids)) for n, m in enumerate(side.measures)]
    for dimension, made in zip(side.dimensions, digits, strict=True):
        outside = made == _OUTSIDE
        tally.outside[dimension.column] = int(outside.sum())
        if dimension.other is None:
            inside &= ~outside
        else:
            made[outside] = dimension.domain.index(dimension.other)
    for measure, (_, there) in zip(side.measures, values, strict=True):
        tally.missing[measure.column] = int((~there).sum())
    if not inside.all():
        ids = ids[inside]
        digits = [made[inside] for made in digits]
        values = [(made[inside], there[inside]) for made, there in values]
    return Rows(ids, digits, values, tally)


def _ids(parts: list[_Part], numbers: NDArray[np.int64] | None) -> NDArray[np.uint8]:
    """The ids of all parts, each of which gives its own away: they are most of the memory."""
    whole = np.empty((sum(len(part.ids) for part in parts), ID), np.uint8)
    at = 0
    for part in parts:
        whole[at : at + len(part.ids)] = part.ids
        at += len(part.ids)
        part.ids = whole[:0]
    return whole if numbers is None else whole[numbers]


_NO_DIGITS: Final = np.zeros(0, np.uint16)


def _measured(
    place: int,
    measure: Measure,
    plan: Needed,
    parts: list[_Part],
    numbers: NDArray[np.int64] | None,
    converted: dict[str, pa.Array],
    rows: int,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    if plan.measures[place] is None:
        if not rows:
            return np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return units(converted[measure.column], measure.bounds.decimals)
    return _pairs([part.values[place] for part in parts], numbers)


def _pairs(
    pairs: list[tuple[NDArray[np.int64], NDArray[np.bool_]] | None], numbers: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    return (
        _chosen([None if p is None else p[0] for p in pairs], numbers, np.zeros(0, np.int64)),
        _chosen([None if p is None else p[1] for p in pairs], numbers, np.zeros(0, np.bool_)),
    )


def _chosen(
    parts: Sequence[NDArray[Any] | None], numbers: NDArray[np.int64] | None, empty: NDArray[Any]
) -> Any:
    whole = np.concatenate([empty, *(part for part in parts if part is not None)])
    return whole if numbers is None else whole[numbers]


def _digits(column: pa.Array, domain: pa.Array) -> NDArray[np.uint16]:
    """The place of each value in the domain."""
    kind = pa.large_string() if pa.types.is_large_string(column.type) else pa.string()
    found = pc.index_in(column, value_set=domain.cast(kind))
    places = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    made: NDArray[np.uint16] = places.astype(np.int64).astype(np.uint16)
    return made
