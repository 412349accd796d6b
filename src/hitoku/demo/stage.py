# SPDX-License-Identifier: Apache-2.0
"""What the demos share: a directory, members with keys, a signed room, encrypted tables at the host."""

from __future__ import annotations

import base64
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.demo.data import write_flights, write_planes
from hitoku.errors import InputError
from hitoku.room.agreement import Agreement, Room
from hitoku.room.canonical import agreement_hash
from hitoku.room.directory import MemberDirectory, write_peers
from hitoku.room.files import load_room, save_room
from hitoku.room.keys import SECRET_FILE
from hitoku.room.private import write_private
from hitoku.room.signing import sign

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["encrypt", "members", "prepare", "room", "say"]

_MARK: Final = ".hitoku-demo"
_OWNERS: Final = {"airport": "flights", "registry": "planes"}


def say(console: Console, title: str) -> None:
    """Begin a chapter."""
    console.print()
    console.rule(f"[b]{title}", align="left")


def prepare(directory: Path) -> None:
    """Make the demo's directory, anew where an earlier demo made it.

    Raises:
        InputError: it is there and is no demo's, or cannot be made.
    """
    if directory.exists():
        if directory.is_symlink() or not (directory / _MARK).is_file():
            raise InputError(f"{directory}: is there and is not this demo's; name another with --directory")
        shutil.rmtree(directory)
    try:
        directory.mkdir(parents=True)
        (directory / _MARK).write_text("Made by `hitoku demo`; it may be deleted.\n", "utf-8")
    except OSError as error:
        raise InputError(f"{directory}: cannot be made ({error.strerror})") from None


def members(directory: Path, names: Iterable[str], console: Console) -> dict[str, MemberDirectory]:
    """Make the members and the owners' tables.

    Raises:
        InputError: the data is not installed.
    """
    made = {name: MemberDirectory.create(directory / name, name) for name in names}
    say(console, f"1  {'Three' if len(made) == 3 else len(made)} members, each with a key of its own")
    rows = {
        "airport": write_flights(made["airport"].path / "tables" / "flights.parquet"),
        "registry": write_planes(made["registry"].path / "tables" / "planes.parquet"),
    }
    console.print(
        f"airport/   an airport operator, owns flights: {rows['airport']:,} flights out of New York, 2013"
    )
    console.print(f"registry/  an aircraft registry, owns planes: {rows['registry']:,} aircraft")
    console.print("host/      runs the SQL; owns nothing, gets nothing")
    # The two owners agree on a secret between themselves; the host never has it.
    secret = base64.b64encode(secrets.token_bytes(32))
    for owner in _OWNERS:
        write_private(made[owner].path / SECRET_FILE, secret, "the shared secret")
    return made


def room(
    directory: Path,
    made: Mapping[str, MemberDirectory],
    agreement: Callable[[dict[str, str]], dict[str, Any]],
    console: Console,
) -> Agreement:
    """Write the room that all members sign."""
    say(console, "2  A room: what may be asked, signed by all")
    path = directory / "room.yaml"
    keys = {name: member.keys().public_key() for name, member in made.items()}
    save_room(Room(agreement=Agreement.model_validate(agreement(keys))), path)
    write_peers(directory, {name: name for name in made})
    for member in made.values():
        signed = sign(load_room(path), member.name, member.keys())
        member.remember(signed)
        save_room(signed, path)
    agreed = load_room(path).agreement
    console.print(f"room.yaml: {agreed.name!r}, {agreement_hash(agreed)[:23]}…")
    return agreed


def encrypt(
    directory: Path,
    made: Mapping[str, MemberDirectory],
    agreed: Agreement,
    schemas: Mapping[str, dict[str, Any]],
    console: Console,
) -> None:
    """Each owner encrypts its table and gives it to the host."""
    from hitoku import columns

    say(console, "3  Each owner encrypts its table on its own side")
    for owner, table in _OWNERS.items():
        began = time.monotonic()
        place = made[owner].path
        encrypted = place / f"{table}.encrypted.parquet"
        columns.encrypt(
            place / "tables" / f"{table}.parquet",
            encrypted,
            schemas[table],
            agreed.settings,
            str(agreed.id),
            made[owner].keys({}).shared_secret(),
        )
        shutil.copyfile(encrypted, directory / "host" / "tables" / f"{table}.parquet")
        seconds = time.monotonic() - began
        console.print(f"{owner} -> host: {table}.parquet, encrypted, rows shuffled ({seconds:.1f} s)")
