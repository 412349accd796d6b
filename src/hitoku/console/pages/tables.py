# SPDX-License-Identifier: Apache-2.0
"""Pages of a room's tables: all of them, and of this member's own ones source, profile and check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from hitoku import limits
from hitoku.console.api.busy import PEERS
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.failing import status_of
from hitoku.console.guard import need
from hitoku.console.posted import posted
from hitoku.console.render import context_of, render
from hitoku.console.store import note
from hitoku.console.users import May, User
from hitoku.console.work import tables as work
from hitoku.console.work.checking import checks
from hitoku.console.work.places import places
from hitoku.console.work.proposing import put
from hitoku.console.work.rule_form import Fields, data_of_rule, text_of_data
from hitoku.console.work.uploading import receive
from hitoku.errors import EngineError, HitokuError, InputError, LimitError, RoomError
from hitoku.room.agreement import ColumnProtection, ColumnType, Table
from hitoku.sources.uri import shown

router = APIRouter()

_Anybody = Annotated[User, Depends(need())]
_Owner = Annotated[User, Depends(need(May.TABLES))]
_Posted = Annotated[Fields, Depends(posted)]
_SAID: Final = frozenset({"in_force", "open", "draft", "entered", "left", "kept"})


def _said(request: Request) -> str:
    """What was just done, of the address; only known words are shown."""
    done = request.query_params.get("done", "")
    return done if done in _SAID else ""


@router.get("/rooms/{room}/tables")
def listed(request: Request, room: str, user: _Anybody) -> HTMLResponse:
    """All tables of a room."""
    context = context_of(request)
    entry = context.room(user, room)
    mine = entry.agreement.member(context.me) is not None
    return render(
        request,
        "tables/tables.html",
        user,
        room=entry,
        tables=work.mine(context, entry),
        contributes=mine and user.may(May.TABLES),
        done=_said(request),
    )


@router.get("/rooms/{room}/tables/-/new")
def new(request: Request, room: str, user: _Owner) -> HTMLResponse:
    """Choose a source: a file that is there, one of the browser's, or a database."""
    return _new(request, user, context_of(request).room(user, room))


def _new(request: Request, user: User, room: RoomEntry, error: HitokuError | None = None) -> HTMLResponse:
    """The page on which a source is chosen, with what is wrong with the file that was sent."""
    context = context_of(request)
    settings = context.node.settings()
    return render(
        request,
        "tables/new.html",
        user,
        status=200 if error is None else status_of(error),
        error=error,
        room=room,
        sources=work.sources(context),
        servers=[shown(s) for s in places(context.node.directory.path, settings).servers],
        most=settings.quotas.body_bytes,
        table=request.query_params.get("table", ""),
    )


@router.post("/rooms/{room}/tables/-/upload")
async def upload(request: Request, room: str, user: _Owner) -> Response:
    """Take a file; it is kept whole or not at all."""
    context = context_of(request)
    entry = context.room(user, room)
    most = min(limits.MAX_UPLOAD_BYTES, context.node.settings().quotas.body_bytes)
    kind = request.headers.get("content-type", "")
    try:
        source = await receive(request.stream(), kind, context.node.directory.path, most)
    except (InputError, LimitError, EngineError, RoomError) as error:
        return await run_in_threadpool(_new, request, user, entry, error)
    query = {"source": source, "table": request.query_params.get("table", "")}
    await run_in_threadpool(note, context, user, "table uploaded", room=entry.id, file=source)
    return RedirectResponse(f"/rooms/{entry.id}/tables/-/declare?{urlencode(query)}", 303)


@router.get("/rooms/{room}/tables/-/declare", dependencies=PEERS)
def declare(request: Request, room: str, user: _Owner, source: str = "", table: str = "") -> HTMLResponse:
    """Look into a source and say what the room is to have of it."""
    context = context_of(request)
    entry = context.room(user, room)
    return _Declaring(request, user, entry, table).page(source)


@router.post("/rooms/{room}/tables/-/sample", dependencies=PEERS)
def sample(request: Request, room: str, user: _Owner, form: _Posted) -> HTMLResponse:
    """The same with the first five rows, because the owner asked for them."""
    context = context_of(request)
    entry = context.room(user, room)
    note(context, user, "first rows shown", room=entry.id, table=form.get("table")[:63])
    declaring = _Declaring(request, user, entry, form.get("table"))
    return declaring.page(form.get("source"), form=form.flat(), sample=True)


@router.post("/rooms/{room}/tables", dependencies=PEERS)
def made(request: Request, room: str, user: _Owner, form: _Posted) -> Response:
    """Declare the table in the room, and enter its source."""
    context = context_of(request)
    entry = context.room(user, room)
    declaring = _Declaring(request, user, entry, form.get("table"))
    try:
        done = declaring.made(form)
    except (InputError, RoomError) as error:
        return declaring.page(form.get("source"), form=form.flat(), error=error)
    return _back(entry, form.get("table"), done)


class _Declaring:
    """The page on which a table is declared from a source."""

    def __init__(self, request: Request, user: User, room: RoomEntry, table: str) -> None:
        self.request, self.user, self.room, self.name = request, user, room, table
        self.context: Context = context_of(request)
        known = room.agreement.table(table)
        self.known = known if known is not None and known.owner == self.context.me else None

    def page(
        self,
        source: str,
        *,
        form: Mapping[str, str] | None = None,
        error: HitokuError | None = None,
        sample: bool = False,
    ) -> HTMLResponse:
        """The page, with what was typed already."""
        allowed, found = work.inspect(self.context, self.user, source, profile=True, sample=sample)
        columns = found["columns"]
        if len(columns) > limits.MAX_SHOWN_COLUMNS:
            raise InputError(
                f"the source has {len(columns):,} columns, this form takes {limits.MAX_SHOWN_COLUMNS}: make "
                "a file or view of those that you contribute, or use `hitoku room add-table`"
            )
        stem = found["name"].rpartition(".")[0] or found["name"]
        crosstab = self.room.agreement.crosstab
        person = crosstab if crosstab is not None and crosstab.table(self.name) is not None else None
        return render(
            self.request,
            "tables/declare.html",
            self.user,
            status=200 if error is None else 400,
            room=self.room,
            source=allowed,
            shown=shown(allowed),
            found=found,
            form=form or {},
            error=error,
            known=self.known,
            name=self.name or work.normal_header(stem).replace("__", "_"),
            rows=[_Row(c, n, self.known, self.mapped(), form or {}) for n, c in enumerate(columns)],
            types=[(t.value, t.value) for t in ColumnType],
            cleartext=self.room.agreement.settings.allow_cleartext,
            identifiers=[] if person is None else [i.kind for i in person.identifiers],
        )

    def mapped(self) -> dict[str, str]:
        """Room columns by source column, as node.toml has them now."""
        entry = work.entered(self.context.node.settings(), self.room, self.name) if self.known else None
        return {} if entry is None else {source: name for name, source in entry.columns.items()}

    def made(self, form: Fields) -> str:
        """Do it. Returns what became of it."""
        if self.room.agreement.table(self.name) is not None and self.known is None:
            raise InputError(f"the room has a table {self.name} of another member: choose another name")
        source, found = work.inspect(self.context, self.user, form.get("source"))
        flat = form.flat()
        columns, mapped = [], {}
        for place, said in enumerate(found["columns"][: limits.MAX_SHOWN_COLUMNS]):
            column = work.column_of(flat, place)
            if column is not None:
                columns.append(column.model_dump(mode="json", exclude_none=True))
                mapped[column.name] = said["name"]
        table = work.declared(self.name, self.context.me, columns, self.known)
        done = "entered"
        if table != self.known:
            change = work.changed_tables(self.room.agreement, table)
            done = put(self.context, self.user, self.room, change, f"table {table.name}")
        now = self.context.room(self.user, self.room.id)
        # While an older form of the table is in force, its source must go on fitting that.
        if table in (
            now.agreement.table(table.name),
            None if self.known else now.room.agreement.table(table.name),
        ):
            if work.entered(self.context.node.settings(), now, table.name) is not None:
                work.remove_entry(self.context, now, table.name)
            person = _person(form) if form.get("person") else {}
            work.register(self.context, now, table.name, source, mapped, person)
            note(self.context, self.user, "table source entered", room=now.id, table=table.name)
        return done


class _Row:
    """One column of a source in the form, with what is proposed of it."""

    def __init__(
        self,
        said: Mapping[str, Any],
        place: int,
        known: Table | None,
        mapped: Mapping[str, str],
        form: Mapping[str, str],
    ) -> None:
        self.said, self.place = said, place
        name = mapped.get(said["name"]) or work.normal_header(said["name"])
        column = None if known is None else known.column(name)
        # Sealed unless the owner says otherwise: so nothing is given away that nobody thought of.
        usual = {
            "take": "" if known is not None and column is None else "yes",
            "name": name,
            "type": said["guess"] if column is None else column.type.value,
            "protection": ColumnProtection.SEALED.value if column is None else column.protection.value,
            "nullable": "yes" if (said.get("nulls", 1) if column is None else column.nullable) else "",
            "precision": str((said.get("precision", 18) if column is None else column.precision) or 18),
            "scale": str((said.get("scale", 0) if column is None else column.scale) or 0),
        }
        self.value = {k: form.get(f"{k}-{place}", "" if form else v) for k, v in usual.items()}


def _person(form: Fields) -> dict[str, list[str]]:
    kinds = form.all("person")
    return {kind: names for kind in kinds if (names := form.all(f"person-{kind}"))}


def _back(room: RoomEntry, table: str, done: str) -> RedirectResponse:
    return RedirectResponse(f"/rooms/{room.id}/tables/{quote(table, safe='')}?done={done}", 303)


@router.get("/rooms/{room}/tables/{table}")
def one(request: Request, room: str, table: str, user: _Anybody) -> HTMLResponse:
    """One table: columns and rule; for its owner also where it comes from and how it was checked."""
    context = context_of(request)
    entry = context.room(user, room)
    found = entry.agreement.table(table)
    if found is None:
        pending = entry.room.agreement.table(table)
        if pending is None and _said(request) not in {"open", "draft"}:
            raise NotFound("there is no such table in the room")
    own = found is not None and found.owner == context.me
    settings = work.entered(context.node.settings(), entry, table) if own else None
    return render(
        request,
        "tables/table.html",
        user,
        room=entry,
        name=table,
        table=found,
        rule=None if found is None else text_of_data(data_of_rule(found.rule)),
        mine=own,
        manages=own and user.may(May.TABLES),
        settings=settings,
        source=None if settings is None else shown(settings.source),
        check=checks(context).get(entry.id, table) if own else None,
        done=_said(request),
    )


@router.post("/rooms/{room}/tables/{table}/check")
def check(request: Request, room: str, table: str, user: _Owner) -> Response:
    """Read the whole table and count what the room would make of it."""
    context = context_of(request)
    entry = context.room(user, room)
    work.own_table(context, entry, table)
    checks(context).start(context, entry, table)
    if request.headers.get("hx-request") == "true":
        return checked(request, room, table, user)
    return RedirectResponse(f"/rooms/{entry.id}/tables/{quote(table, safe='')}#check", 303)


@router.get("/rooms/{room}/tables/{table}/check")
def checked(request: Request, room: str, table: str, user: _Owner) -> HTMLResponse:
    """How far the check is, or what it found: a part of the page."""
    context = context_of(request)
    entry = context.room(user, room)
    work.own_table(context, entry, table)
    return render(
        request,
        "tables/check.html",
        user,
        room=entry,
        name=table,
        check=checks(context).get(entry.id, table),
    )


@router.post("/rooms/{room}/tables/{table}/leave")
def leave(request: Request, room: str, table: str, user: _Owner) -> Response:
    """Take the source out of node.toml; the room still declares the table."""
    context = context_of(request)
    entry = context.room(user, room)
    work.own_table(context, entry, table)
    work.remove_entry(context, entry, table)
    note(context, user, "table source forgotten", room=entry.id, table=table)
    return _back(entry, table, "left")


@router.post("/rooms/{room}/tables/{table}/remove", dependencies=PEERS)
def remove(request: Request, room: str, table: str, user: _Owner) -> Response:
    """Propose a version of the room without the table."""
    context = context_of(request)
    entry = context.room(user, room)
    work.own_table(context, entry, table)
    done = put(context, user, entry, work.removed(entry.agreement, table), f"table {table} leaves")
    if done == "in_force" and work.entered(context.node.settings(), entry, table) is not None:
        work.remove_entry(context, entry, table)
    return RedirectResponse(f"/rooms/{entry.id}/tables?done={done}", 303)
