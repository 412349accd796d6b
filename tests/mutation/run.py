# SPDX-License-Identifier: Apache-2.0
"""The mutation run: how many small faults in `disclosure` and in the check of questions the tests notice.

    python tests/mutation/run.py --seed 1 --mutants 300 [--only rules] [--json] [--again report.json]

``--over attestation`` does the same to `attestation`.

It exits with 1 below 90 % killed, 2 where the tests fail without any mutant. A time limit that runs out
kills a mutant; a mutant that no test reaches survives.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

if __package__ in {None, ""}:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutation.sample import equivalents, sample, targets
from tests.mutation.workers import Result, baseline, run, warm_up

WANTED: Final = 0.90
TESTS: Final = {
    "disclosure": (
        "tests/unit/questions",
        "tests/unit/disclosure",
        *(f"tests/rules/test_{name}.py" for name in ("derived", "pairs", "released_only", "remedies")),
        "tests/conformance/test_noise.py",
        *(
            f"tests/attacks/test_{name}.py"
            for name in ("questions_hostile", "red_answers", "red_oracles", "ask")
        ),
    ),
    "attestation": (
        "tests/unit/attestation",
        "tests/vectors/test_attestation.py",
        *(
            f"tests/attacks/test_attestation_{name}.py"
            for name in (
                "appraisal",
                "broker",
                "handshake",
                "launch",
                "log",
                "nitro_snp",
                "tdx_nvidia",
                "tpm",
            )
        ),
    ),
}
"""What is mutated, and the tests that are to notice."""
ROOMS: Final = {"disclosure": ("disclosure", "questions"), "attestation": ("attestation",)}


def report(results: Sequence[Result], known: dict[tuple[str, str, str], str], seed: int) -> dict[str, Any]:
    """The figures, JSON-ready. Equivalent mutants are counted apart; one that was killed was none.

    Args:
        results: one per mutant.
        known: the reviewed equivalent mutants.
        seed: of the sample.
    """
    modules: dict[str, dict[str, int]] = {}
    survivors: list[dict[str, Any]] = []
    equivalent: list[dict[str, Any]] = []
    wrong: list[dict[str, Any]] = []
    for result in results:
        mutant = result.mutant
        row = modules.setdefault(mutant.module, {"killed": 0, "survived": 0, "equivalent": 0})
        facts = {
            "module": mutant.module,
            "line": mutant.line,
            "source": mutant.source,
            "change": mutant.change,
            "outcome": result.outcome,
            "by": result.by,
            "seconds": round(result.seconds, 1),
        }
        reason = known.get((mutant.module, mutant.source, mutant.change))
        if result.outcome == "killed":
            row["killed"] += 1
            wrong.extend([facts] if reason else [])
        elif reason:
            row["equivalent"] += 1
            equivalent.append({**facts, "reason": reason})
        else:
            row["survived"] += 1
            survivors.append(facts)
    killed = sum(row["killed"] for row in modules.values())
    counted = killed + len(survivors)
    return {
        "seed": seed,
        "mutants": len(results),
        "killed": killed,
        "survived": len(survivors),
        "equivalent": len(equivalent),
        "share": round(killed / counted, 4) if counted else 1.0,
        "wanted": WANTED,
        "modules": modules,
        "survivors": survivors,
        "equivalents": equivalent,
        "not_equivalent": wrong,
    }


def _print(figures: dict[str, Any], seconds: float) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table("module", "killed", "survived", "equivalent")
    for name, row in sorted(figures["modules"].items()):
        table.add_row(name.removeprefix("hitoku."), *(str(n) for n in row.values()))
    console.print(table)
    for title in ("survivors", "equivalents", "not_equivalent"):
        for one in figures[title]:
            place = f"{one['module']}:{one['line']}"
            console.print(
                f"{title.replace('_', ' ')[:-1]}: {escape(place)}  {escape(one['source'])}", soft_wrap=True
            )
            console.print(
                f"    {escape(one['change'])}  ({escape(one.get('reason') or one['outcome'])})",
                soft_wrap=True,
            )
    console.print(
        f"{figures['killed']} of {figures['killed'] + figures['survived']} mutants killed: "
        f"{figures['share']:.1%} (at least {WANTED:.0%} wanted); {figures['equivalent']} equivalent apart; "
        f"seed {figures['seed']}, {seconds / 60:.1f} minutes"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--over", choices=sorted(ROOMS), default="disclosure", help="what is mutated")
    parser.add_argument("--only", action="append", default=[], help="a part of a module's name")
    parser.add_argument("--tests", action="append", help="what pytest is told to run, instead of the list")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of tests per mutant")
    parser.add_argument("--without-failing", action="store_true", help="leave out tests that fail anyway")
    parser.add_argument("--again", type=Path, help="a report: run what survived in it")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", action="store_true", help="the figures as JSON on standard output")
    asked = parser.parse_args(arguments)

    start = time.monotonic()
    known = equivalents()
    files = targets(only=asked.only, rooms=ROOMS[asked.over])
    chosen = sample(files, asked.mutants, asked.seed)
    if asked.again:
        before = {
            (s["module"], s["source"], s["change"]) for s in json.loads(asked.again.read_text())["survivors"]
        }
        chosen = [m for m in chosen if (m.module, m.source, m.change) in before]
    warm_up(list(files))
    scratch = Path(tempfile.mkdtemp(prefix="hitoku-mutation-"))
    try:
        base = baseline(list(files.values()), asked.tests or TESTS[asked.over], scratch)
        if asked.without_failing:
            _say(f"left out, for they fail without any mutant: {', '.join(base.failed) or 'none'}")
            base.leave_out(set(base.failed))
        if base.failed or not base.seconds:
            print(f"without any mutant, tests fail: {', '.join(base.failed[:5])}", file=sys.stderr)  # noqa: T201
            return 2
        _say(f"{len(base.seconds)} tests, {sum(base.seconds.values()):.0f} s; {len(chosen)} mutants")
        count = 0

        def progress(result: Result) -> None:
            nonlocal count
            count += 1
            place = f"{result.mutant.module}:{result.mutant.line}"
            _say(f"{count}/{len(chosen)} {result.outcome} {place} {result.mutant.change} [{result.by}]")

        results = run(chosen, files, base, scratch, asked.processes, progress, asked.budget)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    figures = report(results, known, asked.seed)
    if asked.json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        _print(figures, time.monotonic() - start)
    return 0 if figures["share"] >= WANTED else 1


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
