# SPDX-License-Identifier: Apache-2.0
"""What suppression is told: how the groups of related branches share rows, as numbers without any key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hitoku.errors import DisclosureError

__all__ = ["Survey", "surveys"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Survey:
    """The groups of related branches, cut into atoms: the largest sets of rows that no group divides.

    Arrays are numpy's; an atom is a row. It has no name and no key: groups are numbers.

    Attributes:
        groups: (atoms, branches), whole numbers: which group of the branch the atom is part of, 0 for none.
        small: (atoms, branches), booleans: whether a threshold withholds that group.
        counts: (atoms, measures), whole numbers: rows, then distinct units of each threshold.
        minima: what each measure has to reach.
    """

    groups: Any
    small: Any
    counts: Any
    minima: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together: nothing is released then."""
        atoms = len(self.groups)
        fits = (
            self.groups.shape == self.small.shape
            and self.counts.shape == (atoms, len(self.minima))
            and (self.groups >= 0).all()
            and (self.counts >= 0).all()
        )
        if not fits:
            raise DisclosureError("what is known of the groups does not fit together: nothing is released")

    def __repr__(self) -> str:
        """Shape only; a log may print it."""
        return f"Survey({self.groups.shape[0]} atoms, {self.groups.shape[1]} branches)"


def surveys(
    table: Any, sets: Sequence[tuple[int, Sequence[tuple[str, int]]]], aliases: Sequence[str]
) -> list[Survey]:
    """Read what the engine counted.

    Args:
        table: a `pyarrow.Table` as `hitoku.questions.survey` describes it.
        sets: of each set of related branches, how many there are, and the thresholds that its tables have:
            the column with their units, and their minimum.
        aliases: the columns with the units of all thresholds.

    Raises:
        DisclosureError: the table has another form.
    """
    width = max((count for count, _ in sets), default=0)
    names = ["related", "n", *aliases]
    names += [f"{kind}{n}" for n in range(1, width + 1) for kind in "cs"]
    if sorted(table.column_names) != sorted(names) or any(column.null_count for column in table.columns):
        raise DisclosureError("what is known of the groups has another form: nothing is released")
    columns = {name: table.column(name).to_numpy() for name in names}
    made: list[Survey] = []
    for place, (count, minima) in enumerate(sets):
        rows = max((minimum for _, minimum in minima), default=0)
        mine = columns["related"] == place
        made.append(
            Survey(
                np.stack([columns[f"c{n}"][mine] for n in range(1, count + 1)], axis=1),
                np.stack([columns[f"s{n}"][mine] for n in range(1, count + 1)], axis=1),
                np.stack([columns[name][mine] for name in ("n", *(alias for alias, _ in minima))], axis=1),
                (rows, *(minimum for _, minimum in minima)),
            )
        )
    return made
