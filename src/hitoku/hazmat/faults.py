# SPDX-License-Identifier: Apache-2.0
"""What the kernels refuse, in words: row and column numbers, never a value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hitoku import _core
from hitoku.errors import InputError, LimitError, SecretError

__all__ = ["RecordError", "kernel"]

_WORDS: Final = {
    "bad-domain": "the domain must have 1 to 255 bytes",
    "bad-key": "a key has 32 bytes",
    "bad-group": "a group number is not below the number of groups",
    "bad-part": "the part must be below the number of parts",
    "bad-public-key": "the public key is not the encoding of a point other than the identity",
    "bad-range": "the range is empty or has more than 2^63 - 1 values",
    "bad-seed": "a seed has 32 bytes and goes with a column of contexts; without one there is neither",
    "bad-threads": "threads must be 1 to 1,024",
    "bad-width": "the records do not have the width that this takes",
    "identity": "a point is the identity",
    "incomplete": "a group does not have all its records yet",
    "no-randomness": "the operating system gives no randomness",
    "not-a-point": "a point is not canonically encoded",
    "not-a-tag": "a tag is not the beginning of an encoded point",
    "null": "a record is missing (NULL)",
    "out-of-range": "a ciphertext's value is not in the range of the table",
    "repeated": "a record stands there twice",
    "skewed-records": "the records are not random enough to be sorted in bounded memory",
    "too-many-records": "there are more records than announced, or than one call takes (2^32 - 1)",
    "unsorted": "the records are not in rising order",
    "uneven-cells": "the matches do not have the number of cells of the sums",
    "uneven-columns": "the columns do not have the same number of records",
    "unsupported-type": "a column is not of the type that this takes",
}
_LIMITS: Final = frozenset(
    {"no-memory", "no-memory-for-table", "no-threads", "too-many-cells", "too-many-steps"}
)


class RecordError(InputError):
    """A record or argument that a kernel refuses.

    Attributes:
        code: what is wrong, e.g. ``identity``, ``not-a-point``, ``repeated``.
        row: the record's number from 0, if one is to blame.
        column: which of several columns it is in, if told; of a join 0 is the left side, 1 the right.
    """

    def __init__(self, code: str, row: int | None = None, column: int | None = None) -> None:
        words = _WORDS.get(code, f"the kernel cannot go on ({code})")
        where = "" if row is None else f" (row {row})"
        super().__init__(words + where)
        self.code, self.row, self.column = code, row, column


@contextmanager
def kernel() -> Iterator[None]:
    """Tells what a kernel refuses as an error of `hitoku.errors`."""
    try:
        yield
    except _core.CellError as error:
        code, row, column = error.args
        if code == "bad-scalar":
            raise SecretError("a key has 32 bytes: a scalar below the group's order, not zero") from None
        if code in _LIMITS:
            raise LimitError(f"the kernel needs more than this machine or call has ({code})") from None
        raise RecordError(code, row, column) from None
    except OverflowError:
        raise InputError("a number is negative or too large") from None
