# SPDX-License-Identifier: Apache-2.0
"""Checks what the server of a run saw: its transcript, the members' own, the model that came of it.

What it proves. Every message in the transcript was signed by who is said to have sent it, for this plan and
this run, and the transcript is one chain. With a member's folder beside it: both sides tell of the same
messages, so the server leaves none out that this member sent or got. With payloads kept: what is called
masked or encrypted looks like uniform bytes and none of it is there twice; sums of fixed sets are what the
masked vectors add up to; and the model is what grows from the opened sums alone.

What it cannot prove. That bytes look uniform does not make them secret: the test finds plain values and
reused masks, no cleverer fault. A server can keep a second transcript of what it did with others; against
one member it cannot, if that member's folder is audited, too. Secrecy rests on the arguments beside the
protocols.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hitoku.errors import HitokuError, InputError
from hitoku.learning.audit_messages import Messages, line_of
from hitoku.learning.findings import Finding, Report
from hitoku.learning.folders import RunFolder
from hitoku.learning.plan import plan_hash
from hitoku.learning.transcript import PAYLOADS, read_transcript
from hitoku.room.signing import verify

__all__ = ["Finding", "Report", "audit"]


def audit(path: Path, members: Iterable[Path] = ()) -> Report:
    """Audit a run's folder, with the members' own folders of the run where they are at hand.

    Raises:
        InputError: the folder is none of a run.
        RoomError: a file in it cannot be read.
    """
    folder = RunFolder.open(path)
    report = Report()
    _signatures(folder, report)
    entries = _entries(folder.transcript, folder, folder.party, report)
    if not entries:
        report.find("NO_TRANSCRIPT", f"{folder.transcript}: says of no message")
        return report
    Messages(folder, report).check(entries)
    _sets(folder, entries, report)
    _model(folder, report)
    for member in members:
        _compare(folder, entries, member, report)
    return report


def _signatures(folder: RunFolder, report: Report) -> None:
    try:
        verify(folder.room)
        folder.signed.verify(folder.room.agreement)
    except HitokuError as error:
        report.find("NOT_IN_FORCE", str(error))
    report.facts |= {"plan": folder.signed.hash, "run": folder.run, "signed_by": list(folder.signed.signers)}


def _entries(path: Path, folder: RunFolder, party: str, report: Report) -> list[dict[str, Any]]:
    """The lines after the first, as far as they are one chain."""
    entries: list[dict[str, Any]] = []
    try:
        for entry in read_transcript(path):
            entries.append(entry)
    except InputError as error:
        report.find("CHAIN", str(error))
    if not entries:
        return []
    first = entries.pop(0)
    expected = {"party": party, "plan": plan_hash(folder.signed.plan).hex(), "run": folder.run}
    if {key: first.get(key) for key in expected} != expected:
        report.find("ANOTHER_RUN", f"{path}: is of another party, plan or run")
    return entries


def _sets(folder: RunFolder, entries: Sequence[Mapping[str, Any]], report: Report) -> None:
    plan = folder.signed.plan
    sets: list[tuple[str, ...]] = []
    for entry in entries:
        if entry.get("direction") != "opened":
            continue
        what = entry.get("what")
        named = what.get("members") if isinstance(what, dict) else None
        members = tuple(str(name) for name in named) if isinstance(named, list) else ()
        if len(set(members)) < plan.threshold or not set(members) <= set(plan.members):
            report.find(
                "THRESHOLD", f"line {line_of(entry)}: a sum of fewer than {plan.threshold} members was opened"
            )
        if not sets or sets[-1] != members:
            sets.append(members)
    report.facts["sets"] = [list(members) for members in sets]
    if len(sets) - 1 > plan.aggregation.changes:
        report.find(
            "CHANGES", f"the set changed {len(sets) - 1} times, the plan allows {plan.aggregation.changes}"
        )


def _model(folder: RunFolder, report: Report) -> None:
    said = folder.report
    if said is not None and folder.signed.plan.aggregation.kind == "he":
        report.notices.append("The server is blind: it has the model's hash, and no sum and no model.")
        report.facts["model"] = said.get("model")
        return
    if said is None or not folder.model.is_file():
        report.notices.append("The run has not come to its end: there is no model yet.")
        return
    digest = "sha256:" + hashlib.sha256(folder.model.read_bytes()).hexdigest()
    report.facts["model"] = digest
    if said.get("model") != digest:
        report.find("MODEL", "the model's file is another one than the report says")
    if not (folder.path / PAYLOADS).is_dir() or folder.signed.plan.aggregation.kind != "masks":
        return
    if not _told(said.get("events")):
        report.find("REPORT", "the report's events are not in a form that a server writes")
        return
    from hitoku.learning.replay import replayed

    made, why = replayed(folder)
    if made is None:
        report.notices.append(f"The model could not be grown again from the opened sums: {why}.")
    elif made != folder.model.read_bytes():
        report.find("REPLAY", "the model is not what grows from the opened sums")
    report.facts["replayed"] = made is not None


def _told(events: object) -> bool:
    """Whether a report's events can be read: the server wrote it, and nothing signs it."""
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        return False
    votes = [event.get("votes") for event in events if event.get("event") == "vote"]
    if not all(isinstance(one, list) for one in votes):
        return False
    return all(
        isinstance(vote, dict) and isinstance(vote.get("member"), str) for one in votes for vote in one
    )


def _compare(folder: RunFolder, entries: Sequence[Mapping[str, Any]], path: Path, report: Report) -> None:
    """Both sides tell of the same messages."""
    own = RunFolder.open(path)
    name = own.party
    if (own.run, own.signed.hash) != (
        folder.run,
        folder.signed.hash,
    ) or name not in folder.signed.plan.members:
        report.find("ANOTHER_RUN", f"{path}: is no member's folder of this run")
        return
    theirs = _entries(own.transcript, folder, name, report)
    server = {way: set(_hashes(entries, way, name)) for way in ("sent", "received")}
    member = {way: set(_hashes(theirs, way)) for way in ("sent", "received")}
    hidden, invented = member["received"] - server["sent"], server["received"] - member["sent"]
    if hidden:
        report.find("HIDDEN", f"{name} got {len(hidden)} requests that the server's transcript does not have")
    if invented:
        report.find("INVENTED", f"the server has {len(invented)} answers of {name} that it did not give")
    for theirs_of, ours_of in (("sent", "received"), ("received", "sent")):
        known = {
            str(entry.get("sha256")): _said(entry) for entry in theirs if entry.get("direction") == theirs_of
        }
        for entry in entries:
            if (entry.get("direction"), entry.get("member")) != (ours_of, name):
                continue
            if known.get(str(entry.get("sha256")), _said(entry)) != _said(entry):
                report.find(
                    "OTHER_LINE", f"line {line_of(entry)} says another thing of a message than {name} does"
                )
    unheard = member["sent"] - server["received"]
    if unheard:
        report.notices.append(
            f"{name} gave {len(unheard)} answers that the server did not take: they came late, it had "
            "stopped, or it left them out."
        )
    if own.model.is_file() and report.facts.get("model"):
        digest = "sha256:" + hashlib.sha256(own.model.read_bytes()).hexdigest()
        if digest != report.facts["model"]:
            report.find("ANOTHER_MODEL", f"{name} was given another model")
    report.facts.setdefault("compared_with", []).append(name)


def _hashes(entries: Sequence[Mapping[str, Any]], way: str, member: str | None = None) -> Iterator[str]:
    for entry in entries:
        if entry.get("direction") == way and member in {None, entry.get("member")}:
            yield str(entry.get("sha256"))


def _said(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a line says of its message: nothing signs it, so both sides must say the same."""
    return tuple(entry.get(what) for what in ("kind", "sequence", "bytes", "protected"))
