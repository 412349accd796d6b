# SPDX-License-Identifier: Apache-2.0
"""`hitoku ledger`: read, audit and prove a member's own log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from cyclopts import App, Parameter

from hitoku import limits
from hitoku.cli.show import one_line
from hitoku.errors import InputError, RoomError
from hitoku.ports import SystemClock
from hitoku.room.directory import Workspace
from hitoku.room.files import load_room, read_text
from hitoku.room.heads import signed_ever
from hitoku.room.ledger import EntryKind, Head, Inclusion
from hitoku.room.records import Records

__all__ = ["app"]

app = App(name="ledger", help="Show, verify and prove what a member's ledger holds.", help_format="plaintext")
app.command(
    "hitoku.cli.deletion:verify_deletion", name="verify-deletion", help="Check a deletion certificate."
)

Json = Annotated[bool, Parameter(name="--json", negative="")]
Member = Annotated[str, Parameter(name="--as")]


def _records(workspace: Workspace, member: str) -> Records:
    directory = workspace.member(member)
    return directory.records(str(workspace.room.agreement.id), SystemClock())


@app.command
def show(
    *,
    room: Path = Path(),
    member: Member,
    kind: EntryKind | None = None,
    start: int = 0,
    json_: Json = False,
) -> int:
    """Show a member's ledger, an entry a line.

    Parameters
    ----------
    room
        The room's directory, or its room.yaml.
    member
        Whose ledger; its directory must be on this machine.
    kind
        Only entries of this kind: question, verdict, reservation, charge, release, refusal, ...
    start
        From this entry on.
    json_
        Print one JSON object an entry.
    """
    for entry in _records(Workspace.open(room), member).ledger.entries(start, kind):
        if json_:
            sys.stdout.write(entry.raw.decode() + "\n")
            continue
        facts = " ".join(f"{key}={_brief(value)}" for key, value in entry.body.items())
        sys.stdout.write(one_line(f"{entry.seq:>6}  {entry.time[:19]}  {entry.kind:<11}  {facts}") + "\n")
    return 0


@app.command
def verify(
    *, room: Path = Path(), member: Member, head: list[Path] | None = None, json_: Json = False
) -> int:
    """Audit a member's ledger: every entry, the tree, the signed head, and the heads that others keep of it.

    Parameters
    ----------
    room
        The room's directory, or its room.yaml.
    member
        Whose ledger.
    head
        A head of this ledger kept elsewhere; the ledger must continue it. May be repeated. The heads that
        other members on this machine keep are always checked.
    json_
        Print one JSON object.
    """
    workspace = Workspace.open(room)
    records = _records(workspace, member)
    signed = signed_ever(workspace.room)  # heads that others keep may be older than a change of its key
    size = records.ledger.verify(signed)
    known: list[tuple[str, Head]] = []
    for name in workspace.members:
        seen = None if name == member else _records(workspace, name).peer_head(member)
        if seen is not None:
            known.append((name, seen))
    for path in head or []:
        known.append((str(path), Head.from_bytes(read_text(path).strip().encode())))
    for where, seen in known:
        try:
            records.ledger.verify(signed, seen)
        except RoomError as error:
            raise RoomError(f"the head kept by {where}: {error}") from None
    data = {"member": member, "entries": size, "heads": [where for where, _ in known], "holds": True}
    others = f"; it continues the heads kept by {', '.join(w for w, _ in known)}" if known else ""
    _out(data, f"{member}: {size} entries hold{others}", json_)
    return 0


@app.command
def prove(
    entry: int | None = None,
    *,
    room: Path = Path(),
    member: Annotated[str | None, Parameter(name="--as")] = None,
    check: Path | None = None,
) -> int:
    """Print a proof that an entry is in a member's ledger, or check such a proof.

    Parameters
    ----------
    entry
        The entry's number.
    room
        The room's directory or its room.yaml; to check a proof, the room file is enough.
    member
        Whose ledger.
    check
        A proof to check instead.
    """
    if check is not None:
        path = room / "room.yaml" if room.is_dir() else room
        shared = load_room(path)
        try:
            data = json.loads(read_text(check))
        except (ValueError, RecursionError):
            raise InputError(f"{check}: not JSON") from None
        proof = Inclusion.from_dict(data)
        if proof.head.room != str(shared.agreement.id) or not proof.verify(signed_ever(shared)):
            raise RoomError(f"{check}: the proof does not hold in this room")
        facts = f"entry {proof.index} of {proof.head.size} in the ledger of {proof.head.member}"
        sys.stdout.write(f"{facts}: holds\n")
        return 0
    if entry is None or member is None:
        raise InputError("name an entry and --as MEMBER, or --check FILE")
    made = _records(Workspace.open(room), member).ledger.prove(entry)
    sys.stdout.write(json.dumps(made.to_dict(), ensure_ascii=False) + "\n")
    return 0


@app.command(name="check-export")
def check_export(
    file: Path, *, room: Path = Path(), head: list[Path] | None = None, json_: Json = False
) -> int:
    """Check a ledger that was exported as JSON lines, on any machine: the room file has the members' keys.

    Parameters
    ----------
    file
        The export, as the console writes it.
    room
        The room's directory, or its room.yaml.
    head
        A head of this ledger kept elsewhere; the export must contain it. May be repeated.
    json_
        Print one JSON object.
    """
    from hitoku.room.exported import check_export as checked
    from hitoku.room.heads import member_signed
    from hitoku.room.versions import newest_in_force

    path = room / "room.yaml" if room.is_dir() else room
    agreed = newest_in_force(load_room(path))
    kept = [Head.from_bytes(read_text(one).strip().encode()) for one in head or []]
    try:
        with file.open("rb") as lines:
            found = checked(_bounded(lines), agreed, kept)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    now = member_signed(agreed.agreement)(found.member, found.message(), found.signature)
    data = {
        "member": found.member,
        "entries": found.size,
        "root": found.root.hex(),
        "earlier_key": not now,
        "holds": True,
    }
    others = f"; it continues the {len(kept)} heads given" if kept else ""
    if not now:
        others += (
            f"; signed with a key that {found.member} gave up since: whoever has that key could sign it today"
        )
    _out(data, f"{found.member}: {found.size} entries hold, root {found.root.hex()}{others}", json_)
    return 0


def _bounded(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(limits.MAX_LEDGER_EXPORT_LINE_BYTES + 2):
        yield line


def _out(data: dict[str, Any], words: str, as_json: bool) -> None:
    sys.stdout.write((json.dumps(data, ensure_ascii=False) if as_json else words) + "\n")


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 100 else text[:99] + "…"
