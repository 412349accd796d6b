# SPDX-License-Identifier: Apache-2.0
"""`hitoku learn`: plans of learning runs, the runs, and what came of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from hitoku.cli.show import one_line
from hitoku.errors import InputError, RoomError
from hitoku.learning.planning import Meaning, made, meaning
from hitoku.learning.signing import FORMAT, SignedPlan, check_room, publics_of, sign
from hitoku.room.agreement import Room
from hitoku.room.directory import ROOM_FILE, MemberDirectory
from hitoku.room.files import load_room, locked, read_text
from hitoku.room.signing import verify
from hitoku.room.yamlfile import load_yaml

__all__ = ["app", "need_learning", "room_of"]

app = App(name="learn", help="Learn a model together on updates that nobody can read.")
app.command("hitoku.cli.learn_data:app", name="data", help="Make tables of five banks to try it with.")
app.command("hitoku.cli.learn_run:run", name="run", help="Be the server of a run.")
app.command("hitoku.cli.learn_run:join", name="join", help="Be a bank in a run: bring rows.")
app.command("hitoku.cli.learn_result:evaluate", name="evaluate", help="Alone, joint, pooled and ensemble.")
app.command("hitoku.cli.learn_result:score", name="score", help="Score rows with a model.")
app.command("hitoku.cli.learn_result:export", name="export", help="Write trees as an XGBoost file.")
app.command("hitoku.cli.learn_result:audit", name="audit", help="Check what the server of a run saw.")

Json = Annotated[bool, Parameter(name="--json", negative="")]
Flag = Annotated[bool, Parameter(negative="")]
_TOPICS = {
    "threshold": "Threshold",
    "collusion": "Who must collude",
    "overflow": "Overflow",
    "learns": "Who learns what",
    "cost": "Cost",
    "privacy": "Privacy",
    "guard": "Poisoned updates",
}


@app.command
def plan(
    file: Path,
    *,
    room: Path = Path(),
    output: Path | None = None,
    member: Path | None = None,
    sign_: Annotated[bool, Parameter(name="--sign", negative="")] = False,
    json_: Json = False,
) -> int:
    """Make a plan from a few lines, look at one, or sign one. Says what it means; reads no row.

    Parameters
    ----------
    file
        YAML or JSON with name, data and model (and where wanted members, server, aggregation, privacy,
        guard); or a plan that was made before.
    room
        The room's directory, or its room.yaml.
    output
        The plan's file to write; needed where `file` is not a plan yet.
    member
        The directory of the member that signs.
    sign_
        Add this member's signature. Every member of the plan, and its server, must sign.
    json_
        Print one JSON object.
    """
    agreed = room_of(room, member)
    data = load_yaml(read_text(file), 1 << 22)
    if isinstance(data, dict) and data.get("format") == FORMAT:
        target, signed = output or file, SignedPlan.load(file)
        check_room(signed.plan, agreed.agreement)
    elif isinstance(data, dict):
        if output is None:
            raise InputError(f"{file}: is not a plan yet: name the file to write with --output")
        if output.exists():
            raise InputError(f"{output}: is there already; a plan is made once")
        target, signed = output, SignedPlan(made(data, agreed.agreement, str(file)), {})
        check_room(signed.plan, agreed.agreement)
        signed.save(target)
    else:
        raise InputError(f"{file}: a mapping with name, data and model is expected")
    if sign_:
        if member is None:
            raise InputError("--sign: name the directory of the member that signs with --member")
        directory = MemberDirectory.open(member)
        with locked(target):
            signed = sign(SignedPlan.load(target), directory.name, directory.keys(), agreed.agreement)
            signed.save(target)
    missing = signed.missing(publics_of(agreed.agreement))
    _say(target, signed, meaning(signed.plan), missing, json_)
    return 0


def _say(path: Path, signed: SignedPlan, told: Meaning, missing: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        data: dict[str, Any] = {"file": str(path), "plan": signed.hash, "missing": list(missing)}
        sys.stdout.write(json.dumps(data | told.to_dict(), ensure_ascii=False) + "\n")
        return
    lines = [f"Plan {told.plan.name}, {signed.hash}", f"{path}"]
    lines.append(f"Members: {', '.join(told.plan.members)}. Server: {told.plan.server}.")
    for topic, title in _TOPICS.items():
        lines += ["", f"{title}:", *(f"  {one_line(line)}" for line in told.sentences[topic])]
    lines += ["", f"Not signed yet: {', '.join(missing)}." if missing else "Signed by all: it can be run."]
    sys.stdout.write("\n".join(lines) + "\n")


def room_of(path: Path, member: Path | None = None) -> Room:
    """The room of a file or directory, in force; with a member, as that member knows it.

    Raises:
        RoomError: it is not in force, or the member knows another.
    """
    shared = load_room(path / ROOM_FILE if path.is_dir() else path)
    if member is not None:
        return MemberDirectory.open(member).room(shared)
    verify(shared)
    return shared


def need_learning() -> None:
    """Say how to install what learning runs need, where it is missing.

    Raises:
        InputError: the extra is not installed.
    """
    from importlib.util import find_spec

    if find_spec("numpy") is None:
        raise InputError("learning needs the extra `learning`: `pip install 'hitoku[learning]'`")


def signed_plan(path: Path) -> SignedPlan:
    """A plan's file.

    Raises:
        RoomError: there is none.
        InputError: it is not a plan.
    """
    if not path.is_file():
        raise RoomError(f"{path}: there is no such plan")
    return SignedPlan.load(path)
