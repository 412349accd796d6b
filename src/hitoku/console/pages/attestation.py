# SPDX-License-Identifier: Apache-2.0
"""Pages of attestation: what runs where, what the room demands, evidence that is checked here."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import Response

from hitoku import limits
from hitoku.attestation.codes import Refused
from hitoku.console.context import RoomEntry
from hitoku.console.guard import need
from hitoku.console.render import context_of, render
from hitoku.console.users import May, User
from hitoku.console.work import attestation as work
from hitoku.console.work import evidence as evidence_work
from hitoku.errors import InputError, RoomError

__all__ = ["router"]

router = APIRouter()

Anybody = Annotated[User, Depends(need())]
Auditor = Annotated[User, Depends(need(May.AUDIT))]


def _room(request: Request, user: User, room_id: str) -> RoomEntry:
    return context_of(request).room(user, room_id)


@router.get("/rooms/{room_id}/attestation")
def attestation(request: Request, room_id: str, user: Anybody) -> Response:
    """What the room demands, which programs are accepted, and for auditors what was decided."""
    entry, context = _room(request, user, room_id), context_of(request)
    found = work.decisions(context, entry) if user.may(May.AUDIT) else ()
    held = work.held(context, entry)
    policy = held.policy
    return render(
        request,
        "attestation/attestation.html",
        user,
        room=entry,
        part=entry.agreement.attestation,
        held=held,
        policy=None if policy is None or policy.allow is None else work.explain_policy(policy),
        policy_digest="" if policy is None else policy.digest,
        decisions=found,
        running=work.running(found),
    )


@router.get("/rooms/{room_id}/attestation/evidence/{name}")
def evidence(request: Request, room_id: str, name: str, user: Auditor) -> Response:
    """Evidence that this node keeps."""
    entry = _room(request, user, room_id)
    found = work.evidence_of(context_of(request), entry, name)
    return render(
        request,
        "attestation/evidence.html",
        user,
        room=entry,
        name=name,
        found=found,
        fields=_rows(found["fields"]),
        ear=json.dumps(found["ear"], ensure_ascii=False, indent=2) if found["ear"] else "",
        raw=json.dumps(found["data"], ensure_ascii=False),
    )


@router.get("/rooms/{room_id}/attestation/check")
def check_form(request: Request, room_id: str, user: Anybody) -> Response:
    """Where evidence is pasted or uploaded."""
    return _checked(request, user, _room(request, user, room_id))


@router.post("/rooms/{room_id}/attestation/check")
def check(
    request: Request,
    room_id: str,
    user: Anybody,
    text: Annotated[str, Form()] = "",
    file: Annotated[UploadFile | None, File()] = None,
    more: Annotated[list[UploadFile] | None, File()] = None,
) -> Response:
    """Verify evidence offline, by this room's agreement and this member's policy."""
    entry = _room(request, user, room_id)
    content = _content(text, file, limits.MAX_EVIDENCE_BYTES)
    if not content:
        return _checked(request, user, entry, wrong=True, text=text)
    files = [part for one in (more or [])[: limits.MAX_ENDORSEMENTS] if (part := _file(one))]
    verdict = evidence_work.verify_evidence(context_of(request), entry, content, files)
    return _checked(request, user, entry, verdict=verdict, text=text)


@router.get("/rooms/{room_id}/attestation/deletion")
def deletion_form(request: Request, room_id: str, user: Anybody) -> Response:
    """Where a deletion certificate is uploaded."""
    entry = _room(request, user, room_id)
    return render(
        request, "attestation/deletion.html", user, room=entry, checked=None, code="", reason="", tried=False
    )


@router.post("/rooms/{room_id}/attestation/deletion")
def deletion(
    request: Request,
    room_id: str,
    user: Anybody,
    text: Annotated[str, Form()] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Whether a deletion certificate holds."""
    entry = _room(request, user, room_id)
    checked, code, reason = None, "", ""
    try:
        checked = evidence_work.check_deletion(entry, _content(text, file, limits.MAX_CERTIFICATE_BYTES))
    except Refused as refused:
        code, reason = str(refused.code), refused.detail
    except (InputError, RoomError) as error:
        code, reason = "FORM", str(error)
    return render(
        request,
        "attestation/deletion.html",
        user,
        room=entry,
        checked=checked,
        code=code,
        reason=reason,
        tried=True,
    )


def _checked(
    request: Request,
    user: User,
    entry: RoomEntry,
    *,
    verdict: evidence_work.Verdict | None = None,
    wrong: bool = False,
    text: str = "",
) -> Response:
    claims = {} if verdict is None else dict(verdict.claims)
    return render(
        request,
        "attestation/check.html",
        user,
        room=entry,
        verdict=verdict,
        wrong=wrong,
        text=text[: limits.MAX_CONSOLE_PASTE_BYTES],
        claims=_rows(claims),
        fields=_rows({} if verdict is None else dict(verdict.fields)),
    )


def _content(text: str, file: UploadFile | None, most: int) -> bytes:
    content = b"" if file is None else _file(file, most)
    return content or text.strip().encode("utf-8", "replace")[: most + 1]


def _file(file: UploadFile, most: int = limits.MAX_EVIDENCE_BYTES) -> bytes:
    return file.file.read(most + 1)


def _rows(fields: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in fields.items()
        if value is not None
    ]
