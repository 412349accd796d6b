# SPDX-License-Identifier: Apache-2.0
"""Members of a room: inviting, admitting, where they are, how they stand."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.store import note
from hitoku.console.users import May, User
from hitoku.console.work.drafts import propose
from hitoku.errors import HitokuError, InputError, Refusal, RoomError
from hitoku.findings import findings
from hitoku.node.certificate import certificate_file
from hitoku.node.proposal import Proposal
from hitoku.node.settings import socket_of
from hitoku.node.settings_file import set_peer
from hitoku.room.agreement import Ability, Member
from hitoku.room.canonical import agreement_hash
from hitoku.room.invitations import Invitation, Invitations, Issued, Offer
from hitoku.room.signing import missing
from hitoku.transport.heads import exchange_heads
from hitoku.transport.https.client import HttpsNetwork, check_address
from hitoku.transport.in_process import InProcessPeers

__all__ = [
    "Invited",
    "Standing",
    "admit",
    "invitations",
    "invite",
    "invite_address",
    "remove",
    "set_address",
    "standings",
    "withdraw",
]

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation and what came of it.

    Attributes:
        id: the invitation's.
        name: the invited member's.
        abilities: what it will be able to do.
        until: when the invitation ends.
        state: ``waiting``, nobody came yet; ``offered``, a key waits to be admitted; ``to_sign``; ``signed``;
            ``ended``.
        key: the offered key.
        url: where the company says its node is.
        tables: names of tables that it would bring.
    """

    id: str
    name: str
    abilities: tuple[str, ...]
    until: str
    state: str
    key: str | None
    url: str | None
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a member's node stands.

    Attributes:
        member: its name.
        reached: whether it answers.
        hitoku: what it runs.
        version: the version of the room that it serves.
        same: whether that is the one that is served here.
        size: how many entries its ledger has.
        time: when its ledger's newest head was signed, by its own clock.
        problem: what is wrong.
    """

    member: str
    reached: bool
    hitoku: str = ""
    version: int = 0
    same: bool = False
    size: int | None = None
    time: str | None = None
    problem: str | None = None


def invite_address(context: Context) -> str | None:
    """What an invitation says of where this node takes who is invited; None where it takes nobody."""
    settings = context.node.settings()
    if settings.invitations is None:
        return None
    host = settings.url.removeprefix("https://").rpartition(":")[0] or settings.url.removeprefix("https://")
    _, port = socket_of(settings.invitations)
    return f"https://{host}:{port}"


def invite(
    context: Context,
    user: User,
    entry: RoomEntry,
    *,
    name: str,
    abilities: Iterable[str],
    hours: int,
    address: str = "",
) -> Invitation:
    """Invite a company into a room. Returns the invitation, whose text is shown once.

    Raises:
        Refusal: the user may not.
        InputError: name, hours or address cannot be used, or this node takes nobody.
        RoomError: this member is not in the room with its key.
    """
    _sign(user)
    directory = context.node.directory
    own = entry.room.agreement.member(context.me)
    if own is None or own.key != directory.keys().public_key():
        raise RoomError(f"{context.me!r} is not in room {entry.name!r} with this directory's key")
    usual = invite_address(context)
    if usual is None:
        raise InputError('this node takes nobody who is invited: node.toml needs `invitations = "HOST:PORT"`')
    try:
        url = check_address(address.strip() or usual)
    except ValueError as error:
        raise InputError(f"address: {error}") from None
    there = entry.room.agreement.member(name)
    try:
        chosen = tuple(Ability(one) for one in dict.fromkeys(abilities))
    except ValueError:
        raise InputError("there is no such ability") from None
    if there is None:
        try:
            Member(name=name, key=own.key, abilities=chosen)
        except ValidationError as error:
            raise InputError(findings(error, "name")) from None
    shared = entry.room
    made = Invitations(directory.path, context.clock).issue(
        room=entry.id,
        file=os.path.relpath(entry.file.resolve(), directory.path.resolve()),
        name=name,
        abilities=() if there is not None else chosen,
        key=None if there is None else there.key,
        hours=hours,
        url=url,
        inviter=own.key,
        agreement=agreement_hash(shared.agreement),
    )
    context.log("invited", room=entry.id, member=name, user=user.id)
    note(context, user, "invited", room=entry.id, member=name)
    return made


def invitations(context: Context, entry: RoomEntry) -> tuple[Invited, ...]:
    """All invitations into a room, by name."""
    kept = Invitations(context.node.directory.path, context.clock)
    return tuple(_invited(kept, issued, entry) for issued in kept.issued() if issued.room == entry.id)


def withdraw(context: Context, user: User, entry: RoomEntry, identity: str) -> None:
    """End an invitation now.

    Raises:
        Refusal: the user may not.
        NotFound: there is no such invitation.
    """
    _sign(user)
    kept, issued, _ = _found(context, entry, identity)
    kept.withdraw(issued.id)
    context.log("invitation_withdrawn", room=entry.id, member=issued.name, user=user.id)
    note(context, user, "invitation withdrawn", room=entry.id, member=issued.name)


def admit(context: Context, user: User, entry: RoomEntry, identity: str, key: str) -> Proposal:
    """Take the key that came on an invitation, and the tables with it, into the room.

    Args:
        context: the console's.
        user: who does it.
        entry: the room.
        identity: the invitation's id.
        key: the key that was shown and compared; another one is not admitted.

    Raises:
        Refusal: the user may not.
        NotFound: there is no such invitation.
        RoomError: another key is offered, somebody signed the draft already, or another proposal is open.
    """
    _sign(user)
    _, issued, offer = _found(context, entry, identity)
    if offer is None or offer.key != key:
        raise RoomError("this is not the key that is offered now: compare it again")
    agreement = entry.room.agreement
    there = agreement.member(issued.name)
    if there is not None:
        raise RoomError(f"{issued.name!r} is in room {agreement.name!r} already")
    base = (entry.in_force or entry.room).agreement
    members = [m.model_dump(mode="json", exclude_none=True) for m in base.members]
    members.append({"name": issued.name, "key": offer.key, "abilities": [str(a) for a in issued.abilities]})
    change: dict[str, Any] = {"members": members}
    brought = offer.read_tables(issued.name)
    if brought:
        tables = [*base.tables, *brought]
        change["tables"] = [t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in tables]
    made = propose(context, user, entry.id, change)
    context.log("admitted", room=entry.id, member=issued.name, user=user.id)
    note(context, user, "key admitted", room=entry.id, member=issued.name)
    return made


def remove(context: Context, user: User, entry: RoomEntry, name: str, why: str = "") -> Proposal:
    """Propose a version without a member, its tables and budgets.

    Raises:
        Refusal: the user may not.
        NotFound: there is no such member.
        RoomError: it cannot be so, or another proposal is open.
    """
    _sign(user)
    agreement = entry.agreement
    if agreement.member(name) is None:
        raise NotFound("there is no such member")
    if name == context.me:
        raise RoomError("this member cannot remove itself: another member proposes it")
    data = agreement.model_dump(mode="json", by_alias=True, exclude_none=True)
    change = {"members": [m for m in data["members"] if m["name"] != name]}
    for field in ("tables", "budgets", "models"):
        if field in data:
            change[field] = [one for one in data[field] if one["owner"] != name]
    return propose(context, user, entry.id, change, why=why)


def set_address(context: Context, user: User, entry: RoomEntry, name: str, address: str) -> None:
    """Enter where another member's node is; forget it where nothing is said.

    Raises:
        Refusal: the user may not.
        NotFound: there is no such other member in force.
        InputError: it is no address.
    """
    _sign(user)
    if name == context.me or entry.agreement.member(name) is None:
        raise NotFound("there is no such member")
    text = address.strip()
    if text:
        try:
            text = check_address(text)
        except ValueError as error:
            raise InputError(f"{name}: {error}") from None
    set_peer(context.node.directory.path, entry.file, name, text or None)
    context.node.look()
    context.log("address", room=entry.id, member=name, user=user.id)
    note(context, user, "address set", room=entry.id, member=name)


def standings(context: Context, entry: RoomEntry) -> tuple[Standing, ...]:
    """How every member's node stands now; those that do not answer take some seconds.

    Raises:
        RoomError: the room is not in force.
    """
    force = entry.in_force
    if force is None:
        raise RoomError("the room is not in force yet")
    directory, me = context.node.directory, context.me
    peers = {**entry.settings.peers, me: context.node.settings().url}
    network = HttpsNetwork(me, force.agreement, peers, certificate_file(directory), directory.key_file)
    records = directory.records(entry.id, context.clock)
    hash_ = agreement_hash(force.agreement)

    def one(name: str) -> Standing:
        try:
            given = network.version(name)
        except HitokuError as error:
            return Standing(name, reached=False, problem=str(error))
        problem = None
        head = records.ledger.head() if name == me else None
        if name != me:
            try:
                exchange_heads(records, force, InProcessPeers(network, me), (name,))
            except HitokuError as error:
                problem = str(error)
            head = records.peer_head(name)
        return Standing(
            name, True, given.hitoku, given.version, given.room == hash_,
            None if head is None else head.size, None if head is None else head.time, problem,
        )  # fmt: skip

    try:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hitoku-standings") as threads:
            return tuple(threads.map(one, [m.name for m in force.agreement.members]))
    finally:
        network.close()


def _invited(kept: Invitations, issued: Issued, entry: RoomEntry) -> Invited:
    offer = kept.offer(issued.id)
    who = entry.room.agreement.member(issued.name)
    expected = issued.key if offer is None else offer.key
    if who is not None and expected is not None and who.key == expected:
        state = "to_sign" if issued.name in missing(entry.room) else "signed"
    elif kept.ended(issued):
        state = "ended"
    else:
        state = "waiting" if offer is None else "offered"
    tables: tuple[str, ...] = ()
    if offer is not None:
        try:
            tables = tuple(t.name for t in offer.read_tables(issued.name))
        except RoomError:
            tables = ("?",)
    return Invited(
        issued.id, issued.name, tuple(str(a) for a in issued.abilities), issued.until, state,
        None if offer is None else offer.key, None if offer is None else offer.url, tables,
    )  # fmt: skip


def _found(context: Context, entry: RoomEntry, identity: str) -> tuple[Invitations, Issued, Offer | None]:
    kept = Invitations(context.node.directory.path, context.clock)
    for issued in kept.issued():
        if issued.id == identity and issued.room == entry.id:
            return kept, issued, kept.offer(issued.id)
    raise NotFound("there is no such invitation")


def _sign(user: User) -> None:
    if not user.may(May.SIGN):
        raise Refusal(
            "NOT_ALLOWED", "this needs the ability sign", remedy="ask who administers this console for it"
        )
