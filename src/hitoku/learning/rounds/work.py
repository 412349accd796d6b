# SPDX-License-Identifier: Apache-2.0
"""What members and driver derive alike from a signed plan: which sum a round is, its length, scale, bound."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError
from hitoku.learning.averaging import averaged, summed
from hitoku.learning.base import Arrays, Instruction
from hitoku.learning.network import Network, Steps
from hitoku.learning.plan import Boosting, Linear, Perceptron, Plan
from hitoku.learning.privacy import Noise, Schedule
from hitoku.learning.scaling import MOST

__all__ = ["Work"]

_LOCAL_MOMENTUM: Final = 0.9
_CLIP_BITS: Final = 24
_GRADIENT: Final = 256.0
"""No row's part of a network's summed gradient is larger, times its weight; what is larger is cut off."""


class Work:
    """What both sides derive from a plan: which kind of sum a round is, its length, scale and bound.

    Args:
        plan: for `linear` or `perceptron`.

    Raises:
        InputError: another kind of model, or sums that would be too coarse.
    """

    def __init__(self, plan: Plan) -> None:
        if isinstance(plan.model, Boosting):
            raise InputError("model.kind: this is not a plan for a linear model or a network")
        self.plan = plan
        self.model: Linear | Perceptron = plan.model
        self.layers = plan.model.layers if isinstance(plan.model, Perceptron) else ()
        self.heaviest = max(1.0, plan.model.weights.positive)
        self.noise: Noise | None = None
        if plan.privacy is not None:
            self.do = "private"
        elif plan.model.method == "averages":
            self.do, self.scale = "average", averaged(plan)
        elif isinstance(plan.model, Linear):
            # |x| <= MOST, the residual's weight at most 1/4 of the class's; a loss is at most 60 times it.
            self.do, self.scale = "newton", summed(plan, self.heaviest * MOST * MOST / 4)
        else:
            self.do, self.scale = "gradient", summed(plan, self.heaviest * _GRADIENT)

    def network(self, inputs: int) -> Network:
        """The model's shape."""
        return Network(inputs, self.layers)

    def instruction(
        self, done: int, network: Network, weights: NDArray[np.float64], scaling: Arrays
    ) -> Instruction:
        """What a round asks for."""
        size = network.length
        arrays = {**scaling, "weights": weights}
        body = {"do": self.do, "round": done, "fresh": True}
        if self.do == "private":
            bound = self.plan.data.rows * self.private_row + self.private_noise(size).most
            return Instruction(self.plan.model.kind, body, size, bound, arrays)
        more = {"average": 2, "newton": size * (size + 1) // 2 + 3, "gradient": 5}[self.do]
        return Instruction(self.plan.model.kind, body, size + more, self.scale.bound, arrays)

    @property
    def private_scale(self) -> float:
        """What 1 is in a noised sum, in units of a gradient."""
        if self.plan.privacy is None:
            raise InputError("privacy: this plan has no noise")
        return math.ldexp(1.0, _CLIP_BITS) / self.plan.privacy.clip

    @property
    def private_row(self) -> int:
        """No row moves a number of a noised sum by more: the clip, a little for doubles' errors, and 1."""
        return (1 << _CLIP_BITS) + (1 << (_CLIP_BITS - 20)) + 1

    def private_noise(self, size: int) -> Noise:
        """A member's noise for a round.

        Without a row, the sum of its block changes by a vector of norm at most the clip (a little more for
        the doubles' errors: 512 rows of a block, each off by 512 units in the last place, are below 2^-20
        of it), and rounding moves each number of that block by at most one more.
        """
        row = (1 << _CLIP_BITS) + (1 << (_CLIP_BITS - 20)) + math.isqrt(size) + 1
        return Schedule(self.plan).noise("step", row * row)

    def local(self, done: int) -> Steps:
        """How a member trains by itself in a round: the rate falls to 0 along a cosine."""
        model = self.model
        rate = model.rate * (1 + math.cos(math.pi * done / model.rounds)) / 2
        return Steps(
            model.epochs, model.batch, rate, _LOCAL_MOMENTUM, model.l2, model.proximal, model.weights.positive
        )
