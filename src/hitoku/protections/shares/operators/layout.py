# SPDX-License-Identifier: Apache-2.0
"""What a result's columns are made of: it follows from the program alone, for servers and receivers alike.

Every vector is one of words, so a value that is out of its type's bounds cannot be written at all, and sizes
are public.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf

from hitoku.protections.shares.operators.kinds import word_kind
from hitoku.protections.shares.program import Arith, Branch, Expr, Literal, Opened, Program, Ratio, Type

__all__ = ["ColumnLayout", "result_layout", "whole_bits", "whole_words"]


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """The vectors of one column of a result.

    Attributes:
        name: of the column.
        type: of its values; of a ratio that of the numerator.
        form: ``word``: one vector; a value is its word plus ``type.low``, in units of ``10 ** -type.scale``.
            ``text``: 8 bytes a vector, the first of each being its most significant, zero-padded at the end.
            ``ratio``: sign (``u8``, 1: negative), whole part (``u64``; two of them, the higher first, where
            it may need more bits), fraction (twice ``u64``, units of 2**-64 and 2**-128; its last bit is 1
            where the quotient was cut, so that rounding it to a double is right).
        kinds: of the vectors.
        nullable: whether there is a validity bit too. Where it is 0 all vectors are 0.
    """

    name: str
    type: Type
    form: OneOf["word", "text", "ratio"]
    kinds: tuple[str, ...]
    nullable: bool


def result_layout(program: Program, branch: Branch) -> tuple[ColumnLayout, ...]:
    """The columns of a branch's result, in order."""
    return tuple(_column(program, one) for one in branch.opened)


def _column(program: Program, opened: Opened) -> ColumnLayout:
    value = opened.value
    if isinstance(value, Ratio):
        return ColumnLayout(
            opened.name,
            value.type,
            "ratio",
            (
                "u8",
                *("u64",) * (2 + whole_words(value)),
            ),
            True,
        )
    if value.type.kind == "code":
        words = next(
            dictionary.words
            for upload in program.uploads
            for dictionary in upload.dictionaries
            if dictionary.name == value.type.dictionary
        )
        return ColumnLayout(opened.name, value.type, "text", ("u64",) * words, value.type.nullable)
    return ColumnLayout(opened.name, value.type, "word", (word_kind(value.type.bits),), value.type.nullable)


def whole_words(ratio: Ratio) -> int:
    """How many times 64 bits the whole part of a quotient has."""
    return 1 if whole_bits(ratio) <= 64 else 2


def whole_bits(ratio: Ratio) -> int:
    """Bits of a whole part: the largest numerator by the least divisor but 0, both in units of one scale."""
    over, under = ratio.over.type, ratio.under.type
    scale = max(over.scale, under.scale)
    most: int = max(abs(over.low), abs(over.high)) * 10 ** (scale - over.scale)
    most //= _least(ratio.under) * 10 ** (scale - under.scale)
    if ratio.most is not None:
        most = min(most, ratio.most)
    return max(most.bit_length(), 1)


def _least(expr: Expr) -> int:
    """No value but 0 is smaller than so many units of its type's scale."""
    if isinstance(expr, Literal):
        return max(abs(expr.value or 0), 1)
    if isinstance(expr, Arith) and expr.op == "*":
        units: int = 10 ** max(expr.type.scale - expr.left.type.scale - expr.right.type.scale, 0)
        return _least(expr.left) * _least(expr.right) * units
    return max(expr.type.low, -expr.type.high, 1)
