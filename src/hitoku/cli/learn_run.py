# SPDX-License-Identifier: Apache-2.0
"""`hitoku learn run` and `hitoku learn join`: the processes of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hitoku.cli.learn import need_learning, signed_plan
from hitoku.cli.show import TerminalProgress
from hitoku.errors import InputError
from hitoku.room.directory import ROOM_FILE, MemberDirectory, Workspace
from hitoku.room.files import load_room

__all__ = ["by_name", "join", "run"]

Json = Annotated[bool, Parameter(name="--json", negative="")]


def run(
    plan: Path,
    *,
    member: Path | None = None,
    room: Path = Path(),
    out: Path,
    listen: str = "127.0.0.1:0",
    announce: str | None = None,
    wait: float = 600.0,
    data: list[str] | None = None,
    json_: Json = False,
) -> int:
    """Be the server of a run, from its start or from where it stood when it stopped.

    Writes server.json, which the members need to join, as soon as they can; at the end model.json and
    report.json, beside the transcript of everything that was sent and received.

    Parameters
    ----------
    plan
        The plan that all members have signed.
    member
        The server's own directory.
    room
        The room's directory, or its room.yaml.
    out
        The run's folder.
    listen
        HOST:PORT for the members; port 0 takes any that is free.
    announce
        HOST or HOST:PORT that server.json names, where members reach this machine by another address than it
        listens on, such as 0.0.0.0; this machine's name where none is given.
    wait
        So many seconds for all members; then the run begins without those that are not there, if enough are.
    data
        NAME=URI of a member's rows, for each member: then all members are in this process, their directories
        being on this machine, and nothing listens.
    json_
        Print the report as one JSON object.
    """
    need_learning()
    signed = signed_plan(plan)
    progress = TerminalProgress()
    try:
        if data:
            from hitoku.node.learning_run import together

            report = together(Workspace.open(room), signed, out, by_name(data), progress)
        else:
            from hitoku.node.learning_run import serve_run

            if member is None:
                raise InputError("--member DIR: the server's own directory")
            host, _, port = listen.rpartition(":")
            if not host or not port.isdigit() or int(port) > 65_535:
                raise InputError("--listen HOST:PORT")
            if host.startswith("[") and host.endswith("]"):
                host = host[1:-1]
            directory = MemberDirectory.open(member)
            shared = load_room(room / ROOM_FILE if room.is_dir() else room)

            def up(path: Path, _: object) -> None:
                sys.stderr.write(f"Members can join with {path}\n")

            report = serve_run(
                directory, shared, signed, out,
                host=host, port=int(port), announce=announce, wait=wait, progress=progress, up=up,
            )  # fmt: skip
    finally:
        progress.close()
    _show(report, out, json_)
    return 0


def join(
    plan: Path,
    *,
    member: Path,
    data: str,
    server: Path,
    room: Path = Path(),
    state: Path | None = None,
    patience: float = 600.0,
    json_: Json = False,
) -> int:
    """Be a bank in a run until it ends: the process keeps rows and keys, and answers the server.

    Before a row is read, the run is written into this member's ledger, and what its noise costs is charged.

    Parameters
    ----------
    plan
        The plan that all members have signed.
    member
        The bank's own directory.
    data
        The rows: a path or URI of a CSV or Parquet file, a DuckDB or PostgreSQL table.
    server
        The file server.json, from the server.
    room
        The room's directory, or its room.yaml.
    state
        A folder for what must outlive a restart; learning/RUN in the member's directory where none is named.
    patience
        So many seconds without a server end it.
    json_
        Print one JSON object.
    """
    need_learning()
    from hitoku.node.learning_run import join_run

    directory = MemberDirectory.open(member)
    shared = load_room(room / ROOM_FILE if room.is_dir() else room)

    def connected() -> None:
        sys.stderr.write(f"{directory.name}: connected\n")

    ended = join_run(
        directory, shared, signed_plan(plan), server, data,
        state=state, patience=patience, connected=connected,
    )  # fmt: skip
    if json_:
        sys.stdout.write(json.dumps({"member": directory.name, "ended": ended}) + "\n")
    elif ended is None:
        sys.stdout.write(f"{directory.name}: the run has stopped without a model\n")
    else:
        sys.stdout.write(f"{directory.name}: {ended['steps']} steps, model {ended['model']}\n")
    return 0 if ended is not None else 8


def by_name(data: list[str]) -> dict[str, str]:
    """NAME=URI by name.

    Raises:
        InputError: one of them is not of this form, or a name is there twice.
    """
    found: dict[str, str] = {}
    for given in data:
        name, equals, uri = given.partition("=")
        if not equals or not uri or name in found:
            raise InputError("--data NAME=URI names each member once")
        found[name] = uri
    return found


def _show(report: dict[str, Any], out: Path, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
        return
    saw = report["saw"]
    stopped = {
        None: "as planned",
        "early": "stopped early, since the holdouts' loss no longer fell",
        "votes": "stopped by the members' votes",
        "changes": "stopped: members were lost more often than the plan allows",
    }[report["stopped"]]
    lines = [
        f"{out / 'model.json'}: {report['steps']} steps, {stopped}; {report['model']}",
        f"{report['seconds']:.1f} s, {saw['sums']} sums opened, {report['losses']} steps discarded",
        f"The server received {saw['received']:,} bytes, {saw['protected_share']:.1%} of them protected",
    ]
    if report["left_out"]:
        lines.append(f"Left out after votes: {', '.join(report['left_out'])}")
    sys.stdout.write("\n".join(lines) + "\n")
