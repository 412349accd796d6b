# SPDX-License-Identifier: Apache-2.0
"""The one place where Refusals of questions are made: a code of the catalogue, and where it applies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hitoku.errors import Change, Refusal, Span
from hitoku.questions.names import span_of
from hitoku.questions.wording import sentences

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["refuse"]


def refuse(
    code: str,
    *,
    clause: str | None = None,
    node: exp.Expr | None = None,
    span: Span | None = None,
    rule: str | None = None,
    owner: str | None = None,
    params: Mapping[str, str] | None = None,
    change: Change | None = None,
    **more: str,
) -> Refusal:
    """A Refusal with the English sentences of its code.

    Args:
        code: a code of `hitoku.questions.wording`.
        clause: the SQL clause it stands in.
        node: the node at fault; its place becomes the span unless `span` is given.
        span: the place at fault.
        rule: path of the rule in the room.
        owner: the member whose rule it is.
        change: the remedy as an edit, where a program can make it.
        params: what fills the code's sentences: names and numbers, never a value.
        more: the same, by keyword.
    """
    names = {**(params or {}), **more}
    if owner is not None:
        names.setdefault("owner", owner)
    message, remedy = sentences(code, names, language="en")
    return Refusal(
        code,
        message,
        clause=clause,
        span=span or span_of(node),
        rule=rule,
        owner=owner,
        remedy=remedy,
        params=names,
        change=change,
    )
