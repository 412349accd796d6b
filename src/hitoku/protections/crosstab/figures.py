# SPDX-License-Identifier: Apache-2.0
"""What a run ends with: the noised cross table that both members hold."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hitoku.errors import InputError

__all__ = ["Figures"]


@dataclass(frozen=True, slots=True)
class Figures:
    """The noised table, equal on both sides.

    Attributes:
        counts: persons of each cell, with noise; may be negative. Cell ``(a, b)`` is ``a * groups_b + b``.
        sums: the cells of each sum, in units of its last decimal, with noise.
    """

    counts: list[int]
    sums: tuple[list[int], ...]

    def dump(self) -> bytes:
        """As JSON."""
        return json.dumps({"counts": self.counts, "sums": self.sums}).encode()

    @classmethod
    def load(cls, data: bytes) -> Figures:
        """What `dump` gave.

        Raises:
            InputError: it is something else.
        """
        try:
            found = json.loads(data)
            counts, sums = list(found["counts"]), tuple(list(cells) for cells in found["sums"])
        except (ValueError, KeyError, TypeError):
            counts, sums = [None], ()
        if not all(type(cell) is int for cells in (counts, *sums) for cell in cells):
            raise InputError("the stored figures of the run are damaged")
        return cls(counts, sums)
