# SPDX-License-Identifier: Apache-2.0
"""zCDP to epsilon and back: against the formula in floating point, against itself, against dp-accounting."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitoku.room.accounting import (
    DELTA_UNITS,
    RHO_UNITS,
    Charge,
    admits,
    caps,
    conversion_delta,
    decimal_of,
    epsilon_of,
    remaining,
)
from hitoku.room.agreement import Budget

SCRIPT = Path(__file__).with_name("dp_accounting_figures.py")

rhos = st.integers(1, 10 * RHO_UNITS)
deltas = st.sampled_from([conversion_delta(f"1e-{n}") for n in range(5, 13)])


def budget(epsilon=5, delta="1e-6", **more):
    return Budget(owner="acme", unit="person", epsilon=epsilon, delta=delta, **more)


def plain(rho: float, delta: float) -> float:
    """The conversion by a scan over alpha, ever finer, in floating point."""

    def at(x: float) -> float:
        t = math.exp(x)
        return (1 + t) * rho - math.log1p(1 / t) + (math.log(1 / delta) - math.log1p(t)) / t

    low, high = -10.0, 30.0
    for _ in range(12):
        step = (high - low) / 100
        best = min((low + i * step for i in range(101)), key=at)
        low, high = best - 2 * step, best + 2 * step
    return max(0.0, at(best))


@settings(max_examples=200, deadline=None)
@given(rhos, deltas)
def test_epsilon_is_the_formulas_minimum_rounded_up(rho, delta):
    ours = float(epsilon_of(rho, delta))
    scanned = plain(rho / RHO_UNITS, delta / DELTA_UNITS)
    assert scanned - 1e-12 * (1 + scanned) <= ours <= scanned + 1.001e-9


@given(rhos, rhos, deltas)
def test_more_rho_is_more_epsilon_and_apart_costs_less_than_together(first, second, delta):
    together = epsilon_of(first + second, delta)
    assert together >= epsilon_of(max(first, second), delta)
    assert together <= epsilon_of(first, delta) + epsilon_of(second, delta) + 1


@pytest.mark.parametrize("epsilon", [1, 2, 5, 20])
@pytest.mark.parametrize("delta", ["1e-5", "1e-6", "1e-12"])
def test_the_cap_is_the_largest_rho_within_epsilon(epsilon, delta):
    account = budget(epsilon, delta)
    most = caps(account)
    assert epsilon_of(most.rho, most.delta) <= epsilon < epsilon_of(most.rho + 1, most.delta)
    assert 2 * most.delta == int(Decimal(delta) * DELTA_UNITS)
    assert admits(account, most.rho, most.delta)
    assert not admits(account, most.rho + 1, 0)
    assert not admits(account, 0, most.delta + 1)


def test_what_remains():
    account = budget()
    most = caps(account)
    charge = Charge("acme", "person", most.rho // 10, 0)
    left = remaining(account, 3 * charge.rho, 0)
    assert left.questions(charge) == 7
    assert left.epsilon_spent == epsilon_of(3 * charge.rho, most.delta)
    assert left.questions(Charge("acme", "person", charge.rho, most.delta // 4 + 1)) == 3
    assert left.questions(Charge("acme", "person", 0, 0)) is None
    lowered = remaining(budget(1), most.rho, most.delta)
    assert (lowered.rho, lowered.delta) == (0, 0)
    assert lowered.questions(charge) == 0


def test_nothing_costs_nothing_and_what_is_no_cost_is_refused():
    assert epsilon_of(0, conversion_delta("1e-6")) == 0
    for rho, delta in ((-1, 1), (1, 0), (1, DELTA_UNITS)):
        with pytest.raises(ValueError, match="rho is negative"):
            epsilon_of(rho, delta)


@pytest.mark.parametrize(
    ("amount", "units", "text"),
    [
        (5 * 10**9, RHO_UNITS, "0.005"),
        (0, RHO_UNITS, "0"),
        (30 * RHO_UNITS, RHO_UNITS, "30"),
        (1, DELTA_UNITS, "0.000000000000000001"),
    ],
)
def test_amounts_as_decimals(amount, units, text):
    assert decimal_of(amount, units) == text


def missing(what: str) -> None:
    if os.environ.get("HITOKU_REQUIRE_ALL") == "1":
        pytest.fail(f"required, but missing: {what}")
    pytest.skip(f"dp-accounting is not compared: {what}")


@pytest.mark.slow
def test_epsilon_is_dp_accountings_for_gaussians():
    """Its RDP within 1 %, and never below its PLD figure, which is the truth but for its grid."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    if not Path(uv).exists():
        missing("uv is not installed")
    cases = [
        (sigma, count, delta)
        for sigma in (0.8, 2.0, 10.0, 30.0, 100.0)
        for count in (1, 7, 100)
        for delta in (1e-5, 1e-6, 1e-9)
    ]
    done = subprocess.run(
        [uv, "run", "--isolated", "--no-project", "--with", "dp-accounting", "python", str(SCRIPT)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode != 0:
        missing("it cannot be installed here")
    for (sigma, count, delta), (rdp, pld) in zip(cases, json.loads(done.stdout), strict=True):
        rho = math.ceil(count * RHO_UNITS / (2 * Decimal(str(sigma)) ** 2))
        ours = float(epsilon_of(rho, int(Decimal(str(delta)) * DELTA_UNITS)))
        assert ours == pytest.approx(rdp, rel=0.01), (sigma, count, delta)
        assert ours >= pld, (sigma, count, delta)
