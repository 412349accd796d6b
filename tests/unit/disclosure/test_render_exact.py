# SPDX-License-Identifier: Apache-2.0
"""Answers for people, to the letter: the whole page, bands beside figures, what is cut and what is not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from hitoku.disclosure.answer import Withheld
from hitoku.disclosure.leakage import Leakage, Learned
from hitoku.disclosure.render import clean, html, noise_words, terminal

from .test_mutants_answers import answer

FREE = Withheld(False, ())
FREE_WORDS = "Nothing can have been withheld: no rule demands it."
NOISE: dict[str, Any] = {
    "mechanism": "discrete Gaussian",
    "unit": "person",
    "users_noise": 30,
    "columns": [{"name": "n", "half_width": "59"}, {"name": "m", "half_width": None}, "odd"],
}
WORDS = (
    "Every figure carries noise (discrete Gaussian) as large as 30 units of 'person' can weigh; "
    "bands hold with 95 % confidence."
)
LEARNED = Leakage((Learned("<h>", "CODE", "a & b", None),))


def noised(**more: Any) -> Any:
    facts: dict[str, Any] = {
        "table": pa.table({"g": ["a", "b", "c"], "n": [4, 5, 6], "m": [1.5, 2.5, 3.5]}),
        "bands": pa.table(
            {
                "n_low": [1, 2, None],
                "n_high": [7, None, 9],
                "m_low": [1.0, 2.0, 3.0],
                "m_high": [2.0, 3.0, 4.0],
            }
        ),
        "noise": NOISE,
        "withheld": FREE,
        "leakage": LEARNED,
    }
    return answer(**{**facts, **more})


def lines(one: Any) -> list[str]:
    console = Console(width=200, record=True, file=None)
    with console.capture() as shown:
        for part in terminal(one):
            console.print(part)
    return [line.rstrip() for line in shown.get().splitlines()]


def cells(line: str) -> list[str]:
    return [part.strip() for part in line.replace("┃", "│").split("│")]


def test_the_whole_page_of_a_noised_answer() -> None:
    assert html(noised()) == (
        "<table><thead><tr><th>g</th><th>n</th><th>95 %</th><th>m</th><th>95 %</th></tr></thead><tbody>"
        "<tr><td>a</td><td>4</td><td>± 59</td><td>1.50</td><td>1.00 to 2.00</td></tr>"
        "<tr><td>b</td><td>5</td><td>unknown</td><td>2.50</td><td>2.00 to 3.00</td></tr>"
        "<tr><td>c</td><td>6</td><td>unknown</td><td>3.50</td><td>3.00 to 4.00</td></tr>"
        "</tbody></table>"
        f"<p>3 rows. {WORDS.replace(chr(39), '&#x27;')}</p>"
        "<details><summary>Who learned what</summary><ul><li><b>&lt;h&gt;</b>: a &amp; b</li></ul></details>"
        "<p><small>question sha256:q, run ab, 2026-11-21T12:00:00Z</small></p>"
    )


def test_the_page_of_an_exact_answer_says_what_was_withheld() -> None:
    page = html(noised(noise=None, bands=None))
    assert f"<p>3 rows. {FREE_WORDS}</p>" in page
    assert "95 %" not in page


def test_names_values_and_facts_are_escaped_with_their_quotes() -> None:
    table = pa.table({"<i>\"'": ["<u>\"'"]})
    page = html(answer(table=table, withheld=FREE, question='<q">', run="<r'>", released_at="<t>"))
    assert "<th>&lt;i&gt;&quot;&#x27;</th>" in page
    assert "<td>&lt;u&gt;&quot;&#x27;</td>" in page
    assert "question &lt;q&quot;&gt;, run &lt;r&#x27;&gt;, &lt;t&gt;</small>" in page
    page = html(noised(noise={**NOISE, "mechanism": '<b>"'}))
    assert "noise (&lt;b&gt;&quot;) as large" in page


def test_a_terminal_has_bands_behind_their_figures() -> None:
    shown = lines(noised())
    assert cells(shown[0]) == ["g", "n", "95 %", "m", "95 %"]
    assert [cells(line) for line in shown[2:5]] == [
        ["a", "4", "± 59", "1.50", "1.00 to 2.00"],
        ["b", "5", "unknown", "2.50", "2.00 to 3.00"],
        ["c", "6", "unknown", "3.50", "3.00 to 4.00"],
    ]
    assert shown[-1] == f"3 rows. {WORDS}"
    assert not shown[0].startswith((" ", "┃"))  # no edge


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_rows_are_counted_in_words(rows: int) -> None:
    one = answer(table=pa.table({"g": ["a"] * rows}), withheld=FREE)
    assert lines(one)[-1] == f"{rows} row{'' if rows == 1 else 's'}. {FREE_WORDS}"


def test_words_about_noise_are_not_cut_and_withheld_ones_are_one_line() -> None:
    many = Withheld(True, (("t" * 300, "u", "o", 3),))
    assert lines(answer(withheld=many))[-1].endswith("…")
    assert "t" * 300 not in html(answer(withheld=many))


@pytest.mark.parametrize("missing", ["n_low", "n_high"])
def test_a_band_has_two_ends_or_is_none(missing: str) -> None:
    one = noised()
    page = html(noised(bands=one.bands.drop_columns([missing])))
    assert "<th>g</th><th>n</th><th>m</th><th>95 %</th>" in page
    assert "± 59" not in page


def test_bands_are_shown_only_with_their_noise() -> None:
    assert "95 %</th>" not in html(noised(noise=None))
    assert "95 %</th>" not in html(noised(bands=None))
    # Without a fixed half-width the ends are shown.
    told = {key: value for key, value in NOISE.items() if key != "columns"}
    assert "<td>1 to 7</td>" in html(noised(noise=told))


@pytest.mark.parametrize(("show", "most"), [(html, 200), (lambda one: "\n".join(lines(one)), 50)])
def test_bands_are_cut_with_their_rows(show: Any, most: int) -> None:
    rows = 201
    table = pa.table({"n": [1000 + n for n in range(rows)]})
    bands = pa.table({"n_low": [2000 + n for n in range(rows)], "n_high": [3000 + n for n in range(rows)]})
    text = show(noised(table=table, bands=bands, noise={**NOISE, "columns": []}))
    assert f"{2000 + most - 1} to {3000 + most - 1}" in text
    assert f"{2000 + most} to" not in text


def test_what_is_told_of_noise() -> None:
    assert noise_words(answer()) is None
    assert noise_words(noised()) == WORDS
    assert noise_words(noised(noise={**NOISE, "threshold": None})) == WORDS
    assert noise_words(noised(noise={**NOISE, "threshold": 0})) == (
        f"{WORDS} Groups of which the noisy number of units is below 0 are not shown."
    )
    # A sender's words are data.
    hostile = {"mechanism": "a\x1b[2J", "unit": "b\u202e", "users_noise": "c\n", "threshold": "d\r"}
    assert noise_words(noised(noise=hostile)) == (
        "Every figure carries noise (a\ufffd[2J) as large as c\ufffd units of 'b\ufffd' can weigh; "
        "bands hold with 95 % confidence. Groups of which the noisy number of units is below d\ufffd "
        "are not shown."
    )


@pytest.mark.parametrize("width", ["5\x1b9", "<59>"])
def test_a_half_width_is_data(width: str) -> None:
    page = html(noised(noise={**NOISE, "columns": [{"name": "n", "half_width": width}]}))
    assert f"<td>± {clean(width).replace('<', '&lt;').replace('>', '&gt;')}</td>" in page


@pytest.mark.parametrize(
    ("values", "right"),
    [([1, None], True), ([None, 1.5], True), ([Decimal(1), None], True), ([None], False), ([False], False)],
)
def test_a_column_with_any_number_stands_to_the_right(values: list[Any], right: bool) -> None:
    table = next(iter(terminal(answer(table=pa.table({"wide_name": values})))))
    assert table.columns[0].justify == ("right" if right else "left")  # type: ignore[union-attr]
