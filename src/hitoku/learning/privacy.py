# SPDX-License-Identifier: Apache-2.0
"""Noise inside the contributions: how much, what the whole run costs, and that no more is ever spent.

The unit is one row of one bank; neighbours differ in one row that is there or is left out (its contribution
is zero). Every sum of a run that depends on rows is a Gaussian mechanism; the parts of a run and how many
sums each has follow from the plan alone, so the cost is known and told before a row is read.

The mechanism. A row's contribution to a sum, in whole numbers, has an L2 norm of at most ``sqrt(squared)``.
Every member adds ``N_Z(0, s^2)`` to each value of its contribution, inside the masks or the encryption. A sum
that opens is over at least t members (the plan's threshold), of which c colluding ones may take their own
noise off again: n = t - c draws remain. For sums of n draws of d values

    rho = e^2 / 2,  e = sqrt(squared / n) / s + tau sqrt(d),  tau = 10 sum_{k=1}^{n-1} exp(-2 pi^2 s^2 k /
    (k+1))

(Kairouz, Liu, Steinke 2021, arXiv 2102.06387, proposition 14; sums of discrete Gaussians are not discrete
Gaussians, tau is what that costs, for s >= 1/2). No s below `LEAST_SCALE` is used: there
``tau <= 10 n exp(-pi^2 s^2) < 2^-200``, and 2^-100 is counted for ``tau sqrt(d)``. Draws of more members than
n only add independent noise. Sums compose by addition, also where later sums depend on earlier ones (Bun,
Steinke 2016, arXiv 1605.02065, lemma 1.7); (epsilon, delta) is computed as for the room's budgets
(`hitoku.room.accounting`).

Not covered, and so not allowed with it: votes on holdouts and sums of counters (`Plan` refuses both).
Not done with it: early stopping (trainers do not look at holdouts). Not covered: how many rows a member has.
"""

from __future__ import annotations

import json
import math
import threading
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError, Refusal
from hitoku.learning.gaussian import MAX_SCALE, draw
from hitoku.learning.plan import Boosting, Plan
from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS, decimal_of, epsilon_of
from hitoku.room.files import write_whole

__all__ = ["LEAST_SCALE", "Meter", "Noise", "Part", "Schedule", "epsilon", "rho_for", "spent", "told"]

LEAST_SCALE: Final = 16
_SLACK: Final = Fraction(1, 1 << 100)
_TAILS: Final = 40
"""No draw is larger than so many scales but with probability below 2^-1100; one that is, is cut."""


@dataclass(frozen=True, slots=True)
class Noise:
    """One member's noise for one kind of sum.

    Attributes:
        scale: of each of this member's draws, in the units of the contribution.
    """

    scale: int

    @property
    def most(self) -> int:
        """No draw is larger: what an instruction's bound has to leave room for."""
        return _TAILS * self.scale

    def draw(self, length: int) -> NDArray[np.int64]:
        """Fresh draws, each used once."""
        return np.clip(draw(self.scale, length), -self.most, self.most)

    def add(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The contribution with noise."""
        return values + self.draw(len(values))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a run's sums.

    Attributes:
        name: `quantiles`, `moments`, `tree` or `step`.
        sums: how many of them a member contributes to at most.
        rho: what each costs, in units of 10^-12.
    """

    name: str
    sums: int
    rho: int


class Schedule:
    """What each sum of a run costs and how much noise it gets, from the plan alone.

    Preparation (quantiles, moments) gets a twentieth of rho each, training the rest. Of boosting
    a sum is a tree's level; `aggregation.changes` trees more and the bins twice are paid for: a lost member
    spoils some.

    Raises:
        InputError: the plan has no privacy, or its rho is less than a unit for each sum.
    """

    def __init__(self, plan: Plan) -> None:
        if plan.privacy is None:
            raise InputError("privacy: this plan has no noise")
        self._honest = plan.threshold - plan.privacy.colluding
        sums: dict[str, int] = {}
        if isinstance(plan.model, Boosting):
            sums["quantiles"] = 2 * QUANTILE_SUMS
            sums["tree"] = (plan.model.trees + plan.aggregation.changes) * plan.model.depth
        else:
            sums["quantiles"] = 1
            sums["moments"] = 1
            sums["step"] = plan.model.rounds
        whole = int(Decimal(repr(plan.privacy.rho)) * RHO_UNITS)
        small = whole // 20
        parts: list[Part] = []
        for name, count in sums.items():
            share = whole - small * (len(sums) - 1) if name in ("tree", "step") else small
            if share // count < 1:
                raise InputError(f"privacy.rho: too little for {sum(sums.values())} sums")
            parts.append(Part(name, count, share // count))
        self.parts = {part.name: part for part in parts}

    @property
    def spent(self) -> int:
        """What the whole run costs every member, in units of 10^-12; at most the plan's rho."""
        return sum(part.sums * part.rho for part in self.parts.values())

    def noise(self, part: str, squared: int) -> Noise:
        """A member's noise for each sum of a part.

        Args:
            part: its name.
            squared: the square of the L2 norm that one row's contribution has at most, in whole numbers.

        Raises:
            InputError: the contribution's units are too fine.
        """
        cost = Fraction(self.parts[part].rho, RHO_UNITS)
        scale = max(LEAST_SCALE, math.isqrt(int(Fraction(squared) / (2 * self._honest * cost))))
        while self.cost(squared, scale) > cost:
            scale += 1
        if scale > MAX_SCALE:
            raise InputError(f"privacy.rho: the noise of {part} would be larger than the encoding holds")
        return Noise(scale)

    def cost(self, squared: int, scale: int) -> Fraction:
        """The rho of a sum, where every member's draws have that scale; never too little."""
        # isqrt rounds down; one unit of 2^-128 more is above the root.
        ratio = Fraction(squared, self._honest * scale * scale)
        root = Fraction(math.isqrt(int(ratio * (1 << 256))) + 1, 1 << 128)
        return (root + _SLACK) ** 2 / 2


QUANTILE_SUMS: Final = 3
"""Of boosting: how many sums its bins may take."""


def spent(plan: Plan) -> int:
    """What a run costs every member's account, in units of 10^-12 (`RHO_UNITS`); 0 without privacy."""
    return 0 if plan.privacy is None else Schedule(plan).spent


def epsilon(plan: Plan) -> Decimal:
    """The epsilon of the whole run at the plan's delta, rounded up.

    Raises:
        InputError: the plan has no privacy.
    """
    if plan.privacy is None:
        raise InputError("privacy: this plan has no noise")
    return epsilon_of(spent(plan), _delta(plan.privacy.delta))


def rho_for(wanted: float, delta: float = 1e-6) -> float:
    """The largest rho (nearly) whose epsilon at `delta` is at most `wanted`: for a plan's `privacy.rho`."""
    low, high = 1, 1000 * RHO_UNITS
    units = _delta(delta)
    while high - low > 1 + low // 10**5:
        # By ratios: rho spans fifteen orders of magnitude.
        middle = math.isqrt(low * high) if high > 4 * low else (low + high) // 2
        low, high = (middle, high) if epsilon_of(middle, units) <= Decimal(repr(wanted)) else (low, middle)
    # A dozen digits: what a JSON number gives back exactly.
    return low / RHO_UNITS


def told(plan: Plan) -> dict[str, Any]:
    """What is told of a run's privacy before it starts, JSON-ready. `{}` without privacy."""
    if plan.privacy is None:
        return {}
    schedule = Schedule(plan)
    return {
        "unit": "one row of one bank",
        "rho": decimal_of(schedule.spent, RHO_UNITS),
        "epsilon": str(epsilon(plan)),
        "delta": format(Decimal(repr(plan.privacy.delta)), "f"),
        "charged": plan.privacy.unit,
        "colluding": plan.privacy.colluding,
        "sums": {part.name: part.sums for part in schedule.parts.values()},
    }


def _delta(delta: float) -> int:
    units = int(Decimal(repr(delta)) * DELTA_UNITS)
    if units < 1:
        raise InputError("privacy.delta: at least 1e-18")
    return units


class Meter:
    """Counts a member's noised contributions, so that no server can ask for more than the plan pays for.

    Args:
        plan: with privacy.
        path: a file that keeps the counts over restarts, written before a contribution is made. None: in
            memory
            (tests, evaluation).
    """

    def __init__(self, plan: Plan, path: Path | None = None) -> None:
        self._schedule = Schedule(plan)
        self._path = path
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}
        if path is not None and path.exists():
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                self._taken = {str(name): int(count) for name, count in kept.items()}
            except (ValueError, AttributeError, TypeError) as error:
                raise InputError(f"{path.name}: not the counts of a run's noised sums") from error

    @property
    def schedule(self) -> Schedule:
        """What each sum costs."""
        return self._schedule

    def take(self, part: str) -> None:
        """Count one contribution more, durably, before it is made.

        Raises:
            Refusal: the plan does not pay for another.
        """
        with self._lock:
            taken = self._taken.get(part, 0) + 1
            allowed = self._schedule.parts[part].sums if part in self._schedule.parts else 0
            if taken > allowed:
                raise Refusal(
                    "LEARNING_PRIVACY_SPENT",
                    f"the plan pays for {allowed} noised sums of {part!r}; this would be one more",
                    rule="privacy.rho",
                    remedy="sign a plan with more rounds or changes, or with a larger rho",
                )
            self._taken[part] = taken
            if self._path is not None:
                write_whole(self._path, json.dumps(self._taken, sort_keys=True).encode())
