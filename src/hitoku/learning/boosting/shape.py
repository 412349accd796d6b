# SPDX-License-Identifier: Apache-2.0
"""What driver and banks derive alike from a signed plan: sizes, scales and bounds of every sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hitoku import limits
from hitoku.errors import InputError
from hitoku.learning.boosting.fixed_point import FixedPoint, boosting_of, fixed_point
from hitoku.learning.boosting.noise import count_noise, level_noise
from hitoku.learning.plan import Boosting, Feature, Plan
from hitoku.learning.privacy import Noise

__all__ = ["TASK", "Shape", "shape_of"]

TASK: Final = "boosting"


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes and bounds.

    Attributes:
        settings: the plan's model.
        inputs: the features in order, those of counters last.
        scale: of gradients.
        level_noise: a member's noise for a level's sum.
        count_noise: the same for a sum of counts.
        level_bound: no member's number in a level's sum is outside [-level_bound, level_bound].
        count_bound: the same for counts.
    """

    settings: Boosting
    inputs: tuple[Feature, ...]
    scale: FixedPoint
    level_noise: Noise | None
    count_noise: Noise | None
    level_bound: int
    count_bound: int

    @property
    def features(self) -> int:
        """How many features there are."""
        return len(self.inputs)

    @property
    def bins(self) -> int:
        """Bins of values; the bin of missing values has this number."""
        return self.settings.bins

    def level_length(self, nodes: int) -> int:
        """How many numbers a sum over so many nodes has."""
        return nodes * self.features * (self.bins + 1) * 2


def shape_of(plan: Plan) -> Shape:
    """Sizes and bounds of a plan for boosting.

    Raises:
        InputError: its sums would be too long or too large, or it asks for early stopping with privacy.
    """
    settings = boosting_of(plan)
    if plan.privacy is not None and settings.patience:
        raise InputError(
            "model.patience: early stopping looks at holdout rows, which the plan's privacy does not pay "
            "for; set patience to 0"
        )
    inputs, scale = plan.data.inputs, fixed_point(plan)
    level, count = level_noise(plan, len(inputs)), count_noise(plan, len(inputs))
    made = Shape(
        settings,
        inputs,
        scale,
        level,
        count,
        scale.cell + (0 if level is None else level.most),
        plan.data.rows + (0 if count is None else count.most),
    )
    if len(inputs) > limits.MAX_LEARNING_FEATURES:
        raise InputError(f"data: more than {limits.MAX_LEARNING_FEATURES} features")
    if made.level_length(1 << max(0, settings.depth - 2)) > limits.MAX_LEARNING_VALUES:
        raise InputError(
            "model.depth, model.bins: a level's sum would be too long with so many features; lower one"
        )
    if len(plan.members) * max(made.level_bound, made.count_bound) >= 1 << 62:
        raise InputError("privacy.rho: so much noise would leave no room in the sums; raise rho")
    return made
