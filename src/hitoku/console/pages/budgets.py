# SPDX-License-Identifier: Apache-2.0
"""Pages of budgets: how accounts stand, what was spent, what a question would cost, and changing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from hitoku.console.api.busy import PEERS
from hitoku.console.context import RoomEntry
from hitoku.console.guard import need
from hitoku.console.posted import posted
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import budgets as work
from hitoku.console.work.proposing import put
from hitoku.console.work.rule_form import Fields
from hitoku.console.work.tables import own_table
from hitoku.errors import HitokuError, InputError, RoomError
from hitoku.room.rules import AccessBudgetType

router = APIRouter()

_Reader = Annotated[User, Depends(need(May.TABLES, May.AUDIT, May.SIGN))]
_Asker = Annotated[User, Depends(need(May.ASK, May.TABLES))]
_Owner = Annotated[User, Depends(need(May.TABLES))]
_Anybody = Annotated[User, Depends(need())]
_Posted = Annotated[Fields, Depends(posted)]
_SAID: Final = frozenset({"in_force", "open", "draft"})
_EPSILONS: Final = (1, 2, 3, 5, 8, 12, 20)


@router.get("/rooms/{room}/budgets")
def listed(request: Request, room: str, user: _Anybody) -> HTMLResponse:
    """How everything stands; what is spent is for who keeps tables, signs or audits."""
    context = context_of(request)
    return _page(request, user, context.room(user, room))


@router.post("/rooms/{room}/budgets/preview", dependencies=PEERS)
def previewed(request: Request, room: str, user: _Asker, form: _Posted) -> HTMLResponse:
    """What a question would cost; nothing is charged."""
    context = context_of(request)
    entry = context.room(user, room)
    sql, noise = form.get("sql"), form.get("noise")
    found: dict[str, Any] | None = None
    error: HitokuError | None = None
    try:
        if noise and not (noise.isascii() and noise.isdecimal() and len(noise) < 8):
            raise InputError("the number of people that noise hides is a whole number")
        found = work.preview(context, entry, sql, int(noise) if noise else None)
    except HitokuError as wrong:
        error = wrong
    if request.headers.get("hx-request") == "true":
        return render(request, "budgets/preview.html", user, room=entry, preview=found, error=error)
    return _page(request, user, entry, sql=sql, noise=noise, preview=found, error=error)


def _page(
    request: Request,
    user: User,
    entry: RoomEntry,
    *,
    sql: str = "",
    noise: str = "",
    preview: Mapping[str, Any] | None = None,
    error: HitokuError | None = None,
) -> HTMLResponse:
    context = context_of(request)
    reads = any(user.may(one) for one in (May.TABLES, May.AUDIT, May.SIGN))
    done = request.query_params.get("done", "")
    return render(
        request,
        "budgets/budgets.html",
        user,
        room=entry,
        standing=work.standing(context, entry) if reads else None,
        others=[b for b in entry.agreement.budgets if b.owner != context.me],
        units=work.units_of(entry.agreement, context.me),
        history=work.history(context, entry) if reads else (),
        tables=[t.name for t in entry.agreement.tables if t.owner == context.me],
        manages=user.may(May.TABLES) and entry.agreement.member(context.me) is not None,
        asks=user.may(May.ASK) or user.may(May.TABLES),
        in_force=entry.in_force is not None,
        sql=sql,
        noise=noise,
        preview=preview,
        error=error,
        done=done if done in _SAID else "",
    )


@router.get("/rooms/{room}/budgets/edit")
def edit(request: Request, room: str, user: _Owner, unit: str = "") -> HTMLResponse:
    """An account in a form: a new one where no unit is named."""
    context = context_of(request)
    entry = context.room(user, room)
    known = entry.agreement.budget(context.me, unit)
    form = {"unit": unit, "epsilon": "3", "delta": "1e-6", "noise": "30", "refresh": "NONE"}
    if known is not None:
        form |= {
            "epsilon": str(known.epsilon),
            "delta": known.delta,
            "noise": str(known.users_noise_per_query),
            "refresh": known.refresh,
        }
    return _form(request, user, entry, form, known=known is not None)


@router.post("/rooms/{room}/budgets/edit", dependencies=PEERS)
def save(request: Request, room: str, user: _Owner, form: _Posted) -> Response:
    """Propose an account, or another size of it."""
    context = context_of(request)
    entry = context.room(user, room)
    flat = form.flat()
    try:
        account = work.account_of(flat, context.me)
        change = work.change_account(entry.agreement, account)
        done = put(context, user, entry, change, f"account for {account.unit}")
    except (InputError, RoomError) as error:
        known = entry.agreement.budget(context.me, flat.get("unit", "")) is not None
        return _form(request, user, entry, flat, known=known, error=error)
    return _back(entry, done)


@router.post("/rooms/{room}/budgets/close", dependencies=PEERS)
def close(request: Request, room: str, user: _Owner, form: _Posted) -> Response:
    """Propose to close an account that no rule charges."""
    context = context_of(request)
    entry = context.room(user, room)
    unit = form.get("unit")
    change = work.remove_account(entry.agreement, context.me, unit)
    return _back(entry, put(context, user, entry, change, f"account for {unit} closes"))


@router.get("/rooms/{room}/budgets/windows/{table}")
def windows(request: Request, room: str, table: str, user: _Owner) -> HTMLResponse:
    """How many questions of a table are allowed, in a form."""
    context = context_of(request)
    entry = context.room(user, room)
    found = own_table(context, entry, table)
    form = {f"window-{b.type.value}": str(b.budget) for b in found.access_budgets}
    return _windows(request, user, entry, table, form)


@router.post("/rooms/{room}/budgets/windows/{table}", dependencies=PEERS)
def save_windows(request: Request, room: str, table: str, user: _Owner, form: _Posted) -> Response:
    """Propose other numbers of questions."""
    context = context_of(request)
    entry = context.room(user, room)
    found = own_table(context, entry, table)
    try:
        change = work.change_windows(entry.agreement, found, form.flat())
        done = put(context, user, entry, change, f"access budgets of table {table}")
    except (InputError, RoomError) as error:
        return _windows(request, user, entry, table, form.flat(), error)
    return _back(entry, done)


def _form(
    request: Request,
    user: User,
    entry: RoomEntry,
    form: Mapping[str, str],
    *,
    known: bool,
    error: HitokuError | None = None,
) -> HTMLResponse:
    return render(
        request,
        "budgets/edit.html",
        user,
        status=200 if error is None else 400,
        room=entry,
        form=form,
        known=known,
        error=error,
        odds=[(epsilon, work.odds(epsilon)) for epsilon in _EPSILONS],
        deltas=[f"1e-{n}" for n in range(5, 13)],
    )


def _windows(
    request: Request,
    user: User,
    entry: RoomEntry,
    table: str,
    form: Mapping[str, str],
    error: HitokuError | None = None,
) -> HTMLResponse:
    return render(
        request,
        "budgets/windows.html",
        user,
        status=200 if error is None else 400,
        room=entry,
        table=table,
        form=form,
        kinds=[kind.value for kind in AccessBudgetType],
        error=error,
    )


def _back(entry: RoomEntry, done: str) -> RedirectResponse:
    return RedirectResponse(f"/rooms/{entry.id}/budgets?done={done}", 303)
