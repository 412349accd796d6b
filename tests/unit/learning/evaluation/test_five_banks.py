# SPDX-License-Identifier: Apache-2.0
"""What five simulated banks gain from learning together: half the book's size, its rates of fraud."""

from __future__ import annotations

import pytest

from hitoku.learning.data.banks import BANKS, Form, bank_data, bank_table, five_banks
from hitoku.learning.data.handbook import simulate
from hitoku.learning.data.rows import rows_of
from hitoku.learning.evaluation import Report, evaluate
from hitoku.learning.evaluation.report import ALL
from hitoku.learning.plan import Boosting, Plan
from hitoku.sources.table import TableSource

pytestmark = pytest.mark.slow


def _compared(form: Form, delay: int) -> Report:
    payments = simulate(customers=2500, terminals=5000, radius=7.07, compromised=1, leaked=2, seed=0)
    data = bank_data(payments, delay=delay, terminals=5000)
    rows = {
        name: rows_of(data, TableSource(bank_table(one))) for name, one in five_banks(payments, form).items()
    }
    plan = Plan(
        name="five-banks",
        room="0" * 8 + "-0000-0000-0000-" + "0" * 12,
        agreement="",
        members=BANKS,
        server="server",
        data=data,
        model=Boosting(trees=60, depth=6, bins=64, rate=0.15),
        salt="0" * 64,
    )
    return evaluate(plan, rows, resamples=50)


def test_banks_attacked_in_different_ways_gain_most() -> None:
    report = _compared("types", 7)
    joint = report.of("joint", ALL)
    assert joint.auprc == report.of("pooled", ALL).auprc
    assert joint.auprc >= 1.5 * report.mean("alone", "all", "auprc")
    assert joint.recall_at_50 >= report.mean("alone", "all", "recall_at_50") + 0.18
    assert report.worse["ensemble"] == []


def test_four_of_five_frauds_are_found_at_a_precision_of_a_half_if_frauds_are_known_after_three_days() -> (
    None
):
    """With the book's delay of 7 days it is three of four: a terminal's first week of frauds is not known."""
    report = _compared("sizes", 3)
    assert report.of("joint", ALL).recall_at_50 >= 0.8
    assert report.mean("alone", "all", "recall_at_50") < 0.7
    assert report.worse["ensemble"] == []
