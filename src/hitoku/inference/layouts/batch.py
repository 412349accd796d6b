# SPDX-License-Identifier: Apache-2.0
"""The layout for throughput: one feature a ciphertext, one sample a slot.

Linear maps are whole-number matrices over ciphertexts: no rotation, no plain polynomial, no prime. They take
3-part products as they come, so that only the results of a layer are relinearised, which are the fewest
(CryptoNets: 100 of them where there are 845 products).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hitoku.inference.circuit import Builder, Program, Value
from hitoku.inference.layouts.chain import Scaling, Tracked, write
from hitoku.inference.layouts.stages import Block, Ints, Linear, Stage
from hitoku.inference.layouts.writer import Ring, Writer

__all__ = ["growth", "program"]

_MOST_ENTRIES: Final = 1 << 23
"""Of a matrix written out; a larger one is written place by place."""


def growth(parts: Sequence[Stage]) -> list[float]:
    """By how much each stage's linear map multiplies the scale: one over its unit."""
    return [1.0 / part.unit if isinstance(part, Linear) and part.unit else 1.0 for part in parts]


def program(parts: Sequence[Stage], sizes: Sequence[float], scaling: Scaling, ring: Ring) -> Program:
    """The circuit: input ``x`` of one ciphertext a feature, output ``scores`` of one a score.

    Args:
        parts: the network, weights in whole numbers (`Linear.integers`).
        sizes: typical values after each stage (`chain.write`).
        scaling: the plan.
        ring: primes and turns that `chain.Sketch` found for this plan.
    """
    operations = _Batch(parts, scaling, ring)
    write(parts, sizes, scaling, operations)
    return operations.builder.build()


class _Batch(Writer):
    def __init__(self, parts: Sequence[Stage], scaling: Scaling, ring: Ring) -> None:
        super().__init__(ring)
        first = parts[0]
        self._features = first.size_in if isinstance(first, Linear) else first.size
        self._scale = 2.0**scaling.fresh
        # Where each feature stands among the ciphertexts; maps write their results place by place.
        self._at: Ints = np.arange(self._features)

    def input(self) -> Tracked:
        value = self.builder.input(
            "x", count=self._features, scale=self._scale, level=self.inputs_level(), bound=1.0
        )
        return Tracked(value, self._scale, 0)

    def linear(self, _number: int, part: Linear, x: Tracked) -> Tracked:
        if part.unit is None:
            raise ValueError("weights are not whole numbers yet")
        with self.builder.layer(part.name):
            pieces: list[Value] = []
            order = np.concatenate([block.outputs.ravel() for block in part.blocks])
            missing = np.setdiff1d(np.arange(part.size_out), order)
            order = np.concatenate([order, missing])
            if part.size_out * x.value.count <= _MOST_ENTRIES:
                pieces.append(_whole(self.builder, x.value, self._at, part, order))
            else:
                for block in part.blocks:
                    pieces += _places(self.builder, x.value, self._at, block, part)
                if missing.size:
                    # Outputs that no input reaches are their bias alone.
                    zeros = np.zeros((missing.size, 1), dtype=np.int64)
                    one = self.builder.take(x.value, [0])
                    pieces.append(self.builder.matrix(one, zeros, part.bias[missing], part.unit))
            value = pieces[0] if len(pieces) == 1 else self.builder.concatenate(pieces)
        self._at = np.argsort(order)
        return Tracked(value, x.scale / part.unit, x.dropped, x.parts)


def _whole(builder: Builder, x: Value, at: Ints, part: Linear, order: Ints) -> Value:
    """One matrix, zeros and all (the kernel leaves them out): rows of one place stand together."""
    row = np.argsort(order)
    weights = np.zeros((part.size_out, x.count), dtype=np.int64)
    for block in part.blocks:
        numbers = np.rint(block.weights / (part.unit or 1.0)).astype(np.int64)
        weights[row[block.outputs][:, :, None], at[block.inputs][:, None, :]] = numbers
    bias = part.bias[order] if part.bias.any() else None
    return builder.matrix(x, weights, bias, part.unit or 1.0)


def _places(builder: Builder, x: Value, at: Ints, block: Block, part: Linear) -> list[Value]:
    unit = part.unit or 1.0
    weights = np.rint(block.weights / unit).astype(np.int64)
    found = []
    for inputs, outputs in zip(at[block.inputs], block.outputs, strict=True):
        bias = part.bias[outputs] if part.bias[outputs].any() else None
        if len(inputs) == x.count:
            # A matrix over everything: its columns are put in order, rather than the ciphertexts.
            found.append(builder.matrix(x, weights[:, np.argsort(inputs)], bias, unit))
        else:
            found.append(builder.matrix(builder.take(x, inputs), weights, bias, unit))
    return found
