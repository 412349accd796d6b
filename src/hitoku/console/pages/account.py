# SPDX-License-Identifier: Apache-2.0
"""A user's own account: password, one-time codes, sessions, tokens of programs, language and theme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from hitoku import limits
from hitoku.console import limits as counts
from hitoku.console import onetime, passwords, sessions, store
from hitoku.console.context import NotFound
from hitoku.console.failing import Slow
from hitoku.console.forging import masked, secret_of
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.site import site
from hitoku.console.times import day_and_time
from hitoku.console.users import May, User
from hitoku.console.words import LANGUAGES
from hitoku.errors import InputError

router = APIRouter()

Anyone = Annotated[User, Depends(need())]
Text = Annotated[str, Form()]


def _page(request: Request, user: User, status: int = 200, **more: Any) -> Response:
    context = context_of(request)
    tokens = [
        {**token, **{name: day_and_time(token[name]) for name in ("created", "used", "until")}}
        for token in sessions.tokens_of(context, user.id)
    ]
    found = store.by_id(context, user.id)
    shown = {
        "seconds": 0,
        "wrong": None,
        "wrong_in": None,
        "done": None,
        "token": None,
        "codes": None,
        **more,
    }
    return render(
        request,
        "account/account.html",
        found.user(),
        status=status,
        account=found,
        sessions=sessions.count(context, user.id),
        setup=onetime.pending(context, user.id),
        tokens=tokens,
        abilities=[ability for ability in May if user.may(ability)],
        **shown,
    )


def _own(request: Request, user: User, password: str, code: str, where: str) -> Response | None:
    """None where it is the user's password, and one-time code; else the page that says no.

    Guessing is slow here, too. A code is asked for where the user has them, and is used up.
    """
    context = context_of(request)
    found = store.by_id(context, user.id)
    turn = counts.code(context, f"password {user.id}")
    try:
        turn.take()
    except Slow as slow:
        return _page(request, user, 429, wrong="login.slow", wrong_in=where, seconds=slow.seconds)
    if not passwords.matches(found.password, password):
        store.note(context, user, "password refused")
        return _page(request, user, 403, wrong="account.wrong_password", wrong_in=where)
    if found.onetime and not onetime.passes(context, user.id, code):
        store.note(context, user, "one-time code failed")
        return _page(request, user, 403, wrong="account.wrong_code", wrong_in=where)
    turn.passed()
    return None


def _fresh(request: Request, user: User, where: str) -> Response | None:
    """Of a user without a password here, instead of `_own`: None where it signed in not long ago."""
    context = context_of(request)
    if sessions.age(context, request.state.session) <= limits.FRESH_SIGN_IN_SECONDS:
        return None
    return _page(request, user, 403, wrong="account.sign_in_again", wrong_in=where)


def _renewed(request: Request, user: User, answer: Callable[[], Response]) -> Response:
    """A new session's token, and no other sessions: who had an old one has nothing.

    What `answer` makes comes after that, so that the forms of a page are good for the new session.
    """
    context = context_of(request)
    sessions.end_all(context, user.id)
    token = sessions.begin(context, user.id, "password")
    request.state.session, request.state.csrf = token, masked(secret_of(token))
    response = answer()
    site(request).set_cookie(response, "session", token)
    return response


@router.get("/account")
def account(request: Request, user: Anyone, done: str = "") -> Response:
    """The account page."""
    known = {"password", "look", "sessions", "token", "onetime"}
    return _page(request, user, done=f"account.done_{done}" if done in known else None)


@router.post("/account/password")
def change_password(
    request: Request, user: Anyone, old: Text = "", new: Text = "", again: Text = "", code: Text = ""
) -> Response:
    """Change the password: all other sessions and all tokens end, since it mostly means that it leaked."""
    context = context_of(request)
    try:
        if new != again:
            return _page(request, user, 400, wrong="account.not_the_same", wrong_in="password")
        passwords.checked(new, user.name)
    except InputError as error:
        return _page(request, user, 400, wrong=str(error), wrong_in="password")
    refused = _own(request, user, old, code, "password")
    if refused is not None:
        return refused
    store.change(context, user.id, end=True, password=passwords.hashed(new))
    store.note(context, user, "password changed")
    return _renewed(request, user, lambda: RedirectResponse("/account?done=password", 303))


@router.post("/account/onetime/begin")
def begin_onetime(request: Request, user: Anyone, password: Text = "") -> Response:
    """Make a one-time secret, which the next form confirms."""
    if store.by_id(context_of(request), user.id).onetime:
        raise InputError("one-time codes are set up already")
    refused = _own(request, user, password, "", "onetime")
    if refused is not None:
        return refused
    onetime.begin(context_of(request), user.id)
    return RedirectResponse("/account#onetime", 303)


@router.get("/account/onetime.svg")
def onetime_picture(request: Request, user: Anyone) -> Response:
    """The secret that waits for its first code, as a QR code."""
    setup = onetime.pending(context_of(request), user.id)
    if setup is None:
        raise NotFound("there is no such picture")
    return Response(onetime.qr(context_of(request), user.name, setup), media_type="image/svg+xml")


@router.post("/account/onetime")
def finish_onetime(request: Request, user: Anyone, code: Text = "") -> Response:
    """Confirm the secret by a code. Recovery codes are shown, once."""
    context = context_of(request)
    turn = counts.code(context, f"setup {user.id}")
    turn.take()
    codes = onetime.finish(context, user.id, code[:16])
    if codes is None:
        return _page(request, user, 403, wrong="account.wrong_code", wrong_in="onetime")
    turn.passed()
    store.note(context, user, "one-time codes set up")
    return _renewed(request, user, lambda: _page(request, user, codes=codes))


@router.post("/account/onetime/drop")
def drop_onetime(request: Request, user: Anyone, password: Text = "", code: Text = "") -> Response:
    """Sign in by the password alone again."""
    refused = _own(request, user, password, code, "onetime")
    if refused is not None:
        return refused
    onetime.drop(context_of(request), user.id)
    store.note(context_of(request), user, "one-time codes dropped")
    return _renewed(request, user, lambda: RedirectResponse("/account?done=onetime", 303))


@router.post("/account/recovery")
def new_recovery(request: Request, user: Anyone, password: Text = "", code: Text = "") -> Response:
    """New recovery codes instead of the old ones; shown once."""
    refused = _own(request, user, password, code, "onetime")
    if refused is not None:
        return refused
    codes = onetime.recovery(context_of(request), user.id)
    store.note(context_of(request), user, "recovery codes made")
    return _page(request, user, codes=codes)


@router.post("/account/look")
def look(request: Request, user: Anyone, language: Text = "en", theme: Text = "auto") -> Response:
    """Language and theme."""
    if language not in LANGUAGES or theme not in store.THEMES:
        raise InputError("there is no such language or theme")
    store.change(context_of(request), user.id, language=language, theme=theme)
    return RedirectResponse("/account?done=look", 303)


@router.post("/account/sessions/end")
def end_sessions(request: Request, user: Anyone) -> Response:
    """Sign out everywhere else."""
    ended = sessions.end_all(context_of(request), user.id, but=request.state.session)
    store.note(context_of(request), user, "sessions ended", count=ended)
    return RedirectResponse("/account?done=sessions", 303)


@router.post("/account/tokens")
def make_token(
    request: Request,
    user: Anyone,
    abilities: Annotated[list[str] | None, Form()] = None,
    name: Text = "",
    days: Text = "90",
    password: Text = "",
    code: Text = "",
) -> Response:
    """Make a bearer token, which outlives this session: the user proves again who it is. Shown once."""
    context = context_of(request)
    try:
        given = frozenset(May(ability) for ability in abilities or [])
        number = int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0
        sessions.check_token(user, name, given, number)
    except ValueError:
        return _page(request, user, 400, wrong="account.no_such_ability", wrong_in="tokens")
    except InputError as error:
        return _page(request, user, 400, wrong=str(error), wrong_in="tokens")
    if store.by_id(context, user.id).password is None:
        refused = _fresh(request, user, "tokens")
    else:
        refused = _own(request, user, password, code, "tokens")
    if refused is not None:
        return refused
    token = sessions.make_token(context, user, name, given, number)
    store.note(context, user, "token made", abilities=sorted(given), days=number)
    return _page(request, user, token=token)


@router.post("/account/tokens/{token}/end")
def end_token(request: Request, user: Anyone, token: str) -> Response:
    """End one of the user's own tokens."""
    sessions.end_token(context_of(request), user.id, token)
    store.note(context_of(request), user, "token ended")
    return RedirectResponse("/account?done=token", 303)
