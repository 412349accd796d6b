# SPDX-License-Identifier: Apache-2.0
"""What two attested sides share after a handshake, and how it comes out of the handshake's secrets.

The keys are HKDF-SHA-256's, with the hash of the whole transcript as salt and what each key is for as info.
Keys that confirm are derived from the secrets before the session's keys are, and are no others.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hitoku.attestation.envelope import KEY_BYTES, Envelope

__all__ = ["SESSION_ID_BYTES", "Secrets", "Session"]

SESSION_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """An attested session of one run. It lives in memory only.

    Attributes:
        id: its public name, 16 bytes: both sides have the same, no two sessions do.
        room: the room's hash.
        run: the run.
        me: this side's member.
        peer: the other side's.
        program: this side's program, as the other side appraised it.
        peer_program: the other side's, as this side appraised it.
        ear_id: of this side's appraisal of the other.
        software_rooted: whether no hardware vouches for the other side.
        until: when the appraisal, and the session with it, ends.
    """

    id: bytes
    room: str
    run: str
    me: str
    peer: str
    program: str
    peer_program: str
    ear_id: str
    software_rooted: bool
    until: datetime
    _send: bytes
    _receive: bytes

    def __repr__(self) -> str:
        return f"Session(run={self.run!r}, peer={self.peer!r}, id={self.id.hex()!r})"

    def sealing(self, stage: str) -> Envelope:
        """What seals this side's data of a stage; one object for each time that it is sent."""
        return Envelope(self._send, self.room, self.run, stage, self.program)

    def opening(self, stage: str) -> Envelope:
        """What opens the other side's data of a stage; one object for each time that it comes."""
        return Envelope(self._receive, self.room, self.run, stage, self.peer_program)


class Secrets:
    """The secrets of a handshake, both sides', and the keys that come out of them.

    Args:
        parts: the secrets in the order of the protocol, 32 bytes each, or empty where there is none.
        transcript: hash of all messages before the first confirmation.
    """

    def __init__(self, parts: tuple[bytes, ...], transcript: bytes) -> None:
        self._material = b"".join(len(part).to_bytes(1, "big") + part for part in parts)
        self._transcript = transcript

    def __repr__(self) -> str:
        return "Secrets()"

    def confirmation(self, role: str, said: bytes) -> bytes:
        """What a role shows to prove that it has the secrets, and saw all that was said. 32 bytes."""
        return hmac.digest(self._key(f"confirm {role}"), said, sha256)

    def confirms(self, role: str, said: bytes, shown: bytes) -> bool:
        """Whether that is what the role shows; compared in constant time."""
        return hmac.compare_digest(self.confirmation(role, said), shown)

    def direction(self, role: str) -> bytes:
        """The session's key for what that role sends. Only once the other side has confirmed."""
        return self._key(f"data of {role}")

    def _key(self, purpose: str) -> bytes:
        info = b"hitoku/mutual/1 " + purpose.encode()
        return HKDF(SHA256(), KEY_BYTES, self._transcript, info).derive(self._material)
