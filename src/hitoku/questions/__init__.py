# SPDX-License-Identifier: Apache-2.0
"""Questions: SQL in, a checked normal form or a Refusal out."""

from __future__ import annotations

from hitoku.questions.check import check
from hitoku.questions.explain import Explanation, Verdict, explain
from hitoku.questions.question import OutputColumn, OutputKind, Question, UnitConstraint
from hitoku.questions.run import execution_sql
from hitoku.questions.text import parse

__all__ = [
    "Explanation",
    "OutputColumn",
    "OutputKind",
    "Question",
    "UnitConstraint",
    "Verdict",
    "check",
    "execution_sql",
    "explain",
    "parse",
]
