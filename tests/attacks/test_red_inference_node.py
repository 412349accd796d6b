# SPDX-License-Identifier: Apache-2.0
"""Predictions between nodes under attack: askers that keep others waiting, fill disks or pay too little;
owners that answer what was not asked."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest
from tests.conftest import make_place

from hitoku import limits
from hitoku.errors import InputError, PeerError, Refusal
from hitoku.node.bulk import BulkShelf, _batches, named
from hitoku.node.models import _REMEMBERED, _WAITING, ModelDesk
from hitoku.room.canonical import agreement_hash
from hitoku.room.ledger import EntryKind
from hitoku.room.predictions import Predictions, PredictionState
from hitoku.transport import messages

CONTENT = b"encrypted rows"
SECONDS = 20


class Scorer:
    """Takes as long as it is told to; its answer is the request."""

    rows, most_request_bytes, most_key_bytes, noise_width = 8, 1000, 1000, 1.0

    def __init__(self):
        self.go, self.began = threading.Event(), threading.Event()
        self.go.set()

    def run(self, request, keys):
        self.began.set()
        assert self.go.wait(SECONDS)
        return request


class Parcels:
    """The way to askers: whose name is in `slow`, sends when it is let."""

    def __init__(self):
        self.slow, self.go = set(), threading.Event()

    def fetch(self, member, run, name, schema, rows, wait):
        if member in self.slow:
            assert self.go.wait(SECONDS)
        return _batches(memoryview(CONTENT))


class World:
    def __init__(self, path, clock, rows_per_day):
        self.before = set(threading.enumerate())  # other tests of this process may have left some
        client = b"{}"
        digest = "sha256:" + hashlib.sha256(client).hexdigest()

        def change(data):
            data["models"] = [
                {
                    "name": "score",
                    "owner": "registry",
                    "client": digest,
                    "askers": ["airport", "host"],
                    "rows_per_day": rows_per_day,
                    "rounding": "0.01",
                }
            ]

        place = make_place(path, change)
        directory = place.members["registry"]
        folder = directory.path / "models" / "score"
        folder.mkdir(parents=True)
        (folder / "client.json").write_bytes(client)
        (folder / "server.bundle").write_bytes(b"bundle")
        self.room = place.room
        self.records = directory.records(str(place.agreement.id), clock)
        self.records.accept(place.agreement)
        self.shelf = BulkShelf(directory.path / "predictions")
        self.folder = directory.path / "predictions"
        self.scorer, self.parcels = Scorer(), Parcels()
        self.desk = ModelDesk(
            directory,
            place.room,
            lambda: self.records,
            clock,
            self.parcels,
            self.shelf,
            lambda folder: self.scorer,
        )
        self.made = 0

    def message(self, **changes):
        self.made += 1
        return {
            "kind": "hitoku/predict/1",
            "room": agreement_hash(self.room.agreement),
            "model": "score",
            "run": f"{self.made:032x}",
            "rows": 8,
            "keys": named(CONTENT),
            "keys_size": len(CONTENT),
            "request": named(CONTENT),
            "request_size": len(CONTENT),
        } | changes

    def predict(self, sender, **changes):
        message = self.message(**changes)
        self.desk.answer(sender, message)
        return message["run"]

    def state(self, sender, run):
        return self.desk.answer(sender, {"kind": "hitoku/predict-wait/1", "run": run})

    def end(self, sender, run):
        self.desk.answer(sender, {"kind": "hitoku/prediction-over/1", "run": run})

    def done(self, sender, run):
        until = time.monotonic() + SECONDS
        while self.state(sender, run)["kind"] != "hitoku/prediction-done/1":
            assert time.monotonic() < until
            time.sleep(0.005)

    def idle(self):
        until = time.monotonic() + SECONDS
        while not self.desk.idle or self.working():
            assert time.monotonic() < until
            time.sleep(0.005)

    def working(self):
        """The threads that predict."""
        now = set(threading.enumerate()) - self.before
        return [thread for thread in now if thread.name.startswith("hitoku-predict")]

    def charged(self):
        return [e.body for e in self.records.ledger.entries() if e.kind is EntryKind.PREDICTION]


@pytest.fixture
def world(tmp_path, clock):
    made = World(tmp_path, clock, 10**6)
    yield made
    made.scorer.go.set()
    made.parcels.go.set()
    made.idle()
    made.records.store.close()


def test_an_asker_that_sends_slowly_keeps_nobody_else_waiting(world):
    world.parcels.slow.add("airport")
    slow = world.predict("airport")
    world.done("host", world.predict("host"))
    assert world.state("airport", slow)["kind"] == "hitoku/predicting/1"


def test_who_gives_up_again_and_again_has_no_more_threads_than_who_waits(world):
    world.scorer.go.clear()
    first = world.predict("airport")
    assert world.scorer.began.wait(SECONDS)
    world.end("airport", first)
    for _ in range(_WAITING - 1):
        world.end("airport", world.predict("airport"))
    for _ in range(20):
        with pytest.raises(Refusal) as caught:
            world.predict("airport")
        assert caught.value.code == "BUSY"
    assert len(world.working()) <= _WAITING
    world.scorer.go.set()
    world.idle()
    world.done("airport", world.predict("airport"))
    assert len(list(world.folder.iterdir())) == 1, "what was given up left nothing"


def test_scores_that_nobody_takes_do_not_fill_the_disk_nor_push_out_anothers(world):
    kept = world.predict("host")
    world.done("host", kept)
    runs = [world.predict("airport") for _ in range(1)]
    for _ in range(2 * _REMEMBERED):
        world.done("airport", runs[-1])
        runs.append(world.predict("airport"))
    world.done("airport", runs[-1])
    assert len(list(world.folder.iterdir())) <= _REMEMBERED + 1
    assert world.shelf.parcel("host", kept, "prediction-result") is not None
    assert world.state("host", kept)["kind"] == "hitoku/prediction-done/1"


@pytest.mark.parametrize("changes", [{"rows": 1}, {"rows": 9}, {"request_size": 1001}, {"keys_size": 1001}])
def test_what_no_request_of_the_model_can_be_is_refused_before_it_is_charged_or_fetched(world, changes):
    with pytest.raises(InputError):
        world.predict("airport", **changes)
    assert world.charged() == []
    assert world.desk.idle


def test_a_run_is_its_askers_alone(world):
    run = world.predict("host")
    world.done("host", run)
    with pytest.raises(Refusal) as caught:
        world.state("airport", run)
    assert caught.value.code == "NO_SUCH_RUN"
    world.end("airport", run)
    assert world.shelf.parcel("host", run, "prediction-result") is not None
    for member in ("airport", "registry"):
        with pytest.raises(Refusal):
            world.shelf.parcel(member, run, "prediction-result")


def test_a_run_is_not_taken_twice(world):
    run = world.predict("airport")
    world.done("airport", run)
    world.end("airport", run)
    for sender in ("airport", "host"):
        with pytest.raises(Refusal) as caught:
            world.predict(sender, run=run)
        assert caught.value.code == "CONSENT_REPLAYED"
    assert len(world.charged()) == 1


def test_a_run_of_other_bytes_than_were_named_stays_charged_and_leaves_nothing(world):
    run = world.predict("airport", request="sha256:" + "0" * 64)
    world.idle()
    with pytest.raises(Refusal) as caught:
        world.state("airport", run)
    assert caught.value.code == "PREDICTION_FAILED"
    assert len(world.charged()) == 1
    assert not world.folder.is_dir() or list(world.folder.iterdir()) == []


def test_another_process_of_the_owner_takes_nothing_from_this_ones_runs(world, clock):
    """A member's directory may be open in two processes: the one that starts cannot know that a run lives."""
    world.scorer.go.clear()
    run = world.predict("airport")
    assert world.scorer.began.wait(SECONDS)
    world.shelf.put(run, "airport", "prediction-result", CONTENT)
    desk = ModelDesk(
        world.desk._directory,
        world.room,
        lambda: world.records,
        clock,
        world.parcels,
        world.shelf,
        lambda folder: world.scorer,
    )
    desk.answer("host", world.message())
    assert world.shelf.parcel("airport", run, "prediction-result") is not None
    world.scorer.go.set()
    world.done("airport", run)
    world.idle()
    assert Predictions(world.records, clock).of(run) == ("airport", PredictionState.DONE)


def test_what_a_process_left_that_was_killed_goes_when_the_next_one_starts(world, clock):
    """A run under way, and one whose scores nobody had taken; what this member asked others stays."""
    kept = Predictions(world.records, clock)
    model = world.room.agreement.model("score")
    for number, state in ((101, None), (102, PredictionState.DONE)):
        kept.take(f"{number:032x}", model, "airport", 8, "sha256:" + "0" * 64)
        if state is not None:
            kept.end(f"{number:032x}", state)
    for number in (101, 102, 103):
        world.shelf.put(f"{number:032x}", "airport", "prediction-result", CONTENT)
    world.end("airport", world.predict("airport"))
    world.idle()
    assert [path.name for path in world.folder.iterdir()] == [f"{103:032x}"]
    assert kept.of(f"{101:032x}") == ("airport", PredictionState.FAILED)


def test_what_fails_with_words_of_its_own_is_told_without_them(world):
    def run(request, keys):
        raise ValueError("4711 of the model")

    world.scorer.run = run
    number = world.predict("airport")
    world.idle()
    with pytest.raises(Refusal) as caught:
        world.state("airport", number)
    assert "4711" not in str(caught.value)


def test_the_rows_of_a_day_hold_across_threads_and_midnight(tmp_path, clock):
    world = World(tmp_path, clock, 16)
    for _ in range(2):
        world.done("airport", world.predict("airport"))
    with pytest.raises(Refusal) as caught:
        world.predict("airport")
    assert caught.value.code == "MODEL_ROWS_SPENT"
    world.done("host", world.predict("host"))
    clock.pass_seconds(12 * 3600)
    world.done("airport", world.predict("airport"))
    world.idle()
    world.records.store.close()


def test_while_the_room_is_about_to_change_no_request_is_taken(world):
    """An asker with one request after another would keep the version in force that names it."""
    world.desk.closing = True
    with pytest.raises(Refusal) as caught:
        world.predict("airport")
    assert caught.value.code == "BUSY"
    assert world.charged() == []


def test_a_client_specification_of_any_size_that_is_served_fits_its_message():
    text = "\n " * (limits.MAX_CLIENT_SPEC_CHARS // 2)
    given = {"kind": "hitoku/model-given/1", "model": "score", "client": text}
    assert messages.decode(messages.encode(given), "registry") == given


@pytest.mark.parametrize("lie", ["run", "result_size"])
def test_an_owner_that_names_scores_of_no_such_request_is_not_believed(tmp_path, clock, monkeypatch, lie):
    from tests.models import compiled, put, trained

    from hitoku.node.local import open_room

    def change(data):
        data["models"] = [
            {
                "name": "score",
                "owner": "registry",
                "client": "sha256:" + hashlib.sha256(compiled()[1]).hexdigest(),
                "askers": ["airport"],
                "rows_per_day": 10**6,
                "rounding": "0.01",
            }
        ]

    place = make_place(tmp_path, change)
    put(place.members["registry"].path / "models" / "score")
    real = ModelDesk._wait
    changed = {"run": "f" * 32, "result_size": limits.MAX_PREDICTION_BYTES}

    def wait(self, sender, message):
        told = real(self, sender, message)
        return told | {lie: changed[lie]} if told["kind"] == "hitoku/prediction-done/1" else told

    monkeypatch.setattr(ModelDesk, "_wait", wait)
    _, rows = trained()
    with pytest.raises(PeerError, match="not of this request"):
        open_room(place.path, "airport", clock=clock).predict("score", rows[:2])
    folder = place.members["airport"].path / "predictions"
    assert list(folder.iterdir()) == []
