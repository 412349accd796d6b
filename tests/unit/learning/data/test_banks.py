# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hitoku.learning.data.banks import (
    BANKS,
    KINDS,
    OWN,
    SIZES,
    bank_data,
    bank_table,
    five_banks,
    own_features,
    write_banks,
)
from hitoku.learning.data.handbook import Transactions, simulate
from hitoku.learning.data.rows import load_rows
from hitoku.learning.plan import Data


@pytest.fixture(scope="module")
def payments() -> Transactions:
    # As rare as in the full size, where 2 of 10,000 terminals and 3 of 5,000 customers fall each day.
    return simulate(customers=600, terminals=6000, days=90, radius=12, seed=3, compromised=1, leaked=1)


def test_customers_go_to_one_bank_in_skewed_sizes_and_terminals_are_shared(payments: Transactions) -> None:
    banks = five_banks(payments, "sizes")
    assert tuple(banks) == BANKS
    assert sum(len(one) for one in banks.values()) == len(payments)
    customers = [set(one.customer.tolist()) for one in banks.values()]
    assert sum(map(len, customers)) == len(set.union(*customers))
    for size, own in zip(SIZES, customers, strict=True):
        assert abs(len(own) / 600 - size) < 0.02
    assert len(set(banks["bank-1"].terminal) & set(banks["bank-2"].terminal)) > 100


def test_by_type_each_bank_meets_mainly_one_kind(payments: Transactions) -> None:
    for kind, one in zip(KINDS, five_banks(payments, "types").values(), strict=True):
        counts = np.bincount(one.scenario[one.fraud == 1], minlength=4)
        if counts.sum() >= 20:
            assert counts[kind] / counts.sum() > 0.5
    whole = five_banks(payments, "sizes")["bank-2"]
    part = five_banks(payments, "types")["bank-2"]
    assert (part.fraud == 0).sum() == (whole.fraud == 0).sum()
    assert (part.scenario == 2).sum() == (whole.scenario == 2).sum()
    assert (part.scenario == 3).sum() < 0.3 * (whole.scenario == 3).sum()


def test_written_tables_are_rows_of_their_plan(payments: Transactions, tmp_path: Path) -> None:
    data = bank_data(payments, terminals=6000)
    paths = write_banks(tmp_path, five_banks(payments), data)
    assert Data.model_validate_json((tmp_path / "data.json").read_text()) == data
    rows = load_rows(data, str(paths["bank-2"]))
    bank = five_banks(payments)["bank-2"]
    assert len(rows.label) == len(bank)
    assert rows.label.sum() == bank.fraud.sum()
    assert np.array_equal(rows.features, own_features(bank), equal_nan=True)
    assert (rows.entities["terminal"] == bank.terminal).all()
    assert {0, 1, 2, 3} == set(rows.part.tolist())
    assert rows.day is not None
    assert data.cuts is not None
    # Between the last label that is learned from and the first test day lies the delay.
    assert rows.day[rows.part == 2].min() - rows.day[rows.part < 2].max() >= 7


def test_own_features_compare_with_a_past_that_a_thief_has_not_spoilt(payments: Transactions) -> None:
    made = own_features(payments)
    past = made[:, OWN.index("amount_to_past_60")]
    assert np.isnan(past[payments.day < 14]).all()
    assert not np.isinf(made).any()
    late = payments.day > 70
    assert np.isnan(past[late]).mean() < 0.05
    stolen = late & (payments.scenario == 3)
    assert np.nanmedian(past[stolen]) > 3 * np.nanmedian(past[late & (payments.fraud == 0)])


def test_a_table_says_nothing_of_the_kind_of_fraud(payments: Transactions) -> None:
    assert bank_table(payments).column_names == ["time", "card", "terminal", "fraud", *OWN]
