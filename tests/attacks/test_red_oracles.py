# SPDX-License-Identifier: Apache-2.0
"""One person's value read off what surrounds an answer: its flags, its digest, its errors, its size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml

import hitoku
from hitoku.errors import Refusal
from hitoku.ports import SystemClock
from hitoku.questions import check, execution_sql
from hitoku.room.agreement import Agreement, Room
from hitoku.room.ledger import EntryKind

RULES = Path(__file__).parents[1] / "rules" / "room.yaml"
TINY = "0." + "0" * 36 + "1"

NARROW = """\
SELECT p.manufacturer, COUNT(DISTINCT p.tailnum) AS n
FROM flights AS f JOIN planes AS p ON f.tailnum = p.tailnum
WHERE f.carrier = '{carrier}' AND p.manufacturer = '{maker}' GROUP BY p.manufacturer"""


def test_whether_a_group_of_one_exists_is_not_told(filled):
    """UA flies two planes, both BIG: a flag that says "withheld" for BIG and not for SMALL tells it."""
    room = hitoku.open_room(filled.path, "airport")
    seen = []
    for carrier, maker in (("UA", "BIG"), ("UA", "SMALL"), ("XX", "BIG")):
        answer = room.ask(NARROW.format(carrier=carrier, maker=maker))
        assert answer.num_rows == 0
        told = answer.to_dict()
        for own in ("sql", "question", "run", "released_at", "salt", "ledger"):
            told.pop(own)
        seen.append(told)
    assert seen[0] == seen[1] == seen[2]


def test_an_owner_that_does_not_receive_cannot_guess_the_answer_from_its_ledger(filled, question):
    answer = hitoku.open_room(filled.path, "airport").ask(question)
    records = filled.members["registry"].records(str(filled.agreement.id), SystemClock())
    (entry,) = records.ledger.entries(kind=EntryKind.RELEASE)
    records.store.close()
    assert entry.body["answer"] == answer.digest
    # All but the rows is known to the owner. What it does not know must be more than the rows.
    guess = replace(answer, salt="0" * 64, table=pa.table(answer.table))
    assert guess.digest != entry.body["answer"]
    again = hitoku.open_room(filled.path, "airport").ask(question.replace(" AS delay", " AS d"))
    assert again.salt != answer.salt


@pytest.fixture
def small():
    """A group of two people and one of thirty; ages from 1 on."""
    room = Room(agreement=Agreement.model_validate(yaml.safe_load(RULES.read_text("utf-8"))))
    connection = duckdb.connect()
    connection.execute("CREATE TABLE customers (phone VARCHAR, region VARCHAR, age INTEGER)")
    connection.execute("INSERT INTO customers SELECT 'p' || i, 'big', i % 8 FROM range(30) t(i)")
    connection.execute("INSERT INTO customers VALUES ('q', 'small', 15), ('r', 'small', 7)")
    return room, connection


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT region, COUNT(phone) AS n FROM customers WHERE age > {TINY} GROUP BY region",
        f"SELECT region, COUNT(phone) AS n FROM customers WHERE age IN (1, {TINY}) GROUP BY region",
        (
            f"SELECT age, COUNT(phone) AS n FROM customers GROUP BY age UNION ALL "
            f"SELECT {TINY}, COUNT(phone) AS n FROM customers"
        ),
        f"SELECT region, COUNT(phone) AS n FROM customers GROUP BY region HAVING COUNT(phone) > {TINY}",
    ],
)
def test_no_question_fails_on_a_value(small, sql):
    room, connection = small
    try:
        question = check(sql, room, "shop")
    except Refusal:
        return
    connection.execute(execution_sql(question)).fetchall()


def test_a_withheld_group_takes_no_room_in_a_result(small):
    room, connection = small
    question = check("SELECT region, COUNT(phone) AS n FROM customers GROUP BY region", room, "shop")
    rows = connection.execute(execution_sql(question)).fetchall()
    assert [row[0] for row in rows] == ["big"]
