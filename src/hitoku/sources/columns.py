# SPDX-License-Identifier: Apache-2.0
"""Finding a declared column in a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hitoku.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["find_column"]


def find_column(schema: pa.Schema, table: str, wanted: str) -> int:
    """The place of a column: of exactly this name, else of one that differs in blanks around it and in case.

    Raises:
        InputError: there is none, or more than one.
    """
    names = schema.names
    found = [place for place, name in enumerate(names) if name == wanted]
    if not found:
        folded = wanted.strip().lower()
        found = [place for place, name in enumerate(names) if name.strip().lower() == folded]
    if len(found) != 1:
        how = "no column" if not found else "more than one column"
        raise InputError(f"table {table}: its source has {how} {wanted}")
    return found[0]
