# SPDX-License-Identifier: Apache-2.0
"""The operations of `chain` that both layouts write in the same way, over the circuit's builder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hitoku.inference.circuit import Builder
from hitoku.inference.layouts.chain import Tracked

__all__ = ["Ring", "Writer"]


@dataclass(frozen=True)
class Ring:
    """The numbers of a ring and the turns that were found for it.

    Attributes:
        degree: N; a ciphertext has N/2 slots.
        primes: the data primes; the last is dropped first.
        special: the prime of the key-switching keys.
        counts: how many primes each settling drops, in the order of the walk (`chain.Sketch.counts`).
    """

    degree: int
    primes: tuple[int, ...]
    special: int
    counts: tuple[int, ...]

    @property
    def slots(self) -> int:
        """Real numbers in a ciphertext."""
        return self.degree // 2


class Writer:
    """Writes products, sums and rescaling; a layout adds inputs, linear maps and what is released."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.builder = Builder(ring.slots)
        self._counts = iter(ring.counts)

    def square(self, x: Tracked) -> Tracked:
        """X * x, in 3 parts."""
        return Tracked(self.builder.square(x.value), x.scale * x.scale, x.dropped, 3)

    def multiply(self, x: Tracked, z: Tracked) -> Tracked:
        """X * z, in 3 parts."""
        value = self.builder.multiply(x.value, z.value)
        return Tracked(value, x.scale * z.scale, max(x.dropped, z.dropped), 3)

    def add(self, x: Tracked, z: Tracked) -> Tracked:
        """X + z."""
        value = self.builder.add(x.value, z.value)
        return Tracked(value, x.scale, max(x.dropped, z.dropped), max(x.parts, z.parts))

    def add_constant(self, x: Tracked, constant: float) -> Tracked:
        """X + constant in every slot."""
        return replace(x, value=self.builder.add_plain(x.value, constant))

    def times(self, x: Tracked, constant: float, scale: float) -> Tracked:
        """X * constant."""
        value = self.builder.multiply_plain(x.value, constant, scale)
        return replace(x, value=value, scale=x.scale * scale)

    def relinearise(self, x: Tracked) -> Tracked:
        """Back to 2 parts."""
        return replace(x, value=self.builder.relinearise(x.value), parts=2)

    def settle(self, x: Tracked, _target: float) -> Tracked:
        """Drop as many primes as the sketch did here."""
        return self._completed(self._rescaled(x, next(self._counts)))

    def finish(self, x: Tracked) -> None:
        """Release the scores with as few primes as are left."""
        x = self._completed(self._rescaled(x, next(self._counts)))
        self.builder.output("scores", x.value, level=x.value.level)

    def _completed(self, x: Tracked) -> Tracked:
        """What a layout left to be done at the smaller scale."""
        return x

    def _rescaled(self, x: Tracked, count: int) -> Tracked:
        value: Any = x.value
        scale = x.scale
        for _ in range(count):
            scale /= self.ring.primes[value.level - 1]
            value = self.builder.rescale(value)
        return Tracked(value, scale, x.dropped + count, x.parts)

    def inputs_level(self) -> int:
        """All primes."""
        return len(self.ring.primes)


def bias_of(values: Sequence[float]) -> Sequence[float] | None:
    """None where a bias is zero everywhere: adding it would cost a pass."""
    return values if any(values) else None
