# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo learn`: five banks learn together; one is lost, one poisoned. Checks itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.demo import stage
from hitoku.demo.learn import telling
from hitoku.demo.learn.processes import Processes, opened, running
from hitoku.demo.learn.world import BANKS, World, make
from hitoku.errors import InputError
from hitoku.learning.signing import SignedPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from hitoku.learning.base import Rows
    from hitoku.learning.evaluation.report import Report

__all__ = ["run"]

_NEEDS: Final = {"numpy": "numpy", "flwr": "flwr", "pyarrow": "pyarrow"}
_MODEL: Final = {"kind": "boosting", "trees": 16, "depth": 4, "rate": 0.3, "l2": 8}
_SMALL: Final = {"kind": "boosting", "trees": 12, "depth": 3, "rate": 0.3, "l2": 30}
_GUARDED: Final = {**_SMALL, "trees": 6}
_EVERY: Final = 2
_KILLED: Final = "bank-4"
_POISONED: Final = "bank-3"
_KILLED_AFTER: Final = 2
"""Whole trees; the kill falls into the next one."""
_RESAMPLES: Final = 60
_LEAST: Final = 0.8
"""So much of the honest model's AUPRC must be left with a poisoned bank and votes, or the demo failed."""


def run(directory: Path, console: Console) -> dict[str, Any]:
    """Tell the whole story in `directory`. Returns how it ended; `right` says whether all came as it should.

    Raises:
        InputError: the directory is not the demo's, or the extra is not installed.
        PeerError: a process did not do what it should; the message names its log.
    """
    missing = [package for module, package in _NEEDS.items() if find_spec(module) is None]
    if missing:
        raise InputError(
            f"this demo needs {', '.join(missing)}: make build EXTRAS=learning, or "
            'pip install "hitoku[learning,demo]"'
        )
    began = time.monotonic()
    stage.prepare(directory)
    console.print(f"Everything of this demo is in [b]{directory.resolve()}[/b]; delete it when you like.")
    console.print("It takes two minutes on two cores, twice that where they are busy.")
    found = _Story(directory.resolve(), console).tell()
    seconds = time.monotonic() - began
    console.print(f"\nThe demo's own work took {seconds:.1f} s.")
    return {**found, "directory": str(directory.resolve()), "seconds": round(seconds, 3)}


@dataclass(slots=True)
class _Story:
    """The story, chapter by chapter."""

    directory: Path
    console: Console
    chapter: int = field(default=0)

    def tell(self) -> dict[str, Any]:
        """All of it."""
        world = self._world()
        plan = self._plan(world)
        learned = self._learned(world, plan)
        rows = telling.rows_of(world, plan)
        compared = self._compared(plan, learned, rows)
        lost = self._lost(world, learned)
        poisoned = self._poisoned(world, rows)
        audited = self._audited(learned)
        self._say("Who learned what")
        telling.learned(self.console)
        self._further(plan, learned)
        parts = (compared, lost, poisoned, audited)
        return {
            "right": all(part["right"] for part in parts),
            **dict(zip(("compared", "lost", "poisoned", "audited"), parts, strict=True)),
        }

    def _say(self, title: str) -> None:
        self.chapter += 1
        stage.say(self.console, f"{self.chapter}  {title}")

    def _line(self, *lines: str) -> None:
        for line in lines:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _world(self) -> World:
        self._say("Five banks, each with its own payments, and a server that owns none")
        world = make(self.directory)
        self.console.print(telling.banks(world))
        self._line(
            "Made-up payments. Customers belong to one bank; terminals serve customers of all. Each bank is",
            "attacked mainly in one way, and has hardly met the other two. No bank's rows leave its process.",
        )
        return world

    def _plan(self, world: World) -> SignedPlan:
        self._say("A plan: what is learned, from which columns, by whom. All sign it")
        path = world.plan("fraud", _MODEL, aggregation={"transcript": "full"})
        signed = SignedPlan.load(path)
        self._line(*telling.plan(path, signed))
        return signed

    def _learned(self, world: World, signed: SignedPlan) -> Processes:
        self._say("They learn: six processes, one of them the server, over TLS")
        began = time.monotonic()
        with running(world, telling.file_of(world, signed)) as processes:
            report = processes.end()
        self._line(*telling.learning(report, time.monotonic() - began))
        return processes

    def _compared(self, signed: SignedPlan, run: Processes, rows: Mapping[str, Rows]) -> dict[str, Any]:
        from hitoku.cli.show import TerminalProgress
        from hitoku.learning.evaluation import evaluate
        from hitoku.learning.models import read_model

        self._say("What it brought: alone, joint, pooled, ensemble")
        model = read_model((run.folder / "model.json").read_bytes())
        progress = TerminalProgress()
        try:
            report = evaluate(signed.plan, rows, joint=model, resamples=_RESAMPLES, progress=progress.phase)
        finally:
            progress.close()
        written = report.save(self.directory / "evaluation")
        self._line(report.to_text().rstrip())
        return self._judged(report, written)

    def _judged(self, report: Report, written: list[Path]) -> dict[str, Any]:
        alone, joint, pooled = (report.mean(form, "all", "auprc") for form in ("alone", "joint", "pooled"))
        self._line(
            f"On everybody's frauds a bank alone has an AUPRC of {alone:.3f} (mean), the joint model",
            f"{joint:.3f}, the model of all rows in one place {pooled:.3f}: masks cost no accuracy.",
            "The joint model can be worse for a bank's own frauds, of which it knew most already.",
            "Its ensemble mixes both models' scores, chosen on rows that neither learned from.",
            f"In {self.directory / 'evaluation'}: {', '.join(path.name for path in written)}",
        )
        worse = report.worse.get("ensemble", [])
        return {
            "right": abs(joint - pooled) < 1e-3 and joint > alone and not worse,
            "alone": alone,
            "joint": joint,
            "pooled": pooled,
            "ensemble_own": report.mean("ensemble", "own", "auprc"),
            "alone_own": report.mean("alone", "own", "auprc"),
            "worse": worse,
        }

    def _lost(self, world: World, whole: Processes) -> dict[str, Any]:
        self._say(f"{_KILLED} is killed in the middle of a tree, and comes back")
        before = telling.preparing(whole.folder, int(str(_MODEL["trees"])) * int(str(_MODEL["depth"])))
        depth = int(str(_SMALL["depth"]))
        with running(world, world.plan("killed", _SMALL)) as processes:
            processes.sum_asked(before + _KILLED_AFTER * depth + 2)
            processes.kill(_KILLED)
            self._line(f"kill -9 {_KILLED}, in tree {_KILLED_AFTER + 1} of {_SMALL['trees']}")
            processes.noticed(_KILLED)
            processes.bank(_KILLED)
            report = processes.end()
        sets = telling.sets(opened(processes.folder), before)
        self.console.print(telling.sets_table(sets))
        self._line(
            "That tree is thrown away: sums over five less sums over four of the same rows are the lost",
            "bank's own. Nobody has a key that would open the rest of it. The four grow it anew, each",
            "from four fifths of its rows, drawn for this set alone.",
        )
        lost = [event for event in report["events"] if event["event"] == "lost"]
        four = [one for one in sets if len(one.members) == len(BANKS) - 1]
        right = (
            report["steps"] == _SMALL["trees"]
            and bool(lost and four)
            and all(_KILLED not in one.members for one in four)
            and sets[-1].members == BANKS
            and list(report["delivered"]) == list(BANKS)
        )
        return {"right": right, "losses": report["losses"], "sets": [one.to_dict() for one in sets]}

    def _poisoned(self, world: World, rows: Mapping[str, Rows]) -> dict[str, Any]:
        from hitoku.demo.learn.poison import FACTOR
        from hitoku.demo.learn.poisoned import area, trained
        from hitoku.learning.counters import extend
        from hitoku.learning.evaluation.evaluate import opened_counters
        from hitoku.learning.models import read_model

        self._say(f"{_POISONED} changes its program: -{FACTOR} times what its rows say")
        path = world.plan("poisoned", _GUARDED, guard={"every": _EVERY})
        with running(world, path, _POISONED) as processes:
            report = processes.end()
        self.console.print(telling.votes(report["events"]))
        plan = SignedPlan.load(path).plan
        sums = opened_counters(plan, rows)
        whole = {name: extend(plan.data, one, sums) for name, one in rows.items()}
        others = {name: one for name, one in whole.items() if name != _POISONED}
        areas = {
            "five honest banks": area(trained(plan, whole), whole),
            f"four honest banks, without {_POISONED}": area(trained(plan, others), whole),
            f"{_POISONED} poisoned, votes": area(
                read_model((processes.folder / "model.json").read_bytes()), whole
            ),
            f"{_POISONED} poisoned, no votes": area(trained(plan, whole, _POISONED), whole),
        }
        self.console.print(telling.areas(areas))
        honest, _, guarded, spoilt = areas.values()
        self._line(
            "Under masks a number can be anything, and no sum tells who spoilt it. So each bank judges",
            "the joint model on its own holdout and signs its vote. More than a third against: the block",
            "is taken back, and one bank after the other is left out until a block is accepted. A vote",
            "finds what hurts on a holdout; poison that no holdout notices stays.",
        )
        return {
            "right": report["left_out"] == [_POISONED] and guarded > max(spoilt, _LEAST * honest),
            "left_out": report["left_out"],
            "auprc": areas,
        }

    def _audited(self, run: Processes) -> dict[str, Any]:
        from hitoku.learning.audit import audit

        self._say("What the server of the first run saw (`hitoku learn audit`)")
        found = audit(run.folder, [run.own(name) for name in BANKS])
        self._line(*telling.audited(found))
        return {
            "right": found.holds and bool(found.facts.get("replayed")),
            "findings": [finding.to_dict() for finding in found.findings],
            "protected_share": found.facts.get("protected_share"),
            "replayed": bool(found.facts.get("replayed")),
        }

    def _further(self, signed: SignedPlan, run: Processes) -> None:
        self._say("What to try next")
        place = self.directory
        self._line(
            f"hitoku learn plan {place / f'{signed.plan.name}.plan.json'} --room {place}",
            f"hitoku learn audit {run.folder} --bank {run.own(BANKS[0])}",
            f"hitoku ledger show --room {place} --as {BANKS[0]}",
            "Your own banks: docs/learning.md",
        )
