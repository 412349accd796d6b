# SPDX-License-Identifier: Apache-2.0
"""A room for people at a terminal and for programs: what its members agree on, and whether it is in force."""

from __future__ import annotations

from typing import Any

from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.signing import problems

__all__ = ["brief", "facts", "signers", "words_of"]


def facts(room: Room) -> dict[str, Any]:
    """What a room is, and whether it is in force; JSON-ready."""
    return {
        "id": str(room.agreement.id),
        "name": room.agreement.name,
        "version": room.agreement.version,
        "hash": agreement_hash(room.agreement),
        "in_force": not problems(room),
        "problems": list(problems(room)),
    }


def signers(room: Room) -> tuple[str, ...]:
    """The members who signed this version; a later one needs only those whose data or duty it touches."""
    signed = {one.member for one in room.signatures if one.key is None}
    return tuple(m.name for m in room.agreement.members if m.name in signed)


def _in_force(room: Room) -> str:
    signed = signers(room)
    if len(signed) == len(room.agreement.members):
        return "in force: every member signed it"
    return f"in force: signed by {', '.join(signed) or 'who left'}, all whose data or duty it touches"


def words_of(room: Room) -> list[str]:
    """What the members agree on, for people, a line each."""
    agreement = room.agreement
    wrong = problems(room)
    lines = [
        f"{agreement.name} (version {agreement.version}, {agreement_hash(agreement)})",
        f"id: {agreement.id}",
        _in_force(room) if not wrong else "NOT in force: " + "; ".join(wrong),
        "protections: " + ", ".join(agreement.protections),
        "settings: "
        + (", ".join(k for k, v in agreement.settings.model_dump().items() if v) or "high assurance"),
        "members:",
    ]
    lines += [f"  {m.name}: {', '.join(m.abilities) or 'owns tables only'}" for m in agreement.members]
    for table in agreement.tables:
        lines.append(f"table {table.name} of {table.owner}:")
        lines += [f"  {c.name}: {c.type}, {c.protection}" for c in table.columns]
        if table.rule is None:
            lines.append("  no rule: it cannot be asked")
            continue
        rule = table.rule.model_dump(mode="json", exclude_none=True)
        lines += [f"  {key}: {brief(value)}" for key, value in rule.items() if value not in ([], None)]
    for model in agreement.models:
        lines += [
            f"model {model.name} of {model.owner}:",
            f"  may ask: {', '.join(model.askers)}; {model.rows_per_day:,} rows a day each",
            f"  every score has noise at least {model.rounding} wide",
        ]
    return lines + _servers(agreement) + _evidence(agreement)


def _servers(agreement: Agreement) -> list[str]:
    part = agreement.shares
    if part is None:
        return []
    first, second, third = part.servers
    lines = [f"shares: {first} (leads), {second} and {third} compute; any two together could read the tables"]
    for table in part.tables:
        said = [] if table.rows is None else [f"{table.rows:,} rows"]
        said += [f"unique {', '.join(key)}" for key in table.unique]
        if table.repeats is not None:
            said.append(f"a key in at most {table.repeats} rows")
        for column in table.columns:
            bounds = "" if column.lower is None else f" {column.lower} to {column.upper}"
            digits = "" if column.decimals is None else f" {column.decimals} digits"
            said.append(f"{column.column_name}{bounds}{digits}")
        lines.append(
            f"  public of {table.table}: {'; '.join(said) or 'nothing but what each question shows'}"
        )
    return lines


def _evidence(agreement: Agreement) -> list[str]:
    part = agreement.attestation
    if part is None:
        return []
    signers = "every owner of a table" if part.signers is None else f"{part.signers} owners of tables"
    lines = [f"attestation: {', '.join(part.accept)}; a program is signed for by {signers}"]
    if part.software:
        lines.append("  software: evidence that no hardware vouches for is accepted: IT PROTECTS NOTHING")
    for authority in part.authorities:
        rooted = "software" if authority.software else "hardware"
        whose = authority.key or f"certificate {authority.fingerprint}"
        lines.append(f"  authority ({rooted}): {whose}")
    if part.hardware:
        lines.append(f"  only these pieces of hardware: {', '.join(part.hardware)}")
    if part.advisories:
        lines.append(f"  accepted advisories: {', '.join(part.advisories)}")
    if part.crosstab:
        lines.append("  private cross statistics only after mutual attestation")
    return [*lines, f"  an appraisal holds for {part.minutes} minutes"]


def brief(value: Any) -> str:
    """A part of an agreement in one line."""
    if isinstance(value, dict):
        if "minimum" in value:
            return f"at least {value['minimum']} distinct {value['columnName']}"
        if "columnNames" in value:
            return f"{value['function']} of {', '.join(value['columnNames'])}"
        return ", ".join(f"{k} {brief(v)}" for k, v in value.items() if v not in (None, [], ""))
    if isinstance(value, list):
        return "; ".join(brief(v) for v in value)
    return str(value)
