# SPDX-License-Identifier: Apache-2.0
"""Approved templates: their hashes, and how ``EXECUTE name(parameter := value)`` becomes a question.

Why a value can never become syntax. The statement is read token by token; a value is one literal token (with
a sign or the word DATE or TIMESTAMP at most), is read as its parameter's declared type and written anew as
one literal *node* in the place of the placeholder node in the template's parsed tree. No text is put
together, so there is no text to break out of. The bound tree then passes the checker like any question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from hitoku import limits
from hitoku.errors import Refusal, Span
from hitoku.questions.names import fold
from hitoku.questions.refusals import refuse
from hitoku.questions.text import characters, parse
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.templates import ParameterType, Template, TemplateParameter, canonical_value

__all__ = ["Execution", "asked", "bound", "canonical_sql", "some_of", "template_hash"]

_DIALECT: Final = DuckDB()
_MAX_ARGUMENTS: Final = 2 * limits.MAX_TEMPLATE_PARAMETERS
_MAX_NAMES: Final = 10
_TYPED: Final = {"DATE": ParameterType.DATE, "TIMESTAMP": ParameterType.TIMESTAMP}
_TRUTHS: Final = {TokenType.TRUE, TokenType.FALSE}


# --- the hash ---


@lru_cache(maxsize=256)
def template_hash(template: Template) -> str:
    """What a rule's allowedAnalyses lists: ``sha256:`` and the hash of canonical SQL and parameters.

    The name is not in it: who approves a hash approves what is asked, whatever it is called.

    Raises:
        Refusal: the template's SQL is no question (`TEMPLATE_INVALID`).
    """
    data = template.model_dump(mode="json", exclude={"name", "sql"}, exclude_none=True)
    return digest("hitoku/template/1", canonical_json(data | {"sql": canonical_sql(template)}))


def canonical_sql(template: Template) -> str:
    """The template's SQL, written anew from its tree: spacing, comments and case of keywords do not matter.

    Raises:
        Refusal: it is no question (`TEMPLATE_INVALID`).
    """
    return _tree(template).sql(dialect="duckdb", comments=False)


def _tree(template: Template) -> exp.Query:
    try:
        return parse(template.sql)
    except Refusal:
        raise refuse("TEMPLATE_INVALID", clause="EXECUTE", template=template.name) from None


# --- the statement ---


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as it was written: its text, and what kind of literal it is."""

    text: str
    kind: ParameterType | None
    """STRING for quotes, DECIMAL for a number, BOOLEAN, DATE or TIMESTAMP."""
    span: Span


@dataclass(frozen=True, slots=True)
class Execution:
    """An EXECUTE statement, read: the template's name and the values by parameter."""

    name: str
    values: Mapping[str, _Given]
    span: Span


def asked(sql: str) -> Execution | None:
    """The EXECUTE statement that a text is; None where it begins with anything else.

    Raises:
        Refusal: it begins with EXECUTE and goes on with anything but a name and named literals.
    """
    characters(sql)
    if "execute" not in sql.lower():
        return None
    try:
        tokens = _DIALECT.tokenize(sql)
    except (SqlglotError, RecursionError, ValueError, IndexError):
        return None  # `parse` says what is wrong
    if not tokens or tokens[0].token_type is not TokenType.EXECUTE:
        return None
    while tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    # What follows EXECUTE is one token, a text of its own, up to a semicolon outside quotes.
    if len(tokens) != 2 or tokens[1].token_type is not TokenType.STRING:
        extra = next((t for t in tokens if t.token_type is TokenType.SEMICOLON), None)
        if extra is not None:
            raise refuse("SEVERAL_STATEMENTS", clause="SQL", span=Span(extra.start, extra.end + 1))
        raise refuse("EXECUTE_FORM", clause="EXECUTE")
    body = tokens[1].text
    try:
        inner = _DIALECT.tokenize(body)
    except (SqlglotError, RecursionError, ValueError, IndexError):
        raise refuse("EXECUTE_FORM", clause="EXECUTE") from None
    offset = sql.find(body, tokens[0].end + 1)
    return _Reader(inner, max(offset, 0)).statement()


class _Reader:
    """Reads ``name(parameter := literal, ...)`` from tokens, and nothing else."""

    def __init__(self, tokens: list[Token], offset: int) -> None:
        self._tokens = tokens
        self._at = 0
        self._offset = offset

    def statement(self) -> Execution:
        name = self._word()
        values: dict[str, _Given] = {}
        if self._at < len(self._tokens):
            self._take(TokenType.L_PAREN)
            if self._peek() is not TokenType.R_PAREN:
                self._argument(values)
                while self._peek() is TokenType.COMMA:
                    self._take(TokenType.COMMA)
                    self._argument(values)
            self._take(TokenType.R_PAREN)
        if self._at != len(self._tokens):
            raise self._wrong()
        return Execution(fold(name.text), values, self._span(name))

    def _argument(self, values: dict[str, _Given]) -> None:
        word = self._word()
        name = fold(word.text)
        if self._peek() not in {TokenType.COLON_EQ, TokenType.FARROW}:
            raise self._wrong()
        self._at += 1
        if name in values:
            raise refuse(
                "PARAMETER_TWICE", clause="EXECUTE", span=self._span(word), parameter=_shown(word.text)
            )
        if len(values) >= _MAX_ARGUMENTS:
            raise refuse("TOO_MANY_PARTS", clause="EXECUTE", limit=str(_MAX_ARGUMENTS))
        values[name] = self._literal()
        if self._peek() not in {TokenType.COMMA, TokenType.R_PAREN, None}:
            raise refuse("PARAMETER_LITERAL", clause="EXECUTE", span=self._span(self._tokens[self._at]))

    def _literal(self) -> _Given:
        first = self._next()
        kind, sign = first.token_type, ""
        if kind is TokenType.DASH:
            sign, first = "-", self._next()
            kind = first.token_type
        if kind is TokenType.NUMBER:
            return _Given(sign + first.text, ParameterType.DECIMAL, self._span(first))
        if not sign and kind is TokenType.STRING:
            return _Given(first.text, ParameterType.STRING, self._span(first))
        if not sign and kind in _TRUTHS:
            return _Given(first.text, ParameterType.BOOLEAN, self._span(first))
        typed = _TYPED.get(first.text.upper()) if not sign and kind is not TokenType.IDENTIFIER else None
        if typed is not None and self._peek() is TokenType.STRING:
            return _Given(self._next().text, typed, self._span(first))
        raise refuse("PARAMETER_LITERAL", clause="EXECUTE", span=self._span(first))

    def _word(self) -> Token:
        """A name: a word, quoted or not, keyword or not."""
        token = self._next()
        quoted = token.token_type is TokenType.IDENTIFIER
        plain = token.token_type not in {TokenType.STRING, TokenType.NUMBER} and token.text[:1].isalpha()
        if not (quoted or plain):
            raise self._wrong(token)
        return token

    def _peek(self) -> TokenType | None:
        return self._tokens[self._at].token_type if self._at < len(self._tokens) else None

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise self._wrong()
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, kind: TokenType) -> None:
        token = self._next()
        if token.token_type is not kind:
            raise self._wrong(token)

    def _span(self, token: Token) -> Span:
        return Span(self._offset + token.start, self._offset + token.end + 1)

    def _wrong(self, token: Token | None = None) -> Refusal:
        at = token or (self._tokens[min(self._at, len(self._tokens) - 1)] if self._tokens else None)
        return refuse("EXECUTE_FORM", clause="EXECUTE", span=None if at is None else self._span(at))


# --- values into the tree ---


def bound(execution: Execution, agreement: Agreement) -> tuple[Template, exp.Query]:
    """The template that is asked for and its tree with every placeholder replaced by a literal.

    Raises:
        Refusal: no such template; a parameter is missing, unknown or of another type; the template is broken.
    """
    template = agreement.template(execution.name)
    if template is None:
        known = some_of(t.name for t in agreement.templates)
        raise refuse(
            "UNKNOWN_TEMPLATE",
            clause="EXECUTE",
            span=execution.span,
            template=_shown(execution.name),
            known=known,
        )
    for name, given in execution.values.items():
        if template.parameter(name) is None:
            raise refuse(
                "UNKNOWN_PARAMETER",
                clause="EXECUTE",
                span=given.span,
                template=template.name,
                parameter=_shown(name),
                known=some_of(p.name for p in template.parameters),
            )
    nodes = {p.name: _node(template, p, execution) for p in template.parameters}
    return template, _filled(template, nodes)


def _node(template: Template, parameter: TemplateParameter, execution: Execution) -> exp.Expr:
    given = execution.values.get(parameter.name)
    kind = parameter.type
    if given is None:
        if parameter.default_value is None:
            raise refuse(
                "PARAMETER_MISSING",
                clause="EXECUTE",
                span=execution.span,
                template=template.name,
                parameter=parameter.name,
                kind=kind.value,
            )
        return _literal(kind, canonical_value(kind, parameter.default_value))
    texts = {ParameterType.STRING, ParameterType.DATE, ParameterType.TIMESTAMP}
    fits = given.kind is kind or (kind.is_number and given.kind is ParameterType.DECIMAL)
    if not fits and not (kind in texts and given.kind is ParameterType.STRING):
        raise _wrong_value("PARAMETER_TYPE", parameter, given)
    try:
        return _literal(kind, canonical_value(kind, given.text))
    except ValueError:
        raise _wrong_value("PARAMETER_VALUE", parameter, given) from None


def _wrong_value(code: str, parameter: TemplateParameter, given: _Given) -> Refusal:
    names = {"parameter": parameter.name, "kind": parameter.type.value}
    if code == "PARAMETER_TYPE":
        return refuse("PARAMETER_TYPE", clause="EXECUTE", span=given.span, params=names)
    return refuse("PARAMETER_VALUE", clause="EXECUTE", span=given.span, params=names)


def _literal(kind: ParameterType, text: str) -> exp.Expr:
    if kind.is_number:
        number = exp.Literal(this=text.removeprefix("-"), is_string=False)
        return exp.Paren(this=exp.Neg(this=number)) if text.startswith("-") else number
    if kind is ParameterType.BOOLEAN:
        return exp.Boolean(this=text == "true")
    string = exp.Literal.string(text)
    if kind in {ParameterType.DATE, ParameterType.TIMESTAMP}:
        return exp.Cast(this=string, to=exp.DataType.build(kind.value.upper()))
    return string


def _filled(template: Template, nodes: Mapping[str, exp.Expr]) -> exp.Query:
    used: set[str] = set()

    def replaced(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder):
            name = fold(node.name)
            if name not in nodes:
                raise refuse("TEMPLATE_INVALID", clause="EXECUTE", template=template.name)
            used.add(name)
            return nodes[name].copy()
        return node

    made = _tree(template).transform(replaced, copy=False)
    if used != set(nodes) or not isinstance(made, exp.Query):
        raise refuse("TEMPLATE_INVALID", clause="EXECUTE", template=template.name)
    # Places in the template's text are no places in what was asked.
    for node in made.walk():
        node.meta.clear()
    return made


def some_of(names: Iterable[str]) -> str:
    """Names for a sentence, the first ten at most."""
    found = sorted(names)
    return ", ".join(found[:_MAX_NAMES]) + (", ..." if len(found) > _MAX_NAMES else "") or "-"


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:63])
