# SPDX-License-Identifier: Apache-2.0
"""What a room says of releases holds for every protection: rounded counts, the summary of the withheld."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hitoku.disclosure.answer import Answer
from hitoku.disclosure.plan import plan
from hitoku.disclosure.release import release
from hitoku.executors import Local
from hitoku.ports import NoProgress, SystemClock
from hitoku.protections.base import Unsupported
from hitoku.protections.registry import PROTECTIONS
from hitoku.questions import check
from hitoku.room.agreement import ProtectionName, Release, Room

from .inside import protection_at
from .test_protections import HostOnly
from .world import World, world

BASE = 7
COUNTS = (
    "SELECT c.region, COUNT(c.spend) AS n, COUNT(c.spend) * 10 AS t, SUM(c.spend) AS s FROM "
    "customers c GROUP BY c.region"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("settings"), "parquet", True)


def answered(place: World, name: ProtectionName, settings: Release, sql: str) -> Answer | None:
    agreement = place.room.agreement.model_copy(update={"release": settings})
    there = replace(place, room=Room(agreement=agreement))
    question = check(sql, there.room, "shop")
    protection = protection_at(name, place)
    if isinstance(protection.supports(question, there.room), Unsupported):
        return None
    made = plan(question, there.room, ["shop"])
    cells = protection.run(question, made, HostOnly(), Local(), NoProgress())
    return release(
        cells,
        made,
        question,
        leakage=protection.leakage(question, there.room),
        protection=name.value,
        run="settings",
        clock=SystemClock(),
    )


@pytest.mark.parametrize("name", list(PROTECTIONS))
def test_counts_are_rounded_wherever_they_stand(place: World, name: ProtectionName) -> None:
    answer = answered(place, name, Release(round_counts=BASE), COUNTS)
    if answer is None:
        return
    exact = {
        region: (n, s)
        for region, n, s in place.clear.execute(
            "SELECT region, COUNT(spend), SUM(spend) FROM customers GROUP BY region"
        ).fetchall()
    }
    rows = answer.fetchall()
    assert rows
    assert any(n != exact[region][0] for region, n, _, _ in rows)
    for region, n, ten, s in rows:
        count, total = exact[region]
        assert n == (2 * count + BASE) // (2 * BASE) * BASE
        assert ten == 10 * n
        assert float(s) == pytest.approx(float(total))


@pytest.mark.parametrize("name", list(PROTECTIONS))
def test_the_withheld_are_told_together_where_they_are_enough(place: World, name: ProtectionName) -> None:
    sql = "SELECT c.joined, COUNT(c.spend) AS n FROM customers c GROUP BY c.joined"
    answer = answered(place, name, Release(summary=True), sql)
    if answer is None:
        return
    total = place.clear.execute("SELECT COUNT(spend) FROM customers").fetchall()[0][0]
    assert answer.withheld.some is True
    assert answer.withheld.summary
    assert dict(answer.withheld.summary)["n"] == total - sum(row[1] for row in answer.fetchall())
    silent = answered(place, name, Release(), sql)
    assert silent is not None
    assert silent.withheld.summary == ()
    assert Path(place.files["customers"].path).is_file()
