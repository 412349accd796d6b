# SPDX-License-Identifier: Apache-2.0
"""How far one row moves what a bank contributes to boosting's sums: the sensitivity that noise is made for.

**A level of a tree.** A row is in one node of a level, and in one bin of each of F features, where it counts
with its gradient g and its hessian h; of the asked nodes it is in one at most, since a level asks each node
once. So without the row at most 2F numbers change, and the squared L2 distance is at most F (g^2 + h^2) in
units of 2^-bits. With weight w and probability p, for label 0, g^2 + h^2 = w^2 p^2 (1 + (1 - p)^2), whose
derivative 2 w^2 p (1 + (1 - p)(1 - 2p)) is positive on (0, 1): it is at most w^2, at p = 1 (label 1 alike
with 1 - p). Rounding moves each of the two by at most 1/2, hence F (W 2^bits + 1)^2 with W the larger weight.

**A tree.** Its levels are sums one after another, each computed from splits that follow from the sums before
it; by adaptive composition of zCDP a tree of depth d costs d times a level, and a run all its trees together,
the discarded ones too. Siblings by subtraction, splits and leaves are computed from opened sums: they cost
nothing more. Drawing a fraction of the rows is not counted as amplification.

**Bins.** A row counts in at most one cell of each feature and once for its label: squared distance F + 1.
"""

from __future__ import annotations

from hitoku.learning.boosting.fixed_point import boosting_of, fixed_point
from hitoku.learning.plan import Plan
from hitoku.learning.privacy import Noise, Schedule

__all__ = ["count_noise", "count_squared", "level_noise", "level_squared"]


def level_squared(plan: Plan, features: int) -> int:
    """The squared L2 distance that one row makes in a level's sum, in units of the fixed point."""
    boosting_of(plan)
    return features * fixed_point(plan).row ** 2


def count_squared(features: int) -> int:
    """The same for a sum of counts."""
    return features + 1


def level_noise(plan: Plan, features: int) -> Noise | None:
    """A member's noise for a level's sum; None where the plan has no privacy."""
    return None if plan.privacy is None else Schedule(plan).noise("tree", level_squared(plan, features))


def count_noise(plan: Plan, features: int) -> Noise | None:
    """A member's noise for a sum of counts; None where the plan has no privacy."""
    return None if plan.privacy is None else Schedule(plan).noise("quantiles", count_squared(features))
