# SPDX-License-Identifier: Apache-2.0
"""What a question would cost, before it is asked. Reads no data and charges nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hitoku import limits
from hitoku.ask.asker import common_fields, look_up
from hitoku.ask.common import budget_of, examine, plan_of
from hitoku.disclosure.plan import default_receivers
from hitoku.errors import Refusal
from hitoku.ports import Peers
from hitoku.room.agreement import Room
from hitoku.transport import messages
from hitoku.transport import preview as wire

__all__ = ["Preview", "noise_for", "preview"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What every owner says of a question that was not asked.

    Attributes:
        question: the question's hash.
        sql: its normal form.
        users_noise: how many units' contributions the noise hides; None where nothing is noised.
        answered: the run whose answer would be given again, at no cost; None where it would be computed.
        accounts: by owner: how each account that would pay stands.
        windows: by owner: access budgets of the tables in it.
    """

    question: str
    sql: str
    users_noise: int | None
    answered: str | None
    accounts: tuple[tuple[str, wire.Previewed], ...]
    windows: tuple[tuple[str, wire.WindowLeft], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "question": self.question,
            "sql": self.sql,
            "users_noise": self.users_noise,
            "answered": self.answered,
            "accounts": [{"owner": o, **a.model_dump(mode="json")} for o, a in self.accounts],
            "windows": [{"owner": o, **w.model_dump(mode="json")} for o, w in self.windows],
        }


def preview(
    sql: str,
    room: Room,
    peers: Peers,
    receivers: Iterable[str] | None = None,
    users_noise: int | None = None,
) -> Preview:
    """Ask every owner what a question would cost.

    Raises:
        Refusal: the rules do not allow the question.
        PeerError: an owner or the host cannot be reached or failed.
    """
    me = peers.me
    to = tuple(default_receivers(room, me) if receivers is None else receivers)
    examined = examine(sql, room, me, to, users_noise=users_noise)
    question, noise = examined.question, examined.plan.noise
    request = wire.PreviewRequest(**common_fields(sql, examined, users_noise)).model_dump(mode="json")
    accounts: list[tuple[str, wire.Previewed]] = []
    windows: list[tuple[str, wire.WindowLeft]] = []
    for owner in question.owners:
        given = messages.read(wire.PreviewGiven, peers.call(owner, request), owner)
        accounts += [(owner, account) for account in given.accounts]
        windows += [(owner, window) for window in given.windows]
    return Preview(
        question=question.hash,
        sql=question.sql,
        users_noise=None if noise is None else noise.users_noise,
        answered=look_up(sql, peers, examined, users_noise),
        accounts=tuple(accounts),
        windows=tuple(windows),
    )


def noise_for(
    sql: str, room: Room, asker: str, receivers: Iterable[str] | None, epsilon: Decimal
) -> int | None:
    """The least `users_noise` with which a question costs at most `epsilon` on every account.

    None where nothing is noised, so that nothing is paid.

    Raises:
        Refusal: the rules do not allow the question, or even the most noise costs more.
    """
    to = tuple(default_receivers(room, asker) if receivers is None else receivers)
    examined = examine(sql, room, asker, to)
    question, protection = examined.question, examined.protection
    if question.privacy is None:
        return None

    def fits(users_noise: int) -> bool:
        facts = budget_of(plan_of(protection, question, room, to, users_noise), room.agreement)
        costs = [Decimal(charge["epsilon"]) for charge in (facts or {"charges": []})["charges"]]
        return all(cost <= epsilon for cost in costs)

    # More noise never costs more.
    low, high = limits.MIN_USERS_NOISE, limits.MAX_USERS_NOISE
    if not fits(high):
        raise Refusal(
            "EPSILON_TOO_SMALL",
            f"no noise of up to {high} units' contributions makes the question cost as little as {epsilon}",
            remedy="allow it a larger epsilon",
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return low
