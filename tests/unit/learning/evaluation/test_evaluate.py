# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hitoku.errors import InputError
from hitoku.learning.base import Rows
from hitoku.learning.evaluation import Report, evaluate
from hitoku.learning.evaluation.evaluate import pool
from hitoku.learning.evaluation.plots import auprc_chart, curves_chart, svg
from hitoku.learning.evaluation.report import ALL, Against
from hitoku.learning.plan import Boosting, Counter, Cuts, Data, Feature, Plan

BANKS = ("a", "b", "c")
DAY = 86_400


def plan_of() -> Plan:
    data = Data(
        features=(Feature(name="x"), Feature(name="y"), Feature(name="z")),
        label="fraud",
        time="time",
        card="card",
        counters=(Counter(column="t", entities=20, windows=(7,), delay=2),),
        cuts=Cuts(train=0, holdout=50 * DAY, test=70 * DAY, end=100 * DAY),
        rows=10_000,
    )
    return Plan(
        name="small",
        room="0" * 8 + "-0000-0000-0000-" + "0" * 12,
        agreement="",
        members=BANKS,
        server="s",
        data=data,
        model=Boosting(trees=12, depth=3, bins=16, rate=0.3),
        salt="0" * 64,
    )


def rows_of(place: int, count: int = 1500) -> Rows:
    """Bank k meets frauds of high values in column k; everybody's tests have some of all kinds."""
    draw = np.random.default_rng(place)
    day = np.sort(draw.integers(0, 100, count)).astype(np.int32)
    part = np.searchsorted([50, 70], day, side="right").astype(np.uint8)
    features = draw.normal(size=(count, 3)).astype(np.float32)
    label = (features[:, place] > 1.6).astype(np.uint8)
    for other in {0, 1, 2} - {place}:
        features[part < 2, other] = features[part < 2, other].clip(max=1.5)
        label |= (features[:, other] > 1.6).astype(np.uint8)
    entities = {"t": draw.integers(0, 20, count), "card": draw.integers(0, 90, count) * 3 + place}
    return Rows(features, label, part, day, entities)


@pytest.fixture(scope="module")
def report() -> Report:
    rows = {name: rows_of(place) for place, name in enumerate(BANKS)}
    return evaluate(plan_of(), rows, resamples=50)


def test_joint_is_pooled_and_better_than_alone_where_banks_meet_other_frauds(report: Report) -> None:
    joint, pooled = report.of("joint", ALL), report.of("pooled", ALL)
    assert joint.auprc == pooled.auprc
    assert joint.low < joint.auprc < joint.high
    assert joint.auprc > report.mean("alone", "all", "auprc") + 0.1
    assert joint.recall_at_50 > report.mean("alone", "all", "recall_at_50")
    assert joint.card_precision is not None


def test_every_model_is_on_every_set_of_rows_it_should_be(report: Report) -> None:
    for name in BANKS:
        own = report.of("alone", name, name)
        assert own.rows == report.of("joint", name).rows
        assert report.of("alone", ALL, name).rows == sum(report.of("pooled", b).rows for b in BANKS)
    assert len(report.entries) == 3 * 2 + 4 + 4 + 3 * 2
    assert [(a.form, a.bank) for a in report.against] == [
        (f, b) for f in ("joint", "ensemble") for b in BANKS
    ]
    assert set(report.seconds) == {"alone", "joint", "pooled", "ensemble"}
    assert set(report.blends) == set(BANKS)


def test_the_report_is_json_text_and_plots(report: Report, tmp_path: Path) -> None:
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["means"]["all"]["joint"]["auprc"] == report.of("joint", ALL).auprc
    assert data["no_bank_worse"] == {"joint": True, "ensemble": True}
    text = report.to_text()
    assert "joint: no bank worse" in text
    assert all(name in text for name in BANKS)
    assert {row["form"] for row in auprc_chart(report)["data"]["values"]} == {
        "alone",
        "joint",
        "pooled",
        "ensemble",
    }
    assert all(0 <= row["recall"] <= 1 for row in curves_chart(report)["data"]["values"])
    pytest.importorskip("vl_convert")
    written = report.save(tmp_path)
    assert [p.name for p in written] == ["report.json", "report.txt", "auprc.svg", "curves.svg"]
    assert svg(auprc_chart(report)).startswith("<svg")
    assert "#1f3a5f" in (tmp_path / "auprc.svg").read_text()


def test_worse_is_said() -> None:
    made = Report("n", "0", "boosting", ("a", "b"))
    made.against = [Against("ensemble", "a", -0.1, -0.2, -0.01), Against("ensemble", "b", -0.01, -0.1, 0.1)]
    assert made.worse == {"ensemble": ["a"]}
    assert "ensemble: worse than alone beyond chance (95 %): a" in made.no_bank_worse()
    made.against = made.against[1:]
    assert "no bank worse beyond chance (95 %); AUPRC lower at b" in made.no_bank_worse()
    made.against = [Against("ensemble", "b", 0.0, 0.0, 0.0)]
    assert made.no_bank_worse() == "ensemble: no bank worse than alone"
    assert math.isnan(made.mean("joint", "all", "auprc"))


def test_what_cannot_be_compared_is_said() -> None:
    rows = {name: rows_of(place, 200) for place, name in enumerate(BANKS)}
    with pytest.raises(InputError, match="alone and joint"):
        evaluate(plan_of(), rows, forms=("pooled", "ensemble"))
    one = rows["b"]
    untrained = {**rows, "b": Rows(one.features, one.label, np.full_like(one.part, 2), one.day, one.entities)}
    with pytest.raises(InputError, match="b has no rows in the training part"):
        evaluate(plan_of(), untrained)
    untested = {
        name: Rows(r.features, r.label, np.zeros_like(r.part), r.day, r.entities) for name, r in rows.items()
    }
    with pytest.raises(InputError, match="no bank has test rows"):
        evaluate(plan_of(), untested)


def test_pooled_rows_are_all_rows() -> None:
    rows = {name: rows_of(place, 50) for place, name in enumerate(BANKS)}
    whole = pool(rows)
    assert len(whole.label) == 150
    assert (whole.entities["card"][50:100] == rows["b"].entities["card"]).all()
