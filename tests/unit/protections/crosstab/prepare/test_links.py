# SPDX-License-Identifier: Apache-2.0
"""A person whose rows name it by different identifiers is one person."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from hitoku.protections.crosstab.prepare import Side, prepare
from hitoku.protections.crosstab.prepare.links import Links
from hitoku.room.agreement import Table
from hitoku.room.crosstab import PersonIdentifier
from hitoku.sources.table import TableSource

SALT = bytes(32)
KINDS = ("phone", "mail", "card")


def side() -> Side:
    table = Table.model_validate(
        {
            "name": "people",
            "owner": "shop",
            "columns": [{"name": "person", "type": "string", "protection": "fingerprint", "nullable": False}],
        }
    )
    return Side(table, "person", tuple(PersonIdentifier(kind=k) for k in KINDS))


def count(rows: list[tuple[str | None, ...]]) -> int:
    columns = {k: pa.array([row[n] for row in rows], pa.string()) for n, k in enumerate(KINDS)}
    made = prepare(side(), TableSource(pa.table(columns)), SALT, person={k: [k] for k in KINDS})
    return len(made)


@pytest.mark.parametrize(
    ("rows", "people"),
    [
        ([("1", "a", None), (None, "a", None)], 1),
        ([(None, "a", None), ("1", "a", None)], 1),
        ([("1", "a", None), (None, "a", "x"), (None, None, "x")], 1),
        ([("1", None, "x"), (None, "a", "x"), (None, "a", None)], 1),
        ([("1", "a", None), ("2", "b", None), (None, "b", None)], 2),
        ([("1", None, None), (None, "a", None)], 2),
        ([("1", "same", None), ("2", "same", None), (None, "same", None)], 2),
        ([(None, None, None)], 0),
    ],
)
def test_how_many_people_there_are(rows: list[tuple[str | None, ...]], people: int) -> None:
    assert count(rows) == people


def test_the_order_of_rows_tells_nothing() -> None:
    draw = random.Random(3)
    rows = [tuple(draw.choice([None, str(draw.randrange(30))]) for _ in KINDS) for _ in range(200)]
    found = {count(draw.sample(rows, len(rows))) for _ in range(5)}
    assert len(found) == 1


def test_a_persons_rows_with_one_first_identifier_are_one_person_whatever_else_they_have() -> None:
    draw = random.Random(4)
    first: list[tuple[str | None, ...]] = [(str(n), str(draw.randrange(10)), None) for n in range(20)]
    assert count(first) == 20


def test_links_of_ids_that_begin_alike_are_not_taken_for_each_other() -> None:
    base = np.zeros((4, 32), np.uint8)
    base[:, 31] = range(4)
    links = Links(2)
    links.add(base[:1], base[1:2], np.zeros(1, np.uint8))
    assert links.followed(base[2:]).tolist() == base[2:].tolist()
    assert links.followed(base[:1]).tolist() == base[1:2].tolist()


def test_chains_are_followed_to_their_end() -> None:
    ids = np.random.default_rng(1).integers(0, 256, (5, 32), np.uint8)
    links = Links(5)
    for kind, (later, counts) in enumerate(pairwise(ids)):
        links.add(later[None], counts[None], np.array([3 - kind], np.uint8))
    assert (links.followed(ids) == ids[4]).all()
