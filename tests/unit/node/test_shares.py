# SPDX-License-Identifier: Apache-2.0
"""A node's part in runs on shares: owners, three servers, receivers; what stays; what each ledger says."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.sharing import CLEAR, JOIN, SQL, World, agreement_data, make, tables

from hitoku import limits
from hitoku.ask.server import Server
from hitoku.errors import HitokuError, InputError, Refusal
from hitoku.node.listening import Listening
from hitoku.node.settings import NodeSettings, SharesSettings
from hitoku.room.ledger import EntryKind
from hitoku.room.parts import parts_digest
from hitoku.room.runs import RunState

SECONDS = 120


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make(tmp_path_factory.mktemp("world"))


def rows(answer: Any) -> dict[str, tuple[int, ...]]:
    return {row[0]: tuple(row[1:]) for row in answer.fetchall()}


def able(**abilities: list[str]) -> list[dict[str, Any]]:
    usual = {m["name"]: m["abilities"] for m in agreement_data()["members"]}
    return [{"name": name, "abilities": abilities.get(name, usual[name])} for name in usual]


def test_a_question_of_two_owners_is_answered(world: World) -> None:
    answer = world.handle().ask(SQL)
    assert rows(answer) == CLEAR
    assert answer.protection == "shares"
    assert answer.attestation is None
    assert answer.withheld.some is None
    assert {item.member for item in answer.leakage.learned} == {"shop", "telco", "lab"}
    assert world.stays() == []


@pytest.mark.slow
def test_a_question_of_one_owner_needs_that_owner_alone(world: World) -> None:
    answer = world.handle().ask(
        "SELECT s.plan, COUNT(DISTINCT s.phone) AS n FROM subscribers s GROUP BY s.plan"
    )
    assert rows(answer) == {"basic": (40,), "family": (30,)}
    run = answer.run
    assert any(e["run"] == run for e in world.entries("telco", EntryKind.CHARGE, EntryKind.RELEASE))
    assert not any(
        e.get("run") == run and e.get("role") == "owner" for e in world.entries("shop", *EntryKind)
    )


@pytest.mark.slow
def test_all_receivers_have_the_same_answer(world: World) -> None:
    answer = world.handle().ask(SQL, receivers=["shop", "telco"])
    file = world.members["telco"].path / "answers" / f"{answer.run}.json"
    theirs = json.loads(file.read_text())
    mine = json.loads(json.dumps(answer.to_dict()))
    for name in ("ledger", "budget"):
        mine.pop(name), theirs.pop(name)
    assert theirs == mine
    assert world.stays() == []


@pytest.mark.slow
def test_who_asks_need_not_receive(tmp_path: Path) -> None:
    made = make(tmp_path, agreement_data(members=able(shop=["query", "compute"])))
    sent = made.handle().send(SQL)
    assert sent.receivers == ("telco",)
    file = made.members["telco"].path / "answers" / f"{sent.run}.json"
    assert json.loads(file.read_text())["protection"] == "shares"
    assert not (made.members["shop"].path / "answers").exists()


@pytest.mark.slow
def test_three_others_may_compute(tmp_path: Path) -> None:
    """Owners that are no servers, and an asker that is neither leader nor owner of the first table."""
    members = [
        {"name": "shop", "abilities": ["query", "receive"]},
        {"name": "telco", "abilities": ["query", "receive"]},
        *({"name": name, "abilities": ["compute"]} for name in ("east", "north", "west")),
    ]
    data = agreement_data(members=members)
    data["shares"] = {"servers": ["north", "east", "west"]}
    assert rows(make(tmp_path, data).handle("telco").ask(SQL)) == CLEAR


@pytest.mark.slow
def test_the_ledgers_name_what_was_released(world: World) -> None:
    answer = world.handle().ask(SQL)
    released = {
        name: [e for e in world.entries(name, EntryKind.RELEASE) if e["run"] == answer.run]
        for name in world.members
    }
    asked = next(e for e in released["shop"] if "parts" in e and e.get("answer") == answer.digest)
    others = [e for name in ("shop", "telco") for e in released[name] if e.get("answer") != answer.digest]
    assert {e["answer"] for e in others if "answer" in e} == {asked["parts"]}  # leader and owners
    assert len([e for e in others if "answer" in e]) == 3
    (own,) = released["lab"]
    assert own["program"].startswith("sha256:")
    assert set(own["parts"]) == {"shop"}
    assert asked["parts"] != parts_digest(answer.run, {})
    for name in world.members:
        entries = world.entries(name, EntryKind.CHARGE, EntryKind.QUESTION)
        assert any(e["run"] == answer.run for e in entries)


@pytest.mark.slow
def test_asked_again_it_is_computed_again(world: World) -> None:
    first, second = world.handle().ask(SQL), world.handle().ask(SQL)
    assert first.run != second.run
    assert first.salt != second.salt
    assert rows(first) == rows(second)


def test_what_cannot_be_computed_on_shares_is_refused_before_anything_is_charged(world: World) -> None:
    before = {name: len(world.entries(name, *EntryKind)) for name in world.members}
    count = "COUNT(DISTINCT c.phone) AS n"
    union = f"SELECT s.plan, {count} {JOIN} GROUP BY 1 UNION SELECT c.region, {count} {JOIN} GROUP BY 1"
    with pytest.raises(Refusal) as caught:
        world.handle().ask(union)
    assert caught.value.code == "NO_PROTECTION"
    assert caught.value.remedy
    assert {name: len(world.entries(name, *EntryKind)) for name in ("telco", "lab")} == {
        name: before[name] for name in ("telco", "lab")
    }


def test_a_table_that_is_not_there_is_said_before_anything_is_charged(tmp_path: Path) -> None:
    made = make(tmp_path)
    (made.members["telco"].path / "tables" / "subscribers.parquet").unlink()
    with pytest.raises(Refusal) as caught:
        made.handle().ask(SQL)
    assert (caught.value.code, caught.value.owner) == ("TABLE_NOT_AT_NODE", "telco")
    assert made.entries("telco", EntryKind.CHARGE) == []


@pytest.mark.slow
def test_a_table_that_is_not_as_declared_ends_the_run(tmp_path: Path) -> None:
    """The owner knows which; what crosses is a code."""
    data = agreement_data()
    data["shares"]["tables"][0]["columns"] = [{"columnName": "spend", "lower": 0, "upper": 50}]
    made = make(tmp_path, data)
    with pytest.raises(HitokuError) as caught:
        made.handle().ask(SQL)
    assert "81" not in str(caught.value)
    assert made.stays() == []
    for owner in ("shop", "telco"):
        assert made.entries(owner, EntryKind.CHARGE)
        assert not made.entries(owner, EntryKind.RELEASE)


@pytest.mark.slow
def test_a_run_that_is_cancelled_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()
    ready = Server._ready

    def slow(self: Server, work: Any, name: str) -> Any:
        begun.set()
        go.wait(SECONDS)
        return ready(self, work, name)

    monkeypatch.setattr(Server, "_ready", slow)
    made = make(tmp_path)
    handle, found = made.handle(), list[HitokuError]()

    def ask() -> None:
        with pytest.raises(HitokuError) as caught:
            handle.ask(SQL)
        found.append(caught.value)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(SECONDS)
    handle.cancel()
    go.set()
    thread.join(SECONDS)
    assert found
    assert made.stays() == []
    assert not made.entries("telco", EntryKind.RELEASE)


@pytest.mark.slow
def test_an_answer_leaves_at_the_rooms_interval(tmp_path: Path) -> None:
    made = make(tmp_path, agreement_data(release={"interval_seconds": 2}))
    answer = made.handle().ask(SQL)
    assert rows(answer) == CLEAR


@pytest.mark.slow
def test_a_handle_can_be_used_again(world: World) -> None:
    handle = world.handle()
    assert rows(handle.ask(SQL)) == rows(handle.ask(SQL)) == CLEAR


def test_explain_tells_the_plan(world: World) -> None:
    data = world.handle().explain(SQL).to_dict()
    (choice,) = data["protections"]
    assert choice["supported"]
    assert choice["plan"]
    assert {item["code"] for item in choice["learned"]} >= {"SIZES", "SHARES", "ANSWER", "QUESTION"}


@pytest.mark.slow
def test_empty_tables_have_an_answer_of_no_rows(tmp_path: Path) -> None:
    content = {name: table.slice(0, 0) for name, table in tables().items()}
    answer = make(tmp_path, content=content).handle().ask(SQL)
    assert answer.fetchall() == []
    assert answer.column_names == ["plan", "people", "spend"]


def test_settings_of_shares(tmp_path: Path) -> None:
    base = {"listen": "127.0.0.1:8443", "url": "https://a.example:8443", "rooms": [{"file": "room.yaml"}]}
    said = {"listen": "0.0.0.0:0", "advertise": "a.example:9443"}
    made = NodeSettings.made(base | {"shares": said}, "here")
    made.write(tmp_path)
    assert NodeSettings.open(tmp_path).shares == SharesSettings(**said)
    for wrong in ({"listen": "nowhere"}, {"advertise": "a:0"}, {"port": 1}, {"listen": 3}):
        with pytest.raises(InputError):
            NodeSettings.made(base | {"shares": wrong}, "here")


def test_a_member_listens_once(world: World) -> None:
    first, second = (Listening(world.members["lab"]) for _ in range(2))
    try:
        assert first.address == second.address
        port = first.address
        first.close()
        assert second.address == port
    finally:
        first.close()
        second.close()
    third = Listening(world.members["lab"])
    assert third.address
    third.close()
    third.close()


def test_runs_at_once_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SHARES_RUNS", 0)
    with pytest.raises(Refusal) as caught:
        make(tmp_path).handle().ask(SQL)
    assert caught.value.code == "BUSY"


@pytest.mark.slow
def test_states_are_settled(world: World) -> None:
    answer = world.handle().ask(SQL)
    for name in ("shop", "telco"):
        records = world.members[name].records(str(world.room.agreement.id), world.handle()._node._clock)
        known = records.consented(answer.run)
        records.store.close()
        assert known is not None
        assert known.state is RunState.COMMITTED
