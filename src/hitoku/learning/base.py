# SPDX-License-Identifier: Apache-2.0
"""The words between models, aggregation and transport.

A *driver* (the code that grows a model) says by an `Instruction` what every member shall compute; a member's
`Task` computes a vector of integers from its rows; a `Summer` opens the sum of the members' vectors and
nothing else. With `masks` the driver runs at the server, with `he` at one of the members (the server is
blind); models are written once, against these Protocols, and cannot tell which it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import HitokuError

__all__ = [
    "Arrays",
    "Fleet",
    "Instruction",
    "Rows",
    "Session",
    "SessionLost",
    "Summer",
    "Task",
    "TooFewMembers",
    "Total",
    "Trainer",
]

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Instruction:
    """What every member of a set is asked to contribute to one sum.

    Attributes:
        task: which of a member's tasks answers.
        body: JSON-ready, small.
        length: how many integers a contribution has.
        bound: no contribution has a value outside [-bound, bound]. The plan proves that members times bound
            is below 2^63; a member refuses to send what is outside.
        arrays: what goes with it, for example weights.
    """

    task: str
    body: Mapping[str, Any]
    length: int
    bound: int
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Total:
    """An opened sum: `values` has shape (length,), dtype int64, exact over `members`."""

    values: NDArray[np.int64]
    members: tuple[str, ...]


class SessionLost(HitokuError):
    """A member of a fixed set is gone: no sum over that set opens any more, and none over a part of it."""

    def __init__(self, lost: Sequence[str]) -> None:
        super().__init__(f"lost while a fixed set of members computed: {', '.join(sorted(lost))}")
        self.lost = tuple(sorted(lost))


class TooFewMembers(HitokuError):
    """Fewer members are left than the plan's threshold: the run stops, nothing is opened."""


class Session(Protocol):
    """Sums over one set of members that was fixed before anything was sent."""

    @property
    def members(self) -> tuple[str, ...]:
        """The set, sorted by name."""
        ...

    def sum(self, instruction: Instruction) -> NDArray[np.int64]:
        """The sum over the whole set, or nothing.

        Raises:
            SessionLost: a member is gone; the session is over.
        """
        ...


class Summer(Protocol):
    """Opens sums of members' vectors; the only way from members' rows to a model."""

    def fixed(self) -> AbstractContextManager[Session]:
        """A session over all members that answer now: for sums that belong together, such as a tree's.

        Raises:
            TooFewMembers: fewer than the plan's threshold answer.
        """
        ...

    def total(self, instruction: Instruction) -> Total:
        """One sum by itself, exact over those that stayed to its end, at least the plan's threshold.

        Raises:
            TooFewMembers: fewer stayed; nothing was opened.
        """
        ...

    def tell(
        self, task: str, body: Mapping[str, Any], arrays: Arrays | None = None
    ) -> dict[str, tuple[dict[str, Any], Arrays]]:
        """Say something to all members and hear what each answers in the open: readiness, votes. No data.

        Members that do not answer are absent from the result.
        """
        ...

    def exclude(self, member: str) -> None:
        """Leave a member out of every later set (after a vote)."""
        ...


class Task(Protocol):
    """One kind of work at a member.

    A task whose contributions depend on more than instruction and rows (on a model it was told) has a method
    `told_state() -> bytes`, a hash of it: see `aggregate.instructions.told_state`. What wraps a task hands it
    on.
    """

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        """This member's vector, of shape (length,), every value within the bound.

        Args:
            instruction: what is asked for.
            members: the set whose sum will open (this member is one of it).

        Raises:
            Refusal: the plan does not allow it.
        """
        ...

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        """Answer in the open.

        Raises:
            Refusal: the plan does not allow it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """A member's rows, as a plan's `Data` describes them; in memory, never sent.

    Attributes:
        features: float32, shape (rows, features), NaN where a value is missing; counters' features come last.
        label: uint8, 0 or 1, shape (rows,).
        part: uint8, shape (rows,): 0 training, 1 holdout (thresholds, votes), 2 test, 3 only feeds counters
            (history before training, and before the test rows whose labels are not known yet).
        day: int32, shape (rows,), whole days since 1970-01-01; None without a time column.
        entities: for every counter's column, int64 of shape (rows,), 0 to entities - 1.
    """

    features: NDArray[np.float32]
    label: NDArray[np.uint8]
    part: NDArray[np.uint8]
    day: NDArray[np.int32] | None = None
    entities: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


class Trainer(Protocol):
    """The driver's side of one kind of model: how it grows, step by step, from sums alone."""

    @property
    def done(self) -> int:
        """How many trees or rounds the model has."""
        ...

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or training stopped early."""
        ...

    def prepare(self, summer: Summer) -> None:
        """What is needed once, before the first step: bins, means. Nothing if a checkpoint has it."""
        ...

    def synchronise(self, summer: Summer) -> None:
        """Tell every member the model so far: after the start, a resume, a loss, a rejoin, a rollback."""
        ...

    def step(self, summer: Summer) -> None:
        """One tree or one round more.

        Raises:
            SessionLost: a member was lost and the step is discarded; synchronise, then step again.
            TooFewMembers: the run cannot go on.
        """
        ...

    def rollback(self, done: int) -> None:
        """Forget all steps after the first `done`; followed by `synchronise`."""
        ...

    def checkpoint(self) -> bytes:
        """Everything that `restore` needs; no secrets but the model."""
        ...

    def restore(self, content: bytes) -> None:
        """Go on from a checkpoint."""
        ...

    def model(self) -> bytes:
        """The model so far, as its JSON file (see `hitoku.learning.models`)."""
        ...


class Fleet(Protocol):
    """How the server reaches the members: in one process, or over Flower. Bytes in, bytes out."""

    @property
    def members(self) -> tuple[str, ...]:
        """Who is connected now, sorted by name."""
        ...

    def ask(self, requests: Mapping[str, bytes], seconds: float) -> dict[str, bytes]:
        """Send each member its request at the same time; what came back within so many seconds."""
        ...
