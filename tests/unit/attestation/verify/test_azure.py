# SPDX-License-Identifier: Apache-2.0
"""Azure's vTPM: the hardware vouches for the key, the key signs the quote, and all are of one machine."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attestation_pki import NOW, needs_vectors, vector
from tests.attestation_tpm import EXTRA, AzureWorld, azure_report, flipped, rsa_key, runtime_data

from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import azure, tdx, verify


@cache
def one_world() -> AzureWorld:
    return AzureWorld()


@pytest.fixture
def world():
    with one_world().amd.trusted():
        yield one_world()


def refused(evidence, now=NOW):
    with pytest.raises(Refused) as caught:
        verify(evidence, now)
    return caught.value.code


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()


def test_claims_are_the_hardwares_and_the_vtpms(world):
    claims = verify(world.evidence(), NOW)
    assert claims.kind is Kind.AZURE_SNP
    assert not claims.software_rooted
    assert claims.measurements["measurement"] == "07" * 48
    assert claims.measurements["pcr12"] == "0c" * 32
    assert "pcr23" not in claims.measurements
    assert claims.report_data == EXTRA
    assert claims.hardware_id == world.amd.chip.hex()
    facts = {"secure_boot": True, "tpm_enabled": True, "console_enabled": False}
    assert facts.items() <= claims.extra.items()
    assert claims.extra["reset_count"] == 2


def test_the_inner_object_alone_and_the_certificate_beside_it_are_the_same(world):
    parts = world.parts()
    whole = verify(world.evidence(parts), NOW)
    assert verify(Evidence(Kind.AZURE_SNP, json.dumps(parts).encode()), NOW) == whole
    vcek = parts.pop("vcek")
    beside = {"vcek": base64.urlsafe_b64decode(vcek + "==")}
    assert verify(Evidence(Kind.AZURE_SNP, json.dumps(parts).encode(), beside), NOW) == whole
    assert refused(Evidence(Kind.AZURE_SNP, json.dumps(parts).encode())) is Code.MISSING_ENDORSEMENT


def test_base64_of_either_alphabet_is_read(world):
    parts = world.parts()
    plain = base64.b64encode(base64.urlsafe_b64decode(parts["vcek"] + "==")).decode()
    assert verify(world.evidence(parts | {"vcek": plain}), NOW)
    assert refused(world.evidence(parts | {"vcek": "*" + plain})) is Code.MALFORMED


def test_a_report_of_the_guest_itself_vouches_for_nothing(world):
    for level in (1, 2, 3, 1 << 24):
        assert refused(world.evidence(vmpl=level)) is Code.BINDING
    assert verify(world.evidence(patches={0x2F: b"\xff", 0x34: b"\1"}), NOW)  # the fields beside it


def test_runtime_data_that_the_hardware_does_not_know_are_refused(world):
    other = runtime_data(world.key, **{"user-data": "01"})
    swapped = azure_report(world.amd.report(report_data=hashlib.sha256(other).digest()), world.key)
    assert refused(world.evidence(world.parts() | {"hcl_report": base64url(swapped)})) is Code.BINDING
    shifted = b"\1" + hashlib.sha256(runtime_data(world.key)).digest()
    assert refused(world.evidence(report_data=shifted)) is Code.BINDING
    assert refused(world.evidence(report_data=bytes(64))) is Code.BINDING


def test_another_key_beside_genuine_evidence_is_refused(world):
    """Key substitution, three ways: another machine's quote, another key in the report, both."""
    parts = world.parts()
    thief = AzureWorld(world.amd)
    thief.vtpm.key = rsa_key("thief")
    theirs = thief.parts()
    assert refused(world.evidence(parts | {"tpm_quote": theirs["tpm_quote"]})) is Code.BINDING
    assert refused(world.evidence(theirs | {"tpm_quote": parts["tpm_quote"]})) is Code.BINDING
    genuine = world.amd.report(report_data=hashlib.sha256(runtime_data(world.key)).digest())
    forged = base64url(azure_report(genuine, thief.key))
    assert refused(world.evidence(theirs | {"hcl_report": forged})) is Code.BINDING


def test_a_quote_that_was_altered_is_no_longer_signed(world):
    parts = world.parts()
    quote = parts["tpm_quote"]
    content = bytes.fromhex(quote["message"])
    for changed in flipped(content, range(len(content))):
        code = refused(world.evidence(parts | {"tpm_quote": quote | {"message": changed.hex()}}))
        assert code is Code.SIGNATURE
    values = [*quote["pcrs"]]
    values[12] = "00" * 32
    assert refused(world.evidence(parts | {"tpm_quote": quote | {"pcrs": values}})) is Code.SIGNATURE
    few = quote | {"pcrs": quote["pcrs"][:12]}
    assert refused(world.evidence(parts | {"tpm_quote": few})) is Code.MISSING_ENDORSEMENT


def test_what_the_hardwares_verifier_refuses_is_refused(world):
    assert refused(world.evidence(policy=0xB0000)) is Code.DEBUG
    parts = world.parts()
    report = bytearray(base64.urlsafe_b64decode(parts["hcl_report"] + "=="))
    report[0x20 + 0x90] ^= 1
    assert refused(world.evidence(parts | {"hcl_report": base64url(bytes(report))})) is Code.SIGNATURE


def test_a_quote_is_held_to_what_any_tpms_is(world):
    world = AzureWorld(world.amd)
    world.vtpm.patches = {"safe": b"\0"}
    assert refused(world.evidence()) is Code.POLICY


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda p: p | {"version": 2}, Code.UNSUPPORTED),
        (lambda p: p | {"version": True}, Code.UNSUPPORTED),
        (lambda p: p | {"extra": 1}, Code.MALFORMED),
        (lambda p: p | {"td_quote": ""}, Code.MALFORMED),
        (lambda p: p | {"tpm_quote": []}, Code.MALFORMED),
        (lambda p: p | {"tpm_quote": p["tpm_quote"] | {"message": "zz"}}, Code.MALFORMED),
        (lambda p: p | {"tpm_quote": p["tpm_quote"] | {"message": "FF"}}, Code.MALFORMED),
        (lambda p: p | {"tpm_quote": p["tpm_quote"] | {"signature": ""}}, Code.BINDING),
        (lambda p: p | {"tpm_quote": p["tpm_quote"] | {"pcrs": {}}}, Code.MALFORMED),
        (lambda p: p | {"tpm_quote": p["tpm_quote"] | {"pcrs": ["00" * 32] * 25}}, Code.MALFORMED),
        (lambda p: p | {"hcl_report": base64url(b"HCLA")}, Code.MALFORMED),
        (lambda p: p | {"hcl_report": 5}, Code.MALFORMED),
        (lambda p: {n: v for n, v in p.items() if n != "hcl_report"}, Code.MISSING_ENDORSEMENT),
        (lambda p: [p], Code.MALFORMED),
    ],
)
def test_json_of_another_form_is_refused(world, edit, code):
    assert refused(world.evidence(edit(world.parts()))) is code


def test_another_platforms_wrapper_is_refused(world):
    whole = {"platform": "az-tdx", "evidence": world.parts()}
    assert refused(Evidence(Kind.AZURE_SNP, json.dumps(whole).encode())) is Code.MALFORMED
    twice = json.dumps({"platform": "az-snp", "evidence": world.parts()})[:-1] + ', "platform": "az-snp"}'
    assert refused(Evidence(Kind.AZURE_SNP, twice.encode())) is Code.MALFORMED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"hashed": 2}, Code.UNSUPPORTED),
        ({"runtime": b"[]"}, Code.MALFORMED),
        ({"runtime": b"{}"}, Code.MALFORMED),
        ({"runtime": b'{"keys":[]}'}, Code.MALFORMED),
        ({"runtime": b'{"keys":[{"kid":"HCLAkPub","kty":"EC"}]}'}, Code.UNSUPPORTED),
        ({"runtime": b'{"keys":[{"kid":"HCLAkPub","kty":"RSA","n":"AQAB","e":"AQAB"}]}'}, Code.UNSUPPORTED),
        ({"runtime": b'{"keys":[{"kid":"HCLAkPub","kty":"RSA"}]}'}, Code.MISSING_ENDORSEMENT),
        ({"runtime": b'{"keys":[1,{"kid":"HCLEkPub"}]}'}, Code.MALFORMED),
        ({"runtime": b'{"keys":[{"kid":"HCLAkPub"},{"kid":"HCLAkPub"}]}'}, Code.MALFORMED),
        ({"runtime": b'{"keys":[],"keys":[]}'}, Code.MALFORMED),
    ],
)
def test_a_report_of_another_form_is_refused(changes, code):
    with pytest.raises(Refused) as caught:
        azure.parse(azure_report(b"", rsa_key("vtpm"), **changes))
    assert caught.value.code is code


def test_a_report_that_ends_too_early_is_refused():
    whole = azure_report(b"", rsa_key("vtpm"))
    for size in (0, 4, 0x20 + 0x4A0, 0x20 + 0x4A0 + 19, 0x20 + 0x4A0 + 40):
        with pytest.raises(Refused) as caught:
            azure.parse(whole[:size])
        assert caught.value.code is Code.MALFORMED


def test_a_report_that_promises_more_than_there_is_is_refused():
    runtime = runtime_data(rsa_key("vtpm"))
    start = 0x20 + 0x4A0 + 20
    whole = bytearray(azure_report(b"", rsa_key("vtpm"), runtime=runtime)[: start + len(runtime)])
    assert azure.parse(bytes(whole)).runtime == runtime
    whole[start - 4 : start] = (len(runtime) + 1).to_bytes(4, "little")
    with pytest.raises(Refused) as caught:
        azure.parse(bytes(whole))
    assert caught.value.code is Code.MALFORMED


def test_a_report_of_other_hardware_is_refused(world):
    runtime = runtime_data(world.key)
    report = azure_report(world.amd.report(report_data=hashlib.sha256(runtime).digest()), world.key, kind=4)
    assert refused(world.evidence(world.parts() | {"hcl_report": base64url(report)})) is Code.MALFORMED


# --- TDX: the trust domain's quote in the place of the report; its own verifier has tests of its own ---


def on_tdx(world: AzureWorld) -> Evidence:
    report = base64url(azure_report(b"", world.key, kind=4))
    parts = world.parts() | {"hcl_report": report, "td_quote": base64url(b"a quote of TDX")}
    del parts["vcek"]
    whole = {"platform": "az-tdx", "evidence": parts}
    return Evidence(Kind.AZURE_TDX, json.dumps(whole).encode(), {"collateral": b"{}", "vcek": b""})


def test_a_trust_domains_quote_vouches_for_the_key(world):
    seen: list[Evidence] = []
    said = hashlib.sha256(runtime_data(world.key)).digest() + bytes(32)

    def accept(evidence: Evidence, now: object) -> Claims:
        seen.append(evidence)
        return Claims(Kind.TDX, {"mrtd": "ab" * 48}, said, software_rooted=False, tcb_status="UpToDate")

    with mock.patch.object(tdx, "verify", accept):
        claims = verify(on_tdx(world), NOW)
        assert claims.kind is Kind.AZURE_TDX
        assert claims.measurements["mrtd"] == "ab" * 48
        assert claims.measurements["pcr12"] == "0c" * 32
        assert claims.tcb_status == "UpToDate"
        assert seen == [Evidence(Kind.TDX, b"a quote of TDX", {"collateral": b"{}"})]
        said = bytes(64)
        assert refused(on_tdx(world)) is Code.BINDING


def test_without_collateral_a_trust_domains_quote_is_refused(world):
    evidence = on_tdx(world)
    assert refused(Evidence(evidence.kind, evidence.content)) in {Code.MALFORMED, Code.MISSING_ENDORSEMENT}


# --- recorded on Azure ---


@needs_vectors
@pytest.mark.parametrize("name", ["live-evidence.json", "evidence-v1.json"])
def test_recorded_evidence_verifies(name):
    evidence = Evidence(Kind.AZURE_SNP, vector(f"azure-snp-vtpm/{name}"))
    claims = verify(evidence, NOW)
    assert claims.report_data in {b"challenge", b"attestation-test-fixture"}
    assert claims.hardware_model == "Milan-B0"
    assert claims.extra["vmpl"] == 0


@needs_vectors
def test_the_other_machines_recorded_quote_is_refused_for_its_key():
    parts = json.loads(vector("azure-snp-vtpm/evidence-v1.json"))["evidence"]
    assert base64.urlsafe_b64decode(parts["hcl_report"]) == vector("azure-snp-vtpm/hcl-report.bin")
    parts["tpm_quote"] |= {
        "message": vector("azure-snp-vtpm/tpm-quote.msg").hex(),
        "signature": vector("azure-snp-vtpm/tpm-quote.sig").hex(),
    }
    assert refused(Evidence(Kind.AZURE_SNP, json.dumps(parts).encode())) is Code.BINDING


@given(st.data())
@settings(max_examples=60)
def test_no_mutation_is_an_internal_error(data):
    content = bytearray(WHOLE.content)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        with one_world().amd.trusted():
            verify(Evidence(Kind.AZURE_SNP, bytes(content)), NOW)
    except Refused as error:
        assert error.code is not Code.INTERNAL  # noqa: PT017 (it may also be accepted)


WHOLE = one_world().evidence()
