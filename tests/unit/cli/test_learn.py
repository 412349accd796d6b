# SPDX-License-Identifier: Apache-2.0
"""`hitoku learn`: a plan from its first lines to the audit of its run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.unit.learning.learning_world import BANKS, SHORT, make_room, rows

from hitoku.room.ledger import EntryKind

SIGNERS = (*BANKS, "adder")


@pytest.fixture
def place(tmp_path):
    made = make_room(tmp_path)
    for seed, name in enumerate(BANKS):
        table = rows(seed, 300)
        content = np.column_stack([table.features, table.label])
        np.savetxt(
            tmp_path / name / "rows.csv", content,
            delimiter=",", header="x0,x1,x2,fraud", comments="", fmt="%.7g",
        )  # fmt: skip
    (tmp_path / "short.json").write_text(json.dumps(SHORT | {"aggregation": {"transcript": "full"}}))
    return made


@pytest.fixture
def signed(place, hitoku):
    """A plan that all have signed."""
    plan = place.path / "plan.json"
    code, _, err = hitoku("learn", "plan", place.path / "short.json", "--room", place.path, "--output", plan)
    assert code == 0, err
    for name in SIGNERS:
        code, _, err = hitoku(
            "learn", "plan", plan, "--room", place.path, "--member", place.path / name, "--sign"
        )
        assert code == 0, err
    return plan


def data(names=BANKS):
    return [part for name in names for part in ("--data", f"{name}=rows.csv")]


def test_a_plan_is_made_shown_and_signed(place, hitoku):
    short, plan = place.path / "short.json", place.path / "plan.json"
    code, out, _ = hitoku("learn", "plan", short, "--room", place.path)
    assert (code, "--output" in hitoku("learn", "plan", short, "--room", place.path)[2]) == (4, True)
    code, out, _ = hitoku("learn", "plan", short, "--room", place.path, "--output", plan)
    assert code == 0
    assert "Not signed yet: aki, benten, chiyo, daiwa, ebisu, adder." in out
    for words in ("fewer than 4 of the 5", "up to 2 members", "2^63", "The server (adder) learns", "a tree"):
        assert words in out
    code, out, _ = hitoku(
        "learn", "plan", plan, "--room", place.path, "--member", place.path / "aki", "--sign", "--json"
    )
    shown = json.loads(out)
    assert (code, shown["missing"]) == (0, [*BANKS[1:], "adder"])
    assert shown["colluding"] == 2
    code, _, err = hitoku("learn", "plan", short, "--room", place.path, "--output", plan)
    assert (code, "is there already" in err) == (4, True)


def test_a_stranger_does_not_sign(place, hitoku):
    plan = place.path / "plan.json"
    hitoku("learn", "plan", place.path / "short.json", "--room", place.path, "--output", plan)
    code, _, err = hitoku(
        "learn", "plan", plan, "--room", place.path, "--member", place.path / "host", "--sign"
    )
    assert code == 5
    assert "no part" in err


def test_nothing_runs_without_all_signatures(place, hitoku):
    plan = place.path / "plan.json"
    hitoku("learn", "plan", place.path / "short.json", "--room", place.path, "--output", plan)
    code, _, err = hitoku("learn", "run", plan, "--room", place.path, "--out", place.path / "run", *data())
    assert code == 5
    assert "no signature of aki" in err
    assert not (place.path / "run").exists()
    records = place.members["aki"].records(str(place.agreement.id), None)
    assert not list(records.ledger.entries(kind=EntryKind.LEARNING))


def test_a_run_its_audit_and_scores(place, hitoku, signed):
    run = place.path / "run"
    code, out, err = hitoku("learn", "run", signed, "--room", place.path, "--out", run, *data(), "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["delivered"] == list(BANKS)
    assert report["steps"] == 4

    banks = [place.path / name / "learning" / report["run"] for name in BANKS]
    code, out, _ = hitoku("learn", "audit", run, *[p for bank in banks for p in ("--bank", bank)])
    assert code == 0
    assert "Everything holds." in out
    assert "grows from the opened sums alone" in out

    for name in SIGNERS:
        records = place.members[name].records(str(place.agreement.id), None)
        entries = [entry.body for entry in records.ledger.entries(kind=EntryKind.LEARNING)]
        assert [entry["state"] for entry in entries] == ["begun", "ended"]
        assert entries[1]["model"] == report["model"]

    code, out, err = hitoku(
        "learn", "score", run / "model.json", "--data", place.path / "aki" / "rows.csv",
        "--output", place.path / "scores.csv", "--json",
    )  # fmt: skip
    assert (code, json.loads(out)["rows"]) == (0, 300), err
    scores = np.loadtxt(place.path / "scores.csv", skiprows=1)
    labels = rows(0, 300).label
    assert scores[labels == 1].mean() > scores[labels == 0].mean() + 0.1

    model = run / "model.json"
    model.write_bytes(model.read_bytes() + b" ")
    code, out, _ = hitoku("learn", "audit", run, "--json")
    assert (code, json.loads(out)["holds"]) == (1, False)

    code, _, err = hitoku("learn", "run", signed, "--room", place.path, "--out", place.path / "2", *data())
    assert (code, "run before" in err) == (3, True)


def test_a_bank_whose_data_is_not_named(place, hitoku, signed):
    code, _, err = hitoku(
        "learn", "run", signed, "--room", place.path, "--out", place.path / "run", *data(BANKS[:4])
    )
    assert (code, "for each member" in err) == (4, True)


def test_scores_need_the_models_columns(place, hitoku, signed):
    run = place.path / "run"
    assert hitoku("learn", "run", signed, "--room", place.path, "--out", run, *data())[0] == 0
    (place.path / "other.csv").write_text("x0,x2\n1,2\n")
    code, _, err = hitoku(
        "learn", "score", run / "model.json", "--data", place.path / "other.csv", "--output", place.path / "s"
    )
    assert (code, "needs the columns x1" in err) == (4, True)


def test_what_is_no_run_is_said(hitoku, tmp_path):
    code, _, err = hitoku("learn", "audit", tmp_path)
    assert (code, "no folder of a learning run" in err) == (4, True)


def test_alone_joint_pooled_and_ensemble(place, hitoku, signed):
    full = [p for name in BANKS for p in ("--data", f"{name}={place.path / name / 'rows.csv'}")]
    code, out, err = hitoku("learn", "evaluate", signed, *full, "--json")
    assert code == 0, err
    assert out.count("\n") == 1
    text = json.dumps(json.loads(out))
    for form in ("alone", "joint", "pooled", "ensemble"):
        assert form in text
    code, out, err = hitoku("learn", "evaluate", signed, *full, "--output", place.path / "report")
    assert code == 0, err
    assert "ensemble" in out
    assert list((place.path / "report").iterdir())
    code, _, err = hitoku("learn", "evaluate", signed, *full[:4])
    assert (code, "for each member" in err) == (4, True)
