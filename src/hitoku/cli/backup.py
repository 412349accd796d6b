# SPDX-License-Identifier: Apache-2.0
"""`hitoku node backup`, `restore` and `accept-restored`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hitoku.cli.show import one_line
from hitoku.errors import HitokuError, InputError
from hitoku.ports import SystemClock

if TYPE_CHECKING:
    from hitoku.node.rejoin import Loss

__all__ = ["accept", "backup", "restore"]

Flag = Annotated[bool, Parameter(negative="")]
Json = Annotated[bool, Parameter(name="--json", negative="")]


def _out(data: dict[str, Any], lines: list[str], as_json: bool) -> None:
    text = json.dumps(data, ensure_ascii=False) if as_json else "\n".join(map(one_line, lines))
    sys.stdout.write(text + "\n")


def backup(
    directory: Path,
    *,
    to: Path,
    with_keys: Path | None = None,
    move: Flag = False,
    json_: Json = False,
) -> int:
    """Write a backup of a member's node into one file, while the node goes on.

    In it are the database, room files, settings and received answers; no plain table, and no key unless
    `--with-keys` says so. It tells what was asked and answered: keep it like the node itself.

    Parameters
    ----------
    directory
        The member's own directory.
    to
        The file to write; refused if there is one.
    with_keys
        A file, mode 600, with a passphrase of at least 12 characters: the keys are sealed under it, too.
    move
        Close this node for good in the same moment, to go on from the backup elsewhere: another machine, or
        another database. Only such a backup can be restored without a loss.
    json_
        Print one JSON object.
    """
    from hitoku.node.backup import KEYS_PART
    from hitoku.node.backup import backup as write
    from hitoku.room.directory import MemberDirectory

    made = write(MemberDirectory.open(directory), to, SystemClock(), passphrase=with_keys, move=move)
    keys = made.part(KEYS_PART) is not None
    size = to.stat().st_size
    data = {"file": str(to), "bytes": size, "parts": len(made.parts), "keys": keys, "moved": move}
    lines = [
        f"{to}: {size} bytes, {'with' if keys else 'without'} keys; it opens as {made.member}, {made.key}"
    ]
    if move:
        lines.append(f"{directory} is closed: start the node from the backup, then delete this directory")
    _out(data, lines, json_)
    return 0


def restore(
    file: Path | None = None,
    *,
    to: Path,
    with_keys: Path | None = None,
    key: str | None = None,
    database: str | None = None,
    password_file: Path | None = None,
    accept_loss: Flag = False,
    json_: Json = False,
) -> int:
    """Restore a member's node from a backup into a new directory; or, without FILE, let it go on.

    A restored node consents to nothing: it may be older than what the others have seen. Without FILE, this
    compares it with them and says how many entries it lacks; with --accept-loss it goes on, and whatever may
    have been spent since the backup counts as spent: its accounts are closed for their period. A node that
    was moved (`hitoku node backup --move`) goes on as soon as all other members know that it is here; this
    tells them, with or without FILE.

    Parameters
    ----------
    file
        The backup.
    to
        The directory: a new one where FILE is given, else the restored one.
    with_keys
        The file with the passphrase of the keys.
    key
        The member's public key, ed25519:..., as you know it from elsewhere: the room's file, another member.
        The backup must be signed by it. Needed where --with-keys is not given.
    database
        postgresql://USER@HOST:PORT/NAME of an empty database for the state, without a password; an SQLite
        file in the directory where nothing is said.
    password_file
        The file with that database's password, mode 600; PGPASSWORD or PGPASSFILE where nothing is said.
    accept_loss
        Let the restored ledgers go on.
    json_
        Print one JSON object.
    """
    from hitoku.node.rejoin import compare
    from hitoku.node.restore import restore as read
    from hitoku.room.directory import MemberDirectory

    if file is None:
        if any(given is not None for given in (with_keys, key, database, password_file)):
            raise InputError("--with-keys, --key, --database and --password-file are for a backup's FILE")
        found = compare(MemberDirectory.open(to), SystemClock(), accept=accept_loss)
        _out({"rooms": [one.to_dict() for one in found]}, [_line(one) for one in found], json_)
        return 0
    if accept_loss:
        raise InputError("restore first, then look at what is missing, then accept it: leave FILE out")
    made = read(
        file,
        to,
        SystemClock(),
        passphrase=with_keys,
        key=key,
        database=database,
        password_file=password_file,
    )
    waits = _arrived(to) if made.moved and with_keys is not None else None
    data = {"directory": str(to), "member": made.member, "key": made.key, "made": made.made}
    closed = not made.moved or with_keys is None or waits is not None
    lines = [f"{to}: {made.member}, as of {made.made}, signed by {made.key}"]
    if with_keys is None:
        lines.append(f"The keys are not in it: put member.key into {to} with mode 600.")
    if not made.moved:
        lines.append("It consents to nothing yet: `hitoku node restore --to DIR` says what it lacks.")
    elif closed:
        lines.append(f"It does not go on yet: {waits}" if waits else "It does not go on yet.")
        lines.append("`hitoku node restore --to DIR` tells the other members that it is here; then it does.")
    else:
        lines.append("All other members know that it goes on here.")
    _out({**data, "closed": closed}, lines, json_)
    return 0


def _arrived(to: Path) -> str | None:
    """Tell the other members that a moved node goes on here. Returns why they do not know; None if all do."""
    from hitoku.node.rejoin import compare
    from hitoku.room.directory import MemberDirectory

    try:
        compare(MemberDirectory.open(to), SystemClock())
    except HitokuError as error:
        return str(error)
    return None


def _line(one: Loss) -> str:
    if one.accepted is not None:
        words = f"goes on with entry {one.accepted}; its accounts are closed for their period"
        if one.missing:
            words += "; every other member now runs `hitoku node accept-restored`"
        return f"{one.room}: {words}"
    if not one.closed:
        return f"{one.room}: not closed, {one.entries} entries"
    lacks = (
        f"lacks {one.missing} entries that others have seen" if one.missing else "nobody has seen more of it"
    )
    return f"{one.room}: closed, {one.entries} entries; {lacks}"


def accept(directory: Path, member: str, *, room: str | None = None, json_: Json = False) -> int:
    """Accept that a member's ledger goes on from a backup, though entries that were seen of it are lost.

    Ask that member first, over another way, what happened: until this is done, its ledger is refused as a
    forked one. Both ledgers tell of it afterwards.

    Parameters
    ----------
    directory
        The own directory.
    member
        Whose node was restored.
    room
        The room's name or id; may be left out where the node has one room.
    json_
        Print one JSON object.
    """
    from hitoku.node.rejoin import accept_restored
    from hitoku.room.directory import MemberDirectory

    entry = accept_restored(MemberDirectory.open(directory), room, member, SystemClock())
    _out(
        {"member": member, "entry": entry},
        [f"{member}: its ledger is kept from now on; entry {entry}"],
        json_,
    )
    return 0
