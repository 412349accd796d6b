# SPDX-License-Identifier: Apache-2.0
"""The pinned roots are what their table says, and nothing from outside adds one."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import pytest
from cryptography import x509 as reference
from cryptography.hazmat.primitives.serialization import Encoding
from tests.attestation_pki import NOW, AmdWorld, NitroWorld

from hitoku.attestation import roots
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.verify import verify


def test_every_packaged_certificate_has_its_fingerprint() -> None:
    for name, fingerprint in roots.FINGERPRINTS.items():
        content = (files(roots) / f"{name}.pem").read_bytes()
        der = reference.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
        assert hashlib.sha256(der).hexdigest() == fingerprint, name
        assert roots.root(name).der == der


def test_no_certificate_is_packaged_beside_the_table() -> None:
    packaged = {Path(str(f)).stem for f in files(roots).iterdir() if str(f).endswith(".pem")}
    assert packaged == set(roots.FINGERPRINTS)


def test_the_vendors_fingerprints_as_they_are_published() -> None:
    """Written down a second time, from the vendors' pages and other verifiers, not from the files."""
    assert {
        "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
    } == roots.AWS_NITRO
    assert {
        "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
    } == roots.INTEL_SGX
    assert {
        "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48",
    } == roots.NVIDIA_DEVICE_IDENTITY
    assert [roots.FINGERPRINTS[f"ark-{p}"][:16] for p in roots.PRODUCTS] == [
        "69d063b45344d26a",
        "4c6598d19c18719c",
        "1f084161a44bb6d9",
    ]


@pytest.mark.parametrize("product", roots.PRODUCTS)
def test_amds_intermediates_are_of_their_root(product: str) -> None:
    ark, loaded = (
        reference.load_der_x509_certificate(roots.root(f"{n}-{product}").der) for n in ("ark", "ask")
    )
    for short in ("ask", "asvk"):
        authority = reference.load_der_x509_certificate(roots.root(f"{short}-{product}").der)
        authority.verify_directly_issued_by(ark)
        assert roots.root(f"{short}-{product}").path_length == 0
    with pytest.raises(ValueError):
        ark.verify_directly_issued_by(loaded)


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ark-milan.pem").write_bytes((files(roots) / "ark-genoa.pem").read_bytes())
    monkeypatch.setattr(roots, "files", lambda _: tmp_path)
    roots.root.cache_clear()
    try:
        with pytest.raises(Refused, match="ark-milan") as caught:
            roots.root("ark-milan")
        assert caught.value.code is Code.UNTRUSTED_ROOT
    finally:
        roots.root.cache_clear()


def test_nothing_from_outside_adds_a_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Environment, files beside it, endorsements: the verifier knows the pins and nothing else."""
    nitro, amd = NitroWorld(), AmdWorld()
    bundle = b"".join(
        reference.load_der_x509_certificate(c).public_bytes(Encoding.PEM)
        for c in (nitro.root.der, amd.ark.der)
    )
    for name in ("roots.pem", "aws-nitro-g1.pem", "ark-milan.pem", "hitoku.yaml", "hitoku.toml"):
        (tmp_path / name).write_bytes(bundle)
    monkeypatch.chdir(tmp_path)
    for name in (
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HITOKU_ROOTS",
        "HITOKU_ATTESTATION_ROOTS",
        "REQUESTS_CA_BUNDLE",
    ):
        monkeypatch.setenv(name, str(tmp_path / "roots.pem"))
    more = dict.fromkeys(("root", "roots", "chain", "ca", "ark"), bundle)
    document = Evidence(Kind.NITRO, nitro.document(), more)
    report = amd.evidence(endorsements=more)
    for evidence in (document, report):
        with pytest.raises(Refused) as caught:
            verify(evidence, NOW)
        assert caught.value.code is Code.UNTRUSTED_ROOT
