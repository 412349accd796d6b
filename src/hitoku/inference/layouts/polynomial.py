# SPDX-License-Identifier: Apache-2.0
"""Polynomials of encrypted values in as few products one after the other as their degree permits.

Degree d takes ceil(log2 d) levels of products. The coefficients are split by powers of two (M. S. Paterson,
L. J. Stockmeyer, "On the number of nonscalar multiplications necessary to evaluate polynomials", 1973):
with g a power of two and d <= 2 g, p = q * T_g + r, and q has the degree d - g <= g, so that q is there
when T_g is. Small polynomials are sums of T_1 .. T_4 times constants. T_k is x^k, or the Chebyshev
polynomial where the values lie in [-1, 1]: T_(a+b) = 2 T_a T_b - T_|a-b|.

No constant costs a prime: it is multiplied as a whole number over a scale that lifts its summand to the scale
of the product it is added to, which is what makes scales equal exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hitoku.inference.arrays import Floats

if TYPE_CHECKING:
    from hitoku.inference.layouts.chain import Operations, Scaling, Tracked
    from hitoku.inference.layouts.stages import Poly

__all__ = ["evaluate"]

_NEGLIGIBLE: Final = 1e-13


def evaluate(operations: Operations, x: Tracked, part: Poly, scaling: Scaling) -> Tracked:
    """The polynomial of x; the result has 3 parts and the scale of a product that was not settled.

    Args:
        operations: the layout.
        x: a value of 2 parts.
        part: the polynomial.
        scaling: bits of coefficients and of what products are settled to.
    """
    if part.is_square:
        return operations.square(x)
    return _Evaluation(operations, x, part, scaling).of(part.coefficients)


class _Evaluation:
    def __init__(self, operations: Operations, x: Tracked, part: Poly, scaling: Scaling) -> None:
        self._operations = operations
        self._chebyshev = part.chebyshev
        self._leaf = 2 if part.degree <= 4 else 4
        self._target = 2.0**scaling.work
        self._coefficient = 2.0**scaling.plain
        self._powers = {1: x}

    def of(self, coefficients: Floats) -> Tracked:
        """The polynomial with these coefficients, not settled."""
        degree = _degree(coefficients)
        if degree <= self._leaf:
            return self._sum(coefficients[: degree + 1])
        giant = 1 << (degree - 1).bit_length() - 1
        high, low = self._divided(coefficients[: degree + 1], giant)
        inner = self.of(high)
        if inner.parts > 2:
            inner = self._settled(inner)
        product = self._operations.multiply(inner, self._power(giant))
        if _degree(low) <= self._leaf:
            for power in range(1, _degree(low) + 1):
                product = self._plus(product, self._power(power), float(low[power]))
        else:
            product = self._plus(product, self._settled(self.of(low)), 1.0)
            low = low[:1] * 0
        return self._operations.add_constant(product, float(low[0])) if low[0] else product

    def _sum(self, coefficients: Floats) -> Tracked:
        """A small polynomial, as a sum."""
        powers = [k for k in range(1, len(coefficients)) if abs(coefficients[k]) > _NEGLIGIBLE]
        values = {k: self._power(k) for k in powers}
        scale = max(v.scale for v in values.values()) * self._coefficient
        total: Tracked | None = None
        for k in powers:
            term = self._operations.times(values[k], float(coefficients[k]), scale / values[k].scale)
            total = term if total is None else self._operations.add(total, term)
        if total is None:
            raise ValueError("a polynomial without any power of x")
        constant = float(coefficients[0])
        return self._operations.add_constant(total, constant) if constant else total

    def _plus(self, product: Tracked, term: Tracked, factor: float) -> Tracked:
        """Product + factor * term, the term lifted to the product's scale."""
        if abs(factor) <= _NEGLIGIBLE:
            return product
        lifted = self._operations.times(term, factor, product.scale / term.scale)
        return self._operations.add(product, lifted)

    def _settled(self, x: Tracked) -> Tracked:
        return self._operations.settle(self._operations.relinearise(x), self._target)

    def _power(self, k: int) -> Tracked:
        found = self._powers.get(k)
        if found is None:
            a = 1 << (k - 1).bit_length() - 1
            b = k - a
            if a == b:
                found = self._operations.square(self._power(a))
            else:
                found = self._operations.multiply(self._power(a), self._power(b))
            if self._chebyshev:
                found = self._operations.add(found, found)
                if a == b:
                    found = self._operations.add_constant(found, -1.0)
                else:
                    found = self._plus(found, self._power(a - b), -1.0)
            self._powers[k] = found = self._settled(found)
        return found

    def _divided(self, coefficients: Floats, giant: int) -> tuple[Floats, Floats]:
        """Quotient and remainder by T_giant."""
        if not self._chebyshev:
            return coefficients[giant:], coefficients[:giant]
        divisor = np.zeros(giant + 1)
        divisor[giant] = 1.0
        high, low = np.polynomial.chebyshev.chebdiv(coefficients, divisor)
        return np.asarray(high), np.asarray(low)


def _degree(coefficients: Floats) -> int:
    used = np.flatnonzero(np.abs(coefficients) > _NEGLIGIBLE)
    return int(used[-1]) if used.size else 0
