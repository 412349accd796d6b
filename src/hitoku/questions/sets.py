# SPDX-License-Identifier: Apache-2.0
"""UNION [ALL], INTERSECT and EXCEPT of questions that are each allowed by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from sqlglot import exp

from hitoku.questions.form import Block, Combined, Family, Tree
from hitoku.questions.nodes import only
from hitoku.questions.refusals import refuse

__all__ = ["alike", "branches", "renamed"]

Kind = Literal["UNION ALL", "UNION", "INTERSECT", "EXCEPT"]


def branches(tree: exp.Query) -> tuple[list[exp.Select], Tree]:
    """The SELECTs of a query in order, and how set operations combine them.

    Raises:
        Refusal: a set operation or a clause of a branch that is not allowed.
    """
    found: list[exp.Select] = []
    return found, _read(tree, tree, found)


def _read(node: exp.Expr, root: exp.Expr, found: list[exp.Select]) -> Tree:
    while isinstance(node, exp.Subquery):
        only(node, "this", clause="UNION")
        node = node.this
        _bare(node)
    if isinstance(node, exp.Select):
        if node is not root:
            _bare(node)
        found.append(node)
        return len(found) - 1
    if not isinstance(node, exp.SetOperation):
        raise refuse("NOT_A_QUESTION", clause="SQL", node=node)
    # A chain is as long as the asker likes and leans to the left: down it without recursion.
    chain: list[exp.SetOperation] = []
    while isinstance(node, exp.SetOperation):
        allowed = ("order", "limit", "offset", "with_") if node is root else ()
        only(node, "this", "expression", "distinct", *allowed, clause="UNION")
        chain.append(node)
        node = node.this
    made = _read(node, root, found)
    for operation in reversed(chain):
        made = _combined(_kind(operation), made, _read(operation.expression, root, found))
    return made


def _kind(node: exp.SetOperation) -> Kind:
    distinct = bool(node.args.get("distinct"))
    if isinstance(node, exp.Union):
        return "UNION" if distinct else "UNION ALL"
    if distinct:
        return "INTERSECT" if isinstance(node, exp.Intersect) else "EXCEPT"
    # How often equal rows occur in a branch is no property of released groups worth a rule of its own.
    what = f"{type(node).__name__.upper()} ALL"
    raise refuse("SET_OPERATION", clause="UNION", node=node, what=what)


def _combined(kind: Kind, left: Tree, right: Tree) -> Combined:
    """A chain of one kind is one operation. EXCEPT is so from the left only."""
    parts: list[Tree] = []
    for side, part in (("left", left), ("right", right)):
        flat = isinstance(part, Combined) and part.kind == kind and (kind != "EXCEPT" or side == "left")
        parts.extend(part.parts if flat and isinstance(part, Combined) else [part])
    return Combined(kind, tuple(parts))


def _bare(query: exp.Expr) -> None:
    for part in ("order", "limit", "offset", "with_"):
        clause = query.args.get(part)
        if clause is not None:
            raise refuse("NESTED_CLAUSE", clause="UNION", node=clause, what=part.strip("_").upper())


def alike(blocks: tuple[Block, ...], tree: exp.Query) -> None:
    """Branches have the same number of outputs, of the same types, and one kind of rule.

    Raises:
        Refusal: they differ, or are lists.
    """
    first = blocks[0]
    for block in blocks[1:]:
        families = zip(
            (i.value.family for i in first.items), (i.value.family for i in block.items), strict=False
        )
        same = all(a is b or Family.NULL in {a, b} for a, b in families)
        if len(block.items) != len(first.items) or block.listing != first.listing or not same:
            raise refuse("UNION_DIFFERS", clause="UNION", node=tree)
        if block.listing:
            raise refuse("SET_OPERATION", clause="UNION", node=tree, what="A set operation of lists")


def renamed(block: Block, first: Block) -> Block:
    """The first branch gives the columns their names."""
    pairs = zip(block.items, first.items, strict=True)
    return replace(block, items=tuple(replace(item, name=named.name) for item, named in pairs))
