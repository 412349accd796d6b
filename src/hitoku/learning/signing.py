# SPDX-License-Identifier: Apache-2.0
"""Signed plans: one file with a plan and the signatures of all whom it binds.

A signature covers ``hitoku/learning-plan-signature/1``, a line end and `plan_hash`, made with the key that
the room names for the member; the domain in front keeps it from being anything else. A plan is in force when
every member that brings rows, and the server, have signed exactly this plan under exactly the agreement it
names.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from hitoku import limits
from hitoku.errors import InputError, RoomError
from hitoku.findings import findings
from hitoku.learning.plan import Plan, plan_hash
from hitoku.ports import KeyStore
from hitoku.room.agreement import Ability, Agreement
from hitoku.room.canonical import agreement_hash
from hitoku.room.files import read_text, write_whole
from hitoku.room.keys import valid_signature
from hitoku.room.yamlfile import load_yaml

__all__ = ["FORMAT", "SignedPlan", "check_room", "publics_of", "sign", "validated"]

FORMAT: Final = "hitoku/learning-plan/1"
_DOMAIN: Final = b"hitoku/learning-plan-signature/1\n"


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """A plan and who signed it.

    Attributes:
        plan: what is signed.
        signatures: base64 by member; not verified by being here.
    """

    plan: Plan
    signatures: Mapping[str, str]

    @property
    def hash(self) -> str:
        """The plan's name in every record: ``sha256:`` and 64 hexadecimal digits."""
        return "sha256:" + plan_hash(self.plan).hex()

    @property
    def signers(self) -> tuple[str, ...]:
        """Everybody who must sign: the members that bring rows, then the server."""
        return (*self.plan.members, self.plan.server)

    def missing(self, publics: Mapping[str, str]) -> tuple[str, ...]:
        """Who has not signed, or whose signature does not fit the plan as it stands."""
        message = _message(self.plan)
        return tuple(
            name
            for name in self.signers
            if name not in self.signatures
            or name not in publics
            or not valid_signature(publics[name], message, self.signatures[name])
        )

    def verify(self, agreement: Agreement) -> None:
        """Accept only a plan that fits the room and that all have signed who must.

        Raises:
            RoomError: anything else; lists every problem.
        """
        check_room(self.plan, agreement)
        missing = self.missing(publics_of(agreement))
        if missing:
            raise RoomError(
                f"plan {self.plan.name!r} is not in force: no signature of {', '.join(missing)} fits it; "
                "each must look at it and sign it with `hitoku learn plan FILE --member DIR --sign`"
            )

    def to_bytes(self) -> bytes:
        """The file: JSON, in the order of the plan."""
        data = {
            "format": FORMAT,
            "plan": self.plan.model_dump(mode="json", exclude_none=True),
            "signatures": [{"member": n, "signature": s} for n, s in sorted(self.signatures.items())],
        }
        return (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode()

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            RoomError: it cannot be written, or would be too large to be read again.
        """
        content = self.to_bytes()
        if len(content) > limits.MAX_ROOM_FILE_BYTES:
            raise RoomError(f"{path}: the plan would be larger than {limits.MAX_ROOM_FILE_BYTES} bytes")
        write_whole(path, content)

    @classmethod
    def load(cls, path: Path) -> SignedPlan:
        """Read a plan's file. Its signatures are not verified here.

        Raises:
            RoomError: the file cannot be read.
            InputError: it is no plan; says the path inside it and what is wrong, and quotes no value.
        """
        data = load_yaml(read_text(path), limits.MAX_ROOM_FILE_BYTES)
        if not isinstance(data, dict) or data.get("format") != FORMAT or set(data) - _FIELDS:
            raise InputError(f"{path}: not a plan of the format {FORMAT}; make one with `hitoku learn plan`")
        signatures: dict[str, str] = {}
        given = data.get("signatures", [])
        if not isinstance(given, list) or len(given) > limits.MAX_MEMBERS + 1:
            raise InputError(f"{path}: signatures: a list is expected, each member at most once")
        for one in given:
            fits = isinstance(one, dict) and set(one) == {"member", "signature"}
            if not fits or not all(isinstance(v, str) for v in one.values()) or one["member"] in signatures:
                raise InputError(f"{path}: signatures: each has a member and a signature, a member one")
            signatures[one["member"]] = one["signature"]
        return cls(validated(data.get("plan"), str(path)), signatures)


_FIELDS: Final = {"format", "plan", "signatures"}


def sign(signed: SignedPlan, member: str, keys: KeyStore, agreement: Agreement) -> SignedPlan:
    """The plan with `member`'s signature added, or renewed.

    Raises:
        RoomError: the plan does not fit the room, does not name the member, or the key is not the one that
        the
            room names for it.
        SecretError: the key cannot be read.
    """
    check_room(signed.plan, agreement)
    if member not in signed.signers:
        raise RoomError(f"{member!r} has no part in plan {signed.plan.name!r}: nothing was signed")
    message = _message(signed.plan)
    signature = base64.b64encode(keys.sign(message)).decode()
    if not valid_signature(publics_of(agreement)[member], message, signature):
        raise RoomError(
            f"the key of this directory is not the key that the room names for {member!r}: nothing was signed"
        )
    return replace(signed, signatures={**signed.signatures, member: signature})


def publics_of(agreement: Agreement) -> dict[str, str]:
    """The public keys that the room names, by member."""
    return {member.name: member.key for member in agreement.members}


def check_room(plan: Plan, agreement: Agreement) -> None:
    """Accept only a plan whose members, server and budgets are those of the room in force.

    Raises:
        RoomError: lists every problem.
    """
    found: list[str] = []
    if plan.room != str(agreement.id):
        found.append("it is of another room")
    elif plan.agreement != agreement_hash(agreement):
        found.append("the room was changed after the plan was made: make the plan again")
    for name in plan.members:
        who = agreement.member(name)
        if who is None:
            found.append(f"{name!r} is no member of the room")
        elif Ability.HOST in who.abilities:
            found.append(f"{name!r} is a host, and a host brings no rows")
    server = agreement.member(plan.server)
    if server is None:
        found.append(f"the server {plan.server!r} is no member of the room")
    else:
        if Ability.COMPUTE not in server.abilities:
            found.append(f"the server {plan.server!r} has not the ability compute")
        if any(table.owner == plan.server for table in agreement.tables):
            found.append(f"the server {plan.server!r} owns a table: who adds updates must own none")
    unit = None if plan.privacy is None else plan.privacy.unit
    if unit is not None:
        without = [name for name in plan.members if agreement.budget(name, unit) is None]
        if without:
            found.append(f"privacy.unit: no budget for {unit!r} of {', '.join(without)} in the room")
    if found:
        raise RoomError(f"plan {plan.name!r} does not fit room {agreement.name!r}: " + "; ".join(found))


def validated(data: Any, where: str) -> Plan:
    """A plan out of JSON-ready data.

    Raises:
        InputError: says the path inside it and what is wrong, and quotes no value.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: plan: a mapping is expected")
    try:
        return Plan.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {findings(error, 'plan')}") from None


def _message(plan: Plan) -> bytes:
    return _DOMAIN + plan_hash(plan)
