# SPDX-License-Identifier: Apache-2.0
"""`hitoku demo crosstab --attested`: the two nodes prove to each other what they run, and one is caught.

Everything runs under a TPM in software: whoever operates the machine can make it say what he likes. It shows
the flow, and every refusal that hardware would give, and protects nothing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hitoku.attestation.kept import Kept
from hitoku.attestation.launch.image import measure
from hitoku.attestation.launch.images import node_image
from hitoku.attestation.program import pcr_of, program_digest
from hitoku.attestation.reference import ReferenceValue
from hitoku.demo import stage
from hitoku.demo.crosstab import clear, compare, nodes, rooms
from hitoku.demo.crosstab.machines import Machine, machines, tampered
from hitoku.demo.crosstab.run import Act
from hitoku.demo.people import places
from hitoku.demo.people.write import write_people
from hitoku.errors import Refusal
from hitoku.ports import SystemClock
from hitoku.room.consent import moment
from hitoku.room.directory import MemberDirectory
from hitoku.room.ledger import EntryKind

if TYPE_CHECKING:
    from rich.console import Console

    from hitoku.room.agreement import Room

__all__ = ["run"]

_MEMBERS: Final = ("airline", "operator")
_TABLES: Final = {"airline": "travellers", "operator": "subscribers"}
_QUESTION: Final = """\
SELECT s.age_band, t.airport, COUNT(DISTINCT t.phone) AS travellers, AVG(t.stay_nights) AS mean_stay
FROM travellers AS t JOIN subscribers AS s ON t.phone = s.phone
GROUP BY s.age_band, t.airport"""
_SECOND: Final = """\
SELECT t.airport, COUNT(DISTINCT t.phone) AS travellers
FROM travellers AS t JOIN subscribers AS s ON t.phone = s.phone
GROUP BY t.airport"""
_CHANGED: Final = "protections/crosstab/noise.py"
_CHAIN: Final = "tpm-authorities.pem"
_DAYS: Final = 1


def run(directory: Path, console: Console, people: int = 20_000, seed: int = 1) -> dict[str, Any]:
    """Tell the story in `directory`. Returns how it ended; `right` says whether all came as it should.

    Raises:
        InputError: the directory is not the demo's, or swtpm is not installed.
    """
    began = time.monotonic()
    stage.prepare(directory)
    console.print(f"Everything of this demo is in [b]{directory.resolve()}[/b]; delete it when you like.")
    with machines(directory, _MEMBERS) as made:
        act, room = _world(directory, made, people, seed)
        program = _sign_for(act, room, console)
        stage.say(console, "2  Both nodes are launched: measured into their TPMs, then started")
        for name, machine in made.items():
            console.print(f"{name}: program {machine.start()[:16]}…, in PCR 12 of its own TPM")
        answer = _ask(act, room, console)
        refusal = _tamper(act, room, made, console)
    seconds = time.monotonic() - began
    console.print(f"\nThe demo's own work took {seconds:.1f} s.")
    console.print("All of it rests on TPMs in software, which say whatever their operator wants:")
    console.print("it shows how things go, and protects nothing. Hardware goes through the same steps.")
    return {
        "right": answer["right"] and refusal["right"],
        "program": program,
        "answer": answer,
        "tampered": refusal,
        "directory": str(directory.resolve()),
        "seconds": round(seconds, 3),
    }


def _world(directory: Path, made: Mapping[str, Machine], people: int, seed: int) -> tuple[Act, Room]:
    """Members, tables, and a room that demands attestation."""
    written = write_people(people, seed, directory / "data")
    tables = {
        owner: [{"name": table, "source": f"{table}.parquet", "person": {"phone": ["phone"]}}]
        for owner, table in _TABLES.items()
    }

    def agreement(keys: dict[str, str]) -> dict[str, Any]:
        attestation = {
            "accept": ["tpm"],
            "software": True,
            "authorities": [{"certificate": one.authority, "software": True} for one in made.values()],
            "crosstab": True,
        }
        return {**rooms.travel(keys), "attestation": attestation}

    more = {"attestation": {"platform": "tpm", "device": "descriptor:4", "chain": _CHAIN}}
    room = nodes.make(directory, agreement, tables, more, inside=True)
    for name, machine in made.items():  # a node sees its member's directory alone
        (machine.member / _CHAIN).write_bytes(machine.tpm.chain)
        table = f"{_TABLES[name]}.parquet"
        shutil.copyfile(directory / "data" / table, machine.member / table)
    exact = clear.people(written.travellers, written.subscribers, places.MOST_NIGHTS)
    coarse: dict[compare.Cell, compare.Exact] = {}
    for (_, age, airport), cell in exact.items():
        before = coarse.get((age, airport))
        sums = (0, 0) if before is None else (before.people, before.total)
        coarse[age, airport] = compare.Exact(sums[0] + cell.people, sums[1] + cell.total)
    act = Act(
        directory,
        _MEMBERS,
        "airline",
        _QUESTION,
        ("age_band", "airport"),
        "travellers",
        "mean_stay",
        places.MOST_NIGHTS,
        coarse,
    )
    return act, room


def _sign_for(act: Act, room: Room, console: Console) -> str:
    """Both members sign for the program: what anybody gets who measures the same installation."""
    stage.say(console, "1  Both members sign for one program")
    program = program_digest(measure(node_image()))
    value = ReferenceValue.model_validate(
        {
            "room": room.agreement.id,
            "serial": 1,
            "program": program,
            "version": "the node of this demo",
            "kind": "tpm",
            "purpose": "node",
            "measurements": {"pcr12": (pcr_of(program),)},
            "not_after": moment(datetime.now(UTC) + timedelta(days=_DAYS)),
        }
    )
    directories = [MemberDirectory.open(act.place / name) for name in _MEMBERS]
    for directory in directories:
        value = value.sign(directory.name, directory.keys({}))
    for directory in directories:
        records = directory.records(str(room.agreement.id), SystemClock())
        try:
            Kept(directory, records).put([value], room.agreement, "import")
        finally:
            records.store.close()
    console.print(f"program {program[:16]}…: interpreter, libraries and every module of the node;")
    console.print("its reference value, signed by airline and operator, is in both ledgers")
    return program


def _ask(act: Act, room: Room, console: Console) -> dict[str, Any]:
    stage.say(console, "3  A question: first both nodes attest to each other, then they compute")
    console.print(act.question, markup=False, highlight=False)
    began = time.monotonic()
    answer = act.ask()
    seconds = time.monotonic() - began
    found = act.compared(answer)
    console.print(f"\nAnswered in {seconds:.1f} s: {found.cells} cells; the error of a count is")
    console.print(f"{found.found:.2f} people, predicted {found.predicted:.2f}. All parcels travelled sealed.")
    verdicts = {name: _verdicts(act, room, name)[-1] for name in _MEMBERS}
    _show(verdicts, console)
    accepted = all(verdict["verdict"] == "accept" for verdict in verdicts.values())
    one_session = len({verdict["session"] for verdict in verdicts.values()}) == 1
    return {
        "right": found.right and accepted and one_session,
        "cells": found.cells,
        "error": round(found.found, 3),
        "predicted": round(found.predicted, 3),
        "seconds": round(seconds, 3),
        "verdicts": verdicts,
    }


def _tamper(act: Act, room: Room, made: Mapping[str, Machine], console: Console) -> dict[str, Any]:
    stage.say(console, "4  The airline changes one byte of its node, and asks again")
    source = tampered(act.place / "tampered", _CHANGED)
    machine = made["airline"]
    machine.reset()
    program = machine.start(source)
    console.print(f"hitoku/{_CHANGED}: a capital letter less in a comment")
    console.print(f"airline: program {program[:16]}…, launched and measured as before")
    code, says = None, "nobody refused: this is NOT as it should be"
    try:
        act.asked(_SECOND)
    except Refusal as refusal:
        code, says = refusal.code, f"Refused ({refusal.code}): {refusal}"
    console.print(says, markup=False, highlight=False, soft_wrap=True)
    verdicts = {name: _verdicts(act, room, name)[-1] for name in _MEMBERS}
    _show(verdicts, console)
    left = list(act.place.glob(f"*/runs/{verdicts['operator']['run']}/left-*"))
    console.print("Nothing of the run left either node, and nothing is charged.")
    refused = all(
        (verdict["verdict"], verdict.get("code")) == ("refuse", "MEASUREMENT_MISMATCH")
        for verdict in verdicts.values()
    )
    right = code == "MEASUREMENT_MISMATCH" and refused and not left
    return {"right": right, "code": code, "program": program, "verdicts": verdicts}


def _verdicts(act: Act, room: Room, name: str) -> list[dict[str, Any]]:
    """The appraisals in a member's ledger."""
    records = MemberDirectory.open(act.place / name).records(str(room.agreement.id), SystemClock())
    try:
        return [entry.body for entry in records.ledger.entries(0, EntryKind.APPRAISAL)]
    finally:
        records.store.close()


def _show(verdicts: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    for name, verdict in verdicts.items():
        who = f"{verdict.get('by', name)} of {verdict['member']}"
        what = verdict["verdict"] if "code" not in verdict else f"{verdict['verdict']}, {verdict['code']}"
        mark = ", software-rooted" if verdict.get("software_rooted") else ""
        line = f"- ledger of {name}: appraisal by {who}: {what}{mark}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
