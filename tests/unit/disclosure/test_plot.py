# SPDX-License-Identifier: Apache-2.0
"""Plots of answers: what is drawn, and that bands are."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from hitoku.disclosure.answer import Answer, Withheld
from hitoku.disclosure.leakage import Leakage
from hitoku.disclosure.plot import chart
from hitoku.disclosure.render import html, noise_words, terminal
from hitoku.errors import InputError

NOISE: dict[str, Any] = {
    "mechanism": "discrete Gaussian",
    "unit": "person",
    "users_noise": 30,
    "confidence": "0.95",
    "threshold": 213,
    "bounds": [{"max_rows_per_group": 1, "max_groups": 1}],
    "columns": [
        {"name": "city", "sigma": None, "half_width": None},
        {"name": "n", "sigma": "30", "half_width": "59"},
        {"name": "mean", "sigma": None, "half_width": None},
    ],
}


def answer(**more: Any) -> Answer:
    table = pa.table(
        {
            "city": ["Ōsaka", "<b>x</b>", None],
            "n": [400, 300, 250],
            "mean": [Decimal("1.50"), None, Decimal("2.00")],
        }
    )
    bands = pa.table(
        {
            "n_low": [341, 241, 191],
            "n_high": [459, 359, 309],
            "mean_low": [1.2, None, 1.9],
            "mean_high": [1.8, None, 2.1],
        }
    )
    facts: dict[str, Any] = {
        "table": table,
        "bands": bands,
        "noise": NOISE,
        "sql": "",
        "question": "",
        "room": "",
        "run": "",
        "asker": "a",
        "receivers": ("a",),
        "protection": "tokens",
        "withheld": Withheld(False, ()),
        "leakage": Leakage(()),
        "released_at": "",
        "salt": "",
    }
    return Answer(**(facts | more))


def test_the_first_figure_with_a_band_is_drawn_with_it() -> None:
    made = chart(answer())
    assert made["data"]["values"] == [
        {"place": 0, "group": "Ōsaka", "value": 400.0, "low": 341.0, "high": 459.0},
        {"place": 1, "group": "<b>x</b>", "value": 300.0, "low": 241.0, "high": 359.0},
        {"place": 2, "group": "NULL", "value": 250.0, "low": 191.0, "high": 309.0},
    ]
    assert [layer["mark"]["type"] for layer in made["layer"]] == ["bar", "rule"]
    assert "30 units" in " ".join(made["title"]["subtitle"])
    json.dumps(made, allow_nan=False)


def test_another_column_can_be_drawn_and_one_without_numbers_cannot() -> None:
    assert chart(answer(), "mean")["data"]["values"][0]["value"] == 1.5
    with pytest.raises(InputError, match="no number"):
        chart(answer(), "city")
    with pytest.raises(InputError, match="no column"):
        chart(answer(), "other")


def test_exact_answers_are_drawn_without_bands() -> None:
    made = chart(answer(bands=None, noise=None))
    assert len(made["layer"]) == 1
    assert set(made["data"]["values"][0]) == {"place", "group", "value"}
    assert made["data"]["values"][0]["value"] == 1.5  # the last number where none has a band


def test_svg_shows_labels_as_text() -> None:
    pytest.importorskip("vl_convert")
    drawn = answer().to_svg()
    assert drawn.startswith("<svg")
    assert "Ōsaka" in drawn
    assert "<b>x</b>" not in drawn


def test_terminal_and_notebook_show_bands_beside_figures() -> None:
    from rich.console import Console

    console = Console(width=140, record=True, file=None)
    with console.capture() as shown:
        for part in terminal(answer()):
            console.print(part)
    text = shown.get()
    assert "± 59" in text
    assert "1.20 to 1.80" in text
    assert "unknown" in text
    assert "below 213 are not shown" in text
    page = html(answer())
    assert page.count("<th>95 %</th>") == 2
    assert "<td>± 59</td>" in page
    assert "<b>x</b>" not in page


def test_exact_answers_have_no_words_about_noise() -> None:
    assert noise_words(answer(noise=None)) is None
    assert "95 %" not in html(answer(noise=None, bands=None))
