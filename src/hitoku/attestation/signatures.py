# SPDX-License-Identifier: Apache-2.0
"""Signatures as certificates name them, and raw ECDSA pairs as evidence carries them.

Which algorithms are taken is a short table: no SHA-1, no RSA below 2048 bits (`Certificate.public_key`), no
parameters but the standard ones. An algorithm is never taken from the signer's word where a format fixes it:
Nitro and SNP call `verify_pair` with theirs.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.strict import Element, der

__all__ = ["verify_pair", "verify_signature"]

_Hash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

_ECDSA: Final[dict[str, _Hash]] = {
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}
_PKCS1: Final[dict[str, _Hash]] = {
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_HASHES: Final[dict[str, _Hash]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_PSS: Final = "1.2.840.113549.1.1.10"
_MGF1: Final = "1.2.840.113549.1.1.8"
_NULL: Final = b"\x05\x00"


def verify_signature(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, algorithm: bytes, signature: bytes, body: bytes
) -> bool:
    """Whether that key signed the body.

    Args:
        key: the signer's.
        algorithm: AlgorithmIdentifier, DER.
        signature: DER pair (ECDSA) or bytes (RSA).
        body: what was signed.

    Raises:
        Refused: ``UNSUPPORTED`` for an algorithm that is not in the table or not of the key's kind, or
            ``MALFORMED``.
    """
    name, parameters = _algorithm(der(algorithm, most=256))
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            if name not in _ECDSA or parameters is not None:
                raise _unsupported()
            key.verify(signature, body, ec.ECDSA(_ECDSA[name]))
        elif name == _PSS and parameters is not None:
            hashed = _pss(parameters)
            salted = padding.PSS(padding.MGF1(hashed), hashed.digest_size)
            key.verify(signature, body, salted, hashed)
        else:
            if name not in _PKCS1 or parameters is None or parameters.whole != _NULL:
                raise _unsupported()
            key.verify(signature, body, padding.PKCS1v15(), _PKCS1[name])
    except InvalidSignature:
        return False
    return True


def verify_pair(key: ec.EllipticCurvePublicKey, r: int, s: int, body: bytes, hashed: _Hash) -> bool:
    """Whether that key made the ECDSA signature (r, s) of the body.

    Numbers outside 1 .. order - 1 are refused here, before any library sees them; OpenSSL refuses them, too.
    """
    order = _ORDERS[key.curve.name]
    if not (0 < r < order and 0 < s < order):
        return False
    try:
        key.verify(encode_dss_signature(r, s), body, ec.ECDSA(hashed))
    except InvalidSignature:
        return False
    return True


_ORDERS: Final = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        16,
    ),
    "secp521r1": int(
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        16,
    ),
}
"""Orders of the curves' base points (SEC 2, 2.4.2, 2.5.1 and 2.6.1)."""


def _algorithm(element: Element) -> tuple[str, Element | None]:
    parts = element.children(most=2)
    if not parts:
        raise Refused(Code.MALFORMED, "an algorithm without its name")
    return parts[0].oid(), parts[1] if len(parts) == 2 else None


def _pss(parameters: Element) -> _Hash:
    """The hash of RSASSA-PSS-params (RFC 4055 section 3.1): one for both uses, with a salt of its size."""
    parts = parameters.children(most=4)
    fields = {field.tag: field for field in parts}
    if len(fields) != len(parts) or not {0xA0, 0xA1, 0xA2} <= fields.keys() <= {0xA0, 0xA1, 0xA2, 0xA3}:
        raise _unsupported()  # what is left out means SHA-1
    inner = {tag: field.children(tag, most=1) for tag, field in fields.items()}
    if not all(inner.values()):
        raise _unsupported()
    hashed = _hash(inner[0xA0][0])
    mask, masked = _algorithm(inner[0xA1][0])
    if mask != _MGF1 or masked is None or _hash(masked).name != hashed.name:
        raise _unsupported()
    if inner[0xA2][0].integer() != hashed.digest_size or (0xA3 in inner and inner[0xA3][0].integer() != 1):
        raise _unsupported()
    return hashed


def _hash(element: Element) -> _Hash:
    name, parameters = _algorithm(element)
    if name not in _HASHES or (parameters is not None and parameters.whole != _NULL):
        raise _unsupported()
    return _HASHES[name]


def _unsupported() -> Refused:
    return Refused(Code.UNSUPPORTED, "a signature's algorithm is not one that is verified here")
