# SPDX-License-Identifier: Apache-2.0
"""A server's own draws of noise: exact, in whole numbers, from the system's randomness, each used once."""

from __future__ import annotations

from array import array
from typing import Any, Protocol

from hitoku.disclosure.three import own_scale

__all__ = ["Draws", "OwnDraws"]


class Draws(Protocol):
    """Where a server's addends to noised figures come from."""

    def take(self, scale: int, count: int) -> array[int]:
        """So many fresh draws; `scale` is the sigma that any two servers' draws have together."""
        ...


class OwnDraws:
    """Discrete Gaussian draws by `opendp`; `hitoku.disclosure.three` has the argument for their scale."""

    def __init__(self) -> None:
        self._mechanisms: dict[int, Any] = {}

    def take(self, scale: int, count: int) -> array[int]:
        """So many fresh draws of variance ``scale**2 / 2`` or a little more."""
        if scale not in self._mechanisms:
            import opendp.prelude as dp

            # Opens the mechanisms of opendp that nobody outside it has vetted yet; the Gaussian is one.
            dp.enable_features("contrib")
            space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
            self._mechanisms[scale] = space >> dp.m.then_gaussian(scale=own_scale(scale))
        return array("q", self._mechanisms[scale]([0] * count) if count else [])
