# SPDX-License-Identifier: Apache-2.0
"""API: who asks, rooms, their tables, templates, models and budgets."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from hitoku.console.api.shapes import ERRORS, EXAMPLE_ROOM, SIGNED_IN, RoomId, Shape, errors
from hitoku.console.context import RoomEntry
from hitoku.console.guard import need
from hitoku.console.render import context_of
from hitoku.console.users import User
from hitoku.errors import Refusal
from hitoku.room.canonical import agreement_hash

__all__ = ["router"]

router = APIRouter(tags=["rooms"], dependencies=SIGNED_IN, responses=ERRORS)

Anybody = Annotated[User, Depends(need())]


class Health(Shape):
    """The API answers."""

    status: str = Field(description="`ok`.", examples=["ok"])
    hitoku: str = Field(description="The version of hitoku.", examples=["0.1.0"])


class Me(Shape):
    """Who the token belongs to."""

    user: str = Field(description="The user's name.", examples=["aiko"])
    member: str = Field(description="The member whose node this is.", examples=["airport"])
    abilities: list[str] = Field(description="What the user may do.", examples=[["ask"]])
    rooms: list[str] | None = Field(
        description="The ids of the rooms that the user may see; null: all.", examples=[None]
    )


class RoomLine(Shape):
    """A room, in short."""

    id: str = Field(description="A UUID.", examples=[EXAMPLE_ROOM])
    name: str = Field(examples=["Flights and planes"])
    version: int = Field(description="The version in force; of the draft where none is.", examples=[1])
    state: str = Field(
        description="`in force`, or `draft` where members must still sign.", examples=["in force"]
    )
    hash: str = Field(description="The agreement's hash.", examples=["sha256:" + "0" * 64])
    missing: list[str] = Field(
        description="The members who must still sign the newest version.", examples=[[]]
    )


class RoomList(Shape):
    """The rooms that the user may see."""

    rooms: list[RoomLine]


class MemberLine(Shape):
    """A member of a room."""

    name: str = Field(examples=["airport"])
    abilities: list[str] = Field(examples=[["query", "receive"]])
    key: str = Field(description="The Ed25519 public key.", examples=["ed25519:" + "A" * 43 + "="])
    signed: bool = Field(description="Whether it need not sign the newest version any more.", examples=[True])


class RoomFacts(RoomLine):
    """A room: its agreement and how that stands."""

    members: list[MemberLine]
    agreement: dict[str, Any] = Field(
        description="The agreement in force, as in a room file (docs/schemas/room-1.schema.json)."
    )


class TableList(Shape):
    """The tables of a room."""

    tables: list[dict[str, Any]] = Field(
        description="`name`, `owner`, `columns`, `rule`, `access_budgets`, as in a room file.",
        examples=[[{"name": "flights", "owner": "airport", "columns": [], "rule": None}]],
    )


class TemplateLine(Shape):
    """A question with parameters."""

    name: str = Field(examples=["planes_of"])
    sql: str = Field(examples=["SELECT COUNT(DISTINCT tailnum) AS n FROM flights WHERE carrier = :carrier"])
    parameters: list[dict[str, Any]] = Field(examples=[[{"name": "carrier", "type": "string"}]])
    hash: str | None = Field(description="What rules approve it by; null: its SQL is no question.")
    approved_by: list[str] = Field(description="The tables whose rules approve it.", examples=[["flights"]])


class TemplateList(Shape):
    """The templates of a room."""

    templates: list[TemplateLine]


class ModelList(Shape):
    """The models that members serve."""

    models: list[dict[str, Any]] = Field(
        description="`name`, `owner`, `client`, `askers`, `rows_per_day`, `rounding`, as in a room file.",
        examples=[[]],
    )


class Budgets(Shape):
    """How this member's own accounts stand."""

    accounts: list[dict[str, Any]] = Field(
        description="`owner`, `unit`, `period`, `epsilon`, `delta`, `charges`, `spent`, `left`."
    )
    windows: list[dict[str, Any]] = Field(
        description="Access budgets: `owner`, `table`, `window`, `budget`, `left`, `since`."
    )


@router.get("/health", summary="Whether the API answers")
def health(_user: Anybody) -> Health:
    """Needs a token; a supervisor asks the node's own health listener instead."""
    from hitoku import __version__

    return Health(status="ok", hitoku=__version__)


@router.get("/me", summary="Who the token belongs to")
def me(request: Request, user: Anybody) -> Me:
    """The user of the token, and what it may do."""
    rooms = None if user.rooms is None else sorted(user.rooms)
    return Me(user=user.name, member=context_of(request).me, abilities=sorted(user.abilities), rooms=rooms)


@router.get("/rooms", summary="The rooms that the user may see")
def rooms(request: Request, user: Anybody) -> RoomList:
    """In the order of node.toml."""
    return RoomList(rooms=[RoomLine(**_line(entry)) for entry in context_of(request).rooms(user)])


@router.get("/rooms/{room}", summary="A room", responses=errors(404))
def room(request: Request, room: RoomId, user: Anybody) -> RoomFacts:
    """Its agreement, members, and who must still sign."""
    entry = context_of(request).room(user, room)
    agreement = entry.agreement
    members = [
        MemberLine(
            name=m.name,
            abilities=[str(a) for a in m.abilities],
            key=m.key,
            signed=m.name not in entry.missing,
        )
        for m in agreement.members
    ]
    return RoomFacts(**_line(entry), members=members, agreement=_json(agreement))


@router.get("/rooms/{room}/tables", summary="The room's tables and their rules", responses=errors(404))
def tables(request: Request, room: RoomId, user: Anybody) -> TableList:
    """What was agreed of every table; no data is read."""
    return TableList(tables=[_json(t) for t in context_of(request).room(user, room).agreement.tables])


@router.get("/rooms/{room}/templates", summary="The room's templates", responses=errors(404))
def templates(request: Request, room: RoomId, user: Anybody) -> TemplateList:
    """Questions with parameters, asked as ``EXECUTE name(parameter := value)``."""
    from hitoku.questions.templates import template_hash
    from hitoku.room.rules import CustomRule

    agreement = context_of(request).room(user, room).agreement
    found = []
    for template in agreement.templates:
        try:
            name: str | None = template_hash(template)
        except Refusal:
            name = None
        approving = [
            t.name
            for t in agreement.tables
            if isinstance(t.rule, CustomRule) and name in t.rule.allowed_analyses
        ]
        parameters = [_json(p) for p in template.parameters]
        found.append(
            TemplateLine(
                name=template.name, sql=template.sql, parameters=parameters, hash=name, approved_by=approving
            )
        )
    return TemplateList(templates=found)


@router.get("/rooms/{room}/models", summary="The models that members serve", responses=errors(404))
def models(request: Request, room: RoomId, user: Anybody) -> ModelList:
    """Encrypted rows in, encrypted scores out; see `predictions`."""
    return ModelList(models=[_json(m) for m in context_of(request).room(user, room).agreement.models])


@router.get("/rooms/{room}/budgets", summary="This member's own accounts", responses=errors(404))
def budgets(request: Request, room: RoomId, user: Anybody) -> Budgets:
    """What questions cost so far. What one question would cost, `preview` says."""
    from hitoku.console.work.ledger import records_of

    context = context_of(request)
    entry = context.room(user, room)
    records, agreement = records_of(context, entry), entry.agreement
    return Budgets(
        accounts=[account.to_dict() for account in records.accounts(agreement)],
        windows=[{"owner": context.me, **window.to_dict()} for window in records.windows(agreement)],
    )


def _line(entry: RoomEntry) -> dict[str, Any]:
    agreement = entry.agreement
    return {
        "id": entry.id,
        "name": agreement.name,
        "version": agreement.version,
        "state": "draft" if entry.in_force is None else "in force",
        "hash": agreement_hash(agreement),
        "missing": list(entry.missing),
    }


def _json(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = part.model_dump(mode="json", exclude_none=True)
    return found
