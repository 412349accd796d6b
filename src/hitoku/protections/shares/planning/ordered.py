# SPDX-License-Identifier: Apache-2.0
"""Groups whose rows their owner has put side by side: where all grouping values are of the first table.

A lookup by a key that is in one row of its table at most leaves rows where they are. So if the owner of the
first table uploads its rows in the order of the grouping values, with a bit that is 1 in the last row of each
group, groups need no sort on shares: only the last rows are brought to the front, by that one bit.

Why nothing more is learned. To a server: the order is not sent, it is only how the owner lays out what it
shares, and the bit is one more shared column; sizes and rounds follow from the program. Nothing is opened
that is not in a random order: bringing rows to the front is a sort, which opens permutations of shuffled
rows, and released rows are shuffled before their flags are opened (`operators.select`). To an owner: owners
see nothing of a run but hashes of sealed parts, so that it knows how its rows lay is of no use to it. To a
receiver: released rows come shuffled, or in the order that was asked for. Rows that find nothing, and groups
without rows that count, stay among the others until then: each group's count of rows that count is compared
with 0 under sharing.

The owner is asked for the order before sizes are known. Whether it is used (rows begin as that table, no key
is repeated, no figure needs an order of its own) is decided with the manifests, equally at all servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hitoku.protections.shares.operators.groups import RANKED
from hitoku.protections.shares.program import Branch, Column

if TYPE_CHECKING:
    from hitoku.protections.shares.planning.leaves import Leaves

__all__ = ["by_owner", "want_order"]

_BOUNDARY: Final = 899
_OTHERS: Final = tuple(kind for kind in RANKED if kind != "count_distinct")
"""Figures that sort by their argument whatever manifests say; distinct units may turn out to be all rows."""


def want_order(leaves: Leaves, branch: Branch, used: Mapping[str, int]) -> None:
    """Ask an owner to put its rows in the order of the grouping values, where that can be of use.

    Args:
        leaves: what owners are asked for.
        branch: the SELECT, as it is before sizes are known.
        used: in how many SELECTs a table is.
    """
    table = _table(branch)
    if table is None or used[table] > 1 or any(one.kind in _OTHERS for one in branch.aggregates):
        return
    collected = leaves.tables[table]
    collected.order = tuple(expr.name for _, expr in branch.groups if isinstance(expr, Column))
    collected.boundary = f"{table}.{_BOUNDARY}"


def by_owner(branch: Branch, boundaries: Mapping[str, str]) -> Branch:
    """The SELECT, without a sort where its rows come in order.

    Args:
        branch: as it is with sizes.
        boundaries: by table that comes in order, the leaf that tells groups' last rows.
    """
    table = _table(branch)
    if (
        table != branch.start
        or table not in boundaries
        or any(lookup.copies > 1 for lookup in branch.lookups)
        or any(one.kind in RANKED for one in branch.aggregates)
    ):
        return branch
    return replace(branch, sorted_by_owner=True, boundary=boundaries[table])


def _table(branch: Branch) -> str | None:
    """The one table that all grouping values are columns of; None where there is none."""
    if branch.ready or branch.one_group or not branch.lookups or not branch.groups:
        return None
    names = {expr.name.rpartition(".")[0] if isinstance(expr, Column) else None for _, expr in branch.groups}
    lefts = {lookup.table for lookup in branch.lookups if lookup.kind == "left"}
    return names.pop() if len(names) == 1 and not names & lefts else None
