# SPDX-License-Identifier: Apache-2.0
"""Intel's collateral in pieces: found out and put together, in any order, or refused with what lacks."""

from __future__ import annotations

import base64
import json
import random
from datetime import timedelta
from urllib.parse import quote as percent

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.attestation_intel import FMSPC, IntelWorld, p256, raw_signature
from tests.attestation_pki import NOW, AmdWorld, pem
from tests.attestation_tpm import AzureWorld, azure_report

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.intel_files import collateral
from hitoku.attestation.recognise import recognise

INTEL = IntelWorld()
QUOTES = {Kind.TDX: INTEL.quote(), Kind.SGX: INTEL.quote(Kind.SGX, 3)}
SPACED = IntelWorld().tcb_info().replace('": ', '" :\t ')
"""JSON that nobody writes twice: whoever writes it anew breaks its signature."""


def pieces(kind: Kind = Kind.TDX, **changes: object) -> dict[str, bytes]:
    """Files as Intel's service gives them."""
    whole = INTEL.collateral(kind, **changes)
    return {
        "tcb info": answer("tcbInfo", whole["tcb_info"], whole["tcb_info_signature"]),
        "identity": answer("enclaveIdentity", whole["qe_identity"], whole["qe_identity_signature"]),
        "tcb chain": whole["tcb_info_issuer_chain"].encode(),
        "identity chain": whole["qe_identity_issuer_chain"].encode(),
        "pck crl": bytes.fromhex(whole["pck_crl"]),
        "root crl": bytes.fromhex(whole["root_ca_crl"]),
        "pck crl chain": whole["pck_crl_issuer_chain"].encode(),
    }


def answer(name: str, document: str, signature: str) -> bytes:
    return b'{"%b":%b, "signature" : "%b"}\n' % (name.encode(), document.encode(), signature.encode())


def made(files: dict[str, bytes], kind: Kind = Kind.TDX) -> Evidence:
    return recognise(QUOTES[kind], list(files.values()))


def refused(files: dict[str, bytes]) -> Refused:
    with pytest.raises(Refused) as caught:
        INTEL.verify(made(files))
    return caught.value


@pytest.mark.parametrize("kind", [Kind.TDX, Kind.SGX])
def test_pieces_make_the_whole(kind):
    files = pieces(kind)
    found = made(files, kind)
    assert list(found.endorsements) == ["collateral"]
    assert INTEL.verify(found).kind is kind


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_files_is_nothing(seed):
    files = list(pieces().values())
    expected = collateral(QUOTES[Kind.TDX], files) or b""
    random.Random(seed).shuffle(files)
    assert json.loads(collateral(QUOTES[Kind.TDX], files) or b"0") == json.loads(expected)


def test_the_bytes_that_were_signed_are_kept():
    files = pieces(tcb_info=SPACED)
    found = made(files)
    assert json.loads(found.endorsements["collateral"])["tcb_info"] == SPACED
    assert INTEL.verify(found).tcb_status == "UpToDate"
    written_anew = json.loads(files["tcb info"])
    assert refused(files | {"tcb info": json.dumps(written_anew).encode()}).code is Code.CHAIN


def crl_as(form: str, der: bytes) -> bytes:
    return {
        "pem": lambda: x509.load_der_x509_crl(der).public_bytes(Encoding.PEM),
        "hex": lambda: der.hex().encode() + b"\n",
        "HEX in quotes": lambda: b'"%b"' % der.hex().upper().encode(),
    }[form]()


@pytest.mark.parametrize("form", ["pem", "hex", "HEX in quotes"])
def test_revocation_lists_in_other_forms(form):
    files = pieces()
    files |= {name: crl_as(form, files[name]) for name in ("pck crl", "root crl")}
    assert INTEL.verify(made(files)).kind is Kind.TDX


def test_chains_as_headers_carry_them_and_certificates_one_by_one():
    files = pieces()
    files["tcb chain"] = percent(files["tcb chain"].decode()).encode()
    assert INTEL.verify(made(files)).kind is Kind.TDX
    for name in ("tcb chain", "identity chain", "pck crl chain"):
        del files[name]
    one_by_one = {"leaf": INTEL.service.der, "root": INTEL.root.der}
    assert INTEL.verify(made(files | one_by_one)).kind is Kind.TDX


@pytest.mark.parametrize("space", ["", "\n"])
@pytest.mark.parametrize("form", [bytes.fromhex, str.encode])
def test_bare_documents_need_their_signatures_beside_them(form, space):
    whole = INTEL.collateral()
    files = pieces()
    files |= {"tcb info": (whole["tcb_info"] + space).encode(), "identity": whole["qe_identity"].encode()}
    error = refused(files)
    assert error.code is Code.MISSING_ENDORSEMENT
    assert "signature of the TCB info" in error.detail
    assert "signature of the quoting enclave's identity" in error.detail
    files["qe_identity"] = form(whole["qe_identity_signature"])
    assert refused(files).detail.endswith("Missing: signature of the TCB info")
    files["tcb_info"] = form(whole["tcb_info_signature"])
    assert INTEL.verify(made(files)).kind is Kind.TDX


def test_white_space_that_was_signed_stays():
    text = INTEL.tcb_info() + "\n"
    files = pieces() | {"tcb info": text.encode()}
    files["signature"] = raw_signature(p256("ours-Intel SGX TCB Signing"), text.encode())
    assert json.loads(made(files).endorsements["collateral"])["tcb_info"] == text


@pytest.mark.parametrize(
    ("lost", "word"),
    [
        (["tcb info"], "TCB info"),
        (["identity"], "quoting enclave's identity"),
        (["tcb chain", "identity chain"], "TCB signing chain"),
        (["pck crl"], "PCK revocation list of Intel SGX PCK Platform CA"),
        (["root crl"], "revocation list of Intel SGX Root CA"),
    ],
)
def test_what_lacks_is_named(lost, word):
    error = refused({name: file for name, file in pieces().items() if name not in lost})
    assert error.code is Code.MISSING_ENDORSEMENT
    assert word in error.detail


def test_all_that_lacks_is_named_at_once():
    error = refused({"pck crl": pieces()["pck crl"]})
    for word in ("TCB info", "quoting enclave's identity", "revocation list of Intel SGX Root CA"):
        assert word in error.detail
    assert "PCK revocation list of" not in error.detail


def test_an_issuer_that_lacks_in_a_chain_is_named():
    files = pieces() | {"tcb chain": pem(INTEL.service.der), "identity chain": b"", "pck crl chain": b""}
    quote = INTEL.quote(chain=pem(INTEL.pck().der, INTEL.platform.der))
    with pytest.raises(Refused, match="Intel SGX Root CA in the chain of who signed") as caught:
        recognise(quote, list(files.values()))
    assert caught.value.code is Code.MISSING_ENDORSEMENT


def test_the_quotes_own_chain_serves_the_platforms_revocation_list():
    files = pieces()
    chain = files.pop("pck crl chain").decode()
    assert json.loads(made(files).endorsements["collateral"])["pck_crl_issuer_chain"] == chain
    assert INTEL.verify(made(files)).kind is Kind.TDX


def test_two_signers_are_told_by_what_they_signed():
    """A renewed key of the service: each document goes with the chain of the key that signed it."""
    renewed = INTEL.issue("Intel SGX TCB Signing", INTEL.root, authority=False, key="renewed", serial=77)
    identity = INTEL.qe_identity()
    signature = raw_signature(p256("ours-renewed"), identity.encode()).hex()
    files = pieces() | {"identity": answer("enclaveIdentity", identity, signature)}
    files["identity chain"] = pem(renewed.der, INTEL.root.der)
    for order in (files, dict(reversed(files.items()))):
        whole = json.loads(made(order).endorsements["collateral"])
        assert whole["qe_identity_issuer_chain"] == files["identity chain"].decode()
        assert whole["tcb_info_issuer_chain"] == files["tcb chain"].decode()
        assert INTEL.verify(made(order)).kind is Kind.TDX


def test_what_is_for_another_platform_is_passed_over():
    others = {
        "other model": INTEL.tcb_info(fmspc="00806f050000"),
        "other kind": INTEL.tcb_info(Kind.SGX),
        "other enclave": INTEL.qe_identity(Kind.SGX),
    }
    more = {
        name: answer("enclaveIdentity" if "enclave" in name else "tcbInfo", text, "00" * 64)
        for name, text in others.items()
    }
    processors = INTEL.issue("Intel SGX PCK Processor CA", INTEL.root, path_length=0)
    more |= {"processors": INTEL.crl(processors), "amd": AmdWorld().endorse().der, "junk": b"junk"}
    for order in (pieces() | more, more | pieces()):
        assert INTEL.verify(made(order)).extra["fmspc"] == FMSPC.hex()
    files = pieces() | more
    del files["tcb info"]
    error = refused(files)
    assert (error.code, "TCB info" in error.detail) == (Code.HARDWARE_MISMATCH, True)
    del files["other kind"]
    assert refused(files).code in {Code.CHAIN, Code.HARDWARE_MISMATCH}


def test_two_files_of_one_piece_are_malformed():
    newer = IntelWorld(now=NOW + timedelta(hours=1))
    for name, file in (
        ("TCB info", pieces(tcb_info=newer.tcb_info())["tcb info"]),
        ("PCK revocation list", INTEL.crl(INTEL.platform, (5,))),
        ("revocation list of Intel SGX Root CA", INTEL.crl(INTEL.root, (5,))),
    ):
        error = refused(pieces() | {"more": file})
        assert error.code is Code.MALFORMED
        assert name in error.detail


def test_the_same_piece_twice_is_one():
    files = pieces()
    assert made(files | {f"{name} again": file for name, file in files.items()}) == made(files)


def test_a_revocation_list_that_the_issuer_did_not_sign_loses_to_one_that_it_did():
    forged = IntelWorld("theirs")
    files = pieces() | {"forged": forged.crl(forged.platform)}
    assert INTEL.verify(made(files)).kind is Kind.TDX


@pytest.mark.parametrize("name", ["tcb info", "identity"])
def test_a_signature_that_is_wrong_refuses(name):
    files = pieces()
    place = files[name].rindex(b'"') - 1
    wrong = b"1" if files[name][place : place + 1] == b"0" else b"0"  # another hexadecimal digit
    files[name] = files[name][:place] + wrong + files[name][place + 1 :]
    assert refused(files).code is Code.CHAIN


def test_another_hierarchys_pieces_refuse():
    theirs = IntelWorld("theirs")
    whole = theirs.collateral()
    files = pieces() | {
        "tcb info": answer("tcbInfo", whole["tcb_info"], whole["tcb_info_signature"]),
        "tcb chain": whole["tcb_info_issuer_chain"].encode(),
    }
    assert refused(files).code is Code.UNTRUSTED_ROOT


@pytest.mark.parametrize(
    "broken",
    [
        b'{"tcbInfo":{}, "signature":1}',
        b'{"tcbInfo":[], "signature":""}',
        b'{"tcbInfo":' + b"[" * 100_000,
        b'{"tcbInfo":{} "signature":""}',
        b'{"tcbInfo":{}, "signature":"zz"}',
        b'{"fmspc":"\xff","tcbLevels":[]}',
        b"{1:2}",
        b"{",
        pem(INTEL.root.der).replace(b"END", b"BND"),
        INTEL.crl(INTEL.root)[:-1],
    ],
)
def test_a_piece_that_cannot_be_read_is_malformed(broken):
    assert refused(pieces() | {"broken": broken}).code is Code.MALFORMED


@pytest.mark.parametrize(
    "nothing",
    [
        b"{}",
        b'{"a":1,"a":2}',
        b'{"a":1} x',
        b"",
        b"\0" * 64 + b"x",
        b"00",
        b"[" * 10,
        b"00" + b" " * 500_000 + b"x",
    ],
)
def test_what_is_no_piece_is_passed_over(nothing):
    assert collateral(QUOTES[Kind.TDX], [nothing]) is None
    files = pieces()
    assert made(files | {"nothing": nothing}) == made(files)


def test_whole_collateral_comes_before_pieces():
    whole = json.dumps(INTEL.collateral(note="whole")).encode()
    assert made(pieces() | {"whole": whole}).endorsements == {"collateral": whole}


def test_our_own_json_keeps_the_collateral_that_is_in_it():
    evidence = INTEL.evidence()
    assert recognise(json.dumps(evidence.to_dict()).encode(), list(pieces().values())) == evidence
    bare = json.dumps(Evidence(Kind.TDX, evidence.content).to_dict()).encode()
    assert INTEL.verify(recognise(bare, list(pieces().values()))).kind is Kind.TDX


def test_a_quote_without_a_chain_takes_the_platforms_from_the_files():
    """Certification by an encrypted identity of the platform (types 1 to 4): the chain is elsewhere."""
    quote = INTEL.quote(certification=3, chain=bytes(404))
    files = list(pieces().values())
    with pytest.raises(Refused, match="PCK") as caught:
        recognise(quote, files)
    assert caught.value.code is Code.MISSING_ENDORSEMENT
    chain = pem(INTEL.pck().der, INTEL.platform.der, INTEL.root.der)
    found = recognise(quote, [*files, chain])
    assert json.loads(found.endorsements["collateral"])["pck_certificate_chain"] == chain.decode()


def test_an_azure_machines_quote_takes_pieces():
    world = AzureWorld()
    parts = world.parts()
    del parts["vcek"]
    hcl = azure_report(b"", world.key, kind=4)
    parts["hcl_report"] = base64.urlsafe_b64encode(hcl).decode().rstrip("=")
    parts["td_quote"] = base64.urlsafe_b64encode(INTEL.quote()).decode().rstrip("=")
    content = json.dumps({"platform": "az-tdx", "evidence": parts}).encode()
    found = recognise(content, list(pieces().values()))
    assert (found.kind, list(found.endorsements)) == (Kind.AZURE_TDX, ["collateral"])
    broken = json.dumps({"platform": "az-tdx", "evidence": parts | {"td_quote": "?"}}).encode()
    assert recognise(broken, list(pieces().values())).endorsements == {}


def test_a_broken_quote_is_malformed():
    with pytest.raises(Refused) as caught:
        recognise(INTEL.quote()[:700], list(pieces().values()))
    assert caught.value.code is Code.MALFORMED
