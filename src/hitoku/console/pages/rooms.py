# SPDX-License-Identifier: Apache-2.0
"""Pages of rooms: all of them, a new one, joining one, and the agreement of one with its versions."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from hitoku import limits
from hitoku.console.api.busy import PEERS
from hitoku.console.context import NotFound, RoomEntry
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import drafts, rooms
from hitoku.console.work.plain import brief, fingerprint, subject
from hitoku.errors import HitokuError, Refusal
from hitoku.room.agreement import Ability, ProtectionName
from hitoku.room.canonical import agreement_hash
from hitoku.room.changes import changes
from hitoku.room.settings import Settings
from hitoku.room.signing import signers_of_all

__all__ = ["ABILITIES", "PROTECTIONS", "SETTINGS", "failed", "router", "show", "to"]

router = APIRouter()

Anybody = Annotated[User, Depends(need())]
Signer = Annotated[User, Depends(need(May.SIGN))]
Several = Annotated[list[str] | None, Form()]
Text = Annotated[str, Form(max_length=limits.MAX_CONTROL_TEXT_CHARS)]
Hash = Annotated[str, Form(alias="hash", pattern=r"^sha256:[0-9a-f]{64}$")]
"""The hash of the agreement that was shown: nothing else is signed."""

ABILITIES = tuple(str(one) for one in Ability)
PROTECTIONS = tuple(str(one) for one in (
    ProtectionName.CROSSTAB, ProtectionName.TOKENS, ProtectionName.SHARES, ProtectionName.ENCLAVE
))  # fmt: skip
SETTINGS = tuple(Settings.model_fields)


def to(path: str) -> RedirectResponse:
    """After a form: see this."""
    return RedirectResponse(path, status_code=303)


def show(request: Request, template: str, user: User, *, status: int = 200, **data: Any) -> Response:
    """A page that may show an agreement or changes of one."""
    return render(
        request, template, user, status=status, fingerprint=fingerprint, brief=brief,
        subject=partial(subject, user.language), **data,
    )  # fmt: skip


def failed(error: HitokuError) -> str | Refusal:
    """An error as templates show it: a Refusal itself, of others the sentence."""
    return error if isinstance(error, Refusal) else str(error)


@router.get("/rooms")
def all_rooms(request: Request, user: Anybody) -> Response:
    """All rooms that the user may see, and those that are being joined."""
    context = context_of(request)
    entries = context.rooms(user)
    found = [(entry, _open(request, entry)) for entry in entries]
    served = {entry.id for entry in context.node.rooms() if entry.in_force is not None}
    coming = [c for c in rooms.coming(context) if c.room not in served] if user.rooms is None else []
    return show(
        request, "rooms/rooms.html", user, found=found, coming=coming,
        may_found=user.may(May.SIGN) and user.rooms is None,
    )  # fmt: skip


@router.get("/rooms/new")
def new(request: Request, user: Signer) -> Response:
    """The form of a new room."""
    rooms.may_found(user)
    asked = {"name": "", "abilities": ["query", "receive"], "protections": ["crosstab"], "settings": []}
    return _new(request, user, asked)


@router.post("/rooms/new")
def made(
    request: Request,
    user: Signer,
    name: Text = "",
    abilities: Several = None,
    protections: Several = None,
    settings: Several = None,
) -> Response:
    """Make a room."""
    rooms.may_found(user)
    asked = {
        "name": name,
        "abilities": abilities or [],
        "protections": protections or [],
        "settings": settings or [],
    }
    try:
        identity = rooms.create(
            context_of(request), user, name=name, abilities=asked["abilities"],
            protections=asked["protections"], settings={one: one in asked["settings"] for one in SETTINGS},
        )  # fmt: skip
    except HitokuError as error:
        return _new(request, user, asked, error)
    return to(f"/rooms/{identity}/members")


def _new(request: Request, user: User, asked: dict[str, Any], error: HitokuError | None = None) -> Response:
    return show(
        request, "rooms/new.html", user, status=200 if error is None else 422, asked=asked,
        error=None if error is None else failed(error), abilities=ABILITIES, protections=PROTECTIONS,
        settings=SETTINGS,
    )  # fmt: skip


@router.get("/rooms/join")
def join(request: Request, user: Signer) -> Response:
    """Where an invitation is pasted."""
    rooms.may_found(user)
    return show(request, "rooms/join.html", user, error=None)


@router.post("/rooms/join", dependencies=PEERS)
def joined(
    request: Request, user: Signer, invitation: Annotated[str, Form(max_length=20_000)] = ""
) -> Response:
    """Take an invitation up, and offer this member's key."""
    rooms.may_found(user)
    try:
        stand = rooms.join(context_of(request), user, invitation)
    except HitokuError as error:
        return show(request, "rooms/join.html", user, status=422, error=failed(error))
    return to(f"/rooms/join/{stand.room.agreement.id}")


@router.get("/rooms/join/{room_id}", dependencies=PEERS)
def joining(request: Request, room_id: str, user: Signer) -> Response:
    """Where joining stands; a room that is in force by now is served, and shown."""
    context = context_of(request)
    if any(e.id == room_id and e.in_force is not None for e in context.rooms(user)):
        return to(f"/rooms/{room_id}")
    error, stand, url = None, None, ""
    try:
        one, stand = rooms.stand(context, user, room_id)
        if stand.in_force:
            return to(f"/rooms/{room_id}")
        url = one.invitation.url
    except NotFound:
        raise
    except HitokuError as problem:
        error = failed(problem)
    return _joining(request, user, room_id, stand, error, url)


@router.post("/rooms/join/{room_id}/sign", dependencies=PEERS)
def sign_joining(request: Request, room_id: str, user: Signer, agreed: Hash) -> Response:
    """Sign the agreement of the hash that was shown."""
    context = context_of(request)
    try:
        rooms.sign_joining(context, user, room_id, agreed)
    except NotFound:
        raise
    except HitokuError as problem:
        return _joining(request, user, room_id, None, failed(problem), "", 409)
    return to(f"/rooms/join/{room_id}")


@router.post("/rooms/join/{room_id}/forget")
def forget_joining(request: Request, room_id: str, user: Signer) -> Response:
    """Do not join."""
    rooms.forget_joining(context_of(request), user, room_id)
    return to("/rooms")


def _joining(
    request: Request,
    user: User,
    room_id: str,
    stand: Any,
    error: str | Refusal | None,
    url: str,
    status: int = 200,
) -> Response:
    context = context_of(request)
    key = context.node.directory.keys().public_key()
    return show(
        request, "rooms/joining.html", user, status=status, stand=stand, error=error, url=url,
        room_id=room_id, key=key, words=fingerprint(key),
        agreement=None if stand is None else stand.room.agreement,
        hash=None if stand is None else agreement_hash(stand.room.agreement),
        signed_by=() if stand is None else tuple(s.member for s in stand.room.signatures),
    )  # fmt: skip


@router.get("/rooms/{room_id}")
def one(request: Request, room_id: str, user: Anybody) -> Response:
    """The agreement in force, or the draft of the first version, in plain words."""
    context = context_of(request)
    entry = context.room(user, room_id)
    return _agreement(request, user, entry)


def _agreement(
    request: Request, user: User, entry: RoomEntry, error: str | Refusal | None = None, said: str = ""
) -> Response:
    shown = entry.in_force or entry.room
    return show(
        request, "rooms/agreement.html", user, status=200 if error is None else 409, room=entry,
        agreement=shown.agreement, hash=agreement_hash(shown.agreement), first=entry.in_force is None,
        signed_by=[s.member for s in shown.signatures], missing=entry.missing,
        open=_open(request, entry), error=error, said=said or request.query_params.get("said", ""),
        unreached=request.query_params.get("unreached", "")[:300],
    )  # fmt: skip


@router.post("/rooms/{room_id}/sign")
def sign(request: Request, room_id: str, user: Signer, agreed: Hash) -> Response:
    """Sign the first version, of the hash that was shown."""
    context = context_of(request)
    try:
        drafts.first_draft(context, user, room_id, agreed)
    except NotFound:
        raise
    except HitokuError as error:
        return _agreement(request, user, context.room(user, room_id), failed(error))
    return to(f"/rooms/{room_id}?said=signed")


@router.post("/rooms/{room_id}/pull", dependencies=PEERS)
def pull(request: Request, room_id: str, user: Signer) -> Response:
    """Get the newest version from the other members."""
    context = context_of(request)
    try:
        changed, unreached = drafts.pull(context, user, room_id)
    except NotFound:
        raise
    except HitokuError as error:
        return _agreement(request, user, context.room(user, room_id), failed(error))
    said = "pulled" if changed else "newest"
    return to(f"/rooms/{room_id}?said={said}" + (f"&unreached={','.join(unreached)}" if unreached else ""))


@router.get("/rooms/{room_id}/versions")
def versions(request: Request, room_id: str, user: Anybody) -> Response:
    """All versions: what each changed, and who signed."""
    entry = context_of(request).room(user, room_id)
    return show(request, "rooms/versions.html", user, room=entry, versions=_versions(entry))


@router.get("/rooms/{room_id}/versions/{number}")
def version(request: Request, room_id: str, number: int, user: Anybody) -> Response:
    """One version: what it changed, and what it says."""
    entry = context_of(request).room(user, room_id)
    found = next((v for v in _versions(entry) if v["number"] == number), None)
    if found is None:
        raise NotFound("there is no such version")
    return show(
        request, "rooms/version.html", user, room=entry, version=found, agreement=found["agreement"],
        signed_by=found["signed_by"],
    )  # fmt: skip


@router.get("/rooms/{room_id}/export.{kind}")
def export(request: Request, room_id: str, kind: str, user: Anybody) -> Response:
    """The room with all signatures, to keep or to verify elsewhere."""
    entry = context_of(request).room(user, room_id)
    media = {"yaml": "application/yaml", "json": "application/json"}.get(kind, "text/plain")
    return Response(
        rooms.export(entry, kind), media_type=media,
        headers={"content-disposition": f'attachment; filename="room-{entry.id}.{kind}"'},
    )  # fmt: skip


def _versions(entry: RoomEntry) -> list[dict[str, Any]]:
    force = entry.in_force
    if force is None:
        return []
    past = [(v.agreement, v.signatures) for v in force.history]
    found, before = list[dict[str, Any]](), None
    needed = signers_of_all(force)
    for number, (agreement, signatures) in enumerate([*past, (force.agreement, force.signatures)]):
        signers = None if before is None else needed[number]
        found.append(
            {
                "number": agreement.version,
                "hash": agreement_hash(agreement),
                "agreement": agreement,
                "signed_by": list(dict.fromkeys(s.member for s in signatures)),
                "changes": () if before is None else changes(before, agreement),
                "signers": [] if signers is None else sorted(signers.current | signers.previous),
            }
        )
        before = agreement
    return found[::-1]


def _open(request: Request, entry: RoomEntry) -> list[Any]:
    """The proposals that are open or wait to be sent; none where they cannot be read."""
    try:
        return [p for p in drafts.all_of(context_of(request), entry) if p.live]
    except HitokuError:
        return []
