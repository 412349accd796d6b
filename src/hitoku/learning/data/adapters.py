# SPDX-License-Identifier: Apache-2.0
"""ULB's and IEEE-CIS's card fraud as rows of five banks, to measure with on this machine.

Neither data set names its banks, so customers are dealt out: at random, by the card's number, in skewed
sizes, or by the kind of product, which gives every bank another kind of fraud. Texts of IEEE-CIS become
numbers by their hash, the same at every bank.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.base import Rows
from hitoku.learning.data.banks import BANKS, SIZES
from hitoku.learning.data.convert import buckets, numbers, seconds
from hitoku.learning.data.rows import rows_of, split_by_time
from hitoku.learning.plan import Cuts, Data, Feature

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Split", "Table", "deal", "ieee", "split_banks", "ulb"]

Split = Literal["random", "cards", "sizes", "products"]
_TEXTS: Final = ("ProductCD", "R_emaildomain", "id_16", "id_27", "DeviceInfo")
_BUCKETS: Final = 1 << 16
_SHARES: Final = (0.6, 0.1, 0.3)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A real data set in memory.

    Attributes:
        data: the plan's data part for banks made of it.
        rows: all rows.
        time: the column that the data part names, int64, seconds.
        card: the card's number of each row, int64, -1 where it is missing; None where the set has none.
        product: the product's name of each row; None where the set has none.
    """

    data: Data
    rows: Rows
    time: NDArray[np.int64]
    card: NDArray[np.int64] | None = None
    product: NDArray[np.str_] | None = None


def ulb(path: Path) -> Table:
    """ULB's file: 284,807 payments of two days, 492 of them frauds, 29 inputs.

    Raises:
        InputError: the file is not what it should be.
    """
    from hitoku.sources import open_source

    names = [f"V{k}" for k in range(1, 29)] + ["Amount"]
    source = open_source(path)
    if "Time" not in source.schema.names:
        raise InputError(f"{source.name} has no column Time")
    place = source.schema.names.index("Time")
    time = np.concatenate(
        [seconds(make().columns[0], source.name, "Time") for make in source.batches([place])]
    )
    # Two days: days are no unit here, and moments come from the file's own span, the same for all banks.
    data = Data(
        features=tuple(Feature(name=name) for name in names), label="Class", time="Time", cuts=_cuts(time)
    )
    return Table(data, rows_of(data, open_source(path)), time)


def ieee(path: Path) -> Table:
    """IEEE-CIS's training file: 590,540 payments of 182 days, 20,663 of them frauds, 118 inputs.

    Raises:
        InputError: the file is not what it should be.
    """
    from hitoku.sources import open_source

    source = open_source(path)
    names = [n for n in source.schema.names if n not in {"TransactionID", "isFraud", "TransactionDT"}]
    columns: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    labels, times, products = [], [], []
    for make in source.batches(range(len(source.schema.names))):
        batch = dict(zip(source.schema.names, make().columns, strict=True))
        for name in names:
            columns[name].append(_column(batch[name], source.name, name).astype(np.float32))
        labels.append(numbers(batch["isFraud"], source.name, "isFraud").astype(np.uint8))
        times.append(numbers(batch["TransactionDT"], source.name, "TransactionDT").astype(np.int64))
        products.append(np.array(batch["ProductCD"].to_pylist(), dtype="U8"))
    time = np.concatenate(times)
    features = np.empty((len(time), len(names)), np.float32)
    for place, name in enumerate(names):
        features[:, place] = np.concatenate(columns[name])
    data = Data(
        features=tuple(Feature(name=name) for name in names),
        label="isFraud",
        time="TransactionDT",
        cuts=_cuts(time),
    )
    part, kept = split_by_time(data, time)
    if not kept.all():
        raise InputError(f"{source.name}: the cuts leave rows out")
    rows = Rows(features, np.concatenate(labels), part, (time // 86_400).astype(np.int32))
    card = np.nan_to_num(features[:, names.index("card1")], nan=-1.0).astype(np.int64)
    return Table(data, rows, time, card, np.concatenate(products))


def split_banks(table: Table, how: Split, seed: int = 0) -> dict[str, Rows]:
    """Deal the rows out to banks; as `deal`, with the rows themselves."""
    return {name: _take(table.rows, places) for name, places in deal(table, how, seed).items()}


def deal(table: Table, how: Split, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """Which rows go to which bank; every row goes to one.

    Args:
        table: of `ulb` or `ieee`.
        how: `random` rows, `cards` by the card's number modulo 5, `sizes` cards at random in the sizes 50,
            25, 13, 8 and 4 % (rows, where cards are not known), `products` by the kind of product.
        seed: of what is random.

    Raises:
        InputError: the data set has no cards or no products.
    """
    count = len(table.rows.label)
    draw = np.random.default_rng(seed)
    names: tuple[str, ...] = BANKS
    if how == "random":
        bank = draw.integers(0, len(BANKS), count)
    elif how == "cards":
        bank = _cards(table) % len(BANKS)
    elif how == "sizes":
        ends = np.cumsum(SIZES)[:-1]
        if table.card is None:
            bank = np.searchsorted(ends, draw.random(count), side="right")
        else:
            cards, which = np.unique(table.card, return_inverse=True)
            bank = np.searchsorted(ends, draw.random(len(cards)), side="right")[which]
    else:
        if table.product is None:
            raise InputError("this data set names no products: split it another way")
        products, bank = np.unique(table.product, return_inverse=True)
        names = tuple(f"bank-{name.lower()}" for name in products)
    return {name: np.flatnonzero(bank == place) for place, name in enumerate(names)}


def _cards(table: Table) -> NDArray[np.int64]:
    if table.card is None:
        raise InputError("this data set names no cards: split it another way")
    return table.card


def _take(rows: Rows, places: NDArray[np.int64]) -> Rows:
    day = None if rows.day is None else rows.day[places]
    return Rows(rows.features[places], rows.label[places], rows.part[places], day)


def _column(column: pa.Array, table: str, name: str) -> NDArray[np.float64]:
    """A column as numbers; texts become their bucket, missing ones stay missing."""
    if name not in _TEXTS:
        return numbers(column, table, name)
    made = buckets(column.fill_null(""), table, name, _BUCKETS).astype(np.float64)
    made[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return made


def _cuts(time: NDArray[np.int64]) -> Cuts:
    """Moments at the plan's usual shares of the time span."""
    first, after = int(time.min()), int(time.max()) + 1
    span = after - first
    return Cuts(
        train=first,
        holdout=first + round(_SHARES[0] * span),
        test=first + round((_SHARES[0] + _SHARES[1]) * span),
        end=after,
    )
