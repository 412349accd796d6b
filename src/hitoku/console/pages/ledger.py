# SPDX-License-Identifier: Apache-2.0
"""Pages of the ledger: search, entry, verification, proofs, heads of all members, export."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from hitoku import limits
from hitoku.console import store
from hitoku.console.api.busy import PEERS
from hitoku.console.context import RoomEntry
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import ledger as work
from hitoku.console.work import ledger_checks as checks
from hitoku.console.work.ledger_words import sentence
from hitoku.errors import InputError, RoomError
from hitoku.room import merkle
from hitoku.room.ledger import EntryKind, Head

__all__ = ["router"]

router = APIRouter()

Auditor = Annotated[User, Depends(need(May.AUDIT))]
Anybody = Annotated[User, Depends(need())]
Short = Annotated[str, Query(max_length=limits.MAX_CONSOLE_SEARCH_CHARS)]
Number = Annotated[int | None, Query(ge=0, le=2**53)]

_REFRESH_SECONDS: Final = "1"


def _room(request: Request, user: User, room_id: str) -> RoomEntry:
    return context_of(request).room(user, room_id)


@router.get("/rooms/{room_id}/ledger")
def ledger(
    request: Request,
    room_id: str,
    user: Auditor,
    kind: Short = "",
    member: Short = "",
    run: Short = "",
    since: Short = "",
    until: Short = "",
    text: Short = "",
    before: Number = None,
) -> Response:
    """Entries, newest first, as far as they fit what is searched for."""
    entry, context = _room(request, user, room_id), context_of(request)
    if kind and kind not in set(EntryKind):
        raise InputError("there is no such kind of entry")
    wanted = work.Wanted(EntryKind(kind) if kind else None, member, run.strip(), since, until, text.strip())
    found = work.search(context, entry, wanted, before)
    asked = {
        "kind": kind, "member": member, "run": run, "since": since, "until": until, "text": text,
    }  # fmt: skip
    return render(
        request,
        "ledger/ledger.html",
        user,
        room=entry,
        found=found,
        asked=asked,
        given={name: value for name, value in asked.items() if value},
        before=before,
        kinds=[str(one) for one in EntryKind],
        members=[one.name for one in entry.agreement.members],
        head=work.ledger_of(context, entry).head(),
        check=checks.last_check(context, entry),
        say=sentence,
    )


@router.get("/rooms/{room_id}/ledger/entries/{seq}")
def one(request: Request, room_id: str, seq: int, user: Auditor) -> Response:
    """One entry: its words, its fields, its canonical form."""
    entry, context = _room(request, user, room_id), context_of(request)
    line = work.line_of(context, entry, _number(seq))
    head = work.ledger_of(context, entry).head()
    return render(
        request,
        "ledger/entry.html",
        user,
        room=entry,
        line=line,
        fields=_fields(line),
        raw=line.raw.decode("utf-8", "replace"),
        leaf=merkle.leaf_hash(line.raw).hex(),
        last=(0 if head is None else head.size) - 1,
        say=sentence,
    )


@router.get("/rooms/{room_id}/ledger/entries/{seq}/proof.json")
def proof(request: Request, room_id: str, seq: int, user: Auditor) -> Response:
    """The inclusion proof of an entry, to download."""
    entry = _room(request, user, room_id)
    made = work.proof_of(context_of(request), entry, _number(seq))
    name = f"{context_of(request).me}-ledger-entry-{seq}.json"
    return JSONResponse(made, headers=_download(name))


@router.get("/rooms/{room_id}/ledger/proof")
def proof_form(request: Request, room_id: str, user: Anybody) -> Response:
    """Where a proof is pasted."""
    entry = _room(request, user, room_id)
    return render(request, "ledger/proof.html", user, room=entry, proved=None, text="", say=sentence)


@router.post("/rooms/{room_id}/ledger/proof")
def proof_check(
    request: Request, room_id: str, user: Anybody, proof: Annotated[str, Form()] = ""
) -> Response:
    """Whether a pasted proof holds, or why not."""
    entry = _room(request, user, room_id)
    proved = work.check_proof(context_of(request), entry, proof)
    text = proof if len(proof) <= limits.MAX_LEDGER_PROOF_BYTES else ""
    return render(request, "ledger/proof.html", user, room=entry, proved=proved, text=text, say=sentence)


@router.get("/rooms/{room_id}/ledger/verify")
def verify_form(request: Request, room_id: str, user: Auditor) -> Response:
    """Where a verification is started."""
    entry = _room(request, user, room_id)
    last = checks.last_check(context_of(request), entry)
    return render(request, "ledger/verify.html", user, room=entry, check=None, last=last, wrong="", kept="")


@router.post("/rooms/{room_id}/ledger/verify")
def verify_start(
    request: Request, room_id: str, user: Auditor, kept: Annotated[str, Form()] = ""
) -> Response:
    """Start a verification; its page shows how far it is."""
    entry, context = _room(request, user, room_id), context_of(request)
    try:
        head = Head.from_bytes(kept.strip().encode("utf-8", "replace")) if kept.strip() else None
        check = checks.start_check(context, entry, user, head)
    except RoomError as error:
        last = checks.last_check(context, entry)
        data: dict[str, Any] = {"check": None, "last": last, "wrong": str(error)}
        shown = kept[: limits.MAX_LEDGER_HEAD_BYTES]
        return render(request, "ledger/verify.html", user, room=entry, status=400, kept=shown, **data)
    store.note(context, user, "ledger verified", room=entry.id)
    return RedirectResponse(f"/rooms/{entry.id}/ledger/verify/{check.id}", 303)


@router.get("/rooms/{room_id}/ledger/verify/{check_id}")
def verify_show(request: Request, room_id: str, check_id: str, user: Auditor) -> Response:
    """A verification: how far it is, or what came of it."""
    entry = _room(request, user, room_id)
    check = checks.check_of(context_of(request), entry, check_id)
    page = render(request, "ledger/verify.html", user, room=entry, check=check, last=None, wrong="", kept="")
    if check.state == "running":
        page.headers["Refresh"] = _REFRESH_SECONDS  # no script is needed to see it go on
    return page


@router.get("/rooms/{room_id}/ledger/heads")
def heads(request: Request, room_id: str, user: Auditor) -> Response:
    """The heads of all members' ledgers that this node keeps."""
    entry = _room(request, user, room_id)
    return render(
        request, "ledger/heads.html", user, room=entry, heads=checks.heads(context_of(request), entry)
    )


@router.post("/rooms/{room_id}/ledger/heads", dependencies=PEERS)
def heads_ask(request: Request, room_id: str, user: Auditor) -> Response:
    """Ask all members for their newest heads."""
    entry = _room(request, user, room_id)
    checks.ask_heads(context_of(request), entry)
    return RedirectResponse(f"/rooms/{entry.id}/ledger/heads", 303)


@router.get("/rooms/{room_id}/ledger/export")
def export(request: Request, room_id: str, user: Auditor) -> Response:
    """What an export holds, and how an auditor checks it."""
    entry = _room(request, user, room_id)
    head = work.ledger_of(context_of(request), entry).head()
    name = _export_name(request, entry)
    return render(request, "ledger/export.html", user, room=entry, head=head, name=name)


@router.get("/rooms/{room_id}/ledger/export.jsonl")
def export_file(request: Request, room_id: str, user: Auditor) -> Response:
    """The whole ledger as JSON lines."""
    entry = _room(request, user, room_id)
    store.note(context_of(request), user, "ledger exported", room=entry.id)
    return StreamingResponse(
        work.export_lines(context_of(request), entry),
        media_type="application/jsonl",
        headers=_download(_export_name(request, entry)),
    )


def _export_name(request: Request, entry: RoomEntry) -> str:
    return f"{context_of(request).me}-ledger-{entry.id[:8]}.jsonl"


def _download(name: str) -> dict[str, str]:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "_" for c in name)
    return {"Content-Disposition": f'attachment; filename="{safe}"', "Cache-Control": "no-store"}


def _number(seq: int) -> int:
    return seq if 0 <= seq < 2**53 else 2**53


def _fields(line: work.Line) -> list[tuple[str, str]]:
    if line.entry is None:
        return []
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))
        for name, value in line.entry.body.items()
    ]
