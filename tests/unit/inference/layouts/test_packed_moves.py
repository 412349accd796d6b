# SPDX-License-Identifier: Apache-2.0
"""Every way of a packed linear map gives the matrix's result in the slots it says, and zeros elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.inference.layouts.nets import Floats, normal

from hitoku.inference.circuit.steps import split
from hitoku.inference.layouts.lowering import stages
from hitoku.inference.layouts.packed_moves import Placement, Turn, fold_of, gather, turn
from hitoku.inference.layouts.packed_moves import _hybrid as hybrid
from hitoku.inference.layouts.packed_moves import _in_place as in_place
from hitoku.inference.layouts.stages import Block, Linear
from hitoku.inference.network import AveragePool, Conv, Network

SLOTS = 512


def dense(rows: int, columns: int, seed: int = 0) -> Linear:
    weights = normal(np.random.default_rng(seed), rows, columns)
    block = Block(np.arange(columns)[None], np.arange(rows)[None], weights)
    return Linear("dense", columns, rows, (block,), np.zeros(rows))


def turned(way: Turn, slots: Floats) -> Floats:
    total = np.zeros(len(slots))
    for step, diagonal in way.diagonals.items():
        total += diagonal * np.roll(slots, -step)
    for step in way.sums:
        total = total + np.roll(total, -step)
    return total


def check(way: Turn, part: Linear, placement: Placement) -> None:
    x = np.random.default_rng(2).normal(size=part.size_in)
    found = turned(way, placement.spread(x[None])[0])
    assert np.allclose(found, way.out.spread((part.matrix() @ x)[None])[0])


@given(
    rows=st.integers(1, 200), columns=st.integers(1, 300), spread=st.integers(0, 2), seed=st.integers(0, 99)
)
@settings(max_examples=60, deadline=None)
def test_hybrid(rows: int, columns: int, spread: int, seed: int) -> None:
    period = min(SLOTS, (1 << max(columns - 1, 0).bit_length()) << spread)
    at = np.random.default_rng(seed).permutation(period)[:columns]
    placement = Placement(SLOTS, at, period)
    part = dense(rows, columns, seed)
    way = hybrid(part, placement)
    assert way is not None
    assert len(way.diagonals) <= min(1 << max(rows - 1, 0).bit_length(), period)
    check(way, part, placement)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "maps"),
    [((1, 8, 8), 3, 1, 0, 3), ((2, 8, 8), 3, 2, 1, 4), ((4, 4, 4), 2, 1, 0, 8), ((1, 9, 7), 2, 2, 0, 2)],
)
def test_in_place(shape: tuple[int, int, int], kernel: int, stride: int, padding: int, maps: int) -> None:
    weights = normal(np.random.default_rng(1), maps, shape[0], kernel, kernel)
    conv = Conv(weights, np.zeros(maps), (stride, stride), (padding,) * 4)
    part = stages(Network("conv", shape, (conv,)))[0]
    assert isinstance(part, Linear)
    period = 1 << (part.size_in - 1).bit_length()
    placement = Placement(SLOTS, np.arange(part.size_in), period)
    way = in_place(part, placement)
    assert way is not None
    check(way, part, placement)
    best = turn(part, placement)
    assert best is not None
    check(best, part, placement)
    assert best.cost <= way.cost


def test_what_does_not_fit() -> None:
    assert hybrid(dense(600, 4), Placement(SLOTS, np.arange(4), 4)) is None
    assert gather(dense(600, 4), SLOTS, None) is None
    assert gather(dense(200, 300), SLOTS, None) is None, "300 ciphertexts for the client"


def gathered(part: Linear, pool: Linear | None) -> None:
    way = gather(part, SLOTS, pool)
    assert way is not None
    x = np.random.default_rng(4).normal(size=part.size_in)
    arranged = np.append(x, 0.0)[way.indices]
    total = (arranged * way.weights).sum(axis=0)
    for step in way.sums:
        total = total + np.roll(total, -step)
    assert np.allclose(total, way.out.spread((part.matrix() @ x)[None])[0])


def test_gather_with_and_without_a_pooling() -> None:
    source = np.random.default_rng(5)
    conv = Conv(normal(source, 3, 1, 3, 3), np.zeros(3), padding=(1, 1, 1, 1))
    network = Network("conv", (1, 8, 8), (conv, AveragePool((2, 2), (2, 2))))
    first, pool = stages(network)
    assert isinstance(first, Linear)
    assert isinstance(pool, Linear)
    assert fold_of(pool) == 4
    gathered(first, None)
    gathered(first, pool)


def test_poolings_that_do_not_fold() -> None:
    for layer in (AveragePool((3, 3), (2, 2)), AveragePool((3, 3), (3, 3))):
        part = stages(Network("pool", (1, 9, 9), (layer,)))[0]
        assert isinstance(part, Linear)
        assert fold_of(part) is None


def test_the_stride_of_giant_steps_is_cheap() -> None:
    way = hybrid(dense(128, 256), Placement(1024, np.arange(256), 256))
    assert way is not None
    babies, giants = split(tuple(way.diagonals), way.giant)
    assert len(babies) + len(giants) <= 32, "128 diagonals take about 2 * sqrt(128) rotations, not 127"
