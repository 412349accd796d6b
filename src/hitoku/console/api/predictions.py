# SPDX-License-Identifier: Apache-2.0
"""API: have rows scored by a model that another member's node serves, without showing them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from hitoku import limits
from hitoku.console.api.busy import busy
from hitoku.console.api.shapes import ERRORS, SIGNED_IN, RoomId, Shape, errors
from hitoku.console.context import NotFound
from hitoku.console.guard import need
from hitoku.console.render import context_of
from hitoku.console.users import May, User
from hitoku.errors import InputError, RoomError

__all__ = ["router"]

router = APIRouter(tags=["models"], dependencies=SIGNED_IN, responses={**ERRORS, **errors(404, 409, 502)})


class Rows(BaseModel):
    """Rows to be scored."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rows": [[0.1, 2.0, 3.5]]}]})

    rows: list[Any] = Field(
        min_length=1,
        max_length=limits.MAX_PREDICTION_ROWS,
        description="Rows of numbers, each in the shape of the model's input.",
    )


class Scores(Shape):
    """Scores of rows."""

    model: str = Field(examples=["churn"])
    owner: str = Field(examples=["bank"])
    runs: list[str] = Field(description="One id for each request, as both ledgers name it.")
    scores: list[list[float]] = Field(description="By row: in the model's own unit.", examples=[[[0.3]]])
    outputs: list[list[float]] = Field(
        description="By row: after the model's last steps.", examples=[[[0.57]]]
    )
    names: list[str] = Field(description="Of the scores; may be empty.")
    rounding: str = Field(description="The width of the noise on each score, at least.", examples=["0.01"])
    rows: int = Field(examples=[1])
    rows_charged: int = Field(description="How many rows were charged.", examples=[128])
    learned: list[dict[str, str]] = Field(description="Who learned what: `member`, `words`.")


@router.post("/rooms/{room}/models/{model}/predictions", summary="Have rows scored")
def predict(
    request: Request,
    room: RoomId,
    model: Annotated[
        str, Path(max_length=limits.MAX_NAME_CHARS, description="The model's name.", examples=["churn"])
    ],
    body: Rows,
    user: Annotated[User, Depends(need(May.ASK))],
) -> Scores:
    """The rows are encrypted on this node, and only so leave it. Answers when all are scored."""
    from hitoku.node.remote import open_remote_room

    context = context_of(request)
    entry = context.room(user, room)
    if entry.in_force is None:
        raise RoomError(f"room {entry.name!r} is not in force: its members must sign it first")
    if model not in {m.name for m in entry.agreement.models}:
        raise NotFound("the room has no such model")
    with busy(context, user):
        handle = open_remote_room(context.node.directory.path, entry.id, clock=context.clock)
        return Scores(**handle.predict(model, _numbers(body.rows)).to_dict())


def _numbers(rows: list[Any]) -> Any:
    try:
        import numpy as np
    except ImportError:
        raise InputError('models need the extra `inference`: pip install "hitoku[inference]"') from None
    try:
        found = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError("rows are numbers, and all of one shape") from None
    if not np.isfinite(found).all():
        raise InputError("rows are finite numbers")
    return found
