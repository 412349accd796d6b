# SPDX-License-Identifier: Apache-2.0
"""What a table's owner wants to know of it before it is used. For the owner alone, on its own machine.

Nothing of it may go to another member: how many rows a person has, or how many identifiers are unusable, is
told to nobody in a run.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hitoku.ports import NoProgress
from hitoku.protections.crosstab.prepare.columns import needed
from hitoku.protections.crosstab.prepare.identify import ID
from hitoku.protections.crosstab.prepare.merge import by_id
from hitoku.protections.crosstab.prepare.reading import read

if TYPE_CHECKING:
    from hitoku.ports import Progress
    from hitoku.protections.crosstab.prepare.side import Side
    from hitoku.sources.base import Source

__all__ = ["Survey", "survey"]


@dataclass(frozen=True, slots=True)
class Survey:
    """A table as its owner sees it.

    Attributes:
        rows: all rows.
        people: distinct persons.
        duplicates: rows with an identifier, beyond the first of a person.
        unusable: rows without a usable identifier.
        outside: by dimension, rows with an identifier and a value outside the domain.
        missing: by measure, rows with an identifier and no number.
    """

    rows: int
    people: int
    duplicates: int
    unusable: int
    outside: dict[str, int]
    missing: dict[str, int]


def survey(
    side: Side,
    source: Source,
    *,
    columns: Mapping[str, str] | None = None,
    person: Mapping[str, Sequence[str]] | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Read a whole table and count; arguments and errors as for `prepare`."""
    # Nothing is left out for a value: which dimensions a question groups by is not known yet.
    kept = tuple(replace(d, other=d.other or d.domain[0]) for d in side.dimensions)
    side = replace(side, dimensions=kept)
    plan = needed(side, source, columns or {}, person or {})
    rows = read(side, source, plan, secrets.token_bytes(ID), folder, progress or NoProgress())
    _, starts = by_id(rows.ids)
    people = len(starts)
    tally = rows.tally
    return Survey(tally.rows, people, len(rows.ids) - people, tally.unusable, tally.outside, tally.missing)
