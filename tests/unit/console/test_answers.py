# SPDX-License-Identifier: Apache-2.0
"""Answers as the console shows and exports them: bands, hostile texts, exact numbers."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from hitoku.console.work import answers, plots
from hitoku.console.work.asks_words import duration, noise_sentences, size, withheld_sentences
from hitoku.disclosure.answer import Answer, Withheld
from hitoku.disclosure.leakage import Leakage, Learned


def answer(table, bands=None, noise=None, withheld=None):
    return Answer(
        table=table,
        sql="SELECT 1",
        question="sha256:" + "0" * 64,
        room="sha256:" + "1" * 64,
        run="ab" * 16,
        asker="airport",
        receivers=("airport",),
        protection="crosstab",
        withheld=withheld or Withheld(None, ()),
        leakage=Leakage((Learned("airport", "ANSWER", "the answer"),)),
        released_at="2026-11-22T12:00:00Z",
        salt="00",
        noise=noise,
        bands=bands,
    )


NOISED = answer(
    pa.table({"region": ["north", "south"], "people": [120, -3], "mean": [Decimal("1.50"), None]}),
    pa.table(
        {
            "people_low": [61, -62],
            "people_high": [179, 56],
            "mean_low": [Decimal("1.25"), None],
            "mean_high": [Decimal("1.75"), None],
        }
    ),
    {
        "mechanism": "discrete Laplace",
        "unit": "person",
        "users_noise": 100,
        "threshold": 40,
        "columns": [
            {"name": "people", "sigma": "30", "half_width": "59"},
            {"name": "mean", "sigma": None, "half_width": None},
        ],
    },
)


def test_bands_are_columns():
    shown = answers.shown(NOISED)
    assert [(c.name, c.number, c.band) for c in shown.columns] == [
        ("region", False, None),
        ("people", True, "half"),
        ("mean", True, "ends"),
    ]
    assert shown.rows[0] == [("north",), ("120", "59", "61", "179"), ("1.50", "1.25", "1.75")]
    assert shown.rows[1][1] == ("-3", "59", "-62", "56")
    assert shown.rows[1][2] == ("–", "–", "–")


def test_exports_have_the_bands_beside_their_figures():
    rows = list(csv.reader(io.StringIO(answers.as_csv(NOISED).decode("utf-8-sig"))))
    assert rows[0] == ["region", "people", "people_low", "people_high", "mean", "mean_low", "mean_high"]
    assert rows[1] == ["north", "120", "61", "179", "1.50", "1.25", "1.75"]
    assert rows[2] == ["south", "-3", "-62", "56", "", "", ""]
    found = pa.ipc.open_file(answers.as_arrow(NOISED)).read_all()
    assert found.column_names == [
        "region",
        "people",
        "mean",
        "people_low",
        "people_high",
        "mean_low",
        "mean_high",
    ]
    assert found.column("people_low").to_pylist() == [61, -62]
    assert json.loads(answers.as_json(NOISED))["bands"]["rows"][0] == [61, 179, "1.25", "1.75"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1", '=HYPERLINK("http://x")']
)
def test_a_text_is_never_a_formula(text):
    made = answers.as_csv(answer(pa.table({text: [text]})))
    rows = list(csv.reader(io.StringIO(made.decode("utf-8-sig"), newline="")))
    for row in rows:
        assert row[0].startswith("'")
        assert row[0][1:] == text


def test_a_text_keeps_no_hidden_characters():
    made = answers.as_csv(answer(pa.table({"a": ["x\x1b[31m\u202ey\x00"]}))).decode("utf-8-sig")
    assert "\x1b" not in made
    assert "\u202e" not in made
    assert "\x00" not in made
    shown = answers.shown(answer(pa.table({"a": ["x\x1b[31m\u202ey"]})))
    assert shown.rows == [[("x\ufffd[31m\ufffdy",)]]


def test_negative_numbers_stay_numbers():
    made = answers.as_csv(answer(pa.table({"a": [-5, 2**60], "b": [-1.5, float("nan")]})))
    assert made.decode("utf-8-sig").splitlines()[1:] == ["-5,-1.5", "1152921504606846976,nan"]


def test_what_is_withheld_is_said():
    threshold = (("planes", "tailnum", "registry", 3),)
    assert "no rule demands it" in withheld_sentences(Withheld(False, ()), "en")[0]
    assert "not told of" in withheld_sentences(Withheld(None, threshold), "en")[0]
    said = withheld_sentences(Withheld(True, threshold, (("n", 1234),), True), "en")
    assert "would tell of one" in said[0]
    assert said[1] == "Together they have: n 1,234."
    for withheld in (Withheld(False, ()), Withheld(None, threshold), Withheld(True, threshold)):
        assert any("\u3040" < c < "\u30ff" for c in withheld_sentences(withheld, "ja")[0])


def test_noise_is_said():
    said = " ".join(noise_sentences(NOISED, "en"))
    for words in ("discrete Laplace", "100 units", "person", "95 %", "below 40"):
        assert words in said
    assert not noise_sentences(answer(pa.table({"a": [1]})), "en")
    assert "40 未満" in " ".join(noise_sentences(NOISED, "ja"))


def test_a_plot_and_its_words():
    spec: Any = plots.plot(NOISED)
    assert plots.summary(spec) == {
        "measure": "people", "by": "region", "bars": 2, "least": "-3", "most": "120", "banded": True
    }  # fmt: skip
    mean: Any = plots.plot(NOISED, "mean")
    assert mean["data"]["values"][0]["low"] == 1.25
    assert plots.plot(NOISED, "nothing") is None
    assert plots.plot(answer(pa.table({"a": ["x"]}))) is None
    assert plots.figures(NOISED) == ["people", "mean"]


def test_durations_and_sizes():
    assert [duration(s) for s in (-1, 0.0123, 0.96, 59.94, 121, 7_300)] == [
        "0 ms", "12 ms", "1.0 s", "59.9 s", "2 min 1 s", "2 h 1 min"
    ]  # fmt: skip
    assert [size(n) for n in (0, 999, 1_500, 123_456, 5e9, 5e12)] == [
        "0 B", "999 B", "1.5 kB", "123 kB", "5.0 GB", "5.0 TB"
    ]  # fmt: skip
