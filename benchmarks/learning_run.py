# SPDX-License-Identifier: Apache-2.0
"""One whole boosting over five banks in one process, or by a peer; prints what it cost as one JSON object.

A process of its own, so that its peak of memory is its own. `learning_cost.py` starts it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _learning import BANKS, Kind, Traffic, drive_steps, over, plan_of
from hitoku.learning.base import Instruction, Rows, Summer, Task, Total
from hitoku.learning.boosting import BoostingTask, BoostingTrainer
from hitoku.learning.evaluation.metrics import average_precision
from hitoku.learning.models import read_model, score
from hitoku.learning.plan import Aggregation, Boosting, Data, Feature, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TESTED = 50_000


def payments(seed: int, rows: int, features: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Normal inputs, of which ten tell something about the label; about 3 % frauds."""
    draw = np.random.default_rng([seed, 9])
    made = draw.standard_normal((rows, features), np.float32)
    told = made[:, :5].sum(1) + 1.5 * np.maximum(made[:, 5], 0) * made[:, 6] - np.abs(made[:, 7] + made[:, 8])
    return made, (told + draw.normal(size=rows) > 4.0).astype(np.uint8)


class _Meter:
    """Seconds, CPU-seconds and peak memory since it was made."""

    def __init__(self) -> None:
        # The high-water mark begins again at what is resident now.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._resident = _memory("VmRSS")
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def lap(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu

    @property
    def memory(self) -> dict[str, int]:
        peak = _memory("VmHWM")
        return {"memory": peak, "memory_rise": peak - self._resident}


def _memory(field: str) -> int:
    text = Path("/proc/self/status").read_text("ascii")
    return next(int(row.split()[1]) * 1024 for row in text.splitlines() if row.startswith(field))


def _plan(features: int, trees: int, rows: int) -> Plan:
    data = Data(features=tuple(Feature(name=f"x{k}") for k in range(features)), label="y", rows=rows)
    return plan_of(data, Boosting(trees=trees), aggregation=Aggregation(seconds=600))


def boosted(kind: Kind | str, rows: int, features: int, trees: int) -> dict[str, Any]:
    """Boosting over the members of five banks: `ideal`, `plain`, `masks`, `he`, or `tenseal`."""
    plan = _plan(features, trees, rows)
    banks = {}
    for place, name in enumerate(BANKS):
        inputs, label = payments(place, rows, features)
        banks[name] = Rows(inputs, label, np.zeros(rows, np.uint8))
    found: dict[str, Any] = {}
    meter = _Meter()
    tasks: dict[str, dict[str, Task]] = {
        name: {"boosting": BoostingTask(plan, each)} for name, each in banks.items()
    }

    def driver(summer: Summer, traffic: Traffic) -> None:
        trainer = BoostingTrainer(plan)
        laps = []
        drive_steps(trainer, summer, lambda: laps.append((*meter.lap(), traffic.bytes)))
        wall, cpu = meter.lap()
        found.update(wall=wall, cpu=cpu, bytes=traffic.bytes, model=trainer.model())
        found.update(tree=(wall - laps[0][0]) / trees, tree_cpu=(cpu - laps[0][1]) / trees)
        found.update(tree_bytes=(traffic.bytes - laps[0][2]) / trees)

    if kind == "tenseal":
        peer = _Shared(tasks)
        driver(peer, peer)  # type: ignore[arg-type]
        found["error"] = peer.error
    else:
        with over(kind, plan, tasks) as run:  # type: ignore[arg-type]
            run(driver)
    found |= meter.memory
    model = found.pop("model")
    tested, truth = payments(1000, _TESTED, features)
    found["auprc"] = average_precision(truth, score(read_model(model), tested))
    # A model names its plan, and plans of other kinds are others: trees alone are compared.
    found["digest"] = hashlib.sha256(
        json.dumps(json.loads(model)["model"], sort_keys=True).encode()
    ).hexdigest()
    return found


class _Shared:
    """Sums in the way of NVFLARE: CKKS vectors under one key that all banks share, added by the server.

    Its parameters are NVFLARE's defaults. Every bank gets the sum; it is decrypted once here, not by each.
    """

    def __init__(self, members: Mapping[str, Mapping[str, Task]]) -> None:
        import tenseal as ts

        self._ts = ts
        self._members = dict(members)
        self._context = ts.context(ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40])
        self._context.global_scale = 2**40
        self._server = self._context.copy()
        self._server.make_context_public()
        self.bytes = 0
        self.error = 0.0
        """The largest error of a sum, against the largest value that a sum may have."""

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(self._members)

    @contextmanager
    def fixed(self) -> Iterator[_Shared]:
        yield self

    def sum(self, instruction: Instruction) -> np.ndarray[Any, Any]:
        slots, unit = 4096, 2.0**20
        exact = np.zeros(instruction.length, np.int64)
        added: list[Any] = []
        for tasks in self._members.values():
            made = tasks[instruction.task].contribute(instruction, self.members)
            exact += made
            parts = []
            for first in range(0, len(made), slots):
                vector = self._ts.ckks_vector(self._context, made[first : first + slots] / unit)
                parts.append(vector.serialize())
            self.bytes += sum(map(len, parts))
            vectors = [self._ts.ckks_vector_from(self._server, part) for part in parts]
            added = [a + b for a, b in zip(added, vectors, strict=True)] if added else vectors
        back = [vector.serialize() for vector in added]
        self.bytes += len(self._members) * sum(map(len, back))
        found = [self._ts.ckks_vector_from(self._context, part).decrypt() for part in back]
        total = np.rint(np.concatenate(found) * unit).astype(np.int64)
        self.error = max(self.error, float(np.abs(total - exact).max()) / instruction.bound)
        return total

    def total(self, instruction: Instruction) -> Total:
        return Total(self.sum(instruction), self.members)

    def tell(self, task: str, body: Mapping[str, Any], arrays: Any = None) -> dict[str, Any]:
        return {name: tasks[task].told(body, arrays or {}) for name, tasks in self._members.items()}


def pooled(rows: int, features: int, trees: int) -> dict[str, Any]:
    """XGBoost on all rows in one place, whose inputs are the numbers of 64 quantile bins."""
    import xgboost

    parts = [payments(place, rows, features) for place in range(len(BANKS))]
    inputs, label = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    del parts
    at = np.linspace(0, 1, 65)[1:-1]
    edges = [np.quantile(inputs[:, k], at) for k in range(features)]
    for k, edge in enumerate(edges):
        inputs[:, k] = np.searchsorted(edge, inputs[:, k], side="right")
    meter = _Meter()
    table = xgboost.QuantileDMatrix(inputs, label, max_bin=64)
    settings = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.1, "max_bin": 64}
    begun = time.perf_counter()
    model = xgboost.train({**settings, "tree_method": "hist"}, table, trees)
    tree = (time.perf_counter() - begun) / trees
    wall, cpu = meter.lap()
    memory = meter.memory
    tested, truth = payments(1000, _TESTED, features)
    for k, edge in enumerate(edges):
        tested[:, k] = np.searchsorted(edge, tested[:, k], side="right")
    found = model.predict(xgboost.DMatrix(tested))
    return {
        "wall": wall,
        "cpu": cpu,
        "tree": tree,
        "auprc": average_precision(truth, found.astype(np.float64)),
        **memory,
    }


def main(kind: str, rows: int, features: int, trees: int) -> None:
    """One run of one kind."""
    found = pooled(rows, features, trees) if kind == "xgboost" else boosted(kind, rows, features, trees)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
