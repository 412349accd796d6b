# SPDX-License-Identifier: Apache-2.0
"""A member's own view of how a run goes: the joint model's loss on its own holdout rows, step by step.

For the member's own people. It is computed of what the member has anyway, the model that it was told and its
own rows; it is written to the member's own folder of the run and is sent to nobody: no reply has any of it,
and nothing in a run reads it. It carries no noise, whatever the plan says of privacy: noise is for what
leaves.

A line of the file is a step, a mean loss, and the loss of a model that knows only how frequent the label is
among these rows. A step that is there again was made again (a roll-back, a lost member, a restart): what
came after it before is gone from the curve. Where members do not vote, the last step is not in it: they are
told of that one by the model's file alone.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hitoku import limits
from hitoku.learning.guard import blind_loss

__all__ = ["Curve", "Point", "read_curve", "spread"]

_FILE: Final = "curve.jsonl"
_ROWS: Final = 20_000
"""Of more holdout rows, about so many are judged after a step: a picture must not cost what training does."""


@dataclass(frozen=True, slots=True)
class Point:
    """The model after some steps.

    Attributes:
        step: how many trees or rounds it had.
        loss: the mean weighted loss on the member's own holdout rows.
        blind: of the best constant on these rows; None where they are too few to tell.
    """

    step: int
    loss: float
    blind: float | None


def spread(rows: int) -> slice:
    """Which of so many holdout rows are judged: every n-th of them, since rows lie by time."""
    return slice(None, None, max(1, -(-rows // _ROWS)))


class Curve:
    """A member's curve of one run.

    Args:
        folder: the member's folder of the run; None: nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / _FILE

    def note(self, step: int, label: NDArray[np.uint8], positive: float, losses: Callable[[], float]) -> None:
        """Keep what the model so far is worth on the member's own rows. A run never fails by it.

        Args:
            step: how many trees or rounds the model has.
            label: of the rows that are judged, shape (rows,).
            positive: the weight of label 1.
            losses: makes the sum of the rows' weighted losses; not called where nothing is kept.
        """
        if self._path is None or not len(label):
            return
        with np.errstate(all="ignore"):  # of a model that has gone astray; what is not finite is left out
            loss = losses() / float(np.where(label == 1, positive, 1.0).sum())
        if not math.isfinite(loss):
            return
        line = json.dumps({"step": step, "loss": loss, "blind": blind_loss(label, positive)})
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(self._path, flags, 0o600)
            try:
                if os.fstat(file).st_size < limits.MAX_LEARNING_CURVE_BYTES:
                    os.write(file, f"{line}\n".encode())
            finally:
                os.close(file)
        except OSError:
            return  # a full disk stops the run where something must not be forgotten, not for a picture


def read_curve(folder: Path) -> tuple[Point, ...]:
    """The curve in a member's folder, by step; empty where there is none. What is no point is left out."""
    path = folder / _FILE
    try:
        if path.is_symlink() or path.stat().st_size > 2 * limits.MAX_LEARNING_CURVE_BYTES:
            return ()
        lines = path.read_bytes().splitlines()
    except OSError:
        return ()
    points: list[Point] = []
    for line in lines:
        point = _point(line)
        if point is None:
            continue
        while points and points[-1].step >= point.step:
            points.pop()
        points.append(point)
    return tuple(points)


def _point(line: bytes) -> Point | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    step, loss, blind = data.get("step"), _loss(data.get("loss")), _loss(data.get("blind"))
    if type(step) is not int or not 0 <= step <= limits.MAX_LEARNING_CURVE_BYTES or loss is None:
        return None
    return Point(step, loss, blind)


def _loss(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < math.inf else None
