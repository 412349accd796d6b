# SPDX-License-Identifier: Apache-2.0
"""Plans compute what DuckDB computes, with its types: NULLs, duplicates, extremes, few rows or none."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.shares.world import answered, counted, plain_table, prepared, rows_of

from hitoku.protections.base import Unsupported

from .shapes import COLUMNS, PLAIN, SHAPES, VALUES, room, tables


@cache
def asked(name, threshold=None):
    return prepared(SHAPES[name], room(threshold), "shop")


def row(table):
    return st.fixed_dictionaries({name: st.sampled_from(VALUES[name]) for name in COLUMNS[table]})


ROWS = st.fixed_dictionaries({name: st.lists(row(name), max_size=9) for name in COLUMNS})


def compare(name, content, threshold=None):
    question, planned, drafted = asked(name, threshold)
    assert not isinstance(drafted, Unsupported), drafted.reason
    made = answered(question, planned, drafted, content)
    expected = plain_table(PLAIN.get(name, SHAPES[name]), content)
    got, wanted = rows_of(made.table), rows_of(expected)
    assert counted(got) == counted(wanted)
    if "ORDER BY n" in SHAPES[name] or "ORDER BY word" in SHAPES[name]:
        place = 1 if "ORDER BY n" in SHAPES[name] else 0
        assert [line[place] for line in got] == [line[place] for line in wanted]
    return made, expected


def some(seed, rows):
    chance = random.Random(seed)
    return tables(
        {
            name: [{c: chance.choice(VALUES[c]) for c in columns} for _ in range(rows)]
            for name, columns in COLUMNS.items()
        }
    )


@pytest.mark.parametrize("name", SHAPES)
def test_the_answer_is_the_one_that_duckdb_gives(name):
    made, expected = compare(name, some(name, 24))
    assert [str(f.type) for f in made.table.schema] == [str(f.type) for f in expected.schema]


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("name", ["one group", "a left join", "medians", "an order and a limit", "variances"])
def test_of_no_row_and_of_one(name, rows):
    compare(name, some(name, rows))


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
def test_any_tables(name, rows):
    compare(name, tables(rows))
