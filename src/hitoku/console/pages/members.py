# SPDX-License-Identifier: Apache-2.0
"""Pages of a room's members: who they are, how their nodes stand, and letting others in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from hitoku.console.api.busy import PEERS, busy
from hitoku.console.context import NotFound, RoomEntry
from hitoku.console.guard import need
from hitoku.console.pages.rooms import ABILITIES, Several, Text, failed, show, to
from hitoku.console.render import context_of
from hitoku.console.users import May, User
from hitoku.console.work import members
from hitoku.console.work.plain import fingerprint
from hitoku.errors import HitokuError, Refusal

__all__ = ["router"]

router = APIRouter()

Anybody = Annotated[User, Depends(need())]
Signer = Annotated[User, Depends(need(May.SIGN))]
Hours = Annotated[int, Form(ge=0, le=100_000)]


@router.get("/rooms/{room_id}/members")
def all_members(request: Request, room_id: str, user: Anybody) -> Response:
    """Members, their keys and addresses, and who is invited; with ``?check=1`` how their nodes stand."""
    return _page(request, user, context_of(request).room(user, room_id))


def _page(request: Request, user: User, entry: RoomEntry, error: str | Refusal | None = None) -> Response:
    context = context_of(request)
    standing = None
    if request.query_params.get("check") == "1" and entry.in_force is not None:
        with busy(context, user):
            standing = members.standings(context, entry)
    return show(
        request, "rooms/members.html", user, status=200 if error is None else 409, room=entry,
        agreement=entry.room.agreement if entry.in_force is None else entry.agreement,
        invited=members.invitations(context, entry) if user.may(May.SIGN) else (), standing=standing,
        addresses=dict(entry.settings.peers), own=context.node.settings().url, first=entry.in_force is None,
        error=error, said=request.query_params.get("said", ""),
    )  # fmt: skip


@router.get("/rooms/{room_id}/members/status", dependencies=PEERS)
def status(request: Request, room_id: str, user: Anybody) -> Response:
    """How the members' nodes stand now: a part of the page, which comes after it."""
    context = context_of(request)
    entry = context.room(user, room_id)
    found = () if entry.in_force is None else members.standings(context, entry)
    return show(request, "rooms/standing.html", user, room=entry, standing=found)


@router.post("/rooms/{room_id}/members/{name}/address")
def address(request: Request, room_id: str, name: str, user: Signer, address: Text = "") -> Response:
    """Enter where a member's node is."""
    context = context_of(request)
    entry = context.room(user, room_id)
    try:
        members.set_address(context, user, entry, name, address)
    except NotFound:
        raise
    except HitokuError as error:
        return _page(request, user, entry, failed(error))
    return to(f"/rooms/{room_id}/members?said=address")


@router.post("/rooms/{room_id}/members/{name}/remove", dependencies=PEERS)
def remove(request: Request, room_id: str, name: str, user: Signer, why: Text = "") -> Response:
    """Propose a version without a member."""
    context = context_of(request)
    entry = context.room(user, room_id)
    try:
        made = members.remove(context, user, entry, name, why)
    except NotFound:
        raise
    except HitokuError as error:
        return _page(request, user, entry, failed(error))
    if made.version == 1:
        return to(f"/rooms/{room_id}/members?said=removed")
    return to(f"/rooms/{room_id}/draft?said={made.state}")


@router.get("/rooms/{room_id}/invite")
def invite(request: Request, room_id: str, user: Signer) -> Response:
    """The form of an invitation."""
    entry = context_of(request).room(user, room_id)
    usual = members.invite_address(context_of(request))
    asked = {"name": "", "abilities": ["query", "receive"], "hours": 72, "address": usual or ""}
    return _invite(request, user, entry, asked)


def _invite(
    request: Request, user: User, entry: RoomEntry, asked: dict[str, Any], error: HitokuError | None = None
) -> Response:
    return show(
        request, "rooms/invite.html", user, status=200 if error is None else 422, room=entry, asked=asked,
        error=None if error is None else failed(error), abilities=ABILITIES,
        takes=members.invite_address(context_of(request)) is not None,
    )  # fmt: skip


@router.post("/rooms/{room_id}/invite")
def invited(
    request: Request,
    room_id: str,
    user: Signer,
    name: Text = "",
    abilities: Several = None,
    hours: Hours = 72,
    address: Text = "",
) -> Response:
    """Make an invitation and show its text, this once."""
    context = context_of(request)
    entry = context.room(user, room_id)
    asked = {"name": name.strip(), "abilities": abilities or [], "hours": hours, "address": address}
    try:
        made = members.invite(
            context, user, entry, name=name.strip(), abilities=abilities or [], hours=hours, address=address
        )
    except NotFound:
        raise
    except HitokuError as error:
        return _invite(request, user, entry, asked, error)
    return show(
        request, "rooms/invited.html", user, room=entry, invitation=made, text=made.to_text(),
        words=fingerprint(made.key),
    )  # fmt: skip


@router.post("/rooms/{room_id}/invite/{identity}/withdraw")
def withdraw(request: Request, room_id: str, identity: str, user: Signer) -> Response:
    """End an invitation."""
    context = context_of(request)
    members.withdraw(context, user, context.room(user, room_id), identity)
    return to(f"/rooms/{room_id}/members?said=withdrawn")


@router.post("/rooms/{room_id}/invite/{identity}/admit", dependencies=PEERS)
def admit(
    request: Request,
    room_id: str,
    identity: str,
    user: Signer,
    key: Annotated[str, Form(max_length=100)],
    compared: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Take the key that was shown into the room, after its fingerprint was compared."""
    context = context_of(request)
    entry = context.room(user, room_id)
    try:
        if compared != "yes":
            raise Refusal(
                "KEY_NOT_COMPARED",
                "the key was not compared with the company",
                remedy="compare the fingerprint by phone or in person, tick that you did, and admit the key",
            )
        made = members.admit(context, user, entry, identity, key)
    except NotFound:
        raise
    except HitokuError as error:
        return _page(request, user, entry, failed(error))
    if made.version == 1:
        return to(f"/rooms/{room_id}/members?said=admitted")
    return to(f"/rooms/{room_id}/draft?said={made.state}")
