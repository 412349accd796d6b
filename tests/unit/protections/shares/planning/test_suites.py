# SPDX-License-Identifier: Apache-2.0
"""The conformance questions and TPC-H's, planned and computed in the clear: equal to DuckDB, or declared."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

import random
from functools import cache

import pyarrow as pa
import pytest
from tests.conformance import world as conformance
from tests.conformance.questions import QUESTIONS
from tests.shares import tpch
from tests.shares.world import ask, counted, plain_table, rows_of

from hitoku.protections.base import Unsupported
from hitoku.room.agreement import Agreement, Room

from .shapes import KEYS

DECLARED = {
    "totals beside their parts": "totals",
    "union drops equal rows": "totals",
    "except compares released rows": "totals",
    "intersect keeps what all branches have": "totals",
    "set operations nested, ordered and limited": "totals",
    "set operations with having": "EXCEPT",
    "ranks among released groups": "window",
    "shares of the released total": "window",
    "running totals, neighbours and numbers": "window",
    "windows over an aggregated result, after having": "window",
    "windows of each branch, then united": "UNION",
}
"""Questions that are not answered on shares, and a word of the reason."""


@cache
def agreed():
    settings = {"allow_cleartext": True, "allow_duplicates": True, "preserve_nulls": True}
    return Room(agreement=Agreement.model_validate({**conformance.AGREEMENT, "settings": settings}))


@cache
def contents():
    made = {}
    for table in agreed().agreement.tables:
        schema = pa.schema([(c.name, conformance._ARROW.get(c.name, pa.string())) for c in table.columns])
        rows = conformance._rows(table, random.Random(table.name))
        made[table.name] = pa.Table.from_pylist(rows, schema=schema)
    return made


def plainly(rows):
    """Numbers of all types as floating-point ones: what DuckDB is asked is not hitoku's own text."""
    return counted(
        [tuple(float(v) if type(v).__name__ in {"int", "Decimal"} else v for v in row) for row in rows]
    )


@pytest.mark.slow
@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda a: a.name)
def test_a_conformance_question_is_answered_or_declared(asked):
    made = ask(asked.sql, agreed(), contents(), asked.asker)
    if asked.name in DECLARED:
        assert isinstance(made, Unsupported)
        assert DECLARED[asked.name] in made.reason
        assert made.remedy
        return
    assert not isinstance(made, Unsupported), made.reason
    got, expected = rows_of(made.table), rows_of(plain_table(asked.clear, contents()))
    assert plainly(got) == plainly(expected)


@cache
def trade():
    members = zip(KEYS, ("retailer", "maker", "bureau"), strict=True)
    named = [{"name": name, "key": key, "abilities": ["query", "receive"]} for key, name in members]
    identity = {"id": conformance.AGREEMENT["id"], "members": named, "protections": ["tokens"]}
    return Room(agreement=Agreement.model_validate({**tpch.agreement(), **identity}))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("asked", tpch.QUESTIONS, ids=lambda a: f"Q{a.number}")
def test_a_question_of_tpc_h_is_answered(asked, seed):
    content = tpch.tables(0.001, seed)
    made = ask(asked.sql, trade(), content, "bureau")
    assert not isinstance(made, Unsupported), made.reason
    got, expected = rows_of(made.table), rows_of(plain_table(asked.sql, content))
    assert plainly(got) == plainly(expected)
