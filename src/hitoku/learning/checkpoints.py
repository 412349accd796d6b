# SPDX-License-Identifier: Apache-2.0
"""What a run's driver keeps after each step, so that a crash costs the step that was under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.errors import InputError, PeerError
from hitoku.learning.plan import Plan, plan_hash
from hitoku.learning.wire import pack, unpack
from hitoku.room.files import write_whole

__all__ = ["FILE", "Checkpoints", "State"]

FILE: Final = "checkpoint"


@dataclass(slots=True)
class State:
    """What a checkpoint holds beside the trainer's own part."""

    accepted: int = 0
    losses: int = 0
    out: str | None = None
    tried: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, NDArray[Any]] = field(default_factory=dict)
    settled: dict[str, Any] = field(default_factory=dict)
    shown: list[dict[str, Any]] = field(default_factory=list)
    counted: bool = False
    first: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Checkpoints:
    """Where a run's state is kept: one file, replaced whole after each step.

    Args:
        folder: the run's folder.
        plan: the run's plan; the state of another one is refused.
        run: the run's id.
    """

    def __init__(self, folder: Path, plan: Plan, run: str) -> None:
        self._path = folder / FILE
        self._of = {"plan": plan_hash(plan).hex(), "run": run}

    def save(self, trainer: bytes, state: State) -> None:
        """Replace what was kept."""
        header = {
            **self._of,
            "accepted": state.accepted,
            "losses": state.losses,
            "out": state.out,
            "tried": state.tried,
            "events": state.events,
            "settled": state.settled,
            "shown": state.shown,
            "counted": state.counted,
            "first": state.first,
            "seconds": state.seconds,
        }
        arrays: dict[str, NDArray[Any] | bytes] = {f"sums/{name}": s for name, s in state.sums.items()}
        write_whole(self._path, pack(header, {**arrays, "trainer": trainer}))

    def load(self) -> tuple[bytes, State] | None:
        """What was kept; None where a run begins.

        Raises:
            InputError: the file is damaged, or of another run.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            header, arrays = unpack(content, limits.MAX_LEARNING_MESSAGE_BYTES)
            of = {key: header.pop(key) for key in self._of}
            trainer = arrays.pop("trainer").tobytes()
            state = State(**header, sums={n.removeprefix("sums/"): np.array(v) for n, v in arrays.items()})
        except (PeerError, KeyError, TypeError):
            raise InputError(f"{self._path}: not a checkpoint; take it away to begin again") from None
        if of != self._of:
            raise InputError(f"{self._path}: of another plan or run; take another folder")
        return trainer, state
