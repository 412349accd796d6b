# SPDX-License-Identifier: Apache-2.0
"""What the demo of learning together says, apart from what it does: tables and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku.demo.learn.processes import opened
from hitoku.demo.learn.world import World
from hitoku.learning.planning import meaning
from hitoku.learning.signing import SignedPlan

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hitoku.learning.audit import Report
    from hitoku.learning.base import Rows

__all__ = [
    "Stretch",
    "areas",
    "audited",
    "banks",
    "file_of",
    "learned",
    "learning",
    "plan",
    "preparing",
    "rows_of",
    "sets",
    "sets_table",
    "votes",
]


def banks(world: World) -> Table:
    """What each bank brings."""
    table = _table("bank", "payments", "frauds", "its file")
    for name, bank in world.banks.items():
        table.add_row(name, f"{bank.rows:,}", f"{bank.frauds:,}", f"{bank.size / 1e6:.1f} MB")
    return table


def file_of(world: World, signed: SignedPlan) -> Path:
    """A plan's file."""
    return world.place / f"{signed.plan.name}.plan.json"


def plan(path: Path, signed: SignedPlan) -> list[str]:
    """What the banks agree to."""
    told = meaning(signed.plan).sentences
    lines = [f"{path.name}: {signed.hash[:23]}…, signed by {', '.join(signed.signers)}", ""]
    return lines + [
        f"- {line}" for topic in ("threshold", "collusion", "learns", "cost") for line in told[topic]
    ]


def learning(report: Mapping[str, Any], seconds: float) -> list[str]:
    """How a run went."""
    saw = report["saw"]
    start = seconds - report["seconds"]
    return [
        f"{report['steps']} trees in {seconds:.0f} s, of which {start:.0f} s to start and end six processes.",
        f"{saw['sums']} sums opened, each over all five. The server received {saw['received'] / 1e6:.1f} MB:",
        f"{saw['protected_share']:.1%} masked or sealed, the rest names, hashes and signatures.",
        f"Every bank has the model: {report['model'][:23]}…",
    ]


def rows_of(world: World, signed: SignedPlan) -> dict[str, Rows]:
    """All banks' rows, which only the demo has side by side."""
    from hitoku.learning.data.rows import load_rows

    key = bytes.fromhex(signed.plan.salt)
    return {
        name: load_rows(signed.plan.data, str(world.table(name)), Path(), key=key) for name in world.banks
    }


def preparing(folder: Path, levels: int) -> int:
    """How many sums a run opened before its first tree, without counters: those that find bins."""
    return len([entry for entry in opened(folder) if entry["kind"] == "masks.sum"]) - levels


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sums over one set, one after the other.

    Attributes:
        members: the set.
        sums: how many levels of trees opened.
    """

    members: tuple[str, ...]
    sums: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"members": list(self.members), "sums": self.sums}


def sets(entries: Iterable[Mapping[str, Any]], before: int) -> list[Stretch]:
    """The sets of a run in their order, and what opened over each after the first `before` sums."""
    found: list[Stretch] = []
    for entry in [e for e in entries if e["kind"] == "masks.sum"][before:]:
        members = tuple(entry["what"]["members"])
        if found and found[-1].members == members:
            found[-1] = Stretch(members, found[-1].sums + 1)
        else:
            found.append(Stretch(members, 1))
    return found


def sets_table(found: Sequence[Stretch]) -> Table:
    """The same as a table."""
    table = _table("sums over", "levels of trees")
    for one in found:
        table.add_row(", ".join(one.members), str(one.sums))
    return table


def votes(events: Iterable[Mapping[str, Any]]) -> Table:
    """What was voted on, and what came of it."""
    table = _table("trees", "left out", "votes against", "")
    without = ""
    for event in events:
        if event["event"] == "left out":
            without = str(event["member"])
        elif event["event"] == "vote":
            against = [vote for vote in event["votes"] if not vote["accept"]]
            came = "accepted" if event["accepted"] else "taken back"
            block = f"{event['start'] + 1}-{event['done']}"
            table.add_row(block, without or "nobody", f"{len(against)} of {len(event['votes'])}", came)
    return table


def areas(found: Mapping[str, float]) -> Table:
    """Average precision of models."""
    table = _table("", "AUPRC, all banks' test rows")
    for name, value in found.items():
        table.add_row(name, f"{value:.3f}")
    return table


def audited(report: Report) -> list[str]:
    """What an audit found, in sentences."""
    facts = report.facts
    lines = [f"{finding.code}: {finding.message}" for finding in report.findings]
    lines.append(
        f"{facts['messages']:,} messages in one chain, each signed by its sender; the five banks' own "
        "transcripts tell of the same ones."
    )
    lines.append(
        f"{facts['received_bytes']:,} bytes came in, {facts['protected_share']:.1%} masked or sealed; "
        f"these look uniform (chi-square {facts['largest_chi_square']} at most, 255 degrees of freedom)."
    )
    lines.append(
        "The model was grown once more from the opened sums alone: it is the same, byte for byte."
        if facts.get("replayed")
        else "The model could NOT be grown from the opened sums."
    )
    lines += report.notices
    lines.append(
        "Everything holds. An audit finds plain values, reused masks and lies; secrecy itself rests on the "
        "argument in docs/learning-protocol.md."
        if report.holds
        else f"{len(report.findings)} findings: this is NOT as it should be. Please report this."
    )
    return lines


def learned(console: Console) -> None:
    """Who learned what in the first run."""
    from rich.padding import Padding

    told = {
        "centre learns": (
            "sums over all five banks: payments and frauds per terminal and day, histograms of gradients",
            "the model; who answered when; lengths and times",
            "no bank's vector: it is uniform to the server, also together with any one bank [1]",
        ),
        "each bank learns": (
            "the model after each tree, the summed counters, what others voted where there are votes",
            "of the counters, less its own part: the sum of the other four's",
        ),
        "whoever has the model learns": (
            "what 16 trees tell of all rows; without `privacy` in the plan no bound holds for that",
        ),
    }
    for who, lines in told.items():
        console.print(who)
        for line in lines:
            console.print(Padding(f"- {line}", (0, 0, 0, 2)), markup=False, highlight=False)
    console.print(
        "[1] if X25519, AES-256 and ChaCha20 hold, members' keys are those of the room, and no member's "
        "state is set back. Unaudited.",
        markup=False,
        highlight=False,
    )


def _table(*names: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="")
    for place, name in enumerate(names):
        numeric = name in {"payments", "frauds", "its file", "levels of trees"} or name.startswith("AUPRC")
        table.add_column(name, justify="right" if numeric and place else "left")
    return table
