# SPDX-License-Identifier: Apache-2.0
"""Learning runs in a member's accounts and ledger."""

from __future__ import annotations

import pytest
from tests.unit.learning.learning_world import make_room

from hitoku.errors import Refusal, RoomError
from hitoku.learning.signing import SignedPlan
from hitoku.node.learning import Learnings
from hitoku.room.ledger import EntryKind

RUN, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def place(tmp_path):
    return make_room(tmp_path)


@pytest.fixture
def records(place, clock):
    return place.members["aki"].records(str(place.agreement.id), clock)


def spent(records, place):
    return records.accounts(place.agreement)[0].rho


def test_a_run_is_charged_once_and_written_down(place, records, clock):
    signed = place.signed(place.plan(privacy={"rho": 0.25, "unit": "customer"}))
    learnings = Learnings(records, clock)
    for _ in range(3):
        learnings.begin(signed, RUN, place.agreement)
    assert spent(records, place) == 25 * 10**10
    entries = list(records.ledger.entries(kind=EntryKind.LEARNING))
    assert len(entries) == 1
    assert entries[0].body["plan"] == signed.hash
    assert entries[0].body["charges"][0]["rho"] == "0.25"
    learnings.end(signed, RUN, "sha256:" + "0" * 64, {"steps": 3})
    assert [e.body["state"] for e in records.ledger.entries(kind=EntryKind.LEARNING)] == ["begun", "ended"]
    assert records.recover() == 0


def test_one_plan_is_run_once(place, records, clock):
    signed = place.signed(place.plan(privacy={"rho": 0.25, "unit": "customer"}))
    learnings = Learnings(records, clock)
    learnings.begin(signed, RUN, place.agreement)
    with pytest.raises(Refusal) as caught:
        learnings.begin(signed, OTHER, place.agreement)
    assert caught.value.code == "PLAN_USED"
    again = place.signed(place.plan(privacy={"rho": 0.25, "unit": "customer"}))
    with pytest.raises(Refusal) as caught:
        learnings.begin(again, RUN, place.agreement)
    assert caught.value.code == "PLAN_USED"
    assert spent(records, place) == 25 * 10**10


def test_too_little_left_is_refused_and_nothing_is_written(place, records, clock):
    learnings = Learnings(records, clock)
    learnings.begin(place.signed(place.plan(privacy={"rho": 0.3, "unit": "customer"})), RUN, place.agreement)
    with pytest.raises(Refusal) as caught:
        learnings.begin(
            place.signed(place.plan(privacy={"rho": 0.3, "unit": "customer"})), OTHER, place.agreement
        )
    assert caught.value.code == "BUDGET_SPENT"
    assert caught.value.owner == "aki"
    assert spent(records, place) == 3 * 10**11
    assert len(list(records.ledger.entries(kind=EntryKind.LEARNING))) == 1


def test_a_plan_without_all_signatures_is_not_begun(place, records, clock):
    signed = place.signed(place.plan())
    lacking = SignedPlan(signed.plan, {k: v for k, v in signed.signatures.items() if k != "ebisu"})
    with pytest.raises(RoomError, match="ebisu"):
        Learnings(records, clock).begin(lacking, RUN, place.agreement)
    assert not list(records.ledger.entries(kind=EntryKind.LEARNING))


def test_a_plan_without_noise_costs_nothing(place, records, clock):
    Learnings(records, clock).begin(place.signed(place.plan()), RUN, place.agreement)
    assert spent(records, place) == 0
