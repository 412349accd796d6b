# SPDX-License-Identifier: Apache-2.0
"""Prints dp-accounting's figures for Gaussians; run in an environment of its own, never imported.

Standard input is a list of (sigma, how many, delta), standard output a list of (epsilon by RDP, by PLD).
"""

from __future__ import annotations

import json
import sys

import dp_accounting as dp  # type: ignore[import-not-found]
from dp_accounting import pld, rdp

ORDERS = (
    [1 + x / 1000 for x in range(1, 1000)] + [2 + x / 50 for x in range(5000)] + list(range(103, 40000, 10))
)

figures = []
for sigma, count, delta in json.load(sys.stdin):
    event = dp.SelfComposedDpEvent(dp.GaussianDpEvent(sigma), count)
    renyi = rdp.RdpAccountant(ORDERS).compose(event).get_epsilon(delta)
    # Optimistic: a figure that is certainly not above the truth by its own grid.
    made = pld.privacy_loss_distribution.from_gaussian_mechanism(
        sigma / count**0.5, value_discretization_interval=1e-4, pessimistic_estimate=False
    )
    figures.append((renyi, made.get_epsilon_for_delta(delta)))
json.dump(figures, sys.stdout)
