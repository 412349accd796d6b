# SPDX-License-Identifier: Apache-2.0
r"""The release of data keys to a worker: what both sides agree on, and the worker's side.

Two round trips, carried by the run's host, whom nobody trusts::

    worker                        host             owner's broker
    KeyRequest.challenge()  ---------------------->  Broker.challenge
    KeyRequest.answer(...)  <----------------------  nonce, key ids, signed
                            ---------------------->  Broker.release: nonce used up, evidence appraised
    KeyRequest.open(...)    <----------------------  keys sealed for the worker, signed

What holds, and why. The evidence is bound (`release_binding`) to the challenge's nonce, the agreement, the
run, its host, the broker, the ids of the keys and both of the worker's public keys: it is good for nothing
else, and whoever holds the private key of what the keys are sealed for is the program that the evidence
measures. HPKE (RFC 9180) in base mode hides the keys from the host but does not say who sealed (section 9.1:
only the modes with authentication do), so the broker signs challenge, encapsulated key and ciphertext with
its member's Ed25519 key, and the worker takes that key from the room that it verified itself. Assumed: HPKE
is IND-CCA2, Ed25519 unforgeable, SHA-512 collision-resistant, and the platform's evidence is what it says.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hitoku.attestation.attest import Attester
from hitoku.attestation.binding import Binding
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Kind
from hitoku.attestation.sealing import (
    KEY_BYTES,
    Form,
    challenge_bytes,
    release_binding,
    released_bytes,
    unseal_parts,
    wipe,
)
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import agreement_hash
from hitoku.room.keys import valid_signature
from hitoku.transport import messages
from hitoku.transport.attested import Challenge, Challenged, KeyReleased, ReleaseKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["KEY_BYTES", "KeyRequest", "WorkerKeys", "release_binding", "wipe"]


class WorkerKeys:
    """A worker's own two key pairs: made in its memory, never written, one pair for all brokers of its run.

    Attributes:
        public_key: X25519, 32 bytes: released keys are sealed for it.
        signing_key: Ed25519, 32 bytes: signs the statement of deletion.
    """

    def __init__(self) -> None:
        self._private: X25519PrivateKey | None = X25519PrivateKey.generate()
        self._signing: Ed25519PrivateKey | None = Ed25519PrivateKey.generate()
        self._recipient: RSAPrivateKey | None = None
        self.public_key = self._private.public_key().public_bytes_raw()
        self.signing_key = self._signing.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"WorkerKeys(signing_key={self.signing_key.hex()})"

    def recipient(self) -> bytes:
        """An RSA public key (DER, SubjectPublicKeyInfo) for AWS KMS, which seals for no other kind."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        if self._recipient is None:
            self._recipient = rsa.generate_private_key(65537, 2048)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._recipient.public_key().public_bytes(serialization.Encoding.DER, form)

    def sign(self, message: bytes) -> bytes:
        """Sign with the Ed25519 key that the evidence was bound to. Returns 64 bytes.

        Raises:
            ValueError: the keys were forgotten.
        """
        if self._signing is None:
            raise ValueError("the worker's keys were forgotten")
        return self._signing.sign(message)

    def unseal(self, enc: bytes, ciphertext: bytes, binding: Binding, ear: str) -> list[bytearray]:
        """The keys that `seal_keys` sealed, in its order.

        Raises:
            Refused: ``BINDING``: sealed for another, or altered on the way.
        """
        if self._private is None:
            raise ValueError("the worker's keys were forgotten")
        parts = unseal_parts(self._private, enc, ciphertext, binding, ear)
        return [self._key(form, content) for form, content in parts]

    def forget(self) -> None:
        """Drop the private keys. What their memory held goes with the process."""
        self._private = self._signing = self._recipient = None

    def _key(self, form: int, content: bytearray) -> bytearray:
        if form == Form.CMS and self._recipient is not None:
            from hitoku.attestation import cms

            key = cms.open_enveloped(bytes(content), self._recipient)
        elif form == Form.RAW:
            key = content
        else:
            raise Refused(Code.UNSUPPORTED, "a released key has a form that is not known here")
        if len(key) != KEY_BYTES:
            raise Refused(Code.MALFORMED, f"a released key is not {KEY_BYTES} bytes long")
        return key


class KeyRequest:
    """A worker's request to one owner's broker. Use its three methods in their order, once.

    Args:
        agreement: of the room, which the worker verified itself: who the broker's member is and its key.
        broker: the owner who is asked.
        host: the member at whom this worker runs.
        run: the run's id.
        keys: the worker's.
        attester: makes the evidence.
    """

    def __init__(
        self, agreement: Agreement, broker: str, host: str, run: str, keys: WorkerKeys, attester: Attester
    ) -> None:
        member = agreement.member(broker)
        if member is None:
            raise Refused(Code.BINDING, f"{broker!r} is no member of the room")
        self._member_key, self._room = member.key, agreement_hash(agreement)
        self._tables = {t.name for t in agreement.tables if t.owner == broker}
        self._broker, self._host, self._run = broker, host, run
        self._keys, self._attester = keys, attester
        self._challenged: Challenged | None = None
        self._binding: Binding | None = None

    def challenge(self) -> dict[str, Any]:
        """The first message to the broker."""
        identity = {name: _base64(part) for name, part in self._attester.identity().items()}
        return Challenge(room=self._room, run=self._run, identity=identity).model_dump(mode="json")

    def answer(self, challenged: Mapping[str, Any]) -> dict[str, Any]:
        """The second message: fresh evidence, bound to the challenge.

        Raises:
            Refused: the challenge is not the broker's, or is of another run.
            PeerError: it is no challenge.
            InputError: the platform makes no evidence.
        """
        given = messages.read(Challenged, challenged, self._broker)
        signed = challenge_bytes(given, self._room, self._host, self._broker)
        if not valid_signature(self._member_key, signed, given.signature):
            raise Refused(Code.SIGNATURE, f"the challenge does not carry the signature of {self._broker!r}")
        if given.run != self._run or not given.keys.keys() <= self._tables:
            raise Refused(Code.BINDING, f"the challenge of {self._broker!r} is of another run")
        binding = release_binding(
            nonce=bytes.fromhex(given.nonce),
            challenge=given.challenge,
            room=self._room,
            run=self._run,
            host=self._host,
            broker=self._broker,
            keys=given.keys,
            public_key=self._keys.public_key,
            signing_key=self._keys.signing_key,
        )
        activated = self._attester.activate(_bytes(given.credential)) if given.credential else b""
        recipient = self._keys.recipient() if self._attester.kind is Kind.NITRO else b""
        evidence = self._attester.attest(binding, recipient)
        self._challenged, self._binding = given, binding
        return ReleaseKey(
            room=self._room,
            run=self._run,
            challenge=given.challenge,
            evidence=evidence.to_dict(),
            public_key=self._keys.public_key.hex(),
            signing_key=self._keys.signing_key.hex(),
            activated=_base64(activated),
        ).model_dump(mode="json")

    def open(self, released: Mapping[str, Any]) -> dict[str, bytearray]:
        """The data keys: table -> 32 bytes, to be wiped by the caller (`wipe`).

        Raises:
            Refused: the answer is not the broker's, is of another challenge, or was altered.
            PeerError: it is no answer.
        """
        if self._challenged is None or self._binding is None:
            raise Refused(Code.BINDING, "no challenge of this request was answered")
        given = messages.read(KeyReleased, released, self._broker)
        if (given.run, given.challenge) != (self._run, self._challenged.challenge):
            raise Refused(Code.BINDING, f"{self._broker!r} answers another challenge")
        enc, ciphertext = bytes.fromhex(given.enc), _bytes(given.ciphertext)
        signed = released_bytes(given.challenge, enc, ciphertext, given.ear, self._binding)
        if not valid_signature(self._member_key, signed, given.signature):
            raise Refused(Code.SIGNATURE, f"the released keys do not carry the signature of {self._broker!r}")
        keys = self._keys.unseal(enc, ciphertext, self._binding, given.ear)
        tables = sorted(self._challenged.keys)
        if len(keys) != len(tables):
            wipe(*keys)
            raise Refused(Code.MALFORMED, f"{self._broker!r} released another number of keys")
        self._binding = None  # once
        return dict(zip(tables, keys, strict=True))

    @property
    def key_ids(self) -> dict[str, str]:
        """Table -> id of its key, once the challenge was answered; empty before."""
        return {} if self._challenged is None else dict(self._challenged.keys)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(Code.MALFORMED, "bytes are base64 text") from None
