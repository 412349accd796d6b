# SPDX-License-Identifier: Apache-2.0
"""Credentials for TPMs, made by whoever wants to know that two keys are in one TPM.

A secret is encrypted to an endorsement key and tied to the name of an attestation key, which is the hash of
that key's whole public area. The TPM of the endorsement key gives the secret out only if it also holds a key
of that name (TPM2_ActivateCredential). So who gives the secret back has shown that the attestation key is in
the TPM that the endorsement key's certificate names; and that the attributes in the public area are the key's
own, since the TPM computes the name itself.

Format and derivations: TPM 2.0 Library, part 1, "Credential protection" (24), KDFa (11.4.10) and annex B
(RSA: the seed by OAEP with SHA-256, label ``IDENTITY``); part 2, TPM2B_ID_OBJECT (12.4).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.tpm2.structures import EK_TEMPLATE, Public
from hitoku.attestation.tpm2.wire import sized
from hitoku.attestation.x509 import certificate

__all__ = ["challenge", "endorsement_key", "make_credential"]

_SECRET: Final = 32
_MODULUS: Final = 256


def challenge(identity: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """A credential for the TPM that an attester names as its own, and the fresh secret in it (32 bytes).

    Args:
        identity: ``ek`` and ``ak``, as `TpmAttester.identity` gives them.

    Raises:
        Refused: as `make_credential`; ``MISSING_ENDORSEMENT`` where one is not there.
    """
    if not {"ek", "ak"} <= identity.keys():
        raise Refused(
            Code.MISSING_ENDORSEMENT, "a TPM is named by its endorsement key and its attestation key"
        )
    secret = secrets.token_bytes(_SECRET)
    return make_credential(identity["ek"], identity["ak"], secret), secret


def make_credential(ek: bytes, ak: bytes, secret: bytes) -> bytes:
    """Encrypt a secret to the TPM that holds both keys (TPM2_MakeCredential).

    Whether the endorsement key is one to trust, this cannot tell: its certificate is the appraisal's.

    Args:
        ek: the endorsement key: a certificate, or TPM2B_PUBLIC of template L-1.
        ak: the attestation key's TPM2B_PUBLIC.
        secret: up to 32 bytes.

    Returns:
        TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, one after the other.

    Raises:
        Refused: ``MALFORMED`` or ``UNSUPPORTED`` for a key that cannot be read or is not of that template,
            ``POLICY`` for an attestation key that may sign what it likes.
    """
    if len(secret) > _SECRET:
        raise ValueError("a credential's secret has at most 32 bytes")
    public = Public.parse(ak)
    public.require_attestation_key()
    seed = secrets.token_bytes(_SECRET)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")
    encrypted_seed = endorsement_key(ek).encrypt(seed, oaep)
    cipher = Cipher(AES(_kdfa(seed, b"STORAGE", public.name, 128)), CFB(bytes(16))).encryptor()
    identity = cipher.update(sized(secret)) + cipher.finalize()
    integrity = hmac.digest(_kdfa(seed, b"INTEGRITY", b"", 256), identity + public.name, "sha256")
    return sized(sized(integrity) + identity) + sized(encrypted_seed)


def endorsement_key(ek: bytes) -> rsa.RSAPublicKey:
    """The endorsement key in a certificate (DER or PEM) or in a TPM2B_PUBLIC: RSA of 2048 bits.

    Raises:
        Refused: ``MALFORMED`` or ``UNSUPPORTED``.
    """
    if ek.startswith((b"\x30", b"-----BEGIN CERTIFICATE-----")):
        key = certificate(ek).public_key
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size != 8 * _MODULUS:
            raise Refused(Code.UNSUPPORTED, "an endorsement key is of template L-1: RSA of 2048 bits")
        return key
    raw = Public.parse(ek).raw
    if raw[:-_MODULUS] != EK_TEMPLATE[:-_MODULUS] or raw[-_MODULUS] < 0x80:
        raise Refused(Code.UNSUPPORTED, "an endorsement key is of template L-1: RSA of 2048 bits")
    try:
        return rsa.RSAPublicNumbers(65537, int.from_bytes(raw[-_MODULUS:])).public_key()
    except ValueError:
        raise Refused(Code.MALFORMED, "the endorsement key is no key") from None


def _kdfa(key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """KDFa with SHA-256 for up to 256 bits: one round of SP 800-108 in counter mode."""
    content = (1).to_bytes(4) + label + b"\0" + context + bits.to_bytes(4)
    return hmac.digest(key, content, hashlib.sha256)[: bits // 8]
