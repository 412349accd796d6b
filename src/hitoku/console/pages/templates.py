# SPDX-License-Identifier: Apache-2.0
"""Pages of templates: which there are, who approved them, proposing, approving, asking with one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from hitoku import limits
from hitoku.console.api.busy import PEERS
from hitoku.console.context import RoomEntry
from hitoku.console.guard import need
from hitoku.console.pages.ask import explained_page
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import templates as work
from hitoku.errors import HitokuError, InputError, Refusal, RoomError
from hitoku.room.templates import ParameterType

__all__ = ["router"]

router = APIRouter()

Asker = Annotated[User, Depends(need(May.ASK))]
Anybody = Annotated[User, Depends(need())]
Editor = Annotated[User, Depends(need(May.SIGN, May.TABLES))]
Short = Annotated[str, Form(max_length=200)]
Text = Annotated[str, Form(max_length=2 * limits.MAX_SQL_CHARS)]


@router.get("/rooms/{room_id}/templates")
def templates(request: Request, room_id: str, user: Anybody) -> Response:
    """All of them, with their approvals and a form to ask with each."""
    return _page(request, user, context_of(request).room(user, room_id))


@router.post("/rooms/{room_id}/templates", dependencies=PEERS)
def propose(
    request: Request, room_id: str, user: Editor, name: Short = "", sql: Text = "", parameters: Text = ""
) -> Response:
    """Propose one."""
    context = context_of(request)
    entry = context.room(user, room_id)
    text = sql.replace("\r\n", "\n")
    try:
        work.propose_template(context, user, room_id, name, text, parameters)
    except (InputError, RoomError, Refusal) as error:
        given = {"name": name, "sql": text, "parameters": parameters}
        return _page(request, user, entry, given=given, error=error)
    return RedirectResponse(f"/rooms/{entry.id}/draft", 303)


@router.post("/rooms/{room_id}/templates/{name}/approve", dependencies=PEERS)
def approve(request: Request, room_id: str, name: str, user: Editor, table: Short = "") -> Response:
    """Propose that the rule of an own table allows it."""
    work.approve(context_of(request), user, room_id, name, table)
    return RedirectResponse(f"/rooms/{room_id}/draft", 303)


@router.post("/rooms/{room_id}/templates/{name}/ask")
async def ask(request: Request, room_id: str, name: str, user: Asker) -> Response:
    """Fill it in, and say what would happen to that question."""
    from starlette.concurrency import run_in_threadpool

    form = await request.form()
    values = {
        key.removeprefix("p-"): value
        for key, value in form.items()
        if key.startswith("p-") and isinstance(value, str)
    }
    return await run_in_threadpool(_asked, request, user, room_id, name, values)


def _asked(request: Request, user: User, room_id: str, name: str, values: dict[str, str]) -> Response:
    entry = context_of(request).room(user, room_id)
    line = work.find(entry, name)
    try:
        sql = work.execution(line.template, values)
    except InputError as error:
        return _page(request, user, entry, filled={name: values}, error=error, at=name)
    return explained_page(request, user, entry, sql)


def _page(
    request: Request,
    user: User,
    entry: RoomEntry,
    *,
    given: dict[str, str] | None = None,
    filled: dict[str, dict[str, str]] | None = None,
    error: HitokuError | None = None,
    at: str | None = None,
) -> Response:
    status = 200 if error is None else 400 if isinstance(error, InputError) else 409
    shown: dict[str, Any] = given or {"name": "", "sql": "", "parameters": ""}
    return render(
        request,
        "templates/templates.html",
        user,
        status=status,
        room=entry,
        lines=work.lines(entry),
        given=shown,
        filled=filled or {},
        error=error,
        refusal=error if isinstance(error, Refusal) else None,
        at=at,
        kinds=", ".join(kind.value for kind in ParameterType),
        max_sql=limits.MAX_SQL_CHARS,
    )
