# SPDX-License-Identifier: Apache-2.0
"""Mutual attestation between nodes that are processes: kills, a node that is caught, the demo under TPMs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.attestation_tpm import need_swtpm
from tests.e2e.crosstab_world import (
    AGES,
    LED_BY_CLINIC,
    LED_BY_INSURER,
    OUTSIDER,
    OWNERS,
    REGIONS,
    Asking,
    World,
    agreement,
    appears,
    clear,
    made_up,
    new_run,
    write_tables,
)
from tests.unit.node import attested_world
from tests.unit.node.attested_world import OTHER, PROGRAM

from hitoku.attestation.attest.dev import make_key_file
from hitoku.attestation.launch.confine import NAMESPACES
from hitoku.demo.crosstab.nodes import Nodes, make
from hitoku.disclosure.answer import Answer
from hitoku.errors import Refusal
from hitoku.ports import SystemClock
from hitoku.room.jobs import JobState
from hitoku.room.ledger import EntryKind

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BOUNDARIES = [
    ("parcels/offer-a.arrow", "clinic", "clinic"),
    ("left-points-a", "clinic", "insurer"),
    ("left-points-b", "insurer", "insurer"),
    ("left-tags-a", "insurer", "clinic"),
    ("left-cells-a", "clinic", "insurer"),
    ("parcels/sums-b.arrow", "insurer", "insurer"),
]
"""What is waited for, at whom, and who is killed then."""


def made(path: Path) -> World:
    (path / "data").mkdir(parents=True)
    rows = made_up(300, 200, 1)
    write_tables(path / "data", rows)
    known = {
        owner: [{"name": owner, "source": f"../data/{owner}.parquet", "person": {"card": ["person"]}}]
        for owner in OWNERS
    }
    part = {"accept": ["dev"], "software": True, "crosstab": True}

    def data(keys: dict[str, str]) -> dict[str, Any]:
        return {**agreement(keys, REGIONS, AGES), "attestation": part}

    more = {"attestation": {"platform": "dev", "device": "dev.key"}}
    room = make(path, data, {**known, OUTSIDER: []}, more)
    world = World(path, room, clear(rows, REGIONS, AGES), Nodes(path))
    for name in OWNERS:
        make_key_file(path / name / "dev.key", PROGRAM)
    members = {name: world.member(name) for name in OWNERS}
    attested_world.accept(attested_world.World(path, room, members), PROGRAM)
    return world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = made(tmp_path_factory.mktemp("attested"))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HITOKU_DEBUG", "1")
            world.start()
            yield world
    finally:
        world.end()


def appraisals(world: World, name: str, run: str) -> list[dict[str, Any]]:
    records = world.member(name).records(str(world.room.agreement.id), SystemClock())
    try:
        entries = records.ledger.entries(0, EntryKind.APPRAISAL)
        return [entry.body for entry in entries if entry.body["run"] == run]
    finally:
        records.store.close()


@pytest.mark.parametrize(("file", "at", "victim"), BOUNDARIES, ids=[f"{b[0]} {b[2]}" for b in BOUNDARIES])
def test_a_node_that_starts_again_within_a_run_attests_again(
    world: World, file: str, at: str, victim: str
) -> None:
    before = world.runs()
    asking = Asking(world)
    run = new_run(world, before, asking.going)
    assert run is not None, asking.end()
    hit = appears(world.path / at / "runs" / run / file, asking.going)
    if hit:
        world.kill(victim)
        world.start(victim)
    ended = asking.end()
    logs = [line for n in OWNERS for line in world.nodes.log(n).read_text().splitlines() if line[:1] != "{"]
    assert isinstance(ended, Answer), (ended, logs)
    world.check(ended)
    assert world.settled(run) == dict.fromkeys(OWNERS, JobState.DONE)
    sessions = {name: {a["session"] for a in appraisals(world, name, run)} for name in OWNERS}
    assert sessions["clinic"] & sessions["insurer"]
    if hit:
        assert len(sessions["clinic"] | sessions["insurer"]) >= 2
    assert all(a["verdict"] == "accept" for name in OWNERS for a in appraisals(world, name, run))


def test_either_may_lead(world: World) -> None:
    for sql in (LED_BY_CLINIC, LED_BY_INSURER):
        world.check(world.ask(sql, "insurer"), sql)


def test_a_node_that_runs_something_else_is_refused_and_the_run_costs_nothing(world: World) -> None:
    charged = {name: world.charged(name) for name in OWNERS}
    settings = world.path / "clinic" / "node.toml"
    honest = settings.read_text()
    make_key_file(world.path / "clinic" / "other.key", OTHER)
    settings.write_text(honest.replace("dev.key", "other.key"))
    world.kill("clinic")
    world.start("clinic")
    before = world.runs()
    try:
        with pytest.raises(Refusal) as caught:
            world.ask(LED_BY_CLINIC, "insurer")
    finally:
        settings.write_text(honest)
        world.kill("clinic")
        world.start("clinic")
    assert caught.value.code == "MEASUREMENT_MISMATCH"
    assert world.runs() == before
    assert {name: world.charged(name) for name in OWNERS} == charged


def test_the_demo_under_software_tpms(tmp_path: Path) -> None:
    """Both nodes launched and measured, the answer, then one byte changed: refused, in both ledgers."""
    need_swtpm()
    words = ["demo", "crosstab", "--attested", "--people", "2000", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "hitoku.cli.main", *words],
        capture_output=True, text=True, check=False, timeout=1200, cwd=tmp_path,
    )  # fmt: skip
    if done.returncode and "namespaces" in done.stderr:
        pytest.skip(f"this system gives no {NAMESPACES}")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["right"] is True
    verdicts = outcome["answer"]["verdicts"]
    assert {v["verdict"] for v in verdicts.values()} == {"accept"}
    assert {v["program"] for v in verdicts.values()} == {outcome["program"]}
    assert {v["kind"] for v in verdicts.values()} == {"tpm"}
    assert outcome["tampered"]["code"] == "MEASUREMENT_MISMATCH"
    assert outcome["tampered"]["program"] != outcome["program"]
    assert {v["code"] for v in outcome["tampered"]["verdicts"].values()} == {"MEASUREMENT_MISMATCH"}
    for told in ("Both members sign for one program", "ledger of airline", "Refused (", "protects nothing"):
        assert told in done.stderr
