# SPDX-License-Identifier: Apache-2.0
"""Which columns of which tables a question needs: what its owners seal, and what the worker takes.

Both read it from the SQL that will run, so that they come to the same, and a column that is not in that text
never leaves its owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from hitoku.questions.run import execution_sql, survey_sql

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.questions.question import Question
    from hitoku.room.agreement import Column

__all__ = ["needed", "tables_in"]


def needed(question: Question, plan: DisclosurePlan) -> dict[str, tuple[Column, ...]]:
    """By table, the columns that the question's SQL reads, in the order of the agreement.

    A table of which only the rows are counted has its first column here: something has to be counted.
    """
    named: set[tuple[str, str]] = set()
    for sql in (execution_sql(question, plan), survey_sql(question, plan)):
        if sql is not None:
            named |= {
                (node.table, node.name) for node in parse_one(sql, dialect="duckdb").find_all(exp.Column)
            }
    found: dict[str, tuple[Column, ...]] = {}
    for table in question.sources:
        read = tuple(c for c in table.columns if (table.name, c.name) in named)
        found[table.name] = read or table.columns[:1]
    return found


def tables_in(sql: str) -> frozenset[str]:
    """The names of the tables that a question in normal form reads; none where it cannot be parsed."""
    try:
        return frozenset(node.name for node in parse_one(sql, dialect="duckdb").find_all(exp.Table))
    except (SqlglotError, RecursionError):
        return frozenset()
