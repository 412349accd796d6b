# SPDX-License-Identifier: Apache-2.0
"""The engine's codes as errors of ours. What DuckDB said stays in the process that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hitoku.errors import EngineError, HitokuError, InputError, LimitError

__all__ = ["failure"]

_ENGINE: Final = {
    "OUT_OF_MEMORY": "the question needs more memory than the engine may use; raise the limit",
    "TIMEOUT": "the question took longer than {seconds} seconds and was ended",
    "CANCELLED": "the question was cancelled",
    "DATA_TYPE": "some value cannot be computed with as declared; check the types that the room declares",
    "INPUT_FILE": "a table's file cannot be read: damaged, not UTF-8, or rows with a wrong number of columns",
    "CRASHED": "the engine's process ended early, most likely for lack of memory",
    "INTERNAL": "the engine failed; its own words are not shown because they can quote data",
}
_INPUT: Final = {
    "MISSING_COLUMN": "table {table}: its file lacks the column {column} that the room declares",
    "DUPLICATE_COLUMN": "table {table}: its file has the column {column} twice",
    "COLUMN_TYPE": "table {table}: the encrypted column {column} is not text in its file",
    "EMPTY_FILE": "table {table}: its file is empty",
}


def failure(answer: Mapping[str, str], seconds: int) -> HitokuError:
    """The error for a code of the engine's process."""
    code = str(answer.get("code", "INTERNAL"))
    if code in _INPUT:
        names = {key: str(answer.get(key, "?"))[:128] for key in ("table", "column")}
        return InputError(_INPUT[code].format_map(names))
    if code == "RESULT_TOO_LARGE":
        return LimitError(
            "the answer is larger than the engine may return; group by fewer columns, or use LIMIT"
        )
    if code not in _ENGINE:
        code = "INTERNAL"
    return EngineError(_ENGINE[code].format(seconds=seconds), code)
