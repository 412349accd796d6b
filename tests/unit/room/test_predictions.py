# SPDX-License-Identifier: Apache-2.0
"""Rows that models score: charged before they are, once each, and never more than a day's."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from hitoku.errors import Refusal
from hitoku.room.ledger import EntryKind
from hitoku.room.models import ServedModel
from hitoku.room.predictions import Predictions, PredictionState

MODEL = ServedModel(
    name="score",
    owner="registry",
    client="sha256:" + "0" * 64,
    askers=("airport", "airline"),
    rows_per_day=1_000,
    rounding="0.1",
)
REQUEST = "sha256:" + "1" * 64


@pytest.fixture
def records(place, clock):
    found = place.members["registry"].records(str(place.agreement.id), clock)
    yield found
    found.store.close()


def name(number: int) -> str:
    return f"{number:032x}"


def test_a_days_rows_are_admitted_and_not_one_more(records, clock):
    kept = Predictions(records, clock)
    assert kept.take(name(1), MODEL, "airport", 600, REQUEST) == 400
    with pytest.raises(Refusal) as caught:
        kept.take(name(2), MODEL, "airport", 401, REQUEST)
    assert (caught.value.code, caught.value.rule) == ("MODEL_ROWS_SPENT", "models.score.rows_per_day")
    assert caught.value.owner == "registry"
    assert kept.of(name(2)) is None
    assert kept.take(name(3), MODEL, "airport", 400, REQUEST) == 0
    assert kept.take(name(4), MODEL, "airline", 1_000, REQUEST) == 0, "another member has rows of its own"


def test_a_new_day_has_rows_again_and_a_failed_run_stays_charged(records, clock):
    kept = Predictions(records, clock)
    kept.take(name(1), MODEL, "airport", 1_000, REQUEST)
    kept.end(name(1), PredictionState.FAILED)
    with pytest.raises(Refusal, match="0 are left"):
        kept.take(name(2), MODEL, "airport", 1, REQUEST)
    clock.time += timedelta(days=1)
    assert kept.take(name(2), MODEL, "airport", 1_000, REQUEST) == 0


def test_a_run_is_taken_once(records, clock):
    kept = Predictions(records, clock)
    kept.take(name(1), MODEL, "airport", 1, REQUEST)
    with pytest.raises(Refusal) as caught:
        kept.take(name(1), MODEL, "airline", 1, REQUEST)
    assert caught.value.code == "CONSENT_REPLAYED"


def test_the_ledger_says_who_and_how_many_and_nothing_else(records, clock):
    kept = Predictions(records, clock)
    kept.take(name(1), MODEL, "airport", 7, REQUEST)
    (entry,) = [e for e in records.ledger.entries() if e.kind is EntryKind.PREDICTION]
    assert entry.body == {
        "role": "owner",
        "run": name(1),
        "model": "score",
        "asker": "airport",
        "rows": 7,
        "request": REQUEST,
    }


def test_what_a_killed_process_left_is_ended_and_stays_charged(records, clock):
    kept = Predictions(records, clock)
    kept.take(name(1), MODEL, "airport", 900, REQUEST)
    kept.take(name(2), MODEL, "airport", 50, REQUEST)
    kept.end(name(2), PredictionState.DONE)
    again = Predictions(records, clock)
    assert again.recover() == (name(1),)
    assert again.recover() == ()
    assert again.of(name(1)) == ("airport", PredictionState.FAILED)
    assert again.of(name(2)) == ("airport", PredictionState.DONE)
    with pytest.raises(Refusal):
        again.take(name(3), MODEL, "airport", 51, REQUEST)


def test_of_concurrent_requests_exactly_as_many_are_admitted_as_there_are_rows(records, clock):
    kept, admitted, refused = Predictions(records, clock), [], []

    def ask(number: int) -> None:
        try:
            kept.take(name(number), MODEL, "airport", 300, REQUEST)
            admitted.append(number)
        except Refusal:
            refused.append(number)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(admitted), len(refused)) == (3, 9)
