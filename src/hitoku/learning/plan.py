# SPDX-License-Identifier: Apache-2.0
"""The plan of a learning run: what is learned, from which columns, by whom, under which protection.

Every member signs the same bytes before its rows are read; a worker refuses every instruction that the plan
it signed does not name. Members' keys are those of the room.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hitoku import limits
from hitoku.room.canonical import canonical_json

__all__ = [
    "Aggregation",
    "Boosting",
    "Counter",
    "Cuts",
    "Data",
    "Feature",
    "Guard",
    "Linear",
    "Perceptron",
    "Plan",
    "Privacy",
    "Weighting",
    "default_threshold",
    "plan_hash",
]

_Name = Annotated[str, Field(min_length=1, max_length=limits.MAX_NAME_CHARS, pattern=r"^[^\x00-\x1f]+$")]
LEAST_MEMBERS: Final = 3


def default_threshold(members: int) -> int:
    """The least set whose sum opens, if the plan does not say: 4 of 5, and 2t > n + 1 everywhere."""
    return min(members, max(3, (4 * members + 4) // 5))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feature(_Part):
    """One input column: a number. `low` and `high` bound what quantiles are searched in."""

    name: _Name
    low: float | None = None
    high: float | None = None


class Counter(_Part):
    """Rows and frauds per entity and day, summed over all banks; becomes six features of every row.

    Attributes:
        column: the entity's column, such as a terminal; whole numbers from 0 to `entities` - 1, or texts that
            are hashed into so many buckets.
        entities: how many there are.
        hashed: whether the column holds texts.
        windows: of how many days.
        delay: how many days pass before a fraud is known.
    """

    column: _Name
    entities: Annotated[int, Field(ge=1, le=1 << 22)]
    hashed: bool = False
    windows: tuple[Annotated[int, Field(ge=1, le=400)], ...] = (1, 7, 30)
    delay: Annotated[int, Field(ge=0, le=400)] = 7


def _seconds(value: Any) -> Any:
    """A date or time as ISO 8601 text, read as UTC where it names no zone, becomes seconds since 1970."""
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


_Second = Annotated[int, Field(ge=-(1 << 40), le=1 << 40), BeforeValidator(_seconds)]


class Cuts(_Part):
    """Where time is cut, the same for all members. In the units of the column `Data.time`: seconds.

    Rows in [train, holdout) are learned from, in [holdout, wait) thresholds are chosen and votes cast, in
    [test, end) the model is tested. Rows in [history, train) and [wait, test) only feed counters: the former
    are the past, labels of the latter are not known yet when the model is first used. Others are left out.

    Attributes:
        history: None: the same as `train`.
        wait: None: the same as `test`.
    """

    history: _Second | None = None
    train: _Second
    holdout: _Second
    wait: _Second | None = None
    test: _Second
    end: _Second

    @property
    def edges(self) -> tuple[int, int, int, int, int, int]:
        """history, train, holdout, wait, test, end, ascending."""
        history = self.train if self.history is None else self.history
        wait = self.test if self.wait is None else self.wait
        return history, self.train, self.holdout, wait, self.test, self.end

    @model_validator(mode="after")
    def _check(self) -> Self:
        if list(self.edges) != sorted(self.edges) or self.train >= self.holdout:
            raise ValueError("data.cuts: history <= train < holdout <= wait <= test <= end")
        return self


class Data(_Part):
    """The columns that every member's table has.

    Attributes:
        features: the inputs, in the model's order.
        label: 0 or 1.
        time: a number of seconds or a timestamp; splits the rows. None: rows are split by a keyed hash.
        counters: entities whose risk is summed over the banks.
        rows: the most rows that a member brings; bounds of sums are proven with it, and more are refused.
        shares: fractions of the time span for training, choosing thresholds (holdout), and testing.
        cuts: the same as moments; counters need them, and so do members whose tables span other times.
        card: a column that tells customers apart, for figures per card; never an input.
    """

    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=2048)]
    label: _Name
    time: _Name | None = None
    counters: Annotated[tuple[Counter, ...], Field(max_length=8)] = ()
    rows: Annotated[int, Field(ge=1, le=1 << 28)] = 1 << 22
    shares: tuple[float, float, float] = (0.6, 0.1, 0.3)
    cuts: Cuts | None = None
    card: _Name | None = None

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """All inputs of a model in order: the features, then two of every counter's window."""
        made = []
        for counter in self.counters:
            for window in counter.windows:
                made.append(Feature(name=f"{counter.column}_count_{window}", low=0.0))
                made.append(Feature(name=f"{counter.column}_risk_{window}", low=0.0, high=1.0))
        return (*self.features, *made)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [feature.name for feature in self.features] + [self.label]
        if len(set(names)) != len(names):
            raise ValueError("data: a column is named twice")
        if self.counters and self.time is None:
            raise ValueError("data.counters: counting per day needs data.time")
        if self.cuts is not None and self.time is None:
            raise ValueError("data.cuts: cutting time needs data.time")
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-9 or self.shares[0] <= 0:
            raise ValueError("data.shares: three fractions that sum to 1, the first more than 0")
        return self


class Weighting(_Part):
    """How much a positive row counts: `positive` times a negative one."""

    positive: Annotated[float, Field(ge=0.01, le=10_000)] = 1.0


class Boosting(_Part):
    """Gradient boosting over histograms."""

    kind: Literal["boosting"] = "boosting"
    trees: Annotated[int, Field(ge=1, le=2000)] = 100
    depth: Annotated[int, Field(ge=1, le=10)] = 6
    bins: Annotated[int, Field(ge=2, le=255)] = 64
    rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    l2: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    gain: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    child_weight: Annotated[float, Field(ge=0, le=1e9)] = 1.0
    step: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """The most that a leaf adds, before `rate`; 0: no bound. Where positive rows are rare, 1 keeps the first
    trees from overshooting (XGBoost's max_delta_step)."""
    rows: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The fraction of rows that each tree is grown from; below 1 always after the set of members changed."""
    patience: Annotated[int, Field(ge=0, le=2000)] = 0
    """Stop if the summed holdout loss did not fall for so many trees; 0: never."""
    weights: Weighting = Weighting()


class Linear(_Part):
    """Logistic regression.

    Attributes:
        method: `sums`: Newton's method on summed gradients and second derivatives, the same model as from
            pooled rows, in about ten rounds. `averages`: local steps, then averaged weights. With privacy
            every round is one step on all rows' clipped gradients, whatever the method.
        rounds: at most so many sums; Newton's method stops when it has converged.
        epochs: of local steps (averages).
        batch: rows of a local step (averages).
        rate: of local steps (averages), or of the steps with privacy.
        l2: decay of weights.
        proximal: pull of local steps towards the last average (averages).
        weights: of the classes.
    """

    kind: Literal["linear"] = "linear"
    method: Literal["sums", "averages"] = "sums"
    rounds: Annotated[int, Field(ge=1, le=5000)] = 30
    epochs: Annotated[int, Field(ge=1, le=100)] = 1
    batch: Annotated[int, Field(ge=1, le=1 << 20)] = 512
    rate: Annotated[float, Field(gt=0, le=100)] = 0.1
    l2: Annotated[float, Field(ge=0, le=100)] = 1e-5
    proximal: Annotated[float, Field(ge=0, le=100)] = 0.0
    weights: Weighting = Weighting()


class Perceptron(_Part):
    """A multi-layer perceptron.

    Attributes:
        layers: hidden units of each layer.
        method: `sums`: a quasi-Newton method on summed gradients, nearly the same model as from pooled rows
            however these are spread over the banks. `averages`: local steps, then averaged weights; fewer
            rounds, and further from pooled the more the banks differ. With privacy every round is one step
            on all rows' clipped gradients, whatever the method.
        rounds: so many sums.
        patience: stop if the summed holdout loss did not fall for so many rounds; 0: never (sums).
        epochs: of local steps (averages).
        batch: rows of a local step (averages).
        rate: of local steps (averages), or of the steps with privacy.
        l2: decay of weights.
        proximal: pull of local steps towards the last average (averages).
        seed: of the first weights.
        weights: of the classes.
    """

    kind: Literal["perceptron"] = "perceptron"
    layers: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=6)] = (
        64,
        32,
    )
    method: Literal["sums", "averages"] = "sums"
    rounds: Annotated[int, Field(ge=1, le=5000)] = 100
    patience: Annotated[int, Field(ge=0, le=5000)] = 20
    epochs: Annotated[int, Field(ge=1, le=100)] = 1
    batch: Annotated[int, Field(ge=1, le=1 << 20)] = 512
    rate: Annotated[float, Field(gt=0, le=100)] = 0.05
    l2: Annotated[float, Field(ge=0, le=100)] = 1e-5
    proximal: Annotated[float, Field(ge=0, le=100)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    weights: Weighting = Weighting()


class Aggregation(_Part):
    """How sums are opened.

    Attributes:
        kind: `masks`: the server opens sums. `he`: a member (the leader) opens them, the server is blind.
        threshold: no sum of fewer members opens. None: 4 of 5.
        seconds: how long a member has for an answer before it counts as lost.
        changes: how many times the set of members may change in a run.
        transcript: `hashes`: what the server saw is kept as digests; `full`: the bytes, too.
    """

    kind: Literal["masks", "he"] = "masks"
    threshold: Annotated[int, Field(ge=3, le=limits.MAX_MEMBERS)] | None = None
    seconds: Annotated[float, Field(ge=0.05, le=3600)] = 120.0
    changes: Annotated[int, Field(ge=0, le=1000)] = 8
    transcript: Literal["hashes", "full"] = "hashes"


class Privacy(_Part):
    """Noise inside the masks: zero-concentrated differential privacy, each row of each bank being a unit.

    Attributes:
        rho: what the whole run spends, charged to `unit`'s budget of every member in the room.
        delta: for the (epsilon, delta) that is told.
        clip: the largest Euclidean norm of a row's gradient (perceptron, linear).
        unit: the unit of privacy in the room's budgets that is charged. None: nothing is charged (said so).
        colluding: against so many members that take their noise off: each adds sigma / sqrt(t - colluding).
    """

    rho: Annotated[float, Field(gt=0, le=1000)]
    delta: Annotated[float, Field(gt=0, lt=0.1)] = 1e-6
    clip: Annotated[float, Field(gt=0, le=1e6)] = 4.0
    unit: _Name | None = None
    colluding: Annotated[int, Field(ge=0, le=limits.MAX_MEMBERS)] = 1


class Guard(_Part):
    """Votes on holdouts against poisoned updates.

    Attributes:
        every: a vote after so many trees or rounds; 0: no votes.
        worse: a member rejects what raises its holdout's mean loss by more than this fraction.
        rotate: after a rejection, leave one member out in turn until a block is accepted (True), or stop.
    """

    every: Annotated[int, Field(ge=0, le=1000)] = 0
    worse: Annotated[float, Field(ge=0, le=10)] = 0.02
    rotate: bool = True


class Plan(_Part):
    """One learning run.

    Attributes:
        version: 1.
        name: of the run's model.
        room: the room's id.
        agreement: the hash of the agreement that was in force.
        members: who brings rows; sorted by name.
        server: who adds; not one of the members.
        data: the columns.
        model: what is learned.
        aggregation: how sums open.
        privacy: noise, or None.
        guard: votes.
        salt: 64 hexadecimal digits, made with the plan, so that no two plans are alike.
    """

    version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(-[a-z0-9_]+)*$", max_length=limits.MAX_NAME_CHARS)]
    room: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
    agreement: Annotated[str, Field(max_length=100)]
    members: Annotated[tuple[_Name, ...], Field(min_length=LEAST_MEMBERS, max_length=limits.MAX_MEMBERS)]
    server: _Name
    data: Data
    model: Annotated[Boosting | Linear | Perceptron, Field(discriminator="kind")]
    aggregation: Aggregation = Aggregation()
    privacy: Privacy | None = None
    guard: Guard = Guard()
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @property
    def threshold(self) -> int:
        """No sum of fewer members opens."""
        given = self.aggregation.threshold
        return default_threshold(len(self.members)) if given is None else given

    @property
    def colluding(self) -> int:
        """An active server together with so many members still reads nobody: the most c with 2t > n + c.

        And of a set of t members, c colluding ones leave the sum of the other t - c, at least 2.
        """
        return max(0, min(2 * self.threshold - len(self.members) - 1, self.threshold - 2))

    @model_validator(mode="after")
    def _check(self) -> Self:
        count = len(self.members)
        if list(self.members) != sorted(set(self.members)):
            raise ValueError("members: each once, sorted by name")
        if self.server in self.members:
            raise ValueError("server: a member that brings rows cannot add the others' updates, too")
        if not count >= self.threshold:
            raise ValueError(f"aggregation.threshold: {self.threshold} of {count} members")
        if 2 * self.threshold <= count + 1:
            raise ValueError(
                f"aggregation.threshold: {self.threshold} of {count} leaves no room for one member that "
                f"colludes with the server; take at least {count // 2 + 1 + (count % 2)}"
            )
        if self.privacy is not None and self.privacy.colluding >= self.threshold:
            raise ValueError("privacy.colluding: fewer than the threshold")
        if self.privacy is not None and self.guard.every:
            raise ValueError("guard.every: votes depend on holdout rows and carry no noise; 0 with privacy")
        if self.privacy is not None and self.data.counters:
            raise ValueError("data.counters: their sums carry no noise; a plan with privacy has none")
        return self


def plan_hash(plan: Plan) -> bytes:
    """SHA-256 of the plan's canonical JSON: what members sign and what every message is bound to."""
    return hashlib.sha256(
        b"hitoku/learning-plan/1\0" + canonical_json(plan.model_dump(mode="json", exclude_none=True))
    ).digest()
