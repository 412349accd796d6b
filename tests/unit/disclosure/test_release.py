# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from hitoku.disclosure.answer import Answer
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.disclosure.plan import DisclosurePlan, default_receivers, plan
from hitoku.disclosure.release import release
from hitoku.errors import DisclosureError, PeerError, Refusal
from hitoku.ports import SystemClock
from hitoku.questions.form import Block, Combined, Family, Form, Item, Value
from hitoku.questions.question import OutputColumn, OutputKind, UnitConstraint
from hitoku.room.agreement import Release

LEAKAGE = Leakage((Learned("host", "EQUALITY_PATTERN", "which rows share a fingerprint", None),))
SQL = "SELECT g, n FROM t GROUP BY g"


def question(sql: str = SQL, names: tuple[str, ...] = ("g", "n"), minimums: tuple[int, ...] = (3,)) -> Any:
    """What release and plan read of a Question."""
    constraints = tuple(
        UnitConstraint("t", f"u{i}", "registry", m, f"COUNT(DISTINCT u{i})", f"_u{i}")
        for i, m in enumerate(minimums)
    )
    return SimpleNamespace(
        sql=sql,
        hash="sha256:" + hashlib.sha256(repr((sql, names, minimums)).encode()).hexdigest(),
        room_hash="sha256:" + "0" * 64,
        asker="airport",
        ordered="ORDER" in sql,
        outputs=tuple(OutputColumn(n, OutputKind.DIMENSION, ()) for n in names),
        constraints=constraints,
        privacy=None,
        form=Form(()),
        sources=(),
    )


def make_plan(asked: Any, place: Any) -> DisclosurePlan:
    return plan(asked, place.room, ["airport"])


def go(asked: Any, place: Any, columns: dict[str, Any], **changed: Any) -> Answer:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    cells = Cells(changed.pop("of", asked.hash), table, changed.pop("applied", frozenset()))
    return release(
        cells,
        changed.pop("plan", None) or make_plan(asked, place),
        asked,
        leakage=LEAKAGE,
        protection="tokens",
        run="ab" * 16,
        clock=SystemClock(),
    )


@pytest.mark.parametrize(
    ("rest", "some"), [(3, True), (100, True), (2, None), (0, None), (None, None), (True, None), (3.0, None)]
)
def test_that_groups_were_withheld_is_told_where_together_they_are_no_small_group(place, rest, some):
    answer = go(question(), place, {"g": ["a"], "n": [3], "_u0": [3], "_u0_rest": [rest]})
    assert answer.withheld.some is some
    assert answer.withheld.words().startswith(
        "Some groups are withheld" if some else "Groups that do not rest"
    )


def test_where_no_group_passes_what_is_known_of_the_rest_still_comes_out(place):
    one = pa.table(
        {
            "g": pa.array([None], pa.string()),
            "n": pa.array([None], pa.int64()),
            "_u0": pa.array([None], pa.int64()),
            "_u0_rest": pa.array([7], pa.int64()),
        }
    )
    answer = go(question(), place, one)
    assert answer.num_rows == 0
    assert answer.withheld.some is True


def test_every_threshold_decides_what_is_told(place):
    asked = question(minimums=(3, 5))
    for first, second, some in ((3, 5, True), (3, 4, None), (2, 5, None)):
        columns = {"g": ["a"], "n": [3], "_u0": [9], "_u1": [9], "_u0_rest": [first], "_u1_rest": [second]}
        assert go(asked, place, columns).withheld.some is some


def test_small_groups_are_withheld_and_not_told_of(place):
    answer = go(question(), place, {"g": ["c", "a", "b", "d"], "n": [1, 2, 3, 4], "_u0": [2, 3, 50, None]})
    assert answer.fetchall() == [("a", 2), ("b", 3)]
    assert answer.column_names == ["g", "n"]
    assert answer.to_dict()["withheld"] == {
        "some": None,
        "reason": "Groups that do not rest on at least 3 distinct t.u0 (registry's rule) are not shown, "
        "and not told of.",
        "thresholds": [{"table": "t", "column": "u0", "owner": "registry", "minimum": 3}],
        "summary": [],
        "further": False,
    }


def test_an_answer_with_nothing_withheld_looks_the_same(place):
    whole = go(question(), place, {"g": ["a"], "n": [1], "_u0": [3]})
    part = go(question(), place, {"g": ["a", "b"], "n": [1, 1], "_u0": [3, 1]})
    assert whole.withheld == part.withheld
    none = go(question(minimums=()), place, {"g": ["a"], "n": [1]})
    assert none.withheld.some is False
    assert none.withheld.words() == "Nothing can have been withheld: no rule demands it."


def test_all_thresholds_hold(place):
    asked = question(minimums=(3, 10))
    columns = {"g": ["a", "b", "c"], "n": [1, 2, 3], "_u1": [10, 10, 9], "_u0": [3, 2, 100]}
    assert go(asked, place, columns).fetchall() == [("a", 1)]


@given(
    st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9), st.none() | st.integers(0, 6)), max_size=20),
    st.randoms(),
)
def test_the_order_of_cells_does_not_show(rows, rng):
    class Place:
        room = ROOM

    shuffled = list(rows)
    rng.shuffle(shuffled)

    def table(rows):
        columns = list(zip(*rows, strict=True)) or [(), (), ()]
        types = [pa.string(), pa.int64(), pa.int64()]
        return pa.table(
            {n: pa.array(c, t) for n, c, t in zip(["g", "n", "_u0"], columns, types, strict=True)}
        )

    one, other = go(question(), Place, table(rows)), go(question(), Place, table(shuffled))
    assert one.fetchall() == other.fetchall()
    assert sorted(one.fetchall()) == sorted((g, n) for g, n, u in rows if u is not None and u >= 3)


def _room():
    from hitoku.room.agreement import Ability

    member = SimpleNamespace(name="airport")
    agreement = SimpleNamespace(
        able=lambda ability: (member,) if ability is Ability.RECEIVE else (), release=Release()
    )
    return SimpleNamespace(agreement=agreement)


ROOM = _room()


def test_a_question_that_orders_itself_keeps_its_order(place):
    asked = question("SELECT g, n FROM t GROUP BY g ORDER BY n DESC")
    columns = {"g": ["a", "b", "c"], "n": [3, 2, 1], "_u0": [3, 3, 3]}
    assert go(asked, place, columns).fetchall() == [("a", 3), ("b", 2), ("c", 1)]


@pytest.mark.parametrize(
    "columns",
    [
        {"g": ["a"], "n": [1]},
        {"g": ["a"], "n": [1], "_u1": [3]},
        {"g": ["a"], "n": [1], "_u0": [3], "extra": [1]},
        {"n": [1], "g": ["a"], "_u0": [3]},
        {"g": ["a"], "_u0": [3]},
        {"g": ["a"], "n": [1], "_u0": ["3"]},
        {"g": ["a"], "n": [1], "_u0": [3.0]},
        {"g": [["a"]], "n": [1], "_u0": [3]},
    ],
)
def test_cells_that_are_not_of_the_plans_form_are_not_released(place, columns):
    with pytest.raises(DisclosureError):
        go(question(), place, columns)


def test_cells_of_another_question_are_not_released(place):
    with pytest.raises(DisclosureError, match="another question"):
        go(question(), place, {"g": ["a"], "n": [1], "_u0": [3]}, of="sha256:" + "1" * 64)
    other = make_plan(question("SELECT 1 AS g, 2 AS n"), place)
    with pytest.raises(DisclosureError, match="another question"):
        go(question(), place, {"g": ["a"], "n": [1], "_u0": [3]}, plan=other)


def test_something_applied_that_was_not_planned_is_not_released(place):
    with pytest.raises(DisclosureError, match="does not ask for"):
        go(question(), place, {"g": ["a"], "n": [1], "_u0": [3]}, applied=frozenset({"noise"}))


def test_a_threshold_applied_before_is_taken_and_said(place):
    answer = go(question(), place, {"g": ["a"], "n": [1]}, applied=frozenset({"threshold"}))
    assert answer.withheld.some is None
    assert "are not shown" in answer.withheld.words()
    with pytest.raises(DisclosureError):
        go(question(), place, {"g": ["a"], "n": [1], "_u0": [3]}, applied=frozenset({"threshold"}))


def test_no_byte_of_a_withheld_row_stays_in_the_answer(place):
    hidden = "PLANTED-HIDDEN-VALUE"
    groups = pa.array(["shown", hidden, "seen"]).dictionary_encode()
    views = pa.array(["a long text that is shown", hidden + " and more", "another"], pa.string_view())
    # Planted behind the NULL of a released row, and in the withheld one.
    planted = b"\xde\xc0\x5e\0\0\0\0\0"
    data = pa.py_buffer((7).to_bytes(8, "little") + planted + planted)
    numbers = pa.Array.from_buffers(pa.int64(), 3, [pa.py_buffer(b"\x03"), data])
    asked = question(names=("g", "v", "n"))
    table = pa.table({"g": groups, "v": views, "n": numbers, "_u0": [3, 2, 3]})
    answer = go(asked, place, table)
    assert answer.num_rows == 2
    message = json.dumps(answer.to_message())
    import base64

    wire = base64.b64decode(answer.to_message()["arrow"])
    everything = wire + b"".join(
        b.to_pybytes() for c in answer.table.columns for k in c.chunks for b in k.buffers() if b is not None
    )
    assert hidden.encode() not in everything
    assert b"\xde\xc0\x5e" not in everything
    assert hidden not in message
    assert answer.table.schema.metadata is None


def test_types_that_cannot_be_sorted_are_refused_not_shown(place):
    odd = pa.table({"g": pa.array([None, None], pa.month_day_nano_interval()), "n": [1, 2], "_u0": [3, 3]})
    with pytest.raises(DisclosureError):
        go(question(), place, odd)


def test_an_answer_travels(place):
    answer = go(question(), place, {"g": ["a", None], "n": [1, 2], "_u0": [3, 3]})
    again = Answer.from_message(json.loads(json.dumps(answer.to_message())), "host")
    assert again.fetchall() == answer.fetchall() == [("a", 1), (None, 2)]
    assert again.to_dict() == answer.to_dict()
    assert again.leakage == LEAKAGE


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("arrow"),
        lambda m: m.update(arrow="!!"),
        lambda m: m.update(arrow=""),
        lambda m: m.update(arrow=m["arrow"][: len(m["arrow"]) // 8 * 4]),
        lambda m: m.update(sql=3),
        lambda m: m.update(withheld=None),
        lambda m: m["withheld"].update(some="no"),
        lambda m: m.update(leakage=[1]),
        lambda m: m.update(receivers=None),
        lambda m: m.update(budget=3),
        lambda m: m.update(surprise=1),
        lambda m: m.pop("run"),
    ],
)
def test_malformed_answers_are_refused(place, change):
    message = go(question(), place, {"g": ["a"], "n": [1], "_u0": [3]}).to_message()
    change(message)
    with pytest.raises(PeerError, match="'host' sent an answer that cannot be read"):
        Answer.from_message(message, "host")


def test_every_type_becomes_json(place):
    values: dict[str, Any] = {
        "a": pa.array([dt.date(2013, 1, 2)]),
        "b": pa.array([dt.datetime(2013, 1, 2, 3, 4, 5)]),
        "c": pa.array([Decimal("1.50")]),
        "d": pa.array([float("nan")]),
        "e": pa.array([float("-inf")]),
        "f": pa.array([b"\x00\xff"]),
        "g": pa.array([None], pa.float64()),
        "h": pa.array([True]),
        "i": pa.array([2**62]),
        "j": pa.array([dt.timedelta(seconds=5)]),
        "k": pa.array([1.5]),
        "l": pa.array([float("inf")]),
    }
    answer = go(question(names=tuple(values), minimums=()), place, pa.table(values))
    data = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert data["rows"] == [
        [
            "2013-01-02",
            "2013-01-02T03:04:05",
            "1.50",
            "NaN",
            "-Infinity",
            "AP8=",
            None,
            True,
            2**62,
            "0:00:05",
            1.5,
            "Infinity",
        ]
    ]
    assert data["columns"][0] == {"name": "a", "type": "date32[day]"}


def test_arrow_and_pandas_take_it(place):
    answer = go(question(), place, {"g": ["a"], "n": [1], "_u0": [3]})
    assert pa.table(answer).equals(answer.to_arrow())
    assert answer.to_pandas().to_dict("list") == {"g": ["a"], "n": [1]}
    assert len(answer) == 1
    assert "Answer(1 rows" in repr(answer)


def test_hostile_names_and_values_are_text(place):
    evil = "<script>alert('x')</script>"
    asked = question(names=("<b onmouseover=x>", "n"), minimums=())
    answer = go(asked, place, {"<b onmouseover=x>": [evil], "n": ["\x1b[2J[red]\u202eevil"]})
    page = answer._repr_html_()
    assert "<script" not in page
    assert "<b onmouseover" not in page
    assert "\x1b" not in page
    import io

    from rich.console import Console

    out = io.StringIO()
    Console(file=out, force_terminal=True, width=200).print(answer)
    assert "\x1b[2J" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert "[red]" in out.getvalue()


def test_large_answers_are_shown_in_part(place):
    asked = question(names=("g",), minimums=())
    answer = go(asked, place, {"g": list(range(1_000))})
    assert "the first 200 are shown" in answer._repr_html_()
    import io

    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=200).print(answer)
    assert "1000 rows (the first 50 are shown)" in out.getvalue()
    assert "x" * 200 + "…" in go(asked, place, {"g": ["x" * 5_000]})._repr_html_()


def test_plans_bind_what_they_say(place):
    asked = question()
    one = make_plan(asked, place)
    assert one.hash == make_plan(asked, place).hash
    assert one.hash != plan(asked, place.room, ["airport", "registry"]).hash
    assert one.hash != make_plan(question(minimums=(4,)), place).hash
    assert one.sort_by == ("g", "n")
    assert make_plan(question(SQL + " ORDER BY n"), place).sort_by == ()


def test_receivers_must_be_able_to(place):
    assert default_receivers(place.room, "airport") == ("airport",)
    assert default_receivers(place.room, "host") == ("airport", "registry")
    with pytest.raises(Refusal) as caught:
        plan(question(), place.room, ["host"])
    assert caught.value.code == "RECEIVER_NOT_ALLOWED"
    with pytest.raises(Refusal) as caught:
        plan(question(), place.room, [])
    assert caught.value.code == "NO_RECEIVER"


# --- totals of what is withheld, rounding, suppression ---


def counted(names: tuple[str, ...] = ("g", "n", "s")) -> Any:
    """A question of one SELECT with a key, a COUNT and a SUM."""
    asked = question(names=names)
    nodes = [exp.column("g"), exp.Count(this=exp.Star()), exp.Sum(this=exp.column("x"))]
    items = tuple(Item(name, Value(node, Family.NUMBER)) for name, node in zip(names, nodes, strict=True))
    asked.form = Form((Block(("t",), (), (), (), (), items, ()),))
    return asked


def totals(asked: Any, place: Any, rest: int = 9, **changed: Any) -> Answer:
    columns = {"g": ["a"], "n": [5], "s": [7], "_u0": [3], "_u0_rest": [rest]}
    columns |= changed.pop("totals", {"_hitoku_total_1": [4], "_hitoku_total_2": [2.5]})
    planned = replace(make_plan(asked, place), summary=changed.pop("summary", True))
    return go(asked, place, columns, plan=planned)


def test_the_totals_of_all_withheld_groups_are_told(place):
    answer = totals(counted(), place)
    assert answer.withheld.summary == (("n", 4), ("s", 2.5))
    assert answer.withheld.words().endswith("Together they have: n 4; s 2.5.")
    assert answer.to_dict()["withheld"]["summary"] == [
        {"column": "n", "total": 4},
        {"column": "s", "total": 2.5},
    ]
    again = Answer.from_message(json.loads(json.dumps(answer.to_message())), "host")
    assert again.withheld == answer.withheld
    assert again.digest == answer.digest
    assert "Together they have" in answer._repr_html_()
    assert answer.column_names == ["g", "n", "s"]


def test_but_only_where_the_groups_together_are_large_enough_and_the_room_agrees(place):
    assert totals(counted(), place, rest=2).withheld.summary == ()
    assert totals(counted(), place, totals={}).withheld.summary == ()
    with pytest.raises(DisclosureError):
        totals(counted(), place, summary=False)
    with pytest.raises(DisclosureError):
        totals(counted(), place, totals={"_hitoku_total_0": [4]})


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "4", True])
def test_totals_that_are_no_numbers_are_left_out(place, value):
    answer = totals(counted(), place, totals={"_hitoku_total_1": [value], "_hitoku_total_2": [1.0]})
    assert answer.withheld.summary == (("s", 1.0),)


@pytest.mark.parametrize(
    "summary",
    [
        None,
        "n",
        [1],
        [{"column": "n"}],
        [{"column": "n", "total": "4"}],
        [{"column": "n", "total": True}],
        [{"column": "n", "total": 2**127}],
        [{"column": "n", "total": None}],
        [{"column": 3, "total": 1}],
        [{"column": "n", "total": 1}] * 1_601,
    ],
)
def test_malformed_totals_are_refused(place, summary):
    message = totals(counted(), place).to_message()
    message["withheld"]["summary"] = summary
    with pytest.raises(PeerError):
        Answer.from_message(message, "host")


def test_rounding_must_have_been_done_where_the_cells_are(place):
    asked = counted()
    columns = {"g": ["a"], "n": [5], "s": [7], "_u0": [3]}
    planned = replace(make_plan(asked, place), round_counts=5)
    assert go(asked, place, columns, plan=planned, applied=frozenset({"rounding"})).num_rows == 1
    with pytest.raises(DisclosureError, match="lack rounding"):
        go(asked, place, columns, plan=planned)
    with pytest.raises(DisclosureError, match="does not ask for"):
        go(asked, place, columns, applied=frozenset({"rounding"}))


def test_suppression_must_have_been_done_where_totals_stand_beside_parts(place):
    asked = counted()
    columns = {"g": ["a"], "n": [5], "s": [7], "_u0": [3]}
    with pytest.raises(DisclosureError, match="does not ask for"):
        go(asked, place, columns, applied=frozenset({"suppression"}))
    (block,) = asked.form.blocks
    parts = replace(block, groups=(Value(exp.column("g"), Family.STRING),))
    asked.form = Form((block, parts), Combined("UNION ALL", (0, 1)))
    answer = go(asked, place, {**columns, "_u0_rest": [9]}, applied=frozenset({"suppression"}))
    assert answer.num_rows == 1
    assert answer.withheld.further is True
    assert answer.withheld.words().endswith(", or would tell of one that does not.")
    again = Answer.from_message(json.loads(json.dumps(answer.to_message())), "host")
    assert again.withheld == answer.withheld
    message = answer.to_message()
    message["withheld"]["further"] = None
    with pytest.raises(PeerError):
        Answer.from_message(message, "host")
    with pytest.raises(DisclosureError, match="lack suppression"):
        go(asked, place, columns)


def test_a_plan_takes_the_rooms_way_of_release(place):
    changed = place.room.model_copy(
        update={
            "agreement": place.agreement.model_copy(update={"release": Release(round_counts=5, summary=True)})
        }
    )
    one = plan(question(), changed, ["airport"])
    assert (one.round_counts, one.summary) == (5, True)
    assert one.hash != make_plan(question(), place).hash
    # Without thresholds nothing is withheld, and what a list rule shows is not counted.
    none = plan(question(minimums=()), changed, ["airport"])
    assert (none.round_counts, none.summary) == (1, False)
