# SPDX-License-Identifier: Apache-2.0
"""Which rows a bank computes with, so that sums over two sets of members are never sums of the same rows.

Over its first set a bank uses the rows that the plan says. Over any other set it uses at most four fifths of
them, drawn anew by the system's randomness: then what two sums differ by is not one bank's contribution, but
that and the difference of two draws of all others' rows. The four fifths are drawn once for as long as the
set stays; trees of a smaller fraction draw theirs from them, and counts and losses are of the same ones. A
draw for every tree would not blur: trees whose leaves add nothing leave the gradients as they are, and the
mean of their sums would be that of all rows. This blurs, it does not hide without limit: the plan bounds how
often a set may change, here and in the members' ledgers, and noise is what `privacy` is for.
"""

from __future__ import annotations

import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import Refusal
from hitoku.learning.plan import Plan

__all__ = ["FRESH", "Draws", "drawn"]

FRESH: Final = 0.8


def drawn(rows: int, fraction: float) -> NDArray[np.bool_]:
    """Which of so many rows are chosen, each by itself with this probability (in steps of 2^-16)."""
    coins = np.frombuffer(os.urandom(2 * rows), np.uint16)
    return coins < round(fraction * 65536)


class Draws:
    """One bank's draws.

    Args:
        plan: the signed plan.
        fraction: of the rows that a tree is grown from.
    """

    def __init__(self, plan: Plan, fraction: float) -> None:
        self._fraction, self._changes = fraction, plan.aggregation.changes
        self._first: tuple[str, ...] | None = None
        self._last: tuple[str, ...] | None = None
        self._changed = 0
        self._stay: NDArray[np.bool_] | None = None
        """The four fifths for the present set."""
        self._kept: dict[str, tuple[object, NDArray[np.bool_]]] = {}

    def over(self, members: tuple[str, ...], fresh: bool) -> None:
        """Note over which set the next sum opens.

        Raises:
            Refusal: another set than the first one without fresh rows, or too many changes.
        """
        if self._first is None:
            self._first = members
        if members != self._first and not fresh:
            raise Refusal(
                "LEARNING_NOT_FRESH",
                "the set of members is another one than at the start of the run; its rows must be drawn anew",
                rule="aggregation",
                remedy="the driver asks for fresh rows after the set changed",
            )
        if self._last is not None and members != self._last:
            if self._changed >= self._changes:
                raise Refusal(
                    "LEARNING_SET_CHANGES",
                    f"the set of members has changed {self._changes} times, as often as the plan allows",
                    rule="aggregation.changes",
                    remedy="end the run with the model it has, or agree on a new plan",
                )
            self._changed += 1
        if members != self._last:
            self._stay = None
        self._last = members

    def rows(
        self, what: str, key: object, rows: NDArray[np.bool_], *, fresh: bool, whole: bool = False
    ) -> NDArray[np.bool_]:
        """Those of `rows` that count: the same ones as the last time for the same key.

        Args:
            what: the kind of sum; each keeps its last draw.
            key: of the draw, such as tree and set: asking again does not draw again.
            rows: those that could count.
            fresh: whether the set is another one than at the start.
            whole: whether the plan's fraction is for other sums.
        """
        fraction = 1.0 if whole else self._fraction
        if fresh:
            if self._stay is None or len(self._stay) != len(rows):
                self._stay = drawn(len(rows), FRESH)
            rows, fraction = rows & self._stay, fraction / FRESH
        if fraction >= 1:
            return rows
        kept = self._kept.get(what)
        if kept is None or kept[0] != (key, fresh):
            kept = ((key, fresh), drawn(len(rows), fraction))
            self._kept[what] = kept
        return rows & kept[1]
