# SPDX-License-Identifier: Apache-2.0
"""`hitoku room join` and `pull`: getting a room, and into one, from another machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hitoku.cli.room import Flag, Json, build, out
from hitoku.cli.room_words import facts, words_of
from hitoku.cli.show import one_line
from hitoku.errors import InputError, RoomError
from hitoku.ports import SystemClock
from hitoku.room.agreement import Table
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import read_text
from hitoku.room.invitations import Invitation
from hitoku.room.signing import missing
from hitoku.room.yamlfile import load_yaml
from hitoku.transport.https.places import Networks

if TYPE_CHECKING:
    from hitoku.node.joining import Stand

__all__ = ["join", "pull"]


def join(
    directory: Path,
    invitation: Path | None = None,
    *,
    table: list[Path] | None = None,
    agreed: Annotated[str | None, Parameter(name="--hash")] = None,
    yes: Flag = False,
    room: Path | None = None,
    network: list[str] | None = None,
    json_: Json = False,
) -> int:
    """Take the next step into a room: offer this member's key, look at the agreement, sign it, get the room.

    Signs only with `--yes --hash sha256:...`, the hash being the one that was shown; or after a question, in
    a terminal.

    Parameters
    ----------
    directory
        The member's own directory; made, with a new key, where there is none.
    invitation
        The file with the invitation, `-` for stdin; later steps do not need it.
    table
        A YAML file of a table that this member brings (name, owner, columns, rule); with the first step.
    agreed
        The hash of the agreement to sign.
    yes
        Sign without a further question; only with `--hash`.
    room
        The room file to write when all have signed; room.yaml in the member's directory by default.
    network
        A private or loopback network where the inviter may be, such as 10.1.0.0/16; may be repeated. Without
        it the inviter is on the internet, or in a network that node.toml allows.
    json_
        Print one JSON object.
    """
    from hitoku.node.joining import Joining

    if yes and agreed is None:
        raise InputError("--yes signs only what --hash names: look at the agreement first")
    clock = SystemClock()
    if invitation is None:
        joining = Joining.kept(MemberDirectory.open(directory), clock, _networks(directory, network))
    else:
        text = sys.stdin.read(5_000) if str(invitation) == "-" else read_text(invitation)
        read = Invitation.from_text(text)
        new = not (directory / "member.toml").exists()
        member = MemberDirectory.create(directory, read.name) if new else MemberDirectory.open(directory)
        joining = Joining(member, read, clock, None, _networks(directory, network))
        joining.keep()
    stand = joining.look([_table(path) for path in table or ()])
    digest = agreement_hash(stand.room.agreement)
    if agreed is not None and agreed != digest:
        raise RoomError(f"the agreement is now {digest}, not {agreed}: nothing was signed; look at it again")
    if not json_:
        sys.stdout.write("\n".join(one_line(line) for line in _words(joining.directory, stand)) + "\n")
    if stand.admitted and not stand.signed and _agrees(digest, agreed, yes, json_):
        stand = joining.sign(digest)
    file = room or directory / "room.yaml"
    if stand.in_force:
        joining.finish(stand, file)
    key = joining.directory.keys().public_key()
    data = facts(stand.room) | {"admitted": stand.admitted, "signed": stand.signed, "key": key}
    data["agreement"] = stand.room.agreement.model_dump(mode="json", exclude_none=True)
    out(data | {"file": str(file) if stand.in_force else None}, _next(stand, directory, file, key), json_)
    return 0


def pull(
    directory: Path,
    *,
    room: str | None = None,
    source: Annotated[str | None, Parameter(name="--from")] = None,
    json_: Json = False,
) -> int:
    """Get the newest version of a room that is in force from the other members' nodes.

    Parameters
    ----------
    directory
        The member's own directory.
    room
        The room's name or id; may be left out where the node has one room.
    source
        Ask this member only.
    json_
        Print one JSON object.
    """
    from hitoku.node.remote import pull_room

    found, file, fetched = pull_room(directory, room, source)
    words = f"{file}: version {found.agreement.version}" + ("" if fetched else ", which is the newest")
    out(facts(found) | {"file": str(file), "new": fetched}, words, json_)
    return 0


def _networks(directory: Path, more: list[str] | None) -> Networks:
    from hitoku.node.settings import SETTINGS_FILE, NodeSettings

    listed = Networks.of((), more or ())
    if not (directory / SETTINGS_FILE).exists():
        return listed
    return Networks((*NodeSettings.open(directory).places().listed, *listed.listed))


def _table(path: Path) -> Table:
    text = read_text(path)
    data = load_yaml(text, len(text) + 1)
    if not isinstance(data, dict):
        raise RoomError(f"{path}: a mapping with name, owner, columns and rule is expected")
    made: Table = build(Table, data, str(path))
    return made


def _words(directory: MemberDirectory, stand: Stand) -> list[str]:
    lines = words_of(stand.room)
    who = stand.room.agreement.member(directory.name)
    if who is not None and stand.admitted:
        lines.append(f"you: {who.name}, {', '.join(who.abilities) or 'owns tables only'}, key {who.key}")
    if stand.changed:
        lines.append("changed since you looked last:")
        lines += [f"  {change.path} ({change.kind})" for change in stand.changed]
    return lines


def _agrees(digest: str, agreed: str | None, yes: bool, as_json: bool) -> bool:
    if agreed is not None and yes:
        return True
    if as_json or not sys.stdin.isatty():
        return False
    sys.stdout.write(f"Sign {digest}? Type yes: ")
    sys.stdout.flush()
    return sys.stdin.readline().strip() == "yes"


def _next(stand: Stand, directory: Path, file: Path, key: str) -> str:
    if stand.in_force:
        return f"{file}: the room is in force; next: hitoku node init {directory} --room {file}"
    if not stand.admitted:
        return (
            f"Your key was offered: {key}\nTell it to the inviter over another way, too; when they have "
            f"admitted it, go on with: hitoku room join {directory}"
        )
    if not stand.signed:
        digest = agreement_hash(stand.room.agreement)
        return f"Nothing was signed. To sign this: hitoku room join {directory} --yes --hash {digest}"
    rest = ", ".join(missing(stand.room))
    return f"Signed; still to sign: {rest}. Get the room later with: hitoku room join {directory}"
