# SPDX-License-Identifier: Apache-2.0
"""One plan at one degree: the least precision that keeps the tolerance, judged by the interpreters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from hitoku.hazmat.ring import MAX_BITS, ParameterError, find_primes
from hitoku.inference.arrays import Floats
from hitoku.inference.circuit import CircuitError, Program, Release
from hitoku.inference.interpreters import noise, ranges
from hitoku.inference.interpreters.ring import RingShape
from hitoku.inference.layouts.chain import Scaling, Sketch, write
from hitoku.inference.layouts.stages import Stage
from hitoku.inference.layouts.writer import Ring

__all__ = [
    "FLOOD_BITS",
    "HEADROOM",
    "SHARE",
    "SIGMAS",
    "WORK",
    "Attempt",
    "Found",
    "Layout",
    "Task",
    "observed",
]

HEADROOM: Final = 2.0
"""Values may be so many times as large as any seen in calibration."""
SHARE: Final = 1 / 3
SIGMAS: Final = 6.0
"""A normal error is larger once in 5e8; a request has some 4e4 scores."""
FLOOD_BITS: Final = 8.0
"""Bits by which the flooding noise should exceed the circuit's largest, where primes leave the room."""
WORK: Final = range(12, 47)
"""Bits of precision that are tried."""


class Layout(Protocol):
    """What a search asks of a layout: `objectives.Throughput` or `objectives.Latency`.

    Attributes:
        name: ``throughput`` or ``latency``.
        degrees: ring degrees that may be tried, smallest first.
        switches: whether every circuit has key switches; else only those with products.
        widths: bits of the largest prime that are tried.
    """

    @property
    def name(self) -> str:
        """The objective."""
        ...

    @property
    def degrees(self) -> Sequence[int]:
        """Smallest first."""
        ...

    @property
    def switches(self) -> bool:
        """See the class."""
        ...

    @property
    def widths(self) -> Sequence[float]:
        """See the class."""
        ...

    def growth(self, degree: int, scaling: Scaling, /) -> list[float]:
        """For each stage the factor by which a linear map multiplies the scale."""
        ...

    def program(self, scaling: Scaling, ring: Ring) -> Program:
        """The circuit."""
        ...

    def ranges(self, program: Program, scaling: Scaling, ring: Ring, /) -> ranges.Ranges:
        """Ranges of the circuit's values, seen on calibration samples."""
        ...

    def error(self, program: Program, shape: RingShape, predicted: float, /) -> float:
        """The typical error of a score before flooding, where the layout knows better than the prediction."""
        ...

    def cost(self, program: Program, shape: RingShape) -> float:
        """Predicted milliseconds of a circuit for one sample."""
        ...


@dataclass(frozen=True)
class Task:
    """The network to find a ring for.

    Attributes:
        parts: its stages.
        sizes: typical values (root mean square) after each stage.
        tops: the largest values seen after each stage.
        tolerance: the largest error of a score, in the scores' own unit.
    """

    parts: tuple[Stage, ...]
    sizes: tuple[float, ...]
    tops: tuple[float, ...]
    tolerance: float


@dataclass(frozen=True)
class Found:
    """A circuit with the ring that it fits.

    Attributes:
        program: the circuit, what is released settled.
        ring: its numbers.
        scaling: the plan.
        error: the predicted typical error of a score before flooding.
        flood: bits of the flooding noise's amplitude.
        distance: by how many bits that exceeds the circuit's own noise, both as typical in a slot; what it
            hides at worst, the report says.
        cost: predicted milliseconds a sample.
        tried: sentences: what else was looked at and why it lost.
    """

    program: Program
    ring: Ring
    scaling: Scaling
    error: float
    flood: int
    distance: float
    cost: float
    tried: tuple[str, ...] = ()

    @property
    def shape(self) -> RingShape:
        """The ring for interpreters."""
        return RingShape(self.ring.degree, self.ring.primes, self.ring.special)


class Attempt:
    """One degree and one plan; precision is still open."""

    def __init__(self, task: Task, layout: Layout, degree: int, plan: Scaling) -> None:
        """`plan` has precisions relative to that of values before activations."""
        self._task, self._layout, self._degree, self._plan = task, layout, degree, plan

    def words(self) -> str:
        """What the plan does, for people."""
        if self._plan.early and self._plan.late:
            return "primes dropped after linear maps and activations"
        return f"primes dropped after {'activations' if self._plan.early else 'linear maps'}"

    def scaling(self, work: float, slack: float = 0.0) -> Scaling:
        """The plan at a precision."""
        # A plain constant's rounding is some sqrt(N / 12) of its scale, the noise of a dropped prime some
        # 20 times that: equal shares of the error want some 4 bits less.
        plain = max(work - 8.0, 8.0)
        return replace(self._plan, work=work, fresh=work + self._plan.fresh, plain=plain, slack=slack)

    def sketch(self, scaling: Scaling) -> Sketch:
        """Which primes it takes."""
        growth = self._layout.growth(self._degree, scaling)
        tops = [HEADROOM * top for top in self._task.tops]
        last = scaling.work + 2.0 - math.log2(self._task.tops[-1])
        made = Sketch(growth, tops, scaling, last)
        write(self._task.parts, self._task.sizes, scaling, made)
        return made

    def ring(self, scaling: Scaling) -> Ring | None:
        """The ring for a plan; None where the security table forbids it."""
        sketch = self.sketch(scaling)
        base, drops = sketch.base(), sketch.drops[::-1]
        bits = [min(math.ceil(b), 50) for b in base] + [min(max(round(b), 20), 50) for b in drops]
        switches = sketch.products > 0 or self._layout.switches
        special = min(max(bits) + 1, 50) if switches else 20
        left = MAX_BITS[self._degree] - sum(bits)
        if left < special:
            # A smaller special prime means noisier key switching, which the noise interpreter judges.
            special = left
            if special < min(max(bits), 20 if not switches else 60):
                return None
        try:
            *primes, special_prime = find_primes(self._degree, [*bits, special])
        except ParameterError:
            return None
        return Ring(self._degree, tuple(primes), special_prime, tuple(sketch.counts))

    def hopeless(self, best: Found, seen: set[tuple[int, ...]]) -> bool:
        """Whether it is dearer than the best even with a little less precision, or the same as one before."""
        scaling = self.scaling(max(best.scaling.work - 2, WORK[0]))
        ring = self.ring(scaling)
        if ring is None or (*ring.primes, -1, *ring.counts) in seen:
            return True
        seen.add((*ring.primes, -1, *ring.counts))
        try:
            program = self._layout.program(scaling, ring)
            cost = self._layout.cost(program, RingShape(ring.degree, ring.primes, ring.special))
        except CircuitError:
            return True
        return cost > 1.03 * best.cost

    def least(self, of: range) -> Found | None:
        """The least precision that is enough, then more of it where that is free."""
        low, high = of[0], of[-1] + 1
        found: Found | None = None
        while low < high:
            middle = (low + high) // 2
            ring = self.ring(self.scaling(middle))
            if ring is None:
                high = middle
                continue
            made = self._judge(self.scaling(middle))
            if made is None:
                low = middle + 1
            else:
                found, high = made, middle
        return None if found is None else self._widened(found)

    def _widened(self, found: Found) -> Found:
        while found.distance < FLOOD_BITS:
            more = max(1.0, min(4.0, math.floor(FLOOD_BITS - found.distance)))
            better = None
            while more >= 1.0 and better is None:
                scaling = self.scaling(found.scaling.work + more, found.scaling.slack)
                ring = self.ring(scaling)
                if ring is not None and len(ring.primes) == len(found.ring.primes):
                    better = self._judge(scaling)
                more = math.floor(more / 2)
            if better is None or better.distance <= found.distance:
                return found
            found = better
        return found

    def _judge(self, scaling: Scaling) -> Found | None:
        """The circuit for a plan if its error and its ranges are good enough; widens the last prime."""
        for _ in range(3):
            ring = self.ring(scaling)
            if ring is None:
                return None
            try:
                program = self._layout.program(scaling, ring)
                made, missing = _measured(self._task, self._layout, program, ring, scaling)
            except CircuitError:
                return None
            if missing <= 0.0:
                return made
            scaling = replace(scaling, slack=scaling.slack + math.ceil(missing))
        return None


def _measured(
    task: Task, layout: Layout, program: Program, ring: Ring, scaling: Scaling
) -> tuple[Found | None, float]:
    """The finished circuit, or None where its error is too large; and bits missing in the modulus."""
    shape = RingShape(ring.degree, ring.primes, ring.special)
    seen = layout.ranges(program, scaling, ring)
    found = noise.find(program, shape, seen)
    index = program.outputs["scores"]
    arg = program.nodes[index].args[0]
    scale = found.scales[arg]
    error = layout.error(program, shape, math.sqrt(float(found.square[arg].max()) / 2) / scale)
    if SIGMAS * error > SHARE * task.tolerance:
        return None, 0.0
    flood = math.floor(math.log2(SHARE * task.tolerance * scale / (SIGMAS * math.sqrt(ring.degree / 6))))
    level = program.nodes[arg].level
    program = program.with_releases({"scores": Release(level, max(flood, 0))})
    missing = _missing(program, shape, seen.widened(HEADROOM), noise.find(program, shape, seen))
    # Both are taken as what a slot shows: the noise's root mean square there, before and after flooding.
    typical = max(math.sqrt(2) * error * scale, 1.0)
    distance = flood + math.log2(ring.degree / 3) / 2 - math.log2(typical)
    cost = layout.cost(program, shape) if missing <= 0.0 else math.inf
    return Found(program, ring, scaling, error, max(flood, 0), distance, cost), missing


def _missing(program: Program, shape: RingShape, widened: ranges.Ranges, found: noise.Noise) -> float:
    """Bits by which the modulus is too small at the tightest operation; negative: room."""
    worst = -math.inf
    for index, node in enumerate(program.nodes):
        need = ranges.needed_bits(widened, index, found.scales[index], float(found.worst[index].max()))
        worst = max(worst, need - sum(math.log2(p) for p in shape.primes[: node.level]))
    return worst


def observed(
    program: Program, runs: Sequence[Mapping[str, Floats]], samples: int, used: int | None = None
) -> ranges.Ranges:
    """Ranges seen in several runs together.

    Args:
        program: the circuit.
        runs: its inputs, run by run.
        samples: how many samples those are.
        used: how many slots hold samples; None: all.
    """
    seen = [ranges.observed(program, inputs, samples, used) for inputs in runs]
    return ranges.Ranges(
        tuple(min(values) for values in zip(*(s.low for s in seen), strict=True)),
        tuple(max(values) for values in zip(*(s.high for s in seen), strict=True)),
        tuple(np.maximum.reduce(values) for values in zip(*(s.largest for s in seen), strict=True)),
        tuple(np.maximum.reduce(values) for values in zip(*(s.typical for s in seen), strict=True)),
        samples,
    )
