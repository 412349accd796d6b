# SPDX-License-Identifier: Apache-2.0
"""Parcels over HTTPS, between a fetcher and a listener that are real, and a network that is bad."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pytest
from tests.e2e.proxy import Proxy
from tests.unit.transport.https.parties import SECONDS, listening
from tests.unit.transport.https.test_client import HEAD, carrying, holder, network
from tests.unit.transport.shelves import NAME, RECORD, RUN, Folder, records

from hitoku.errors import PeerError
from hitoku.ports import Parcels
from hitoku.transport import messages
from hitoku.transport.https import bounds
from hitoku.transport.https.fetching import HttpsParcels
from hitoku.transport.parcels import ParcelFile

ECHO = {"kind": "echo"}


@pytest.fixture
def shelf(tmp_path):
    (tmp_path / "shelf").mkdir()
    return Folder(tmp_path / "shelf")


@pytest.fixture
def serve(place, shelf):
    def made(**more):
        answer = carrying("host", lambda sender, message: ECHO)
        return listening(place.agreement, "host", holder(place, "host"), answer, shelf=shelf, **more)

    return made


@contextmanager
def fetching(place, port, me="airport"):
    net = network(place, me, host=f"https://127.0.0.1:{port}")
    with net:
        made: Parcels = HttpsParcels(net)
        yield made


def fetch(parcels, batch, name=NAME, wait=SECONDS, rows=None):
    found = list(
        parcels.fetch("host", RUN, name, batch.schema, batch.num_rows if rows is None else rows, wait)
    )
    return pa.Table.from_batches(found, batch.schema).combine_chunks()


def same(table, batch):
    return table.equals(pa.Table.from_batches([batch]))


@pytest.mark.parametrize("rows", [0, 1, 70_000])
def test_a_parcel_arrives_whole(place, shelf, serve, rows):
    batch = records(rows)
    shelf.put(batch)
    with serve() as there, fetching(place, there.port) as parcels:
        assert same(fetch(parcels, batch), batch)
    assert shelf.told == [("airport", RUN, NAME)]
    (event,) = there.heard.events
    assert (event["route"], event["status"], event["sender"]) == ("parcels", 200, "airport")
    assert event["bytes"] > 32 * rows


def test_it_has_left_on_record_before_its_first_byte_leaves(place, shelf, serve):
    batch, go_on, begun = records(10), threading.Event(), threading.Event()
    shelf.put(batch)
    before = shelf.left

    def left(*words):
        begun.set()
        go_on.wait(SECONDS)
        before(*words)

    shelf.left = left
    with serve() as there, fetching(place, there.port) as parcels, ThreadPoolExecutor(1) as threads:
        found = threads.submit(fetch, parcels, batch)
        assert begun.wait(SECONDS)
        assert not found.done()
        assert not there.heard.events
        go_on.set()
        assert same(found.result(SECONDS), batch)


def test_nothing_leaves_that_could_not_be_recorded(place, shelf, serve):
    shelf.put(records(10))

    def left(*words):
        raise OSError("PLANTED")

    shelf.left = left
    with (
        serve() as there,
        fetching(place, there.port) as parcels,
        pytest.raises(PeerError, match="INTERNAL") as caught,
    ):
        fetch(parcels, records(10))
    assert "PLANTED" not in str(caught.value) + str(there.heard.events)


def test_who_fetches_waits_over_several_requests(place, shelf, serve, monkeypatch):
    monkeypatch.setattr(bounds, "PARCEL_SECONDS", 0.3)
    batch = records(10)
    with serve() as there, fetching(place, there.port) as parcels:
        with pytest.raises(PeerError, match="did not have the parcel") as caught:
            fetch(parcels, batch, wait=0.1)
        assert caught.value.code == "LATE"

        def late():
            while len(there.heard.events) < 3:
                time.sleep(0.01)
            shelf.put(batch)

        thread = threading.Thread(target=late, daemon=True)
        thread.start()
        assert same(fetch(parcels, batch), batch)
        thread.join(SECONDS)
    statuses = [e["status"] for e in there.heard.events]
    assert statuses[-1] == 200
    assert statuses.count(204) == len(statuses) - 1 >= 3


def test_a_parcel_comes_soon_after_it_is_made(place, shelf, serve):
    batch = records(10)
    with serve() as there, fetching(place, there.port) as parcels, ThreadPoolExecutor(1) as threads:
        found = threads.submit(fetch, parcels, batch)
        while not shelf.looks:
            time.sleep(0.01)
        shelf.put(batch)
        assert same(found.result(SECONDS), batch)
    assert [e["status"] for e in there.heard.events] == [200]


def test_what_the_far_side_says_comes_as_its_code_only(place, shelf, serve):
    shelf.put(records(1))
    with serve() as there:
        with fetching(place, there.port, "registry") as parcels, pytest.raises(PeerError) as caught:
            fetch(parcels, records(1))
        assert caught.value.code == "NO_SUCH_PARCEL"
        shelf.ended = True
        with fetching(place, there.port) as parcels, pytest.raises(PeerError) as caught:
            fetch(parcels, records(1))
        assert caught.value.code == "RUN_ENDED"
    assert [e["status"] for e in there.heard.events] == [404, 410]
    assert "PLANTED" not in str(there.heard.events)


def test_a_node_without_a_shelf_has_no_parcels(place):
    answer = carrying("host", lambda sender, message: ECHO)
    with (
        listening(place.agreement, "host", holder(place, "host"), answer) as there,
        fetching(place, there.port) as parcels,
        pytest.raises(PeerError) as caught,
    ):
        fetch(parcels, records(1))
    assert caught.value.code == "NO_SUCH_PARCEL"


def test_a_sender_that_cannot_be_reached_is_told(place, monkeypatch):
    monkeypatch.setattr(bounds, "STALL_SECONDS", 1)
    with (
        fetching(place, 1) as parcels,
        pytest.raises(PeerError, match="cannot be reached at https") as caught,
    ):
        fetch(parcels, records(1))
    assert caught.value.code == "STALLED"
    monkeypatch.setattr(bounds, "STALL_SECONDS", SECONDS)
    with fetching(place, 1) as parcels, pytest.raises(PeerError, match="cannot be reached at https"):
        fetch(parcels, records(1), wait=0.1)
    with network(place, "airport") as net, pytest.raises(PeerError, match="its address is not known"):
        fetch(HttpsParcels(net), records(1))


@pytest.mark.parametrize(
    "words",
    [
        {"drop_bytes": 60_000},
        {"drop_bytes": 7_919, "most_drops": 9},
        {"drop_seconds": 0.1, "mbit": 20, "most_drops": 25},
        {"drop_seconds": 0.05, "mbit": 20, "delay_ms": 5, "most_drops": 15, "seed": 1},
    ],
)
def test_over_connections_that_break_each_batch_comes_once(place, shelf, serve, words):
    batch = records(50_000)
    shelf.put(batch, rows=700)  # 22 kB
    with (
        serve() as there,
        Proxy(("127.0.0.1", there.port), **words) as proxy,
        fetching(place, proxy.port) as parcels,
    ):
        found = list(parcels.fetch("host", RUN, NAME, RECORD, batch.num_rows, SECONDS))
    assert [b.num_rows for b in found] == [700] * 71 + [300]
    assert same(pa.Table.from_batches(found).combine_chunks(), batch)
    assert proxy.drops >= 3
    assert proxy.connections > proxy.drops / 2


def test_a_sender_that_is_started_again_goes_on(place, shelf, serve, monkeypatch):
    """The listener stops in the middle of a parcel; the next, at the same port, sends the rest."""
    batch, read, stopping = records(200_000), ParcelFile.batch, threading.Event()

    def held(self, number):
        """However slow this thread is: no parcel is past its middle before the listener stops."""
        assert number < 50 or stopping.wait(SECONDS)
        return read(self, number)

    monkeypatch.setattr(ParcelFile, "batch", held)
    shelf.put(batch, rows=2_000)
    with Proxy(("127.0.0.1", 1), mbit=40) as proxy, fetching(place, proxy.port) as parcels:
        with serve() as there:
            proxy.to = ("127.0.0.1", there.port)
            coming = parcels.fetch("host", RUN, NAME, RECORD, batch.num_rows, SECONDS)
            found = [next(coming) for _ in range(10)]
            there.listener.should_exit = True
            while there.listener.servers[0].is_serving():
                time.sleep(0.01)
            stopping.set()
        # It notices the end of the stream in a thread of its own.
        until = time.monotonic() + SECONDS
        while not there.heard.events and time.monotonic() < until:
            time.sleep(0.01)
        assert there.heard.events[-1]["error"] == "Stop"
        with serve() as again:
            proxy.to = ("127.0.0.1", again.port)
            found += coming
    assert same(pa.Table.from_batches(found).combine_chunks(), batch)
    assert again.heard.events[-1]["sequence"] >= 10


def test_a_receiver_that_computes_for_long_loses_nothing(place, shelf, serve, monkeypatch):
    """The sender gives the stream up meanwhile; none of that is counted against the sender."""
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(bounds, "STALL_SECONDS", 3)
    batch = records(1_500_000)
    shelf.put(batch)
    with serve() as there, fetching(place, there.port) as parcels:
        coming = parcels.fetch("host", RUN, NAME, RECORD, batch.num_rows, SECONDS)
        found = [next(coming)]
        until = time.monotonic() + SECONDS
        while not there.heard.events and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(2 * bounds.STALL_SECONDS)
        monkeypatch.setattr(bounds, "BODY_SECONDS", SECONDS)
        found += coming
    assert same(pa.Table.from_batches(found).combine_chunks(), batch)
    assert there.heard.events[0]["error"] == "read too slowly"


def test_who_stops_in_the_middle_leaves_nothing_behind(place, shelf, serve):
    batch = records(1_500_000)
    shelf.put(batch)
    with serve() as there, fetching(place, there.port) as parcels:
        coming = parcels.fetch("host", RUN, NAME, RECORD, batch.num_rows, SECONDS)
        next(coming)
        coming.close()
        for _ in range(SECONDS * 10):
            if there.heard.events:
                break
            time.sleep(0.1)
        assert there.heard.events[0]["error"] == "Stop"
        assert there.heard.events[0]["bytes"] < 32 * batch.num_rows / 2
        assert same(fetch(parcels, batch), batch)


def test_waiting_for_parcels_keeps_no_message_waiting(place, shelf, serve):
    with serve() as there, network(place, "airport", there) as net, ThreadPoolExecutor(40) as threads:
        parcels = HttpsParcels(net)
        waiting = [threads.submit(fetch, parcels, records(i), name=f"p{i}") for i in range(40)]
        while shelf.looks < 40:
            time.sleep(0.01)
        for _ in range(20):
            assert net.carry("airport", "host", messages.encode(HEAD)) == messages.encode(ECHO)
        assert not any(w.done() for w in waiting)
        for i in range(40):
            shelf.put(records(i), name=f"p{i}")
        assert all(same(w.result(SECONDS), records(i)) for i, w in enumerate(waiting))


def test_more_streams_than_a_member_may_have_come_one_after_the_other(place, shelf, serve, monkeypatch):
    monkeypatch.setattr(bounds, "STREAMS_A_MEMBER", 2)
    monkeypatch.setattr(bounds, "PARCEL_SECONDS", 0.5)
    batch = records(300_000)
    shelf.put(batch)
    with (
        serve() as there,
        Proxy(("127.0.0.1", there.port), mbit=400) as proxy,
        fetching(place, proxy.port) as parcels,
        ThreadPoolExecutor(6) as threads,
    ):
        found = list(threads.map(lambda _: fetch(parcels, batch), range(6)))
    assert all(same(one, batch) for one in found)
    assert {e["status"] for e in there.heard.events} <= {200, 503}
