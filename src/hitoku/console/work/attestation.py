# SPDX-License-Identifier: Apache-2.0
"""What runs where, since when, and why it is trusted or refused: for people.

What was decided is read from this member's ledger; what holds now from the agreement, this member's reference
values and its policy. Evidence that somebody brings is checked by `hitoku.console.work.evidence`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from hitoku import limits
from hitoku.attestation.codes import Refused
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.work.ledger import records_of
from hitoku.errors import InputError, RoomError
from hitoku.room import keytables
from hitoku.room.ledger import Entry, EntryKind, read_entry

if TYPE_CHECKING:
    from hitoku.attestation.policy import Policy, Step
    from hitoku.attestation.reference import ReferenceValue, Registry

__all__ = [
    "Decision",
    "Held",
    "Program",
    "decisions",
    "evidence_of",
    "explain_policy",
    "held",
    "running",
]

_KINDS: Final = frozenset(
    {
        EntryKind.APPRAISAL,
        EntryKind.KEY_RELEASE,
        EntryKind.KEY_REFUSAL,
        EntryKind.REVOCATION,
        EntryKind.TOMBSTONE,
    }
)
_MARKS: Final = tuple(f'"kind":"{kind}"'.encode() for kind in _KINDS)


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision on record.

    Attributes:
        entry: the ledger entry.
        who: the member where it ran.
        outcome: ``accepted``, ``refused``; of keys ``released``, ``kept``, ``ended``, ``deleted``.
        code: why it was refused, or empty.
        reason: in words, or empty.
        program: SHA-384 of the program, or empty.
        version: what the members call that program, or empty.
        software: whether no hardware vouches for it; None where the entry does not say.
        kind: of evidence, or empty.
        evidence: the hash of the evidence that this node keeps, or empty.
        by: who decided.
    """

    entry: Entry
    who: str
    outcome: Literal["accepted", "refused", "released", "kept", "ended", "deleted"]
    code: str
    reason: str
    program: str
    version: str
    software: bool | None
    kind: str
    evidence: str
    by: str


@dataclass(frozen=True, slots=True)
class Held:
    """What holds in the room now, for this member.

    Attributes:
        programs: the reference values.
        policy: this member's own, or None where it cannot be read.
        problem: why registry or policy cannot be used, or empty.
        serial: of the registry: changes so far.
        digest: of the registry.
    """

    programs: tuple[Program, ...]
    policy: Policy | None
    problem: str
    serial: int
    digest: str


@dataclass(frozen=True, slots=True)
class Program:
    """A reference value with how it stands.

    Attributes:
        value: the statement.
        state: ``force``, ``revoked``, ``past`` or ``unsigned``.
        signers: who signed it.
        lacking: who has not, of the owners of tables.
    """

    value: ReferenceValue
    state: Literal["force", "revoked", "past", "unsigned"]
    signers: tuple[str, ...]
    lacking: tuple[str, ...]


def decisions(context: Context, entry: RoomEntry, most: int = 100) -> tuple[Decision, ...]:
    """The newest decisions on evidence and keys in this member's ledger, newest first."""
    names = _versions(context, entry)
    found: list[Decision] = []
    for looked, (_, raw) in enumerate(records_of(context, entry).ledger.back(), 1):
        if any(mark in raw for mark in _MARKS):
            try:
                one = read_entry(raw)
            except RoomError:
                continue
            if one.kind in _KINDS:
                found.append(_decision(one, names, context.me))
        if len(found) == most or looked == limits.MAX_CONSOLE_LEDGER_SCAN:
            break
    return tuple(found)


def running(given: Sequence[Decision]) -> tuple[tuple[Decision, str], ...]:
    """Of each member and program that was accepted: the newest decision, and since when it was accepted so.

    A refusal that is newer than the acceptance stands in its place.
    """
    newest: dict[str, Decision] = {}
    since: dict[str, str] = {}
    ended: set[str] = set()
    for one in given:  # newest first
        if one.outcome not in {"accepted", "refused"} or not one.who:
            continue
        first = newest.setdefault(one.who, one)
        same = (one.outcome, one.program) == (first.outcome, first.program)
        if same and one.who not in ended:
            since[one.who] = one.entry.time
        elif not same:
            ended.add(one.who)
    return tuple((one, since.get(who, one.entry.time)) for who, one in sorted(newest.items()))


def held(context: Context, entry: RoomEntry) -> Held:
    """This member's reference values and policy of the room, as they hold now."""
    from hitoku.attestation.kept import Kept

    kept = Kept(context.node.directory, records_of(context, entry))
    programs: tuple[Program, ...] = ()
    problem, serial, digest, policy = "", 0, "", None
    try:
        registry = kept.registry(entry.agreement)
        programs = tuple(_program(context, entry, registry, value) for value in registry.entries)
        serial, digest = registry.serial, registry.digest
        policy = kept.policy()
    except (Refused, InputError) as error:
        problem = str(error)
    return Held(programs, policy, problem, serial, digest)


def explain_policy(policy: Policy) -> Step:
    """The policy's conditions in words; what is true depends on evidence, so nothing is."""
    return policy.explain({})


def evidence_of(context: Context, entry: RoomEntry, name: str) -> dict[str, Any]:
    """Evidence that this member's broker keeps, by its hash: kind, fields, and the signed result.

    Raises:
        NotFound: it keeps none of that hash.
    """
    from hitoku.attestation.evidence import Evidence
    from hitoku.attestation.explain import explain

    kept = keytables.evidence.c
    with context.node.store().reading() as connection:
        row = connection.execute(
            sa.select(kept.content, kept.ear, kept.run).where(kept.room == entry.id, kept.hash == name)
        ).first()
    if row is None:
        raise NotFound("this node keeps no such evidence")
    data = json.loads(bytes(row.content))
    try:
        found = explain(Evidence.from_dict(data))
    except Refused as refused:
        found = {
            "kind": "",
            "bytes": len(row.content),
            "fields": {},
            "endorsements": [],
            "problem": refused.detail,
        }
    return {
        **found,
        "run": str(row.run),
        "ear": None if row.ear is None else _ear(bytes(row.ear)),
        "data": data,
    }


def _program(context: Context, entry: RoomEntry, registry: Registry, value: ReferenceValue) -> Program:
    from hitoku.room.consent import moment

    agreement = entry.agreement
    signers = value.signers(agreement)
    state: Literal["force", "revoked", "past", "unsigned"] = "force"
    if value not in registry.in_force(agreement):
        state = "unsigned"
    elif value.revoked:
        state = "revoked"
    elif moment(context.clock.now()) > value.not_after:
        state = "past"
    lacking = () if value.counts(agreement) else tuple(sorted(agreement.owners() - signers))
    return Program(value, state, tuple(sorted(signers)), lacking)


def _versions(context: Context, entry: RoomEntry) -> dict[str, str]:
    """What the members call programs, by their digest."""
    return {one.value.program: one.value.version for one in held(context, entry).programs}


def _decision(entry: Entry, names: Mapping[str, str], me: str) -> Decision:
    body = entry.body
    program, code = _text(body.get("program")), _text(body.get("code"))
    outcome: Literal["accepted", "refused", "released", "kept", "ended", "deleted"]
    if entry.kind is EntryKind.APPRAISAL:
        outcome = "refused" if body.get("verdict") == "refuse" else "accepted"
    elif entry.kind is EntryKind.KEY_RELEASE:
        outcome = "released"
    elif entry.kind is EntryKind.KEY_REFUSAL:
        outcome = "kept"
    else:
        outcome = "ended" if entry.kind is EntryKind.REVOCATION else "deleted"
    software = body.get("software_rooted")
    return Decision(
        entry=entry,
        who=_text(body.get("host")) or _text(body.get("member")),
        outcome=outcome,
        code=code,
        reason=_text(body.get("reason")) or _text(body.get("stage")),
        program=program,
        version=names.get(program, ""),
        software=software if isinstance(software, bool) else None,
        kind=_text(body.get("kind")),
        evidence=_text(body.get("evidence")),
        by=_text(body.get("by")) or me,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _ear(raw: bytes) -> dict[str, Any]:
    """The claims of a signed result that this member made; for reading, nothing is verified here."""
    import base64

    try:
        body = raw.split(b".")[1]
        data = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    except (ValueError, IndexError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
