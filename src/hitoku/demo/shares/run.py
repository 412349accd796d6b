# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo shares`: three nodes answer a question on columns that nobody may see. Checks itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.demo import stage, tokens, truth
from hitoku.demo.crosstab.nodes import running
from hitoku.demo.shares.world import HIDDEN, MINIMUM, NEXT, QUESTION, REFUSED, SERVERS, TRUTH, World, make
from hitoku.errors import InputError, Refusal
from hitoku.room.canonical import agreement_hash
from hitoku.room.ledger import EntryKind

if TYPE_CHECKING:
    from rich.console import Console

    from hitoku.disclosure.answer import Answer
    from hitoku.questions.explain import Choice

__all__ = ["TRUTH", "run"]

_PROGRAM: Final = ("hitoku.demo.shares.serving",)


def run(directory: Path, console: Console) -> dict[str, Any]:
    """Tell the whole story in `directory`. Returns how it ended; `right` says whether all came as it should.

    Raises:
        InputError: the directory is not the demo's, or the data is not installed.
    """
    began = time.monotonic()
    stage.prepare(directory)
    console.print(f"Everything of this demo is in [b]{directory.resolve()}[/b]; delete it when you like.")
    found = _Story(directory, console).tell()
    seconds = time.monotonic() - began
    console.print(f"\nThe demo's own work took {seconds:.1f} s.")
    return {**found, "directory": str(directory.resolve()), "seconds": round(seconds, 3)}


@dataclass(slots=True)
class _Story:
    """The story, chapter by chapter."""

    directory: Path
    console: Console
    chapter: int = field(default=0)

    def tell(self) -> dict[str, Any]:
        """All of it."""
        world = self._world()
        self._room(world)
        with running(self.directory, SERVERS, _PROGRAM):
            plan = self._plan(world)
            answer, seconds = self._asked(world)
            refused = self._refused(world)
        self._say("Is it right? The same question by plain DuckDB on the plain tables")
        equal = truth.check(self.directory, answer, self.console, TRUTH)
        kept = self._kept(world, answer)
        tokens.learned(answer, self.console, f"{self._next()}  Who learned what")
        self._further()
        return {
            "right": equal and kept and refused is not None,
            "equal": equal,
            "rows": answer.num_rows,
            "refused": refused,
            "nothing_kept": kept,
            "predicted": {"bytes": plan.network_bytes, "rounds": plan.rounds, "seconds": plan.seconds},
            "asked_seconds": round(seconds, 3),
        }

    def _next(self) -> int:
        self.chapter += 1
        return self.chapter

    def _say(self, title: str) -> None:
        stage.say(self.console, f"{self._next()}  {title}")

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _world(self) -> World:
        self._say("Two owners and a laboratory: three servers")
        world = make(self.directory)
        self._line(f"airport/     owns flights: {world.rows['flights']:,} flights out of New York, 2013")
        self._line(f"registry/    owns planes: {world.rows['planes']:,} aircraft")
        self._line("laboratory/  owns nothing, gets nothing; it computes with the other two")
        self._line("Each is a process of its own on this machine; the three talk over TLS.")
        return world

    def _room(self, world: World) -> None:
        self._say("A room: what may be asked, signed by all")
        agreed = world.room.agreement
        self._line(f"room.yaml: {agreed.name!r}, {agreement_hash(agreed)[:23]}…")
        self._line(
            f"The airport may ask about groups of at least {MINIMUM} distinct aircraft. Conditions and sums\n"
            f"may use {', '.join(HIDDEN)}; no value of these may come out."
        )

    def _plan(self, world: World) -> Choice:
        self._say("What it would cost, and what each server would see (`hitoku explain`)")
        self._line(QUESTION + "\n")
        handle = world.handle()
        try:
            explanation = handle.explain(QUESTION)
        finally:
            handle.close()
        (plan,) = explanation.choices
        if not plan.supported:
            raise InputError(f"the question cannot be computed on shares: {plan.reason}")
        for line in plan.plan:
            self._line(f"  {line}")
        return plan

    def _asked(self, world: World) -> tuple[Answer, float]:
        from hitoku.cli.show import TerminalProgress

        self._say("The airport asks")
        progress = TerminalProgress()
        handle = world.handle(progress)
        began = time.monotonic()
        try:
            answer = handle.ask(QUESTION)
        finally:
            progress.close()
            handle.close()
        seconds = time.monotonic() - began
        self.console.print(answer)
        self._line(
            f"{seconds:.1f} s: each owner shared only the columns that this question needs. The three\n"
            "servers joined, filtered, multiplied, added up and compared with the minima on shares; the\n"
            "airport put together the rows that were left. `crosstab` adds up columns of one owner, with\n"
            "noise; `tokens` would show the columns to its host; `enclave` would need its hardware."
        )
        return answer, seconds

    def _refused(self, world: World) -> str | None:
        from hitoku.cli.show import refusal

        self._say("A question that lets a hidden column out is refused, before anything runs")
        self._line(REFUSED + "\n")
        handle = world.handle()
        try:
            handle.ask(REFUSED)
        except Refusal as error:
            self._line(refusal(error, REFUSED).rstrip())
            return error.code
        finally:
            handle.close()
        self._line("It was answered: this is NOT as it should be.")
        return None

    def _kept(self, world: World, answer: Answer) -> bool:
        self._say("What is left of it at the three servers")
        left = [
            file
            for server in SERVERS
            for file in (self.directory / server / "shares").rglob("*")
            if file.is_file() and file.name != "lock"
        ]
        asked = [
            e.body
            for e in world.entries("airport", EntryKind.RELEASE)
            if e.body.get("answer") == answer.digest
        ]
        named = {e["parts"] for e in asked}
        for owner in ("airport", "registry"):
            named |= {
                e.body["answer"] for e in world.entries(owner, EntryKind.RELEASE) if "parts" not in e.body
            }
            self._line(f"- ledger of {owner}: one answer released, named by the hashes of its sealed parts")
        ours = [e.body for e in world.entries("laboratory", EntryKind.RELEASE) if e.body["run"] == answer.run]
        if ours:
            self._line(
                f"- ledger of laboratory: its parts, and the program's hash {ours[0]['program'][:23]}…"
            )
        if left or len(named) != 1 or not asked or len(ours) != 1:
            self._line("Files or ledgers are NOT as they should be. Please report this.")
            return False
        self._line("No share is left: they were in memory, or on disk under a key that was.")
        return True

    def _further(self) -> None:
        self._say("What to try next")
        for line in (
            f"hitoku ask {_quoted(NEXT)} --room {self.directory}",
            f"hitoku explain {_quoted(REFUSED)} --room {self.directory}",
            f"hitoku room show {self.directory / 'room.yaml'}",
            f"hitoku ledger show --room {self.directory} --as laboratory",
        ):
            self._line(line)
        self._line("(`ask` runs all three in one process here.) Your own servers: docs/protections/shares.md")


def _quoted(sql: str) -> str:
    return '"' + " ".join(sql.split()) + '"'
