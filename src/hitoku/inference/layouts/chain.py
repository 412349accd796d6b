# SPDX-License-Identifier: Apache-2.0
"""Where scales grow and primes are dropped: the walk through a network that both layouts share.

A real number r stands as r * scale. Every linear map and every product makes scales grow; dropping a prime
divides them. `write` walks the stages once over an `Operations`: over a `Sketch` it costs microseconds and
finds how many primes are dropped where and how many bits each must have; over a layout's own operations, with
primes of those sizes, it writes the circuit. Both walks take the same turns, since they are one function.

When to drop is a plan's choice (`Scaling`): *late* drops after a linear map, before the next activation,
where few ciphertexts are left and two growths go at once; *early* drops after the activation, so that the
linear map works with fewer primes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from hitoku.inference.layouts.polynomial import evaluate
from hitoku.inference.layouts.stages import Linear, Stage

__all__ = ["LARGEST_PRIME_BITS", "SMALLEST_PRIME_BITS", "Operations", "Scaling", "Sketch", "Tracked", "write"]

LARGEST_PRIME_BITS: Final = 49.9
SMALLEST_PRIME_BITS: Final = 22.0
"""There are primes = 1 mod 2N of 20 bits, but so few that they would lie far from the size asked."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A value of the circuit with what its scale is.

    Attributes:
        value: the circuit's value; None in a sketch.
        scale: the integer that stands for 1.0.
        dropped: how many primes were dropped so far.
        parts: 2, or 3 after a product.
    """

    value: Any
    scale: float
    dropped: int
    parts: int = 2


@dataclass(frozen=True)
class Scaling:
    """What a search varies.

    Attributes:
        work: bits of precision of a value (of typical size) that enters an activation.
        fresh: the same of an encrypted input.
        plain: bits of plain constants: diagonals of packed maps, coefficients of polynomials.
        early: drop primes after activations.
        late: drop primes after linear maps.
        spare: where a little more than some whole primes would have to go, how much more (as a part of a
            prime) may stay in the scale instead of taking a prime of its own.
        widest: bits of the largest prime: the fewer, the cheaper are sums of products with weights, which the
            kernel cuts into limbs where they outgrow a word.
        slack: further bits for the last prime, where ranges turned out to need them.
    """

    work: float
    fresh: float
    plain: float
    early: bool = False
    late: bool = True
    spare: float = 0.0
    widest: float = LARGEST_PRIME_BITS
    slack: float = 0.0


class Operations(Protocol):
    """What a layout offers. Scales are followed in `Tracked`; settings of single stages by their number."""

    def input(self) -> Tracked:
        """The encrypted inputs."""
        ...

    def linear(self, number: int, part: Linear, x: Tracked, /) -> Tracked:
        """The linear map `part`, stage `number`."""
        ...

    def square(self, x: Tracked) -> Tracked:
        """X * x, in 3 parts."""
        ...

    def multiply(self, x: Tracked, z: Tracked) -> Tracked:
        """X * z, in 3 parts."""
        ...

    def add(self, x: Tracked, z: Tracked) -> Tracked:
        """X + z; their scales are equal."""
        ...

    def add_constant(self, x: Tracked, constant: float, /) -> Tracked:
        """X + constant in every slot."""
        ...

    def times(self, x: Tracked, constant: float, scale: float, /) -> Tracked:
        """X * constant, the constant a whole number over `scale`."""
        ...

    def relinearise(self, x: Tracked) -> Tracked:
        """Back to 2 parts."""
        ...

    def settle(self, x: Tracked, target: float, /) -> Tracked:
        """Drop primes so that the scale comes near `target`; none where it is near already."""
        ...

    def finish(self, x: Tracked) -> None:
        """The scores: settled for the way to the client, and released."""
        ...


def write(parts: Sequence[Stage], sizes: Sequence[float], scaling: Scaling, operations: Operations) -> None:
    """Walk through the stages.

    Args:
        parts: the network.
        sizes: the typical size (root mean square) of the values after each stage, from calibration.
        scaling: the plan.
        operations: where it is written to.
    """
    x = operations.input()
    for number, part in enumerate(parts):
        if isinstance(part, Linear):
            x = operations.linear(number, part, x)
            continue
        x = operations.relinearise(x)
        if scaling.late:
            x = operations.settle(x, 2.0**scaling.work / sizes[number - 1])
        x = evaluate(operations, x, part, scaling)
        if scaling.early:
            x = operations.settle(operations.relinearise(x), 2.0**scaling.work / sizes[number])
    operations.finish(operations.relinearise(x))


@dataclass
class Sketch:
    """Operations without a circuit: only scales and primes.

    Args:
        growth: for each stage the factor by which a linear map multiplies the scale.
        tops: for each stage the largest value after it, margin included.
        scaling: the plan.
        last: bits that the scores' scale should have at least when they leave.
    """

    growth: Sequence[float]
    tops: Sequence[float]
    scaling: Scaling
    last: float
    drops: list[float] = field(default_factory=list)
    """Bits of each prime dropped, first dropped first."""
    counts: list[int] = field(default_factory=list)
    """How many primes each `settle` dropped, in the order of calls, and `finish` as the last."""
    needs: list[tuple[int, float]] = field(default_factory=list)
    """Primes dropped so far, and bits that the modulus must have there."""
    products: int = 0

    def input(self) -> Tracked:
        """See `Operations`."""
        return Tracked(None, 2.0**self.scaling.fresh, 0)

    def linear(self, number: int, _part: Linear, x: Tracked) -> Tracked:
        """See `Operations`."""
        x = replace(x, scale=x.scale * self.growth[number])
        self._need(x, self.tops[number])
        return x

    def square(self, x: Tracked) -> Tracked:
        """See `Operations`."""
        return self.multiply(x, x)

    def multiply(self, x: Tracked, z: Tracked) -> Tracked:
        """See `Operations`."""
        self.products += 1
        made = Tracked(None, x.scale * z.scale, max(x.dropped, z.dropped), 3)
        self._need(made, 1.0)
        return made

    def add(self, x: Tracked, z: Tracked) -> Tracked:
        """See `Operations`."""
        return Tracked(None, x.scale, max(x.dropped, z.dropped), max(x.parts, z.parts))

    def add_constant(self, x: Tracked, _constant: float) -> Tracked:
        """See `Operations`."""
        return x

    def times(self, x: Tracked, _constant: float, scale: float) -> Tracked:
        """See `Operations`."""
        return replace(x, scale=x.scale * scale)

    def relinearise(self, x: Tracked) -> Tracked:
        """See `Operations`."""
        return replace(x, parts=2)

    def settle(self, x: Tracked, target: float) -> Tracked:
        """See `Operations`."""
        before = x.dropped
        while x.dropped < len(self.drops):
            # A branch of a polynomial whose primes another branch has sized.
            left = math.log2(x.scale / target)
            if left < self.drops[x.dropped] / 2:
                break
            x = replace(x, scale=x.scale / 2.0 ** self.drops[x.dropped], dropped=x.dropped + 1)
        if x.dropped == len(self.drops):
            bits = math.log2(x.scale / target)
            over = bits % self.scaling.widest
            if self.scaling.widest < bits and over < self.scaling.spare * self.scaling.widest:
                bits -= over
            x = self._drop(x, bits)
        self.counts.append(x.dropped - before)
        return x

    def finish(self, x: Tracked) -> None:
        """See `Operations`."""
        before = x.dropped
        top = math.log2(self.tops[-1]) + 1.0 + self.scaling.slack
        if math.log2(x.scale) + top > self.scaling.widest or (
            math.log2(x.scale) - self.last >= SMALLEST_PRIME_BITS
        ):
            least = math.log2(x.scale) + top - self.scaling.widest
            wanted = math.log2(x.scale) - min(self.last, self.scaling.widest - top)
            x = self._drop(x, max(wanted, least, SMALLEST_PRIME_BITS), max(least, 1.0))
        self.counts.append(x.dropped - before)
        self._need(x, self.tops[-1] * 2.0**self.scaling.slack)

    def _drop(self, x: Tracked, bits: float, least: float = 0.0) -> Tracked:
        """Drop so many bits, or less (`least` at least) where that saves a prime that is too small."""
        count = math.ceil(bits / self.scaling.widest)
        if count > 0 and bits / count < SMALLEST_PRIME_BITS:
            count = max(count - 1, math.ceil(least / self.scaling.widest))
            bits = max(min(bits, count * self.scaling.widest), count * SMALLEST_PRIME_BITS if least else 0.0)
        if count < 1 or bits / count < SMALLEST_PRIME_BITS:
            return x
        self.drops += [bits / count] * count
        return replace(x, scale=x.scale / 2.0**bits, dropped=x.dropped + count)

    def _need(self, x: Tracked, top: float) -> None:
        self.needs.append((x.dropped, math.log2(max(x.scale * top, 1.0)) + 1.0))

    def base(self) -> list[float]:
        """Bits of the primes that are never dropped."""
        short = max(need - sum(self.drops[dropped:]) for dropped, need in self.needs)
        bits = max(short, SMALLEST_PRIME_BITS)
        count = math.ceil(bits / self.scaling.widest)
        if bits / count < SMALLEST_PRIME_BITS:
            count -= 1
        return [bits / count] * count

    def bits(self) -> list[float]:
        """Bits of all primes in the ring's order: the last is dropped first."""
        return self.base() + self.drops[::-1]
