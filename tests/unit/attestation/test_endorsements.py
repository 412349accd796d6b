# SPDX-License-Identifier: Apache-2.0
"""Endorsements under the names that verifiers know, told from their bytes."""

from __future__ import annotations

import json
import struct

import pytest
from tests.attestation_gpu import GpuWorld
from tests.attestation_intel import IntelWorld
from tests.attestation_pki import AmdWorld, crl, ec_key, issue, name_of, pem
from tests.attestation_tpm import Maker, PaperTpm, ak_pem, ek_public, public_area, rsa_key

from hitoku.attestation.certificates import certificates
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.endorsements import holds_certificates, sort
from hitoku.attestation.evidence import Kind

AMD, INTEL, GPU, MAKER = AmdWorld(), IntelWorld(), GpuWorld(), Maker()
VCEK, VLEK = AMD.endorse(serial=5).der, AMD.endorse(loaded=True, serial=6).der
COLLATERAL = json.dumps(INTEL.collateral()).encode()
JUNK = (b"", b"junk", b"{}", b"[", bytes(256), b"\x30\x82\x00\x00")


def fingerprints(content: bytes) -> list[str]:
    return [one.fingerprint for one in certificates(content)]


@pytest.mark.parametrize("kind", [Kind.SEV_SNP, Kind.AZURE_SNP])
def test_of_amd(kind):
    assert sort(kind, [VCEK]) == {"vcek": VCEK}
    assert sort(kind, [pem(VCEK)]) == {"vcek": VCEK}
    assert sort(kind, [VLEK]) == {"vlek": VLEK}
    found = sort(kind, [pem(VCEK, AMD.ask.der, AMD.ark.der)])
    assert list(found) == ["vcek", "chain"]
    assert fingerprints(found["chain"]) == [AMD.ask.fingerprint, AMD.ark.fingerprint]
    apart = sort(kind, [AMD.ark.der, VCEK, pem(AMD.ask.der)])
    assert fingerprints(apart["chain"]) == [AMD.ark.fingerprint, AMD.ask.fingerprint]
    assert list(sort(kind, [crl(AMD.ark)])) == ["crl"]
    assert sort(kind, [COLLATERAL, *JUNK]) == {}


@pytest.mark.parametrize("kind", [Kind.TDX, Kind.SGX, Kind.AZURE_TDX])
def test_of_intel(kind):
    assert sort(kind, [VCEK, COLLATERAL, *JUNK]) == {"collateral": COLLATERAL}


def test_of_nvidia():
    chain = GPU.chain()
    found = sort(Kind.NVIDIA, [*JUNK, chain])
    assert fingerprints(found["chain"]) == fingerprints(chain)
    parts = [pem(one.der) for one in certificates(chain)]
    assert fingerprints(sort(Kind.NVIDIA, parts)["chain"]) == fingerprints(chain)


def test_of_nitro():
    leaf = issue(ec_key("tls"), name_of("enclave"), authority=False)
    assert sort(Kind.NITRO, [pem(leaf.der), AMD.ark.der]) == {"certificate": leaf.der}
    assert sort(Kind.NITRO, [COLLATERAL, *JUNK]) == {}


def test_of_a_tpm():
    tpm = PaperTpm()
    quote = tpm.quote()
    ek = MAKER.certify(rsa_key("ek")).der
    events = b'[{"pcr": 12}]'
    area = public_area(tpm.key)
    found = sort(
        Kind.TPM, [tpm.sign(quote), area, tpm.pcrs(), events, MAKER.chain, ek, crl(MAKER.root), *JUNK]
    )
    assert found["signature"][:4] == bytes.fromhex("0018000b")
    assert (found["ak"], found["pcrs"], found["log"], found["ek"]) == (area, tpm.pcrs(), events, ek)
    assert fingerprints(found["ek-chain"]) == fingerprints(MAKER.chain)
    assert sorted(found) == ["ak", "crl", "ek", "ek-chain", "log", "pcrs", "signature"]
    bare = ak_pem(tpm.key.public_key())
    assert sort(Kind.TPM, [bare]) == {"ak": bare}
    assert sort(Kind.TPM, [ek_public(rsa_key("ek"))]) == {"ek": ek_public(rsa_key("ek"))}
    rsa = PaperTpm(rsa_key("ak"))
    assert list(sort(Kind.TPM, [rsa.sign(quote)])) == ["signature"]


def pcr_file(values: dict[int, bytes]) -> bytes:
    """As tpm2-tools write it."""
    bits = sum(1 << number for number in values).to_bytes(3, "little")
    selections = struct.pack("<IHB", 1, 0x000B, 3) + bits + bytes(132 - 10)
    ordered = [values[number] for number in sorted(values)]
    lists = [ordered[i : i + 8] for i in range(0, len(ordered), 8)]
    body = b""
    for one in lists:
        digests = b"".join(struct.pack("<H", len(v)) + v.ljust(64, b"\0") for v in one)
        body += struct.pack("<I", len(one)) + digests.ljust(528, b"\0")
    return selections + struct.pack("<I", len(lists)) + body


def test_the_pcr_file_of_tpm2_tools_becomes_json():
    values = {n: bytes([n]) * 32 for n in (*range(8), 12, 23)}
    found = sort(Kind.TPM, [pcr_file(values)])
    assert json.loads(found["pcrs"]) == {str(n): value.hex() for n, value in values.items()}
    for wrong in (pcr_file(values)[:-1], pcr_file(values) + b"\0", pcr_file(values)[:132] + bytes(4)):
        with pytest.raises(Refused) as caught:
            sort(Kind.TPM, [wrong])
        assert caught.value.code is Code.MALFORMED


def test_of_dev():
    assert sort(Kind.DEV, [VCEK, COLLATERAL]) == {}


def test_one_name_for_two_files_is_malformed():
    other = AMD.endorse(chip=bytes(64), serial=7).der
    with pytest.raises(Refused, match="vcek") as caught:
        sort(Kind.SEV_SNP, [VCEK, other])
    assert caught.value.code is Code.MALFORMED
    assert sort(Kind.SEV_SNP, [VCEK, pem(VCEK)]) == {"vcek": VCEK}


def test_a_certificate_that_cannot_be_read_is_malformed():
    for broken in (VCEK[:-1], pem(VCEK).replace(b"END", b"BND")):
        assert holds_certificates(broken)
        with pytest.raises(Refused) as caught:
            sort(Kind.SEV_SNP, [broken])
        assert caught.value.code is Code.MALFORMED


def test_what_seems_to_hold_certificates():
    assert holds_certificates(VCEK)
    assert holds_certificates(b"a note\n" + pem(VCEK))
    assert not holds_certificates(crl(AMD.ark))
    assert not holds_certificates(COLLATERAL)
    assert not any(map(holds_certificates, JUNK))
