# SPDX-License-Identifier: Apache-2.0
"""`hitoku room shares`: which three members compute on secret-shared tables, and what is public of those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hitoku.cli.room import Flag, Json, build, out
from hitoku.cli.room_words import facts
from hitoku.errors import RoomError
from hitoku.findings import findings
from hitoku.room.agreement import ProtectionName
from hitoku.room.files import load_room, locked, read_text, save_room
from hitoku.room.shares import Shares
from hitoku.room.versions import revise
from hitoku.room.yamlfile import load_yaml

__all__ = ["shares"]


def shares(path: Path, part: Path, *, only: Flag = False, json_: Json = False) -> int:
    """Put a room's part about secret shares into it. A room in force gets a new version; its history stays.

    Parameters
    ----------
    path
        The room file.
    part
        A YAML file with `servers`, three members with the ability compute, the leader first; and where wanted
        `tables`.
    only
        Accept no other protection. Without it, `shares` comes after those that the room accepts already.
    json_
        Print one JSON object.
    """
    text = read_text(part)
    data = load_yaml(text, len(text) + 1)
    if not isinstance(data, dict):
        raise RoomError(f"{part}: a mapping with `servers` is expected")
    made: Shares = build(Shares, data, str(part))
    with locked(path):
        room = load_room(path)
        before = [] if only else [str(p) for p in room.agreement.protections if p != ProtectionName.SHARES]
        change: dict[str, Any] = {
            "shares": made.model_dump(mode="json", exclude_none=True),
            "protections": [*before, str(ProtectionName.SHARES)],
        }
        try:
            changed = revise(room, change)
        except ValidationError as error:
            raise RoomError(f"{path}: {findings(error, 'room')}") from None
        save_room(changed, path)
    accepted = ", ".join(changed.agreement.protections)
    words = f"{path}: {', '.join(made.servers)} compute on shares; protections: {accepted}"
    out(facts(changed), words, json_)
    return 0
