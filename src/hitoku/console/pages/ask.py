# SPDX-License-Identifier: Apache-2.0
"""Pages of questions: the editor with what would happen, the history, one question with its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from hitoku import limits
from hitoku.console.api.busy import busy
from hitoku.console.context import NotFound, RoomEntry
from hitoku.console.failing import Slow
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import plots
from hitoku.console.work.answers import EXPORTS, shown
from hitoku.console.work.asks import Asks, Seen, asks_of
from hitoku.console.work.asks_words import (
    duration,
    noise_sentences,
    phase_lines,
    size,
    when,
    withheld_sentences,
)
from hitoku.console.work.explaining import Explained, explain, fix_of, options_of, tables_of
from hitoku.errors import InputError, Refusal

__all__ = ["explained_page", "router"]


@asynccontextmanager
async def _while_serving(app: FastAPI) -> AsyncIterator[None]:
    """At the start, settle what the last end cut off; at the end, note what is cut off now."""
    asks = await run_in_threadpool(asks_of, app.state.context)
    try:
        yield
    finally:
        await run_in_threadpool(asks.close)


router = APIRouter(lifespan=_while_serving)

Asker = Annotated[User, Depends(need(May.ASK))]
Looker = Annotated[User, Depends(need(May.ASK, May.AUDIT))]
Text = Annotated[str, Form(max_length=2 * limits.MAX_SQL_CHARS)]
Named = Annotated[str | None, Query(max_length=limits.MAX_HEADER_CHARS)]
Short = Annotated[str, Form(max_length=64)]
_HELP = {"duration": duration, "size": size, "when": when}


@router.get("/rooms/{room_id}/ask")
def editor(
    request: Request,
    room_id: str,
    user: Looker,
    again: Annotated[str, Query(max_length=32)] = "",
    words: Annotated[str, Query(max_length=limits.MAX_CONSOLE_SEARCH_CHARS)] = "",
    page: Annotated[int, Query(ge=0, le=10_000)] = 0,
    everybody: bool = False,
) -> Response:
    """The editor, empty or with the text of an earlier question, and the history below it."""
    context = context_of(request)
    entry = context.room(user, room_id)
    sql, given = "", _fields((), "usual", "", "")
    if again:
        seen = asks_of(context).find(user, again, entry.id)
        sql, options = seen.ask.sql, seen.ask.options
        noise = "users_noise" if options.users_noise else "epsilon" if options.epsilon else "usual"
        given = _fields(options.receivers, noise, str(options.users_noise or ""), options.epsilon or "")
    return _editor(request, user, entry, sql, given, None, words=words, page=page, everybody=everybody)


@router.post("/rooms/{room_id}/ask")
def check(
    request: Request,
    room_id: str,
    user: Asker,
    sql: Text = "",
    do: Short = "check",
    receivers: Annotated[list[str] | None, Form(max_length=64)] = None,
    noise: Short = "usual",
    users_noise: Short = "",
    epsilon: Short = "",
) -> Response:
    """Say what would happen to a question; with ``do=run``, ask it."""
    context = context_of(request)
    entry = context.room(user, room_id)
    # Browsers send line ends as CR LF; places in the text are told in LF, as the editor counts.
    text = sql.replace("\r\n", "\n")
    given = _fields(tuple(receivers or ()), noise, users_noise, epsilon)
    if do == "run":
        try:
            options = options_of(receivers or (), noise, users_noise, epsilon)
            ask = asks_of(context).ask(user, entry.id, text, **options)
        except InputError as error:
            return _checked(request, user, entry, text, given, None, problem=str(error), status=400)
        return RedirectResponse(f"/rooms/{entry.id}/asks/{ask.id}", 303)
    return explained_page(request, user, entry, text, given)


def explained_page(
    request: Request, user: User, entry: RoomEntry, text: str, given: dict[str, Any] | None = None
) -> Response:
    """The editor with a question and what would happen to it; or that alone, where htmx asks.

    Args:
        request: the request.
        user: who looks.
        entry: the room.
        text: the question.
        given: how it is to be asked, as the form's fields; as usual where None.
    """
    given = given or _fields((), "usual", "", "")
    try:
        options = options_of(**given)
        with busy(context_of(request), user):  # owners are asked: one that is slow must not fill all threads
            found = explain(context_of(request), entry, text, **options)
    except Slow as slow:
        return _checked(request, user, entry, text, given, None, problem=str(slow), status=429)
    except InputError as error:
        return _checked(request, user, entry, text, given, None, problem=str(error), status=400)
    except Refusal as refusal:
        found = Explained(text, {"verdict": "refuse", "refusal": refusal.to_dict(), "protections": []})
    return _checked(request, user, entry, text, given, found)


def _checked(
    request: Request,
    user: User,
    entry: RoomEntry,
    sql: str,
    given: dict[str, Any],
    found: Explained | None,
    *,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    if request.headers.get("hx-request") == "true":
        usually = asks_of(context_of(request)).store.typical(entry.id)
        data = _verdict(entry, sql, given, found, problem, usually)
        return render(request, "ask/verdict.html", user, **data)
    return _editor(request, user, entry, sql, given, found, problem=problem, status=status)


def _editor(
    request: Request,
    user: User,
    entry: RoomEntry,
    sql: str,
    given: dict[str, Any],
    found: Explained | None,
    *,
    problem: str | None = None,
    status: int = 200,
    words: str = "",
    page: int = 0,
    everybody: bool = False,
) -> Response:
    from hitoku.room.agreement import Ability

    context = context_of(request)
    agreement = entry.agreement
    me = agreement.member(context.me)
    asks = asks_of(context)
    history, more = asks.some(user, room=entry.id, words=words, everybody=everybody, page=page)
    able = [m.name for m in agreement.members if Ability.RECEIVE in m.abilities]
    return render(
        request,
        "ask/editor.html",
        user,
        status=status,
        tables=tables_of(entry),
        able=able,
        usual=context.me if context.me in able else ", ".join(able),
        queries=me is not None and Ability.QUERY in me.abilities,
        history=history,
        more=more,
        words=words,
        page=page,
        everybody=everybody,
        max_sql=limits.MAX_SQL_CHARS,
        **_verdict(entry, sql, given, found, problem, asks.store.typical(entry.id)),
    )


def _verdict(
    entry: RoomEntry,
    sql: str,
    given: dict[str, Any],
    found: Explained | None,
    problem: str | None,
    usually: float | None,
) -> dict[str, Any]:
    return {
        "room": entry,
        "sql": sql,
        "given": given,
        "found": found,
        "problem": problem,
        "usually": None if found is None or not found.accepted else usually,
        "marked": None if found is None or found.accepted else marked(sql, found.data["refusal"]),
        **_HELP,
    }


def marked(sql: str, refusal: dict[str, Any] | None) -> tuple[str, str, str] | None:
    """The question's text before, in and after the place that a refusal names; None where it names none."""
    span = None if refusal is None else refusal.get("span")
    if not span or not 0 <= span[0] < span[1] <= len(sql):
        return None
    return sql[: span[0]], sql[span[0] : span[1]], sql[span[1] :]


def _fields(receivers: tuple[str, ...], noise: str, users_noise: str, epsilon: str) -> dict[str, Any]:
    return {"receivers": receivers, "noise": noise, "users_noise": users_noise, "epsilon": epsilon}


@router.get("/rooms/{room_id}/asks/{ask_id}")
def one(request: Request, room_id: str, ask_id: str, user: Looker, column: Named = None) -> Response:
    """One question: how far it is, or what came of it; `column` is what its plot shows."""
    context = context_of(request)
    entry = context.room(user, room_id)
    asks = asks_of(context)
    seen = asks.find(user, ask_id, entry.id)
    data = _one(request, user, entry, asks, seen, column)
    return render(request, "ask/ask.html", user, **data)


def _one(
    request: Request, user: User, entry: RoomEntry, asks: Asks, seen: Seen, column: str | None
) -> dict[str, Any]:
    context = context_of(request)
    ask, answer, spec = seen.ask, None, None
    if seen.rows and ask.has_answer:
        answer = asks.answer(user, ask.id, entry.id)
        spec = plots.plot(answer, column)
    refusal = ask.refusal if ask.state == "refused" else None
    return {
        "room": entry,
        "ask": ask,
        "mine": seen.mine,
        "rows_seen": seen.rows,
        "phases": phase_lines(ask, context.clock.now(), user.language),
        "refusal": refusal,
        "fix": None if refusal is None else fix_of(refusal, ask.sql),
        "marked": marked(ask.sql, refusal),
        "answer": answer,
        "shown": None if answer is None else shown(answer),
        "withheld": [] if answer is None else withheld_sentences(answer.withheld, user.language),
        "noise": [] if answer is None else noise_sentences(answer, user.language),
        "stamp": None if answer is None else _stamp(answer),
        "plot": None if spec is None else plots.summary(spec),
        "drawn": None if spec is None else plots.drawn(spec),
        "plot_column": column,
        "figures": [] if answer is None else plots.figures(answer),
        "can_draw": plots.can_draw(),
        **_HELP,
    }


def _stamp(answer: Any) -> str | None:
    from hitoku.disclosure.render import stamp_words

    found: str | None = stamp_words(answer)
    return found


@router.get("/rooms/{room_id}/asks/{ask_id}/plot.json")
def plot_data(request: Request, room_id: str, ask_id: str, user: Looker, column: Named = None) -> Response:
    """The plot's Vega-Lite specification with its data, to take along."""
    context = context_of(request)
    entry = context.room(user, room_id)
    spec = plots.plot(asks_of(context).answer(user, ask_id, entry.id), column)
    if spec is None:
        raise NotFound("the answer has no number to plot")
    return JSONResponse(
        spec, headers={"Content-Disposition": f'attachment; filename="plot-{ask_id[:12]}.json"'}
    )


@router.get("/rooms/{room_id}/asks/{ask_id}/export.{kind}")
def export(request: Request, room_id: str, ask_id: str, kind: str, user: Looker) -> Response:
    """The whole answer as a file."""
    context = context_of(request)
    entry = context.room(user, room_id)
    answer = asks_of(context).answer(user, ask_id, entry.id)
    if kind not in EXPORTS:
        raise NotFound("there is no such export")
    media, make = EXPORTS[kind]
    name = f"answer-{answer.run[:12]}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    context.log("console export", ask=ask_id, user=user.id, kind=kind)
    return Response(make(answer), media_type=media, headers=headers)


@router.post("/rooms/{room_id}/asks/{ask_id}/cancel")
def cancel(request: Request, room_id: str, ask_id: str, user: Asker) -> Response:
    """Give a question up."""
    context = context_of(request)
    entry = context.room(user, room_id)
    asks_of(context).cancel(user, ask_id, entry.id)
    return RedirectResponse(f"/rooms/{entry.id}/asks/{ask_id}", 303)
