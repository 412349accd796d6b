# SPDX-License-Identifier: Apache-2.0
"""A node's clock is two hours off: it is said, nothing is charged, and nothing is lost when it is set."""

from __future__ import annotations

import pytest
from tests.e2e.nodes import Nodes
from tests.e2e.releases import released
from tests.e2e.test_load import cost
from tests.e2e.test_upgrade import NOISED, USERS, looked, noised_place

from hitoku.errors import Refusal
from hitoku.node.remote import open_remote_room

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("member", "hours"), [("registry", 2), ("registry", -2), ("host", 2), ("host", -2)])
def test_what_is_refused_for_a_clock_is_not_charged(tmp_path, member, hours):
    place = noised_place(tmp_path / "place")
    skewed = released(tmp_path / "skewed")
    skewed.change(
        "ports.py", "return datetime.now(UTC)", f"return datetime.now(UTC) + timedelta(hours={hours})"
    )
    skewed.change(
        "ports.py", "from datetime import UTC, datetime", "from datetime import UTC, datetime, timedelta"
    )
    nodes = Nodes(place)
    try:
        nodes.start(*(name for name in place.members if name != member))
        nodes.more = skewed.environment
        nodes.start(member)
        room = open_remote_room(place.members["airport"].path)
        for _ in range(2):
            with pytest.raises(Refusal) as caught:
                room.ask(NOISED)
            assert caught.value.code == "CONSENT_EXPIRED"
        (told,) = (one for one in room.status() if one["member"] == member)
        assert abs(told["clock_seconds"] - 3600 * hours) < 60
        assert "Set both clocks" in told["problem"]
        seen = looked(None, place.path)
        assert seen["registry"]["accounts"] == {"tails": [0, 0]}
        nodes.stop(member)
        nodes.more = {}
        nodes.start(member)
        answer = room.ask(NOISED)
        assert room.ask(NOISED).run == answer.run
    finally:
        nodes.end()
    seen = looked(None, place.path)
    assert seen["registry"]["accounts"] == {"tails": [1, cost(USERS)]}
    assert {run for run, kinds in seen["registry"]["entries"].items() if kinds.get("charge")} == {answer.run}
