# SPDX-License-Identifier: Apache-2.0
"""Thresholds alone: what the same asker reads of one person, and what not even he does.

What succeeds here is listed in docs/limits-of-thresholds.md; a test asserts that it does succeed, so that the
page stays true. Nothing of it is repaired by a larger minimum: it moves the attack, it does not stop it.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hitoku.disclosure.answer import Answer
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.leakage import Leakage
from hitoku.disclosure.margins import protected, suppressed
from hitoku.disclosure.plan import plan
from hitoku.disclosure.release import release
from hitoku.errors import Refusal
from hitoku.ports import SystemClock
from hitoku.questions import check, execution_sql
from hitoku.questions.overlap import box, conflicts
from hitoku.questions.run import survey_sql
from hitoku.room.agreement import Room

from .world import TARGET, bits, crowd, fill, noised_room, threshold_room, visit, without, worlds

SECRET = Decimal("77.7700")
MINIMUM = 5
PAGE = Path(__file__).parents[3] / "docs" / "limits-of-thresholds.md"
ROWS = {
    "visits": [*crowd(12), *(visit(f"o{i}", "osaka") for i in range(9)), visit(TARGET, spend=SECRET, age=44)],
    "people": [(f"u{i}", "x", 7) for i in range(12)],
    "mine": [
        (TARGET, "cell", 1, 1.0),
        *((f"u{i}", "cell", 1, 1.0) for i in range(MINIMUM - 1)),
    ],
}


def asked(sql: str, connection: Any, room: Room | None = None) -> Answer:
    """What the host does with a question on thresholds, from check to release."""
    room = room or threshold_room(MINIMUM)
    question = check(sql, room, "asker")
    made = plan(question, room, ["asker"])
    withheld, applied = None, set()
    if protected(question, made):
        survey = survey_sql(question, made)
        counted = None if survey is None else connection.sql(survey).to_arrow_table()
        withheld = suppressed(question, made, counted)
        applied.add("suppression")
    table = connection.sql(execution_sql(question, made, withheld)).to_arrow_table()
    return release(
        Cells(question.hash, table, frozenset(applied)),
        made,
        question,
        leakage=Leakage(()),
        protection="tokens",
        run="ab" * 16,
        clock=SystemClock(),
    )


def exactly(answer: Answer) -> list[list[str]]:
    """The rows, in their order, bit by bit."""
    return [[bits(value) for value in row] for row in answer.fetchall()]


def only(sql: str, connection: Any, room: Room | None = None) -> tuple[Any, ...]:
    """The one row of an answer."""
    (row,) = asked(sql, connection, room).fetchall()
    return tuple(row)


def written(*sqls: str) -> None:
    """The page shows this very SQL."""
    page = " ".join(PAGE.read_text("utf-8").split())
    for sql in sqls:
        assert sql in page, sql


@pytest.fixture(scope="module")
def pair():
    with worlds(ROWS) as made:
        yield made


# --- what succeeds ---


def test_differencing_succeeds(pair):
    """Two groups of many that differ by him."""
    with_him = "SELECT COUNT(*) AS n, SUM(spend) AS s FROM visits WHERE city = 'tokyo'"
    without_him = "SELECT COUNT(*) AS n, SUM(spend) AS s FROM visits WHERE city = 'tokyo' AND age <> 44"
    a, b = only(with_him, pair.here), only(without_him, pair.here)
    assert (a[0] - b[0], a[1] - b[1]) == (1, SECRET)
    written(with_him, without_him)


def test_tracker_succeeds(pair):
    """Where "age <> 44" were too plain: all, less those who are not both."""
    sqls = [
        "SELECT SUM(spend) AS s FROM visits",
        "SELECT SUM(spend) AS s FROM visits WHERE city <> 'tokyo' OR age < 40",
    ]
    (everybody,), (others,) = (only(sql, pair.here) for sql in sqls)
    assert everybody - others == SECRET
    written(*sqls)


def test_the_complement_of_a_small_group_succeeds(pair):
    """What one question withholds, two questions subtract; within one, secondary suppression holds."""
    rows = {**ROWS, "visits": [*ROWS["visits"], visit("n", "nara", spend=3)]}
    with worlds(rows) as more:
        by_city, total = (
            "SELECT city, COUNT(*) AS n, SUM(spend) AS s FROM visits GROUP BY city",
            "SELECT COUNT(*) AS n, SUM(spend) AS s FROM visits",
        )
        shown = asked(by_city, more.here).fetchall()
        assert "nara" not in {row[0] for row in shown}
        n, s = only(total, more.here)
        assert (n - sum(r[1] for r in shown), s - sum(r[2] for r in shown)) == (1, 3)
        together = f"{by_city} UNION ALL SELECT 'all', COUNT(*) AS n, SUM(spend) AS s FROM visits"
        left = {row[0]: row[1:] for row in asked(together, more.here).fetchall()}
        assert "all" not in left or len(left) < 3
        written(by_city, total)


def test_weighing_by_the_fan_out_of_a_join_succeeds(pair):
    """One question: his row a hundred thousand times, five others once; the mean is his value."""
    sql = "SELECT AVG(spend) AS m FROM visits JOIN mine ON visits.uid = mine.uid"
    fill(pair.gone, ROWS)
    pair.gone.execute(f"INSERT INTO mine SELECT '{TARGET}', 'cell', i, 1.0 FROM range(100000) t(i)")
    (mean,) = only(sql, pair.gone)
    fill(pair.gone, without(ROWS))
    assert abs(Decimal(mean) - SECRET) < Decimal("0.01")
    written(sql)


def test_one_cell_for_each_person_filled_with_people_one_knows_succeeds(pair):
    """A cell for him and four whom the asker knows; and so for every person, in one question."""
    sql = "SELECT cell, SUM(spend) AS s FROM visits JOIN mine ON visits.uid = mine.uid GROUP BY cell"
    _, total = only(sql, pair.here)
    assert total - 10 * (MINIMUM - 1) == SECRET
    written(sql)


def test_whether_he_is_in_a_table_succeeds(pair):
    """The threshold itself answers: the cell is there if and only if he is."""
    sql = "SELECT cell, COUNT(*) AS n FROM visits JOIN mine ON visits.uid = mine.uid GROUP BY cell"
    assert [asked(sql, side).num_rows for side in pair.sides] == [1, 0]
    written(sql)


def test_whether_anything_is_withheld_can_be_tipped_by_one(pair):
    """Four people in groups that are too small, and he: together enough that the answer says so."""
    rows = {**ROWS, "visits": [*(visit(f"n{i}", "nara") for i in range(4)), *crowd(9), visit(TARGET, "gifu")]}
    sql = "SELECT city, COUNT(*) AS n FROM visits GROUP BY city"
    with worlds(rows) as other:
        here, gone = (asked(sql, side) for side in other.sides)
    assert here.fetchall() == gone.fetchall()
    assert (here.withheld.some, gone.withheld.some) == (True, None)
    written(sql)


def test_a_group_of_one_mind_succeeds():
    """Many people with one value: nobody is singled out, and everybody's value is told."""
    rows = {"visits": [*(visit(f"u{i}", age=44) for i in range(8)), visit(TARGET, age=44)]}
    sql = "SELECT city, COUNT(*) AS n, COUNT(DISTINCT age) AS ages, AVG(age) AS m FROM visits GROUP BY city"
    with worlds(rows) as other:
        assert only(sql, other.here) == ("tokyo", 9, 1, 44.0)
    written(sql)


def test_all_sql_on_the_page_is_run_here():
    page, here = PAGE.read_text("utf-8"), " ".join(Path(__file__).read_text("utf-8").split())
    shown = [line for block in page.split("```sql")[1:] for line in block.split("```")[0].split("\n") if line]
    assert len(shown) >= 9
    for sql in shown:
        assert sql in here, sql


# --- what narrows it ---

CONTROLS = {"allowedLiteralComparisonColumns": ["city"], "allowedColumnComparisonColumns": []}


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT SUM(spend) AS s FROM visits WHERE city = 'tokyo' AND age <> 44", "LITERAL_COMPARISON"),
        ("SELECT AVG(spend) AS m FROM visits JOIN mine ON visits.uid = mine.uid", "COLUMN_COMPARISON"),
        (
            "SELECT cell, SUM(spend) AS s FROM visits JOIN mine ON visits.uid = mine.uid GROUP BY cell",
            "COLUMN_COMPARISON",
        ),
    ],
)
def test_comparison_controls_narrow_it(sql, code):
    with pytest.raises(Refusal) as refused:
        check(sql, threshold_room(MINIMUM, comparisonControls=CONTROLS), "asker")
    assert refused.value.code == code
    check(
        "SELECT SUM(spend) AS s FROM visits WHERE city = 'tokyo'",
        threshold_room(MINIMUM, comparisonControls=CONTROLS),
        "asker",
    )


def test_overlap_columns_narrow_it():
    """Decided on the text: the second of two questions that differ by one age is refused."""
    room = threshold_room(MINIMUM, overlapColumns=["city", "age"])
    boxes = [
        box(check(f"SELECT SUM(spend) AS s FROM visits WHERE city = 'tokyo'{more}", room, "asker"), "visits")
        for more in ("", " AND age > 44", " AND age < 44")
    ]
    assert conflicts(boxes[1], boxes[:1])
    assert not conflicts(boxes[0], boxes[:1])
    assert not conflicts(boxes[2], boxes[1:2])


def test_he_cannot_be_named_under_a_threshold():
    with pytest.raises(Refusal) as refused:
        check(f"SELECT COUNT(*) AS n FROM visits WHERE uid <> '{TARGET}'", threshold_room(), "asker")
    assert refused.value.code == "IDENTITY_COMPARED"


def test_noise_refuses_or_covers_all_of_it():
    """The same questions in a room with noise have a charge, each, and bounded weights."""
    for sql in (
        "SELECT COUNT(*) AS n, SUM(spend) AS s FROM visits WHERE city = 'tokyo' AND age <> 44",
        "SELECT AVG(spend) AS m FROM visits JOIN mine ON visits.uid = mine.uid",
        "SELECT cell, SUM(spend) AS s FROM visits JOIN mine ON visits.uid = mine.uid GROUP BY cell",
    ):
        room = noised_room()
        charges = plan(check(sql, room, "asker"), room, ["asker"]).charges
        assert charges
        assert all(charge.rho > 0 for charge in charges)


# --- what does not succeed ---

ALONE = {
    "visits": [
        *crowd(12),
        *(visit(f"o{i}", "osaka") for i in range(9)),
        visit(TARGET, "gifu", age=44, spend=SECRET, day=9),
    ],
    "people": [(TARGET, "z", 1), *((f"u{i}", "x", 7) for i in range(12))],
    "mine": [(TARGET, "his", 1, 1.0), *((f"u{i}", "a", 1, 1.0) for i in range(12))],
}
FAILING = [
    "SELECT city, COUNT(*) AS n FROM visits GROUP BY city",
    "SELECT uid, COUNT(*) AS n FROM visits GROUP BY uid",
    "SELECT age, city, SUM(spend) AS s FROM visits GROUP BY age, city ORDER BY s DESC LIMIT 1",
    "SELECT city, SUM(spend) AS s FROM visits GROUP BY city ORDER BY s LIMIT 1 OFFSET 1",
    "SELECT city, COUNT(*) AS n FROM visits GROUP BY city HAVING COUNT(*) < 5",
    "SELECT city, COUNT(*) AS n FROM visits GROUP BY city HAVING SUM(spend) > 77 OR COUNT(*) > 10",
    "SELECT COUNT(*) AS n FROM visits WHERE age = 44",
    "SELECT COUNT(*) AS n, AVG(spend) AS m FROM visits WHERE day = 9 OR city = 'gifu'",
    (
        "SELECT city, COUNT(*) AS n, SUM(COUNT(*)) OVER () AS t, RANK() OVER (ORDER BY COUNT(*)) AS r "
        "FROM visits GROUP BY city"
    ),
    "SELECT city, LAG(SUM(spend)) OVER (ORDER BY city) AS l, COUNT(*) AS n FROM visits GROUP BY city",
    "SELECT city, MAX(SUM(spend)) OVER () AS f, NTILE(3) OVER (ORDER BY city) AS t FROM visits GROUP BY 1",
    (
        "SELECT city, COUNT(*) AS n FROM visits GROUP BY city UNION ALL "
        "SELECT city, COUNT(*) AS n FROM visits WHERE age = 44 GROUP BY city"
    ),
    (
        "SELECT 'a' AS k, COUNT(*) AS n FROM visits WHERE city <> 'gifu' UNION "
        "SELECT 'b', SUM(age) AS n FROM visits WHERE city = 'gifu'"
    ),
    (
        "SELECT city, COUNT(*) AS n FROM visits GROUP BY city EXCEPT "
        "SELECT city, COUNT(*) AS n FROM visits WHERE age = 44 GROUP BY city"
    ),
    (
        "SELECT city, COUNT(*) AS n FROM visits GROUP BY city INTERSECT "
        "SELECT city, COUNT(uid) AS n FROM visits GROUP BY city"
    ),
    "SELECT pref, COUNT(*) AS n FROM visits JOIN people ON visits.uid = people.uid GROUP BY pref",
    "SELECT cell, SUM(spend) AS s FROM visits JOIN mine ON visits.uid = mine.uid GROUP BY cell",
    (
        "SELECT CASE WHEN age = 44 THEN 'him' ELSE 'others' END AS k, COUNT(*) AS n FROM visits "
        "WHERE city = 'gifu' OR age = 30 GROUP BY CASE WHEN age = 44 THEN 'him' ELSE 'others' END"
    ),
    "SELECT city, SUM(spend) / COUNT(*) AS r FROM visits GROUP BY city HAVING SUM(spend) / COUNT(*) > 5",
    (
        "SELECT CAST(city AS INTEGER) AS k, COUNT(*) AS n FROM visits WHERE city = 'gifu' OR age = 44 "
        "GROUP BY CAST(city AS INTEGER)"
    ),
    "SELECT LN(spend - 77.77) AS k, COUNT(*) AS n FROM visits GROUP BY LN(spend - 77.77)",
    "SELECT 1 / (age - 44) AS k, COUNT(*) AS n FROM visits WHERE city = 'gifu' GROUP BY 1 / (age - 44)",
]


@pytest.mark.parametrize("sql", FAILING)
def test_a_group_below_the_threshold_leaves_no_trace(sql):
    """In both worlds the same rows in the same order, and the same is said of what is withheld."""
    with worlds(ALONE) as pair:
        here, gone = (asked(sql, side) for side in pair.sides)
    assert exactly(here) == exactly(gone)
    assert here.table.schema == gone.table.schema
    assert here.withheld == gone.withheld


def test_the_trace_would_be_seen():
    """With a minimum of two, and one companion, the same questions do tell: the worlds differ."""
    rows = {**ALONE, "visits": [*ALONE["visits"], visit("companion", "gifu", age=44, spend=1, day=9)]}
    seen = 0
    with worlds(rows) as pair:
        for sql in FAILING:
            here, gone = (asked(sql, side, threshold_room(2)) for side in pair.sides)
            seen += exactly(here) != exactly(gone)
    assert seen > len(FAILING) // 2


BROKEN = [
    f"SELECT COUNT(*) AS n FROM visits WHERE city = 'gifu' AND {condition}"
    for condition in (
        "9223372036854775807 + 9223372036854775807 > score",
        "spend < 99999999999999999999999999999999999999",
        "CAST(score AS DECIMAL(38, 37)) < age",
    )
]
BROKEN += [
    f"SELECT city, COUNT(*) AS n FROM visits WHERE city = 'gifu' GROUP BY city HAVING {condition}"
    for condition in (
        "9223372036854775807 + 1 > COUNT(*)",
        "SUM(spend) * 1.3 < CAST(COUNT(*) AS DECIMAL(38, 36))",
    )
]


BROKEN += [
    "SELECT city, CAST(COUNT(*) AS DECIMAL(38, 37)) AS s FROM visits GROUP BY city "
    f"{kind} SELECT city, COUNT(*) + 200 FROM visits GROUP BY city"
    for kind in ("UNION ALL", "UNION", "EXCEPT", "INTERSECT")
]


@pytest.mark.parametrize("sql", BROKEN)
def test_no_error_tells_of_a_group_below_the_threshold(sql):
    with worlds(ALONE) as pair:
        here, gone = (asked(sql, side) for side in pair.sides)
    assert exactly(here) == exactly(gone)


def test_the_sign_of_a_groups_zero_is_nobodys():
    rows = {"visits": [visit(TARGET, score=-1.0), *crowd(9, score=1.0)]}
    with worlds(rows) as pair:
        sql = "SELECT score * 0 AS zero FROM visits GROUP BY score * 0 HAVING COUNT(*) > 1"
        here, gone = (asked(sql, side) for side in pair.sides)
    assert exactly(here) == exactly(gone)
