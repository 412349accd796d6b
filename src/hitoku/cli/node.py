# SPDX-License-Identifier: Apache-2.0
"""`hitoku node`: a member's node, which the other members' nodes talk to."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from hitoku.cli.show import one_line
from hitoku.errors import InputError, PeerError

if TYPE_CHECKING:
    from hitoku.node.services import MakeService

__all__ = ["app"]

app = App(name="node", help="Serve a member's node, and see the others.", help_format="plaintext")

for _module, _function, _name, _help in (
    ("backup", "backup", "backup", "Write a backup of a member's node."),
    ("backup", "restore", "restore", "Restore a member's node from a backup, and let it go on."),
    ("backup", "accept", "accept-restored", "Go on with a member whose node was restored."),
    ("rotation", "rotate_key", "rotate-key", "Change a member's key in all its rooms."),
):
    app.command(f"hitoku.cli.{_module}:{_function}", name=_name, help=_help)

Json = Annotated[bool, Parameter(name="--json", negative="")]


@app.command
def init(
    directory: Path,
    *,
    room: Path | None = None,
    listen: str = "127.0.0.1:8443",
    url: str | None = None,
    peer: list[str] | None = None,
    health: str | None = None,
    invitations: str | None = None,
    shares: str | None = None,
    advertise: str | None = None,
    console: str | None = None,
    console_url: str | None = None,
    json_: Json = False,
) -> int:
    """Write node.toml, the settings of a member's node, into the member's directory.

    Parameters
    ----------
    directory
        The member's own directory.
    room
        The room file that all members signed. May be left out: rooms are added later, e.g. in the console.
    listen
        HOST:PORT to listen on for the other members' nodes.
    url
        https://HOST:PORT where they reach it; the same as `listen` where nothing is said.
    peer
        NAME=https://HOST:PORT of another member. May be repeated.
    health
        HOST:PORT on loopback where a local supervisor can ask for /health.
    invitations
        HOST:PORT to listen on for who is invited into a room (`hitoku room invite`). With a console the next
        port after `listen` where nothing is said: who makes a room there invites there too.
    shares
        Of a member that computes on shares: HOST:PORT to listen on for the two other servers; port 0 takes
        any that is free. The host of `listen` and any port where nothing is said.
    advertise
        HOST:PORT where the other servers reach it; the same as `shares` where nothing is said.
    console
        HOST:PORT to show the console on, to the member's own people; on loopback, or add a certificate to
        [console] in node.toml.
    console_url
        What browsers use for it, where a proxy stands before it.
    json_
        Print one JSON object.
    """
    from hitoku.node.certificate import certificate_file
    from hitoku.node.settings import NodeSettings
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.files import load_room

    member = MemberDirectory.open(directory)
    data: dict[str, Any] = {
        "listen": listen,
        "url": f"https://{listen}" if url is None else url,
        "health": health,
        "invitations": _beside(listen, console, health) if console and invitations is None else invitations,
        "rooms": [],
    }
    unknown: list[str] = []
    serves = False
    if room is None:
        if peer:
            raise InputError("--peer belongs to a room: name it with --room")
    else:
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
        data["rooms"] = [{"file": os.path.relpath(room.resolve(), directory.resolve()), "peers": peers}]
        serves = agreement.shares is not None and member.name in agreement.shares.servers
        unknown = sorted(names - {member.name} - peers.keys())
    if shares is not None or advertise is not None or serves:
        own = f"{listen.rpartition(':')[0]}:0"
        data["shares"] = {"listen": own if shares is None else shares, "advertise": advertise}
    if console is not None:
        data["console"] = {"listen": console, "url": console_url}
    elif console_url is not None:
        raise InputError("--console-url needs --console")
    path = NodeSettings.made(data, "node.toml").write(directory)
    certificate_file(member)
    if json_:
        sys.stdout.write(json.dumps({"file": str(path), "without_address": unknown}) + "\n")
    else:
        sys.stdout.write(f"{path}: written; start the node with `hitoku node serve {directory}`\n")
        if unknown:
            sys.stdout.write(f"Add the addresses of {', '.join(unknown)} to [rooms.peers] in it.\n")
        if console is not None:
            sys.stdout.write(f"Make the first user with `hitoku user add {directory} NAME`.\n")
    return 0


def _beside(listen: str, *taken: str | None) -> str | None:
    """The next port of the same host that is not taken; None where there is none, or any will do."""
    host, _, number = listen.rpartition(":")
    others = {one.rpartition(":")[2] for one in taken if one is not None}
    if not number.isascii() or not number.isdigit() or not int(number):
        return None  # what is wrong with it, the settings say
    ports = (port for port in range(int(number) + 1, 65_536) if str(port) not in others)
    port = next(ports, None)
    return None if port is None else f"{host}:{port}"


@app.command
def serve(directory: Path) -> int:
    """Serve a member's node until it is stopped (SIGTERM, Ctrl-C). Logs one JSON object a line to stderr.

    What runs when it is stopped gets a short while to end, and is then ended. Rooms, versions of them and
    addresses are taken up and dropped while it serves, as node.toml and the room files say. The console is
    served where node.toml has [console] and hitoku is installed with it.

    Parameters
    ----------
    directory
        The member's own directory.
    """
    from hitoku.node.serving import NodeProcess, json_log

    log = json_log()

    def ready() -> None:
        log.info("serving", member=node.directory.name, listen=node.settings.listen, rooms=len(node.rooms))

    node = NodeProcess(directory, log, ready, services=_services(directory))
    ended = node.run()
    log.info("stopped", member=node.directory.name, ended=ended)
    if not ended or _threads_left():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _threads_left() -> bool:
    """Whether a thread that does not end, e.g. one that answers a browser's request, keeps the process."""
    until = time.monotonic() + 2
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                return True
    return False


def _services(directory: Path) -> list[MakeService]:
    """What else is served, as node.toml says: the console, and what brings its proposals to the others.

    Raises:
        InputError: it is to be served, and is not installed.
    """
    from hitoku.node.proposal_service import ProposalService
    from hitoku.node.settings import NodeSettings

    if NodeSettings.open(directory).console is None:
        return []
    try:
        from hitoku.console.service import ConsoleService
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hitoku":
            raise
        raise InputError(
            "node.toml has a [console], and hitoku is installed without it: install "
            "`pip install 'hitoku[console]'` (from a clone: `make build EXTRAS=console`), or take [console] "
            "out of node.toml"
        ) from None
    return [ProposalService, ConsoleService]


@app.command
def openapi() -> int:
    """Print the description of the console's API (OpenAPI 3.1, JSON), as a node serves it."""
    try:
        from hitoku.console.api.description import document
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hitoku":
            raise
        raise InputError("the console is not installed: pip install 'hitoku[console]'") from None

    sys.stdout.write(json.dumps(document(), ensure_ascii=False, indent=2) + "\n")
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
