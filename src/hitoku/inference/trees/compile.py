# SPDX-License-Identifier: Apache-2.0
"""From a forest to what a server and its clients need: bits, layout, ring, specification."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from hitoku.hazmat.ring import Parameters
from hitoku.inference.arrays import Floats
from hitoku.inference.circuit import Program
from hitoku.inference.errors import ModelError
from hitoku.inference.plan import Plan
from hitoku.inference.search import SHARE
from hitoku.inference.specification import ClientSpec, Scores
from hitoku.inference.trees import latency, leaves, throughput
from hitoku.inference.trees.bits import Thermometer, questions_of, thermometer_of
from hitoku.inference.trees.branches import Branch, depth, of_output, shapes
from hitoku.inference.trees.choosing import Chosen, Need, for_latency, for_throughput
from hitoku.inference.trees.forest import Forest
from hitoku.inference.trees.placement import Placement, place
from hitoku.inference.trees.thermometer import ThermometerEncoder

__all__ = ["compile_forest"]

_SLOTS: Final = (4096, 8192, 16384)
_RUNS: Final = 4
_MOST_REQUEST_BYTES: Final = 4 << 30
_LEAST_SAMPLES: Final = 8


def compile_forest(
    forest: Forest,
    calibration: ArrayLike,
    objective: Literal["throughput", "latency"] = "throughput",
    tolerance: float = 0.01,
    *,
    bins: Mapping[int, ArrayLike] | None = None,
) -> Plan:
    """Compile a forest for predictions on encrypted inputs.

    Args:
        forest: the model.
        calibration: samples [n, features] like those that will be asked, 8 at least.
        objective: ``throughput`` (as many samples a request as slots) or ``latency`` (one sample, soon).
        tolerance: the largest error of a score, relative to the largest of the calibration samples.
        bins: public thresholds by feature; None: the model's own, which clients then know as a set.

    Raises:
        ModelError: the samples cannot be used (``CALIBRATION``), the trees are too many, too deep or have too
            many thresholds (``TOO_LARGE``), or no ring fits (``NO_PARAMETERS``).
    """
    samples = np.asarray(calibration)
    if samples.ndim != 2 or len(samples) < _LEAST_SAMPLES:
        raise ModelError(
            "CALIBRATION",
            f"needs {_LEAST_SAMPLES} samples at least, as rows of an array",
            where="calibration",
        )
    top = float(np.abs(forest.scores(samples)).max())
    if top == 0.0:
        raise ModelError("CALIBRATION", "has the score 0 for every calibration sample", where="calibration")
    trees, base = shapes(forest)
    if not trees:
        raise ModelError("VALUE", "asks nothing: every sample has the same scores", where="forest")
    low, high = forest.bounds()
    need = Need(float(np.maximum(-low, high).max()), tolerance * top)
    bits = thermometer_of(forest, trees, bins, double=objective == "latency")
    work = _Work(forest, trees, base, need, bits, samples)
    program, ring, encoder, notes = _throughput(work) if objective == "throughput" else _latency(work)
    params = Parameters(ring.ring.degree, ring.ring.primes, ring.ring.special)
    scores = Scores(
        columns=forest.outputs,
        largest=need.largest + need.tolerance,
        tolerance=need.tolerance,
        names=forest.labels if len(forest.labels) == forest.outputs else (),
        post=forest.post,
    )
    name = forest.source or "forest"
    runs, count = work.inputs(encoder.slots, encoder.layout)
    return Plan(
        name=name,
        objective=objective,
        program=program,
        params=params,
        client=ClientSpec.of(name, program, params, encoder, scores),
        tolerance=need.tolerance,
        why=_why(ring, need),
        notes=(*_learned(work), *notes),
        calibration=runs,
        samples=count,
    )


@dataclass(frozen=True)
class _Work:
    forest: Forest
    trees: list[Branch]
    base: Floats
    need: Need
    bits: Thermometer
    samples: Any

    def inputs(
        self, slots: int, layout: Literal["batch", "packed"]
    ) -> tuple[tuple[dict[str, Floats], ...], int]:
        """Calibration samples as inputs of a circuit, one for each run, and how many they are."""
        encoder = ThermometerEncoder(self.bits, slots, layout)
        if layout == "batch":
            # Repeated: slots without a sample would hold bits that no sample has.
            some = np.resize(self.samples, (slots, self.samples.shape[1]))
            return ({"x": encoder.encode(some)},), min(slots, len(self.samples))
        few = min(_RUNS, len(self.samples))
        return tuple({"x": encoder.encode(self.samples[at : at + 1])} for at in range(few)), few


def _throughput(work: _Work) -> tuple[Program, Chosen, ThermometerEncoder, tuple[str, ...]]:
    outputs = []
    for number in range(work.forest.outputs):
        trees, constant = of_output(work.trees, number)
        outputs.append((trees, float(work.base[number]) + constant))
    # A leaf below a lowest branch is rounded by half a unit at most, and each tree adds one. A tenth of what
    # rounding may take: finer units cost few bits, since all trees share them.
    most = max(len(trees) for trees, _ in outputs)
    unit = 2.0 ** math.floor(math.log2(0.2 * SHARE * work.need.tolerance / max(most, 1)))
    deepest = max((depth(tree) for trees, _ in outputs for tree in trees), default=1)
    chosen = for_throughput(
        deepest,
        unit,
        work.need,
        lambda sizes: throughput.write(outputs, work.bits, sizes),
        lambda slots: work.inputs(slots, "batch"),
    )
    held = 2 * work.bits.bits * len(chosen.ring.primes) * chosen.ring.degree * 8
    if held > _MOST_REQUEST_BYTES:
        raise ModelError(
            "TOO_LARGE",
            f"needs {work.bits.bits:,} bits a sample: a request would fill {held / 2**30:.0f} GB of memory, "
            f"{_MOST_REQUEST_BYTES >> 30} can be",
            where="forest",
            remedy="train with fewer bins (max_bin=32), or compile with objective='latency'",
        )
    encoder = ThermometerEncoder(work.bits, chosen.ring.degree // 2, "batch")
    notes = (
        f"leaves are rounded to multiples of {unit:.3g}, sums of {most} trees move by {unit * most / 2:.2g}",
    )
    return chosen.program, chosen, encoder, notes


def _latency(work: _Work) -> tuple[Program, Chosen, ThermometerEncoder, tuple[str, ...]]:
    rows, constant = leaves.rows(work.trees, work.bits, work.forest.outputs)
    degree = latency.degree_of(rows)
    places: dict[int, Placement] = {}

    def write(sizes: latency.Sizes, level: int) -> Program:
        if sizes.slots not in places:
            needs = [frozenset(row.bits) for row in rows]
            places[sizes.slots] = place(needs, work.bits.bits, sizes.slots)
        return latency.write(rows, work.base + constant, places[sizes.slots], degree, level, sizes)

    chosen = for_latency(degree, _SLOTS, work.need, write, lambda slots: work.inputs(slots, "packed"))
    slots = chosen.ring.degree // 2
    where = places[slots]
    note = (
        f"{len(rows)} leaves stand in {where.groups} ciphertexts of {slots} slots; {len(where.steps)} "
        "rotations and plain products bring them their bits"
    )
    return chosen.program, chosen, ThermometerEncoder(work.bits, slots, "packed"), (note,)


def _learned(work: _Work) -> tuple[str, ...]:
    """What a client learns of the model, and what it does not."""
    known = work.bits.learned()
    asked = len(questions_of(work.trees))
    told = (
        f"clients learn {known['bits']} bits' meanings: bins and categories of {known['features used']} "
        f"of {known['features']} features; of the {asked} questions and {len(work.trees)} trees neither "
        "which bit is asked where, nor how often, nor the leaves"
    )
    rest = "whoever asks often can rebuild much of any model from its scores: limit requests and round scores"
    return told, rest


def _why(chosen: Chosen, need: Need) -> tuple[str, ...]:
    ring = chosen.ring
    sizes = ", ".join(f"{math.log2(p):.0f}" for p in ring.primes)
    total = sum(math.log2(p) for p in (*ring.primes, ring.special))
    last = math.log2(ring.primes[0]) - chosen.flood - 1
    ring_ = (
        f"degree {ring.degree}: {total:.0f} bits of primes ({sizes}, special {math.log2(ring.special):.0f}) "
        "keep 128 bits of security"
    )
    error = (
        f"the typical error of a score is {chosen.error:.2g} before flooding; {need.tolerance:.2g} is allowed"
    )
    flood = (
        f"flooding noise of 2^{chosen.flood} a coefficient exceeds the circuit's typical noise by "
        f"{chosen.typical:.1f} bits, and the largest that can be by {chosen.distance:.1f} (below 40 bits it "
        "hides by rounding, without a proof)"
    )
    tight = (
        f"the last prime fits scores up to {need.largest:.3g}: whatever a client encrypts, a coefficient of "
        f"the answer tells at most {last:.1f} bits"
    )
    return ring_, error, flood, tight
