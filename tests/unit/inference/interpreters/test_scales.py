# SPDX-License-Identifier: Apache-2.0
"""Scales: products multiply, rescaling divides by the prime, sums of different ones are refused."""

from __future__ import annotations

import pytest

from hitoku.inference.circuit import Builder, CircuitError
from hitoku.inference.interpreters import scales
from hitoku.inference.interpreters.ring import RingShape

RING = RingShape(1024, (1 << 30, 1 << 20), 1 << 31)


def test_scales_follow_the_operations():
    b = Builder(512)
    x = b.input("x", count=1, scale=2.0**20, level=2)
    y = b.rescale(b.square(b.matrix(x, [[1]], None, 0.25)))
    z = b.rescale(b.multiply_plain(x, 0.5, to=2.0**18))
    b.output("y", y)
    b.output("z", z)
    program = b.build()
    found = scales.find(program, RING)
    assert found.values[program.outputs["y"]] == 2.0**24
    assert found.values[program.outputs["z"]] == 2.0**18
    assert 2.0**18 in found.plain


def test_sums_of_scales_that_differ_are_refused_beyond_one_per_cent():
    for factor, refused in ((1.009, False), (1.02, True)):
        b = Builder(512)
        x = b.input("x", count=1, scale=2.0**20, level=1)
        z = b.input("z", count=1, scale=factor * 2.0**20, level=1)
        b.output("y", b.add(x, z))
        if refused:
            with pytest.raises(CircuitError, match=r"scales 2\^20.00, 2\^20.03") as error:
                scales.find(b.build(), RING)
            assert error.value.code == "SCALE"
        else:
            assert scales.find(b.build(), RING).drift[2] == pytest.approx(0.009)


def test_a_scale_without_room_for_fractions_is_refused():
    b = Builder(512)
    x = b.input("x", count=1, scale=2.0**20, level=2)
    b.output("y", b.rescale(x))
    with pytest.raises(CircuitError, match="no room for a fraction"):
        scales.find(b.build(), RING)


def test_rings_that_do_not_fit_are_refused():
    b = Builder(512)
    b.output("y", b.input("x", count=1, scale=2.0**20, level=3))
    with pytest.raises(CircuitError, match="needs 3 primes"):
        scales.find(b.build(), RING)
    with pytest.raises(CircuitError, match="slots"):
        scales.find(b.build(), RingShape(2048, (1, 2, 3), 5))
