# SPDX-License-Identifier: Apache-2.0
"""Whether a question fails, in the engine's own process: an answer that no noise covers."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from hitoku.engine import Engine, EngineColumn, EngineLimits, EngineTable, TableFile
from hitoku.errors import HitokuError
from hitoku.questions.noised import figures_text

from .world import COLUMNS, TARGET, ask, crowd, fill, noised_room, visit, without, worlds


def ended(folder, rows, sql: str, bounds: EngineLimits | None = None) -> str:
    """How the engine's process ends on these rows: "ok", or the error's code."""
    asked = ask(sql, noised_room())
    tables = []
    with worlds(rows) as pair:
        for name, columns in COLUMNS.items():
            path = folder / f"{name}.parquet"
            pq.write_table(pair.here.sql(f"SELECT * FROM {name}").to_arrow_table(), path)
            made = tuple(EngineColumn(c, k, encrypted=False) for c, k in columns.items())
            tables.append(EngineTable(name, TableFile(path, "parquet"), made))
    text = figures_text(asked.question.form, asked.privacy, asked.noise.parts[0].least_units)
    with Engine(bounds) as engine:
        try:
            result = engine.run(tables, text)
        except HitokuError as error:
            return type(error).__name__
    assert isinstance(result, pa.Table)
    return "ok"


def test_a_question_that_no_value_fails_ends_alike_in_both_worlds(tmp_path):
    rows = {"visits": [*crowd(5), visit(TARGET, score=float("nan"), big=2**63 - 1, spend="9999.9999")]}
    sql = (
        "SELECT SUM(spend) AS s, SUM(big) AS b, AVG(score) AS m FROM visits WHERE LN(score) > 0 OR uid = 't'"
    )
    assert ended(tmp_path, rows, sql) == ended(tmp_path, without(rows), sql) == "ok"


CELL = "SELECT cell, COUNT(*) AS n FROM visits JOIN mine ON visits.uid = mine.uid GROUP BY cell"


def test_the_limit_of_a_result_does_not_count_exact_groups(tmp_path):
    """The asker's own table gives the group names: long ones, just below the limit but for the target's.

    That group has one unit less than the noise takes, and the target. Its existence may be told with the
    charge's delta, once in 10^10 questions; the failure tells it every time.
    """
    least = ask(CELL, noised_room()).noise.parts[0].least_units
    others = [f"u{i}" for i in range(2 * least)]
    names = {"a": others[:least], "b": [*others[least : 2 * least - 1], TARGET]}
    long = "x" * 100_000
    rows = {
        "visits": [*crowd(2 * least), visit(TARGET)],
        "mine": [(uid, name + long, 1, 1.0) for name, uids in names.items() for uid in uids],
    }
    bounds = EngineLimits(result_bytes=150_000)
    assert ended(tmp_path, without(rows), CELL, bounds) == "ok"
    assert ended(tmp_path, rows, CELL, bounds) == "ok"


def test_the_worlds_of_this_file_differ(tmp_path):
    """With room enough both end well, so it is the limit alone that fails above."""
    rows = {"visits": [*crowd(9), visit(TARGET)], "mine": [(f"u{i}", "a", 1, 1.0) for i in range(9)]}
    assert ended(tmp_path, rows, CELL) == "ok"
    with worlds(rows) as pair:
        fill(pair.here, rows)
        counted = [side.sql("SELECT COUNT(*) FROM visits").fetchall()[0][0] for side in pair.sides]
    assert counted == [10, 9]
