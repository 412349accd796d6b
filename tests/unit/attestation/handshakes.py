"""Two sides of a mutual attestation on a platform made for the tests: its key signs program and binding."""

# mypy: allow-untyped-defs, allow-incomplete-defs

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hitoku.attestation.binding import Binding
from hitoku.attestation.claims import Claims
from hitoku.attestation.codes import Code, Refused
from hitoku.attestation.evidence import Evidence, Kind
from hitoku.attestation.handshake import Initiator, Responder, Setting
from hitoku.attestation.verify import verify

PROGRAM = hashlib.sha384(b"the program that both members signed for").hexdigest()
OTHER_PROGRAM = hashlib.sha384(b"the same with one byte changed").hexdigest()
ROOM = "sha256:" + "1" * 64
RUN = "2" * 32
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Platform:
    """A maker of trusted environments: whoever has one of its machines gets evidence of what runs there."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def quote(self, program: str, report_data: bytes) -> Evidence:
        said = json.dumps({"program": program, "report_data": report_data.hex()}).encode()
        return Evidence(Kind.DEV, said, {"signature": self._key.sign(said)})

    def verify(self, evidence: Evidence) -> Claims:
        try:
            self._key.public_key().verify(evidence.endorsements["signature"], evidence.content)
        except (InvalidSignature, KeyError):
            raise Refused(Code.SIGNATURE, "not of this platform") from None
        said = json.loads(evidence.content)
        return Claims(
            Kind.DEV, {"program": said["program"]}, bytes.fromhex(said["report_data"]), True,
            made_at=datetime.now(UTC),
        )  # fmt: skip


@dataclass
class Machine:
    """One environment of the platform, and the program in it."""

    platform: Platform
    program: str = PROGRAM
    made: list[Evidence] = field(default_factory=list)
    kind = Kind.DEV

    def identity(self) -> dict[str, bytes]:
        return {}

    def activate(self, credential: bytes) -> bytes:
        return b""

    def attest(self, binding: Binding, public_key: bytes = b"") -> Evidence:
        self.made.append(self.platform.quote(self.program, binding.report_data(self.kind)))
        return self.made[-1]


@dataclass(frozen=True)
class Found:
    program: str
    ear_id: str = "ear"
    software_rooted: bool = True
    until: datetime = NEVER


@dataclass
class Judge:
    """One side's appraisal, and what it said so far."""

    platform: Platform
    accepts: str = PROGRAM
    passed: list[Evidence] = field(default_factory=list)
    refused: list[Code] = field(default_factory=list)

    def __call__(self, evidence: Evidence, binding: Binding, activated: bool) -> Found:
        try:
            claims = self.platform.verify(evidence)
            binding.check(claims)
            if claims.measurements["program"] != self.accepts:
                raise Refused(Code.MEASUREMENT_MISMATCH, "not a program that the members signed for")
        except Refused as refused:
            self.refused.append(refused.code)
            raise
        self.passed.append(evidence)
        return Found(claims.measurements["program"])


def verifying(evidence: Evidence, binding: Binding, activated: bool) -> Found:
    """An appraisal of real evidence that asks for no program: verifier and binding."""
    claims = verify(evidence, datetime.now(UTC))
    binding.check(claims)
    return Found(PROGRAM)


class Key:
    """A member's key that is in memory only."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        import base64

        self.public = "ed25519:" + base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def shared_secret(self) -> bytes:
        raise AssertionError("not asked for")


class Members:
    """Members of a room, each with a key, a machine and a judge of its own."""

    def __init__(self, *names: str) -> None:
        self.platform = Platform()
        self.keys = {name: Key() for name in names}
        self.machines = {name: Machine(self.platform) for name in names}
        self.judges = {name: Judge(self.platform) for name in names}

    def setting(self, me: str, peer: str, **changes: Any) -> Setting:
        given: dict[str, Any] = {
            "room": ROOM,
            "run": RUN,
            "me": me,
            "peer": peer,
            "peer_key": self.keys[peer].public,
            "keys": self.keys[me],
            "attester": self.machines[me],
            "appraise": self.judges[me],
        }
        return Setting(**{**given, **changes})

    def pair(self, a: str = "airline", b: str = "telco") -> tuple[Initiator, Responder]:
        return Initiator(self.setting(a, b)), Responder(self.setting(b, a))


def shake(one: Initiator, two: Responder) -> None:
    """The whole handshake."""
    accepted = two.acceptance(one.evidence(two.offer(one.hello())))
    two.end(one.confirmation(accepted))


def reachable(thing: object) -> set[bytes]:
    """All byte strings that an object holds, and those that these hold."""
    found: set[bytes] = set()
    seen: set[int] = set()
    todo: list[object] = [thing]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (str, int, type, Path)):
            continue
        seen.add(id(one))
        if isinstance(one, (bytes, bytearray)):
            found.add(bytes(one))
        elif isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            todo += one
        else:
            todo.append(getattr(one, "__dict__", {}))
            todo += [getattr(one, name, None) for name in getattr(type(one), "__slots__", ())]
    return found


def fresh() -> str:
    """A run's id."""
    return secrets.token_hex(16)
