# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo data`."""

from __future__ import annotations

import json


def test_it_says_what_it_wrote(hitoku, tmp_path):
    code, out, _ = hitoku("demo", "data", "--people", 1000, "--to", tmp_path / "people")
    assert code == 0
    assert "1,050 bookings of 1,000 people" in out
    assert "600 people are in both" in out
    assert sorted(p.name for p in (tmp_path / "people").iterdir()) == [
        "subscribers.parquet",
        "travellers.parquet",
    ]


def test_json_and_the_seed(hitoku, tmp_path):
    made = []
    for folder, seed in (("one", 3), ("two", 3), ("three", 4)):
        code, out, _ = hitoku(
            "demo", "data", "--people", 200, "--seed", seed, "--to", tmp_path / folder, "--json"
        )
        assert code == 0
        outcome = json.loads(out)
        assert (outcome["people"], outcome["both"], outcome["bookings"]) == (200, 120, 210)
        made.append((tmp_path / folder / "travellers.parquet").read_bytes())
        assert outcome["travellers"] == str(tmp_path / folder / "travellers.parquet")
    assert made[0] == made[1] != made[2]


def test_nothing_is_overwritten(hitoku, tmp_path):
    (tmp_path / "travellers.parquet").write_text("mine")
    code, _, err = hitoku("demo", "data", "--people", 10, "--to", tmp_path)
    assert code == 4
    assert "name another folder" in err
    code, _, err = hitoku("demo", "data", "--people", 10, "--to", tmp_path / "travellers.parquet" / "x")
    assert code == 4
    assert "cannot be made" in err
