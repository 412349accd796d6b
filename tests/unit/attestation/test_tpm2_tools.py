# SPDX-License-Identifier: Apache-2.0
"""Against tpm2-tools, an independent implementation: both ways, on one swtpm."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.attestation_tpm import ak_pem, need_tools, tool

from hitoku.attestation.attest.tpm import TpmAttester
from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.credential import make_credential
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.recognise import recognise
from hitoku.attestation.swtpm import SwTpm
from hitoku.attestation.tpm2.commands import ENDORSEMENT, Tpm
from hitoku.attestation.tpm2.structures import EK_TEMPLATE, Public
from hitoku.attestation.verify import verify

BINDING = Binding(b"n" * 32, b"d" * 64)
PCRS = "sha256:0,1,2,3,4,5,6,7,12"
MAGIC = bytes.fromhex("badcc0de00000001")
"""In front of a credential in the files of tpm2-tools."""


@pytest.fixture(scope="module")
def tpm():
    need_tools()
    with SwTpm(certificate=False) as started:
        yield started


@pytest.fixture
def run(tpm, tmp_path):
    """Run one of tpm2-tools in a folder of its own; keys that it leaves loaded are flushed."""

    def words(*parts: str) -> str:
        said = tool(tpm.path, *parts, folder=tmp_path)
        tool(tpm.path, "tpm2_flushcontext", "-t", folder=tmp_path)
        return said

    return words


def test_checkquote_accepts_what_our_attester_makes(tpm, run, tmp_path):
    with tpm.connect() as device, TpmAttester(device) as attester:
        Tpm(device).pcr_extend(12, b"\5" * 32)
        evidence = attester.attest(BINDING)
    claims = verify(evidence, datetime.now(UTC))
    area = Public.parse(evidence.endorsements["ak"])
    key = ec.EllipticCurvePublicNumbers(area.x, area.y, ec.SECP256R1()).public_key()
    (tmp_path / "ak.pem").write_bytes(ak_pem(key))
    (tmp_path / "quote").write_bytes(evidence.content)
    (tmp_path / "signature").write_bytes(evidence.endorsements["signature"])
    extra = BINDING.report_data(Kind.TPM).hex()
    check = ("tpm2_checkquote", "-u", "ak.pem", "-m", "quote", "-s", "signature", "-q", extra, "-g", "sha256")
    run(*check)
    (tmp_path / "quote").write_bytes(evidence.content[:-1] + bytes([evidence.content[-1] ^ 1]))
    with pytest.raises(AssertionError, match="tpm2_checkquote"):
        run(*check)
    run("tpm2_pcrread", PCRS, "-o", "pcrs")
    read = (tmp_path / "pcrs").read_bytes()
    assert read[:32].hex() == claims.measurements["pcr0"]
    assert read[-32:].hex() == claims.measurements["pcr12"]


@pytest.mark.parametrize(("algorithm", "scheme"), [("ecc", "ecdsa"), ("rsa", "rsassa")])
def test_our_verifier_accepts_what_their_quote_makes(run, tmp_path, algorithm, scheme):
    run("tpm2_createek", "-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub")
    key = ("-G", algorithm, "-g", "sha256", "-s", scheme)
    run("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", *key, "-u", "ak.pub", "-n", "ak.name")
    files = ("-m", "quote", "-s", "signature", "-o", "pcrs")
    run("tpm2_quote", "-c", "ak.ctx", "-l", PCRS, "-q", "aabbcc", "-g", "sha256", *files)

    def read(name: str) -> bytes:
        return Path(tmp_path / name).read_bytes()

    beside = {name: read(name) for name in ("signature", "pcrs")} | {
        "ak": read("ak.pub"),
        "ek": read("ek.pub"),
    }
    claims = verify(Evidence(Kind.TPM, read("quote"), beside), datetime.now(UTC))
    assert claims.report_data == bytes.fromhex("aabbcc")
    assert claims.extra["ak_name"] == read("ak.name").hex()
    assert "pcr12" in claims.measurements
    found = recognise(read("quote"), [*beside.values()])
    assert verify(found, datetime.now(UTC)) == claims
    with pytest.raises(Refused) as caught:
        verify(Evidence(Kind.TPM, read("quote")[:-1] + b"\0", beside), datetime.now(UTC))
    assert caught.value.code is Code.SIGNATURE


def test_their_key_that_signs_anything_is_refused_by_us(run, tmp_path):
    run("tpm2_createprimary", "-C", "o", "-c", "parent.ctx")
    plain = ("-G", "ecc:ecdsa-sha256", "-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign")
    run("tpm2_create", "-C", "parent.ctx", *plain, "-u", "key.pub", "-r", "key.priv", "-c", "key.ctx")
    run("tpm2_quote", "-c", "key.ctx", "-l", PCRS, "-q", "aa", "-m", "quote", "-s", "signature", "-o", "pcrs")
    beside = {name: (tmp_path / name).read_bytes() for name in ("signature", "pcrs")}
    beside["ak"] = (tmp_path / "key.pub").read_bytes()
    with pytest.raises(Refused) as caught:
        verify(Evidence(Kind.TPM, (tmp_path / "quote").read_bytes(), beside), datetime.now(UTC))
    assert caught.value.code is Code.POLICY


def test_their_tpm_opens_our_credential(run, tmp_path):
    run("tpm2_createek", "-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub")
    run(
        "tpm2_createak",
        "-C",
        "ek.ctx",
        "-c",
        "ak.ctx",
        "-G",
        "ecc",
        "-g",
        "sha256",
        "-s",
        "ecdsa",
        "-u",
        "ak.pub",
    )
    secret = b"of the broker, in 32 bytes......"
    made = make_credential((tmp_path / "ek.pub").read_bytes(), (tmp_path / "ak.pub").read_bytes(), secret)
    (tmp_path / "credential").write_bytes(MAGIC + made)
    run("tpm2_startauthsession", "--policy-session", "-S", "session")
    run("tpm2_policysecret", "-S", "session", "-c", "e")
    activate = ("-c", "ak.ctx", "-C", "ek.ctx", "-P", "session:session")
    run("tpm2_activatecredential", *activate, "-i", "credential", "-o", "secret")
    assert (tmp_path / "secret").read_bytes() == secret
    run("tpm2_flushcontext", "session")


def test_our_attester_opens_their_credential(tpm, run, tmp_path):
    with tpm.connect() as device, TpmAttester(device) as attester:
        name = Public.parse(attester.identity()["ak"]).name
        handle, public = Tpm(device).create_primary(ENDORSEMENT, EK_TEMPLATE)
        Tpm(device).flush(handle)
        (tmp_path / "ek.pub").write_bytes(public)
        (tmp_path / "secret").write_bytes(b"their secret")
        # Without a TPM: it would wait for the connection that the attester holds.
        words = ("-T", "none", "-u", "ek.pub", "-s", "secret", "-n", name.hex(), "-o", "credential")
        tool(tpm.path, "tpm2_makecredential", *words, folder=tmp_path)
        content = (tmp_path / "credential").read_bytes()
        assert content.startswith(MAGIC)
        assert attester.activate(content.removeprefix(MAGIC)) == b"their secret"
