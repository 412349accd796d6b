# SPDX-License-Identifier: Apache-2.0
"""`hitoku room attestation`: what a room's members agree on for attestation."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from hitoku.cli.room import Json, build, out
from hitoku.cli.room_words import facts
from hitoku.errors import RoomError
from hitoku.findings import findings
from hitoku.room.attestation import Attestation
from hitoku.room.files import load_room, locked, read_text, save_room
from hitoku.room.versions import revise
from hitoku.room.yamlfile import load_yaml

__all__ = ["attestation"]


def attestation(path: Path, part: Path, *, json_: Json = False) -> int:
    """Put a room's part about attestation into it. A room in force gets a new version; its history stays.

    Parameters
    ----------
    path
        The room file.
    part
        A YAML file with accept and, where wanted, signers, software, authorities, hardware, advisories,
        crosstab and minutes.
    json_
        Print one JSON object.
    """
    text = read_text(part)
    data = load_yaml(text, len(text) + 1)
    if not isinstance(data, dict):
        raise RoomError(f"{part}: a mapping with `accept` is expected")
    made: Attestation = build(Attestation, data, str(part))
    with locked(path):
        room = load_room(path)
        try:
            changed = revise(room, {"attestation": made.model_dump(mode="json", exclude_none=True)})
        except ValidationError as error:
            raise RoomError(f"{path}: {findings(error, 'room')}") from None
        save_room(changed, path)
    out(
        facts(changed),
        f"{path}: attestation by {', '.join(made.accept)}; all owners of tables sign it",
        json_,
    )
    return 0
