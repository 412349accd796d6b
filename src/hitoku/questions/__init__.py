# SPDX-License-Identifier: Apache-2.0
"""Questions: SQL in, a checked normal form or a Refusal out."""

from __future__ import annotations

from hitoku.questions.check import check
from hitoku.questions.custom import may_go_on
from hitoku.questions.derive import Level, Reveal
from hitoku.questions.explain import Explanation, Verdict, explain
from hitoku.questions.question import OutputColumn, OutputKind, Question, UnitConstraint
from hitoku.questions.run import execution_sql, survey_sql
from hitoku.questions.templates import template_hash
from hitoku.questions.text import parse

__all__ = [
    "Explanation",
    "Level",
    "OutputColumn",
    "OutputKind",
    "Question",
    "Reveal",
    "UnitConstraint",
    "Verdict",
    "check",
    "execution_sql",
    "explain",
    "may_go_on",
    "parse",
    "survey_sql",
    "template_hash",
]
