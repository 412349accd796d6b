# SPDX-License-Identifier: Apache-2.0
"""`hitoku room`: members' keys, and the agreement they sign."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from pydantic import BaseModel, ValidationError

from hitoku.cli.room_words import brief, facts, signers, words_of
from hitoku.cli.show import one_line
from hitoku.errors import InputError, RoomError
from hitoku.findings import findings
from hitoku.node.proposal_book import Book
from hitoku.ports import SystemClock
from hitoku.room.agreement import Ability, Agreement, Member, Room, Table
from hitoku.room.canonical import agreement_hash, canonical
from hitoku.room.changes import changes, must_sign
from hitoku.room.directory import MemberDirectory, Workspace
from hitoku.room.files import load_room, locked, read_text, save_room
from hitoku.room.settings import Settings
from hitoku.room.signing import missing, problems, sign, verify
from hitoku.room.signing import signers as signers_of
from hitoku.room.versions import continues, revise
from hitoku.room.yamlfile import load_yaml

__all__ = ["Flag", "Json", "app", "build", "out"]

app = App(name="room", help="Make, sign, verify and show rooms.", help_format="plaintext")

Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]

for _module, _name, _help in (
    ("invite", "invite", "Invite a company into a room."),
    ("invite", "status", "Say who has still to sign, and who was invited."),
    ("invite", "admit", "Take the key of an invited company into the room."),
    ("invite", "withdraw", "End an invitation."),
    ("join", "join", "Take the next step into a room that one is invited into."),
    ("join", "pull", "Get the newest version of a room from the other members."),
    ("room_import", "import-rule", "Take over an analysis rule of AWS Clean Rooms."),
    ("room_attestation", "attestation", "Say which evidence of what runs where counts in a room."),
    ("room_models", "models", "Say who may have rows scored by which model."),
    ("room_shares", "shares", "Say which three members compute on secret-shared tables."),
):
    app.command(f"hitoku.cli.{_module}:{_name.replace('-', '_')}", name=_name, help=_help)


def out(data: dict[str, Any], words: str, as_json: bool) -> None:
    """Print a result: one JSON object, or words for people."""
    sys.stdout.write((json.dumps(data, ensure_ascii=False) if as_json else words) + "\n")


def build(model: type[BaseModel], data: dict[str, Any], where: str) -> Any:
    """A part of an agreement, of data.

    Raises:
        RoomError: the data is no such part.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise RoomError(f"{where}: {findings(error, where)}") from None


def _changed(room: Room, change: dict[str, Any], path: Path) -> Room:
    try:
        changed = revise(room, change)
    except ValidationError as error:
        raise RoomError(f"{path}: {findings(error, 'room')}") from None
    save_room(changed, path)
    return changed


@app.command
def member(
    directory: Path,
    *,
    name: str,
    database: str | None = None,
    password_file: Path | None = None,
    json_: Json = False,
) -> int:
    """Make a member's directory with a new key, and print its public key.

    Parameters
    ----------
    directory
        The member's own directory; its key stays there.
    name
        The member's name in rooms: a-z, 0-9, _ and -.
    database
        postgresql://USER@HOST:PORT/NAME of an empty database for the member's state, without a password; an
        SQLite file in the directory where nothing is said.
    password_file
        The file with that database's password, mode 600; PGPASSWORD or PGPASSFILE where nothing is said.
    json_
        Print one JSON object.
    """
    build(Member, {"name": name, "key": _ANY_KEY}, "member")
    made = MemberDirectory.create(directory, name, database, password_file)
    if database is not None:
        made.store().close()  # says now, and not at the first question, what is wrong with it
    key = made.keys().public_key()
    out({"name": name, "key": key, "directory": str(directory)}, f"{name}: {key}", json_)
    return 0


# A valid key of nobody, to check a name before anything is made: the curve's base point.
_ANY_KEY = "ed25519:WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY="


@app.command
def new(
    path: Path,
    *,
    name: str,
    founder: Path,
    ability: list[Ability] | None = None,
    allow_cleartext: Flag = False,
    allow_duplicates: Flag = False,
    allow_joins_on_columns_with_different_names: Flag = False,
    preserve_nulls: Flag = False,
    json_: Json = False,
) -> int:
    """Write a new room file with its first member; the others and the tables are added, then all sign.

    Parameters
    ----------
    path
        The room file to write; refused if there is one.
    name
        What the room is for, in words.
    founder
        The directory of the first member.
    ability
        What the first member may do: query, receive, host, compute; may be repeated.
    allow_cleartext
        Columns may be shared in clear.
    allow_duplicates
        A fingerprint column may hold one value twice.
    allow_joins_on_columns_with_different_names
        One fingerprint key for all columns, not one a header.
    preserve_nulls
        NULLs stay NULL in encrypted columns.
    json_
        Print one JSON object.
    """
    if path.exists():
        raise InputError(f"{path}: is there already")
    first = MemberDirectory.open(founder)
    settings = Settings(
        allow_cleartext=allow_cleartext,
        allow_duplicates=allow_duplicates,
        allow_joins_on_columns_with_different_names=allow_joins_on_columns_with_different_names,
        preserve_nulls=preserve_nulls,
    )
    data = {
        "id": str(uuid.uuid4()),
        "name": name,
        "settings": settings.model_dump(),
        "members": [{"name": first.name, "key": first.keys().public_key(), "abilities": ability or []}],
    }
    room = Room(agreement=build(Agreement, data, str(path)))
    save_room(room, path)
    out(facts(room), f"{path}: room {name!r}, id {room.agreement.id}", json_)
    return 0


@app.command
def add_member(
    path: Path, name: str, key: str, *, ability: list[Ability] | None = None, json_: Json = False
) -> int:
    """Add a member to a room. A room in force gets a new version; its history stays.

    Parameters
    ----------
    path
        The room file.
    name
        The member's name.
    key
        Its public key, as `hitoku room member` printed it.
    ability
        What it may do: query, receive, host, compute; may be repeated.
    json_
        Print one JSON object.
    """
    with locked(path):
        room = load_room(path)
        members = [m.model_dump(mode="json") for m in room.agreement.members]
        entry = {"name": name, "key": key, "abilities": ability or []}
        room = _changed(room, {"members": [*members, entry]}, path)
    out(facts(room), f"{path}: member {name!r} added", json_)
    return 0


@app.command
def add_table(path: Path, table: Path, *, json_: Json = False) -> int:
    """Add a table to a room. A room in force gets a new version; its history stays.

    Parameters
    ----------
    path
        The room file.
    table
        A YAML file with name, owner, columns and rule.
    json_
        Print one JSON object.
    """
    text = read_text(table)
    data = load_yaml(text, len(text) + 1)
    if not isinstance(data, dict):
        raise RoomError(f"{table}: a mapping with name, owner, columns and rule is expected")
    added: Table = build(Table, data, str(table))
    with locked(path):
        room = load_room(path)
        tables = [t.model_dump(mode="json", exclude_none=True) for t in room.agreement.tables]
        tables.append(added.model_dump(mode="json", exclude_none=True))
        room = _changed(room, {"tables": tables}, path)
    out(facts(room), f"{path}: table {added.name!r} of {added.owner!r} added", json_)
    return 0


@app.command(name="sign")
def sign_(path: Path, *, member: Path, json_: Json = False) -> int:
    """Sign a room as one of its members, and keep the member's own record of what it signed.

    Parameters
    ----------
    path
        The room file; the signature is added to it.
    member
        The member's directory, with its key.
    json_
        Print one JSON object.
    """
    directory = MemberDirectory.open(member)
    with locked(path):
        room = load_room(path)
        directory.check_duties(room.agreement)
        if problems(room):  # also where this is the last signature: another draft may have one, too
            Book(directory.path, str(room.agreement.id)).check_free(room.agreement)
        signed = sign(room, directory.name, directory.keys())
        known = directory.known(room)
        if known is None or known.version == room.agreement.version or not problems(signed):
            directory.remember(room)
            directory.records(str(room.agreement.id), SystemClock()).accept(room.agreement)
        else:
            _bind(directory, room, known)
        save_room(signed, path)
    lacking = missing(signed)
    everybody = len(signers(signed)) == len(signed.agreement.members)
    rest = "all members have signed" if everybody else "all have signed whose data or duty it touches"
    if lacking:
        rest = f"still to sign: {', '.join(lacking)}"
    out(facts(signed), f"{directory.name} signed {agreement_hash(room.agreement)}; {rest}", json_)
    return 0


def _bind(directory: MemberDirectory, room: Room, known: Agreement) -> None:
    """Keep which draft this member signs on top of a version in force, which stays its word on the room.

    Raises:
        RoomError: the draft does not continue the version, or this member signed another one of its number.
    """
    continues(room, known)
    book, hash_ = Book(directory.path, str(room.agreement.id)), agreement_hash(room.agreement)
    bound, version = book.bound(), room.agreement.version
    book.check_free(room.agreement)
    author = next((one.author for one in book.records() if one.hash == hash_), directory.name)
    book.bind(bound.signed(author, version, hash_))


@app.command(name="verify")
def verify_(path: Path, *, member: Path | None = None, json_: Json = False) -> int:
    """Verify that a room is in force: all who must signed exactly this.

    Parameters
    ----------
    path
        The room file.
    member
        Also compare with what the member of this directory signed, and check its duties.
    json_
        Print one JSON object.
    """
    room = load_room(path)
    verify(room)
    if member is not None:
        MemberDirectory.open(member).room(room)
    count, signed, hash_ = len(room.agreement.members), len(signers(room)), agreement_hash(room.agreement)
    words = f"In force: all {count} members signed {hash_}"
    if signed < count:
        words = f"In force: {signed} of {count} members signed {hash_}, all whose data or duty it touches"
    out(facts(room), words, json_)
    return 0


@app.command
def show(path: Path, *, json_: Json = False) -> int:
    """Show what the members of a room agree on.

    Parameters
    ----------
    path
        The room file.
    json_
        Print one JSON object.
    """
    room = load_room(path)
    if json_:
        data = facts(room) | {"agreement": room.agreement.model_dump(mode="json", exclude_none=True)}
        out(data, "", True)
        return 0
    sys.stdout.write("\n".join(one_line(line) for line in words_of(room)) + "\n")
    return 0


@app.command
def diff(path: Path, other: Path | None = None, *, json_: Json = False) -> int:
    """Show what changed between two versions of a room, and whose data or duty each change touches.

    Parameters
    ----------
    path
        The room file; without `other`, its newest version is compared with the one before.
    other
        An older file of the same room.
    json_
        Print one JSON object.
    """
    room = load_room(path)
    if other is not None:
        old = load_room(other).agreement
    elif room.history:
        old = room.history[-1].agreement
    else:
        raise InputError(f"{path}: has version 1 only; name an older file to compare with")
    found = changes(old, room.agreement)
    signers = must_sign(old, room.agreement)
    if other is None or old.version == room.agreement.version - 1:
        signers = signers_of(room)
    data = {
        "id": str(room.agreement.id),
        "from": {"version": old.version, "hash": agreement_hash(old)},
        "to": {"version": room.agreement.version, "hash": agreement_hash(room.agreement)},
        "changes": [c.to_dict() for c in found],
        "must_sign": sorted(signers.current | signers.previous),
        "everybody": signers.everybody,
    }
    lines = [f"version {old.version} -> {room.agreement.version}"]
    for change in found:
        before, after = (brief(v) if v is not None else "nothing" for v in (change.before, change.after))
        lines.append(f"  {change.path}: {before} -> {after} (touches {', '.join(change.touches)})")
    if not found:
        lines.append("  no difference")
    lines.append("must sign: " + (", ".join(sorted(signers.current | signers.previous)) or "nobody"))
    if signers.everybody:
        lines.append("  everybody: the shares of the history that members use alone are used up")
    out(data, "\n".join(one_line(line) for line in lines), json_)
    return 0


@app.command
def budgets(
    path: Path = Path(),
    *,
    member: Annotated[str | None, Parameter(name="--as")] = None,
    json_: Json = False,
) -> int:
    """Show how much of their accounts and access budgets the owners on this machine have spent.

    Parameters
    ----------
    path
        The room's directory, or its room.yaml.
    member
        Only this member's.
    json_
        Print one JSON object.
    """
    workspace = Workspace.open(path)
    names = list(workspace.members) if member is None else [workspace.member(member).name]
    accounts: list[dict[str, Any]] = []
    windows: list[dict[str, Any]] = []
    for name in names:
        directory = workspace.members[name]
        agreement = directory.room(workspace.room).agreement
        records = directory.records(str(agreement.id), SystemClock())
        accounts += [account.to_dict() for account in records.accounts(agreement)]
        windows += [{"owner": name, **window.to_dict()} for window in records.windows(agreement)]
        records.store.close()
    lines = [_account(a) for a in accounts] + [
        f"{w['owner']}'s table {w['table']}: {w['left']:,} of {w['budget']:,} questions left ({w['window']}"
        + (")" if w["since"] is None else f" of {w['since']})")
        for w in windows
    ]
    words = "\n".join(one_line(line) for line in lines or ["no member here has an account"])
    out({"accounts": accounts, "windows": windows}, words, json_)
    return 0


def _account(account: dict[str, Any]) -> str:
    spent, left = account["spent"], account["left"]
    since = "" if account["period"] == "ever" else f" in {account['period']}"
    return (
        f"{account['owner']}'s account for {account['unit']}: epsilon {spent['epsilon']} of "
        f"{account['epsilon']} spent{since} (delta {account['delta']}) by {account['charges']:,} questions; "
        f"{left['percent']} % of what can be spent is left"
    )


@app.command
def export(path: Path | None = None, *, schema: Flag = False) -> int:
    """Print a room as canonical JSON (RFC 8785), the bytes that are signed; or the JSON Schema of room files.

    Parameters
    ----------
    path
        The room file.
    schema
        Print the published JSON Schema instead.
    """
    if schema:
        sys.stdout.write(json.dumps(Room.model_json_schema(by_alias=True), indent=2) + "\n")
    elif path is None:
        raise InputError("name a room file, or --schema")
    else:
        sys.stdout.write(canonical(load_room(path).agreement).decode() + "\n")
    return 0
