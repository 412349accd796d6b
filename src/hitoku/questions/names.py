# SPDX-License-Identifier: Apache-2.0
"""Names and places: how identifiers are folded, and where a node stands in the asked SQL."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from hitoku.errors import Span

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["fold", "identifier", "quoted", "span_of"]

# Only ASCII letters fold. str.lower() would also turn the Kelvin sign into "k" and so make two names one.
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def fold(name: str) -> str:
    """An SQL identifier as the room writes names: ASCII letters in lower case, nothing else changed."""
    return name.translate(_FOLD)


def identifier(node: exp.Identifier) -> str:
    """The folded name of an identifier; quotes do not make names case-sensitive, in hitoku as in DuckDB."""
    return fold(node.name)


def quoted(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def span_of(node: exp.Expr | None) -> Span | None:
    """From the first to the last token that the parser remembers of a node; None where it remembers none."""
    if node is None:
        return None
    starts: list[int] = []
    ends: list[int] = []
    for part in node.walk():
        meta = part.meta
        if "start" in meta and "end" in meta:
            starts.append(meta["start"])
            ends.append(meta["end"])
    return Span(min(starts), max(ends) + 1) if starts else None
