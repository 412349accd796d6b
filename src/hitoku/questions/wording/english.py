# SPDX-License-Identifier: Apache-2.0
"""The sentences of refusals in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hitoku.questions.wording.custom_english import CUSTOM_ENGLISH

__all__ = ["ENGLISH"]

ENGLISH: Final[Mapping[str, tuple[str, str]]] = {
    "UNKNOWN": (
        "The question is refused ({code}).",
        "Ask the owner of the table what the code means.",
    ),
    "EMPTY": (
        "There is no statement.",
        "Write one SELECT.",
    ),
    "TEXT_TOO_LONG": (
        "The question is longer than {limit} characters.",
        "Shorten it.",
    ),
    "TOO_MANY_PARTS": (
        "The question has more than {limit} parts.",
        "Shorten it, or ask several questions.",
    ),
    "TOO_DEEP": (
        "The question is nested too deeply (at most {limit} levels).",
        "Use fewer brackets; write IN (...) for long chains of OR.",
    ),
    "BAD_CHARACTER": (
        "The question holds a control character or half of a surrogate pair.",
        "Remove the marked character.",
    ),
    "SYNTAX": (
        "The question is not valid SQL (DuckDB's dialect).",
        "Correct the statement at the marked place.",
    ),
    "SEVERAL_STATEMENTS": (
        "There is more than one statement.",
        "Ask one question at a time, without a semicolon inside.",
    ),
    "NOT_A_QUESTION": (
        "Only a SELECT, or a set operation of several, is a question.",
        "Write a SELECT that names the tables of the room.",
    ),
    "CLAUSE_NOT_ALLOWED": (
        "{what} is not allowed here.",
        "Leave {what} out.",
    ),
    "NOT_AN_ASKER": (
        "{asker} may not ask questions in this room.",
        (
            "Ask as a member that has the ability `query`, or have the members agree on a version "
            "that gives it."
        ),
    ),
    "NO_TABLE": (
        "The question names no table.",
        "Add FROM with a table of the room.",
    ),
    "UNKNOWN_TABLE": (
        "There is no table {table} in this room.",
        "Use a table of the room; `hitoku room show` and the console list them.",
    ),
    "NO_RULE": (
        "{owner} has set no rule on {table}, so nothing can be asked of it.",
        "Ask {owner} to agree on a rule for {table}.",
    ),
    "TABLE_FUNCTION": (
        "{what} is not a table of the room.",
        "Name tables of the room in FROM; files, functions and lists of values cannot be read.",
    ),
    "DUPLICATE_NAME": (
        "The name {name} stands for two things.",
        "Give one of them another alias.",
    ),
    "UNKNOWN_NAME": (
        "No table or alias {name} is in FROM.",
        "Use the table's name, or its alias where it has one.",
    ),
    "UNKNOWN_COLUMN": (
        "There is no column {column} in the tables of this SELECT.",
        "Use a column that the room has; `hitoku room show` and the console list them.",
    ),
    "AMBIGUOUS_COLUMN": (
        "The column {column} is in several of the tables.",
        "Write the table before it: table.{column}.",
    ),
    "WHOLE_ROW": (
        "{name} names a table where a column is expected; it would show whole rows.",
        "Name the columns.",
    ),
    "STAR": (
        "All columns at once (*) cannot be asked for.",
        "Name the columns; COUNT(*) is written without a table.",
    ),
    "CTE_ORDER": (
        "The common table expression {name} is used before it is complete.",
        "Use only those that stand before; recursion is not allowed.",
    ),
    "CTE_UNUSED": (
        "The common table expression {name} is not used.",
        "Leave {name} out.",
    ),
    "TOO_MANY_TABLES": (
        "The question joins more than {limit} tables.",
        "Ask several questions.",
    ),
    "RULE_KINDS_DIFFER": (
        "{tables} and {others} have rules of different kinds; one question cannot ask both.",
        "Ask about tables with the same kind of rule.",
    ),
    "NESTED_CLAUSE": (
        "{what} is not allowed inside a subquery, common table expression or branch of a set operation.",
        "Write it at the end of the whole question.",
    ),
    "SUBQUERY": (
        "A subquery cannot stand inside an expression.",
        "Join its table in FROM instead.",
    ),
    "SET_OPERATION": (
        "{what} is not allowed.",
        "Use UNION, UNION ALL, INTERSECT or EXCEPT of aggregated questions; ask for lists one by one.",
    ),
    "SET_OPERATION_NESTED": (
        "A set operation cannot stand inside a subquery or common table expression.",
        "Write the set operation at the top of the question.",
    ),
    "UNION_DIFFERS": (
        "The branches of a set operation differ in number or types of columns.",
        "Give every branch the same columns.",
    ),
    "CROSS_JOIN": (
        "{table} is joined without a condition that connects it.",
        "Write JOIN ... ON with an equality of join columns.",
    ),
    "JOIN_KIND": (
        "{kind} JOIN is not allowed.",
        "Use INNER JOIN or LEFT JOIN.",
    ),
    "JOIN_CONDITION": (
        "A join condition is an equality of two join columns of two tables, and nothing else.",
        "Write ON a.column = b.column; move other conditions to WHERE.",
    ),
    "JOIN_COLUMN": (
        "{owner} does not allow joins on {table}.{column}.",
        "Join on a column that {owner} lists in joinColumns, or ask {owner} to list {column}.",
    ),
    "JOIN_OPERATOR": (
        "{owner} does not allow {operator} in join conditions of {table}.",
        "Join on one equality, or ask {owner} to list {operator} in allowedJoinOperators.",
    ),
    "JOIN_PROTECTIONS_DIFFER": (
        "{left} and {right} are protected differently; they are never equal.",
        "Join fingerprint with fingerprint, or cleartext with cleartext.",
    ),
    "JOIN_TYPES_DIFFER": (
        "{left} and {right} hold different types of values; they are never equal.",
        "Join columns of the same type.",
    ),
    "JOIN_NAMES_DIFFER": (
        (
            "{left} and {right} have different names, and in this room fingerprints match only "
            "between columns of one name."
        ),
        (
            "Join columns of the same name, or agree on allow_joins_on_columns_with_different_names "
            "and encrypt again."
        ),
    ),
    "SELF_JOIN": (
        "The table {table} stands twice in one SELECT.",
        "Use it once; compare groups with two questions.",
    ),
    "OUTER_THEN_INNER": (
        "A join uses a column of a table that a LEFT JOIN may leave empty.",
        "Join that table with INNER JOIN, or join on columns of the first tables.",
    ),
    "LEFT_JOIN_SOURCE": (
        "The right side of a LEFT JOIN must be one table as it stands.",
        "Use INNER JOIN, or name the table itself and move filters to WHERE.",
    ),
    "JOIN_REQUIRED": (
        "{owner} requires that {table} is inner-joined with a table of {asker}, the asker.",
        "Add an INNER JOIN that connects {table} with a table of yours, or ask {owner} to lift joinRequired.",
    ),
    "NO_AGGREGATE": (
        "The rules of these tables allow statistics only; the question computes none.",
        "Add COUNT, SUM or AVG of a column that aggregateColumns lists.",
    ),
    "AGGREGATE": (
        "{owner} does not allow {function} of {table}.{column}.",
        (
            "Use a function and column that {owner} lists in aggregateColumns, or ask {owner} to list "
            "this one."
        ),
    ),
    "AGGREGATE_KIND": (
        "{what} can return the value of a single row, or is not known.",
        "Use COUNT, COUNT(DISTINCT), SUM, SUM(DISTINCT) or AVG.",
    ),
    "AGGREGATE_ARGUMENT": (
        "{what} takes one column and nothing else.",
        "Aggregate a column itself; compute with the result if need be.",
    ),
    "AGGREGATE_MODIFIED": (
        "{what} would aggregate some rows of a group only, past the threshold that is counted on all.",
        "Filter with WHERE, or group by the column.",
    ),
    "AGGREGATE_PLACE": (
        "{what} cannot stand here: an aggregate belongs in SELECT, HAVING or ORDER BY.",
        "Group by dimensions only; filter aggregates with HAVING.",
    ),
    "AGGREGATE_TWICE": (
        "{what} would aggregate what is already aggregated; thresholds count people, not groups.",
        "Aggregate once, over the tables themselves.",
    ),
    "AGGREGATES_JOINED": (
        "An aggregated result cannot be joined.",
        "Join the tables first and aggregate once, or ask two questions.",
    ),
    "COUNT_ROWS": (
        "No rule allows a COUNT that equals the number of rows.",
        (
            "Count a column that aggregateColumns lists; rows are counted where a COUNT is allowed of "
            "a column that is never NULL here (joined on, or declared not nullable)."
        ),
    ),
    "NULLS_COUNTED": (
        "A NULL in {table}.{column} looks like a value once encrypted, so the count would be too high.",
        (
            "Inner-join on {column}, or ask {owner} to declare it nullable: false if it has no NULL, "
            "or agree on preserve_nulls."
        ),
    ),
    "UNIT_NULLS_COUNTED": (
        (
            "The threshold counts {table}.{column}, where a NULL looks like a person once encrypted; "
            "it could pass on rows of nobody."
        ),
        (
            "Inner-join on {column}, or ask {owner} to declare it nullable: false if it has no NULL, "
            "or agree on preserve_nulls."
        ),
    ),
    "SUM_OVERFLOW": (
        "A SUM of {table}.{column} can exceed 38 digits, and the failure would tell that it did.",
        "Ask {owner} to declare a precision of at most 27 digits.",
    ),
    "DIMENSION": (
        "{owner} does not allow {table}.{column} to be shown, grouped by or filtered by.",
        "Use a column that {owner} lists in dimensionColumns, or ask {owner} to list {column}.",
    ),
    "NOT_GROUPED": (
        "The column {column} is neither grouped nor aggregated.",
        "Add it to GROUP BY, or aggregate it.",
    ),
    "GROUP_BY_CONSTANT": (
        "GROUP BY names a constant.",
        "Leave it out.",
    ),
    "POSITION": (
        "There is no output column at that position (there are {count}).",
        "Use a position from 1 to {count}, or the column's name.",
    ),
    "DISTINCT_GROUPS": (
        "DISTINCT over groups could hide how many there are.",
        "Leave DISTINCT out; groups are distinct by their dimensions.",
    ),
    "HAVING_WITHOUT_GROUPS": (
        "HAVING stands without groups or aggregates.",
        "Use WHERE.",
    ),
    "WINDOW": (
        "A window function over rows would show single rows.",
        (
            "Use it over groups: its parts are grouped dimensions and aggregates, such as "
            "SUM(COUNT(...)) OVER ()."
        ),
    ),
    "WINDOW_FUNCTION": (
        "{what} is not on the list of window functions.",
        (
            "Use ROW_NUMBER, RANK, DENSE_RANK, PERCENT_RANK, CUME_DIST, NTILE, LAG, LEAD, SUM, AVG, MIN, "
            "MAX or COUNT."
        ),
    ),
    "WINDOW_PLACE": (
        "{what} cannot stand here: a window function belongs in SELECT or ORDER BY, and not in another.",
        "Filter groups with HAVING, or ORDER BY and LIMIT the whole question.",
    ),
    "WINDOW_FRAME": (
        "This frame of a window is not allowed.",
        (
            "Leave it out, or write ORDER BY ... ROWS BETWEEN with UNBOUNDED, CURRENT ROW or whole numbers "
            "up to 1000."
        ),
    ),
    "WINDOW_FILTERED": (
        "A WHERE over a result with window functions would filter after they were computed.",
        "Filter groups with HAVING inside, or ORDER BY and LIMIT the whole question.",
    ),
    "FORMAT": (
        "{what} takes a literal format of a short list.",
        "Use one of {formats}.",
    ),
    "FUNCTION_OTHERWISE": (
        "{what} is written differently for, or means something else in, every engine.",
        "Write {instead}.",
    ),
    "NO_THRESHOLD": (
        "No table of the question has a threshold.",
        "Ask the owners to set outputConstraints.",
    ),
    "ENCRYPTED_COLUMN": (
        (
            "{table}.{column} is a {protection} column: encrypted, its content cannot be shown, "
            "filtered, grouped by or computed with."
        ),
        (
            "A fingerprint can be joined on and counted, a sealed column counted or listed where a "
            "rule allows; ask its owner for a second target column of the same source for anything "
            "else."
        ),
    ),
    "SCALAR_FUNCTION": (
        "{owner} does not allow {function} on columns of {table}.",
        "Leave it out, or ask {owner} to list {function} in scalarFunctions.",
    ),
    "FUNCTION_NOT_ALLOWED": (
        "{what} is not on the list of functions.",
        "Use COUNT, SUM, AVG or a function that scalarFunctions lists.",
    ),
    "EXPRESSION_NOT_ALLOWED": (
        "{what} is not on the list of expressions.",
        "Use columns, literals, comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, CASE and + - * / %.",
    ),
    "NOT_REPEATABLE": (
        "{what} changes from run to run; the same question must mean the same.",
        "Write the date as a literal.",
    ),
    "NOT_A_CONDITION": (
        "A condition is expected, this is a {family}.",
        "Compare it with something.",
    ),
    "NOT_A_NUMBER": (
        "Arithmetic needs numbers, this is a {family}.",
        "Use a number column.",
    ),
    "TYPES_DIFFER": (
        "A {left} is compared with a {right}.",
        "Compare values of one type.",
    ),
    "ARGUMENT_TYPE": (
        "{what} does not take a {family}.",
        "Give it a column of a type it takes.",
    ),
    "ARGUMENT_LITERAL": (
        "{what} takes a small whole number or a known part here.",
        "Write it as a literal.",
    ),
    "CAST_TYPE": (
        "A cast to this type is not allowed.",
        (
            "Write CAST(column AS type) with BOOLEAN, SMALLINT, INT, BIGINT, DECIMAL, FLOAT, DOUBLE, DATE, "
            "TIMESTAMP or VARCHAR."
        ),
    ),
    "LIKE_FORM": (
        "LIKE takes a string column and a string literal.",
        "Write column LIKE 'pattern'.",
    ),
    "LITERAL": (
        "The number has too many digits or is out of range.",
        "Use at most 38 digits.",
    ),
    "NOT_A_DATE": (
        "The text is not a {family}.",
        "Write a date as 'YYYY-MM-DD', a timestamp as 'YYYY-MM-DD HH:MM:SS' without a zone.",
    ),
    "OUTPUT_NAME": (
        "Output column {place} has no usable name.",
        "Give it an alias of 1 to 128 printable characters that does not begin with _hitoku.",
    ),
    "DUPLICATE_OUTPUT": (
        "Two output columns are called {name}.",
        "Give one of them another alias.",
    ),
    "ORDER_BY_OUTPUT": (
        "ORDER BY here takes output columns by name or position only.",
        "Name an output column.",
    ),
    "LIMIT_FORM": (
        "LIMIT and OFFSET take a whole number up to {limit}.",
        "Write the number.",
    ),
    "LIST_AGGREGATE": (
        "The tables' rules list matched rows; {what} is not allowed.",
        "SELECT DISTINCT the listed columns and count them after the release.",
    ),
    "LIST_COLUMN": (
        "{owner} does not allow {table}.{column} to be listed or filtered by.",
        "Use a column that {owner} lists in listColumns, or ask {owner} to list {column}.",
    ),
    "LIST_FINGERPRINT": (
        "{table}.{column} is a fingerprint: whoever holds the room's secret could try values against it.",
        "List a sealed column made from the same source.",
    ),
    "LIST_NEEDS_DISTINCT": (
        "A list shows each row once.",
        "Write SELECT DISTINCT.",
    ),
    "LIST_NEEDS_JOIN": (
        "{owner} lists rows of {table} only where they match a table of {asker}, the asker.",
        "Add an INNER JOIN with a table of yours.",
    ),
    "LIST_OUTER_JOIN": (
        "{owner} lists rows of {table} only where they match; a LEFT JOIN shows which do not.",
        "Use INNER JOIN.",
    ),
    **CUSTOM_ENGLISH,
    "NO_BUDGET": (
        "{owner} has no account for the unit {unit}.",
        "Ask {owner} to agree on a budget for {unit}.",
    ),
    "BUDGET_SPENT": (
        (
            "The question costs more than {owner}'s account for {unit} has left: epsilon {cost} alone, and "
            "{spent} of {epsilon} are spent."
        ),
        (
            "Ask with more noise, which costs less; repeat an answered question, which costs nothing; or ask "
            "{owner} to agree on more."
        ),
    ),
    "ACCESS_BUDGET_SPENT": (
        "All questions that {owner} allows of {table} are asked: {limit} in the window {window}.",
        "Ask again in the next window, or ask {owner} for a larger access budget.",
    ),
    "QUOTA_HOUR": (
        "{asker} began {count} runs at {owner} within an hour, which is its quota.",
        "Ask again in {minutes} min, or ask {owner} for a larger quota.",
    ),
    "QUOTA_RUNS": (
        "{count} runs of {asker} are under way at {owner}, which is its quota.",
        "Wait until one has ended, or ask {owner} for a larger quota.",
    ),
    "VERSION": (
        "{owner} runs hitoku {version}, which does not know messages of the kind {kind}.",
        "Bring {owner} and {asker} to the same version of hitoku.",
    ),
    "OVERLAPS_LOST": (
        "What was asked of {table} before {owner} restored a backup is no longer known.",
        "Ask {owner} to contribute the table under another name.",
    ),
}
"""By code: what is refused, and what to change."""
