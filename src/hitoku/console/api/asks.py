# SPDX-License-Identifier: Apache-2.0
"""API: questions that run. Asking returns at once; then one looks, or is told, and takes the answer."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import Field

from hitoku import limits
from hitoku.console.api.questions import Question
from hitoku.console.api.shapes import (
    ERRORS,
    EXAMPLE_ROOM,
    EXAMPLE_SQL,
    SIGNED_IN,
    Problem,
    RoomId,
    Shape,
    errors,
)
from hitoku.console.guard import need
from hitoku.console.render import context_of
from hitoku.console.users import May, User
from hitoku.console.work.asks import Seen, asks_of
from hitoku.console.work.asks_store import Ask
from hitoku.errors import InputError

__all__ = ["AskId", "Asked", "router", "shown"]

router = APIRouter(tags=["asks"], dependencies=SIGNED_IN, responses={**ERRORS, **errors(404)})

Asker = Annotated[User, Depends(need(May.ASK))]
Looker = Annotated[User, Depends(need(May.ASK, May.AUDIT))]
_EXAMPLE_ID = "4c6e0f1d9b7a4d0c8a55e2f0b1c3d7e9"
AskId = Annotated[str, Path(description="The ask's id.", pattern=r"^[0-9a-f]{32}$", examples=[_EXAMPLE_ID])]
_ASK_LINK = {
    description: {
        "operationId": operation,
        "parameters": {"room": "$request.path.room", "ask": "$response.body#/id"},
    }
    for description, operation in (("Look", "ask"), ("Cancel", "cancel_ask"), ("Answer", "answer_of_ask"))
}


class PhaseLine(Shape):
    """One phase of a question on its way."""

    name: str = Field(examples=["consent"])
    total: int | None = Field(description="How many steps it has, where that is known.", examples=[2])
    done: int = Field(examples=[1])
    began: str = Field(examples=["2026-11-22T12:00:00.000000Z"])
    ended: str | None = Field(examples=[None])


class Asked(Shape):
    """A question that was asked here, as it stands."""

    id: str = Field(examples=[_EXAMPLE_ID])
    room: str = Field(examples=[EXAMPLE_ROOM])
    user: str = Field(description="The name of the user who asked.", examples=["aiko"])
    sql: str = Field(examples=[EXAMPLE_SQL])
    state: str = Field(
        description="`queued`, `running`, `done`, `refused`, `failed`, `cancelled` or `interrupted`.",
        examples=["running"],
    )
    phases: list[PhaseLine] = Field(description="What happened so far.")
    receivers: list[str] = Field(
        description="Who receives the answer; empty: as the room says.", examples=[[]]
    )
    question: str | None = Field(description="The question's hash, once it was checked.", examples=[None])
    run: str | None = Field(description="The run that made the answer, or was under way.", examples=[None])
    has_answer: bool = Field(description="Whether `answer` has it, for its user.", examples=[False])
    charge: str | None = Field(
        description="Where there is no answer: `none`, `given_up`, `charged` or `open`: what it cost.",
        examples=[None],
    )
    error: Problem | None = Field(description="Why there is no answer.")
    created: str = Field(examples=["2026-11-22T12:00:00.000000Z"])
    updated: str = Field(examples=["2026-11-22T12:00:01.000000Z"])


class AskList(Shape):
    """A page of questions, the newest first."""

    asks: list[Asked]
    more: bool = Field(description="Whether a next page has more.")


@router.get("/rooms/{room}/asks", summary="Questions that were asked")
def asks(
    request: Request,
    room: RoomId,
    user: Looker,
    page: Annotated[int, Query(ge=0, le=10_000, description="From 0.", examples=[0])] = 0,
    everybody: Annotated[bool, Query(description="Of all users, for who may audit.")] = False,
) -> AskList:
    """This user's own, or everybody's."""
    context = context_of(request)
    context.room(user, room)
    found, more = asks_of(context).some(user, room=room, everybody=everybody, page=page)
    return AskList(asks=[_asked(ask) for ask in found], more=more)


@router.post(
    "/rooms/{room}/asks",
    summary="Ask a question",
    status_code=202,
    operation_id="new_ask",
    responses={
        202: {
            "description": "It is written down, and runs as soon as it can.",
            "headers": {"Location": {"description": "Where to look.", "schema": {"type": "string"}}},
            "links": _ASK_LINK,
        },
        **errors(409),
    },
)
def ask(
    request: Request,
    response: Response,
    room: RoomId,
    body: Question,
    user: Asker,
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=r"^[A-Za-z0-9_-]{8,128}$",
            description="Made anew for every question. Sent again with the same one, nothing new is asked.",
            examples=["0f8fad5b-d9cb-469f-a165-70867728950e"],
        ),
    ] = None,
) -> Asked:
    """Returns at once. Whether it is refused is found out when it runs; `explain` tells before."""
    context = context_of(request)
    if body.users_noise is not None and body.epsilon is not None:
        raise InputError("say either users_noise or epsilon: each sets the other")
    identity = None if idempotency_key is None else _identity(user, room, idempotency_key)
    made = asks_of(context).ask(
        user,
        room,
        body.sql,
        receivers=body.receivers or (),
        users_noise=body.users_noise,
        epsilon=body.epsilon,
        identity=identity,
    )
    given = (body.sql, tuple(body.receivers or ()), body.users_noise, body.epsilon)
    if given != (made.sql, made.options.receivers, made.options.users_noise, made.options.epsilon):
        raise InputError("this Idempotency-Key was used for another question")
    response.headers["Location"] = f"/api/v1/rooms/{made.room}/asks/{made.id}"
    return _asked(made)


@router.get("/rooms/{room}/asks/{ask}", summary="How a question stands", operation_id="ask")
def look(request: Request, room: RoomId, ask: AskId, user: Looker) -> Asked:
    """Its state, its phases so far, and why it was refused where it was."""
    return shown(_seen(request, user, room, ask))


@router.post("/rooms/{room}/asks/{ask}/cancel", summary="Give a question up", operation_id="cancel_ask")
def cancel(request: Request, room: RoomId, ask: AskId, user: Asker) -> Asked:
    """What another member has begun is charged. Nothing happens where it has ended."""
    context = context_of(request)
    context.room(user, room)
    asks_of(context).cancel(user, ask, room)
    return shown(_seen(request, user, room, ask))


def shown(seen: Seen) -> Asked:
    """A question, as the API says it."""
    return _asked(seen.ask, seen.rows)


def _seen(request: Request, user: User, room: str, ask: str) -> Seen:
    context = context_of(request)
    context.room(user, room)
    return asks_of(context).find(user, ask, room)


def _asked(ask: Ask, rows: bool = True) -> Asked:
    why = dict(ask.refusal or {})
    sent = why.pop("sent", None)
    charge = why.pop("charge", None)
    return Asked(
        id=ask.id,
        room=ask.room,
        user=ask.options.name,
        sql=ask.sql,
        state=ask.state,
        phases=[
            PhaseLine(name=p.name, total=p.total, done=p.done, began=p.began, ended=p.ended)
            for p in ask.phases
        ],
        receivers=list(sent or ask.options.receivers),
        question=ask.options.question,
        run=ask.run,
        has_answer=ask.has_answer and rows,
        charge=charge,
        error=_problem(why) if ask.state != "done" and why else None,
        created=ask.created,
        updated=ask.updated,
    )


_SAID = {
    "Interrupted": "the node stopped while it asked; its ledger says whether anything was charged",
    "Failure": "an error in hitoku itself; the node's log names its kind",
}
_CODES = {
    "DisclosureError": "DISCLOSURE",
    "InputError": "INPUT",
    "LimitError": "LIMIT",
    "PeerError": "PEER",
    "RoomError": "ROOM",
    "SecretError": "SECRET",
}
"""The codes of errors that have none of their own, as everywhere in the API."""


def _problem(why: dict[str, Any]) -> Problem:
    kind = str(why.get("error", "HitokuError"))
    message = str(why.get("message") or _SAID.get(kind, "the question ended without an answer"))
    code = str(why.get("code") or kind)
    return Problem(**{**why, "error": kind, "code": _CODES.get(code, code), "message": message})


def _identity(user: User, room: str, key: str) -> str:
    """An ask's id, which nobody but this user can hit, and which a repeated key gives again."""
    parts = "\n".join(("hitoku/ask-id/1", user.id, room, key))
    return hashlib.sha256(parts.encode()).hexdigest()[: limits.ASK_ID_CHARS]
