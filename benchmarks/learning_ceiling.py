# SPDX-License-Identifier: Apache-2.0
"""How many of the simulated frauds anybody could find: the simulator's own probabilities, told too much.

A model sees a payment, the past of its customer, and the counted past of its terminal. The scores here know
more than that, and are the probabilities that follow from the simulator's rules, so that no ranking of the
payments by what a model sees is expected to find more at a precision:

* every payment above the limit of the first kind of fraud is known to be one;
* every payment at a compromised terminal is known to be one from the first on whose fraud is known, until the
  terminal's last day. Before that nothing tells it from an honest one: place, amount and customer are drawn
  as they were;
* a customer's honest mean is known (from all its honest payments, later ones too), and so is the kind of each
  fraud that is known. Whether the card's data leaked, and on which of the last days, is Bayes' rule over all
  amounts since.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.learning.data.features import window_sums
from hitoku.learning.data.handbook import SECONDS_A_DAY, Transactions

__all__ = ["ceiling_scores"]

_TERMINAL_DAYS: Final = 28
_CARD_DAYS, _CARD_FACTOR, _CARD_PART = 14, 5.0, 3
_REDRAWN: Final = 0.02275
"""How many amounts are negative at first (two deviations), and drawn anew evenly up to twice the mean."""
_MEAN: Final = 0.97725 + 0.5 * 0.05399 + _REDRAWN
"""The mean of an honest customer's amounts, in units of what the simulator drew for it."""
_CERTAIN: Final = 60.0
"""A logarithm of odds that nothing overcomes."""
_NOBODY: Final = 52.5
"""Taken for a customer without an honest payment: the mean of all customers' means."""

Values = NDArray[np.float64]


def ceiling_scores(payments: Transactions, delay: int, *, by_day: bool, leaked: int = 3) -> Values:
    """The probability of each payment to be a fraud, to who knows all of the above; shape (rows,).

    Args:
        payments: of `handbook.simulate`.
        delay: days until a fraud is known, at least one.
        by_day: whether only frauds of whole days before the delay are known, as with counters that open by
            the day; else frauds are known to the second.
        leaked: customers whose card's data leak each day.
    """
    score = _leaks(payments, delay, leaked)
    score[payments.scenario == 1] = 1.0
    score[(payments.scenario == 2) & _seen(payments, delay, by_day)] = 1.0
    return score


def _known_until(payments: Transactions, delay: int, by_day: bool) -> NDArray[np.int64]:
    """The second up to which frauds are known when a payment is made, shape (rows,)."""
    until = payments.second - delay * SECONDS_A_DAY
    return until // SECONDS_A_DAY * SECONDS_A_DAY - 1 if by_day else until


def _seen(payments: Transactions, delay: int, by_day: bool) -> NDArray[np.bool_]:
    """Whether a fraud of its terminal's 28 days is known when a payment is made."""
    found = (payments.scenario == 2).astype(np.int64)
    ((since,),) = window_sums(payments.terminal, payments.second, (found,), [(_TERMINAL_DAYS, 0)])
    unknown = _after(payments.terminal, payments.second, found, _known_until(payments, delay, by_day))
    return np.asarray(since > unknown)


def _after(
    group: NDArray[np.int64], second: NDArray[np.int64], values: NDArray[np.int64], until: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sums of each group's rows after a second and up to the row itself, shape (rows,)."""
    order = np.argsort(group, kind="stable")
    total = np.concatenate(([0], np.cumsum(values[order])))
    made = np.empty(len(order), np.int64)
    begin = _place(group, second, order, until)
    made[order] = total[1:] - total[begin[order]]
    return made


def _place(
    group: NDArray[np.int64], second: NDArray[np.int64], order: NDArray[np.int64], until: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where, in `order`, each row's group has its first row after a second; shape (rows,)."""
    least = min(int(until.min()), 0)
    apart = int(second.max()) - least + 2
    key = group[order] * apart + (second[order] - least)
    return np.searchsorted(key, group * apart + (until - least), side="right")


def _leaks(payments: Transactions, delay: int, leaked: int) -> Values:
    """The probability of the third kind of fraud: of a leak that still lasts, then of the payment itself."""
    customer = payments.customer
    people = int(customer.max()) + 1
    honest = payments.scenario != 3
    counts = np.bincount(customer[honest], minlength=people)
    mean = np.bincount(customer[honest], payments.amount[honest], people) / np.maximum(counts, 1) / _MEAN
    mean[mean == 0] = _NOBODY
    usual = np.maximum(_density(payments.amount, mean[customer]), 1e-12)
    ratio = _density(payments.amount / _CARD_FACTOR, mean[customer]) / _CARD_FACTOR / usual
    # What a payment says for a leak while its kind is not known, and when it is.
    unknown = np.log((_CARD_PART - 1 + ratio) / _CARD_PART)
    known = np.where(payments.scenario == 3, _CERTAIN, np.log((_CARD_PART - 1) / _CARD_PART))
    begun = _lasting(payments, people, unknown, known, delay, leaked / people)

    order = np.lexsort((payments.second, customer))
    total = np.concatenate(([0.0], np.cumsum(unknown[order])))
    group = (customer * (int(payments.day.max()) + 1) + payments.day)[order]
    today = np.empty(len(order))
    today[order] = total[:-1] - total[np.searchsorted(group, group)]
    odds = begun / (1 - begun) * np.exp(np.minimum(today, _CERTAIN))
    lasting = odds / (1 + odds)
    fraud = lasting * ratio / _CARD_PART
    return np.asarray(fraud / (fraud + lasting * (_CARD_PART - 1) / _CARD_PART + 1 - lasting))


def _lasting(
    payments: Transactions, people: int, unknown: Values, known: Values, delay: int, rate: float
) -> Values:
    """The probability, when the day begins, that a leak lasts of each payment's customer; shape (rows,).

    A filter over the days, for all customers at once: states are the days since a leak began, and none. Kinds
    are taken as known for the whole day that lies `delay` days back.
    """
    days = int(payments.day.max()) + 1
    cell = payments.day * people + payments.customer
    said = np.exp(np.minimum(np.bincount(cell, unknown, days * people), _CERTAIN)).reshape(days, people)
    told = np.exp(np.minimum(np.bincount(cell, known, days * people), _CERTAIN)).reshape(days, people)
    made = np.empty((days, people))
    none = np.zeros((_CARD_DAYS + 1, people))
    none[-1] = 1.0
    base = _next(none, rate)
    for day in range(days):
        first = max(day - delay, 0)
        # `base`: when the first day begins whose kinds have not been taken in yet.
        state = base
        if day >= delay:
            state = base = _next(_weighed(base, told[first]), rate)
            first += 1
        for since in range(first, day):
            state = _next(_weighed(state, said[since]), rate)
        made[day] = state[:-1].sum(0)
    return np.asarray(np.minimum(made.ravel()[cell], 1 - 1e-15))


def _next(state: Values, rate: float) -> Values:
    """A day later: a leak is a day older or over, and new ones begin."""
    idle = state[-1] + state[-2]
    made: Values = np.concatenate(([idle * rate], state[:-2], [idle * (1 - rate)]))
    return made


def _weighed(state: Values, evidence: Values) -> Values:
    made = state * evidence
    made[-1] = state[-1]
    return np.asarray(made / made.sum(0))


def _density(amount: Values, mean: Values) -> Values:
    """Of an honest amount: normal with half the mean as deviation, negative ones drawn anew."""
    deviation = mean / 2
    normal = np.exp(-(((amount - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))
    again = _REDRAWN * (amount <= 2 * mean) / (2 * mean)
    return np.asarray(normal + again)
