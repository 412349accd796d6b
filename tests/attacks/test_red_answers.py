# SPDX-License-Identifier: Apache-2.0
"""Answers made to hurt whoever receives them."""

from __future__ import annotations

import base64
import random

import pyarrow as pa
import pytest

import hitoku
from hitoku.disclosure.answer import Answer
from hitoku.errors import PeerError


def _ipc(table: pa.Table, **options: object) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def _zeros(count: int) -> pa.Table:
    return pa.table({"n": pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(bytes(8 * count))])})


BILLION = 2**31 - 2
HOSTILE = {
    "compressed": lambda: _ipc(_zeros(2_000_000), compression="zstd"),
    "compressed, small": lambda: _ipc(_zeros(2_000), compression="lz4"),
    "too many rows": lambda: _ipc(_zeros(1_000_001)),
    "a billion NULLs": lambda: _ipc(pa.table({"n": pa.Array.from_buffers(pa.null(), BILLION, [None])})),
    "a billion repeats": lambda: _ipc(
        pa.table({"n": pa.RunEndEncodedArray.from_arrays(pa.array([BILLION], pa.int64()), pa.array([1]))})
    ),
    "a dictionary": lambda: _ipc(pa.table({"n": pa.array(["a"]).dictionary_encode()})),
    "lists": lambda: _ipc(pa.table({"n": pa.array([[1]])})),
    "a view": lambda: _ipc(pa.table({"n": pa.array(["a"], pa.string_view())})),
    "no stream": lambda: base64.b64encode(b"ARROW1" + bytes(100)).decode(),
    "empty": lambda: "",
}


@pytest.fixture(scope="module")
def message(tmp_path_factory):
    from tests.conftest import QUESTION, fill, make_place

    place = fill(make_place(tmp_path_factory.mktemp("room")))
    return hitoku.open_room(place.path, "airport").ask(QUESTION).to_message()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_is_not_unpacked_before_its_size_is_known(message, name):
    before = pa.total_allocated_bytes()
    with pytest.raises(PeerError, match="cannot be read"):
        Answer.from_message({**message, "arrow": HOSTILE[name]()}, "host")
    assert pa.total_allocated_bytes() - before < 1_000_000


@pytest.mark.parametrize("minimum", [float("inf"), float("nan"), "7", True, None, 1.5])
def test_a_threshold_that_is_no_number(message, minimum):
    withheld = {**message["withheld"]}
    withheld["thresholds"] = [{**withheld["thresholds"][0], "minimum": minimum}]
    with pytest.raises(PeerError, match="cannot be read"):
        Answer.from_message({**message, "withheld": withheld}, "host")


def test_a_damaged_table_is_an_error_of_the_senders(message):
    raw = base64.b64decode(message["arrow"])
    chance = random.Random(7)
    for _ in range(500):
        bad = bytearray(raw)
        for _ in range(chance.randrange(1, 4)):
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        try:
            Answer.from_message({**message, "arrow": base64.b64encode(bad).decode()}, "host")
        except PeerError:
            continue
