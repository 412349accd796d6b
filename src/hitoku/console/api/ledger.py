# SPDX-License-Identifier: Apache-2.0
"""API: this member's own ledger of a room: its entries, their proofs, and whether it holds."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from hitoku import limits
from hitoku.console.api.busy import busy
from hitoku.console.api.shapes import ERRORS, SIGNED_IN, RoomId, Shape, errors
from hitoku.console.guard import need
from hitoku.console.render import context_of
from hitoku.console.users import May, User
from hitoku.console.work.ledger import ledger_of, proof_of
from hitoku.errors import RoomError
from hitoku.room.heads import signed_ever

__all__ = ["router"]

router = APIRouter(tags=["ledger"], dependencies=SIGNED_IN, responses={**ERRORS, **errors(404)})

Auditor = Annotated[User, Depends(need(May.AUDIT))]
_MOST = 2**53 - 1


class EntryLine(Shape):
    """An entry."""

    seq: int = Field(examples=[0])
    time: str = Field(examples=["2026-11-22T12:00:00.000000Z"])
    kind: str = Field(examples=["question"])
    body: dict[str, Any] = Field(description="What is remembered; by kind (docs/ledger.md).")


class Entries(Shape):
    """A page of the ledger, the oldest first."""

    entries: list[EntryLine]
    size: int = Field(description="How many entries the ledger has.", examples=[12])


class Proof(Shape):
    """Proof that an entry is in the ledger, under a head that this member signed."""

    format: str = Field(examples=["hitoku/ledger-proof/1"])
    entry: dict[str, Any] = Field(description="The entry, whole.")
    index: int = Field(examples=[0])
    head: dict[str, Any] = Field(description="The signed head.")
    proof: list[str] = Field(description="The hashes from the entry up to the root, in hexadecimal.")


class Verified(Shape):
    """Whether the ledger holds."""

    holds: bool
    entries: int = Field(description="How many entries were read and hold.", examples=[12])
    problem: str | None = Field(description="What does not hold.", examples=[None])
    head: dict[str, Any] | None = Field(description="The signed head that they hold under.")


@router.get("/rooms/{room}/ledger", summary="Entries of this member's ledger")
def entries(
    request: Request,
    room: RoomId,
    user: Auditor,
    after: Annotated[
        int,
        Query(
            ge=-1,
            le=_MOST,
            description="Only entries behind this one; -1: from the beginning.",
            examples=[-1],
        ),
    ] = -1,
    limit: Annotated[
        int, Query(ge=1, le=limits.API_LEDGER_ENTRIES, description="So many at most.", examples=[100])
    ] = 100,
) -> Entries:
    """Page by page: the `seq` of the last one is the next `after`."""
    context = context_of(request)
    ledger = ledger_of(context, context.room(user, room))
    head = ledger.head()
    found = [
        EntryLine(seq=entry.seq, time=entry.time, kind=str(entry.kind), body=entry.body)
        for entry in islice(ledger.entries(after + 1), limit)
    ]
    return Entries(entries=found, size=0 if head is None else head.size)


@router.get("/rooms/{room}/ledger/verify", summary="Whether this member's ledger holds")
def verify(request: Request, room: RoomId, user: Auditor) -> Verified:
    """Reads every entry, and checks the tree and the signed head."""
    context = context_of(request)
    entry = context.room(user, room)
    ledger = ledger_of(context, entry)
    with busy(context, user):
        try:
            size = ledger.verify(signed_ever(entry.room))
        except RoomError as error:
            return Verified(holds=False, entries=0, problem=str(error), head=None)
        head = ledger.head()
    return Verified(
        holds=True, entries=size, problem=None, head=None if head is None else _head(head.to_bytes())
    )


@router.get("/rooms/{room}/ledger/{seq}/proof", summary="Proof that an entry is in the ledger")
def proof(
    request: Request,
    room: RoomId,
    seq: Annotated[int, Path(ge=0, le=_MOST, description="The entry's number.", examples=[0])],
    user: Auditor,
) -> Proof:
    """`hitoku ledger prove --check FILE` checks it, on any machine that has the room file."""
    context = context_of(request)
    return Proof(**proof_of(context, context.room(user, room), seq))


def _head(content: bytes) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(content)
    return found
