# SPDX-License-Identifier: Apache-2.0
"""The users of this console, for who administers it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from hitoku.console import onetime, passwords, sessions, store
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.errors import InputError, RoomError

router = APIRouter()

Administrator = Annotated[User, Depends(need(May.ADMINISTER))]
Text = Annotated[str, Form()]
Texts = Annotated[list[str] | None, Form()]


def _list(request: Request, user: User, status: int = 200, **more: Any) -> Response:
    context = context_of(request)
    shown = {"wrong": None, "made": None, "password": None, "name": "", **more}
    return render(
        request,
        "users/users.html",
        user,
        status=status,
        accounts=store.all_accounts(context),
        all_rooms=context.node.rooms(),
        **shown,
    )


def _one(request: Request, user: User, account: store.Account, status: int = 200, **more: Any) -> Response:
    context = context_of(request)
    shown = {"wrong": None, "done": False, "password": None, **more}
    return render(
        request,
        "users/user.html",
        user,
        status=status,
        account=account,
        all_rooms=context.node.rooms(),
        sessions=sessions.count(context, account.id),
        tokens=len(sessions.tokens_of(context, account.id)),
        **shown,
    )


def _abilities(given: list[str] | None) -> frozenset[May]:
    try:
        return frozenset(May(name) for name in given or [])
    except ValueError:
        raise InputError("there is no such ability") from None


def _rooms(request: Request, which: str, given: list[str] | None) -> frozenset[str] | None:
    if which != "some":
        return None
    known = {entry.id for entry in context_of(request).node.rooms()}
    return frozenset(given or []) & known


@router.get("/users")
def users(request: Request, user: Administrator) -> Response:
    """All users."""
    return _list(request, user)


@router.post("/users")
def add(
    request: Request,
    user: Administrator,
    abilities: Texts = None,
    rooms: Texts = None,
    which: Text = "all",
    name: Text = "",
    language: Text = "en",
) -> Response:
    """Make a user; the password is made here and shown once."""
    context, password = context_of(request), passwords.generated()
    try:
        made = store.create(
            context,
            name.strip(),
            _abilities(abilities),
            password=passwords.hashed(password),
            rooms=_rooms(request, which, rooms),
            language=language,
        )
    except InputError as error:
        return _list(request, user, 400, wrong=str(error), name=name[:63])
    store.note(context, user, "user made", name=made.name, abilities=sorted(made.abilities))
    return _list(request, user, made=made, password=password)


@router.get("/users/{account}")
def one(request: Request, user: Administrator, account: str, done: bool = False) -> Response:
    """One user."""
    return _one(request, user, store.by_id(context_of(request), account), done=done)


@router.post("/users/{account}")
def change(
    request: Request,
    user: Administrator,
    account: str,
    abilities: Texts = None,
    rooms: Texts = None,
    which: Text = "all",
    disabled: Text = "",
) -> Response:
    """Change what a user may do and see."""
    context = context_of(request)
    found = store.by_id(context, account)
    stop = disabled == "yes"
    may, seen = _abilities(abilities), _rooms(request, which, rooms)
    try:
        changed = store.change(context, account, end=stop, abilities=may, rooms=seen, disabled=stop)
    except RoomError as error:
        return _one(request, user, found, 409, wrong=str(error))
    store.note(
        context, user, "user changed", name=changed.name, abilities=sorted(changed.abilities), disabled=stop
    )
    return RedirectResponse(f"/users/{changed.id}?done=true", 303)


@router.post("/users/{account}/reset")
def reset(request: Request, user: Administrator, account: str) -> Response:
    """A new password, shown once, and no one-time codes; sessions and tokens end."""
    context, password = context_of(request), passwords.generated()
    found = store.by_id(context, account)
    if account == user.id:
        raise InputError("change your own password on your account's page")
    if found.issuer is not None:
        raise InputError("this user signs in at the provider alone")
    onetime.drop(context, account)
    changed = store.change(context, account, end=True, password=passwords.hashed(password))
    store.note(context, user, "user reset", name=changed.name)
    return _one(request, user, changed, password=password)
