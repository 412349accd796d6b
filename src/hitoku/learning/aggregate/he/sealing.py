# SPDX-License-Identifier: Apache-2.0
"""A set of members with its keys, as one of them has it, and what is sealed with them.

Every AEAD key is derived for one message alone (from a secret, what the message is, and a number that a
member uses once), so the nonce is zero and needs no care; see `argument` for what the set's hash binds
together.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from numpy.typing import NDArray

from hitoku.errors import PeerError
from hitoku.hazmat import masks
from hitoku.hazmat import ring_threshold as ring
from hitoku.learning.aggregate.masks.statements import Scope, sign_of
from hitoku.ports import KeyStore

__all__ = ["CARD", "GROUP_BOX_BYTES", "Card", "Group", "begin", "common_seed", "opened", "sealed"]

CARD: Final = "he-card"
GROUP_BYTES: Final = 32
TAG_BYTES: Final = 16
GROUP_BOX_BYTES: Final = GROUP_BYTES + TAG_BYTES
_NONCE: Final = bytes(12)


def sealed(key: bytes, content: bytes) -> NDArray[np.uint8]:
    """Encrypted under a key that is used for this message alone."""
    return np.frombuffer(ChaCha20Poly1305(key).encrypt(_NONCE, content, None), np.uint8)


def opened(key: bytes, box: Any) -> bytes:
    """What `sealed` took.

    Raises:
        PeerError: it was made with another key or for another message, or changed.
    """
    if not isinstance(box, np.ndarray) or box.dtype != np.uint8 or box.ndim != 1:
        raise PeerError("a sealed message is malformed", "MALFORMED")
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, box.tobytes(), None)
    except InvalidTag:
        raise PeerError("a sealed message does not belong here, or was changed", "WRONG_SEAL") from None


def common_seed(scope: Scope, number: int) -> bytes:
    """What the public polynomial of a set's key shares is expanded from."""
    return hashlib.sha256(scope.statement("he-common", number=number)).digest()


@dataclass(slots=True)
class Card:
    """A member's fresh keys for set `number`, before the set is known."""

    number: int
    sealing: masks.MaskKey
    key: ring.ThresholdKey
    share: NDArray[np.uint8]

    @classmethod
    def fresh(cls, scope: Scope, number: int) -> Card:
        """New keys of the operating system's randomness."""
        key = ring.ThresholdKey()
        return cls(number, masks.MaskKey(), key, key.share(common_seed(scope, number)))

    @property
    def public(self) -> bytes:
        """What is signed: the X25519 key, and the commitment to the share of the joint key."""
        return self.sealing.public + _commitment(self.share)

    def signed(self, scope: Scope, keys: KeyStore, name: str) -> dict[str, Any]:
        """As it is sent."""
        signature = scope.sign_keys(keys, CARD, self.number, name, self.public)
        return {"number": self.number, "public": self.public.hex(), "signature": signature.hex()}


def _commitment(share: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(b"hitoku/he-share/1\0" + share.tobytes()).digest()


@dataclass(slots=True)
class Group:
    """One set of members at one of them, from the cards on.

    Attributes:
        number: of the set; rises.
        name: this member.
        leader: who opens.
        members: the set, sorted.
        commitments: to every member's key share.
        pairs: the secret with every other member, for sealing.
        terms: the secret with every other member, for masks, and its sign.
        key: this member's threshold key.
        joint: the key of all, once every share was shown.
        secret: the group's, once the leader gave it.
        used: the largest number of a message that was answered; each is answered once.
    """

    number: int
    name: str
    leader: str
    members: tuple[str, ...]
    commitments: Mapping[str, bytes]
    pairs: dict[str, masks.MaskSecret]
    terms: list[tuple[masks.MaskSecret, int]]
    key: ring.ThresholdKey
    joint: ring.JointKey | None = None
    secret: bytes = b""
    used: int = 0
    pending: dict[int, Any] = field(default_factory=dict)

    @property
    def peers(self) -> tuple[str, ...]:
        """The other members."""
        return tuple(name for name in self.members if name != self.name)

    def join(self, scope: Scope, shares: Any) -> None:
        """Check every member's share against its card, and make the joint key.

        Raises:
            PeerError: a share is not what its member had committed to.
        """
        fits = isinstance(shares, np.ndarray) and shares.dtype == np.uint8
        if not fits or shares.shape != (len(self.members), ring.SHARE_BYTES):
            raise PeerError("the key shares of a set are malformed", "MALFORMED")
        for member, share in zip(self.members, shares, strict=True):
            if not hmac.compare_digest(_commitment(share), self.commitments[member]):
                raise PeerError(f"the key share of {member!r} is not the one it signed", "SUBSTITUTED_KEYS")
        self.joint = ring.JointKey(common_seed(scope, self.number), list(shares))

    def message_key(self, what: str, number: int, member: str = "") -> bytes:
        """The key of one message to the whole set."""
        if not self.secret:
            raise PeerError("the set has no secret yet", "NO_SESSION")
        return hmac.digest(self.secret, f"hitoku/he/{what}/{number}/{member}".encode(), "sha256")

    def pair_key(self, peer: str, what: str, number: int, sender: str) -> bytes:
        """The key of one message between this member and a peer."""
        return self.pairs[peer].derive(f"hitoku/he/{what}/{number}/{sender}".encode())

    def take(self, number: Any) -> int:
        """A number that was not answered yet.

        Raises:
            PeerError: it is malformed, or not above all before it.
        """
        if type(number) is not int or not 0 < number < 1 << 52:
            raise PeerError("a message's number is malformed", "MALFORMED")
        if number <= self.used:
            raise PeerError("this was answered before: a member answers once", "ANSWERED")
        self.used = number
        return number

    def masked(
        self, values: NDArray[np.int64], number: int, asked: bytes, threads: int | None
    ) -> NDArray[np.uint64]:
        """The vector under masks that cancel over the set if all were asked the same."""
        context = f"sum/{number}/".encode() + hashlib.sha256(asked).digest()
        return masks.mask(values, self.terms, context, threads=threads)

    def erase(self) -> None:
        """Forget all keys: nothing of this set opens any more."""
        self.key.erase()
        self.joint, self.secret = None, b""
        self.pairs, self.terms = {}, []
        self.pending.clear()


def begin(scope: Scope, card: Card, name: str, leader: Any, given: Any) -> Group:
    """The set whose cards the server relays, checked.

    Raises:
        PeerError: a card was not signed by its member for this number, is missing, or too few are there.
    """
    read, digest = scope.read_keys(CARD, card.number, given, each=2, me=name, mine=card.public)
    if leader not in read:
        raise PeerError("the leader is not in the set", "WRONG_SET")
    bound = {"number": card.number, "set": digest.hex(), "leader": leader}
    sealing, masking = scope.statement("he-pair", **bound), scope.statement("he-mask", **bound)
    peers: Sequence[str] = [peer for peer in read if peer != name]
    public = {peer: read[peer][0][: masks.PUBLIC_BYTES] for peer in peers}
    return Group(
        card.number,
        name,
        leader,
        tuple(read),
        {member: keys[masks.PUBLIC_BYTES :] for member, (keys, _) in read.items()},
        {peer: card.sealing.agree(public[peer], sealing) for peer in peers},
        [(card.sealing.agree(public[peer], masking), sign_of(name, peer)) for peer in peers],
        card.key,
    )
