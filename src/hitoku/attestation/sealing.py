# SPDX-License-Identifier: Apache-2.0
"""What both sides of a release of keys compute alike: the binding, what is signed, what is sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from hitoku.attestation.binding import Binding, bound
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence
from hitoku.room.canonical import canonical_json, digest
from hitoku.transport.attested import Challenged

__all__ = [
    "KEY_BYTES",
    "Form",
    "challenge_bytes",
    "evidence_hash",
    "release_binding",
    "released_bytes",
    "seal_keys",
    "unseal_parts",
    "wipe",
]

KEY_BYTES: Final = 32
_ENC_BYTES: Final = 32
# All that a member signs begins with the name of its kind, so that no signature is taken for another's.
_CHALLENGED: Final = "hitoku/challenged/1"
_RELEASED: Final = "hitoku/key-released/1"
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Form:
    """How a key stands in what is sealed."""

    RAW: Final = 0
    CMS: Final = 1
    """CMS EnvelopedData for the RSA key in Nitro evidence: KMS sealed it, the broker never saw the key."""


def release_binding(
    *,
    nonce: bytes,
    challenge: str,
    room: str,
    run: str,
    host: str,
    broker: str,
    keys: Mapping[str, str],
    public_key: bytes,
    signing_key: bytes,
) -> Binding:
    """What evidence that asks for keys must be bound to.

    Args:
        nonce: the challenge's 32 bytes.
        challenge: its id.
        room: the agreement's hash.
        run: the run's id.
        host: the member at whom the worker runs.
        broker: the owner whose keys they are.
        keys: table -> id of its key.
        public_key: X25519, 32 bytes, what the keys are sealed for.
        signing_key: Ed25519, 32 bytes, what signs the worker's statement of deletion.
    """
    named = [part.encode() for table in sorted(keys) for part in (table, keys[table])]
    texts = [text.encode() for text in ("worker", challenge, room, run, host, broker)]
    parts = [nonce, *texts, len(keys).to_bytes(8, "big"), *named, public_key, signing_key]
    return Binding(nonce, bound("hitoku/key-release/1", parts))


def evidence_hash(evidence: Evidence) -> str:
    """The name of a piece of evidence in ledgers and results: ``sha256:`` and 64 hexadecimal digits."""
    return digest("hitoku/evidence/1", canonical_json(evidence.to_dict()))


def challenge_bytes(message: Challenged, room: str, host: str, broker: str) -> bytes:
    """The bytes that a broker signs of a challenge."""
    facts = message.model_dump(mode="json", exclude={"signature"})
    parts = [canonical_json(facts), *(text.encode() for text in (room, host, broker))]
    return _CHALLENGED.encode() + b"\n" + bound(_CHALLENGED, parts)


def released_bytes(challenge: str, enc: bytes, ciphertext: bytes, ear: str, binding: Binding) -> bytes:
    """The bytes that a broker signs of a release."""
    parts = [challenge.encode(), enc, ciphertext, ear.encode(), binding.digest]
    return _RELEASED.encode() + b"\n" + bound(_RELEASED, parts)


def seal_keys(
    public_key: bytes, keys: Sequence[tuple[int, bytes | bytearray]], binding: Binding, ear: str
) -> tuple[bytes, bytes]:
    """Seal keys for a worker. Returns HPKE's encapsulated key (32 bytes) and the ciphertext.

    Args:
        public_key: the worker's X25519 key.
        keys: form and content of each, in the order of the tables' names.
        binding: of the evidence; a part of HPKE's info, as the EAR is.
        ear: the result of the appraisal.

    Raises:
        Refused: the public key is none.
    """
    plain = bytearray()
    try:
        for form, content in keys:
            plain += form.to_bytes(1, "big") + len(content).to_bytes(4, "big") + content
        key = X25519PublicKey.from_public_bytes(public_key)
        sealed = _SUITE.encrypt(plain, key, _info(binding, ear))
    except ValueError:  # a point of small order
        raise Refused(Code.MALFORMED, "the worker's public key is no X25519 key") from None
    finally:
        wipe(plain)
    return sealed[:_ENC_BYTES], sealed[_ENC_BYTES:]


def unseal_parts(
    private: X25519PrivateKey, enc: bytes, ciphertext: bytes, binding: Binding, ear: str
) -> list[tuple[int, bytearray]]:
    """Form and content of each key that `seal_keys` sealed, in its order; to be wiped by the caller.

    Raises:
        Refused: ``BINDING``: sealed for another, or altered on the way.
    """
    try:
        plain = bytearray(_SUITE.decrypt(enc + ciphertext, private, _info(binding, ear)))
    except (InvalidTag, ValueError):
        raise Refused(Code.BINDING, "the keys were sealed for another worker, or altered") from None
    try:
        return _parts(plain)
    finally:
        wipe(plain)


def wipe(*keys: bytearray) -> None:
    """Overwrite keys in memory. Copies that Python or a library made are not reached: hygiene, no proof."""
    for key in keys:
        key[:] = bytes(len(key))


def _info(binding: Binding, ear: str) -> bytes:
    return bound("hitoku/key-seal/1", [binding.digest, ear.encode()])


def _parts(plain: bytearray) -> list[tuple[int, bytearray]]:
    found, at = [], 0
    while at < len(plain):
        end = at + 5 + int.from_bytes(plain[at + 1 : at + 5], "big")
        if end > len(plain):
            raise Refused(Code.MALFORMED, "the released keys break off")
        found.append((plain[at], plain[at + 5 : end]))
        at = end
    return found
