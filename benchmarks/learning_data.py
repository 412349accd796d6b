# SPDX-License-Identifier: Apache-2.0
"""Rows of banks in memory: the simulated payments in several forms and sizes, ULB's and IEEE-CIS's."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np

from hitoku.inference.folder import data_folder
from hitoku.learning.base import Rows
from hitoku.learning.data.banks import Form, bank_data, bank_table, five_banks
from hitoku.learning.data.features import NAMES, features
from hitoku.learning.data.fetching import IEEE, ULB, Packaged
from hitoku.learning.data.handbook import Transactions, simulate
from hitoku.learning.data.rows import rows_of
from hitoku.learning.plan import Data, Feature
from hitoku.sources.table import TableSource

__all__ = ["SIZES", "Size", "book_banks", "real_file", "simulated", "simulated_banks"]

Size = Literal["tiny", "quarter", "half", "whole"]
SIZES: Final[dict[Size, tuple[int, int, int, int]]] = {
    "tiny": (1250, 61, 1, 1),
    "quarter": (1250, 183, 1, 1),
    "half": (2500, 183, 1, 2),
    "whole": (5000, 183, 2, 3),
}
"""Customers, days, and the terminals and cards that fall each day; terminals are twice the customers."""


def simulated(size: Size, seed: int) -> Transactions:
    """The book's payments. Smaller sizes keep its density of terminals and about its rates of fraud."""
    customers, days, compromised, leaked = SIZES[size]
    return simulate(
        customers,
        2 * customers,
        days,
        radius=5.0 * (5000 / customers) ** 0.5,
        seed=seed,
        compromised=compromised,
        leaked=leaked,
    )


def simulated_banks(size: Size, seed: int, form: Form, delay: int = 7) -> tuple[Data, dict[str, Rows]]:
    """Five banks that share terminals, and the data part of their plan, counters and all."""
    payments = simulated(size, seed)
    data = bank_data(payments, delay=delay)
    banks = five_banks(payments, form, seed)
    return data, {name: rows_of(data, TableSource(bank_table(each))) for name, each in banks.items()}


def book_banks(size: Size, seed: int) -> tuple[Data, dict[str, Rows]]:
    """Five banks of equal sizes, whose rows have the book's 15 features: nothing is counted in a run."""
    payments = simulated(size, seed)
    made = features(payments).astype(np.float32)
    cuts = bank_data(payments, counters=False).cuts
    assert cuts is not None
    data = Data(features=tuple(map(_bounded, NAMES)), label="fraud", time="time", cuts=cuts)
    history, *edges, _ = cuts.edges
    part = np.array([3, 0, 1, 3, 2], np.uint8)[
        np.searchsorted(np.array(edges), payments.second + history, side="right")
    ]
    rows = Rows(made, payments.fraud, part, payments.day.astype(np.int32))
    bank = (
        np.random.default_rng([seed, 6]).permutation(int(payments.customer.max()) + 1)[payments.customer] % 5
    )
    return data, {f"bank-{place + 1}": _taken(rows, bank == place) for place in range(5)}


def _bounded(name: str) -> Feature:
    """A feature with bounds that anybody knows: noised counts need them to find quantiles."""
    if name in ("weekend", "night") or "risk" in name:
        return Feature(name=name, low=0, high=1)
    return Feature(name=name, low=0, high=200 if "count" in name else 2000)


def _taken(rows: Rows, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Rows:
    day = None if rows.day is None else rows.day[chosen]
    return replace(
        rows, features=rows.features[chosen], label=rows.label[chosen], part=rows.part[chosen], day=day
    )


@cache
def real_file(which: str) -> Path | None:
    """The CSV file of `ulb` or `ieee` where it was fetched before; nothing is fetched here."""
    wanted: Packaged = {"ulb": ULB, "ieee": IEEE}[which]
    path = data_folder() / "learning" / wanted.file
    return path if path.is_file() else None
