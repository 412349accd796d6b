# SPDX-License-Identifier: Apache-2.0
"""The driver's side of the rounds of linear models and networks."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hitoku.errors import InputError, PeerError
from hitoku.learning.base import Summer
from hitoku.learning.methods import Averaging, Descent, Method, Newton, QuasiNewton
from hitoku.learning.models import LearnedModel, write_model
from hitoku.learning.network import Network
from hitoku.learning.plan import Linear, Perceptron, Plan, plan_hash
from hitoku.learning.preparation import Prepared, inputs_of, prepare
from hitoku.learning.rounds.work import Work
from hitoku.learning.wire import pack, unpack

__all__ = ["RoundsTrainer"]

_FORMAT: Final = "hitoku/rounds-checkpoint/1"
_MOST_CHECKPOINT: Final = 1 << 30


class RoundsTrainer:
    """The driver's side.

    Args:
        plan: for `linear` or `perceptron`.

    Raises:
        InputError: another kind of model, or sums that would be too coarse.
    """

    def __init__(self, plan: Plan) -> None:
        self._work = Work(plan)
        self._plan = plan
        self._prepared: Prepared | None = None
        self._method: Method | None = None
        self._network: Network | None = None
        self._done = 0
        self._before: dict[int, NDArray[np.float64]] = {}
        self.cut = 0
        """How many numbers were outside their range at members, and were cut off, in all rounds."""

    @property
    def done(self) -> int:
        """How many rounds were made."""
        return self._done

    @property
    def finished(self) -> bool:
        """Whether all rounds are done, or it converged or stopped early."""
        return self._done >= self._work.model.rounds or (self._method is not None and self._method.finished)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The model's weights so far."""
        return self._ready()[0].best

    def prepare(self, summer: Summer) -> None:
        """Find the inputs' scaling.

        Raises:
            TooFewMembers: the run cannot go on.
        """
        if self._prepared is None:
            self._begin(prepare(self._plan, summer, self._plan.model.kind))

    def _begin(self, prepared: Prepared) -> None:
        model = self._work.model
        self._prepared = prepared
        self._network = self._work.network(prepared.scaling.inputs)
        odds = prepared.positive * model.weights.positive / (1 - prepared.positive)
        seed = model.seed if isinstance(model, Perceptron) else 0
        first = self._network.first(seed, odds / (1 + odds))
        if self._work.do == "private":
            noise = self._work.private_noise(self._network.length).scale / self._work.private_scale
            deviation = noise * len(self._plan.members) ** 0.5
            self._method = Descent(first, model.rate, model.l2, prepared.rows, model.rounds, deviation)
        elif self._work.do == "average":
            self._method = Averaging(first)
        elif isinstance(model, Linear):
            self._method = Newton(first, model.l2)
        else:
            self._method = QuasiNewton(first, model.l2, model.patience)
        self._before = {0: first}

    def _ready(self) -> tuple[Method, Network, Prepared]:
        if self._method is None or self._network is None or self._prepared is None:
            raise InputError("the scaling is not known yet: prepare first")
        return self._method, self._network, self._prepared

    def synchronise(self, summer: Summer) -> None:
        """Tell every member the model so far, and that of the last vote before it."""
        method, _, prepared = self._ready()
        begin = max(self._before)
        arrays = {**prepared.scaling.arrays(), "weights": method.best, "before": self._before[begin]}
        summer.tell(self._plan.model.kind, {"do": "sync", "done": self._done, "from": begin}, arrays)

    def step(self, summer: Summer) -> None:
        """One round more.

        Raises:
            TooFewMembers: the run cannot go on.
        """
        method, network, prepared = self._ready()
        every = self._plan.guard.every
        if every and self._done % every == 0:
            self._before = {0: self._before[0], self._done: method.best.copy()}
        asked = self._work.instruction(self._done, network, method.trial, prepared.scaling.arrays())
        total = summer.total(asked)
        if self._work.do == "private":
            sums = total.values / self._work.private_scale
        else:
            sums, cut = self._work.scale.decode(total.values)
            self.cut += cut
        method.learn(sums, total.members)
        self._done += 1
        if every and (self._done % every == 0 or self.finished):
            # Members vote on what they were told.
            self.synchronise(summer)

    def rollback(self, done: int) -> None:
        """Forget all rounds after the first `done`: 0, or where the last vote was.

        Raises:
            InputError: another one.
        """
        method, _, _ = self._ready()
        if done == self._done:
            return
        if done not in self._before:
            raise InputError("the weights of that round were not kept: only those of votes are")
        method.restart(self._before[done])
        self._before = {k: w for k, w in self._before.items() if k <= done}
        self._done = done

    def checkpoint(self) -> bytes:
        """Everything that `restore` needs."""
        header: dict[str, Any] = {"format": _FORMAT, "done": self._done, "cut": self.cut}
        arrays: dict[str, NDArray[Any]] = {}
        if self._prepared is not None and self._method is not None:
            header["prepared"] = {"rows": self._prepared.rows, "positive": self._prepared.positive}
            header["before"] = sorted(self._before)
            arrays = {f"method/{name}": value for name, value in self._method.state().items()}
            arrays |= {f"before/{k}": value for k, value in self._before.items()}
            arrays |= self._prepared.scaling.arrays()
        return pack({"state": json.dumps(header)}, arrays)

    def restore(self, content: bytes) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: it is none of this kind of model.
        """
        try:
            header, arrays = unpack(content, _MOST_CHECKPOINT)
            state = json.loads(header["state"])
            if state["format"] != _FORMAT:
                raise InputError("not a checkpoint of this kind of model")
            self._done, self.cut = int(state["done"]), int(state["cut"])
            if "prepared" not in state:
                return
            given = {"scaling": arrays["scaling"], **state["prepared"]}
            self._begin(Prepared.restored(given, len(inputs_of(self._plan))))
            method = self._ready()[0]
            named = {n.removeprefix("method/"): a for n, a in arrays.items() if n.startswith("method/")}
            method.restore(named)
            self._before = {int(k): np.array(arrays[f"before/{k}"]) for k in state["before"]}
        except (PeerError, KeyError, TypeError, ValueError) as error:
            raise InputError("not a checkpoint of this kind of model") from error

    def model(self) -> bytes:
        """The model so far, as its JSON file."""
        method, network, prepared = self._ready()
        from hitoku.learning.network_kind import NetworkModel

        content = NetworkModel(prepared.scaling, network.sizes[1:-1], method.best)
        kind, names = self._plan.model.kind, tuple(feature.name for feature in inputs_of(self._plan))
        return write_model(LearnedModel(kind, self._plan.name, plan_hash(self._plan).hex(), names, content))
