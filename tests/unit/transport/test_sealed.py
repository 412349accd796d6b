# SPDX-License-Identifier: Apache-2.0
"""Parcels that travel sealed: the same rows arrive; what was touched on the way ends the run."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.transport.shelves import LABEL, NAME, RUN, Folder, records

from hitoku.attestation.envelope import Envelope
from hitoku.errors import PeerError, RunAborted
from hitoku.transport.batches import BatchReader, CutOff, Pieces
from hitoku.transport.parcels import LocalParcels, ParcelFile, open_parcel
from hitoku.transport.sealed import Opening, OtherSession, SealedStream, Sealing

KEY, SESSION, ROOM, PROGRAM = bytes(32), b"0123456789abcdef", "sha256:" + "1" * 64, "a" * 96


def envelope(key: bytes = KEY, stage: str = NAME, program: str = PROGRAM) -> Envelope:
    return Envelope(key, ROOM, RUN, stage, program)


class Sealed(Folder):
    """A shelf whose parcels travel sealed."""

    def __init__(self, path):
        super().__init__(path)
        self.session = SESSION

    def sealing(self, member, run, name):
        return Sealing(self.session, envelope(stage=name))


def opening(sessions=(SESSION,), key=KEY):
    return Opening(NAME, lambda identity: envelope(key) if identity in sessions else None)


@pytest.fixture
def shelf(tmp_path):
    return Sealed(tmp_path)


def wire(shelf, start=0):
    """The bytes of one stream."""
    with open_parcel(shelf, shelf.path / f"{RUN}-{NAME}", "airport", RUN, NAME) as file:
        return b"".join(bytes(piece) for piece in file.pieces(start))


def read(content, batch, how=None, *, step=None, reader=None):
    reader = reader or BatchReader(batch.schema, batch.num_rows, LABEL, "host")
    pieces = [content[at : at + step] for at in range(0, len(content), step)] if step else [content]
    return list(reader.batches((how or opening()).stream(Pieces(iter(pieces)), reader)))


@pytest.mark.parametrize("rows", [0, 1, 7, 1000, 70_000])
def test_a_sealed_parcel_arrives_whole_and_in_order(shelf, rows):
    batch = records(rows)
    shelf.put(batch, rows=611)
    parcels = LocalParcels("airport", {"host": shelf}).opened_by(lambda name: opening())
    found = list(parcels.fetch("host", RUN, NAME, batch.schema, rows, 1))
    assert pa.Table.from_batches(found, batch.schema).equals(pa.Table.from_batches([batch]))
    assert shelf.told == [("airport", RUN, NAME)]


def test_nothing_of_the_rows_is_on_the_wire(shelf):
    batch = records(1000)
    shelf.put(batch)
    content = wire(shelf)
    for row in batch.column(0).to_pylist()[::97]:
        assert row not in content
    assert content != wire(shelf)  # sealed anew each time


def test_a_stream_goes_on_from_any_batch_even_under_a_new_session(shelf):
    batch = records(1000)
    shelf.put(batch, rows=100)
    first = wire(shelf)
    reader = BatchReader(batch.schema, batch.num_rows, LABEL, "host")
    found: list[pa.RecordBatch] = []
    how = opening((SESSION, b"f" * 16))
    half = reader.batches(how.stream(Pieces(iter([first[: len(first) // 2]])), reader))
    with pytest.raises(CutOff):
        found += half
    assert 0 < reader.next < 10
    shelf.session = b"f" * 16
    found += read(wire(shelf, reader.next), batch, how, reader=reader)
    assert pa.Table.from_batches(found, batch.schema).equals(pa.Table.from_batches([batch]))


def test_a_session_that_is_not_known_yet_is_waited_for(shelf):
    batch = records(10)
    shelf.put(batch)
    known: list[bytes] = []
    looked = []

    def opener(identity):
        looked.append(identity)
        if len(looked) == 3:
            known.append(SESSION)
        return envelope() if identity in known else None

    parcels = LocalParcels("airport", {"host": shelf}).opened_by(lambda name: Opening(name, opener))
    assert sum(map(len, parcels.fetch("host", RUN, NAME, batch.schema, 10, 5))) == 10
    assert looked == [SESSION] * 3
    never = LocalParcels("airport", {"host": shelf}).opened_by(lambda name: opening(()))
    with pytest.raises(PeerError, match="ready") as caught:
        list(never.fetch("host", RUN, NAME, batch.schema, 10, 0.05))
    assert caught.value.code == "LATE"
    with pytest.raises(OtherSession):
        read(wire(shelf), batch, opening(()))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_one_changed_byte_anywhere_never_gives_other_rows(tmp_path_factory, data):
    shelf = Sealed(tmp_path_factory.mktemp("shelf"))
    batch = records(30)
    shelf.put(batch, rows=10)
    content = bytearray(wire(shelf))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((RunAborted, CutOff)):  # a session's name, or a length, is read before it is proven
        read(bytes(content), batch, step=data.draw(st.sampled_from([None, 1, 100])))


def frames(content):
    """The frames of a stream, with their heads."""
    found, at = [], 32
    while at < len(content):
        end = at + 5 + int.from_bytes(content[at : at + 4], "big")
        found.append(content[at:end])
        at = end
    return found


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2), (0, 0, 1, 2), (2,), (0, 1)])
def test_frames_that_are_moved_repeated_or_left_out_end_the_run(shelf, order):
    batch = records(30)
    shelf.put(batch, rows=10)
    content = wire(shelf)
    parts = frames(content)
    with pytest.raises((RunAborted, CutOff)) as caught:
        read(content[:32] + b"".join(parts[n] for n in order), batch)
    assert order == (0, 1) or isinstance(caught.value, RunAborted)


def test_a_frame_does_not_become_the_last_one_by_saying_so(shelf):
    batch = records(30)
    shelf.put(batch, rows=10)
    content = wire(shelf)
    first = bytearray(frames(content)[0])
    first[4] = 1
    with pytest.raises(RunAborted):
        read(content[:32] + bytes(first), batch)


def test_a_parcel_that_comes_as_it_is_ends_the_run(tmp_path):
    shelf = Folder(tmp_path)
    batch = records(10)
    shelf.put(batch)
    parcels = LocalParcels("airport", {"host": shelf}).opened_by(lambda name: opening())
    with pytest.raises(RunAborted) as caught:
        list(parcels.fetch("host", RUN, NAME, batch.schema, 10, 1))
    assert caught.value.stage == NAME


def test_a_sealed_parcel_is_nothing_to_who_has_no_key(shelf):
    batch = records(10)
    shelf.put(batch)
    with pytest.raises(PeerError):
        list(LocalParcels("airport", {"host": shelf}).fetch("host", RUN, NAME, batch.schema, 10, 1))
    with pytest.raises(RunAborted):
        read(wire(shelf), batch, opening(key=b"\1" * 32))


def test_a_frame_that_is_too_long_is_not_read(shelf):
    batch = records(10)
    shelf.put(batch)
    with pytest.raises(RunAborted):
        read(wire(shelf)[:32] + b"\xff\xff\xff\xff\0" + bytes(100), batch)


def test_a_parcel_that_has_to_be_sealed_does_not_leave_without_a_session(tmp_path):
    class Without(Folder):
        def sealing(self, member, run, name):
            raise PeerError("no session")

    shelf = Without(tmp_path)
    shelf.put(records(1))
    parcels = LocalParcels("airport", {"host": shelf})
    with pytest.raises(PeerError, match="no session"):
        list(parcels.fetch("host", RUN, NAME, records(1).schema, 1, 1))
    assert shelf.told == []


def test_other_shelves_are_as_they_were(tmp_path):
    shelf = Folder(tmp_path)
    shelf.put(records(5))
    with open_parcel(shelf, tmp_path / f"{RUN}-{NAME}", "airport", RUN, NAME) as file:
        assert isinstance(file, ParcelFile)
        assert not isinstance(file, SealedStream)
