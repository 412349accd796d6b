# SPDX-License-Identifier: Apache-2.0
"""Replace activations by polynomials, fitted where a model's values really are.

For each activation, least squares over Chebyshev polynomials, weighted by how often calibration samples give
a value (a histogram), with a little weight everywhere in the domain so that a rare value is not far off.
Layers are fitted front to back on the values that the polynomials before them give. A common degree is chosen
first, the smallest that keeps the tolerance on samples that were not fitted on; then each layer gets the
smallest degree of its own that still does. What it costs is reported, never hidden.

A dense layer behind a polynomial is fitted again: least squares to what it gave before, held to its old
weights (ridge). That takes back much of what a low degree loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.polynomial import Polynomial as Power
from numpy.polynomial import chebyshev

from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError
from hitoku.inference.network import Activation, Dense, Layer, Network, Polynomial
from hitoku.inference.passes.measure import Difference, calibration_of, compare, decides

__all__ = ["DEGREES", "Fit", "Fitted", "fit", "fit_one", "refitted"]

DEGREES: Final = (2, 3, 4, 5, 7, 9, 11, 13, 15)
MARGIN: Final = 0.1
"""How much wider than the calibration values the domain is, on each side."""
EVERYWHERE: Final = 0.02
"""The weight of a value that calibration never saw, relative to an even histogram."""
RIDGE: Final = 0.01
"""How strongly a layer fitted again is held to its old weights, relative to its inputs' mean square."""
_BINS: Final = 512
_SHOWN: Final = 4096
"""Calibration samples used at most."""


@dataclass(frozen=True)
class Fit:
    """One activation and the polynomial in its place.

    Attributes:
        layer: its place in the network.
        kind: what was replaced.
        degree: of the polynomial.
        domain: the values for which it was fitted.
        error: root mean square of the difference on calibration values.
        worst: the largest difference on the domain.
        outside: the share of held-out values outside the domain.
    """

    layer: int
    kind: str
    degree: int
    domain: tuple[float, float]
    error: float
    worst: float
    outside: float


@dataclass(frozen=True, eq=False)
class Fitted:
    """The network with polynomials, what each stands for, and what they cost on held-out samples."""

    network: Network
    fits: tuple[Fit, ...]
    cost: Difference

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {"fits": [dict(vars(one)) for one in self.fits], "cost": self.cost.to_dict()}


def fit_one(
    activation: Activation, values: Floats, degree: int, margin: float = MARGIN
) -> tuple[Polynomial, float]:
    """The polynomial of this degree for the values, and its root mean square error on them.

    Args:
        activation: what to replace.
        values: samples of what it is applied to, of any shape.
        degree: 1 to 31.
        margin: how much wider than the values the domain is, as a share of their width on each side.
    """
    low, high = float(values.min()), float(values.max())
    wider = margin * (high - low) or 1.0
    low, high = low - wider, high + wider
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    weights = counts / values.size + EVERYWHERE / _BINS
    unit = (2 * middles - (low + high)) / (high - low)
    targets = activation.run(middles)
    root = np.sqrt(weights)
    basis = chebyshev.chebvander(unit, degree)
    coefficients, *_ = np.linalg.lstsq(basis * root[:, None], targets * root, rcond=None)
    inner = Power([-(low + high) / (high - low), 2 / (high - low)])
    powers = np.zeros(degree + 1)
    found = Power(chebyshev.cheb2poly(coefficients))(inner).coef
    powers[: len(found)] = found
    polynomial = Polynomial(powers, activation.kind, (low, high), activation.name)
    difference = polynomial.run(middles) - targets
    return polynomial, float(np.sqrt(np.average(difference**2, weights=counts)))


def fit(
    network: Network,
    samples: object,
    *,
    tolerance: float = 0.01,
    degrees: Sequence[int] = DEGREES,
    margin: float = MARGIN,
    refit: bool = True,
) -> Fitted:
    """Replace every `Activation` by a polynomial.

    Args:
        network: fold it first: the fewer values an activation sees, the better its polynomial.
        samples: [count, *input_shape], like those the model will see; a quarter is held out where there are
            enough, and judges.
        tolerance: for a network that decides between classes the share of held-out samples that may get
            another class, else the relative error of the scores (`Difference.error`).
        degrees: what may be chosen, rising.
        margin: see `fit_one`.
        refit: whether dense layers behind polynomials are fitted again.

    Raises:
        ModelError: CALIBRATION, or TOLERANCE where the highest degree does not keep it.
    """
    places = [k for k, layer in enumerate(network.layers) if isinstance(layer, Activation)]
    x = calibration_of(network, samples)[:_SHOWN]
    taught, held = (x, x) if len(x) < 64 else (x[: len(x) - len(x) // 4], x[len(x) - len(x) // 4 :])
    wanted = network.run(held)
    if not places:
        return Fitted(network, (), compare(wanted, wanted))
    judge = _Judge(network, taught, held, wanted, margin, refit)
    allowed = [degree for degree in sorted(set(degrees)) if 1 <= degree <= 31]
    common = next((d for d in allowed if judge.cost([d] * len(places)) <= tolerance), None)
    if common is None:
        best = min(judge.cost([d] * len(places)) for d in allowed)
        what = "of decisions change" if decides(network) else "relative error of the scores"
        raise ModelError(
            "TOLERANCE",
            f"polynomials of degree {allowed[-1]} do not replace its activations well enough: {best:.2%} "
            f"{what}, {tolerance:.2%} are allowed",
            where=f'model "{network.name}"',
            remedy="allow more, give more calibration samples, or train with smooth activations",
        )
    chosen = [common] * len(places)
    for place in range(len(places)):
        for degree in allowed:
            tried = [*chosen[:place], degree, *chosen[place + 1 :]]
            if degree >= chosen[place] or judge.cost(tried) <= tolerance:
                chosen = tried
                break
    return judge.fitted(chosen)


def refitted(layer: Dense, values: Floats, wanted: Floats) -> Dense:
    """The dense layer whose results on the values are nearest to the wanted ones, held to its old weights.

    Args:
        layer: with the weights of before.
        values: [samples, ...] that it now gets.
        wanted: [samples, out] that it gave.
    """
    rows = np.hstack([values.reshape(len(values), -1), np.ones((len(values), 1))])
    square = rows.T @ rows
    square[np.diag_indices_from(square)] += RIDGE * np.trace(square) / len(square)
    change = np.linalg.solve(square, rows.T @ (wanted - layer.run(values)))
    return Dense(layer.weights + change[:-1].T, layer.bias + change[-1], layer.name)


class _Judge:
    """Networks with polynomials of given degrees, each made and measured once."""

    def __init__(
        self, network: Network, taught: Floats, held: Floats, wanted: Floats, margin: float, refit: bool
    ) -> None:
        self.network, self.margin, self.refit = network, margin, refit
        self.taught, self.held, self.wanted = taught, held, wanted
        self.known: dict[tuple[int, ...], Fitted] = {}

    def fitted(self, degrees: Sequence[int]) -> Fitted:
        key = tuple(degrees)
        if key not in self.known:
            self.known[key] = self._make(key)
        return self.known[key]

    def cost(self, degrees: Sequence[int]) -> float:
        difference = self.fitted(degrees).cost
        found = difference.decisions if decides(self.network) else difference.error
        return found if np.isfinite(difference.error) else float("inf")

    def _make(self, degrees: tuple[int, ...]) -> Fitted:
        taught, held, exact = self.taught, self.held, self.taught
        layers: list[Layer] = []
        fits = []
        remaining = iter(degrees)
        with np.errstate(over="ignore", invalid="ignore"):
            for place, layer in enumerate(self.network.layers):
                exact = layer.run(exact)
                if not np.isfinite(taught).all():
                    return Fitted(self.network, (), _LOST)
                if isinstance(layer, Activation):
                    polynomial, error = fit_one(layer, taught, next(remaining), self.margin)
                    fits.append(_described(place, layer, polynomial, error, held))
                    layers.append(polynomial)
                elif isinstance(layer, Dense) and fits and self.refit:
                    layers.append(refitted(layer, taught, exact))
                else:
                    layers.append(layer)
                taught, held = layers[-1].run(taught), layers[-1].run(held)
            scores = held.reshape(len(held), -1)
            cost = compare(self.wanted, scores) if np.isfinite(scores).all() else _LOST
        return Fitted(self.network.with_layers(tuple(layers)), tuple(fits), cost)


_LOST: Final = Difference(1.0, float("inf"), float("inf"), 0)
"""Values that grew out of float64: no polynomial of this degree serves."""


def _described(place: int, layer: Activation, polynomial: Polynomial, error: float, held: Floats) -> Fit:
    low, high = polynomial.domain
    grid = np.linspace(low, high, 2049)
    worst = float(np.abs(polynomial.run(grid) - layer.run(grid)).max())
    outside = float(np.mean((held < low) | (held > high)))
    return Fit(place, layer.kind, polynomial.degree, (low, high), error, worst, outside)
