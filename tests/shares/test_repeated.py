# SPDX-License-Identifier: Apache-2.0
"""No wrong sum, ever: the same kind of group-by on fresh random rows, again and again, at three real parties.

30 times 20,000 rows; with HITOKU_LONG (``make long``) 1,000 times 100,000.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from tests.shares.dealing import dealer

from hitoku.hazmat.shares import Party, as_integers, run_three
from hitoku.ports import NoProgress
from hitoku.protections.shares.operators import Loaded, execute
from hitoku.protections.shares.program import (
    Aggregate,
    Branch,
    Column,
    Leaf,
    Opened,
    Program,
    Type,
    Upload,
)

LONG = bool(os.environ.get("HITOKU_LONG"))
RUNS, ROWS = (1000, 100_000) if LONG else (30, 20_000)
KEY = Type("number", 0, 1023, nullable=False)
VALUE = Type("number", -(2**40), 2**40, nullable=False)
SUM = Type("number", -(2**60), 2**60)
COUNT = Type("number", 0, ROWS, nullable=False)


def grouped() -> Program:
    key, value = Column("t.1", KEY), Column("t.2", VALUE)
    aggregates = (Aggregate("a1", "sum", value, SUM), Aggregate("a2", "count_rows", None, COUNT))
    opened = tuple(
        Opened(name, Column(name, kind)) for name, kind in (("g1", KEY), ("a1", SUM), ("a2", COUNT))
    )
    leaves = (Leaf("t.1", "", KEY, None, True), Leaf("t.2", "", VALUE, "r64", False))
    branch = Branch("t", (), (), (("g1", key),), aggregates, 1024, opened=opened)
    return Program((Upload("t", "owner", ROWS, leaves),), (branch,))


@pytest.mark.slow
def test_no_sum_is_ever_wrong() -> None:
    program = grouped()
    for run in range(RUNS):
        random = np.random.default_rng(run)
        valid = (random.random(ROWS) < 0.95).astype(np.uint8)
        keys = random.integers(0, 1024, ROWS).astype(np.uint16)
        values = random.integers(-(2**40), 2**40, ROWS)

        def work(party: Party, valid=valid, keys=keys, values=values) -> dict[int, tuple[int, int]]:
            share = dealer(party)
            loaded = Loaded(
                {"t": share("u8", valid)}, {"t.2": share("r64", values)}, {"t.1": share("u16", keys)}
            )
            (result,) = execute(program, party, loaded, NoProgress())
            columns = [
                [
                    number + column.layout.type.low
                    for number in as_integers(column.vectors[0].kind, party.open(column.vectors[0]))
                ]
                for column in result.columns
            ]
            return {key: (total, count) for key, total, count in zip(*columns, strict=True)}

        expected: dict[int, tuple[int, int]] = {}
        for key in range(1024):
            there = (keys == key) & (valid == 1)
            if there.any():
                expected[key] = (int(values[there].sum()), int(there.sum()))
        for found in run_three(work):
            assert found == expected, f"run {run}"
