# SPDX-License-Identifier: Apache-2.0
"""Certificates and revocation lists are read as `cryptography` reads them, or refused."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509 as reference
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation_pki import (
    AMAZON,
    NOW,
    AmdWorld,
    Issued,
    NitroWorld,
    crl,
    ec_key,
    edited,
    issue,
    name_of,
    needs_vectors,
    pem,
    tlv,
    vector,
)

from hitoku.attestation import roots
from hitoku.attestation.certificates import Certificate, certificate, certificates, revocation_list
from hitoku.attestation.codes import Code, Refused

REAL = (
    "nitro/aws-nitro-root-g1.pem",
    "sev-snp/gosev-milan-vcek.der",
    "sev-snp/gosev-milan-chain-ask-ark.pem",
    "sev-snp/ms-milan-vcek.pem",
    "sev-snp/ms-genoa-vcek.pem",
    "sev-snp/virtee-milan-vcek.der",
    "sev-snp/virtee-turin-vcek.der",
    "sev-snp/lunal-test-vcek.der",
    "sev-snp/lunal-test-vlek.der",
    "azure-snp-vtpm/vcek.pem",
    "tdx/intel-sgx-root-ca.der",
    "tdx/lunal-collateral/tcb_signing_chain.pem",
    "nvidia/nvidia_device_root.pem",
    "tpm-swtpm/ek.der",
    "tpm-swtpm/issuercert.pem",
    "kms-cms/recipient-test-cert.pem",
)


@pytest.fixture(scope="module")
def one() -> Issued:
    return issue(ec_key("one"), name_of("one", **AMAZON), path_length=1)


def same(ours: Certificate) -> None:
    """Ours against what `cryptography` reads."""
    with warnings.catch_warnings():  # it warns of the serial number 0, which AMD has
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        theirs = reference.load_der_x509_certificate(ours.der)
        assert ours.serial == theirs.serial_number
    assert ours.body == theirs.tbs_certificate_bytes
    assert ours.signature == theirs.signature
    assert ours.issuer == theirs.issuer.public_bytes()
    assert ours.subject == theirs.subject.public_bytes()
    assert ours.not_before == theirs.not_valid_before_utc
    assert ours.not_after == theirs.not_valid_after_utc
    assert ours.fingerprint == theirs.fingerprint(hashes.SHA256()).hex()
    found = {e.oid.dotted_string: e for e in theirs.extensions}
    assert {n: e.critical for n, e in ours.extensions.items()} == {n: e.critical for n, e in found.items()}
    for name, extension in found.items():
        if not isinstance(extension.value, reference.KeyUsage):  # which it writes in a form of its own
            assert ours.extensions[name].value == extension.value.public_bytes()
    constraints = [e.value for e in theirs.extensions if isinstance(e.value, reference.BasicConstraints)]
    said = [(c.ca, c.path_length) for c in constraints]
    assert (ours.authority, ours.path_length) == (said[0] if said else (None, None))
    usages = [e.value for e in theirs.extensions if isinstance(e.value, reference.KeyUsage)]
    if usages:
        assert ours.key_usage is not None
        named = (usages[0].digital_signature, usages[0].key_encipherment, usages[0].key_cert_sign)
        assert named == tuple(bit in ours.key_usage for bit in (0, 2, 5))
        assert usages[0].crl_sign == (6 in ours.key_usage)
    else:
        assert ours.key_usage is None
    if not isinstance(theirs.public_key(), ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        pytest.fail("a key of another kind")
    whole = theirs.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = ours.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key == whole


@pytest.mark.parametrize("name", roots.FINGERPRINTS)
def test_the_packaged_ones_are_read_alike(name: str) -> None:
    same(roots.root(name))


def test_ours_are_read_alike() -> None:
    world = NitroWorld()
    for issued in (world.root, *world.middle, world.leaf, AmdWorld("turin").endorse(loaded=True)):
        same(certificate(issued.der))


@needs_vectors
@pytest.mark.parametrize("name", REAL)
def test_the_vendors_are_read_alike(name: str) -> None:
    for found in certificates(vector(name)):
        same(found)


def test_one_and_several(one: Issued) -> None:
    assert certificate(one.der).der == certificate(pem(one.der)).der == one.der
    bundle = b"Subject: somebody\n" + pem(one.der, one.der) + b"more\x00"
    assert [c.der for c in certificates(bundle)] == [one.der] * 2
    assert len(certificates(pem(*[one.der] * 16))) == 16
    with pytest.raises(Refused, match="more than one"):
        certificate(pem(one.der, one.der))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nM!AA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n",
        b"\x30\x00",
        b"\x30\x80\x00\x00",
        b"\x30\x09\x30\x00\x30\x00\x03\x03\x00\x00\x00",
    ],
)
def test_what_is_no_certificate_is_malformed(content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        certificates(content)
    assert caught.value.code is Code.MALFORMED


def test_bundles_are_bounded(one: Issued) -> None:
    with pytest.raises(Refused, match="too many"):
        certificates(pem(*[one.der] * 17))
    with pytest.raises(Refused, match="broken"):
        certificates(pem(one.der) + b"-----BEGIN CERTIFICATE-----\nMAA=\n")
    with pytest.raises(Refused, match="too long"):
        certificates(b" " * (1 << 20) + pem(one.der))
    with pytest.raises(Refused, match="longer than"):
        certificates(tlv(0x30, bytes(1 << 16)))


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """An edit that replaces bytes, once, and mends the outer length."""

    def edit(body: bytes) -> bytes:
        content = certificate_content(body)
        assert old in content
        return tlv(0x30, content.replace(old, new, 1))

    return edit


def certificate_content(body: bytes) -> bytes:
    size = body[1]
    return body[2 + (size & 0x7F if size & 0x80 else 0) :]


VERSION = b"\xa0\x03\x02\x01\x02"
ECDSA_384 = bytes.fromhex("300a06082a8648ce3d040303")
ECDSA_256 = bytes.fromhex("300a06082a8648ce3d040302")
BASIC = bytes.fromhex("0603551d13")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (VERSION, b"", "version 3"),
        (VERSION, b"\xa0\x03\x02\x01\x01", "version 3"),
        (VERSION, b"\xa0\x03\x02\x01\x03", "version 3"),
        (ECDSA_384, ECDSA_256, "two signature algorithms"),
        (b"\x01\x01\xff", b"\x01\x01\x01", "neither 00 nor FF"),
    ],
)
def test_forms_that_are_refused(one: Issued, old: bytes, new: bytes, why: str) -> None:
    assert isinstance(one.key, ec.EllipticCurvePrivateKey)
    with pytest.raises(Refused, match=why) as caught:
        certificate(edited(one.der, one.key, replaced(old, new)))
    assert caught.value.code is Code.MALFORMED


def test_an_extension_twice_is_refused() -> None:
    twice = issue(ec_key("one"), name_of("twice"), bits=("digital_signature",))
    # keyUsage gets the name of basicConstraints.
    der = edited(twice.der, twice.key, replaced(bytes.fromhex("0603551d0f"), BASIC))
    with pytest.raises(Refused, match="twice"):
        certificate(der)


def test_bytes_behind_the_extensions_are_refused(one: Issued) -> None:
    der = edited(one.der, one.key, lambda body: tlv(0x30, certificate_content(body) + b"\x05\x00"))
    with pytest.raises(Refused):
        certificate(der)


def test_the_outer_form_is_strict(one: Issued) -> None:
    for wrong in (one.der + b"\x00", one.der[:-1], tlv(0x31, certificate_content(one.der))):
        with pytest.raises(Refused):
            certificate(wrong)
    with pytest.raises(Refused, match="three parts"):
        certificate(tlv(0x30, certificate_content(one.der) + b"\x05\x00")[:0] or tlv(0x30, b"\x05\x00" * 2))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"\x30\x06\x01\x01\xff\x02\x01\x80"[:2] + b"\x01\x01\xff\x02\x01\xff", "not in their form"),
        (b"\x30\x03\x02\x01\x00", "not in their form"),
        (b"\x30\x09\x01\x01\xff\x02\x01\x00\x02\x01\x00", "not in their form"),
        (b"\x30\x00\x00", "behind"),
    ],
)
def test_basic_constraints_in_another_form_are_refused(value: bytes, why: str) -> None:
    name = reference.ObjectIdentifier("2.5.29.19")
    issued = issue(
        ec_key("one"),
        name_of("basic"),
        constraints=False,
        extensions=((reference.UnrecognizedExtension(name, value), True),),
    )
    with pytest.raises(Refused, match=why) as caught:
        _ = certificate(issued.der).authority
    assert caught.value.code is Code.MALFORMED


@pytest.mark.parametrize(
    "key",
    [
        lambda: ec.generate_private_key(ec.SECP256K1()),
        lambda: ec.generate_private_key(ec.BrainpoolP384R1()),
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 1024),
    ],
)
def test_keys_of_other_kinds_are_refused(key: Callable[[], object]) -> None:
    made = key()
    issued = issue(made, name_of("key"), signer=ec_key("one"))  # type: ignore[arg-type]
    with pytest.raises(Refused) as caught:
        _ = certificate(issued.der).public_key
    assert caught.value.code is Code.UNSUPPORTED


def test_a_point_off_its_curve_is_no_key(one: Issued) -> None:
    public = one.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    bent = public[:-1] + bytes([public[-1] ^ 1])
    with pytest.raises(Refused) as caught:
        _ = certificate(edited(one.der, one.key, replaced(public, bent))).public_key
    assert caught.value.code is Code.MALFORMED


def test_the_number_of_extensions_is_bounded() -> None:
    def many(count: int) -> bytes:
        unknown = (
            (reference.UnrecognizedExtension(reference.ObjectIdentifier(f"1.2.3.{i}"), b"\x05\x00"), False)
            for i in range(count)
        )
        return issue(
            ec_key("one"), name_of("many"), bits=(), constraints=False, extensions=tuple(unknown)
        ).der

    assert len(certificate(many(64)).extensions) == 64
    with pytest.raises(Refused, match="more than 64"):
        certificate(many(65))
    assert certificate(many(0)).extensions == {}


# --- revocation lists ---


def test_a_list_is_read_alike(one: Issued) -> None:
    der = crl(one, (5, 7, 2**100))
    theirs = reference.load_der_x509_crl(der)
    for content in (der, theirs.public_bytes(Encoding.PEM)):
        ours = revocation_list(content)
        assert ours.issuer == theirs.issuer.public_bytes()
        assert ours.body == theirs.tbs_certlist_bytes
        assert ours.signature == theirs.signature
        assert (ours.this_update, ours.next_update) == (NOW, NOW + timedelta(days=30))
        assert ours.serials == {5, 7, 2**100}
    assert revocation_list(crl(one)).serials == frozenset()
    with pytest.raises(Refused, match="too many"):
        revocation_list(theirs.public_bytes(Encoding.PEM) * 2)


@needs_vectors
@pytest.mark.parametrize(
    "name", ["tdx/gotdx-pckcrl", "tdx/gotdx-rootcrl.der", "tdx/lunal-collateral/pck_crl_platform.der"]
)
def test_intels_lists_are_read_alike(name: str) -> None:
    content = vector(name)
    load = reference.load_der_x509_crl if content[:1] == b"0" else reference.load_pem_x509_crl
    theirs = load(content)
    ours = revocation_list(content)
    assert ours.serials == {entry.serial_number for entry in theirs}
    assert (ours.this_update, ours.next_update) == (theirs.last_update_utc, theirs.next_update_utc)


def test_partial_and_indirect_lists_are_refused(one: Issued) -> None:
    key = one.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = reference.CertificateRevocationListBuilder().issuer_name(one.name)
    builder = builder.last_update(NOW).next_update(NOW + timedelta(days=1))
    partial = builder.add_extension(reference.DeltaCRLIndicator(1), critical=True)
    entry = reference.RevokedCertificateBuilder().serial_number(1).revocation_date(NOW)
    issuer = reference.CertificateIssuer([reference.DirectoryName(name_of("other"))])
    indirect = builder.add_revoked_certificate(entry.add_extension(issuer, critical=True).build())
    users = builder.add_extension(distribution_point(only_contains_user_certs=True), critical=True)
    for made in (partial, indirect, users):
        with pytest.raises(Refused, match="critical") as caught:
            revocation_list(made.sign(key, hashes.SHA384()).public_bytes(Encoding.DER))
        assert caught.value.code is Code.UNSUPPORTED
    for harmless in (
        builder.add_extension(reference.CRLNumber(1), critical=False),
        builder.add_extension(distribution_point(), critical=True),
    ):
        assert revocation_list(harmless.sign(key, hashes.SHA384()).public_bytes(Encoding.DER))


def distribution_point(only_contains_user_certs: bool = False) -> reference.IssuingDistributionPoint:
    place = (
        None if only_contains_user_certs else [reference.UniformResourceIdentifier("https://example.org/crl")]
    )
    return reference.IssuingDistributionPoint(
        full_name=place,
        relative_name=None,
        only_contains_user_certs=only_contains_user_certs,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


@pytest.mark.parametrize(
    "content", [b"", b"\x30\x00", b"text", b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----"]
)
def test_what_is_no_list_is_malformed(content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        revocation_list(content)
    assert caught.value.code is Code.MALFORMED


WORLD, CHIPS = NitroWorld(), AmdWorld()
MUTATED = (WORLD.leaf.der, CHIPS.endorse().der, crl(WORLD.root, (1,)))


@given(st.data())
def test_mutations_are_read_or_refused(data: st.DataObject) -> None:
    """No other exception comes out, whatever is read of it."""
    der = data.draw(st.sampled_from(MUTATED))
    mutated = bytearray(der)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    codes: set[Code] = set()
    for read in (certificate, revocation_list):
        try:
            found = read(bytes(mutated))
            if isinstance(found, Certificate):
                _ = (found.authority, found.key_usage, found.public_key)
                assert found.fingerprint == hashlib.sha256(mutated).hexdigest()
        except Refused as refused:
            codes.add(refused.code)
    assert codes <= {Code.MALFORMED, Code.UNSUPPORTED}
