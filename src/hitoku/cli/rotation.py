# SPDX-License-Identifier: Apache-2.0
"""`hitoku node rotate-key`: a member changes its key."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hitoku.cli.show import one_line
from hitoku.errors import InputError
from hitoku.ports import SystemClock

__all__ = ["rotate_key"]

Flag = Annotated[bool, Parameter(negative="")]
Json = Annotated[bool, Parameter(name="--json", negative="")]


def rotate_key(directory: Path, *, finish: Flag = False, erase: Flag = False, json_: Json = False) -> int:
    """Change a member's key: without a flag, make the new one and have it signed into all rooms.

    First without a flag; then the others sign the new versions (`hitoku room sign`); then stop the node, run
    this with --finish, and start it again; when all is well, --erase.

    Parameters
    ----------
    directory
        The member's own directory.
    finish
        Put the new key in place. The node must be stopped, and all rooms in force with the new key.
    erase
        Erase the old key, which --finish kept as member.key.retired.
    json_
        Print one JSON object.
    """
    from hitoku.node import rotation
    from hitoku.room.directory import MemberDirectory

    member = MemberDirectory.open(directory)
    if finish and erase:
        raise InputError("--finish, then look whether all is well, then --erase")
    if erase:
        gone = rotation.erase(member)
        words = "the retired key is erased" if gone else "there is no retired key"
        _out({"erased": gone}, [words], json_)
        return 0
    key, steps = rotation.finish(member, SystemClock()) if finish else rotation.begin(member)
    data: dict[str, Any] = {
        "member": member.name,
        "key": key,
        "finished": finish,
        "rooms": [{"room": s.room, "version": s.version, "missing": list(s.missing)} for s in steps],
    }
    lines = [f"{member.name}: {key}"]
    for step in steps:
        lacking = f"still to sign: {', '.join(step.missing)}" if step.missing else "all have signed"
        lines.append(f"{step.room}: version {step.version}, {lacking}")
    if finish:
        lines.append("Start the node again; when all is well, erase the old key with --erase.")
    else:
        lines.append("When all have signed: stop the node, run this with --finish, and start it again.")
    _out(data, lines, json_)
    return 0


def _out(data: dict[str, Any], lines: list[str], as_json: bool) -> None:
    text = json.dumps(data, ensure_ascii=False) if as_json else "\n".join(map(one_line, lines))
    sys.stdout.write(text + "\n")
