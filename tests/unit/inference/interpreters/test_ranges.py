# SPDX-License-Identifier: Apache-2.0
"""Ranges: bounds hold for every input within its bounds; what does not fit is refused before running."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.inference.circuits import SLOTS, inputs, network, parameters, programs

from hitoku.inference.circuit import Builder, CircuitError, Program
from hitoku.inference.interpreters import plain, ranges, scales
from hitoku.inference.interpreters.ring import RingShape


@settings(max_examples=30, deadline=None)
@given(programs(), st.integers(0, 100))
def test_no_value_leaves_its_bounds(program: Program, seed: int):
    bounds = ranges.bounds(program)

    def watch(index: int, value: npt.NDArray[np.float64]) -> None:
        assert value.min() >= bounds.low[index] - 1e-9
        assert value.max() <= bounds.high[index] + 1e-9
        assert (np.abs(value).max(axis=1) <= bounds.largest[index] + 1e-9).all()

    plain.run(program, inputs(program, seed), watch)


def test_bounds_of_linear_maps_are_reached():
    b = Builder(512)
    x = b.input("x", count=2, scale=2.0**20, level=1, bound=(0.0, 1.0))
    b.output("y", b.matrix(x, np.array([[3, -2]]), [0.5], 0.5))
    bounds = ranges.bounds(b.build())
    assert (bounds.low[1], bounds.high[1]) == (-0.5, 2.0)


def test_bounds_follow_slots():
    low, high = np.zeros((1, 512)), np.zeros((1, 512))
    high[0, 3] = 2.0
    diagonal = np.zeros(512)
    diagonal[1] = 5.0
    b = Builder(512)
    x = b.input("x", count=1, scale=2.0**20, level=1, bound=(low, high))
    b.output("hit", b.transform(x, {2: diagonal}, 4.0))
    b.output("missed", b.transform(x, {1: diagonal}, 4.0))
    b.output("turned", b.multiply_plain(b.rotate(x, 2), np.roll(diagonal, 0), 4.0))
    program = b.build()
    bounds = ranges.bounds(program)
    high_of = {name: bounds.high[index] for name, index in program.outputs.items()}
    assert high_of == {"hit": 10.0, "missed": 0.0, "turned": 10.0}


def test_a_square_of_a_symmetric_range_is_not_negative():
    b = Builder(512)
    x = b.input("x", count=1, scale=2.0**10, level=1, bound=3.0)
    b.output("y", b.square(x))
    assert (ranges.bounds(b.build()).low[1], ranges.bounds(b.build()).high[1]) == (0.0, 9.0)


def test_inputs_outside_their_bounds_are_refused_and_not_quoted():
    program = network()
    values = inputs(program)
    assert ranges.check_inputs(program, values)
    values["x"][2, 7] = 1.25
    with pytest.raises(CircuitError, match="first in row 2") as refused:
        ranges.check_inputs(program, values)
    assert refused.value.code == "RANGE"
    assert "1.25" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("INPUT", {}),
        ("INPUT", {"x": np.zeros((5, SLOTS)), "q": np.zeros((5, SLOTS))}),
        ("SHAPE", {"x": np.zeros((4, SLOTS))}),
        ("NUMBER", {"x": np.full((5, SLOTS), np.nan)}),
    ],
)
def test_wrong_inputs_are_refused(code: str, values: dict[str, npt.NDArray[np.float64]]):
    with pytest.raises(CircuitError) as refused:
        plain.run(network(), values)
    assert refused.value.code == code


def test_what_does_not_fit_the_modulus_is_refused_and_named():
    program, ring = network(), parameters()
    found = scales.find(program, ring).values
    room = ranges.check_overflow(program, ring, found, ranges.bounds(program))
    assert room > 0
    small = RingShape(ring.degree, (ring.primes[0] >> 20, ring.primes[1]), ring.special)
    with pytest.raises(CircuitError, match="more bits") as refused:
        ranges.check_overflow(program, small, found, ranges.bounds(program))
    assert refused.value.code == "OVERFLOW"
    assert "node" in str(refused.value.where)


def test_observed_ranges_leave_padding_out():
    program = network()
    values = inputs(program)
    values["x"][:, 100:] = 1.0
    seen = ranges.observed(program, {"x": values["x"]}, 100, used=100)
    assert seen.high[0] < 1.0
    assert seen.samples == 100
    assert seen.widened(3.0).high[0] == 3.0 * seen.high[0]
