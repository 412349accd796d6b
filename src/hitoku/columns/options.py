# SPDX-License-Identifier: Apache-2.0
"""The optional arguments of `encrypt` and `decrypt`, for type checkers; described where they are used."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from hitoku.ports import Executor, Progress

__all__ = ["DecryptOptions", "EncryptOptions"]


class _Options(TypedDict, total=False):
    overwrite: bool
    dry_run: bool
    csv_input_null: str | None
    csv_output_null: str | None
    source_format: str | None
    target_format: str | None
    executor: Executor | None
    progress: Progress | None


class EncryptOptions(_Options, total=False):
    """What `encrypt` takes by name."""

    temp_dir: Path | None
    parquet_binary_as_string: bool | None


class DecryptOptions(_Options, total=False):
    """What `decrypt` takes by name."""

    fail_on_fingerprint: bool
