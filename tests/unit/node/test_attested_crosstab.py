# SPDX-License-Identifier: Apache-2.0
"""Private cross statistics in a room that demands mutual attestation: two owners in one process."""

# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from tests.unit.node.attested_world import (
    AGREEMENT,
    OTHER,
    OWNERS,
    PROGRAM,
    QUESTION,
    World,
    accept,
    make,
)

from hitoku.attestation.codes import Code
from hitoku.errors import PeerError, Refusal
from hitoku.node.settings import SparkSettings
from hitoku.room.ledger import EntryKind
from hitoku.transport import sealed
from hitoku.transport.parcels import ParcelFile


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make(tmp_path)


def marks(world: World) -> list[str]:
    """What may have left of a run, anywhere."""
    return [path.name for path in world.path.glob("*/runs/*/left-*")]


def appraisals(world: World, name: str) -> list[dict[str, Any]]:
    return world.ledger(name, EntryKind.APPRAISAL)


def test_the_answer_comes_and_both_ledgers_have_the_others_appraisal(world, monkeypatch):
    streams: list[bytes] = []
    batch = sealed.SealedStream.batch

    def heard(self, sequence):
        content = batch(self, sequence)
        streams.append(bytes(content))
        return content

    monkeypatch.setattr(sealed.SealedStream, "batch", heard)
    answer = world.ask()
    assert answer.table.num_rows == 4
    assert len(streams) >= 7  # every message of the protocol, at least
    for me, peer in (OWNERS, OWNERS[::-1]):
        (found,) = appraisals(world, me)
        assert (found["member"], found["verdict"], found["program"]) == (peer, "accept", PROGRAM)
        assert found["software_rooted"] is True
        assert found["evidence"].startswith("sha256:")
    sessions = {appraisals(world, name)[0]["session"] for name in OWNERS}
    assert len(sessions) == 1
    stamps = [item for item in answer.leakage.learned if item.code == "SOFTWARE_ROOTED"]
    assert {item.member for item in stamps} == set(OWNERS)
    assert all("protects nothing" in item.words for item in stamps)


def test_without_the_flag_nothing_is_sealed_or_attested(tmp_path, monkeypatch):
    world = make(tmp_path, {})
    monkeypatch.setattr(sealed, "SealedStream", None)
    assert world.ask().table.num_rows == 4
    assert not any(appraisals(world, name) for name in OWNERS)


def test_with_hardware_the_answer_rests_on_what_each_node_proved():
    from hitoku.protections.crosstab import leakage
    from hitoku.protections.registry import get
    from hitoku.questions import check
    from hitoku.room.agreement import Agreement, ProtectionName, Room

    codes: dict[bool | None, set[tuple[str, bool]]] = {}
    for software in (None, True, False):
        data: dict[str, Any] = dict(AGREEMENT)
        names = {"shop": bytes(range(32)), "telco": bytes(range(32, 64))}
        data["members"] = [
            {
                "name": name,
                "key": "ed25519:" + base64.b64encode(key).decode(),
                "abilities": ["query", "receive"],
            }
            for name, key in names.items()
        ]
        data["attestation"] = {"accept": ["tpm"], "software": bool(software), "crosstab": True}
        if software is None:
            del data["attestation"]
        room = Room(agreement=Agreement.model_validate(data))
        learned = get(ProtectionName.CROSSTAB).leakage(check(QUESTION, room, "shop"), room).learned
        attested = [leakage.ATTESTED.format(a=a, b=b) for a, b in (OWNERS, OWNERS[::-1])]
        codes[software] = {(i.code, i.assumption in attested) for i in learned}
    assert {c for c, _ in codes[None]} == {"ANSWER", "NOISED_CELLS", "NOISED_SIZES", "QUESTION"}
    assert {c for c, _ in codes[True] - codes[None]} == {"PEER_EVIDENCE", "SOFTWARE_ROOTED"}
    assert ("SOFTWARE_ROOTED", False) not in codes[False]
    assert {("NOISED_CELLS", True), ("NOISED_SIZES", True), ("PEER_EVIDENCE", False)} <= codes[False]
    # The files of a run are the operator's to edit: what attestation does not stop is said all the same.
    said = " ".join(i.assumption or "" for i in learned)
    for words in (
        "write to a node's disk",
        "leaving out its dummies",
        "beyond the bounds",
        "one sum into several",
    ):
        assert words in said
    assert "{" not in said


@pytest.mark.parametrize("tampered", OWNERS)
def test_a_tampered_node_is_refused_before_anything_leaves_and_both_ledgers_say_so(world, tampered):
    world.runs(tampered, OTHER)
    with pytest.raises(Refusal) as caught:
        world.ask()
    assert caught.value.code == Code.MEASUREMENT_MISMATCH
    assert caught.value.rule == "attestation.crosstab"
    assert marks(world) == []
    honest = next(name for name in OWNERS if name != tampered)
    (found,) = appraisals(world, honest)
    assert (found["member"], found["verdict"], found["code"]) == (tampered, "refuse", "MEASUREMENT_MISMATCH")
    refusals = [a for a in appraisals(world, tampered) if a["verdict"] == "refuse"]
    assert [(a["member"], a["by"], a["code"]) for a in refusals] == [
        (tampered, honest, "MEASUREMENT_MISMATCH")
    ]
    for name in OWNERS:
        kinds = world.kinds(name)
        assert "abort" in kinds
        assert "charge" not in kinds


def test_a_program_signed_for_as_the_enclaves_worker_is_no_node(tmp_path):
    world = make(tmp_path)
    accept(world, OTHER, purpose="enclave")
    world.runs("shop", OTHER)
    with pytest.raises(Refusal) as caught:
        world.ask()
    assert caught.value.code == Code.MEASUREMENT_MISMATCH


def test_software_is_refused_where_the_room_does_not_allow_it(tmp_path):
    world = make(tmp_path, {"accept": ["dev", "tpm"], "software": False, "crosstab": True})
    with pytest.raises(Refusal) as caught:
        world.ask()
    assert caught.value.code == Code.SOFTWARE_ROOTED
    assert marks(world) == []


@pytest.mark.parametrize(
    "stage",
    [
        "points-a",
        "sums-b",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("points-b", "tags-a", "cells-a")),
    ],
)
def test_t2_one_changed_byte_of_a_parcel_ends_the_run_and_the_ledger_names_the_stage(
    world, monkeypatch, stage
):
    batch = sealed.SealedStream.batch

    def changed(self, sequence):
        content = bytearray(batch(self, sequence))
        if isinstance(self._file, ParcelFile) and self._file._parcel.endswith(f"/{stage}"):
            content[-1] ^= 1
        return memoryview(content)

    monkeypatch.setattr(sealed.SealedStream, "batch", changed)
    with pytest.raises(PeerError):
        world.ask()
    revoked = {name: world.ledger(name, EntryKind.REVOCATION) for name in OWNERS}
    (entry,) = [e for entries in revoked.values() for e in entries]
    assert (entry["stage"], entry["code"]) == (stage, "RUN_ABORTED")
    receiver = next(name for name, entries in revoked.items() if entries)
    assert entry["member"] != receiver
    assert not any(path.suffix == ".arrow" for path in world.path.glob("*/runs/*/parcels/*"))
    for name in OWNERS:
        assert "charge" in world.kinds(name)
        assert "release" not in world.kinds(name)


def test_t14_a_parcel_is_not_there_for_who_did_not_attest(world, monkeypatch):
    """The other side has no session of its own: what is ready stays."""
    from hitoku.node.sessions import Sessions

    seen: list[object] = []
    monkeypatch.setattr(Sessions, "newest", lambda self, run, peer: seen.append(run))
    monkeypatch.setattr("hitoku.node.mutual._SETTLING_SECONDS", 0)
    monkeypatch.setattr("hitoku.transport.parcels._LOOK_SECONDS", 0)
    monkeypatch.setattr("hitoku.limits.JOB_SECONDS", 4)
    with pytest.raises(PeerError):
        world.ask()
    assert seen
    assert marks(world) == []


def test_a_room_that_demands_it_refuses_nodes_and_clusters_that_make_no_evidence(world, monkeypatch):
    directory = world.members["shop"].path
    settings = (directory / "node.toml").read_text()
    (directory / "node.toml").write_text(settings.partition("[attestation]")[0])
    with pytest.raises(Refusal) as caught:
        world.ask()
    assert (caught.value.code, caught.value.owner) == ("NODE_NOT_ATTESTED", "shop")
    cluster = SparkSettings(master="local[1]", folder="shared")
    (directory / "node.toml").write_text("\n".join([settings, *cluster.lines()]))
    with pytest.raises(Refusal) as caught:
        world.ask()
    assert (caught.value.code, caught.value.owner) == ("WORKERS_NOT_ATTESTED", "shop")
    assert "charge" not in world.kinds("shop")


def test_values_of_the_tables_are_in_no_sealed_frame(world, monkeypatch):
    """What travels is noise to who has no key, the offers' sizes included."""
    content = bytearray()
    batch = sealed.SealedStream.batch

    def heard(self, sequence):
        made = batch(self, sequence)
        content.extend(made)
        return made

    monkeypatch.setattr(sealed.SealedStream, "batch", heard)
    world.ask()
    # No shorter words: three given bytes stand somewhere in 100 kB of ciphertext once in 200 runs.
    for word in (b"offer", b"sizes", b"points-a", b"parcel"):
        assert word not in bytes(content)
