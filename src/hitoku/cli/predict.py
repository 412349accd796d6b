# SPDX-License-Identifier: Apache-2.0
"""`hitoku predict`: have rows scored by another member's model, without showing them."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hitoku.cli.rows import read_rows
from hitoku.cli.show import TerminalProgress, one_line

if TYPE_CHECKING:
    from hitoku.node.predicting import Scored

__all__ = ["predict"]


def predict(
    model: str,
    rows: Path,
    *,
    room: Path = Path(),
    member: Annotated[str | None, Parameter(name="--as")] = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    csv_: Annotated[bool, Parameter(name="--csv", negative="")] = False,
) -> int:
    """Have rows scored by a model that another member's node serves. The rows leave encrypted only.

    Parameters
    ----------
    model
        The model's name in the room.
    rows
        .csv with a header, .parquet, or .npy: a column a feature, in the model's order.
    room
        The room's directory, or its room.yaml; or this member's own directory.
    member
        Who asks; may be left out if only one member on this machine may.
    json_
        Print one JSON object.
    csv_
        Print the scores as CSV, and nothing else on standard output.
    """
    from hitoku.node.local import open_room

    given, _ = read_rows(rows)
    progress = TerminalProgress()
    try:
        found = open_room(room, member, progress=progress).predict(model, given)
    finally:
        progress.close()
    if json_:
        sys.stdout.write(json.dumps(found.to_dict(), allow_nan=False) + "\n")
        return 0
    names = found.names or tuple(f"score_{n}" for n in range(found.scores.shape[1]))
    digits = len(found.rounding.partition(".")[2])
    # Names are the owner's words: one with a comma would move all scores after it.
    csv.writer(sys.stdout, lineterminator="\n").writerow(names)
    for row in found.scores:
        sys.stdout.write(",".join(f"{value:.{digits}f}" for value in row) + "\n")
    if not csv_:
        sys.stderr.write("\n".join(_words(found)) + "\n")
    return 0


def _words(found: Scored) -> list[str]:
    lines = [
        f"{len(found.scores):,} rows scored; {found.charged:,} of the day's rows charged. Who learned what:"
    ]
    lines += [f"  {member}: {one_line(words)}" for member, words in found.learned]
    return lines
