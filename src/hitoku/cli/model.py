# SPDX-License-Identifier: Apache-2.0
"""`hitoku model`: compile a model for encrypted inputs, look at its circuit, let a node serve it."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from hitoku import limits
from hitoku.cli.rows import read_rows
from hitoku.cli.show import TerminalProgress
from hitoku.errors import InputError, LimitError
from hitoku.room.files import write_whole

if TYPE_CHECKING:
    from hitoku.inference import Plan
    from hitoku.inference.report import Report

__all__ = ["app"]

app = App(name="model", help="Models for encrypted inputs: compile, report, simulate, debug, serve.")

Json = Annotated[bool, Parameter(name="--json", negative="")]
_REPORT = "report.json"
_PAGE = "report.html"
_KEYS = {"form", "name", "circuit", "nodes", "parameters", "precision", "release", "cost", "learns", "notes"}


@app.command(name="compile")
def compile_(
    model: Path,
    *,
    calibration: Path,
    output: Path,
    objective: Literal["throughput", "latency"] = "throughput",
    tolerance: float = 0.01,
    json_: Json = False,
) -> int:
    """Compile a model: parameters are searched for, none is set by hand.

    Writes server.bundle (with the weights: the server's), client.json (without: for who asks), and the
    circuit report as report.json and report.html.

    Parameters
    ----------
    model
        An ONNX file, or a model that XGBoost (.json, .ubj) or LightGBM (.txt) saved.
    calibration
        Rows like those that will be asked: .csv, .parquet or .npy, a few hundred.
    output
        The folder to write.
    objective
        throughput: thousands of rows a request; latency: one row, soon.
    tolerance
        The largest error of a score, as a part of the largest score of the calibration rows.
    json_
        Print the report as one JSON object.
    """
    from hitoku.node.scoring import need_inference

    need_inference()
    from hitoku import inference

    rows, names = read_rows(calibration)
    progress = TerminalProgress()
    try:
        progress.phase("search parameters")
        plan = inference.compile(str(model), rows, objective, tolerance, feature_names=names)
        progress.phase("measure this machine, write the report")
        report = plan.report()
        plan.save(output)
        write_whole(output / _REPORT, report.to_json().encode())
        write_whole(output / _PAGE, report.to_html().encode())
    finally:
        progress.close()
    _show(report, json_)
    if not json_:
        sys.stdout.write(f"Written to {output}: keep server.bundle, give client.json to who asks.\n")
    return 0


@app.command
def report(
    folder: Path,
    *,
    html: Path | None = None,
    assert_ms: float | None = None,
    assert_mb: float | None = None,
    assert_bits: float | None = None,
    json_: Json = False,
) -> int:
    """Show the circuit report of a compiled model. Exit code 6 where it is beyond a budget.

    Parameters
    ----------
    folder
        What `hitoku model compile` wrote.
    html
        Write it as one page, with a picture of the circuit, to this file.
    assert_ms
        The milliseconds that a run may take on the clock.
    assert_mb
        The megabytes of memory that the server may need.
    assert_bits
        The bits of precision that every score has, at least.
    json_
        Print one JSON object.
    """
    from hitoku.errors import LimitError
    from hitoku.inference.circuit import CircuitError

    found = _report(folder)
    if html is not None:
        write_whole(html, found.to_html().encode())
    _show(found, json_)
    try:
        found.assert_budget(ms=assert_ms, mb=assert_mb, bits=assert_bits)
    except CircuitError as error:
        raise LimitError(str(error)) from None
    return 0


@app.command
def simulate(folder: Path, *, rows: Path, seed: int | None = None, json_: Json = False) -> int:
    """Score rows in the clear, with the noise that encryption and flooding would add. For who owns the model.

    Parameters
    ----------
    folder
        What `hitoku model compile` wrote.
    rows
        .csv, .parquet or .npy.
    seed
        The same seed draws the same noise.
    json_
        Print one JSON object.
    """
    plan = _plan(folder)
    given, _ = read_rows(rows, tuple(plan.client.encoder.shape))
    _scores(plan.simulate(given, seed=seed), plan.client.scores.names, json_)
    return 0


@app.command
def debug(folder: Path, *, rows: Path, json_: Json = False) -> int:
    """Run the circuit encrypted and in the clear in lock-step; name the first operation that drifts.

    Exit code 1 where one does.

    Parameters
    ----------
    folder
        What `hitoku model compile` wrote.
    rows
        .csv, .parquet or .npy; the first request's worth of them is used.
    json_
        Print one JSON object.
    """
    from hitoku.hazmat.ring import SecretKey
    from hitoku.inference.interpreters import debug as lockstep

    plan = _plan(folder)
    encoder = plan.client.encoder
    given, _ = read_rows(rows, tuple(encoder.shape))
    (name,) = plan.program.inputs
    secret = SecretKey.generate(plan.params)
    inputs = {name: encoder.encode(given[: encoder.samples])}
    found = lockstep.run(plan.program, plan.params, secret, inputs)
    first = found.first
    data = {
        "drifts": None if first is None else first.name,
        "operations": [
            {"name": row.name, "largest": row.largest, "error": row.error, "worst": row.worst}
            for row in found.rows
        ],
    }
    if json_:
        sys.stdout.write(json.dumps(data) + "\n")
    else:
        for row in found.rows:
            mark = "DRIFTS" if row.drifts else "ok"
            sys.stdout.write(
                f"{mark:7}{row.name:32} error {row.error:10.3g}  bound {row.worst:10.3g}  "
                f"values to {row.largest:.3g}\n"
            )
        sys.stdout.write(
            "Every operation stays within its predicted noise.\n"
            if first is None
            else f"The first operation that drifts is {first.name}.\n"
        )
    return 0 if first is None else 1


@app.command
def serve(
    folder: Path,
    *,
    member: Path,
    name: str,
    asker: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    rows_per_day: int = 10_000,
    json_: Json = False,
) -> int:
    """Put a compiled model into a member's directory, for its node to serve, and say what the room needs.

    Parameters
    ----------
    folder
        What `hitoku model compile` wrote.
    member
        The member's directory.
    name
        The model's name in the room.
    asker
        A member that may ask; may be given more than once. Goes into what is printed, as do:
    rows_per_day
        How many rows each may have scored a day. A batch is charged as many as it has room for.
    json_
        Print one JSON object.
    """
    from pydantic import TypeAdapter, ValidationError

    from hitoku.node.models import BUNDLE, CLIENT, model_folder
    from hitoku.node.scoring import scorer
    from hitoku.room.directory import MemberDirectory
    from hitoku.room.naming import Name

    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise InputError("a model's name is 1 to 63 of a-z, 0-9, _ and - and begins with a letter") from None
    owner = MemberDirectory.open(member)
    width = scorer(folder).noise_width
    rounding = _rounding(width)
    client = (folder / CLIENT).read_bytes()
    if len(client) > limits.MAX_CLIENT_SPEC_CHARS:
        raise LimitError(
            f"{folder / CLIENT}: has {len(client):,} bytes; a node gives out at most "
            f"{limits.MAX_CLIENT_SPEC_CHARS:,}: compile for throughput, or with fewer inputs or bins"
        )
    place = model_folder(owner.path, name)
    try:
        place.mkdir(parents=True, mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(f"{place}: cannot be made ({error.strerror})") from None
    # The client specification last: until it is there, the node serves what it served before, or nothing.
    for file, content in ((BUNDLE, (folder / BUNDLE).read_bytes()), (CLIENT, client)):
        write_whole(place / file, content)
    if (folder / _REPORT).is_file():  # for the owner's console; nobody else gets it
        write_whole(place / _REPORT, (folder / _REPORT).read_bytes())
    digest = "sha256:" + hashlib.sha256((place / CLIENT).read_bytes()).hexdigest()
    entry: dict[str, Any] = {"name": name, "owner": owner.name, "client": digest, "askers": list(asker)}
    entry |= {"rows_per_day": rows_per_day, "rounding": rounding}
    if json_:
        sys.stdout.write(json.dumps({"model": entry, "noise_width": width}) + "\n")
        return 0
    sys.stdout.write(
        f"# {owner.name} serves {name}, its scores with noise {width:.3g} wide. For `hitoku room models`:\n"
        "models:\n"
        f"  - name: {name}\n    owner: {owner.name}\n    client: {digest}\n"
        f'    askers: [{", ".join(asker)}]\n    rows_per_day: {rows_per_day}\n    rounding: "{rounding}"\n'
    )
    return 0


def _rounding(width: float) -> str:
    """The largest 1, 2 or 5 times a power of ten that is not above the width, as a room can say it.

    Raises:
        InputError: there is none: no noise, or too little.
    """
    import math

    if not width >= 1e-9:
        raise InputError(
            "the model's scores would have no noise, or less than a room can name: compile it with a larger "
            "tolerance"
        )
    width = min(width, 5e8)
    power = math.floor(math.log10(width))
    step = max(s for s in (1, 2, 5) if s * 10.0**power <= width * (1 + 1e-12))
    return f"{step * 10.0**power:.{max(0, -power)}f}"


def _plan(folder: Path) -> Plan:
    from hitoku.node.scoring import need_inference

    need_inference()
    from hitoku.inference import Plan

    return Plan.open(folder)


def _report(folder: Path) -> Report:
    from hitoku.inference.report import Report

    path = folder / _REPORT
    try:
        found = Report.from_json(path.read_text("utf-8"))
        if not isinstance(found.data, dict) or not set(found.data) >= _KEYS:
            raise ValueError
        return found
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); compile the model first") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is no circuit report") from None


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict(), allow_nan=False) + "\n")
    else:
        report.print()


def _scores(scores: Any, names: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"scores": scores.tolist(), "names": list(names)}) + "\n")
        return
    header = names or [f"score_{n}" for n in range(scores.shape[1])]
    csv.writer(sys.stdout, lineterminator="\n").writerow(header)
    for row in scores:
        sys.stdout.write(",".join(f"{value:.6g}" for value in row) + "\n")
