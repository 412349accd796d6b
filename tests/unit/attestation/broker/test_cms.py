# SPDX-License-Identifier: Apache-2.0
"""CMS in the shape of AWS KMS, both ways against OpenSSL, and on what is broken."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.attestation.brokers import refused

from hitoku.attestation import cms
from hitoku.attestation.codes import Code, Refused

VECTORS = Path(__file__).parents[5] / "shared" / "vectors" / "attestation" / "kms-cms"
PLAIN = bytes(range(32))
KEY = rsa.generate_private_key(65537, 2048)
OAEP = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")


def openssl(*arguments: str, content: bytes) -> bytes:
    done = subprocess.run(["openssl", "cms", *arguments], input=content, capture_output=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The recipient's key and certificate, as OpenSSL wants them."""
    folder = tmp_path_factory.mktemp("cms")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "enclave")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 7, now, now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(KEY.public_key()), critical=False)
        .sign(KEY, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = KEY.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    return folder


def test_openssl_reads_what_is_written(files, tmp_path):
    sealed = tmp_path / "sealed.der"
    sealed.write_bytes(cms.seal_enveloped(PLAIN, KEY.public_key()))
    arguments = ("-decrypt", "-inform", "DER", "-in", str(sealed), "-inkey", str(files / "key.pem"))
    assert openssl(*arguments, content=b"") == PLAIN
    shown = openssl("-cmsout", "-print", "-inform", "DER", "-in", str(sealed), content=b"").decode()
    for word in ("pkcs7-envelopedData", "rsaesOaep", "aes-256-cbc", "sha256", "subjectKeyIdentifier"):
        assert word in shown


@pytest.mark.parametrize("stream", [False, True], ids=["DER", "BER"])
@pytest.mark.parametrize("length", [32, 1, 15, 16, 2_000])
def test_what_openssl_writes_is_read(files, stream, length):
    """With -stream OpenSSL writes indefinite lengths and scattered octet strings."""
    plain = bytes(n % 256 for n in range(length))
    made = openssl(
        "-encrypt", "-binary", "-aes-256-cbc", "-outform", "DER", "-keyid", *(["-stream"] if stream else []),
        "-recip", str(files / "certificate.pem"), *OAEP, content=plain,
    )  # fmt: skip
    assert (made[1] == 0x80) is stream
    assert cms.open_enveloped(made, KEY) == plain


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the vectors are not on this machine")
def test_the_vector_of_the_shape():
    key = serialization.load_pem_private_key((VECTORS / "recipient-test-key.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    content = (VECTORS / "openssl-oaep-sha256-aes256cbc.der").read_bytes()
    assert cms.open_enveloped(content, key) == (VECTORS / "expected-plaintext.bin").read_bytes()
    refused(Code.MALFORMED, cms.open_enveloped, content, KEY)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-aes-128-cbc", "-keyid", *OAEP),
        ("-aes-256-gcm", "-keyid", *OAEP),
        ("-des3", "-keyid", *OAEP),
        ("-aes-256-cbc", *OAEP),
        ("-aes-256-cbc", "-keyid"),
        ("-aes-256-cbc", "-keyid", "-keyopt", "rsa_padding_mode:oaep"),
        ("-aes-256-cbc", "-keyid", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512"),
        ("-aes-256-cbc", "-keyid", *OAEP, "-keyopt", "rsa_mgf1_md:sha1"),
        ("-aes-256-cbc", "-keyid", *OAEP, "-keyopt", "rsa_oaep_label:00"),
    ],
    ids=["aes128", "gcm", "3des", "by issuer", "PKCS1", "OAEP-SHA1", "OAEP-SHA512", "MGF1-SHA1", "label"],
)
def test_other_shapes_are_refused(files, arguments):
    cipher, *others = arguments
    recipient = ("-recip", str(files / "certificate.pem"))
    keyid = [a for a in others if a == "-keyid"]
    options = [a for a in others if a != "-keyid"]
    try:
        made = openssl(
            "-encrypt", "-binary", "-outform", "DER", cipher, *keyid, *recipient, *options, content=PLAIN
        )
    except subprocess.CalledProcessError:
        pytest.skip("this openssl does not write that")
    refused(Code.MALFORMED, cms.open_enveloped, made, KEY)


def test_two_recipients_are_refused(files):
    recipient = ("-recip", str(files / "certificate.pem"), *OAEP)
    made = openssl(
        "-encrypt",
        "-binary",
        "-outform",
        "DER",
        "-aes-256-cbc",
        "-keyid",
        *recipient,
        *recipient,
        content=PLAIN,
    )
    refused(Code.MALFORMED, cms.open_enveloped, made, KEY)


SEALED = cms.seal_enveloped(PLAIN, KEY.public_key())


def outcome(content: bytes) -> bytes | Refused:
    try:
        return bytes(cms.open_enveloped(content, KEY))
    except Refused as error:
        return error


def with_byte(place: int, value: int) -> bytes:
    return SEALED[:place] + bytes([value]) + SEALED[place + 1 :]


def test_versions_other_than_two_are_refused():
    first = SEALED.index(b"\x02\x01\x02")
    for place in (first, SEALED.index(b"\x02\x01\x02", first + 1)):
        for version in (0, 3):
            refused(Code.MALFORMED, cms.open_enveloped, with_byte(place + 2, version), KEY)


def test_broken_contents_are_refused_alike():
    """Whether the key, the padding or the length is wrong is not told apart."""
    info = asn1.ContentInfo.load(SEALED)["content"]
    key = info["recipient_infos"][0].chosen["encrypted_key"].native
    content = info["encrypted_content_info"]["encrypted_content"].native
    said = set()
    for part in (key, content):
        start = SEALED.index(part)
        for place in (start, start + len(part) - 1):
            found = outcome(with_byte(place, SEALED[place] ^ 1))
            if isinstance(found, Refused):
                said.add((found.code, found.detail))
            else:
                assert found != PLAIN  # AES-CBC authenticates nothing
    assert said == {(Code.MALFORMED, "the CMS message cannot be opened with this key")}


@pytest.mark.parametrize(
    "content", [b"", b"\x30\x00", b"\x30\x80", b"x" * 70_000, b"\x30\x84\xff\xff\xff\xff"]
)
def test_what_is_none_is_refused(content):
    refused(Code.MALFORMED, cms.open_enveloped, content, KEY)


def test_trailing_bytes_are_refused():
    refused(Code.MALFORMED, cms.open_enveloped, cms.seal_enveloped(PLAIN, KEY.public_key()) + b"\0", KEY)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SEALED) - 1), st.integers(0, 255), st.booleans())
def test_mutations_open_to_nothing_or_are_refused(place, value, cut):
    content = bytearray(SEALED)
    content[place] = value
    found = outcome(bytes(content[:place] if cut else content))
    assert found.code is Code.MALFORMED if isinstance(found, Refused) else len(found) <= 48


def test_recipients_have_rsa_keys_of_enough_bits():
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    small = rsa.generate_private_key(65537, 1024).public_key()
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    for key, code in (
        (small.public_bytes(*spki), Code.UNSUPPORTED),
        (curve.public_bytes(*spki), Code.UNSUPPORTED),
        (b"x", Code.MALFORMED),
        (b"", Code.MALFORMED),
    ):
        refused(code, cms.recipient_key, key)
    assert cms.recipient_key(KEY.public_key().public_bytes(*spki)).key_size == 2048
    refused(Code.UNSUPPORTED, cms.seal_enveloped, PLAIN, small)
