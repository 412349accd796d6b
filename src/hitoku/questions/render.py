# SPDX-License-Identifier: Apache-2.0

"""From normal form to SQL: the text that names the question. The text that runs is in `running`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from hitoku.questions.form import Block, Combined, Form, Order, Tree, Value
from hitoku.questions.names import quoted

__all__ = ["Writer", "all_of", "normal_text", "ordered", "rows_text", "select_text", "sql_of"]

Writer = Callable[[exp.Expr], str]


def sql_of(node: exp.Expr) -> str:
    """A node as DuckDB writes it."""
    return node.sql(dialect="duckdb")


def normal_text(form: Form) -> str:
    """The question's normal form: one SELECT, or a set operation of several, in DuckDB's dialect."""
    text = _united(form, form.tree)
    if form.order:
        text += " ORDER BY " + ", ".join(ordered(sql_of(key.value.node), key) for key in form.order)
    if form.limit is not None:
        text += f" LIMIT {form.limit}"
    return text + (f" OFFSET {form.offset}" if form.offset else "")


def _united(form: Form, tree: Tree) -> str:
    if not isinstance(tree, Combined):
        return select_text(form.blocks[tree], sql_of)
    parts = [_united(form, part) for part in tree.parts]
    inner = [
        f"({text})" if isinstance(part, Combined) else text
        for part, text in zip(tree.parts, parts, strict=True)
    ]
    return f" {tree.kind} ".join(inner)


def select_text(block: Block, write: Writer) -> str:
    """One SELECT."""
    items = ", ".join(f"{write(item.value.node)} AS {quoted(item.name)}" for item in block.items)
    text = f"SELECT {'DISTINCT ' if block.listing else ''}{items} {rows_text(block, write)}"
    if block.groups:
        text += " GROUP BY " + ", ".join(write(group.node) for group in block.groups)
    if block.having:
        text += " HAVING " + all_of(block.having, write)
    return text


def rows_text(block: Block, write: Writer, name: Callable[[str], str] = quoted) -> str:
    """FROM, the joins and WHERE; `name` writes a table's name in the dialect of `write`."""
    text = f"FROM {name(block.tables[0])}"
    waiting = list(block.on)
    placed = {block.tables[0]}
    for table in block.tables[1:]:
        placed.add(table)
        ready = [c for c in waiting if {use.ref.table for use in c.uses} <= placed]
        waiting = [c for c in waiting if c not in ready]
        text += f" JOIN {name(table)} ON {all_of(ready, write)}"
    for left in block.lefts:
        text += f" LEFT JOIN {name(left.table)} ON {all_of(left.on, write)}"
    if block.where:
        text += " WHERE " + all_of(block.where, write)
    return text


def all_of(values: Sequence[Value], write: Writer) -> str:
    """Conditions that must all hold."""
    return " AND ".join(
        f"({write(value.node)})" if isinstance(value.node, exp.Or) else write(value.node) for value in values
    )


def ordered(text: str, key: Order) -> str:
    """A key of ORDER BY; where NULLs go is always written."""
    return f"{text}{' DESC' if key.descending else ''} NULLS {'FIRST' if key.nulls_first else 'LAST'}"
