# SPDX-License-Identifier: Apache-2.0
"""Statements at random: nothing crashes, and nothing is accepted that was not seen whole.

Every accepted statement is parsed by DuckDB's own parser too: it finds no table and no column that the
checker did not see. And it is run as asked, in clear: the normal form must have the same answer.
3,000 statements here; 100,000 with HITOKU_LONG=1.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from hitoku.errors import Refusal
from hitoku.questions import Question, check, execution_sql

from .clear import database
from .custom_grammar import CUSTOM
from .grammar import REVIEW, Grammar, Vocabulary
from .pairs import pairs, room

ROOMS = {"room.yaml": REVIEW, "custom.yaml": CUSTOM}
COUNT = 100_000 if os.environ.get("HITOKU_LONG") else 3_000


Clear = dict[str, duckdb.DuckDBPyConnection]


@pytest.fixture(scope="module")
def clear() -> Iterator[Clear]:
    connections = {name: database(room(name).agreement) for name in ROOMS}
    yield connections
    for connection in connections.values():
        connection.close()


Seen = tuple[set[str], set[str], set[str]]


def seen_by_duckdb(connection: duckdb.DuckDBPyConnection, sql: str) -> Seen | None:
    """Tables, columns and own names (aliases, common table expressions) by DuckDB's own parser."""
    row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert row is not None
    tree = json.loads(row[0])
    if tree["error"]:
        return None  # sqlglot reads over some slips; the normal form is what runs
    tables: set[str] = set()
    columns: set[str] = set()
    own: set[str] = set()
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
            continue
        if not isinstance(node, dict):
            continue
        if node.get("type") == "BASE_TABLE":
            tables.add(node["table_name"].lower())
        if node.get("class") == "COLUMN_REF":
            columns.add(node["column_names"][-1].lower())
        if node.get("alias"):
            own.add(node["alias"].lower())
        cte = node.get("cte_map")
        if isinstance(cte, dict):
            own |= {entry["key"].lower() for entry in cte.get("map", [])}
        stack.extend(node.values())
    return tables, columns, own


def compare(question: Question, sql: str, connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    assert seen_by_duckdb(connection, question.sql) is not None
    seen = seen_by_duckdb(connection, sql)
    if seen is None:
        return False
    tables, columns, own = seen
    assert set(question.tables) == {t for t in tables if room(name).agreement.table(t) is not None}
    assert {t for t in tables if room(name).agreement.table(t) is None} <= own
    declared = {c.name for table in question.sources for c in table.columns}
    assert columns <= declared | own
    return True


def rows(connection: duckdb.DuckDBPyConnection, sql: str) -> Counter[tuple[Any, ...]]:
    found = connection.execute(sql).fetchall()
    return Counter(tuple(f"{v:.9g}" if isinstance(v, float) else v for v in row) for row in found)


def same_answer(question: Question, sql: str, connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        asked = rows(connection, sql)
    except duckdb.Error:
        return False  # the asked text can fail on a value; the normal form must not
    if question.form.limit is None and not question.form.offset:
        assert asked == rows(connection, question.sql), sql
    return True


@pytest.mark.parametrize(("name", "words"), ROOMS.items(), ids=list(ROOMS))
def test_statements_at_random(
    clear: Clear, caplog: pytest.LogCaptureFixture, name: str, words: Vocabulary
) -> None:
    caplog.set_level(logging.DEBUG)
    accepted = compared = unread = 0
    codes: Counter[str] = Counter()
    grammar = Grammar(seed=20261121, words=words)
    connection = clear[name]
    for number in range(COUNT):
        sql = grammar.statement()
        try:
            question = check(sql, room(name), "shop")
        except Refusal as refusal:
            codes[refusal.code] += 1
            continue
        accepted += 1
        unread += not compare(question, sql, connection, name)
        if number % (20 if COUNT > 10_000 else 4) == 0:
            compared += same_answer(question, sql, connection)
            connection.execute(execution_sql(question)).fetchall()  # total: it never fails
    assert accepted > COUNT // 10
    assert compared > accepted // 100
    assert unread <= accepted // 200
    assert len(codes) > 20
    assert "NOT_GRANTED" not in codes, "the checker let through what only the derivation refused"
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not loud, "sqlglot logged the text of a statement"


def test_accepted_pairs_are_seen_whole_and_keep_their_answer(clear: Clear) -> None:
    for pair in pairs():
        if pair.accept and pair.room in ROOMS:
            question, connection = check(pair.sql, room(pair.room), pair.asker), clear[pair.room]
            if question.template is None:
                assert compare(question, pair.sql, connection, pair.room)
                same_answer(question, pair.sql, connection)
            if question.privacy is None:
                connection.execute(execution_sql(question)).fetchall()
