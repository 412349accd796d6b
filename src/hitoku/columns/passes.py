# SPDX-License-Identifier: Apache-2.0
"""The two passes of encrypting: read once and scatter, then protect bucket by bucket in random order.

Pass 1 reads, checks and measures, and scatters the rows over buckets (in memory, or in an encrypted
temporary file without a name). Pass 2 takes one bucket after the other, permutes it, makes
fingerprints and sealed values, and writes. Both passes keep all cores busy and memory bounded.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hitoku import _core, limits
from hitoku.columns.keys import Keys
from hitoku.columns.plan import Plan, Target
from hitoku.columns.sinks import Sink
from hitoku.errors import InputError
from hitoku.ports import Executor, Progress
from hitoku.sources import Batch, RowError, Source

if TYPE_CHECKING:
    from hitoku.room.settings import Settings

__all__ = ["Encryption", "output_schema"]

# Rows made at a time for Parquet and tables: as many as stay near the core's cache.
_STEP_ROWS = 8_192


def output_schema(plan: Plan) -> pa.Schema:
    """Encrypted columns are optional text; cleartext columns keep type and field metadata.

    Metadata of the whole table is dropped: pandas writes names and types of all columns there,
    also of those that must not leave.
    """
    return pa.schema(
        [
            plan.fields.field(target.slot).with_name(target.header)
            if target.kind == "cleartext"
            else pa.field(target.header, pa.string())
            for target in plan.targets
        ]
    )


def release_unused() -> None:
    """Give memory that the last pass has freed back to the system; the allocators would keep it."""
    pa.default_memory_pool().release_unused()
    pa.system_memory_pool().release_unused()  # which is malloc_trim: it serves the Rust core too


@dataclass(frozen=True)
class _Measured:
    """What pass 1 learns of one batch, a value for each used column."""

    rows: int
    longest: list[int]
    nulls: list[int]


@dataclass(frozen=True)
class Encryption:
    """One encryption under way."""

    plan: Plan
    keys: Keys
    settings: Settings
    folder: Path
    executor: Executor
    progress: Progress

    def all(self, reader: Source, sink: Sink) -> int:
        """Both passes. Returns how many rows there were."""
        try:
            shuffle = _core.Shuffle(
                self.plan.fields,
                self._buckets(reader.estimated_bytes),
                limits.SHUFFLE_MEMORY_BYTES,
                self.folder,
            )
            measured = self._scatter(reader, shuffle)
            release_unused()
            pads = self._pads(measured)
            self._check_nulls(measured)
            self._protect(shuffle, measured.rows, pads, sink)
        except _core.CellError as error:
            raise self._explain(error) from None
        return measured.rows

    def _buckets(self, size: int) -> int:
        wanted = -(-size // limits.SHUFFLE_BUCKET_BYTES)
        if size > 256 * 1024:
            # Enough pieces of work for all threads, also where one bucket would do.
            wanted = max(wanted, 4 * self.executor.parallelism)
        return max(1, min(wanted, limits.SHUFFLE_MAX_BUCKETS))

    def _scatter(self, reader: Source, shuffle: _core.Shuffle) -> _Measured:
        sealed = self.plan.of_kind("sealed")
        strictest: dict[int, Target] = {}
        for target in sealed:
            known = strictest.get(target.slot)
            if known is None or target.limit < known.limit:
                strictest[target.slot] = target
        fingerprints = {target.slot for target in self.plan.of_kind("fingerprint")}

        def work(batch_of: Batch) -> _Measured:
            batch = batch_of()
            longest, nulls = [0] * batch.num_columns, [0] * batch.num_columns
            for slot in sorted(fingerprints | strictest.keys()):
                column = batch.column(slot)
                nulls[slot] = column.null_count
                if slot in strictest:
                    target = strictest[slot]
                    longest[slot], over, _ = _core.measure(column, max(0, target.limit))
                    if over is not None:
                        raise RowError(reader.name, _too_long(target), over)
            shuffle.push(batch)
            return _Measured(batch.num_rows, longest, nulls)

        self.progress.phase("reading")
        rows = 0
        width = len(self.plan.used)
        longest, nulls = [0] * width, [0] * width
        try:
            for part in self.executor.map(work, reader.batches(self.plan.used)):
                rows += part.rows
                longest = [max(a, b) for a, b in zip(longest, part.longest, strict=True)]
                nulls = [a + b for a, b in zip(nulls, part.nulls, strict=True)]
                self.progress.advance(part.rows)
        except RowError as error:
            raise error.located(rows) from None
        except OSError as error:
            raise _no_room(error, self.folder) from None
        return _Measured(rows, longest, nulls)

    def _pads(self, measured: _Measured) -> list[int | None]:
        """The length that each column's values, without the type byte, are padded to; None: as they are."""
        pads: list[int | None] = []
        for target in self.plan.of_kind("sealed"):
            pad = target.pad
            if pad is None or pad.type == "none":
                pads.append(None)
            elif pad.type == "fixed":
                pads.append(target.limit)
            else:
                pads.append(measured.longest[target.slot] + (pad.length or 0))
        return pads

    def _check_nulls(self, measured: _Measured) -> None:
        """Two NULLs are duplicates where NULLs are not told apart by staying NULL."""
        if self.settings.allow_duplicates or self.settings.preserve_nulls:
            return
        twice = [t.header for t in self.plan.of_kind("fingerprint") if measured.nulls[t.slot] > 1]
        if twice:
            raise _duplicates(twice)

    def _protect(self, shuffle: _core.Shuffle, rows: int, pads: list[int | None], sink: Sink) -> None:
        fingerprints = self.plan.of_kind("fingerprint")
        distinct = None
        if fingerprints and not self.settings.allow_duplicates:
            partitions = max(1, min(1024, rows * 16 // (4 * 1024 * 1024)))
            distinct = _core.Distinct(
                len(fingerprints), partitions, limits.DISTINCT_MEMORY_BYTES, self.folder
            )
        protect = self._kernel(pads, distinct)

        def work(piece: tuple[_core.Shuffle, int]) -> tuple[int, list[Any]]:
            shuffle, number = piece
            bucket = shuffle.take(number)
            if sink.appends is not None:
                protect.append(bucket, *sink.appends)
                return bucket.rows, [None]
            return bucket.rows, [
                sink.prepare(protect.batch(bucket, start, _STEP_ROWS))
                for start in range(0, bucket.rows, _STEP_ROWS)
            ]

        self.progress.phase("encrypting", rows)
        try:
            for count, prepared in self.executor.map(work, _pieces(shuffle)):
                for part in prepared:
                    sink.write(part)
                self.progress.advance(count)
            if distinct is not None:
                self._check_distinct(distinct, fingerprints)
        except OSError as error:
            raise _no_room(error, self.folder) from None

    def _kernel(self, pads: list[int | None], distinct: _core.Distinct | None) -> _core.Protect:
        """The kernel that makes the output columns of a bucket; called on worker threads."""
        pad = iter(pads)
        columns = [
            (
                target.kind,
                target.slot,
                target.header,
                next(pad) if target.kind == "sealed" else None,
                self.keys.fingerprint(target.header) if target.kind == "fingerprint" else None,
            )
            for target in self.plan.targets
        ]
        preserve = self.settings.preserve_nulls
        return _core.Protect(columns, output_schema(self.plan), self.keys.root, preserve, distinct)

    def _check_distinct(self, distinct: _core.Distinct, fingerprints: list[Target]) -> None:
        self.progress.phase("checking", len(fingerprints) * distinct.partitions)
        pieces = [(c, p) for c in range(len(fingerprints)) for p in range(distinct.partitions)]
        found: set[int] = set()
        results = self.executor.map(lambda piece: distinct.repeats(*piece), pieces)
        for (column, _), repeats in zip(pieces, results, strict=True):
            if repeats:
                found.add(column)
            self.progress.advance()
        if found:
            raise _duplicates([fingerprints[column].header for column in sorted(found)])

    def _explain(self, error: _core.CellError) -> InputError:
        code, _, column = error.args
        where = ""
        sealed = self.plan.of_kind("sealed")
        if column is not None and column < len(sealed):
            where = f" in column '{sealed[column].header}'"
        if code == "no-randomness":
            return InputError("the operating system gives no randomness")
        return InputError(f"the table cannot be encrypted{where} ({code})")


def _pieces(shuffle: _core.Shuffle) -> Iterator[tuple[_core.Shuffle, int]]:
    """Buckets that fit memory; larger ones are scattered again."""
    for bucket in range(shuffle.buckets):
        size = shuffle.bucket_bytes(bucket)
        if size > 4 * limits.SHUFFLE_BUCKET_BYTES:
            ways = min(limits.SHUFFLE_MAX_BUCKETS, -(-size // limits.SHUFFLE_BUCKET_BYTES))
            yield from _pieces(shuffle.split(bucket, ways))
        elif size:
            yield shuffle, bucket


def _too_long(target: Target) -> str:
    if target.pad is not None and target.pad.type == "fixed":
        return (
            f"has a value of more than {target.limit:,} bytes in column '{target.header}', which is "
            f"padded to {target.pad.length or 0:,} with its type: give it a greater pad length"
        )
    return f"has a value of more than {max(0, target.limit):,} bytes in column '{target.header}'"


def _duplicates(headers: list[str]) -> InputError:
    return InputError(
        "fingerprint columns hold a value (or NULL) more than once, which the room forbids "
        f"(allow_duplicates): {', '.join(headers)}"
    )


def _no_room(error: OSError, folder: Path) -> Exception:
    """Temporary files fail as the target does; the target's own errors pass unchanged."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return InputError(f"no space left for the output or for temporary files in {folder} (--tempDir)")
    return error
