# SPDX-License-Identifier: Apache-2.0
"""A member's table as a plan's rows: checked, converted and split batch by batch, in memory, never sent.

All members must cut time at the same moments: a plan's `cuts`. Without them a table is cut by shares of its
own span, which is the same for all only where the tables span the same time. Without a time column a keyed
hash of the row's place (of its card, where cards are known) decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError, LimitError
from hitoku.learning.base import Rows
from hitoku.learning.data.convert import buckets, numbers, seconds, whole
from hitoku.learning.plan import Data
from hitoku.sources.base import RowError, Source
from hitoku.sources.uri import open_uri

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CARDS", "load_rows", "rows_of", "split_by_key", "split_by_time"]

CARDS: Final = 1 << 62
"""Cards are known by a hash below this."""
_DAY: Final = 86_400


@dataclass(slots=True)
class _Batches:
    """The converted columns so far, a list of arrays each."""

    features: list[NDArray[np.float32]]
    label: list[NDArray[np.uint8]]
    time: list[NDArray[np.int64]]
    entities: dict[str, list[NDArray[np.int64]]]


def load_rows(
    data: Data,
    uri: str,
    base: Path | None = None,
    *,
    key: bytes = b"",
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Read a member's table.

    Args:
        data: the columns, of the plan.
        uri: as `hitoku.sources.uri.open_uri` takes it.
        base: what relative paths are relative to; the working directory where None.
        key: of the hash that splits rows without a time column: the plan's salt.
        progress: told the number of rows read so far.

    Returns:
        The rows in the order of the table; without those outside the plan's cuts.

    Raises:
        InputError: a column is missing, or a value cannot be used: names column and row, never the value.
        LimitError: the table has more rows than the plan's `data.rows`.
    """
    return rows_of(data, open_uri(uri, Path() if base is None else base), key=key, progress=progress)


def rows_of(
    data: Data, source: Source, *, key: bytes = b"", progress: Callable[[int], None] | None = None
) -> Rows:
    """As `load_rows`, of an open source."""
    names = _columns(data)
    places = _places(names, source)
    got = _Batches([], [], [], {column: [] for column in _keyed(data)})
    before = 0
    for make in source.batches(places):
        try:
            batch = make()
            before_this = before
            before += batch.num_rows
            if before > data.rows:
                raise LimitError(
                    f"{source.name} has more than the {data.rows:,} rows that the plan allows a member "
                    "(data.rows)"
                )
            _convert(data, dict(zip(names, batch.columns, strict=True)), source.name, got)
        except RowError as error:
            raise error.located(before_this if before else 0) from None
        if progress is not None:
            progress(before)
    if not before:
        raise InputError(f"{source.name} has no rows")
    return _split(data, got, key)


def _columns(data: Data) -> list[str]:
    """The columns that are read, each once."""
    names = [feature.name for feature in data.features] + [data.label]
    names += [name for name in (data.time, data.card) if name is not None]
    names += [counter.column for counter in data.counters]
    return list(dict.fromkeys(names))


def _keyed(data: Data) -> list[str]:
    """The columns that become `Rows.entities`."""
    cards = [] if data.card is None else [data.card]
    return list(dict.fromkeys([counter.column for counter in data.counters] + cards))


def _places(names: list[str], source: Source) -> list[int]:
    there = source.schema.names
    missing = [name for name in names if name not in there]
    if missing:
        raise InputError(
            f"{source.name} has no column {', '.join(missing)}, which the plan's data part names"
        )
    twice = [name for name in names if there.count(name) > 1]
    if twice:
        raise InputError(f"{source.name} has two columns of the name {twice[0]}")
    return [there.index(name) for name in names]


def _convert(data: Data, columns: dict[str, pa.Array], name: str, got: _Batches) -> None:
    rows = len(columns[data.label])
    made = np.empty((rows, len(data.features)), np.float32)
    for place, feature in enumerate(data.features):
        made[:, place] = numbers(columns[feature.name], name, feature.name)
    got.features.append(made)
    label = whole(columns[data.label], name, data.label, 2, "is no label: neither 0 nor 1")
    got.label.append(label.astype(np.uint8))
    if data.time is not None:
        got.time.append(seconds(columns[data.time], name, data.time))
    counted = {counter.column: counter for counter in data.counters}
    for column, kept in got.entities.items():
        if column not in counted:
            kept.append(buckets(columns[column], name, column, CARDS))
        elif counted[column].hashed:
            kept.append(buckets(columns[column], name, column, counted[column].entities))
        else:
            most = counted[column].entities
            kept.append(
                whole(columns[column], name, column, most, f"is no whole number from 0 to {most - 1}")
            )


def _split(data: Data, got: _Batches, key: bytes) -> Rows:
    features, label = np.concatenate(got.features), np.concatenate(got.label)
    entities = {name: np.concatenate(parts) for name, parts in got.entities.items()}
    if data.time is None:
        card = None if data.card is None else entities[data.card]
        return Rows(features, label, split_by_key(len(label), data.shares, key, card), None, entities)
    time = np.concatenate(got.time)
    part, kept = split_by_time(data, time)
    day = (time // _DAY).astype(np.int32)
    if kept.all():
        return Rows(features, label, part, day, entities)
    entities = {name: values[kept] for name, values in entities.items()}
    return Rows(features[kept], label[kept], part[kept], day[kept], entities)


def split_by_time(data: Data, time: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The part of each row, and whether it is kept; both of shape (rows,).

    Args:
        data: its `cuts`, or its `shares` of the span of `time`.
        time: int64, seconds.
    """
    if data.cuts is not None:
        history, train, holdout, wait, test, end = data.cuts.edges
        edges = np.array([train, holdout, wait, test])
        parts = np.array([3, 0, 1, 3, 2], np.uint8)
        return parts[np.searchsorted(edges, time, side="right")], (time >= history) & (time < end)
    first, last = int(time.min()), int(time.max())
    place = (time - first) / max(last - first, 1)
    cuts = np.cumsum(data.shares[:2])
    return np.searchsorted(cuts, place, side="right").astype(np.uint8), np.ones(len(time), np.bool_)


def split_by_key(
    rows: int, shares: tuple[float, float, float], key: bytes, card: NDArray[np.int64] | None = None
) -> NDArray[np.uint8]:
    """Parts by a keyed hash of the rows' places, or of their cards, so that a card is in one part alone.

    Returns:
        uint8, shape (rows,). The same each time the same table is read.
    """
    seed = hashlib.sha256(b"hitoku/learning-split/1\0" + key).digest()
    if card is None:
        place = np.random.Generator(np.random.Philox(key=int.from_bytes(seed[:16], "big"))).random(rows)
    else:
        cards, which = np.unique(card, return_inverse=True)
        drawn = [
            int.from_bytes(
                hashlib.blake2b(int(c).to_bytes(8, "big"), key=seed, digest_size=8).digest(), "big"
            )
            for c in cards
        ]
        place = (np.array(drawn, np.uint64) / 2.0**64)[which]
    return np.searchsorted(np.cumsum(shares[:2]), place, side="right").astype(np.uint8)
