# SPDX-License-Identifier: Apache-2.0
"""Models that members of a room serve: what they are, how much was asked of them, and asking them.

Rows that a user uploads are read as numbers, encrypted in this process and forgotten; scores are kept in
memory for the user who asked, until they are many or the process ends.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from hitoku import limits
from hitoku.console.context import Context, NotFound, RoomEntry
from hitoku.console.users import User
from hitoku.console.work import background
from hitoku.console.work.background import Task
from hitoku.console.work.ledger import records_of
from hitoku.errors import HitokuError, InputError, Refusal
from hitoku.room.ledger import EntryKind, read_entry
from hitoku.room.models import ServedModel
from hitoku.room.predictiontables import predictions

if TYPE_CHECKING:
    from hitoku.node.predicting import Scored

__all__ = [
    "Circuit",
    "Model",
    "Use",
    "model_of",
    "models",
    "rows_of",
    "score",
    "scores_csv",
    "task_of",
    "tasks_of",
]

_AREA: Final = "models"
_REPORT: Final = "report.json"


@dataclass(frozen=True, slots=True)
class Use:
    """What one member has asked of a model today (UTC).

    Attributes:
        asker: the member.
        rows: charged today.
        left: of the day's rows.
        requests: today.
        failed: of them.
        ever: rows charged since the beginning, as far as this member knows.
    """

    asker: str
    rows: int
    left: int
    requests: int
    failed: int
    ever: int


@dataclass(frozen=True, slots=True)
class Circuit:
    """What this member knows of a model's circuit: of its own model all, of another's what its scores show.

    Attributes:
        title: the model's name where it was compiled.
        shape: of one row.
        scores: how many.
        names: of the scores; may be empty.
        rows: that one request has room for.
        degree: of the ring.
        security: bits.
        depth: products in a row.
        bits: of precision of a score; None where no report is there.
        up: bytes of a request.
        down: bytes of an answer.
        milliseconds: of a request at the owner, as measured when it was compiled.
        reasons: why its parameters are as they are.
    """

    title: str
    shape: tuple[int, ...]
    scores: int
    names: tuple[str, ...]
    rows: int
    degree: int
    security: int | None = None
    depth: int | None = None
    bits: float | None = None
    up: int | None = None
    down: int | None = None
    milliseconds: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A served model, as this member sees it.

    Attributes:
        served: what the agreement says.
        mine: whether this member's node serves it.
        may_ask: whether this member may have rows scored.
        uses: what was asked of it, as far as this member knows.
        circuit: None where nothing is known here.
        problem: why this node cannot serve it, or empty.
    """

    served: ServedModel
    mine: bool
    may_ask: bool
    uses: tuple[Use, ...]
    circuit: Circuit | None
    problem: str


def models(context: Context, entry: RoomEntry) -> tuple[Model, ...]:
    """The models of a room."""
    return tuple(_model(context, entry, one) for one in entry.agreement.models)


def model_of(context: Context, entry: RoomEntry, name: str) -> Model:
    """One model.

    Raises:
        NotFound: the room has none of that name.
    """
    served = entry.agreement.model(name)
    if served is None:
        raise NotFound("the room has no such model")
    return _model(context, entry, served)


def rows_of(content: bytes) -> tuple[list[list[float]], tuple[str, ...]]:
    """Rows of numbers from an uploaded CSV file with a header; an error names line and column, never a value.

    Raises:
        InputError: it is no such file, or too large.
    """
    if len(content) > limits.MAX_CONSOLE_SCORE_BYTES:
        raise InputError(f"the file has more than {limits.MAX_CONSOLE_SCORE_BYTES:,} bytes: split it")
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True)
        header = tuple(next(lines, []))
        rows: list[list[float]] = []
        for line in lines:
            if not line:
                continue
            if len(line) != len(header):
                raise InputError(f"line {lines.line_num}: has {len(line)} cells, the header {len(header)}")
            rows.append([_cell(cell, lines.line_num, at + 1) for at, cell in enumerate(line)])
            if len(rows) > limits.MAX_CONSOLE_SCORE_ROWS:
                raise InputError(f"more than {limits.MAX_CONSOLE_SCORE_ROWS:,} rows: split the file")
    except (UnicodeDecodeError, csv.Error):
        raise InputError("the file is no CSV in UTF-8") from None
    if not header or not rows:
        raise InputError("the file has no rows: a header and a row of numbers each are expected")
    return rows, header


def score(context: Context, entry: RoomEntry, user: User, name: str, rows: list[list[float]]) -> Task:
    """Have rows scored by another member's model, in the background.

    Raises:
        NotFound: the room has no such model.
        Refusal: ``MODEL_NOT_ALLOWED``: this member may not ask it.
        LimitError: too much is under way.
    """
    model = model_of(context, entry, name)
    if not model.may_ask:
        raise Refusal(
            "MODEL_NOT_ALLOWED",
            f"{context.me!r} may not have rows scored by model {name!r}",
            rule=f"models.{name}.askers",
            owner=model.served.owner,
            remedy="agree with its owner on a version of the room that names this member as an asker",
        )

    def work(task: Task) -> Scored:
        from hitoku.node.remote import open_remote_room

        room = open_remote_room(context.node.directory.path, entry.id, progress=_Phases(task))
        try:
            return room.predict(name, rows)
        finally:
            room.close()

    return background.start(context, user, _AREA, _about(entry, name), work)


def task_of(context: Context, entry: RoomEntry, user: User, name: str, identity: str) -> Task:
    """A scoring by its id, of the user who started it.

    Raises:
        NotFound: there is none of this user's.
    """
    task = background.task_of(context, _AREA, _about(entry, name), identity)
    if task.user != user.id:
        raise NotFound("there is no such task; it may be forgotten")
    return task


def tasks_of(context: Context, entry: RoomEntry, user: User, name: str) -> tuple[Task, ...]:
    """The user's scorings by a model, newest first."""
    found = background.tasks_of(context, _AREA, _about(entry, name))
    return tuple(task for task in found if task.user == user.id)


def scores_csv(found: Scored) -> str:
    """Scores as CSV: a column each, and the model's last steps where they say something else."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    width = found.scores.shape[1]
    names = [_safe(name) for name in found.names] or [f"score_{n}" for n in range(width)]
    same = found.outputs.shape == found.scores.shape and (found.outputs == found.scores).all()
    more = [] if same else [f"output_{n}" for n in range(found.outputs.shape[1])]
    writer.writerow([*names, *more])
    for at, row in enumerate(found.scores):
        values = [*row, *([] if same else found.outputs[at])]
        writer.writerow([f"{float(value):.6g}" for value in values])
    return out.getvalue()


class _Phases:
    """A `Progress` that a task's page shows."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def phase(self, name: str, total: int | None = None) -> None:
        del total
        self._task.phase = name

    def advance(self, amount: int = 1) -> None:
        del amount


def _about(entry: RoomEntry, name: str) -> str:
    return f"{entry.id}/{name}"


def _cell(cell: str, line: int, column: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"line {line}, column {column}: not a finite number")
    return value


def _safe(name: str) -> str:
    # A spreadsheet takes what begins like a formula for one; names are the model owner's.
    return f"'{name}" if name[:1] in {"=", "+", "-", "@", "\t", "\r"} else name


def _model(context: Context, entry: RoomEntry, served: ServedModel) -> Model:
    mine = served.owner == context.me
    may_ask = context.me in served.askers
    uses: tuple[Use, ...] = _charged(context, entry, served) if mine else ()
    if may_ask:
        uses = (_asked(context, entry, served),)
    circuit, problem = _circuit(context, served) if mine else (None, "")
    return Model(served, mine, may_ask, uses, circuit, problem)


def _charged(context: Context, entry: RoomEntry, served: ServedModel) -> tuple[Use, ...]:
    """As owner: what each asker has had scored."""
    today, known = context.clock.now().date().isoformat(), predictions.c
    now = known.day == today
    statement = (
        sa.select(
            known.asker,
            sa.func.sum(known.rows).label("ever"),
            sa.func.sum(sa.case((now, known.rows), else_=0)).label("rows"),
            sa.func.sum(sa.case((now, 1), else_=0)).label("requests"),
            sa.func.sum(sa.case((now & (known.state == "failed"), 1), else_=0)).label("failed"),
        )
        .where(known.room == entry.id, known.model == served.name)
        .group_by(known.asker)
    )
    with context.node.store().reading() as connection:
        found = {str(row.asker): row for row in connection.execute(statement)}
    made = []
    for asker in dict.fromkeys([*served.askers, *sorted(found)]):
        row = found.get(asker)
        rows = 0 if row is None else int(row.rows)
        left = max(0, served.rows_per_day - rows) if asker in served.askers else 0
        counts = (0, 0, 0) if row is None else (int(row.requests), int(row.failed), int(row.ever))
        made.append(Use(asker, rows, left, *counts))
    return tuple(made)


def _asked(context: Context, entry: RoomEntry, served: ServedModel) -> Use:
    """As asker: what this member's own ledger says it sent, today. The owner's count decides."""
    today = context.clock.now().date().isoformat()
    rows = requests = 0
    mark = f'"kind":"{EntryKind.PREDICTION}"'.encode()
    for looked, (_, raw) in enumerate(records_of(context, entry).ledger.back(), 1):
        if looked > limits.MAX_CONSOLE_LEDGER_SCAN:
            break
        if b'"time":"' + today.encode() not in raw:
            if _before(raw, today):
                break
            continue
        if mark not in raw:
            continue
        try:
            body = read_entry(raw).body
        except HitokuError:
            continue
        if (body.get("role"), body.get("model")) == ("asker", served.name) and type(body.get("rows")) is int:
            rows, requests = rows + body["rows"], requests + 1
    return Use(context.me, rows, max(0, served.rows_per_day - rows), requests, 0, rows)


def _before(raw: bytes, day: str) -> bool:
    _, _, time = raw.rpartition(b'"time":"')
    return time[:10].decode("ascii", "replace") < day


def _circuit(context: Context, served: ServedModel) -> tuple[Circuit | None, str]:
    """As owner: the circuit, of the files that the node serves."""
    from hitoku.node.models import CLIENT, model_folder

    folder = model_folder(context.node.directory.path, served.name)
    try:
        import hashlib

        from hitoku.inference.client import read_specification

        content = (folder / CLIENT).read_bytes()
        if "sha256:" + hashlib.sha256(content).hexdigest() != served.client:
            return None, "other"
        spec = read_specification(folder / CLIENT)
    except (OSError, HitokuError, ModuleNotFoundError):
        return None, "missing"
    report = _report(folder / _REPORT)
    circuit, cost = _part(report, "circuit"), _part(report, "cost")
    sent, precision = _part(cost, "bytes"), list(_part(report, "precision").values())
    parameters = _part(report, "parameters")
    reasons = parameters.get("reasons")
    made = Circuit(
        title=spec.name,
        shape=tuple(spec.encoder.shape),
        scores=spec.scores.columns,
        names=spec.scores.names,
        rows=spec.encoder.samples,
        degree=spec.params.degree,
        security=_whole(parameters.get("security_bits")),
        depth=_whole(_part(circuit, "depth").get("levels")),
        bits=min((b for one in precision if (b := _real(one, "bits")) is not None), default=None),
        up=_whole(sent.get("up")),
        down=_whole(sent.get("down")),
        milliseconds=_real(cost, "server_ms"),
        reasons=tuple(str(one) for one in reasons[:20]) if isinstance(reasons, list) else (),
    )
    return made, ""


def _report(path: Any) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > limits.MAX_CONSOLE_LEARNING_REPORT_BYTES:
            return {}
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _real(data: object, name: str) -> float | None:
    value = data.get(name) if isinstance(data, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
