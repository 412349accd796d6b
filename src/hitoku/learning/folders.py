# SPDX-License-Identifier: Apache-2.0
"""What lies where: the server's folder of a run, and a member's own folder of the same run."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hitoku.errors import InputError
from hitoku.learning.signing import SignedPlan
from hitoku.room.agreement import Room
from hitoku.room.files import load_room, read_text, save_room, write_whole

__all__ = ["MODEL", "REPORT", "RunFolder", "new_run"]

PLAN: Final = "plan.json"
ROOM: Final = "room.yaml"
RUN: Final = "run.json"
TRANSCRIPT: Final = "transcript.jsonl"
MODEL: Final = "model.json"
REPORT: Final = "report.json"
_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")


def new_run() -> str:
    """A run's id: 32 hexadecimal digits."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder, at the server or at a member: plan, room, transcript; the server's also has the model.

    Attributes:
        path: the folder.
        run: the run's id.
        party: whose folder it is.
        signed: the plan with its signatures.
        room: the room with its signatures, as it was when the run began.
    """

    path: Path
    run: str
    party: str
    signed: SignedPlan
    room: Room

    @classmethod
    def create(cls, path: Path, run: str, party: str, signed: SignedPlan, room: Room) -> RunFolder:
        """Make a run's folder, or open it again to go on with the same run.

        Raises:
            InputError: the folder is of another plan or run, or has other things in it.
            RoomError: the plan is not in force, or the folder cannot be written.
        """
        signed.verify(room.agreement)
        if (path / RUN).exists():
            found = cls.open(path)
            if (found.signed.hash, found.party) != (signed.hash, party):
                raise InputError(f"{path}: belongs to another run; name another folder")
            return found
        if path.exists() and any(path.iterdir()):
            raise InputError(f"{path}: is there already and is no folder of a run; name another one")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        signed.save(path / PLAN)
        save_room(room, path / ROOM)
        # Last: a folder that has it is whole.
        write_whole(path / RUN, (json.dumps({"run": run, "party": party}) + "\n").encode())
        return cls(path, run, party, signed, room)

    @staticmethod
    def there(path: Path) -> bool:
        """Whether a run's folder is at this path."""
        return (path / RUN).is_file()

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run's folder. Nothing in it is verified here.

        Raises:
            InputError: it is none.
            RoomError: a file in it cannot be read.
        """
        if not (path / RUN).is_file():
            raise InputError(f"{path}: is no folder of a learning run")
        data = _json(path / RUN)
        run, party = data.get("run"), data.get("party")
        if not (isinstance(run, str) and _RUN_ID.fullmatch(run) and isinstance(party, str)):
            raise InputError(f"{path / RUN}: not a run's identity")
        return cls(path, run, party, SignedPlan.load(path / PLAN), load_room(path / ROOM))

    @property
    def transcript(self) -> Path:
        """The transcript's file."""
        return self.path / TRANSCRIPT

    @property
    def model(self) -> Path:
        """The model's file, at the end of the run."""
        return self.path / MODEL

    @property
    def report(self) -> dict[str, Any] | None:
        """What the server wrote at the run's end; None where there is none."""
        return _json(self.path / REPORT) if (self.path / REPORT).is_file() else None

    def write_report(self, report: dict[str, Any]) -> None:
        """Keep the report."""
        content = json.dumps(report, ensure_ascii=False, indent=2) + "\n"
        write_whole(self.path / REPORT, content.encode())


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path))
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: a JSON object is expected")
    return data
