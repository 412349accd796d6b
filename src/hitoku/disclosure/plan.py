# SPDX-License-Identifier: Apache-2.0
"""The DisclosurePlan: what the rules demand of a question's cells before anything is released.

It is made before the question runs and is bound to it by hash; the place that holds the cells applies
it and refuses cells of another question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from hitoku.disclosure.laplace import two_draws
from hitoku.disclosure.noise import Noise, noise_of
from hitoku.disclosure.three import three_draws
from hitoku.errors import Refusal
from hitoku.room.accounting import Charge
from hitoku.room.agreement import Ability, Room
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.rules import CustomRule

if TYPE_CHECKING:
    from hitoku.questions.question import Question

__all__ = ["DisclosurePlan", "Threshold", "default_receivers", "plan"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """An output row is released only if its hidden column `alias` is at least `minimum`."""

    alias: str
    table: str
    column: str
    owner: str
    minimum: int


@dataclass(frozen=True, slots=True)
class DisclosurePlan:
    """What must be applied to the cells of one question.

    Attributes:
        question: the question's hash.
        thresholds: all must hold for a row to be released.
        sort_by: output columns by which the released rows are sorted where the question does not
            order them itself, so that their order tells nothing.
        receivers: the members the answer goes to, sorted.
        charges: what the noised figures cost each owner's accounts; empty where nothing is noised.
        noise: how the figures are noised; None where they are not.
        round_counts: counts are rounded to multiples of it before anything is made of them; 1: they are not.
        summary: whether the totals of all withheld groups together are told, where these are enough units.
    """

    question: str
    thresholds: tuple[Threshold, ...]
    sort_by: tuple[str, ...]
    receivers: tuple[str, ...]
    charges: tuple[Charge, ...] = ()
    noise: Noise | None = None
    round_counts: int = 1
    summary: bool = False

    @property
    def hash(self) -> str:
        """The plan's name in consents: two members with one hash would release the same, to the same."""
        return digest("hitoku/plan/1", canonical_json(asdict(self)))


def default_receivers(room: Room, asker: str) -> tuple[str, ...]:
    """Who receives where the asker names nobody: the asker if it may, otherwise all who may."""
    able = tuple(m.name for m in room.agreement.able(Ability.RECEIVE))
    return (asker,) if asker in able else able


def plan(
    question: Question,
    room: Room,
    receivers: Iterable[str],
    users_noise: int | None = None,
    *,
    by_owners: bool = False,
    by_servers: bool = False,
) -> DisclosurePlan:
    """What the rules demand of a question's cells. Every owner and the host make it themselves.

    Args:
        question: a checked question.
        room: the room.
        receivers: who would receive the answer.
        users_noise: how many units' contributions the noise hides; what the strictest account demands
            where None or less.
        by_owners: two owners add the noise while they compute, so that nobody ever holds exact figures; else
            it is added where the cells are.
        by_servers: three servers add it to shares, so that none of them knows it, and nobody has the figures.

    Raises:
        Refusal: nobody is to receive, or somebody who may not.
    """
    to = tuple(sorted(set(receivers)))
    if not to:
        raise Refusal(
            "NO_RECEIVER",
            "nobody would receive the answer",
            rule="members",
            remedy="give a member of the room the ability `receive`",
        )
    able = {m.name for m in room.agreement.able(Ability.RECEIVE)}
    for name in to:
        if name not in able:
            raise Refusal(
                "RECEIVER_NOT_ALLOWED",
                f"{name!r} may not receive answers in this room",
                rule=f"members.{name}.abilities",
                remedy=f"send the answer to {' or '.join(sorted(able)) or 'nobody: no member has `receive`'}",
            )
        for table in question.sources:
            allowed = table.rule.allowed_result_receivers if isinstance(table.rule, CustomRule) else None
            if allowed is not None and name not in allowed:
                raise Refusal(
                    "RECEIVER_NOT_ALLOWED",
                    f"{table.owner!r} does not let {name!r} receive answers about {table.name!r}",
                    rule=f"tables.{table.name}.rule.allowedResultReceivers",
                    owner=table.owner,
                    remedy=f"send the answer to {' or '.join(sorted(set(allowed) & able)) or 'nobody'}",
                )
    noise: Noise | None = None
    charges: tuple[Charge, ...] = ()
    if question.privacy is not None:
        law = two_draws if by_owners else three_draws if by_servers else noise_of
        noise, charges = law(question.privacy, users_noise)
    thresholds = tuple(
        Threshold(c.alias, c.table, c.column, c.owner, c.minimum)
        for c in sorted(question.constraints, key=lambda c: c.alias)
    )
    sort_by = () if question.ordered else tuple(o.name for o in question.outputs)
    release = room.agreement.release
    multiple, summary = (release.round_counts, release.summary) if thresholds else (1, False)
    return DisclosurePlan(question.hash, thresholds, sort_by, to, charges, noise, multiple, summary)
