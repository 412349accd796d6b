# SPDX-License-Identifier: Apache-2.0
"""A room of three members that agreed on attestation, enclaves that the vendor's hierarchy of the tests
vouches for.

Two own a table each (`acme`, `bank`), one hosts. Evidence is a Nitro document of
`attestation_pki.NitroWorld`, which the real verifier reads.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.attestation_pki import NOW, NitroWorld

from hitoku.attestation.appraise import Appraisal, appraise
from hitoku.attestation.binding import Binding, bound
from hitoku.attestation.evidence import Evidence
from hitoku.attestation.policy import Policy
from hitoku.attestation.reference import ReferenceValue, Registry
from hitoku.room.agreement import Agreement, Room

NONCE = b"n" * 32
PROGRAM = hashlib.sha384(b"the worker").hexdigest()
PCR0 = (bytes([1]) * 48).hex()
OWNERS = ("acme", "bank")
LATER = "2027-06-01T00:00:00Z"


class Keys:
    """A member's key in memory."""

    def __init__(self, seed: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())

    def public_key(self) -> str:
        return "ed25519:" + base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def shared_secret(self) -> bytes:
        raise AssertionError("nobody needs it here")


KEYS = {name: Keys(name) for name in ("acme", "bank", "cloud", "stranger")}


def table(name: str, owner: str) -> dict[str, Any]:
    return {
        "name": name,
        "owner": owner,
        "columns": [{"name": "id", "type": "string", "protection": "fingerprint"}],
    }


def agreement_data(**attestation: Any) -> dict[str, Any]:
    """An agreement; what is said of attestation is changed."""
    return {
        "id": "11111111-2222-3333-4444-555555555555",
        "name": "a room with enclaves",
        "protections": ["enclave"],
        "members": [
            {"name": "acme", "key": KEYS["acme"].public_key(), "abilities": ["query", "receive"]},
            {"name": "bank", "key": KEYS["bank"].public_key(), "abilities": ["receive"]},
            {"name": "cloud", "key": KEYS["cloud"].public_key(), "abilities": ["host", "compute"]},
        ],
        "tables": [table("sales", "acme"), table("cards", "bank")],
        "attestation": {"accept": ["nitro", "sev-snp", "tdx", "tpm", "dev"], **attestation},
    }


def room_of(**attestation: Any) -> Room:
    return Room(agreement=Agreement.model_validate(agreement_data(**attestation)))


ROOM = room_of()


def value(signers: tuple[str, ...] = OWNERS, **changes: Any) -> ReferenceValue:
    """What the owners sign for: the worker as a Nitro enclave."""
    data: dict[str, Any] = {
        "room": "11111111-2222-3333-4444-555555555555",
        "serial": 1,
        "program": PROGRAM,
        "version": "1.0.0",
        "kind": "nitro",
        "measurements": {"pcr0": [PCR0]},
        "not_after": LATER,
    }
    made = ReferenceValue.model_validate(data | changes)
    for name in signers:
        made = made.sign(name, KEYS[name])
    return made


def registry_of(*entries: ReferenceValue) -> Registry:
    return Registry(ROOM.agreement.id, entries or (value(),))


def binding_of(*parts: bytes) -> Binding:
    return Binding(NONCE, bound("hitoku/key-release/1", [NONCE, *parts]))


BINDING = binding_of(b"a key, a room, a run")


@cache
def nitro() -> NitroWorld:
    return NitroWorld("appraisal")


def pcrs(**changes: bytes) -> dict[int, bytes]:
    """The registers of the worker's enclave, some of them changed."""
    found: dict[int, bytes] = nitro().fields()["pcrs"]
    return found | {int(name.removeprefix("pcr")): content for name, content in changes.items()}


def evidence_of(binding: Binding = BINDING, **changes: Any) -> Evidence:
    """A fresh document that is bound to what is asked."""
    return nitro().evidence(**({"nonce": binding.nonce, "user_data": binding.digest} | changes))


@dataclass(frozen=True)
class Given:
    """All that an appraisal is given; `asked` changes some of it."""

    room: Room = ROOM
    policy: Policy = Policy()  # noqa: RUF009 (frozen)
    minutes: float = 0

    def asked(
        self,
        evidence: Evidence | None = None,
        registry: Registry | None = None,
        binding: Binding = BINDING,
        **more: Any,
    ) -> Appraisal:
        with nitro().trusted():
            return appraise(
                evidence_of() if evidence is None else evidence,
                binding,
                now=NOW + timedelta(minutes=self.minutes),
                room=self.room,
                registry=registry_of() if registry is None else registry,
                policy=self.policy,
                keys=KEYS["acme"],
                **more,
            )
