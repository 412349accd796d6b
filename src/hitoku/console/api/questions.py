# SPDX-License-Identifier: Apache-2.0
"""API: what would happen to a question, and what it would cost. Nothing is run, and nothing charged."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from hitoku import limits
from hitoku.console.api.busy import busy
from hitoku.console.api.shapes import ERRORS, EXAMPLE_SQL, SIGNED_IN, RoomId, Shape, errors
from hitoku.console.context import Context, RoomEntry
from hitoku.console.guard import need
from hitoku.console.render import context_of
from hitoku.console.users import May, User
from hitoku.console.work.asks import checked
from hitoku.errors import RoomError

__all__ = ["Question", "Sql", "router"]

router = APIRouter(tags=["questions"], dependencies=SIGNED_IN, responses={**ERRORS, **errors(404, 409, 502)})

Asker = Annotated[User, Depends(need(May.ASK))]
Sql = Annotated[
    str,
    Field(
        min_length=1,
        max_length=limits.MAX_SQL_CHARS,
        description="One SQL statement over the room's tables, or ``EXECUTE template(parameter := value)``.",
        examples=[EXAMPLE_SQL],
    ),
]


class Text(BaseModel):
    """A question's text."""

    model_config = ConfigDict(extra="forbid")

    sql: Sql


class Question(Text):
    """A question, and how it is to be asked."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"sql": EXAMPLE_SQL}]})

    receivers: list[Annotated[str, Field(max_length=limits.MAX_NAME_CHARS)]] | None = Field(
        None,
        max_length=limits.MAX_MEMBERS,
        description="Who receives the answer. Left out: this member, if it may; else all who may.",
        examples=[["airport"]],
    )
    users_noise: int | None = Field(
        None,
        ge=limits.MIN_USERS_NOISE,
        le=limits.MAX_USERS_NOISE,
        description="How many units' contributions the noise hides: more costs less.",
    )
    epsilon: str | None = Field(
        None,
        pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$",
        description="What the question may cost of every account; not together with `users_noise`.",
        examples=["0.5"],
    )


class Explanation(Shape):
    """The verdict on a question."""

    verdict: str = Field(description="`accept` or `refuse`.", examples=["accept"])
    question: dict[str, Any] | None = Field(
        description="Of an accepted one: `hash`, `sql` (normal form), `tables`, `owners`, `outputs`, ..."
    )
    refusal: dict[str, Any] | None = Field(
        description="Of a refused one: why, in English and Japanese (`ja`)."
    )
    protections: list[dict[str, Any]] = Field(
        description="What each protection of the room would do: whether it can, time, bytes, who learns what."
    )


class Preview(Shape):
    """What every owner says of a question that was not asked."""

    question: str = Field(description="The question's hash.", examples=["sha256:" + "0" * 64])
    sql: str = Field(description="Its normal form.", examples=[EXAMPLE_SQL])
    users_noise: int | None = Field(description="What the noise would hide; null: nothing is noised.")
    answered: str | None = Field(
        description="The run whose answer would be given again, at no cost; null: it would be computed."
    )
    accounts: list[dict[str, Any]] = Field(
        description="By owner: `unit`, `period`, `cost`, `spent`, `epsilon`; how many more `questions` fit."
    )
    windows: list[dict[str, Any]] = Field(description="Access budgets: `owner`, `table`, `window`, `left`.")


@router.post("/rooms/{room}/explain", summary="What would happen to a question")
def explain(request: Request, room: RoomId, body: Text, user: Asker) -> Explanation:
    """Whether the rules allow it and why not, what each member would learn, how long it would take.

    A question that is refused is a success here: the refusal is what was asked for.
    """
    from hitoku import questions
    from hitoku.protections import registry

    context = context_of(request)
    entry = _in_force(context, user, room)
    with busy(context, user):
        assert entry.in_force is not None  # noqa: S101 (`_in_force` looked)
        found = questions.explain(checked(body.sql), entry.in_force, context.me, registry.choices)
        return Explanation(**found.to_dict())


@router.post("/rooms/{room}/preview", summary="What a question would cost")
def preview(request: Request, room: RoomId, body: Question, user: Asker) -> Preview:
    """Asks every owner of a table in it how its accounts stand against the question."""
    from hitoku.node.remote import open_remote_room

    context = context_of(request)
    entry = _in_force(context, user, room)
    with busy(context, user):
        handle = open_remote_room(context.node.directory.path, entry.id, clock=context.clock)
        found = handle.preview(
            checked(body.sql),
            receivers=body.receivers or None,
            users_noise=body.users_noise,
            epsilon=body.epsilon,
        )
        return Preview(**found.to_dict())


def _in_force(context: Context, user: User, room: str) -> RoomEntry:
    entry = context.room(user, room)
    if entry.in_force is None:
        raise RoomError(f"room {entry.name!r} is not in force: its members must sign it first")
    return entry
