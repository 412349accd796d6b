# SPDX-License-Identifier: Apache-2.0
"""What noise must hide, to the letter: figures, bounds, accounts, units joined; refusals and their place."""

from __future__ import annotations

from typing import Any

import pytest
from sqlglot import exp

from hitoku import limits
from hitoku.errors import Refusal
from hitoku.questions import privacy
from hitoku.questions.form import Block, Family, Left, Ref, Use, Value
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy
from hitoku.questions.rules import Rules
from hitoku.room.agreement import Agreement, Room
from hitoku.room.rules import ColumnBounds

from .test_noised import ask, world

UNITS = Figure(FigureKind.UNITS, None, 1)
UID = Ref("visits", "uid")
SCORE = ColumnBounds(column_name="score", lower=-5, upper=5, decimals=3)
SPEND = ColumnBounds(column_name="spend", lower=0, upper=100, decimals=2)
AGE = ColumnBounds(column_name="age", lower=0, upper=120)
UNIT_RULE = "tables.visits.rule.differentialPrivacy"


def rows(most: int) -> Figure:
    return Figure(FigureKind.ROWS, None, most)


def values(column: str, most: int, table: str = "visits") -> Figure:
    return Figure(FigureKind.VALUES, Ref(table, column), most)


def total(bounds: ColumnBounds, most: int) -> Figure:
    return Figure(FigureKind.SUM, Ref("visits", bounds.column_name), most, bounds)


def changed(**tables: Any) -> Room:
    """The room with other columns or privacy of some tables; `budgets` adds accounts."""
    data = world().agreement.model_dump(mode="json", by_alias=True)
    data["budgets"] += tables.pop("budgets", [])
    data["settings"].update(tables.pop("settings", {}))
    for table in data["tables"]:
        for name, change in tables.get(table["name"], {}).items():
            if name == "columns":
                for column in table["columns"]:
                    column.update(change.get(column["name"], {}))
            else:
                table["rule"]["differentialPrivacy"][name] = change
    return Room(agreement=Agreement.model_validate(data))


def private(sql: str, room: Room | None = None) -> Privacy:
    found = ask(sql, room).privacy
    assert found is not None
    return found


def part(sql: str, room: Room | None = None) -> Part:
    (one,) = private(sql, room).parts
    return one


def refused(sql: str, room: Room | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        ask(sql, room)
    return caught.value


def facts(refusal: Refusal) -> tuple[Any, ...]:
    return refusal.code, refusal.clause, refusal.rule, refusal.owner, dict(refusal.params)


def test_all_of_a_grouped_question() -> None:
    sql = (
        "SELECT city, COUNT(*) AS n, COUNT(DISTINCT uid) AS u, SUM(spend) AS s, AVG(score) AS m "
        "FROM visits GROUP BY city"
    )
    assert private(sql) == Privacy(
        "person",
        ("city",),
        30,
        "1e-6",
        (
            Part(
                UID,
                2,
                2,
                (UNITS, rows(2), values("score", 2), total(SCORE, 10_000), total(SPEND, 20_000)),
                (
                    ('AVG("visits"."score")', (3, 2)),
                    ("COUNT(*)", (1,)),
                    ('COUNT(DISTINCT "visits"."uid")', (0,)),
                    ('SUM("visits"."spend")', (4,)),
                ),
                None,
            ),
        ),
    )
    assert part(sql).thresholded is True
    assert [figure.decimals for figure in part(sql).figures] == [0, 0, 0, 3, 2]


def test_all_of_a_question_without_groups() -> None:
    one = part("SELECT COUNT(*), COUNT(DISTINCT day), COUNT(spend), AVG(age) FROM visits", world(3, 7))
    distinct = Figure(FigureKind.DISTINCT, Ref("visits", "day"), 3)
    assert one == Part(
        UID,
        3,
        1,
        (rows(3), values("age", 3), values("spend", 3), distinct, total(AGE, 360)),
        (
            ('AVG("visits"."age")', (4, 1)),
            ('COUNT("visits"."spend")', (2,)),
            ("COUNT(*)", (0,)),
            ('COUNT(DISTINCT "visits"."day")', (3,)),
        ),
        (),
    )
    assert one.thresholded is False


def test_questions_of_tables_without_noise_need_none() -> None:
    assert ask("SELECT kind, COUNT(*) AS n FROM places GROUP BY kind").privacy is None


def test_with_one_row_a_unit_rows_are_units() -> None:
    one = part(
        "SELECT city, COUNT(*) AS n, COUNT(uid) AS u, COUNT(age) AS a FROM visits GROUP BY city", world(1)
    )
    assert one.figures == (UNITS, values("age", 1))
    assert dict(one.made_of) == {
        "COUNT(*)": (0,),
        'COUNT("visits"."uid")': (0,),
        'COUNT("visits"."age")': (1,),
    }
    two = part("SELECT city, COUNT(*) AS n FROM visits GROUP BY city", world(2))
    assert two.figures == (UNITS, rows(2))


def test_a_column_that_is_never_null_counts_rows_but_not_behind_a_left_join() -> None:
    room = changed(visits={"columns": {"age": {"nullable": False}}})
    assert part("SELECT COUNT(age) AS a, AVG(age) AS m FROM visits", room).figures == (
        rows(2),
        total(AGE, 240),
    )
    left = part("SELECT COUNT(v.age) AS a FROM people p LEFT JOIN visits v ON p.uid = v.uid", room)
    assert left.figures == (values("age", 2),)
    # All that is equated with the unit by an inner join is the unit; behind a left join it may be missing.
    joined = part(
        "SELECT COUNT(DISTINCT p.uid) AS a, COUNT(p.uid) AS b FROM visits v JOIN people p ON v.uid = p.uid"
    )
    assert joined.figures == (UNITS, rows(2))
    left = part(
        "SELECT COUNT(DISTINCT v.uid) AS a, COUNT(v.uid) AS b "
        "FROM people p LEFT JOIN visits v ON p.uid = v.uid"
    )
    assert left.figures == (
        values("uid", 2),
        Figure(FigureKind.DISTINCT, Ref("visits", "uid"), 2),
    )


def test_a_clamp_counts_by_its_larger_end() -> None:
    def most(lower: int, upper: int, decimals: int = 0, max_rows: int = 2) -> int:
        bounds = [{"columnName": "age", "lower": lower, "upper": upper, "decimals": decimals}]
        (one,) = part("SELECT SUM(age) AS s FROM visits", world(max_rows, 1, bounds=bounds)).figures
        return one.most

    assert most(-7, 3) == 14
    assert most(-3, 7) == 14
    assert most(2, 7, 2, 3) == 2_100
    assert most(-9, -2, 1, 1) == 90


def test_conditions_and_orders_need_their_figures_too() -> None:
    one = part(
        "SELECT city, COUNT(*) AS n FROM visits GROUP BY city "
        "HAVING SUM(age) > 3 ORDER BY COUNT(DISTINCT day)"
    )
    assert [text for text, _ in one.made_of] == [
        "COUNT(*)",
        'COUNT(DISTINCT "visits"."day")',
        'SUM("visits"."age")',
    ]
    assert [figure.kind.value for figure in one.figures] == ["units", "rows", "distinct", "sum"]


def test_the_strictest_table_bounds_and_the_strictest_account_pays() -> None:
    sql = "SELECT v.city, COUNT(*) AS n FROM visits v JOIN people p ON v.uid = p.uid GROUP BY v.city"
    budget = {"owner": "city", "unit": "other", "epsilon": 1, "users_noise_per_query": 99, "delta": "1e-12"}
    for rows_, groups, least in ((9, 9, (5, 4)), (2, 3, (2, 3))):
        found = private(sql, world(rows_, groups))
        assert (found.parts[0].max_rows, found.parts[0].max_groups) == least
    # Accounts of another unit pay nothing and demand nothing.
    found = private(sql, changed(budgets=[budget]))
    assert (found.unit, found.accounts, found.least_noise, found.delta) == (
        "person",
        ("city", "registry"),
        30,
        "1e-7",
    )
    people = private("SELECT COUNT(*) AS n FROM people")
    assert (people.accounts, people.least_noise, people.delta) == (("registry",), 10, "1e-7")


def test_deltas_are_compared_as_numbers() -> None:
    budgets = [
        {"owner": "city", "unit": "two", "epsilon": 1, "delta": "1e-9"},
        {"owner": "registry", "unit": "two", "epsilon": 1, "delta": "1e-10"},
    ]
    room = changed(visits={"unit": "two"}, people={"unit": "two"}, budgets=budgets)
    assert private("SELECT COUNT(*) FROM visits v JOIN people p ON v.uid = p.uid", room).delta == "1e-10"


def test_public_values_are_sorted_and_all_keys_need_some() -> None:
    public = [{"columnName": "city", "values": ["y", "it's", "x"]}]
    room = world(2, 2, publicValues=public)
    one = part("SELECT city, COUNT(*) AS n FROM visits GROUP BY city", room)
    assert one.domain == (("it's", "x", "y"),)
    assert one.thresholded is False
    assert one.figures == (rows(2),)
    assert one.max_groups == 2
    for sql in (
        "SELECT city, day, COUNT(*) AS n FROM visits GROUP BY city, day",
        "SELECT UPPER(city) AS c, COUNT(*) AS n FROM visits GROUP BY UPPER(city)",
    ):
        assert part(sql, room).domain is None


@pytest.mark.parametrize(("most", "public"), [(6, True), (5, False)])
def test_public_cells_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch, most: int, public: bool) -> None:
    columns = {"pref": ["p", "q", "r"], "uid": ["a", "b"]}
    values_ = [{"columnName": name, "values": known} for name, known in columns.items()]
    monkeypatch.setattr(limits, "MAX_NOISED_CELLS", most)
    room = changed(people={"publicValues": values_})
    one = part("SELECT pref, uid, COUNT(*) AS n FROM people GROUP BY pref, uid", room)
    assert one.domain == ((("p", "q", "r"), ("a", "b")) if public else None)


@pytest.mark.parametrize(("upper", "fits"), [(90_071_992_547, True), (90_071_992_548, False)])
def test_figures_with_the_largest_noise_fit_64_bits(upper: int, fits: bool) -> None:
    # 90 071 992 547 * 100 000 is the largest such product below 2^53.
    room = world(1, 1, bounds=[{"columnName": "age", "lower": 0, "upper": upper}])
    if fits:
        assert part("SELECT SUM(age) AS s FROM visits", room).figures[0].most == upper
    else:
        found = refused("SELECT SUM(age) AS s FROM visits", room)
        assert facts(found) == (
            "PRIVACY_BOUNDS_WIDE",
            "SELECT",
            UNIT_RULE,
            "city",
            {"table": "visits", "owner": "city"},
        )


def test_exactly_the_largest_figure_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_USERS_NOISE", 2**17)
    for upper in (2**36, 2**36 + 1):
        room = world(1, 1, bounds=[{"columnName": "age", "lower": 0, "upper": upper}])
        if upper == 2**36:
            assert part("SELECT SUM(age) AS s FROM visits", room).figures[0].most == upper
        else:
            assert refused("SELECT SUM(age) AS s FROM visits", room).code == "PRIVACY_BOUNDS_WIDE"


@pytest.mark.parametrize(
    ("sql", "code", "clause", "where", "params"),
    [
        (
            "SELECT COUNT(*) FROM visits v JOIN people p ON v.city = p.pref",
            "PRIVACY_UNIT_NOT_JOINED",
            "JOIN",
            "visits",
            {"column": "uid"},
        ),
        (
            "SELECT COUNT(*) FROM people p LEFT JOIN visits v ON p.pref = v.city",
            "PRIVACY_UNIT_NOT_JOINED",
            "JOIN",
            "visits",
            {"column": "uid"},
        ),
        (
            "SELECT COUNT(*) FROM people p LEFT JOIN visits v ON p.pref = v.uid",
            "PRIVACY_UNIT_NOT_JOINED",
            "JOIN",
            "visits",
            {"column": "uid"},
        ),
        (
            "SELECT COUNT(*) FROM people p LEFT JOIN visits v ON p.uid = v.city",
            "PRIVACY_UNIT_NOT_JOINED",
            "JOIN",
            "visits",
            {"column": "uid"},
        ),
        (
            "SELECT COUNT(*) FROM places w LEFT JOIN visits v ON w.name = v.city",
            "PRIVACY_LEFT_JOIN",
            "JOIN",
            "visits",
            {},
        ),
        (
            "SELECT COUNT(*) FROM visits UNION ALL SELECT COUNT(*) FROM places",
            "PRIVACY_BRANCHES",
            "UNION",
            "visits",
            {"tables": "places"},
        ),
        (
            "SELECT COUNT(*) FROM places UNION ALL SELECT COUNT(*) FROM people",
            "PRIVACY_BRANCHES",
            "UNION",
            "people",
            {"tables": "places"},
        ),
    ],
)
def test_what_has_no_unit_is_refused_where_it_stands(
    sql: str, code: str, clause: str, where: str, params: dict[str, str]
) -> None:
    owner = {"visits": "city", "people": "registry"}[where]
    rule = f"tables.{where}.rule.differentialPrivacy"
    assert facts(refused(sql)) == (code, clause, rule, owner, {"table": where, "owner": owner, **params})


@pytest.mark.parametrize(
    ("sql", "code", "field", "part_of", "params"),
    [
        ("SELECT SUM(day) FROM visits", "PRIVACY_BOUNDS_MISSING", ".bounds", "SUM(day", {"column": "day"}),
        (
            "SELECT COUNT(*) FROM visits GROUP BY city HAVING SUM(day) > 1",
            "PRIVACY_BOUNDS_MISSING",
            ".bounds",
            "SUM(day) > 1",
            {"column": "day"},
        ),
        (
            "SELECT AVG(w.weight) FROM visits v JOIN places w ON v.city = w.name",
            "PRIVACY_BOUNDS_MISSING",
            ".bounds",
            "AVG(w.weight",
            {"column": "weight"},
        ),
        ("SELECT SUM(DISTINCT spend) FROM visits", "PRIVACY_AGGREGATE", "", "SUM(DISTINCT spend", {}),
    ],
)
def test_what_has_no_bound_is_refused_where_it_stands(
    sql: str, code: str, field: str, part_of: str, params: dict[str, str]
) -> None:
    found = refused(sql)
    params = {"table": "visits", "owner": "city", **params}
    assert facts(found) == (code, "SELECT", UNIT_RULE + field, "city", params)
    assert found.span is not None
    assert sql[found.span.start : found.span.end] == part_of


def test_the_owner_of_the_unbounded_column_is_named() -> None:
    """Visits come first by their owner's name, but it is people's column that lacks a bound."""
    people = {"columns": {"pref": {"type": "int"}}}
    sql = "SELECT SUM({}) AS s FROM visits v JOIN people p ON v.uid = p.uid"
    found = refused(sql.format("v.day"), changed(people=people))
    assert (found.rule, found.owner) == (UNIT_RULE + ".bounds", "city")
    found = refused(sql.format("p.pref"), changed(people=people))
    assert (found.rule, found.owner) == ("tables.people.rule.differentialPrivacy.bounds", "registry")


def test_the_first_owner_by_its_tables_name_is_named_also_behind_a_left_join() -> None:
    found = refused("SELECT SUM(DISTINCT v.spend) AS s FROM visits v LEFT JOIN people p ON v.uid = p.uid")
    assert (found.code, found.rule) == ("PRIVACY_AGGREGATE", "tables.people.rule.differentialPrivacy")


def test_units_of_two_names_are_refused() -> None:
    room = changed(people={"unit": "house"}, budgets=[{"owner": "registry", "unit": "house", "epsilon": 1}])
    sql = "SELECT COUNT(*) FROM visits v JOIN people p ON v.uid = p.uid"
    assert facts(refused(f"{sql} UNION ALL SELECT COUNT(*) FROM visits", room)) == facts(refused(sql, room))
    assert facts(refused(sql, room)) == (
        "PRIVACY_UNITS_DIFFER",
        "FROM",
        "tables.people.rule.differentialPrivacy",
        "registry",
        {"table": "people", "owner": "registry", "units": "house, person"},
    )


def test_a_unit_whose_nulls_cannot_be_seen_is_refused() -> None:
    sealed = {"columns": {"uid": {"protection": "fingerprint"}}}
    sql = "SELECT COUNT(*) AS n FROM visits"
    found = refused(sql, changed(visits=sealed, settings={"preserve_nulls": False}))
    params = {"table": "visits", "owner": "city", "column": "uid"}
    assert facts(found) == ("PRIVACY_UNIT_NULLS", "FROM", UNIT_RULE, "city", params)
    assert part(sql, changed(visits=sealed, settings={"preserve_nulls": True})).unit == UID
    filled = {"columns": {"uid": {"protection": "fingerprint", "nullable": False}}}
    assert part(sql, changed(visits=filled, settings={"preserve_nulls": False})).unit == UID


def test_a_left_join_may_have_more_conditions_than_the_units() -> None:
    sql = "SELECT COUNT(v.age) AS n FROM people p LEFT JOIN visits v ON {}"
    for on in ("p.uid = v.uid AND p.pref = v.city", "p.pref = v.city AND v.uid = p.uid"):
        assert part(sql.format(on)).unit == Ref("people", "uid")
    # A left-joined table without a unit is joined as one likes.
    assert part("SELECT COUNT(*) AS n FROM visits v LEFT JOIN places w ON v.city = w.name").unit == UID


def value(node: exp.Expr, *refs: Ref) -> Value:
    return Value(node, Family.BOOLEAN, tuple(Use(ref) for ref in refs))


def test_equalities_carry_on_whatever_their_order() -> None:
    a, b, c, d, e = (Ref("t", name) for name in "abcde")
    equal = exp.EQ(this=exp.column("x"), expression=exp.column("y"))
    less = exp.LT(this=exp.column("x"), expression=exp.column("y"))
    chain = [value(equal, c, d), value(equal, b, c), value(equal, a, b)]
    assert privacy._class(a, chain) == {a, b, c, d}
    assert privacy._class(a, chain[::-1]) == {a, b, c, d}
    assert privacy._class(a, [value(less, a, e), value(equal, a, b)]) == {a, b}
    assert privacy._class(e, chain) == {e}
    assert privacy._class(a, []) == {a}


def test_a_unit_is_joined_through_other_tables() -> None:
    chained = (
        "SELECT COUNT(*) AS n FROM visits v JOIN places w ON v.uid = w.name JOIN people p ON w.name = p.uid"
    )
    assert part(chained).unit == Ref("people", "uid")
    one_key = (
        "SELECT COUNT(*) AS n FROM visits v JOIN places w ON v.uid = w.name JOIN people p ON w.kind = p.uid"
    )
    assert refused(one_key).code == "PRIVACY_UNIT_NOT_JOINED"


def test_only_columns_and_stars_are_counted() -> None:
    def figures(node: exp.AggFunc) -> Any:
        return privacy._figures(node, frozenset({UID}), 2, {Ref("t", "x"): SPEND}, frozenset())

    x = exp.column("x", "t")
    assert figures(exp.Count(this=exp.Star())) == (rows(2),)
    assert figures(exp.Count(this=exp.Literal.number(1))) is None
    assert figures(exp.Count(this=exp.Distinct(expressions=[exp.Literal.number(1)]))) is None
    assert figures(exp.Max(this=x)) is None
    assert figures(exp.Sum(this=exp.Add(this=x, expression=x))) is None
    assert figures(exp.Sum(this=x)) == (Figure(FigureKind.SUM, Ref("t", "x"), 20_000, SPEND),)


def test_an_aggregate_of_no_column_has_no_bound_to_be_given() -> None:
    rules = Rules(world().agreement, "asker")
    one = value(exp.Max(this=exp.column("age", "visits")))
    for node in (
        exp.Max(this=exp.column("age", "visits")),
        exp.Sum(this=exp.Distinct(expressions=[exp.column("age", "visits")])),
    ):
        assert privacy._unbounded(node, one, rules, "visits").code == "PRIVACY_AGGREGATE"
    with pytest.raises(AssertionError, match=r"differentialPrivacy"):
        privacy._privacy(rules, "places")
    assert privacy._rule(rules, "places") is None
    assert privacy._rule(rules, "visits") is privacy._privacy(rules, "visits")


def test_a_figure_has_no_clamp_unless_it_is_given() -> None:
    assert Figure(FigureKind.ROWS, None, 3).bounds is None
    assert Figure(FigureKind.ROWS, None, 3).decimals == 0
    assert [kind.value for kind in FigureKind] == ["units", "rows", "values", "distinct", "sum"]


@pytest.mark.parametrize(("condition", "joined"), [(exp.EQ, True), (exp.NEQ, False)])
def test_only_an_equality_joins_a_unit(condition: type[exp.Expression], joined: bool) -> None:
    """The check lets no other condition join; this does not rest on it."""
    node = condition(this=exp.column("uid", "visits"), expression=exp.column("uid", "people"))
    on = (value(node, UID, Ref("people", "uid")),)
    block = Block(("people",), (), (Left("visits", on),), (), (), (), ())
    rules = Rules(world().agreement, "asker")
    if joined:
        assert privacy._unit(block, ["people", "visits"], rules)[0] == Ref("people", "uid")
    else:
        with pytest.raises(Refusal) as caught:
            privacy._unit(block, ["people", "visits"], rules)
        assert caught.value.code == "PRIVACY_UNIT_NOT_JOINED"
