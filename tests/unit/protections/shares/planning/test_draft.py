# SPDX-License-Identifier: Apache-2.0
"""What is asked of owners, what is opened, what is refused: from the question's text and the room alone."""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tests.shares.world import Asked, answered, ask, counted, plain_table, prepared, rows_of

from hitoku.disclosure.plan import plan
from hitoku.errors import DisclosureError, LimitError, PeerError, Refusal
from hitoku.protections.base import Unsupported
from hitoku.protections.shares.planning import draft, expected, finish, predict, program
from hitoku.protections.shares.program import Program
from hitoku.questions import check

from .shapes import room, tables

JOIN = "FROM sales s JOIN cards c ON s.k = c.k"
PEOPLE = [{"k": k, "n": n, "whole": n, "price": None, "word": w, "flag": True} for k, n, w in [
    ("a", 1, "x"), ("a", 1, "x"), ("b", 2, "x"), ("c", 2, "y"), (None, 2, "y"), ("b", 1, "z"), ("c", 0, "z"),
]]  # fmt: skip
CARDS = [{"k": "a", "kind": "gold", "points": 3}, {"k": "b", "kind": "tin"}, {"k": "c", "kind": "gold"}]


def drafted(sql, where=None):
    made = prepared(sql, where or room(), "shop")[2]
    assert not isinstance(made, Unsupported), made.reason
    return made


def run(sql, where=None, **content):
    made = ask(sql, where or room(), tables(content or {"sales": PEOPLE, "cards": CARDS}), "shop")
    assert isinstance(made, Asked), made
    return made


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT word, COUNT(*) AS n FROM sales GROUP BY word",
        f"SELECT kind, COUNT(*) AS n, SUM(whole) AS w {JOIN} GROUP BY kind",
        "SELECT word, COUNT(*) AS n FROM sales s LEFT JOIN cards c ON s.k = c.k GROUP BY word",
        f"SELECT COUNT(*) AS n {JOIN}",
    ],
)
def test_groups_of_too_few_units_are_withheld(sql):
    made = run(sql, room(2))
    unit = "s.k" if " s " in sql else "k"
    asked = f"{sql} HAVING COUNT(DISTINCT {unit}) >= 2"
    clear = plain_table(asked, tables({"sales": PEOPLE, "cards": CARDS}))
    assert counted(rows_of(made.table)) == counted(rows_of(clear))
    assert made.program.branches[0].thresholds[0][1] == 2


def test_only_the_flags_of_released_rows_are_opened():
    made = run(f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind HAVING COUNT(*) > 2", room(2))
    flags = [values for values in made.opened if values]
    assert [set(values) <= {0, 1} for values in flags] == [True]
    assert sum(flags[0]) == made.table.num_rows == 1


def test_a_plan_may_be_stricter_than_the_rule():
    question = check(f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind", room(2), "shop")
    made = plan(question, room(2), ["shop"])
    strict = replace(made, thresholds=tuple(replace(t, minimum=7) for t in made.thresholds))
    found = draft(question, strict, room(2))
    assert not isinstance(found, Unsupported)
    answer = answered(question, strict, found, tables({"sales": PEOPLE, "cards": CARDS}))
    assert answer.program.branches[0].thresholds[0][1] == 7
    assert answer.table.num_rows == 0


def test_conditions_of_one_table_are_its_owners():
    made = drafted(f"SELECT kind, COUNT(*) AS n {JOIN} WHERE s.whole > 1 AND c.points = 3 GROUP BY kind")
    assert [table.where for table in made.tables] == [
        ('("cards"."points" = 3)',),
        ('("sales"."whole" > 1)',),
    ] or [table.where for table in made.tables] == [('"cards"."points" = 3',), ('"sales"."whole" > 1',)]
    assert not {leaf.column for table in made.tables for leaf in table.leaves} & {"whole", "points"}


def test_conditions_of_two_selects_on_one_table_are_leaves():
    sql = "SELECT word AS x, COUNT(*) AS n FROM sales WHERE whole > 1 GROUP BY word"
    other = f"SELECT kind, COUNT(*) {JOIN} WHERE s.whole < 5 GROUP BY kind"
    made = drafted(f"{sql} UNION ALL {other}")
    assert made.table("sales").where == ()
    assert sum(leaf.kind == "boolean" for leaf in made.table("sales").leaves) == 2


def test_an_owner_of_the_only_table_groups_by_itself():
    made = run("SELECT word, COUNT(*) AS n, SUM(whole) AS w, AVG(whole) AS m FROM sales GROUP BY word")
    branch = made.program.branches[0]
    assert branch.ready
    assert made.program.uploads[0].group == ('"sales"."word"',)
    assert made.manifests["sales"].rows == 64  # groups, not rows, and never fewer
    assert (
        not run("SELECT UPPER(word) AS w, COUNT(*) AS n FROM sales GROUP BY word").program.branches[0].ready
    )


def test_an_owners_manifest_tells_nothing_of_its_figures():
    few = run("SELECT word, SUM(whole) AS s, COUNT(*) AS n FROM sales GROUP BY word")
    many = run(
        "SELECT word, SUM(whole) AS s, COUNT(*) AS n FROM sales GROUP BY word",
        sales=[{**row, "whole": 2_000_000_000} for row in PEOPLE * 40],
    )
    widths = [[(leaf.low, leaf.high) for leaf in made.manifests["sales"].leaves[1:]] for made in (few, many)]
    assert widths[0] == widths[1]


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT SUM(CASE WHEN s.n = 1 THEN s.whole END) AS x {JOIN}",
        f"SELECT SUM(CASE WHEN s.n = 1 THEN s.price END) AS x {JOIN} GROUP BY kind",
        f"SELECT COALESCE(s.whole, 3) - 7 AS x, COUNT(*) AS n {JOIN} GROUP BY 1",
        f"SELECT COUNT(*) AS n {JOIN} WHERE (s.n = 1 AND s.whole > 5) IS NULL OR c.points > s.n",
        f"SELECT s.whole + 1 > 4 AS x, COUNT(*) AS n {JOIN} GROUP BY 1",
        "SELECT whole, day, MIN(price) AS p FROM sales WHERE n = 1 GROUP BY whole, day",
        "SELECT word, COUNT(*) AS n FROM sales WHERE n = 1 GROUP BY word",
        f"SELECT s.word, SUM(s.whole) AS x {JOIN} WHERE s.n = 1 GROUP BY s.word",
        f"SELECT s.day, s.flag, SUM(s.whole) AS x {JOIN} WHERE s.n = 1 GROUP BY s.day, s.flag",
        f"SELECT MAX(s.word) AS w, MEDIAN(s.whole) AS m {JOIN} WHERE s.n = 1",
    ],
)
def test_a_manifest_does_not_tell_of_one_row(sql):
    """The asker picks out one row by what it asks; what owners say of their tables stays the same."""
    others = [{"k": k, "n": 2, "whole": 5 * n, "word": str(n)} for n, k in enumerate("abcabca")]
    others += [{}, {"whole": -3_000, "word": "x" * 16, "day": date(1999, 1, 1), "flag": True}]
    one = {"k": "a", "n": 1, "whole": 77, "price": Decimal("3.00"), "word": "five"}
    changes: list[dict[str, Any]] = [
        {},
        {"whole": 1900},
        {"whole": None},
        {"price": None},
        {"price": Decimal("-99999.99")},
        {"n": 2},
        {"k": "none"},
        {"word": "twelve bytes"},
        {"word": None, "day": date(2001, 2, 3)},
    ]
    found = []
    for change in changes:
        # The columns as a whole are as wide with the row as without.
        wide = [
            {"n": 0, "whole": 4_000, "price": Decimal("-200000.00"), "day": date(2030, 1, 1)},
            {"n": 9, "price": Decimal("1.50")},
        ]
        made = run(sql, sales=[*others, *wide, one | change], cards=CARDS)
        told = made.manifests["sales"].model_dump(exclude={"hashes", "seeds", "question"})
        found.append((made.program, told))
    assert all(one == found[0] for one in found)


def test_rows_begin_as_the_table_that_is_never_unique():
    made = run("SELECT word, COUNT(*) AS n FROM cards c JOIN sales s ON c.k = s.k GROUP BY word")
    branch = made.program.branches[0]
    assert (branch.start, [(one.table, one.copies) for one in branch.lookups]) == ("sales", [("cards", 1)])


@pytest.mark.parametrize(
    ("left", "right"), [("k", "n"), ("day", "k"), ("flag", "n"), ("price", "n"), ("big", "fee")]
)
def test_keys_of_two_types_are_not_joined(left, right):
    with pytest.raises(Refusal):
        prepared(f"SELECT COUNT(*) AS n FROM sales s JOIN cards c ON s.{left} = c.{right}", room(), "shop")


@pytest.mark.parametrize(("left", "right"), [("k", "k"), ("whole", "n"), ("day", "since"), ("price", "fee")])
def test_both_sides_of_a_key_are_shared_alike(left, right):
    made = drafted(f"SELECT COUNT(*) AS n FROM sales s JOIN cards c ON s.{left} = c.{right}")
    sides = [table.leaves[0] for table in made.tables]
    assert len({(leaf.kind, leaf.scale, leaf.low, leaf.high) for leaf in sides}) == 1
    assert sides[0].low is not None


def test_a_declared_unique_key_needs_no_places():
    where = room(unique=[["k"]])
    made = drafted(f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind", where)
    assert [(key.occurrence, key.most) for key in made.table("sales").keys] == [(None, 1)]
    assert [key.most for key in made.table("cards").keys] == [None]


@pytest.mark.parametrize(("people", "kind"), [("abcc", "count_distinct"), ("abc", "count_rows")])
def test_units_that_are_unique_are_counted_without_a_sort(people, kind):
    sql = f"SELECT kind, COUNT(DISTINCT s.k) AS n {JOIN} GROUP BY kind"
    made = run(sql, room(2), sales=[{"k": k} for k in people], cards=[*CARDS, {"k": None}, {"k": "a"}])
    assert [one.kind for one in made.program.branches[0].aggregates] == ["count_distinct"]
    made = run(sql, room(2), sales=[{"k": k} for k in people], cards=[*CARDS, {"k": None}])
    assert [one.kind for one in made.program.branches[0].aggregates] == [kind]
    assert rows_of(made.table) == [("gold", 2)]


def test_units_that_are_declared_unique_are_counted_without_a_sort():
    sql = "SELECT kind, COUNT(DISTINCT s.n) AS n FROM sales s JOIN cards c ON s.k = c.k GROUP BY kind"
    people = [{"k": "a", "n": 1}, {"k": "a", "n": 2}, {"k": "c", "n": None}]
    made = run(sql, room(unique=[["n"]]), sales=people, cards=CARDS)
    assert [one.kind for one in made.program.branches[0].aggregates] == ["count"]
    assert rows_of(made.table) == [("gold", 2)]


def test_what_is_computed_inside_is_opened_alone():
    made = run(f"SELECT kind, SUM(points) / COUNT(*) AS q {JOIN} GROUP BY kind")
    assert [one.name for one in made.program.branches[0].opened] == ["g1", "o2"]
    made = run(
        f"SELECT kind, SUM(points) AS p, COUNT(*) AS n, SUM(points) / COUNT(*) AS q {JOIN} GROUP BY kind"
    )
    assert [one.name for one in made.program.branches[0].opened] == ["g1", "a1", "a2"]


def test_texts_that_are_not_opened_have_no_dictionary():
    made = drafted(f"SELECT COUNT(*) AS n {JOIN} GROUP BY kind")
    assert "code" not in {leaf.kind for table in made.tables for leaf in table.leaves}
    made = drafted(f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind")
    assert [leaf.column for table in made.tables for leaf in table.leaves if leaf.kind == "code"] == ["kind"]


def test_every_member_makes_the_same_program():
    sql = f"SELECT kind, COUNT(DISTINCT s.n) AS d, SUM(price) AS p {JOIN} WHERE s.price > c.fee GROUP BY kind"
    made = run(sql)
    again = drafted(sql)
    assert again.tables == made.drafted.tables
    assert program(again, made.manifests) == made.program


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT word, SUM(odd) AS s FROM sales GROUP BY word", "floating-point"),
        (f"SELECT COUNT(*) AS n {JOIN} WHERE s.word < c.kind", "for equality only"),
        ("SELECT word, RANK() OVER (ORDER BY COUNT(*)) AS r FROM sales GROUP BY word", "COUNT(*)"),
        (
            "SELECT word, COUNT(*) AS n, SUM(COUNT(*)) OVER () AS s FROM sales GROUP BY word LIMIT 1",
            "LIMIT leaves out",
        ),
        ("SELECT word FROM sales GROUP BY word UNION SELECT kind FROM kinds GROUP BY kind", "UNION compares"),
        (
            "SELECT word FROM sales GROUP BY word UNION ALL SELECT kind FROM kinds GROUP BY kind LIMIT 1",
            "LIMIT of several",
        ),
        (f"SELECT FLOOR(SUM(points)) AS f {JOIN}", "FLOOR()"),
        (f"SELECT SUM(s.big * c.points * s.big) AS f {JOIN}", "126 bits"),
    ],
)
def test_what_shares_cannot_compute_is_said_before_there_is_data(sql, words):
    made = prepared(sql, room(), "shop")[2]
    assert isinstance(made, Unsupported)
    assert words in f"{made.reason} {made.remedy}"


def test_totals_beside_their_parts_are_left_to_others():
    sql = f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind UNION ALL SELECT NULL, COUNT(*) {JOIN}"
    made = prepared(sql, room(2), "shop")[2]
    assert isinstance(made, Unsupported)
    assert "totals" in made.reason


def test_a_key_that_is_not_unique_as_declared_ends_the_plan():
    sql = f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind"
    made = run(sql)
    facts = made.manifests["sales"]
    lying = facts.model_copy(update={"keys": tuple(k.model_copy(update={"copies": 4}) for k in facts.keys)})
    with pytest.raises(PeerError):
        program(drafted(sql, room(unique=[["k"]])), {**made.manifests, "sales": lying})


def test_joins_that_could_be_too_large_are_not_begun():
    sql = f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind"
    made = run(sql, sales=PEOPLE, cards=CARDS * 2)
    huge = {name: facts.model_copy(update={"rows": 1 << 28}) for name, facts in made.manifests.items()}
    with pytest.raises(LimitError):
        program(made.drafted, huge)


def test_what_was_opened_of_another_question_is_no_answer():
    question, planned, made = prepared(f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind", room(), "shop")
    assert not isinstance(made, Unsupported)
    with pytest.raises(DisclosureError):
        finish(question, planned, made, [plain_table("SELECT 1 AS g1", {})])
    with pytest.raises(DisclosureError):
        finish(question, replace(planned, question="sha256:" + "0" * 64), made, [])


# --- predictions ---


def test_a_prediction_grows_with_rows_and_says_what_is_seen():
    made = run(f"SELECT kind, COUNT(*) AS n, SUM(whole) AS w {JOIN} GROUP BY kind")
    found = predict(made.program)
    assert (found.bytes, found.rounds) == (
        sum(step.bytes for step in found.steps),
        sum(step.rounds for step in found.steps),
    )
    assert any("of sales: 7 rows" in words for words in found.seen)
    assert "each server sees:" in found.text
    large = Program(
        tuple(replace(u, rows=u.rows * 1000) for u in made.program.uploads), made.program.branches
    )
    assert predict(large).bytes > 100 * found.bytes
    assert predict(large).rounds < 3 * found.rounds


def test_what_is_expected_needs_the_sizes_of_tables():
    made = drafted(f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind")
    assert expected(made) is None
    found = expected(made, {"sales": 100_000, "cards": 1_000})
    assert found is not None
    assert found.bytes > 1_000_000
    assert any("no join repeats rows" in words for words in found.assumed)
    declared = drafted(f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind", room(rows=1000))
    assert expected(declared, {"cards": 10}) is not None


def test_rounded_counts_and_totals_of_the_rest_are_left_to_others():
    where = room(2)
    rounding = where.agreement.release.model_copy(update={"round_counts": 10})
    agreement = where.agreement.model_copy(update={"release": rounding})
    made = prepared(
        f"SELECT kind, COUNT(*) AS n {JOIN} GROUP BY kind",
        where.model_copy(update={"agreement": agreement}),
        "shop",
    )[2]
    assert isinstance(made, Unsupported)
    assert "rounds counts" in made.reason
