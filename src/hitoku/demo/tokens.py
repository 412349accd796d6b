# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo tokens`: two companies, one host, one question, no row shown. Checks its own answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hitoku.demo import stage, story, truth
from hitoku.errors import InputError, Refusal

if TYPE_CHECKING:
    from rich.console import Console

    from hitoku.disclosure.answer import Answer

__all__ = ["learned", "run"]


def run(directory: Path, console: Console) -> dict[str, Any]:
    """Tell the whole story in `directory`. Returns how it ended; `equal` says whether the answer was right.

    Raises:
        InputError: the directory is not the demo's, or the data is not installed.
    """
    began = time.monotonic()
    stage.prepare(directory)
    console.print(f"Everything of this demo is in [b]{directory.resolve()}[/b]; delete it when you like.")
    members = stage.members(directory, story.ABILITIES, console)
    room = stage.room(directory, members, story.agreement, console)
    console.print(
        "Both owners allow counts and mean delays by manufacturer and engine, joined on the tail number,"
    )
    console.print(f"and only for groups of at least {story.MINIMUM} distinct aircraft.")
    stage.encrypt(directory, members, room, story.SCHEMAS, console)
    _host_view(directory, console)
    answer = _ask(directory, console)
    _refused(directory, console)
    right = _check(directory, answer, console)
    learned(answer, console, "8  Who learned what")
    seconds = time.monotonic() - began
    _next(directory, console, seconds)
    return {
        "equal": right,
        "rows": answer.num_rows,
        "directory": str(directory.resolve()),
        "seconds": round(seconds, 3),
    }


def _host_view(directory: Path, console: Console) -> None:
    from pyarrow import parquet
    from rich.table import Table
    from rich.text import Text

    from hitoku.disclosure.render import clean

    stage.say(console, "4  What the host sees: two rows of flights")
    file = parquet.ParquetFile(directory / "host" / "tables" / "flights.parquet")
    rows = next(file.iter_batches(batch_size=2)).to_pydict()
    table = Table("column", "first row", "second row", show_edge=False, pad_edge=False)
    for name, values in rows.items():
        shown = [text if len(text) <= 30 else text[:27] + "…" for text in map(clean, values)]
        table.add_row(*(Text(t) for t in (name, *shown)))
    console.print(table)


def _ask(directory: Path, console: Console) -> Answer:
    from hitoku.node.local import open_room

    stage.say(console, "5  The airport asks one question of both tables")
    console.print(story.QUESTION, markup=False, highlight=False)
    console.print()
    began = time.monotonic()
    answer = open_room(directory, "airport").ask(story.QUESTION)
    seconds = time.monotonic() - began
    console.print(answer)
    console.print(f"Both owners checked it and consented, the host computed it on tokens: {seconds:.1f} s.")
    return answer


def _refused(directory: Path, console: Console) -> None:
    from hitoku.cli.show import refusal
    from hitoku.node.local import open_room

    stage.say(console, "6  A question on an encrypted column is refused, before anything runs")
    console.print(story.REFUSED, markup=False, highlight=False)
    console.print()
    try:
        open_room(directory, "airport").ask(story.REFUSED)
    except Refusal as error:
        console.print(refusal(error, story.REFUSED).rstrip(), markup=False, highlight=False)
        return
    raise InputError("the question that must be refused was answered: the demo failed")


def _check(directory: Path, answer: Answer, console: Console) -> bool:
    stage.say(console, "7  Is it right? The same question by plain DuckDB on the clear tables")
    return truth.check(directory, answer, console)


def learned(answer: Answer, console: Console, title: str) -> None:
    """Say who learned what, under which assumptions."""
    from rich.padding import Padding
    from rich.text import Text

    stage.say(console, title)
    assumptions: list[str] = []
    for member in dict.fromkeys(item.member for item in answer.leakage.learned):
        console.print(f"{member} learns")
        for item in answer.leakage.of(member):
            mark = ""
            if item.assumption:
                if item.assumption not in assumptions:
                    assumptions.append(item.assumption)
                mark = f" [{assumptions.index(item.assumption) + 1}]"
            console.print(Padding(Text(f"- {item.words}{mark}"), (0, 0, 0, 2)))
    for number, assumption in enumerate(assumptions, 1):
        console.print(Text(f"[{number}] no more than that, if {assumption}"))


def _next(directory: Path, console: Console, seconds: float) -> None:
    stage.say(console, "What to try next")
    for line in (
        f"hitoku ask '{story.NEXT}' --room {directory}",
        f"hitoku explain '{story.NOT_THIS}' --room {directory}",
        f"hitoku room show {directory / 'room.yaml'}",
        f"hitoku doctor --room {directory}",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"\nThe demo's own work took {seconds:.1f} s.")
