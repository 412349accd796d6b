# SPDX-License-Identifier: Apache-2.0
"""Tokens with the rows' part on Spark: the same cells as on the host's own engine, or a refusal by name."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from hitoku.disclosure.plan import plan
from hitoku.disclosure.release import release
from hitoku.engine.process import EngineLimits
from hitoku.engine.spark import SparkEngine, Statement
from hitoku.engine.tables import EngineColumn, EngineTable, TableFile
from hitoku.errors import EngineError, InputError, LimitError, Refusal
from hitoku.executors import Local
from hitoku.ports import NoProgress, SystemClock
from hitoku.protections.tokens import Tokens
from hitoku.questions import check

from .questions import QUESTIONS, Asked
from .test_protections import HostOnly, counted
from .world import World, world

pytestmark = pytest.mark.spark

REFUSED = {
    "two dimensions of two owners": "double columns (customers.score)",
    "functions, positions and arithmetic": "GROUP BY the function EXTRACT",
    "totals beside their parts": "secondary suppression",
    "distinct sum and null dimension": "the function COALESCE",
    "what would fail on a value is null there": "the expression DIV",
    "list of the overlap": "lists of rows",
    "union drops equal rows": "secondary suppression",
    "except compares released rows": "secondary suppression",
    "intersect keeps what all branches have": "secondary suppression",
    "set operations nested, ordered and limited": "secondary suppression",
    "classes by case": "the function CASE",
    "case of released statistics and in a filter": "the function CASE",
    "dates moved, shown and read": "the function STRFTIME",
}
JOIN = "FROM customers c JOIN subscribers s ON c.phone = s.phone"
MORE = [
    Asked(
        "whole sums, averages and filters of every kind",
        "SELECT region, joined, SUM(c.age) AS a, SUM(DISTINCT c.age) AS d, AVG(spend) AS m, "
        f"AVG(minutes) AS t {JOIN} WHERE (age > 20 OR NOT region = 'it''s') AND region <> '' "
        "AND age IN (20, 30, -1) AND NOT roams AND joined BETWEEN '2024-01-01' AND '2025-12-31' "
        "GROUP BY region, joined",
        "",
    ),
    Asked("counts of columns", f"SELECT COUNT(name_sealed) AS n, COUNT(spend) AS s {JOIN}", ""),
    Asked("a pattern", f"SELECT plan, COUNT(*) AS n {JOIN} WHERE plan LIKE 'n_r%' GROUP BY plan", ""),
]


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    missing = [
        w
        for w, found in (
            ("the extra `spark`", importlib.util.find_spec("pyspark")),
            ("java", shutil.which("java")),
        )
        if not found
    ]
    if missing:
        if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
            pytest.fail(f"missing: {', '.join(missing)}")
        pytest.skip(f"missing: {', '.join(missing)}")
    from hitoku.executors.spark_session import open_session

    made = open_session(
        "local[2]",
        {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "2",
        },
    )
    yield made
    made.stop()


@pytest.fixture(scope="module", params=[False, True], ids=["", "nulls-kept"])
def place(session: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("world"), "parquet", request.param)


def answered(tokens: Tokens, place: World, asked: Asked) -> tuple[pa.Table, Any]:
    question = check(asked.sql, place.room, asked.asker)
    made = plan(question, place.room, ["shop"])
    cells = tokens.run(question, made, HostOnly(), Local(), NoProgress())
    answer = release(
        cells,
        made,
        question,
        leakage=tokens.leakage(question, place.room),
        protection="tokens",
        run="conformance",
        clock=SystemClock(),
    )
    return cells.table, answer


@pytest.mark.parametrize("asked", [*QUESTIONS, *MORE], ids=lambda a: a.name)
def test_cells_are_those_of_the_hosts_own_engine(session: Any, place: World, asked: Asked) -> None:
    if asked.needs_nulls and not place.room.agreement.settings.preserve_nulls:
        pytest.skip("a question for rooms that keep NULLs")
    spark = Tokens(place.files, spark=SparkEngine(lambda: session))
    if asked.name in REFUSED:
        with pytest.raises(Refusal) as caught:
            answered(spark, place, asked)
        assert caught.value.code == "NOT_ON_SPARK"
        assert REFUSED[asked.name] in str(caught.value)
        return
    cells, answer = answered(spark, place, asked)
    expected, own = answered(Tokens(place.files), place, asked)
    assert cells.schema.names == expected.schema.names
    assert cells.schema.types == expected.schema.types
    for row, other in zip(cells.to_pylist(), expected.to_pylist(), strict=True):
        for name, value in row.items():
            if name.endswith("_rest"):  # both count the bits of a hash, each of its own
                assert (value > 0) == (other[name] > 0)
                assert value <= 150
            elif isinstance(value, float):
                assert value == pytest.approx(other[name], rel=2**-52)
            else:
                assert value == other[name], name
    assert answer.table.num_rows == own.table.num_rows
    if asked.clear:
        got = [tuple(row.values()) for row in answer.table.to_pylist()]
        assert counted(got) == counted(place.clear.execute(asked.clear).fetchall())


def test_the_suite_is_not_empty() -> None:
    assert len(QUESTIONS) - len(REFUSED) >= 17
    assert REFUSED.keys() <= {asked.name for asked in QUESTIONS}


def test_the_number_behind_withheld_groups_is_a_lower_bound(session: Any, place: World) -> None:
    asked = QUESTIONS[2]
    sql = f"SELECT region, plan, COUNT(*) AS n {JOIN} GROUP BY region, plan"
    cells, _ = answered(
        Tokens(place.files, spark=SparkEngine(lambda: session)), place, replace(asked, sql=sql)
    )
    true = place.clear.execute(
        "SELECT COUNT(DISTINCT phone), COUNT(DISTINCT sphone) FROM (SELECT c.phone, s.phone AS sphone, "
        "COUNT(DISTINCT c.phone) OVER (PARTITION BY region, plan) AS n FROM customers c JOIN subscribers s "
        "ON c.phone = s.phone) WHERE n < 5"
    ).fetchone()
    assert true is not None
    assert true[0] > 0
    for threshold in plan(check(sql, place.room, "shop"), place.room, ["shop"]).thresholds:
        rest = cells.column(f"{threshold.alias}_rest")[0].as_py()
        assert 0 < rest <= max(true)


# --- the engine ---

NASTY = [
    "it's",
    "a\\b",
    "\\",
    "'",
    '"',
    "`",
    "${env:HOME}",
    "${spark.master}",
    ":p1",
    "?",
    "\n",
    "å秘",
    "--",
    "/*",
    "",
]


def written(folder: Path, **columns: Any) -> EngineTable:
    path = folder / "table.parquet"
    table = pa.table(columns)
    parquet.write_table(table, path)
    kinds = {"string": "VARCHAR", "int64": "BIGINT"}
    made = tuple(EngineColumn(f.name, kinds[str(f.type)], False) for f in table.schema)
    return EngineTable("t", TableFile(path, "parquet"), made)


def test_literals_are_values_whatever_they_look_like(session: Any, tmp_path: Path) -> None:
    table = written(tmp_path, v=NASTY)
    statements = [Statement("SELECT v FROM t WHERE v = :p1", {"p1": value}) for value in NASTY]
    results = SparkEngine(lambda: session).run([table], statements)
    assert [result["v"].to_pylist() for result in results] == [[value] for value in NASTY]


def test_a_failure_quotes_no_value(session: Any, tmp_path: Path) -> None:
    table = written(tmp_path, v=["PLANTED-VALUE"])
    with pytest.raises(EngineError) as caught:
        SparkEngine(lambda: session).run([table], [Statement("SELECT CAST(v AS INT) AS n FROM t")])
    assert caught.value.code == "INTERNAL"
    assert "PLANTED" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_question_sees_its_own_tables_only(session: Any, tmp_path: Path) -> None:
    table = written(tmp_path, v=["x"])
    engine = SparkEngine(lambda: session)
    engine.run([table], [Statement("SELECT v FROM t")])
    with pytest.raises(EngineError):
        engine.run([], [Statement("SELECT v FROM t")])


def test_declared_columns_only(session: Any, tmp_path: Path) -> None:
    table = written(tmp_path, v=["x"], w=["y"])
    narrow = replace(table, columns=table.columns[:1])
    with pytest.raises(EngineError):
        SparkEngine(lambda: session).run([narrow], [Statement("SELECT w FROM t")])


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"w": ["x"]}, "lacks the column v"),
        ({"v": [1]}, "not VARCHAR"),
        ({"v": ["x"], "V ": ["y"]}, "the column v twice"),
    ],
)
def test_a_file_that_is_not_as_declared(session: Any, tmp_path: Path, columns: Any, told: str) -> None:
    table = replace(written(tmp_path, **columns), columns=(EngineColumn("v", "VARCHAR", True),))
    with pytest.raises(InputError, match=told):
        SparkEngine(lambda: session).run([table], [Statement("SELECT v FROM t")])


def test_files_that_spark_cannot_take(session: Any, tmp_path: Path) -> None:
    table = written(tmp_path, v=["x"])
    engine = SparkEngine(lambda: session)
    with pytest.raises(InputError, match="Parquet files only"):
        engine.run([replace(table, file=TableFile(table.file.path, "csv"))], [])
    with pytest.raises(InputError, match="missing"):
        engine.run([replace(table, file=TableFile(tmp_path / "none", "parquet"))], [])
    strange = tmp_path / "a{b,c}.parquet"
    shutil.copy(table.file.path, strange)
    with pytest.raises(InputError, match="pattern"):
        engine.run([replace(table, file=TableFile(strange, "parquet"))], [])
    strange = tmp_path / "broken.parquet"
    strange.write_bytes(b"PLANTED")
    with pytest.raises(EngineError) as caught:
        engine.run([replace(table, file=TableFile(strange, "parquet"))], [])
    assert caught.value.code == "INPUT_FILE"


def test_bounds(session: Any, tmp_path: Path) -> None:
    table = written(tmp_path, v=["x", "y"])
    with pytest.raises(LimitError):
        SparkEngine(lambda: session, EngineLimits(result_rows=1)).run([table], [Statement("SELECT v FROM t")])
    long = Statement(
        "SELECT COUNT(*) AS n FROM RANGE(100000) a CROSS JOIN RANGE(10000000) b WHERE a.id % 7 = b.id % 11"
    )
    with pytest.raises(EngineError) as caught:
        SparkEngine(lambda: session, EngineLimits(seconds=1)).run([table], [long])
    assert caught.value.code == "TIMEOUT"
    engine = SparkEngine(lambda: session)
    stop = threading.Timer(1, engine.cancel)
    stop.start()
    with pytest.raises(EngineError) as caught:
        engine.run([table], [long])
    stop.join()
    assert caught.value.code == "CANCELLED"
    with pytest.raises(EngineError, match="cancelled"):
        engine.run([table], [Statement("SELECT v FROM t")])
