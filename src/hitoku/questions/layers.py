# SPDX-License-Identifier: Apache-2.0
"""The layers of an aggregated block: what is computed per group, across groups, and from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from hitoku.questions.form import Value

__all__ = ["Layers", "grouped"]


def grouped(node: exp.Expr, groups: Sequence[Value]) -> exp.Column | None:
    """The first column in a node that is neither grouped nor aggregated; None where all are."""
    keys = {group.text for group in groups}
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, exp.AggFunc) or (_readable(top) and top.sql(dialect="duckdb") in keys):
            continue
        if isinstance(top, exp.Column):
            return top
        stack.extend(top.iter_expressions())
    return None


def _readable(node: exp.Expr) -> bool:
    return not isinstance(node, (exp.Identifier, exp.Var, exp.DataType, exp.DataTypeParam, exp.Literal))


@dataclass(slots=True)
class Layers:
    """Splits expressions: groups become columns ``g1..``, aggregates ``a1..``, window functions ``w1..``."""

    groups: Sequence[Value]
    aggregates: dict[str, exp.Expr] = field(default_factory=dict)
    windows: dict[str, exp.Window] = field(default_factory=dict)

    def upper(self, node: exp.Expr) -> exp.Expr:
        """The expression over the layers' columns; notes the aggregates and window functions it needs."""
        keys = {group.text: f"g{n}" for n, group in enumerate(self.groups, 1)}

        def replaced(part: exp.Expr) -> exp.Expr:
            if isinstance(part, exp.AggFunc):
                text = part.sql(dialect="duckdb")
                self.aggregates.setdefault(text, part)
                return _column(f"a{list(self.aggregates).index(text) + 1}")
            if _readable(part):
                name = keys.get(part.sql(dialect="duckdb"))
                if name is not None:
                    return _column(name)
            return part

        def windowed(part: exp.Expr) -> exp.Expr:
            if isinstance(part, exp.Window):
                text = part.sql(dialect="duckdb")
                self.windows.setdefault(text, part)
                return _column(f"w{list(self.windows).index(text) + 1}")
            return part

        return node.copy().transform(replaced, copy=False).transform(windowed, copy=False)


def _column(name: str) -> exp.Column:
    return exp.Column(this=exp.Identifier(this=name, quoted=True))
