# SPDX-License-Identifier: Apache-2.0
"""`hitoku room invite` and what belongs to it: letting others into a room from their own machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hitoku.cli.room import Json, build, out
from hitoku.cli.room_words import facts
from hitoku.cli.show import one_line
from hitoku.errors import InputError, RoomError, SecretError
from hitoku.findings import findings
from hitoku.ports import SystemClock
from hitoku.room.agreement import Ability, Room, Table
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import load_room, locked, save_room
from hitoku.room.invitations import Invitations, Issued
from hitoku.room.private import write_private
from hitoku.room.signing import missing, problems
from hitoku.room.versions import revise

__all__ = ["admit", "invite", "status", "withdraw"]

_TABLES = "tables"


def invite(
    directory: Path,
    name: Annotated[str, Parameter(name="--as")],
    *,
    ability: list[Ability] | None = None,
    room: str | None = None,
    url: str | None = None,
    hours: int = 72,
    to: Path | None = None,
    json_: Json = False,
) -> int:
    """Invite a company into a room: a short text to give to it, good for one key and for some days.

    Parameters
    ----------
    directory
        The inviter's own directory, whose node serves with `invitations` in node.toml.
    name
        The invited member's name in the room; one that is in it already can be invited to sign.
    ability
        What a new member will be able to do: query, receive, host, compute; may be repeated.
    room
        The room's name or id; may be left out where the node has one room.
    url
        https://HOST:PORT where the invited company reaches `invitations`; made of it where nothing is said.
    hours
        How long the invitation holds.
    to
        Write the invitation into this new file, not to stdout. Who reads it can use it.
    json_
        Print one JSON object.
    """
    from hitoku.node.settings import Address, NodeSettings
    from hitoku.room.agreement import Member

    member = MemberDirectory.open(directory)
    settings = NodeSettings.open(directory)
    if settings.invitations is None:
        raise InputError(f'{directory}: node.toml needs `invitations = "HOST:PORT"`, for who is invited')
    file, shared = _room_of(directory, room)
    own = shared.agreement.member(member.name)
    if own is None or own.key != member.keys().public_key():
        raise RoomError(f"{member.name!r} is not in room {shared.agreement.name!r} with this directory's key")
    there = shared.agreement.member(name)
    if there is None:
        build(Member, {"name": name, "key": own.key, "abilities": ability or []}, "invitation")
    elif ability:
        raise InputError(f"{name!r} is in the room already, with its abilities; leave --ability out")
    from pydantic import TypeAdapter, ValidationError

    try:
        address = TypeAdapter(Address).validate_python(url or f"https://{settings.invitations}")
    except ValidationError:
        raise InputError("--url: https://HOST:PORT is expected") from None
    invitations = Invitations(directory, SystemClock())
    made = invitations.issue(
        room=str(shared.agreement.id),
        file=os.path.relpath(file.resolve(), directory.resolve()),
        name=name,
        abilities=tuple(ability or ()),
        key=None if there is None else there.key,
        hours=hours,
        url=address,
        inviter=own.key,
        agreement=agreement_hash(shared.agreement),
    )
    data: dict[str, Any] = {"id": made.id, "name": name, "url": made.url, "until": made.until}
    if to is not None:
        try:
            write_private(to, (made.to_text() + "\n").encode(), "the invitation")
        except SecretError:
            invitations.withdraw(made.id)
            raise
        words = f"{to}: invitation for {name!r} until {made.until}; who reads it can use it, once"
        out(data | {"file": str(to)}, words, json_)
    else:
        out(data | {"invitation": made.to_text()}, made.to_text(), json_)
    return 0


def status(directory: Path, *, json_: Json = False) -> int:
    """Say of every room of a member whether it is in force, who has still to sign, and who was invited.

    Parameters
    ----------
    directory
        The member's own directory.
    json_
        Print one JSON object.
    """
    from hitoku.node.settings import NodeSettings

    settings = NodeSettings.open(directory)
    rooms = [load_room(file) for file in settings.room_files(directory)]
    invitations = Invitations(directory, SystemClock())
    found = [_invited(invitations, one, rooms) for one in invitations.issued()]
    lines = []
    for room in rooms:
        state = f"still to sign: {', '.join(missing(room))}" if missing(room) else "in force"
        if problems(room) and not missing(room):
            state = "NOT in force: " + "; ".join(problems(room))
        lines.append(f"{room.agreement.name} (version {room.agreement.version}): {state}")
    for one in found:
        words = f"  {one['name']}: {one['state']}, until {one['until']}, id {one['id']}"
        lines.append(words + (f", key {one['key']}" if one["key"] else ""))
    out(
        {"rooms": [facts(room) | {"missing": list(missing(room))} for room in rooms], "invitations": found},
        "\n".join(one_line(line) for line in lines),
        json_,
    )
    return 0


def admit(directory: Path, name: str, *, key: str | None = None, json_: Json = False) -> int:
    """Take the key that an invited company offered, and the tables it would bring, into the room.

    Compare the key with the company over another way than the invitation took: by phone, in person. Who had
    the invitation first could offer a key, and nothing else tells whose it is.

    Parameters
    ----------
    directory
        The inviter's own directory.
    name
        The invited member's name.
    key
        The key as the company told it. Without it, what was offered is shown and nothing is changed.
    json_
        Print one JSON object.
    """
    invitations = Invitations(directory, SystemClock())
    offered = [
        (one, offer)
        for one in invitations.issued()
        if one.name == name and (offer := invitations.offer(one.id)) is not None
    ]
    if key is not None:
        offered = [(one, offer) for one, offer in offered if offer.key == key]
    if len(offered) != 1:
        what = "no key" if not offered else f"{len(offered)} keys"
        raise InputError(f"{what} offered by {name!r}" + ("" if key is None else ": not the one you name"))
    issued, offer = offered[0]
    tables = offer.read_tables(name)
    shown = ", ".join(t.name for t in tables) or "none"
    data: dict[str, Any] = {"name": name, "key": offer.key, _TABLES: [t.name for t in tables]}
    if key is None:
        words = (
            f"{name} offers the key {offer.key}\ntables: {shown}\n"
            f"Compare the key with them, then: hitoku room admit {directory} {name} --key {offer.key}"
        )
        out(data | {"admitted": False}, words, json_)
        return 0
    file = directory / issued.file
    with locked(file):
        room = load_room(file)
        if str(room.agreement.id) != issued.room:
            raise RoomError(f"{file}: is another room than the one of the invitation")
        there = room.agreement.member(name)
        if there is not None and there.key != offer.key:
            raise RoomError(f"{name!r} is in room {room.agreement.name!r} with another key")
        if there is None:
            room = _with_member(room, issued, offer.key, tables, file)
            save_room(room, file)
    words = f"{file}: {name!r} is in version {room.agreement.version}; still to sign: " + ", ".join(
        missing(room)
    )
    out(facts(room) | data | {"admitted": True}, words, json_)
    return 0


def withdraw(directory: Path, identity: Annotated[str, Parameter(name="ID")], *, json_: Json = False) -> int:
    """End an invitation now.

    Parameters
    ----------
    directory
        The inviter's own directory.
    identity
        The invitation's id, as `hitoku room status` shows it.
    json_
        Print one JSON object.
    """
    invitations = Invitations(directory, SystemClock())
    found = [one for one in invitations.issued() if one.id == identity]
    if not found:
        raise InputError(f"{directory}: there is no such invitation; `hitoku room status` lists them")
    invitations.withdraw(identity)
    out({"id": identity, "name": found[0].name}, f"the invitation of {found[0].name!r} is withdrawn", json_)
    return 0


def _room_of(directory: Path, room: str | None) -> tuple[Path, Room]:
    from hitoku.node.settings import NodeSettings

    known = [(file, load_room(file)) for file in NodeSettings.open(directory).room_files(directory)]
    known = [(f, r) for f, r in known if room in {None, r.agreement.name, str(r.agreement.id)}]
    if len(known) != 1:
        raise RoomError(f"{directory}: node.toml names {len(known)} such rooms; say which one")
    return known[0]


def _invited(invitations: Invitations, issued: Issued, rooms: list[Room]) -> dict[str, Any]:
    offer = invitations.offer(issued.id)
    room = next((r for r in rooms if str(r.agreement.id) == issued.room), None)
    who = None if room is None else room.agreement.member(issued.name)
    if room is not None and who is not None and who.key == (issued.key if offer is None else offer.key):
        state = "has still to sign" if issued.name in missing(room) else "signed"
    elif invitations.ended(issued):
        state = "ended"
    else:
        state = "has not come yet" if offer is None else "offers a key: `hitoku room admit`"
    key = None if offer is None else offer.key
    return {"id": issued.id, "name": issued.name, "until": issued.until, "state": state, "key": key}


def _with_member(room: Room, issued: Issued, key: str, tables: list[Table], file: Path) -> Room:
    from pydantic import ValidationError

    if problems(room) and room.signatures:
        # Who signed a version signs no other of that number, so a changed draft would never be in force.
        signed = ", ".join(s.member for s in room.signatures)
        raise RoomError(f"{file}: {signed} signed this draft already; let it come into force, then admit")
    members = [m.model_dump(mode="json") for m in room.agreement.members]
    members.append({"name": issued.name, "key": key, "abilities": [str(a) for a in issued.abilities]})
    every = [*room.agreement.tables, *tables]
    change: dict[str, Any] = {"members": members}
    if tables:
        change[_TABLES] = [t.model_dump(mode="json", exclude_none=True) for t in every]
    try:
        return revise(room, change)
    except ValidationError as error:
        raise RoomError(f"{file}: {findings(error, 'room')}") from None
