# SPDX-License-Identifier: Apache-2.0
"""API: the answer of a question, in the form that a program wants."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request, Response

from hitoku.console.api.asks import AskId
from hitoku.console.api.shapes import ERRORS, SIGNED_IN, RoomId, errors
from hitoku.console.guard import need
from hitoku.console.render import context_of
from hitoku.console.users import May, User
from hitoku.console.work.asks import asks_of

__all__ = ["ARROW", "MESSAGE", "router"]

router = APIRouter(tags=["asks"], dependencies=SIGNED_IN, responses={**ERRORS, **errors(404)})

JSON: Final = "application/json"
ARROW: Final = "application/vnd.apache.arrow.stream"
MESSAGE: Final = "application/vnd.hitoku.answer+json"
_EXAMPLE: Final = {
    "columns": [{"name": "carrier", "type": "string"}, {"name": "planes", "type": "int64"}],
    "rows": [["AA", 601], ["UA", 621]],
    "bands": None,
    "withheld": {"some": None, "reason": "...", "thresholds": [], "summary": [], "further": False},
    "leakage": [{"member": "airport", "code": "ANSWER", "words": "the answer", "assumption": None}],
    "protection": "tokens",
}


@router.get(
    "/rooms/{room}/asks/{ask}/answer",
    summary="The answer of a question",
    operation_id="answer_of_ask",
    response_class=Response,
    responses={
        200: {
            "description": "The released rows. As JSON with all that is known of them; as an Arrow IPC "
            "stream the rows alone; as `vnd.hitoku.answer+json` what `hitoku.connect` reads.",
            "content": {
                JSON: {"schema": {"type": "object"}, "example": _EXAMPLE},
                ARROW: {"schema": {"type": "string", "format": "binary"}},
                MESSAGE: {"schema": {"type": "object"}},
            },
        }
    },
)
def answer(
    request: Request,
    room: RoomId,
    ask: AskId,
    user: Annotated[User, Depends(need(May.ASK, May.AUDIT))],
    accept: Annotated[
        str | None, Header(description=f"`{JSON}`, `{ARROW}` or `{MESSAGE}`.", examples=[ARROW])
    ] = None,
) -> Response:
    """There is one once the ask is `done`, for the user who asked, if this member receives it."""
    context = context_of(request)
    context.room(user, room)
    found = asks_of(context).answer(user, ask, room)
    kind = _best(accept or "")
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if kind == ARROW:
        return Response(_stream(found.to_arrow()), media_type=ARROW, headers=headers)
    data: dict[str, Any]
    if kind == MESSAGE:
        deletion = None if found.deletion is None else dict(found.deletion)
        data = {"answer": found.to_message(), "deletion": deletion}
    else:
        data = found.to_dict()
    content = json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    return Response(content, media_type=kind, headers=headers)


def _best(accept: str) -> str:
    """The form that is wanted most; JSON where none of ours is named."""
    wanted: list[tuple[float, str]] = []
    for part in accept.split(",")[:32]:
        kind, _, rest = part.partition(";")
        quality = rest.strip().removeprefix("q=")
        try:
            weight = float(quality) if rest.strip().startswith("q=") else 1.0
        except ValueError:
            weight = 0.0
        if kind.strip().lower() in {JSON, ARROW, MESSAGE} and weight > 0:
            wanted.append((weight, kind.strip().lower()))
    return max(wanted, key=lambda one: one[0], default=(0.0, JSON))[1]


def _stream(table: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
