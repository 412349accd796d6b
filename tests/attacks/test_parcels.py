# SPDX-License-Identifier: Apache-2.0
"""Bulk data from a member who sends something else, or sends it so that the receiver would suffer."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pyarrow as pa
import pytest
from tests.unit.transport.https.parties import SECONDS, connect, forged, listening, party, rest
from tests.unit.transport.https.test_client import carrying, holder, network
from tests.unit.transport.shelves import LABEL, NAME, RECORD, RUN, Folder, records, stream

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.transport.batches import END, BatchReader, CutOff, Pieces
from hitoku.transport.https import bounds, tls
from hitoku.transport.https.fetching import HttpsParcels

ONE, TWO = records(10), records(10, seed=2)
BINARY = pa.schema([("json", pa.binary())])


def read(content: bytes, rows: int = 20, schema: pa.Schema = RECORD) -> list[pa.RecordBatch]:
    return list(BatchReader(schema, rows, LABEL, "host").batches(Pieces(iter([content]))))


def refused(content: bytes, why: str, rows: int = 20, schema: pa.Schema = RECORD) -> None:
    with pytest.raises(PeerError, match=why) as caught:
        read(content, rows, schema)
    assert "PLANTED" not in str(caught.value)


def labels(*numbers: int, last: bool = True, parcel: str = LABEL) -> list[dict[str, str]]:
    made = [{"parcel": parcel, "seq": str(n)} for n in numbers]
    if last:
        made[-1]["last"] = "1"
    return made


def test_the_honest_stream_is_taken():
    assert read(stream([ONE, TWO])) == [ONE, TWO]


def as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [pa.Array.from_buffers(f.type, batch.num_rows, batch.column(0).buffers()) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


@pytest.mark.parametrize(
    "schema",
    [
        pa.schema([("record", pa.binary(16))]),
        pa.schema([("record", pa.binary(31))]),
        pa.schema([("record", pa.int64())]),
        pa.schema([("Record", pa.binary(32))]),
        pa.schema([("record", pa.binary(32)), ("extra", pa.binary(32))]),
        pa.schema([("record", pa.binary(32)), ("record", pa.binary(32))]),
        pa.schema([pa.field("record", pa.binary(32), nullable=False)]),
        pa.schema([pa.field("record", pa.binary(32), metadata={"a": "PLANTED"})]),
        RECORD.with_metadata({"PLANTED": "x"}),
        pa.schema([("record", pa.decimal256(5))]),
    ],
)
def test_another_schema_is_refused(schema):
    refused(stream([as_schema(ONE, schema), as_schema(TWO, schema)]), "another schema")


def test_a_schema_that_lies_about_its_batches_is_refused():
    """The batches are of other widths, columns and types than the schema before them."""
    head = RECORD.serialize().to_pybytes()
    for schema in (
        pa.schema([("record", pa.binary(16))]),
        pa.schema([("record", pa.binary(32)), ("extra", pa.binary(32))]),
        pa.schema([("record", pa.bool_())]),
        BINARY,
    ):
        batch = records(20, schema) if schema is not BINARY else values([b"PLANTED" * 4] * 20)
        made = stream([batch])[len(schema.serialize().to_pybytes()) :]
        refused(head + made, "columns|size|buffers", rows=20)


def values(content: list[bytes]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(content, pa.binary())], schema=BINARY)


@pytest.mark.parametrize(
    "numbers",
    [
        labels(0, 2),
        labels(0, 0),
        labels(1, 0),
        labels(1, 2),
        labels(-1, 0),
        [{}, {}],
        [{"parcel": LABEL}, {"parcel": LABEL, "last": "1"}],
        [{"parcel": LABEL, "seq": "00"}, {"parcel": LABEL, "seq": "1", "last": "1"}],
        [{"parcel": LABEL, "seq": "0"}, {"parcel": LABEL, "seq": "1", "last": "PLANTED"}],
        [{"parcel": LABEL, "seq": "0", "PLANTED": "x"}, {"parcel": LABEL, "seq": "1", "last": "1"}],
        [{"parcel": LABEL, "seq": "0" * 200}, {"parcel": LABEL, "seq": "1", "last": "1"}],
        [{"parcel": LABEL, "seq": "0", **{f"x{i}": "" for i in range(500)}}, *labels(1)],
        labels(0, 1, parcel="f" * 32 + "/" + NAME),
        labels(0, 1, parcel=RUN + "/points-b"),
        labels(0, 1, parcel=RUN),
    ],
)
def test_batches_that_are_missing_twice_in_another_order_or_of_another_parcel_are_refused(numbers):
    refused(stream([ONE, TWO], numbers), "not the next one of this parcel|too long")


def test_another_runs_parcel_cannot_be_replayed():
    """What was recorded of one run says of which it is, in every batch."""
    before = stream([ONE, TWO], labels(0, 1, parcel="f" * 32 + "/" + NAME))
    refused(before, "not the next one of this parcel")
    after_resume = stream([TWO], labels(1, parcel="f" * 32 + "/" + NAME))
    reader = BatchReader(RECORD, 20, LABEL, "host")
    with suppress(CutOff):
        next(reader.batches(Pieces(iter([stream([ONE, TWO])]))))
        reader.next, reader.left = 1, 10
    with pytest.raises(PeerError, match="not the next one"):
        list(reader.batches(Pieces(iter([after_resume]))))


def test_more_rows_fewer_rows_and_no_rows_are_refused():
    refused(stream([ONE, TWO]), "more rows", rows=19)
    refused(stream([ONE, TWO]), "fewer rows", rows=21)
    refused(stream([ONE, TWO], labels(0, 1, last=False)), "should be the last", rows=20)
    refused(stream([ONE, TWO], labels(0, 1, last=False)), "ends before its last", rows=30)
    refused(stream([ONE, TWO, ONE]), "should be the last")
    refused(stream([records(0), ONE]), "no rows", rows=10)
    refused(stream([ONE, records(0)]), "should be the last", rows=10)
    refused(stream([ONE]), "more rows", rows=0)
    refused(stream([records(0)], labels(0, last=False)), "no rows", rows=0)
    refused(stream([records(65_537)]), "too many rows", rows=65_537)
    assert read(stream([records(0)]), rows=0) == [records(0)]


def test_what_follows_the_end_is_refused():
    refused(stream([ONE, TWO]) + b"x", "goes on after its end")
    refused(stream([ONE, TWO])[: -len(END)] + stream([ONE]), "goes on after its last")


def test_nulls_are_refused():
    holes = pa.array([None, *(b"x" * 32 for _ in range(9))], pa.binary(32))
    refused(stream([pa.RecordBatch.from_arrays([holes], schema=RECORD), TWO]), "nulls")
    # Declared to have none, with a buffer that says which are null: what the buffer says is not read.
    content = stream([pa.RecordBatch.from_arrays([holes], schema=RECORD), TWO])
    node = struct.pack("<qq", 10, 1)
    assert content.count(node) == 1
    found = read(content.replace(node, struct.pack("<qq", 10, 0)))
    assert found[0].column(0).null_count == 0


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_compression_bomb_is_not_unpacked(codec):
    bomb = pa.RecordBatch.from_arrays(
        [pa.Array.from_buffers(pa.binary(32), 65_536, [None, pa.py_buffer(bytes(32 * 65_536))])],
        schema=RECORD,
    )
    content = stream([bomb], compression=codec)
    assert len(content) < 20_000
    with little_memory(3_000_000):
        refused(content, "compressed", rows=65_536)
    wide = values([bytes(1_000_000)])
    refused(stream([wide], compression=codec), "compressed", rows=1, schema=BINARY)


@contextmanager
def little_memory(most: int) -> Iterator[None]:
    """Neither Python nor Arrow takes more than so many bytes meanwhile."""
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    assert pool.bytes_allocated() - before < most


def test_dictionaries_and_other_messages_are_refused():
    head = RECORD.serialize().to_pybytes()
    words = pa.array(["PLANTED"] * 10).dictionary_encode()
    coded = stream([pa.RecordBatch.from_arrays([words], names=["record"])])
    refused(coded, "another schema", rows=10)
    start = 8 + struct.unpack_from("<I", coded, 4)[0]
    refused(head + coded[start:], "something other than a batch", rows=10)
    refused(head + head + stream([ONE, TWO])[len(head) :], "something other than a batch")
    tensor = pa.BufferOutputStream()
    pa.ipc.write_tensor(pa.Tensor.from_numpy(__import__("numpy").zeros(8)), tensor)
    refused(head + tensor.getvalue().to_pybytes(), "something other|no stream")


def test_sizes_that_are_only_declared_take_no_memory():
    content = stream([ONE, TWO])
    body = struct.pack("<q", 320)
    assert content.count(body) == 4  # the body's length and a buffer's, in each of two batches
    with little_memory(1_000_000):
        for size in (10**12, 2**63 - 1, -1, 320 + 10_000, 319):
            forged_size = struct.pack("<q", size)
            refused(content.replace(body, forged_size), "another size|buffers are not where")
        head = len(RECORD.serialize())
        for length in (-1, -(2**31), 2**31 - 1, limits.MAX_PARCEL_METADATA_BYTES + 8, 7):
            for at in (4, head + 4):
                bad = content[:at] + struct.pack("<i", length) + content[at + 4 :]
                refused(bad, "no stream of Arrow")
        rows = struct.pack("<q", 10)
        for count in (-1, 2**62, 65_536, 11):
            refused(content.replace(rows, struct.pack("<q", count)), "rows|size")


def test_buffers_outside_of_the_body_are_refused():
    content = stream([ONE], labels(0))
    entry = struct.pack("<qq", 0, 320)
    assert content.count(entry) == 1
    for at, length in ((8, 320), (-8, 320), (2**62, 320), (0, 2**62), (0, 319), (4, 316), (2**63 - 8, 320)):
        refused(content.replace(entry, struct.pack("<qq", at, length)), "buffers are not where", rows=10)


def test_offsets_that_point_elsewhere_are_refused():
    honest = values([b"PLANTED", b"", b"x"])
    content = stream([honest], labels(0))
    offsets = struct.pack("<iiii", 0, 7, 7, 8)
    assert content.count(offsets) == 1
    assert read(content, 3, BINARY) == [honest]
    for bad in (
        (0, 7, 7, 9_000),
        (0, 7, 6, 8),
        (-8, 0, 7, 8),
        (0, -1, 7, 8),
        (0, 2**31 - 1, 7, 8),
        (1, 7, 7, 8),
    ):
        refused(content.replace(offsets, struct.pack("<iiii", *bad)), "buffers|not of their", 3, BINARY)
    refused(stream([values([bytes(limits.MAX_PARCEL_BINARY_BYTES + 1000)])]), "size|buffers", 1, BINARY)
    large = values([bytes(limits.MAX_PARCEL_BINARY_BYTES)])
    assert read(stream([large]), 1, BINARY) == [large]


def test_text_that_is_no_text_is_refused():
    schema = pa.schema([("t", pa.string())])
    batch = pa.RecordBatch.from_arrays([pa.array(["PLANTED"])], schema=schema)
    refused(stream([batch]).replace(b"PLANTED", b"PLANTE\xff"), "not of their column's type", 1, schema)


# --- over HTTPS ---


class World:
    """A host's listener with a parcel for the airport."""

    def __init__(self, place, there, shelf):
        self.place, self.there, self.shelf = place, there, shelf
        self.path = f"/rooms/{there.room}/parcels/{RUN}/{NAME}/0"
        self.airport = holder(place, "airport")

    def context(self, who) -> ssl.SSLContext:
        key = self.place.agreement.member("host").key
        return tls.client_context(who.certificate, who.key_file, key)

    def get(self, path=None, who=None, method="GET", **headers) -> tuple[int | None, bytes]:
        lines = {"host": "a", "hitoku-protocol": bounds.PROTOCOL, "connection": "close", **headers}
        text = f"{method} {path or self.path} HTTP/1.1\r\n"
        text += "".join(f"{n}: {v}\r\n" for n, v in lines.items()) + "\r\n"
        with connect(self.there, self.context(who or self.airport)) as connection:
            with suppress(OSError):
                connection.sendall(text.encode())
            content = rest(connection)
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", content)
        return (int(found[1]) if found else None), content.partition(b"\r\n\r\n")[2]


@pytest.fixture
def world(place, tmp_path, monkeypatch):
    monkeypatch.setattr(bounds, "SHUTDOWN_SECONDS", 1)
    monkeypatch.setattr(bounds, "PARCEL_SECONDS", 0.3)
    (tmp_path / "shelf").mkdir()
    shelf = Folder(tmp_path / "shelf")
    shelf.put(records(20))
    answer = carrying("host", lambda sender, message: {"kind": "echo"})
    with listening(place.agreement, "host", holder(place, "host"), answer, shelf=shelf) as there:
        made = World(place, there, shelf)
        yield made
        assert made.get()[0] == 200
        assert "PLANTED" not in str(there.heard.events)


def test_a_third_party_gets_nothing(world, tmp_path):
    stranger = party(tmp_path, "stranger")
    like = world.airport
    lent = stranger.shows(forged(like.certificate.read_bytes(), stranger.key, like.key))
    for who in (stranger, lent):
        assert world.get(who=who) == (None, b"")
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    with connect(world.there, bare) as connection:
        with suppress(OSError):
            connection.sendall(f"GET {world.path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        assert rest(connection) == b""
    assert world.shelf.told == []


def test_another_member_cannot_tell_which_runs_there_are(world):
    registry = holder(world.place, "registry")
    nowhere = world.path.replace(RUN, "f" * 32)
    there, not_there = world.get(who=registry), world.get(nowhere, who=registry)
    assert there == not_there == (404, b'{"kind":"hitoku/failed/1","code":"NO_SUCH_PARCEL"}')
    world.shelf.ended = True
    assert world.get(who=registry) == there
    world.shelf.ended = False
    assert world.shelf.told == []


def test_only_well_formed_paths_reach_the_shelf(world):
    looks = world.shelf.looks
    room = world.there.room
    for tail in (
        "", f"/{RUN}", f"/{RUN}/{NAME}", f"/{RUN}/{NAME}/", f"/{RUN}/{NAME}/00", f"/{RUN}/{NAME}/-1",
        f"/{RUN}/{NAME}/1e3", f"/{RUN}/{NAME}/9999999999", f"/{RUN.upper()}/{NAME}/0", f"/{RUN}/../{NAME}/0",
        f"/{RUN}/..%2f..%2fetc/0", f"/{RUN}/{'x' * 33}/0", f"/{RUN}/a.b/0", f"/{RUN}/{NAME}/0?x=1",
        f"/{RUN}/{NAME}/0/0", f"/{RUN}/{NAME}/%30", f"/{RUN}//0", f"/{RUN}/a\0b/0", f"/{RUN}/é/0",
    ):  # fmt: skip
        assert world.get(f"/rooms/{room}/parcels{tail}")[0] in {404, 400}, tail
    for method in ("POST", "PUT", "HEAD", "DELETE"):
        assert world.get(method=method)[0] == 405
    assert world.get(f"/rooms/{room}/parcels/{RUN}/{NAME}/1")[0] == 416
    assert world.get(**{"hitoku-protocol": "0"})[0] == 426
    assert world.shelf.looks == looks + 1
    assert world.shelf.told == []


def test_who_asks_again_and_again_has_a_bounded_number_of_places(world, monkeypatch):
    monkeypatch.setattr(bounds, "PARCELS_ASKED_A_MEMBER", 5)
    monkeypatch.setattr(bounds, "PARCEL_SECONDS", SECONDS)
    path, found = world.path.replace(NAME, "later"), []
    threads = [threading.Thread(target=lambda: found.append(world.get(path)[0])) for _ in range(12)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + SECONDS / 2
    while len(found) < 7 and time.monotonic() < until:
        time.sleep(0.01)
    world.shelf.put(records(20), name="later")
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == ["200"] * 5 + ["503"] * 7


def test_who_hangs_up_frees_the_place(world, monkeypatch):
    monkeypatch.setattr(bounds, "PARCELS_ASKED_A_MEMBER", 1)
    monkeypatch.setattr(bounds, "PARCEL_SECONDS", SECONDS)
    path = world.path.replace(NAME, "never")
    connection = connect(world.there, world.context(world.airport))
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\nhitoku-protocol: 1\r\n\r\n".encode())
    while world.shelf.looks == 0:
        time.sleep(0.01)
    assert world.get()[0] == 503
    connection.close()
    until = time.monotonic() + SECONDS
    while world.get()[0] != 200:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_who_does_not_read_is_given_up_and_its_place_freed(world, monkeypatch):
    monkeypatch.setattr(bounds, "BODY_SECONDS", 5)
    monkeypatch.setattr(bounds, "STREAMS_A_MEMBER", 1)
    world.shelf.put(records(1_500_000), name="large")
    connection = connect(world.there, world.context(world.airport))
    path = world.path.replace(NAME, "large")
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\nhitoku-protocol: 1\r\n\r\n".encode())
    while not world.shelf.told:
        time.sleep(0.01)
    assert world.get()[0] == 503
    for _ in range(SECONDS * 10):
        if world.there.heard.events and "read too slowly" in str(world.there.heard.events):
            break
        time.sleep(0.1)
    sent = next(e["bytes"] for e in world.there.heard.events if e.get("error") == "read too slowly")
    assert sent < 32 * 1_500_000 / 2
    connection.close()


class Sender:
    """A host in hostile hands: its key is right, what it says is not."""

    def __init__(self, place, script: Callable[[ssl.SSLSocket, int], None]) -> None:
        host, members = holder(place, "host"), [m.key for m in place.agreement.members]
        self._context = tls.server_context(host.certificate, host.key_file, members)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._script, self.asked = script, 0
        self._stop = threading.Event()
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._thread.join(SECONDS)
        self._socket.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while not self._stop.is_set():
            plain, _ = self._socket.accept()
            plain.settimeout(SECONDS)
            with suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
                while not self._stop.is_set():
                    head = b""
                    while b"\r\n\r\n" not in head:
                        piece = connection.recv(4096)
                        if not piece:
                            raise ConnectionError
                        head += piece
                    self.asked += 1
                    self._script(connection, self.asked)


PATIENCE = 10 * SECONDS
"""What takes half as long was not given up, but waited out."""
ARROW = b"content-type: application/vnd.apache.arrow.stream\r\n"


def ok(content: bytes, extra: bytes = ARROW) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + extra + b"content-length: %d\r\n\r\n" % len(content) + content


def outcome(place, script, rows=20, wait=PATIENCE) -> tuple[PeerError, int, float]:
    """How a fetch from a hostile sender ends: the error, how often it was asked, and the seconds it took."""
    began = time.monotonic()
    with (
        Sender(place, script) as sender,
        network(place, "airport", host=f"https://127.0.0.1:{sender.port}") as net,
        pytest.raises(PeerError) as caught,
    ):
        list(HttpsParcels(net).fetch("host", RUN, NAME, RECORD, rows, wait))
    assert "PLANTED" not in str(caught.value)
    return caught.value, sender.asked, time.monotonic() - began


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nPLANTED",
        ok(b"PLANTED" * 10),
        ok(stream([ONE, TWO]), b""),
        ok(stream([ONE, TWO]), b"content-type: application/json\r\n"),
        ok(stream([ONE, TWO]), ARROW + b"content-encoding: gzip\r\n"),
        ok(stream([ONE, ONE], labels(0, 0))),
        b"HTTP/1.1 302 Found\r\nlocation: https://PLANTED/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 PLANTED\r\ncontent-length: 7\r\n\r\nPLANTED",
        b"HTTP/1.1 410 Gone\r\ncontent-length: 100000000\r\n\r\n" + b"PLANTED" * 100_000,
        b'HTTP/1.1 410 Gone\r\ncontent-length: 49\r\n\r\n{"kind":"hitoku/failed/1","code":"PLANTED text"}}',
    ],
)  # fmt: skip
def test_what_is_no_parcel_is_refused_at_once(place, content):
    _, asked, seconds = outcome(place, lambda connection, _: connection.sendall(content))
    assert asked == 1
    assert seconds < PATIENCE / 2


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(bounds, "STALL_SECONDS", 2)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 1)
    monkeypatch.setattr(bounds, "PARCEL_SECONDS", 0.5)


def test_a_parcel_that_is_never_there_is_given_up(place, hurried):
    error, asked, seconds = outcome(
        place, lambda connection, _: connection.sendall(b"HTTP/1.1 204 No\r\n\r\n"), wait=3
    )
    assert error.code == "LATE"
    assert 3 <= seconds < PATIENCE / 2
    assert asked <= 20 * seconds + 2  # it is not asked more often than every 50 ms


def test_a_parcel_that_is_there_and_then_not_again_is_given_up(place, hurried):
    first = stream([ONE, TWO])[: len(stream([ONE], labels(0))) - 8 + 20]

    def script(connection, asked):
        if asked == 1:
            connection.sendall(ok(first))
        else:
            connection.sendall(b"HTTP/1.1 204 No\r\n\r\n")

    error, asked, seconds = outcome(place, script)
    assert error.code == "STALLED"
    assert asked > 3
    assert seconds < PATIENCE / 2


@pytest.mark.parametrize("part", ["head", "header", "body", "chunk", "nothing"])
def test_a_sender_that_drips_is_given_up(place, hurried, part):
    """A byte now and then, wherever a reader of HTTP would wait for more."""
    begin = {
        "head": b"HTTP/1.1 ",
        "header": b"HTTP/1.1 200 OK\r\nx: ",
        "body": b"HTTP/1.1 200 OK\r\n" + ARROW + b"content-length: 1000000\r\n\r\n\xff\xff\xff\xff",
        "chunk": b"HTTP/1.1 200 OK\r\n" + ARROW + b"transfer-encoding: chunked\r\n\r\n5;x=",
        "nothing": b"",
    }[part]

    def script(connection, asked):
        connection.sendall(begin)
        for _ in range(20 * PATIENCE):
            if part != "nothing":
                connection.sendall(b"\0" if part == "body" else b"2")
            connection.settimeout(0.1)
            with suppress(TimeoutError):
                if not connection.recv(1):
                    raise ConnectionError

    error, asked, seconds = outcome(place, script)
    assert error.code in {"STALLED", "LATE", None}
    assert asked < 10
    assert seconds < PATIENCE / 2


def test_a_sender_that_breaks_off_again_and_again_is_given_up(place, hurried):
    """Nearly a whole batch each time: that earns it nothing."""
    nearly = ok(stream([records(20)], labels(0)))[:-400]

    def script(connection, asked):
        connection.sendall(nearly)
        raise ConnectionError

    error, asked, seconds = outcome(place, script)
    assert error.code == "STALLED"
    assert asked > 3
    assert seconds < PATIENCE / 2


def test_a_sender_of_one_row_at_a_time_uses_up_its_time(place, hurried):
    """Each batch is right, but so small and late that the whole would take for ever."""
    rows = [records(1, seed=i) for i in range(200)]

    def script(connection, asked):
        content = stream(rows)
        length = len(stream([rows[0]], labels(0))) - 8 - len(RECORD.serialize())
        connection.sendall(ok(content)[: len(ok(content)) - len(content) + len(RECORD.serialize())])
        for i in range(200):
            connection.sendall(content[len(RECORD.serialize()) + i * length :][:length])
            time.sleep(0.2)

    error, _, seconds = outcome(place, script, rows=200)
    assert error.code in {"STALLED", None}
    assert seconds < PATIENCE / 2


def test_a_body_that_does_not_end_is_cut(place):
    """After the last batch, and inside one that is declared too large."""
    endless = b"HTTP/1.1 200 OK\r\n" + ARROW + b"transfer-encoding: chunked\r\n\r\n"

    def script(connection, asked):
        content = stream([ONE, TWO])
        connection.sendall(endless + b"%x\r\n" % len(content) + content + b"\r\n")
        for _ in range(1000):
            connection.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")

    error, asked, _ = outcome(place, script)
    assert "goes on after its end" in str(error)
    assert asked == 1
