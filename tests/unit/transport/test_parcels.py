# SPDX-License-Identifier: Apache-2.0
"""Parcels in one process: what is written is what is read, whole, in order, and once."""

from __future__ import annotations

import stat
import threading
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.transport.shelves import LABEL, NAME, RECORD, RUN, Folder, records, stream

from hitoku import limits
from hitoku.errors import InputError, LimitError, PeerError
from hitoku.ports import Parcels
from hitoku.transport.batches import BatchReader, CutOff, Pieces
from hitoku.transport.parcels import LocalParcels, ParcelFile, write_parcel

MIXED = pa.schema(
    [
        ("json", pa.binary()),
        ("count", pa.int64()),
        ("yes", pa.bool_()),
        ("text", pa.string()),
        ("r", pa.binary(7)),
    ]
)


@pytest.fixture
def shelf(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def parcels(shelf):
    made: Parcels = LocalParcels("airport", {"host": shelf})
    return made


def mixed(rows):
    columns = [
        [b"x" * (i % 3) for i in range(rows)],
        list(range(rows)),
        [i % 3 == 0 for i in range(rows)],
        ["日本"[: i % 3] for i in range(rows)],
        [bytes([i % 256] * 7) for i in range(rows)],
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, MIXED, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=MIXED)


def joined(batches, schema):
    return pa.Table.from_batches(batches, schema).combine_chunks()


@pytest.mark.parametrize("rows", [0, 1, 7, 1000, 100_000])
@pytest.mark.parametrize("make", [mixed, records])
def test_a_parcel_arrives_whole_and_in_order(shelf, parcels, rows, make):
    batch = make(rows)
    shelf.put(batch, rows=611)
    found = list(parcels.fetch("host", RUN, NAME, batch.schema, rows, 1))
    assert joined(found, batch.schema).equals(pa.Table.from_batches([batch]))
    assert shelf.told == [("airport", RUN, NAME)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 50), max_size=8),
    st.lists(
        st.sampled_from([pa.int64(), pa.bool_(), pa.binary(1), pa.binary(33), pa.int8(), pa.timestamp("us")]),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 200),
)
def test_any_batches_of_any_columns_cut_anywhere(tmp_path_factory, sizes, types, cut):
    schema = pa.schema([(f"c{i}", t) for i, t in enumerate(types)])
    batches = [records(size, schema, seed) for seed, size in enumerate(sizes)]
    path = tmp_path_factory.mktemp("parcel") / "p"
    rows = write_parcel(path, schema, batches)
    assert rows == sum(sizes)
    reader = BatchReader(schema, rows, LABEL, "host")
    with ParcelFile(path, LABEL) as file:
        content = b"".join(file.pieces(0))
    pieces = iter([content[i : i + cut] for i in range(0, len(content), cut)])
    found = list(reader.batches(Pieces(pieces)))
    assert joined(found, schema).equals(joined(batches, schema))
    assert (reader.done, reader.left) == (True, 0)
    # It is Arrow's own format: any reader of it reads the same.
    assert pa.ipc.open_stream(content).read_all().equals(pa.Table.from_batches(batches, schema))


def test_a_stream_that_breaks_off_goes_on_where_it_did(tmp_path):
    batch = records(1000)
    path = tmp_path / "p"
    write_parcel(path, RECORD, [batch.slice(i, 100) for i in range(0, 1000, 100)])
    for step in (1, 500, 3301, 4000, 5000):
        reader = BatchReader(RECORD, 1000, LABEL, "host")
        found: list[object] = []
        length, breaks = 3000, 0
        while not reader.done:
            with ParcelFile(path, LABEL) as file:
                content = b"".join(file.pieces(reader.next))[: max(length, 3800)]
            try:
                found += reader.batches(Pieces(iter([content])))
            except CutOff:
                breaks += 1
            length += step
        assert joined(found, RECORD).equals(pa.Table.from_batches([batch]))
        assert len(found) == 10
        assert breaks >= 2


def test_what_broke_off_in_the_middle_of_a_batch_is_not_passed_on():
    content = stream([records(10), records(10, seed=2)])
    for end in range(len(content)):
        reader = BatchReader(RECORD, 20, LABEL, "host")
        found: list[object] = []
        try:
            for batch in reader.batches(Pieces(iter([content[:end]]))):
                found.append(batch)
            assert reader.done  # only the stream's end is missing
        except CutOff:
            assert not reader.done
        assert found == [records(10), records(10, seed=2)][: len(found)]
        assert reader.next == len(found)


def test_a_parcel_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "p"

    def breaks():
        yield records(10)
        raise KeyError

    with pytest.raises(KeyError):
        write_parcel(path, RECORD, breaks())
    assert not path.exists()
    write_parcel(path, RECORD, [records(10)])
    assert [p.name for p in tmp_path.iterdir()] == ["p"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_what_the_receiver_would_take_is_written(tmp_path):
    nulls = pa.RecordBatch.from_arrays([pa.nulls(3, pa.binary(32))], schema=RECORD)
    with pytest.raises(ValueError, match="nulls"):
        write_parcel(tmp_path / "p", RECORD, [nulls])
    with pytest.raises(ValueError, match="schema"):
        write_parcel(tmp_path / "p", RECORD, [mixed(1)])


def test_batches_are_cut_to_sizes_that_travel_well(tmp_path):
    write_parcel(tmp_path / "p", RECORD, [records(200_000), records(0), records(1)])
    with pa.memory_map(str(tmp_path / "p")) as source:
        sizes = [pa.ipc.open_file(source).get_batch(i).num_rows for i in range(8)]
    assert sizes == [32_768] * 6 + [200_000 - 6 * 32_768, 1]
    tiny = pa.schema([("b", pa.bool_())])
    write_parcel(tmp_path / "p", tiny, [records(200_000, tiny)])
    with pa.memory_map(str(tmp_path / "p")) as source:
        assert pa.ipc.open_file(source).get_batch(0).num_rows == limits.MAX_PARCEL_BATCH_ROWS


def test_files_that_are_no_parcels_are_not_sent(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        ParcelFile(tmp_path / "p", LABEL)
    (tmp_path / "p").write_bytes(b"PLANTED" * 100)
    with pytest.raises(InputError, match="is no parcel") as caught:
        ParcelFile(tmp_path / "p", LABEL)
    assert "PLANTED" not in str(caught.value)
    with pa.OSFile(str(tmp_path / "p"), "wb") as sink, pa.ipc.new_file(sink, RECORD) as writer:
        writer.write_batch(records(limits.MAX_PARCEL_BATCH_ROWS + 1))
    with ParcelFile(tmp_path / "p", LABEL) as file, pytest.raises(LimitError, match="rows"):
        file.batch(0)


def test_a_file_with_batches_of_another_writer_is_sent_too(shelf, parcels):
    """Compressed, with metadata: what travels is neither."""
    schema = RECORD.with_metadata({"pandas": "PLANTED"})
    path = shelf.path / f"{RUN}-{NAME}"
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        writer.write_batch(records(100).replace_schema_metadata(schema.metadata))
    assert list(parcels.fetch("host", RUN, NAME, RECORD, 100, 1)) == [records(100)]


def test_who_fetches_waits_until_it_is_made(shelf, parcels):
    began = time.monotonic()
    threading.Timer(0.3, lambda: shelf.put(records(3))).start()
    assert list(parcels.fetch("host", RUN, NAME, RECORD, 3, 300)) == [records(3)]
    assert 0.2 < time.monotonic() - began < 200
    with pytest.raises(PeerError, match="did not have the parcel other ready within") as caught:
        list(parcels.fetch("host", RUN, "other", RECORD, 3, 0.1))
    assert caught.value.code == "LATE"


def test_what_the_far_side_says_comes_as_its_code_only(shelf, parcels):
    stranger = LocalParcels("registry", {"host": shelf})
    with pytest.raises(PeerError, match="has no parcel") as caught:
        list(stranger.fetch("host", RUN, NAME, RECORD, 3, 1))
    assert caught.value.code == "NO_SUCH_PARCEL"
    shelf.ended = True
    with pytest.raises(PeerError, match="has ended the run") as caught:
        list(parcels.fetch("host", RUN, NAME, RECORD, 3, 1))
    assert caught.value.code == "RUN_ENDED"
    assert "PLANTED" not in str(caught.value)
    shelf.ended = False
    shelf.put(records(1)).write_bytes(b"PLANTED")
    with pytest.raises(PeerError, match=r"failed to send the parcel points-a \(INTERNAL\)") as caught:
        list(parcels.fetch("host", RUN, NAME, RECORD, 3, 1))
    with pytest.raises(PeerError, match="cannot be reached"):
        list(parcels.fetch("registry", RUN, NAME, RECORD, 3, 1))


@pytest.mark.parametrize(
    "words",
    [
        {"run": RUN.upper()},
        {"run": RUN[1:]},
        {"name": "a/b"},
        {"name": ""},
        {"name": "x" * 33},
        {"rows": -1},
        {"schema": pa.schema([])},
        {"schema": pa.schema([("x", pa.list_(pa.int8()))])},
        {"schema": pa.schema([("x", pa.dictionary(pa.int8(), pa.string()))])},
        {"schema": pa.schema([("x", pa.large_binary())])},
        {"schema": pa.schema([("x", pa.uuid())])},
        {"schema": pa.schema([("x", pa.null())])},
        {"schema": pa.schema([("x", pa.binary(5000))])},
        {"schema": RECORD.with_metadata({"x": "y"})},
    ],
)
def test_what_cannot_be_a_parcel_is_not_asked_for(shelf, parcels, words):
    with pytest.raises(ValueError):
        parcels.fetch(
            **{"member": "host", "run": RUN, "name": NAME, "schema": RECORD, "rows": 1, "wait": 1, **words}
        )
    assert shelf.looks == 0


def test_a_large_bound_is_only_a_bound():
    """What a batch may be follows from the schema and the rows."""
    reader = BatchReader(RECORD, 10, LABEL, "host")
    assert reader.most < 10 * 32 + limits.MAX_PARCEL_METADATA_BYTES + 200
    assert BatchReader(RECORD, 10**8, LABEL, "host").most < 65_536 * 33 + 2 * limits.MAX_PARCEL_METADATA_BYTES
