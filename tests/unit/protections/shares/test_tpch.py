# SPDX-License-Identifier: Apache-2.0
"""TPC-H's questions as `tests.shares.tpch` has them, on shares: equal to DuckDB, types included.

Whole numbers, decimals, dates and texts are equal exactly, floating-point numbers to 1e-12 of their size. The
ideal engine takes the kernel's place where there are many rows; a handful run on three real parties.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import math
import os
from functools import cache, lru_cache

import pyarrow as pa
import pytest
from tests.shares import tpch
from tests.shares.world import answered, answered_by_three, plain_table, prepared, rows_of

from hitoku.protections.base import Unsupported
from hitoku.protections.shares.planning import predict
from hitoku.room.agreement import Agreement, Room

from .planning.shapes import KEYS

SEEDS = int(os.environ.get("HITOKU_TPCH_SEEDS", "20" if os.environ.get("HITOKU_LONG") else "3"))
"""How often tables at scale 0.01 are drawn anew."""
QUESTIONS = {f"Q{asked.number}": asked.sql for asked in tpch.QUESTIONS}
FAST = ("Q1", "Q6", "Q13", "Q22")
"""What stays within a second or so: all others are slow."""
DOUBLES = {"Q1": {"sum_charge"}}
"""A sum of a product of three is a floating-point number in hitoku's questions: here it is rounded once."""
EVERY = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in QUESTIONS]


@cache
def trade():
    names = ("retailer", "maker", "bureau")
    abilities = ["query", "receive", "compute"]
    members = [
        {"name": name, "key": key, "abilities": abilities} for name, key in zip(names, KEYS, strict=True)
    ]
    said = {
        "id": "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e12",
        "members": members,
        "protections": ["shares"],
        "shares": {"servers": list(names)},
    }
    return Room(agreement=Agreement.model_validate({**tpch.agreement(), **said}))


@lru_cache(maxsize=2)
def contents(scale, seed):
    return tpch.tables(scale, seed)


@cache
def asked(name):
    question, planned, drafted = prepared(QUESTIONS[name], trade(), "bureau")
    assert not isinstance(drafted, Unsupported), drafted.reason
    return question, planned, drafted


def same(mine, clear):
    """Whether two values are equal, floating-point ones to 1e-12 of their size."""
    if isinstance(mine, float) and isinstance(clear, float):
        return math.isclose(mine, clear, rel_tol=1e-12, abs_tol=0.0) or (mine != mine and clear != clear)
    return type(mine) is type(clear) and mine == clear


def compare(name, table, content):
    clear = plain_table(QUESTIONS[name], content)
    for column in DOUBLES.get(name, ()):
        place = clear.schema.get_field_index(column)
        clear = clear.set_column(place, column, clear.column(place).cast(pa.float64()))
    assert [(f.name, f.type) for f in table.schema] == [(f.name, f.type) for f in clear.schema]
    got, expected = rows_of(table), rows_of(clear)
    assert len(got) == len(expected)
    if "ORDER BY" not in QUESTIONS[name]:

        def exact(row):
            return repr([value for value in row if not isinstance(value, float)])

        got, expected = sorted(got, key=exact), sorted(expected, key=exact)
    wrong = [
        (mine, clear)
        for mine, clear in zip(got, expected, strict=True)
        if not all(same(*values) for values in zip(mine, clear, strict=True))
    ]
    assert not wrong, wrong[:3]


@pytest.mark.parametrize("name", EVERY)
def test_an_answer_is_the_one_that_duckdb_gives(name):
    content = contents(0.001, 1)
    question, planned, drafted = asked(name)
    compare(name, answered(question, planned, drafted, content).table, content)


@pytest.mark.parametrize(
    "name",
    ["Q6", "Q12", pytest.param("Q3", marks=pytest.mark.slow)]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("Q5", "Q8", "Q13", "Q17", "Q22")],
)
def test_three_parties_give_what_duckdb_gives(name):
    content = contents(0.001, 2)
    question, planned, drafted = asked(name)
    made, counters = answered_by_three(question, planned, drafted, content)
    compare(name, made.table, content)
    # The prediction is of as many released rows as there may be.
    predicted = predict(made.program)
    assert predicted.bytes > 0.9 * sum(one["bytes_sent"] for one in counters)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_of_many_rows_is_the_one_that_duckdb_gives(name, seed):
    content = contents(0.01, seed)
    question, planned, drafted = asked(name)
    compare(name, answered(question, planned, drafted, content).table, content)
