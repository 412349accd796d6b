# SPDX-License-Identifier: Apache-2.0
"""Grows a run's model once more, from the opened sums that its transcript keeps and from nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import HitokuError
from hitoku.learning.base import (
    Arrays,
    Instruction,
    Session,
    SessionLost,
    TooFewMembers,
    Total,
    Trainer,
)
from hitoku.learning.checkpoints import FILE, Checkpoints
from hitoku.learning.counting import SummedCounters
from hitoku.learning.driver import drive
from hitoku.learning.folders import RunFolder
from hitoku.learning.signing import publics_of
from hitoku.learning.trainers import trainer_of
from hitoku.learning.transcript import PAYLOADS, read_payload, read_transcript

__all__ = ["replayed"]

_MOST_TRIES: Final = 32


def replayed(folder: RunFolder) -> tuple[bytes | None, str]:
    """The model's file as it grows from the opened sums; None, and why, where that cannot be said.

    A run that went on after a crash of the server may have opened the sums of a step twice. The transcript
    shows where the server began anew (the numbers of its requests do), the report how many steps it had kept
    then. What it had kept of preparations is in neither: what grows from any checkpoint with so many steps
    is compared with the model, and only a model that grows from one of them is given back.
    """
    report = folder.report or {}
    events = report.get("events", [])
    resumed = [event.get("done") for event in events if event.get("event") == "resumed"]
    plan = folder.signed.plan
    try:
        lives = _lives(folder)
    except (HitokuError, TypeError, ValueError):
        return None, "the transcript cannot be read"
    if len(lives) != len(resumed) + 1:
        return None, "the server was started again before it had kept anything"
    if resumed and plan.guard.every:
        return None, "the server was started again on the way, and votes may have been cast twice"
    votes = [event for event in events if event.get("event") == "vote"]
    with tempfile.TemporaryDirectory() as place:
        if not resumed:
            life = _Life(folder, lives[0], votes, Path(place))
            return life.run(None)
        wanted = folder.model.read_bytes()
        if _Search(folder, lives, resumed, wanted, Path(place)).finds():
            return wanted, ""
    return None, "the server was started again on the way, and no checkpoint that fits leads to this model"


def _lives(folder: RunFolder) -> list[list[dict[str, Any]]]:
    """The opened sums of each life of the server: a new one numbers its requests from 1 again."""
    lives: list[list[dict[str, Any]]] = [[]]
    last: dict[str, int] = {}
    for entry in read_transcript(folder.transcript):
        direction = entry.get("direction")
        if direction == "opened":
            lives[-1].append(entry)
        elif direction == "sent":
            member, number = str(entry.get("member")), int(entry.get("sequence", 0))
            if number <= last.get(member, 0):
                lives.append([])
                last = {}
            last[member] = number
    return lives


class _Kept(Checkpoints):
    """Keeps every checkpoint of a life, with the steps that are done in it."""

    def __init__(self, place: Path, folder: RunFolder, trainer: Trainer) -> None:
        super().__init__(place, folder.signed.plan, folder.run)
        self._trainer, self._file = trainer, place / FILE
        self.all: list[tuple[int, bytes]] = []

    def save(self, trainer: bytes, state: Any) -> None:
        """Replace what was kept, and remember it."""
        super().save(trainer, state)
        self.all.append((self._trainer.done, self._file.read_bytes()))


class _Life:
    """One life of the server, from a checkpoint to the end of its sums."""

    def __init__(
        self,
        folder: RunFolder,
        opened: list[dict[str, Any]],
        votes: list[dict[str, Any]],
        place: Path,
    ) -> None:
        self._folder, self._place = folder, place
        self._summer = _Recorded(folder, opened, votes)
        self._trainer = trainer_of(folder.signed.plan)
        self.kept = _Kept(place, folder, self._trainer)

    def run(self, checkpoint: bytes | None) -> tuple[bytes | None, str]:
        """The model that grows from its sums, as far as they go."""
        if checkpoint is None:
            (self._place / FILE).unlink(missing_ok=True)
        else:
            (self._place / FILE).write_bytes(checkpoint)
        plan = self._folder.signed.plan
        try:
            drive(
                plan,
                self._trainer,
                self._summer,
                self.kept,
                run=self._folder.run,
                publics=publics_of(self._folder.room.agreement),
                counting=SummedCounters(plan) if plan.data.counters else None,
            )
        except TooFewMembers:
            if not self._summer.ended:
                return None, "fewer sums were opened than it takes"
        except (HitokuError, OSError, KeyError, TypeError, ValueError) as error:
            # A transcript can say anything: what does not fit is no model.
            return None, f"the sums do not fit ({type(error).__name__})"
        return self._trainer.model(), ""


class _Search:
    """Looks for checkpoints, one at each crash, from which the lives together make the model."""

    def __init__(
        self,
        folder: RunFolder,
        lives: list[list[dict[str, Any]]],
        resumed: list[Any],
        wanted: bytes,
        place: Path,
    ) -> None:
        self._folder, self._lives, self._resumed = folder, lives, resumed
        self._wanted, self._place = wanted, place
        self._tries = _MOST_TRIES

    def finds(self, number: int = 0, checkpoint: bytes | None = None) -> bool:
        """Whether the lives from this one on make the model."""
        self._tries -= 1
        if self._tries < 0:
            return False
        life = _Life(self._folder, self._lives[number], [], self._place)
        made, _ = life.run(checkpoint)
        if number == len(self._resumed):
            return made == self._wanted
        # One that was resumed and kept nothing new before the next crash has only what it began with.
        found = [kept for done, kept in life.kept.all if done == self._resumed[number]]
        if checkpoint is not None:
            found.insert(0, checkpoint)
        return any(self.finds(number + 1, kept) for kept in reversed(list(dict.fromkeys(found))))


class _Recorded:
    """A Summer that gives the sums of a transcript in their order."""

    def __init__(self, folder: RunFolder, opened: list[dict[str, Any]], votes: list[dict[str, Any]]) -> None:
        self._payloads, self._opened, self._votes = folder.path / PAYLOADS, opened, votes
        self._next = 0

    @property
    def ended(self) -> bool:
        """Whether all sums were used."""
        return self._next >= len(self._opened)

    def _entry(self) -> dict[str, Any]:
        if self.ended:
            raise TooFewMembers("the transcript has no more sums")
        return self._opened[self._next]

    @contextmanager
    def fixed(self) -> Iterator[Session]:
        """The next session that opened a sum."""
        what = self._entry()["what"]
        yield _RecordedSession(self, what["session"], tuple(what["members"]))

    def take(self, session: int | None, length: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """The next sum, if it is of this session."""
        entry = self._entry()
        what = entry["what"]
        if what.get("session") != session:
            raise SessionLost([])
        self._next += 1
        content = read_payload(self._payloads, entry["sha256"])
        values = np.frombuffer(content, "<i8").astype(np.int64)
        if len(values) != length:
            raise SessionLost([])
        return values, tuple(what["members"])

    def total(self, instruction: Instruction) -> Total:
        """The next single sum."""
        return Total(*self.take(None, instruction.length))

    def tell(
        self, task: str, body: Mapping[str, Any], arrays: Arrays | None = None
    ) -> dict[str, tuple[dict[str, Any], Arrays]]:
        """Votes as they were cast; members have nothing else to say that a model depends on."""
        del task, arrays
        if body.get("do") != "vote" or not self._votes:
            return {}
        return {vote["member"]: ({"vote": vote}, {}) for vote in self._votes.pop(0)["votes"]}

    def exclude(self, member: str) -> None:
        """Sets are as they were."""

    def include(self, member: str) -> None:
        """Sets are as they were."""


class _RecordedSession:
    def __init__(self, summer: _Recorded, number: int, members: tuple[str, ...]) -> None:
        self._summer, self._number, self._members = summer, number, members

    @property
    def members(self) -> tuple[str, ...]:
        return self._members

    def sum(self, instruction: Instruction) -> NDArray[np.int64]:
        return self._summer.take(self._number, instruction.length)[0]
