# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo`: see it work on real data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

__all__ = ["app"]

app = App(name="demo", help="See it work on real data.", help_format="plaintext")


@app.command
def tokens(
    *,
    directory: Path = Path("demo-run"),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Two companies' encrypted tables, one question, small groups withheld, one question refused.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    from hitoku.demo.tokens import run

    outcome = run(directory, Console(highlight=False, stderr=json_))
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["equal"] else 1


@app.command
def noise(
    *,
    directory: Path = Path("demo-noise"),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """The same tables, but answers carry noise that hides every aircraft, and a budget limits them all.

    Parameters
    ----------
    directory
        Where to put everything; must not be there yet, unless an earlier demo made it.
    json_
        Tell the story on stderr and print one JSON object.
    """
    from rich.console import Console

    from hitoku.demo.noise import run

    outcome = run(directory, Console(highlight=False, stderr=json_))
    if json_:
        sys.stdout.write(json.dumps(outcome) + "\n")
    return 0 if outcome["right"] else 1
