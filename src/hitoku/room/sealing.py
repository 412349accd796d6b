# SPDX-License-Identifier: Apache-2.0
"""One-time keys that answers are sealed for: a receiver's signed word that a key is its own, for one run.

The host of an enclave carries these keys and could put its own in their place, so each is signed with the
receiver's member key, and is for one run of one room on one host.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from hitoku.errors import Refusal
from hitoku.ports import KeyStore
from hitoku.room.agreement import Agreement
from hitoku.room.canonical import canonical_json
from hitoku.room.consent import Hash, RunId
from hitoku.room.keys import valid_signature
from hitoku.room.naming import Name

__all__ = ["SealingKey", "check_sealing_keys", "give_sealing_key"]

_DOMAIN: Final = b"hitoku/sealing-key/1\n"


class SealingKey(BaseModel):
    """A receiver's key for the answer of one run."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["hitoku/sealing-key/1"] = "hitoku/sealing-key/1"
    receiver: Name
    room: Hash
    run: RunId
    host: Name
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
    """X25519, 32 bytes in base64."""
    signature: Annotated[str, Field(pattern=r"^([A-Za-z0-9+/]{86}==)?$")] = ""

    @property
    def raw(self) -> bytes:
        """The key's 32 bytes."""
        return base64.b64decode(self.key)

    def message(self) -> bytes:
        """The bytes that the receiver signs."""
        return _DOMAIN + canonical_json(self.model_dump(mode="json", exclude={"signature"}))


def give_sealing_key(
    keys: KeyStore, *, receiver: str, room: str, run: str, host: str, key: bytes
) -> SealingKey:
    """Sign a one-time key.

    Args:
        keys: the receiver's.
        receiver: its name.
        room: the agreement's hash.
        run: the run whose answer it is for.
        host: where that runs.
        key: X25519, 32 bytes.

    Raises:
        SecretError: the receiver's key cannot be read.
    """
    made = SealingKey(receiver=receiver, room=room, run=run, host=host, key=base64.b64encode(key).decode())
    signature = base64.b64encode(keys.sign(made.message())).decode()
    return made.model_copy(update={"signature": signature})


def check_sealing_keys(
    given: Iterable[SealingKey],
    agreement: Agreement,
    *,
    receivers: Iterable[str],
    room: str,
    run: str,
    host: str,
) -> dict[str, bytes]:
    """Accept only one key of every receiver, signed by it, for exactly this run. Returns the keys by name.

    Raises:
        Refusal: one is missing, forged, or for something else.
    """
    wanted, found = set(receivers), dict[str, bytes]()
    for one in given:
        member = agreement.member(one.receiver)
        if one.receiver not in wanted or one.receiver in found or member is None:
            raise _refuse(f"{one.receiver!r} does not receive this answer, or gave two keys", one.receiver)
        if (one.room, one.run, one.host) != (room, run, host):
            raise _refuse(f"the sealing key of {one.receiver!r} is for another run", one.receiver)
        if not valid_signature(member.key, one.message(), one.signature):
            raise _refuse(f"the sealing key of {one.receiver!r} does not carry its signature", one.receiver)
        found[one.receiver] = one.raw
    lacking = sorted(wanted - set(found))
    if lacking:
        raise _refuse(f"no sealing key of {', '.join(lacking)}", lacking[0])
    return found


def _refuse(message: str, owner: str) -> Refusal:
    return Refusal("SEALING_KEY", message + ": nothing was run", owner=owner, remedy="ask again")
