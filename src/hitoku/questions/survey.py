# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - this file writes SQL from checked names and trees; no asker's text comes here
"""The SQL that counts the groups of related branches, before the question runs, for secondary suppression.

Its result has numbers only, no key: groups are numbered in the order of their keys, as `running` numbers
them, and a row is a set of rows of the tables that is in the same groups throughout (an atom). It stays where
the cells are: the host that runs the question counts all of it anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hitoku import limits
from hitoku.questions.form import Form
from hitoku.questions.margins import Branch, Related, related
from hitoku.questions.render import rows_text
from hitoku.questions.totals import key_text, number_text, total
from hitoku.questions.units import counted_units, passing

if TYPE_CHECKING:
    from hitoku.questions.question import UnitConstraint

__all__ = ["survey_text", "surveyed"]


def surveyed(form: Form) -> tuple[Related, ...]:
    """The related branches that are counted: not so many of them that it would take too long."""
    return tuple(r for r in related(form) if len(r.branches) <= limits.SUPPRESSION_BRANCHES)


def survey_text(form: Form, constraints: Sequence[UnitConstraint]) -> str | None:
    """The SQL of the survey; None where no branches are related.

    Its columns: ``related``, the place of the set of related branches; ``n``, rows; the constraints'
    aliases, distinct units; then for each branch ``c1``..., the number of its group (0: in none) and
    ``s1``..., whether a threshold withholds it. Of a set not more rows than there may be atoms, and one more;
    small ones first.
    """
    sets = surveyed(form)
    if not sets:
        return None
    width = max(len(found.branches) for found in sets)
    layers: list[str] = []
    parts: list[str] = []
    for place, found in enumerate(sets):
        layers += _layers(place, found, constraints)
        parts.append(f"SELECT * FROM ({_selected(place, found, constraints, width)})")
    return f"WITH {', '.join(layers)} {' UNION ALL '.join(parts)}"


def _layers(place: int, found: Related, constraints: Sequence[UnitConstraint]) -> list[str]:
    keys = {group.text: group for branch in found.branches for group in branch.groups}
    flags = {value.text: value for branch in found.branches for value in branch.where}
    names = {text: f"k{n}" for n, text in enumerate(keys, 1)}
    marks = {text: f"h{n}" for n, text in enumerate(flags, 1)}
    units = counted_units(found.rows, constraints)
    columns = [f"{key_text(value)} AS {names[text]}" for text, value in keys.items()]
    columns += [f"COALESCE({total(value.node)}, FALSE) AS {marks[text]}" for text, value in flags.items()]
    atoms = f"SELECT {', '.join([*columns, 'COUNT(*) AS n', *units])} {rows_text(found.rows, total)}"
    if columns:
        atoms += " GROUP BY " + ", ".join(str(n) for n in range(1, len(columns) + 1))
    numbers: list[str] = []
    layers = [f"_hitoku_f{place} AS ({atoms})"]
    for n, branch in enumerate(found.branches, 1):
        inside = " AND ".join(marks[value.text] for value in branch.where) or "TRUE"
        layers.append(f"_hitoku_i{place}_{n} AS ({_groups(found, branch, units, constraints)})")
        rank = "1"
        if branch.groups:
            # The same groups in the same order as the branch's own: each is a projection of some atom.
            rank = number_text([names[group.text] for group in branch.groups], f"({inside})", dense=True)
        numbers.append(f"CASE WHEN {inside} THEN {rank} ELSE 0 END AS c{n}")
    kept = ", ".join(["n", *(c.alias for c in constraints)])
    layers.append(f"_hitoku_d{place} AS (SELECT {kept}, {', '.join(numbers)} FROM _hitoku_f{place})")
    return layers


def _groups(
    found: Related, branch: Branch, units: Sequence[str], constraints: Sequence[UnitConstraint]
) -> str:
    """The groups of a branch: their numbers, and whether they pass."""
    block = replace(found.rows, where=(*found.rows.where, *branch.where))
    names = [f"k{n}" for n in range(1, len(branch.groups) + 1)]
    columns = [f"{key_text(g)} AS {name}" for g, name in zip(branch.groups, names, strict=True)]
    text = f"SELECT {', '.join([*columns, *units])} {rows_text(block, total)}"
    if columns:
        text += " GROUP BY " + ", ".join(str(n) for n in range(1, len(columns) + 1))
    number = number_text(names) if names else "1"
    return f"SELECT {number} AS i, NOT ({passing(constraints)}) AS small FROM ({text})"


def _selected(place: int, found: Related, constraints: Sequence[UnitConstraint], width: int) -> str:
    columns = [f"{place}::BIGINT AS related", "n::BIGINT AS n"]
    columns += [f"{c.alias}::BIGINT AS {c.alias}" for c in constraints]
    joins = ""
    small: list[str] = []
    for n in range(1, width + 1):
        if n > len(found.branches):
            columns += [f"0::BIGINT AS c{n}", f"FALSE AS s{n}"]
            continue
        joins += f" LEFT JOIN _hitoku_i{place}_{n} AS i{n} ON i{n}.i = c{n}"
        small.append(f"(c{n} > 0 AND COALESCE(i{n}.small, TRUE))")
        columns += [f"c{n}::BIGINT AS c{n}", f"{small[-1]} AS s{n}"]
    inside = " OR ".join(f"c{n} > 0" for n in range(1, len(found.branches) + 1))
    order = ", ".join(f"c{n}" for n in range(1, len(found.branches) + 1))
    return (
        f"SELECT {', '.join(columns)} FROM _hitoku_d{place}{joins} WHERE {inside} "
        f"ORDER BY ({' OR '.join(small)}) DESC, {order} LIMIT {limits.SUPPRESSION_ATOMS + 1}"
    )
