# SPDX-License-Identifier: Apache-2.0
"""Chains and signatures against OpenSSL, which shares no code with ours above the arithmetic."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tests.attestation_pki import AmdWorld, NitroWorld, needs_vectors, pem, vector

from hitoku.attestation import roots
from hitoku.attestation.certificates import Certificate, certificate, certificate_from_der
from hitoku.attestation.codes import Refused
from hitoku.attestation.verify import nitro, snp_report
from hitoku.attestation.x509 import path, walk

OPENSSL = shutil.which("openssl")

if OPENSSL is None and os.environ.get("HITOKU_REQUIRE_ALL") != "1":
    pytest.skip("openssl is not there", allow_module_level=True)


def theirs(chain: Sequence[Certificate], now: datetime, folder: Path) -> bool:
    """Whether OpenSSL takes the chain at that time, its last certificate trusted."""
    (folder / "root.pem").write_bytes(pem(chain[-1].der))
    (folder / "between.pem").write_bytes(pem(*(c.der for c in chain[1:-1])))
    (folder / "leaf.pem").write_bytes(pem(chain[0].der))
    command = ["openssl", "verify", "-attime", str(int(now.timestamp())), "-CAfile", str(folder / "root.pem")]
    command += ["-untrusted", str(folder / "between.pem"), str(folder / "leaf.pem")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def ours(chain: Sequence[Certificate], now: datetime) -> bool:
    try:
        walk(chain, {chain[-1].fingerprint}, now)
    except Refused:
        return False
    return True


def document_chain(content: bytes) -> list[Certificate]:
    document = nitro.parse(content)
    return [certificate_from_der(c) for c in (document.certificate, *reversed(document.bundle))]


def packaged(leaf: Certificate) -> list[Certificate]:
    return list(path(leaf, [roots.root(name) for name in roots.FINGERPRINTS]))


def chains() -> dict[str, list[Certificate]]:
    turin = AmdWorld("turin")
    found = {"nitro of ours": document_chain(NitroWorld().document())}
    for loaded in (False, True):
        above = turin.asvk if loaded else turin.ask
        leaf = turin.endorse(loaded=loaded)
        found[f"turin of ours {loaded}"] = [certificate(i.der) for i in (leaf, above, turin.ark)]
    return found


REAL_DOCUMENTS = ("evervault-valid-doc", "evervault-debug-mode-doc", "veracruz-doc")
REAL_LEAVES = ("gosev-milan-vcek.der", "ms-genoa-vcek.pem", "virtee-turin-vcek.der", "lunal-test-vlek.der")


def alike(chain: list[Certificate], folder: Path) -> None:
    """In their window, at its ends, a second outside, and with altered certificates."""
    start, end = max(c.not_before for c in chain), min(c.not_after for c in chain)
    second = timedelta(seconds=1)
    times = {
        start - second: False,
        start: True,
        start + (end - start) / 2: True,
        end: True,
        end + second: False,
    }
    for now, expected in times.items():
        # OpenSSL takes the last second of a certificate for over.
        strict = now != end
        assert ours(chain, now) is expected
        if strict:
            assert theirs(chain, now, folder) is expected
    source, now = random.Random(chain[0].fingerprint), start + (end - start) / 2
    for place in range(len(chain) - 1):
        der = bytearray(chain[place].der)
        at = source.randrange(len(der) - 60, len(der))  # in the signature
        der[at] ^= 1
        bent = [*chain]
        bent[place] = certificate_from_der(bytes(der))
        assert not ours(bent, now)
        assert not theirs(bent, now, folder)


@pytest.mark.parametrize("name", ["nitro of ours", "turin of ours False", "turin of ours True"])
def test_our_hierarchies_are_taken_alike(name: str, tmp_path: Path) -> None:
    alike(chains()[name], tmp_path)


@needs_vectors
@pytest.mark.parametrize("name", REAL_DOCUMENTS)
def test_aws_chains_are_taken_alike(name: str, tmp_path: Path) -> None:
    alike(document_chain(vector(f"nitro/{name}.cbor")), tmp_path)


@needs_vectors
@pytest.mark.parametrize("name", REAL_LEAVES)
def test_amds_chains_are_taken_alike(name: str, tmp_path: Path) -> None:
    alike(packaged(certificate(vector(f"sev-snp/{name}"))), tmp_path)


def openssl_verifies(key: Certificate, signature: bytes, body: bytes, folder: Path) -> bool:
    (folder / "leaf.pem").write_bytes(pem(key.der))
    public = subprocess.run(
        ["openssl", "x509", "-in", str(folder / "leaf.pem"), "-noout", "-pubkey"],
        capture_output=True,
        check=True,
    ).stdout
    for name, content in (("key", public), ("signature", signature), ("body", body)):
        (folder / name).write_bytes(content)
    command = ["openssl", "dgst", "-sha384", "-verify", str(folder / "key")]
    command += ["-signature", str(folder / "signature"), str(folder / "body")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@needs_vectors
@pytest.mark.parametrize(
    ("name", "holds"),
    [("evervault-valid-doc", True), ("veracruz-doc", True), ("veracruz-doc-bad-sig", False)],
)
def test_documents_are_signed_as_openssl_says(name: str, holds: bool, tmp_path: Path) -> None:
    document = nitro.parse(vector(f"nitro/{name}.cbor"))
    r, s = (int.from_bytes(document.signature[i : i + 48], "big") for i in (0, 48))
    leaf = certificate_from_der(document.certificate)
    assert openssl_verifies(leaf, encode_dss_signature(r, s), document.signed, tmp_path) is holds


@needs_vectors
def test_reports_are_signed_as_openssl_says(tmp_path: Path) -> None:
    for report, leaf in (
        ("ms-milan-report.bin", "ms-milan-vcek.pem"),
        ("lunal-test-vlek-report.bin", "lunal-test-vlek.der"),
    ):
        read = snp_report.parse(vector(f"sev-snp/{report}"))
        signature, key = encode_dss_signature(read.r, read.s), certificate(vector(f"sev-snp/{leaf}"))
        assert openssl_verifies(key, signature, read.signed, tmp_path)
        assert not openssl_verifies(key, signature, read.signed + b"\x00", tmp_path)
