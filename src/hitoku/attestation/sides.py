# SPDX-License-Identifier: Apache-2.0
"""What both sides of a handshake do alike: speak, hear, judge. The protocol and its argument: `handshake`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from hitoku.attestation import activation, wire
from hitoku.attestation.attest import Attester
from hitoku.attestation.binding import Binding, bound
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence
from hitoku.attestation.kem import SEALED_BYTES, KemKey
from hitoku.attestation.session import SESSION_ID_BYTES, Secrets, Session
from hitoku.errors import HitokuError
from hitoku.ports import KeyStore
from hitoku.room.keys import valid_signature

__all__ = ["MAC_BYTES", "NONCE_BYTES", "Appraised", "Appraiser", "Setting", "Side"]

_DOMAIN: Final = "hitoku/mutual/1"
NONCE_BYTES: Final = 32
_SIGNATURE: Final = 64
MAC_BYTES: Final = 32
_PROGRAM: Final = re.compile(r"[0-9a-f]{96}")
_HEAD: Final = frozenset({"protocol", "step", "role", "room", "run", "from", "to"})
_FIELDS: Final = {
    1: frozenset({"nonce", "key"}),
    2: frozenset({"nonce", "key", "evidence", "signature"}),
    3: frozenset({"sealed", "credential", "program", "evidence", "signature"}),
    4: frozenset({"sealed", "credential", "program", "mac"}),
    5: frozenset({"mac"}),
}
_CREDENTIAL: Final = (0, *range(64, 1025))
"""Empty, or a TPM2B_ID_OBJECT and a TPM2B_ENCRYPTED_SECRET."""

Role = Literal["A", "B"]


class Appraised(Protocol):
    """What an appraisal found (`hitoku.attestation.appraise.Appraisal`)."""

    @property
    def program(self) -> str:
        """The digest of the program that runs there, 96 hexadecimal digits."""
        ...

    @property
    def ear_id(self) -> str:
        """The result's name."""
        ...

    @property
    def software_rooted(self) -> bool:
        """Whether no hardware vouches for it."""
        ...

    @property
    def until(self) -> datetime:
        """When it must be made anew."""
        ...


Appraiser = Callable[[Evidence, Binding, bool], Appraised]
"""Accepts evidence under the room's rules, or raises `Refused`. The last argument says whether a credential
for the evidence's TPM is part of what it is accepted for."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Who attests to whom, for what.

    Attributes:
        room: the room's hash, as this side verified it.
        run: the run.
        me: this side's member.
        peer: the other side's.
        peer_key: its public key, as the room names it.
        keys: this member's.
        attester: makes this side's evidence.
        appraise: judges the other side's.
    """

    room: str
    run: str
    me: str
    peer: str
    peer_key: str
    keys: KeyStore
    attester: Attester
    appraise: Appraiser


class Side:
    """One side. Any error is final: it answers nothing more, and forgets its secrets."""

    role: Role
    other: Role

    def __init__(self, setting: Setting) -> None:
        if setting.me == setting.peer:
            raise ValueError("nobody attests to itself")
        self._setting = setting
        self._said: list[bytes] = []
        self._expects: int | None = 1
        self._kem: KemKey | None = None
        self._nonce = b""
        self._found: Appraised | None = None
        self._program = ""
        self._own = b""
        self._credential, self._challenge = b"", b""
        self._secrets: Secrets | None = None
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(run={self._setting.run!r}, peer={self._setting.peer!r})"

    @property
    def session(self) -> Session | None:
        """The session, once both sides have accepted and confirmed; None before, and after any error."""
        return self._session

    @contextmanager
    def _turn(self, step: int, then: int | None) -> Iterator[None]:
        """One step: what goes wrong in it is the handshake's end."""
        if self._session is not None:
            raise Refused(Code.HANDSHAKE, "the handshake is over")
        expected, self._expects = self._expects, None
        try:
            if expected != step:
                raise Refused(Code.HANDSHAKE, "a message of the handshake is out of its order")
            yield
        except BaseException as error:
            self._forget()
            self._session, self._found = None, None
            if isinstance(error, HitokuError) or not isinstance(error, Exception):
                raise
            raise Refused(Code.INTERNAL, f"the handshake failed ({type(error).__name__})") from None
        self._expects = then

    def _forget(self) -> None:
        self._kem = self._secrets = None
        self._own = self._credential = self._challenge = b""

    # --- what is said ---

    def _fields(self, step: int, **fields: Any) -> dict[str, Any]:
        setting = self._setting
        head = {"protocol": _DOMAIN, "step": step, "role": self.role, "room": setting.room}
        return {**head, "run": setting.run, "from": setting.me, "to": setting.peer, **fields}

    def _hash(self, purpose: str, *parts: bytes) -> bytes:
        """Of all messages so far, and these parts, for one purpose. 64 bytes."""
        return bound(_DOMAIN, [purpose.encode(), *self._said, *parts])

    def _signed(self, role: Role, body: bytes, evidence: bytes) -> bytes:
        return b"hitoku/mutual/1\n" + self._hash(f"signature {role}", body, evidence)

    def _attested(self, nonce: bytes, fields: dict[str, Any]) -> bytes:
        """A message with fresh evidence over all before it, and the member's signature over that."""
        body = wire.packed(fields)
        binding = Binding(nonce, self._hash(f"evidence {self.role}", body))
        evidence = self._setting.attester.attest(binding).to_dict()
        signed = self._signed(self.role, body, wire.packed(evidence))
        message = wire.packed({**fields, "evidence": evidence, "signature": self._setting.keys.sign(signed)})
        self._said.append(message)
        return message

    # --- what is heard ---

    def _heard(self, content: bytes, step: int) -> dict[str, Any]:
        """The fields of the message that this step is for, from who this session is with."""
        fields = wire.unpacked(content)
        setting = self._setting
        head = {"protocol": _DOMAIN, "step": step, "role": self.other, "room": setting.room}
        head |= {"run": setting.run, "from": setting.peer, "to": setting.me}
        for name, value in head.items():
            if fields.get(name) != value or isinstance(fields[name], bool):
                raise Refused(Code.HANDSHAKE, f"a message of the handshake is of another session ({name})")
        if fields.keys() != _HEAD | _FIELDS[step]:
            raise Refused(Code.MALFORMED, "a message of the handshake has not its fields")
        return fields

    def _accept(self, content: bytes, fields: dict[str, Any]) -> None:
        """Check signature and evidence of the message just heard, and remember it."""
        body = wire.packed({n: v for n, v in fields.items() if n not in {"evidence", "signature"}})
        evidence = Evidence.from_dict(fields["evidence"])
        signed = self._signed(self.other, body, wire.packed(fields["evidence"]))
        wire.raw(fields["signature"], (_SIGNATURE,))
        if not valid_signature(self._setting.peer_key, signed, fields["signature"]):
            raise Refused(
                Code.HANDSHAKE, f"the handshake does not carry the signature of {self._setting.peer!r}"
            )
        binding = Binding(self._nonce, self._hash(f"evidence {self.other}", body))
        found = self._setting.appraise(evidence, binding, activation.possible(evidence))
        if not _PROGRAM.fullmatch(found.program):
            raise Refused(Code.INTERNAL, "the appraisal names no program")
        self._credential, self._challenge = activation.challenge(evidence)
        self._found = found
        self._said.append(content)

    def _told(self, fields: dict[str, Any], said: bytes) -> tuple[bytes, bytes]:
        """The other side's sealed secret, and that of its credential; and as what it found this side."""
        if self._kem is None or self._found is None:
            raise AssertionError("secrets are opened after the other side was accepted")
        if not isinstance(fields["program"], str) or not _PROGRAM.fullmatch(fields["program"]):
            raise Refused(Code.MALFORMED, "the other side found no program here")
        credential = wire.raw(fields["credential"], _CREDENTIAL)
        secret = self._kem.open(wire.raw(fields["sealed"], (SEALED_BYTES,)), said)
        self._program = fields["program"]
        return secret, self._setting.attester.activate(credential) if credential else b""

    def _settle(self, transcript: bytes) -> None:
        """Both have accepted and confirmed: the session's keys."""
        if self._secrets is None or self._found is None:
            raise AssertionError("a session follows an appraisal")
        setting, found = self._setting, self._found
        self._session = Session(
            id=bound(_DOMAIN, [b"id", transcript])[:SESSION_ID_BYTES],
            room=setting.room,
            run=setting.run,
            me=setting.me,
            peer=setting.peer,
            program=self._program,
            peer_program=found.program,
            ear_id=found.ear_id,
            software_rooted=found.software_rooted,
            until=found.until,
            _send=self._secrets.direction(self.role),
            _receive=self._secrets.direction(self.other),
        )
        self._forget()
