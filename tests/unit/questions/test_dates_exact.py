# SPDX-License-Identifier: Apache-2.0
"""Functions of dates by their nodes: what is rebuilt, which parts are told, what is told of a refusal."""

from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from hitoku.errors import Refusal
from hitoku.questions import dates
from hitoku.questions.arguments import Arguments
from hitoku.questions.form import Family, Ref, Use, Value
from hitoku.room.rules import ScalarFunction

FAMILIES = {"day": Family.DATE, "moment": Family.TIMESTAMP, "text": Family.STRING, "n": Family.NUMBER}


def build(node: exp.Expr) -> Value:
    if isinstance(node, exp.Column):
        return Value(node, FAMILIES[node.name], (Use(Ref("t", node.name)),))
    return Value(node, Family.NULL if isinstance(node, exp.Null) else Family.STRING)


def given(sql: str) -> Arguments:
    return Arguments(parse_one(sql, dialect="duckdb"), "HAVING", build)


def call(name: str, *parts: str) -> Arguments:
    arguments = [parse_one(part, dialect="duckdb") for part in parts]
    return Arguments(exp.Anonymous(this=name, expressions=arguments), "HAVING", build)


def told(built: tuple[ScalarFunction, Value]) -> tuple[str, str, str, list[str]]:
    function, value = built
    uses = [use.ref.column for use in value.uses]
    return function.value, value.node.sql(dialect="duckdb"), value.family.value, uses


def refusal(caught: pytest.ExceptionInfo[Refusal]) -> tuple[str, str | None, str]:
    return caught.value.code, caught.value.clause, caught.value.params["what"]


@pytest.mark.parametrize(
    ("part", "count", "step"),
    [
        *(
            (unit, "1", f"INTERVAL '1' {unit}")
            for unit in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR")
        ),
        *(("minute", "-1", "INTERVAL '-1' MINUTE"), ("Seconds", "007", "INTERVAL '7' SECOND")),
        ("days", "999999", "INTERVAL '999999' DAY"),
        ("days", "-999999", "INTERVAL '-999999' DAY"),
    ],
)
def test_dateadd(part: str, count: str, step: str) -> None:
    made = dates.moved(call("DATEADD", f"'{part}'", count, "t.day"))
    assert told(made) == ("DATEADD", f"DATE_ADD(t.day, {step})", "timestamp", ["day"])


def test_dateadd_of_moments_and_of_nothing() -> None:
    assert told(dates.moved(call("DATEADD", "'day'", "1", "t.moment")))[3] == ["moment"]
    assert told(dates.moved(call("DATEADD", "'day'", "1", "NULL")))[2] == "timestamp"


@pytest.mark.parametrize(
    "parts",
    [
        ("'day'", "1"),
        ("'day'", "1", "t.day", "2"),
        ("day", "1", "t.day"),
        ("'fortnight'", "1", "t.day"),
        ("'dayss'", "1", "t.day"),
        ("'day'", "1.5", "t.day"),
        ("'day'", "1000000", "t.day"),
        ("'day'", "'1'", "t.day"),
        ("'day'", "-(1)", "t.day"),
        ("'day'", "- -1", "t.day"),
        ("'day'", "t.n", "t.day"),
    ],
)
def test_dateadd_of_anything_else(parts: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        dates.moved(call("DATEADD", *parts))
    assert refusal(caught) == ("ARGUMENT_LITERAL", "HAVING", "DATEADD()")


def test_dateadd_of_no_date() -> None:
    for name in ("text", "n"):
        with pytest.raises(Refusal) as caught:
            dates.moved(call("DATEADD", "'day'", "1", f"t.{name}"))
        assert refusal(caught) == ("ARGUMENT_TYPE", "HAVING", "DATEADD()")
        assert caught.value.params["family"] == FAMILIES[name].value


def test_date_add_by_an_interval() -> None:
    made = dates.moved_by_interval(given("DATE_ADD(t.day, INTERVAL '3' MONTH)"))
    assert told(made) == ("DATEADD", "DATE_ADD(t.day, INTERVAL '3' MONTH)", "timestamp", ["day"])
    assert told(dates.moved_by_interval(given("DATE_ADD(t.moment, INTERVAL '-3' DAYS)")))[1] == (
        "DATE_ADD(t.moment, INTERVAL '-3' DAY)"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "DATE_ADD(t.day, INTERVAL (t.n) DAY)",
        "DATE_ADD(t.day, INTERVAL '3' CENTURY)",
        "DATE_ADD(t.day, INTERVAL 'x' DAY)",
    ],
)
def test_date_add_of_anything_else(sql: str) -> None:
    with pytest.raises(Refusal) as caught:
        dates.moved_by_interval(given(sql))
    assert refusal(caught) == ("ARGUMENT_LITERAL", "HAVING", "DATEADD()")


def test_parts_that_nobody_checks_are_refused() -> None:
    node = exp.DateAdd(
        this=parse_one("t.day"),
        expression=exp.Interval(this=exp.Literal.string("3"), unit=exp.Var(this="DAY")),
        unit=exp.Var(this="MONTH"),
    )
    with pytest.raises(Refusal) as caught:
        dates.moved_by_interval(Arguments(node, "HAVING", build))
    assert refusal(caught) == ("CLAUSE_NOT_ALLOWED", "HAVING", "UNIT")
    shown = exp.TimeToStr(
        this=parse_one("t.day"), format=exp.Literal.string("%Y"), culture=exp.Literal.string("x")
    )
    with pytest.raises(Refusal) as caught:
        dates.shown(Arguments(shown, "HAVING", build))
    assert refusal(caught) == ("CLAUSE_NOT_ALLOWED", "HAVING", "CULTURE")


@pytest.mark.parametrize(
    ("name", "form", "read"),
    [
        ("YYYY", "%Y", False),
        ("YYYY-MM", "%Y-%m", False),
        ("YYYYMM", "%Y%m", False),
        ("YYYY-MM-DD", "%Y-%m-%d", True),
        ("YYYYMMDD", "%Y%m%d", True),
        ("DD.MM.YYYY", "%d.%m.%Y", True),
        ("DD/MM/YYYY", "%d/%m/%Y", True),
        ("MM/DD/YYYY", "%m/%d/%Y", True),
        ("MM", "%m", False),
        ("DD", "%d", False),
        ("HH24", "%H", False),
        ("HH24:MI", "%H:%M", False),
        ("YYYY-MM-DD HH24:MI:SS", "%Y-%m-%d %H:%M:%S", False),
    ],
)
def test_formats(name: str, form: str, read: bool) -> None:
    for written in (name, name.lower(), form):
        node = exp.TimeToStr(this=parse_one("t.day"), format=exp.Literal.string(written))
        made = dates.shown(Arguments(node, "HAVING", build))
        assert told(made) == ("TO_CHAR", f"STRFTIME(t.day, '{form}')", "string", ["day"])
        asked = call("TO_DATE", "t.text", f"'{written}'")
        if read:
            expected = ("TO_DATE", f"TRY_CAST(TRY_STRPTIME(t.text, '{form}') AS DATE)", "date", ["text"])
            assert told(dates.read_named(asked)) == expected
            assert told(dates.read(given("t.x"), asked.node)) == expected
        else:
            with pytest.raises(Refusal) as caught:
                dates.read_named(asked)
            assert refusal(caught) == ("FORMAT", "HAVING", "TO_DATE()")
            assert (
                caught.value.params["formats"] == "DD.MM.YYYY, DD/MM/YYYY, MM/DD/YYYY, YYYY-MM-DD, YYYYMMDD"
            )


@pytest.mark.parametrize("parts", [("t.text",), ("t.text", "'YYYYMMDD'", "1"), ()])
def test_to_date_has_two_arguments(parts: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        dates.read_named(call("TO_DATE", *parts))
    assert refusal(caught) == ("ARGUMENT_LITERAL", "HAVING", "TO_DATE()")


def test_to_date_reads_text_and_to_char_shows_dates() -> None:
    with pytest.raises(Refusal) as caught:
        dates.read_named(call("TO_DATE", "t.day", "'YYYYMMDD'"))
    assert refusal(caught) == ("ARGUMENT_TYPE", "HAVING", "TO_DATE()")
    assert told(dates.read_named(call("TO_DATE", "NULL", "'YYYYMMDD'")))[2] == "date"
    node = exp.TimeToStr(this=parse_one("t.text"), format=exp.Literal.string("%Y"))
    with pytest.raises(Refusal) as caught:
        dates.shown(Arguments(node, "HAVING", build))
    assert caught.value.code == "ARGUMENT_TYPE"


@pytest.mark.parametrize("form", [exp.Literal.number("1"), exp.Column(this=exp.Identifier(this="x")), None])
def test_a_format_is_a_literal(form: exp.Expr | None) -> None:
    node = exp.TimeToStr(this=parse_one("t.moment"), format=form)
    with pytest.raises(Refusal) as caught:
        dates.shown(Arguments(node, "HAVING", build))
    assert refusal(caught) == ("FORMAT", "HAVING", "TO_CHAR()")


def test_what_to_date_is_written_as() -> None:
    assert dates.is_read(call("TRY_STRPTIME").node)
    assert dates.is_read(call("try_strptime").node)
    assert not dates.is_read(call("STRPTIME").node)
    assert not dates.is_read(parse_one("t.day"))


def test_functions_that_are_written_otherwise() -> None:
    with pytest.raises(Refusal) as caught:
        dates.told_otherwise("TO_NUMBER()", "CAST")(given("t.day"))
    assert refusal(caught) == ("FUNCTION_OTHERWISE", "HAVING", "TO_NUMBER()")
    assert caught.value.params["instead"] == "CAST"
