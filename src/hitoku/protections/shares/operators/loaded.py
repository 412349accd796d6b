# SPDX-License-Identifier: Apache-2.0
"""What the operators take and give: shared columns of uploads, shared columns of results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hitoku.protections.shares.operators.layout import ColumnLayout

__all__ = ["BranchResult", "Loaded", "ResultColumn"]


@dataclass
class Loaded:
    """This party's shares of all uploads. `execute` empties it.

    Attributes:
        rows: by table, the validity bit of its rows (``u8``).
        ring: by leaf, ring elements (``r64``, ``r128``); of leaves that have them; a NULL is 0.
        words: by leaf, words of the least kind that holds ``type.bits``; of leaves that have them; NULL is 0.
        valid: by leaf, whether a value is not NULL (``u8``); of leaves whose type is nullable.
        dictionaries: by name, one ``u64`` vector for each 8 bytes of the entries: the bytes of a text in
            order, the first being the most significant (so words compare as texts do), zeros behind.
    """

    rows: dict[str, Any]
    ring: dict[str, Any] = field(default_factory=dict)
    words: dict[str, Any] = field(default_factory=dict)
    valid: dict[str, Any] = field(default_factory=dict)
    dictionaries: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultColumn:
    """A column of released rows, still shared.

    Attributes:
        layout: its name, type, and what the vectors are.
        vectors: as `layout.kinds` says.
        valid: a bit; None where `layout.nullable` is false.
    """

    layout: ColumnLayout
    vectors: tuple[Any, ...]
    valid: Any | None

    @property
    def name(self) -> str:
        """The column's name: ``o1``, ``g1``, ``a1``..."""
        return self.layout.name


@dataclass(frozen=True)
class BranchResult:
    """The released rows of one branch.

    Attributes:
        rows: how many; the servers learned it.
        columns: in the order of `Branch.opened`.
    """

    rows: int
    columns: tuple[ResultColumn, ...]
