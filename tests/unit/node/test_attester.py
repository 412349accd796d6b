# SPDX-License-Identifier: Apache-2.0
"""What node.toml says of a node's evidence, and what becomes of it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from hitoku.attestation.attest.dev import make_key_file
from hitoku.attestation.binding import Binding
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.errors import InputError, Refusal
from hitoku.node import attester
from hitoku.node.attester import OneAtATime, attester_of, check_attests
from hitoku.node.settings import AttesterSettings, NodeSettings, SparkSettings
from hitoku.room.directory import MemberDirectory

BASE: dict[str, Any] = {
    "listen": "127.0.0.1:8443",
    "url": "https://127.0.0.1:8443",
    "rooms": [{"file": "../room.yaml"}],
}
BINDING = Binding(bytes(32), bytes(64))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attester, "_HELD", {})


@pytest.fixture
def member(tmp_path: Path) -> MemberDirectory:
    return MemberDirectory.create(tmp_path / "shop", "shop")


def write(member: MemberDirectory, **more: Any) -> None:
    NodeSettings.made({**BASE, **more}, "node.toml").write(member.path)


@pytest.mark.parametrize(
    "said",
    [
        {"platform": "tpm", "device": "descriptor:4", "chain": "tpm.pem"},
        {"platform": "tpm", "device": '/a "path"'},
        {"platform": "nitro"},
        {"platform": "tsm"},
        {"platform": "dev", "device": "dev.key"},
    ],
)
def test_settings_survive_their_file(member: MemberDirectory, said: dict[str, str]) -> None:
    write(member, attestation=said)
    assert NodeSettings.open(member.path).attestation == AttesterSettings(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"platform": "sgx"},
        {"platform": "dev"},
        {"platform": "dev", "device": "k", "chain": "c"},
        {"x": 1},
    ],
)
def test_settings_that_cannot_be_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="attestation"):
        NodeSettings.made({**BASE, "attestation": said}, "node.toml")


def test_dev_evidence_by_its_key_file(member: MemberDirectory) -> None:
    make_key_file(member.path / "dev.key", "ab" * 48)
    write(member, attestation={"platform": "dev", "device": "dev.key"})
    made = attester_of(member.path)
    assert attester_of(member.path) is made  # one in a process
    assert (made.kind, made.identity(), made.activate(b"x")) == (Kind.DEV, {}, b"")
    evidence = made.attest(BINDING)
    assert evidence.kind is Kind.DEV
    assert b"ab" * 48 in evidence.content


@pytest.mark.parametrize("device", ["descriptor:987", "/no/such/tpm"])
def test_a_tpm_that_is_not_there_is_said(member: MemberDirectory, device: str) -> None:
    write(member, attestation={"platform": "tpm", "device": device})
    with pytest.raises(InputError, match="TPM"):
        attester_of(member.path)


def test_a_tpm_behind_a_descriptor_with_its_chain(member: MemberDirectory) -> None:
    ours, theirs = socket.socketpair()
    (member.path / "tpm.pem").write_bytes(b"certificates")
    device = f"descriptor:{os.dup(theirs.fileno())}"
    with ours, theirs:
        write(member, attestation={"platform": "tpm", "device": device, "chain": "tpm.pem"})
        assert attester_of(member.path).kind is Kind.TPM


def test_a_chain_that_is_not_there_is_said(member: MemberDirectory) -> None:
    write(member, attestation={"platform": "tpm", "device": "descriptor:0", "chain": "none.pem"})
    with pytest.raises(InputError, match=r"none\.pem"):
        attester_of(member.path)


def test_platforms_by_name(member: MemberDirectory) -> None:
    write(member, attestation={"platform": "nitro"})
    assert attester_of(member.path).kind is Kind.NITRO


def test_a_confidential_machine_that_this_is_not(member: MemberDirectory) -> None:
    write(member, attestation={"platform": "tsm"})
    with pytest.raises(InputError):
        attester_of(member.path)


def test_without_settings_nothing_attests(member: MemberDirectory) -> None:
    for _ in range(2):
        with pytest.raises(InputError, match="attestation"):
            attester_of(member.path)
        with pytest.raises(Refusal) as caught:
            check_attests(member)
        assert (caught.value.code, caught.value.owner) == ("NODE_NOT_ATTESTED", "shop")
        if not (member.path / "node.toml").exists():
            write(member)


def test_a_clusters_workers_attest_to_nobody(member: MemberDirectory) -> None:
    said = {"platform": "nitro"}
    cluster = SparkSettings(master="local[1]", folder="shared").model_dump()
    write(member, attestation=said, spark=cluster)
    with pytest.raises(Refusal) as caught:
        check_attests(member)
    assert caught.value.code == "WORKERS_NOT_ATTESTED"
    (member.path / "node.toml").unlink()
    write(member, attestation=said, spark={**cluster, "folder": None})  # a cluster for SQL on tokens only
    check_attests(member)


def test_one_thread_at_a_time() -> None:
    inside, most = [0], [0]
    go = threading.Event()

    class Slow:
        kind = Kind.DEV

        def identity(self) -> dict[str, bytes]:
            return {}

        def activate(self, credential: bytes) -> bytes:
            return credential

        def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            go.wait(0.01)
            inside[0] -= 1
            return Evidence(Kind.DEV, b"")

    one = OneAtATime(Slow())
    threads = [threading.Thread(target=one.attest, args=(BINDING,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert one.activate(b"x") == b"x"
