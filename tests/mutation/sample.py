# SPDX-License-Identifier: Apache-2.0
"""Which modules are mutated, and the seeded sample of their mutants."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from .operators import Mutant, mutants

__all__ = ["HERE", "ROOT", "SOURCES", "equivalents", "sample", "targets"]

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
SOURCES: Final = ROOT / "src"

# The rest of `questions` is the check. These only show, reword or run what it has decided.
_NOT_THE_CHECK: Final = tuple(
    f"hitoku.questions.{name}"
    for name in ("changes", "edits", "explain", "remedies", "render", "run", "totals", "wording")
)
# Runs in processes of its own, started from an image of the files: a mutant in this process never gets there.
# Tests of it change files, and look what is refused (`tests/attacks/test_attestation_launch.py`).
_ELSEWHERE: Final = ("hitoku.attestation.launch.",)


def targets(
    sources: Path = SOURCES, only: Iterable[str] = (), rooms: Iterable[str] = ("disclosure", "questions")
) -> dict[str, Path]:
    """The modules that are mutated, by dotted name.

    Args:
        sources: the folder that holds the package.
        rooms: the package's folders that they are in.
        only: keep the modules whose name has one of these in it; all where empty.
    """
    found: dict[str, Path] = {}
    for room in rooms:
        for path in sorted((sources / "hitoku" / room).rglob("*.py")):
            name = ".".join(path.relative_to(sources).with_suffix("").parts)
            if path.stem != "__init__" and not name.startswith((*_NOT_THE_CHECK, *_ELSEWHERE)):
                found[name] = path
    wanted = tuple(only)
    return {name: path for name, path in found.items() if not wanted or any(w in name for w in wanted)}


def sample(modules: dict[str, Path], count: int, seed: int) -> list[Mutant]:
    """A sample of the modules' mutants: every mutable line is as likely as every other.

    An edit of one module changes the choice in the others as little as can be.

    Args:
        modules: dotted names and files.
        count: how many mutants; fewer are returned only where there are no more.
        seed: the same seed and the same files give the same sample.
    """
    ordered = {name: _shuffled(name, path, seed) for name, path in modules.items()}
    lines = {name: len({m.line for m in made}) for name, made in ordered.items()}
    taken = dict.fromkeys(ordered, 0)
    for _ in range(min(count, sum(map(len, ordered.values())))):
        # The module that is furthest behind its share: largest remainders, one mutant at a time.
        open_ = [name for name in ordered if taken[name] < len(ordered[name])]
        taken[min(open_, key=lambda name: ((taken[name] + 0.5) / lines[name], name))] += 1
    return [mutant for name, made in ordered.items() for mutant in made[: taken[name]]]


def _shuffled(name: str, path: Path, seed: int) -> list[Mutant]:
    """A module's mutants: first one of each line, then a second one of each that has two, and so on."""
    chance = random.Random(f"{seed}:{name}")
    by_line: dict[int, list[Mutant]] = defaultdict(list)
    for mutant in mutants(name, path.read_text("utf-8")):
        by_line[mutant.line].append(mutant)
    for made in by_line.values():
        chance.shuffle(made)
    order: list[Mutant] = []
    while by_line:
        lines = sorted(by_line)
        chance.shuffle(lines)
        for line in lines:
            order.append(by_line[line].pop())
            if not by_line[line]:
                del by_line[line]
    return order


def equivalents(path: Path = HERE / "equivalent.yaml") -> dict[tuple[str, str, str], str]:
    """The reviewed mutants that change no behaviour: module, line's text and change, with the reason.

    Raises:
        ValueError: an entry has no reason, or stands twice.
    """
    found: dict[tuple[str, str, str], str] = {}
    entries: list[dict[str, Any]] = yaml.safe_load(path.read_text("utf-8")) or []
    for entry in entries:
        key = (entry["module"], entry["source"], entry["change"])
        if not entry.get("reason", "").strip() or key in found:
            raise ValueError(f"{path.name}: {key} needs one entry, with a reason")
        found[key] = entry["reason"]
    return found
