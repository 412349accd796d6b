# SPDX-License-Identifier: Apache-2.0
"""An owner shares a table: a signed manifest, two seeds, and a parcel with the third share.

Each vector x is split as x = x_0 + x_1 + x_2 (XOR for words), where x_0 and x_1 are streams of a PRG from two
seeds that are drawn for this table of this run, and x_2 is explicit. A server holds two of the three: the
first both seeds, the second one seed and the parcel, the third the other seed and what the second passes on.
So one server's two shares are uniformly random and independent of x: any two of three additive shares are
(Araki et al. 2016, "High-throughput semi-honest secure three-party computation with an honest majority",
section 2.1), as far as the PRG is one. The upload is the size of the data, once (Mohassel and Rindal 2018,
"ABY3", section 3.2 on sharing with correlated randomness).

Rows are put in a random order, or that of agreed keys, with the rows of padding among them or after them, so
that the place of a row in the source means nothing. What the manifest tells is all that is public.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hitoku import limits
from hitoku.errors import InputError, LimitError
from hitoku.ports import NoProgress
from hitoku.protections.shares.manifest import (
    BLIND_BYTES,
    KeyFacts,
    LeafFacts,
    Manifest,
    blinded_hash,
    padded_rows,
    pieces_of,
    power_of_two,
    sign_manifest,
)
from hitoku.protections.shares.sizes import padded_copies, padded_groups
from hitoku.protections.shares.upload.chunks import SCHEMA, cut
from hitoku.protections.shares.upload.columns import bits_of, random_order
from hitoku.protections.shares.upload.evaluate import PASSES, ROW, evaluated, salt_of
from hitoku.protections.shares.upload.facts import Found, Rows, ends, find, occurrences, sorted_by
from hitoku.protections.shares.upload.whole import Whole
from hitoku.transport.parcels import write_parcel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hitoku.ports import KeyStore, Progress
    from hitoku.protections.shares.wanted import WantedTable
    from hitoku.sources.base import Source

__all__ = ["Binding", "Made", "Sharing", "Split", "kernel_split", "make"]

Split = Callable[[str, Any, bytes, bytes, int], bytes]
"""Kind, values, both seeds and a label: the explicit share's bytes."""
_SEED: Final = 32


@dataclass(frozen=True, slots=True)
class Binding:
    """What an upload is for: hashes of agreement, question and plan, and the run."""

    room: str
    run: str
    question: str
    plan: str


@dataclass(frozen=True, slots=True, repr=False)
class Made:
    """A table that was shared.

    Attributes:
        manifest: signed.
        path: the parcel with the third share, for the second server; schema `chunks.SCHEMA`.
        seed_a: of the first share; not for the second server.
        seed_b: of the second share; not for the third server.
        rows: how many rows the source has; for the owner's own ledger, never sent.
    """

    manifest: Manifest
    path: Path
    seed_a: bytes
    seed_b: bytes
    rows: int


def kernel_split(kind: str, values: Any, seed_a: bytes, seed_b: bytes, label: int) -> bytes:
    """The kernel's."""
    from hitoku.hazmat.shares import split

    return split(kind, values, seed_a, seed_b, label)


def make(
    wanted: WantedTable,
    source: Source,
    columns: Mapping[str, str],
    path: Path,
    binding: Binding,
    keys: KeyStore,
    *,
    progress: Progress | None = None,
    split: Split = kernel_split,
) -> Made:
    """Share a table.

    Args:
        wanted: what is asked.
        source: the member's table.
        columns: source columns by room column; the same name where nothing is said.
        path: the parcel's file, for this user only; there when it is whole. Its folder is where other files
            stand while this runs.
        binding: what it is for.
        keys: the owner's.
        progress: hears about the phases.
        split: makes an explicit share.

    Raises:
        InputError: the source cannot be used, or a value is not as the room declares. No value is quoted.
        LimitError: the table is too large.
        EngineError: the engine failed.
        SecretError: the owner's key cannot be read.
    """
    progress = progress or NoProgress()
    seeds = secrets.token_bytes(_SEED), secrets.token_bytes(_SEED)
    salt = salt_of(binding.room, binding.run)
    with evaluated(wanted, source, columns, path.parent, salt, progress) as rows:
        sharing = Sharing(wanted, rows.table, rows.total, seeds, split, progress, rows.most, rows.groups)
        try:
            write_parcel(path, SCHEMA, cut(sharing.explicit()))
        except OSError:
            raise InputError(f"table {wanted.table}: no space left for its shares") from None
        finally:
            path.with_name(f".{path.name}.part").unlink(missing_ok=True)
    manifest = Manifest(
        room=binding.room,
        run=binding.run,
        question=binding.question,
        plan=binding.plan,
        table=wanted.table,
        owner=wanted.owner,
        rows=sharing.rows,
        leaves=tuple(sharing.facts),
        keys=tuple(sharing.keys),
        seeds=(hashlib.sha256(seeds[0]).hexdigest(), hashlib.sha256(seeds[1]).hexdigest()),
        hashes=tuple(sharing.hashes),
    )
    signed = sign_manifest(keys, manifest)
    if len(signed.model_dump_json()) > limits.MAX_SHARES_MANIFEST_BYTES:
        path.unlink()
        raise LimitError(f"table {wanted.table}: the question needs too many columns of it")
    return Made(signed, path, *seeds, rows.total)


class Sharing:
    """The vectors of a table, one after the other: no more than those of one leaf are held, and of keys.

    Args:
        wanted: what is asked.
        table: the leaves (`evaluate.Evaluated`).
        total: rows of the source.
        seeds: a and b.
        split: makes an explicit share.
        progress: hears of the leaves.
        most: see `evaluate.Evaluated`.
        groups: see there.

    Raises:
        InputError: there are more rows than are declared.
        LimitError: there are too many.
    """

    def __init__(
        self,
        wanted: WantedTable,
        table: Any,
        total: int,
        seeds: tuple[bytes, bytes],
        split: Split,
        progress: Progress,
        most: Mapping[int, tuple[int, int]] | None = None,
        groups: int | None = None,
    ) -> None:
        self._most = most or {}
        self._wanted, self._table, self._seeds = wanted, table, seeds
        self._split, self._progress = split, progress
        self._count: int = table.num_rows
        grouped = wanted.group is not None
        self.rows = wanted.rows or (
            _groups(wanted, max(self._count, groups or 0)) if grouped else padded_rows(total)
        )
        self._passing = bits_of(table.column(PASSES)) if wanted.where and not grouped else None
        if self.rows < (self._count if grouped else total):
            raise InputError(f"table {wanted.table}: has more rows than the {self.rows:,} that are declared")
        if self.rows > limits.MAX_SHARES_ROWS:
            raise LimitError(f"table {wanted.table}: has more than {limits.MAX_SHARES_ROWS:,} rows")
        self._names = {leaf.name: n for n, leaf in enumerate(wanted.leaves)}
        self._rows = Rows(wanted.table, None if grouped else table.column(ROW))
        self._kept: dict[str, Found] = {}
        self._slots = np.zeros(0, np.int64)
        self.facts: list[LeafFacts] = []
        self.keys: list[KeyFacts] = []
        self.hashes: list[str] = []
        self._blind = secrets.token_bytes(BLIND_BYTES)
        self.size = 0

    def explicit(self) -> Iterator[bytes]:
        """What blinds the hashes, then the explicit shares in the order of `Manifest.pieces`.

        Facts, keys and hashes are whole when all have been taken.
        """
        wanted = self._wanted
        self._progress.phase(f"share {wanted.table}", len(wanted.leaves))
        for name in (*wanted.order, *(name for key in wanted.keys for name in key.leaves)):
            if name not in self._kept:
                self._kept[name] = self._found(name)
        # What is equal in order, or in a key, must not keep the source's order.
        start = random_order(self._count) if wanted.order or wanted.keys else np.zeros(0, np.int64)
        passing = self._passing
        count = self._count if passing is None else int(passing.sum())
        order = None
        if wanted.order:
            begin = start if passing is None else (np.cumsum(passing) - 1)[start[passing[start]]]
            ordered = [self._passed(self._kept[name]) for name in wanted.order]
            order = sorted_by(ordered, begin)
        self._slots = self._placed(order, count)
        yield self._blind
        yield self._shared("u8", self._spread(np.ones(count, np.uint8)))
        for leaf in wanted.leaves:
            found = self._kept.get(leaf.name) or self._found(leaf.name)
            yield from self._leaf(self._passed(found))
            self._progress.advance(1)
        if wanted.boundary is not None and order is not None:
            last = np.empty(count, np.int64)
            last[order] = ends(ordered, order)
            facts = LeafFacts(
                name=wanted.boundary, kind="boolean", low="0", high="1", nullable=False, word=True
            )
            yield from self._leaf(Found(facts, Whole.of(last), None))
        for key in wanted.keys:
            most, places = occurrences([self._kept[name] for name in key.leaves], start)
            if key.most is not None and most > key.most:
                names = ", ".join(wanted.leaves[self._names[n]].column or n for n in key.leaves)
                raise InputError(
                    f"table {wanted.table}: {names}: some value is in more than {key.most} rows, which the "
                    "room does not expect"
                )
            copies = padded_copies(most) if key.most is None else power_of_two(key.most)
            place = key.occurrence if copies > 1 else None
            self.keys.append(KeyFacts(leaves=key.leaves, copies=copies, occurrence=place))
            if place is not None:
                facts = LeafFacts(
                    name=place, kind="number", low="0", high=str(copies - 1), nullable=False, word=True
                )
                yield from self._leaf(self._passed(Found(facts, Whole.of(places), None)))

    def _passed(self, found: Found) -> Found:
        """The values of rows that pass the owner's own conditions."""
        return found if self._passing is None else found.some(self._passing)

    def _found(self, name: str) -> Found:
        place = self._names[name]
        leaf, column = self._wanted.leaves[place], self._table.column(str(place))
        return find(leaf, column, self._rows, self._most.get(place))

    def _placed(self, order: NDArray[np.int64] | None, count: int) -> NDArray[np.int64]:
        """Where each row stands among the shared ones."""
        if order is None:
            return random_order(self.rows)[:count]
        slots = np.empty(count, np.int64)
        slots[order] = np.arange(count)
        return slots

    def _leaf(self, found: Found) -> Iterator[bytes]:
        facts = found.facts
        self.facts.append(facts)
        if len(self.facts) > limits.MAX_SHARES_LEAVES:
            raise LimitError(f"table {self._wanted.table}: more than {limits.MAX_SHARES_LEAVES} columns")
        if (
            BLIND_BYTES + sum(piece.size for piece in pieces_of(self.rows, tuple(self.facts)))
            > limits.MAX_SHARES_UPLOAD_BYTES
        ):
            raise LimitError(f"table {self._wanted.table}: its shares would be too large")
        if facts.ring is not None:
            yield self._shared(facts.ring, self._spread(found.numbers.ring(facts.ring)))
        if facts.word:
            yield self._shared(facts.kind_of_words, self._spread(found.words()))
        if found.there is not None:
            yield self._shared("u8", self._spread(found.there.astype(np.uint8)))
        for texts in found.texts:
            yield self._shared("u64", texts)

    def _spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """The values at their rows' places, and 0 in rows of padding."""
        made = np.zeros((self.rows, *values.shape[1:]), values.dtype)
        made[self._slots] = values
        return made

    def _shared(self, kind: str, values: NDArray[Any]) -> bytes:
        share = self._split(kind, values, *self._seeds, len(self.hashes))
        self.hashes.append(blinded_hash(self._blind, share))
        return share


def _groups(wanted: WantedTable, count: int) -> int:
    """How many groups are shared, those of padding among them; without GROUP BY there is always one."""
    return padded_groups(count) if wanted.group else 1
