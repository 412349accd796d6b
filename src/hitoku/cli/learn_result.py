# SPDX-License-Identifier: Apache-2.0
"""`hitoku learn evaluate`, `score`, `export` and `audit`: what came of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hitoku import limits
from hitoku.cli.learn import need_learning, signed_plan
from hitoku.cli.show import TerminalProgress, one_line
from hitoku.errors import InputError

if TYPE_CHECKING:
    from hitoku.learning.models import LearnedModel

__all__ = ["audit", "evaluate", "export", "score"]

Json = Annotated[bool, Parameter(name="--json", negative="")]


def audit(run: Path, *, bank: list[Path] | None = None, json_: Json = False) -> int:
    """Check what the server of a run saw: signatures, hashes, protection, model. Exit code 1 on a finding.

    Parameters
    ----------
    run
        The run's folder at the server.
    bank
        A member's own folder of the same run, to compare both sides. May be repeated.
    json_
        Print one JSON object.
    """
    need_learning()
    from hitoku.learning.audit import audit as check

    report = check(run, bank or [])
    if json_:
        sys.stdout.write(json.dumps(report.to_dict(), ensure_ascii=False) + "\n")
        return 0 if report.holds else 1
    facts = report.facts
    lines = [f"{finding.code}: {one_line(finding.message)}" for finding in report.findings]
    if "messages" in facts:
        lines.append(
            f"{facts['messages']:,} messages, {facts['sums_opened']:,} sums opened, "
            f"{facts['received_bytes']:,} bytes received, {facts['protected_share']:.1%} of them protected"
        )
    if facts.get("replayed"):
        lines.append("The model is what grows from the opened sums alone.")
    if facts.get("compared_with"):
        lines.append(f"Compared with the own folders of {', '.join(facts['compared_with'])}.")
    lines += report.notices
    lines.append("Everything holds." if report.holds else f"{len(report.findings)} findings.")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if report.holds else 1


def score(model: Path, *, data: str, output: Path, json_: Json = False) -> int:
    """Score rows with a model: one probability a row, as a CSV file with the column `score`.

    This is in the clear, where both the model and the rows may be. Rows that their owner encrypts are scored
    by `hitoku learn export`, `hitoku model compile` and `hitoku predict`.

    Parameters
    ----------
    model
        model.json of a run.
    data
        The rows: a path or URI with the model's inputs as columns, counters' features among them.
    output
        The file to write.
    json_
        Print one JSON object.
    """
    need_learning()
    from hitoku.learning.models import score as scored
    from hitoku.learning.scoring import features_of
    from hitoku.room.files import write_whole

    learned = _model(model)
    found = scored(learned, features_of(learned.features, data, Path()))
    write_whole(output, ("score\n" + "".join(f"{value:.9g}\n" for value in found)).encode())
    if json_:
        sys.stdout.write(json.dumps({"file": str(output), "rows": len(found)}) + "\n")
    else:
        sys.stdout.write(f"{output}: {len(found):,} scores\n")
    return 0


def export(model: Path, *, output: Path, json_: Json = False) -> int:
    """Write a model of trees as an XGBoost file, which XGBoost loads and `hitoku model compile` takes.

    Its scores are those of `hitoku learn score` within float32's rounding, before the logistic function; it
    has no sums of hessians, which reconstruction attacks on trees use most.

    Parameters
    ----------
    model
        model.json of a run.
    output
        The file to write, with a name that ends in .json.
    json_
        Print one JSON object.
    """
    need_learning()
    from hitoku.learning.xgboost_file import export_xgboost
    from hitoku.room.files import write_whole

    if output.suffix != ".json":
        raise InputError(f"{output}: XGBoost knows its JSON by the ending .json")
    learned = _model(model)
    content = export_xgboost(learned)
    write_whole(output, content)
    if json_:
        sys.stdout.write(json.dumps({"file": str(output), "inputs": list(learned.features)}) + "\n")
    else:
        sys.stdout.write(
            f"{output}: {len(learned.features)} inputs. For encrypted inputs: `hitoku model compile {output} "
            "--calibration ROWS --output FOLDER`\n"
        )
    return 0


def evaluate(
    plan: Path, *, data: list[str], model: Path | None = None, output: Path | None = None, json_: Json = False
) -> int:
    """Compare each member alone with the joint, the pooled and the ensemble model, on local files.

    Parameters
    ----------
    plan
        The plan's file; signatures are not needed, since nothing leaves this process.
    data
        NAME=URI of each member's rows.
    model
        model.json of a run: the joint model. Where none is named it is trained here, over plain sums.
    output
        A folder for the report and its plots.
    json_
        Print one JSON object.
    """
    need_learning()
    from hitoku.cli.learn_run import by_name
    from hitoku.learning.data.rows import load_rows
    from hitoku.learning.evaluation import evaluate as compare

    signed = signed_plan(plan)
    joint = None if model is None else _model(model)
    uris = by_name(data)
    if set(uris) != set(signed.plan.members):
        raise InputError(f"--data NAME=URI for each member of the plan: {', '.join(signed.plan.members)}")
    progress = TerminalProgress()
    try:
        progress.phase("read rows")
        rows = {
            name: load_rows(signed.plan.data, uri, Path(), key=bytes.fromhex(signed.plan.salt))
            for name, uri in uris.items()
        }
        progress.phase("train and compare")
        report = compare(signed.plan, rows, joint=joint, progress=progress.phase)
    finally:
        progress.close()
    if output is not None:
        report.save(output)
    sys.stdout.write(json.dumps(report.to_dict(), ensure_ascii=False) + "\n" if json_ else report.to_text())
    return 0


def _model(path: Path) -> LearnedModel:
    from hitoku.learning.models import read_model

    if not path.is_file():
        raise InputError(f"{path}: there is no such model")
    if path.stat().st_size > limits.MAX_MODEL_BYTES:
        raise InputError(f"{path}: larger than {limits.MAX_MODEL_BYTES:,} bytes")
    return read_model(path.read_bytes())
