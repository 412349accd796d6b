# SPDX-License-Identifier: Apache-2.0
"""Figures of noised questions: one unit changes few groups, each by little, whatever rows and joins are."""

from __future__ import annotations

import base64
from collections import defaultdict
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hitoku.disclosure.noise import Noise, NoisedPart, noise_of
from hitoku.disclosure.noising import described, noised
from hitoku.errors import DisclosureError, Refusal
from hitoku.questions import check
from hitoku.questions.noised import PART, figures_text
from hitoku.questions.question import Question
from hitoku.room.agreement import Agreement, Room

VISITS = "uid VARCHAR, city VARCHAR, day INTEGER, spend DECIMAL(12,4), score DOUBLE, age INTEGER, big BIGINT"
PEOPLE = "uid VARCHAR, pref VARCHAR"
PLACES = "name VARCHAR, kind VARCHAR, weight INTEGER"


def _key(number: int) -> str:
    public = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key().public_bytes_raw()
    return "ed25519:" + base64.b64encode(public).decode()


def _columns(text: str) -> list[dict[str, Any]]:
    kinds = {"VARCHAR": "string", "INTEGER": "int", "BIGINT": "bigint", "DOUBLE": "double"}
    made = []
    for column in text.replace("(12,4)", "").split(", "):
        name, kind = column.split(" ")
        more = {"precision": 12, "scale": 4} if kind == "DECIMAL" else {}
        made.append({"name": name, "type": kinds.get(kind, "decimal"), "protection": "cleartext", **more})
    return made


def world(max_rows: int = 2, max_groups: int = 2, **more: Any) -> Room:
    """Visits and people are protected, places are the asker's own."""
    bounds = [
        {"columnName": "spend", "lower": 0, "upper": 100, "decimals": 2},
        {"columnName": "score", "lower": -5, "upper": 5, "decimals": 3},
        {"columnName": "age", "lower": 0, "upper": 120},
        {"columnName": "big", "lower": -(10**9), "upper": 10**9},
    ]
    visits = {
        "columns": [{"name": "uid"}],
        "unit": "person",
        "maxRowsPerGroup": max_rows,
        "maxGroups": max_groups,
        "bounds": bounds,
        **more,
    }
    people = {"columns": [{"name": "uid"}], "unit": "person", "maxRowsPerGroup": 5, "maxGroups": 4}
    any_query = {"type": "custom", "allowedAnalyses": ["ANY_QUERY"], "allowedAnalysisProviders": ["asker"]}
    return Room(
        agreement=Agreement.model_validate(
            {
                "id": "00000000-1111-2222-3333-444444444444",
                "name": "Noise",
                "settings": {"allow_cleartext": True},
                "members": [
                    {"name": "asker", "key": _key(1), "abilities": ["query", "receive"]},
                    {"name": "city", "key": _key(2)},
                    {"name": "registry", "key": _key(3)},
                ],
                "budgets": [
                    {"owner": "city", "unit": "person", "epsilon": 5},
                    {
                        "owner": "registry",
                        "unit": "person",
                        "epsilon": 5,
                        "delta": "1e-7",
                        "users_noise_per_query": 10,
                    },
                ],
                "tables": [
                    {
                        "name": "visits",
                        "owner": "city",
                        "columns": _columns(VISITS),
                        "rule": {**any_query, "differentialPrivacy": visits},
                    },
                    {
                        "name": "people",
                        "owner": "registry",
                        "columns": _columns(PEOPLE),
                        "rule": {**any_query, "differentialPrivacy": people},
                    },
                    {"name": "places", "owner": "asker", "columns": _columns(PLACES), "rule": any_query},
                ],
            }
        )
    )


def ask(sql: str, room: Room | None = None) -> Question:
    """A checked question of the asker."""
    return check(sql, room or world(), "asker")


def tables(visits: list[Any], people: list[Any] = (), places: list[Any] = ()) -> duckdb.DuckDBPyConnection:  # type: ignore[assignment]
    """A database with these rows."""
    connection = duckdb.connect()
    for name, columns, rows in (
        ("visits", VISITS, visits),
        ("people", PEOPLE, people),
        ("places", PLACES, places),
    ):
        connection.execute(f"CREATE TABLE {name} ({columns})")
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
    return connection


def figures(
    question: Question, connection: duckdb.DuckDBPyConnection, least: int = 1
) -> dict[Any, list[int]]:
    """Figures by branch and group; `least` so low that no group is left out."""
    assert question.privacy is not None
    table = connection.sql(figures_text(question.form, question.privacy, least)).to_arrow_table()
    keys = [n for n in table.column_names if not n.startswith("_hitoku_f")]
    found: dict[Any, list[int]] = {}
    for row in table.to_pylist():
        part = question.privacy.parts[row[PART] - 1]
        key = tuple(repr(row[k]) for k in keys)
        assert key not in found
        found[key] = [row[f"_hitoku_f{i}"] for i in range(1, len(part.figures) + 1)]
    return found


QUESTIONS = [
    (
        "SELECT city, COUNT(*) AS n, COUNT(DISTINCT uid) AS u, SUM(spend) AS s, AVG(score) "
        "AS m FROM visits GROUP BY city"
    ),
    (
        "SELECT COUNT(*) AS n, SUM(big) AS b, AVG(age) AS a, COUNT(DISTINCT day) AS d, "
        "COUNT(spend) AS c FROM visits"
    ),
    (
        "SELECT v.day, p.pref, COUNT(*) AS n, SUM(v.age) AS s FROM visits v JOIN people p ON "
        "v.uid = p.uid GROUP BY v.day, p.pref"
    ),
    (
        "SELECT w.kind, COUNT(*) AS n, SUM(v.score) AS s, COUNT(DISTINCT w.weight) AS d FROM "
        "visits v JOIN places w ON v.city = w.name GROUP BY w.kind"
    ),
    (
        "SELECT p.pref, COUNT(v.age) AS n, COUNT(DISTINCT p.uid) AS u FROM people p LEFT "
        "JOIN visits v ON p.uid = v.uid GROUP BY p.pref"
    ),
    (
        "SELECT UPPER(city) AS c, SUM(spend) AS s FROM visits WHERE score > 0 OR day / age > "
        "1 GROUP BY UPPER(city)"
    ),
    "SELECT city, COUNT(*) AS n FROM visits GROUP BY city UNION ALL SELECT 'all', COUNT(*) FROM visits",
]

number = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.just(-0.0))
small = st.one_of(st.none(), st.integers(-3, 200))
visit = st.tuples(
    st.sampled_from([None, "a", "b", "c", "d"]),
    st.sampled_from([None, "x", "y", "z"]),
    st.one_of(st.none(), st.integers(0, 3)),
    st.one_of(st.none(), st.decimals(-(10**7), 10**7, places=4)),
    number,
    small,
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
)
person = st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from([None, "p", "q"]))
place = st.tuples(st.sampled_from(["x", "y", "z"]), st.sampled_from(["k", "l", "m", "n"]), small)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(QUESTIONS),
    st.lists(visit, max_size=30),
    st.lists(person, max_size=10),
    st.lists(place, max_size=10),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_one_unit_changes_few_groups_by_little(
    sql: str, visits: list[Any], people: list[Any], places: list[Any], max_rows: int, max_groups: int
) -> None:
    question = ask(sql, world(max_rows, max_groups))
    assert question.privacy is not None
    with (
        tables(visits, people, places) as whole,
        tables([v for v in visits if v[0] != "a"], [p for p in people if p[0] != "a"], places) as without,
    ):
        before, after = figures(question, whole), figures(question, without)
    changed: dict[str, int] = defaultdict(int)
    for key in {*before, *after}:
        place = int(key[0]) - 1
        part = question.privacy.parts[place]
        zero = [0] * len(part.figures)
        old, new = before.get(key, zero), after.get(key, zero)
        changed[key[0]] += old != new
        for figure, a, b in zip(part.figures, old, new, strict=True):
            assert abs(a - b) <= figure.most, (figure, a, b)
    for branch, groups in changed.items():
        assert groups <= question.privacy.parts[int(branch) - 1].max_groups


@pytest.mark.parametrize("sql", QUESTIONS)
def test_which_rows_are_kept_does_not_depend_on_their_order(sql: str) -> None:
    visits = [
        (uid, city, day, Decimal(day * 31 % 17), day / 3, day, day * 10**8)
        for uid in "abcd"
        for city in "xyz"
        for day in range(6)
    ]
    people = [("a", "p"), ("b", "q"), ("c", "p"), ("d", None)]
    places = [("x", "k", 1), ("x", "l", 2), ("y", "k", 3)]
    question = ask(sql)
    with tables(visits, people, places) as one, tables(visits[::-1], people[::-1], places[::-1]) as other:
        assert figures(question, one) == figures(question, other)


def test_without_need_to_bound_figures_are_the_exact_aggregates() -> None:
    visits = [
        ("a", "x", 1, Decimal("10.505"), 1.5, 30, 7),
        ("b", "x", 2, None, None, None, -7),
        ("c", "y", 3, Decimal("99.994"), -4.0, 99, None),
    ]
    sql = (
        "SELECT city, COUNT(*) AS n, COUNT(spend) AS c, SUM(spend) AS s, SUM(score) AS "
        "t, SUM(age) AS a, SUM(big) AS b FROM visits GROUP BY city"
    )
    question = ask(sql, world(5, 5))
    assert question.privacy is not None
    kinds = [
        (f.kind.value, None if f.column is None else f.column.column)
        for f in question.privacy.parts[0].figures
    ]
    with tables(visits) as connection:
        found = figures(question, connection)
    x = dict(zip(kinds, found[("1", "'x'")], strict=True))
    y = dict(zip(kinds, found[("1", "'y'")], strict=True))
    assert x == {
        ("units", None): 2,
        ("rows", None): 2,
        ("values", "spend"): 1,
        ("sum", "spend"): 1051,
        ("sum", "score"): 1500,
        ("sum", "age"): 30,
        ("sum", "big"): 0,
    }
    assert (y[("sum", "spend")], y[("sum", "score")], y[("sum", "age")], y[("sum", "big")]) == (
        9999,
        -4000,
        99,
        0,
    )


def test_values_are_clamped_and_what_is_no_number_is_bounded_too() -> None:
    visits = [
        (f"u{n}", "x", 0, spend, score, age, None)
        for n, (spend, score, age) in enumerate(
            [
                (Decimal(10**7), float("nan"), 10**9),
                (Decimal(-(10**7)), float("inf"), -(10**9)),
                (None, float("-inf"), None),
            ]
        )
    ]
    question = ask("SELECT SUM(spend) AS s, SUM(score) AS t, SUM(age) AS a FROM visits", world(5, 5))
    assert question.privacy is not None
    names = [f.column.column for f in question.privacy.parts[0].figures if f.column is not None]
    with tables(visits) as connection:
        values = dict(zip(names, figures(question, connection)[("1",)], strict=True))
    assert values == {"spend": 10_000, "score": 5_000 + 5_000 - 5_000, "age": 120}


def test_groups_of_few_units_are_left_out_unless_public() -> None:
    visits = [(f"u{n}", "x" if n < 5 else "y", 0, None, None, None, None) for n in range(9)]
    sql = "SELECT city, COUNT(DISTINCT uid) AS u FROM visits GROUP BY city"
    question = ask(sql)
    with tables(visits) as connection:
        assert set(figures(question, connection, least=5)) == {("1", "'x'")}
    public = ask(sql, world(publicValues=[{"columnName": "city", "values": ["w", "x", "it's"]}]))
    with tables(visits) as connection:
        assert figures(public, connection, least=5) == {
            ("1", "'x'"): [5],
            ("1", "'w'"): [0],
            ("1", '"it\'s"'): [0],
        }


def test_a_group_that_is_not_public_takes_no_place_of_a_public_one() -> None:
    """Rows outside the domain are left out before a unit's groups are counted."""
    visits = [("a", city, 0, None, None, None, None) for city in ("p", "q", "r", "s", "t", "x")]
    room = world(1, 1, publicValues=[{"columnName": "city", "values": ["x"]}])
    question = ask("SELECT city, COUNT(DISTINCT uid) AS u FROM visits GROUP BY city", room)
    with tables(visits) as connection:
        assert figures(question, connection) == {("1", "'x'"): [1]}


def test_fan_out_counts_no_more() -> None:
    visits = [("a", "x", 0, Decimal(50), 0.0, 0, 0)]
    places = [("x", "k", 1_000_000)] * 1_000
    sql = "SELECT COUNT(*) AS n, SUM(v.spend) AS s FROM visits v JOIN places w ON v.city = w.name"
    question = ask(sql, world(3, 1))
    with tables(visits, places=places) as connection:
        assert sorted(figures(question, connection)[("1",)]) == [3, 15_000]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT COUNT(*) FROM visits v JOIN people p ON v.city = p.pref", "PRIVACY_UNIT_NOT_JOINED"),
        ("SELECT COUNT(*) FROM people p LEFT JOIN visits v ON p.pref = v.city", "PRIVACY_UNIT_NOT_JOINED"),
        ("SELECT COUNT(*) FROM places w LEFT JOIN visits v ON w.name = v.city", "PRIVACY_LEFT_JOIN"),
        ("SELECT SUM(day) FROM visits", "PRIVACY_BOUNDS_MISSING"),
        ("SELECT AVG(w.weight) FROM visits v JOIN places w ON v.city = w.name", "PRIVACY_BOUNDS_MISSING"),
        ("SELECT SUM(DISTINCT spend) FROM visits", "PRIVACY_AGGREGATE"),
        ("SELECT COUNT(*) FROM visits UNION ALL SELECT COUNT(*) FROM places", "PRIVACY_BRANCHES"),
    ],
)
def test_what_has_no_bound_is_refused(sql: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        ask(sql)
    assert caught.value.code == code
    assert caught.value.rule is not None
    assert caught.value.rule.startswith("tables.")
    assert caught.value.owner in {"city", "registry"}


def test_the_strictest_bounds_and_accounts_count() -> None:
    question = ask(QUESTIONS[2], world(3, 9))
    assert question.privacy is not None
    part = question.privacy.parts[0]
    assert (part.max_rows, part.max_groups) == (3, 4)
    assert question.privacy.accounts == ("city", "registry")
    assert (question.privacy.least_noise, question.privacy.delta) == (30, "1e-7")


class NoNoise:
    """Draws of zero, so that what follows the noise can be compared with the exact answer."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.taken: list[tuple[int, int]] = []

    def take(self, scale: int, count: int) -> Any:
        from array import array

        self.taken.append((scale, count))
        return array("q", [self.shift] * count)


def release(
    question: Question, connection: duckdb.DuckDBPyConnection, shift: int = 0
) -> tuple[Any, Any, NoNoise]:
    assert question.privacy is not None
    noise, _ = noise_of(question.privacy, None)
    # Thresholds are tested apart: here every group passes.
    open_ = Noise(
        noise.unit,
        noise.users_noise,
        tuple(NoisedPart(p.scales, None if p.threshold is None else 0, 1) for p in noise.parts),
    )
    table = connection.sql(figures_text(question.form, question.privacy, 1)).to_arrow_table()
    source = NoNoise(shift)
    outputs, bands = noised(table, question, open_, source)  # type: ignore[arg-type]
    return outputs, bands, source


SAME = [
    (
        "SELECT city, COUNT(*) AS n, COUNT(DISTINCT uid) AS u, SUM(age) AS s, AVG(age) AS m, "
        "ROUND(SUM(age) / COUNT(*), 1) AS r FROM visits GROUP BY city ORDER BY city"
    ),
    (
        "SELECT city, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS r, "
        "SUM(COUNT(*)) OVER () AS t FROM visits GROUP BY city ORDER BY n DESC, city LIMIT 2"
    ),
    "SELECT city, SUM(spend) AS s FROM visits GROUP BY city HAVING COUNT(*) > 3 ORDER BY s DESC",
    (
        "SELECT city, COUNT(*) AS n FROM visits GROUP BY city UNION SELECT 'all', COUNT(*) "
        "FROM visits ORDER BY n, city"
    ),
    (
        "SELECT CASE WHEN COUNT(*) > 3 THEN 'many' ELSE 'few' END AS w, city FROM visits "
        "GROUP BY city ORDER BY city"
    ),
]


@pytest.mark.parametrize("sql", SAME)
def test_with_zero_noise_and_wide_bounds_it_is_the_plain_answer(sql: str) -> None:
    visits = [
        (f"u{n % 7}", "xyz"[n % 3 if n < 12 else 0], n % 4, Decimal(n) + Decimal("0.25"), n / 2, n + 20, n)
        for n in range(20)
    ]
    question = ask(sql, world(100, 100))
    with tables(visits) as connection:
        outputs, _, source = release(question, connection)
        expected = connection.sql(sql).fetchall()
    rows = [tuple(row.values()) for row in outputs.to_pylist()]
    assert [tuple(map(_plain, row)) for row in rows] == [tuple(map(_plain, row)) for row in expected]
    assert source.taken


def _plain(value: Any) -> Any:
    """Numbers of all types alike; sums of decimals have two digits here."""
    return round(float(value), 2) if isinstance(value, (int, float, Decimal)) else value


def test_every_figure_of_every_group_gets_its_own_draw() -> None:
    visits = [(f"u{n}", "xy"[n % 2], 0, Decimal(1), 1.0, 1, 1) for n in range(6)]
    question = ask("SELECT city, COUNT(*) AS n, SUM(age) AS s FROM visits GROUP BY city")
    with tables(visits) as connection:
        outputs, _, source = release(question, connection, shift=1_000)
    assert question.privacy is not None
    # Units (sigma 30), rows (2 rows a unit: 60), sum (2 rows of up to 120: 7200): two groups each.
    assert sorted(source.taken) == [(30, 2), (60, 2), (7_200, 2)]
    assert [row["n"] for row in outputs.to_pylist()] == [1_003, 1_003]
    assert [int(row["s"]) for row in outputs.to_pylist()] == [1_003, 1_003]


def test_bands_are_around_the_noised_figures() -> None:
    visits = [(f"u{n}", "x", 0, Decimal(50), 1.0, 40, 1) for n in range(400)]
    sql = "SELECT COUNT(*) AS n, SUM(spend) AS s, AVG(age) AS m, COUNT(*) + 1 AS e FROM visits"
    question = ask(sql, world(1, 1))
    with tables(visits) as connection:
        _, bands, _ = release(question, connection)
    row = bands.to_pylist()[0]
    assert bands.column_names == ["n_low", "n_high", "s_low", "s_high", "m_low", "m_high"]
    assert (row["n_low"], row["n_high"]) == (400 - 59, 400 + 59)
    assert (row["s_low"], row["s_high"]) == (Decimal("14120.10"), Decimal("25879.90"))
    assert row["m_low"] < 40 < row["m_high"]
    # The mean's band: the sum and the count each at the ends that hold together with 95 %.
    assert row["m_low"] == pytest.approx((400 * 40 - 8_070) / (400 + 68), abs=0.2)
    assert row["m_high"] == pytest.approx((400 * 40 + 8_070) / (400 - 68), abs=0.2)


def test_a_mean_of_nobody_is_null_and_has_no_band() -> None:
    question = ask("SELECT AVG(age) AS m FROM visits", world(1, 1))
    with tables([]) as connection:
        outputs, bands, _ = release(question, connection)
    assert outputs.to_pylist() == [{"m": None}]
    assert bands.to_pylist() == [{"m_low": None, "m_high": None}]


def test_small_groups_do_not_pass_the_noisy_threshold() -> None:
    visits = [(f"u{n}", "x" if n < 290 else "y", 0, None, None, None, None) for n in range(320)]
    question = ask("SELECT city, COUNT(DISTINCT uid) AS u FROM visits GROUP BY city")
    assert question.privacy is not None
    noise, _ = noise_of(question.privacy, None)
    threshold = noise.parts[0].threshold
    assert threshold is not None
    with tables(visits) as connection:
        table = connection.sql(figures_text(question.form, question.privacy, 1)).to_arrow_table()
    for shift, expected in (
        (0, ["x"]),
        (threshold - 290, ["x"]),
        (threshold - 291, []),
        (threshold - 30, ["x", "y"]),
    ):
        outputs, _ = noised(table, question, noise, NoNoise(shift))  # type: ignore[arg-type]
        assert sorted(outputs.column("city").to_pylist()) == expected


def test_cells_of_another_form_are_refused() -> None:
    question = ask("SELECT city, COUNT(DISTINCT uid) AS u FROM visits GROUP BY city")
    assert question.privacy is not None
    noise, _ = noise_of(question.privacy, None)
    with tables([("a", "x", 0, None, None, None, None)]) as connection:
        table = connection.sql(figures_text(question.form, question.privacy, 1)).to_arrow_table()
    for bad in (
        table.drop_columns([PART]),
        table.append_column("more", table.column(0)),
        table.rename_columns([PART, "_hitoku_g1_2", "_hitoku_f1"]),
        table.set_column(2, "_hitoku_f1", table.column("_hitoku_f1").cast("double")),
        "no table",
    ):
        with pytest.raises(DisclosureError):
            noised(bad, question, noise, NoNoise())  # type: ignore[arg-type]


def test_what_is_told_of_the_noise() -> None:
    question = ask("SELECT city, COUNT(*) AS n, SUM(spend) AS s, AVG(age) AS m FROM visits GROUP BY city")
    assert question.privacy is not None
    noise, _ = noise_of(question.privacy, 50)
    told = described(question, noise)
    assert told["unit"] == "person"
    assert told["users_noise"] == 50
    assert told["threshold"] == noise.parts[0].threshold
    assert told["columns"] == [
        {"name": "city", "sigma": None, "half_width": None},
        {"name": "n", "sigma": "100", "half_width": "196"},
        {"name": "s", "sigma": "10000.00", "half_width": "19599.64"},
        {"name": "m", "sigma": None, "half_width": None},
    ]
