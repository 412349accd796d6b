# SPDX-License-Identifier: Apache-2.0
"""The book's 15 features of a payment: when, how much, the customer's habit, the terminal's past.

Windows are exact to the second. The terminal's features look only at payments older than the delay after
which a fraud is known (7 days in the book); the customer's look at amounts alone, so need no delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.learning.data.handbook import SECONDS_A_DAY, START, Transactions

__all__ = [
    "CUSTOMER",
    "DELAY",
    "NAMES",
    "TERMINAL",
    "WINDOWS",
    "customer_features",
    "features",
    "window_sums",
]

WINDOWS: Final = (1, 7, 30)
DELAY: Final = 7
_NIGHT: Final = 6

WHEN: Final = ("amount", "weekend", "night")
CUSTOMER: Final = tuple(f"customer_{what}_{w}" for w in WINDOWS for what in ("count", "mean"))
TERMINAL: Final = tuple(f"terminal_{what}_{w}" for w in WINDOWS for what in ("count", "risk"))
NAMES: Final = WHEN + CUSTOMER + TERMINAL


def window_sums(
    group: NDArray[np.int64],
    second: NDArray[np.int64],
    values: Sequence[NDArray[np.int64]],
    spans: Sequence[tuple[int, int]],
) -> NDArray[np.int64]:
    """Sums of each group's earlier rows within windows of time.

    Args:
        group: shape (rows,), from 0.
        second: shape (rows,), ascending; rows of one second keep their order.
        values: what is summed, each of shape (rows,).
        spans: (from, to) in days: rows with second in (now - from, now - to]. With to = 0 a row itself
            counts, and rows after it do not, even of the same second.

    Returns:
        Shape (len(spans), len(values), rows).
    """
    order = np.argsort(group, kind="stable")
    now = second[order] - (int(second[0]) if len(second) else 0)
    longest = max((span[0] for span in spans), default=0)
    apart = (int(now.max()) if len(now) else 0) + (longest + 1) * SECONDS_A_DAY
    key = group[order] * apart + now
    ends = [np.concatenate(([0], np.cumsum(value[order]))) for value in values]
    made = np.empty((len(spans), len(values), len(order)), np.int64)
    for place, (begin, end) in enumerate(spans):
        low = np.searchsorted(key, key - begin * SECONDS_A_DAY, side="right")
        if end == 0:
            high = np.arange(1, len(order) + 1)
        else:
            high = np.searchsorted(key, key - end * SECONDS_A_DAY, side="right")
        for k, total in enumerate(ends):
            made[place, k, order] = total[high] - total[low]
    return made


def customer_features(payments: Transactions) -> NDArray[np.float64]:
    """Amount, weekend, night, and the customer's count and mean amount over 1, 7 and 30 days.

    Returns:
        Shape (rows, 9), in the order of `WHEN + CUSTOMER`. A bank computes them from its own customers alone.
    """
    columns = [payments.amount, _weekend(payments), _night(payments)]
    # Whole cents: sums of windows are exact, whatever came before them.
    cents = np.round(payments.amount * 100).astype(np.int64)
    ones = np.ones(len(payments), np.int64)
    sums = window_sums(payments.customer, payments.second, (ones, cents), [(w, 0) for w in WINDOWS])
    for count, total in sums:
        columns += [count.astype(np.float64), total / count / 100.0]
    return np.column_stack(columns)


def terminal_features(payments: Transactions, delay: int = DELAY) -> NDArray[np.float64]:
    """The terminal's count of payments and share of frauds over 1, 7 and 30 days that end `delay` days ago.

    Returns:
        Shape (rows, 6), in the order of `TERMINAL`; the share is 0 where there was no payment.
    """
    ones = np.ones(len(payments), np.int64)
    spans = [(delay + w, delay) for w in WINDOWS]
    sums = window_sums(payments.terminal, payments.second, (ones, payments.fraud.astype(np.int64)), spans)
    columns = []
    for count, frauds in sums:
        columns += [count.astype(np.float64), frauds / np.maximum(count, 1)]
    return np.column_stack(columns)


def features(payments: Transactions, delay: int = DELAY) -> NDArray[np.float64]:
    """All 15 features of every payment, shape (rows, 15), in the order of `NAMES`."""
    return np.column_stack([customer_features(payments), terminal_features(payments, delay)])


def _weekend(payments: Transactions) -> NDArray[np.float64]:
    return (((payments.day + START.weekday()) % 7) >= 5).astype(np.float64)


def _night(payments: Transactions) -> NDArray[np.float64]:
    return ((payments.second % SECONDS_A_DAY) // 3600 <= _NIGHT).astype(np.float64)
