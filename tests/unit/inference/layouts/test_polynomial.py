# SPDX-License-Identifier: Apache-2.0
"""Polynomials: the value, the least depth, equal scales in every sum."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from hitoku.inference.layouts.chain import Scaling, Tracked
from hitoku.inference.layouts.polynomial import evaluate
from hitoku.inference.layouts.stages import Poly


@dataclass(frozen=True)
class Held:
    """A plain value with the products one after the other that it took."""

    x: Any
    depth: int


class Plain:
    """Operations on plain values; scales are followed as a circuit does, and sums must agree."""

    products = 0

    def square(self, x: Tracked) -> Tracked:
        return self.multiply(x, x)

    def multiply(self, x: Tracked, z: Tracked) -> Tracked:
        assert x.parts == z.parts == 2
        self.products += 1
        held = Held(x.value.x * z.value.x, max(x.value.depth, z.value.depth) + 1)
        return Tracked(held, x.scale * z.scale, max(x.dropped, z.dropped), 3)

    def add(self, x: Tracked, z: Tracked) -> Tracked:
        assert math.isclose(x.scale, z.scale, rel_tol=1e-9)
        held = Held(x.value.x + z.value.x, max(x.value.depth, z.value.depth))
        return Tracked(held, x.scale, max(x.dropped, z.dropped), max(x.parts, z.parts))

    def add_constant(self, x: Tracked, constant: float) -> Tracked:
        return replace(x, value=Held(x.value.x + constant, x.value.depth))

    def times(self, x: Tracked, constant: float, scale: float) -> Tracked:
        whole = round(constant * scale) / scale
        return replace(x, value=Held(x.value.x * whole, x.value.depth), scale=x.scale * scale)

    def relinearise(self, x: Tracked) -> Tracked:
        return replace(x, parts=2)

    def settle(self, x: Tracked, target: float) -> Tracked:
        # A prime is never just the size that a scale asks for.
        return replace(x, scale=target * 1.37, dropped=x.dropped + 1)


@pytest.mark.parametrize("chebyshev", [False, True])
@pytest.mark.parametrize("degree", range(2, 32))
def test_value_and_depth(degree: int, chebyshev: bool) -> None:
    source = np.random.default_rng(degree)
    coefficients = source.uniform(-1, 1, degree + 1)
    part = Poly("p", 1, coefficients, chebyshev)
    x = np.linspace(-1, 1, 41)
    operations = Plain()
    scaling = Scaling(40.0, 40.0, 40.0)
    found = evaluate(operations, Tracked(Held(x, 0), 2.0**40, 0), part, scaling)  # type: ignore[arg-type]
    assert np.allclose(found.value.x, part.run(x), atol=1e-7)
    assert found.value.depth == math.ceil(math.log2(degree))
    assert operations.products <= 2 * math.sqrt(2 * degree) + math.log2(degree) + 2


def test_a_bare_square_is_one_product() -> None:
    operations = Plain()
    part = Poly("p", 1, np.array([0.0, 0.0, 1.0]))
    x = np.array([0.5])
    evaluate(operations, Tracked(Held(x, 0), 2.0**30, 0), part, Scaling(30.0, 30.0, 20.0))  # type: ignore[arg-type]
    assert operations.products == 1
