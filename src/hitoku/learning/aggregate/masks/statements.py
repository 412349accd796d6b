# SPDX-License-Identifier: Apache-2.0
"""What members sign for each other, and what masks are bound to: bytes that mean one thing only."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hitoku.errors import PeerError
from hitoku.hazmat.masks import PUBLIC_BYTES
from hitoku.learning.plan import Plan, plan_hash
from hitoku.ports import KeyStore
from hitoku.room.keys import valid_signature

__all__ = ["Scope", "SignedKeys", "member_list", "sign_of"]

SignedKeys = Mapping[str, tuple[bytes, bytes]]
"""Each member's public keys, joined, and its signature of them."""
_SIGNATURE_BYTES: Final = 64


class Scope:
    """One plan and run: everything that is signed or agreed on here is bound to it.

    Args:
        plan: the plan.
        run: the run's id.
        publics: every member's signing key, `ed25519:...`, from the room.
    """

    def __init__(self, plan: Plan, run: str, publics: Mapping[str, str]) -> None:
        self.plan, self.run = plan, run
        self.publics = {name: publics[name] for name in plan.members}
        self._common = {"plan": plan_hash(plan).hex(), "run": run}

    def statement(self, what: str, **data: Any) -> bytes:
        """Bytes that say `data` of this plan and run, in the domain `what`."""
        text = json.dumps({**self._common, **data}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"hitoku/masks/{what}/1".encode() + b"\0" + text.encode()

    def sign_keys(self, keys: KeyStore, what: str, number: int, member: str, public: bytes) -> bytes:
        """A member's signature of its keys for session or round `number`."""
        return keys.sign(self.statement(what, number=number, member=member, public=public.hex()))

    def valid(self, member: str, statement: bytes, signature: bytes) -> bool:
        """Whether a member of the plan signed this."""
        public = self.publics.get(member)
        return public is not None and valid_signature(public, statement, base64.b64encode(signature).decode())

    def valid_keys(self, what: str, number: int, member: str, public: bytes, signature: bytes) -> bool:
        """Whether a member signed these keys for this session or round."""
        return self.valid(
            member, self.statement(what, number=number, member=member, public=public.hex()), signature
        )

    def read_keys(
        self, what: str, number: int, given: Any, *, each: int, me: str, mine: bytes
    ) -> tuple[dict[str, tuple[bytes, bytes]], bytes]:
        """The signed keys of a set, as the server relays them to a member, and the set's hash.

        Args:
            what: the domain in which they are signed.
            number: of the session or round.
            given: from the server, not yet checked: each member's joined keys and signature, hexadecimal.
            each: how many keys of 32 bytes a member has.
            me: who checks.
            mine: this member's own keys: they must be among them, unchanged.

        Returns:
            Keys and signature of each member, sorted by name; SHA-256 of all of it.

        Raises:
            PeerError: fewer than the threshold, a stranger, another key than was signed, a key twice.
        """
        if not isinstance(given, dict) or not self.plan.threshold <= len(given) <= len(self.plan.members):
            raise PeerError("the keys are not of a set that the plan allows to be summed", "WRONG_SET")
        read: dict[str, tuple[bytes, bytes]] = {}
        for member in sorted(given):
            public, signature = _pair(given[member], each)
            if not self.valid_keys(what, number, member, public, signature):
                raise PeerError(f"the keys of {member!r} are not what it signed", "SUBSTITUTED_KEYS")
            read[member] = (public, signature)
        if read.get(me, (b"", b""))[0] != mine:
            raise PeerError("this member's own keys are missing, or others were put in", "SUBSTITUTED_KEYS")
        size = PUBLIC_BYTES
        all_keys = [public[i : i + size] for public, _ in read.values() for i in range(0, len(public), size)]
        if len(set(all_keys)) != len(all_keys):
            raise PeerError("a key is there twice", "SUBSTITUTED_KEYS")
        return read, self.set_hash(what, number, read)

    def set_hash(self, what: str, number: int, keys: SignedKeys) -> bytes:
        """SHA-256 of a set's sorted signed keys."""
        listed = [[member, keys[member][0].hex(), keys[member][1].hex()] for member in sorted(keys)]
        return hashlib.sha256(self.statement(f"{what}-set", number=number, keys=listed)).digest()


def member_list(given: Any, within: Sequence[str], least: int, me: str | None = None) -> tuple[str, ...]:
    """A set of members as the server names it: sorted, each once, at least so many, all of a larger set.

    Raises:
        PeerError: it is not that, or `me` is not in it.
    """
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise PeerError("a set of members is malformed", "MALFORMED")
    if given != sorted(set(given)) or not set(given) <= set(within):
        raise PeerError("a set of members is not part of the set before it", "WRONG_SET")
    if len(given) < least or (me is not None and me not in given):
        raise PeerError("a set has too few members, or not this one", "WRONG_SET")
    return tuple(given)


def sign_of(me: str, peer: str) -> int:
    """Of two members, the first by name adds their common mask, the other one takes it off."""
    return 1 if me < peer else -1


def _pair(entry: Any, each: int) -> tuple[bytes, bytes]:
    try:
        public, signature = (bytes.fromhex(text) for text in entry)
    except (TypeError, ValueError):
        raise PeerError("a set's keys are malformed", "MALFORMED") from None
    if len(public) != each * PUBLIC_BYTES or len(signature) != _SIGNATURE_BYTES:
        raise PeerError("a set's keys are malformed", "MALFORMED")
    return public, signature
