# SPDX-License-Identifier: Apache-2.0
"""Three servers in one process with no kernel: shares as bytes, a wire between the second and the third."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.ports import NoProgress
from hitoku.protections.shares.manifest import Manifest, sign_manifest, width_of
from hitoku.protections.shares.operators.layout import ColumnLayout
from hitoku.protections.shares.operators.loaded import BranchResult, Loaded, ResultColumn
from hitoku.protections.shares.output.combine import Combined, combine
from hitoku.protections.shares.output.share import share
from hitoku.protections.shares.program import Type
from hitoku.protections.shares.upload.chunks import chunks_in, cut
from hitoku.protections.shares.upload.evaluate import ROW
from hitoku.protections.shares.upload.load import Given, load
from hitoku.protections.shares.upload.make import Sharing
from hitoku.protections.shares.upload.spool import Spool
from hitoku.protections.shares.wanted import WantedLeaf, WantedTable

SERVERS = ("north", "south", "west")
ROOM, QUESTION, PLAN, PROGRAM = (f"sha256:{digit * 64}" for digit in "1234")
RUN = "ab" * 16
SEEDS = bytes(range(32)), bytes(range(32, 64))


class Keys:
    """An owner's member key."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def public_key(self) -> str:
        return "ed25519:" + base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def shared_secret(self) -> bytes:
        raise AssertionError


def expand(kind: str, rows: int, seed: bytes, label: int) -> bytes:
    """A stand-in for the kernel's PRG."""
    key = hashlib.sha256(seed + label.to_bytes(4, "big") + kind.encode()).digest()
    return np.random.Generator(np.random.PCG64(list(key))).bytes(rows * width_of(kind))


def _numbers(kind: str, content: bytes) -> list[int]:
    width = width_of(kind)
    return [int.from_bytes(content[n : n + width], "little") for n in range(0, len(content), width)]


def _lanes(kind: str, content: bytes) -> Any:
    return np.frombuffer(content, f"<u{min(width_of(kind), 8)}")


def merge(kind: str, a: bytes, b: bytes, sign: int) -> bytes:
    """``a + sign * b`` of ring elements, or XOR of words."""
    if kind.startswith("u"):
        return bytes(_lanes("u8", a) ^ _lanes("u8", b))
    if kind != "r128":
        return bytes(_lanes(kind, a) + _lanes(kind, b) * np.array(sign).astype(_lanes(kind, a).dtype))
    return b"".join(
        ((x + sign * y) % 2**128).to_bytes(16, "little")
        for x, y in zip(_numbers(kind, a), _numbers(kind, b), strict=True)
    )


def split(kind: str, values: Any, seed_a: bytes, seed_b: bytes, label: int) -> bytes:
    """A stand-in for the kernel's."""
    content = np.ascontiguousarray(values).tobytes()
    rows = len(content) // width_of(kind)
    less = merge(kind, content, expand(kind, rows, seed_a, label), -1)
    return merge(kind, less, expand(kind, rows, seed_b, label), -1)


@dataclass(frozen=True)
class Vector:
    """One server's two shares."""

    kind: str
    first: bytes
    second: bytes

    def __len__(self) -> int:
        return len(self.first) // width_of(self.kind)


@dataclass
class Party:
    """One server."""

    index: int
    wire: deque[bytes] = field(default_factory=deque)

    def load(self, kind: str, first: bytes, second: bytes) -> Vector:
        assert len(first) == len(second)
        return Vector(kind, first, second)

    def dump(self, vector: Vector) -> tuple[bytes, bytes]:
        return vector.first, vector.second

    def relay(self, data: bytes | None, size: int) -> bytes:
        assert (data is not None) == (self.index == 1)
        if data is not None:
            assert len(data) == size
            self.wire.append(data)
        if self.index != 2:
            return b""
        given = self.wire.popleft()
        assert len(given) == size
        return given


def parties() -> list[Party]:
    """Three servers; the second is asked before the third."""
    wire: deque[bytes] = deque()
    return [Party(index, wire) for index in range(3)]


def opened(vectors: Sequence[Vector]) -> list[int]:
    """The words or unsigned ring elements of a vector, from all three servers' shares."""
    kind = vectors[0].kind
    for index, vector in enumerate(vectors):
        assert vector.second == vectors[(index + 1) % 3].first
    whole = merge(kind, merge(kind, vectors[0].first, vectors[1].first, 1), vectors[2].first, 1)
    return _numbers(kind, whole)


def reshared(kind: str, values: Sequence[int]) -> list[Vector]:
    """New shares of words."""
    content = b"".join(value.to_bytes(width_of(kind), "little") for value in values)
    rng = np.random.default_rng(len(content))
    one, two = rng.bytes(len(content)), rng.bytes(len(content))
    shares = [one, two, merge("u8", merge("u8", content, one, 1), two, 1)]
    return [Vector(kind, shares[index], shares[(index + 1) % 3]) for index in range(3)]


# --- uploads ---


@dataclass
class Upload:
    """An upload without an engine: the leaves' columns are given."""

    manifest: Manifest
    explicit: bytes
    wanted: WantedTable

    def chunks(self) -> Iterator[memoryview]:
        return chunks_in(cut([self.explicit]))

    def given(self, index: int, folder: Path) -> Given:
        spool = None
        if index == 1:
            spool = Spool(self.manifest, folder)
            spool.take(self.chunks())
        return Given(self.manifest, None if index == 1 else SEEDS[0], None if index == 2 else SEEDS[1], spool)

    def loaded(self, folder: Path) -> list[Loaded]:
        return loaded([self.given(n, folder) for n in range(3)])


def loaded(given: Sequence[Given]) -> list[Loaded]:
    """What the three servers make of what they were given."""
    three = parties()
    try:
        return [
            load({one.manifest.table: one}, three[n], SERVERS, expand=expand) for n, one in enumerate(given)
        ]
    finally:
        for one in given:
            if one.spool is not None:
                one.spool.close()


def manifest_of(sharing: Sharing, wanted: WantedTable, keys: Keys | None = None) -> Manifest:
    """The manifest of vectors that were shared."""
    made = Manifest(
        room=ROOM,
        run=RUN,
        question=QUESTION,
        plan=PLAN,
        table=wanted.table,
        owner=wanted.owner,
        rows=sharing.rows,
        leaves=tuple(sharing.facts),
        keys=tuple(sharing.keys),
        seeds=(hashlib.sha256(SEEDS[0]).hexdigest(), hashlib.sha256(SEEDS[1]).hexdigest()),
        hashes=tuple(sharing.hashes),
    )
    return sign_manifest(keys or Keys(), made)


def uploaded(wanted: WantedTable, columns: Sequence[Any], total: int | None = None) -> Upload:
    """Share columns (arrow arrays, one a leaf) as the owner does after its engine has run."""
    count = len(columns[0])
    named = {str(n): column for n, column in enumerate(columns)}
    if wanted.group is None:
        named[ROW] = pa.array(np.arange(count, dtype=np.uint32))
    table = pa.table(named)
    sharing = Sharing(wanted, table, count if total is None else total, SEEDS, split, NoProgress())
    explicit = b"".join(sharing.explicit())
    return Upload(manifest_of(sharing, wanted), explicit, wanted)


def table_of(*leaves: WantedLeaf, **changes: Any) -> WantedTable:
    return WantedTable(table="trips", owner="shop", columns=(), leaves=leaves, **changes)


# --- outputs ---


@dataclass(frozen=True)
class Terms:
    run: str = RUN
    question: str = QUESTION
    plan: str = PLAN
    program: str = PROGRAM
    released_at: str = "2026-01-02T03:04:05Z"


def layout(name: str, kind: Type, form: str = "word", words: int = 1) -> ColumnLayout:
    if form == "text":
        return ColumnLayout(name, kind, "text", ("u64",) * words, kind.nullable)
    if form == "ratio":
        return ColumnLayout(name, kind, "ratio", ("u8", "u64") + ("u64",) * words, True)
    from hitoku.protections.shares.operators.kinds import word_kind

    return ColumnLayout(name, kind, "word", (word_kind(kind.bits),), kind.nullable)


Branch = tuple[int, Sequence[tuple[ColumnLayout, Sequence[Sequence[Vector]]]]]


def handed_out(branches: Sequence[Branch], terms: Terms | None = None) -> list[bytes]:
    """Three servers' parts: each branch is its rows, and of each column the layout and vectors by server."""
    terms = terms or Terms()
    contents = []
    for index, party in enumerate(parties()):
        results = []
        for rows, columns in branches:
            made = []
            for one, vectors in columns:
                mine = [vector[index] for vector in vectors]
                valid = mine.pop() if one.nullable else None
                made.append(ResultColumn(one, tuple(mine), valid))
            results.append(BranchResult(rows, tuple(made)))
        contents.append(
            share(
                party,
                results,
                run=terms.run,
                question=terms.question,
                plan=terms.plan,
                program=terms.program,
                released_at=terms.released_at,
            )
        )
    return contents


def put_together(branches: Sequence[Branch]) -> Combined:
    return combine(handed_out(branches), SERVERS, Terms())
