# SPDX-License-Identifier: Apache-2.0
"""Reference values between members, as files: `hitoku attest reference export` and `import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from hitoku import limits
from hitoku.cli.attest_member import Json, Opened, bounded, opened, out
from hitoku.cli.attest_shown import show
from hitoku.errors import InputError
from hitoku.findings import findings

if TYPE_CHECKING:
    from hitoku.attestation.reference import ReferenceValue

__all__ = ["about", "export", "import_", "validated"]

_BUNDLE: Final = "hitoku/reference-bundle/1"
_SHORTEST: Final = 8


def export(
    *, room: Path = Path(), member: Path, output: Path | None = None, program: str | None = None
) -> int:
    """Write statements with their signatures, for the other members to import.

    Parameters
    ----------
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    output
        The file to write; standard output by default.
    program
        Only statements about this program: its digest, or its first digits.
    """
    from hitoku.room.files import write_whole

    with opened(room, member) as here:
        entries = (
            here.kept.registry(here.agreement).entries if program is None else about(here, program, None)
        )
        bundle = {
            "format": _BUNDLE,
            "room": str(here.agreement.id),
            "entries": [e.model_dump(mode="json", exclude_none=True) for e in entries],
        }
    text = json.dumps(bundle, ensure_ascii=False, indent=1)
    if output is None:
        out({}, text, False)
    else:
        write_whole(output, text.encode() + b"\n")
    return 0


def import_(file: Path, *, room: Path = Path(), member: Path, json_: Json = False) -> int:
    """Take in statements and signatures that another member exported.

    What is older than what is in force is refused, and with it the whole file.

    Parameters
    ----------
    file
        What `export` wrote.
    room
        The room file, or the directory with its room.yaml.
    member
        The member's own directory.
    json_
        Print one JSON object.
    """
    content = bounded(file, limits.MAX_REFERENCE_BYTES)
    try:
        data = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InputError(f"{file}: not JSON") from None
    if not isinstance(data, dict) or set(data) != {"format", "room", "entries"} or data["format"] != _BUNDLE:
        raise InputError(f"{file}: an export of reference values ({_BUNDLE}) is expected")
    if not isinstance(data["entries"], list) or len(data["entries"]) > limits.MAX_REFERENCE_VALUES:
        raise InputError(
            f"{file}: a list of at most {limits.MAX_REFERENCE_VALUES} reference values is expected"
        )
    entries = [validated(entry) for entry in data["entries"]]
    with opened(room, member) as here:
        registry = here.kept.put(entries, here.agreement, "import")
        places = {(e.identity, e.serial) for e in entries}
        show([e for e in registry.entries if (e.identity, e.serial) in places], registry, here, json_)
    return 0


def about(here: Opened, program: str, kind: str | None) -> list[ReferenceValue]:
    """The statements about a program, by its digest or its first digits.

    Raises:
        InputError: there is none, or several programs begin so.
    """
    entries = here.kept.registry(here.agreement).entries
    found = [e for e in entries if e.program.startswith(program.lower()) and kind in {None, str(e.kind)}]
    if len(program) < _SHORTEST or not found:
        raise InputError(
            f"no program in the registry begins with {program!r}; at least {_SHORTEST} digits are needed"
        )
    if len({e.program for e in found}) > 1:
        raise InputError(f"several programs begin with {program!r}: give more digits")
    return found


def validated(data: object) -> ReferenceValue:
    """A reference value of JSON.

    Raises:
        InputError: it is none.
    """
    from hitoku.attestation.reference import ReferenceValue

    try:
        return ReferenceValue.model_validate(data)
    except ValidationError as error:
        raise InputError(f"a reference value: {findings(error, 'all of it')}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
