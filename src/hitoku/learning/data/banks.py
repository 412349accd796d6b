# SPDX-License-Identifier: Apache-2.0
"""Five simulated banks that share terminals, as tables of their own, and the data part of their plan.

A customer belongs to one bank, a terminal serves customers of all. Two forms:

`sizes`  banks of 50, 25, 13, 8 and 4 % of the customers, all attacked alike. What a bank lacks is the view of
         the terminals: most payments at a compromised one are other banks' customers'.
`types`  the same banks, each attacked mainly in one way (of the other two kinds of fraud only one case in
         twenty happens there). What a bank lacks is the experience of frauds it has hardly met.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hitoku.learning.data.features import CUSTOMER, DELAY, WHEN, customer_features, window_sums
from hitoku.learning.data.handbook import START, Transactions
from hitoku.learning.plan import Counter, Cuts, Data, Feature

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BANKS", "Form", "bank_data", "bank_table", "five_banks", "write_banks"]

Form = Literal["sizes", "types"]
BANKS: Final = ("bank-1", "bank-2", "bank-3", "bank-4", "bank-5")
SIZES: Final = (0.50, 0.25, 0.13, 0.08, 0.04)
KINDS: Final = (3, 2, 1, 2, 3)
"""The kind of fraud that each bank mainly meets, in the form `types`."""
OTHERS: Final = 0.05
"""How many of the frauds of other kinds happen there all the same."""

PAST: Final = ((60, 14), (90, 14))
RATIOS: Final = ("amount_to_mean_7", "amount_to_mean_30", "amount_to_past_60", "amount_to_past_90")
OWN: Final = WHEN + CUSTOMER + RATIOS
"""The inputs that a bank computes from its own customers alone."""


def five_banks(payments: Transactions, form: Form = "sizes", seed: int = 0) -> dict[str, Transactions]:
    """Share the customers among five banks.

    Args:
        payments: of `handbook.simulate`.
        form: see above.
        seed: who goes where.
    """
    draw = np.random.default_rng([seed, 5])
    customers = int(payments.customer.max(initial=0)) + 1
    ends = np.round(np.cumsum(SIZES) * customers).astype(np.int64)
    bank = np.empty(customers, np.int64)
    bank[draw.permutation(customers)] = np.searchsorted(ends, np.arange(customers), side="right")
    kept = draw.random(len(payments)) < OTHERS
    made = {}
    for place, name in enumerate(BANKS):
        rows = bank[payments.customer] == place
        if form == "types":
            rows &= (payments.fraud == 0) | (payments.scenario == KINDS[place]) | kept
        made[name] = payments.take(rows)
    return made


def bank_data(
    payments: Transactions, *, delay: int = DELAY, terminals: int | None = None, counters: bool = True
) -> Data:
    """The plan's data part for banks made of these payments: shares of time, the same for all of them.

    Args:
        payments: all banks', so that the days and terminals are known.
        delay: days until a fraud is known; the wait between holdout and test.
        terminals: how many there are; the largest that occurs decides where None.
        counters: whether the terminals' risk is counted over the banks.
    """
    days = int(payments.day.max()) + 1
    warm, test = round(days * 0.25), round(days * 0.78)
    wait = test - delay
    holdout = wait - max(1, round(days * 0.08))
    count = int(payments.terminal.max()) + 1 if terminals is None else terminals
    return Data(
        features=tuple(Feature(name=name) for name in OWN),
        label="fraud",
        time="time",
        card="card",
        counters=(Counter(column="terminal", entities=count, delay=delay),) if counters else (),
        cuts=Cuts(
            history=_moment(0),
            train=_moment(warm),
            holdout=_moment(holdout),
            wait=_moment(wait),
            test=_moment(test),
            end=_moment(days),
        ),
    )


def own_features(payments: Transactions) -> NDArray[np.float32]:
    """The features that a bank computes from its own customers, shape (rows, len(OWN)), NaN where no past is.

    The book's nine, and the amount against the customer's habit: its mean of 7 and 30 days, and of the days
    14 to 60 and 14 to 90 back, which a thief who has the card for two weeks has not spoilt yet.
    """
    book = customer_features(payments)
    names = list(WHEN + CUSTOMER)
    columns = [book]
    for window in (7, 30):
        # Payments of nothing alone have a mean of nothing: NaN, as below.
        with np.errstate(divide="ignore", invalid="ignore"):
            columns.append((payments.amount / book[:, names.index(f"customer_mean_{window}")])[:, None])
    cents = np.round(payments.amount * 100).astype(np.int64)
    past = window_sums(payments.customer, payments.second, (np.ones_like(cents), cents), PAST)
    for count, total in past:
        mean = np.full(len(payments), np.nan)
        np.divide(total, 100.0 * count, out=mean, where=total > 0)
        columns.append((payments.amount / mean)[:, None])
    made = np.concatenate(columns, axis=1).astype(np.float32)
    # An amount of nothing against a mean of nothing is no news.
    made[np.isinf(made)] = np.nan
    return made


def bank_table(payments: Transactions) -> pa.Table:
    """One bank's payments as the table that its plan names: time, card, terminal, fraud, and the inputs."""
    import pyarrow as pa

    own = own_features(payments)
    columns = {
        "time": pa.array(payments.second + _moment(0), pa.int64()).cast(pa.timestamp("s", "UTC")),
        "card": pa.array(payments.customer),
        "terminal": pa.array(payments.terminal),
        "fraud": pa.array(payments.fraud),
    }
    columns |= {name: pa.array(own[:, k], from_pandas=True) for k, name in enumerate(OWN)}
    return pa.table(columns)


def write_banks(folder: Path, banks: Mapping[str, Transactions], data: Data) -> dict[str, Path]:
    """Write each bank's table as Parquet, and the data part of a plan as `data.json`.

    Returns:
        The tables by bank.
    """
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, payments in banks.items():
        made[name] = folder / f"{name}.parquet"
        pq.write_table(bank_table(payments), made[name])
    text = data.model_dump_json(indent=2, exclude_none=True)
    (folder / "data.json").write_text(text + "\n", encoding="utf-8")
    return made


def _moment(day: int) -> int:
    """Seconds since 1970 of the beginning of a day since `START`."""
    return int(datetime.datetime.combine(START, datetime.time(), datetime.UTC).timestamp()) + day * 86_400
