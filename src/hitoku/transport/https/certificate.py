# SPDX-License-Identifier: Apache-2.0
"""X.509 around members' keys: what a node shows, what it trusts, and which key a certificate carries.

The room gives each member one Ed25519 key. TLS can only speak of keys in certificates, so:

- A node shows a certificate that carries its member's key and is signed by that same key. It is a function
  of the key alone (Ed25519 signs deterministically), so nothing is kept that could go stale.
- Whoever checks it needs a trust anchor. In RFC 5280 (section 6.1.1 (d)) an anchor is a name and a public
  key, and nothing about its own signature is checked. So each node makes the anchors itself, from the keys in
  the room that it verified: a certificate with the member's key and a name made of it, signed by a key that
  is thrown away. No certificate is fetched, and there is no first contact that would have to be believed.

For OpenSSL a certificate whose subject and issuer are equal must be the anchor, bit for bit. Ours carries two
names, one for the node and one for the key, so that its signature is checked under the anchor's key.

What is not trusted. Names: the key is what the members signed, and a host name or address can be taken by
others. Dates: a key is valid while the room names it, and a clock that is wrong must not cut members off; all
our certificates are valid from 2000 to 9999-12-31 (RFC 5280, section 4.1.2.5, for "no expiration"). A key is
revoked by the next version of the room.

One key signs rooms, consents, ledger heads, this certificate and TLS handshakes. None can be taken for
another: our own messages begin with ``hitoku/``, a certificate's signed part is DER and begins with 0x30, and
what TLS 1.3 signs begins with 64 spaces (RFC 8446, section 4.4.3).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["anchor", "carried_key", "make_certificate"]

_SINCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_MAX_BYTES: Final = 4_096
_ED25519_BITS: Final = bytes.fromhex("300506032b6570034100")
"""In DER: the algorithm Ed25519 (RFC 8410, section 3), then a bit string of 512 bits that follow."""


def make_certificate(key: Ed25519PrivateKey) -> bytes:
    """The certificate that a member's node shows, PEM. The same key always gives the same bytes."""
    public = key.public_key()
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    built = (
        _builder("hitoku node", _key_name(public), public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_tls=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .sign(key, None)
    )
    return built.public_bytes(Encoding.PEM)


@lru_cache(maxsize=256)
def anchor(public_key: str) -> bytes:
    """A trust anchor for a member's key, DER.

    Args:
        public_key: as the room writes it, ``ed25519:...``.
    """
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("ed25519:")))
    built = (
        _builder(_key_name(public), "hitoku trust anchor", public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_tls=False), critical=True)
        .sign(Ed25519PrivateKey.generate(), None)
    )
    return built.public_bytes(Encoding.DER)


def carried_key(certificate: bytes | None) -> str | None:
    """The Ed25519 key that a certificate (DER) carries and is signed by, ``ed25519:...``; otherwise None.

    That somebody has the key is for TLS to prove; whose it is, for the room to say. Never raises.
    """
    if certificate is None or len(certificate) > _MAX_BYTES:
        return None
    try:
        read = x509.load_der_x509_certificate(certificate)
        public = read.public_key()
        if not isinstance(public, Ed25519PublicKey):
            return None
        if not certificate.endswith(_ED25519_BITS + read.signature):  # what the signature does not cover
            return None
        public.verify(read.signature, read.tbs_certificate_bytes)
    except InvalidSignature:
        return None
    except Exception:  # whatever else a parser may find in a stranger's bytes: it carries no key
        return None
    return "ed25519:" + base64.b64encode(public.public_bytes_raw()).decode()


def _builder(subject: str, issuer: str, public: Ed25519PublicKey) -> x509.CertificateBuilder:
    digest = hashlib.sha256(public.public_bytes_raw()).digest()
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(int.from_bytes(digest[:16], "big") | 1)
        .not_valid_before(_SINCE)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectKeyIdentifier(digest[:20]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier(digest[:20], None, None),
            critical=False,
        )
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_name(public: Ed25519PublicKey) -> str:
    """A name for a key, at most 64 characters; no member's name: anybody can have it shown."""
    return "hitoku key " + hashlib.sha256(public.public_bytes_raw()).hexdigest()[:40]


def _usage(*, signs_tls: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs_tls,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signs_tls,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
