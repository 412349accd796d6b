# SPDX-License-Identifier: Apache-2.0
"""What noise costs in AUPRC, and what one poisoned member of five does, with votes and without."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from _common import Claim
from _learning import RUN, jobs, plan_of
from hitoku.learning.base import Arrays, Instruction, Rows
from hitoku.learning.evaluation import train
from hitoku.learning.evaluation.evaluate import pool
from hitoku.learning.evaluation.metrics import average_precision
from hitoku.learning.models import read_model, score
from hitoku.learning.plan import Aggregation, Boosting, Guard, Perceptron, Plan, Privacy
from learning_data import Size, book_banks

__all__ = ["poison", "privacy"]

EPSILONS: Final = (1.0, 3.0, 8.0, None)
_DELTA: Final = 1e-6
_POISONED: Final = "bank-3"
_KINDS: Final = ("none", "labels", "updates")


def _tested(model: bytes | Any, rows: Mapping[str, Rows], without: str = "") -> float:
    """AUPRC on all test rows, those of one bank left out."""
    test = pool({name: each for name, each in rows.items() if name != without})
    chosen = test.part == 2
    learned = read_model(model) if isinstance(model, bytes) else model
    return average_precision(test.label[chosen], score(learned, test.features[chosen]))


# --- noise ---


def _noised(kind: str, quick: bool) -> Any:
    """Few sums, since each costs; a split's gain holds the noise of many bins, which `l2` must outweigh."""
    if kind == "boosting":
        return Boosting(trees=5 if quick else 10, depth=3, bins=32, rate=1.0, l2=1000.0, child_weight=0.0)
    if kind == "usual":
        return Boosting(trees=10 if quick else 100)
    return Perceptron(rounds=10 if quick else 40, rate=0.15, layers=(32,))


def privacy_job(kind: str, size: Size, seed: int, epsilon: float | None, quick: bool) -> float:
    """AUPRC of a joint model of one kind, with noise for epsilon, or none."""
    from hitoku.learning.privacy import rho_for

    data, rows = book_banks(size, seed)
    given = None if epsilon is None else Privacy(rho=rho_for(epsilon, _DELTA), delta=_DELTA)
    # No lost member is paid for.
    paid = Aggregation(changes=0)
    plan = plan_of(data, _noised(kind, quick), tuple(rows), privacy=given, aggregation=paid)
    return _tested(train(plan, rows), rows)


def privacy(quick: bool) -> list[Claim]:
    """AUPRC by epsilon: what a plan's noise costs."""
    size: Size = "tiny" if quick else "half"
    seeds = range(1 if quick else 3)
    each = [
        (kind, size, seed, epsilon, quick)
        for kind in ("perceptron", "boosting")
        for seed in seeds
        for epsilon in ((3.0, None) if quick else EPSILONS)
    ]
    each += [("usual", size, seed, None, quick) for seed in seeds]
    made = dict(zip(each, jobs(privacy_job, each, "models with noise", apart=not quick), strict=True))
    usual = [found for (kind, *_), found in made.items() if kind == "usual"]
    claims = [
        Claim("boosting, the usual plan, no noise: AUPRC", float(np.mean(usual)), "", note=_from(usual))
    ]
    for kind in ("boosting", "perceptron"):
        clear = [v for (k, _, _, e, _), v in made.items() if k == kind and e is None]
        for epsilon in dict.fromkeys(one[3] for one in each if one[0] == kind):
            found = [v for (k, _, _, e, _), v in made.items() if k == kind and e == epsilon]
            words = "no noise" if epsilon is None else f"epsilon {epsilon:g}, delta {_DELTA:g}"
            claims.append(
                Claim(
                    f"{kind}, {words}: AUPRC (peer: the same plan without noise)",
                    float(np.mean(found)),
                    "",
                    None,
                    float(np.mean(clear)),
                    float(np.mean(found) / np.mean(clear)),
                    note=_from(found),
                )
            )
    return claims


def _from(found: Sequence[float]) -> str:
    return f"{len(found)} seeds, {min(found):.3f} to {max(found):.3f}" if len(found) > 1 else "one seed"


# --- poison ---


class _Poison:
    """A task whose updates are a hundred times the opposite of what its rows say, within the bound.

    Beyond the bound its own side would refuse; a member that replaced its software could send anything.
    """

    def __init__(self, task: Any) -> None:
        self._task = task

    def contribute(self, instruction: Instruction, members: tuple[str, ...]) -> NDArray[np.int64]:
        made: NDArray[np.int64] = self._task.contribute(instruction, members)
        if instruction.body.get("do") == "grow":
            pairs = made.reshape(-1, 2).astype(np.float64)
            pairs[:, 0] *= -100
            made = np.clip(pairs, -instruction.bound, instruction.bound).astype(np.int64).reshape(-1)
        return made

    def told_state(self) -> bytes:
        """As the task: else its masks would cancel with nobody's."""
        state = getattr(self._task, "told_state", None)
        return b"" if state is None else bytes(state())

    def told(self, body: Mapping[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
        if body.get("do") == "vote":
            return {"accept": True}, {}
        answer: tuple[dict[str, Any], Arrays] = self._task.told(body, arrays)
        return answer


def _driven(plan: Plan, rows: Mapping[str, Rows], poison: str) -> tuple[bytes, dict[str, Any]]:
    """A whole run over masks, votes and all; the model, and what happened."""
    from tests.learning.world import SERVER, Keys

    from hitoku.learning.aggregate.masks import MasksSummer
    from hitoku.learning.bank import Bank, make_tasks
    from hitoku.learning.channel import Channel
    from hitoku.learning.driver import Checkpoints, drive
    from hitoku.learning.local import LocalFleet
    from hitoku.learning.trainers import trainer_of

    keys = {name: Keys() for name in (*plan.members, SERVER)}
    publics = {name: each.public for name, each in keys.items()}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hitoku-poison-")))
        banks = {}
        for name, each in rows.items():
            tasks = make_tasks(plan, each)
            if poison == "updates" and name == _POISONED:
                tasks = {kind: _Poison(task) for kind, task in tasks.items()}
            bank = Bank(plan, RUN, name, keys[name], publics, tasks, folder / name, threads=1)
            banks[name] = stack.enter_context(bank).handle
        fleet = stack.enter_context(LocalFleet(banks))
        channel = Channel(plan, RUN, fleet, keys[SERVER], publics, None)
        summer = MasksSummer(channel, plan, RUN)
        store = Checkpoints(folder, plan, RUN)
        outcome = drive(plan, trainer_of(plan), summer, store, run=RUN, publics=publics)
    return outcome.model, outcome.to_dict()


def poison_job(poison: str, guarded: bool, size: Size, seed: int, trees: int) -> dict[str, Any]:
    """A run with one member poisoned in some way: AUPRC on the other banks' test rows, and what happened."""
    data, rows = book_banks(size, seed)
    honest = dict(rows)
    if poison == "labels":
        rows[_POISONED] = replace(rows[_POISONED], label=1 - rows[_POISONED].label)
    plan = plan_of(data, Boosting(trees=trees), tuple(rows), guard=Guard(every=5 if guarded else 0))
    model, said = _driven(plan, rows, poison)
    return {"auprc": _tested(model, honest, _POISONED), **said}


def poison(quick: bool) -> list[Claim]:
    """One of five banks with flipped labels, or with updates of the wrong sign times a hundred."""
    size: Size = "tiny" if quick else "half"
    seeds = range(1 if quick else 3)
    trees = 10 if quick else 50
    cases = [(kind, guarded) for kind in _KINDS for guarded in (False, True)]
    each = [(*case, size, seed, trees) for case in cases for seed in seeds]
    made = dict(
        zip(each, jobs(poison_job, each, "runs with a poisoned member", apart=not quick), strict=True)
    )
    clean = np.array([made["none", False, size, seed, trees]["auprc"] for seed in seeds])
    claims = [
        Claim(
            f"boosting, {trees} trees, no poison, no votes: AUPRC",
            float(clean.mean()),
            "",
            note=f"{len(seeds)} seeds",
        )
    ]
    for kind, guarded in cases[1:]:
        found = [made[kind, guarded, size, seed, trees] for seed in seeds]
        claims.append(_lost(kind, guarded, found, clean, quick))
    return claims


def _lost(
    kind: str, guarded: bool, found: Sequence[Mapping[str, Any]], clean: NDArray[np.float64], quick: bool
) -> Claim:
    loss = float(np.mean(1 - np.array([one["auprc"] for one in found]) / clean))
    words = {
        "none": "no poison",
        "labels": "labels of one bank flipped",
        "updates": "updates of one bank x -100",
    }
    aimed = guarded and kind != "none"
    left = "; ".join(",".join(one["left_out"]) or "nobody" for one in found)
    rejected = sum(e["event"] == "vote" and not e["accepted"] for one in found for e in one["events"])
    stopped = sorted({one["stopped"] for one in found if one["stopped"]})
    note = f"left out: {left}; blocks taken back: {rejected}" if guarded else "nobody is asked"
    if stopped:
        note += f"; stopped by {', '.join(stopped)}"
    return Claim(
        f"  {words[kind]}, {'votes' if guarded else 'no votes'}: loss of AUPRC",
        loss,
        "",
        "<= 0.02" if aimed else None,
        holds=None if quick or not aimed else loss <= 0.02,
        note=note,
    )
