# SPDX-License-Identifier: Apache-2.0
"""`hitoku room import-rule`: an analysis rule of AWS Clean Rooms as the rule of a room's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from cyclopts import Parameter
from pydantic import ValidationError

from hitoku import limits
from hitoku.cli.room import Json, out
from hitoku.cli.room_words import facts
from hitoku.cli.show import one_line
from hitoku.errors import InputError, RoomError
from hitoku.findings import findings
from hitoku.questions import template_hash
from hitoku.room.agreement import Agreement
from hitoku.room.clean_rooms import Imported, Note, read_rule
from hitoku.room.files import load_room, locked, save_room
from hitoku.room.versions import revise
from hitoku.room.yamlfile import Dumper

__all__ = ["import_rule"]

_MEANS = {"more": "ALLOWS MORE", "less": "allows less", "same": "note"}
_Repeated = Annotated[tuple[str, ...], Parameter(negative="")]


def import_rule(
    file: Path,
    *,
    table: str,
    room: Path | None = None,
    account: _Repeated = (),
    template: _Repeated = (),
    json_: Json = False,
) -> int:
    """Take over an analysis rule of AWS Clean Rooms, and say what has no counterpart.

    Parameters
    ----------
    file
        JSON, as `aws cleanrooms get-configured-table-analysis-rule` and others print it.
    table
        The table in the room.
    room
        The room file; its table gets the rule. A room in force gets a new version. Without it, the rule is
        printed.
    account
        Which member an AWS account is, 123456789012=MEMBER; may be given more than once.
    template
        Which template of the room an analysis template is, ARN=NAME; may be given more than once.
    json_
        Print one JSON object.
    """
    members = dict(_pair(one, "--account 123456789012=MEMBER") for one in account)
    templates = dict(_pair(one, "--template ARN=NAME") for one in template)
    text = _read(file)
    if room is None:
        if templates:
            raise InputError("--template names templates of a room: name the room too")
        made = read_rule(text, members=members)
        _print(made, table, "", json_)
        return 0
    with locked(room):
        known = load_room(room)
        agreement = known.agreement
        made = read_rule(text, members=members, templates=_hashes(agreement, templates))
        if agreement.table(table) is None:
            raise RoomError(f"{room}: has no table {table!r}")
        tables = [
            {**t.model_dump(mode="json", by_alias=True, exclude_none=True), **_rule(made, t.name == table)}
            for t in agreement.tables
        ]
        try:
            changed = revise(known, {"tables": tables})
        except ValidationError as error:
            raise RoomError(f"{room}: {findings(error, 'room')}") from None
        save_room(changed, room)
    _print(made, table, f"{room}: table {table} has the rule; its owner signs it", json_, facts(changed))
    return 0


def _pair(given: str, form: str) -> tuple[str, str]:
    # An ARN has no equals sign; a member's or template's name has none either.
    name, equals, of = given.rpartition("=")
    if not equals or not name or not of:
        raise InputError(f"{form} is expected")
    return name, of


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(4 * limits.MAX_CLEAN_ROOMS_CHARS + 1)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: not UTF-8 text") from None


def _hashes(agreement: Agreement, templates: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, of in templates.items():
        template = agreement.template(of)
        if template is None:
            raise InputError(f"the room has no template {of!r}")
        found[name] = template_hash(template)
    return found


def _rule(made: Imported, wanted: bool) -> dict[str, object]:
    return {"rule": made[0].model_dump(mode="json", by_alias=True, exclude_none=True)} if wanted else {}


def _print(
    made: Imported, table: str, words: str, as_json: bool, more: dict[str, object] | None = None
) -> None:
    rule, notes = made
    data = rule.model_dump(mode="json", by_alias=True, exclude_none=True)
    lines = [words] if words else [_yaml(data)]
    lines += [one_line(_line(note)) for note in notes]
    if not notes:
        lines.append("Everything was taken over.")
    out(
        {"table": table, "rule": data, "notes": [n.to_dict() for n in notes], **(more or {})},
        "\n".join(lines),
        as_json,
    )


def _yaml(data: dict[str, object]) -> str:
    return yaml.dump({"rule": data}, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


def _line(note: Note) -> str:
    return f"{_MEANS[note.effect]}: {note.words}"
