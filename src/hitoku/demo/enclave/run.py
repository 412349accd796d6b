# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo enclave`: two owners release keys to a program that both measured, and to no other.

Everything runs under TPMs in software: whoever operates the machine can make them say what he likes. It shows
the flow, and every refusal that hardware would give, and protects nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.attestation.launch.image import measure
from hitoku.attestation.program import program_digest
from hitoku.attestation.swtpm import missing
from hitoku.demo import stage, story, truth
from hitoku.demo.crosstab.nodes import running
from hitoku.demo.enclave import dishonest, ending, programs
from hitoku.demo.enclave.world import HOST, OWNERS, World, make
from hitoku.errors import HitokuError, InputError, Refusal
from hitoku.protections.enclave.starting import worker_image
from hitoku.room.ledger import EntryKind

if TYPE_CHECKING:
    from rich.console import Console

    from hitoku.demo.enclave.programs import Altered
    from hitoku.disclosure.answer import Answer

__all__ = ["run"]

_DISHONEST: Final = ("hitoku.demo.enclave.dishonest",)
_MISMATCH: Final = "MEASUREMENT_MISMATCH"


def run(directory: Path, console: Console) -> dict[str, Any]:
    """Tell the whole story in `directory`. Returns how it ended; `right` says whether all came as it should.

    Raises:
        InputError: the directory is not the demo's, or the data or swtpm is not installed.
    """
    began = time.monotonic()
    if (what := missing()) is not None:
        raise InputError(what)
    stage.prepare(directory)
    console.print(f"Everything of this demo is in [b]{directory.resolve()}[/b]; delete it when you like.")
    found = _Story(directory, console).tell()
    seconds = time.monotonic() - began
    console.print(f"\nThe demo's own work took {seconds:.1f} s.")
    console.print("All of it rests on TPMs in software, which say whatever their operator wants:")
    console.print("it shows how things go, and protects nothing. Hardware goes through the same steps.")
    right = all(part["right"] for part in found.values() if isinstance(part, dict))
    return {"right": right, **found, "directory": str(directory.resolve()), "seconds": round(seconds, 3)}


@dataclass(slots=True)
class _Story:
    """The story, chapter by chapter."""

    directory: Path
    console: Console
    chapter: int = field(default=0)

    def tell(self) -> dict[str, Any]:
        """All of it."""
        world = self._world()
        program = self._signed(world)
        with running(self.directory, [*OWNERS, HOST]) as nodes:
            answered, answer = self._answered(world)
            deletion = self._deleted(world, answer)
            nodes.stop(HOST)
            nodes.start(HOST, _DISHONEST)
            return {
                "program": program,
                "answer": answered,
                "tampered": self._tampered(world),
                "forged": self._forged(world, program),
                "altered": self._altered(world),
                "deletion": deletion,
            }

    def _say(self, title: str) -> None:
        self.chapter += 1
        stage.say(self.console, f"{self.chapter}  {title}")

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _world(self) -> World:
        self._say("Two owners, each with a key broker, and a host that owns nothing")
        world = make(self.directory)
        self._line(f"airport/   owns flights: {world.rows['flights']:,} flights out of New York, 2013")
        self._line(f"registry/  owns planes: {world.rows['planes']:,} aircraft")
        self._line("host/      computes; it gets sealed tables, and no key that opens them")
        self._line("Each is a process of its own on this machine; they talk over TLS.")
        return world

    def _signed(self, world: World) -> str:
        self._say("Both owners measure the program that may open their tables, and sign for it")
        manifest = measure(worker_image("swtpm"))
        program = program_digest(manifest)
        world.sign_for(program)
        self._line(
            f"{len(manifest.files):,} files: interpreter, loader, libraries, packages, the worker's own"
        )
        self._line(f"program {program[:32]}…, signed by airport and registry, in both ledgers")
        return program

    def _answered(self, world: World) -> tuple[dict[str, Any], Answer]:
        from hitoku.cli.show import TerminalProgress

        self._say("The airport asks one question of both tables")
        self._line(story.QUESTION + "\n")
        progress = TerminalProgress()
        began = time.monotonic()
        try:
            answer = world.ask(progress)
        finally:
            progress.close()
        seconds = time.monotonic() - began
        self.console.print(answer)
        self._line(
            f"{seconds:.1f} s: the host launched the program, measured into a TPM of its own; each owner's"
        )
        self._line("broker checked that TPM's evidence and released its keys to the program alone.")
        given = [self._last(world, owner, EntryKind.KEY_RELEASE) for owner in OWNERS]
        for owner, body in zip(OWNERS, given, strict=True):
            self._line(
                f"- ledger of {owner}: keys of {', '.join(body['keys'])} released to {body['program'][:16]}…"
            )
        self._say("Is it right? The same question by plain DuckDB on the clear tables")
        equal = truth.check(self.directory, answer, self.console)
        right = equal and all(body["run"] == answer.run for body in given)
        return {"right": right, "equal": equal, "rows": answer.num_rows, "seconds": round(seconds, 3)}, answer

    def _deleted(self, world: World, answer: Answer) -> dict[str, Any]:
        self._say("The deletion certificate, and a further release")
        return ending.tell(world, answer.run, self._line)

    def _tampered(self, world: World) -> dict[str, Any]:
        self._say("The host changes one byte of the program")
        place = self.directory / "tampered"
        found = [
            self._refused(world, programs.changed_own(place / "own")),
            self._refused(
                world, programs.changed_dependency(place / "source", "sqlglot", "sqlglot/parser.py")
            ),
            self._refused(world, programs.changed_dependency(place / "extension", "duckdb", "_duckdb*.so")),
        ]
        return {"right": all(one["right"] for one in found), "files": found}

    def _forged(self, world: World, program: str) -> dict[str, Any]:
        self._say("The host starts another program, which forges its measure")
        found = self._refused(world, programs.usurper(self.directory / "tampered" / "usurper", program))
        self._line("PCR 12 cannot be set back: what was extended into it first stays in it.")
        return found

    def _refused(self, world: World, altered: Altered) -> dict[str, Any]:
        """Ask while the host starts another program: both brokers must refuse."""
        self._line(f"- {altered.what}")
        dishonest.order(self.directory / HOST, altered)
        before = {owner: len(world.entries(owner, EntryKind.KEY_REFUSAL)) for owner in OWNERS}
        code = self._failure(world)
        codes = {}
        for owner in OWNERS:
            new = world.entries(owner, EntryKind.KEY_REFUSAL)[before[owner] :]
            codes[owner] = [entry.body["code"] for entry in new]
            self._line(
                f"  ledger of {owner}: keys refused, {', '.join(codes[owner]) or 'no: NOT as it should be'}"
            )
        right = code == _MISMATCH and all(said == [_MISMATCH] for said in codes.values())
        return {"right": right, "what": altered.what, "code": code, "ledgers": codes}

    def _altered(self, world: World) -> dict[str, Any]:
        self._say("The host starts the right program, and changes one byte on its way there")
        dishonest.order(self.directory / HOST)
        code = self._failure(world)
        dishonest.honest(self.directory / HOST)
        bodies = {owner: self._last(world, owner, EntryKind.REVOCATION) for owner in OWNERS}
        releases = {owner: self._last(world, owner, EntryKind.KEY_RELEASE)["run"] for owner in OWNERS}
        for owner, body in bodies.items():
            self._line(f"- ledger of {owner}: keys revoked in stage {body['stage']}")
        right = code == "RUN_ABORTED" and all(releases[o] == bodies[o]["run"] for o in OWNERS)
        refused = ending.asked_again(world, bodies["airport"]["run"], self._line)
        return {"right": right and set(refused.values()) == {"KEY_REVOKED"}, "code": code, "again": refused}

    def _failure(self, world: World) -> str | None:
        try:
            world.ask()
        except Refusal as refusal:
            self._line(f"  the run is stopped: {refusal} ({refusal.code})")
            return refusal.code
        except HitokuError as error:
            self._line(f"  the run is stopped: {error}")
            return None
        self._line("  it was answered: this is NOT as it should be")
        return None

    def _last(self, world: World, member: str, kind: EntryKind) -> dict[str, Any]:
        found = world.entries(member, kind)
        if not found:
            raise InputError(f"the ledger of {member!r} has no entry {kind}: the demo failed")
        return found[-1].body
