# SPDX-License-Identifier: Apache-2.0
"""The page of all that runs or ran at this node."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from hitoku import limits
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work.asks import asks_of
from hitoku.console.work.asks_words import duration, moment_of, phase_lines, when
from hitoku.console.work.jobs import node_jobs
from hitoku.console.work.learning import runs

__all__ = ["router"]

router = APIRouter()


@router.get("/jobs")
def jobs(
    request: Request,
    user: Annotated[User, Depends(need())],
    page: Annotated[int, Query(ge=0, le=10_000)] = 0,
    everybody: bool = False,
) -> Response:
    """Questions of the user, or of all where it may audit, and this node's parts in runs."""
    context = context_of(request)
    asks, more = asks_of(context).some(user, everybody=everybody, page=page)
    now = context.clock.now()
    shown = []
    for ask in asks:
        lines = phase_lines(ask, now, user.language)
        end = moment_of(ask.updated) if ask.ended else now
        shown.append(
            {
                "ask": ask,
                "phase": lines[-1] if lines else None,
                "took": duration((end - moment_of(ask.created)).total_seconds()),
                "mine": ask.user == user.id and user.may(May.ASK),
            }
        )
    return render(
        request,
        "jobs/jobs.html",
        user,
        asks=shown,
        more=more,
        page=page,
        everybody=everybody,
        names={entry.id: entry.name for entry in context.rooms(user)},
        node_jobs=node_jobs(context, user),
        learning=runs(context, user)[: limits.MAX_CONSOLE_JOBS],
        when=when,
    )


@router.post("/jobs/{ask_id}/cancel")
def cancel(request: Request, ask_id: str, user: Annotated[User, Depends(need(May.ASK))]) -> Response:
    """Give a question up, and come back."""
    asks_of(context_of(request)).cancel(user, ask_id)
    return RedirectResponse("/jobs", 303)
