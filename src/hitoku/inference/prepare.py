# SPDX-License-Identifier: Apache-2.0
"""A network made ready for a layout: passes run, inputs bounded and scaled, weights rounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from hitoku.inference import passes
from hitoku.inference.arrays import Floats, size_of
from hitoku.inference.encoders import Scaler, bounds_of
from hitoku.inference.errors import ModelError
from hitoku.inference.layouts import packed
from hitoku.inference.layouts.lowering import stages
from hitoku.inference.layouts.stages import Linear, Stage
from hitoku.inference.network import Layer, Network, Scale
from hitoku.inference.passes.measure import calibration_of

__all__ = ["Objective", "Ready", "prepare"]

Objective = Literal["throughput", "latency"]
_MOST_SAMPLES: Final = 4096
_ROUNDING: Final = 0.2
"""Part of the tolerance that rounded weights may take, as a root mean square relative to the scores'
spread: the largest error of some thousand scores is some 4 times that, a third of the tolerance of the
largest score."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A network as stages.

    Attributes:
        network: the model as it came.
        parts: its stages over inputs in [-1, 1].
        scaler: how clients bring inputs there.
        x: calibration samples [n, values] scaled, those with the largest scores first.
        top: the largest score on them.
        notes: what the passes did and cost.
    """

    network: Network
    parts: tuple[Stage, ...]
    scaler: Scaler
    x: Floats
    top: float
    notes: tuple[str, ...]


def prepare(
    model: Network,
    calibration: ArrayLike,
    objective: Objective,
    tolerance: float,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    names: tuple[str, ...] = (),
) -> Ready:
    """Run the passes, for one objective.

    Raises:
        ModelError: see `compile.compile`.
    """
    samples = calibration_of(model, calibration)[:_MOST_SAMPLES]
    scaler = _scaler(model, samples.reshape(len(samples), -1), bounds, names)
    x = scaler.numbers(samples)
    fitted = passes.fit(passes.fold(_scaled(model, scaler)), x, tolerance=tolerance)
    notes = [
        f"{one.kind} became a polynomial of degree {one.degree} on [{one.domain[0]:.3g}, {one.domain[1]:.3g}]"
        for one in fitted.fits
    ]
    if fitted.fits:
        notes.append(
            f"polynomials change {fitted.cost.decisions:.2%} of decisions on held-out samples, relative "
            f"error {fitted.cost.error:.2%}"
        )
    network = passes.normalise(fitted.network, x, inputs=False).network
    scores = network.run(x)
    top = float(np.abs(scores).max())
    if top == 0.0:
        raise ModelError("CALIBRATION", "get the score 0, all of them", where="sample inputs")
    units: tuple[float | None, ...] = ()
    if objective == "throughput":
        rounded = passes.integers(network, x, tolerance=_ROUNDING * tolerance)
        units = tuple(None if w is None else w.unit for w in rounded.weights)
        bits = max((w.bits for w in rounded.weights if w is not None), default=0)
        notes.append(
            f"weights are whole numbers of {bits} bits: a score moves by at most {rounded.cost.worst:.3g}, "
            f"{rounded.cost.decisions:.2%} of decisions change"
        )
        network = rounded.network
    parts = stages(network, units)
    parts = packed.joined(parts) if objective == "latency" else _whole(parts)
    order = np.argsort(-np.abs(scores).max(axis=1), kind="stable")
    return Ready(model, parts, scaler, x[order], top, tuple(notes))


def _whole(parts: tuple[Stage, ...]) -> tuple[Stage, ...]:
    return tuple(p.whole() if isinstance(p, Linear) else p for p in parts)


def _scaler(
    model: Network, samples: Floats, bounds: tuple[ArrayLike, ArrayLike] | None, names: tuple[str, ...]
) -> Scaler:
    """Bounds, and one scale a feature for a table, one for all pixels of an image."""
    size, image = size_of(model.input_shape), len(model.input_shape) > 1
    if bounds is None:
        low, high = bounds_of(samples.min(axis=0), samples.max(axis=0))
        if image:
            # A pixel that is dark in every sample may be bright in the next.
            low, high = np.full(size, low.min()), np.full(size, high.max())
    else:
        low, high = (np.broadcast_to(np.asarray(b, dtype=np.float64).ravel(), (size,)).copy() for b in bounds)
        if not np.isfinite([low, high]).all() or (low >= high).any():
            raise ModelError("VALUE", "need finite numbers with low < high", where="bounds")
    if image:
        # Zero stays zero: convolutions pad with it.
        offset, factor = np.zeros(size), np.full(size, max(float(np.abs([low, high]).max()), 1e-300))
    else:
        offset, factor = (low + high) / 2, (high - low) / 2
    return Scaler(model.input_shape, low, high, factor, offset, names if len(names) == size else ())


def _scaled(model: Network, scaler: Scaler) -> Network:
    """The model over inputs in [-1, 1]."""
    shape, factor, offset = model.input_shape, scaler.factor, scaler.offset
    before: tuple[Layer, ...] = (Scale(factor, offset, "inputs"),)
    if len(shape) > 1:
        before = (Scale(factor[:1], offset[:1], "inputs"),)
    return model.with_layers((*before, *model.layers))
