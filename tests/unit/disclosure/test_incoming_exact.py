# SPDX-License-Identifier: Apache-2.0
"""Headers of Arrow streams, byte by byte: where fields are, what ends a stream, what is no plain column."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
import pytest

from hitoku import limits
from hitoku.disclosure import incoming
from hitoku.disclosure.incoming import read_table

from .test_mutants_answers import batch, stream


def table_with(fields: list[int], back: bool = False) -> tuple[bytes, int]:
    """A flatbuffer table with these offsets of fields, and where it is."""
    slots = struct.pack(f"<HH{len(fields)}H", 4 + 2 * len(fields), 64, *fields)
    start = 8
    place = start + len(slots) + 6
    return bytes(start) + slots + bytes(6) + struct.pack("<i", place - start) + bytes(64), place


def test_where_a_field_is() -> None:
    header, place = table_with([12, 0, 20])
    assert incoming._field(header, place, 0) == place + 12
    assert incoming._field(header, place, 1) == 0  # absent
    assert incoming._field(header, place, 2) == place + 20
    assert incoming._field(header, place, 3) == 0  # beyond the slots
    assert incoming._field(header, place, 9) == 0


def test_slots_before_the_header_are_none() -> None:
    for before in (1, 5):
        assert incoming._field(struct.pack("<i", before) + bytes(16), 0, 0) == 0
    # Slots at the very first byte are allowed.
    first = struct.pack("<HHH", 6, 64, 10) + bytes(2) + struct.pack("<i", 8) + bytes(32)
    assert incoming._field(first, 8, 0) == 18


def test_where_a_table_is() -> None:
    header = bytes(4) + struct.pack("<I", 12) + bytes(32)
    assert incoming._table(header, 4) == 16
    assert incoming._table(struct.pack("<I", 8) + bytes(8), 0) == 8


def test_how_a_stream_may_end() -> None:
    content = stream(batch(3))
    end = b"\xff\xff\xff\xff\0\0\0\0"
    assert content.endswith(end)
    assert read_table(content).num_rows == 3
    assert read_table(content[:-8]).num_rows == 3
    for cut in range(1, 8):
        with pytest.raises(ValueError, match=r"^not a table$"):
            read_table(content[:-cut])


def test_what_follows_the_end_is_not_looked_at() -> None:
    assert read_table(stream(batch(3)) + b"more").num_rows == 3


def test_rows_behind_what_only_looks_like_an_end_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ENGINE_MAX_RESULT_ROWS", 3)
    assert read_table(stream(batch(3))).num_rows == 3
    with pytest.raises(ValueError, match=r"too many rows"):
        read_table(stream(batch(3), batch(1)))
    with pytest.raises(ValueError, match=r"too many rows"):
        read_table(stream(batch(0), batch(4)))


def test_a_negative_length_is_refused() -> None:
    content = stream(batch(5))
    length = struct.pack("<q", 5)
    places = [n for n in range(len(content) - 8) if content[n : n + 8] == length]
    refused = 0
    for place in places:
        bad = content[:place] + struct.pack("<q", -1) + content[place + 8 :]
        with pytest.raises(ValueError):
            read_table(bad)
        refused += 1
    assert refused


def test_messages_of_other_kinds_are_refused() -> None:
    words = pa.record_batch({"c": pa.array(["a", "b"]).dictionary_encode()})
    with pytest.raises(ValueError, match=r"neither schema nor rows"):
        read_table(stream(words))
    tensor = pa.BufferOutputStream()
    pa.ipc.write_tensor(pa.Tensor.from_numpy(__import__("numpy").zeros((2, 2))), tensor)
    with pytest.raises(ValueError, match=r"neither schema nor rows"):
        read_table(stream(batch(1))[:-8] + bytes(tensor.getvalue()))


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\xff\xff\xff", b"ARROW1\0\0" + bytes(64), bytes(8)])
def test_what_is_no_stream_is_no_table(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a table$") as caught:
        read_table(content)
    assert caught.value.__suppress_context__


class Odd(pa.ExtensionType):  # type: ignore[misc]
    """A type of somebody else's."""

    def __init__(self) -> None:
        super().__init__(pa.int64(), "test.odd")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: Any) -> Any:
        return cls()


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int64()),
        pa.struct([("a", pa.int64())]),
        pa.map_(pa.string(), pa.int64()),
        pa.dictionary(pa.int32(), pa.string()),
        pa.run_end_encoded(pa.int32(), pa.int64()),
        pa.string_view(),
        pa.binary_view(),
        Odd(),
        pa.uuid(),
    ],
    ids=str,
)
def test_columns_that_are_not_plain(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^not a plain type$"):
        incoming._plain(kind)


@pytest.mark.parametrize(
    "kind",
    [pa.int64(), pa.string(), pa.large_string(), pa.binary(), pa.float64(), pa.decimal128(5, 2), pa.null()],
    ids=str,
)
def test_columns_that_are_plain(kind: Any) -> None:
    incoming._plain(kind)


def test_every_column_is_looked_at() -> None:
    for names in (["c", "n"], ["n", "c"]):
        columns = {"c": pa.array([["a"]]), "n": pa.array([1])}
        with pytest.raises(ValueError, match=r"^not a plain type$"):
            read_table(stream(pa.record_batch({name: columns[name] for name in names})))


def test_text_that_is_no_text_is_found() -> None:
    """The whole content is looked at, not its outline alone."""
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, 2)), pa.py_buffer(b"\xff\xfe")]
    )
    with pytest.raises(ValueError, match=r"^not a table$"):
        read_table(stream(pa.record_batch({"c": bad})))


@pytest.mark.parametrize(
    "error",
    [pa.ArrowInvalid, struct.error, EOFError, OSError, OverflowError, MemoryError, KeyError],
)
def test_whatever_a_reader_makes_of_it_is_no_table(monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def broken(content: bytes) -> None:
        raise error("PLANTED")

    monkeypatch.setattr(incoming, "_look", broken)
    with pytest.raises(ValueError, match=r"^not a table$") as caught:
        read_table(stream(batch(1)))
    assert caught.value.__suppress_context__
