# SPDX-License-Identifier: Apache-2.0
"""One suite for every protection: its answer equals a plain DuckDB's on clear tables, or it says why not."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.japanese import in_japanese

from hitoku.disclosure.plan import plan
from hitoku.disclosure.release import release
from hitoku.errors import Refusal
from hitoku.executors import Local
from hitoku.ports import NoProgress, SystemClock
from hitoku.protections.base import Supported, Unsupported
from hitoku.protections.registry import PROTECTIONS, get
from hitoku.questions import check
from hitoku.room.agreement import ProtectionName

from .inside import protection_at
from .questions import QUESTIONS, Asked
from .world import World, world

VARIANTS = [("parquet", False), ("csv", False), ("parquet", True)]


class HostOnly:
    """Peers of a host that needs nobody else."""

    me = "host"

    def call(self, member: str, message: Any) -> dict[str, Any]:
        raise AssertionError("this protection should not call anybody")


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: f"{v[0]}{'-nulls-kept' if v[1] else ''}")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("world"), *request.param)


def plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        value = float(value)
    return f"{value:.9g}" if isinstance(value, float | int) and not isinstance(value, bool) else value


def counted(rows: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(plain(v) for v in row) for row in rows)


# Three parties in threads, and an engine for each owner and the receiver: a second a question.
ASKED = [
    pytest.param(name, asked, id=f"{asked.name}-{name}", marks=[pytest.mark.slow] if slow else [])
    for number, asked in enumerate(QUESTIONS)
    for name in PROTECTIONS
    for slow in [name is ProtectionName.SHARES and number != 2]
]


@pytest.mark.parametrize(("name", "asked"), ASKED)
def test_answers_are_equal(place: World, name: ProtectionName, asked: Asked) -> None:
    if asked.needs_nulls and not place.room.agreement.settings.preserve_nulls:
        with pytest.raises(Refusal) as caught:
            check(asked.sql, place.room, asked.asker)
        assert caught.value.code in {"NULLS_COUNTED", "UNIT_NULLS_COUNTED"}
        return
    question = check(asked.sql, place.room, asked.asker)
    protection = protection_at(name, place)
    verdict = protection.supports(question, place.room)
    if isinstance(verdict, Unsupported):
        assert verdict.reason
        return
    made = plan(question, place.room, ["shop"])
    cells = protection.run(question, made, HostOnly(), Local(), NoProgress())
    answer = release(
        cells,
        made,
        question,
        leakage=protection.leakage(question, place.room),
        protection=name.value,
        run="conformance",
        clock=SystemClock(),
    )
    got = [tuple(row.values()) for row in answer.table.to_pylist()]
    expected = place.clear.execute(asked.clear).fetchall()
    assert counted(got) == counted(expected)
    if question.ordered:
        assert [plain(row[1]) for row in got] == [plain(row[1]) for row in expected]


def test_shares_answer_most_questions(place: World) -> None:
    """Otherwise the suite would be passed by answering nothing."""
    answered = [a for a in QUESTIONS if a.needs_nulls <= place.room.agreement.settings.preserve_nulls]
    verdicts = [
        get(ProtectionName.SHARES).supports(check(a.sql, place.room, a.asker), place.room) for a in answered
    ]
    assert sum(isinstance(verdict, Supported) for verdict in verdicts) >= 18


@pytest.mark.parametrize("name", list(PROTECTIONS))
def test_every_protection_says_who_learns_what(place: World, name: ProtectionName) -> None:
    protection = get(name)
    question = check(QUESTIONS[0].sql, place.room, "shop")
    verdict = protection.supports(question, place.room)
    if isinstance(verdict, Unsupported):  # its own questions are in test_two_owners
        assert verdict.reason
        return
    assert isinstance(verdict, Supported)
    leakage = protection.leakage(question, place.room)
    assert {item.member for item in leakage.learned} >= {"host", "shop", "telco"}
    assert all(item.words and item.code.isupper() for item in leakage.learned)
    in_japanese(leakage.learned)


def test_the_suite_withholds_something(place: World) -> None:
    """Otherwise it would not notice a protection without thresholds."""
    question = check(QUESTIONS[2].sql, place.room, "shop")
    cells = get(ProtectionName.TOKENS, tables=place.files).run(
        question, plan(question, place.room, ["shop"]), HostOnly(), Local(), NoProgress()
    )
    assert all(
        cells.table.column(f"{threshold.alias}_rest")[0].as_py() > 0
        for threshold in plan(question, place.room, ["shop"]).thresholds
    )


def test_the_hosts_files_hold_no_phone_number(place: World) -> None:
    for file in place.files.values():
        assert b"+49 170" not in Path(file.path).read_bytes()
