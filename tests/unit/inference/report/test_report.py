# SPDX-License-Identifier: Apache-2.0
"""The report: stable keys, budgets, a page that nothing can break out of."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from tests.unit.inference.circuits import SLOTS, inputs, network, parameters
from tests.unit.inference.interpreters.test_cost import Fake

from hitoku.inference.circuit import Builder, CircuitError
from hitoku.inference.costs import Costs
from hitoku.inference.interpreters import ranges
from hitoku.inference.report import Candidate, Choice, Report, of, report
from hitoku.inference.report.picture import picture

NAME = 'digits <script>alert("x")</script>'


@pytest.fixture
def made(tmp_path: Path) -> Report:
    program = network().with_releases({"scores": network().releases()["scores"]})
    seen = ranges.observed(program, inputs(program), SLOTS)
    lost = [Candidate(8192, [40, 30], 41, "takes <twice> as long", 2.5)]
    choice = Choice("the precision of scores", lost, ["27 bits do"])
    return report(
        program,
        parameters(),
        name=NAME,
        tolerance=0.1,
        seen=seen,
        samples=SLOTS,
        threads=1,
        costs=Costs(tmp_path / "c.json", Fake()),
        choice=choice,
        client_learns=["The bins of 3 features."],
        notes=["A square instead of ReLU costs 0.2 % of accuracy."],
    )


def test_keys_are_stable(made: Report):
    data = made.to_dict()
    assert set(data) == {
        "form",
        "name",
        "circuit",
        "nodes",
        "parameters",
        "ranges",
        "precision",
        "release",
        "cost",
        "machine",
        "learns",
        "notes",
    }
    assert data["form"] == 1
    assert set(data["cost"]) == {
        "threads",
        "samples",
        "server_ms",
        "rehearsed",
        "added_ms",
        "wall_ms",
        "cpu_ms",
        "sample_ms",
        "receive_ms",
        "send_ms",
        "client_encrypt_ms",
        "client_decrypt_ms",
        "bytes",
        "steps",
    }
    assert set(data["precision"]["scores"]) == {
        "largest",
        "typical_error",
        "worst_error",
        "bits",
        "worst_bits",
        "tolerance",
    }
    assert set(data["nodes"][0]) >= {
        "index",
        "op",
        "scale_bits",
        "low",
        "seen_high",
        "used_bits",
        "worst_error",
    }


def test_what_it_says_is_so(made: Report):
    data = made.to_dict()
    assert data["circuit"]["depth"] == {"products": 1, "all_products": 1, "levels": 1}
    assert data["parameters"]["total_bits"] < data["parameters"]["limit_bits"] == 109
    assert data["parameters"]["candidates"][0]["lost"] == "takes <twice> as long"
    assert data["ranges"]["kind"] == "proved"
    assert data["ranges"]["fits"]
    assert data["precision"]["scores"]["bits"] > 5
    cost = data["cost"]
    assert cost["sample_ms"] == pytest.approx(cost["server_ms"] / SLOTS)
    assert not cost["rehearsed"]
    assert cost["server_ms"] == cost["added_ms"]
    assert cost["added_ms"] == pytest.approx(cost["receive_ms"] + cost["wall_ms"] + cost["send_ms"])
    assert sum(s["wall_ms"] for s in data["cost"]["steps"]) == pytest.approx(data["cost"]["wall_ms"])
    assert any("bins" in sentence for sentence in data["learns"]["client"])
    assert any("no proof" in s or "proves nothing" in s for s in data["learns"]["client"])
    assert any("No input" in sentence for sentence in data["learns"]["server"])


def test_json_comes_back(made: Report):
    assert Report.from_json(made.to_json()).to_dict() == json.loads(made.to_json())


def test_budgets_name_all_that_is_over(made: Report):
    made.assert_budget(ms=1e9, sample_ms=1e9, mb=1e6, key_mb=1e6, up_mb=1e6, bits=1.0)
    with pytest.raises(CircuitError) as refused:
        made.assert_budget(ms=0.001, mb=0.001, bits=60.0)
    assert refused.value.code == "BUDGET"
    assert "a run takes" in str(refused.value)
    assert "memory takes" in str(refused.value)
    assert "60.0 are asked" in str(refused.value)
    assert "keys take" not in str(refused.value)


def test_ranges_that_may_overflow_are_observed_or_refused(tmp_path: Path):
    b = Builder(SLOTS)
    x = b.input("x", count=1, scale=2.0**20, level=1, bound=2.0**30)
    b.output("y", b.negate(x), flood_bits=0)
    program = b.build()
    costs = Costs(tmp_path / "c.json", Fake())
    refused = report(program, parameters(), costs=costs)
    assert not refused.data["ranges"]["fits"]
    with pytest.raises(CircuitError, match="bits are missing"):
        refused.refuse_overflow()
    small = ranges.observed(program, {"x": np.ones((1, SLOTS))}, 7)
    observed = report(program, parameters(), costs=costs, seen=small)
    assert observed.data["ranges"]["kind"] == "observed"
    assert observed.data["ranges"]["samples"] == 7
    observed.refuse_overflow()


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [name for name, _ in attrs if name in ("src", "href", "onload", "onclick")]


def test_the_page_is_complete_and_escaped(made: Report):
    page = made.to_html()
    seen = Seen()
    seen.feed(page)
    assert "script" not in seen.tags
    assert "svg" in seen.tags
    assert not seen.fetched
    assert "takes &lt;twice&gt; as long" in page
    assert "$" not in page


def test_the_picture_is_well_formed_and_bounded(made: Report, tmp_path: Path):
    root = ElementTree.fromstring(picture(made.data))
    texts = "".join(root.itertext())
    assert "relinearise" in texts
    b = Builder(SLOTS)
    x = b.input("x", count=1, scale=2.0**20, level=1)
    for _ in range(100):
        x = b.rotate(x, 1)
    b.output("y", x, flood_bits=0)
    long = report(b.build(), parameters(), costs=Costs(tmp_path / "e.json", Fake()), threads=1)
    assert "more calls" in "".join(ElementTree.fromstring(picture(long.data)).itertext())


def test_the_terminal_shows_names_as_they_are(made: Report):
    console = Console(width=120, record=True, file=io.StringIO())
    made.print(console)
    text = console.export_text()
    assert NAME in text
    assert "What the client learns" in text
    assert "second/relinearise" in text
    assert "Parameters that lost" in text
    assert "27 bits do" in text


def test_a_plan_is_reported(made: Report, tmp_path: Path):
    class Encoder:
        samples = 7
        learns = ("The bins.",)

    class Scores:
        largest = 1e6

    class Client:
        encoder, scores = Encoder(), Scores()

    class Plan:
        name, tolerance, why, notes, samples = "m", 0.1, ("because",), ("a note",), 3
        program, params, client = network(), parameters(), Client()

        def ranges(self) -> ranges.Ranges:
            return ranges.observed(self.program, inputs(self.program), 3)

    data = of(Plan(), costs=Costs(tmp_path / "d.json", Fake()), name="other").to_dict()
    assert (data["name"], data["cost"]["samples"], data["notes"]) == ("other", 7, ["a note"])
    assert data["parameters"]["reasons"] == ["because"]
    assert "The bins." in data["learns"]["client"]
    assert data["nodes"][0]["seen_high"] is not None
    # The bounds are a proof, so that no margin is needed.
    assert data["ranges"]["kind"] == "proved"
