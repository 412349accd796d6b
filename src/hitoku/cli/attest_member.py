# SPDX-License-Identifier: Apache-2.0
"""What `hitoku attest` needs of a member: its directory, the room as it knows it, what it keeps."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.attestation.kept import Kept
    from hitoku.room.agreement import Agreement
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.keys import FileKeyStore

__all__ = ["Json", "Opened", "bounded", "opened", "out"]

Json = Annotated[bool, Parameter(name="--json", negative="")]
_ROOM_FILE: Final = "room.yaml"


@dataclass(frozen=True, slots=True)
class Opened:
    """A member in a room.

    Attributes:
        directory: the member's.
        agreement: in force, as the member knows it.
        kept: its reference values and policy.
    """

    directory: MemberDirectory
    agreement: Agreement
    kept: Kept

    @property
    def keys(self) -> FileKeyStore:
        """The member's keys."""
        return self.directory.keys()


@contextmanager
def opened(room: Path, member: Path) -> Iterator[Opened]:
    """Open a member's directory in a room.

    Args:
        room: the room file, or a directory with a ``room.yaml`` in it.
        member: the member's directory.

    Raises:
        RoomError: the room is not in force, or is not as the member knows it.
        InputError: the room has agreed on no attestation.
    """
    from hitoku.attestation.kept import Kept
    from hitoku.ports import SystemClock
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.files import load_room

    directory = MemberDirectory.open(member)
    agreement = directory.room(load_room(room / _ROOM_FILE if room.is_dir() else room)).agreement
    if agreement.attestation is None:
        raise InputError(
            f"room {agreement.name!r} has agreed on no attestation: `hitoku room attestation` adds it"
        )
    records = directory.records(str(agreement.id), SystemClock())
    try:
        yield Opened(directory, agreement, Kept(directory, records))
    finally:
        records.store.close()


def bounded(path: Path, most: int) -> bytes:
    """A file's content.

    Raises:
        InputError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > most:
        raise InputError(f"{path}: larger than {most} bytes")
    return content


def out(data: dict[str, Any], words: str, as_json: bool) -> None:
    """Print a result: one JSON object, or words for people."""
    sys.stdout.write((json.dumps(data, ensure_ascii=False) if as_json else words) + "\n")
