# SPDX-License-Identifier: Apache-2.0
"""What an answer says of its cost: every side that makes or checks an answer comes to the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hitoku.errors import Refusal
from hitoku.room.accounting import DELTA_UNITS, RHO_UNITS, conversion_delta, decimal_of, epsilon_of

if TYPE_CHECKING:
    from hitoku.disclosure.plan import DisclosurePlan
    from hitoku.room.agreement import Agreement

__all__ = ["budget_of"]


def budget_of(plan: DisclosurePlan, agreement: Agreement) -> Mapping[str, Any] | None:
    """What an answer says of its cost: exact decimals, and the epsilon of this question alone, each account.

    Raises:
        Refusal: an account is charged that the agreement does not have.
    """
    if not plan.charges:
        return None
    charges = []
    for charge in plan.charges:
        budget = agreement.budget(charge.owner, charge.unit)
        if budget is None:
            raise Refusal(
                "NO_BUDGET",
                f"{charge.owner!r} has no account for the unit {charge.unit!r}",
                rule=f"budgets.{charge.unit}",
                owner=charge.owner,
                remedy=f"ask {charge.owner!r} to agree on a budget",
            )
        epsilon = epsilon_of(charge.rho, conversion_delta(budget.delta))
        charges.append(
            {
                "owner": charge.owner,
                "unit": charge.unit,
                "rho": decimal_of(charge.rho, RHO_UNITS),
                "delta": decimal_of(charge.delta, DELTA_UNITS),
                "epsilon": format(epsilon, "f"),
            }
        )
    return {"charges": charges}
