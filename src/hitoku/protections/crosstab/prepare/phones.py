# SPDX-License-Identifier: Apache-2.0
"""Telephone numbers in the form of E.164, ``+`` and 7 to 15 digits, as far as rules alone can tell.

International are numbers that begin with ``+``, with ``00``, or with the country's own exit code; an optional
``(0)`` behind ``+`` is left out. Every other number is taken for a national one: its trunk prefix is dropped
and the calling code put before it. Whether a number is assigned, or was written with the calling code and
without ``+``, is not known here: the latter becomes a number that matches nothing. What has letters or other
signs than ``+ - . / ( )``, dashes and blanks is no number.
"""

from __future__ import annotations

import string
import unicodedata
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc

from hitoku.protections.crosstab.prepare.texts import Flat, joined, strings, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["e164_of", "e164_of_all"]

_SHORTEST: Final = 7
_LONGEST: Final = 15

# Exit codes other than 00, and how national numbers begin where it is not with one 0 (ITU, "Dialling
# procedures"): the prefix and, where a number of another length may begin so by itself, the whole length.
_EXITS: Final = {"1": "011", "7": "810", "81": "010"}
_TRUNKS: Final[dict[str, tuple[str, int | None]]] = {
    "1": ("1", 11),
    "7": ("8", 11),
    "36": ("06", None),
    "39": ("", None),
    "378": ("", None),
    "379": ("", None),
}
_DASHES: Final = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\uff0d\uff70")
_BLANKS: Final = " \t\n\v\f\r"
_ALLOWED: Final = string.digits + "+-./()" + _BLANKS
_DIGITS: Final = table(string.digits)
_NUMBER: Final = table(string.digits + "+")
_MARKED: Final = table(string.digits + "+()")
_FORBIDDEN: Final = ~table(_ALLOWED)
_PLUS: Final = table("+")
_PARENTHESIS: Final = table("(")


def _exits(code: str) -> tuple[str, ...]:
    # The longer first: none of them is the beginning of another.
    return (_EXITS[code], "00") if code in _EXITS else ("00",)


def _plain(text: str) -> str:
    """The text with the digits, dashes and blanks of other scripts as ASCII."""
    made = []
    for character in unicodedata.normalize("NFKC", text):
        if character.isascii():
            made.append(character)
        elif character.isdecimal():
            made.append(str(unicodedata.decimal(character)))
        elif character in _DASHES:
            made.append("-")
        elif character.isspace():
            made.append(" ")
        else:
            return "?"
    return "".join(made)


def e164_of(text: str, code: str) -> str:
    """One number; empty where it is none.

    Args:
        text: as somebody wrote it.
        code: the calling code of numbers without one.
    """
    text = _plain(text)
    if any(character not in _ALLOWED for character in text):
        return ""
    marked = "".join(c for c in text if c in string.digits + "+()").lstrip("(")
    if marked.startswith("+"):
        marked = marked.replace("(0)", "", 1)
    number = "".join(c for c in marked if c not in "()")
    international = number.startswith("+")
    digits = number[international:]
    if "+" in digits:
        return ""
    if not international:
        exit_ = next((e for e in _exits(code) if digits.startswith(e)), None)
        if exit_ is not None:
            digits = digits[len(exit_) :]
        else:
            trunk, whole = _TRUNKS.get(code, ("0", None))
            if digits.startswith(trunk) and whole in {None, len(digits)}:
                digits = digits[len(trunk) :]
            digits = code + digits
    if not _SHORTEST <= len(digits) <= _LONGEST or digits.startswith("0"):
        return ""
    return "+" + digits


def e164_of_all(flat: Flat, code: str) -> Flat:
    """The same for a column of ASCII texts."""
    good = flat.count(_FORBIDDEN) == 0
    number = flat.kept(_MARKED)
    if _PARENTHESIS[number.data].any():
        array = pc.ascii_ltrim(number.array(), characters="(")
        without = pc.replace_substring(array, "(0)", "", max_replacements=1)
        number = Flat.of(pc.if_else(pc.starts_with(array, "+"), without, array))
    number = number.kept(_NUMBER)
    international = number.at(0) == ord("+")
    good &= number.count(_PLUS) == international
    digits = number.kept(_DIGITS)
    skip, coded = _leading(digits, code, international)
    digits = digits.without_first(skip)
    length = digits.lengths + np.where(coded, len(code), 0)
    good &= (length >= _SHORTEST) & (length <= _LONGEST) & (coded | (digits.at(0) != ord("0")))
    digits = digits.chosen(np.repeat(good, digits.lengths))
    before = strings(["", "+", "+" + code])
    which = np.where(good, np.where(coded, 2, 1), 0)
    return Flat.of(joined([before.take(_indices(which)), digits.array()], ""))


def _leading(
    digits: Flat, code: str, international: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """How many leading digits are no part of the number, and where the calling code is to be put."""
    skip = np.zeros(len(digits), np.int64)
    coded = ~international
    for exit_ in _exits(code):
        found = coded & _begins(digits, exit_)
        skip[found] = len(exit_)
        coded &= ~found
    trunk, whole = _TRUNKS.get(code, ("0", None))
    dropped = coded & _begins(digits, trunk)
    if whole is not None:
        dropped &= digits.lengths == whole
    skip[dropped] = len(trunk)
    return skip, coded


def _begins(digits: Flat, prefix: str) -> NDArray[np.bool_]:
    found = np.ones(len(digits), np.bool_)
    for place, character in enumerate(prefix):
        found &= digits.at(place) == ord(character)
    return found


def _indices(places: NDArray[np.int64]) -> object:
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)])
