# SPDX-License-Identifier: Apache-2.0
r"""Mutual attestation: two nodes prove to each other what runs there, and end with keys that only these have.

Pure objects, bytes in and bytes out, over any channel. A begins, B answers::

    M1  A -> B   room, run, who to whom, nonce_A, pk_A
    M2  B -> A   room, run, who to whom, nonce_B, pk_B; evidence_B over (B, M1, M2 so far); B's signature
    M3  A -> B   c_B = seal(pk_B, s_A), credential for B's TPM, B's program as A found it;
                 evidence_A over (A, M1, M2, M3 so far); A's signature
    M4  B -> A   c_A = seal(pk_A, s_B), credential for A's TPM, A's program as B found it; MAC_B
    M5  A -> B   MAC_A

    keys = HKDF(s_A, s_B, secret of each credential; salt = hash of M1 .. M4 without the MAC)

``pk`` are fresh X25519 + ML-KEM-768 keys, ``seal`` is HPKE (RFC 9180, base mode; hybrid KEM of
draft-ietf-hpke-pq) with the transcript as info. A signature is the member's, by the Ed25519 key that the room
names for it, over all that was said until then, the evidence among it. Evidence carries the hash in its
`Binding`, with the *other* side's nonce; appraisal is `hitoku.attestation.appraise`, under the same room on
both sides. Messages are canonical JSON; one that is written in another way is refused.

What each side knows at its end, and why:

- *Its peer is that member.* Only who has the member's key signs a transcript with this side's fresh nonce,
  room, run, both names and both roles in it (Ed25519 is unforgeable). Who merely runs the same image poses as
  nobody.
- *Its peer is that program, there.* The evidence is fresh (it answers this side's nonce) and speaks for
  ``pk`` of that side: hash functions collide nowhere, so no evidence for another key, session, role, room or
  run fits. The accepted program makes ``pk``'s private half in its memory and gives it to nobody.
- *The peer knows the same of it.* B shows MAC_B only after it accepted A's evidence, A shows MAC_A only after
  it accepted B's. MACs are keyed by both sealed secrets, so each shows that it opened the other's.
- *The keys are theirs alone.* To get them one needs what was sealed for both fresh keys (HPKE is secure
  against chosen ciphertexts as long as X25519 or ML-KEM-768 is). Recorded messages stay closed when member
  keys leak later.
- *Nothing of another session fits*: nonces, roles and names are in every hash. A message that comes back to
  its sender has the wrong role; a replayed one has another nonce; one relayed from a session with somebody
  else has other names; each is refused with ``HANDSHAKE`` or ``BINDING``.

For a TPM whose endorsement key is in the evidence, a secret is encrypted to that key and the attestation
key's name (TPM 2.0 part 1, section 24). It goes into the keys: only a node whose TPM holds both confirms.
That is why the appraisal may take the credential as activated before it is: otherwise there will be no keys.

A channel's binding is empty: Python's TLS offers no exporter (RFC 9266), and nothing here rests on the
channel; data travels under the session's own keys.

What remains: who has broken one genuine environment of an accepted program (its private key, or the key of
its platform's vendor) can relay or pose there; the room's allow-list of hardware narrows down where. With
evidence rooted in software anybody can make it: it shows the flow and protects nothing. Signatures are not
safe against quantum computers. Neither side learns more of the other than the evidence says: measurements,
versions, the identity of the hardware.
"""

from __future__ import annotations

import os

from hitoku.attestation import wire
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.kem import PUBLIC_BYTES, KemKey, seal_for
from hitoku.attestation.session import Secrets
from hitoku.attestation.sides import MAC_BYTES, NONCE_BYTES, Appraised, Appraiser, Setting, Side

__all__ = ["Appraised", "Appraiser", "Initiator", "Responder", "Setting"]


class Initiator(Side):
    """Side A: `hello`, then `evidence`, then `confirmation`; then there is a `session`."""

    role, other = "A", "B"

    def hello(self) -> bytes:
        """M1."""
        with self._turn(1, 2):
            self._kem, self._nonce = KemKey(), os.urandom(NONCE_BYTES)
            message = wire.packed(self._fields(1, nonce=self._nonce, key=self._kem.public))
            self._said.append(message)
            return message

    def evidence(self, offer: bytes) -> bytes:
        """M3, as the answer to M2.

        Raises:
            Refused: the other side is not accepted; the handshake has ended.
            InputError: this side's platform makes no evidence.
        """
        with self._turn(2, 4):
            fields = self._heard(offer, 2)
            nonce = wire.raw(fields["nonce"], (NONCE_BYTES,))
            key = wire.raw(fields["key"], (PUBLIC_BYTES,))
            self._accept(offer, fields)
            assert self._found is not None  # noqa: S101 (`_accept` has set it)
            self._own, sealed = seal_for(key, self._hash("seal A"))
            told = self._fields(3, sealed=sealed, credential=self._credential, program=self._found.program)
            return self._attested(nonce, told)

    def confirmation(self, accepted: bytes) -> bytes:
        """M5, as the answer to M4. Now there is a session.

        Raises:
            Refused: the other side did not confirm; the handshake has ended.
        """
        with self._turn(4, None):
            fields = self._heard(accepted, 4)
            shown = wire.raw(fields.pop("mac"), (MAC_BYTES,))
            theirs, activated = self._told(fields, self._hash("seal B"))
            body = wire.packed(fields)
            transcript = self._hash("keys", body)
            self._secrets = Secrets((self._own, theirs, self._challenge, activated), transcript)
            if not self._secrets.confirms("B", transcript, shown):
                raise Refused(Code.HANDSHAKE, f"{self._setting.peer!r} has not the secrets of this session")
            self._said.append(accepted)
            message = wire.packed(self._fields(5, mac=self._secrets.confirmation("A", self._hash("mac A"))))
            self._settle(transcript)
            return message


class Responder(Side):
    """Side B: `offer`, then `acceptance`, then `end`; then there is a `session`."""

    role, other = "B", "A"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._key = self._transcript = b""

    def offer(self, hello: bytes) -> bytes:
        """M2, as the answer to M1.

        Raises:
            Refused: it is no such message for this side; the handshake has ended.
            InputError: this side's platform makes no evidence.
        """
        with self._turn(1, 3):
            fields = self._heard(hello, 1)
            nonce = wire.raw(fields["nonce"], (NONCE_BYTES,))
            self._key = wire.raw(fields["key"], (PUBLIC_BYTES,))
            self._said.append(hello)
            self._kem, self._nonce = KemKey(), os.urandom(NONCE_BYTES)
            return self._attested(nonce, self._fields(2, nonce=self._nonce, key=self._kem.public))

    def acceptance(self, evidence: bytes) -> bytes:
        """M4, as the answer to M3.

        Raises:
            Refused: the other side is not accepted; the handshake has ended.
        """
        with self._turn(3, 5):
            fields = self._heard(evidence, 3)
            said = self._hash("seal A")
            self._accept(evidence, fields)
            assert self._found is not None  # noqa: S101 (`_accept` has set it)
            theirs, activated = self._told(fields, said)
            own, sealed = seal_for(self._key, self._hash("seal B"))
            told = self._fields(4, sealed=sealed, credential=self._credential, program=self._found.program)
            self._transcript = self._hash("keys", wire.packed(told))
            self._secrets = Secrets((theirs, own, activated, self._challenge), self._transcript)
            shown = self._secrets.confirmation("B", self._transcript)
            message = wire.packed({**told, "mac": shown})
            self._said.append(message)
            return message

    def end(self, confirmation: bytes) -> None:
        """Take M5. Now there is a session.

        Raises:
            Refused: the other side did not confirm; the handshake has ended.
        """
        with self._turn(5, None):
            fields = self._heard(confirmation, 5)
            shown = wire.raw(fields["mac"], (MAC_BYTES,))
            assert self._secrets is not None  # noqa: S101 (made by the step before)
            if not self._secrets.confirms("A", self._hash("mac A"), shown):
                raise Refused(Code.HANDSHAKE, f"{self._setting.peer!r} has not the secrets of this session")
            self._settle(self._transcript)
