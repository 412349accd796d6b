# SPDX-License-Identifier: Apache-2.0
"""Which branches of a question count the same rows: totals beside their parts, parts beside their parts.

Branches are related where they read the same tables by the same joins: what they count then differs by WHERE
and GROUP BY only. Whether a group of one is the sum of groups of another is a matter of the rows, and is left
to the survey (`hitoku.questions.survey`): it cuts the rows into the largest sets that no group of a related
branch divides, whatever the conditions and keys are. So it does not matter here how a total is written: which
columns mark it, whether its keys are part of the others' or cross them, or whether WHERE makes a part of it.

A branch with HAVING counts as if it had none: a group that HAVING hides is one that the receiver could have
been shown, and often one whose count follows from the condition. It may be withheld like any other.

Branches that read other tables, or join them otherwise, are not related here; nor are other questions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hitoku.questions.form import Block, Form, Value

__all__ = ["Branch", "Related", "related"]


@dataclass(frozen=True, slots=True)
class Branch:
    """Blocks with the same groups of the same rows.

    Attributes:
        blocks: their places in `Form.blocks`.
        groups: what they group by.
        where: their conditions besides those that all related branches have.
    """

    blocks: tuple[int, ...]
    groups: tuple[Value, ...]
    where: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Related:
    """Branches of the same joined tables that differ in rows or groups.

    Attributes:
        rows: a block with the tables, the joins, and the conditions that all branches have.
        branches: the branches, at least two.
        kept: the place of the branch that stays where the others are withheld as a whole.
    """

    rows: Block
    branches: tuple[Branch, ...]
    kept: int


def related(form: Form) -> tuple[Related, ...]:
    """The sets of related branches of a question; empty for one SELECT."""
    if len(form.blocks) < 2:
        return ()
    sets: dict[object, list[int]] = {}
    for place, block in enumerate(form.blocks):
        if not block.listing:
            sets.setdefault(_joined(block), []).append(place)
    made = (_related(form, places) for places in sets.values() if len(places) > 1)
    return tuple(found for found in made if len(found.branches) > 1)


def _joined(block: Block) -> object:
    lefts = tuple((left.table, _texts(left.on)) for left in block.lefts)
    return block.tables, _texts(block.on), lefts


def _texts(values: tuple[Value, ...]) -> tuple[str, ...]:
    return tuple(sorted(value.text for value in values))


def _related(form: Form, places: list[int]) -> Related:
    blocks = [form.blocks[place] for place in places]
    everywhere = set.intersection(*({value.text for value in block.where} for block in blocks))
    same: dict[object, list[int]] = {}
    for place in places:
        block = form.blocks[place]
        same.setdefault((_texts(block.groups), _texts(block.where)), []).append(place)
    branches: list[Branch] = []
    for found in same.values():
        block = form.blocks[found[0]]
        where = tuple(value for value in block.where if value.text not in everywhere)
        branches.append(Branch(tuple(found), block.groups, where))
    kept = max(range(len(branches)), key=lambda n: (len(branches[n].groups), -n))
    common = tuple(value for value in blocks[0].where if value.text in everywhere)
    rows = replace(blocks[0], where=common, groups=(), items=(), having=())
    return Related(rows, tuple(branches), kept)
