# SPDX-License-Identifier: Apache-2.0
"""The four settings of encrypted columns that all owners of a room must share (AWS C3R's, in snake case)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Settings"]


class Settings(BaseModel):
    """What the encrypted tables of a room may look like. All false is the high-assurance setting.

    Attributes:
        allow_cleartext: columns may be shared in clear.
        allow_duplicates: a fingerprint column may hold one value twice.
        allow_joins_on_columns_with_different_names: one fingerprint key for all columns, not one a header.
        preserve_nulls: NULLs stay NULL in encrypted columns, so their rows can be told.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    allow_cleartext: bool = False
    allow_duplicates: bool = False
    allow_joins_on_columns_with_different_names: bool = False
    preserve_nulls: bool = False

    @classmethod
    def high_assurance(cls) -> Settings:
        """The strictest settings: nothing in clear, nothing twice, nothing told by NULLs."""
        return cls()
