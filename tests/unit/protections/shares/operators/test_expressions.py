# SPDX-License-Identifier: Apache-2.0
"""Expressions over shared columns equal plain Python: logic of NULLs, choices, scales, quotients, ROUND."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shares import oracle
from tests.shares.tables import Made, Table, number, run

from hitoku.protections.shares.program import (
    Aggregate,
    Arith,
    Branch,
    Case,
    Coalesce,
    Column,
    Compare,
    Expr,
    IsNull,
    Literal,
    Logic,
    Not,
    Opened,
    Ratio,
    Round,
    Type,
)

BOOLEAN = Type("boolean", 0, 1)


def bounds(expr: Expr, scale: int) -> tuple[int, int]:
    factor = 10 ** (scale - expr.type.scale)
    return expr.type.low * factor, expr.type.high * factor


def columns(table: Table) -> list[Column]:
    return [Column(f"a{at}", made.type) for at, made in enumerate(table.columns, 1)]


def literals() -> st.SearchStrategy[Expr]:
    return st.builds(
        lambda value, scale: Literal(value, Type("number", -30, 30, scale)),
        st.none() | st.integers(-30, 30),
        st.integers(0, 2),
    )


def arith(op: Any, left: Expr, right: Expr) -> Expr:
    if op == "*":
        scale = left.type.scale + right.type.scale
        corners = [a * b for a in bounds(left, left.type.scale) for b in bounds(right, right.type.scale)]
    else:
        scale = max(left.type.scale, right.type.scale)
        sides = bounds(left, scale), bounds(right, scale)
        corners = [a + (b if op == "+" else -b) for a in sides[0] for b in sides[1]]
    return Arith(op, left, right, Type("number", min(corners), max(corners), scale))


def choice(parts: list[Expr]) -> Type:
    scale = max(part.type.scale for part in parts)
    found = [bound for part in parts for bound in bounds(part, scale)]
    return Type("number", min(found), max(found), scale)


def case(whens: list[tuple[Expr, Expr]], otherwise: Expr) -> Expr:
    return Case(tuple(whens), otherwise, choice([otherwise, *(part for _, part in whens)]))


def compare(op: Any, left: Expr, right: Expr) -> Expr:
    return Compare(op, left, right, BOOLEAN)


OPS = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])


def numbers(leaves: st.SearchStrategy[Expr], conditions: Any, depth: int) -> st.SearchStrategy[Expr]:
    if depth == 0:
        return leaves | literals()
    inner = numbers(leaves, conditions, depth - 1)
    tests = booleans(leaves, depth - 1)
    return st.one_of(
        inner,
        st.builds(arith, st.sampled_from("+-*"), inner, inner),
        st.builds(case, st.lists(st.tuples(tests, inner), min_size=1, max_size=2), inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Coalesce(tuple(parts), choice(parts))),
    )


def booleans(leaves: st.SearchStrategy[Expr], depth: int) -> st.SearchStrategy[Expr]:
    values = numbers(leaves, None, max(depth - 1, 0))
    simple = st.builds(compare, OPS, values, values) | values.map(lambda value: IsNull(value, BOOLEAN))
    if depth == 0:
        return simple
    inner = booleans(leaves, depth - 1)
    return st.one_of(
        simple,
        inner.map(lambda value: Not(value, BOOLEAN)),
        st.builds(
            lambda op, parts: Logic(op, tuple(parts), BOOLEAN),
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3),
        ),
    )


@st.composite
def ready_tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 5))
    made: list[Made] = []
    for low, high, scale, ring, word in (
        (-20, 20, 0, "r64", True),
        (0, 30, 1, None, True),
        (-7, 9, 2, "r128", False),
        (3, 3, 0, "r64", False),
    ):
        cells = st.none() | st.integers(low, high) if draw(st.booleans()) else st.integers(low, high)
        made.append(
            number(
                draw(st.lists(cells, min_size=rows, max_size=rows)),
                low,
                high,
                scale=scale,
                ring=ring,
                word=word,
            )
        )
    return Table("t", made, [True] * rows)


def ready(table: Table, opened: list[Expr], **other: Any) -> Branch:
    aggregates = tuple(
        Aggregate(f"a{at}", "count_rows", None, made.type) for at, made in enumerate(table.columns, 1)
    )
    shown = tuple(Opened(f"o{at}", expr) for at, expr in enumerate(opened, 1))
    return Branch("t", (), (), (), aggregates, len(table.valid), opened=shown, ready=True, **other)


def check(table: Table, branch: Branch) -> list[Any]:
    found = run([table], branch)
    assert Counter(found) == Counter(oracle.answer(branch, [table]))
    return found


@given(ready_tables(), st.data())
@settings(max_examples=40, deadline=None)
def test_numbers_equal_plain_python(table: Table, data: st.DataObject) -> None:
    leaves = st.sampled_from(columns(table))
    expr = data.draw(numbers(leaves, None, 2))
    check(table, ready(table, [expr]))


def test_nothing_stands_behind_a_null() -> None:
    """Of a sum with a NULL the other part is not left over: not in a result, not in a sum of it."""
    table = Table(
        "t",
        [
            number([0, 0, 1], 0, 1),
            number([5, None, 7], 0, 9, ring="r64"),
            number([1, 2, None], 0, 9, ring="r64"),
        ],
        [True] * 3,
    )
    key, one, two = columns(table)
    check(table, ready(table, [key, arith("+", one, two), arith("-", one, two)]))
    value = arith("+", table.column(2), table.column(3))
    sums = Type("number", 0, 100)
    shown = (Opened("g1", Column("g1", key.type)), Opened("a1", Column("a1", sums)))
    aggregates = (Aggregate("a1", "sum", value, sums),)
    branch = Branch("t", (), (), (("g1", table.column(1)),), aggregates, 2, opened=shown)
    assert Counter(run([table], branch)) == Counter([(0, 6), (1, None)])


@given(ready_tables(), st.data())
@settings(max_examples=40, deadline=None)
def test_conditions_equal_plain_python(table: Table, data: st.DataObject) -> None:
    leaves = st.sampled_from(columns(table))
    shown = data.draw(booleans(leaves, 2))
    having = data.draw(booleans(leaves, 2))
    check(table, ready(table, [shown, columns(table)[0]], having=(having,)))


def _same(left: Fraction | None, right: Fraction | None) -> bool:
    """Whether a quotient is the true one, cut behind the point, and rounds to the same double."""
    if left is None or right is None:
        return left is right
    return abs(left - right) < Fraction(1, 2**63) and float(left) == float(right)


RANGES = [(-20, 20), (0, 5), (1, 9), (-9, -1), (-(2**60), 2**60), (0, 2**63)]


@given(
    st.lists(st.tuples(st.sampled_from(range(6)), st.sampled_from(range(4))), min_size=1, max_size=1),
    st.sampled_from([0, 2]),
    st.sampled_from([0, 1]),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_quotients_are_exact(
    pick: list[tuple[int, int]], over_scale: int, under_scale: int, data: st.DataObject
) -> None:
    over_range, under_range = RANGES[pick[0][0]], RANGES[pick[0][1]]

    def cells(low: int, high: int) -> Any:
        return st.lists(
            st.none() | st.sampled_from([low, high]) | st.integers(low, high), min_size=3, max_size=3
        )

    table = Table(
        "t",
        [
            number(data.draw(cells(*over_range)), *over_range, scale=over_scale, ring="r64", word=False),
            number(data.draw(cells(*under_range)), *under_range, scale=under_scale),
        ],
        [True] * 3,
    )
    over, under = columns(table)
    ratio = Ratio(over, under, over.type)
    branch = ready(table, [ratio, over, under])
    expected = {row[1:]: row[0] for row in oracle.answer(branch, [table])}
    for value, *key in run([table], branch):
        assert _same(value, expected[tuple(key)])


def test_a_quotient_rounds_to_the_nearest_double() -> None:
    table = Table("t", [number([1, 2, 10**15 + 1, 5], 0, 10**16), number([3, 3, 7, 0], 0, 9)], [True] * 4)
    over, under = columns(table)
    found = {row[1]: row[0] for row in run([table], ready(table, [Ratio(over, under, over.type), over]))}
    assert float(found[1]) == 1 / 3
    assert float(found[10**15 + 1]) == (10**15 + 1) / 7
    assert found[5] is None
    assert found[2] - Fraction(2, 3) < Fraction(1, 2**63)


@given(ready_tables(), st.sampled_from([-1, 0, 1, 2]), OPS, st.data())
@settings(max_examples=40, deadline=None)
def test_rounding_and_comparing_quotients(table: Table, digits: int, op: Any, data: st.DataObject) -> None:
    one, two, three, four = columns(table)
    over, under, other = (data.draw(st.sampled_from([one, two, three, four])) for _ in range(3))
    ratio = Ratio(over, under, over.type)
    scale = max(digits, 0) + data.draw(st.integers(0, 1))
    kind = Type("number", -(10**6), 10**6, scale)
    opened: list[Expr] = [
        Round(ratio, digits, kind),
        Round(over, digits, kind) if digits < 2 else over,
        compare(op, ratio, other),
        compare(op, other, ratio),
        compare(op, ratio, Ratio(other, four, other.type)),
        IsNull(ratio, BOOLEAN),
        one,
        two,
    ]
    check(table, ready(table, opened))


def test_halves_are_rounded_away_from_zero() -> None:
    table = Table("t", [number([125, -125, 124, -5, 5, None], -200, 200, scale=2)], [True] * 6)
    (value,) = columns(table)
    found = check(table, ready(table, [value, Round(value, 1, Type("number", -21, 21, 1))]))
    assert dict(found) == {125: 13, -125: -13, 124: 12, -5: -1, 5: 1, None: None}


@pytest.mark.parametrize("op", ["=", "<>", "<", "<=", ">", ">="])
@pytest.mark.parametrize("bound", [-9, -8, -1, 0, 6, 7, 8, 75, -75])
def test_comparisons_with_public_numbers_at_the_edges(op: Any, bound: int) -> None:
    values = [-8, -1, 0, 7, None]
    table = Table("t", [number(values, -8, 7), number(values, -8, 7, ring="r64", word=False)], [True] * 5)
    one, two = columns(table)
    for scale in (0, 1):
        literal = Literal(bound, Type("number", bound, bound, scale, nullable=False))
        check(
            table,
            ready(
                table, [one, compare(op, one, literal), compare(op, two, literal), compare(op, literal, one)]
            ),
        )
