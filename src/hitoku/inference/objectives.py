# SPDX-License-Identifier: Apache-2.0
"""The two objectives as the search sees them: each layout with its calibration inputs and costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.circuit import Program
from hitoku.inference.errors import ModelError
from hitoku.inference.interpreters import plain, simulate
from hitoku.inference.interpreters.ranges import Ranges
from hitoku.inference.interpreters.ring import RingShape
from hitoku.inference.layouts import batch, packed
from hitoku.inference.layouts.chain import LARGEST_PRIME_BITS, Scaling
from hitoku.inference.layouts.packed_moves import Gather, Placement, power_of_two
from hitoku.inference.layouts.stages import Ints, Linear, Stage
from hitoku.inference.layouts.writer import Ring
from hitoku.inference.search import observed

__all__ = ["Latency", "Throughput"]

DEGREES: Final = (2048, 4096, 8192, 16384, 32768)
_RUNS: Final = 6
"""Samples that a packed circuit is run on to see its ranges: one run each."""
_SIMULATED: Final = 3
_LEAST_DEGREE: Final = 1024

Cost = Callable[[Program, RingShape], float]


@dataclass(frozen=True)
class Throughput:
    """One feature a ciphertext, as many samples as slots.

    Attributes:
        parts: the network, weights in whole numbers.
        sizes: typical values after each stage.
        samples: calibration samples [n, values], scaled to [-1, 1].
        run_cost: predicted milliseconds of one run of a circuit.
    """

    parts: tuple[Stage, ...]
    sizes: tuple[float, ...]
    samples: Floats
    run_cost: Cost
    name: str = "throughput"
    degrees: tuple[int, ...] = DEGREES
    switches: bool = False
    widths: tuple[float, ...] = (LARGEST_PRIME_BITS, 44.0, 40.0, 36.0)
    _seen: dict[tuple[int, ...], Ranges] = field(default_factory=dict, repr=False)

    def growth(self, _degree: int, _scaling: Scaling) -> list[float]:
        """One over each map's unit."""
        return batch.growth(self.parts)

    def program(self, scaling: Scaling, ring: Ring) -> Program:
        """The circuit."""
        return batch.program(self.parts, self.sizes, scaling, ring)

    def inputs(self, slots: int) -> tuple[Sequence[Mapping[str, Floats]], int, int | None]:
        """Up to a ciphertext full of samples, in one run."""
        used = self.samples[:slots]
        x = np.zeros((used.shape[1], slots))
        x[:, : len(used)] = used.T
        return [{"x": x}], len(used), len(used)

    def ranges(self, _program: Program, scaling: Scaling, ring: Ring) -> Ranges:
        """Seen in one run.

        Slots do not meet, so a circuit with fewer of them has the same ranges; values do
        not depend on scales, so neither do ranges.
        """
        key = ring.counts
        if key not in self._seen:
            degree = max(_LEAST_DEGREE, min(ring.degree, 2 * power_of_two(len(self.samples))))
            small = self.program(scaling, replace(ring, degree=degree))
            runs, samples, used = self.inputs(degree // 2)
            self._seen[key] = observed(small, runs, samples, used)
        return self._seen[key]

    def error(self, _program: Program, _shape: RingShape, predicted: float) -> float:
        """As predicted: all slots are alike."""
        return predicted

    def cost(self, program: Program, shape: RingShape) -> float:
        """Milliseconds a sample, all slots filled."""
        return self.run_cost(program, shape) / program.slots


@dataclass(frozen=True)
class Latency:
    """One sample, packed.

    Attributes:
        parts: the network, as `packed.joined` makes it.
        sizes: typical values after each stage.
        samples: calibration samples [n, values], scaled to [-1, 1]; some with the largest scores first.
        run_cost: predicted milliseconds of one run of a circuit.
        worst: an error that is too large in any case.
    """

    parts: tuple[Stage, ...]
    sizes: tuple[float, ...]
    samples: Floats
    run_cost: Cost
    worst: float = math.inf
    name: str = "latency"
    switches: bool = True
    widths: tuple[float, ...] = (LARGEST_PRIME_BITS,)
    _packings: dict[int, packed.Packing | None] = field(default_factory=dict, repr=False)
    _seen: dict[tuple[int, ...], Ranges] = field(default_factory=dict, repr=False)

    def packing(self, slots: int) -> packed.Packing | None:
        """The ways through all maps; None where something does not fit."""
        if slots not in self._packings:
            self._packings[slots] = packed.packing(self.parts, slots)
        return self._packings[slots]

    @property
    def degrees(self) -> tuple[int, ...]:
        """Those at which everything fits the slots.

        Raises:
            ModelError: a layer has more values than the largest ring has slots.
        """
        found = tuple(n for n in DEGREES if self.packing(n // 2) is not None)
        if not found:
            most = DEGREES[-1] // 2
            wide = max(
                (p for p in self.parts if isinstance(p, Linear)), key=lambda p: max(p.size_in, p.size_out)
            )
            raise ModelError(
                "NO_PARAMETERS",
                f"has {max(wide.size_in, wide.size_out):,} values; the largest ring has {most:,} slots",
                where=f'layer "{wide.name}"',
                remedy="compile for throughput, or make the layer smaller (a stride, a pooling before it)",
            )
        return found

    def growth(self, degree: int, scaling: Scaling) -> list[float]:
        """The scales of the maps' plain constants."""
        return packed.growth(self.parts, self._at(degree // 2).moves, scaling)

    def program(self, scaling: Scaling, ring: Ring) -> Program:
        """The circuit."""
        return packed.program(self.parts, self.sizes, self._at(ring.slots), scaling, ring)

    def inputs(self, slots: int) -> tuple[Sequence[Mapping[str, Floats]], int, int | None]:
        """A few samples, one a run."""
        way = self._at(slots)
        return [{"x": way.arrange(x)} for x in self.samples[:_RUNS]], len(self.samples[:_RUNS]), None

    def ranges(self, program: Program, _scaling: Scaling, ring: Ring) -> Ranges:
        """Seen in several runs together; they do not depend on scales."""
        key = (ring.degree, *ring.counts)
        if key not in self._seen:
            runs, samples, used = self.inputs(ring.slots)
            self._seen[key] = observed(program, runs, samples, used)
        return self._seen[key]

    def error(self, program: Program, shape: RingShape, predicted: float) -> float:
        """From simulated runs: the prediction is a mean over slots, and few of them hold scores."""
        if predicted > self.worst:
            return predicted
        at = self._at(shape.degree // 2).output.at
        errors = []
        for number, inputs in enumerate(self.inputs(shape.degree // 2)[0][:_SIMULATED]):
            seen = simulate.run(program, shape, inputs, seed=number)["scores"]
            errors.append((seen - plain.run(program, inputs)["scores"])[0, at])
        return max(predicted, float(np.sqrt(np.square(errors).mean())))

    def cost(self, program: Program, shape: RingShape) -> float:
        """Milliseconds of a run."""
        return self.run_cost(program, shape)

    def indices(self, slots: int) -> Ints:
        """Which value stands in which slot of the input, -1 for a zero: [ciphertexts, slots]."""
        way = self._at(slots)
        first = way.moves[0]
        if isinstance(first, Gather):
            return first.indices
        if not isinstance(way.input, Placement):
            raise ValueError("a packing without an input")
        return np.tile(way.input.inverse(), slots // way.input.period)[None, :]

    def _at(self, slots: int) -> packed.Packing:
        found = self.packing(slots)
        if found is None:
            raise ValueError("the layers do not fit the slots")
        return found
