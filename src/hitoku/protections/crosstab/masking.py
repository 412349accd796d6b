# SPDX-License-Identifier: Apache-2.0
"""The work per record, as functions over batches that an executor can run anywhere, and what they run over.

A function is a plain value of bytes: it can be sent to a worker. Its `secrets` are all that must not be
read on the way; `apply` takes them separately, for an executor that wraps keys and unwraps them in the
worker. Batches in, batches out, in order; the same batch gives the same bytes wherever and however often it
is computed.

Records of three kinds are hashed in domains of their own, so that none can be taken for another: persons
(ids), dummies (numbers that both sides know) and padding (a secret pseudorandom function of numbers:
nothing to store, and a point that the other side finds no match of, since it would have to guess 256 bits).
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from hitoku import limits
from hitoku.hazmat import group
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.prepared import IDENTIFIER, Prepared, schema_of
from hitoku.protections.crosstab.terms import Side, Terms

__all__ = ["DUMMIES", "PADDING", "PERSONS", "Masking", "Raising", "integers", "secrets_of", "sources"]

PERSONS: Final = b"hitoku/crosstab/person/1"
DUMMIES: Final = b"hitoku/crosstab/dummy/1"
PADDING: Final = b"hitoku/crosstab/padding/1"


def integers(kind: str, values: Any) -> pa.Array:
    """A column of int64 ("q") or uint16 ("H") of Python's numbers, or of their bytes."""
    content = values if isinstance(values, bytes) else array(kind, values).tobytes()
    width, of = (8, pa.int64()) if kind == "q" else (2, pa.uint16())
    return pa.Array.from_buffers(of, len(content) // width, [None, pa.py_buffer(content)])


@dataclass(frozen=True, slots=True, repr=False)
class Masking:
    """Turns batches of an input (`prepared.schema_of`) into records to sort (columns ``record``, ``group``).

    A record is the masked point, and of a side with values a ciphertext of each.

    Attributes:
        secrets: the mask (32 bytes); with values, then the ElGamal key (32) and the seed of randomness (32).
        domain: what the ids are.
        run: what the points are bound to.
    """

    secrets: bytes
    domain: bytes
    run: bytes

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One batch."""
        return self.apply(self.secrets, batch)

    def apply(self, secrets: bytes, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One batch, with the secrets given separately."""
        ids, groups, *values = batch.columns
        # One thread: the executor runs as many batches at a time as there is room for.
        points = group.mask(ids, group.load_key(secrets[:32]), domain=self.domain, run=self.run, threads=1)
        record = points
        if values:
            key, seed = group.load_elgamal_key(secrets[32:64]), secrets[64:96]
            ciphertexts = [
                group.encrypt(column, key, seed=seed, contexts=points, column=number, threads=1)
                for number, column in enumerate(values)
            ]
            record = group.interleave([points, *ciphertexts])
        return pa.RecordBatch.from_arrays([record, groups], names=["record", "group"])


@dataclass(frozen=True, slots=True, repr=False)
class Raising:
    """Turns batches of the other side's records into tags (column ``record``), and refuses what is no point.

    Ciphertexts behind the point are checked where they are added up (`group.Sums`): decoding is dear.

    Attributes: secrets: the mask, 32 bytes.
    """

    secrets: bytes

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One batch."""
        return self.apply(self.secrets, batch)

    def apply(self, secrets: bytes, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One batch, with the secrets given separately."""
        tags = group.tags(batch.column(0), group.load_key(secrets), threads=1)
        return pa.RecordBatch.from_arrays([tags], names=["record"])


def secrets_of(draws: Draws) -> bytes:
    """What `Masking` needs."""
    if draws.elgamal is None:
        return draws.mask
    return draws.mask + draws.elgamal + draws.seed_for("ciphertexts")


def sources(
    terms: Terms, side: Side, rows: Prepared, draws: Draws
) -> list[tuple[bytes, Iterator[pa.RecordBatch]]]:
    """All that a side masks: batches of persons, of dummies and of padding, each with its domain."""
    return [
        (PERSONS, rows.batches(limits.BATCH_ROWS)),
        (DUMMIES, _dummies(terms, side, draws)),
        (PADDING, _padding(terms, side, draws)),
    ]


def _dummies(terms: Terms, side: Side, draws: Draws) -> Iterator[pa.RecordBatch]:
    """Side a: all D dummies of each of its cells. Side b: tau of them.

    Which tau does not matter to one who follows the protocol: side a sees no match of a point of its own.
    They are chosen in a secret order all the same, so that somebody who leaves out some of its dummies
    takes away an unknown part of the noise, not a chosen end of it.
    """
    parameters = terms.parameters
    every = [struct.pack(">I", i) + bytes(IDENTIFIER - 12) for i in range(parameters.dummies)]
    batch = _Batch(parameters.sums if side == "b" else ())
    seed = draws.seed_for("dummies")
    for cell in range(parameters.cells):
        at_a, at_b = divmod(cell, parameters.groups_b)
        chosen = every
        if side == "b":
            order = _stream(seed, cell, 0, 8 * len(every))
            ranks = sorted(range(len(every)), key=lambda i: order[8 * i : 8 * i + 8])
            chosen = [every[i] for i in ranks[: draws.counts[cell]]]
        if chosen:
            name = struct.pack(">II", at_a, at_b)
            yield from batch.add(name + name.join(chosen), at_a if side == "a" else at_b)
    yield from batch.rest()


def _padding(terms: Terms, side: Side, draws: Draws) -> Iterator[pa.RecordBatch]:
    """Random points: the group's own padding; at side b also D - tau for each of its cells."""
    parameters = terms.parameters
    lacking = list(draws.padding)
    if side == "b":
        for cell, taken in enumerate(draws.counts):
            lacking[cell % parameters.groups_b] += parameters.dummies - taken
    batch = _Batch(parameters.sums if side == "b" else ())
    seed = draws.seed_for("padding")
    for number, count in enumerate(lacking):
        for part, start in enumerate(range(0, count, limits.BATCH_ROWS)):
            rows = min(limits.BATCH_ROWS, count - start)
            yield from batch.add(_stream(seed, number, part, rows * IDENTIFIER), number)
    yield from batch.rest()


def _stream(seed: bytes, first: int, second: int, length: int) -> bytes:
    """Pseudorandom bytes: SHAKE-256 keyed with 32 secret bytes in front of numbers of fixed length."""
    return hashlib.shake_256(seed + struct.pack(">QQ", first, second)).digest(length)


class _Batch:
    """Gathers ids without values into batches of the usual size."""

    def __init__(self, sums: tuple[Any, ...]) -> None:
        self._schema = schema_of(len(sums))
        self._ids: list[bytes] = []
        self._groups: list[bytes] = []
        self._rows = 0

    def add(self, ids: bytes, number: int) -> Iterator[pa.RecordBatch]:
        rows = len(ids) // IDENTIFIER
        self._ids.append(ids)
        self._groups.append(struct.pack("=H", number) * rows)
        self._rows += rows
        if self._rows >= limits.BATCH_ROWS:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        if not self._rows:
            return
        ids = group.records(b"".join(self._ids), IDENTIFIER)
        groups = integers("H", b"".join(self._groups))
        zeros = integers("q", bytes(8 * self._rows))
        values = [zeros] * (len(self._schema) - 2)
        self._ids, self._groups, self._rows = [], [], 0
        yield pa.RecordBatch.from_arrays([ids, groups, *values], schema=self._schema)
