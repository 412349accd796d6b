# SPDX-License-Identifier: Apache-2.0
"""Pages of models: what is served in a room, how much is asked, and rows to be scored."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, File, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from hitoku import limits
from hitoku.console import store
from hitoku.console.context import NotFound
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import models as work
from hitoku.errors import InputError, LimitError, Refusal

__all__ = ["router"]

router = APIRouter()

Anybody = Annotated[User, Depends(need())]
Asker = Annotated[User, Depends(need(May.ASK))]


@router.get("/rooms/{room_id}/models")
def models(request: Request, room_id: str, user: Anybody) -> Response:
    """The models that members of this room serve."""
    context = context_of(request)
    entry = context.room(user, room_id)
    return render(request, "models/models.html", user, room=entry, models=work.models(context, entry))


@router.get("/rooms/{room_id}/models/{name}")
def model(request: Request, room_id: str, name: str, user: Anybody) -> Response:
    """One model."""
    return _page(request, room_id, name, user)


@router.post("/rooms/{room_id}/models/{name}/scores")
def score(
    request: Request,
    room_id: str,
    name: str,
    user: Asker,
    rows: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Have the rows of a file scored."""
    context = context_of(request)
    entry = context.room(user, room_id)
    try:
        content = b"" if rows is None else rows.file.read(limits.MAX_CONSOLE_SCORE_BYTES + 1)
        numbers, _ = work.rows_of(content)
        task = work.score(context, entry, user, name, numbers)
        store.note(context, user, "rows sent to be scored", room=entry.id, model=name, rows=len(numbers))
    except (InputError, LimitError) as error:
        return _page(request, room_id, name, user, wrong=str(error), status=400)
    except Refusal as refusal:
        return _page(request, room_id, name, user, refusal=refusal, status=422)
    return RedirectResponse(f"/rooms/{entry.id}/models/{name}/scores/{task.id}", 303)


@router.get("/rooms/{room_id}/models/{name}/scores/{identity}")
def scores(request: Request, room_id: str, name: str, identity: str, user: Asker) -> Response:
    """A scoring: what it does now, or its scores."""
    context = context_of(request)
    entry = context.room(user, room_id)
    task = work.task_of(context, entry, user, name, identity)
    found = task.result if task.state == "done" else None
    page = render(
        request,
        "models/scores.html",
        user,
        room=entry,
        model=work.model_of(context, entry, name),
        task=task,
        found=found,
        first=[] if found is None else [[float(v) for v in row] for row in found.scores[:20]],
        refusal=task.error if isinstance(task.error, Refusal) else None,
    )
    if task.state == "running":
        page.headers["Refresh"] = "1"
    return page


@router.get("/rooms/{room_id}/models/{name}/scores/{identity}/scores.csv")
def scores_file(request: Request, room_id: str, name: str, identity: str, user: Asker) -> Response:
    """The scores as a file."""
    context = context_of(request)
    entry = context.room(user, room_id)
    task = work.task_of(context, entry, user, name, identity)
    if task.state != "done":
        raise NotFound("there are no scores")
    headers = {"Content-Disposition": 'attachment; filename="scores.csv"', "Cache-Control": "no-store"}
    return Response(work.scores_csv(task.result), media_type="text/csv; charset=utf-8", headers=headers)


def _page(
    request: Request,
    room_id: str,
    name: str,
    user: User,
    *,
    wrong: str = "",
    refusal: Refusal | None = None,
    status: int = 200,
) -> Response:
    context = context_of(request)
    entry = context.room(user, room_id)
    return render(
        request,
        "models/model.html",
        user,
        status=status,
        room=entry,
        model=work.model_of(context, entry, name),
        tasks=work.tasks_of(context, entry, user, name),
        wrong=wrong,
        refusal=refusal,
    )
