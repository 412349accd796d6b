# SPDX-License-Identifier: Apache-2.0
"""Circuits for tests: small ones written out, and random ones that fit a small ring."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from hitoku.hazmat import ring
from hitoku.inference.circuit import Builder, Program, Value

Floats = npt.NDArray[np.float64]
SLOTS = 2048


@cache
def parameters() -> ring.Parameters:
    """Degree 4096 with two data primes: the most that 109 bits allow with room for a square."""
    primes = ring.find_primes(2 * SLOTS, [44, 30, 35])
    return ring.Parameters(2 * SLOTS, primes[:-1], primes[-1])


@cache
def secret() -> ring.SecretKey:
    return ring.SecretKey.generate(parameters())


def network(slots: int = SLOTS, level: int = 2) -> Program:
    """Two linear maps with a square between, the first with a bias; 5 inputs, 3 scores."""
    generator = np.random.default_rng(3)
    b = Builder(slots)
    x = b.input("x", count=5, scale=2.0**22, level=level, bound=(0.0, 1.0))
    with b.layer("first"):
        h = b.square(b.matrix(x, generator.integers(-9, 10, (8, 5)), generator.normal(size=8), 1 / 8))
    with b.layer("second"):
        h = b.rescale(b.relinearise(b.matrix(h, generator.integers(-9, 10, (3, 8)), None, 1 / 64)))
    b.output("scores", h, flood_bits=4)
    return b.build()


def inputs(program: Program, seed: int = 0) -> dict[str, Floats]:
    """Random inputs inside their bounds."""
    generator = np.random.default_rng(seed)
    found = {}
    for name, index in program.inputs.items():
        node = program.nodes[index]
        low, high = node.constants["low"], node.constants["high"]
        found[name] = low + (high - low) * generator.random((node.count, program.slots))
    return found


def encrypt(program: Program, values: dict[str, Floats]) -> dict[str, ring.Ciphertexts]:
    found = {}
    for name, rows in values.items():
        node = program.nodes[program.inputs[name]]
        encoded = ring.encode(parameters(), rows, node.settings["scale"], node.level)
        found[name] = secret().encrypt(encoded).expand()
    return found


def _constants(draw: st.DrawFn, *shape: int) -> Floats:
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    return generator.uniform(-1.0, 1.0, shape)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Random circuits of at most one product: values, noise and scales stay inside two primes."""
    b = Builder(SLOTS)
    x = b.input("x", count=draw(st.integers(1, 3)), scale=2.0**21, level=2, bound=1.0)
    values = [x, b.input("z", count=x.count, scale=2.0**21, level=2, bound=(-0.5, 1.0))]
    for _ in range(draw(st.integers(0, 3))):
        values.append(_linear(draw, b, draw(st.sampled_from(values))))
    left, right = draw(st.sampled_from(values)), draw(st.sampled_from(values))
    if draw(st.booleans()):
        product = b.square(left)
    else:
        right = right if right.count == left.count or 1 in (left.count, right.count) else b.total(right)
        product = b.multiply(left, right)
    ends = [b.rescale(b.relinearise(product))]
    if draw(st.booleans()):
        ends.append(b.rescale(b.multiply_plain(left, _constants(draw, left.count, SLOTS), 2.0**21)))
    if draw(st.booleans()):
        ends.append(b.relinearise(b.rescale(product)))
    last = b.concatenate(ends)
    if draw(st.booleans()):
        last = b.add_plain(last, _constants(draw, last.count, SLOTS))
    b.output("y", last, level=1, flood_bits=2)
    if draw(st.booleans()):
        b.output("w", product, flood_bits=2)
    return b.build()


def _linear(draw: st.DrawFn, b: Builder, x: Value) -> Value:
    kind = draw(st.integers(0, 6))
    if kind == 0:
        rows = draw(st.integers(1, 3))
        weights = np.round(3 * _constants(draw, rows, x.count)).astype(np.int64)
        # The unit is 1, so that scales stay equal.
        return b.matrix(x, weights, _constants(draw, rows) if draw(st.booleans()) else None, 1.0)
    if kind == 1:
        return b.rotate(x, draw(st.integers(-3, 3)))
    if kind == 2:
        return b.add_plain(b.negate(x), _constants(draw, x.count))
    if kind == 3:
        return b.subtract(b.add(x, x), b.take(x, draw(st.permutations(range(x.count)))))
    if kind == 4:
        return b.concatenate([x, b.total(x)])
    if kind == 5:
        return b.add_plain(x, _constants(draw, 1, SLOTS))
    return b.add(x, b.total(x))
