# SPDX-License-Identifier: Apache-2.0
"""A sealed table: it opens as it was sealed, and in no other way (threat T2)."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from hitoku import limits
from hitoku.errors import PeerError, RunAborted
from hitoku.protections.enclave.sealed_table import CHUNK_BYTES, SealedTable, open_table, seal_table

ROOM, RUN = "sha256:" + "1" * 64, "ab" * 16
COLUMNS = [("phone", "text"), ("n", "int32")]
KEY = os.urandom(32)


def content(rows: int, seed: int = 1) -> pa.Table:
    draw = random.Random(seed)
    return pa.table(
        {
            "phone": pa.array(
                [draw.choice([None, f"+49 170 {draw.randrange(10**7):07d}"]) for _ in range(rows)],
                pa.string(),
            ),
            "n": pa.array([draw.randrange(10**6) for _ in range(rows)], pa.int32()),
        }
    )


@dataclass
class Sealed:
    said: SealedTable
    chunks: list[bytes]
    table: pa.Table


def sealed(folder: Path, table: pa.Table, **changes: Any) -> Sealed:
    path = folder / f"parcel-{os.urandom(4).hex()}"
    facts = {"key": KEY, "room": ROOM, "run": RUN, "table": "customers"} | changes
    said = seal_table(table.to_batches(max_chunksize=5_000), COLUMNS, path, **facts)
    with pa.ipc.open_file(path) as parcel:
        chunks = [
            chunk
            for n in range(parcel.num_record_batches)
            for chunk in parcel.get_batch(n).column(0).to_pylist()
        ]
    return Sealed(said, chunks, table)


def opened(made: Sealed, chunks: list[bytes] | None = None, **changes: Any) -> pa.Table:
    given = {"head": made.said.head, "count": made.said.chunks, "wanted": ["phone", "n"]}
    facts = {"key": KEY, "room": ROOM, "run": RUN, "table": "customers", "owner": "shop"}
    given |= {k: v for k, v in changes.items() if k in given}
    facts |= {k: v for k, v in changes.items() if k in facts}
    stream = iter(made.chunks if chunks is None else chunks)
    return open_table(given["head"], given["count"], stream, given["wanted"], **facts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    made = sealed(tmp_path_factory.mktemp("large"), content(200_000))
    assert made.said.chunks >= 4
    return made


def test_it_opens_as_it_was_sealed(large: Sealed) -> None:
    assert opened(large).equals(large.table)
    assert large.said.rows == 200_000
    assert large.said.size == sum(map(len, large.chunks))


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_small_tables(tmp_path: Path, rows: int) -> None:
    made = sealed(tmp_path, content(rows))
    assert opened(made).equals(content(rows))


def test_chunks_are_of_one_size_whatever_is_in_them(large: Sealed) -> None:
    assert {len(chunk) for chunk in large.chunks[:-1]} == {CHUNK_BYTES}
    assert len(large.chunks[-1]) <= CHUNK_BYTES <= limits.MAX_PARCEL_BINARY_BYTES


def test_nothing_of_it_is_in_clear(large: Sealed) -> None:
    assert not any(b"+49 170" in chunk for chunk in [large.said.head, *large.chunks])


def flip(chunk: bytes, place: int) -> bytes:
    changed = bytearray(chunk)
    changed[place] ^= 0x80
    return bytes(changed)


ABORTED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "the first bit": lambda c: [flip(c[0], 0), *c[1:]],
    "a bit of the ciphertext": lambda c: [c[0], flip(c[1], 5_000), *c[2:]],
    "a bit of the tag": lambda c: [*c[:-1], flip(c[-1], -1)],
    "two exchanged": lambda c: [c[0], c[2], c[1], *c[3:]],
    "turned round": lambda c: c[::-1],
    "one twice": lambda c: [c[0], *c[:-1]],
    "one left out": lambda c: c[1:],
    "one cut": lambda c: [c[0], c[1][:-1], *c[2:]],
    "one longer": lambda c: [c[0], c[1] + b"\0", *c[2:]],
    "one empty": lambda c: [c[0], b"", *c[2:]],
}


@pytest.mark.parametrize("what", ABORTED)
def test_T2_altered_chunks_do_not_open(large: Sealed, what: str) -> None:
    with pytest.raises(RunAborted) as caught:
        opened(large, ABORTED[what](large.chunks))
    assert caught.value.stage == "table customers"


@pytest.mark.parametrize("chunks", [lambda c: c[:-1], lambda c: [], lambda c: [*c, c[-1]]])
def test_T2_a_stream_that_is_not_whole_is_not_taken(
    large: Sealed, chunks: Callable[[list[bytes]], list[bytes]]
) -> None:
    with pytest.raises(PeerError):
        opened(large, chunks(large.chunks))


@pytest.mark.parametrize(
    "changes",
    [
        {"key": os.urandom(32)},
        {"room": "sha256:" + "2" * 64},
        {"run": "cd" * 16},
        {"table": "subscribers"},
        {"count": 1},
        {"count": 10_000},
        {"head": b"x" * 100},
        {"head": b""},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_T2_it_opens_for_its_own_run_and_table_only(large: Sealed, changes: dict[str, Any]) -> None:
    with pytest.raises(RunAborted):
        opened(large, **changes)


def test_T2_chunks_of_two_sealings_are_not_mixed(tmp_path: Path, large: Sealed) -> None:
    """The same rows, key and run, sealed again: a chunk of one does not open among the other's."""
    again = sealed(tmp_path, large.table)
    with pytest.raises(RunAborted):
        opened(large, [large.chunks[0], again.chunks[1], *large.chunks[2:]])
    with pytest.raises(RunAborted):
        opened(large, again.chunks)


@pytest.mark.parametrize("wanted", [["phone"], ["n", "phone"], ["phone", "n", "x"], []])
def test_other_columns_than_the_question_needs_are_refused(large: Sealed, wanted: list[str]) -> None:
    with pytest.raises(PeerError, match="another table"):
        opened(large, wanted=wanted)


def test_what_was_read_is_told_as_it_came(large: Sealed) -> None:
    seen: list[bytes] = []
    open_table(
        large.said.head,
        large.said.chunks,
        iter(large.chunks),
        ["phone", "n"],
        key=KEY,
        room=ROOM,
        run=RUN,
        table="customers",
        owner="shop",
        opened=lambda chunk: seen.append(bytes(chunk)),
    )
    assert seen == large.chunks
