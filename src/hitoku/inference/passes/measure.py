# SPDX-License-Identifier: Apache-2.0
"""How far the scores of a changed network are from those of the one before."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt

import numpy as np

from hitoku.inference.arrays import Floats
from hitoku.inference.errors import ModelError
from hitoku.inference.network import Network

__all__ = ["Difference", "calibration_of", "compare", "decides"]


@dataclass(frozen=True)
class Difference:
    """What a change costs, on samples.

    Attributes:
        decisions: the share of samples whose greatest score (or the sign of the only one) is another.
        error: root mean square of the change, relative to how much scores differ between samples.
        worst: the largest change of any score, in the scores' own unit.
        samples: how many samples were compared.
    """

    decisions: float
    error: float
    worst: float
    samples: int

    @property
    def decisions_most(self) -> float:
        """What the share of changed decisions is at most for samples like these, with 97.5 % confidence.

        The upper end of Wilson's interval: few samples say little, however well they went.
        """
        z, n, p = 1.96, self.samples, self.decisions
        if n == 0:
            return 1.0
        return min(
            1.0, (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)) / (1 + z * z / n)
        )

    def to_dict(self) -> dict[str, float]:
        """As JSON-ready data."""
        return {**asdict(self), "decisions_most": self.decisions_most}


def decides(network: Network) -> bool:
    """Whether the scores choose a class, so that what counts is which one, not their values."""
    return network.outputs > 1 or bool(set(network.post) & {"sigmoid", "complement", "argmax"})


def _decisions(scores: Floats) -> Floats:
    found = scores[:, 0] > 0 if scores.shape[1] == 1 else scores.argmax(axis=1)
    return np.asarray(found, dtype=np.float64)


def compare(before: Floats, after: Floats) -> Difference:
    """The difference between two arrays of scores, [samples, out]."""
    change = after - before
    spread = float(np.sqrt(np.mean((before - before.mean(axis=0)) ** 2)))
    error = float(np.sqrt(np.mean(change**2)))
    return Difference(
        decisions=float(np.mean(_decisions(before) != _decisions(after))),
        error=error / spread if spread > 0 else (0.0 if error == 0 else float("inf")),
        worst=float(np.abs(change).max()),
        samples=len(before),
    )


def calibration_of(network: Network, samples: object, least: int = 8) -> Floats:
    """Sample inputs as [samples, *input_shape].

    Raises:
        ModelError: another shape, values that are not finite numbers, or too few samples.
    """
    try:
        values = np.asarray(samples, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError("CALIBRATION", "are no array of numbers", where="sample inputs") from None
    if values.ndim < 2 or values[0].size != int(np.prod(network.input_shape)):
        raise ModelError(
            "CALIBRATION",
            f"do not have the shape of the model's input, {network.input_shape}",
            where="sample inputs",
        )
    if len(values) < least:
        raise ModelError(
            "CALIBRATION",
            f"are {len(values)}, at least {least} are needed",
            where="sample inputs",
            remedy="give a few hundred inputs like those the model will see",
        )
    if not np.isfinite(values).all():
        raise ModelError("CALIBRATION", "hold a value that is not a finite number", where="sample inputs")
    return values.reshape(len(values), *network.input_shape)
