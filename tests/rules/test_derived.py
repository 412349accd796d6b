# SPDX-License-Identifier: Apache-2.0
"""The derivation, tried out: what an output is said not to reveal never changes it.

The oracle knows nothing of how levels are derived: it runs a question, gives one column of one table other
values in every row, and runs it again. An output that is said to tell nothing of the column (`NEVER`) must
have the same values as before, each as often. The other way round, columns that are said to come through must
change something often enough, or the derivation would be right by saying "everything".
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from hitoku.errors import Refusal
from hitoku.questions import Question, check, execution_sql
from hitoku.questions.derive import Level, levels
from hitoku.room.agreement import Agreement

from .clear import database
from .custom_grammar import CUSTOM
from .grammar import REVIEW, Grammar, Vocabulary
from .pairs import pairs, room

ROOMS = {"room.yaml": REVIEW, "custom.yaml": CUSTOM}
ROWS = 120
ASKED = 20_000 if os.environ.get("HITOKU_LONG") else 400
TRIED = 3
"""Columns tried for each accepted question."""


class World:
    """A room's tables, and the same with one column changed."""

    def __init__(self, agreement: Agreement) -> None:
        self.connection = database(agreement, rows=ROWS)
        others = database(agreement, rows=ROWS, seed=8)
        for table in agreement.tables:
            marks = ", ".join("?" for _ in table.columns)
            rows = others.execute(f'SELECT * FROM "{table.name}"').fetchall()
            self.connection.execute(f'CREATE TABLE "other {table.name}" AS FROM "{table.name}" LIMIT 0')
            self.connection.executemany(f'INSERT INTO "other {table.name}" VALUES ({marks})', rows)
        others.close()

    def close(self) -> None:
        self.connection.close()

    def outputs(self, question: Question, *, released: bool) -> list[Counter[Any]]:
        """Each output's values and how often each occurs; of the rows above the thresholds, or of all."""
        # Not the normal form: which of equals a LIMIT keeps is the engine's mood there, and it can fail.
        sql = execution_sql(question, None if released else ())
        rows = self.connection.execute(sql).fetchall()
        width = len(question.outputs)
        if released:
            # A row whose first threshold is NULL stands for what was withheld.
            rows = [row for row in rows if not question.constraints or row[width] is not None]
        return [Counter(_shown(row[n]) for row in rows) for n in range(width)]

    def change(self, table: str, column: str) -> None:
        """Give a column other values in every row, in a transaction."""
        self.connection.execute("BEGIN")
        self.connection.execute(
            f'UPDATE "{table}" AS t SET "{column}" = o."{column}" FROM "other {table}" AS o '
            "WHERE t.rowid = o.rowid"
        )

    def back(self) -> None:
        self.connection.execute("ROLLBACK")


def _shown(cell: Any) -> Any:
    return f"{cell:.9g}" if isinstance(cell, float) else cell


@pytest.fixture(scope="module", params=list(ROOMS))
def world(request: pytest.FixtureRequest) -> Iterator[tuple[str, World]]:
    made = World(room(request.param).agreement)
    yield request.param, made
    made.close()


def questions(name: str, words: Vocabulary) -> Iterator[Question]:
    for pair in pairs():
        if pair.accept and pair.room == name:
            yield check(pair.sql, room(name), pair.asker)
    grammar = Grammar(seed=20261122, words=words)
    for _ in range(ASKED):
        try:
            yield check(grammar.statement(), room(name), "shop")
        except Refusal:
            continue


def tried(question: Question, chance: random.Random) -> list[tuple[str, str]]:
    """Some columns of the question's tables, those that it does not name among them."""
    found = [(table.name, column.name) for table in question.sources for column in table.columns]
    return chance.sample(found, min(TRIED, len(found)))


def test_what_is_never_revealed_changes_nothing(world: tuple[str, World]) -> None:
    name, tables = world
    chance = random.Random(1)
    never = witnessed = claimed = 0
    for number, question in enumerate(questions(name, ROOMS[name])):
        if question.privacy is not None:
            continue
        released = number % 3 == 0
        before = tables.outputs(question, released=released)
        for table, column in tried(question, chance):
            tables.change(table, column)
            after = tables.outputs(question, released=released)
            tables.back()
            for output, reveals in enumerate(question.reveals):
                same = before[output] == after[output]
                if levels(reveals, table, column) == {Level.NEVER}:
                    never += 1
                    assert same, (question.sql, question.outputs[output].name, table, column)
                else:
                    claimed += 1
                    witnessed += not same
    assert never > 300
    assert claimed > 200
    assert witnessed > claimed // 4, "the derivation claims much more than can be seen"


def test_the_oracle_sees_a_forgotten_filter(world: tuple[str, World]) -> None:
    """Were WHERE left out of the derivation, the test above would find it."""
    name, tables = world
    sql, table, column = {
        "room.yaml": ("SELECT COUNT(phone) AS n FROM customers WHERE age > 25", "customers", "age"),
        "custom.yaml": ("SELECT COUNT(*) AS n FROM people WHERE age > 25", "people", "age"),
    }[name]
    question = check(sql, room(name), "shop")
    before = tables.outputs(question, released=False)
    tables.change(table, column)
    after = tables.outputs(question, released=False)
    tables.back()
    assert before != after
    assert Level.AFTER_COMPARE in levels(question.reveals[0], table, column)
