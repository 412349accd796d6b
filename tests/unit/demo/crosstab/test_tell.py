# SPDX-License-Identifier: Apache-2.0
"""What the demo shows of a cross table."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from hitoku.demo.crosstab import tell
from hitoku.demo.crosstab.compare import Cell, Comparison, Exact, Noised
from hitoku.errors import InputError

CELLS: dict[Cell, Noised] = {
    ("Tokyo", "40s"): Noised(1_000.0, 900, 1_100, 2.5, 2.25, 2.75),
    ("Osaka", "40s"): Noised(500.0, 400, 600),
    ("[b]Oita[/b]\n", "50s"): Noised(-3.0, -103, 97),
}
EXACT: dict[Cell, Exact] = {("Tokyo", "40s"): Exact(1_040, 2_600), ("Osaka", "40s"): Exact(520)}


def shown(what: object) -> str:
    console = Console(width=200, record=True, file=io.StringIO(), highlight=False)
    console.print(what)
    return console.export_text()


def test_the_largest_first():
    assert tell.largest(CELLS, 2) == [("Tokyo", "40s"), ("Osaka", "40s")]
    assert tell.where(CELLS, {1: "50s"}, 5) == [("[b]Oita[/b]\n", "50s")]
    assert tell.where(CELLS, {0: "Osaka", 1: "50s"}, 5) == []


def test_the_table_has_bands_and_the_exact_figures():
    text = shown(tell.table(CELLS, EXACT, ["home", "age"], list(CELLS), "travellers"))
    lines = [[part.strip() for part in line.split("│")] for line in text.splitlines()]
    assert lines[2] == ["Tokyo", "40s", "1,000", "900 to 1,100", "1,040", "2.50", "2.25 to 2.75", "2.50"]
    assert lines[3] == ["Osaka", "40s", "500", "400 to 600", "520", "-", "-", "0.00"]
    # Data is no markup, and has no line breaks.
    assert lines[4] == ["[b]Oita[/b]\ufffd", "50s", "-3", "-103 to 97", "0", "-", "-", "-"]


def test_no_means_no_columns_for_them():
    text = shown(tell.table(CELLS, EXACT, ["home", "age"], [("Osaka", "40s")]))
    assert "mean" not in text
    assert "Tokyo" not in text


def test_bars():
    lines = [line.plain for line in tell.bars(CELLS, EXACT, list(CELLS), width=22)]
    room = len("[b]Oita[/b]\ufffd · 50s") + 1
    drawn = [line[room : room + 22] for line in lines]
    assert drawn[0] == "█" * 18 + "░░░│"
    assert drawn[1] == "█" * 8 + "░░│░" + " " * 10
    assert drawn[2] == "│░" + " " * 20
    assert [line.split()[-1] for line in lines] == ["1,000", "500", "-3"]
    assert tell.bars({}, {}, []) == []
    assert tell.bars({("x",): Noised(0, 0, 0)}, {}, [("x",)], width=4)[0].plain.startswith("x │")


def test_the_chart_and_its_svg():
    made = tell.chart(CELLS, EXACT, ["home", "age"], list(CELLS), "travellers", "Where to", ["two", "lines"])
    assert made["data"]["values"][0] == {
        "place": 0,
        "cell": "Tokyo · 40s",
        "noised": 1_000.0,
        "low": 900,
        "high": 1_100,
        "exact": 1_040,
    }
    assert [layer["mark"]["type"] for layer in made["layer"]] == ["bar", "rule", "tick"]
    drawn = tell.svg(made)
    assert drawn.startswith("<svg")
    for words in ("Tokyo · 40s", "Where to", "travellers"):
        assert words in drawn


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(InputError, match="plots"):
        tell.svg({})


def test_the_summary():
    found = Comparison(3_760, 600_000, 14.4, 14.3, 3_570, 3_572.4, 400, 0.75, 0.74, True)
    assert tell.summary(found, "travellers") == [
        "3,760 cells, 600,000 travellers in them.",
        "error found: 14.40 travellers a cell (root mean square); predicted: 14.30.",
        "inside their 95 % bands: 3,570 cells (94.9%); predicted: 3,572.",
        "means of the 400 large cells: error found 0.750, predicted 0.740.",
    ]
    wrong = tell.summary(Comparison(10, 20, 3, 1, 4, 9.5))
    assert len(wrong) == 4
    assert "NOT as predicted" in wrong[-1]
