# SPDX-License-Identifier: Apache-2.0
"""CMS EnvelopedData in the one shape that AWS KMS answers a `Recipient` with (RFC 5652, RFC 3560).

EnvelopedData version 2 with one KeyTransRecipientInfo version 2 (by subjectKeyIdentifier), RSAES-OAEP with
SHA-256 and MGF1-SHA-256, AES-256-CBC. KMS may write BER (indefinite lengths, scattered octet strings), so
that is read, too; what is written here is DER. AES-CBC authenticates nothing: what is opened must be a key
whose use would fail if it were altered, or be authenticated around it, as released keys are.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hitoku.attestation.codes import Code, Refused

if TYPE_CHECKING:
    from asn1crypto.cms import EnvelopedData, KeyTransRecipientInfo

__all__ = ["key_identifier", "open_enveloped", "recipient_key", "seal_enveloped"]

_MOST: Final = 64 * 1024
_LEAST_BITS: Final = 2048
_BLOCK: Final = 16
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def open_enveloped(content: bytes, key: RSAPrivateKey) -> bytearray:
    """What is in it, to be wiped by the caller.

    Raises:
        Refused: ``MALFORMED``: another shape, or not for this key. Does not say which step of opening failed:
            that would be a padding oracle.
    """
    try:
        data = _read(content)
        recipient = _recipient(data)
        iv, encrypted = _content(data)
    except Refused:
        raise
    except Exception:  # asn1crypto raises many kinds, with parts of what it read
        raise _malformed("is not DER or BER of EnvelopedData") from None
    # Its identifier is not compared: how KMS derives it is not documented, and another's does not open.
    padded, whole = bytearray(), PKCS7(8 * _BLOCK).unpadder()
    try:
        secret = key.decrypt(recipient["encrypted_key"].native, _OAEP)
        cipher = Cipher(algorithms.AES256(secret), modes.CBC(iv)).decryptor()
        padded += cipher.update(encrypted) + cipher.finalize()
        return bytearray(whole.update(bytes(padded)) + whole.finalize())
    except ValueError:
        raise _malformed("cannot be opened with this key") from None
    finally:
        padded[:] = bytes(len(padded))


def seal_enveloped(plain: bytes | bytearray, key: RSAPublicKey) -> bytes:
    """EnvelopedData for one recipient, DER: what KMS answers in `CiphertextForRecipient`.

    Raises:
        Refused: ``UNSUPPORTED``: the key is shorter than 2048 bits.
    """
    from asn1crypto import algos, cms

    if key.key_size < _LEAST_BITS:
        raise Refused(Code.UNSUPPORTED, f"a recipient's RSA key has at least {_LEAST_BITS} bits")
    secret, iv = os.urandom(32), os.urandom(_BLOCK)
    whole = PKCS7(8 * _BLOCK).padder()
    cipher = Cipher(algorithms.AES256(secret), modes.CBC(iv)).encryptor()
    encrypted = cipher.update(whole.update(bytes(plain)) + whole.finalize()) + cipher.finalize()
    sha256 = {"algorithm": "sha256"}
    oaep = algos.RSAESOAEPParams(
        {"hash_algorithm": sha256, "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": sha256}}
    )
    recipient = cms.KeyTransRecipientInfo(
        {
            "version": "v2",
            "rid": cms.RecipientIdentifier("subject_key_identifier", key_identifier(key)),
            "key_encryption_algorithm": {"algorithm": "rsaes_oaep", "parameters": oaep},
            "encrypted_key": key.encrypt(secret, _OAEP),
        }
    )
    enveloped = cms.EnvelopedData(
        {
            "version": "v2",
            "recipient_infos": [cms.RecipientInfo("ktri", recipient)],
            "encrypted_content_info": {
                "content_type": "data",
                "content_encryption_algorithm": {"algorithm": "aes256_cbc", "parameters": iv},
                "encrypted_content": encrypted,
            },
        }
    )
    made: bytes = cms.ContentInfo({"content_type": "enveloped_data", "content": enveloped}).dump()
    return made


def recipient_key(public_key: bytes) -> RSAPublicKey:
    """The RSA key in an attestation document, as KMS takes it: DER SubjectPublicKeyInfo of 2048 bits or more.

    Raises:
        Refused: ``MALFORMED`` or ``UNSUPPORTED``.
    """
    try:
        key = serialization.load_der_public_key(public_key)
    except ValueError:
        raise Refused(Code.MALFORMED, "the recipient's public key cannot be read") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise Refused(Code.UNSUPPORTED, f"a recipient's key is RSA of at least {_LEAST_BITS} bits")
    return key


def key_identifier(key: RSAPublicKey) -> bytes:
    """The subject key identifier: SHA-1 of the public key's bits (RFC 5280, 4.2.1.2); only a name."""
    raw = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return hashlib.sha1(raw, usedforsecurity=False).digest()


def _read(content: bytes) -> EnvelopedData:
    from asn1crypto import cms

    if len(content) > _MOST:
        raise _malformed(f"is larger than {_MOST} bytes")
    info = cms.ContentInfo.load(content, strict=True)
    if info["content_type"].native != "enveloped_data":
        raise _malformed("is no EnvelopedData")
    data = info["content"]
    if data["version"].native != "v2" or len(data["recipient_infos"]) != 1:
        raise _malformed("is not of version 2 with one recipient")
    return data


def _recipient(data: EnvelopedData) -> KeyTransRecipientInfo:
    info = data["recipient_infos"][0]
    recipient = info.chosen
    if info.name != "ktri" or recipient["version"].native != "v2":
        raise _malformed("has another kind of recipient than a key transport of version 2")
    if recipient["rid"].name != "subject_key_identifier":
        raise _malformed("does not name its recipient by subjectKeyIdentifier")
    algorithm = recipient["key_encryption_algorithm"]
    if algorithm["algorithm"].native != "rsaes_oaep":
        raise _malformed("does not use RSAES-OAEP")
    parameters = algorithm["parameters"]
    mask = parameters["mask_gen_algorithm"]
    used: list[Any] = [
        parameters["hash_algorithm"]["algorithm"].native,
        mask["algorithm"].native,
        mask["parameters"]["algorithm"].native,
        parameters["p_source_algorithm"]["parameters"].native,
    ]
    if used != ["sha256", "mgf1", "sha256", b""]:
        raise _malformed("does not use OAEP with SHA-256 and MGF1-SHA-256")
    return recipient


def _content(data: EnvelopedData) -> tuple[bytes, bytes]:
    """Initialisation vector and encrypted content."""
    content = data["encrypted_content_info"]
    algorithm = content["content_encryption_algorithm"]
    if content["content_type"].native != "data" or algorithm["algorithm"].native != "aes256_cbc":
        raise _malformed("is not data under AES-256-CBC")
    iv, encrypted = algorithm["parameters"].native, content["encrypted_content"].native
    if len(iv) != _BLOCK or not encrypted or len(encrypted) % _BLOCK:
        raise _malformed("has a content of another length than AES-CBC makes")
    return iv, encrypted


def _malformed(what: str) -> Refused:
    return Refused(Code.MALFORMED, f"the CMS message {what}")
