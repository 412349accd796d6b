# SPDX-License-Identifier: Apache-2.0
"""Pages of answers that other members' questions brought to this member."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import received as work

__all__ = ["router"]

router = APIRouter()

Looker = Annotated[User, Depends(need(May.ASK, May.AUDIT))]
Asker = Annotated[User, Depends(need(May.ASK))]


@router.get("/rooms/{room_id}/received")
def answers(request: Request, room_id: str, user: Looker) -> Response:
    """All of a room: who asked what, and when it came."""
    context = context_of(request)
    entry = context.room(user, room_id)
    found = work.received(context, entry)
    return render(request, "ask/received.html", user, room=entry, answers=found)


@router.get("/rooms/{room_id}/received/{run}")
def answer(request: Request, room_id: str, run: str, user: Asker) -> Response:
    """One of them, with its rows."""
    context = context_of(request)
    entry = context.room(user, room_id)
    one = work.find(context, entry, run)
    return render(
        request, "ask/received_one.html", user, room=entry, one=one, data=one.data, shown=work.shown(one)
    )


@router.get("/rooms/{room_id}/received/{run}/export.json")
def export(request: Request, room_id: str, run: str, user: Asker) -> Response:
    """All of it as a file."""
    context = context_of(request)
    one = work.find(context, context.room(user, room_id), run)
    headers = {"Content-Disposition": f'attachment; filename="answer-{one.run[:12]}.json"'}
    context.log("console export", run=one.run, user=user.id, kind="json")
    content = json.dumps(one.data, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    return Response(content, media_type="application/json", headers=headers)
