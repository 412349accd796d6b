# SPDX-License-Identifier: Apache-2.0
"""Plots to the letter: the whole specification, which column is drawn, what labels a bar, how many rows."""

from __future__ import annotations

import builtins
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from hitoku.disclosure.answer import Withheld
from hitoku.disclosure.plot import chart, svg
from hitoku.errors import InputError

from .test_mutants_answers import answer

FREE = Withheld(False, ())
FREE_WORDS = "Nothing can have been withheld: no rule demands it."
NOISE: dict[str, Any] = {"mechanism": "discrete Gaussian", "unit": "person", "users_noise": 30}


def plain(**columns: Any) -> Any:
    return answer(table=pa.table(columns), withheld=FREE)


def test_the_whole_specification_of_an_exact_answer() -> None:
    group = {"field": "group", "type": "nominal", "sort": {"field": "place"}, "title": "a · b"}
    assert chart(plain(a=["x", "y"], b=["k", None], n=[3, 4])) == {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {"text": "n", "subtitle": [FREE_WORDS], "anchor": "start"},
        "data": {
            "values": [
                {"place": 0, "group": "x · k", "value": 3.0},
                {"place": 1, "group": "y · NULL", "value": 4.0},
            ]
        },
        "layer": [
            {
                "mark": {"type": "bar", "color": "#9fb8d0"},
                "encoding": {"y": group, "x": {"field": "value", "type": "quantitative", "title": "n"}},
            }
        ],
        "width": 480,
    }


def noised(**more: Any) -> Any:
    table = pa.table({"g": ["x", "y"], "n": [400, 300], "m": [1.5, 2.5]})
    bands = pa.table({"n_low": [341, None], "n_high": [459, 359], "m_low": [1.0, 2.0], "m_high": [2.0, 3.0]})
    return answer(**{"table": table, "bands": bands, "noise": NOISE, "withheld": FREE, **more})


def test_bands_are_a_second_layer_over_the_same_groups() -> None:
    made = chart(noised())
    bar, rule = made["layer"]
    assert rule == {
        "mark": {"type": "rule", "strokeWidth": 2, "color": "#1f3a5f"},
        "encoding": {
            "y": bar["encoding"]["y"],
            "x": {"field": "low", "type": "quantitative"},
            "x2": {"field": "high"},
        },
    }
    assert made["data"]["values"] == [
        {"place": 0, "group": "x", "value": 400.0, "low": 341.0, "high": 459.0},
        {"place": 1, "group": "y", "value": 300.0, "low": None, "high": 359.0},
    ]
    # Another output with a band labels no bar.
    assert bar["encoding"]["y"]["title"] == "g"
    assert chart(noised(), "m")["title"]["text"] == "m"
    assert [row["low"] for row in chart(noised(), "m")["data"]["values"]] == [1.0, 2.0]
    # Words about the noise, not about what was withheld; in lines of at most 80 characters.
    assert made["title"]["subtitle"] == [
        "Every figure carries noise (discrete Gaussian) as large as 30 units of 'person'",
        "can weigh; bands hold with 95 % confidence.",
    ]


def test_lines_of_words_have_eighty_characters_at_most() -> None:
    # 28 and more characters of names: the first line breaks at exactly 80 and not at 79.
    for length in range(1, 30):
        made = chart(noised(noise={**NOISE, "unit": "u" * length}))
        first, second = made["title"]["subtitle"][:2]
        assert len(first) <= 80
        assert len(first) + 1 + len(second.split()[0]) > 80
    lengths = {
        len(chart(noised(noise={**NOISE, "unit": "u" * n}))["title"]["subtitle"][0]) for n in range(30)
    }
    assert 80 in lengths


def test_a_column_without_a_band_is_drawn_without_one() -> None:
    bands = pa.table({"m_low": [1.0, 2.0], "m_high": [2.0, 3.0]})
    made = chart(noised(bands=bands), "n")
    assert len(made["layer"]) == 1
    assert set(made["data"]["values"][0]) == {"place", "group", "value"}
    assert [row["group"] for row in made["data"]["values"]] == ["x", "y"]
    # Without a wish the first with a band is drawn, and the plain number stands in the label.
    drawn = chart(noised(bands=bands))
    assert drawn["title"]["text"] == "m"
    assert [row["group"] for row in drawn["data"]["values"]] == ["x · 400", "y · 300"]


def test_the_last_column_with_a_number_is_drawn_where_none_has_a_band() -> None:
    assert chart(plain(n=[1], m=[2], w=["a"]))["title"]["text"] == "m"
    # One number among what is none is enough; NaN and flags are none.
    assert chart(plain(n=[1, 2], m=[None, 5], w=["a", "b"]))["title"]["text"] == "m"
    assert chart(plain(n=[1], m=[float("nan")], f=[True]))["title"]["text"] == "n"


@pytest.mark.parametrize("column", [["a"], [True], [None], [float("inf")]])
def test_an_answer_without_numbers_cannot_be_drawn(column: list[Any]) -> None:
    with pytest.raises(InputError, match=r"^the answer has no number to plot$"):
        chart(plain(c=column))
    with pytest.raises(InputError, match=r"^column 'c' has no number to plot$"):
        chart(plain(c=column), "c")
    with pytest.raises(InputError, match=r"^the answer has no column 'd'$"):
        chart(plain(c=column), "d")


def test_values_that_are_no_numbers_have_no_bar_but_a_place() -> None:
    rows = chart(plain(g=["a", "b", "c"], n=[1.5, float("nan"), None]))["data"]["values"]
    assert rows == [
        {"place": 0, "group": "a", "value": 1.5},
        {"place": 1, "group": "b", "value": None},
        {"place": 2, "group": "c", "value": None},
    ]


@pytest.mark.parametrize("values", [[1], [1.5], [Decimal("1.5")], pa.array([1.5], pa.float32())])
def test_measures_label_no_bar_and_a_bar_without_a_label_is_all(values: Any) -> None:
    made = chart(plain(other=values, n=[3]), "n")
    assert made["data"]["values"] == [{"place": 0, "group": "all", "value": 3.0}]
    assert made["layer"][0]["encoding"]["y"]["title"] is None


@pytest.mark.parametrize(
    ("values", "label"), [(["x"], "x"), (pa.array([7], pa.int32()), "7"), ([True], "True"), ([""], "all")]
)
def test_what_is_no_measure_labels_a_bar(values: Any, label: str) -> None:
    made = chart(plain(other=values, n=[3]), "n")
    assert made["data"]["values"][0]["group"] == label
    assert made["layer"][0]["encoding"]["y"]["title"] == "other"


def test_every_row_without_a_label_is_drawn() -> None:
    assert [row["group"] for row in chart(plain(n=[3, 4, 5]))["data"]["values"]] == ["all"] * 3


@pytest.mark.parametrize(("rows", "drawn"), [(199, 199), (200, 200), (201, 200)])
def test_two_hundred_rows_are_drawn_with_their_bands(rows: int, drawn: int) -> None:
    bands = pa.table({"n_low": list(range(rows)), "n_high": list(range(1, rows + 1))})
    table = pa.table({"n": list(range(rows))})
    values = chart(answer(table=table, bands=bands, noise=NOISE))["data"]["values"]
    assert len(values) == drawn
    assert values[-1] == {
        "place": drawn - 1,
        "group": "all",
        "value": drawn - 1,
        "low": drawn - 1,
        "high": drawn,
    }


@pytest.mark.parametrize(("place", "found"), [(199, True), (200, False)])
def test_a_number_beyond_what_is_drawn_does_not_choose_its_column(place: int, found: bool) -> None:
    values = [7 if n == place else None for n in range(201)]
    table = plain(n=[1] * 201, m=pa.array(values, pa.int64()))
    assert chart(table)["title"]["text"] == ("m" if found else "n")


def test_names_are_shown_as_text() -> None:
    made = chart(plain(**{"a\x1bb": ["x"], "n\u202e": [1]}))
    assert made["title"]["text"] == "n\ufffd"
    assert made["layer"][0]["encoding"]["x"]["title"] == "n\ufffd"
    assert made["layer"][0]["encoding"]["y"]["title"] == "a\ufffdb"


def test_svg_is_made_of_the_chosen_column(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    given: list[Any] = []

    def made(specification: Any) -> str:
        given.append(specification)
        return "<svg/>"

    monkeypatch.setitem(sys.modules, "vl_convert", SimpleNamespace(vegalite_to_svg=made))
    one = plain(a=[1], b=[2])
    assert one.to_svg("a") == svg(one, "a") == "<svg/>"
    assert given == [chart(one, "a")] * 2 == [one.chart("a")] * 2


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "vl_convert":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r'pip install "hitoku\[plots\]"'):
        svg(plain(n=[1]))
