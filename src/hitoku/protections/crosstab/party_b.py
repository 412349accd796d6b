# SPDX-License-Identifier: Apache-2.0
"""Side b: has the values, decides how many dummies match, opens the sums (messages 2, 3, 5). See `party`.

What it learns: counts with a's eta, sums with a's zeta, for all cells alike; no match, and nothing that a's
points or tags have to do with its own.
"""

from __future__ import annotations

import pyarrow as pa

from hitoku import limits
from hitoku.hazmat import group
from hitoku.protections.crosstab.draws import Draws
from hitoku.protections.crosstab.figures import Figures
from hitoku.protections.crosstab.link import numbers, schema_of
from hitoku.protections.crosstab.masking import integers
from hitoku.protections.crosstab.prepared import Prepared, buffer_of
from hitoku.protections.crosstab.terms import Terms
from hitoku.protections.crosstab.work import Work

__all__ = ["receipt", "run_b"]


def run_b(work: Work, rows: Prepared) -> Figures:
    """Side b's run, from where it was left."""
    terms = work.agree(rows)
    draws = work.vault.masks(rows, terms)
    work.send_points(terms, rows, draws)
    _send_tags(work, terms, draws)
    return _open(work, terms, draws)


def receipt(work: Work, figures: Figures) -> None:
    """Message 5: the sums; where nothing is summed, that b has the counts."""
    if work.vault.made("sums-b"):
        return
    schema = schema_of("sums-b", work.parameters)
    columns = [integers("q", cells) for cells in figures.sums]
    if not columns:
        columns = [pa.Array.from_buffers(pa.bool_(), 1, [None, pa.py_buffer(b"\x01")])]
    work.link.send("sums-b", [pa.RecordBatch.from_arrays(columns, schema=schema)])


def _send_tags(work: Work, terms: Terms, draws: Draws) -> None:
    """Message 3."""
    if work.vault.made("tags-a"):
        return
    sizes = terms.sizes("a")
    sorter = group.Sorter(group.TAG, sizes, memory=limits.RECORD_SORT_BYTES, folder=work.vault.work)
    every, rows = bytearray(group.TAG * terms.total("a")), 0
    for raised in work.raised(terms, draws):
        sorter.push(raised.tags, integers("H", numbers(raised.pieces)))
        end = rows + len(raised.tags)
        every[group.TAG * rows : group.TAG * end] = buffer_of(raised.tags, group.TAG)
        rows = end
    with work.link.blamed("points-a"):
        # In order means distinct within a group; a point in two groups would count a person twice.
        group.check_distinct(group.records(every, group.TAG), length=group.TAG)
    del every
    work.link.send_records("tags-a", work.taken(sorter, len(sizes)))


def _open(work: Work, terms: Terms, draws: Draws) -> Figures:
    """Messages 4 and, before it is sent, 5."""
    parameters = work.parameters
    work.progress.phase("waiting for the cells")
    table = work.link.table("cells-a", parameters.cells)
    work.still_agreed()
    counts = table.column("count").to_pylist()
    for cell, count in enumerate(counts):
        if not -parameters.dummies <= count <= terms.matches:
            raise work.link.broken("cells-a", "an impossible count", cell)
    work.progress.phase("opening the sums")
    sums = []
    for number, zeta in enumerate(draws.sums):
        column = table.column(f"sum{number}").combine_chunks()
        low, high = parameters.log_range(number, terms.matches)
        log = group.DiscreteLog(low, high, parameters.cells)
        assert draws.elgamal is not None  # noqa: S101 (there is one wherever values are summed)
        with work.link.blamed("cells-a"):
            # Nothing at all, the identity twice, would open as 0 without a's noise.
            for at in (0, group.POINT):
                group.check_points(column, at=at)
            opened = group.decrypt(column, group.load_elgamal_key(draws.elgamal), log)
        sums.append([value + noise for value, noise in zip(opened.to_pylist(), zeta, strict=True)])
    return Figures(counts, tuple(sums))
