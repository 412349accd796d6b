# SPDX-License-Identifier: Apache-2.0
"""The audit page: what people did in this console, filtered, and as CSV."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from hitoku import limits
from hitoku.console import store
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import audit as work
from hitoku.errors import InputError

__all__ = ["router"]

router = APIRouter()

Auditor = Annotated[User, Depends(need(May.AUDIT))]
Short = Annotated[str, Query(max_length=limits.MAX_CONSOLE_SEARCH_CHARS)]
_STATES = ("queued", "running", "done", "refused", "failed", "cancelled", "interrupted")


@router.get("/audit")
def audit(
    request: Request,
    user: Auditor,
    source: Short = "events",
    who: Short = "",
    what: Short = "",
    room: Short = "",
    since: Short = "",
    until: Short = "",
    after: Short = "",
) -> Response:
    """Events or questions, newest first."""
    context = context_of(request)
    wanted = _wanted(source, who, what, room, since, until)
    given = {"source": source, "who": who, "what": what, "room": room, "since": since, "until": until}
    return render(
        request,
        "audit/audit.html",
        user,
        page=work.acts(context, user, wanted, after),
        wanted=wanted,
        given={name: value for name, value in given.items() if value},
        kinds=_STATES if wanted.source == "asks" else work.kinds(context),
        people=work.people(context),
        rooms={entry.id: entry.name for entry in context.rooms(user)},
        after=after,
    )


@router.get("/audit.csv")
def audit_csv(
    request: Request,
    user: Auditor,
    source: Short = "events",
    who: Short = "",
    what: Short = "",
    room: Short = "",
    since: Short = "",
    until: Short = "",
) -> Response:
    """The same as a file."""
    wanted = _wanted(source, who, what, room, since, until)
    store.note(context_of(request), user, "audit exported", source=wanted.source)
    return StreamingResponse(
        work.csv_pieces(context_of(request), user, wanted),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="hitoku-{wanted.source}.csv"',
            "Cache-Control": "no-store",
        },
    )


def _wanted(source: str, who: str, what: str, room: str, since: str, until: str) -> work.Wanted:
    if source == "events":
        return work.Wanted("events", who, what, room, since, until)
    if source == "asks":
        return work.Wanted("asks", who, what, room, since, until)
    raise InputError("there is no such record: events or asks")
