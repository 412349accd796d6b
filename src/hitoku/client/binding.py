# SPDX-License-Identifier: Apache-2.0
"""Parameters of a question, bound as literal nodes of its tree: no text is put together.

A placeholder is a node of the parsed SQL; a literal node takes its place, and the SQL is written anew from
the tree. So a value cannot become anything but one literal, whatever it contains, and a ``?`` in a text or
comment is none. The node checks what it is sent all the same.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from hitoku import limits
from hitoku.errors import InputError

__all__ = ["Parameters", "bound", "called"]

_MAX_DIGITS = 400

Parameters = Sequence[Any] | Mapping[str, Any]


def bound(sql: str, parameters: Parameters | None) -> str:
    """SQL with its parameters in place; as it is where there are none.

    Args:
        sql: one statement with ``?`` for each of a sequence, or ``:name`` for those of a mapping.
        parameters: None, bool, int, float, Decimal, str, date or naive datetime.

    Raises:
        InputError: the SQL cannot be read, has other placeholders than there are values, or a value cannot be
            written as a literal. Never quotes a value.
    """
    if not parameters:
        return sql
    if len(sql) > limits.MAX_SQL_CHARS:
        raise InputError(f"a question has at most {limits.MAX_SQL_CHARS} characters")
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    try:
        trees = parse(sql, dialect="duckdb")
    except (SqlglotError, RecursionError, ValueError):
        raise InputError("the SQL cannot be read, so that no parameter can be put into it") from None
    if len(trees) != 1 or trees[0] is None or isinstance(trees[0], exp.Command):
        raise InputError("parameters go into one question; values of a template go into `callproc`")
    tree = trees[0]
    marks = list(tree.find_all(exp.Placeholder, bfs=False))
    if any(isinstance(node, exp.Parameter) for node in tree.walk()):
        raise InputError("a placeholder is ? or :name")
    if isinstance(parameters, Mapping):
        _by_name(marks, parameters)
    else:
        _by_place(marks, parameters)
    try:
        return tree.sql(dialect="duckdb", comments=False)
    except (SqlglotError, RecursionError, ValueError):
        raise InputError("the SQL cannot be written with its parameters") from None


def called(template: str, values: Parameters) -> str:
    """The statement that asks by a template: ``EXECUTE name(parameter := value, ...)``.

    Raises:
        InputError: the name is none, the values have no names, or one cannot be written as a literal.
    """
    if not isinstance(values, Mapping):
        raise InputError("the values of a template go by name: a mapping")
    written = ", ".join(f"{_name(name)} := {_sql(value)}" for name, value in values.items())
    return f"EXECUTE {_name(template)}({written})" if written else f"EXECUTE {_name(template)}"


def _by_name(marks: list[Any], parameters: Mapping[str, Any]) -> None:
    names = {mark.name for mark in marks}
    if "" in names or "?" in names:
        raise InputError("values by name go to :name; a list of values goes to ?")
    if names != set(parameters):
        missing, extra = sorted(names - set(parameters)), sorted(map(str, set(parameters) - names))
        raise InputError(f"placeholders and values differ: without value {missing}, without place {extra}")
    for mark in marks:
        mark.replace(_literal(parameters[mark.name]))


def _by_place(marks: list[Any], parameters: Sequence[Any]) -> None:
    if isinstance(parameters, str | bytes):
        raise InputError("parameters are a list of values, or a mapping")
    if any(mark.name not in {"", "?"} for mark in marks):
        raise InputError("a list of values goes to ?; values by name go to :name")
    if len(marks) != len(parameters):
        raise InputError(f"there are {len(marks)} places and {len(parameters)} values")
    for mark, value in zip(marks, parameters, strict=True):
        mark.replace(_literal(value))


def _literal(value: Any) -> Any:
    """One literal node."""
    from sqlglot import exp

    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            raise InputError("a time with a zone is no literal: convert it to UTC and take the zone off")
        return exp.cast(exp.Literal.string(value.isoformat(" ")), exp.DataType.Type.TIMESTAMP)
    if isinstance(value, dt.date):
        return exp.cast(exp.Literal.string(value.isoformat()), exp.DataType.Type.DATE)
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise InputError("a text has characters that no SQL has")
        return exp.Literal.string(value)
    item = getattr(value, "item", None)  # a number of numpy's is a Python number
    if callable(item) and getattr(value, "shape", None) == ():
        return _literal(item())
    raise InputError(f"a {type(value).__name__} cannot be written as a literal")


def _number(value: float | Decimal) -> Any:
    from sqlglot import exp

    if isinstance(value, Decimal):
        fits = value.is_finite() and abs(value.adjusted()) < _MAX_DIGITS
    else:
        fits = abs(value) < 2**127 if isinstance(value, int) else math.isfinite(value)
    if not fits:
        raise InputError("a number is finite, and within what SQL has")
    if isinstance(value, Decimal):
        text = format(value, "f")
    else:  # subclasses, such as numpy's, write themselves in other ways
        text = repr(abs(int(value) if isinstance(value, int) else float(value)))
    literal = exp.Literal.number(text.removeprefix("-"))
    negative = value.is_signed() if isinstance(value, Decimal) else value < 0
    return exp.Paren(this=exp.Neg(this=literal)) if negative else literal


def _sql(value: Any) -> str:
    """A literal of an EXECUTE statement, which has bare ones; a text is read as the declared type."""
    if isinstance(value, dt.date):  # a datetime is a date
        _literal(value)
        value = value.isoformat(" ") if isinstance(value, dt.datetime) else value.isoformat()
    node = _literal(value)
    if value is None:
        raise InputError("a template's value is not NULL")
    return str(node.unnest().sql(dialect="duckdb"))


def _name(name: Any) -> str:
    import re

    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise InputError("a template and its parameters have names of a-z, 0-9 and _")
    return name
