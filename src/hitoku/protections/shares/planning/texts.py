# SPDX-License-Identifier: Apache-2.0
"""How many different values an expression can have, and how long its texts can be: whatever the rows are.

A manifest says how many texts a dictionary has and how long they are. If that were counted in the values of
an expression that the asker wrote, it would tell of single rows: ``CASE WHEN ... THEN 'a long text' END``
has a long text only if some row is so. So it is counted in the columns that the expression takes its values
from, each as a whole, and in the constants that stand in it. Conditions do not count.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from sqlglot import exp

from hitoku import limits
from hitoku.protections.shares.planning.cannot import Cannot
from hitoku.protections.shares.wanted import Most
from hitoku.questions.render import sql_of

__all__ = ["different", "most_of"]

_NUMBER_BYTES: Final = 64
"""No number, date or boolean is a longer text."""
_CASE: Final = 3
"""Times so long a text can become in upper or lower case."""
_CHARACTER: Final = 4
"""Bytes of a character in UTF-8."""
_SHORTENED: Final = frozenset({"TRIM", "RTRIM"})
_CASES: Final = frozenset({"UPPER", "LOWER"})


@dataclass(slots=True)
class _Values:
    """Where the values of an expression come from.

    Attributes:
        constants: how many are written down.
        columns: from which columns others follow: all that each is made of.
        longest: bytes of a text that does not come from a column.
        factors: by the column that a text comes from, times so long it can be.
    """

    constants: int = 0
    columns: set[frozenset[str]] = field(default_factory=set)
    longest: int = 0
    factors: dict[str, int] = field(default_factory=dict)

    def add(self, other: _Values, factor: int = 1) -> None:
        """Either this or that."""
        self.constants += other.constants
        self.columns |= other.columns
        self.longest = max(self.longest, factor * other.longest)
        for column, times in other.factors.items():
            self.factors[column] = max(self.factors.get(column, 0), factor * times)


def most_of(node: exp.Expr) -> Most:
    """How many values an expression of one table has at most, and how long they are as texts.

    Returns:
        SQL aggregates over the table, for its owner.

    Raises:
        Cannot: a text that is written in it is too long.
    """
    found = _values(node)
    if found.longest > limits.MAX_SHARES_TEXT_BYTES:
        raise Cannot(
            f"the question makes texts of more than {limits.MAX_SHARES_TEXT_BYTES} bytes",
            "use shorter texts, or numbers",
        )
    entries = [str(found.constants), *sorted(different(columns) for columns in found.columns)]
    lengths = [str(found.longest)]
    for column, times in sorted(found.factors.items()):
        lengths.append(f"{times} * COALESCE(MAX(STRLEN(CAST({column} AS VARCHAR))), 0)")
    return Most(" + ".join(entries), f"GREATEST({', '.join(lengths)})" if found.factors else lengths[0])


def different(columns: Collection[str]) -> str:
    """How many different rows a table has in these columns: an aggregate."""
    return f"COUNT(DISTINCT ROW({', '.join(sorted(columns))}))" if columns else "1"


def _values(node: exp.Expr) -> _Values:
    node = node.unnest()
    name = str(node.this).upper() if isinstance(node, exp.Anonymous) else ""
    made = _Values()
    if isinstance(node, exp.Null):
        return made
    if isinstance(node, exp.Literal):
        return _Values(1, longest=len(node.name.encode()) if node.is_string else _NUMBER_BYTES)
    if isinstance(node, exp.Column):
        return _Values(columns={frozenset({sql_of(node)})}, factors={sql_of(node): 1})
    if isinstance(node, exp.Case):
        results = [branch.args["true"] for branch in node.args["ifs"]]
        for part in (*results, node.args.get("default")):
            if part is not None:
                made.add(_values(part))
        return made
    if name == "COALESCE":
        for part in node.expressions:
            made.add(_values(part))
        return made
    if name in _SHORTENED or name in _CASES:
        made.add(_values(node.expressions[0]), _CASE if name in _CASES else 1)
        return made
    if isinstance(node, exp.TryCast) and node.to.is_type("text"):
        return _values(node.this)
    if name == "SUBSTRING":
        made = _values(node.expressions[0])
        length = node.expressions[2] if len(node.expressions) > 2 else None
        if isinstance(length, exp.Literal) and length.name.isdigit():
            most = min(_CHARACTER * int(length.name), limits.MAX_SHARES_TEXT_BYTES)
            return _Values(made.constants, made.columns, most)
        return made
    # Of anything else it is only known which columns it is made of. Functions that are not listed here, and
    # make texts, may make them as long as shared ones can be.
    columns = frozenset(sql_of(column) for column in node.find_all(exp.Column))
    short = not isinstance(node, exp.Anonymous) or name == "STRFTIME"
    longest = _NUMBER_BYTES if short else limits.MAX_SHARES_TEXT_BYTES
    return _Values(0 if columns else 1, {columns} if columns else set(), longest)
