# SPDX-License-Identifier: Apache-2.0
"""`hitoku room models`: which members may have their rows scored by which model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from hitoku.cli.room import Json, build, out
from hitoku.cli.room_words import facts
from hitoku.errors import RoomError
from hitoku.findings import findings
from hitoku.room.files import load_room, locked, read_text, save_room
from hitoku.room.models import ServedModel
from hitoku.room.versions import revise
from hitoku.room.yamlfile import load_yaml

__all__ = ["models"]


def models(
    path: Path,
    part: Path | None = None,
    *,
    remove: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    json_: Json = False,
) -> int:
    """Put served models into a room, or take them out. A room in force gets a new version.

    Parameters
    ----------
    path
        The room file.
    part
        A YAML file with `models`, as `hitoku model serve` prints it. A model that the room has is replaced.
    remove
        A model that goes; may be given more than once.
    json_
        Print one JSON object.
    """
    given = [] if part is None else _read(part)
    if not given and not remove:
        raise RoomError("name a file with `models`, or a model with --remove")
    with locked(path):
        room = load_room(path)
        kept = {m.name: m for m in room.agreement.models}
        for name in remove:
            if kept.pop(name, None) is None:
                raise RoomError(f"{path}: has no model {name!r}")
        kept |= {m.name: m for m in given}
        try:
            changed = revise(room, {"models": [m.model_dump(mode="json") for m in kept.values()]})
        except ValidationError as error:
            raise RoomError(f"{path}: {findings(error, 'room')}") from None
        save_room(changed, path)
    touched = ", ".join((*remove, *(m.name for m in given)))
    out(facts(changed), f"{path}: {touched}; the models' owners sign it", json_)
    return 0


def _read(part: Path) -> list[ServedModel]:
    text = read_text(part)
    data = load_yaml(text, len(text) + 1)
    found = data.get("models") if isinstance(data, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise RoomError(f"{part}: a mapping with a list `models` is expected")
    return [build(ServedModel, one, str(part)) for one in found]
