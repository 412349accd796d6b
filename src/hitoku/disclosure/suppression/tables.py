# SPDX-License-Identifier: Apache-2.0
"""A survey as linear systems: cells that are sums of atoms, in parts that share no atom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hitoku.disclosure.suppression.survey import Survey

__all__ = ["Cell", "Linked", "linked"]


@dataclass(frozen=True, slots=True)
class Cell:
    """Groups that rest on the same atoms: one number, shown or withheld as one.

    Attributes:
        atoms: places of its atoms in the part.
        groups: branch and number of each group that is this cell.
        small: whether a threshold withholds it.
        weight: what it costs to withhold it.
    """

    atoms: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]
    small: bool
    weight: int


@dataclass(frozen=True, slots=True)
class Linked:
    """Cells that hang together by common atoms, and nothing else does with them.

    Attributes:
        counts: (atoms, measures); measures that are equal throughout stand once.
        minima: what each measure has to reach.
        cells: the cells.
    """

    counts: Any
    minima: tuple[int, ...]
    cells: tuple[Cell, ...]


def linked(survey: Survey) -> list[Linked]:
    """The parts of a survey in which some cell is small and some other cell shares its rows."""
    groups, counts, small = _merged(survey)
    members: dict[tuple[int, int], list[int]] = {}
    for branch in range(groups.shape[1]):
        for atom, number in enumerate(groups[:, branch].tolist()):
            if number:
                members.setdefault((branch, number), []).append(atom)
    parts = _parts(len(groups), members)
    by_part: dict[int, list[tuple[int, int]]] = {}
    for key, atoms in members.items():
        by_part.setdefault(parts[atoms[0]], []).append(key)
    made: list[Linked] = []
    for keys in by_part.values():
        places = sorted({atom for key in keys for atom in members[key]})
        place = {atom: n for n, atom in enumerate(places)}
        same: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for key in keys:
            same.setdefault(tuple(place[a] for a in members[key]), []).append(key)
        cells = []
        for inside, found in sorted(same.items()):
            rows = int(counts[[places[i] for i in inside], 0].sum())
            hidden = any(small[members[key][0], key[0]] for key in found)
            # The usual compromise between few cells and few rows: the logarithm (handbook, 4.4.1).
            cells.append(Cell(inside, tuple(found), hidden, len(found) * (rows + 1).bit_length()))
        if any(cell.small for cell in cells) and len(cells) > 1:
            made.append(_distinct(counts[places], survey.minima, tuple(cells)))
    return made


def _merged(survey: Survey) -> tuple[Any, Any, Any]:
    """Atoms that are in the same groups are one."""
    groups, first, place = np.unique(survey.groups, axis=0, return_index=True, return_inverse=True)
    counts = np.zeros((len(groups), survey.counts.shape[1]), dtype=np.int64)
    np.add.at(counts, place.reshape(-1), survey.counts)
    return groups, counts, survey.small[first]


def _parts(atoms: int, members: dict[tuple[int, int], list[int]]) -> list[int]:
    """For each atom the lowest atom that it hangs together with."""
    parent = list(range(atoms))

    def root(atom: int) -> int:
        while parent[atom] != atom:
            parent[atom] = parent[parent[atom]]
            atom = parent[atom]
        return atom

    for inside in members.values():
        first = root(inside[0])
        for atom in inside[1:]:
            other = root(atom)
            first, other = min(first, other), max(first, other)
            parent[other] = first
    return [root(atom) for atom in range(atoms)]


def _distinct(counts: Any, minima: tuple[int, ...], cells: tuple[Cell, ...]) -> Linked:
    """Without measures that are equal to another: their protection is the same; the higher minimum stays."""
    kept: dict[bytes, tuple[int, int]] = {}
    for measure, minimum in enumerate(minima):
        name = np.ascontiguousarray(counts[:, measure]).tobytes()
        place, known = kept.get(name, (measure, 0))
        kept[name] = (place, max(known, minimum))
    places = [place for place, _ in kept.values()]
    return Linked(counts[:, places], tuple(minimum for _, minimum in kept.values()), cells)
