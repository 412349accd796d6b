# SPDX-License-Identifier: Apache-2.0
"""The book's way to choose training and test rows: a week to learn from, a delay, a week to test on.

A fraud is known only after the delay, so the rows of the delay are not learned from; and a card that is known
to be compromised is blocked, so its payments are no test of anything.
"""

from __future__ import annotations

import datetime

import numpy as np
from numpy.typing import NDArray

from hitoku.learning.data.features import DELAY
from hitoku.learning.data.handbook import START, Transactions

__all__ = ["book_periods"]


def book_periods(
    payments: Transactions,
    start: datetime.date = datetime.date(2018, 7, 25),
    train_days: int = 7,
    delay: int = DELAY,
    test_days: int = 7,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows to train on, and the rows to test on.

    Cards with a fraud in the training days are known when the test begins. On test day k, cards with a fraud
    on the first k days of the delay are known, too: those frauds are `delay` days old by then.

    Returns:
        Two arrays of row numbers, ascending.
    """
    day, first = payments.day, (start - START).days
    training = np.flatnonzero((day >= first) & (day < first + train_days))
    known = np.zeros(int(payments.customer.max(initial=0)) + 1, np.bool_)
    known[payments.customer[training][payments.fraud[training] == 1]] = True
    tests = []
    for k in range(test_days):
        newly = (day == first + train_days + k - 1) & (payments.fraud == 1)
        known[payments.customer[newly]] = True
        today = np.flatnonzero(day == first + train_days + delay + k)
        tests.append(today[~known[payments.customer[today]]])
    return training, np.concatenate(tests)
