# SPDX-License-Identifier: Apache-2.0
"""Sign-in and sign-out: password, one-time code, or an OIDC provider."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from hitoku.console import entering, oidc, sessions
from hitoku.console.context import Context
from hitoku.console.failing import Slow
from hitoku.console.guard import anybody, need
from hitoku.console.render import context_of, render
from hitoku.console.site import site
from hitoku.console.store import Account, note
from hitoku.console.users import User
from hitoku.errors import HitokuError, Refusal

router = APIRouter()

_YEAR = 365 * 86_400
Anybody = Annotated[User | None, Depends(anybody)]


def _page(
    request: Request,
    then: str,
    *,
    name: str = "",
    wrong: str | None = None,
    status: int = 200,
    **more: object,
) -> Response:
    provider = oidc.settings_of(context_of(request))
    return render(
        request,
        "login/login.html",
        None,
        status=status,
        then=then,
        name=name,
        wrong=wrong,
        provider=None if provider is None else provider.issuer.partition("://")[2],
        **{"seconds": 0, "refusal": None, **more},
    )


def enter(
    request: Request, account: Account, strength: Literal["password", "onetime", "oidc"], then: str
) -> Response:
    """Begin a session: with a new token, whatever the browser had before."""
    context, ours = context_of(request), site(request)
    old = request.cookies.get(ours.cookie("session"))
    token = sessions.begin(context, account.id, strength, instead=old)
    note(context, account, "signed in", by=strength)
    response = RedirectResponse(entering.page_after(then), 303)
    ours.set_cookie(response, "session", token)
    ours.set_cookie(response, "known", entering.known_cookie(context, account.id), strict=True, seconds=_YEAR)
    ours.drop_cookie(response, "visitor")
    return response


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


@router.get("/login")
def login(request: Request, user: Anybody, next: str = "/") -> Response:  # noqa: A002 (the query's name)
    """The sign-in page."""
    then = entering.page_after(next)
    return RedirectResponse(then, 303) if user is not None else _page(request, then)


@router.post("/login")
def password(
    request: Request,
    _user: Anybody,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 (the form's name)
) -> Response:
    """Sign in by name and password; one-time codes come on the next page."""
    context, then = context_of(request), entering.page_after(next)
    known = request.cookies.get(site(request).cookie("known"), "")
    name = name.strip()
    try:
        found = entering.by_password(context, name, password, _address(request), known)
    except Slow as slow:
        page = _page(request, then, name=name[:63], wrong="login.slow", status=429, seconds=slow.seconds)
        page.headers["Retry-After"] = str(slow.seconds)
        return page
    if found is None:
        return _page(request, then, name=name[:63], wrong="login.wrong", status=403)
    if found.onetime:
        return _half(request, context, found, then)
    return enter(request, found, "password", then)


def _half(request: Request, context: Context, account: Account, then: str) -> Response:
    ours = site(request)
    old = request.cookies.get(ours.cookie("session"))
    response = RedirectResponse("/login/code" + _query(then), 303)
    ours.set_cookie(response, "session", sessions.begin(context, account.id, "half", instead=old))
    return response


def _query(then: str) -> str:
    from urllib.parse import quote

    return "" if then == "/" else f"?next={quote(then, safe='')}"


@router.get("/login/code")
def code_page(request: Request, _user: Anybody, next: str = "/") -> Response:  # noqa: A002 (the query's name)
    """Where the one-time code is asked for."""
    then = entering.page_after(next)
    if request.state.half is None:
        return RedirectResponse("/login" + _query(then), 303)
    return render(request, "login/code.html", None, then=then, wrong=None, seconds=0)


@router.post("/login/code")
def code(
    request: Request,
    _user: Anybody,
    code: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 (the form's name)
) -> Response:
    """The second step: a one-time code, or one of the recovery codes."""
    then = entering.page_after(next)
    if request.state.half is None:
        return RedirectResponse("/login" + _query(then), 303)
    try:
        found = entering.by_code(context_of(request), request.state.half, code)
    except Slow as slow:
        page = render(
            request,
            "login/code.html",
            None,
            status=429,
            then=then,
            wrong="login.slow",
            seconds=slow.seconds,
        )
        page.headers["Retry-After"] = str(slow.seconds)
        return page
    if found is None:
        return render(
            request, "login/code.html", None, status=403, then=then, wrong="login.wrong_code", seconds=0
        )
    return enter(request, found, "onetime", then)


@router.get("/login/oidc")
def provider(request: Request, _user: Anybody, next: str = "/") -> Response:  # noqa: A002 (the query's name)
    """Go to the OIDC provider."""
    then = entering.page_after(next)
    try:
        where, cookie = oidc.begin(context_of(request), site(request), then)
    except HitokuError as error:
        return _page(request, then, wrong="login.failed", status=502, refusal=error)
    response = RedirectResponse(where, 303)
    site(request).set_cookie(response, "oidc", cookie, seconds=600)
    return response


@router.get(oidc.CALLBACK)
def back(request: Request, _user: Anybody) -> Response:
    """Come back from the OIDC provider."""
    ours, query = site(request), dict(request.query_params)
    cookie = request.cookies.get(ours.cookie("oidc"), "")
    try:
        found, then = oidc.finish(context_of(request), ours, cookie, query)
    except HitokuError as error:
        note(context_of(request), None, "sign-in failed", by="oidc")
        status = 403 if isinstance(error, Refusal) else 502
        page = _page(request, "/", wrong="login.failed", status=status, refusal=error)
        ours.drop_cookie(page, "oidc")
        return page
    response = enter(request, found, "oidc", then)
    ours.drop_cookie(response, "oidc")
    return response


@router.post("/logout")
def logout(request: Request, user: Annotated[User, Depends(need())]) -> Response:
    """Sign out of this browser."""
    context, ours = context_of(request), site(request)
    if request.state.session is not None:
        sessions.end(context, request.state.session)
    note(context, user, "signed out")
    response = RedirectResponse("/login", 303)
    ours.drop_cookie(response, "session")
    return response
