# SPDX-License-Identifier: Apache-2.0
"""Spellings of one identifier become one text. What is no identifier becomes the empty text.

Each step has one meaning, `Steps.text`, which is plain Python and works on any text. Columns are mostly
ASCII, and there the same is done for a whole column at once; the tests hold the two equal. NFKC and case
folding are those of Python's Unicode data, which never change for characters that had been assigned.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hitoku.protections.crosstab.prepare.phones import e164_of, e164_of_all
from hitoku.protections.crosstab.prepare.texts import Flat, strings, table
from hitoku.room.crosstab import Normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SEPARATOR", "Steps"]

SEPARATOR: Final = "\x1f"
"""Stands between the parts of an identifier of several columns; a part that has it is no identifier."""

# What `str.strip` takes off, as far as it is ASCII.
_BLANK: Final = " \t\n\v\f\r\x1c\x1d\x1e\x1f"
_LOWER: Final = np.array([ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256)], np.uint8)
_DIGITS: Final = table(string.digits)
_ALNUM: Final = table(string.ascii_letters + string.digits)
_HAS_BLANK: Final = table(_BLANK)
_SEPARATES: Final = table(SEPARATOR)


def _digits(text: str) -> str:
    """The decimal digits of any script, as 0 to 9."""
    return "".join(str(unicodedata.decimal(c)) for c in text if c.isdecimal())


class Steps:
    """The steps of one kind of identifier.

    Args:
        normalise: the steps, in order.
        calling_code: for `e164`.
    """

    def __init__(self, normalise: Sequence[Normalise], calling_code: str | None) -> None:
        if Normalise.E164 in normalise and calling_code is None:
            raise ValueError("e164 needs a calling code")
        self._steps = tuple(normalise)
        self._code = calling_code or ""

    def text(self, text: str) -> str:
        """One text, normalised; empty where it is no identifier."""
        for step in self._steps:
            match step:
                case Normalise.TRIM:
                    text = text.strip()
                case Normalise.NFKC:
                    text = unicodedata.normalize("NFKC", text)
                case Normalise.CASEFOLD:
                    text = text.casefold()
                case Normalise.DIGITS:
                    text = _digits(text)
                case Normalise.ALNUM:
                    text = "".join(c for c in text if c.isalnum())
                case Normalise.E164:
                    text = e164_of(text, self._code)
        return "" if SEPARATOR in text else text

    def column(self, array: pa.Array) -> pa.LargeStringArray:
        """A column of texts, normalised; NULL becomes the empty text.

        Args:
            array: string or large_string.
        """
        ascii_ = pc.string_is_ascii(array)
        plain = _mask(pc.fill_null(ascii_, True))
        if plain.all():
            return self._ascii(pc.fill_null(array, "") if array.null_count else array)
        mask = pa.BooleanArray.from_buffers(pa.bool_(), len(array), _packed(plain))
        fast = self._ascii(pc.if_else(mask, pc.fill_null(array, ""), ""))
        # Names repeat: each spelling once.
        different = array.filter(pc.invert(mask)).dictionary_encode()
        made = strings([self.text(text) for text in different.dictionary.to_pylist()])
        return pc.replace_with_mask(fast, pc.invert(mask), made.take(different.indices))

    def _ascii(self, array: pa.Array) -> pa.LargeStringArray:
        flat = Flat.of(array)
        for step in self._steps:
            match step:
                case Normalise.TRIM:
                    if _HAS_BLANK[flat.data].any():
                        flat = Flat.of(pc.ascii_trim(flat.array(), characters=_BLANK))
                case Normalise.NFKC:
                    continue  # every ASCII text is in this form already
                case Normalise.CASEFOLD:
                    flat = flat.mapped(_LOWER)
                case Normalise.DIGITS:
                    flat = flat.kept(_DIGITS)
                case Normalise.ALNUM:
                    flat = flat.kept(_ALNUM)
                case Normalise.E164:
                    flat = e164_of_all(flat, self._code)
        if _SEPARATES[flat.data].any():
            spoilt = np.repeat(flat.count(_SEPARATES) > 0, flat.lengths)
            flat = flat.chosen(~spoilt)
        return flat.array()


def _mask(array: pa.BooleanArray) -> NDArray[np.bool_]:
    made: NDArray[np.bool_] = array.to_numpy(zero_copy_only=False)
    return made


def _packed(mask: NDArray[np.bool_]) -> list[pa.Buffer | None]:
    return [None, pa.py_buffer(np.packbits(mask, bitorder="little"))]
