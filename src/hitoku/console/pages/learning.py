# SPDX-License-Identifier: Apache-2.0
"""Pages of learning runs: the list, a run with its plan, curves and events, its audit, its transcript."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from hitoku.console import store
from hitoku.console.context import NotFound
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import background, charts
from hitoku.console.work import learning as work

__all__ = ["router"]

router = APIRouter()

Anybody = Annotated[User, Depends(need())]
Auditor = Annotated[User, Depends(need(May.AUDIT))]
_AREA = "learning"


@router.get("/learning")
def runs(request: Request, user: Anybody) -> Response:
    """All runs in the folders that node.toml names."""
    context = context_of(request)
    return render(
        request,
        "learning/runs.html",
        user,
        runs=work.runs(context, user),
        names={entry.id: entry.name for entry in context.rooms(user)},
        folders=[str(path) for path in work.allowed(context)] if user.may(May.ADMINISTER) else [],
    )


@router.get("/learning/{key}")
def run(request: Request, key: str, user: Anybody) -> Response:
    """One run."""
    context = context_of(request)
    found = work.run_of(context, user, key)
    tasks = background.tasks_of(context, _AREA, key)
    evaluation = found.evaluation
    groups = {} if evaluation is None else dict(evaluation.own)
    if evaluation is not None and evaluation.everywhere:
        groups["all"] = evaluation.everywhere
    page = render(
        request,
        "learning/run.html",
        user,
        run=found,
        plan=found.line.folder.signed.plan,
        audit=tasks[0] if tasks else None,
        curves=charts.lines(evaluation.curves) if evaluation is not None and evaluation.curves else None,
        bars=charts.bars(groups, evaluation.forms) if evaluation is not None and groups else None,
        groups=groups,
        own=charts.by_step(_by_step(found)) if found.own else None,
    )
    if tasks and tasks[0].state == "running":
        page.headers["Refresh"] = "1"
    return page


def _by_step(found: work.Run) -> dict[str, list[tuple[int, float]]]:
    blind = [(one.step, one.blind) for one in found.own if one.blind is not None]
    return {"own": [(one.step, one.loss) for one in found.own]} | ({"blind": blind} if blind else {})


@router.post("/learning/{key}/audit")
def audit(request: Request, key: str, user: Auditor) -> Response:
    """Check what the server of the run saw."""
    context = context_of(request)
    line = work.find(context, user, key)
    if not any(task.state == "running" for task in background.tasks_of(context, _AREA, key)):
        background.start(context, user, _AREA, key, lambda _task: work.audit_run(line))
    return RedirectResponse(f"/learning/{key}#audit", 303)


@router.get("/learning/{key}/transcript.jsonl")
def transcript(request: Request, key: str, user: Auditor) -> Response:
    """The transcript, as it is."""
    folder = work.find(context_of(request), user, key).folder
    path = folder.transcript
    if path.is_symlink() or not path.is_file():
        raise NotFound("the run has no transcript")
    store.note(
        context_of(request), user, "transcript taken", room=folder.signed.plan.room, learning=folder.run
    )
    return FileResponse(
        path,
        media_type="application/jsonl",
        filename=f"transcript-{key}.jsonl",
        headers={"Cache-Control": "no-store"},
    )
