# SPDX-License-Identifier: Apache-2.0
"""X.509 certificates and revocation lists (RFC 5280), read strictly: form only, nothing is checked here.

Not by `cryptography`, since AMD's certificates all have the serial number 0, of which it warns and which it
will refuse; nor by asn1crypto, which reads BER. `hitoku.attestation.x509` checks chains of what is read here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hitoku import limits
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.strict import Element, der

__all__ = [
    "BASIC_CONSTRAINTS",
    "KEY_USAGE",
    "MOST_CERTIFICATES",
    "Certificate",
    "Extension",
    "RevocationList",
]
__all__ += ["certificate", "certificate_from_der", "certificates", "revocation_list"]
__all__ += ["revocation_list_der"]

MOST_CERTIFICATES: Final = 16
"""Certificates in one PEM bundle, and links of one chain."""
_MOST_BYTES: Final = 1 << 16
_MOST_NAMES: Final = 64
_MOST_REVOKED: Final = 1 << 11

_KEYS: Final = frozenset(
    bytes.fromhex(algorithm)
    for algorithm in (
        "301306072a8648ce3d020106082a8648ce3d030107",  # P-256
        "301006072a8648ce3d020106052b81040022",  # P-384
        "301006072a8648ce3d020106052b81040023",  # P-521
        "300d06092a864886f70d0101010500",  # RSA
    )
)
"""Algorithms of keys that are read at all, as AlgorithmIdentifier: no exotic curve reaches a library."""
_ISSUING_DISTRIBUTION_POINT: Final = "2.5.29.28"
BASIC_CONSTRAINTS, KEY_USAGE = "2.5.29.19", "2.5.29.15"


class Extension(NamedTuple):
    """An extension of a certificate: whether who does not know it must refuse, and its bytes."""

    critical: bool
    value: bytes


class _Signed(NamedTuple):
    """The outer form that certificates and revocation lists share."""

    body: Element
    algorithm: bytes
    signature: bytes


@dataclass(frozen=True)
class Certificate:
    """A certificate, read but not yet checked.

    Attributes:
        der: its bytes.
        body: what the issuer signed.
        algorithm: the signature's algorithm, DER.
        signature: of the body.
        serial: serial number; 0 with AMD.
        issuer: name, DER.
        subject: name, DER.
        not_before: from when, and
        not_after: until when it holds.
        spki: the public key, as SubjectPublicKeyInfo.
        extensions: by dotted object identifier.
    """

    der: bytes
    body: bytes
    algorithm: bytes
    signature: bytes
    serial: int
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    spki: bytes
    extensions: Mapping[str, Extension]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its bytes, lower-case hexadecimal."""
        return hashlib.sha256(self.der).hexdigest()

    @cached_property
    def public_key(self) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        """Its key, if it is of a kind that is verified here.

        Raises:
            Refused: ``UNSUPPORTED`` or ``MALFORMED``.
        """
        parts = der(self.spki, most=_MOST_BYTES).children(most=2)
        if not parts or parts[0].whole not in _KEYS:
            raise Refused(
                Code.UNSUPPORTED, "a certificate's key is neither on P-256, P-384 or P-521, nor RSA's"
            )
        try:
            key = load_der_public_key(self.spki)
        except (ValueError, UnsupportedAlgorithm):
            raise Refused(Code.MALFORMED, "a certificate's key is not a key") from None
        if isinstance(key, ec.EllipticCurvePublicKey):
            return key
        if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 4096:
            return key
        raise Refused(Code.UNSUPPORTED, "a certificate's RSA key is not of 2048 to 4096 bits")

    @cached_property
    def authority(self) -> bool | None:
        """Whether it may issue certificates, or None where it does not say."""
        return None if self._constraints is None else self._constraints[0]

    @cached_property
    def path_length(self) -> int | None:
        """How many authorities may stand between it and a leaf, or None for any number."""
        return None if self._constraints is None else self._constraints[1]

    @cached_property
    def key_usage(self) -> frozenset[int] | None:
        """The bits of keyUsage, or None where it has none."""
        extension = self.extensions.get(KEY_USAGE)
        return None if extension is None else der(extension.value, most=16).named_bits()

    @cached_property
    def _constraints(self) -> tuple[bool, int | None] | None:
        extension = self.extensions.get(BASIC_CONSTRAINTS)
        if extension is None:
            return None
        parts = list(der(extension.value, most=64).children())
        authority = bool(parts) and parts[0].tag == 1 and parts.pop(0).boolean()
        length = parts.pop(0).integer() if parts else None
        if parts or (length is not None and (length < 0 or not authority)):
            raise Refused(Code.MALFORMED, "a certificate's basicConstraints are not in their form")
        return authority, length


class RevocationList(NamedTuple):
    """A certificate revocation list, read but not yet checked. Times as in a certificate."""

    body: bytes
    algorithm: bytes
    signature: bytes
    issuer: bytes
    this_update: datetime
    next_update: datetime
    serials: frozenset[int]


# --- reading ---


def certificate(content: bytes) -> Certificate:
    """Exactly one certificate, DER or PEM.

    Raises:
        Refused: ``MALFORMED``.
    """
    found = certificates(content)
    if len(found) != 1:
        raise Refused(Code.MALFORMED, "there is more than one certificate where one belongs")
    return found[0]


def certificates(content: bytes) -> tuple[Certificate, ...]:
    """One certificate in DER, or up to 16 in PEM, in the order of the file; text between them is passed over.

    Raises:
        Refused: ``MALFORMED``, also where there is none.
    """
    if not content.startswith(b"\x30"):
        return tuple(map(certificate_from_der, _pem(content, b"CERTIFICATE", MOST_CERTIFICATES)))
    return (certificate_from_der(content),)


def revocation_list(content: bytes) -> RevocationList:
    """One revocation list, DER or PEM.

    Raises:
        Refused: ``MALFORMED``.
    """
    signed = _signed(revocation_list_der(content), limits.MAX_EVIDENCE_BYTES)
    parts = list(signed.body.children(most=7))
    if parts and parts[0].tag == 0x02 and parts.pop(0).integer() != 1:
        raise Refused(Code.UNSUPPORTED, "a revocation list is not of version 2")
    if len(parts) < 4 or parts[0].whole != signed.algorithm:
        raise Refused(Code.MALFORMED, "a revocation list lacks parts, or names two algorithms")
    _, issuer, this_update, next_update, *rest = parts
    issuer.children(most=_MOST_NAMES)
    serials: set[int] = set()
    if rest and rest[0].tag == 0x30:
        for entry in rest.pop(0).children(most=_MOST_REVOKED):
            fields = entry.children(most=3)
            if len(fields) < 2:
                raise Refused(Code.MALFORMED, "an entry of a revocation list lacks parts")
            # A critical entry extension (indirect lists) can give a serial to another issuer.
            if len(fields) == 3 and any(e.critical for e in _extensions(fields[2]).values()):
                raise Refused(Code.UNSUPPORTED, "a revocation list has a critical extension")
            serials.add(fields[0].integer())
    if rest:
        (wrapped,) = rest.pop(0).children(0xA0, most=1) or (None,)
        if wrapped is None or rest:
            raise Refused(Code.MALFORMED, "a revocation list is not in its form")
        if any(e.critical and not _complete(n, e) for n, e in _extensions(wrapped).items()):
            raise Refused(Code.UNSUPPORTED, "a revocation list is partial, or has a critical extension")
    return RevocationList(
        signed.body.whole,
        signed.algorithm,
        signed.signature,
        issuer.whole,
        this_update.time(),
        next_update.time(),
        frozenset(serials),
    )


def revocation_list_der(content: bytes) -> bytes:
    """The DER bytes of one revocation list, DER or PEM; nothing else of it is read.

    Raises:
        Refused: ``MALFORMED``.
    """
    if not content.startswith(b"\x30"):
        (content,) = _pem(content, b"X509 CRL", 1)
    return content


def certificate_from_der(content: bytes) -> Certificate:
    """Exactly one certificate, where a format has DER and nothing else.

    Raises:
        Refused: ``MALFORMED``.
    """
    signed = _signed(content, _MOST_BYTES)
    parts = list(signed.body.children(most=10))
    if len(parts) < 7 or parts[0].whole != b"\xa0\x03\x02\x01\x02":
        raise Refused(Code.MALFORMED, "a certificate is not of version 3")
    _, serial, algorithm, issuer, validity, subject, spki, *rest = parts
    for one, most in ((issuer, _MOST_NAMES), (subject, _MOST_NAMES), (spki, 2)):
        one.children(most=most)
    if algorithm.whole != signed.algorithm:  # else the outer one, which is not signed, could differ
        raise Refused(Code.MALFORMED, "a certificate names two signature algorithms")
    times = validity.children(most=2)
    wrapped = rest.pop(0).children(0xA3, most=1) if rest else ()
    if len(times) != 2 or rest or len(wrapped) > 1:
        raise Refused(Code.MALFORMED, "a certificate is not in its form")
    return Certificate(
        der=content,
        body=signed.body.whole,
        algorithm=signed.algorithm,
        signature=signed.signature,
        serial=serial.integer(),
        issuer=issuer.whole,
        subject=subject.whole,
        not_before=times[0].time(),
        not_after=times[1].time(),
        spki=spki.whole,
        extensions=_extensions(wrapped[0]) if wrapped else {},
    )


def _complete(name: str, extension: Extension) -> bool:
    """Whether it is an issuingDistributionPoint that says where the list is, and limits it in nothing."""
    if name != _ISSUING_DISTRIBUTION_POINT:
        return False
    return all(field.tag == 0xA0 for field in der(extension.value, most=4096).children(most=8))


def _signed(content: bytes, most: int) -> _Signed:
    parts = der(content, most=most).children(most=3)
    if len(parts) != 3:
        raise Refused(Code.MALFORMED, "a certificate or revocation list has not three parts")
    parts[1].children(most=2)
    return _Signed(parts[0], parts[1].whole, parts[2].bits())


def _extensions(element: Element) -> dict[str, Extension]:
    found: dict[str, Extension] = {}
    for entry in element.children(most=64):
        fields = list(entry.children(most=3))
        if len(fields) < 2:
            raise Refused(Code.MALFORMED, "an extension lacks parts")
        name = fields[0].oid()
        # An explicit FALSE is not DER, but means what its absence means, and issuers write it.
        critical = len(fields) == 3 and fields[1].boolean()
        if name in found:
            raise Refused(Code.MALFORMED, "a certificate has an extension twice")
        found[name] = Extension(critical, fields[-1].octets())
    return found


def _pem(content: bytes, label: bytes, most: int) -> list[bytes]:
    if len(content) > limits.MAX_EVIDENCE_BYTES:
        raise Refused(Code.MALFORMED, "a PEM file is too long")
    pattern = rb"-----BEGIN %b-----([A-Za-z0-9+/=\s]*)-----END %b-----" % (label, label)
    found = re.findall(pattern, content)
    if not 1 <= len(found) <= most or len(found) != content.count(b"-----BEGIN %b-----" % label):
        raise Refused(Code.MALFORMED, f"no {label.decode().lower()} in DER or PEM, too many, or a broken one")
    try:
        return [base64.b64decode(b"".join(block.split()), validate=True) for block in found]
    except binascii.Error:
        raise Refused(Code.MALFORMED, "a PEM block is not base64") from None
