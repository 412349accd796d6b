# SPDX-License-Identifier: Apache-2.0
"""Finds a ring for a forest's circuit: degree, primes, scales, flooding.

Both layouts have closed forms for what their scales need, so a search only walks through few candidates,
cheapest first. The last prime is made as tight as the range of honest scores allows. That range is a proof
(sums of the trees' lowest and highest leaves), so an honest input never overflows, and whatever a hostile one
makes of the polynomial wraps around in the same range: it gets log2(last prime / flooding) bits a
coefficient and no more.

The tolerance is shared as in `inference.search`: a third to rounding of leaves, a third to noise, a third to
flooding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hitoku.hazmat.ring import MAX_BITS, ParameterError, find_primes, nearest_primes
from hitoku.inference.arrays import Floats
from hitoku.inference.circuit import Program, Release
from hitoku.inference.errors import ModelError
from hitoku.inference.interpreters import noise, ranges
from hitoku.inference.interpreters.ring import RingShape
from hitoku.inference.search import FLOOD_BITS, SHARE, SIGMAS, observed
from hitoku.inference.trees import latency, throughput

__all__ = ["Chosen", "Need", "for_latency", "for_throughput"]

Inputs = Callable[[int], tuple[Sequence[Mapping[str, Floats]], int]]
"""For a number of slots calibration samples as a circuit's inputs, run by run, and how many they are."""

_DEGREES: Final = (4096, 8192, 16384, 32768)
_LARGEST: Final = 49.9
_SMALLEST: Final = 24.0
_SPECIAL: Final = (50, 45, 40, 35, 30, 25)
_MARGIN: Final = 1.01
_MOST_SCALE: Final = 45.0
_LEAST_SCALE: Final = 18.0
_LEAF_BITS: Final = 21.0
"""A leaf value's rounding in a plaintext is 2^5 units a slot, and thousands of slots are added up."""
_SEEN: Final = 512
_LEAST_FLOOD: Final = 4.0


@dataclass(frozen=True, slots=True)
class Need:
    """What the scores ask for.

    Attributes:
        largest: no honest input's score is larger, in magnitude.
        tolerance: the largest error of a score.
    """

    largest: float
    tolerance: float


@dataclass(frozen=True)
class Chosen:
    """A circuit with its ring.

    Attributes:
        program: what is released settled.
        ring: its numbers.
        error: the predicted typical error of a score before flooding.
        flood: bits of the flooding noise's amplitude.
        typical: by how many bits that exceeds the circuit's typical noise.
        distance: by how many bits it exceeds the largest that can be, for values like the calibration
            samples'.
    """

    program: Program
    ring: RingShape
    error: float
    flood: int
    typical: float
    distance: float


def for_throughput(
    depth: int, unit: float, need: Need, write: Callable[[throughput.Sizes], Program], inputs: Inputs
) -> Chosen:
    """The cheapest ring for a circuit whose scores have the scale s^depth / unit.

    Raises:
        ModelError: nothing fits (``NO_PARAMETERS``).
    """
    # Tight: scores up to `largest`, a hundredth more, and half a bit for the noise and the flooding.
    fixed = math.log2(2 * _MARGIN * (need.largest + need.tolerance) / unit)

    def candidates() -> Iterator[Chosen | None]:
        for degree in _DEGREES:
            for count in range(1, 17):
                found = _batch_ring(degree, count, depth, fixed)
                if found is not None:
                    ring, scale = found
                    # The same operations with few slots: what values they take does not depend on slots.
                    small = write(throughput.Sizes(_SEEN, count, scale, unit))
                    program = write(throughput.Sizes(degree // 2, count, scale, unit))
                    yield _judged(program, ring, need, observed(small, *inputs(_SEEN)))

    return _best(candidates(), f"trees that ask {depth} questions in a row", need)


def _batch_ring(degree: int, count: int, depth: int, fixed: float) -> tuple[RingShape, float] | None:
    most = _MOST_SCALE * depth + fixed
    # A narrow special prime is enough: the switch's error is far below scores at so large a scale.
    room = MAX_BITS[degree] - 30.0
    bits = min(_LARGEST * count, room, most)
    if (bits - fixed) / depth < _LEAST_SCALE or bits / count < _SMALLEST or bits / count > _LARGEST:
        return None
    if count > 1 and bits <= _LARGEST * (count - 1):
        return None
    try:
        primes = _primes(degree, [bits / count] * count)
        ring = _ring(degree, primes)
    except ParameterError:
        return None
    if ring is None:
        return None
    total = sum(math.log2(p) for p in ring.primes)
    return ring, float(math.floor(2.0 ** ((total - fixed) / depth)))


def for_latency(
    degree: int,
    slots: Sequence[int],
    need: Need,
    write: Callable[[latency.Sizes, int], Program],
    inputs: Inputs,
) -> Chosen:
    """The cheapest ring for a packed circuit of a polynomial of some degree.

    Args:
        degree: the polynomial's.
        slots: the slots that its leaves fit.
        need: what the scores ask for.
        write: writes the circuit for sizes and a number of primes.
        inputs: calibration samples as inputs, for a number of slots.

    Raises:
        ModelError: nothing fits (``NO_PARAMETERS``).
    """
    levels = latency.levels_of(degree)

    def candidates() -> Iterator[Chosen | None]:
        for of in slots:
            # Values do not depend on scales.
            seen: ranges.Ranges | None = None
            for work in range(22, 44, 2):
                ring = _packed_ring(2 * of, levels, float(work), need)
                if ring is not None:
                    sizes = latency.Sizes(of, 2.0**work, 2.0**work, 2.0**_LEAF_BITS / need.tolerance)
                    program = write(sizes, levels)
                    seen = observed(program, *inputs(of)) if seen is None else seen
                    yield _judged(program, ring, need, seen)

    return _best(candidates(), f"leaves behind {degree} questions", need)


def _packed_ring(degree: int, levels: int, work: float, need: Need) -> RingShape | None:
    """Primes from the last score to the transform: tight, end, one for each square, transform."""
    end = 2 * work + _LEAF_BITS + math.log2(2 * _MARGIN * (need.largest / need.tolerance + 1.0))
    last = min(_LARGEST, end - _SMALLEST)
    tight = end - last
    if not _SMALLEST <= tight <= _LARGEST:
        return None
    sizes = [tight, last, *[min(work, _LARGEST)] * (levels - 3), max(work - 2.0, _SMALLEST)]
    try:
        return _ring(degree, _primes(degree, sizes))
    except ParameterError:
        return None


def _primes(degree: int, bits: Sequence[float]) -> tuple[int, ...]:
    found: list[int] = []
    for size in bits:
        target = min(round(2.0**size), (1 << 50) - 4 * degree)
        found += nearest_primes(degree, target, 1, avoid=found)
    return tuple(found)


def _ring(degree: int, primes: tuple[int, ...]) -> RingShape | None:
    """The ring with the largest special prime that the security table leaves room for."""
    used = sum(math.log2(p) for p in primes)
    widest = math.ceil(max(math.log2(p) for p in primes)) + 1
    for size in _SPECIAL:
        # One above the data primes is as good as it gets; the next smaller ones where the table is full.
        if size <= max(widest, _SPECIAL[-1]) + 4 and math.floor(used + size) < MAX_BITS[degree]:
            (special,) = find_primes(degree, [size], avoid=primes)
            return RingShape(degree, primes, special)
    return None


def _judged(program: Program, ring: RingShape, need: Need, seen: ranges.Ranges) -> Chosen | None:
    """The circuit with its flooding, or None where its error is too large."""
    found = noise.find(program, ring, seen)
    index = program.outputs["scores"]
    arg = program.nodes[index].args[0]
    scale = found.scales[arg]
    error = math.sqrt(float(found.square[arg].max()) / 2) / scale
    allowed = SHARE * need.tolerance
    if SIGMAS * error > allowed:
        return None
    flood = math.floor(math.log2(allowed * scale / (SIGMAS * math.sqrt(ring.degree / 6))))
    if flood < 1:
        return None
    typical = flood + math.log2(math.sqrt(ring.degree / 6) / (error * scale))
    distance = flood - math.log2(max(found.before[index], 1.0))
    released = program.with_releases({"scores": Release(program.nodes[arg].level, flood)})
    return Chosen(released, ring, error, flood, typical, distance)


def _best(candidates: Iterator[Chosen | None], where: str, need: Need) -> Chosen:
    """The first with wide flooding; else the widest of the first degree where it covers the typical noise."""
    best: Chosen | None = None
    for one in candidates:
        if one is None:
            continue
        if best is not None and one.ring.degree > best.ring.degree and best.typical >= _LEAST_FLOOD:
            break
        if best is None or one.distance > best.distance:
            best = one
        if best.distance >= FLOOD_BITS:
            break
    if best is None:
        raise ModelError(
            "NO_PARAMETERS",
            f"no ring up to degree {_DEGREES[-1]} keeps every score within {need.tolerance:.3g}",
            where=where,
            remedy="train shallower trees (max_depth 4 to 6), or allow a larger tolerance",
        )
    return best
