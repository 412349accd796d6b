# SPDX-License-Identifier: Apache-2.0
"""A proposal as people look at it, and what is told of its signatures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hitoku.node.proposal_book import Record
from hitoku.room.agreement import Agreement, Room, Signature
from hitoku.room.changes import Change
from hitoku.room.history import standing
from hitoku.room.signing import fitting, missing, problems

__all__ = ["Proposal", "only_signatures", "signers_of", "with_signatures"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal, for people to look at.

    Attributes:
        record: what is kept of it.
        mine: whether this member is its author.
        draft: the agreement with the signatures gathered so far, on top of the versions before.
        before: the version that it changes; None where that is not known here any more.
        changes: what it changes.
        signers: who must sign it.
        missing: who has still to sign, as far as it is known here.
        waits: at its author: who has not said yet that it keeps it.
        everybody: whether everybody must sign because shares of the history are used up.
    """

    record: Record
    mine: bool
    draft: Room
    before: Agreement | None
    changes: tuple[Change, ...]
    signers: tuple[str, ...]
    missing: tuple[str, ...]
    waits: tuple[str, ...]
    everybody: bool = False

    @property
    def author(self) -> str:
        """Who proposes it."""
        return self.record.author

    @property
    def hash(self) -> str:
        """The agreement's hash: what is signed."""
        return self.record.hash

    @property
    def state(self) -> str:
        """As in `Record.state`."""
        return self.record.state

    @property
    def version(self) -> int:
        """Its number."""
        return self.record.version

    @property
    def live(self) -> bool:
        """Whether it can still come into force."""
        return self.record.live


def with_signatures(room: Room, given: Iterable[Signature]) -> Room:
    """The room with those of the signatures that fit it; all others are dropped.

    The versions before are verified once, and only where a signature fits: members send many that do not.
    """
    fit = fitting(room, given)
    if not fit or only_signatures(room):
        return room
    all_ = {(s.member, s.key): s for s in (*room.signatures, *fit)}
    return room.model_copy(update={"signatures": tuple(all_.values())})


def only_signatures(room: Room) -> list[str]:
    """Everything that keeps a room from being in force besides signatures that are still missing."""
    names = missing(room)
    expected = {f"{name!r} has not signed yet" for name in names}
    expected |= {f"{text} with its key of the version before" for text in expected}
    return [problem for problem in problems(room) if problem not in expected]


def signers_of(past: Sequence[Agreement], after: Agreement) -> tuple[tuple[str, ...], bool]:
    """Who must sign a version, in the order of the agreement, and whether shares are used up.

    Args:
        past: all versions before it, number 1 first.
        after: the version.
    """
    signers, _ = standing(past, after.previous).next(past[-1], after)
    found = signers.current | signers.previous
    order = dict.fromkeys(m.name for a in (after, past[-1]) for m in a.members)
    return tuple(name for name in order if name in found), signers.everybody
