# SPDX-License-Identifier: Apache-2.0
"""Rooms: making one, joining one that this member is invited into, and changing what is said of all of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.store import note
from hitoku.console.users import May, User
from hitoku.console.work.drafts import propose
from hitoku.errors import InputError, Refusal, RoomError
from hitoku.findings import findings
from hitoku.node.joined import complete, new_room_file
from hitoku.node.joining import Joining, Stand
from hitoku.node.proposal import Proposal
from hitoku.node.settings_file import add_room
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import canonical_json
from hitoku.room.files import dump_room, save_room
from hitoku.room.invitations import Invitation

__all__ = [
    "Coming",
    "change_crosstab",
    "change_general",
    "coming",
    "create",
    "export",
    "forget_joining",
    "join",
    "may_found",
    "sign_joining",
    "stand",
]


@dataclass(frozen=True, slots=True)
class Coming:
    """A room that this member is invited into and has not joined yet.

    Attributes:
        room: its id.
        url: where the inviter takes who is invited.
        until: when the invitation ends.
        signed: whether this member signed it already.
    """

    room: str
    url: str
    until: str
    signed: bool


def may_found(user: User) -> None:
    """Let a user make and join rooms.

    Raises:
        Refusal: the user may not sign, or may see some rooms only and would not see a new one.
    """
    if not user.may(May.SIGN) or user.rooms is not None:
        raise Refusal(
            "NOT_ALLOWED",
            "this needs the ability sign, for all rooms",
            remedy="ask who administers this console for it",
        )


def create(
    context: Context,
    user: User,
    *,
    name: str,
    abilities: Iterable[str],
    protections: Iterable[str],
    settings: Mapping[str, bool],
) -> str:
    """Make a room with this member alone in it; the others are invited. Returns its id.

    Raises:
        Refusal: the user may not.
        RoomError: it cannot be so; says what.
    """
    may_found(user)
    directory = context.node.directory
    identity = str(uuid.uuid4())
    me = {"name": directory.name, "key": directory.keys().public_key(), "abilities": sorted(set(abilities))}
    data = {
        "id": identity,
        "name": name.strip(),
        "settings": dict(settings),
        "protections": list(dict.fromkeys(protections)),
        "members": [me],
    }
    room = Room(agreement=_agreement(data))
    file = new_room_file(directory.path, identity)
    save_room(room, file)
    add_room(directory.path, file, {})
    context.node.look()
    context.log("room_made", room=identity, user=user.id)
    note(context, user, "room made", room=identity)
    return identity


def join(context: Context, user: User, text: str) -> Stand:
    """Take up an invitation: keep it, and offer this member's key to the inviter.

    Raises:
        Refusal: the user may not, or the inviter does not take the invitation.
        InputError: the text is no invitation, or one for a member of another name.
        PeerError: the inviter cannot be reached.
        RoomError: this member is in that room already, or what the inviter shows is another room.
    """
    may_found(user)
    invitation = Invitation.from_text(text)
    me = context.me
    if invitation.name != me:
        raise InputError(
            f"the invitation is for a member named {invitation.name!r}, and this node is {me!r}'s: ask the "
            f"inviter for an invitation as {me!r}, or join with the node of {invitation.name!r}"
        )
    known = next((r for r in context.node.rooms() if r.id == invitation.room), None)
    if known is not None and known.in_force is not None and known.in_force.agreement.member(me) is not None:
        raise RoomError("this member is in that room already")
    settings = context.node.settings()
    joining = Joining(context.node.directory, invitation, context.clock, settings.url, settings.places())
    joining.keep()
    context.log("joining", room=invitation.room, user=user.id)
    note(context, user, "joining", room=invitation.room)
    return joining.look()


def coming(context: Context) -> tuple[Coming, ...]:
    """The rooms that this member is joining, without asking their inviters."""
    directory = context.node.directory
    return tuple(
        Coming(
            one.invitation.room,
            one.invitation.url,
            one.invitation.until,
            (directory.path / "rooms" / f"{one.invitation.room}.json").exists(),
        )
        for one in Joining.all_kept(directory, context.clock)
    )


def stand(context: Context, user: User, room: str) -> tuple[Joining, Stand]:
    """Where joining a room stands, as the inviter says now. A room in force is fetched and served.

    Raises:
        NotFound: this member joins no such room.
        Refusal, PeerError, RoomError: as for `join`.
    """
    joining = _joining(context, user, room)
    found = joining.look()
    if found.in_force:
        complete(context.node, joining, found)
    return joining, found


def sign_joining(context: Context, user: User, room: str, hash_: str) -> Stand:
    """Sign the agreement of this hash, as the inviter shows it.

    Raises:
        NotFound: this member joins no such room.
        RoomError: the agreement has another hash by now, or does not name this member's key.
        Refusal, PeerError: as for `join`.
    """
    joining = _joining(context, user, room)
    found = joining.sign(hash_)
    context.log("signed", room=room, hash=hash_, user=user.id)
    note(context, user, "signed", room=room, hash=hash_)
    if found.in_force:
        complete(context.node, joining, found)
    return found


def forget_joining(context: Context, user: User, room: str) -> None:
    """Keep an invitation no longer.

    Raises:
        NotFound: there is none.
        RoomError: this member signed the room already.
    """
    joining = _joining(context, user, room)
    if (context.node.directory.path / "rooms" / f"{room}.json").exists():
        raise RoomError(
            "this member signed the room already: it is fetched as soon as all others have signed"
        )
    joining.forget()


def change_general(context: Context, user: User, entry: RoomEntry, values: Mapping[str, Any]) -> Proposal:
    """Propose other general terms: name, protections, settings, release, members' abilities, servers.

    Args:
        context: the console's.
        user: who does it.
        entry: the room.
        values: any of ``name``, ``protections``, ``settings`` (name: bool), ``release`` (name: int or bool),
            ``abilities`` (member: list) and ``servers`` (three names, or none); and ``why``.

    Raises:
        RoomError: it cannot be so, changes nothing, or another proposal is open.
    """
    agreement = entry.agreement
    change: dict[str, Any] = {}
    if "name" in values:
        change["name"] = str(values["name"]).strip()
    for field in ("protections", "settings", "release"):
        if field in values:
            change[field] = values[field]
    if "abilities" in values:
        given = values["abilities"]
        members = [m.model_dump(mode="json", exclude_none=True) for m in agreement.members]
        for member in members:
            if member["name"] in given:
                member["abilities"] = _ordered(member["abilities"], given[member["name"]])
        change["members"] = members
    if "servers" in values:
        servers = [name for name in values["servers"] if name]
        shares = None if agreement.shares is None else agreement.shares.model_dump(mode="json", by_alias=True)
        if not servers:
            change["shares"] = None
        else:
            change["shares"] = {**(shares or {}), "servers": servers}
    return propose(context, user, entry.id, change, why=str(values.get("why", "")))


def change_crosstab(
    context: Context,
    user: User,
    entry: RoomEntry,
    *,
    identifiers: Iterable[tuple[str, Iterable[str]]],
    calling_code: str,
    tables: Iterable[str],
    why: str = "",
) -> Proposal:
    """Propose how people are recognised across tables in private cross statistics.

    What the agreement says of a table already (`other`, `duplicates`) stays.

    Args:
        context: the console's.
        user: who does it.
        entry: the room.
        identifiers: kinds of identifiers, each with its steps in order, the first one first.
        calling_code: for phone numbers without one; empty for none.
        tables: the tables that may be computed so; none takes the whole part away.
        why: what to tell the others.

    Raises:
        RoomError: it cannot be so, changes nothing, or another proposal is open.
    """
    before = entry.agreement.crosstab
    names = list(dict.fromkeys(tables))
    part: dict[str, Any] | None = None
    if names:
        known = {} if before is None else {t.table: t.model_dump(mode="json") for t in before.tables}
        part = {
            "identifiers": [
                {"kind": kind.strip(), "normalise": list(steps)}
                for kind, steps in identifiers
                if kind.strip()
            ],
            "tables": [known.get(name, {"table": name}) for name in names],
        }
        if calling_code.strip():
            part["calling_code"] = calling_code.strip().removeprefix("+")
    change: dict[str, Any] = {"crosstab": part}
    if part is not None and "crosstab" not in entry.agreement.protections:
        change["protections"] = [*(str(p) for p in entry.agreement.protections), "crosstab"]
    return propose(context, user, entry.id, change, why=why)


def export(entry: RoomEntry, kind: str) -> str:
    """The room with its signatures and all versions before, as YAML or JSON.

    Raises:
        NotFound: there is no such form.
    """
    room = entry.in_force or entry.room
    if kind == "yaml":
        return dump_room(room)
    if kind == "json":
        return canonical_json(room.model_dump(mode="json", by_alias=True, exclude_none=True)).decode() + "\n"
    raise NotFound("there is no such form")


def _joining(context: Context, user: User, room: str) -> Joining:
    may_found(user)
    settings = context.node.settings()
    for one in Joining.all_kept(context.node.directory, context.clock, settings.url, settings.places()):
        if one.invitation.room == room:
            return one
    raise NotFound("this member joins no such room")


def _agreement(data: dict[str, Any]) -> Agreement:
    try:
        return Agreement.model_validate(data)
    except ValidationError as error:
        raise RoomError(f"the room cannot be so: {findings(error, 'room')}") from None


def _ordered(before: list[str], wanted: Iterable[str]) -> list[str]:
    """The wanted abilities, those that stay in their old order, so that nothing changes by order alone."""
    chosen = list(dict.fromkeys(wanted))
    return [*(a for a in before if a in chosen), *(a for a in chosen if a not in before)]
