# SPDX-License-Identifier: Apache-2.0
"""The server's side of a run: asks the members over a fleet, adds what it cannot read, keeps what it saw.

With `masks` the driver runs here, since the server opens the sums. With `he` the server relays and adds
ciphertexts, and the driver runs at the leader. In both, everything that came and went is in the transcript.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from hitoku.learning.bank import finish
from hitoku.learning.base import Fleet
from hitoku.learning.channel import Channel
from hitoku.learning.driver import Checkpoints, Counting, drive
from hitoku.learning.folders import RunFolder
from hitoku.learning.plan import Plan, plan_hash
from hitoku.learning.signing import publics_of
from hitoku.learning.trainers import trainer_of
from hitoku.learning.transcript import Transcript, read_transcript
from hitoku.ports import KeyStore, Progress
from hitoku.room.files import write_whole

__all__ = ["Server", "seen"]

_NOTHING: Final[dict[str, Any]] = {
    "model": None,
    "delivered": [],
    "steps": 0,
    "stopped": None,
    "losses": 0,
    "left_out": [],
    "events": [],
    "seconds": 0.0,
}
"""What a leader may let the server know."""


class Server:
    """One run at its server. Close it, or use it in `with`.

    Args:
        folder: the run's folder, whose plan and room were verified when it was made.
        fleet: how the members are reached.
        keys: the server's keys.
        threads: for masks; every core by default.

    Raises:
        InputError: the folder's transcript is of another run, or damaged.
    """

    def __init__(self, folder: RunFolder, fleet: Fleet, keys: KeyStore, threads: int | None = None) -> None:
        self.folder = folder
        plan = folder.signed.plan
        self._plan, self._threads = plan, threads
        self._publics = publics_of(folder.room.agreement)
        self._transcript = Transcript(
            folder.transcript,
            party=folder.party,
            plan=plan_hash(plan),
            run=folder.run,
            payloads=plan.aggregation.transcript == "full",
        )
        self.channel = Channel(plan, folder.run, fleet, keys, self._publics, self._transcript)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the transcript."""
        self._transcript.close()

    def run(self, progress: Progress | None = None) -> dict[str, Any]:
        """Run the plan to its end, or go on with it. Writes model and report; returns the report.

        Raises:
            TooFewMembers: fewer than the threshold are left; run again when they are back.
            Refusal: a member does not allow what was asked.
        """
        masks = self._plan.aggregation.kind == "masks"
        report = self._masks(progress) if masks else self._he(progress)
        report = {"plan": self.folder.signed.hash, "run": self.folder.run, **report, "saw": seen(self.folder)}
        self.folder.write_report(report)
        return report

    def _he(self, progress: Progress | None) -> dict[str, Any]:
        """Relay and add; the model is the members' alone, the server has its hash."""
        from hitoku.learning.aggregate.he import HeRelay

        if progress is not None:
            progress.phase("relay")
        relay = HeRelay(self.channel, self._plan, self.folder.run, threads=self._threads)
        said = relay.run(None if progress is None else lambda _: progress.advance())
        return {**_NOTHING, **{key: value for key, value in said.items() if key in _NOTHING}}

    def _masks(self, progress: Progress | None) -> dict[str, Any]:
        from hitoku.learning.aggregate.masks import MasksSummer

        summer = MasksSummer(self.channel, self._plan, self.folder.run, self._threads)
        outcome = drive(
            self._plan,
            trainer_of(self._plan),
            summer,
            Checkpoints(self.folder.path, self._plan, self.folder.run),
            progress,
            run=self.folder.run,
            publics=self._publics,
            counting=_counting(self._plan),
        )
        write_whole(self.folder.model, outcome.model)
        have = finish(summer, outcome)
        digest = "sha256:" + hashlib.sha256(outcome.model).hexdigest()
        return {"model": digest, "delivered": list(have), **outcome.to_dict()}


def seen(folder: RunFolder) -> dict[str, Any]:
    """What the server sent, received and opened, out of its transcript."""
    protected: dict[str, int] = {}
    totals = {"messages": 0, "sent": 0, "received": 0, "absent": 0, "sums": 0}
    sets: dict[tuple[str, ...], int] = {}
    for entry in read_transcript(folder.transcript):
        direction = entry.get("direction")
        if direction == "opened":
            totals["sums"] += 1
            members = tuple(entry["what"].get("members", ()))
            sets[members] = sets.get(members, 0) + 1
        elif direction == "absent":
            totals["absent"] += 1
        elif direction in {"sent", "received"}:
            totals["messages"] += 1
            totals[direction] += int(entry["bytes"])
            if direction == "received":
                for kind, count in entry["protected"].items():
                    protected[kind] = protected.get(kind, 0) + int(count)
    received = sum(protected.values())
    return {
        **totals,
        "received_by_protection": protected,
        "protected_share": round(1 - protected.get("open", 0) / received, 6) if received else 0.0,
        "sets": [{"members": list(members), "sums": count} for members, count in sorted(sets.items())],
    }


def _counting(plan: Plan) -> Counting | None:
    if not plan.data.counters:
        return None
    from hitoku.learning.counting import SummedCounters

    return SummedCounters(plan)
