# SPDX-License-Identifier: Apache-2.0
"""Side a: finds the matches, counts and adds up unread (messages 1, 4). See `party`.

What it learns: for every cell, how many records match, which is ``true + tau`` with b's tau; nothing of b's
values, whose sums it only holds encrypted; no id behind any match. The counts live in memory until its own
noise is added, and are never stored or logged.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from hitoku.hazmat import group
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.figures import Figures
from hitoku.protections.crosstab.link import Order, numbers, schema_of
from hitoku.protections.crosstab.masking import integers
from hitoku.protections.crosstab.prepared import Prepared, buffer_of
from hitoku.protections.crosstab.terms import Terms
from hitoku.protections.crosstab.work import Work

__all__ = ["run_a"]

_PIECE = 65_536


def run_a(work: Work, rows: Prepared) -> Figures:
    """Side a's run, from where it was left."""
    if work.vault.made("cells-a"):
        terms = work.agreed()
    else:
        terms = work.agree(rows)
        draws = work.vault.masks(rows, terms)
        work.send_points(terms, rows, draws)
        _send_cells(work, terms, draws)
    counts = work.link.own("cells-a").column("count").to_pylist()
    work.progress.phase("waiting for the sums")
    return Figures(counts, _sums(work, terms))


class _List:
    """A list of tags with their groups, filled in order."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        total = sum(sizes)
        self._tags, self._groups = bytearray(group.TAG * total), bytearray(2 * total)
        self._count, self._rows = len(sizes), 0

    def add(self, tags: pa.Array, pieces: list[tuple[int, int]]) -> None:
        start, end = self._rows, self._rows + len(tags)
        self._tags[group.TAG * start : group.TAG * end] = buffer_of(tags, group.TAG)
        self._groups[2 * start : 2 * end] = numbers(pieces)
        self._rows = end

    def side(self) -> tuple[pa.Array, pa.Array, int]:
        """As `group.join` takes it; nothing is copied."""
        groups = pa.Array.from_buffers(pa.uint16(), self._rows, [None, pa.py_buffer(self._groups)])
        return group.records(self._tags, group.TAG), groups, self._count


def _send_cells(work: Work, terms: Terms, draws: Draws) -> None:
    """Message 4."""
    parameters = work.parameters
    kept = work.vault.work / "points-b"
    right = _List(terms.sizes("b"))
    with kept.open("wb") as file:
        for raised in work.raised(terms, draws):
            right.add(raised.tags, raised.pieces)
            if parameters.sums:
                # Which of them match is known only when all tags are there; they are too many for memory.
                file.write(buffer_of(raised.records, parameters.width))
    left = _List(terms.sizes("a"))
    order = Order(terms.sizes("a"), group.TAG, group.TAG)
    work.progress.phase("taking the tags", terms.total("a"))
    for batch in work.link.fetch("tags-a", terms.total("a")):
        with work.link.blamed("tags-a"):
            left.add(batch.column(0), order.check(batch.column(0)))
        work.progress.advance(len(batch))
    work.still_agreed()
    work.progress.phase("matching and adding up")
    try:
        matches = group.join(left.side(), right.side())
    except group.RecordError as error:
        with work.link.blamed("points-b" if error.column == 1 else "tags-a"):
            raise
    del left, right
    # From here to the file: `true + tau` per cell, then with eta.
    noised = [
        count - parameters.m + noise
        for count, noise in zip(matches.counts().to_pylist(), draws.counts, strict=True)
    ]
    columns = [integers("q", noised)]
    if parameters.sums:
        columns += _ciphertexts(work, kept, matches, terms, draws)
    kept.unlink()
    schema = schema_of("cells-a", parameters)
    work.link.send("cells-a", [pa.RecordBatch.from_arrays(columns, schema=schema)])


def _ciphertexts(
    work: Work, kept: Path, matches: group.Matches, terms: Terms, draws: Draws
) -> list[pa.Array]:
    """Each cell's ciphertexts of each sum added up, with zeta added and under fresh randomness.

    `Sums` refuses a ciphertext that is none, of whatever record: no refusal tells which match.
    """
    parameters = terms.parameters
    totals = [group.Sums(matches) for _ in parameters.sums]
    start = 0
    with kept.open("rb") as file:
        while piece := file.read(_PIECE * parameters.width):
            column = group.records(piece, parameters.width)
            for number, total in enumerate(totals):
                with work.link.blamed("points-b", start):
                    total.add(column, at=group.POINT + number * group.CIPHERTEXT, start=start)
            start += len(column)
    return [
        group.add_values(terms.public, total.result(), integers("q", zeta))
        for total, zeta in zip(totals, draws.sums, strict=True)
    ]


def _sums(work: Work, terms: Terms) -> tuple[list[int], ...]:
    """Message 5."""
    parameters = work.parameters
    if not parameters.sums:
        work.link.table("sums-b", 1)
        return ()
    table = work.link.table("sums-b", parameters.cells)
    sums = tuple(column.to_pylist() for column in table.columns)
    for number, cells in enumerate(sums):
        low, high = parameters.log_range(number, terms.matches)
        for cell, value in enumerate(cells):
            if not low - parameters.offsets[number] <= value <= high + parameters.offsets[number]:
                raise work.link.broken("sums-b", "an impossible sum", cell)
    return sums
