# SPDX-License-Identifier: Apache-2.0
"""Signatures: the short table of algorithms, and the numbers that no signature may have."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.attestation_pki import ec_key, integer, rsa_key, sign_pair, tlv

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.signatures import verify_pair, verify_signature

BODY = b"body"
NULL = b"\x05\x00"
HASHES = {
    "sha256": (hashes.SHA256(), "608648016503040201"),
    "sha384": (hashes.SHA384(), "608648016503040202"),
    "sha512": (hashes.SHA512(), "608648016503040203"),
}


def algorithm(oid: str, parameters: bytes = b"") -> bytes:
    return tlv(0x30, tlv(0x06, bytes.fromhex(oid)) + parameters)


def pss(
    name: str = "sha384",
    *,
    mask: str | None = None,
    salt: int | None = None,
    null: bytes = NULL,
    trailer: bytes = b"",
    mgf: str = "2a864886f70d010108",
) -> bytes:
    hashed, oid = HASHES[name]
    fields = tlv(0xA0, algorithm(oid, null))
    fields += tlv(0xA1, algorithm(mgf, algorithm(HASHES[mask or name][1], null)))
    fields += tlv(0xA2, integer(hashed.digest_size if salt is None else salt)) + trailer
    return algorithm("2a864886f70d01010a", tlv(0x30, fields))


@pytest.mark.parametrize(
    ("oid", "name"),
    [("2a8648ce3d040302", "sha256"), ("2a8648ce3d040303", "sha384"), ("2a8648ce3d040304", "sha512")],
)
def test_ecdsa(oid: str, name: str) -> None:
    key = ec_key("one")
    signature = key.sign(BODY, ec.ECDSA(HASHES[name][0]))
    assert verify_signature(key.public_key(), algorithm(oid), signature, BODY)
    assert not verify_signature(key.public_key(), algorithm(oid), signature, BODY + b"!")
    assert not verify_signature(ec_key("two").public_key(), algorithm(oid), signature, BODY)
    assert not verify_signature(key.public_key(), algorithm(oid), signature[:-1], BODY)
    with pytest.raises(Refused) as caught:
        verify_signature(key.public_key(), algorithm(oid, NULL), signature, BODY)
    assert caught.value.code is Code.UNSUPPORTED


@pytest.mark.parametrize(("last", "name"), [("0b", "sha256"), ("0c", "sha384"), ("0d", "sha512")])
def test_rsa(last: str, name: str) -> None:
    key, oid = rsa_key("one"), "2a864886f70d0101" + last
    signature = key.sign(BODY, padding.PKCS1v15(), HASHES[name][0])
    assert verify_signature(key.public_key(), algorithm(oid, NULL), signature, BODY)
    assert not verify_signature(key.public_key(), algorithm(oid, NULL), signature, b"other")
    with pytest.raises(Refused) as caught:
        verify_signature(key.public_key(), algorithm(oid), signature, BODY)
    assert caught.value.code is Code.UNSUPPORTED


@pytest.mark.parametrize("name", HASHES)
def test_rsa_pss(name: str) -> None:
    key, hashed = rsa_key("one"), HASHES[name][0]
    signature = key.sign(BODY, padding.PSS(padding.MGF1(hashed), hashed.digest_size), hashed)
    for named in (pss(name), pss(name, null=b""), pss(name, trailer=tlv(0xA3, integer(1)))):
        assert verify_signature(key.public_key(), named, signature, BODY)
        assert not verify_signature(key.public_key(), named, signature, b"other")


PSS_FIELDS = [
    tlv(0xA0, algorithm(HASHES["sha384"][1], NULL)),
    tlv(0xA1, algorithm("2a864886f70d010108", algorithm(HASHES["sha384"][1], NULL))),
    tlv(0xA2, integer(48)),
]


@pytest.mark.parametrize(
    "fields",
    [
        *(PSS_FIELDS[:i] + PSS_FIELDS[i + 1 :] for i in range(3)),
        *(
            [*PSS_FIELDS, extra]
            for extra in (tlv(0xA4, integer(1)), PSS_FIELDS[0], PSS_FIELDS[2], tlv(0xA3, b""))
        ),
        *([*PSS_FIELDS[:i], tlv(0xA0 + i, b""), *PSS_FIELDS[i + 1 :]] for i in range(3)),
        [PSS_FIELDS[0], tlv(0xA1, algorithm("2a864886f70d010108")), PSS_FIELDS[2]],
        [tlv(0xA0, algorithm("2a864886f70d0205", NULL)), *PSS_FIELDS[1:]],
    ],
)
def test_parameters_of_pss_are_all_there_and_once(fields: list[bytes]) -> None:
    key = rsa_key("one")
    good = algorithm("2a864886f70d01010a", tlv(0x30, b"".join(PSS_FIELDS)))
    signature = key.sign(BODY, padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384())
    assert verify_signature(key.public_key(), good, signature, BODY)
    with pytest.raises(Refused) as caught:
        verify_signature(
            key.public_key(), algorithm("2a864886f70d01010a", tlv(0x30, b"".join(fields))), signature, BODY
        )
    assert caught.value.code is Code.UNSUPPORTED


def test_a_salt_of_another_size_does_not_pass() -> None:
    key, hashed = rsa_key("one"), hashes.SHA384()
    signature = key.sign(BODY, padding.PSS(padding.MGF1(hashed), 20), hashed)
    assert not verify_signature(key.public_key(), pss(), signature, BODY)


@pytest.mark.parametrize(
    "named",
    [
        pss(mask="sha256"),
        pss(salt=20),
        pss(mgf="2a864886f70d010109"),
        pss(trailer=tlv(0xA3, integer(2))),
        pss(null=b"\x04\x00"),
        algorithm("2a864886f70d01010a", tlv(0x30, b"")),
        algorithm("2a864886f70d01010a", tlv(0x30, tlv(0xA0, b"") + tlv(0xA1, b"") + tlv(0xA2, b""))),
        algorithm("2a864886f70d01010a", tlv(0x30, b"".join(tlv(t, integer(1)) for t in (0xA0, 0xA1, 0xA4)))),
        algorithm("2a864886f70d01010a"),
        algorithm("2a864886f70d010105", NULL),  # SHA-1
        algorithm("2a864886f70d010104", NULL),  # MD5
        algorithm("2a8648ce3d040303"),  # of the other kind of key
    ],
)
def test_other_algorithms_of_rsa_are_refused(named: bytes) -> None:
    with pytest.raises(Refused):
        verify_signature(rsa_key("one").public_key(), named, bytes(256), BODY)


@pytest.mark.parametrize(
    "named", [algorithm("2a8648ce3d0401"), algorithm("2b6570"), algorithm("2a864886f70d01010b", NULL), pss()]
)
def test_other_algorithms_of_ec_are_refused(named: bytes) -> None:
    with pytest.raises(Refused) as caught:
        verify_signature(ec_key("one").public_key(), named, bytes(96), BODY)
    assert caught.value.code is Code.UNSUPPORTED


def test_an_algorithm_without_a_name_is_malformed() -> None:
    for named in (b"\x30\x00", b"", b"\x30\x02\x05\x00"):
        with pytest.raises(Refused) as caught:
            verify_signature(ec_key("one").public_key(), named, bytes(96), BODY)
        assert caught.value.code is Code.MALFORMED


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_orders_are_the_curves(curve: ec.EllipticCurve) -> None:
    """n - 1 is the largest private key, and n is none."""
    from hitoku.attestation.signatures import _ORDERS

    order = _ORDERS[curve.name]
    ec.derive_private_key(order - 1, curve)
    with pytest.raises(ValueError):
        ec.derive_private_key(order, curve)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_pairs_on_each_curve(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    r, s = decode_dss_signature(key.sign(BODY, ec.ECDSA(hashes.SHA256())))
    assert verify_pair(key.public_key(), r, s, BODY, hashes.SHA256()) is True
    assert verify_pair(key.public_key(), r, s, b"other", hashes.SHA256()) is False
    assert verify_pair(key.public_key(), 0, s, BODY, hashes.SHA256()) is False


def test_pairs() -> None:
    key = ec_key("one")
    r, s = sign_pair(key, BODY)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
    assert verify_pair(key.public_key(), r, s, BODY, hashes.SHA384())
    assert verify_pair(key.public_key(), r, order - s, BODY, hashes.SHA384())  # ECDSA has two of each
    for bad in (
        (0, s),
        (r, 0),
        (0, 0),
        (order, s),
        (r, order),
        (r + order, s),
        (r, s + order),
        (-r, s),
        (s, r),
    ):
        assert not verify_pair(key.public_key(), *bad, BODY, hashes.SHA384())
    assert not verify_pair(key.public_key(), r, s, BODY, hashes.SHA256())
    assert not verify_pair(ec_key("two").public_key(), r, s, BODY, hashes.SHA384())
    assert isinstance(rsa_key("one"), rsa.RSAPrivateKey)
