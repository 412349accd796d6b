# SPDX-License-Identifier: Apache-2.0
"""Uploads and outputs of shares, from owners, servers and readers of a server's disk who mean harm."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.protections.shares.sharing_world import (
    SEEDS,
    SERVERS,
    Party,
    Terms,
    Upload,
    handed_out,
    layout,
    loaded,
    opened,
    parties,
    reshared,
    table_of,
    uploaded,
)

from hitoku import limits
from hitoku.errors import PeerError
from hitoku.protections.shares.manifest import read_manifest
from hitoku.protections.shares.output.combine import combine
from hitoku.protections.shares.output.parts import decode
from hitoku.protections.shares.program import Type
from hitoku.protections.shares.upload.load import Given
from hitoku.protections.shares.upload.spool import Spool
from hitoku.protections.shares.wanted import WantedKey, WantedLeaf

LEAVES = (
    WantedLeaf("trips.0", "a", "number", word=True, ring="r64", low=0, high=999),
    WantedLeaf("trips.1", "b", "code", word=True),
)


def upload_of(rows: int) -> Upload:
    asked = table_of(*LEAVES, keys=(WantedKey(("trips.1",), "trips.2"),))
    texts = pa.array([f"secret {n % 7}" for n in range(rows)])
    return uploaded(asked, [pa.array([n % 1000 for n in range(rows)]), texts])


@pytest.fixture(scope="module")
def upload() -> Upload:
    made = upload_of(200_000)
    assert made.manifest.chunks >= 3
    return made


# --- what an owner, or somebody on the way, sends to the second server ---


def flip(chunk: bytes, place: int) -> bytes:
    changed = bytearray(chunk)
    changed[place] ^= 0x80
    return bytes(changed)


Alter = Callable[[list[bytes]], list[bytes]]
LENGTHS: dict[str, Alter] = {
    "nothing": lambda c: [],
    "one left out": lambda c: c[1:],
    "one twice": lambda c: [c[0], *c],
    "one more, empty": lambda c: [*c, b""],
    "the last shorter": lambda c: [*c[:-1], c[-1][:-1]],
    "the last longer": lambda c: [*c[:-1], c[-1] + b"\0"],
    "the first longer": lambda c: [c[0] + b"\0", *c[1:]],
    "the first empty": lambda c: [b"", *c[1:]],
    "all in one": lambda c: [b"".join(c)],
    "a huge one": lambda c: [bytes(32 << 20), *c[1:]],
}
CONTENTS: dict[str, Alter] = {
    "the first bit": lambda c: [flip(c[0], 0), *c[1:]],
    "the last bit": lambda c: [*c[:-1], flip(c[-1], -1)],
    "two exchanged": lambda c: [c[1], c[0], *c[2:]],
    "zeros": lambda c: [bytes(len(one)) for one in c],
}


def given_to(upload: Upload, chunks: Sequence[bytes], folder: Path) -> list[Given]:
    spool = Spool(upload.manifest, folder)
    spool.take(chunks)
    return [
        Given(upload.manifest, *SEEDS),
        Given(upload.manifest, None, SEEDS[1], spool),
        Given(upload.manifest, SEEDS[0], None),
    ]


@pytest.mark.parametrize("what", LENGTHS)
def test_uploads_of_other_lengths_are_refused_as_they_come(upload: Upload, tmp_path: Path, what: str) -> None:
    with pytest.raises(PeerError, match="the shares of table trips from 'shop'"):
        given_to(upload, LENGTHS[what]([bytes(c) for c in upload.chunks()]), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", CONTENTS)
def test_uploads_of_other_content_end_the_run_before_anything_is_passed_on(
    upload: Upload, tmp_path: Path, what: str
) -> None:
    given = given_to(upload, CONTENTS[what]([bytes(c) for c in upload.chunks()]), tmp_path)
    with pytest.raises(PeerError, match="'shop' sent shares that are not those in its manifest"):
        loaded(given)


def test_no_more_is_read_than_agreed(upload: Upload, tmp_path: Path) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(limits.SHARES_CHUNK_BYTES)

    with pytest.raises(PeerError):
        given_to(upload, endless(), tmp_path)
    assert taken <= upload.manifest.chunks


@pytest.mark.parametrize("server", [0, 1, 2])
def test_seeds_that_the_manifest_does_not_name(upload: Upload, tmp_path: Path, server: int) -> None:
    given = given_to(upload, [bytes(c) for c in upload.chunks()], tmp_path)
    other = bytes(32)
    wrong: dict[str, Any] = {"seed_b": other} if server == 1 else {"seed_a": other}
    given[server] = dataclasses.replace(given[server], **wrong)
    with pytest.raises(PeerError, match="'shop' gave a seed"):
        loaded(given)


@pytest.mark.parametrize("server", [0, 1, 2])
def test_a_server_takes_nothing_that_is_another_one_s(upload: Upload, tmp_path: Path, server: int) -> None:
    """All three shares of a value at one server would be the value."""
    given = given_to(upload, [bytes(c) for c in upload.chunks()], tmp_path)
    given[server] = Given(upload.manifest, *SEEDS, given[1].spool)
    with pytest.raises(PeerError, match="its place among the three"):
        loaded(given)


# --- what the second server passes on ---


class Lying(Party):
    """The second server changes a bit of what it passes on."""

    def relay(self, data: bytes | None, size: int) -> bytes:
        return super().relay(None if data is None else flip(data, size // 2), size)


def test_a_server_that_passes_on_something_else_is_seen(upload: Upload, tmp_path: Path) -> None:
    from tests.unit.protections.shares.sharing_world import expand

    from hitoku.protections.shares.upload.load import load

    given = given_to(upload, [bytes(c) for c in upload.chunks()], tmp_path)
    three = parties()
    load({"trips": given[1]}, Lying(1, three[1].wire), SERVERS, expand=expand)
    with pytest.raises(PeerError, match=r"'south' passed on shares .* not those of 'shop'"):
        load({"trips": given[2]}, three[2], SERVERS, expand=expand)
    given[1].spool.close()  # type: ignore[union-attr]


# --- a server's disk, a server's view ---


def test_what_lies_on_the_disk_is_encrypted_and_has_no_name(upload: Upload, tmp_path: Path) -> None:
    spool = Spool(upload.manifest, tmp_path)
    chunks = [bytes(c) for c in upload.chunks()]
    spool.take(chunks)
    assert list(tmp_path.iterdir()) == []
    stored = spool._file.read()
    assert len(stored) == upload.manifest.size + 16 * upload.manifest.chunks
    for chunk in chunks:
        assert chunk[:64] not in stored
    spool._file.seek(0)
    assert spool.read(upload.manifest.size) == b"".join(chunks)
    spool.close()


@pytest.mark.parametrize("place", [0, 12, limits.SHARES_CHUNK_BYTES + 20, -1])
def test_a_disk_that_was_altered_ends_the_run(upload: Upload, tmp_path: Path, place: int) -> None:
    with Spool(upload.manifest, tmp_path) as spool:
        spool.take([bytes(c) for c in upload.chunks()])
        at = place if place >= 0 else spool._file.seek(0, 2) + place
        spool._file.seek(at)
        old = spool._file.read(1)
        spool._file.seek(at)
        spool._file.write(bytes([old[0] ^ 1]))
        spool._file.seek(0)
        with pytest.raises(PeerError, match="altered on this machine's disk"):
            spool.read(upload.manifest.size)


def test_each_server_s_shares_look_random(tmp_path: Path) -> None:
    """Of 100,000 zeros: every byte of what a server holds is as frequent as any other (chi-squared, 255)."""
    leaf = WantedLeaf("trips.0", "a", "number", word=True, low=0, high=255)
    three = uploaded(table_of(leaf), [pa.array([0] * 100_000)]).loaded(tmp_path)
    for one in three:
        for share in (one.words["trips.0"].first, one.words["trips.0"].second):
            counts = np.bincount(np.frombuffer(share, np.uint8), minlength=256)
            expected = len(share) / 256
            # Beyond 400 with probability below 1e-7.
            assert ((counts - expected) ** 2 / expected).sum() < 400
    assert set(opened([one.words["trips.0"] for one in three])) == {0}


def test_sizes_do_not_depend_on_values(tmp_path: Path) -> None:
    """With declared rows and bounds, and as many texts, an upload is as long whatever is in the table."""
    seen = set()
    for values in ([0, 0, 0], [999, 5, 7]):
        made = uploaded(table_of(LEAVES[0], rows=64), [pa.array(values)])
        seen.add((made.manifest.pieces(), len(made.explicit)))
    assert len(seen) == 1


# --- decoders ---


def test_manifests_are_read_strictly(upload: Upload) -> None:
    said = json.loads(upload.manifest.model_dump_json())
    hostile: list[dict[str, Any]] = [
        {"rows": 0},
        {"rows": 2**31},
        {"rows": "7"[0:0]},
        {"hashes": []},
        {"hashes": [*said["hashes"], "0" * 64]},
        {"leaves": [said["leaves"][0]] * 2},
        {"leaves": [said["leaves"][0], dict(said["leaves"][1], entries=7)]},
        {"leaves": [said["leaves"][0], dict(said["leaves"][1], words=None)]},
        {"leaves": [dict(said["leaves"][0], low="1e3")]},
        {"leaves": [dict(said["leaves"][0], high="9" * 41)]},
        {"leaves": [dict(said["leaves"][0], low="-" + "9" * 39)]},
        {"leaves": [dict(said["leaves"][0], low="5", high="4")]},
        {"leaves": [dict(said["leaves"][0], kind="hash")]},
        {"leaves": [dict(said["leaves"][0], name="other.0")]},
        {"leaves": [dict(said["leaves"][0], word=False, ring=None)]},
        {"keys": [dict(said["keys"][0], copies=3)]},
        {"keys": [dict(said["keys"][0], leaves=["trips.9"])]},
        {"keys": [dict(said["keys"][0], copies=2)]},
        {"more": 1},
    ]
    for change in hostile:
        with pytest.raises(PeerError, match="a manifest that is none"):
            read_manifest(json.dumps(said | change).encode(), "shop")
    with pytest.raises(PeerError, match="too long"):
        read_manifest(b" " * (limits.MAX_SHARES_MANIFEST_BYTES + 1), "shop")
    for content in (b"", b"null", b"[" * 100_000, b"\xff\xfe", b'{"rows": NaN}', b"[1"):
        with pytest.raises(PeerError, match="a manifest that is none"):
            read_manifest(content, "shop")


MANIFEST = upload_of(5).manifest.model_dump_json().encode()
NUMBER = Type("number", 0, 1000)
PARTS = handed_out([(2, [(layout("o1", NUMBER), [reshared("u16", [1, 2]), reshared("u8", [1, 1])])])])


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200) | st.tuples(st.integers(0, len(MANIFEST) - 1), st.binary(max_size=3)))
def test_fuzzed_manifests(change: bytes | tuple[int, bytes]) -> None:
    content = change
    if isinstance(change, tuple):
        place, new = change
        content = MANIFEST[:place] + new + MANIFEST[place + 1 :]
    assert isinstance(content, bytes)
    try:
        made = read_manifest(content, "shop")
    except PeerError:
        return
    assert len(made.hashes) == len(made.pieces())
    assert made.size <= limits.MAX_SHARES_UPLOAD_BYTES


@settings(deadline=None, max_examples=300)
@given(
    st.binary(max_size=200)
    | st.binary(max_size=200).map(lambda b: b"HSO1" + len(b).to_bytes(4, "big") + b)
    | st.tuples(st.integers(0, len(PARTS[1]) - 1), st.binary(max_size=3))
)
def test_fuzzed_parts(change: bytes | tuple[int, bytes]) -> None:
    """Anything but the part itself is an error, and no other error than a PeerError."""
    content = change
    if isinstance(change, tuple):
        place, new = change
        content = PARTS[1][:place] + new + PARTS[1][place + 1 :]
    assert isinstance(content, bytes)
    if content == PARTS[1]:
        return
    try:
        found = combine([PARTS[0], content, PARTS[2]], SERVERS, Terms())
    except PeerError:
        return
    # The salt is each server's own: what else was changed must be nothing but that.
    head, theirs = decode(PARTS[1], "south").head, decode(content, "south").head
    assert theirs.model_copy(update={"salt": head.salt}) == head
    assert found.branches[0].column("o1").to_pylist() == [1, 2]


def test_a_head_that_promises_much_costs_nothing() -> None:
    length = int.from_bytes(PARTS[0][4:8], "big")
    head = json.loads(PARTS[0][8 : 8 + length])
    head["branches"][0]["rows"] = limits.ENGINE_MAX_RESULT_ROWS
    said = json.dumps(head).encode()
    content = b"HSO1" + len(said).to_bytes(4, "big") + said + PARTS[0][8 + length :]
    with pytest.raises(PeerError, match="not as long as they say"):
        decode(content, "north")
    head["branches"][0]["rows"] = limits.ENGINE_MAX_RESULT_ROWS + 1
    said = json.dumps(head).encode()
    with pytest.raises(PeerError, match="no part of an answer"):
        decode(b"HSO1" + len(said).to_bytes(4, "big") + said, "north")
