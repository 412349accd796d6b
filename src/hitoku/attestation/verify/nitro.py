# SPDX-License-Identifier: Apache-2.0
"""AWS Nitro Enclaves: the attestation document of the Nitro Security Module.

Format: COSE_Sign1 (RFC 9052 section 4.2) around a CBOR map, as `docs/attestation_process.md` of
aws-nitro-enclaves-nsm-api and the AWS page "Verifying the root of trust" give it. What AWS's pages leave
open, and what real documents show, is decided here like this:

- Absent optional fields are ``null``, though the page says that none is: both count as absent.
- The envelope comes with and without the tag 18.
- The page bounds ``user_data`` and ``nonce`` by 512 bytes in one place and by 1024 in another: 1024 is taken.
- There is no revocation ("must be disabled"); leaves live for three hours instead.

Assumptions: ECDSA P-384 and SHA-384 are not forged; AWS's root key signs only Nitro hardware, whose
hypervisor tells the truth. Then a document that passes was made by an enclave of those measurements, not in
debug mode, within its certificate's three hours. That it answers *our* challenge is
`hitoku.attestation.binding`'s, and that the measurements are those of a known program is the appraisal's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hitoku.attestation import roots, x509
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence
from hitoku.attestation.signatures import verify_pair
from hitoku.attestation.strict import Tagged, cbor, der, encode_cbor

__all__ = ["Document", "document_in_certificate", "parse", "verify", "verify_against"]

_MOST_PAYLOAD: Final = 16384
_MOST_CERTIFICATE: Final = 1024
_MOST_FIELD: Final = 1024
_MOST_BUNDLE: Final = x509.MOST_CERTIFICATES - 1
_COSE_SIGN1: Final = 18
_ES384: Final = -35
_REQUIRED: Final = {"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"}
_OPTIONAL: Final = {"public_key", "user_data", "nonce"}
_SKEW: Final = timedelta(minutes=5)
"""How far the hypervisor's clock may be ahead of ours."""
_SUBJECT_ALT_NAME: Final = "2.5.29.17"
_DNS_NAME: Final = 0x82


@dataclass(frozen=True, slots=True)
class Document:
    """An attestation document, read but not yet checked.

    Attributes:
        module_id: names the enclave.
        made_at: the hypervisor's time.
        pcrs: register -> value of 32, 48 or 64 bytes.
        certificate: DER of the leaf that signs.
        bundle: DER of the root and what lies between, root first.
        public_key: a key that the enclave chose, or None.
        user_data: bytes that it chose, or None.
        nonce: what it was given to answer, or None.
        signed: the bytes that are signed.
        signature: r and s, 96 bytes.
    """

    module_id: str
    made_at: datetime
    pcrs: Mapping[int, bytes]
    certificate: bytes
    bundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    signed: bytes
    signature: bytes


def verify(evidence: Evidence, now: datetime) -> Claims:
    """Check a document against AWS's root. Needs no endorsements.

    Where the endorsement ``certificate`` is given (a TLS certificate that carried the document, or was made
    by the enclave), the document must also be bound to its key.

    Raises:
        Refused: with the code of what does not hold.
    """
    return verify_against(evidence, now, roots.AWS_NITRO)


def verify_against(evidence: Evidence, now: datetime, pins: Collection[str]) -> Claims:
    """`verify` with other roots, by fingerprint: for a test's own hierarchy. Nothing else calls it."""
    document = parse(evidence.content)
    chain = [x509.certificate_from_der(c) for c in (document.certificate, *reversed(document.bundle))]
    window = x509.walk(chain, pins, now)
    _check_leaf(chain[0])
    _check_signature(document, chain[0])
    if document.made_at > now + _SKEW:
        raise Refused(Code.NOT_YET, f"the document was made at {document.made_at:%Y-%m-%dT%H:%M:%SZ}")
    _check_debug(document.pcrs)
    carrier = evidence.endorsements.get("certificate")
    if carrier is not None:
        _check_carrier(document, x509.certificate(carrier))
    return Claims(
        kind=evidence.kind,
        measurements={f"pcr{index}": value.hex() for index, value in sorted(document.pcrs.items())},
        report_data=document.user_data or b"",
        software_rooted=False,
        nonce=document.nonce,
        public_key=document.public_key,
        hardware_model="AWS Nitro Enclave",
        hardware_id=_parent_instance(document),
        not_before=window.not_before,
        not_after=window.not_after,
        made_at=document.made_at,
        extra={"module_id": document.module_id},
        not_checked=("Revocation: AWS publishes no revocation lists for these certificates.",),
    )


# --- reading ---


def parse(content: bytes) -> Document:
    """Read a document, strictly.

    Raises:
        Refused: ``MALFORMED``, or ``UNSUPPORTED`` for a NitroTPM document.
    """
    envelope = cbor(content, most=_MOST_PAYLOAD + 256, tags={_COSE_SIGN1})
    if isinstance(envelope, Tagged):
        envelope = envelope.value
    if not isinstance(envelope, list) or len(envelope) != 4:
        raise _malformed("it is no COSE_Sign1: an array of four")
    protected, unprotected, payload, signature = envelope
    if not isinstance(protected, bytes) or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise _malformed("its header, payload or signature are no bytes")
    if cbor(protected, most=64) != {1: _ES384} or unprotected != {}:  # the format has no other algorithm
        raise _malformed("its headers name something else than ES384")
    if not 1 <= len(payload) <= _MOST_PAYLOAD:
        raise _malformed(f"its payload is not of 1 to {_MOST_PAYLOAD} bytes")
    if len(signature) != 96:
        raise _malformed("its signature is not of 96 bytes")
    fields = cbor(payload, most=_MOST_PAYLOAD)
    if not isinstance(fields, dict):
        raise _malformed("its payload is no map")
    if "nitrotpm_pcrs" in fields:
        raise Refused(Code.UNSUPPORTED, "a NitroTPM document; only documents of Nitro Enclaves are verified")
    # Sig_structure of RFC 9052 section 4.4, without external data.
    signed = encode_cbor(["Signature1", protected, b"", payload])
    return _document(fields, signed, signature)


def _document(fields: Mapping[Any, Any], signed: bytes, signature: bytes) -> Document:
    if not _REQUIRED <= fields.keys() <= _REQUIRED | _OPTIONAL:
        raise _malformed("its payload lacks a field, or has one that is not known")
    module_id, made = fields["module_id"], fields["timestamp"]
    if not isinstance(module_id, str) or not 1 <= len(module_id) <= 256:
        raise _malformed("`module_id` is no text")
    if fields["digest"] != "SHA384":
        raise _malformed("`digest` is not SHA384")
    if not isinstance(made, int) or isinstance(made, bool) or not 0 < made < 1 << 47:  # the year 6429
        raise _malformed("`timestamp` is no time")
    bundle = fields["cabundle"]
    if not isinstance(bundle, list) or not 1 <= len(bundle) <= _MOST_BUNDLE:
        raise _malformed(f"`cabundle` is no list of 1 to {_MOST_BUNDLE} certificates")
    return Document(
        module_id=module_id,
        made_at=datetime.fromtimestamp(made / 1000, UTC),
        pcrs=_registers(fields["pcrs"]),
        certificate=_piece(fields["certificate"], "certificate", 1, _MOST_CERTIFICATE),
        bundle=tuple(_piece(c, "cabundle", 1, _MOST_CERTIFICATE) for c in bundle),
        public_key=_optional(fields, "public_key", 1),
        user_data=_optional(fields, "user_data", 0),
        nonce=_optional(fields, "nonce", 0),
        signed=signed,
        signature=signature,
    )


def _registers(value: object) -> dict[int, bytes]:
    if not isinstance(value, dict) or not 1 <= len(value) <= 32:
        raise _malformed("`pcrs` is no map of 1 to 32 registers")
    for index, register in value.items():
        if not isinstance(index, int) or not 0 <= index <= 31:
            raise _malformed("`pcrs` has a register that is none of 0 to 31")
        if not isinstance(register, bytes) or len(register) not in {32, 48, 64}:
            raise _malformed("`pcrs` has a value that is not of 32, 48 or 64 bytes")
    return value


def _optional(fields: Mapping[Any, Any], name: str, least: int) -> bytes | None:
    value = fields.get(name)
    return None if value is None else _piece(value, name, least, _MOST_FIELD)


def _piece(value: object, name: str, least: int, most: int) -> bytes:
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        raise _malformed(f"`{name}` is not of {least} to {most} bytes")
    return value


def _malformed(what: str) -> Refused:
    return Refused(Code.MALFORMED, f"not an attestation document of Nitro: {what}")


# --- checking ---


def _check_leaf(leaf: x509.Certificate) -> None:
    """What AWS says of its leaf beyond what holds for any: it says itself that it is none but a signer."""
    if leaf.authority is not False or leaf.key_usage is None:
        raise Refused(Code.CHAIN, "the document's certificate does not say that it is no authority")


def _check_signature(document: Document, leaf: x509.Certificate) -> None:
    key = leaf.public_key
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise Refused(Code.CHAIN, "the document's certificate has no P-384 key")
    r, s = (int.from_bytes(document.signature[i : i + 48], "big") for i in (0, 48))
    if not verify_pair(key, r, s, document.signed, hashes.SHA384()):
        raise Refused(Code.SIGNATURE, "the document's signature is wrong")


def _check_debug(pcrs: Mapping[int, bytes]) -> None:
    """In debug mode an enclave's console is readable and registers 0 to 2 are zero; all else looks alike."""
    for index in (0, 1, 2):
        if index not in pcrs:
            raise _malformed(f"it has no register {index}, so it does not tell debug mode")
        if not any(pcrs[index]):
            raise Refused(Code.DEBUG, f"the enclave runs in debug mode (PCR{index} is zero)")


def _check_carrier(document: Document, carrier: x509.Certificate) -> None:
    if carrier.spki not in {document.user_data, document.public_key}:
        raise Refused(Code.BINDING, "the document is not bound to the key of the certificate that carries it")


def _parent_instance(document: Document) -> str | None:
    """The EC2 instance, where the enclave's name and PCR4, SHA-384(48 zero bytes || instance), agree."""
    found = re.fullmatch(r"(i-[0-9a-f]{8,32})-enc[0-9a-f]+", document.module_id)
    if found is None:
        return None
    expected = hashlib.sha384(bytes(48) + found[1].encode()).digest()
    return found[1] if document.pcrs.get(4) == expected else None


# --- documents inside certificates ---


def document_in_certificate(carrier: x509.Certificate) -> bytes | None:
    """The document that a TLS certificate of an enclave carries, or None.

    Such a certificate has a dNSName among its subject's alternative names whose first label is the document
    in hexadecimal (``<hex>.<enclave>.<domain>``): the enclave's way to show it in a TLS handshake. Only the
    longest name is looked at, since a certificate has one.

    Raises:
        Refused: ``MALFORMED`` where the alternative names cannot be read.
    """
    extension = carrier.extensions.get(_SUBJECT_ALT_NAME)
    if extension is None:
        return None
    names = der(extension.value, most=1 << 16).children(most=256)
    longest = max((n.content for n in names if n.tag == _DNS_NAME), key=len, default=b"")
    label = longest.split(b".", 1)[0]
    if len(label) < 1024 or not re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", label):
        return None
    return bytes.fromhex(label.decode())
