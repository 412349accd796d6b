# SPDX-License-Identifier: Apache-2.0
"""Verifying a ledger, and asking the others for their heads: work that takes a while, beside the request.

A verification reads every entry. It runs in a thread of its own, one a room at a time, and can be watched.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from hitoku import limits
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.users import User
from hitoku.console.work.ledger import records_of
from hitoku.errors import HitokuError, LimitError, PeerError, Refusal, RoomError
from hitoku.room import merkle
from hitoku.room.heads import signed_ever
from hitoku.room.ledger import Head, Ledger

__all__ = ["Asked", "Check", "HeadLine", "ask_heads", "check_of", "heads", "last_check", "start_check"]

_PART: Final = "ledger"
_AT_ONCE: Final = 8


@dataclass(slots=True)
class Check:
    """A verification of this member's own ledger.

    Attributes:
        id: 32 hexadecimal digits.
        room: the room's id.
        by: who started it.
        started: when.
        kept: a head from elsewhere that the ledger must continue.
        state: ``running``, ``holds``, ``broken`` (the ledger does not hold), ``failed`` (it cannot be read).
        done: entries read.
        of: entries there are.
        size: entries that hold.
        problem: what does not hold.
        head: the head that it holds under.
    """

    id: str
    room: str
    by: str
    started: datetime
    kept: Head | None = None
    state: Literal["running", "holds", "broken", "failed"] = "running"
    done: int = 0
    of: int = 0
    size: int = 0
    problem: str = ""
    head: Head | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking a member for its newest head.

    Attributes:
        time: when.
        outcome: ``same`` (as kept), ``grown`` (and it continues the one kept), ``first`` (none was kept),
            ``none`` (it has no entries), ``forked`` (it does not continue), ``refused`` (it gives none, and
            says why: it was restored from a backup), ``away`` (it cannot be reached).
        before: the size that was known.
        after: the size now.
        problem: in words, where it is forked or refused.
        kept: the size of the head that it keeps of this member's ledger; None where it keeps none, or did not
            tell.
        fits: whether this member's ledger continues that head; what does not was cut or rewritten here.
    """

    time: datetime
    outcome: Literal["same", "grown", "first", "none", "forked", "refused", "away"]
    before: int = 0
    after: int = 0
    problem: str = ""
    kept: int | None = None
    fits: bool = True


@dataclass(frozen=True, slots=True)
class HeadLine:
    """One member's head, as this member keeps it.

    Attributes:
        member: whose.
        mine: whether it is this member's own.
        head: the newest; None where there is none.
        signed: whether its signature is by the member's key, of this version or an earlier one.
        asked: what came of asking it last, since this process started.
    """

    member: str
    mine: bool
    head: Head | None
    signed: bool
    asked: Asked | None


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    checks: dict[str, Check] = field(default_factory=dict)
    asked: dict[tuple[str, str], Asked] = field(default_factory=dict)


def _kept(context: Context) -> _Kept:
    found: _Kept = context.parts.setdefault(_PART, _Kept())
    return found


def start_check(context: Context, entry: RoomEntry, user: User, kept: Head | None = None) -> Check:
    """Begin to verify the ledger of a room; gives the one under way where it is of the same kept head.

    Raises:
        RoomError: the head that was given is of another ledger.
        LimitError: too many verifications are under way.
    """
    if kept is not None and (kept.room, kept.member) != (entry.id, context.me):
        raise RoomError("the head belongs to another ledger: one of your own of this room is expected")
    mine = _kept(context)
    with mine.lock:
        for check in mine.checks.values():
            if (check.room, check.state, check.kept) == (entry.id, "running", kept):
                return check
        if sum(one.state == "running" for one in mine.checks.values()) >= limits.MAX_CONSOLE_TASKS_RUNNING:
            raise LimitError("too many ledgers are verified at the moment: try again when one is done")
        check = Check(secrets.token_hex(16), entry.id, user.name, context.clock.now(), kept)
        mine.checks[check.id] = check
        ended = [one for one in mine.checks.values() if one.state != "running"]
        for old in ended[: max(0, len(mine.checks) - limits.MAX_CONSOLE_LEDGER_CHECKS)]:
            del mine.checks[old.id]
    threading.Thread(target=_verify, args=(context, entry, check), daemon=True, name="ledger-check").start()
    return check


def check_of(context: Context, entry: RoomEntry, check: str) -> Check:
    """A verification by its id.

    Raises:
        NotFound: this room has none of that id.
    """
    found = _kept(context).checks.get(check)
    if found is None or found.room != entry.id:
        raise NotFound("there is no such verification; it may be forgotten: start another")
    return found


def last_check(context: Context, entry: RoomEntry) -> Check | None:
    """The newest verification of a room's ledger, since this process started."""
    with _kept(context).lock:
        found = [check for check in _kept(context).checks.values() if check.room == entry.id]
    return found[-1] if found else None


def _verify(context: Context, entry: RoomEntry, check: Check) -> None:
    def tell(done: int, of: int) -> None:
        check.done, check.of = done, of

    try:
        ledger = records_of(context, entry).ledger
        check.size = ledger.verify(signed_ever(entry.room), check.kept, tell)
        check.head, check.done, check.of = ledger.head(), check.size, check.size
        state: Literal["holds", "broken", "failed"] = "holds"
    except RoomError as error:
        check.problem, state = str(error), "broken"
    except HitokuError as error:
        check.problem, state = str(error), "failed"
    except Exception as error:  # of the database: its words may quote what is in it
        check.problem, state = "", "failed"
        context.log("ledger check failed", error=type(error).__name__)
    check.ended = context.clock.now()
    check.state = state
    context.log("ledger checked", room=entry.id, entries=check.size, outcome=state)


def heads(context: Context, entry: RoomEntry) -> tuple[HeadLine, ...]:
    """The newest head of every member's ledger that this member keeps, its own first."""
    records, signed = records_of(context, entry), signed_ever(entry.room)
    found = []
    names = [m.name for m in entry.agreement.members]
    for name in sorted(names, key=lambda one: (one != context.me, one)):
        mine = name == context.me
        head = records.ledger.head() if mine else records.peer_head(name)
        holds = head is not None and signed(name, head.message(), head.signature)
        asked = _kept(context).asked.get((entry.id, name))
        found.append(HeadLine(name, mine, head, holds, asked))
    return tuple(found)


def ask_heads(context: Context, entry: RoomEntry, members: Iterable[str] | None = None) -> None:
    """Ask other members for their newest heads, check that each only grew, and keep it.

    Each is also asked which head it keeps of this member's ledger, to find a cut or a rewriting here.

    Args:
        context: the console's.
        entry: a room in force.
        members: who is asked; all others by default.
    """
    from hitoku.node.certificate import certificate_file
    from hitoku.transport.https.client import HttpsNetwork

    room = entry.in_force
    if room is None:
        raise RoomError("the room is not in force: nobody keeps a ledger of it yet")
    names = [m.name for m in room.agreement.members if m.name != context.me]
    wanted = [name for name in names if members is None or name in members]
    directory = context.node.directory
    addresses = {**entry.settings.peers, context.me: context.node.settings().url}
    records = records_of(context, entry)
    known = _kept(context)

    def ask(name: str) -> Asked:
        from hitoku.transport.heads import exchange_heads
        from hitoku.transport.restoring import known_heads

        before, now = records.peer_head(name), context.clock.now()
        size = 0 if before is None else before.size
        network = HttpsNetwork(
            context.me, room.agreement, addresses, certificate_file(directory), directory.key_file
        )
        peers = network.join(context.me, lambda _sender, _message: {})
        kept: Head | None = None
        try:
            exchange_heads(records, room, peers, (name,))
            with suppress(HitokuError):  # an older hitoku does not tell
                kept = known_heads(room, peers, (name,))[name]
        except Refusal as refusal:
            if refusal.code != "LEDGER_FORKED":
                return Asked(now, "refused", size, size, str(refusal))
            return Asked(now, "forked", size, size, str(refusal))
        except PeerError:
            return Asked(now, "away", size, size)
        finally:
            network.close()
        after = records.peer_head(name)
        told = (None, True) if kept is None else (kept.size, _continues(records.ledger, kept))
        if after is None:
            return Asked(now, "none", 0, 0, "", *told)
        if before is None:
            return Asked(now, "first", 0, after.size, "", *told)
        outcome: Literal["same", "grown"] = "same" if after.size == before.size else "grown"
        return Asked(now, outcome, before.size, after.size, "", *told)

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for name, asked in zip(wanted, pool.map(ask, wanted), strict=True):
            known.asked[entry.id, name] = asked


def _continues(ledger: Ledger, kept: Head) -> bool:
    """Whether this member's ledger is one that grew from a head of it."""
    try:
        newest, steps = ledger.grow(kept.size)
    except RoomError:
        return False
    return merkle.verify_consistency(kept.size, kept.root, newest.size, newest.root, steps)
