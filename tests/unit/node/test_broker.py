# SPDX-License-Identifier: Apache-2.0
"""A member's broker at its node: messages over the transport, and what node.toml says of it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.attestation_tpm import need_swtpm
from tests.unit.attestation.brokers import (
    HOST,
    PROGRAM,
    RUN,
    TABLES,
    Desk,
    attested,
    dev,
    records_of,
    refused,
    signed_value,
)

from hitoku.attestation import swtpm
from hitoku.attestation.attest.tpm import TpmAttester, extend_program
from hitoku.attestation.codes import Code
from hitoku.attestation.epoch import FileCounter
from hitoku.attestation.kept import Kept
from hitoku.attestation.keystore import LocalKeys
from hitoku.attestation.kms import AwsKms
from hitoku.attestation.nvcounter import TpmCounter
from hitoku.attestation.program import event_digest, pcr_of
from hitoku.attestation.release import KeyRequest, WorkerKeys
from hitoku.errors import InputError, PeerError, Refusal, SecretError
from hitoku.node.broker import open_broker
from hitoku.node.member import LocalNode
from hitoku.node.settings import KeySettings, NodeSettings
from hitoku.ports import NoProgress
from hitoku.room.attestation import AcceptedKind
from hitoku.room.keys import valid_signature
from hitoku.transport.in_process import InProcessNetwork


@pytest.fixture
def nodes(make, clock):
    """All members' nodes in one process; both owners know the worker's program."""
    place = make(attested)
    network = InProcessNetwork()
    found = {
        name: LocalNode(directory, place.room, network, clock, NoProgress())
        for name, directory in place.members.items()
    }
    for owner in TABLES:
        records_of(place, owner, clock).store.close()  # an empty database, quickly
        Kept(place.members[owner], found[owner].records).put([signed_value(place)], place.agreement, "add")
    yield place, found
    for node in found.values():
        node.close()


def reserve(place, node, clock):
    """The owner consents to the run."""
    desk = Desk.__new__(Desk)
    desk.place, desk.owner, desk.records = place, node._directory.name, node.records
    desk.reserve()


def test_keys_reach_a_worker_through_its_host(nodes, clock):
    place, found = nodes
    host = found[HOST].peers
    worker = WorkerKeys()
    for owner, table in TABLES.items():
        reserve(place, found[owner], clock)
        key = bytes(found[owner].desk.broker.make_key(RUN, table, HOST).key)
        request = KeyRequest(place.agreement, owner, HOST, RUN, worker, dev(clock))
        answer = request.answer(host.call(owner, request.challenge()))
        assert bytes(request.open(host.call(owner, answer))[table]) == key
        with pytest.raises(Refusal) as caught:
            host.call(owner, answer)
        assert (caught.value.code, caught.value.owner) == ("NONCE_USED", owner)
        assert "answered before" not in str(caught.value.to_dict())
        for _ in range(2):
            said = host.call(owner, {"kind": "hitoku/delete-keys/1", "run": RUN, "statement": None})
        member = place.agreement.member(owner)
        assert said["tombstone"]["keys"] == request.key_ids
        assert valid_signature(member.key, *_signed(said["tombstone"]))
        with pytest.raises(Refusal) as caught:
            host.call(owner, request.challenge())
        assert caught.value.code == "TOMBSTONED"


def _signed(tombstone):
    from hitoku.attestation.deletion import Tombstone

    made = Tombstone.model_validate(tombstone)
    return made.message(), made.signature


def test_a_host_may_end_its_run(nodes, clock):
    place, found = nodes
    reserve(place, found["registry"], clock)
    found["registry"].desk.broker.make_key(RUN, "planes", HOST)
    message = {"kind": "hitoku/revoke-keys/1", "run": RUN, "stage": "chunk-3"}
    with pytest.raises(Refusal) as caught:
        found["airport"].peers.call("registry", message)
    assert caught.value.code == "NO_SUCH_KEY"
    assert found[HOST].peers.call("registry", message) == {"kind": "hitoku/keys-revoked/1", "run": RUN}
    request = KeyRequest(place.agreement, "registry", HOST, RUN, WorkerKeys(), dev(clock))
    with pytest.raises(Refusal) as caught:
        found[HOST].peers.call("registry", request.challenge())
    assert caught.value.code == "KEY_REVOKED"


def test_only_owners_have_brokers(nodes, clock):
    place, found = nodes
    request = KeyRequest(place.agreement, "registry", HOST, RUN, WorkerKeys(), dev(clock))
    with pytest.raises(PeerError):
        found["registry"].peers.call(HOST, request.challenge())


def settings(**keys):
    return NodeSettings.model_validate(
        {
            "listen": "127.0.0.1:8443",
            "url": "https://a.example:8443",
            "rooms": [{"file": "../room.yaml"}],
            "keys": keys or None,
        }
    )


def opened(place, clock, **keys):
    directory = place.members["registry"]
    (directory.path / "node.toml").unlink(missing_ok=True)
    if keys:
        settings(**keys).write(directory.path)
    records = records_of(place, "registry", clock)
    broker = open_broker(directory, place.room, records, clock)
    records.store.close()
    return broker


def test_settings_say_where_keys_are_kept(place, clock):
    broker = opened(place, clock)
    assert isinstance(broker._wrap, LocalKeys)
    assert isinstance(broker._counter, FileCounter)
    arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"
    there = {"kms": arn, "region": "eu-central-1", "endpoint": "https://kms.example:8443"}
    broker = opened(place, clock, **there)
    assert isinstance(broker._wrap, AwsKms)
    assert (broker._wrap._key, broker._wrap._url) == (arn, "https://kms.example:8443/")
    broker = opened(place, clock, kms=arn, region="eu-central-1")
    assert isinstance(broker._wrap, AwsKms)
    assert broker._wrap._url == "https://kms.eu-central-1.amazonaws.com/"


@pytest.mark.parametrize(
    "keys",
    [{"kms": "k"}, {"region": "r"}, {"endpoint": "https://a"}, {"kms": "k k", "region": "r"}, {"other": 1}],
)
def test_settings_that_cannot_be_used(keys):
    with pytest.raises(InputError):
        NodeSettings.made(json.loads(settings().model_dump_json(exclude_none=True)) | {"keys": keys}, "x")


def test_settings_are_read_as_they_were_written(tmp_path):
    made = settings(kms="alias/a", region="r", counter='/dev/"tpm"')
    made.write(tmp_path)
    assert NodeSettings.open(tmp_path) == made
    assert KeySettings().lines() == ["[keys]"]


def test_t20_a_tpm_counts_what_cannot_be_undone(make, clock):
    """The whole directory is put back, file counter and all; the TPM still knows."""
    need_swtpm()
    import shutil

    place = make(attested)
    directory = place.members["registry"]
    with swtpm.SwTpm(certificate=False) as tpm:
        settings(counter=str(tpm.path)).write(directory.path)
        desk = Desk(place, "registry", clock)
        assert isinstance(desk.broker._counter, TpmCounter)
        desk.key()
        assert not desk.entries("revocation")
        answer = desk.answered(desk.request())
        desk.records.store.scrub()
        desk.records.store.close()
        copy = directory.path.with_name("copy")
        shutil.copytree(directory.path, copy)
        desk.broker.release(HOST, answer)
        desk.records.store.close()
        shutil.rmtree(directory.path)
        copy.rename(directory.path)
        again = Desk(place, "registry", clock)
        with pytest.raises(Exception, match="KEY_REVOKED"):
            again.broker.challenge(HOST, again.request().challenge())
        assert [e["stage"] for e in again.entries("revocation")] == ["rolled-back"]
        again.records.store.close()


def test_a_tpm_that_is_not_there(place, clock, tmp_path):
    for _ in range(2):
        with pytest.raises(SecretError):
            opened(place, clock, counter=str(tmp_path / "no-tpm"))
    assert not (place.members["registry"].path / "attestation" / "counter.secret").exists()


@pytest.mark.skipif(swtpm.missing() is not None, reason=swtpm.missing() or "")
def test_a_tpm_gets_the_key_for_what_it_measured(make, clock):
    """A real TPM: its credential is opened, its quote of the program's PCR accepted, another refused."""
    need_swtpm()
    with swtpm.SwTpm() as tpm:
        root = x509.load_pem_x509_certificates(tpm.chain)[-1].public_bytes(Encoding.DER)

        def agreed(data):
            attested(data)
            authority = {"certificate": base64.b64encode(root).decode(), "software": True}
            data["attestation"]["authorities"] = [authority]

        clock.time = datetime.now(UTC)  # swtpm's authority was made just now
        place = make(agreed)
        desk = Desk(place, "registry", clock)
        digest = event_digest(PROGRAM)
        measured: dict[str, Any] = {"kind": AcceptedKind.TPM, "measurements": {"pcr12": (pcr_of(PROGRAM),)}}
        desk.kept.put([signed_value(place, **measured)], place.agreement, "add")
        key = desk.key(workers=9)
        with tpm.connect() as device:
            extend_program(device, digest)
            with TpmAttester(device, chain=tpm.chain) as attester:
                assert desk.get(desk.request(attester=attester)) == key
                with_other = desk.request(attester=Borrowed(attester, b"x" * 32))
                refused(Code.HARDWARE_MISMATCH, desk.get, with_other)
                extend_program(device, digest)
                refused(Code.MEASUREMENT_MISMATCH, desk.get, desk.request(attester=attester))
        (appraised,) = desk.entries("appraisal")
        assert (appraised["kind"], appraised["software_rooted"]) == ("tpm", True)
        desk.records.store.close()


class Borrowed:
    """A TPM's evidence without its having opened the credential."""

    def __init__(self, attester, opened):
        self.kind, self.identity, self.attest = attester.kind, attester.identity, attester.attest
        self.opened = opened

    def activate(self, credential):
        return self.opened
