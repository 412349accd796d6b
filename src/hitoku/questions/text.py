# SPDX-License-Identifier: Apache-2.0
"""From text to tree: everything that must hold before and while an asker's words are parsed.

The text is bounded before the parser sees it (characters, tokens, nesting), the parser is handed one
statement that begins like a question, and the tree is bounded again before anything recurses into it.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from hitoku import limits
from hitoku.errors import Span
from hitoku.questions.refusals import refuse

__all__ = ["characters", "parse"]

_OPEN: Final = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSE: Final = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_PREFIX: Final = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE}
_FIRST: Final = {TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN}
_BLANK: Final = {"\t", "\n", "\r"}
_DIALECT: Final = DuckDB()


def parse(sql: str) -> exp.Query:
    """Parse one question. The tree is not checked against anything yet.

    Args:
        sql: what the asker wrote, in DuckDB's dialect.

    Raises:
        Refusal: the text is no single SELECT statement or set operation within the limits.
    """
    characters(sql)
    try:
        tokens = _statement(_DIALECT.tokenize(sql))
        trees = _DIALECT.parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, sql)
    except SqlglotError as error:
        # The parser's own words quote the text, literals included; only the place is told.
        raise refuse("SYNTAX", clause="SQL", span=_place(error)) from None
    except (RecursionError, ValueError, IndexError, KeyError, TypeError, AttributeError):
        raise refuse("SYNTAX", clause="SQL") from None
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, (exp.Select, exp.SetOperation, exp.Subquery)):
        raise refuse("NOT_A_QUESTION", clause="SQL")
    _bounded(tree)
    return tree


def characters(sql: str) -> None:
    """Refuse a text that is too long or holds a control character.

    Raises:
        Refusal: it does.
    """
    if len(sql) > limits.MAX_SQL_CHARS:
        raise refuse("TEXT_TOO_LONG", clause="SQL", limit=str(limits.MAX_SQL_CHARS))
    for place, char in enumerate(sql):
        if (char < " " and char not in _BLANK) or "\ud800" <= char <= "\udfff" or char == "\x7f":
            raise refuse("BAD_CHARACTER", clause="SQL", span=Span(place, place + 1))


def _statement(tokens: list[Token]) -> list[Token]:
    """The tokens of the one statement, without a closing semicolon; nesting bounded."""
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens = tokens[:-1]
    if not tokens:
        raise refuse("EMPTY", clause="SQL")
    if len(tokens) > limits.MAX_SQL_NODES:
        raise refuse("TOO_MANY_PARTS", clause="SQL", limit=str(limits.MAX_SQL_NODES))
    depth = prefixes = 0
    before: TokenType | None = None
    for place, token in enumerate(tokens):
        kind = token.token_type
        if kind is TokenType.L_PAREN and place and tokens[place - 1].text.upper() == "CONVERT":
            _no_convert(tokens[place - 1])
        if kind is before is TokenType.COMMA:  # sqlglot would read over it
            raise refuse("SYNTAX", clause="SQL", span=Span(token.start, token.end + 1))
        before = kind
        if kind is TokenType.SEMICOLON:
            raise refuse("SEVERAL_STATEMENTS", clause="SQL", span=Span(token.start, token.end + 1))
        prefixes = prefixes + 1 if kind in _PREFIX else 0
        depth += (kind in _OPEN) - (kind in _CLOSE)
        if depth + prefixes > limits.MAX_SQL_DEPTH // 4:
            raise refuse(
                "TOO_DEEP",
                clause="SQL",
                span=Span(token.start, token.end + 1),
                limit=str(limits.MAX_SQL_DEPTH),
            )
    first = tokens[0]
    if first.token_type not in _FIRST:
        raise refuse("NOT_A_QUESTION", clause="SQL", span=Span(first.start, first.end + 1))
    return tokens


def _no_convert(token: Token) -> None:
    """The parser reads CONVERT(a, b) as a cast, with the type first or last; DuckDB has no such function."""
    span = Span(token.start, token.end + 1)
    raise refuse(
        "FUNCTION_OTHERWISE", clause="SQL", span=span, what="CONVERT()", instead="CAST(column AS type)"
    )


def _bounded(tree: exp.Expr) -> None:
    """Count nodes and depth without recursing."""
    level: list[exp.Expr] = [tree]
    nodes = depth = 0
    while level:
        depth += 1
        nodes += len(level)
        if depth > limits.MAX_SQL_DEPTH:
            raise refuse("TOO_DEEP", clause="SQL", limit=str(limits.MAX_SQL_DEPTH))
        if nodes > limits.MAX_SQL_NODES:
            raise refuse("TOO_MANY_PARTS", clause="SQL", limit=str(limits.MAX_SQL_NODES))
        level = [child for node in level for child in node.iter_expressions()]


def _place(error: SqlglotError) -> Span | None:
    details = getattr(error, "errors", None) or []
    start, end = (details[0].get("start"), details[0].get("end")) if details else (None, None)
    if isinstance(start, int) and isinstance(end, int):
        return Span(start, end + 1)
    return None
