# SPDX-License-Identifier: Apache-2.0
"""A member's rows scored by another member's model: right, charged, and nothing left behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from tests.models import compiled, put, trained

from hitoku.errors import PeerError, Refusal
from hitoku.inference import ModelError
from hitoku.node.local import open_room
from hitoku.room.canonical import agreement_hash
from hitoku.room.ledger import EntryKind


def capacity() -> int:
    """Rows that one request of the small model has room for."""
    from hitoku.inference import ClientSpec

    return ClientSpec.from_json(compiled()[1]).encoder.samples


@pytest.fixture
def world(make, tmp_path):
    """The registry serves the model `score` to the airport."""
    import hashlib

    digest = "sha256:" + hashlib.sha256(compiled()[1]).hexdigest()

    def change(data):
        data["models"] = [
            {
                "name": "score",
                "owner": "registry",
                "client": digest,
                "askers": ["airport"],
                "rows_per_day": 3 * capacity(),
                "rounding": "0.01",
            }
        ]

    place = make(change)
    assert put(place.members["registry"].path / "models" / "score") == digest
    return place


def ask(place, rows, me="airport", clock=None):
    return open_room(place.path, me, clock=clock).predict("score", rows)


def entries(place, member, clock):
    records = place.members[member].records(str(place.agreement.id), clock)
    try:
        return [e.body for e in records.ledger.entries() if e.kind is EntryKind.PREDICTION]
    finally:
        records.store.close()


def test_scores_are_the_models_own_within_the_noise(world, clock):
    model, rows = trained()
    found = ask(world, rows[:100], clock=clock)
    largest = np.abs(model.decision_function(rows)).max()
    assert found.scores.shape == (100, 1)
    assert np.abs(found.scores[:, 0] - model.decision_function(rows[:100])).max() < 0.02 * largest + 0.01
    assert np.allclose(found.scores / 0.01, np.round(found.scores / 0.01), atol=1e-6), (
        "rounded as the room says"
    )
    assert (found.charged, found.owner, len(found.runs)) == (capacity(), "registry", 1)


def test_both_ledgers_have_the_run_and_no_score(world, clock):
    _, rows = trained()
    found = ask(world, rows[:3], clock=clock)
    (theirs,), (ours,) = entries(world, "registry", clock), entries(world, "airport", clock)
    assert theirs["run"] == ours["run"] == found.runs[0]
    assert theirs["request"] == ours["request"]
    assert theirs["rows"] == ours["rows"] == capacity()
    assert set(theirs) == {"role", "run", "model", "asker", "rows", "request"}
    assert (theirs["asker"], ours["owner"]) == ("airport", "registry")


def test_more_rows_than_a_request_holds_are_several_requests(world, clock):
    model, rows = trained()
    many = np.tile(rows, (capacity() // len(rows) + 1, 1))[: capacity() + 5]
    found = ask(world, many, clock=clock)
    assert (len(found.runs), found.charged, len(found.scores)) == (2, 2 * capacity(), capacity() + 5)
    assert np.corrcoef(found.scores[:, 0], model.decision_function(many))[0, 1] > 0.999


def test_the_days_rows_are_the_limit(world, clock):
    _, rows = trained()
    for _ in range(3):
        ask(world, rows[:1], clock=clock)
    with pytest.raises(Refusal) as caught:
        ask(world, rows[:1], clock=clock)
    assert (caught.value.code, caught.value.owner) == ("MODEL_ROWS_SPENT", "registry")


@pytest.mark.parametrize("me", ["host", "registry"])
def test_who_is_not_named_is_refused(world, clock, me):
    _, rows = trained()
    with pytest.raises(Refusal) as caught:
        ask(world, rows[:1], me, clock)
    assert caught.value.code == "MODEL_NOT_ALLOWED"


def test_the_owner_refuses_who_is_not_named_whatever_its_node_says(world, clock):
    """The asker's own check is a courtesy; a changed asker meets the owner's."""
    handle = open_room(world.path, "host", clock=clock)
    message = {"kind": "hitoku/model-request/1", "room": agreement_hash(world.agreement), "model": "score"}
    with pytest.raises(Refusal) as caught:
        handle._peers.call("registry", message)
    assert caught.value.code == "MODEL_NOT_ALLOWED"
    with pytest.raises(Refusal) as other:
        handle._peers.call("registry", {**message, "model": "no-such-model"})
    assert str(other.value) == str(caught.value), "it does not tell which models there are"
    handle._close()


def test_rows_outside_the_models_bounds_cost_nothing(world, clock):
    _, rows = trained()
    wrong = rows[:2].copy()
    wrong[1, 3] = 1e6
    with pytest.raises(ModelError) as caught:
        ask(world, wrong, clock=clock)
    assert "1000000" not in str(caught.value)
    assert entries(world, "registry", clock) == []


def test_evaluation_keys_of_another_secret_key_are_not_used(world, clock):
    """The secret key was removed, the keys beside it were not: they would spoil scores that are charged."""
    model, rows = trained()
    ask(world, rows[:1], clock=clock)
    (secret,) = world.members["airport"].path.rglob("secret.key")
    secret.unlink()
    found = ask(world, rows[:20], clock=clock)
    largest = np.abs(model.decision_function(rows)).max()
    assert np.abs(found.scores[:, 0] - model.decision_function(rows[:20])).max() < 0.02 * largest + 0.01


def test_a_key_that_was_half_written_when_the_process_was_killed_is_made_again(world, clock):
    _, rows = trained()
    ask(world, rows[:1], clock=clock)
    (secret,) = world.members["airport"].path.rglob("secret.key")
    secret.rename(secret.with_name(".secret.key.part"))
    ask(world, rows[:1], clock=clock)
    assert not secret.with_name(".secret.key.part").exists()


def test_a_request_that_is_larger_than_can_be_sent_is_refused_first(world, clock, monkeypatch):
    from hitoku import limits
    from hitoku.errors import LimitError

    monkeypatch.setattr(limits, "MAX_PREDICTION_BYTES", 1000)
    _, rows = trained()
    with pytest.raises(LimitError, match="at most 1,000"):
        ask(world, rows[:1], clock=clock)
    assert entries(world, "registry", clock) == []


def test_what_a_killed_asker_left_is_removed_after_a_day(world, clock):
    import os
    import time

    _, rows = trained()
    left = world.members["airport"].path / "predictions" / ("a" * 32) / "registry"
    left.mkdir(parents=True)
    (left / "prediction-request").write_bytes(b"rows")
    os.utime(left.parent, (time.time() - 90_000,) * 2)
    ask(world, rows[:1], clock=clock)
    assert list(left.parent.parent.iterdir()) == []


def test_another_specification_than_the_rooms_is_not_used(world, clock):
    path = world.members["registry"].path / "models" / "score" / "client.json"
    path.write_bytes(path.read_bytes() + b" ")
    _, rows = trained()
    with pytest.raises(Refusal) as caught:
        ask(world, rows[:1], clock=clock)
    assert caught.value.code == "MODEL_NOT_AT_NODE"


def test_a_model_with_less_noise_than_the_room_says_is_not_served(make, clock):
    import hashlib

    def change(data):
        data["models"] = [
            {
                "name": "score",
                "owner": "registry",
                "client": "sha256:" + hashlib.sha256(compiled()[1]).hexdigest(),
                "askers": ["airport"],
                "rows_per_day": 10**6,
                "rounding": "1000",
            }
        ]

    place = make(change)
    put(place.members["registry"].path / "models" / "score")
    _, rows = trained()
    with pytest.raises(Refusal) as caught:
        ask(place, rows[:1], clock=clock)
    assert caught.value.code == "MODEL_TOO_FINE"


def test_nothing_of_a_run_stays_but_keys_and_the_ledger(world, clock):
    _, rows = trained()
    ask(world, rows[:1], clock=clock)
    for member in ("airport", "registry"):
        folder = world.members[member].path / "predictions"
        assert not folder.is_dir() or list(folder.iterdir()) == []
    secrets = list(world.members["airport"].path.rglob("secret.key"))
    assert len(secrets) == 1
    assert secrets[0].stat().st_mode & 0o077 == 0
    assert list(world.members["registry"].path.rglob("secret.key")) == []


def test_the_second_request_sends_no_keys(world, clock, monkeypatch):
    _, rows = trained()
    ask(world, rows[:1], clock=clock)
    from hitoku.node import bulk, models

    taken = []
    real = bulk.fetched

    def noted(parcels, member, run, name, size, digest, wait):
        taken.append(name)
        return real(parcels, member, run, name, size, digest, wait)

    monkeypatch.setattr(models, "fetched", noted)
    ask(world, rows[:1], clock=clock)
    assert taken == ["prediction-request"]


def test_concurrent_askers_get_their_own_scores_and_the_limit_holds(world, clock):
    model, rows = trained()
    found, refused = [], []

    def one(number):
        try:
            found.append((number, ask(world, rows[number : number + 1], clock=clock).scores[0, 0]))
        except (Refusal, PeerError) as error:
            refused.append(getattr(error, "code", None))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), refused) == (3, ["MODEL_ROWS_SPENT"] * 2)
    largest = np.abs(model.decision_function(rows)).max()
    for number, score in found:
        assert abs(score - model.decision_function(rows[number : number + 1])[0]) < 0.02 * largest + 0.01
