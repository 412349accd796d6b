# SPDX-License-Identifier: Apache-2.0
"""Budgets and answers given again, end to end: what costs, what is the same, and what lying members get."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest
from tests.attacks.budget_world import JOINED, NOISED, World, another, noised, paying
from tests.conftest import fill

import hitoku
from hitoku import limits
from hitoku.disclosure.answer import Answer
from hitoku.errors import EngineError, InputError, PeerError, Refusal
from hitoku.protections.tokens import Tokens
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import save_room
from hitoku.room.ledger import EntryKind
from hitoku.room.signing import sign
from hitoku.room.versions import revise


@pytest.fixture
def world(make):
    made = World(fill(make(noised())))
    yield made
    made.close()


@pytest.fixture
def exact(filled):
    """The small room with thresholds, without noise."""
    made = World(filled)
    yield made
    made.close()


def costs(answer: Answer) -> list[dict[str, str]]:
    assert answer.budget is not None
    return list(answer.budget["charges"])


def same(first: Answer, second: Answer) -> bool:
    facts = [{k: v for k, v in a.to_message().items() if k != "ledger"} for a in (first, second)]
    return facts[0] == facts[1] and first.digest == second.digest


def test_a_repeated_question_has_the_same_answer_and_one_charge(world):
    first = world.ask(JOINED)
    spent = {owner: world.account(owner).rho for owner in ("airport", "registry")}
    assert all(rho > 0 for rho in spent.values())
    for sql in (JOINED, JOINED.replace("AS f JOIN", "f\nJOIN").lower()):
        again = world.ask(sql)
        assert same(first, again)
        assert again.ledger["repeats"] == first.run
    assert {owner: world.account(owner).rho for owner in spent} == spent
    assert world.ran() == 1
    fresh = world.ask(another(1, JOINED))
    assert fresh.run != first.run
    assert world.account().rho == 2 * spent["registry"]


def test_without_noise_it_is_the_same_answer_too(exact, question):
    assert same(exact.ask(question), exact.ask(question))
    assert exact.ran() == 1


def test_the_answer_says_what_it_cost_and_the_asker_checks_it(world):
    answer = world.ask(JOINED)
    assert {c["owner"] for c in answer.budget["charges"]} == {"airport", "registry"}
    for charge in answer.budget["charges"]:
        assert charge["rho"] == "0.005"
        assert 0.4 < float(charge["epsilon"]) < 0.6
    host = world.network._handlers["host"]

    def cheaper(sender, message):
        reply = host(sender, message)
        if message["kind"] == "hitoku/run-request/1":
            reply["answer"]["budget"]["charges"][0]["rho"] = "0.001"
        return reply

    world.network._handlers["host"] = cheaper
    with pytest.raises(PeerError, match="answered another question"):
        world.ask(another(1, JOINED))


def test_exactly_as_many_questions_as_the_budget_pays_for(make):
    world = World(fill(make(noised(**paying(4)))))
    for number in range(4):
        world.ask(another(number))
    first = world.ask(another(0))  # asked before: still answered
    with pytest.raises(Refusal) as caught:
        world.ask(another(4))
    assert (caught.value.code, caught.value.owner) == ("BUDGET_SPENT", "registry")
    assert caught.value.rule == "budgets.tail"
    # The airport consented before the registry refused: what it reserved is given back.
    spent = world.account("airport").rho
    with pytest.raises(Refusal):
        world.ask(JOINED)
    assert world.account("airport").rho == spent
    # More noise costs less.
    assert world.account().charges == 4
    assert same(first, world.ask(another(0)))
    left = world.account().left.rho
    if left >= 10**12 // (2 * 100_000**2) + 1:
        world.ask(another(5), users_noise=100_000)
    world.close()


def test_a_failed_run_stays_charged(world, monkeypatch):
    def fail(self, *_):
        raise EngineError("no", "OUT_OF_MEMORY")

    monkeypatch.setattr(Tokens, "run", fail)
    for _ in range(2):
        with pytest.raises(PeerError):
            world.ask(NOISED)
    assert world.account().rho == 2 * 5 * 10**9
    monkeypatch.undo()
    world.ask(NOISED)
    assert world.account().charges == 3


def test_other_receivers_another_plan_or_another_asker_do_not_get_it(make):
    def two(data):
        data["members"][1]["abilities"] = ["query", "receive"]
        for table in data["tables"]:
            table["rule"]["allowedAnalysisProviders"].append("registry")

    world = World(fill(make(noised(two))))
    first = world.ask(NOISED)
    others: tuple[dict[str, Any], ...] = (
        {"receivers": ["airport", "registry"]},
        {"receivers": ["registry"]},
        {"users_noise": 50},
    )
    runs = {first.run} | {world.ask(NOISED, **more).run for more in others}
    assert len(runs) == 4
    registry = world.nodes["registry"]
    lookup = {**world.network.sent("lookup")[0], "receivers": ["airport"]}
    assert registry.peers.call("host", lookup)["run"] is None
    assert world.nodes["airport"].peers.call("host", lookup)["run"] == first.run
    assert world.ask(NOISED, users_noise=50).run in runs
    world.close()


def test_the_host_is_no_oracle_of_questions_that_may_not_be_asked(world):
    world.ask(NOISED)
    lookup = world.network.sent("lookup")[0]
    with pytest.raises(Refusal) as caught:
        world.nodes["registry"].peers.call("host", lookup)
    assert caught.value.code == "NOT_AN_ASKER"
    with pytest.raises(Refusal) as caught:
        world.nodes["airport"].peers.call("host", {**lookup, "sql": "SELECT tailnum FROM planes"})
    assert caught.value.clause == "SELECT"


@pytest.mark.parametrize("how", ["rewritten", "touched", "replaced"])
def test_changed_data_is_a_new_question_and_costs_like_one(world, how):
    first = world.ask(NOISED)
    file = world.place.members["host"].table_file("planes")
    before = file.stat()
    if how == "rewritten":  # in place, with its time put back
        file.write_bytes(file.read_bytes())
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "touched":
        os.utime(file)
    else:
        shutil.copy2(file, file.with_suffix(".new"))
        file.with_suffix(".new").replace(file)
    again = world.ask(NOISED)
    assert again.run != first.run
    assert world.account().charges == 2
    assert same(again, world.ask(NOISED))


def test_data_that_changes_between_look_and_run_is_asked_anew(world):
    first = world.ask(NOISED)
    file = world.place.members["host"].table_file("planes")

    def touch(sender, receiver, message):
        if message["kind"] == "hitoku/run-request/1" and message["repeats"]:
            os.utime(file)

    world.network.change = touch
    again = world.ask(NOISED)
    assert again.run != first.run
    assert world.account().charges == 2
    reasons = [e.body["reason"] for e in world.nodes["airport"].records.ledger.entries(kind=EntryKind.ABORT)]
    assert "DATA_CHANGED" in reasons


def test_an_answer_whose_files_changed_while_it_was_computed_is_not_kept(world, monkeypatch):
    run = Tokens.run
    file = world.place.members["host"].table_file("planes")

    def touching(self, *arguments):
        os.utime(file)
        return run(self, *arguments)

    monkeypatch.setattr(Tokens, "run", touching)
    first = world.ask(NOISED)
    monkeypatch.undo()
    assert world.ask(NOISED).run != first.run


def _replay(world, first, **change):
    """Ask for `first` again with consents and request as changed."""
    orders = [m for m in world.network.sent("run-request") if m["run"] == first.run]
    return world.nodes["airport"].peers.call("host", {**orders[0], **change})


def test_consents_to_repeat_let_nothing_be_computed_and_the_other_way_round(world):
    first = world.ask(NOISED)
    world.ask(NOISED)
    fresh, again = world.network.sent("run-request")
    peers = world.nodes["airport"].peers
    cases = (
        {**again, "repeats": None, "run": "ab" * 16},
        {**again, "repeats": None},
        {**fresh, "repeats": first.run},
        {**fresh, "repeats": first.run, "run": "ab" * 16},
        {**again, "repeats": "ab" * 16},
        {**again, "users_noise": 50},
        {**again, "receivers": ["registry"]},
    )
    for order in cases:
        with pytest.raises(Refusal) as caught:
            peers.call("host", order)
        assert caught.value.code == "CONSENT_MISMATCH"
    for order in (fresh, again):
        with pytest.raises(Refusal) as caught:
            peers.call("host", order)
        assert caught.value.code == "CONSENT_REPLAYED"
    forged = json.loads(json.dumps({**fresh, "repeats": first.run, "run": "ab" * 16}))
    for consent in forged["consents"]:
        consent.update(repeats=first.run, run="ab" * 16)
    with pytest.raises(Refusal) as caught:
        peers.call("host", forged)
    assert caught.value.code == "CONSENT_FORGED"
    assert world.ran() == 1
    assert world.account().charges == 1


def test_an_owner_lets_nothing_be_repeated_that_it_did_not_charge(world):
    first = world.ask(NOISED)
    world.ask(NOISED)
    request = {**world.network.sent("consent-request")[-1], "run": "ab" * 16}
    peers = world.nodes["airport"].peers
    for change in (
        {"repeats": "cd" * 16},
        {"repeats": world.network.sent("run-request")[-1]["run"]},  # was itself a repeat
        {"sql": another(1)},
        {"users_noise": 50},
        {"receivers": ["registry"]},
    ):
        with pytest.raises(Refusal) as caught:
            peers.call("registry", {**request, **change})
        assert caught.value.code == "NOT_CHARGED"
    assert request["repeats"] == first.run
    peers.call("registry", request)


def test_a_question_that_is_answered_is_not_computed_with_fresh_noise(world):
    """An asker that skips the look, to average the noise away, gets its consents and then nothing."""
    first = world.ask(NOISED)

    def forget(sender, receiver, message):
        if message["kind"] == "hitoku/lookup/1":
            message["sql"] = another(1)

    world.network.change = forget
    with pytest.raises(Refusal) as caught:
        world.ask(NOISED)
    assert caught.value.code == "ASKED_BEFORE"
    assert world.ran() == 1
    assert world.account().charges == 1
    world.network.change = lambda *_: None
    assert same(first, world.ask(NOISED))


def test_a_host_that_repeats_another_run_than_asked_is_noticed(world):
    first = world.ask(NOISED)
    other = world.ask(another(1))
    host = world.network._handlers["host"]

    def swapped(sender, message):
        reply = host(sender, message)
        if message["kind"] == "hitoku/run-request/1":
            reply["answer"] = other.to_message()
        return reply

    world.network._handlers["host"] = swapped
    with pytest.raises(PeerError, match="answered another question"):
        world.ask(NOISED)
    del first


def test_a_repeated_answer_goes_to_its_receivers_again_and_to_nobody_else(exact, question):
    first = exact.ask(question, receivers=["registry"])
    folder = exact.place.members["registry"].path / "answers"
    (file,) = folder.iterdir()
    content = file.read_bytes()
    file.unlink()
    again = exact.ask(question, receivers=["registry"])
    assert again == first
    assert file.read_bytes() == content
    told = {
        r: " ".join(json.dumps(m) for _, to, m in exact.network.log if to == r) for r in exact.place.members
    }
    assert '"arrow"' in told["registry"]
    assert '"arrow"' not in told["airport"]
    assert '"BIG"' not in told["airport"]  # three letters alone stand in one of 1,000 signatures
    assert exact.ran() == 1


def test_kept_answers_are_bounded_and_the_oldest_go(world, monkeypatch):
    monkeypatch.setattr(limits, "MAX_KEPT_ANSWERS", 2)
    first = world.ask(another(0))
    for number in (1, 2):
        world.ask(another(number))
    assert world.ask(another(2)).ledger.get("repeats") is not None
    assert world.ask(another(1)).ledger.get("repeats") is not None
    assert world.ask(another(0)).run != first.run
    assert world.account().charges == 4
    monkeypatch.setattr(limits, "MAX_KEPT_ANSWERS_BYTES", 1)
    assert world.ask(another(5)).run != world.ask(another(5)).run
    assert world.account().charges == 6


def test_a_new_agreement_carries_no_answer_over_and_every_charge(make):
    place = fill(make(noised(**paying(4))))
    first = hitoku.open_room(place.path, "airport").ask(NOISED)
    budgets = [b.model_dump(mode="json") for b in place.agreement.budgets]
    more = {"budgets": [*budgets, {"owner": "registry", "unit": "other", "epsilon": 1}]}
    save_room(sign(revise(place.room, more), "registry", place.members["registry"].keys({})), place.room_file)
    later = hitoku.open_room(place.path, "airport")
    assert later.agreement.version == 2
    assert later.ask(NOISED).run != first.run
    later.ask(another(1))
    later.ask(another(2))
    with pytest.raises(Refusal) as caught:
        later.ask(another(3))
    assert caught.value.code == "BUDGET_SPENT"


def test_answers_go_with_a_table_that_leaves(filled, question):
    hitoku.open_room(filled.path).ask(question)
    rows = _kept(filled)
    assert rows == 1
    tables = [t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in filled.agreement.tables]
    rest = [t for t in tables if t["name"] != "planes"]
    later = sign(revise(filled.room, {"tables": rest}), "registry", filled.members["registry"].keys({}))
    save_room(later, filled.room_file)
    hitoku.open_room(filled.path, "airport")
    assert _kept(filled) == 0


def _kept(place) -> int:
    import sqlalchemy as sa

    from hitoku.ports import SystemClock
    from hitoku.room import store

    records = place.members["host"].records(str(place.agreement.id), SystemClock())
    with records.store.reading() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(store.answers))
    records.store.close()
    return int(count or 0)


def test_access_budgets_count_answers_given_again(make):
    def limited(data):
        data["tables"][1]["access_budgets"] = [{"type": "LIFETIME", "budget": 2}]

    world = World(fill(make(noised(limited))))
    world.ask(NOISED)
    world.ask(NOISED)
    with pytest.raises(Refusal) as caught:
        world.ask(NOISED)
    assert caught.value.code == "ACCESS_BUDGET_SPENT"
    assert world.account().charges == 1
    world.close()


def test_a_preview_tells_the_cost_and_changes_nothing(make):
    def limited(data):
        data["tables"][1]["access_budgets"] = [{"type": "LIFETIME", "budget": 9}]

    place = fill(make(noised(limited, **paying(37))))
    room = hitoku.open_room(place.path, "airport")
    before = {name: _entries(d, place) for name, d in place.members.items()}
    preview = room.preview(JOINED).to_dict()
    assert preview["answered"] is None
    assert {(a["owner"], a["questions"], a["spent"]) for a in preview["accounts"]} == {
        ("airport", 37, "0"),
        ("registry", 37, "0"),
    }
    assert preview["windows"] == [{"owner": "registry", "table": "planes", "window": "LIFETIME", "left": 9}]
    assert {name: _entries(d, place) for name, d in place.members.items()} == before
    answer = room.ask(JOINED)
    later = room.preview(JOINED).to_dict()
    assert later["answered"] == answer.run
    assert [a["questions"] for a in later["accounts"]] == [36, 36]
    assert [a["cost"] for a in later["accounts"]] == [c["epsilon"] for c in costs(answer)]
    assert room.preview(JOINED, users_noise=100).to_dict()["accounts"][0]["questions"] > 37
    with pytest.raises(Refusal):
        room.preview("SELECT tailnum FROM planes")


def _entries(directory: MemberDirectory, place) -> int:
    from hitoku.ports import SystemClock

    records = directory.records(str(place.agreement.id), SystemClock())
    records.accept(place.agreement)
    head = records.ledger.head()
    records.store.close()
    return 0 if head is None else head.size


def test_an_epsilon_buys_the_least_noise_for_it(make):
    room = hitoku.open_room(fill(make(noised())).path, "airport")
    answer = room.ask(NOISED, epsilon="0.1")
    (charge,) = costs(answer)
    assert float(charge["epsilon"]) <= 0.1
    assert answer.noise is not None
    users = answer.noise["users_noise"]
    (dearer,) = room.preview(NOISED, users_noise=users - 1).to_dict()["accounts"]
    assert float(dearer["cost"]) > 0.1
    assert room.ask(NOISED, users_noise=users).run == answer.run  # it is the same plan
    with pytest.raises(Refusal) as caught:
        room.ask(NOISED, epsilon="0.000000001")
    assert caught.value.code == "EPSILON_TOO_SMALL"
    bad: tuple[dict[str, Any], ...] = (
        {"epsilon": "1", "users_noise": 20},
        {"epsilon": "x"},
        {"epsilon": "NaN"},
        {"epsilon": "0"},
        {"users_noise": 9},
        {"users_noise": 100_001},
    )
    for wrong in bad:
        with pytest.raises(InputError):
            room.ask(NOISED, **wrong)


def test_overlaps_are_refused_by_what_was_asked(make):
    def thresholds(data):
        data["tables"][0]["rule"] = {
            "type": "custom",
            "allowedAnalyses": ["ANY_QUERY"],
            "allowedAnalysisProviders": ["airport"],
            "aggregationThresholds": [{"identityColumns": ["tailnum"], "minimumIdentityCount": 3}],
            "comparisonControls": {
                "allowedLiteralComparisonColumns": ["carrier"],
                "allowedColumnComparisonColumns": [],
            },
            "overlapColumns": ["carrier"],
        }

    world = World(fill(make(thresholds)))
    asked = "SELECT COUNT(DISTINCT tailnum) AS n FROM flights WHERE carrier IN ({})"
    first = world.ask(asked.format("'AA', 'UA'"))
    world.ask(asked.format("'ZZ'"))
    with pytest.raises(Refusal) as caught:
        world.ask(asked.format("'AA'"))
    assert (caught.value.code, caught.value.owner) == ("OVERLAP", "airport")
    assert same(first, world.ask(asked.format("'UA', 'AA'")))
    world.ask(asked.format("'AA', 'UA'").replace(" n ", " m "))
    world.close()


def test_of_two_answers_to_one_question_only_the_newer_is_given_again(world):
    """The tables changed between them; both were charged, so the owners would consent to either."""
    older = world.ask(NOISED)
    os.utime(world.place.members["host"].table_file("planes"))
    newer = world.ask(NOISED)
    host = world.network._handlers["host"]

    def found(sender, message):
        if message["kind"] == "hitoku/lookup/1":
            return {"kind": "hitoku/found/1", "run": older.run}
        return host(sender, message)

    world.network._handlers["host"] = found
    with pytest.raises(Refusal) as caught:
        world.ask(NOISED)
    assert caught.value.code == "DATA_CHANGED"

    def swapped(sender, message):
        reply = host(sender, message)
        if message["kind"] == "hitoku/run-request/1":
            reply["answer"] = older.to_message() | {"ledger": None}
        return reply

    world.network._handlers["host"] = swapped
    with pytest.raises(PeerError, match="answered another question"):
        world.ask(NOISED)
    world.network._handlers["host"] = host
    assert same(newer, world.ask(NOISED))
    assert world.account().charges == 2
