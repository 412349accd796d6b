# SPDX-License-Identifier: Apache-2.0
"""Pages of proposals: what is open, signing and declining it, and forms for the general terms of a room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from hitoku import limits
from hitoku.console.api.busy import PEERS
from hitoku.console.context import NotFound, RoomEntry
from hitoku.console.guard import need
from hitoku.console.pages.rooms import ABILITIES, PROTECTIONS, SETTINGS, Hash, Several, Text, failed, show, to
from hitoku.console.render import context_of
from hitoku.console.users import May, User
from hitoku.console.work import drafts, rooms
from hitoku.errors import HitokuError, InputError, Refusal
from hitoku.room.crosstab import Normalise

__all__ = ["router"]

router = APIRouter()

Anybody = Annotated[User, Depends(need())]
Signer = Annotated[User, Depends(need(May.SIGN))]
Drafter = Annotated[User, Depends(need(May.SIGN, May.TABLES))]
_IDENTIFIERS = 3
"""How many kinds of identifiers the form has."""


async def _form(request: Request) -> FormData:
    return await request.form(max_fields=1_000, max_files=0)


Fields = Annotated[FormData, Depends(_form)]


@router.get("/rooms/{room_id}/draft")
def all_drafts(request: Request, room_id: str, user: Anybody) -> Response:
    """The newest proposal of each member: open ones first."""
    return _page(request, user, context_of(request).room(user, room_id))


def _page(request: Request, user: User, entry: RoomEntry, error: str | Refusal | None = None) -> Response:
    found = drafts.all_of(context_of(request), entry)
    return show(
        request, "rooms/drafts.html", user, status=200 if error is None else 409, room=entry,
        live=[p for p in found if p.live], over=[p for p in found if not p.live], error=error,
        said=request.query_params.get("said", ""),
    )  # fmt: skip


def _done(request: Request, user: User, room_id: str, work: Callable[[], object], said: str) -> Response:
    try:
        work()
    except NotFound:
        raise
    except HitokuError as error:
        return _page(request, user, context_of(request).room(user, room_id), failed(error))
    return to(f"/rooms/{room_id}/draft?said={said}")


@router.post("/rooms/{room_id}/draft/sign", dependencies=PEERS)
def sign(request: Request, room_id: str, user: Signer, agreed: Hash) -> Response:
    """Sign another member's proposal: the hash that was shown."""
    context = context_of(request)
    return _done(
        request, user, room_id, lambda: drafts.sign_proposal(context, user, room_id, agreed), "signed"
    )


@router.post("/rooms/{room_id}/draft/decline", dependencies=PEERS)
def decline(request: Request, room_id: str, user: Signer, agreed: Hash, reason: Text = "") -> Response:
    """Say no, and why."""
    context = context_of(request)
    return _done(
        request, user, room_id, lambda: drafts.decline(context, user, room_id, agreed, reason), "declined"
    )


@router.post("/rooms/{room_id}/draft/send", dependencies=PEERS)
def send(request: Request, room_id: str, user: Signer, agreed: Hash) -> Response:
    """Sign the own draft, and send it to the others."""
    context = context_of(request)
    return _done(request, user, room_id, lambda: drafts.give(context, user, room_id, agreed), "sent")


@router.post("/rooms/{room_id}/draft/withdraw", dependencies=PEERS)
def withdraw(request: Request, room_id: str, user: Drafter, agreed: Hash) -> Response:
    """Take the own proposal back."""
    context = context_of(request)
    return _done(request, user, room_id, lambda: drafts.withdraw(context, user, room_id, agreed), "withdrawn")


@router.post("/rooms/{room_id}/draft/settle", dependencies=PEERS)
def settle(request: Request, room_id: str, user: Signer, agreed: Hash) -> Response:
    """Put the own proposal in force without waiting for who cannot be reached."""
    context = context_of(request)
    return _done(request, user, room_id, lambda: drafts.settle_now(context, user, room_id, agreed), "settled")


@router.get("/rooms/{room_id}/draft/edit")
def edit(request: Request, room_id: str, user: Signer) -> Response:
    """The form of the general terms."""
    entry = context_of(request).room(user, room_id)
    agreement = entry.agreement
    asked = {
        "name": agreement.name,
        "protections": [str(p) for p in agreement.protections],
        "settings": [name for name, value in agreement.settings.model_dump().items() if value],
        "abilities": {m.name: [str(a) for a in m.abilities] for m in agreement.members},
        "interval": agreement.release.interval_seconds,
        "round": agreement.release.round_counts,
        "summary": agreement.release.summary,
        "servers": ["", "", ""] if agreement.shares is None else list(agreement.shares.servers),
        "why": "",
    }
    return _edit(request, user, entry, asked)


def _edit(
    request: Request, user: User, entry: RoomEntry, asked: dict[str, Any], error: HitokuError | None = None
) -> Response:
    return show(
        request, "rooms/edit.html", user, status=200 if error is None else 422, room=entry, asked=asked,
        error=None if error is None else failed(error), abilities=ABILITIES, protections=PROTECTIONS,
        settings=SETTINGS, members=[m.name for m in entry.agreement.members],
    )  # fmt: skip


@router.post("/rooms/{room_id}/draft/edit", dependencies=PEERS)
def edited(request: Request, room_id: str, user: Signer, form: Fields) -> Response:
    """Propose other general terms."""
    context = context_of(request)
    entry = context.room(user, room_id)
    asked: dict[str, Any] = {
        "name": str(form.get("name", ""))[:1_000],
        "protections": _texts(form, "protections"),
        "settings": _texts(form, "settings"),
        "abilities": {m.name: _texts(form, f"abilities-{m.name}") for m in entry.agreement.members},
        "interval": str(form.get("interval", ""))[:20],
        "round": str(form.get("round", ""))[:20],
        "summary": form.get("summary") == "yes",
        "servers": [str(form.get(f"server-{n}", ""))[:100] for n in range(3)],
        "why": str(form.get("why", ""))[: limits.MAX_CONTROL_TEXT_CHARS],
    }
    try:
        # The order of the protections decides which computes; those that were there stay in front.
        before = [str(p) for p in entry.agreement.protections]
        chosen = [p for p in before if p in asked["protections"]]
        chosen += [p for p in asked["protections"] if p not in chosen]
        made = rooms.change_general(
            context,
            user,
            entry,
            {
                "name": asked["name"],
                "protections": chosen,
                "settings": {one: one in asked["settings"] for one in SETTINGS},
                "abilities": asked["abilities"],
                "release": {
                    "interval_seconds": _number(asked["interval"], "interval"),
                    "round_counts": _number(asked["round"], "round"),
                    "summary": asked["summary"],
                },
                "servers": asked["servers"],
                "why": asked["why"],
            },
        )
    except NotFound:
        raise
    except HitokuError as error:
        return _edit(request, user, entry, asked, error)
    return _after(room_id, made.version, made.state)


@router.get("/rooms/{room_id}/draft/crosstab")
def crosstab(request: Request, room_id: str, user: Signer) -> Response:
    """The form of how people are recognised across tables."""
    entry = context_of(request).room(user, room_id)
    part = entry.agreement.crosstab
    kinds = [] if part is None else [(i.kind, [str(n) for n in i.normalise]) for i in part.identifiers]
    asked = {
        "kinds": kinds or [("phone", ["nfkc", "trim", "e164"])],
        "code": "" if part is None else part.calling_code or "",
        "tables": [t.table for t in part.tables] if part is not None else [],
        "why": "",
    }
    return _crosstab(request, user, entry, asked)


def _crosstab(
    request: Request, user: User, entry: RoomEntry, asked: dict[str, Any], error: HitokuError | None = None
) -> Response:
    kinds = [*asked["kinds"], *[("", [])] * _IDENTIFIERS][: max(_IDENTIFIERS, len(asked["kinds"]))]
    return show(
        request, "rooms/crosstab.html", user, status=200 if error is None else 422, room=entry, asked=asked,
        kinds=kinds, error=None if error is None else failed(error), steps=[str(n) for n in Normalise],
        tables=[(t.name, t.owner, _private(t)) for t in entry.agreement.tables],
    )  # fmt: skip


@router.post("/rooms/{room_id}/draft/crosstab", dependencies=PEERS)
def crosstabbed(
    request: Request, room_id: str, user: Signer, form: Fields, tables: Several = None
) -> Response:
    """Propose how people are recognised."""
    context = context_of(request)
    entry = context.room(user, room_id)
    asked: dict[str, Any] = {
        "kinds": [
            (str(form.get(f"kind-{n}", ""))[:100], _texts(form, f"steps-{n}")) for n in range(8)
            if str(form.get(f"kind-{n}", "")).strip()
        ],
        "code": str(form.get("code", ""))[:10],
        "tables": tables or [],
        "why": str(form.get("why", ""))[: limits.MAX_CONTROL_TEXT_CHARS],
    }  # fmt: skip
    order = [str(n) for n in (Normalise.NFKC, Normalise.TRIM, *Normalise)]
    try:
        made = rooms.change_crosstab(
            context,
            user,
            entry,
            identifiers=[(kind, sorted(set(steps), key=order.index)) for kind, steps in asked["kinds"]],
            calling_code=asked["code"],
            tables=asked["tables"],
            why=asked["why"],
        )
    except NotFound:
        raise
    except (HitokuError, ValueError) as error:
        shown = error if isinstance(error, HitokuError) else InputError("there is no such step")
        return _crosstab(request, user, entry, asked, shown)
    return _after(room_id, made.version, made.state)


def _after(room_id: str, version: int, state: str) -> Response:
    if version == 1:
        return to(f"/rooms/{room_id}?said=changed")
    return to(f"/rooms/{room_id}/draft?said={state}")


def _texts(form: FormData, name: str) -> list[str]:
    return [str(value)[:200] for value in form.getlist(name)][:100]


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InputError(f"{name}: a whole number is expected")
    return int(text)


def _private(table: Any) -> bool:
    rule = table.rule
    return rule is not None and getattr(rule, "differential_privacy", None) is not None
