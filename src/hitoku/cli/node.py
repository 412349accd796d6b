# SPDX-License-Identifier: Apache-2.0
"""`hitoku node`: a member's node, which the other members' nodes talk to."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hitoku.cli.show import one_line
from hitoku.errors import InputError, PeerError

__all__ = ["app"]

app = App(name="node", help="Serve a member's node, and see the others.", help_format="plaintext")

Json = Annotated[bool, Parameter(name="--json", negative="")]


@app.command
def init(
    directory: Path,
    *,
    room: Path,
    listen: str = "127.0.0.1:8443",
    url: str | None = None,
    peer: list[str] | None = None,
    health: str | None = None,
    invitations: str | None = None,
    json_: Json = False,
) -> int:
    """Write node.toml, the settings of a member's node, into the member's directory.

    Parameters
    ----------
    directory
        The member's own directory.
    room
        The room file that all members signed.
    listen
        HOST:PORT to listen on for the other members' nodes.
    url
        https://HOST:PORT where they reach it; the same as `listen` where nothing is said.
    peer
        NAME=https://HOST:PORT of another member. May be repeated.
    health
        HOST:PORT on loopback where a local supervisor can ask for /health.
    invitations
        HOST:PORT to listen on for who is invited into a room (`hitoku room invite`).
    json_
        Print one JSON object.
    """
    from hitoku.node.certificate import certificate_file
    from hitoku.node.settings import NodeSettings
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.files import load_room

    member = MemberDirectory.open(directory)
    agreement = load_room(room).agreement
    names = {m.name for m in agreement.members}
    if member.name not in names:
        raise InputError(f"{member.name!r} is no member of room {agreement.name!r}")
    peers: dict[str, str] = {}
    for given in peer or []:
        name, equals, address = given.partition("=")
        if not equals or name not in names - {member.name}:
            raise InputError(f"--peer NAME=URL names another member of room {agreement.name!r}")
        peers[name] = address
    file = os.path.relpath(room.resolve(), directory.resolve())
    data = {
        "listen": listen,
        "url": f"https://{listen}" if url is None else url,
        "health": health,
        "invitations": invitations,
        "rooms": [{"file": file, "peers": peers}],
    }
    path = NodeSettings.made(data, "node.toml").write(directory)
    certificate_file(member)
    unknown = sorted(names - {member.name} - peers.keys())
    if json_:
        sys.stdout.write(json.dumps({"file": str(path), "without_address": unknown}) + "\n")
    else:
        sys.stdout.write(f"{path}: written; start the node with `hitoku node serve {directory}`\n")
        if unknown:
            sys.stdout.write(f"Add the addresses of {', '.join(unknown)} to [rooms.peers] in it.\n")
    return 0


@app.command
def serve(directory: Path) -> int:
    """Serve a member's node until it is stopped (SIGTERM, Ctrl-C). Logs one JSON object a line to stderr.

    What runs when it is stopped gets a short while to end, and is then ended. A new version of a room is
    taken up when its file is in place and all have signed who must.

    Parameters
    ----------
    directory
        The member's own directory.
    """
    from hitoku.node.serving import NodeProcess, json_log

    log = json_log()

    def ready() -> None:
        log.info("serving", member=node.directory.name, listen=node.settings.listen, rooms=len(node.rooms))

    node = NodeProcess(directory, log, ready)
    ended = node.run()
    log.info("stopped", member=node.directory.name, ended=ended)
    if not ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


@app.command
def status(directory: Path, *, room: str | None = None, json_: Json = False) -> int:
    """Say which members' nodes answer, what they run, and how far their ledgers are.

    Parameters
    ----------
    directory
        The member's own directory.
    room
        The room's name or id; may be left out where the node has one room.
    json_
        Print one JSON object.
    """
    from hitoku.node.remote import open_remote_room

    handle = open_remote_room(directory, room)
    found = handle.status()
    good = all(one["reached"] and one["same_room"] and "problem" not in one for one in found)
    if json_:
        sys.stdout.write(json.dumps({"room": handle.hash, "ok": good, "members": found}) + "\n")
        return 0 if good else PeerError.exit_code
    for one in found:
        sys.stdout.write(one_line(_line(one)) + "\n")
    return 0 if good else PeerError.exit_code


def _line(one: dict[str, object]) -> str:
    if not one["reached"]:
        return f"{one['member']}: {one['problem']}"
    words = f"{one['member']}: answers, hitoku {one['hitoku']}, version {one['version']} of the room"
    if not one["same_room"]:
        words += ", which is another than here: get the newer one with `hitoku room pull`"
    head = one.get("head")
    if isinstance(head, dict):
        words += f", {head['size']} ledger entries"
    return words + (f"; {one['problem']}" if "problem" in one else "")
