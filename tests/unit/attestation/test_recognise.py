# SPDX-License-Identifier: Apache-2.0
"""What files are, told from their bytes: evidence of each kind in each of its forms, and what is none."""

from __future__ import annotations

import base64
import json
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attestation_gpu import GpuWorld
from tests.attestation_intel import IntelWorld
from tests.attestation_pki import NOW, AmdWorld, NitroWorld, crl, ec_key, issue, name_of, pem, spki
from tests.attestation_tpm import AzureWorld, PaperTpm, ak_pem

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.recognise import recognise
from hitoku.attestation.verify import verify

INTEL, NITRO, GPU = IntelWorld(), NitroWorld(), GpuWorld()
AMD, AZURE = AmdWorld(), AzureWorld()
RAW = {
    "nitro": (Kind.NITRO, NITRO.document()),
    "tagged nitro": (Kind.NITRO, b"\xd2" + NITRO.document()),
    "snp": (Kind.SEV_SNP, AMD.report()),
    "snp v5": (Kind.SEV_SNP, AMD.report(version=5)),
    "tdx 4": (Kind.TDX, INTEL.quote()),
    "tdx 5": (Kind.TDX, INTEL.quote(version=5)),
    "sgx": (Kind.SGX, INTEL.quote(Kind.SGX, 3)),
    "nvidia": (Kind.NVIDIA, GPU.content()),
    "tpm": (Kind.TPM, AZURE.vtpm.quote()),
}
FORMS = {
    "bytes": lambda c: c,
    "hex": lambda c: c.hex().encode(),
    "HEX lines": lambda c: (
        b"\n".join(c.hex().upper()[i : i + 64].encode() for i in range(0, 2 * len(c), 64)) + b"\n"
    ),
    "0x": lambda c: b"0x" + c.hex().encode(),
    "base64": base64.b64encode,
    "base64 lines": base64.encodebytes,
    "base64url": lambda c: base64.urlsafe_b64encode(c).rstrip(b"="),
}


def refused(content: bytes, *beside: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        recognise(content, beside)
    return caught.value


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RAW)
def test_a_kind_is_told_from_its_bytes_in_any_form(name, form):
    kind, content = RAW[name]
    assert recognise(FORMS[form](content)) == Evidence(kind, content)


def carrier(document: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    names = x509.SubjectAlternativeName([x509.DNSName(f"{document.hex()}.enclave.example")])
    return issue(key, name_of("enclave"), authority=False, extensions=((names, False),)).der


@pytest.mark.parametrize("form", ["der", "pem"])
def test_a_certificate_that_carries_a_document_must_be_bound_to_it(form):
    key = ec_key("tls")
    document = NITRO.document(user_data=spki(key))
    content = carrier(document, key)
    found = recognise(content if form == "der" else pem(content))
    assert (found.kind, found.content) == (Kind.NITRO, document)
    with NITRO.trusted():
        assert verify(found, NOW).report_data == spki(key)
        another = recognise(carrier(NITRO.document(user_data=spki(ec_key("another"))), key))
        with pytest.raises(Refused) as caught:
            verify(another, NOW)
    assert caught.value.code is Code.BINDING


def test_nvidias_json():
    content = GPU.content()
    array = GPU.array(content, content)
    assert recognise(array.content).kind is Kind.NVIDIA
    (one, _) = json.loads(array.content)
    for form in ([one], one):
        assert GPU.verify(recognise(json.dumps(form).encode())).report_data == content[4:36]
    request = {"nonce": one.pop("nonce"), "arch": "HOPPER", "evidence_list": [one, one]}
    assert GPU.verify(recognise(json.dumps(request).encode())).extra["devices"] == 2
    request["nonce"] = "00" * 32
    with pytest.raises(Refused) as caught:
        GPU.verify(recognise(json.dumps(request).encode()))
    assert caught.value.code is Code.NONCE_MISMATCH


def test_azures_json():
    parts = AZURE.parts()
    assert recognise(AZURE.evidence(parts).content).kind is Kind.AZURE_SNP
    assert recognise(json.dumps(parts).encode()).kind is Kind.AZURE_SNP
    tdx = {name: value for name, value in parts.items() if name != "vcek"} | {"td_quote": "AAAA"}
    assert recognise(json.dumps(tdx).encode()).kind is Kind.AZURE_TDX
    wrapped = {"platform": "az-tdx", "evidence": tdx}
    found = recognise(json.dumps(wrapped).encode(), [json.dumps(INTEL.collateral()).encode()])
    assert found.kind is Kind.AZURE_TDX
    assert list(found.endorsements) == ["collateral"]


def azure_files() -> dict[str, bytes]:
    parts = AZURE.parts()
    quote = parts["tpm_quote"]
    files = {name: bytes.fromhex(quote[name]) for name in ("signature", "message")}
    pcrs = [bytes.fromhex(pcr) for pcr in quote["pcrs"]]
    files["serialised"] = b"".join(
        struct.pack("<Q", len(files[n])) + files[n] for n in ("signature", "message")
    )
    files["serialised"] += struct.pack("<Q", len(pcrs)) + b"".join(pcrs)
    files["json"] = json.dumps(quote).encode()
    text = parts["hcl_report"] + "=" * (-len(parts["hcl_report"]) % 4)
    return files | {"hcl": base64.urlsafe_b64decode(text), "vcek": AMD.endorse().der}


@pytest.mark.parametrize(
    "order", [("hcl", "json"), ("json", "hcl"), ("serialised", "hcl"), ("hcl", "serialised")]
)
def test_azures_parts_in_several_files(order):
    files = azure_files()
    first, second = (files[name] for name in order)
    found = recognise(first, [files["vcek"], second])
    assert (found.kind, list(found.endorsements)) == (Kind.AZURE_SNP, ["vcek"])
    with AZURE.amd.trusted():
        assert verify(found, NOW).kind is Kind.AZURE_SNP


def test_azures_parts_that_are_missing_are_named():
    files = azure_files()
    assert refused(files["hcl"]).code is Code.MISSING_ENDORSEMENT
    assert refused(files["hcl"], files["message"]).code is Code.MISSING_ENDORSEMENT
    assert refused(files["hcl"], files["signature"]).code is Code.MISSING_ENDORSEMENT
    assert refused(files["serialised"]).code is Code.MISSING_ENDORSEMENT
    assert refused(files["json"]).code is Code.MISSING_ENDORSEMENT
    assert refused(files["hcl"], files["message"], files["message"]).code is Code.MALFORMED
    other = bytearray(files["hcl"])
    other[0x20 + 0x4A0 + 8] = 9
    assert refused(bytes(other), files["json"]).code is Code.UNSUPPORTED
    whole = recognise(files["message"], [files["signature"], files["hcl"]])
    assert json.loads(whole.content)["evidence"]["tpm_quote"]["pcrs"] == []


def test_an_intel_quote_beside_azures_report_is_the_machines():
    files, quote = azure_files(), INTEL.quote()
    hcl = bytearray(files["hcl"])
    hcl[0x20 + 0x4A0 + 8] = 4
    found = recognise(bytes(hcl), [files["json"], quote, json.dumps(INTEL.collateral()).encode()])
    assert (found.kind, list(found.endorsements)) == (Kind.AZURE_TDX, ["collateral"])
    assert json.loads(found.content)["platform"] == "az-tdx"
    text = json.loads(found.content)["evidence"]["td_quote"]
    assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) == quote


def test_our_own_json_brings_its_endorsements():
    evidence = INTEL.evidence()
    content = json.dumps(evidence.to_dict()).encode()
    assert recognise(content) == evidence
    newer = json.dumps(INTEL.collateral(note="newer")).encode()
    assert recognise(content, [newer]).endorsements == {"collateral": newer}
    assert refused(b'{"cmw": 1}').code is Code.MALFORMED
    assert refused(json.dumps(evidence.to_dict() | {"cmw": ["a/b", "AA"]}).encode()).code is Code.UNSUPPORTED


def test_dev_evidence():
    assert recognise(b'{"signature": "x", "statement": {}}').kind is Kind.DEV


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"d\x00", "no kind"),
        (bytes(300), "no kind"),
        (b"hello", "no kind"),
        (b"aGVsbG8gd29ybGQ=", "no kind"),
        (b"00" * 600, "no kind"),
        (bytes.fromhex("d284") + b"\x43\xa1\x01\x26", "COSE"),
        (bytes.fromhex("d9018fa0"), "Arm CCA"),
        (bytes.fromhex("d901f5a0"), "CoRIM"),
        (bytes.fromhex("d901f6a0"), "CoRIM"),
        (b"eyJhIjoxfQ.eyJhIjoxfQ.c2ln", "JWT"),
        (b'{"eat_profile": "x"}', "result"),
        (b'{"submods": {}}', "result"),
        (b'{"kty": "EC"}', "key"),
        (b'{"tcbInfo": {}}', "collateral"),
        (b'{"platform": "snp", "evidence": {}}', "another platform"),
        (b"{}", "JSON"),
        (b'[["JWT", "x"], {}]', "array"),
        (b"[]", "array"),
        (b"<a/>", "XML"),
        (b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "PEM"),
        (pem(AMD.ark.der), "certificate"),
        (AMD.endorse().der, "certificate"),
        (crl(AMD.ark), "no kind"),
    ],
)
def test_what_is_no_evidence_is_named(content, word):
    error = refused(content)
    assert error.code is Code.UNSUPPORTED
    assert word in error.detail


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"{", b"[1,", b'{"a": ' * 10_000, bytes(limits.MAX_EVIDENCE_BYTES + 1)]
)
def test_what_cannot_be_read_is_malformed(content):
    assert refused(content).code is Code.MALFORMED


def test_the_largest_file_is_looked_at():
    assert refused(b"x" * limits.MAX_EVIDENCE_BYTES).code is Code.UNSUPPORTED


def test_a_large_endorsement_is_malformed():
    assert refused(RAW["tdx 4"][1], bytes(limits.MAX_EVIDENCE_BYTES + 1)).code is Code.MALFORMED


def test_a_report_of_another_length_reaches_its_verifier():
    """It is refused there as malformed, not here as unknown."""
    report = AMD.report()
    assert recognise(report + b"\0").kind is Kind.SEV_SNP
    assert recognise(report[:-1]).kind is Kind.SEV_SNP


def test_endorsements_of_a_tpm():
    tpm = PaperTpm(AZURE.key)
    quote = tpm.quote()
    found = recognise(quote, [tpm.pcrs(), ak_pem(AZURE.key.public_key()), tpm.sign(quote)])
    assert sorted(found.endorsements) == ["ak", "pcrs", "signature"]


@settings(max_examples=400, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=400),
        st.text(max_size=200).map(str.encode),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(
                        ["evidence", "certificate", "platform", "cmw", "tpm_quote", "hcl_report", "keys"]
                    )
                    | st.text(max_size=8),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ).map(lambda data: json.dumps(data).encode()),
        st.sampled_from([c for _, c in RAW.values()]).flatmap(
            lambda c: st.integers(0, len(c)).map(lambda size: c[:size])
        ),
    )
)
def test_whatever_comes_is_evidence_or_refused(content):
    try:
        found = recognise(content, [content])
    except Refused as error:
        code = error.code
    else:
        assert found.kind in Kind
        return
    assert code in {Code.MALFORMED, Code.UNSUPPORTED, Code.MISSING_ENDORSEMENT}
