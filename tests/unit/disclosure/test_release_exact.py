# SPDX-License-Identifier: Apache-2.0
"""Releases to the letter: which cells are taken, which are not and why, and the order of the rows."""

from __future__ import annotations

import secrets
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import exp

from hitoku.disclosure import release as module
from hitoku.disclosure.cells import Cells
from hitoku.disclosure.noise import Draws, Noise, NoisedPart
from hitoku.disclosure.plan import plan
from hitoku.disclosure.release import release
from hitoku.errors import DisclosureError, Refusal
from hitoku.questions.form import Block, Combined, Family, Form, Item, Ref, Value
from hitoku.questions.privacy import Figure, FigureKind, Part, Privacy
from hitoku.room.agreement import Release

from .test_release import LEAKAGE, go, make_plan, question

FORM = r"^the cells do not have the plan's hidden columns: nothing is released$"
COLUMNS = r"^the cells do not have the question's columns: nothing is released$"
ONE = {"g": ["a"], "n": [1], "_u0": [3]}


def test_all_facts_of_an_answer(place: Any, clock: Any) -> None:
    asked = question()
    planned = replace(make_plan(asked, place), receivers=("airport", "registry"))
    answer = release(
        Cells(asked.hash, pa.table(ONE)),
        planned,
        asked,
        leakage=LEAKAGE,
        protection="p",
        run="r",
        clock=clock,
    )
    facts = answer.to_dict()
    assert facts.pop("withheld")["some"] is None
    salt = facts.pop("salt")
    assert len(salt) == 64
    assert int(salt, 16)
    assert facts == {
        "sql": asked.sql,
        "question": asked.hash,
        "room": asked.room_hash,
        "run": "r",
        "asker": "airport",
        "receivers": ["airport", "registry"],
        "protection": "p",
        "leakage": LEAKAGE.to_dict(),
        "released_at": "2026-11-21T12:00:00Z",
        "budget": None,
        "ledger": None,
        "noise": None,
        "bands": None,
        "columns": [{"name": "g", "type": "string"}, {"name": "n", "type": "int64"}],
        "rows": [["a", 1]],
    }
    assert answer.withheld.thresholds == (("t", "u0", "registry", 3),)
    assert go(asked, place, ONE).salt != go(asked, place, ONE).salt


def test_every_salt_has_256_bits(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{size} bytes")
    assert go(question(), place, ONE).salt == "32 bytes"


@pytest.mark.parametrize("which", ["cells", "plan"])
def test_cells_plan_and_question_are_of_one_hash(place: Any, which: str) -> None:
    asked = question()
    changed: dict[str, Any] = (
        {"of": "x"} if which == "cells" else {"plan": replace(make_plan(asked, place), question="x")}
    )
    with pytest.raises(DisclosureError, match=r"^the cells belong to another question than the plan"):
        go(asked, place, ONE, **changed)
    both = replace(make_plan(asked, place), question="x")
    with pytest.raises(DisclosureError, match=r"^the cells belong to another question than the plan"):
        go(asked, place, ONE, of="x", plan=both)


@pytest.mark.parametrize("name", ["noise", "thresholds", ""])
def test_only_what_is_known_may_have_been_applied(place: Any, name: str) -> None:
    with pytest.raises(
        DisclosureError, match=r"^the cells carry something applied that the plan does not ask for$"
    ):
        go(question(), place, {"g": ["a"], "n": [1]}, applied=frozenset({"threshold", name}))


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        ([], True),
        (["_u0_rest"], True),
        (["_u0_rest", "_hitoku_total_1", "_hitoku_total_2"], True),
        (["_hitoku_total_2", "_u0_rest", "_hitoku_total_1"], True),
        (["_hitoku_total_1", "_hitoku_total_2"], False),
        (["_u0_rest", "_hitoku_total_1"], False),
        (["_u0_rest", "_u0_rest"], False),
        (["_u1_rest"], False),
        (["_u0_rest", "_hitoku_total_1", "_hitoku_total_2", "more"], False),
    ],
)
def test_which_hidden_columns_cells_may_have(place: Any, more: list[str], fits: bool) -> None:
    asked = question(names=("g", "n", "s"))
    nodes = [exp.column("g"), exp.Count(this=exp.Star()), exp.Sum(this=exp.column("x"))]
    items = tuple(Item(name, Value(node, Family.NUMBER)) for name, node in zip("gns", nodes, strict=True))
    asked.form = Form((Block(("t",), (), (), (), (), items, ()),))
    names = ["g", "n", "s", "_u0", *more]
    table = pa.table([pa.array(["a"]), *[pa.array([9])] * (len(names) - 1)], names=names)
    planned = replace(make_plan(asked, place), summary=True)
    if fits:
        assert go(asked, place, table, plan=planned).column_names == ["g", "n", "s"]
    else:
        with pytest.raises(DisclosureError, match=FORM):
            go(asked, place, table, plan=planned)


@pytest.mark.parametrize("name", ["_u0", "_u0_rest"])
def test_an_output_is_no_hidden_column(place: Any, name: str) -> None:
    asked = question(names=("g", name))
    with pytest.raises(DisclosureError, match=FORM):
        go(asked, place, pa.table([pa.array([1])] * 3, names=["g", name, "_u0"]))


@pytest.mark.parametrize("columns", [["n", "g", "_u0"], ["g", "_u0"], ["_u0", "g", "n"]])
def test_outputs_stand_first_and_in_their_order(place: Any, columns: list[str]) -> None:
    with pytest.raises(DisclosureError, match=COLUMNS):
        go(question(), place, {name: [3] for name in columns})


def test_cells_are_a_table(place: Any) -> None:
    asked = question()
    fake: Any = SimpleNamespace(column_names=["g", "n", "_u0"])
    for table in (fake, None, [1]):
        with pytest.raises(DisclosureError, match=COLUMNS):
            release(
                Cells(asked.hash, table),
                make_plan(asked, place),
                asked,
                leakage=LEAKAGE,
                protection="p",
                run="r",
                clock=SimpleNamespace(now=place_now),
            )


def place_now() -> Any:
    from datetime import UTC, datetime

    return datetime(2026, 11, 21, tzinfo=UTC)


def test_a_threshold_that_was_applied_leaves_all_rows(place: Any) -> None:
    table = {"g": ["b", "a"], "n": [1, 2]}
    answer = go(question(), place, table, applied=frozenset({"threshold"}))
    assert answer.fetchall() == [("a", 2), ("b", 1)]
    assert answer.withheld.some is None
    with pytest.raises(DisclosureError, match=FORM):
        go(question(), place, {**table, "_u0_rest": [1, 2]}, applied=frozenset({"threshold"}))


@pytest.mark.parametrize(("kept", "rows"), [(3, 1), (2, 0), (4, 1)])
def test_a_row_needs_exactly_the_minimum(place: Any, kept: int, rows: int) -> None:
    assert go(question(), place, {"g": ["a"], "n": [1], "_u0": [kept]}).num_rows == rows


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8()])
def test_counts_are_whole_numbers_of_any_width(place: Any, kind: Any) -> None:
    table = pa.table({"g": ["a", "b"], "n": [1, 2], "_u0": pa.array([3, 2], kind)})
    assert go(question(), place, table).fetchall() == [("a", 1)]


@pytest.mark.parametrize("units", [[3.0], ["3"], [True], [None]])
def test_what_is_no_count_counts_for_nothing(place: Any, units: list[Any]) -> None:
    with pytest.raises(DisclosureError, match=r"^a hidden column is no count: nothing is released$"):
        go(question(), place, {"g": ["a"], "n": [1], "_u0": units})


def test_counts_that_no_64_bits_hold_release_nothing(place: Any) -> None:
    table = pa.table({"g": ["a"], "n": [1], "_u0": pa.array([2**64 - 1], pa.uint64())})
    with pytest.raises(DisclosureError, match=r"cannot be put into the plan's form") as caught:
        go(question(), place, table)
    assert caught.value.__suppress_context__


def test_rows_are_sorted_by_all_outputs_with_nulls_last(place: Any) -> None:
    table = {"g": ["b", None, "a", "a", "a"], "n": [1, 1, 2, None, 1], "_u0": [3] * 5}
    assert go(question(), place, table).fetchall() == [("a", 1), ("a", 2), ("a", None), ("b", 1), (None, 1)]


def test_rows_are_sorted_by_the_plan_only(place: Any) -> None:
    asked = question()
    table = {"g": ["a", "b", "c"], "n": [2, 1, 3], "_u0": [3, 3, 3]}
    planned = replace(make_plan(asked, place), sort_by=("n",))
    assert go(asked, place, table, plan=planned).fetchall() == [("b", 1), ("a", 2), ("c", 3)]
    planned = replace(make_plan(asked, place), sort_by=())
    assert go(asked, place, {**table, "g": ["c", "b", "a"]}, plan=planned).fetchall() == [
        ("c", 2),
        ("b", 1),
        ("a", 3),
    ]


def test_a_column_of_nulls_without_a_type_orders_nothing(place: Any) -> None:
    table = pa.table({"g": pa.nulls(3), "n": [2, 3, 1], "_u0": [3, 3, 3]})
    assert go(question(), place, table).fetchall() == [(None, 1), (None, 2), (None, 3)]
    only = pa.table({"g": pa.nulls(3), "n": pa.nulls(3), "_u0": [3, 3, 2]})
    assert go(question(), place, only).fetchall() == [(None, None)] * 2


def test_one_row_needs_no_order_whatever_its_type(place: Any) -> None:
    """Intervals of months have no order; whether a small group beside it was withheld does not matter."""
    span = pa.array([(1, 2, 3), (4, 5, 6)], pa.month_day_nano_interval())
    columns = {"g": span, "n": [1, 2]}
    assert go(question(), place, pa.table({**columns, "_u0": [3, 2]})).num_rows == 1
    with pytest.raises(DisclosureError, match=r"^the cells cannot be put into the plan's form"):
        go(question(), place, pa.table({**columns, "_u0": [3, 3]}))


def test_thresholds_may_stand_in_any_order(place: Any) -> None:
    asked = question(minimums=(3, 5))
    planned = make_plan(asked, place)
    turned = replace(planned, thresholds=planned.thresholds[::-1])
    columns = {"g": ["a", "b"], "n": [1, 2], "_u0": [3, 9], "_u1": [5, 4]}
    rest = {"_u0_rest": [9, 9], "_u1_rest": [9, 9]}
    for table in (columns, {**columns, **rest}):
        assert go(asked, place, table, plan=turned).fetchall() == [("a", 1)]


def test_all_outputs_are_put_in_order(place: Any) -> None:
    asked = question(names=("g", "n", "m"))
    table = {"g": ["a", "a"], "n": [1, 1], "m": [2, 1], "_u0": [3, 3]}
    assert go(asked, place, table).fetchall() == [("a", 1, 1), ("a", 1, 2)]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array(["b", "a"]).dictionary_encode(), pa.string()),
        (pa.array(["b", "a"], pa.string_view()), pa.string()),
        (pa.array([b"b", b"a"], pa.binary_view()), pa.binary()),
        (pa.chunked_array([["b"], ["a"]]), pa.string()),
        (pa.array(["b", "a"], pa.large_string()), pa.large_string()),
    ],
)
def test_columns_come_out_plain_and_dense(place: Any, column: Any, kind: Any) -> None:
    answer = go(question(), place, pa.table({"g": column, "n": [1, 2], "_u0": [3, 3]}))
    assert answer.table.schema == pa.schema([("g", kind), ("n", pa.int64())])
    assert [row[1] for row in answer.fetchall()] == [2, 1]
    assert answer.table.column("g").num_chunks == 1


@pytest.mark.parametrize("column", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"x" * 16], pa.uuid())])
def test_columns_of_other_kinds_are_not_released(place: Any, column: Any) -> None:
    with pytest.raises(DisclosureError, match=r"^an output column has a type that cannot be released$"):
        go(question(), place, pa.table({"g": column, "n": [1], "_u0": [3]}))


def test_a_dense_column_has_no_others_bytes() -> None:
    whole = pa.array(["a", "SECRET", "b"])
    for column in (whole.slice(0, 1), pa.chunked_array([whole.slice(0, 1), whole.slice(2, 1)])):
        dense = module._dense(column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column]))
        assert not isinstance(dense, pa.ChunkedArray)
    empty = module._dense(pa.chunked_array([], pa.string()))
    assert len(empty) == 0


@pytest.mark.parametrize(("rest", "some"), [([3, 99], True), ([2, 99], None), ([3], True), ([], None)])
def test_the_first_row_says_what_the_rest_is(place: Any, rest: list[int], some: Any) -> None:
    n = len(rest)
    table = pa.table(
        {
            "g": pa.array(["a"] * n, pa.string()),
            "n": pa.array([1] * n, pa.int64()),
            "_u0": pa.array([3] * n, pa.int64()),
            "_u0_rest": pa.array(rest, pa.int64()),
        }
    )
    assert go(question(), place, table).withheld.some is some


@pytest.mark.parametrize(("name", "planned"), [("rounding", {"round_counts": 2}), ("suppression", {})])
def test_what_the_cells_lack_is_named(place: Any, name: str, planned: Any) -> None:
    asked = question()
    if name == "suppression":
        block = Block(("t",), (), (), (), (), (), ())
        parts = replace(block, groups=(Value(exp.column("g"), Family.STRING),))
        asked.form = Form((block, parts), Combined("UNION ALL", (0, 1)))
    with pytest.raises(
        DisclosureError, match=rf"^the cells lack {name}, which the plan asks for: nothing is released$"
    ):
        go(asked, place, ONE, plan=replace(make_plan(asked, place), **planned))
    assert (
        go(
            asked, place, ONE, plan=replace(make_plan(asked, place), **planned), applied=frozenset({name})
        ).num_rows
        == 1
    )
    unasked = question()
    with pytest.raises(
        DisclosureError, match=r"^the cells carry something applied that the plan does not ask for$"
    ):
        go(unasked, place, ONE, applied=frozenset({name}))


# --- noised ---

PART = Part(Ref("t", "u"), 1, 1, (Figure(FigureKind.UNITS, None, 1),), (("COUNT(*)", (0,)),), ())


def noised_question() -> Any:
    asked = question(names=("n",), minimums=())
    asked.privacy = Privacy("person", ("a",), 10, "1e-6", (PART,))
    item = Item(
        "n",
        Value(
            exp.Count(this=exp.Star()),
            Family.NUMBER,
            aggregate=True,
        ),
    )
    asked.form = Form((Block(("t",), (), (), (), (), (item,), ()),))
    return asked


FIGURES = {"_hitoku_part": [1], "_hitoku_f1": [1_000]}


class Fixed:
    """Draws of seven; notes that it was closed."""

    def __init__(self, noise: Any = None) -> None:
        self.closed = 0

    def take(self, scale: int, count: int) -> Any:
        from array import array

        assert scale == 10
        return array("q", [7] * count)

    def close(self) -> None:
        self.closed += 1


def noised_release(asked: Any, place: Any, draws: Any, table: Any = None, **changed: Any) -> Any:
    noise = Noise("person", 10, (NoisedPart((10,), None, 2),))
    planned = replace(make_plan(asked, place), **{"noise": noise, "charges": (), **changed.pop("plan", {})})
    return release(
        Cells(asked.hash, pa.table(FIGURES) if table is None else table, changed.pop("applied", frozenset())),
        planned,
        asked,
        leakage=LEAKAGE,
        protection="p",
        run="r",
        clock=SimpleNamespace(now=place_now),
        draws=draws,
    )


def test_a_noised_answer_has_bands_and_nothing_withheld(place: Any) -> None:
    source = Fixed()
    answer = noised_release(noised_question(), place, source)
    assert answer.fetchall() == [(1_007,)]
    assert answer.bands.to_pylist() == [{"n_low": 1_007 - 20, "n_high": 1_007 + 20}]
    assert answer.noise["columns"] == [{"name": "n", "sigma": "10", "half_width": "20"}]
    assert answer.withheld.some is False
    assert answer.withheld.thresholds == ()
    assert (answer.run, answer.protection, answer.released_at) == ("r", "p", "2026-11-21T00:00:00Z")
    assert source.closed == 0  # whoever made the draws closes them


def test_draws_of_its_own_are_closed_also_where_nothing_is_released(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Fixed] = []

    def draws(noise: Any) -> Fixed:
        made.append(Fixed(noise))
        return made[-1]

    monkeypatch.setattr("hitoku.disclosure.noise.Draws", draws)
    assert noised_release(noised_question(), place, None).fetchall() == [(1_007,)]
    assert [one.closed for one in made] == [1]
    with pytest.raises(DisclosureError):
        noised_release(noised_question(), place, None, pa.table({"n": [1]}))
    assert [one.closed for one in made] == [1, 1]


def test_real_draws_are_made_where_none_are_given(place: Any) -> None:
    values = {noised_release(noised_question(), place, None).fetchall()[0][0] for _ in range(12)}
    assert len(values) > 1
    assert all(abs(value - 1_000) < 200 for value in values)
    assert isinstance(Draws, type)


@pytest.mark.parametrize(
    "changed",
    [
        {"plan": {"noise": None}},
        {"applied": frozenset({"threshold"})},
        {"applied": frozenset({"rounding"})},
        {"plan": {"thresholds": (SimpleNamespace(alias="_u0"),)}},
    ],
)
def test_a_plan_and_cells_that_do_not_agree_about_noise(place: Any, changed: dict[str, Any]) -> None:
    with pytest.raises(DisclosureError, match=r"do not agree about noise: nothing is released$"):
        noised_release(noised_question(), place, Fixed(), **changed)


def test_a_plan_with_noise_for_a_question_without_is_not_released(place: Any) -> None:
    asked = question(names=("n",), minimums=())
    with pytest.raises(DisclosureError, match=r"nothing is released$"):
        noised_release(asked, place, Fixed(), pa.table({"n": [1]}))


def test_figures_that_no_64_bits_hold_release_nothing(place: Any) -> None:
    table = pa.table({"_hitoku_part": [1], "_hitoku_f1": [2**63 - 1]})
    with pytest.raises(DisclosureError, match=r"^the cells cannot be put into the plan's form") as caught:
        noised_release(noised_question(), place, Fixed(), table)
    assert caught.value.__suppress_context__


# --- the plan ---


def test_a_plan_without_thresholds_neither_rounds_nor_sums_up(place: Any) -> None:
    data = place.agreement.model_copy(update={"release": Release(round_counts=5, summary=True)})
    room = place.room.model_copy(update={"agreement": data})
    none = plan(question(minimums=()), room, ["airport"])
    assert (none.thresholds, none.round_counts, none.summary) == ((), 1, False)
    assert (none.charges, none.noise) == ((), None)
    some = plan(question(), room, ["airport"])
    assert (some.round_counts, some.summary) == (5, True)


def test_the_default_of_a_plan_is_to_change_nothing(place: Any) -> None:
    from hitoku.disclosure.plan import DisclosurePlan

    one = DisclosurePlan("q", (), (), ())
    assert (one.charges, one.noise, one.round_counts, one.summary) == ((), None, 1, False)
    assert one.hash.startswith("sha256:")
    from dataclasses import asdict

    from hitoku.room.canonical import canonical_json, digest

    assert one.hash == digest("hitoku/plan/1", canonical_json(asdict(one)))


def test_thresholds_stand_in_the_order_of_their_aliases(place: Any) -> None:
    asked = question(minimums=(3, 5))
    asked.constraints = asked.constraints[::-1]
    made = plan(asked, place.room, ["airport"])
    assert [(t.alias, t.table, t.column, t.owner, t.minimum) for t in made.thresholds] == [
        ("_u0", "t", "u0", "registry", 3),
        ("_u1", "t", "u1", "registry", 5),
    ]


def test_a_plan_takes_the_noise_that_is_asked_for(place: Any) -> None:
    asked = noised_question()
    least = plan(asked, place.room, ["airport"]).noise
    assert least is not None
    assert least.users_noise == 10
    louder = plan(asked, place.room, ["airport"], 50)
    assert louder.noise == Noise("person", 50, (NoisedPart((50,), None, 10),))
    assert [(c.owner, c.unit, c.delta) for c in louder.charges] == [("a", "person", 0)]


@pytest.mark.parametrize(
    ("to", "message", "remedy"),
    [
        ([], "nobody would receive the answer", "give a member of the room the ability `receive`"),
        (["host"], "'host' may not receive answers in this room", "send the answer to airport or registry"),
    ],
)
def test_refused_receivers_in_words(place: Any, to: list[str], message: str, remedy: str) -> None:
    with pytest.raises(Refusal) as caught:
        plan(question(), place.room, to)
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert caught.value.remedy == remedy


def custom(allowed: Any, name: str = "visits") -> Any:
    from hitoku.room.rules import CustomRule

    rule = CustomRule.model_validate(
        {
            "allowedAnalyses": ("ANY_QUERY",),
            "allowedAnalysisProviders": ("airport",),
            **({} if allowed is None else {"allowedResultReceivers": allowed}),
        }
    )
    return SimpleNamespace(name=name, owner="city", rule=rule)


def test_a_tables_owner_says_who_receives(place: Any) -> None:
    asked = question()
    asked.sources = (custom(None), custom(("airport",)))
    assert plan(asked, place.room, ["airport"]).receivers == ("airport",)
    with pytest.raises(Refusal) as caught:
        plan(asked, place.room, ["airport", "registry"])
    refusal = caught.value
    assert (refusal.code, refusal.rule, refusal.owner, refusal.remedy) == (
        "RECEIVER_NOT_ALLOWED",
        "tables.visits.rule.allowedResultReceivers",
        "city",
        "send the answer to airport",
    )
    # Who may receive here but not in the room is no remedy; nor is anybody where nobody is left.
    asked.sources = (custom(("host",)),)
    with pytest.raises(Refusal) as caught:
        plan(asked, place.room, ["airport"])
    assert caught.value.remedy == "send the answer to nobody"
    asked.sources = (custom(("registry", "airport", "registry")), custom(("registry",)))
    with pytest.raises(Refusal) as caught:
        plan(asked, place.room, ["airport"])
    assert caught.value.remedy == "send the answer to registry"


def test_where_nobody_may_receive_that_is_the_remedy(place: Any) -> None:
    room: Any = SimpleNamespace(agreement=SimpleNamespace(able=lambda ability: (), release=Release()))
    with pytest.raises(Refusal) as caught:
        plan(question(), room, ["airport"])
    assert caught.value.remedy == "send the answer to nobody: no member has `receive`"
