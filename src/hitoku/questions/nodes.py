# SPDX-License-Identifier: Apache-2.0
"""Default deny, at the level of a node's parts: what the parser filled in and nobody checked is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sqlglot import exp

from hitoku.questions.refusals import refuse

__all__ = ["call", "describe", "filled", "only", "operands"]

_CAMEL: Final = re.compile(r"(?<!^)(?=[A-Z])")


def describe(node: exp.Expr) -> str:
    """What a node is called in a refusal: the function's or the construct's name, never its content."""
    if isinstance(node, exp.Anonymous):
        return f"{fold_call(node.name)}()"
    if isinstance(node, exp.Func):
        return f"{node.sql_name().upper()}()"
    return _CAMEL.sub(" ", type(node).__name__).upper()


def fold_call(name: str) -> str:
    """A function's name as written, cut and cleaned so that it can be quoted in a sentence."""
    return re.sub(r"[^A-Za-z0-9_.]", "?", name)[:60].upper()


def filled(node: exp.Expr) -> Iterator[str]:
    """The names of a node's parts that hold something."""
    for key, value in node.args.items():
        if value is None or value is False or value == []:
            continue
        yield key


def only(node: exp.Expr, *allowed: str, clause: str) -> None:
    """Refuse a node that has any part but the allowed ones.

    Raises:
        Refusal: some other part is filled.
    """
    for key in filled(node):
        if key not in allowed:
            part = node.args[key]
            where = part[0] if isinstance(part, list) and part else part
            raise refuse(
                "CLAUSE_NOT_ALLOWED",
                clause=clause,
                node=where if isinstance(where, exp.Expr) and where is not node else node,
                what=key.replace("_", " ").strip().upper(),
            )


def operands(node: exp.Expr, kind: type[exp.Connector]) -> Iterator[exp.Expr]:
    """The operands of a chain of AND (or OR), in order, brackets opened; without recursion."""
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, exp.Paren) and isinstance(top.this, (kind, exp.Paren)):
            stack.append(top.this)
        elif isinstance(top, kind):
            stack.extend((top.expression, top.this))
        else:
            yield top


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A function call that is rendered exactly as named."""
    return exp.Anonymous(this=name, expressions=list(arguments))
