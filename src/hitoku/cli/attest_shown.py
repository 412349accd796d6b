# SPDX-License-Identifier: Apache-2.0
"""Reference values for people and for programs that read JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hitoku.cli.attest_member import Opened, out
from hitoku.cli.show import one_line

if TYPE_CHECKING:
    from hitoku.attestation.reference import ReferenceValue, Registry

__all__ = ["facts", "show", "words"]


def show(entries: Iterable[ReferenceValue], registry: Registry, here: Opened, as_json: bool) -> None:
    """Print statements: one JSON object, or a few lines for each."""
    shown = list(entries)
    data = {
        "serial": registry.serial,
        "digest": registry.digest,
        "entries": [facts(e, registry, here) for e in shown],
    }
    text = "\n".join(words(e, registry, here) for e in shown) or "no reference values"
    out(data, text, as_json)


def _state(entry: ReferenceValue, registry: Registry, here: Opened) -> str:
    from hitoku.room.consent import moment

    if entry not in registry.in_force(here.agreement):
        return "not in force"
    if entry.revoked:
        return "revoked"
    return "in force" if moment(datetime.now(UTC)) <= entry.not_after else "past its time"


def facts(entry: ReferenceValue, registry: Registry, here: Opened) -> dict[str, Any]:
    """A statement, who signed it, and whether it is in force; JSON-ready."""
    return {
        "state": _state(entry, registry, here),
        "signers": sorted(entry.signers(here.agreement)),
        **entry.model_dump(mode="json", exclude_none=True, exclude={"signatures", "format"}),
    }


def words(entry: ReferenceValue, registry: Registry, here: Opened) -> str:
    """The same in a few lines."""
    signers = entry.signers(here.agreement)
    lacking = _lacking(entry, signers, here)
    state = _state(entry, registry, here)
    names = ", ".join(sorted(signers)) or "nobody"
    title = (
        f"{entry.version} ({entry.program[:16]}…) on {entry.kind} as {entry.purpose}, serial {entry.serial}"
    )
    ends = f"  until {entry.not_after}"
    parts = [
        f"{title}: {state}",
        f"  signed by {names}" + (f"; still to sign: {lacking}" if lacking else ""),
        ends + (f"; revoked: {entry.reason or 'no reason given'}" if entry.revoked else ""),
    ]
    parts += [f"  {name} {', '.join(values)}" for name, values in sorted(entry.measurements.items())]
    parts += [
        f"  {name} at least {r.at_least}" + ("" if r.at_most is None else f", at most {r.at_most}")
        for name, r in sorted(entry.minimum_tcb.items())
    ]
    return "\n".join(one_line(part) for part in parts)


def _lacking(entry: ReferenceValue, signers: frozenset[str], here: Opened) -> str:
    if entry.counts(here.agreement):
        return ""
    part = here.agreement.attestation
    if part is not None and part.signers is not None:
        return f"{part.signers - len(signers & here.agreement.owners())} more of the owners"
    return ", ".join(sorted(here.agreement.owners() - signers))
