# SPDX-License-Identifier: Apache-2.0
"""The SQL of noised questions to the letter: how rows are bounded, what is counted, what comes after."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from hitoku.questions import noised
from hitoku.questions.form import Ref
from hitoku.questions.noised import HIGH, LOW, PART, answer_text, figures_text, key_name
from hitoku.questions.privacy import Figure, FigureKind, Part
from hitoku.questions.question import Question
from hitoku.room.rules import ColumnBounds

from .test_noised import ask, tables, world

GROUPED = (
    "SELECT city, COUNT(*) AS n, COUNT(DISTINCT uid) AS u, SUM(spend) AS s, AVG(score) AS m "
    "FROM visits GROUP BY city"
)
PUBLIC = [{"columnName": "city", "values": ["y", "it's"]}]


def text_of(question: Question, least: int = 3) -> str:
    assert question.privacy is not None
    return figures_text(question.form, question.privacy, least)


def test_names_of_columns_that_the_release_reads() -> None:
    assert (PART, LOW, HIGH) == ("_hitoku_part", "_hitoku_low_", "_hitoku_high_")
    assert key_name(2, 3) == "_hitoku_g2_3"


def test_the_text_of_figures_of_a_grouped_question() -> None:
    assert text_of(ask(GROUPED)) == (
        'WITH _hitoku_rows1 AS (SELECT "visits"."uid" AS u, LEFT("visits"."city", 256) AS g1, '
        '"visits"."score" AS v3, CASE WHEN "visits"."score" IS NULL THEN NULL WHEN "visits"."score" >= '
        '5 THEN 5000 WHEN "visits"."score" <= -5 THEN -5000 ELSE '
        'LEAST(GREATEST(COALESCE(TRY_CAST(ROUND(TRY_CAST("visits"."score" AS DECIMAL(19, 6)), 3) * '
        "1000::DECIMAL(7, 0) AS HUGEINT), -5000), -5000), 5000) END::HUGEINT AS v4, CASE WHEN "
        '"visits"."spend" IS NULL THEN NULL WHEN "visits"."spend" >= 100 THEN 10000 WHEN '
        '"visits"."spend" <= 0 THEN 0 ELSE '
        'LEAST(GREATEST(COALESCE(TRY_CAST(ROUND(TRY_CAST("visits"."spend" AS DECIMAL(19, 6)), 2) * '
        '100::DECIMAL(7, 0) AS HUGEINT), 0), 0), 10000) END::HUGEINT AS v5 FROM "visits"), '
        "_hitoku_few1 AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY u, g1 ORDER BY HASH(v3, v4, v5, "
        "u), v3, v4, v5, u) AS i FROM _hitoku_rows1 WHERE u IS NOT NULL), _hitoku_kept1 AS (SELECT * "
        "FROM (SELECT * FROM (SELECT *, DENSE_RANK() OVER (PARTITION BY u ORDER BY HASH(u, g1), g1 "
        "NULLS LAST) AS j FROM (SELECT * FROM _hitoku_few1 WHERE i <= 2)) WHERE j <= 2)) SELECT 1 AS "
        "_hitoku_part, g1 AS _hitoku_g1_1, COUNT(DISTINCT u) AS _hitoku_f1, COUNT(*) AS _hitoku_f2, "
        "COUNT(v3) AS _hitoku_f3, LEAST(GREATEST(COALESCE(SUM(v4), 0), -4611686018427387904), "
        "4611686018427387904)::BIGINT AS _hitoku_f4, LEAST(GREATEST(COALESCE(SUM(v5), 0), "
        "-4611686018427387904), 4611686018427387904)::BIGINT AS _hitoku_f5 FROM _hitoku_kept1 GROUP BY "
        "g1 HAVING COUNT(DISTINCT u) >= 3"
    )


def test_the_text_of_two_branches_with_and_without_groups() -> None:
    sql = (
        "SELECT city, day, COUNT(*) AS n FROM visits GROUP BY city, day "
        "UNION ALL SELECT 'all', 0, COUNT(DISTINCT day) FROM visits"
    )
    text = text_of(ask(sql))
    first, second = text.split(" UNION ALL BY NAME ")
    assert second == "SELECT 2 AS _hitoku_part, COUNT(DISTINCT v1) AS _hitoku_f1 FROM _hitoku_kept2"
    assert first.endswith(
        '), _hitoku_rows2 AS (SELECT "visits"."uid" AS u, "visits"."day" AS v1 FROM "visits"), '
        "_hitoku_few2 AS (SELECT *, ROW_NUMBER() OVER (PARTITION BY u ORDER BY HASH(v1, u), v1, u) AS i "
        "FROM _hitoku_rows2 WHERE u IS NOT NULL), "
        "_hitoku_kept2 AS (SELECT * FROM (SELECT * FROM _hitoku_few2 WHERE i <= 2)) "
        "SELECT 1 AS _hitoku_part, g1 AS _hitoku_g1_1, g2 AS _hitoku_g1_2, COUNT(DISTINCT u) AS _hitoku_f1, "
        "COUNT(*) AS _hitoku_f2 FROM _hitoku_kept1 GROUP BY g1, g2 HAVING COUNT(DISTINCT u) >= 3"
    )
    assert "PARTITION BY u, g1, g2 ORDER BY HASH(u), u) AS i" in first
    assert "PARTITION BY u ORDER BY HASH(u, g1, g2), g1 NULLS LAST, g2 NULLS LAST) AS j" in first


def test_the_text_of_figures_of_public_groups() -> None:
    text = text_of(
        ask(
            "SELECT city, COUNT(*) AS n, AVG(age) AS m FROM visits GROUP BY city",
            world(3, 2, publicValues=PUBLIC),
        )
    )
    assert "WHERE u IS NOT NULL AND g1 IN ('it''s', 'y'))" in text
    assert text.endswith(
        "SELECT 1 AS _hitoku_part, _hitoku_g1_1, COALESCE(_hitoku_f1, 0) AS _hitoku_f1, "
        "COALESCE(_hitoku_f2, 0) AS _hitoku_f2, COALESCE(_hitoku_f3, 0) AS _hitoku_f3 "
        "FROM (SELECT UNNEST(['it''s', 'y']) AS _hitoku_g1_1) LEFT JOIN (SELECT 1 AS _hitoku_part, "
        "g1 AS _hitoku_g1_1, COUNT(*) AS _hitoku_f1, COUNT(v2) AS _hitoku_f2, "
        "LEAST(GREATEST(COALESCE(SUM(v3), 0), -4611686018427387904), 4611686018427387904)::BIGINT AS "
        "_hitoku_f3 FROM _hitoku_kept1 GROUP BY g1) USING (_hitoku_g1_1)"
    )
    assert "HAVING" not in text  # public groups of nobody are there, too


def test_all_pairs_of_public_values_are_there() -> None:
    from .test_privacy_exact import changed

    public = [{"columnName": "pref", "values": ["q", "p"]}, {"columnName": "uid", "values": ["a", "b"]}]
    room = changed(people={"publicValues": public})
    question = ask("SELECT pref, uid, COUNT(*) AS n FROM people GROUP BY pref, uid", room)
    with tables([], [("a", "p"), ("a", "p"), ("b", "z"), ("c", "q")]) as connection:
        found = connection.sql(f"SELECT _hitoku_g1_1, _hitoku_g1_2, _hitoku_f1 FROM ({text_of(question)})")
        assert sorted(found.fetchall()) == [("p", "a", 2), ("p", "b", 0), ("q", "a", 0), ("q", "b", 0)]


@pytest.mark.parametrize(
    ("value", "lower", "upper", "decimals", "expected"),
    [
        ("5", 0, 10, 0, 5),
        ("9.994", 0, 10, 2, 999),
        ("9.996", 0, 10, 2, 1000),
        ("10", 0, 10, 2, 1000),
        ("11", 0, 10, 2, 1000),
        ("-0.004", 0, 10, 2, 0),
        ("-1", 0, 10, 1, 0),
        ("-3", -3, 10, 1, -30),
        ("-2.96", -3, 10, 1, -30),
        ("-2.94", -3, 10, 1, -29),
        ("0.0000004", -3, 10, 6, 0),
        ("'NaN'::DOUBLE", -3, 10, 1, 100),
        ("'-inf'::DOUBLE", -3, 10, 1, -30),
        ("NULL::DOUBLE", -3, 10, 1, None),
    ],
)
def test_one_rows_whole_number(
    value: str, lower: int, upper: int, decimals: int, expected: int | None
) -> None:
    bounds = ColumnBounds(column_name="x", lower=lower, upper=upper, decimals=decimals)
    figure = Figure(FigureKind.SUM, Ref("t", "x"), 1, bounds)
    found = (
        duckdb.connect()
        .execute(f"SELECT {noised.value_sql(figure)} FROM (SELECT {value} AS x) AS t")
        .fetchall()
    )
    assert found == [(expected,)]


def test_a_value_that_is_only_counted_is_not_clamped() -> None:
    assert noised.value_sql(Figure(FigureKind.VALUES, Ref('t"', "x"), 1)) == '"t"""."x"'
    with pytest.raises(AssertionError, match=r"no column"):
        noised.value_sql(Figure(FigureKind.ROWS, None, 1))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (FigureKind.UNITS, "COUNT(DISTINCT u)"),
        (FigureKind.ROWS, "COUNT(*)"),
        (FigureKind.VALUES, "COUNT(v7)"),
        (FigureKind.DISTINCT, "COUNT(DISTINCT v7)"),
        (
            FigureKind.SUM,
            "LEAST(GREATEST(COALESCE(SUM(v7), 0), -4611686018427387904), 4611686018427387904)::BIGINT",
        ),
    ],
)
def test_how_a_figure_is_computed(kind: FigureKind, text: str) -> None:
    assert noised._computed(Figure(kind, None, 1), 7) == text


def test_a_sum_is_cut_to_62_bits() -> None:
    text = noised._computed(Figure(FigureKind.SUM, None, 1), 1)
    for sign in (1, -1):
        query = f"SELECT {text} FROM (SELECT {sign * 2**61}::HUGEINT AS v1 FROM range(3))"
        assert duckdb.connect().execute(query).fetchall() == [(sign * 2**62,)]
    assert duckdb.connect().execute(
        f"SELECT {text} FROM (SELECT 1::HUGEINT AS v1 WHERE FALSE)"
    ).fetchall() == [(0,)]


# --- after the noise ---


def answered(
    sql: str,
    figures: list[dict[str, Any]],
    single: Sequence[tuple[int, ...]],
    paired: Sequence[tuple[int, ...]],
    room: Any = None,
) -> tuple[list[str], list[tuple[Any, ...]], tuple[bool, ...]]:
    """Names and rows of the text that follows the noise, run on these figures of each branch."""
    question = ask(sql, room)
    assert question.privacy is not None
    text, banded = answer_text(question.form, question.privacy, single, paired)
    connection = duckdb.connect()
    for n, row in enumerate(figures, 1):
        columns = ", ".join(
            f"{value!r}::{'VARCHAR' if isinstance(value, str) else 'BIGINT'} AS {name}"
            for name, value in row.items()
        )
        connection.execute(f"CREATE TABLE _hitoku_p{n} AS SELECT {columns}")
    found = connection.sql(text)
    return found.columns, found.fetchall(), banded


SINGLE = [(1, 2, 3, 4, 5)]
PAIRED = [(6, 7, 8, 9, 10)]


def test_outputs_are_made_of_their_figures_and_bands_of_their_widths() -> None:
    figures = {
        "_hitoku_g1_1": "x",
        "_hitoku_f1": 50,
        "_hitoku_f2": 70,
        "_hitoku_f3": 40,
        "_hitoku_f4": 60_000,
        "_hitoku_f5": 12_345,
    }
    names, (row,), banded = answered(GROUPED, [figures], SINGLE, PAIRED)
    assert names == [
        *("city", "n", "u", "s", "m"),
        *("_hitoku_low_2", "_hitoku_high_2", "_hitoku_low_3", "_hitoku_high_3"),
        *("_hitoku_low_4", "_hitoku_high_4", "_hitoku_low_5", "_hitoku_high_5"),
    ]
    assert banded == (False, True, True, True, True)
    assert row[:4] == ("x", 70, 50, Decimal("123.45"))
    assert row[4] == pytest.approx(60 / 40)
    assert row[5:9] == (68, 72, 49, 51)
    assert row[9:11] == (Decimal("123.40"), Decimal("123.50"))
    # The sum within 9 thousandths, the count within 8: both ends together.
    assert row[11] == pytest.approx(59.991 / 48)
    assert row[12] == pytest.approx(60.009 / 32)


@pytest.mark.parametrize(
    ("total", "count", "mean", "low", "high"),
    [
        (1_000, 10, 100.0, 990 / 18, 120),
        (-100, 10, 0.0, 0, 0),
        (5_000, 10, 120.0, 120, 120),
        (500, 9, 500 / 9, 490 / 17, 120),
        (500, 8, 500 / 8, None, None),
        (500, 1, 120.0, None, None),
        (500, 0, None, None, None),
        (500, -9, None, None, None),
    ],
)
def test_a_mean_is_clamped_and_has_a_band_where_somebody_is_left(
    total: int, count: int, mean: float | None, low: float | None, high: float | None
) -> None:
    figures = {"_hitoku_f1": count, "_hitoku_f2": total}
    _, (row,), banded = answered("SELECT AVG(age) AS m FROM visits", [figures], [(1, 2)], [(8, 10)])
    assert banded == (True,)
    for found, expected in zip(row, (mean, low, high), strict=True):
        assert found == (None if expected is None else pytest.approx(expected))


def test_a_mean_without_a_clamp_tells_nothing() -> None:
    figures = (Figure(FigureKind.ROWS, None, 1), Figure(FigureKind.SUM, Ref("t", "x"), 1))
    part = Part(Ref("t", "u"), 1, 1, figures, (), ())
    branch = noised._Noised(1, None, part, (1, 1), (1, 1))  # type: ignore[arg-type]
    text = branch._mean((1, 0), 0, 0)
    assert duckdb.connect().execute(
        f"SELECT {text} FROM (SELECT 10 AS _hitoku_f1, 70 AS _hitoku_f2)"
    ).fetchall() == [(0,)]


def test_types_are_those_of_exact_answers() -> None:
    question = ask("SELECT COUNT(*) AS n, SUM(age) AS a, SUM(spend) AS s, AVG(score) AS m FROM visits")
    assert question.privacy is not None
    text, _ = answer_text(question.form, question.privacy, [(1,) * 5], [(1,) * 5])
    connection = duckdb.connect()
    columns = ", ".join(f"1::BIGINT AS _hitoku_f{n}" for n in range(1, 6))
    connection.execute(f"CREATE TABLE _hitoku_p1 AS SELECT {columns}")
    kinds = dict(zip(connection.sql(text).columns, map(str, connection.sql(text).types), strict=True))
    assert (kinds["n"], kinds["a"], kinds["m"]) == ("BIGINT", "HUGEINT", "DOUBLE")
    assert kinds["s"].startswith("DECIMAL(")
    assert kinds["s"].endswith(",2)")


BRANCHES = (
    "SELECT city, COUNT(*) AS n FROM visits GROUP BY city {} SELECT 'all', COUNT(DISTINCT day) FROM visits"
)
TWO: list[dict[str, Any]] = [
    {"_hitoku_g1_1": "x", "_hitoku_f1": 5, "_hitoku_f2": 8},
    {"_hitoku_f1": 20},
]


def test_each_branch_has_its_own_figures_and_widths() -> None:
    names, found, banded = answered(BRANCHES.format("UNION ALL"), TWO, [(1, 2), (3,)], [(4, 5), (6,)])
    assert names == ["city", "n", "_hitoku_low_2", "_hitoku_high_2"]
    assert banded == (False, True)
    assert sorted(found) == [("all", 20, 17, 23), ("x", 8, 6, 10)]


@pytest.mark.parametrize("kind", ["UNION", "EXCEPT", "INTERSECT"])
def test_bands_would_keep_apart_what_a_set_operation_joins(kind: str) -> None:
    names, found, banded = answered(BRANCHES.format(kind), TWO, [(1, 2), (3,)], [(4, 5), (6,)])
    assert names == ["city", "n"]
    assert banded == (False, False)
    question = ask(BRANCHES.format(kind))
    assert question.privacy is not None
    assert (
        "_hitoku_low_" not in answer_text(question.form, question.privacy, [(1, 2), (3,)], [(4, 5), (6,)])[0]
    )
    expected = {"UNION": [("all", 20), ("x", 8)], "EXCEPT": [("x", 8)], "INTERSECT": []}
    assert sorted(found) == expected[kind]


def test_a_branch_that_has_no_aggregate_there_has_no_band_there() -> None:
    sql = (
        "SELECT COUNT(*) + 1 AS n, COUNT(*) AS c FROM visits "
        "UNION ALL SELECT COUNT(*), 7 + COUNT(*) FROM visits"
    )
    _, found, banded = answered(sql, [{"_hitoku_f1": 10}, {"_hitoku_f1": 20}], [(1,), (2,)], [(3,), (4,)])
    assert banded == (True, True)
    assert sorted(found) == [(11, 10, None, None, 9, 11), (20, 27, 18, 22, None, None)]


def test_a_question_of_expressions_has_no_band() -> None:
    names, found, banded = answered(
        "SELECT COUNT(*) + 1 AS n FROM visits", [{"_hitoku_f1": 10}], [(1,)], [(2,)]
    )
    assert (names, found, banded) == (["n"], [(11,)], (False,))


@pytest.mark.parametrize(("decimals", "value"), [(1, "1234.5"), (3, "12.345"), (6, "0.012345")])
def test_decimals_are_put_back(decimals: int, value: str) -> None:
    bounds = [{"columnName": "spend", "lower": 0, "upper": 100, "decimals": decimals}]
    _, ((total, low, high),), _ = answered(
        "SELECT SUM(spend) AS s FROM visits",
        [{"_hitoku_f1": 12_345}],
        [(5,)],
        [(6,)],
        world(1, 1, bounds=bounds),
    )
    assert str(total) == value
    assert (low, high) == (total - Decimal(5).scaleb(-decimals), total + Decimal(5).scaleb(-decimals))


def test_whole_sums_stay_whole_numbers_up_to_the_division() -> None:
    for column, decimal in (("age", False), ("score", True)):
        question = ask(f"SELECT AVG({column}) AS m FROM visits")
        assert question.privacy is not None
        text, _ = answer_text(question.form, question.privacy, [(1, 2)], [(3, 4)])
        assert ("::DECIMAL(38, 0) / 1000)" in text) is decimal
        assert ("DECIMAL" in text) is decimal


def test_two_means_of_one_branch_keep_to_their_own_figures() -> None:
    figures = {f"_hitoku_f{n}": value for n, value in enumerate((10, 40, 500, 120_000), 1)}
    sql = "SELECT AVG(age) AS a, AVG(score) AS s FROM visits"
    _, (row,), _ = answered(sql, [figures], [(1, 1, 1, 1)], [(2, 3, 4, 5)])
    assert row[0] == pytest.approx(50.0)
    assert row[1] == pytest.approx(3.0)
    assert row[2:4] == (pytest.approx(496 / 12), pytest.approx(504 / 8))
    assert row[4:6] == (pytest.approx(119.995 / 43), pytest.approx(120.005 / 37))
