# SPDX-License-Identifier: Apache-2.0
"""How one sample moves through the slots: each linear map's cheapest way, by counted key switches.

A `Placement` says in which slot each value stands; the content repeats with its period, a power of two, so
that a rotation turns it in itself. Ways through a linear map A:

- **Turn**: sums of diagonals of A times rotations. *Hybrid* (C. Juvekar, V. Vaikuntanathan, A. Chandrakasan,
  "GAZELLE", ePrint 2018/073, section 4.2): outputs repeat with the period m >= outputs, m diagonals, then the
  rotations m, 2 m, ... are added. *In place*: an image's outputs stand where their windows start, so that
  each tap of a kernel is one diagonal for a whole channel; strides leave gaps, which cost nothing later.
- **Gather** (the first map only; A. Brutzkus, O. Elisha, R. Gilad-Bachrach, "Low Latency Privacy Preserving
  Inference", ICML 2019): the client sends a copy of the input for each tap, arranged as the outputs will
  stand. No rotations but those that add up the taps that share a ciphertext. The client learns which inputs
  meet in an output (a kernel's geometry), no weight.
- **Fold**: a pooling whose windows' members stand in different blocks is log2(members) rotations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.circuit.steps import split
from hitoku.inference.layouts.stages import Ints, Linear

__all__ = ["Fold", "Gather", "Move", "Placement", "Turn", "fold", "fold_of", "gather", "power_of_two", "turn"]

# Costs in key switches that share no decomposition, as measured by the ring's benchmark at 3 to 6 primes.
_BABY: Final = 0.3
_PRODUCT: Final = 0.04
_CIPHERTEXT: Final = 1.5
"""An encryption more for the client, and its way over the wire."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Where values stand.

    Attributes:
        slots: of a ciphertext.
        at: [values] the slot of each value's first copy, below `period`; -1: it stands nowhere.
        period: the content repeats with it; a power of two.
    """

    slots: int
    at: Ints
    period: int

    def spread(self, values: Floats) -> Floats:
        """Values [..., number] put into their slots, zeros elsewhere: [..., slots]."""
        block = np.zeros((*values.shape[:-1], self.period))
        there = self.at >= 0
        block[..., self.at[there]] = values[..., there]
        return np.tile(block, self.slots // self.period)

    def inverse(self) -> Ints:
        """[period]: which value stands in a slot, -1 where none."""
        found = np.full(self.period, -1)
        there = np.flatnonzero(self.at >= 0)
        found[self.at[there]] = there
        return found


@dataclass(frozen=True, eq=False)
class Turn:
    """Diagonals by step, rotations to add afterwards, and where the outputs stand."""

    diagonals: dict[int, Floats]
    giant: int
    sums: tuple[int, ...]
    out: Placement

    @property
    def cost(self) -> float:
        """In key switches."""
        babies, giants = split(tuple(self.diagonals), self.giant)
        return 0.6 + _BABY * len(babies) + len(giants) + _PRODUCT * len(self.diagonals) + len(self.sums)


@dataclass(frozen=True, eq=False)
class Gather:
    """What the client puts where, the weights it meets there, and rotations to add afterwards."""

    indices: Ints
    """[ciphertexts, slots]: the input value of each slot, -1 for a zero."""
    weights: Floats
    """[ciphertexts, slots]"""
    sums: tuple[int, ...]
    out: Placement

    @property
    def cost(self) -> float:
        """In key switches."""
        return (_CIPHERTEXT + _PRODUCT) * len(self.indices) + len(self.sums)


@dataclass(frozen=True, eq=False)
class Fold:
    """Rotations to add, nothing else."""

    sums: tuple[int, ...]
    out: Placement


Move = Turn | Gather | Fold


def power_of_two(size: int) -> int:
    """The least power of two that is not smaller."""
    return 1 << max(size - 1, 0).bit_length()


def turn(part: Linear, placement: Placement) -> Turn | None:
    """The cheapest way through a linear map; None where its outputs do not fit the slots."""
    ways = [_hybrid(part, placement)]
    if len(part.shape_in) == 3 and len(part.shape_out) == 3:
        ways.append(_in_place(part, placement))
    found = [way for way in ways if way is not None]
    return min(found, key=lambda way: way.cost) if found else None


def _hybrid(part: Linear, placement: Placement) -> Turn | None:
    rows = power_of_two(part.size_out)
    if rows > placement.slots:
        return None
    period = max(placement.period, rows)
    columns = np.full(period, part.size_in)
    inverse = placement.inverse()
    columns[: placement.period] = np.where(inverse < 0, part.size_in, inverse)
    if rows > placement.period:
        # More outputs than slots in a period: every copy of the input serves another part of them.
        columns = np.tile(columns[: placement.period], rows // placement.period)
    matrix = np.zeros((rows, part.size_in + 1))
    matrix[: part.size_out, :-1] = part.matrix()
    slots = np.arange(period)
    diagonals = {}
    for step in range(min(rows, placement.period)):
        diagonal = matrix[slots % rows, columns[(slots + step) % period]]
        if diagonal.any():
            diagonals[step] = np.tile(diagonal, placement.slots // period)
    sums = tuple(rows << k for k in range((period // rows).bit_length() - 1))
    out = Placement(placement.slots, np.arange(part.size_out), rows)
    return _turn(diagonals, sums, out, [])


def _in_place(part: Linear, placement: Placement) -> Turn | None:
    channels, height, width = part.shape_in
    maps, rows, columns = part.shape_out
    at = placement.at.reshape(channels, height, width)
    if (at < 0).any():
        return None
    down, right = max(1, height // rows), max(1, width // columns)
    if (rows - 1) * down >= height or (columns - 1) * right >= width:
        return None
    anchors = at[0, : (rows - 1) * down + 1 : down, : (columns - 1) * right + 1 : right] - at[0, 0, 0]
    apart = int(at[1, 0, 0] - at[0, 0, 0]) if channels > 1 else power_of_two(int(anchors.max()) + 1)
    room = placement.slots // placement.period
    each = math.ceil(maps / room)
    if apart < 1 or (each - 1) * apart + int(anchors.max()) >= placement.period:
        return None
    groups, inside = np.divmod(np.arange(maps), each)
    starts = groups * placement.period + inside * apart
    slots = (starts[:, None, None] + anchors[None]).ravel()
    if len(np.unique(slots)) < len(slots):
        return None
    period = power_of_two(math.ceil(maps / each)) * placement.period
    diagonals: dict[int, Floats] = {}
    for r, c, weights in part.entries():
        steps = (placement.at[c] - slots[r]) % placement.period
        for step in np.unique(steps).tolist():
            here = steps == step
            diagonal = diagonals.setdefault(step, np.zeros(period))
            diagonal[slots[r[here]]] += weights[here]
    tiled = {k: np.tile(d, placement.slots // period) for k, d in sorted(diagonals.items())}
    return _turn(tiled, (), Placement(placement.slots, slots, period), [apart])


def _turn(
    diagonals: dict[int, Floats], sums: tuple[int, ...], out: Placement, strides: list[int]
) -> Turn | None:
    if not diagonals:
        return None
    giants = [1 << e for e in range(1, out.slots.bit_length())] + [s for s in strides if s > 1]
    return min((Turn(diagonals, g, sums, out) for g in giants), key=lambda way: way.cost)


def gather(part: Linear, slots: int, pool: Linear | None, most: int = 32) -> Gather | None:
    """The client arranges the input; None where that takes too many ciphertexts.

    Args:
        part: the network's first map.
        slots: of a ciphertext.
        pool: a pooling that the outputs go through later: members of a window stand in different blocks.
        most: ciphertexts.
    """
    at, period = _blocks(part.size_out, pool)
    taps = np.zeros(part.size_out, dtype=np.int64)
    for block in part.blocks:
        taps[block.outputs.ravel()] = block.inputs.shape[1]
    if period > slots:
        return None
    shared = min(slots // period, power_of_two(int(taps.max(initial=1))))
    count = math.ceil(int(taps.max(initial=1)) / shared)
    if count > most:
        return None
    indices = np.full((count, slots), -1)
    weights = np.zeros((count, slots))
    for block in part.blocks:
        for tap in range(block.inputs.shape[1]):
            row, copy = divmod(tap, shared)
            for copies in range(copy, slots // period, shared):
                places = at[block.outputs] + copies * period
                used = at[block.outputs] >= 0
                indices[row, places[used]] = np.broadcast_to(block.inputs[:, tap, None], places.shape)[used]
                weights[row, places[used]] = np.broadcast_to(block.weights[None, :, tap], places.shape)[used]
    sums = tuple(period << k for k in range(shared.bit_length() - 1))
    return Gather(indices, weights, sums, Placement(slots, at, period))


def _blocks(size: int, pool: Linear | None) -> tuple[Ints, int]:
    if pool is None:
        return np.arange(size), power_of_two(size)
    block = power_of_two(pool.size_out)
    at = np.full(size, -1)
    for one in pool.blocks:
        at[one.inputs] = one.outputs + np.arange(one.inputs.shape[1]) * block
    return at, block * pool.blocks[0].inputs.shape[1]


def fold(part: Linear, placement: Placement) -> Fold | None:
    """A pooling as rotations alone, where the members of every window are equally far apart.

    The outputs stand where the first members stood. Slots in between hold sums of other windows' members,
    which no later map reads.
    """
    at = placement.at
    for block in part.blocks:
        if (at[block.inputs] < 0).any():
            return None
    apart = np.concatenate([at[b.inputs] - at[b.inputs[:, :1]] for b in part.blocks])
    if (apart != apart[0]).any():
        return None
    steps: list[int] = []
    reached = {0}
    for distance in sorted({int(d) for d in apart[0]}):
        if distance not in reached:
            steps.append(distance)
            reached |= {r + distance for r in reached}
    if distance_set(apart[0]) != reached or len(reached) != apart.shape[1]:
        return None
    slots = np.full(part.size_out, -1)
    for block in part.blocks:
        slots[block.outputs[:, 0]] = at[block.inputs[:, 0]]
    return Fold(tuple(steps), Placement(placement.slots, slots, placement.period))


def distance_set(apart: Ints) -> set[int]:
    """The distances of a window's members from its first."""
    return {int(d) for d in apart}


def fold_of(part: Linear) -> int | None:
    """Members of each window, if it is a pooling that blocks can do: disjoint, alike, 2^k members."""
    members = {b.inputs.shape[1] for b in part.blocks}
    ones = all(b.weights.shape[0] == 1 and (b.weights == b.weights[0, 0]).all() for b in part.blocks)
    if len(members) != 1 or not ones or len({float(b.weights[0, 0]) for b in part.blocks}) != 1:
        return None
    count = int(members.pop())
    flat = np.concatenate([b.inputs.ravel() for b in part.blocks])
    if count & (count - 1) or len(np.unique(flat)) < len(flat) or part.bias.any():
        return None
    return count
