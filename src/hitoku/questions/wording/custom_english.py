# SPDX-License-Identifier: Apache-2.0
"""The sentences of refusals by custom rules, templates, the derivation and overlaps, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["CUSTOM_ENGLISH"]

CUSTOM_ENGLISH: Final[Mapping[str, tuple[str, str]]] = {
    "ANALYSIS_NOT_ALLOWED": (
        "{owner} does not allow questions of {asker} on {table}.",
        "Have a member ask whom {owner} lists in allowedAnalysisProviders, or ask {owner} to list {asker}.",
    ),
    "TEMPLATE_REQUIRED": (
        "{owner} allows approved templates only on {table}.",
        "EXECUTE one of {templates}, or ask {owner} to approve another template by its hash.",
    ),
    "TEMPLATE_MISSING": (
        "{owner} allows approved templates only on {table}, and no template of this room is approved.",
        "Have the members agree on the template whose hash {owner} approved, or ask {owner} to approve one.",
    ),
    "TEMPLATE_NOT_ALLOWED": (
        "{owner} has not approved the template {template} for {table}, or has approved another text of it.",
        "EXECUTE a template that {owner} lists in allowedAnalyses, or ask {owner} to list this one's hash.",
    ),
    "TEMPLATE_INVALID": (
        "The template {template} is no question, or its parameters are not those that it declares.",
        "Have the members correct the template; it must be one SELECT that uses every declared parameter.",
    ),
    "UNKNOWN_TEMPLATE": (
        "There is no template {template} in this room.",
        "EXECUTE one of: {known}.",
    ),
    "EXECUTE_FORM": (
        "EXECUTE takes the name of a template and named values.",
        "Write EXECUTE name(parameter := value, ...).",
    ),
    "UNKNOWN_PARAMETER": (
        "The template {template} has no parameter {parameter}.",
        "Use its parameters: {known}.",
    ),
    "PARAMETER_TWICE": (
        "The parameter {parameter} is given twice.",
        "Give it once.",
    ),
    "PARAMETER_MISSING": (
        "The template {template} needs a value for {parameter}.",
        "Add {parameter} := a {kind}.",
    ),
    "PARAMETER_LITERAL": (
        "A parameter's value is one literal.",
        "Write a number, a text in single quotes, TRUE, FALSE, DATE '...' or TIMESTAMP '...'.",
    ),
    "PARAMETER_TYPE": (
        "The parameter {parameter} takes a {kind}; this literal is of another type.",
        "Write a {kind}: numbers without quotes, texts and dates in single quotes.",
    ),
    "PARAMETER_VALUE": (
        "The value of {parameter} is no {kind}, or out of its range.",
        "Write a value that a {kind} can have.",
    ),
    "ADDITIONAL_ANALYSIS_REQUIRED": (
        "{owner} allows {table} only in questions whose answer goes on into a further analysis.",
        "Ask as part of an inference or a training, or ask {owner} to set additionalAnalyses to ALLOWED.",
    ),
    "COLUMNS_ONLY": (
        "{what}: the rule of {table} lets an aggregate count, add up or average one column, no more.",
        "Aggregate a column itself, or ask {owner} to set allowedAggregateExpressionType to ANY_EXPRESSION.",
    ),
    "RULE_MODES_DIFFER": (
        "The rules of {tables} add noise, those of {others} compare exact counts with thresholds.",
        "Ask about tables that protect their answers in the same way.",
    ),
    "PRIVACY_ROWS": (
        "{owner} releases noised statistics of {table} only; this part of the question computes none.",
        "Add COUNT, SUM or AVG of a column, and GROUP BY what is to be shown beside it.",
    ),
    "THRESHOLD_ROWS": (
        "{owner} releases groups of {table} only, no rows.",
        "GROUP BY the columns that are shown, or aggregate them.",
    ),
    "OUTPUT_COLUMN_DISALLOWED": (
        "{owner} lets {table}.{column} come out inside aggregates only.",
        "Aggregate {column}, or leave it out of SELECT, GROUP BY and ORDER BY.",
    ),
    "NOT_GRANTED": (
        "The question tells of {table}.{column} ({level}) what no rule of {owner} grants.",
        "Leave {column} out of this clause; please report the question, for another check let it through.",
    ),
    "IDENTITY_COMPARED": (
        "{table}.{column} tells people apart: it is compared with no literal, or a question could name one.",
        "Leave the comparison out; count {column}, or join on it.",
    ),
    "LITERAL_COMPARISON": (
        "{owner} does not allow {table}.{column} to be compared with a literal.",
        "Compare a column that {owner} lists in allowedLiteralComparisonColumns, or ask {owner} to list it.",
    ),
    "COLUMN_COMPARISON": (
        "{owner} does not allow {table}.{column} to be joined on, grouped by or compared with a column.",
        "Use a column that {owner} lists in allowedColumnComparisonColumns, or ask {owner} to list {column}.",
    ),
    "OVERLAP_FORM": (
        "What is asked of {table}.{column} must be told from the question's text, and here it cannot be.",
        "In WHERE, write {column} = < <= > >= a literal, BETWEEN or IN, with AND; the same in all branches.",
    ),
    "OVERLAP": (
        "An earlier question of {table} overlaps with this one in part; the difference could be one person.",
        "Ask for the same values of {columns} as before, or for values that no question has touched yet.",
    ),
}
"""By code: what is refused, and what to change."""
