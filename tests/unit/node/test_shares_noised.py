# SPDX-License-Identifier: Apache-2.0
"""A noised question by three servers, with everything real: the answer, its band, what ledgers charge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.sharing import JOIN, World, agreement_data, make

from hitoku.disclosure.plan import plan
from hitoku.questions import check
from hitoku.room.ledger import EntryKind

SQL = f"SELECT s.plan, COUNT(*) AS people, SUM(c.spend) AS spend {JOIN} GROUP BY s.plan"
PLANS = ["basic", "family", "few", "none"]
CLEAR = {
    "basic": (40, 1180),
    "family": (30, 300 + sum(range(40, 70))),
    "few": (2, 20 + 70 + 71),
    "none": (0, 0),
}


def protected(**more: Any) -> dict[str, Any]:
    return {
        "type": "custom",
        "allowedAnalyses": ["ANY_QUERY"],
        "allowedAnalysisProviders": ["shop"],
        "differentialPrivacy": {"columns": [{"name": "phone"}], "unit": "person", **more},
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    data = agreement_data(
        budgets=[{"owner": name, "unit": "person", "epsilon": 20} for name in ("shop", "telco")]
    )
    customers, subscribers = data["tables"]
    customers["rule"] = protected(bounds=[{"columnName": "spend", "lower": 0, "upper": 100}])
    subscribers["rule"] = protected(publicValues=[{"columnName": "plan", "values": PLANS}])
    return make(tmp_path_factory.mktemp("noised"), data)


@pytest.mark.slow
def test_a_noised_question_is_answered_and_charged(world: World) -> None:
    answer = world.handle().ask(SQL)
    got = {row[0]: row[1:] for row in answer.fetchall()}
    assert set(got) == set(PLANS)
    assert answer.noise is not None
    assert answer.noise["mechanism"] == "three discrete Gaussian"
    assert answer.noise["threshold"] is None
    assert answer.bands is not None
    assert answer.bands.num_rows == len(PLANS)
    # 30 persons' weight is two servers' noise; twenty deviations of all three are never reached.
    scales = (30, 3000)
    for name, exact in CLEAR.items():
        for value, true, scale in zip(got[name], exact, scales, strict=True):
            assert abs(value - true) < 20 * 1.3 * scale
    assert any(got[name] != exact for name, exact in CLEAR.items())
    told = plan(check(SQL, world.room, "shop"), world.room, ["shop"], by_servers=True)
    assert answer.noise["users_noise"] == 30
    for owner in ("shop", "telco"):
        charged = [e for e in world.entries(owner, EntryKind.CHARGE) if e["run"] == answer.run]
        assert charged
        (charge,) = [c for c in told.charges if c.owner == owner]
        assert str(charge.rho) in str(charged)


@pytest.mark.slow
def test_all_receivers_have_the_same_noise_and_asking_again_gives_other(world: World) -> None:
    first = world.handle().ask(SQL, receivers=["shop", "telco"])
    file = world.members["telco"].path / "answers" / f"{first.run}.json"
    theirs = json.loads(file.read_text())
    mine = json.loads(json.dumps(first.to_dict()))
    for name in ("ledger", "budget"):
        mine.pop(name), theirs.pop(name)
    assert theirs == mine
    assert world.stays() == []
    second = world.handle().ask(SQL)
    assert first.fetchall() != second.fetchall()


def test_explain_tells_of_the_noise(world: World) -> None:
    data = world.handle().explain(SQL).to_dict()
    (choice,) = data["protections"]
    assert choice["supported"]
    assert any("noise" in line for line in choice["plan"])
    assert any(item["code"] == "NOISE" for item in choice["learned"])
