# SPDX-License-Identifier: Apache-2.0
"""What the API answers with, where several parts of it share it; and the one form of its errors."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ERRORS",
    "EXAMPLE_ROOM",
    "EXAMPLE_SQL",
    "SIGNED_IN",
    "ErrorBody",
    "Problem",
    "RoomId",
    "Shape",
    "errors",
]

EXAMPLE_ROOM = "0d2c8f5e-6f0e-4f0e-9d0a-3a1f6b0c2e11"
EXAMPLE_SQL = "SELECT carrier, COUNT(DISTINCT tailnum) AS planes FROM flights GROUP BY carrier"

RoomId = Annotated[str, Path(description="The room's id, a UUID.", max_length=64, examples=[EXAMPLE_ROOM])]

SIGNED_IN = [
    Security(
        HTTPBearer(
            scheme_name="token",
            description="A user's token, made by `hitoku user token` or on the account page.",
            auto_error=False,  # who is signed in is decided once, for pages and API alike
        )
    )
]
"""What a router depends on, so that the description says that a token is needed; `need` checks it."""


class Shape(BaseModel):
    """A part of an answer of the API."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(BaseModel):
    """Why something is not done. Never a value of a table."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "error": "Refusal",
                    "code": "AGGREGATE",
                    "message": "airport does not allow SUM of flights.arr_delay.",
                    "clause": "SELECT",
                    "span": [20, 29],
                    "rule": "tables.flights.rule.aggregateColumns",
                    "owner": "airport",
                    "remedy": "Use a function and column that airport lists in aggregateColumns, or ask "
                    "airport to list this one.",
                    "params": {
                        "function": "SUM",
                        "table": "flights",
                        "column": "arr_delay",
                        "owner": "airport",
                    },
                    "change": {
                        "action": "add",
                        "rule": "tables.flights.rule.aggregateColumns",
                        "value": {"columnNames": ["arr_delay"], "function": "SUM"},
                    },
                }
            ]
        },
    )

    error: str = Field(description="The kind: `Refusal`, `InputError`, `LimitError`, `PeerError`, ...")
    code: str = Field(description="Stable, in upper case. What a program decides by.")
    message: str = Field(description="One sentence for people.")
    clause: str | None = Field(None, description="Of a refusal: the SQL clause that it is about.")
    span: list[int] | None = Field(
        None, description="Of a refusal: where that is in the SQL, in characters: start and exclusive end."
    )
    rule: str | None = Field(None, description="Of a refusal: the path of the rule in the room.")
    owner: str | None = Field(None, description="Of a refusal: the member whose rule it is.")
    remedy: str | None = Field(None, description="What to change, or whom to ask.")
    params: dict[str, str] | None = Field(None, description="The names that fill the sentences of `code`.")
    change: dict[str, Any] | None = Field(None, description="The remedy as an edit, for programs.")


class ErrorBody(BaseModel):
    """The body of every response that is no success."""

    error: Problem


_WORDS = {
    400: "The request cannot be used.",
    401: "There is no token, or the node does not know it.",
    403: "The user may not do this.",
    404: "There is no such thing for this user: it does not exist, or is not this user's to see.",
    409: "It does not go with how things stand, e.g. the room is not in force.",
    413: "The body is too large.",
    422: "The rules do not allow it, or a field of the request is not valid.",
    429: "A limit is reached. `Retry-After` says in how many seconds to try again.",
    500: "An error in hitoku itself; its words stay in the node's log.",
    502: "Another member refused, failed or did not answer.",
}
_RETRY = {
    "Retry-After": {"description": "Seconds until it is worth trying again.", "schema": {"type": "integer"}}
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route."""
    return {
        status: {
            "model": ErrorBody,
            "description": _WORDS[status],
            **({"headers": _RETRY} if status == 429 else {}),
        }
        for status in statuses
    }


ERRORS = errors(400, 401, 403, 413, 422, 429, 500)
"""What any route may answer."""
