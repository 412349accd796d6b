# SPDX-License-Identifier: Apache-2.0
"""What tokens says of itself, and the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hitoku.disclosure.plan import plan
from hitoku.engine.tables import TableFile
from hitoku.errors import EngineError, InputError
from hitoku.executors import Local
from hitoku.ports import NoProgress
from hitoku.protections.base import Supported, TableStats, Unsupported
from hitoku.protections.registry import Absent, choices
from hitoku.protections.tokens import Tokens
from hitoku.questions import Question, check
from hitoku.room.agreement import Ability, Agreement, Member, ProtectionName, Room

ROOM = Path(__file__).parents[2] / "rules" / "room.yaml"
SQL = (
    "SELECT plan, COUNT(DISTINCT s.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.phone "
    "GROUP BY plan"
)


class Nobody:
    me = "host"

    def call(self, member: str, message: Any) -> dict[str, Any]:
        raise AssertionError(member)


@pytest.fixture(scope="module")
def room() -> Room:
    return Room(agreement=Agreement.model_validate(yaml.safe_load(ROOM.read_text("utf-8"))))


@pytest.fixture(scope="module")
def question(room: Room) -> Question:
    return check(SQL, room, "shop")


def changed(room: Room, **update: Any) -> Room:
    return Room(agreement=room.agreement.model_copy(update=update))


def test_supported_where_the_room_accepts_it_and_has_a_host(room: Room, question: Question) -> None:
    tokens = Tokens()
    assert tokens.supports(question, room) == Supported()
    without = changed(room, protections=(ProtectionName.SHARES,))
    assert isinstance(tokens.supports(question, without), Unsupported)
    members: tuple[Member, ...] = tuple(m for m in room.agreement.members if Ability.HOST not in m.abilities)
    assert isinstance(tokens.supports(question, changed(room, members=members)), Unsupported)


def test_leakage_names_columns_and_the_assumption(room: Room, question: Question) -> None:
    leakage = Tokens().leakage(question, room)
    host = {item.code: item for item in leakage.of("host")}
    assert "customers.phone" in host["EQUALITY_PATTERN"].words
    assert "columns of the same name" in host["EQUALITY_PATTERN"].words
    assert "collude" in (host["EQUALITY_PATTERN"].assumption or "")
    assert "customers.name_sealed" in host["LENGTHS"].words
    assert "subscribers.plan" in host["CLEARTEXT"].words
    assert host["CLEARTEXT"].assumption is None
    assert "NULLS" not in host
    assert {item.code for item in leakage.of("press")} == {"ANSWER", "QUESTION"}
    answer = next(item for item in leakage.of("shop") if item.code == "ANSWER")
    assert "50 of subscribers.phone" in answer.words
    kept = changed(
        room,
        settings=room.agreement.settings.model_copy(
            update={"preserve_nulls": True, "allow_joins_on_columns_with_different_names": True}
        ),
    )
    codes = {item.code: item for item in Tokens().leakage(question, kept).of("host")}
    assert "NULLS" in codes
    assert "share one key" in codes["EQUALITY_PATTERN"].words


def test_estimates_rest_on_public_sizes(question: Question) -> None:
    tokens = Tokens()
    assert tokens.estimate(question, TableStats()).seconds is None
    small = tokens.estimate(question, TableStats(rows={"customers": 10, "subscribers": 10})).seconds
    large = tokens.estimate(question, TableStats(rows={"customers": 10**8, "subscribers": 10})).seconds
    assert small is not None
    assert large is not None
    assert small < 1 < large


def test_a_host_without_a_file_says_which(room: Room, question: Question) -> None:
    with pytest.raises(InputError, match="table customers"):
        Tokens().run(question, plan(question, room, ["shop"]), Nobody(), Local(), NoProgress())


def test_an_absent_protection_supports_nothing(room: Room, question: Question) -> None:
    absent = Absent(ProtectionName.SHARES)
    assert isinstance(absent.supports(question, room), Unsupported)
    assert absent.leakage(question, room).learned == ()
    assert absent.estimate(question, TableStats()).seconds is None
    with pytest.raises(EngineError):
        absent.run(question, plan(question, room, ["shop"]), Nobody(), Local(), NoProgress())
    both = changed(room, protections=(ProtectionName.SHARES, ProtectionName.TOKENS))
    told = [(c.protection, c.supported) for c in choices(question, both)]
    assert told == [("shares", False), ("tokens", True)]


def test_a_prepared_engine_can_be_cancelled_and_closed(room: Room, question: Question) -> None:
    tokens = Tokens()
    tokens.prepare()
    tokens.cancel()
    tokens.close()


class Heard:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int | None]] = []
        self.done = 0

    def phase(self, name: str, total: int | None = None) -> None:
        self.phases.append((name, total))

    def advance(self, amount: int = 1) -> None:
        self.done += amount


def files(room: Room, folder: Path) -> dict[str, TableFile]:
    made: dict[str, TableFile] = {}
    for table in room.agreement.tables:
        path = folder / f"{table.name}.csv"
        path.write_text(",".join(c.name for c in table.columns) + "\n", "utf-8")
        made[table.name] = TableFile(path, "csv")
    return made


def test_a_run_tells_its_phases_and_percents(room: Room, question: Question, tmp_path: Path) -> None:
    heard = Heard()
    tokens = Tokens(files(room, tmp_path))
    tokens.run(question, plan(question, room, ["shop"]), Nobody(), Local(), heard)
    assert heard.phases == [("start engine", None), ("run on tokens", 100)]
    assert heard.done == 100


def test_a_cancelled_run_says_so_before_and_while_it_runs(
    room: Room, question: Question, tmp_path: Path
) -> None:
    made = plan(question, room, ["shop"])
    before = Tokens(files(room, tmp_path))
    before.cancel()
    with pytest.raises(EngineError) as caught:
        before.run(question, made, Nobody(), Local(), NoProgress())
    assert caught.value.code == "CANCELLED"

    during = Tokens(files(room, tmp_path))

    class Cancels(Heard):
        def phase(self, name: str, total: int | None = None) -> None:
            if total == 100:
                during.cancel()

    with pytest.raises(EngineError) as caught:
        during.run(question, made, Nobody(), Local(), Cancels())
    assert caught.value.code == "CANCELLED"
