# SPDX-License-Identifier: Apache-2.0
r"""Telephone numbers of nobody, and how people write them.

Japan's numbering plan gives mobile numbers the form 0A0-CDEF-GHJK with C from 1 to 9 (C = 0 is kept for other
services and is not given to subscribers; libphonenumber's pattern for mobile numbers of Japan says the same:
``[7-9]0[1-9]\d{7}``). All numbers here have C = 0 after 090, 070 or 060, so they are nobody's. 080-0 is left
out: 0800 are free-phone numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["FORMS", "NUMBERS", "international", "texts", "written"]

_PREFIXES: Final = (9, 7, 6)
_EACH: Final = 10**7
NUMBERS: Final = len(_PREFIXES) * _EACH
"""How many numbers there are: more people than this cannot be told apart."""

# Letters stand for the digits of 0A0CDEFGHJK from the second on; the rest stands for itself.
_LETTERS: Final = "ACDEFGHJK"
_E164: Final = ("+81A0CDEFGHJK", False)
_WIDE: Final = 0xFEE0

FORMS: Final[dict[tuple[str, bool], int]] = {
    ("0A0-CDEF-GHJK", False): 46,
    ("0A0CDEFGHJK", False): 27,
    ("+81 A0-CDEF-GHJK", False): 7,
    _E164: 6,
    ("0A0 CDEF GHJK", False): 5,
    ("(0A0) CDEF-GHJK", False): 2,
    ("0A0CDEFGHJK ", False): 2,
    ("0A0CDEFGHJK", True): 3,
    ("0A0-CDEF-GHJK", True): 2,
}
"""How a number is written and whether in full-width characters -> how many of a hundred write it so."""


def _template(form: tuple[str, bool]) -> tuple[list[int], list[int]]:
    """Per byte of UTF-8: the byte (of 0, where it is a digit), and which digit to add (the last: none)."""
    bases: list[int] = []
    slots: list[int] = []
    pattern, wide = form
    for character in pattern:
        digit = _LETTERS.find(character)
        shown = "0" if digit >= 0 else character
        encoded = (chr(ord(shown) + _WIDE) if wide else shown).encode()
        bases += encoded
        slots += [len(_LETTERS)] * (len(encoded) - 1) + [digit if digit >= 0 else len(_LETTERS)]
    return bases, slots


class _Templates:
    def __init__(self, forms: list[tuple[str, bool]]) -> None:
        made = [_template(form) for form in forms]
        width = max(len(bases) for bases, _ in made)
        self.lengths = np.array([len(bases) for bases, _ in made], np.int32)
        self.bases = np.array([b + [0] * (width - len(b)) for b, _ in made], np.uint8)
        self.slots = np.array([s + [len(_LETTERS)] * (width - len(s)) for _, s in made], np.int64)

    def fill(
        self, numbers: NDArray[np.uint64], forms: NDArray[np.int64], there: NDArray[np.bool_] | None = None
    ) -> pa.StringArray:
        digits = np.zeros((len(numbers), len(_LETTERS) + 1), np.uint8)
        digits[:, 0] = np.array(_PREFIXES, np.uint8)[(numbers // np.uint64(_EACH)).astype(np.int64)]
        rest = numbers % np.uint64(_EACH)
        # C stays 0, the seven digits after it are the number's.
        for place in range(len(_LETTERS) - 1, 1, -1):
            digits[:, place] = rest % np.uint64(10)
            rest //= np.uint64(10)
        matrix = self.bases[forms] + np.take_along_axis(digits, self.slots[forms], axis=1)
        return texts(matrix, self.lengths[forms], there)


def texts(
    matrix: NDArray[np.uint8], lengths: NDArray[np.int32], there: NDArray[np.bool_] | None = None
) -> pa.StringArray:
    """Strings from rows of bytes, of which the first `lengths` count; null where `there` is false."""
    import pyarrow as pa

    if there is not None:
        lengths = np.where(there, lengths, 0).astype(np.int32)
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    content = matrix[np.arange(matrix.shape[1]) < lengths[:, None]]
    valid = None if there is None else pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(content), valid)


def international(numbers: NDArray[np.uint64]) -> pa.StringArray:
    """The numbers (below `NUMBERS`) in E.164's form."""
    return _Templates([_E164]).fill(numbers, np.zeros(len(numbers), np.int64))


def written(
    numbers: NDArray[np.uint64], forms: NDArray[np.int64], there: NDArray[np.bool_]
) -> pa.StringArray:
    """The numbers (below `NUMBERS`) as people write them.

    Args:
        numbers: one a row.
        forms: the form of each, an index of `FORMS`.
        there: where not, the row is null.
    """
    return _Templates(list(FORMS)).fill(numbers, forms, there)
