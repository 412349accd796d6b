# SPDX-License-Identifier: Apache-2.0
"""Hosts and programs that want a TPM, or Azure's vTPM, to vouch for what it should not.

Names of tests begin with the threat that they are about.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import shutil
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.appraisals import BINDING, room_of, value
from tests.attestation_pki import NOW, needs_vectors, vector
from tests.attestation_tpm import (
    AzureWorld,
    Maker,
    PaperTpm,
    ec_key,
    ek_public,
    need_swtpm,
    public_area,
    rsa_key,
    runtime_data,
)
from tests.unit.attestation.brokers import HOST, RUN, TABLES, Desk, Office, Platform, attested, dev, refused

from hitoku import limits
from hitoku.attestation.attest.tpm import PROGRAM_PCR, Event, TpmAttester, extend_program
from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.credential import challenge, make_credential
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.judge import judge
from hitoku.attestation.nvcounter import TpmCounter
from hitoku.attestation.program import event_digest, pcr_of
from hitoku.attestation.reference import ReferenceValue, Registry
from hitoku.attestation.swtpm import SwTpm
from hitoku.attestation.tpm2.commands import ENDORSEMENT, Tpm, TpmError
from hitoku.attestation.tpm2.structures import Attest, Public
from hitoku.attestation.tpm2.wire import sized, u8, u16, u32
from hitoku.attestation.verify import verify
from hitoku.errors import InputError, SecretError
from hitoku.room.attestation import AcceptedKind

PROGRAM = hashlib.sha384(b"the worker that the members signed for").hexdigest()
ALTERED = hashlib.sha384(b"the worker that the members signed fos").hexdigest()
ROOM = room_of(accept=["tpm", "dev"], software=True)
HARDWARE_ONLY = room_of(accept=["tpm", "dev"])


@pytest.fixture
def tpm():
    """A TPM for this test alone, on which nothing was measured yet."""
    need_swtpm()
    with SwTpm(private=True, certificate=False) as started:
        yield started


@pytest.fixture
def device(tpm):
    with tpm.connect() as device:
        yield device


def reference(**changes: Any) -> ReferenceValue:
    data = {"program": PROGRAM, "kind": "tpm", "measurements": {"pcr12": [pcr_of(PROGRAM)]}}
    return value(**(data | changes))


def judged(evidence: Evidence, binding: Binding = BINDING, room: Any = ROOM, **more: Any) -> Any:
    registry = Registry(room.agreement.id, (reference(),))
    return judge(evidence, binding, now=NOW, agreement=room.agreement, registry=registry, **more)


def code_of(*arguments: Any, **more: Any) -> Code:
    with pytest.raises(Refused) as caught:
        judged(*arguments, **more)
    return caught.value.code


def quoting_program(tpm: PaperTpm | None = None) -> PaperTpm:
    """A TPM of paper that says what the members signed for."""
    tpm = tpm or PaperTpm()
    tpm.values[PROGRAM_PCR] = bytes.fromhex(pcr_of(PROGRAM))
    return tpm


def bound_quote(tpm: PaperTpm, extra: bytes | None = None, **endorsements: bytes) -> Evidence:
    quote = tpm.quote(BINDING.report_data(Kind.TPM) if extra is None else extra)
    beside = {"signature": tpm.sign(quote), "ak": public_area(tpm.key), "pcrs": tpm.pcrs()}
    return Evidence(Kind.TPM, quote, beside | endorsements)


# --- T1: another program ---


def test_t1_one_byte_of_the_program_is_another_program(device):
    extend_program(device, event_digest(ALTERED))
    with TpmAttester(device) as attester:
        assert code_of(attester.attest(BINDING)) is Code.MEASUREMENT_MISMATCH


def test_t1_the_program_itself_is_accepted(device):
    extend_program(device, event_digest(PROGRAM))
    with TpmAttester(device) as attester:
        assert judged(attester.attest(BINDING)).reference.program == PROGRAM


def test_t1_nothing_measured_is_no_program(device):
    with TpmAttester(device) as attester:
        assert code_of(attester.attest(BINDING)) is Code.MEASUREMENT_MISMATCH


def test_t1_what_was_measured_cannot_be_taken_back(device):
    """A program that is not the one extends PCR 12 with the good event afterwards, and tries to reset it."""
    extend_program(device, event_digest(ALTERED))
    commands = Tpm(device)
    for pcr in (PROGRAM_PCR, *range(8)):
        with pytest.raises(TpmError) as caught:
            commands.pcr_reset(pcr)
        assert caught.value.response == 0x907  # TPM_RC_LOCALITY
    extend_program(device, event_digest(PROGRAM))
    with TpmAttester(device) as attester:
        assert code_of(attester.attest(BINDING)) is Code.MEASUREMENT_MISMATCH


def test_t1_a_program_that_measures_another_after_itself_is_not_that_one(device):
    extend_program(device, event_digest(PROGRAM))
    extend_program(device, event_digest(PROGRAM))
    with TpmAttester(device) as attester:
        assert code_of(attester.attest(BINDING)) is Code.MEASUREMENT_MISMATCH


def test_t1_pcr_23_is_forged_and_counts_for_nothing(device):
    """Reset and extended again it holds any value; so no reference value can rest on it."""
    commands = Tpm(device)
    commands.pcr_extend(23, event_digest(ALTERED))
    commands.pcr_reset(23)
    commands.pcr_extend(23, event_digest(PROGRAM))
    forged = commands.pcr_read([23])[23]
    assert forged.hex() == pcr_of(PROGRAM)
    with TpmAttester(device) as attester:
        key = attester._prepare()  # a quote of PCR 23, which the attester itself never makes
        quote, signature = commands.quote(key, BINDING.report_data(Kind.TPM), [*range(8), 23])
        beside = attester.identity() | {"signature": signature}
    values = {str(n): bytes(32).hex() for n in range(8)} | {"23": forged.hex()}
    evidence = Evidence(Kind.TPM, quote, beside | {"pcrs": json.dumps(values).encode()})
    claims = verify(evidence, NOW)
    assert "pcr23" not in claims.measurements
    with pytest.raises(Refused) as caught:
        judged(evidence)
    assert caught.value.code is Code.MEASUREMENT_MISMATCH
    by_23 = reference().model_copy(update={"measurements": {"pcr23": (forged.hex(),)}})
    assert not by_23.fits(claims)


def test_t1_a_log_of_another_history_is_refused(device):
    extend_program(device, event_digest(ALTERED))
    with TpmAttester(device, log=[Event(PROGRAM_PCR, event_digest(PROGRAM), "worker")]) as attester:
        assert code_of(attester.attest(BINDING)) is Code.MEASUREMENT_MISMATCH


# --- T5: nonces ---


@pytest.mark.parametrize("extra", ["empty", "prefix", "longer", "zeros", "digest", "nonce"])
def test_t5_a_quote_with_another_nonce_is_refused(extra):
    right = BINDING.report_data(Kind.TPM)
    wrong = {
        "empty": b"",
        "prefix": right[:-1],
        "longer": right + b"\0",
        "zeros": bytes(32),
        "digest": BINDING.digest,
        "nonce": BINDING.nonce,
    }[extra]
    assert code_of(bound_quote(quoting_program(), wrong)) is Code.BINDING
    assert judged(bound_quote(quoting_program(), right))


def test_t5_azures_nonce_is_the_quotes_and_not_the_hardwares():
    """The guest cannot write the hardware's report_data; a binding that fits that field proves nothing."""
    world = AzureWorld()
    with world.amd.trusted():
        claims = verify(world.evidence(), NOW)
    hardware = hashlib.sha256(runtime_data(world.key)).digest() + bytes(32)
    assert claims.report_data != hardware
    with pytest.raises(Refused) as caught:
        BINDING.check(claims)
    assert caught.value.code is Code.BINDING


# --- T11: another key beside genuine evidence ---


def test_t11_the_attackers_attestation_key_beside_a_genuine_quote(device):
    with TpmAttester(device) as attester:
        genuine = attester.attest(BINDING)
    forged = Evidence(Kind.TPM, genuine.content, {**genuine.endorsements, "ak": public_area(ec_key("thief"))})
    with pytest.raises(Refused) as caught:
        verify(forged, NOW)
    assert caught.value.code is Code.SIGNATURE


def test_t11_a_key_in_no_tpm_beside_a_genuine_certificate():
    """The certificate is public and the quote is well signed, but no TPM has both keys."""
    maker = Maker()
    forged = bound_quote(
        quoting_program(), **{"ek": maker.certify(rsa_key("ek")).der, "ek-chain": maker.chain}
    )
    claims = verify(forged, NOW)
    assert claims.extra["ek_root"] == maker.root.fingerprint
    assert claims.software_rooted
    named = {"certificate": base64.b64encode(maker.root.der).decode(), "software": False}
    room = room_of(accept=["tpm"], authorities=[named])
    assert code_of(forged, room=room) is Code.UNTRUSTED_ROOT


def test_t11_a_tpm_does_not_open_a_credential_for_a_key_it_does_not_have(device):
    thief = public_area(ec_key("thief"))
    with TpmAttester(device) as attester:
        credential, _ = challenge(attester.identity() | {"ak": thief})
        with pytest.raises(InputError, match="not for this TPM and key"):
            attester.activate(credential)


def test_t11_attributes_that_the_key_does_not_have_are_found_by_the_tpm(device):
    """A key of the TPM that signs anything, with a public area that says otherwise."""
    commands = Tpm(device)
    free = bytearray(public_area(ec_key("ak"), attributes=0x00040072)[2:])
    template = bytes(free[: -2 * 34]) + sized(b"") + sized(b"")
    key, public = commands.create_primary(ENDORSEMENT, template)
    lie = bytearray(public)
    lie[6:10] = u32(0x00050072)
    assert Public.parse(bytes(lie)).attributes == 0x00050072
    with TpmAttester(device) as attester:
        ek = attester.identity()["ek"]
    with pytest.raises(Refused) as caught:
        make_credential(ek, public, b"s" * 32)  # the truth is refused at once
    assert caught.value.code is Code.POLICY
    made = make_credential(ek, bytes(lie), b"s" * 32)
    size = int.from_bytes(made[:2])
    handle, _ = commands.create_primary(ENDORSEMENT, _ek_template())
    with pytest.raises(TpmError):
        commands.activate_credential(key, handle, made[2 : 2 + size], made[4 + size :])


def _ek_template() -> bytes:
    return ek_public(rsa_key("ek"))[2:-256] + bytes(256)


def test_t11_another_tpms_endorsement_key_beside_ones_own_quote(device):
    """A cuckoo: the good TPM's certificate, a quote of the attacker's TPM, and the attacker's answer."""
    with (
        SwTpm(private=True, certificate=False) as other,
        other.connect() as elsewhere,
        TpmAttester(elsewhere) as theirs,
        TpmAttester(device) as ours,
    ):
        credential, _ = challenge({"ek": theirs.identity()["ek"], "ak": ours.identity()["ak"]})
        for attester in (theirs, ours):
            with pytest.raises(InputError):
                attester.activate(credential)


def test_t11_another_key_to_seal_for_beside_a_genuine_quote(device):
    extend_program(device, event_digest(PROGRAM))
    with TpmAttester(device) as attester:
        genuine = attester.attest(BINDING)
    assert judged(genuine)
    assert (
        code_of(genuine, Binding(BINDING.nonce, hashlib.sha512(b"the thief's key").digest())) is Code.BINDING
    )


def test_t11_azure_another_machines_quote_beside_genuine_hardware():
    world = AzureWorld()
    thief = AzureWorld(world.amd)
    thief.vtpm.key = rsa_key("thief")
    parts = world.parts() | {"tpm_quote": thief.parts()["tpm_quote"]}
    with world.amd.trusted(), pytest.raises(Refused) as caught:
        verify(world.evidence(parts), NOW)
    assert caught.value.code is Code.BINDING


def test_t11_azure_the_guests_own_hardware_report_vouches_for_no_key():
    """A guest that can ask the hardware itself does so at its own privilege level, and names its own key."""
    world = AzureWorld()
    world.vtpm.key = rsa_key("thief")
    for level in (1, 2, 3):
        with world.amd.trusted(), pytest.raises(Refused) as caught:
            verify(world.evidence(vmpl=level), NOW)
        assert caught.value.code is Code.BINDING


@needs_vectors
def test_t11_azure_the_recorded_quote_of_another_machine():
    parts = json.loads(vector("azure-snp-vtpm/evidence-v1.json"))["evidence"]
    parts["tpm_quote"] |= {
        "message": vector("azure-snp-vtpm/tpm-quote.msg").hex(),
        "signature": vector("azure-snp-vtpm/tpm-quote.sig").hex(),
    }
    with pytest.raises(Refused) as caught:
        verify(Evidence(Kind.AZURE_SNP, json.dumps(parts).encode()), NOW)
    assert caught.value.code is Code.BINDING


# --- T11 at a broker, with a TPM, the real credential and the real appraisal ---


@pytest.fixture
def desk(make, clock):
    place = make(attested)
    made = Desk(place, "registry", clock)
    data = {"room": place.agreement.id, "kind": AcceptedKind.TPM, "version": "worker"}
    statement = reference(signers=(), **data)
    for owner in TABLES:
        statement = statement.sign(owner, place.members[owner].keys({}))
    made.kept.put([statement], place.agreement, "add")
    yield made
    made.records.store.close()


def test_t11_a_broker_gives_its_key_to_the_tpm_that_opened_its_credential(desk, device):
    extend_program(device, event_digest(PROGRAM))
    key = desk.key()
    with TpmAttester(device) as attester:
        assert desk.get(desk.request(attester=attester)) == key


class Swapping:
    """Two attesters of one TPM: one is named in the challenge and opens its credential, the other quotes."""

    kind = Kind.TPM

    def __init__(self, first: TpmAttester, second: TpmAttester) -> None:
        self.identity, self.activate, self.attest = first.identity, first.activate, second.attest


def test_t11_a_broker_finds_keys_that_were_swapped_between_challenge_and_answer(desk, device):
    extend_program(device, event_digest(PROGRAM))
    desk.key()
    with TpmAttester(device) as first, TpmAttester(device) as second:
        request = desk.request(attester=Swapping(first, second))
        answer = request.answer(desk.broker.challenge(HOST, request.challenge()))
        refused(Code.HARDWARE_MISMATCH, desk.broker.release, HOST, answer)
    assert not desk.entries("key-release")


def test_t11_a_broker_does_not_take_a_secret_that_was_guessed(desk, device):
    extend_program(device, event_digest(PROGRAM))
    desk.key()
    with TpmAttester(device) as attester:
        request = desk.request(attester=attester)
        answer = request.answer(desk.broker.challenge(HOST, request.challenge()))
        for guess in (b"", bytes(32)):
            changed = answer | {"activated": base64.b64encode(guess).decode()}
            with pytest.raises(Refused):
                desk.broker.release(HOST, changed)
    assert not desk.entries("key-release")


# --- T15, T16: malformations ---


def _with(**patches: bytes) -> Evidence:
    return bound_quote(quoting_program(PaperTpm(patches=patches)))


@pytest.mark.parametrize(
    "evidence",
    [
        _with(tail=b"\0"),
        _with(extra=u16(0xFFFF)),
        _with(signer=u16(0xFFFF)),
        _with(digest=u16(0xFFFF)),
        _with(selection=u32(0xFFFFFFFF)),
        _with(selection=u32(1) + u16(0x0B) + u8(255) + b"\xff" * 255),
        _with(selection=u32(2) + (u16(0x0B) + u8(3) + b"\xff\x10\0") * 2),
        _with(type=b"\x80\x14"),  # a certified creation
        _with(type=b"\x80\x1d"),  # of a time
        bound_quote(PaperTpm(), signature=u16(0x18) + u16(0x0B) + sized(b"\xff" * 66) * 2),
        bound_quote(PaperTpm(), signature=u16(0x14) + u16(0x0B) + sized(b"\xff" * 64)),  # a tag that lies
        bound_quote(PaperTpm(rsa_key("ak")), signature=u16(0x18) + u16(0x0B) + sized(b"\1") * 2),
        bound_quote(PaperTpm(), signature=u16(0x10) * 2),
        bound_quote(PaperTpm(), pcrs=b'{"12": "00", "12": "01"}'),
        bound_quote(PaperTpm(), pcrs=b"[" * 100_000),
        bound_quote(PaperTpm(), log=b"[" * 100_000),
        bound_quote(PaperTpm(), ak=sized(b"\0\x23" + b"\0\x0b" + b"\xff" * 400)),
        bound_quote(PaperTpm(), ek=b"\x30\x84\xff\xff\xff\xff"),
        bound_quote(PaperTpm(), ek=b"\x30\x80" + bytes(400)),
    ],
    ids=map(str, range(19)),
)
def test_t15_malformed_evidence_is_refused_with_its_own_code(evidence):
    with pytest.raises(Refused) as caught:
        verify(evidence, NOW)
    assert caught.value.code is not Code.INTERNAL


def test_t15_large_evidence_needs_little_memory():
    most = limits.MAX_EVIDENCE_BYTES
    noise = [b"\xff" * most, b"[" * most, b'{"12":"' + b"0" * (most - 9) + b'"}', u16(0xFFFF) * (most // 2)]
    good = bound_quote(PaperTpm())
    tracemalloc.start()
    try:
        for content in noise:
            for name in ("", "signature", "ak", "pcrs", "log", "ek"):
                beside = {**good.endorsements, name: content} if name else good.endorsements
                for kind in (Kind.TPM, Kind.AZURE_SNP, Kind.DEV):
                    with pytest.raises(Refused) as caught:
                        verify(Evidence(kind, good.content if name else content, beside), NOW)
                    assert caught.value.code is not Code.INTERNAL
        assert tracemalloc.get_traced_memory()[1] < 50 * 1024 * 1024
    finally:
        tracemalloc.stop()


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), (1, 0), (ORDER, 1), (1, ORDER), (ORDER + 1, ORDER + 1)])
def test_t16_numbers_outside_the_curves_order_sign_nothing(r, s):
    pair = sized(r.to_bytes(33)) + sized(s.to_bytes(33))
    evidence = bound_quote(quoting_program(), signature=u16(0x18) + u16(0x0B) + pair)
    with pytest.raises(Refused) as caught:
        verify(evidence, NOW)
    assert caught.value.code is Code.SIGNATURE


@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_t15_bytes_put_into_a_quote_are_found(place, more):
    tpm = PaperTpm()
    quote = tpm.quote()
    place %= len(quote)
    changed = quote[:place] + more + quote[place:]
    with contextlib.suppress(Refused):
        Attest.parse(changed)  # nothing else is raised
    beside = {"signature": tpm.sign(quote), "ak": public_area(tpm.key), "pcrs": tpm.pcrs()}
    with pytest.raises(Refused):
        verify(Evidence(Kind.TPM, changed, beside), NOW)


# --- T20: an older state ---


def test_t20_a_broker_with_a_tpms_counter_finds_what_a_file_does_not(place, clock):
    """The operator puts back the database and the file of the counter; the TPM's count stays."""
    need_swtpm()
    with SwTpm(certificate=False) as tpm:
        counter = TpmCounter(tpm.connect, b"s" * 32)
        first = counter.define()
        office = Office(place, "registry", clock, Platform())
        office.counter = counter  # type: ignore[assignment]
        office.broker = office.opened()
        office.key()
        before = office.answered(office.request())
        file = office.directory.path / "state.db"
        office.records.store.scrub()
        office.records.store.close()
        old = shutil.copy(file, file.with_suffix(".old"))
        office.records = office.directory.records(str(place.agreement.id), clock)
        office.broker = office.opened()
        assert office.broker.release(HOST, before)
        assert counter.read() > first
        office.records.store.close()
        for path in file.parent.glob("state.db-*"):
            path.unlink()
        shutil.copy(old, file)
        office.records = office.directory.records(str(place.agreement.id), clock)
        office.broker = office.opened()
        refused(Code.KEY_REVOKED, office.get)
        assert [said["stage"] for said in office.entries("revocation")][-1] == "rolled-back"
        with tpm.connect() as device:
            Tpm(device).nv_undefine(0x01800000)  # deleted: not a way round either
        with pytest.raises(SecretError):
            office.broker.challenge(HOST, office.request().challenge())
        office.records.store.close()


def test_t20_a_tpm_whose_clock_went_back_is_refused(tpm):
    with tpm.connect() as device, TpmAttester(device) as attester:
        assert verify(attester.attest(BINDING), NOW).extra["reset_count"] >= 1
        before = verify(attester.attest(BINDING), NOW).extra["reset_count"]
    tpm.halt()
    tpm.resume()
    with tpm.connect() as device, TpmAttester(device) as attester:
        evidence = attester.attest(BINDING)
        assert Attest.parse(evidence.content).reset_count == before + 1
        with pytest.raises(Refused) as caught:
            verify(evidence, NOW)
        assert caught.value.code is Code.POLICY


# --- T23: software in a room for hardware ---


def test_t23_no_software_in_a_room_for_hardware(device):
    extend_program(device, event_digest(PROGRAM))
    with TpmAttester(device) as attester:
        evidence = attester.attest(BINDING)
    assert judged(evidence).claims.software_rooted
    assert code_of(evidence, room=HARDWARE_ONLY) is Code.SOFTWARE_ROOTED
    assert code_of(evidence, room=HARDWARE_ONLY, activated=True) is Code.SOFTWARE_ROOTED


def test_t23_no_dev_key_in_a_room_for_hardware(clock):
    clock.time = NOW
    evidence = dev(clock).attest(BINDING)
    assert verify(evidence, NOW).software_rooted
    assert code_of(evidence, room=HARDWARE_ONLY) is Code.SOFTWARE_ROOTED


def test_t23_no_dev_statement_of_yesterday(clock):
    clock.time = NOW - timedelta(days=1)
    assert code_of(dev(clock).attest(BINDING)) is Code.EXPIRED


# --- T24: secrets in errors ---


def test_t24_no_secret_of_a_credential_or_a_counter_in_an_error(device):
    secret = b"a secret of the broker, 32 bytes"
    with TpmAttester(device) as attester:
        identity = attester.identity()
        made = bytearray(make_credential(identity["ek"], identity["ak"], secret))
        made[5] ^= 1
        with pytest.raises(InputError) as caught:
            attester.activate(bytes(made))
    told = repr(caught.value) + repr(caught.value.__context__)
    assert secret.decode() not in told
    assert secret.hex() not in told
    assert RUN not in told
