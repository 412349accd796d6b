# SPDX-License-Identifier: Apache-2.0
"""Learning runs for people: folders of runs that node.toml names, what their plans mean, what came of them.

A run's folder was written by `hitoku learn`, but what it holds came from many members: it is read bounded,
and nothing in it is trusted to be well formed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku import limits
from hitoku.console.context import Context, NotFound
from hitoku.console.users import User
from hitoku.errors import HitokuError

if TYPE_CHECKING:
    from hitoku.learning.curve import Point
    from hitoku.learning.folders import RunFolder
    from hitoku.learning.planning import Meaning

__all__ = ["Evaluation", "Line", "Run", "allowed", "audit_run", "run_of", "runs"]

_FORMS: Final = ("alone", "joint", "pooled", "ensemble")
_REPORT: Final = "report.json"
_RUN: Final = "run.json"


@dataclass(frozen=True, slots=True)
class Line:
    """A run in the list.

    Attributes:
        key: its address here.
        folder: the run's folder, as `hitoku learn` made it.
        report: what the server wrote at the end, without what is not as it should be; None while it runs, or
            at a member.
        began: when the folder was made, seconds since 1970.
    """

    key: str
    folder: RunFolder
    report: Mapping[str, Any] | None
    began: float

    @property
    def day(self) -> str:
        """When it began, to the minute, UTC."""
        return datetime.fromtimestamp(self.began, UTC).strftime("%Y-%m-%d %H:%M")


@dataclass(slots=True)
class Evaluation:
    """What `hitoku learn evaluate` found: models compared on test rows, read without trust.

    Attributes:
        curves: (recall, precision) by form of model.
        own: for each member, AUPRC with its band on the member's own test rows, by form.
        everywhere: the same on all members' test rows.
        worse: the members that are worse off than alone, by form.
        notes: what was not measured.
    """

    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    own: dict[str, dict[str, tuple[float, float, float]]] = field(default_factory=dict)
    everywhere: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    worse: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def forms(self) -> list[str]:
        """The forms there are, in order."""
        return [f for f in _FORMS if f in self.curves or any(f in bars for bars in self.own.values())]


@dataclass(frozen=True, slots=True)
class Run:
    """A run with all that its page shows.

    Attributes:
        line: as in the list.
        meaning: what its plan means, in sentences by topic.
        signers: who signed the plan.
        evaluation: a comparison of models that names this plan; None where there is none.
        events: what happened in the run, in order: event, step, words.
        own: the joint model's loss on this member's own holdout rows, by step; empty in a server's folder.
        received: bytes that the server received, by how they were protected.
        transcript_bytes: size of the transcript; 0 where there is none.
        model_bytes: size of the model; 0 where there is none.
    """

    line: Line
    meaning: Meaning
    signers: tuple[str, ...]
    evaluation: Evaluation | None
    events: tuple[tuple[str, int, str], ...]
    own: tuple[Point, ...]
    received: Mapping[str, int]
    transcript_bytes: int
    model_bytes: int


def allowed(context: Context) -> tuple[Path, ...]:
    """The folders that node.toml says runs are in; ``learning`` in the member's directory by default."""
    settings = context.node.settings()
    console = getattr(settings, "console", None)
    names = getattr(console, "learning", ("learning",))
    return tuple(context.node.directory.path / name for name in names)


def runs(context: Context, user: User) -> tuple[Line, ...]:
    """All runs that the user may see, newest first."""
    found = [line for path in _folders(context) if (line := _line(path)) is not None]
    seen = [line for line in found if user.sees(line.folder.signed.plan.room)]
    return tuple(sorted(seen, key=lambda line: line.began, reverse=True))


def run_of(context: Context, user: User, key: str) -> Run:
    """A run by its address.

    Raises:
        NotFound: there is none that this user may see.
    """
    line = find(context, user, key)
    from hitoku.learning.curve import read_curve
    from hitoku.learning.planning import meaning

    plan = line.folder.signed.plan
    report = line.report or {}
    saw = report.get("saw")
    received = saw.get("received_by_protection") if isinstance(saw, dict) else None
    return Run(
        line=line,
        meaning=meaning(plan),
        signers=tuple(line.folder.signed.signers),
        evaluation=_evaluation(context, line.folder),
        events=tuple(_events(report.get("events"))),
        own=read_curve(line.folder.path),
        received={str(k): v for k, v in received.items() if type(v) is int}
        if isinstance(received, dict)
        else {},
        transcript_bytes=_size(line.folder.transcript),
        model_bytes=_size(line.folder.model),
    )


def find(context: Context, user: User, key: str) -> Line:
    """A run in the list, by its address.

    Raises:
        NotFound: there is none that this user may see.
    """
    for path in _folders(context):
        if _key(path) == key:
            line = _line(path)
            if line is not None and user.sees(line.folder.signed.plan.room):
                return line
    raise NotFound("there is no such run, or it is not yours to see")


def audit_run(line: Line) -> dict[str, Any]:
    """Check what the server of the run saw (`hitoku learn audit`). JSON-ready.

    Raises:
        InputError, RoomError: the folder cannot be read.
    """
    from hitoku.learning.audit import audit

    return audit(line.folder.path).to_dict()


def _folders(context: Context) -> Iterator[Path]:
    """Folders of runs: those named, and one level below them. Links are not followed."""
    left = limits.MAX_CONSOLE_LEARNING_RUNS
    for root in allowed(context):
        for path in (root, *_children(root)):
            if (path / _RUN).is_file() and not path.is_symlink():
                yield path
                left -= 1
                if not left:
                    return


def _children(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            found = [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(found)


def _key(path: Path) -> str:
    return hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _line(path: Path) -> Line | None:
    from hitoku.learning.folders import RunFolder

    try:
        folder = RunFolder.open(path)
        began = (path / _RUN).stat().st_mtime
    except (HitokuError, OSError):
        return None
    return Line(_key(path), folder, _said(_json(path / _REPORT)), began)


def _said(report: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A report with all that the pages look for: None, or of no member, where it is not as it should be."""
    if report is None:
        return None
    left_out, stopped = report.get("left_out"), report.get("stopped")
    figures = {
        name: value if isinstance(value := report.get(name), int | float) else None
        for name in ("steps", "seconds", "losses")
    }
    return {
        **figures,
        "events": report.get("events"),
        "saw": report.get("saw"),
        "left_out": [str(one) for one in left_out] if isinstance(left_out, list) else [],
        "stopped": stopped if stopped in ("early", "votes", "changes") else None,
        "model": model if isinstance(model := report.get("model"), str) else None,
    }


def _json(path: Path) -> dict[str, Any] | None:
    try:
        if path.is_symlink() or path.stat().st_size > limits.MAX_CONSOLE_LEARNING_REPORT_BYTES:
            return None
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _events(events: object) -> Iterator[tuple[str, int, str]]:
    """What happened, as far as it can be read: (event, step, whom it is about)."""
    for event in (events if isinstance(events, list) else [])[:500]:
        if not isinstance(event, dict):
            continue
        what, done = event.get("event"), event.get("done")
        names: list[str] = []
        for field_name in ("members", "against"):
            value = event.get(field_name)
            if isinstance(value, list):
                names += [str(one) for one in value]
        if isinstance(event.get("member"), str):
            names.append(event["member"])
        if what == "vote":
            what = "vote accepted" if event.get("accepted") is True else "vote rejected"
        if isinstance(event.get("code"), str):
            names.append(event["code"])
        yield str(what), done if type(done) is int else 0, ", ".join(names)


def _evaluation(context: Context, folder: RunFolder) -> Evaluation | None:
    """The comparison that names this plan: in the run's folder, or beside it."""
    plan = folder.signed.hash.removeprefix("sha256:")
    places = list(_children(folder.path))
    for root in allowed(context):
        places += [path for path in _children(root) if not (path / _RUN).exists()]
    for path in places[: 2 * limits.MAX_CONSOLE_LEARNING_RUNS]:
        data = _json(path / _REPORT)
        if data is not None and str(data.get("plan", "")).removeprefix("sha256:") == plan:
            return _evaluated(data)
    return None


def _evaluated(data: Mapping[str, Any]) -> Evaluation:
    made = Evaluation()
    curves = data.get("curves")
    for form, points in curves.items() if isinstance(curves, dict) else ():
        if form in _FORMS and isinstance(points, list):
            made.curves[form] = [p for one in points[:1_000] if (p := _point(one)) is not None]
    entries = data.get("entries")
    everywhere: dict[str, list[tuple[float, float, float]]] = {}
    for entry in (entries if isinstance(entries, list) else [])[:5_000]:
        if not isinstance(entry, dict) or entry.get("form") not in _FORMS:
            continue
        bar = _bar(entry)
        if bar is None or not isinstance(entry.get("test"), str):
            continue
        if entry["test"] == "all banks":
            everywhere.setdefault(entry["form"], []).append(bar)
        else:
            made.own.setdefault(entry["test"], {})[entry["form"]] = bar
    for form, bars in everywhere.items():
        count = len(bars)
        mean = sum(bar[0] for bar in bars) / count
        made.everywhere[form] = bars[0] if count == 1 else (mean, mean, mean)
    against = data.get("against_alone")
    for one in against if isinstance(against, list) else []:
        if isinstance(one, dict) and one.get("worse") is True and one.get("form") in _FORMS:
            made.worse.setdefault(one["form"], []).append(str(one.get("bank")))
    notes = data.get("notes")
    made.notes = [str(note) for note in (notes if isinstance(notes, list) else [])[:20]]
    return made


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= 1 else None


def _point(one: object) -> tuple[float, float] | None:
    if not isinstance(one, list) or len(one) != 2:
        return None
    x, y = _number(one[0]), _number(one[1])
    return None if x is None or y is None else (x, y)


def _bar(entry: Mapping[str, Any]) -> tuple[float, float, float] | None:
    value, low, high = (_number(entry.get(name)) for name in ("auprc", "low", "high"))
    if value is None:
        return None
    return value, value if low is None else low, value if high is None else high
