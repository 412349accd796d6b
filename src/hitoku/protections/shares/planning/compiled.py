# SPDX-License-Identifier: Apache-2.0
"""A question as a program, given the sizes of its tables: SELECT by SELECT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from hitoku.protections.shares.planning import numbers
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.planning.groups import Groups
from hitoku.protections.shares.planning.joins import Joined, KeySize, joined
from hitoku.protections.shares.planning.leaves import Leaves
from hitoku.protections.shares.planning.local import LocalGroups, NotLocalError
from hitoku.protections.shares.planning.noising import noised_branch
from hitoku.protections.shares.planning.ordered import by_owner, want_order
from hitoku.protections.shares.planning.outputs import View, outputs
from hitoku.protections.shares.planning.rows import Rows, tables_of
from hitoku.protections.shares.planning.sqltypes import Describer
from hitoku.protections.shares.program import Branch, Expr, Type
from hitoku.questions.form import Block, Combined, Value, column_node
from hitoku.questions.form import Ref as FormRef
from hitoku.questions.totals import total

if TYPE_CHECKING:
    from hitoku.disclosure.noise import Noise
    from hitoku.questions.form import Form
    from hitoku.questions.question import Question

__all__ = ["MOST_ROWS", "Compiled", "Sizes", "compiled"]

MOST_ROWS: Final = 1 << 28
"""Rows after all joins; more are not begun. With it the widths of sums are known before any size is."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What manifests say.

    Attributes:
        rows: of each table, padded.
        types: of leaves, by name.
        keys: by the names of their leaves.
        local: the tables whose owners group by themselves.
        boundaries: by table whose rows come in the order of groups, the leaf that tells their last rows.
    """

    rows: Mapping[str, int]
    types: Mapping[str, Type]
    keys: Mapping[tuple[str, ...], KeySize]
    local: frozenset[str] = frozenset()
    boundaries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compiled:
    """What compiling made.

    Attributes:
        branches: one for each SELECT.
        views: what receivers do with each.
    """

    branches: tuple[Branch, ...]
    views: tuple[View, ...]


def compiled(
    question: Question,
    minima: Mapping[str, int],
    describer: Describer,
    leaves: Leaves,
    sizes: Sizes | None,
    noise: Noise | None = None,
) -> Compiled:
    """Compile a question.

    Args:
        question: the question.
        minima: by a threshold's alias, the plan's minimum.
        describer: knows the engine's types.
        leaves: collects what owners compute.
        sizes: what manifests say; None before there are any.
        noise: what figures get; None where they are exact.

    Raises:
        Cannot: it cannot be computed on shares.
    """
    form = question.form
    if noise is not None:
        return _noised(question, describer, leaves, sizes, noise)
    blocks = [grouped(block) for block in form.blocks]
    used = Counter(table for block in blocks for table in block.all_tables)
    made = [_branch(question, minima, describer, leaves, sizes, form, block, used) for block in blocks]
    return Compiled(tuple(branch for branch, _ in made), tuple(view for _, view in made))


def grouped(block: Block) -> Block:
    """A list of distinct rows as groups without figures."""
    if not block.listing:
        return block
    values = {item.value.text: item.value for item in block.items if not item.value.constant}
    return replace(block, groups=tuple(values[text] for text in sorted(values)), listing=False)


def _branch(
    question: Question,
    minima: Mapping[str, int],
    describer: Describer,
    leaves: Leaves,
    sizes: Sizes | None,
    form: Form,
    block: Block,
    used: Counter[str],
) -> tuple[Branch, View]:
    alone = len(block.all_tables) == 1 and used[block.tables[0]] == 1
    if alone and (sizes is None or block.tables[0] in sizes.local):
        try:
            return _locally(question, minima, Rows(describer, leaves, block), form, block, sizes)
        except NotLocalError:
            leaves.forget(block.tables[0])
    rows = Rows(describer, leaves, block)
    where = _conditions(rows, block, used)
    made = _joined(rows, block, sizes)
    constraints = [c for c in question.constraints if c.table in block.all_tables]
    groups = Groups(rows, block, made, surely=bool(constraints))
    released = _released(groups, question, minima, form)
    branch = Branch(
        start=made.start,
        lookups=made.lookups,
        where=(*made.where, *where),
        groups=tuple(groups.keys.items()),
        aggregates=tuple(groups.aggregates),
        most_groups=_most_groups(groups, made.rows),
        one_group=not block.groups,
        **released.arguments,
    )
    if sizes is None:
        want_order(leaves, branch, used)
        return branch, released.view
    return by_owner(branch, sizes.boundaries), released.view


def _joined(rows: Rows, block: Block, sizes: Sizes | None) -> Joined:
    known = dict.fromkeys(block.all_tables, 1) if sizes is None else sizes.rows
    made = joined(rows, block, known, None if sizes is None else sizes.keys)
    made = replace(made, rows=MOST_ROWS if sizes is None else made.rows)
    if made.rows > MOST_ROWS:
        raise Cannot(
            f"the joins could make {made.rows:,} rows, more than {MOST_ROWS:,}: a key is repeated too often",
            "join by a column whose values are unique in one of the tables",
        )
    return made


def _noised(
    question: Question, describer: Describer, leaves: Leaves, sizes: Sizes | None, noise: Noise
) -> Compiled:
    privacy, form = question.privacy, question.form
    if privacy is None or not len(privacy.parts) == len(noise.parts) == len(form.blocks):
        raise AssertionError("the noise is of another question")
    used = Counter(table for block in form.blocks for table in block.all_tables)
    branches, views = [], []
    for number, (block, part, how) in enumerate(zip(form.blocks, privacy.parts, noise.parts, strict=True), 1):
        rows = Rows(describer, leaves, block)
        where = _conditions(rows, block, used)
        made = _joined(rows, block, sizes)
        branch, view = noised_branch(number, part, how, rows, block, made, (*made.where, *where))
        branches.append(branch)
        views.append(view)
    return Compiled(tuple(branches), tuple(views))


def _locally(
    question: Question,
    minima: Mapping[str, int],
    rows: Rows,
    form: Form,
    block: Block,
    sizes: Sizes | None,
) -> tuple[Branch, View]:
    """A SELECT that the owner of its table groups by itself.

    Raises:
        NotLocalError: it cannot.
    """
    table = block.tables[0]
    rows.leaves.tables[table].steady = True
    _conditions(rows, block, Counter([table]))
    count = MOST_ROWS if sizes is None else sizes.rows[table]
    made = Joined(table, (), (), count, unique=True, same={})
    groups = LocalGroups(rows, block, made, surely=any(c.table == table for c in question.constraints))
    released = _released(groups, question, minima, form)
    rows.leaves.tables[table].group = groups.written
    branch = Branch(
        start=table,
        lookups=(),
        where=(),
        groups=tuple(groups.keys.items()),
        aggregates=tuple(groups.aggregates),
        most_groups=count,
        ready=True,
        one_group=not block.groups,
        **released.arguments,
    )
    return branch, released.view


@dataclass(frozen=True, slots=True)
class _Released:
    """What of a branch stands behind its groups."""

    arguments: dict[str, Any]
    view: View


def _released(groups: Groups, question: Question, minima: Mapping[str, int], form: Form) -> _Released:
    block = groups.block
    united = isinstance(form.tree, Combined)
    cut = not united and (form.limit is not None or form.offset > 0)
    order = () if united else form.order
    opened, keys, view = outputs(groups, block.items, block.having, order, cut=cut)
    having = tuple(groups.condition(value.node) for value in block.having)
    thresholds: dict[str, int] = {}
    for c in question.constraints:
        if c.table in block.all_tables:
            unit = groups.units(column_node(FormRef(c.table, c.column)))
            thresholds[unit.name] = max(thresholds.get(unit.name, 0), minima.get(c.alias, c.minimum))
    arguments = {
        "thresholds": tuple(sorted(thresholds.items())),
        "having": having,
        "opened": tuple(opened),
        "order": keys,
        "offset": form.offset if cut else 0,
        "limit": form.limit if cut else None,
    }
    return _Released(arguments, view)


def _conditions(rows: Rows, block: Block, used: Counter[str]) -> list[Expr]:
    """WHERE: what an owner can decide alone it does; the rest is decided on shares."""
    lefts = {left.table for left in block.lefts}
    own: dict[str, list[Value]] = {}
    shared: list[Expr] = []
    for condition in block.where:
        tables = tables_of(condition.node)
        if len(tables) == 1 and tables[0] not in lefts:
            own.setdefault(tables[0], []).append(condition)
        else:
            shared.append(rows.condition(condition.node))
    for table, conditions in sorted(own.items()):
        if used[table] == 1:
            rows.leaves.tables[table].where = tuple(total(value.node) for value in conditions)
        else:
            # Another SELECT reads the table's other rows.
            shared += [rows.condition(value.node) for value in conditions]
    return [condition for condition in shared if condition != numbers.TRUE]


def _most_groups(groups: Groups, rows: int) -> int:
    if not groups.block.groups:
        return 1
    most = 1
    for value in groups.keys.values():
        most *= value.type.high - value.type.low + 1 + int(value.type.nullable)
        if most >= rows:
            return rows
    return most
