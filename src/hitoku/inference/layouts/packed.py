# SPDX-License-Identifier: Apache-2.0
"""The layout for latency: one sample in the slots of few ciphertexts, rotations between.

`Packing` finds for each linear map the cheapest way (`packed_moves`), once for a number of slots; `program`
writes the circuit. No slot of a released ciphertext holds anything but scores or zeros: sums repeat over the
whole ciphertext and unused rows have weights of zero, so there is nothing to mask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.circuit import CircuitError, Program
from hitoku.inference.errors import ModelError
from hitoku.inference.layouts.chain import Scaling, Tracked, write
from hitoku.inference.layouts.packed_moves import (
    Fold,
    Gather,
    Move,
    Placement,
    Turn,
    fold,
    fold_of,
    gather,
    power_of_two,
    turn,
)
from hitoku.inference.layouts.stages import Block, Linear, Poly, Stage
from hitoku.inference.layouts.writer import Ring, Writer

__all__ = ["Packing", "growth", "joined", "packing", "program"]

_MOST_ENTRIES: Final = 1 << 26
_LARGEST_PLAIN: Final = 2.0**120


def joined(parts: Sequence[Stage]) -> tuple[Stage, ...]:
    """Linear maps that follow one another made one, but for poolings that folding does for nothing.

    Such a pooling sums; its division goes into the next map.
    """
    found: list[Stage] = []
    for part in parts:
        last = found[-1] if found else None
        if not (isinstance(part, Linear) and isinstance(last, Linear)):
            found.append(part)
        elif len(found) > 1 and (fold_of(last) or 0) > 1 and (len(found) == 3 or _windows(part)):
            weight = float(last.blocks[0].weights[0, 0])
            ones = tuple(replace(b, weights=np.ones_like(b.weights)) for b in last.blocks)
            scaled = tuple(replace(b, weights=b.weights * weight) for b in part.blocks)
            found[-1] = replace(last, blocks=ones)
            found.append(replace(part, blocks=scaled))
        else:
            found[-1] = _composed(last, part)
    return tuple(found)


def _windows(part: Linear) -> bool:
    """Whether the map is no matrix over everything, so that merging would cost it its structure."""
    return len(part.blocks[0].inputs) > 1


def _composed(first: Linear, second: Linear) -> Linear:
    if first.size_in * second.size_out > _MOST_ENTRIES:
        raise ModelError(
            "TOO_LARGE",
            "is too large to be merged with the linear layer before it",
            where=second.name,
            remedy="compile for throughput",
        )
    matrix = second.matrix() @ first.matrix()
    bias = second.run(first.bias[None, :])[0]
    block = Block(np.arange(first.size_in)[None, :], np.arange(second.size_out)[None, :], matrix)
    name = f"{first.name}+{second.name}"
    return Linear(name, first.size_in, second.size_out, (block,), bias, first.shape_in, second.shape_out)


@dataclass(frozen=True)
class Packing:
    """The ways through all linear maps at one number of slots.

    Attributes:
        input: where the client puts values, if it packs them plainly; else the first move is a `Gather`.
        moves: for each stage its way; None for polynomials.
        output: where the scores stand.
    """

    slots: int
    input: Placement | None
    moves: tuple[Move | None, ...]
    output: Placement

    def arrange(self, x: Floats) -> Floats:
        """A sample [values] as the circuit's input [ciphertexts, slots]."""
        first = self.moves[0]
        if self.input is None and isinstance(first, Gather):
            padded = np.concatenate([x, [0.0]])
            return np.asarray(padded[first.indices])
        if self.input is None:
            raise ValueError("a packing without an input")
        return self.input.spread(x[None, :])


def packing(parts: Sequence[Stage], slots: int) -> Packing | None:
    """The ways at a number of slots; None where a layer has more values than that.

    Args:
        parts: as `joined` makes them.
        slots: of a ciphertext.
    """
    first = parts[0]
    if not isinstance(first, Linear):
        raise ValueError("a network starts with a linear map")
    moves: list[Move | None] = []
    start, at = _start(parts, slots)
    if at is None:
        return None
    for number, part in enumerate(parts):
        if isinstance(part, Poly):
            moves.append(None)
            continue
        move: Move | None
        if number == 0 and isinstance(start, Gather):
            move = start
        elif (
            number == 2
            and fold_of(part)
            and isinstance(start, Gather)
            and at.period > power_of_two(part.size_out)
        ):
            block = power_of_two(part.size_out)
            sums = tuple(block << k for k in range((at.period // block).bit_length() - 1))
            move = Fold(sums, Placement(slots, np.arange(part.size_out), block))
        else:
            pooled = fold(part, at) if number and (fold_of(part) or 0) > 1 and _ones(part) else None
            move = pooled or turn(part, at)
        if move is None:
            return None
        at = move.out
        moves.append(move)
    return Packing(slots, start if isinstance(start, Placement) else None, tuple(moves), at)


def _ones(part: Linear) -> bool:
    return all((b.weights == 1.0).all() for b in part.blocks)


def _start(parts: Sequence[Stage], slots: int) -> tuple[Gather | Placement | None, Placement | None]:
    """The cheaper of gathering and plain packing for the first map."""
    first = parts[0]
    if not isinstance(first, Linear):
        return None, None
    pool = (
        parts[2] if len(parts) > 2 and isinstance(parts[2], Linear) and (fold_of(parts[2]) or 0) > 1 else None
    )
    gathered = gather(first, slots, pool)
    period = power_of_two(first.size_in)
    plain = Placement(slots, np.arange(first.size_in), period) if period <= slots else None
    way = turn(first, plain) if plain is not None else None
    if gathered is not None and (way is None or gathered.cost < way.cost + 1.5):
        return gathered, gathered.out
    return (plain, plain) if way is not None else (None, None)


def growth(parts: Sequence[Stage], moves: Sequence[Move | None], scaling: Scaling) -> list[float]:
    """By how much each stage's map multiplies the scale: the scale of its plain constants."""
    found = []
    for part, move in zip(parts, moves, strict=True):
        multiplies = isinstance(part, Linear) and not isinstance(move, Fold)
        found.append(_plain_scale(part, scaling) if multiplies and isinstance(part, Linear) else 1.0)
    return found


def _plain_scale(part: Linear, scaling: Scaling) -> float:
    # On a grid of eight steps an octave: the scores' scale, which clients read, must not tell the greatest
    # weight exactly.
    return float(2.0 ** (math.floor(8 * (scaling.plain - math.log2(part.largest or 1.0))) / 8))


def program(
    parts: Sequence[Stage], sizes: Sequence[float], packed: Packing, scaling: Scaling, ring: Ring
) -> Program:
    """The circuit: input ``x`` of few ciphertexts, output ``scores`` of one.

    Args:
        parts: as `joined` makes them.
        sizes: typical values after each stage (`chain.write`).
        packed: the ways, for the ring's slots.
        scaling: the plan.
        ring: primes and turns that `chain.Sketch` found for this plan.
    """
    operations = _Packed(packed, scaling, ring)
    write(parts, sizes, scaling, operations)
    return operations.builder.build()


class _Packed(Writer):
    def __init__(self, packed: Packing, scaling: Scaling, ring: Ring) -> None:
        super().__init__(ring)
        self._packed, self._scaling = packed, scaling
        self._bias: tuple[str, Floats] | None = None

    def input(self) -> Tracked:
        first = self._packed.moves[0]
        count = len(first.indices) if isinstance(first, Gather) else 1
        scale = 2.0**self._scaling.fresh
        value = self.builder.input("x", count=count, scale=scale, level=self.inputs_level(), bound=1.0)
        return Tracked(value, scale, 0)

    def linear(self, number: int, part: Linear, x: Tracked) -> Tracked:
        move = self._packed.moves[number]
        if move is None:
            raise ValueError("no way was found for a linear map")
        x = self.relinearise(x)
        with self.builder.layer(part.name):
            value, scale = x.value, x.scale
            if isinstance(move, Gather):
                value = self.builder.multiply_plain(value, move.weights, _plain_scale(part, self._scaling))
                value = self.builder.total(value) if len(move.indices) > 1 else value
            elif isinstance(move, Turn):
                value = self.builder.transform(
                    value, move.diagonals, _plain_scale(part, self._scaling), giant=move.giant
                )
            if not isinstance(move, Fold):
                scale *= _plain_scale(part, self._scaling)
            for step in move.sums:
                value = self.builder.add(value, self.builder.rotate(value, step))
            if part.bias.any():
                self._bias = (part.name, move.out.spread(part.bias[None, :]))
        made = Tracked(value, scale, x.dropped, 2)
        settles = self._scaling.late or number == len(self._packed.moves) - 1
        return made if settles else self._completed(made)

    def _completed(self, x: Tracked) -> Tracked:
        """The bias, after rescaling: a plain vector must not be as large as a product's scale."""
        if self._bias is None:
            return x
        name, values = self._bias
        self._bias = None
        if float(np.abs(values).max()) * x.scale >= _LARGEST_PLAIN:
            raise CircuitError("SCALE", "a bias does not fit a plain vector at this scale", where=name)
        with self.builder.layer(name):
            return replace(x, value=self.builder.add_plain(x.value, values))
