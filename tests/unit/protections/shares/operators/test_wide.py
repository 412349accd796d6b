# SPDX-License-Identifier: Apache-2.0
"""Wide values: keys of more than one word, sums and variances beyond 64 bits, programs that are too wide."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from tests.shares import oracle
from tests.shares.tables import Made, Table, number, run

from hitoku.protections.shares.program import (
    Aggregate,
    Arith,
    Branch,
    Column,
    Compare,
    Expr,
    Literal,
    Lookup,
    Opened,
    Ratio,
    Type,
)

HASH = Type("hash", 0, 2**64 - 1)
BIG = 2**62
COUNT = Type("number", 0, 1000, nullable=False)


def opened(*columns: tuple[str, Type]) -> tuple[Opened, ...]:
    return tuple(Opened(name, Column(name, kind)) for name, kind in columns)


def test_groups_and_joins_by_several_wide_columns() -> None:
    chance = random.Random(1)
    keys: list[tuple[int | None, int]] = [
        (chance.randrange(2**64), chance.randint(-BIG, BIG)) for _ in range(6)
    ]
    keys += [(None, 5), (0, -BIG), (2**64 - 1, BIG)]
    rows = [chance.choice(keys) for _ in range(40)]
    start = Table(
        "s",
        [
            Made(HASH, [row[0] for row in rows]),
            number([row[1] for row in rows], -BIG, BIG),
            number(list(range(40)), 0, 63, ring="r64"),
        ],
        [chance.random() < 0.8 for _ in rows],
    )
    there = keys[::2]
    table = Table(
        "t",
        [Made(HASH, [key[0] for key in there]), number([key[1] for key in there], -BIG, BIG)],
        [True] * len(there),
    )
    sums = Type("number", 0, 10**5)
    for kind in ("inner", "left"):
        lookup = Lookup("t", kind, tuple((start.column(at), f"t.{at}") for at in (1, 2)))
        groups = (("g1", start.column(1)), ("g2", start.column(2)))
        aggregates = (
            Aggregate("a1", "sum", start.column(3), sums),
            Aggregate("a2", "count", Column("t.1", HASH), COUNT),
            Aggregate("a3", "count_distinct", start.column(2), COUNT),
        )
        shown = opened(("g1", HASH), ("g2", groups[1][1].type), ("a1", sums), ("a2", COUNT), ("a3", COUNT))
        branch = Branch("s", (lookup,), (), groups, aggregates, 40, opened=shown)
        found = run([start, table], branch)
        assert Counter(found) == Counter(oracle.answer(branch, [start, table]))
        assert len(found) >= 3


@pytest.mark.parametrize("ring", [None, "r64", "r128"])
def test_sums_beyond_64_bits(ring: Any) -> None:
    values = [BIG, BIG, BIG, BIG, BIG, -BIG, 7]
    table = Table(
        "t", [number([0, 0, 0, 0, 0, 1, 1], 0, 1), number(values, -BIG, BIG, ring=ring)], [True] * 7
    )
    sums = Type("number", -7 * BIG, 7 * BIG)
    squares = Type("number", 0, 7 * BIG * BIG)
    aggregates = (
        Aggregate("a1", "sum", table.column(2), sums),
        Aggregate("a2", "sum_squares", table.column(2), squares),
        Aggregate("a3", "sum_distinct", table.column(2), sums),
    )
    shown = opened(("g1", table.column(1).type), ("a1", sums), ("a2", squares), ("a3", sums))
    branch = Branch("t", (), (), (("g1", table.column(1)),), aggregates, 2, opened=shown)
    assert sorted(run([table], branch)) == [
        (0, 5 * BIG, 5 * BIG * BIG, BIG),
        (1, 7 - BIG, BIG * BIG + 49, 7 - BIG),
    ]


def variance(rows: int, most: int) -> tuple[tuple[Aggregate, ...], Ratio]:
    """VAR_SAMP as a quotient of sums: (n q - s s) / (n (n - 1))."""
    value = Column("t.2", Type("number", -most, most))
    count = Type("number", 0, rows, nullable=False)
    sums, squares = Type("number", -rows * most, rows * most), Type("number", 0, rows * most * most)
    n, s, q = Column("a1", count), Column("a2", sums), Column("a3", squares)
    wide = rows * rows * most * most

    def arith(op: Any, left: Expr, right: Expr, low: int, high: int) -> Arith:
        return Arith(op, left, right, Type("number", low, high))

    over = arith("-", arith("*", n, q, 0, wide), arith("*", s, s, 0, wide), -wide, wide)
    one = Literal(1, Type("number", 1, 1, nullable=False))
    under = arith("*", n, arith("-", n, one, -1, rows), -rows, rows * rows)
    aggregates = (
        Aggregate("a1", "count", value, count),
        Aggregate("a2", "sum", value, sums),
        Aggregate("a3", "sum_squares", value, squares),
    )
    return aggregates, Ratio(over, under, over.type, 2 * most * most)


@pytest.mark.parametrize("most", [10, 10**9, 2**40])
def test_variance_is_a_quotient_of_sums(most: int) -> None:
    chance = random.Random(most)
    groups = {0: [chance.randint(-most, most) for _ in range(9)], 1: [most, -most, most], 2: [5]}
    flat = [(key, value) for key, values in groups.items() for value in values]
    table = Table(
        "t",
        [
            number([key for key, _ in flat], 0, 3),
            Made(Type("number", -most, most), [value for _, value in flat], "r128"),
        ],
        [True] * len(flat),
    )
    aggregates, ratio = variance(len(flat), most)
    one_value = Compare("<", ratio, Literal(0, Type("number", 0, 0)), Type("boolean", 0, 1))
    shown = (*opened(("g1", table.column(1).type)), Opened("o1", ratio), Opened("o2", one_value))
    branch = Branch("t", (), (), (("g1", table.column(1)),), aggregates, 4, opened=shown)
    found = {row[0]: row[1:] for row in run([table], branch)}
    assert found[2] == (None, None)
    for key in (0, 1):
        exact = statistics.variance([Fraction(value) for value in groups[key]])
        assert float(found[key][0]) == float(exact)
        assert found[key][1] == 0


def test_a_program_that_is_too_wide_is_refused() -> None:
    table = Table("t", [number([1], 0, 1), number([1], -BIG, BIG, ring="r128")], [True])
    value = Column("a1", Type("number", -BIG, BIG))
    square = Arith("*", value, value, Type("number", 0, BIG * BIG))
    cube = Arith("*", square, value, Type("number", -(BIG**3), BIG**3))
    aggregates = (Aggregate("a1", "sum", table.column(2), value.type),)
    branch = Branch("t", (), (), (("g1", table.column(1)),), aggregates, 2, opened=(Opened("o1", cube),))
    with pytest.raises(ValueError, match="128 are the most"):
        run([table], branch)
