# SPDX-License-Identifier: Apache-2.0
"""The TPM's attester, on swtpm: what it makes is what the verifier takes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from tests.attestation_tpm import need_swtpm

from hitoku.attestation.attest.tpm import PROGRAM_PCR, QUOTED, Event, TpmAttester, extend_program, read_pcrs
from hitoku.attestation.binding import Binding, bound
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.credential import challenge
from hitoku.attestation.evidence import Kind
from hitoku.attestation.swtpm import SwTpm
from hitoku.attestation.tpm2.commands import Tpm, TpmError
from hitoku.attestation.tpm2.structures import Public
from hitoku.attestation.verify import verify
from hitoku.errors import InputError

BINDING = Binding(b"n" * 32, bound("test", [b"n" * 32, b"a key"]))


@pytest.fixture(scope="module")
def tpm():
    need_swtpm()
    with SwTpm(private=True) as started:
        yield started


@pytest.fixture
def device(tpm):
    with tpm.connect() as device:
        yield device


def now() -> datetime:
    return datetime.now(UTC)


def test_evidence_verifies_and_is_bound(tpm, device):
    before = read_pcrs(device)
    digest = hashlib.sha256(b"a program").digest()
    extend_program(device, digest)
    expected = hashlib.sha256(before[PROGRAM_PCR] + digest).hexdigest()
    with TpmAttester(device, chain=tpm.chain) as attester:
        assert attester.kind is Kind.TPM
        claims = verify(attester.attest(BINDING), now())
        BINDING.check(claims)
        assert claims.measurements[f"pcr{PROGRAM_PCR}"] == expected
        assert set(claims.measurements) == {f"pcr{number}" for number in QUOTED}
        assert claims.extra["ak_name"] == Public.parse(attester.identity()["ak"]).name.hex()
        assert claims.software_rooted
        assert "ek_root" in claims.extra
        with pytest.raises(Refused) as caught:
            Binding(BINDING.nonce, bound("test", [b"another key"])).check(claims)
        assert caught.value.code is Code.BINDING


def test_the_log_is_taken_along_and_checked():
    need_swtpm()
    event = Event(PROGRAM_PCR, hashlib.sha256(b"a program").digest(), "a program")
    with (
        SwTpm(private=True, certificate=False) as tpm,
        tpm.connect() as device,
        TpmAttester(device, log=[event]) as attester,
    ):
        with pytest.raises(Refused) as caught:
            verify(attester.attest(BINDING), now())
        assert caught.value.code is Code.MEASUREMENT_MISMATCH
        extend_program(device, event.digest)
        claims = verify(attester.attest(BINDING), now())
        assert claims.extra["event_log"] == (event.to_dict(),)
        assert "ek_root" not in claims.extra
        assert claims.hardware_id is not None


def test_each_attester_has_a_key_of_its_own_and_one_endorsement_key(device):
    with TpmAttester(device) as one:
        first = one.identity()
        assert one.identity() == first
    again = one.identity()  # closed, it makes another
    one.close()
    assert again["ak"] != first["ak"]
    with TpmAttester(device) as other:
        second = other.identity()
    assert first["ak"] != second["ak"]
    assert first["ek"] == second["ek"]


def test_a_credential_is_activated_by_this_key_in_this_tpm(device):
    with TpmAttester(device) as attester:
        identity = attester.identity()
        credential, secret = challenge(identity)
        assert attester.activate(credential) == secret
        assert attester.activate(credential) == secret
        for damaged in (
            credential[:-1] + bytes([credential[-1] ^ 1]),
            credential[:40],
            credential + b"\0",
            b"",
        ):
            with pytest.raises(InputError):
                attester.activate(damaged)
        assert attester.activate(credential) == secret  # nothing is left loaded by what failed
    with TpmAttester(device) as other, pytest.raises(InputError, match="not for this TPM and key"):
        other.activate(credential)


def test_a_tpm_without_a_certificate_gives_its_key():
    need_swtpm()
    with (
        SwTpm(private=True, certificate=False) as tpm,
        tpm.connect() as device,
        TpmAttester(device) as attester,
    ):
        assert Public.parse(attester.identity()["ek"]).bits == 2048
        credential, secret = challenge(attester.identity())
        assert attester.activate(credential) == secret


def test_many_attesters_one_after_the_other_leave_nothing_in_the_tpm(device):
    for _ in range(8):  # swtpm holds three keys
        with TpmAttester(device) as attester:
            attester.attest(BINDING)
            attester.activate(challenge(attester.identity())[0])
        attester.close()


def test_program_pcr_cannot_be_set_back_but_pcr_23_can(device):
    tpm = Tpm(device)
    tpm.pcr_extend(PROGRAM_PCR, bytes(32))
    before = tpm.pcr_read([PROGRAM_PCR])
    with pytest.raises(TpmError) as caught:
        tpm.pcr_reset(PROGRAM_PCR)
    assert caught.value.response == 0x907
    assert tpm.pcr_read([PROGRAM_PCR]) == before
    tpm.pcr_extend(23, bytes(32))
    tpm.pcr_reset(23)
    assert tpm.pcr_read([23]) == {23: bytes(32)}


def test_all_pcrs_are_read():
    need_swtpm()
    with SwTpm(private=True, certificate=False) as tpm, tpm.connect() as device:
        values = read_pcrs(device, range(24))
        assert set(values) == set(range(24))
        assert values[0] == bytes(32)
        assert values[17] == b"\xff" * 32


def test_a_tpm_that_is_gone_is_an_input_error():
    need_swtpm()
    with SwTpm(private=True, certificate=False) as tpm, tpm.connect() as device:
        attester = TpmAttester(device)
        attester.identity()
        tpm.halt()
        with pytest.raises(InputError):
            attester.attest(BINDING)
        attester.close()
