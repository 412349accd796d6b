# SPDX-License-Identifier: Apache-2.0
"""The first page: what waits for the user, the rooms, and the node's health."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import User
from hitoku.console.work import overview as work

router = APIRouter()


@router.get("/")
def overview(request: Request, user: Annotated[User, Depends(need())]) -> Response:
    """What there is to do, and how everything stands."""
    from hitoku import __version__

    context = context_of(request)
    return render(
        request,
        "overview/overview.html",
        user,
        lines=work.rooms(context, user),
        waiting=work.waiting(context, user),
        health=work.health(context),
        version=__version__,
    )
