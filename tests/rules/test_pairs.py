# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - SQL reads better on one line
"""Every pair gives its verdict; so does every rewriting of it that means the same."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.tokenizer_core import TokenType

from hitoku.errors import Refusal
from hitoku.questions import Question, check, execution_sql
from hitoku.questions.wording import CODES, translated

from .pairs import HERE, Pair, pairs, room


def verdict(pair: Pair, sql: str | None = None) -> Question | Refusal:
    try:
        return check(pair.sql if sql is None else sql, room(pair.room), pair.asker)
    except Refusal as refusal:
        return refusal


@pytest.mark.parametrize("pair", pairs(), ids=str)
def test_verdict(pair: Pair) -> None:
    got = verdict(pair)
    if pair.accept:
        assert isinstance(got, Question), got.to_dict()
        assert got.privacy is not None or execution_sql(got)
        return
    assert isinstance(got, Refusal), f"accepted as {got.sql}"
    assert got.code == pair.code
    assert got.message
    assert got.remedy
    if got.span is not None:
        assert 0 <= got.span.start < got.span.end <= len(pair.sql)
    message, remedy = translated(got, "ja")
    assert re.search(r"[぀-ヿ一-鿿]", message + remedy)
    assert "?" not in message.replace(" ?", "")
    if got.rule is not None and got.rule.startswith("tables."):
        table = room(pair.room).agreement.table(got.rule.split(".")[1])
        assert table is not None
        assert got.owner in {table.owner, None}


def test_there_are_enough_pairs_and_each_is_explained() -> None:
    assert len(pairs()) >= 250
    for path in HERE.glob("*.sql"):
        lines = path.read_text("utf-8").splitlines()
        for number, line in enumerate(lines):
            if line.startswith("-- verdict:"):
                following = [text for text in lines[number + 1 : number + 3] if text.startswith("-- ")]
                assert [t for t in following if not t.startswith("-- asker:")], f"{path.name}:{number + 1}"


def test_refused_codes_are_in_the_catalogue() -> None:
    assert {pair.code for pair in pairs() if pair.code} <= CODES


def test_accepted_pairs_have_different_hashes_unless_they_mean_the_same() -> None:
    seen: dict[str, str] = {}
    for pair in pairs():
        got = verdict(pair)
        if isinstance(got, Question):
            assert seen.setdefault(got.hash, got.sql) == got.sql


_TOKENIZER = DuckDB()
_GAPS = [" ", "\n", "\t ", "  ", " /* note */ ", " -- note\n"]
_KEYWORDS = {
    "select",
    "from",
    "join",
    "on",
    "where",
    "group",
    "by",
    "having",
    "order",
    "and",
    "or",
    "as",
    "with",
}
_KEYWORDS |= {
    "distinct",
    "union",
    "all",
    "limit",
    "using",
    "left",
    "not",
    "in",
    "between",
    "like",
    "is",
    "null",
}


def _rewritten(sql: str, choose: list[int]) -> str:
    """The same tokens, other spaces and comments, other case of keywords and unquoted names."""
    tokens = _TOKENIZER.tokenize(sql)
    parts: list[str] = []
    for number, token in enumerate(tokens):
        text = sql[token.start : token.end + 1]
        pick = choose[number % len(choose)]
        word = text.isascii() and text.replace("_", "a").isalnum() and not text[0].isdigit()
        if token.token_type is TokenType.STRING or not word:
            parts.append(text)
        elif text.lower() in _KEYWORDS or token.token_type is TokenType.VAR:
            parts.append([text, text.upper(), text.lower(), text.swapcase()][pick % 4])
        else:
            parts.append(text)
        before_bracket = number + 1 < len(tokens) and tokens[number + 1].token_type is TokenType.L_PAREN
        parts.append(" " if before_bracket else _GAPS[(pick // 4) % len(_GAPS)])
    return "".join(parts)


# The tokenizer takes all that follows EXECUTE as one token; `test_templates.py` rewrites these.
_REWRITABLE = [p for p in pairs() if p.code != "SYNTAX" and not p.sql.upper().startswith("EXECUTE")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_REWRITABLE), st.lists(st.integers(0, 1000), min_size=1, max_size=40))
def test_spaces_comments_and_case_change_nothing(pair: Pair, choose: list[int]) -> None:
    before, after = verdict(pair), verdict(pair, _rewritten(pair.sql, choose))
    assert type(before) is type(after), after
    if isinstance(before, Question) and isinstance(after, Question):
        assert before.hash == after.hash
    if isinstance(before, Refusal) and isinstance(after, Refusal):
        assert before.code == after.code


_ALIASED = [
    p for p in pairs() if p.accept and re.search(r"\b(customers c|subscribers s|accounts a)\b", p.sql)
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_ALIASED), st.text(string.ascii_lowercase, min_size=3, max_size=8))
def test_other_aliases_of_tables_change_nothing(pair: Pair, name: str) -> None:
    alias = f"zz{name}"
    sql = re.sub(r"\bcustomers c\b", f"customers AS {alias}", pair.sql)
    sql = re.sub(r"\bc\.", f"{alias}.", sql)
    before, after = verdict(pair), verdict(pair, sql)
    assert isinstance(before, Question)
    assert isinstance(after, Question), after
    assert before.hash == after.hash


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "SELECT plan, COUNT(DISTINCT s.phone) AS n FROM customers c JOIN subscribers s ON c.phone = s.phone GROUP BY plan",
            "SELECT plan, COUNT(DISTINCT s.phone) AS n FROM subscribers s JOIN customers c ON s.phone = c.phone GROUP BY 1",
        ),
        (
            "SELECT COUNT(phone) AS n FROM customers WHERE age > 3 AND region = 'x'",
            "SELECT COUNT(phone) AS n FROM customers WHERE ('x' = region) AND (3 < age)",
        ),
        (
            "SELECT COUNT(phone) AS n FROM customers WHERE age BETWEEN 1 AND 2",
            "SELECT COUNT(phone) AS n FROM customers WHERE age <= 2.0 AND age >= 1",
        ),
        (
            "SELECT COUNT(phone) AS n FROM customers WHERE age IN (3, 1, 2, 1)",
            "WITH x AS (SELECT phone, age AS a FROM customers) SELECT COUNT(phone) AS n FROM x WHERE a IN (1, 2, 3)",
        ),
    ],
)
def test_equal_meanings_have_one_normal_form(one: str, other: str) -> None:
    first, second = check(one, room(), "shop"), check(other, room(), "shop")
    assert first.sql == second.sql
    assert first.hash == second.hash


def test_a_normal_form_is_its_own_normal_form() -> None:
    for pair in pairs():
        got = verdict(pair)
        if isinstance(got, Question) and got.template is None:
            again = check(got.sql, room(pair.room), pair.asker)
            assert again.sql == got.sql
