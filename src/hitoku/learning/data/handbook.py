# SPDX-License-Identifier: Apache-2.0
"""Simulated card transactions after the description in the Fraud Detection Handbook.

Written from the text of chapter 3 of Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine
Learning for Credit Card Fraud Detection - Practical Handbook" (2022). Customers live on a square and pay at
terminals nearby; three kinds of fraud are laid over their honest payments:

1. every payment of more than 220 is a fraud (an obvious pattern that any detector must find);
2. every day two terminals fall to a criminal, and all payments at them during 28 days are frauds;
3. every day three customers lose their card's data, and during 14 days a third of their payments, five times
   as high, are frauds.

A payment's kind is the last of the three that applies to it. The draws are numpy's, so a data set has the
book's distributions, not its rows.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError

__all__ = ["START", "Transactions", "simulate"]

START: Final = datetime.date(2018, 4, 1)
"""The first day, as in the book."""
SECONDS_A_DAY: Final = 86_400

_SIDE: Final = 100.0
_NOON: Final = 43_200
_SPREAD: Final = 20_000
_LARGE: Final = 220.0
_TERMINALS_A_DAY, _TERMINAL_DAYS = 2, 28
_CARDS_A_DAY, _CARD_DAYS, _CARD_FACTOR, _CARD_PART = 3, 14, 5.0, 3


@dataclass(frozen=True, slots=True, eq=False)
class Transactions:
    """Payments in the order of their time; every array has shape (rows,).

    Attributes:
        second: int64, seconds since the beginning of `START`.
        customer: int64, from 0.
        terminal: int64, from 0.
        amount: float64, with two decimals.
        fraud: uint8, 0 or 1.
        scenario: uint8, 0 for honest, else 1 to 3 as above.
    """

    second: NDArray[np.int64]
    customer: NDArray[np.int64]
    terminal: NDArray[np.int64]
    amount: NDArray[np.float64]
    fraud: NDArray[np.uint8]
    scenario: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.second)

    @property
    def day(self) -> NDArray[np.int64]:
        """Whole days since `START`, shape (rows,)."""
        return self.second // SECONDS_A_DAY

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Transactions:
        """Some of the rows, in the order of `rows`."""
        return Transactions(*(getattr(self, name)[rows] for name in self.__slots__))


def simulate(
    customers: int = 5000,
    terminals: int = 10_000,
    days: int = 183,
    *,
    radius: float = 5.0,
    seed: int = 0,
    compromised: int = _TERMINALS_A_DAY,
    leaked: int = _CARDS_A_DAY,
) -> Transactions:
    """Draw a data set; the defaults are the book's: about 1.75 million payments, 0.84 % of them frauds.

    Args:
        customers: how many.
        terminals: how many.
        days: how many, from `START`.
        radius: how far a customer goes; the square's side is 100.
        seed: same seed, same rows.
        compromised: terminals that fall each day.
        leaked: customers whose card's data leak each day.

    Raises:
        InputError: nobody, nowhere or no day.
    """
    if min(customers, terminals, days) < 1 or max(compromised - terminals, leaked - customers) > 0:
        raise InputError("the simulation needs customers, terminals and days, and no more victims than those")
    draw = np.random.default_rng(seed)
    homes = draw.uniform(0, _SIDE, (customers, 2))
    mean = draw.uniform(5, 100, customers)
    rate = draw.uniform(0, 4, customers)
    near, first = _nearby(homes, draw.uniform(0, _SIDE, (terminals, 2)), radius)

    counts = draw.poisson(rate[:, None], (customers, days))
    customer = np.repeat(np.arange(customers), counts.sum(1))
    day = np.repeat(np.tile(np.arange(days), customers), counts.ravel())
    time = draw.normal(_NOON, _SPREAD, len(customer)).astype(np.int64)
    # The book drops payments outside the day, and those of customers with no terminal nearby.
    kept = (time > 0) & (time < SECONDS_A_DAY) & (np.diff(first)[customer] > 0)
    customer, second = customer[kept], day[kept] * SECONDS_A_DAY + time[kept]
    amount = draw.normal(mean[customer], mean[customer] / 2)
    again = draw.uniform(0, 2 * mean[customer])
    amount = np.where(amount < 0, again, amount).round(2)
    choice = (draw.random(len(customer)) * np.diff(first)[customer]).astype(np.int64)
    terminal = near[first[customer] + choice]

    order = np.argsort(second, kind="stable")
    second, customer, terminal, amount = second[order], customer[order], terminal[order], amount[order]
    scenario = np.where(amount > _LARGE, 1, 0).astype(np.uint8)
    _compromise(draw, second // SECONDS_A_DAY, terminal, terminals, days, compromised, scenario)
    _leak(draw, second // SECONDS_A_DAY, customer, customers, days, leaked, scenario, amount)
    return Transactions(
        second, customer, terminal, np.round(amount, 2), (scenario > 0).astype(np.uint8), scenario
    )


def _nearby(
    homes: NDArray[np.float64], places: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The terminals near each customer: all in one array, and where each customer's begin in it."""
    found, counts = [], []
    for k in range(0, len(homes), 256):
        apart = homes[k : k + 256, None, :] - places[None, :, :]
        near = np.einsum("ijk,ijk->ij", apart, apart) < radius * radius
        found.append(np.nonzero(near)[1])
        counts.append(near.sum(1))
    return np.concatenate(found), np.concatenate(([0], np.cumsum(np.concatenate(counts))))


def _compromise(
    draw: np.random.Generator,
    day: NDArray[np.int64],
    terminal: NDArray[np.int64],
    terminals: int,
    days: int,
    each: int,
    scenario: NDArray[np.uint8],
) -> None:
    """Mark the payments at compromised terminals."""
    bad = np.zeros((terminals, days + _TERMINAL_DAYS), np.bool_)
    for today in range(days - 1):
        bad[draw.choice(terminals, each, replace=False), today : today + _TERMINAL_DAYS] = True
    scenario[bad[terminal, day]] = 2


def _leak(
    draw: np.random.Generator,
    day: NDArray[np.int64],
    customer: NDArray[np.int64],
    customers: int,
    days: int,
    each: int,
    scenario: NDArray[np.uint8],
    amount: NDArray[np.float64],
) -> None:
    """Mark and raise a third of the payments of customers whose card's data leaked."""
    order = np.argsort(customer, kind="stable")
    first = np.searchsorted(customer[order], np.arange(customers + 1))
    for today in range(days - 1):
        rows = []
        for victim in draw.choice(customers, each, replace=False):
            own = order[first[victim] : first[victim + 1]]
            rows.append(own[np.searchsorted(day[own], today) : np.searchsorted(day[own], today + _CARD_DAYS)])
        theirs = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        hit = draw.permutation(theirs)[: len(theirs) // _CARD_PART]
        amount[hit] *= _CARD_FACTOR
        scenario[hit] = 3
