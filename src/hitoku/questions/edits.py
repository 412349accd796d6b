# SPDX-License-Identifier: Apache-2.0
"""Edits of the asked SQL that take away a Refusal, found from the text's tokens.

Only edits that keep what was meant, or are what the remedy says word for word. The edited text is a
question like any other: it is parsed and checked from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from hitoku.errors import Change, Refusal
from hitoku.questions.changes import written

__all__ = ["edited"]

_AFTER_GROUPS: Final = {
    *(TokenType.HAVING, TokenType.ORDER_BY, TokenType.LIMIT, TokenType.OFFSET, TokenType.QUALIFY),
    *(TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT, TokenType.SEMICOLON),
}
_AS_INNER: Final = {"FULL", "RIGHT", "OUTER", "SEMI"}


class _Text:
    """The asked SQL as tokens, and where in it the refusal points."""

    def __init__(self, sql: str, refusal: Refusal) -> None:
        self.sql = sql
        self.refusal = refusal
        self.tokens: list[Token] = DuckDB().tokenize(sql)
        start = -1 if refusal.span is None else refusal.span.start
        self.at = next((n for n, token in enumerate(self.tokens) if token.start >= start >= 0), -1)

    def before(self, *kinds: TokenType) -> int | None:
        """The last token of a kind before the marked place, in the same brackets or around them."""
        depth = 0
        for n in range(self.at - 1, -1, -1):
            kind = self.tokens[n].token_type
            depth += (kind is TokenType.R_PAREN) - (kind is TokenType.L_PAREN and depth > 0)
            if depth == 0 and kind in kinds:
                return n
        return None

    def only(self, *kinds: TokenType) -> int | None:
        """The one token of a kind in the text."""
        found = [n for n, token in enumerate(self.tokens) if token.token_type in kinds]
        return found[0] if len(found) == 1 else None

    def end_of_groups(self, start: int) -> tuple[int, bool]:
        """Where GROUP BY of the SELECT at a token ends or would stand, and whether there is one."""
        depth, grouped = 0, False
        for n in range(start + 1, len(self.tokens)):
            kind = self.tokens[n].token_type
            if depth == 0 and (kind in _AFTER_GROUPS or kind is TokenType.R_PAREN):
                return self.tokens[n - 1].end + 1, grouped
            grouped = grouped or (depth == 0 and kind is TokenType.GROUP_BY)
            depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        return self.tokens[-1].end + 1, grouped

    def replaced(self, place: int, text: str) -> tuple[int, int, str]:
        """The edit that writes another word for a token; an empty one takes the space after it too."""
        token = self.tokens[place]
        end = token.end + 1
        if not text:
            while end < len(self.sql) and self.sql[end] == " ":
                end += 1
        return token.start, end, text


def _grouped(text: _Text) -> Change | None:
    span = text.refusal.span
    start = text.before(TokenType.SELECT)
    if span is None or start is None or text.refusal.clause == "ORDER BY":
        return None
    place, grouped = text.end_of_groups(start)
    column = text.sql[span.start : span.end]
    return written((place, place, f", {column}" if grouped else f" GROUP BY {column}"))


def _distinct(text: _Text) -> Change | None:
    place = text.before(TokenType.SELECT)
    if place is None:
        return None
    end = text.tokens[place].end + 1
    return written((end, end, " DISTINCT"))


def _inner(text: _Text) -> Change | None:
    place = text.before(TokenType.LEFT) if text.refusal.span else text.only(TokenType.LEFT)
    if place is None:
        return None
    edits = [text.replaced(place, "INNER")]
    if text.tokens[place + 1].text.upper() == "OUTER":
        edits.append(text.replaced(place + 1, ""))
    return written(*edits)


def _kind(text: _Text) -> Change | None:
    words = text.refusal.params.get("kind", "").split()
    if not words or not set(words) <= _AS_INNER:
        return None
    place = text.before(TokenType.JOIN)
    if place is None:
        return None
    edits: list[tuple[int, int, str]] = []
    while place > 0 and text.tokens[place - 1].text.upper() in _AS_INNER:
        place -= 1
        edits.append(text.replaced(place, ""))
    return written(*edits) if edits else None


def _no_distinct(text: _Text) -> Change | None:
    place = text.only(TokenType.DISTINCT)
    if place is None or text.tokens[place - 1].token_type is not TokenType.SELECT:
        return None
    return written(text.replaced(place, ""))


def _first_statement(text: _Text) -> Change | None:
    span = text.refusal.span
    return None if span is None else written((span.start, len(text.sql), ""))


def _no_clause(text: _Text) -> Change | None:
    """Leave out ORDER BY, LIMIT or OFFSET of a subquery or branch."""
    kind = {"ORDER": TokenType.ORDER_BY, "LIMIT": TokenType.LIMIT, "OFFSET": TokenType.OFFSET}.get(
        text.refusal.params.get("what", "")
    )
    place = None if kind is None else text.only(kind)
    if place is None:
        return None
    depth = 0
    for n in range(place, len(text.tokens)):
        token = text.tokens[n]
        if depth == 0 and (token.token_type is TokenType.R_PAREN or (n > place and _ends(token))):
            return written((text.tokens[place].start, text.tokens[n - 1].end + 1, ""))
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
    return None


def _ends(token: Token) -> bool:
    return token.token_type in _AFTER_GROUPS


def _plain_statement(text: _Text) -> Change | None:
    """WITH RECURSIVE without RECURSIVE: recursion is refused anyway, so nothing else can be meant."""
    place = text.only(TokenType.RECURSIVE)
    if text.refusal.params.get("what") != "RECURSIVE" or place is None:
        return None
    return written(text.replaced(place, ""))


_EDITS: Final[Mapping[str, Callable[[_Text], Change | None]]] = {
    "CLAUSE_NOT_ALLOWED": _plain_statement,
    "DISTINCT_GROUPS": _no_distinct,
    "JOIN_KIND": _kind,
    "LEFT_JOIN_SOURCE": _inner,
    "LIST_NEEDS_DISTINCT": _distinct,
    "LIST_OUTER_JOIN": _inner,
    "NESTED_CLAUSE": _no_clause,
    "NOT_GROUPED": _grouped,
    "OUTER_THEN_INNER": _inner,
    "SEVERAL_STATEMENTS": _first_statement,
}


def edited(refusal: Refusal, sql: str) -> Change | None:
    """An edit of the SQL for a Refusal, None where a program cannot make one."""
    make = _EDITS.get(refusal.code)
    if make is None:
        return None
    try:
        return make(_Text(sql, refusal))
    except SqlglotError:
        return None
