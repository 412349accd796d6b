# SPDX-License-Identifier: Apache-2.0
"""`hitoku ledger verify-deletion`: check a run's deletion certificate; what it proves, and what not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from hitoku import limits
from hitoku.cli.show import one_line
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.attestation.certificate import Checked
    from hitoku.room.agreement import Room

__all__ = ["verify_deletion"]

_PROVES: Final = (
    "the program that every broker measured said that it overwrote the keys and kept nothing",
    "every owner signed, and has in its ledger, that its broker destroyed the keys and releases them no more",
)
_NOT_PROVED: Final = (
    (
        "that no copy exists elsewhere: nothing can prove that. It rests on the measured program having no"
        " other way out, and on the machine that ran it being gone or switched off"
    ),
    (
        "that the measured program does what it says: who signed its reference values looked at it;"
        " compare its digest with the one that you signed for"
    ),
    (
        "that an owner shows everybody the same ledger: compare its head with the one that you hold"
        " (`hitoku ledger verify`)"
    ),
)
_SOFTWARE: Final = (
    "anything about hardware: some evidence is software's, whose operator could have made it of any program; "
    "this shows the flow and protects nothing"
)


def verify_deletion(
    file: Path,
    *,
    room: Path = Path(),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Check the deletion certificate of a run: exit code 0 if it holds, 3 with a code if it does not.

    Read again are: the worker's signed statement; each broker's challenge, the evidence that answered it,
    and the appraisal; each owner's tombstone, and the proof that it stands in that owner's ledger.

    Parameters
    ----------
    file
        The certificate, as the host wrote it beside the answer.
    room
        The room's directory, or its room.yaml: who the members are, and their keys.
    json_
        Print one JSON object.
    """
    from hitoku.attestation.certificate import check_certificate
    from hitoku.attestation.codes import Refused

    data, agreed = _read(file), _room(room)
    try:
        checked = check_certificate(data, agreed)
    except Refused as refused:
        told = json.dumps({**refused.to_dict(), "holds": False}, ensure_ascii=False)
        sys.stdout.write(
            (told if json_ else one_line(f"does not hold ({refused.code}): {refused.detail}")) + "\n"
        )
        return refused.exit_code
    not_proved = [*([_SOFTWARE] if checked.software_rooted else []), *_NOT_PROVED]
    if json_:
        found = {**checked.to_dict(), "holds": True, "proves": _PROVES, "does_not_prove": not_proved}
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join([*_lines(checked), *_list("It shows", _PROVES)]) + "\n")
        sys.stdout.write("\n".join(_list("It does not show", not_proved)) + "\n")
    return 0


def _lines(checked: Checked) -> list[str]:
    lines = [
        f"The deletion certificate of run {checked.run} holds.",
        f"  program  {checked.program}",
        f"  ran at   {checked.host}, until {checked.ended} by its own clock",
    ]
    lines += [f"  read     {table}: {name}" for table, name in sorted(checked.inputs.items())]
    lines += [f"  made     for {member}: {name}" for member, name in sorted(checked.outputs.items())]
    for part in checked.brokers:
        rooted = "software only" if part.software_rooted else "rooted in hardware"
        lines += [
            f"  {part.broker}: keys of {', '.join(part.tables)}",
            f"    released to {part.evidence} evidence ({rooted}), appraised {part.appraised}",
            f"    deleted, and refused since {part.since}: entry {part.entry} of {part.size} in its ledger",
            *(f"    the verifier could not check: {line}" for line in part.not_checked),
        ]
    return [one_line(line) for line in lines]


def _list(head: str, points: tuple[str, ...] | list[str]) -> list[str]:
    return ["", f"{head}:", *(f"- {point}" for point in points)]


def _room(path: Path) -> Room:
    from hitoku.room.directory import ROOM_FILE
    from hitoku.room.files import load_room
    from hitoku.room.signing import verify
    from hitoku.room.versions import newest_in_force

    found = newest_in_force(load_room(path / ROOM_FILE if path.is_dir() else path))
    verify(found)
    return found


def _read(path: Path) -> Any:
    most = limits.MAX_CERTIFICATE_BYTES
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > most:
        raise InputError(f"{path}: larger than {most} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON") from None
