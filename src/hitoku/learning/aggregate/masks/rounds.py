# SPDX-License-Identifier: Apache-2.0
"""A member's side of single sums: Bonawitz et al. (CCS 2017), Figure 4, with its steps for active servers.

Five requests, each answered once and in order: advertise keys, share keys, masked input, consistency check,
unmasking. U1 to U4 are the figure's sets of those that came so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from numpy.typing import NDArray

from hitoku.errors import PeerError
from hitoku.hazmat import masks as kernel
from hitoku.learning.aggregate.instructions import (
    checked_contribution,
    from_message,
    instruction_hash,
    told_state,
)
from hitoku.learning.aggregate.masks.statements import Scope, member_list, sign_of
from hitoku.learning.aggregate.memory import Memory
from hitoku.learning.base import Instruction, Task
from hitoku.ports import KeyStore

__all__ = [
    "ROUND_KEYS",
    "SEALED_BYTES",
    "RoundSide",
    "agreed_statement",
    "round_context",
    "round_pair",
    "round_self",
]

ROUND_KEYS: Final = "round-keys"
SEALED_BYTES: Final = 2 * kernel.SHARE_BYTES + 16
"""Two shares and the tag of their encryption."""
_NONCE: Final = bytes(12)
Reply = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def round_pair(scope: Scope, number: int, digest: bytes) -> bytes:
    """What two members' secret for masks is bound to: plan, run, round and the signed keys of U1."""
    return scope.statement("round-pair", number=number, set=digest.hex())


def round_self(scope: Scope, number: int, digest: bytes, member: str) -> bytes:
    """What a member's own mask is bound to."""
    return scope.statement("round-self", number=number, set=digest.hex(), member=member)


def round_context(sharing: tuple[str, ...], asked: bytes) -> bytes:
    """What the masks are derived for: U2 and the instruction. Told otherwise, masks do not cancel."""
    return asked + "\0".join(sharing).encode()


def agreed_statement(
    scope: Scope, number: int, digest: bytes, sharing: tuple[str, ...], members: tuple[str, ...], asked: bytes
) -> bytes:
    """What members sign in the consistency check: U1's keys, U2, U3 and the instruction."""
    return scope.statement(
        "round-agreed",
        number=number,
        set=digest.hex(),
        sharing=list(sharing),
        members=list(members),
        instruction=asked.hex(),
    )


@dataclass(slots=True)
class _Round:
    number: int
    sealing: kernel.MaskKey
    masking: kernel.MaskKey
    seed: kernel.MaskSeed
    phase: int = 1
    digest: bytes = b""
    known: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    """U1: each member's two public keys, joined, and its signature."""
    sharing: tuple[str, ...] = ()
    """U2."""
    held: dict[str, bytes] = field(default_factory=dict)
    """From each member of U2 its two shares for this one: of its masking key, then of its seed."""
    instruction: Instruction | None = None
    asked: bytes = b""
    whole: bool = True
    """Whether all rows might be in the vector."""
    members: tuple[str, ...] = ()
    """U3."""


class RoundSide:
    """One round at a time; a new one makes an end of the one before. Keys live in memory only."""

    def __init__(
        self,
        scope: Scope,
        name: str,
        keys: KeyStore,
        tasks: Mapping[str, Task],
        memory: Memory,
        threads: int | None,
    ) -> None:
        self._scope, self._name, self._keys, self._tasks = scope, name, keys, tasks
        self._memory, self._threads = memory, threads
        self._threshold = scope.plan.threshold
        self._round: _Round | None = None

    def advertise(self, body: Mapping[str, Any]) -> Reply:
        """Round 0: two fresh public keys, signed; or the least number that a round may still have.

        Raises:
            PeerError: the number is malformed.
        """
        number = body.get("round")
        self._round = None
        if not self._memory.rounds.use(number):
            return {"least": self._memory.rounds.last + 1}, {}
        made = _Round(int(number or 0), kernel.MaskKey(), kernel.MaskKey(), kernel.MaskSeed())
        public = made.sealing.public + made.masking.public
        signature = self._scope.sign_keys(self._keys, ROUND_KEYS, made.number, self._name, public)
        self._round = made
        return {"round": made.number, "public": public.hex(), "signature": signature.hex()}, {}

    def share(self, body: Mapping[str, Any]) -> Reply:
        """Round 1: checks everybody's keys, then shares masking key and seed, encrypted to each.

        Raises:
            PeerError: out of order, too few, or keys that were not signed.
        """
        at = self._at(body, 1)
        mine = at.sealing.public + at.masking.public
        at.known, at.digest = self._scope.read_keys(
            ROUND_KEYS, at.number, body.get("keys"), each=2, me=self._name, mine=mine
        )
        of_key = at.masking.shares(self._threshold, len(at.known))
        of_seed = at.seed.shares(self._threshold, len(at.known))
        sealed: list[bytes] = []
        for place, peer in enumerate(at.known):
            both = of_key[place] + of_seed[place]
            if peer == self._name:
                at.held[peer] = both
            else:
                sealed.append(self._cipher(at, peer, self._name, peer).encrypt(_NONCE, both, None))
        self._round = at
        return {"commitment": at.seed.commitment().hex()}, {"sealed/shares": _table(sealed, SEALED_BYTES)}

    def masked(self, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Reply:
        """Round 2: opens the shares it was sent, then sends its vector under all masks.

        Raises:
            PeerError: out of order, too few, or shares that are not what their member encrypted.
            Refusal: the task's.
        """
        at = self._at(body, 2)
        at.sharing = member_list(body.get("sharing"), tuple(at.known), self._threshold, self._name)
        peers = [peer for peer in at.sharing if peer != self._name]
        sealed = arrays.get("sealed/shares")
        if sealed is None or sealed.dtype != np.uint8 or sealed.shape != (len(peers), SEALED_BYTES):
            raise PeerError("a round's encrypted shares are malformed", "MALFORMED")
        number = list(at.known).index(self._name) + 1
        for peer, row in zip(peers, sealed, strict=True):
            at.held[peer] = self._opened(at, peer, row.tobytes(), number)
        at.instruction = from_message(body.get("instruction"), arrays)
        at.asked = instruction_hash(at.instruction)
        at.whole = self._memory.whole(at.sharing)
        values = checked_contribution(self._tasks, at.instruction, at.sharing, at.whole)
        pair = round_pair(self._scope, at.number, at.digest)
        terms = [
            (at.masking.agree(at.known[peer][0][kernel.PUBLIC_BYTES :], pair), sign_of(self._name, peer))
            for peer in peers
        ]
        own = [(at.seed.secret(round_self(self._scope, at.number, at.digest, self._name)), 1)]
        context = round_context(at.sharing, at.asked)
        # The server takes off the own masks whatever members were told; those of pairs must cancel.
        told = told_state(self._tasks, at.instruction)
        if told:
            masked = kernel.mask(values, terms, context + told, threads=self._threads)
            kernel.mask_into(masked, own, context, threads=self._threads)
        else:
            masked = kernel.mask(values, terms + own, context, threads=self._threads)
        self._round = at
        return ({"told": told.hex()} if told else {}), {"masked/values": masked}

    def consistent(self, body: Mapping[str, Any]) -> Reply:
        """Round 3: signs the one set over which this member lets the sum open.

        Raises:
            PeerError: out of order, or a set that is too small or not of those that shared.
            Refusal: the rules about sets do not allow it.
        """
        at = self._at(body, 3)
        members = member_list(body.get("members"), at.sharing, self._threshold, self._name)
        if at.instruction is None:
            raise PeerError("a round's steps come in order, each once", "WRONG_PHASE")
        self._memory.round(at.number, at.instruction, members, (at.sharing, at.whole))
        at.members = members
        self._round = at
        return {"signature": self._keys.sign(self._agreed(at)).hex()}, {}

    def unmask(self, body: Mapping[str, Any]) -> Reply:
        """Round 4: of each member of U2 one share: the seed's if it is in U3, else the masking key's.

        Raises:
            PeerError: out of order, or fewer than the threshold signed the same set.
        """
        at = self._at(body, 4)
        given = body.get("signatures")
        if not isinstance(given, dict) or not set(given) <= set(at.members) or len(given) < self._threshold:
            raise PeerError("fewer members than the threshold agreed on the set", "WRONG_SET")
        statement = self._agreed(at)
        for member, text in given.items():
            try:
                signature = bytes.fromhex(text)
            except (TypeError, ValueError):
                raise PeerError("a signature is malformed", "MALFORMED") from None
            if not self._scope.valid(member, statement, signature):
                raise PeerError(f"{member!r} did not agree on this set", "WRONG_SET")
        size = kernel.SHARE_BYTES
        seeds = [at.held[member][size:] for member in at.members]
        lost = [at.held[member][:size] for member in at.sharing if member not in at.members]
        return {}, {"seeds": _table(seeds, size), "keys": _table(lost, size)}

    def _at(self, body: Mapping[str, Any], phase: int) -> _Round:
        """Takes the round out, if `phase` follows; put back when the step is done, so an error ends it."""
        at, self._round = self._round, None
        if at is None or at.number != body.get("round") or type(body.get("round")) is not int:
            raise PeerError("this member is in no such round", "NO_ROUND")
        if at.phase != phase:
            raise PeerError("a round's steps come in order, each once", "WRONG_PHASE")
        at.phase = phase + 1
        return at

    def _agreed(self, at: _Round) -> bytes:
        return agreed_statement(self._scope, at.number, at.digest, at.sharing, at.members, at.asked)

    def _cipher(self, at: _Round, peer: str, sender: str, receiver: str) -> ChaCha20Poly1305:
        # A key for each direction and round, used for one message: the nonce may be constant.
        info = self._scope.statement("round-sealing", number=at.number, set=at.digest.hex())
        secret = at.sealing.agree(at.known[peer][0][: kernel.PUBLIC_BYTES], info)
        way = self._scope.statement("round-share", sender=sender, receiver=receiver)
        return ChaCha20Poly1305(secret.derive(way))

    def _opened(self, at: _Round, peer: str, sealed: bytes, number: int) -> bytes:
        try:
            both = self._cipher(at, peer, peer, self._name).decrypt(_NONCE, sealed, None)
        except InvalidTag:
            raise PeerError(f"the shares of {peer!r} are not what it encrypted", "WRONG_SHARES") from None
        if both[0] != number or both[kernel.SHARE_BYTES] != number:
            raise PeerError(f"the shares of {peer!r} are another member's", "WRONG_SHARES")
        return both


def _table(rows: list[bytes], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)
