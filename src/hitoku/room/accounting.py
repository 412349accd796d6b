# SPDX-License-Identifier: Apache-2.0
"""What noise costs, in whole numbers: zero-concentrated differential privacy inside, epsilon and delta outside.

Costs are integers, rounded up, so that sums are exact and no order of additions can drift: `rho` in units of
10^-12, `delta` in units of 10^-18.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["DELTA_UNITS", "RHO_UNITS", "Charge"]

RHO_UNITS: Final = 10**12
DELTA_UNITS: Final = 10**18


@dataclass(frozen=True, slots=True, order=True)
class Charge:
    """What one question costs one account.

    Attributes:
        owner: whose account.
        unit: of which unit of privacy.
        rho: zCDP's rho, in units of 10^-12, rounded up.
        delta: the delta of truncated mechanisms (noisy thresholds), in units of 10^-18, rounded up.
    """

    owner: str
    unit: str
    rho: int
    delta: int
