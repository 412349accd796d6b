# SPDX-License-Identifier: Apache-2.0
"""Noise by every protection: the answer is plain DuckDB's, plus exactly the noise that the test injects."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hitoku.disclosure.answer import Answer
from hitoku.disclosure.plan import DisclosurePlan, plan
from hitoku.disclosure.release import release
from hitoku.executors import Local
from hitoku.ports import NoProgress, SystemClock
from hitoku.protections.base import Unsupported
from hitoku.protections.registry import PROTECTIONS
from hitoku.questions import check
from hitoku.room.agreement import ProtectionName

from .inside import Three, protection_at
from .test_protections import HostOnly, counted
from .world import World, world

NOISE = 1_000
"""What every figure gets here, in its own units: cents for a column with two decimals."""


@dataclass(frozen=True)
class Noised:
    """A question, and the same on clear tables with the noise written into it."""

    name: str
    sql: str
    clear: str


QUESTIONS = [
    Noised(
        "groups",
        (
            "SELECT region, COUNT(*) AS n, COUNT(DISTINCT phone) AS u, COUNT(age) AS c, "
            "SUM(spend) AS s, SUM(age) AS a FROM visits GROUP BY region"
        ),
        (
            "SELECT region, COUNT(*) + 1000, COUNT(DISTINCT phone) + 1000, COUNT(age) + "
            "1000, SUM(spend) + 10.00, SUM(age) + 1000 FROM visits GROUP BY region HAVING "
            "COUNT(DISTINCT phone) >= 6"
        ),
    ),
    Noised(
        "one group",
        "SELECT COUNT(*) AS n, AVG(age) AS m, SUM(spend) / COUNT(*) AS q FROM visits WHERE age > 20",
        (
            "SELECT COUNT(*) + 1000, (SUM(age) + 1000) / (COUNT(age) + 1000), (SUM(spend) + "
            "10.00) / (COUNT(*) + 1000) FROM visits WHERE age > 20"
        ),
    ),
    Noised(
        "join",
        (
            "SELECT c.plan, v.region, COUNT(*) AS n, COUNT(DISTINCT v.phone) AS u, "
            "SUM(c.minutes) AS m FROM visits v JOIN calls c ON v.phone = c.phone GROUP BY "
            "c.plan, v.region"
        ),
        (
            "SELECT c.plan, v.region, COUNT(*) + 1000, COUNT(DISTINCT v.phone) + 1000, "
            "SUM(c.minutes) + 1000 FROM visits v JOIN calls c ON v.phone = c.phone GROUP BY "
            "c.plan, v.region HAVING COUNT(DISTINCT v.phone) >= 6"
        ),
    ),
    Noised(
        "after the noise",
        (
            "SELECT region, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS r FROM "
            "visits GROUP BY region HAVING COUNT(*) > 1020 ORDER BY n DESC, region LIMIT 2"
        ),
        (
            "SELECT * FROM (SELECT region, COUNT(*) + 1000 AS n, RANK() OVER (ORDER BY "
            "COUNT(*) DESC) FROM visits GROUP BY region HAVING COUNT(*) > 20 AND "
            "COUNT(DISTINCT phone) >= 6) ORDER BY n DESC, region LIMIT 2"
        ),
    ),
    Noised(
        "branches",
        (
            "SELECT region, COUNT(*) AS n FROM visits GROUP BY region UNION ALL SELECT "
            "'all', COUNT(*) FROM visits"
        ),
        (
            "SELECT region, COUNT(*) + 1000 FROM visits GROUP BY region HAVING "
            "COUNT(DISTINCT phone) >= 6 UNION ALL SELECT 'all', COUNT(*) + 1000 FROM visits"
        ),
    ),
]


class Injected:
    """Draws that are all the same."""

    def __init__(self, noise: int = NOISE) -> None:
        self._noise = noise

    def take(self, scale: int, count: int) -> array[int]:
        assert scale > 0
        return array("q", [self._noise] * count)


ADDENDS = (NOISE + 17, -50, 33)
"""What each of three servers adds."""


@pytest.fixture(scope="module", params=["parquet", "csv"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("noise"), request.param, False)


def answered(place: World, name: ProtectionName, asked: Noised) -> tuple[Answer, DisclosurePlan] | None:
    question = check(asked.sql, place.room, "shop")
    protection = protection_at(name, place)
    verdict = protection.supports(question, place.room)
    if isinstance(verdict, Unsupported):
        assert verdict.reason
        return None
    if isinstance(protection, Three):
        protection.draws = lambda index: Injected(ADDENDS[index])
    made = plan(question, place.room, ["shop"], by_servers=protection.shared)
    assert made.noise is not None
    # So that 120 people pass: what the threshold is has its own tests.
    low = replace(
        made.noise, parts=tuple(replace(p, threshold=p.threshold and 100) for p in made.noise.parts)
    )
    made = replace(made, noise=low)
    cells = protection.run(question, made, HostOnly(), Local(), NoProgress())
    answer = release(
        cells,
        made,
        question,
        leakage=protection.leakage(question, place.room),
        protection=name.value,
        run="conformance",
        clock=SystemClock(),
        draws=Injected(),  # type: ignore[arg-type]
    )
    return answer, made


# Three parties in threads, and an engine for each owner and the receiver: a second a question.
ASKED = [
    pytest.param(name, asked, id=f"{asked.name}-{name}", marks=[pytest.mark.slow] if slow else [])
    for asked in QUESTIONS
    for name in PROTECTIONS
    for slow in [name is ProtectionName.SHARES and asked.name != "groups"]
]


@pytest.mark.parametrize(("name", "asked"), ASKED)
def test_the_answer_is_the_clear_one_plus_the_injected_noise(
    place: World, name: ProtectionName, asked: Noised
) -> None:
    made = answered(place, name, asked)
    if made is None:
        return
    answer, _ = made
    got = [tuple(row.values()) for row in answer.table.to_pylist()]
    expected = place.clear.execute(asked.clear).fetchall()
    assert expected
    assert counted(got) == counted(expected)


@pytest.mark.parametrize("name", list(PROTECTIONS))
def test_the_answer_tells_of_its_noise_and_of_nothing_withheld(place: World, name: ProtectionName) -> None:
    made = answered(place, name, QUESTIONS[0])
    if made is None:
        return
    answer, used = made
    assert answer.noise is not None
    assert answer.noise["users_noise"] == 30
    assert answer.withheld.some is False
    assert {charge.owner for charge in used.charges} == {"shop"}
    assert answer.bands.num_rows == answer.num_rows
    again = Answer.from_message(answer.to_message(), "host")
    assert again.bands.equals(answer.bands)
    assert again.noise == answer.noise
    assert again.digest == answer.digest
    assert Path(place.files["visits"].path).is_file()
