# SPDX-License-Identifier: Apache-2.0
"""Previews, the knobs and `hitoku room budgets` on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from tests.attacks.budget_world import JOINED, NOISED, noised
from tests.conftest import fill

from hitoku.ports import SystemClock


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    """No day ends while questions of it are counted."""
    now = datetime.now(UTC)
    off = now.replace(hour=12) - now
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + off)


@pytest.fixture
def path(make):
    def limited(data):
        data["tables"][1]["access_budgets"] = [{"type": "CALENDAR_DAY", "budget": 5}]

    return fill(make(noised(limited))).path


def test_a_preview_asks_nothing(hitoku, path):
    code, out, err = hitoku("ask", JOINED, "--preview", "--room", path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Noise of 10 units' contributions."
    assert lines[1].startswith("airport's account for tail: costs epsilon 0.4")
    assert lines[1].endswith("0.0000 of 5 are spent; about 88 such questions remain.")
    assert lines[3] == "registry allows 5 more questions of planes (CALENDAR_DAY)."
    assert hitoku("ask", JOINED, "--preview", "--room", path)[1] == out
    assert hitoku("ask", NOISED, "--room", path, "--users-noise", "50", "--csv")[0] == 0
    code, out, _ = hitoku("ask", NOISED, "--preview", "--room", path, "--users-noise", "50")
    assert "at no cost" in out
    code, out, _ = hitoku("ask", NOISED, "--preview", "--room", path, "--epsilon", "0.2", "--json")
    data = json.loads(out)
    assert data["answered"] is None
    assert float(data["accounts"][0]["cost"]) <= 0.2
    assert data["accounts"][0]["questions"] > 400


def test_the_knobs_are_checked(hitoku, path):
    assert hitoku("ask", NOISED, "--room", path, "--users-noise", "50", "--epsilon", "1")[0] == 4
    assert hitoku("ask", NOISED, "--room", path, "--users-noise", "5")[0] == 4
    assert hitoku("ask", NOISED, "--room", path, "--epsilon", "much")[0] == 4


def test_what_is_spent(hitoku, path):
    hitoku("ask", NOISED, "--room", path, "--csv")
    hitoku("ask", NOISED, "--room", path, "--csv")
    code, out, _ = hitoku("room", "budgets", path, "--as", "registry")
    assert code == 0
    assert out.splitlines()[0].startswith("registry's account for tail: epsilon 0.4")
    assert "by 1 questions; 98 % of what can be spent is left" in out
    assert "registry's table planes: 3 of 5 questions left (CALENDAR_DAY of " in out
    code, out, _ = hitoku("room", "budgets", path, "--json")
    data = json.loads(out)
    assert [(a["owner"], a["charges"]) for a in data["accounts"]] == [("airport", 0), ("registry", 1)]
    assert data["accounts"][1]["spent"]["rho"] == "0.005"
    assert hitoku("room", "budgets", path, "--as", "nobody")[0] == 5
